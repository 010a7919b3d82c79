//! Passes on sample images: they tell the shapes of activations, which of them have one row for each image, and the logits.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use tch::{Device, Kind, Tensor};

use super::MOST_VALUES;
use super::builder::Program;
use super::ending::LeftOut;
use super::gradient::{Pass, Way, rounded};
use super::labels::Label;
use super::landmarks::{Summand, residual_sums};
use super::network::{Failure, Outline};
use super::value::{Cost, Frame, Rule, Slot, Step, Value, wanted};
use crate::model::{Flow, Site, Tokens};

/// What the first of two passes has told about a value.
#[derive(Default, Clone)]
struct Seen {
    shape: Vec<i64>,
    floating: bool,
    /// Which dimension holds channels.
    channels: Option<usize>,
    macs: u64,
}

impl Seen {
    /// Multiply-adds of the whole value.
    fn arithmetic(&self) -> u64 {
        self.macs.saturating_mul(self.shape.iter().product::<i64>().max(0) as u64)
    }
}

/// Two passes, on one image and on two.
pub struct Survey {
    single: BTreeMap<Slot, Seen>,
    double: BTreeMap<Slot, Seen>,
    /// Values that depend on the pixels and not only on the number of images.
    varying: BTreeSet<Slot>,
    classes: i64,
    tokens: Tokens,
    convolutions: usize,
    folds: bool,
    /// Ends of blocks, whatever modules there are.
    residual: BTreeSet<Slot>,
    /// Why the pixels have no gradient, if they have none.
    pub without_gradients: Option<String>,
    /// A value that no network has.
    huge: Option<String>,
}

/// How many images the passes take.
const BATCHES: [i64; 2] = [1, 2];

impl Survey {
    /// Passes of `program`, which computes in f32 on the CPU, on images of `image` (channels, rows, columns).
    ///
    /// # Errors
    /// The node that fails, or what the answer is instead of logits: a clause about the network.
    pub fn run(program: &Program, image: [i64; 3]) -> Result<Self, String> {
        let mut survey = Survey {
            single: BTreeMap::new(),
            double: BTreeMap::new(),
            varying: BTreeSet::from([program.input]),
            classes: 0,
            tokens: Tokens::default(),
            convolutions: program.steps.iter().filter(|step| convolves(step)).count(),
            folds: program.folds,
            residual: BTreeSet::new(),
            without_gradients: None,
            huge: None,
        };
        let mut single = BTreeMap::new();
        let pass =
            tch::no_grad(|| program.run(sample(1, image), wanted, |step, frame| survey.look(step, frame, &mut single)));
        if let Err(failure) = &pass {
            let two = tch::no_grad(|| program.run(sample(2, image), wanted, |_, _| ControlFlow::Continue(())));
            if two.is_ok_and(|flow| flow.is_continue()) {
                return Err(format!(
                    "it computes two images and not one alone: {failure}; export a model that computes each image on its own"
                ));
            }
        }
        let logits = survey.answer(pass, 1, image)?;
        survey.classes = classes_of(program, &logits, 1)?;
        finite(program, &logits, image)?;
        let mut double = BTreeMap::new();
        let pixels = sample(2, image);
        let pass = Pass::forward(program, &pixels, |step, frame| survey.look(step, frame, &mut double));
        let pass = survey.answer(pass, 2, image)?;
        survey.classes = classes_of(program, &pass.logits, 2)?;
        (survey.single, survey.double) = (single, double);
        if !survey.varying.contains(&program.logits) {
            return Err("its answer does not depend on the images".to_owned());
        }
        survey.tokens = survey.find_tokens(program);
        let summand = |slot| {
            let found = survey.drivable(slot)?;
            Some(Summand { shape: found.shape.clone(), is_map: found.shape.len() == 4 && found.channels == Some(1) })
        };
        survey.residual = residual_sums(&program.steps, summand);
        match rounded(program).map_or_else(|| gradient_of(program, pass, &pixels), Err) {
            Ok(Way::Apart) => Ok(survey),
            Ok(Way::Mixed) => Err(mixture(&survey.mixing_node(program, image).unwrap_or_default())),
            Err(why) => {
                survey.without_gradients = Some(why);
                survey.mixing_node(program, image).map_or(Ok(survey), |node| Err(mixture(&node)))
            }
        }
    }

    /// What a pass gave, or why there is nothing: the end of a sentence about the network.
    fn answer<T>(&self, pass: Result<Flow<T>, Failure>, rows: i64, image: [i64; 3]) -> Result<T, String> {
        let [channels, height, width] = image;
        match (pass, &self.huge) {
            (Ok(ControlFlow::Continue(answer)), _) => Ok(answer),
            (Ok(ControlFlow::Break(())), Some(problem)) => Err(problem.clone()),
            (Ok(ControlFlow::Break(())), None) => Err("its answer does not depend on the images".to_owned()),
            (Err(failure), _) => Err(format!(
                "given pixels [{rows}, {channels}, {height}, {width}], {failure}; if it takes images of another size, crop or resize them to that"
            )),
        }
    }

    /// The first node whose value for one image changes with the other: the end of a clause.
    fn mixing_node(&self, program: &Program, image: [i64; 3]) -> Option<String> {
        let mut before: BTreeMap<Slot, Tensor> = BTreeMap::new();
        let mut node = None;
        let pixels = sample(2, image);
        let other = Tensor::cat(&[pixels.narrow(0, 0, 1), pixels.narrow(0, 1, 1).cos() * -2.0], 0);
        for (pixels, first) in [(pixels, true), (other, false)] {
            let _ = tch::no_grad(|| {
                program.run(pixels, wanted, |step, frame| {
                    for slot in step.writes.iter().filter(|slot| self.drivable(**slot).is_some()) {
                        let Ok(row) = frame.tensor(*slot).and_then(|tensor| tensor.f_select(0, 0)) else { continue };
                        match before.get(slot) {
                            _ if first => drop(before.insert(*slot, row)),
                            Some(known) if !known.allclose(&row, 1e-3, 1e-5, true) => {
                                node = Some(format!(", from {step} on"));
                                return ControlFlow::Break(());
                            }
                            _ => {}
                        }
                    }
                    ControlFlow::Continue(())
                })
            });
        }
        node
    }

    fn look(&mut self, step: &Step, frame: &Frame, observations: &mut BTreeMap<Slot, Seen>) -> Flow<()> {
        let varying = step.reads.iter().any(|slot| self.varying.contains(slot));
        for slot in &step.writes {
            let Ok(Value::Tensor(tensor)) = frame.value(*slot) else { continue };
            if varying {
                self.varying.insert(*slot);
            }
            let shape = tensor.size();
            if tensor.numel() as i64 > MOST_VALUES {
                self.huge = Some(format!("{step} gives a tensor of shape {shape:?}, which is too large"));
                return ControlFlow::Break(());
            }
            let channels = channels(step, shape.len(), observations);
            let (floating, macs) = (tensor.is_floating_point(), macs(step, frame));
            observations.insert(*slot, Seen { shape, floating, channels, macs });
        }
        ControlFlow::Continue(())
    }

    /// Whether the value has one row for each image, and is one that attacks can drive.
    fn drivable(&self, slot: Slot) -> Option<&Seen> {
        let (single, double) = (self.single.get(&slot)?, self.double.get(&slot)?);
        let rows = |observation: &Seen| observation.shape.first().copied();
        let fits = [rows(single), rows(double)] == BATCHES.map(Some)
            && single.shape[1..] == double.shape[1..]
            && (2..=4).contains(&double.shape.len())
            && double.floating
            && self.varying.contains(&slot);
        fits.then_some(double)
    }

    /// What probes will see; the first label of a layer's name counts, and the first of a value has its cost.
    pub fn outline(&self, labels: &[Label], names: &BTreeMap<String, Slot>, left_out: Option<LeftOut>) -> Outline {
        let mut sites: BTreeMap<String, Vec<Site>> = BTreeMap::new();
        let (mut taken, mut paid) = (BTreeSet::new(), BTreeSet::new());
        // The arithmetic of values that are not shown counts for the next one that is.
        let mut hidden = 0;
        let has_modules = labels.iter().any(|label| label.module && !label.layer.is_empty());
        for Label { value, layer, kind, module } in labels {
            let slot =
                names.get(value).copied().filter(|slot| left_out.is_none_or(|left_out| left_out.output != *slot));
            let Some(slot) = slot else { continue };
            let macs = self.single.get(&slot).filter(|_| paid.insert(slot)).map_or(0, Seen::arithmetic);
            let Some(observation) = self.drivable(slot).filter(|_| !layer.is_empty() && taken.insert(layer)) else {
                hidden += macs;
                continue;
            };
            let values = observation.shape[1..].iter().product::<i64>().max(1) as u64;
            let macs_per_value = (std::mem::take(&mut hidden) + macs).div_ceil(values);
            let channels_inner = observation.shape.len() == 4 && observation.channels == Some(3);
            let landmark = *module || !has_modules && self.residual.contains(&slot);
            let site = Site { macs_per_value, channels_inner, landmark, ..Site::new(layer.as_str(), kind.clone()) };
            sites.entry(value.clone()).or_default().push(site);
        }
        let Survey { classes, tokens, convolutions, folds, .. } = *self;
        Outline { sites, classes, tokens, convolutions, folds }
    }

    /// Tokens that are the same for all images, joined before those of the patches; and the grid of the last convolution before.
    fn find_tokens(&self, program: &Program) -> Tokens {
        let mut grids: Vec<[i64; 2]> = Vec::new();
        for step in &program.steps {
            let Some(observation) = step.writes.first().and_then(|slot| self.drivable(*slot)) else { continue };
            match observation.shape[..] {
                [_, _, height, width] if observation.channels == Some(1) => grids.push([height, width]),
                [_, count, _] if step.operator.contains("cat") || step.operator == "Concat" => {
                    let same = step.reads.iter().take_while(|slot| !self.varying.contains(slot));
                    let lengths = same.map(|slot| {
                        let found = self.double.get(slot).map(|observation| observation.shape.clone());
                        let constant = program.constants[slot.0].as_ref().and_then(|value| match value {
                            Value::Tensor(tensor) => Some(tensor.size()),
                            _ => None,
                        });
                        found.or(constant).filter(|shape| shape.len() == 3).map_or(0, |shape| shape[1])
                    });
                    let prefix: i64 = lengths.sum();
                    let fits = |grid: &&[i64; 2]| grid[0] * grid[1] == count - prefix;
                    if let Some(grid) = grids.iter().rev().find(fits) {
                        return Tokens { prefix, grid: Some(*grid) };
                    }
                }
                _ => {}
            }
        }
        Tokens::default()
    }
}

/// Whether a step is a convolution over images.
fn convolves(step: &Step) -> bool {
    step.operator.contains("conv2d") || step.operator.contains("convolution") || step.operator == "Conv"
}

/// Images that are neither flat nor random.
fn sample(rows: i64, [channels, height, width]: [i64; 3]) -> Tensor {
    let count = rows * channels * height * width;
    let steps = Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.37;
    steps.sin().reshape([rows, channels, height, width])
}

/// Whether pixels have a gradient, and of which images: that of a single sample may vanish by chance.
fn gradient_of(program: &Program, pass: Pass, pixels: &Tensor) -> Result<Way, String> {
    let mut found = pass.back();
    for other in [pixels * -2.0, pixels.cos() * 3.0] {
        if found.is_ok() {
            break;
        }
        let pass = Pass::forward(program, &other, |_, _| ControlFlow::Continue(()));
        if let ControlFlow::Continue(pass) = pass.map_err(|failure| format!("with gradients, {failure}"))? {
            found = pass.back();
        }
    }
    found
}

/// That an image's answer depends on the other images, from a node on.
fn mixture(node: &str) -> String {
    format!(
        "its answer for an image depends on the other images of the batch{node}; export a model that computes each image on its own"
    )
}

/// Refuses answers that are no numbers, with the first node that gives none.
fn finite(program: &Program, logits: &Tensor, image: [i64; 3]) -> Result<(), String> {
    let are_finite = |tensor: &Tensor| i64::try_from(tensor.isfinite().all()).unwrap_or(1) != 0;
    if are_finite(logits) {
        return Ok(());
    }
    let mut first = None;
    let _ = tch::no_grad(|| {
        program.run(sample(1, image), wanted, |step, frame| {
            let tensors = step.writes.iter().filter_map(|slot| frame.tensor(*slot).ok());
            if tensors.filter(|tensor| tensor.is_floating_point()).any(|tensor| !are_finite(tensor)) {
                first = Some(format!("; the first are those of {step}"));
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
    });
    Err(format!("its answer holds values that are infinite or no numbers{}", first.unwrap_or_default()))
}

/// The number of classes, or what stands in the logits' place.
fn classes_of(program: &Program, logits: &Tensor, rows: i64) -> Result<i64, String> {
    let step = answering(program);
    let sorts = |step: &&Step| {
        let name = step.operator.split(['.', ' ']).next().unwrap_or_default().to_lowercase();
        ["topk", "sort", "msort"].contains(&name.as_str())
    };
    if let Some(step) = step.filter(sorts) {
        return Err(format!(
            "{step} gives its answer in order of size, so that no place stands for a class; export the model without it"
        ));
    }
    classes(logits, rows).map_err(|problem| match step {
        Some(step) => format!("{step} gives its answer, {problem}"),
        None => format!("its answer is not usable, {problem}"),
    })
}

/// The step that gives the logits.
fn answering(program: &Program) -> Option<&Step> {
    program.steps.iter().rfind(|step| step.writes.contains(&program.logits))
}

/// The number of classes.
///
/// # Errors
/// What the answer is instead, and what to change: the end of a sentence.
fn classes(logits: &Tensor, rows: i64) -> Result<i64, String> {
    let (shape, images) = (logits.size(), if rows == 1 { "1 image" } else { "2 images" });
    let instead = match shape[..] {
        [found, classes] if found == rows && logits.is_floating_point() => return Ok(classes),
        _ if logits.is_complex() => "complex numbers: export a model whose forward returns real ones",
        _ if !logits.is_floating_point() => {
            "classes or counts that have no gradients: export the model without `argmax`"
        }
        [] => "one number for all images: export a model whose forward returns one vector for each image",
        [found] if found == rows => {
            "one number for each image, as binary classifiers give: give two columns, of which the second is that number and the first its \
             negative"
        }
        [_, _, _] => {
            "as detectors and models of sequences do: export a model whose forward returns one vector for each image"
        }
        [_, _, _, _] => {
            "as models for segmentation and encoders do: export a classifier, or one value for each class of the whole image"
        }
        _ => "something else: export a model whose forward returns them alone",
    };
    Err(format!(
        "of shape {shape:?} and kind {:?} for {images}; expected logits [{rows}, classes], not {instead}",
        logits.kind()
    ))
}

fn channels(step: &Step, rank: usize, observations: &BTreeMap<Slot, Seen>) -> Option<usize> {
    let before = || {
        let same = step
            .reads
            .iter()
            .filter_map(|slot| observations.get(slot))
            .filter(|observation| observation.shape.len() == rank);
        same.filter_map(|observation| observation.channels).next()
    };
    match &step.rule {
        Rule::Inherit => before(),
        Rule::Second => Some(1),
        Rule::Last => rank.checked_sub(1),
        Rule::Nowhere => None,
        Rule::Permuted(order) => {
            let from = before()? as i64;
            order.iter().position(|&dimension| dimension.rem_euclid(rank as i64) == from)
        }
    }
}

fn macs(step: &Step, frame: &Frame) -> u64 {
    let shape = |slot: Slot| super::network::shape_of(frame, slot).unwrap_or_default();
    match step.cost {
        Cost::None => 0,
        Cost::Values(values) => values,
        Cost::Inner(slot) => shape(slot).last().copied().unwrap_or(0) as u64,
        Cost::Keys(slot) => shape(slot).iter().rev().nth(1).copied().unwrap_or(0) as u64 * 2,
    }
}
