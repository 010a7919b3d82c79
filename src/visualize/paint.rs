//! The ascent: pictures of some units of one layer, in one batch, from passes that leave the network behind the layer.

use std::ops::ControlFlow;

use tch::{Device, Kind, Tensor};

use super::adam::Adam;
use super::canvas::{Canvas, canvas};
use super::penalty::{penalty, total_variation};
use super::views::{Prepared, Sizes};
use super::wake::{Leaky, OWN, Seen, Source, Sources};
use crate::model::Model;
use crate::objective::unit_values;
use crate::random::Noise;
use crate::rows::per_row;
use crate::suite::{CanvasForm, Direction, PictureConfig};
use crate::terms::{LayerName, Unit};

/// A picture to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// The unit.
    pub unit: Unit,
    /// Which of the unit's pictures.
    pub seed: usize,
}

impl Subject {
    fn key(&self, layer: &LayerName) -> String {
        format!("{layer}/{}/{}", self.unit, self.seed)
    }
}

/// A finished picture.
pub struct Painted {
    /// What it shows.
    pub subject: Subject,
    /// Values `[C, H, W]` in [0, 1] of the canvas, on the CPU.
    pub image: Tensor,
    /// How much each pixel mattered on the way, `[H, W]`, at least 0, on the CPU.
    pub importance: Tensor,
    /// The objective of the views at each step.
    pub history: Vec<f32>,
    /// The unit's activation on the picture itself, at the size that the network takes.
    pub activation: f64,
    /// Total variation of the picture, divided by its number of values.
    pub variation: f64,
    /// No step after the first ones had a gradient, or the unit is silent on the picture that should raise it.
    pub dead: bool,
    /// The network gave NaN or infinity on the way.
    pub broken: bool,
}

/// Makes pictures of units of one layer.
pub struct Painter<'a> {
    /// The model that gives gradients, which may compute less exactly.
    pub model: &'a Model,
    /// The model that says in f32 how active the unit is on the finished picture.
    pub judge: &'a Model,
    /// The layer, which exists, as do the units.
    pub layer: &'a LayerName,
    /// How pictures are made.
    pub config: &'a PictureConfig,
    /// Whether activations are raised or lowered.
    pub direction: Direction,
    /// The streams of the pictures.
    pub noise: &'a Noise,
}

impl Painter<'_> {
    /// Makes the pictures in one batch. `origin` `[C, H, W]`, if there is one, is the image at which all of them begin, of the
    /// canvas's size.
    pub fn paint(&self, subjects: &[Subject], origin: Option<&Tensor>) -> Vec<Painted> {
        let device = self.model.device();
        let side = self.canvas_size();
        let canvas = canvas(self.config.canvas, side, device);
        let keys: Vec<String> = subjects.iter().map(|subject| subject.key(self.layer)).collect();
        let origin = origin.map(|image| image.to_device(device).unsqueeze(0));
        let count = subjects.len() as i64;
        let mut parameters = match &origin {
            Some(origin) => canvas.invert(&origin.expand([count, -1, -1, -1], false)),
            None => canvas.start(self.noise, &keys),
        };
        let [channels, height, width] = self.model.input;
        let (steps, views) = (self.config.steps, self.config.views);
        let sizes = Sizes { canvas: [side[1], side[2]], output: [height, width] };
        let views = Prepared::new(views, steps, channels, sizes, self.noise, &keys, device);
        let mut adam = Adam::new(self.config.optimizer, steps);
        let mut progress = Progress::new(count, [side[1], side[2]], device);
        for step in 0..steps {
            let gradient =
                self.gradient(subjects, canvas.as_ref(), &views, &parameters, origin.as_ref(), step, &mut progress);
            parameters = tch::no_grad(|| {
                progress.sources.factors.take().iter().for_each(|factors| adam.rescale(factors));
                canvas.settle(adam.step(&parameters, &gradient))
            });
        }
        tch::no_grad(|| self.finish(subjects, &canvas.image(&parameters), &progress))
    }

    /// Channels, rows and columns of the canvas.
    pub fn canvas_size(&self) -> [i64; 3] {
        let [channels, height, width] = self.model.input;
        let natural = if self.config.canvas == CanvasForm::Maco { 2 } else { 1 };
        match self.config.side {
            Some(side) => [channels, side as i64, side as i64],
            None => [channels, natural * height, natural * width],
        }
    }

    /// The gradient of what is minimized, with respect to the parameters.
    #[expect(clippy::too_many_arguments, reason = "the parts of one step")]
    fn gradient(
        &self,
        subjects: &[Subject],
        canvas: &dyn Canvas,
        views: &Prepared,
        parameters: &Tensor,
        origin: Option<&Tensor>,
        step: usize,
        progress: &mut Progress,
    ) -> Tensor {
        let warm_up = self.config.warm_up();
        let first = self.pass(subjects, canvas, views, parameters, step, None);
        tch::no_grad(|| progress.see(&first, step >= warm_up));
        let (mut driven, mut pixels) = (first.parameters, first.pixels);
        let asleep = first.asleep;
        let mut source = Source::Network;
        if step < warm_up {
            // Where no gradient comes through, rectifiers leak, for those rows alone: the layer's own, and every other time all.
            let own_leak = step.is_multiple_of(2);
            let from = if own_leak { first.rectifiers.saturating_sub(OWN) } else { 0 };
            if bool::try_from(asleep.any()).unwrap_or(false) {
                source = if own_leak { Source::OwnLeak } else { Source::Leak };
                let leaky = self.pass(subjects, canvas, views, parameters, step, Some(from));
                let choose = |current: &Tensor, other: &Tensor| other.where_self(&per_row(&asleep, current), current);
                (driven, pixels) = (choose(&driven, &leaky.parameters), choose(&pixels, &leaky.pixels));
            }
        }
        if let Some(factors) = tch::no_grad(|| progress.sources.follow(&driven, &asleep, source)) {
            // Penalties are weighed by what the gradient was at first, which was of the other kind.
            progress.first *= factors;
        }
        match self.pulled_back(canvas, parameters, origin, || progress.length(&pixels)) {
            Some(pull) => driven + pull,
            None => driven,
        }
    }

    /// The gradient of the penalties, weighed by the `length` `[R]` of the objective's.
    fn pulled_back(
        &self,
        canvas: &dyn Canvas,
        parameters: &Tensor,
        origin: Option<&Tensor>,
        length: impl FnOnce() -> Tensor,
    ) -> Option<Tensor> {
        let parameters = parameters.detach().set_requires_grad(true);
        let value = penalty(&self.config.penalties, || canvas.image(&parameters), origin)?;
        let loss = (value * tch::no_grad(length)).sum(Kind::Float);
        Some(Tensor::run_backward(&[loss], &[&parameters], false, false).remove(0).nan_to_num(0.0, 0.0, 0.0))
    }

    /// One forward and backward pass.
    fn pass(
        &self,
        subjects: &[Subject],
        canvas: &dyn Canvas,
        views: &Prepared,
        parameters: &Tensor,
        step: usize,
        leaky: Option<usize>,
    ) -> Pass {
        let parameters = parameters.detach().set_requires_grad(true);
        let image = canvas.image(&parameters);
        let view = views.show(&image, step);
        let copies = self.config.views.copies;
        let Seen { activation, rectifiers, smooth } = self.activation(self.model, &view, leaky);
        let units: Vec<Unit> = subjects.iter().flat_map(|subject| std::iter::repeat_n(subject.unit, copies)).collect();
        let value = unit_values(self.model, self.layer, &activation, &units).view([-1, copies as i64]).mean_dim(
            [1i64].as_slice(),
            false,
            Kind::Float,
        );
        let mut aim = match self.direction {
            Direction::Maximize => value.sum(Kind::Float),
            Direction::Suppress => -value.sum(Kind::Float),
        };
        if self.config.diversity > 0.0 {
            aim -= alike(&activation, subjects, copies as i64, self.config.diversity);
        }
        let gradients = Tensor::run_backward(&[-aim], &[&parameters, &image], false, false);
        let mut gradients = gradients.into_iter();
        let mut clean = |like: &Tensor| match gradients.next().filter(Tensor::defined) {
            Some(mut gradient) => gradient.nan_to_num_(0.0, 0.0, 0.0),
            None => like.zeros_like(),
        };
        let (parameters, pixels) = (clean(&parameters), clean(&image));
        let importance = pixels.abs().mean_dim([1i64].as_slice(), false, Kind::Float);
        let moved = importance.flatten(1, -1).amax([1i64].as_slice(), false).gt(0.0);
        let value = value.detach();
        let mut asleep = moved.logical_not();
        if smooth && self.direction == Direction::Maximize {
            asleep = asleep.logical_or(&value.le(0.0));
        }
        Pass { parameters, pixels, importance, moved, asleep, value, rectifiers }
    }

    /// The layer's activation, nothing behind which is computed; the rectifiers on the way leak from `leaky` on.
    fn activation(&self, model: &Model, view: &Tensor, leaky: Option<usize>) -> Seen {
        let mut probe = Leaky::new(self.layer, leaky);
        let _: ControlFlow<(), Tensor> = model.forward(view, &mut probe);
        probe.into_pass().unwrap_or_else(|| Seen { activation: view.shallow_clone(), rectifiers: 0, smooth: false })
    }

    fn finish(&self, subjects: &[Subject], images: &Tensor, progress: &Progress) -> Vec<Painted> {
        let [_, height, width] = self.model.input;
        let resized = fitted(images, [height, width]);
        let units: Vec<Unit> = subjects.iter().map(|subject| subject.unit).collect();
        let activation =
            unit_values(self.judge, self.layer, &self.activation(self.judge, &resized, None).activation, &units);
        let variation = total_variation(images) / images.get(0).numel() as f64;
        let (images, importance) = (images.to_device(Device::Cpu), progress.importance.to_device(Device::Cpu));
        let history: Vec<Tensor> = progress.history.iter().map(|values| values.to_device(Device::Cpu)).collect();
        let at = |tensor: &Tensor, row: usize| tensor.double_value(&[row as i64]);
        subjects
            .iter()
            .enumerate()
            .map(|(row, subject)| Painted {
                subject: subject.clone(),
                image: images.get(row as i64),
                importance: importance.get(row as i64),
                history: history.iter().map(|values| at(values, row) as f32).collect(),
                activation: at(&activation, row),
                variation: at(&variation, row),
                // A unit that is silent on its picture was not driven by it, whatever came through on the way.
                dead: at(&progress.moved, row) == 0.0
                    || self.direction == Direction::Maximize && at(&activation, row) == 0.0,
                broken: at(&progress.broken, row) != 0.0 || !at(&activation, row).is_finite(),
            })
            .collect()
    }
}

/// What a pass gives: gradients of the negative objective, and the objective `[R]`.
struct Pass {
    parameters: Tensor,
    pixels: Tensor,
    /// How much each pixel matters, `[R, H, W]`, at least 0.
    importance: Tensor,
    /// Whether any pixel does, `[R]`.
    moved: Tensor,
    /// Whether none does, or the unit lies where a smooth rectifier only falls, `[R]`.
    asleep: Tensor,
    value: Tensor,
    /// Rectifiers that were passed.
    rectifiers: usize,
}

/// What is kept of the steps, on the device.
struct Progress {
    history: Vec<Tensor>,
    importance: Tensor,
    /// Steps with a gradient, `[R]`.
    moved: Tensor,
    /// Steps with a value that is not finite, `[R]`.
    broken: Tensor,
    /// Length of the objective's gradient at the first step that has one, `[R]`.
    first: Tensor,
    /// What the gradients of each row were like.
    sources: Sources,
}

impl Progress {
    fn new(count: i64, [height, width]: [i64; 2], device: Device) -> Self {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, device));
        Progress {
            history: Vec::new(),
            importance: zeros(&[count, height, width]),
            moved: zeros(&[count]),
            broken: zeros(&[count]),
            first: zeros(&[count]),
            sources: Sources::default(),
        }
    }

    fn see(&mut self, pass: &Pass, counts: bool) {
        self.importance += &pass.importance;
        if counts {
            self.moved += pass.moved.to_kind(Kind::Float);
        }
        self.broken += pass.value.isfinite().logical_not().to_kind(Kind::Float);
        self.history.push(pass.value.nan_to_num(0.0, 0.0, 0.0));
    }

    /// The length of the objective's gradient where it first has one; `[R]`.
    fn length(&mut self, pixels: &Tensor) -> Tensor {
        let now = pixels.square().flatten(1, -1).sum_dim_intlist(1, false, Kind::Float).sqrt();
        self.first = now.where_self(&self.first.eq(0.0), &self.first);
        self.first.shallow_clone()
    }
}

/// How alike the activations of pictures of one unit are: the products of their Gram matrices of channels, each of length 1. A copy
/// is compared with the copies of the same number.
fn alike(activation: &Tensor, subjects: &[Subject], copies: i64, weight: f64) -> Tensor {
    let activation = activation.to_kind(Kind::Float);
    let features = match activation.dim() {
        4 => activation.flatten(2, -1),
        3 => activation.transpose(1, 2),
        _ => activation.unsqueeze(-1),
    };
    let grams = features.bmm(&features.transpose(1, 2)).flatten(1, -1);
    let grams = &grams / (grams.norm_scalaropt_dim(2.0, [1i64].as_slice(), true) + 1e-12);
    let mut sum = Tensor::zeros([], (Kind::Float, activation.device()));
    let mut start = 0;
    while start < subjects.len() {
        let count = subjects[start..].iter().take_while(|other| other.unit == subjects[start].unit).count();
        let group = grams.narrow(0, start as i64 * copies, count as i64 * copies).view([count as i64, copies, -1]);
        let total = group.sum_dim_intlist([0i64].as_slice(), false, Kind::Float).square().sum(Kind::Float);
        let energy = group.square().sum(Kind::Float);
        sum += (total - energy) * (weight / (count as f64 * copies as f64));
        start += count;
    }
    sum
}

/// Images at the size that the network takes; smaller ones without aliasing.
pub fn fitted(images: &Tensor, size: [i64; 2]) -> Tensor {
    if images.size()[2..] == size {
        return images.shallow_clone();
    }
    images.internal_upsample_bilinear2d_aa(size, false, None, None).clamp(0.0, 1.0)
}

#[cfg(test)]
#[path = "paint_tests.rs"]
mod tests;
