//! Makes the pictures of a suite's `[[visualize]]`, block by block: some units of one layer, with all their seeds. What is finished
//! stays; a block's content depends on the suite alone.

use std::rc::Rc;
use std::time::Instant;

use tch::{Kind, Tensor};

use super::{Driven, Painted, Painter, RealSamples, Subject, fitted, patch, png};
use crate::data::Image;
use crate::engine::{LibtorchError, guarded};
use crate::interrupt;
use crate::judge::{Labelled, ranked};
use crate::model::{LayerInfo, Model, ModelError};
use crate::objective::missing;
use crate::random::Noise;
use crate::record::{
    PICTURES_FORMAT, PictureBlock, PictureDir, PictureRecord, Seen, Status, StoreError, TopSample, file_word,
};
use crate::suite::{LayerDepth, Start, UnitRanking, UnitSelection, VisualizeConfig};
use crate::terms::Unit;
use crate::wording::nearest;

/// Pictures of a block.
const BLOCK: usize = 16;

/// Points kept of an objective's way.
const HISTORY: usize = 33;

/// Side of the stored pictures of real samples.
const SAMPLE_SIDE: usize = 128;

/// Why pictures cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VisualizeError {
    /// A unit does not exist, or a layer cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A choice of layers finds none.
    #[error("visualization `{visualization}`: model `{model}` has no layer `{choice}`; {near}")]
    NoLayer {
        /// The visualization.
        visualization: String,
        /// The model.
        model: String,
        /// What was asked for.
        choice: String,
        /// Near names.
        near: String,
    },
    /// What is asked for does not go together.
    #[error("visualization `{visualization}`: {problem}")]
    Unfit {
        /// The visualization.
        visualization: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The image at which pictures begin cannot be used.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// A file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stopped by the user.
    #[error("interrupted; the same command continues")]
    Interrupted,
    /// libtorch gave up.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}

/// What pictures are made with.
pub struct Studio<'a> {
    /// Where they go.
    pub dir: &'a PictureDir,
    /// The seed of every random choice.
    pub seed: u64,
    /// Views in a batch.
    pub capacity: usize,
    /// Real images of the models' size; may be none.
    pub samples: &'a RealSamples,
    /// Hash of what determines pictures besides their visualization: weights, data, device.
    pub identity: String,
}

/// The pictures of a layer that are done together.
pub struct Sitting {
    layer: LayerInfo,
    units: Vec<Unit>,
    key: String,
}

/// A layer with the blocks of its units.
struct Planned {
    layer: LayerInfo,
    units: Vec<Unit>,
    driven: Rc<Driven>,
}

impl Studio<'_> {
    /// Makes the missing pictures of `config` for `model`, whose place in the suite is `place`. `share` is the part of the blocks that is
    /// done here: (index, count). `others` are shown the pictures. `tell` hears of each block: layer, done, total.
    ///
    /// # Errors
    /// See [`VisualizeError`]; finished blocks are kept.
    pub fn run(
        &self,
        config: &VisualizeConfig,
        model: &Model,
        place: usize,
        others: &[Rc<Model>],
        share: (usize, usize),
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(), VisualizeError> {
        let planned = guarded(|| self.plan(config, model))??;
        let each = (BLOCK / config.seeds).max(1);
        let origin = self.origin(config, model)?;
        let mut blocks = Vec::new();
        for (at, planned) in planned.iter().enumerate() {
            for (block, units) in planned.units.chunks(each).enumerate() {
                let layer = file_word(planned.layer.name.as_str());
                let key = format!("{place:02}-{}--{}--{at:03}-{layer}--{block:05}", model.name, config.name);
                let sitting = Sitting { layer: planned.layer.clone(), units: units.to_vec(), key };
                blocks.push((sitting, planned.driven.clone()));
            }
        }
        let identity = self.identity_of(config, model);
        let total = blocks.len();
        for (at, (sitting, driven)) in blocks.iter().enumerate() {
            tell(sitting.layer.name.as_str(), at, total);
            if at % share.1 != share.0 || self.dir.block(&sitting.key, &identity).is_some() {
                continue;
            }
            if interrupt::requested() {
                return Err(VisualizeError::Interrupted);
            }
            let pictures = guarded(|| self.block(config, model, others, sitting, driven, origin.as_ref()))??;
            let block = PictureBlock { format: PICTURES_FORMAT, identity: identity.clone(), pictures };
            self.dir.write_block(&sitting.key, &block)?;
        }
        tell("", total, total);
        Ok(())
    }

    /// Checks that `model` has what `config` asks for, and chooses layers and units.
    ///
    /// # Errors
    /// If it has not.
    pub fn check(&self, config: &VisualizeConfig, model: &Model) -> Result<(), VisualizeError> {
        self.plan(config, model).map(drop)
    }

    fn identity_of(&self, config: &VisualizeConfig, model: &Model) -> String {
        let material =
            serde_json::json!([self.identity, self.seed, model.name, config, self.samples.len(), PICTURES_FORMAT]);
        blake3::hash(material.to_string().as_bytes()).to_hex().to_string()
    }

    fn plan(&self, config: &VisualizeConfig, model: &Model) -> Result<Vec<Planned>, VisualizeError> {
        self.check_canvas(config, model)?;
        let layers = chosen_layers(config, model)?;
        layers
            .into_iter()
            .map(|layer| {
                let neurons: Vec<Unit> = match &config.units {
                    UnitSelection::Listed(units) => {
                        units.iter().filter(|unit| unit.position.is_some()).copied().collect()
                    }
                    _ => Vec::new(),
                };
                let existing: Vec<Unit> =
                    neurons.into_iter().filter(|unit| missing(*unit, &layer.shape, model.tokens()).is_none()).collect();
                let driven = self.samples.driven(model, &layer.name, &existing, self.capacity)?;
                let units = self.units(config, model, &layer)?;
                Ok(Planned { layer, units, driven: Rc::new(driven) })
            })
            .collect()
    }

    fn check_canvas(&self, config: &VisualizeConfig, model: &Model) -> Result<(), VisualizeError> {
        let [_, height, width] = model.input;
        match config.picture.side {
            Some(side) if (side as i64) < height.max(width) => Err(VisualizeError::Unfit {
                visualization: config.name.clone(),
                problem: format!(
                    "a canvas of {side}x{side} is smaller than the {height}x{width} pixels that model `{}` takes; use \
                     `side = {}` or more",
                    model.name,
                    height.max(width)
                ),
            }),
            _ => Ok(()),
        }
    }

    fn units(&self, config: &VisualizeConfig, model: &Model, layer: &LayerInfo) -> Result<Vec<Unit>, VisualizeError> {
        let noise = Noise::new(self.seed, &format!("visualize/{}/{}/{}", config.name, model.name, layer.name));
        let units: Vec<Unit> = match &config.units {
            UnitSelection::Listed(units) => units.clone(),
            UnitSelection::All => (0..layer.units).map(Unit::channel).collect(),
            UnitSelection::Random(count) => {
                let mut chosen = noise.choose("units", *count, layer.units);
                chosen.sort_unstable();
                chosen.into_iter().map(Unit::channel).collect()
            }
            UnitSelection::TopActivation(count) => self.top(config, model, layer, (*count, UnitRanking::Activation))?,
            UnitSelection::Top { count, by } => self.top(config, model, layer, (*count, *by))?,
        };
        for unit in &units {
            if let Some(problem) = missing(*unit, &layer.shape, model.tokens()) {
                let (model, layer, unit) = (model.name.clone(), layer.name.clone(), unit.to_string());
                return Err(ModelError::UnknownUnit { model, layer, unit, problem }.into());
            }
        }
        Ok(units)
    }

    /// The units that a measure puts first.
    fn top(
        &self,
        config: &VisualizeConfig,
        model: &Model,
        layer: &LayerInfo,
        top: (usize, UnitRanking),
    ) -> Result<Vec<Unit>, VisualizeError> {
        let unfit =
            |problem: &str| VisualizeError::Unfit { visualization: config.name.clone(), problem: problem.to_owned() };
        if self.samples.is_empty() {
            return Err(unfit(
                "units are ranked over real images, and there are none; give images, or choose units by number",
            ));
        }
        let labels = match (self.samples.labels(), top.1) {
            (Some(labels), _) => labels,
            (None, UnitRanking::Activation | UnitRanking::Variance) => vec![0; self.samples.len()],
            (None, by) => return Err(unfit(&format!("`{}` needs images with labels: those of a suite", by.word()))),
        };
        let mut rest = labels.as_slice();
        let images: Vec<Labelled> = self
            .samples
            .batches(self.capacity, model.device())
            .map(|pixels| {
                let (own, later) = rest.split_at(pixels.size()[0] as usize);
                rest = later;
                Labelled { pixels, labels: own.to_vec() }
            })
            .collect();
        Ok(ranked(model, &layer.name, top, config.direction, &images)?)
    }

    /// The image at which pictures begin, of the canvas's size.
    fn origin(&self, config: &VisualizeConfig, model: &Model) -> Result<Option<Tensor>, VisualizeError> {
        let noise = Noise::new(self.seed, "");
        let layer = "".into();
        let painter =
            Painter { model, layer: &layer, config: &config.picture, direction: config.direction, noise: &noise };
        let [channels, height, width] = painter.canvas_size();
        let unfit = |problem: String| VisualizeError::Unfit { visualization: config.name.clone(), problem };
        let resized = |image: Tensor| fitted(&image.unsqueeze(0), [height, width]).get(0);
        match &config.start {
            Start::Noise => Ok(None),
            Start::Grey => Ok(Some(Tensor::full([channels, height, width], 0.5, (Kind::Float, model.device())))),
            Start::Mean => match self.samples.mean(self.capacity, model.device()) {
                Some(mean) => Ok(Some(resized(mean))),
                None => Err(unfit("`start = \"mean\"` needs real images".to_owned())),
            },
            Start::Image(path) => {
                let pictures = crate::data::Pictures::open(path, crate::suite::Preprocess::default())?;
                let image = pictures.image(0)?;
                if image.channels as i64 != channels {
                    return Err(unfit(format!(
                        "{} has {} channels, the model takes {channels}",
                        path.display(),
                        image.channels
                    )));
                }
                Ok(Some(resized(pixels(&image).to_device(model.device()))))
            }
        }
    }

    fn block(
        &self,
        config: &VisualizeConfig,
        model: &Model,
        others: &[Rc<Model>],
        sitting: &Sitting,
        driven: &Driven,
        origin: Option<&Tensor>,
    ) -> Result<Vec<PictureRecord>, VisualizeError> {
        let subjects: Vec<Subject> =
            sitting.units.iter().flat_map(|&unit| (0..config.seeds).map(move |seed| Subject { unit, seed })).collect();
        let noise = Noise::new(self.seed, &format!("visualize/{}", config.name));
        let layer = &sitting.layer.name;
        let painter = Painter { model, layer, config: &config.picture, direction: config.direction, noise: &noise };
        // The seeds of a unit share a batch: they may push each other apart.
        let rows = (self.capacity / config.picture.views.copies / config.seeds).max(1) * config.seeds;
        let mut pictures = Vec::new();
        for subjects in subjects.chunks(rows) {
            let started = Instant::now();
            let painted = painter.paint(subjects, origin);
            let seconds = started.elapsed().as_secs_f64() / subjects.len() as f64;
            let images: Vec<Tensor> = painted.iter().map(|one| one.image.shallow_clone()).collect();
            let images = Tensor::stack(&images, 0).to_device(model.device());
            let seen = seen(model, &images);
            let others: Vec<Vec<Seen>> = others.iter().map(|other| self::seen(other, &images)).collect();
            for (row, painted) in painted.iter().enumerate() {
                let mut record = self.record(config, model, sitting, driven, painted)?;
                record.seen = seen[row].clone();
                record.others = others.iter().map(|seen| seen[row].clone()).collect();
                record.seconds = seconds;
                pictures.push(record);
            }
        }
        for unit in pictures.chunks_mut(config.seeds) {
            let spread = sensitivity(&unit.iter().map(|picture| picture.objective).collect::<Vec<_>>());
            unit.iter_mut().for_each(|picture| picture.seed_sensitivity = spread);
        }
        Ok(pictures)
    }

    /// The record of a picture, whose file is written.
    fn record(
        &self,
        config: &VisualizeConfig,
        model: &Model,
        sitting: &Sitting,
        driven: &Driven,
        painted: &Painted,
    ) -> Result<PictureRecord, VisualizeError> {
        let Subject { unit, seed } = painted.subject;
        let layer = &sitting.layer.name;
        let folder = format!("{}/{}/{}", config.name, model.name, file_word(layer.as_str()));
        let stem = file_word(&unit.to_string());
        let file = format!("{folder}/{stem}-{seed}.png");
        self.dir.write_png(&file, &png(painted, config.picture.canvas))?;
        let real = driven.of_unit(unit);
        let finite: Vec<f64> = real.iter().map(|value| f64::from(*value)).filter(|value| value.is_finite()).collect();
        let comparison = Comparison::new(&finite, painted.activation);
        let samples = match seed {
            0 => self.top_samples(config, model, sitting, unit, &real, &format!("{folder}/samples/{stem}"))?,
            _ => Vec::new(),
        };
        let status = match () {
            () if painted.broken => Status::NonFinite,
            () if painted.dead => Status::DeadUnit,
            () => Status::Ok,
        };
        Ok(PictureRecord {
            visualization: config.name.clone(),
            model: model.name.clone(),
            layer: layer.clone(),
            depth: sitting.layer.share,
            unit: unit.to_string(),
            seed,
            preset: config.preset.to_string(),
            start: config.start.to_string(),
            steps: config.picture.steps,
            objective: if painted.activation.is_finite() { painted.activation } else { 0.0 },
            percentile: comparison.percentile,
            gain: comparison.gain,
            compared: finite.len(),
            seen: Seen { model: model.name.clone(), class: 0, confidence: 0.0 },
            others: Vec::new(),
            seed_sensitivity: None,
            variation: painted.variation,
            seconds: 0.0,
            status,
            file,
            history: thinned(&painted.history),
            samples,
        })
    }

    /// The real samples that drive the unit most (or least, where it is suppressed), with their files.
    fn top_samples(
        &self,
        config: &VisualizeConfig,
        model: &Model,
        sitting: &Sitting,
        unit: Unit,
        real: &[f32],
        stem: &str,
    ) -> Result<Vec<TopSample>, VisualizeError> {
        let sign = if config.direction == crate::suite::Direction::Maximize { 1.0 } else { -1.0 };
        let mut order: Vec<usize> = (0..real.len()).filter(|&index| real[index].is_finite()).collect();
        order.sort_by(|&a, &b| (sign * real[b]).total_cmp(&(sign * real[a])).then(a.cmp(&b)));
        let mut samples = Vec::new();
        for (rank, index) in order.into_iter().take(config.samples).enumerate() {
            let (id, label, image) = self.samples.get(index);
            let file = format!("{stem}-{rank}.png");
            self.dir.write_png(&file, &image.within(SAMPLE_SIDE).to_png())?;
            let patch = patch(model, &sitting.layer.name, unit, &pixels(image));
            samples.push(TopSample { id: id.clone(), label, activation: real[index], file, patch });
        }
        Ok(samples)
    }
}

/// Layers in the order of the pass, each once.
fn chosen_layers(config: &VisualizeConfig, model: &Model) -> Result<Vec<LayerInfo>, VisualizeError> {
    let infos = model.layers();
    // Where no layer tells its cost, depth goes by the order.
    let told = infos.iter().any(|info| info.share < 1.0);
    let share = |index: usize| if told { infos[index].share } else { (index + 1) as f64 / infos.len() as f64 };
    let depths: Vec<LayerDepth> = infos
        .iter()
        .enumerate()
        .map(|(index, info)| LayerDepth { name: info.name.as_str(), share: share(index) })
        .collect();
    let mut chosen = vec![false; infos.len()];
    for choice in &config.layers {
        let found = choice.choose(&depths);
        if found.is_empty() {
            let names = infos.iter().map(|info| info.name.as_str());
            let near = match nearest(choice.as_str(), names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`am-eval layers` lists them".to_owned(),
            };
            return Err(VisualizeError::NoLayer {
                visualization: config.name.clone(),
                model: model.name.clone(),
                choice: choice.as_str().to_owned(),
                near,
            });
        }
        found.into_iter().for_each(|index| chosen[index] = true);
    }
    Ok(infos.into_iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(info, _)| info).collect())
}

/// What a model sees in images of any size, as its own channels allow.
fn seen(model: &Model, images: &Tensor) -> Vec<Seen> {
    let [channels, height, width] = model.input;
    let images = match (images.size()[1], channels) {
        (3, 1) => images.mean_dim([1i64].as_slice(), true, Kind::Float),
        (1, 3) => images.expand([-1, 3, -1, -1], false),
        _ => images.shallow_clone(),
    };
    let logits = tch::no_grad(|| model.logits(&fitted(&images.to_device(model.device()), [height, width])));
    let (confidence, class) = logits.nan_to_num(0.0, 0.0, 0.0).softmax(-1, Kind::Float).max_dim(-1, false);
    (0..images.size()[0])
        .map(|row| Seen {
            model: model.name.clone(),
            class: class.int64_value(&[row]) as u32,
            confidence: confidence.double_value(&[row]) as f32,
        })
        .collect()
}

/// An image as pixels `[C, H, W]` in [0, 1].
fn pixels(image: &Image) -> Tensor {
    let shape = [image.channels as i64, image.height as i64, image.width as i64];
    Tensor::from_slice(&image.pixels).view(shape).to_kind(Kind::Float) / 255.0
}

/// Where a value stands among others.
struct Comparison {
    percentile: Option<f64>,
    gain: Option<f64>,
}

impl Comparison {
    fn new(real: &[f64], value: f64) -> Self {
        if real.is_empty() || !value.is_finite() {
            return Comparison { percentile: None, gain: None };
        }
        let count = real.len() as f64;
        let below = real.iter().filter(|other| **other <= value).count() as f64;
        let mean = real.iter().sum::<f64>() / count;
        let deviation = (real.iter().map(|other| (other - mean).powi(2)).sum::<f64>() / count).sqrt();
        Comparison { percentile: Some(below / count), gain: (deviation > 0.0).then(|| (value - mean) / deviation) }
    }
}

/// Standard deviation over the size of the mean; none of a single value.
fn sensitivity(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    (mean != 0.0).then(|| deviation / mean.abs())
}

/// A long row of values by some of them, the ends included.
fn thinned(values: &[f32]) -> Vec<f32> {
    if values.len() <= HISTORY {
        return values.to_vec();
    }
    (0..HISTORY).map(|point| values[point * (values.len() - 1) / (HISTORY - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_placed_among_others() {
        let comparison = Comparison::new(&[0.0, 1.0, 2.0, 3.0], 2.0);
        assert_eq!(comparison.percentile, Some(0.75));
        assert!((comparison.gain.unwrap() - 0.5 / 1.25f64.sqrt()).abs() < 1e-12);
        assert!(Comparison::new(&[], 1.0).percentile.is_none());
        assert!(Comparison::new(&[1.0, 1.0], 1.0).gain.is_none());
    }

    #[test]
    fn seeds_that_agree_are_not_sensitive() {
        assert_eq!(sensitivity(&[2.0, 2.0]), Some(0.0));
        assert!((sensitivity(&[1.0, 3.0]).unwrap() - 2f64.sqrt() / 2.0).abs() < 1e-12);
        assert_eq!((sensitivity(&[1.0]), sensitivity(&[1.0, -1.0])), (None, None));
    }

    #[test]
    fn a_long_way_keeps_its_ends() {
        let values: Vec<f32> = (0..100).map(|value| value as f32).collect();
        let thin = thinned(&values);
        assert_eq!((thin.len(), thin[0], thin[HISTORY - 1]), (HISTORY, 0.0, 99.0));
        assert_eq!(thinned(&values[..5]), values[..5]);
    }
}
