//! A few passes over real images before a model is attacked: does it answer the same image the same way each time, whatever its
//! company; are its answers logits; does it have a gradient?

use tch::{Kind, Tensor};

use super::guard::{LibtorchError, guarded};
use crate::boundary::linearized;
use crate::model::Model;
use crate::objective::margin;
use crate::record::Trial;
use crate::rows::{doubles, floats};
use crate::suite::passes::TRIAL_PASSES as PASSES;
use crate::terms::Norm;

/// Passes more of each setting before company is blamed for what chance may have done: of a model that flips one answer in twenty, the
/// first few passes may well agree.
const AGAIN: usize = 16;

/// How near to 1 a row of probabilities sums up, and how near to [0, 1] each of them lies.
const PROBABILITY: f64 = 1e-4;

/// Why a model cannot be attacked at all, as the end of a sentence about it.
pub type Refusal = String;

/// Shows `pixels` `[N, C, H, W]`, a few different images, to `model`: all together several times, each alone, and in reverse order with
/// a negative among them. With `needs_gradient` a model without any is refused.
///
/// # Errors
/// If predictions depend on the other images of the batch, if there is no gradient with respect to the image, or if libtorch gives up.
pub fn trial(model: &mut Model, pixels: &Tensor, needs_gradient: bool) -> Result<Trial, Refusal> {
    let gave_up =
        |error: LibtorchError| format!("a pass over {} images fails: {}", pixels.size()[0], last_line(&error.reason));
    let answers = guarded(|| tch::no_grad(|| answers(model, pixels))).map_err(gave_up)?;
    let mut trial = Trial {
        images: pixels.size()[0] as u64,
        averaged: model.repeats.max(1) as u64,
        between_passes: answers.between_passes(),
        not_finite: answers.not_finite(),
        probabilities: are_probabilities(&answers.together[0]),
        ..Trial::default()
    };
    if !trial.is_random() {
        let (difference, image) = answers.between_batches();
        trial.between_batches = Some(difference);
        if difference > Trial::COMPANY {
            let by_chance = guarded(|| tch::no_grad(|| answers.by_chance(model, pixels))).map_err(gave_up)?;
            if by_chance <= Trial::REPEATS {
                return Err(answers.depends(image, difference));
            }
            (trial.between_passes, trial.between_batches) = (by_chance, None);
        }
    }
    // Gradients are those that attacks will follow.
    model.probabilities = trial.probabilities;
    let model = &*model;
    if needs_gradient {
        trial.zero_gradients = guarded(|| zero_gradients(model, pixels)).map_err(gave_up)??;
        trial.flat = guarded(|| flat(model, pixels)).map_err(gave_up)?;
    }
    Ok(trial)
}

/// Logits of the same images in several settings, `[N, K]` each, f64 on the CPU.
struct Answers {
    together: Vec<Tensor>,
    alone: Tensor,
    reversed: Tensor,
}

fn logits(model: &Model, pixels: &Tensor) -> Tensor {
    model.logits(pixels).to_kind(Kind::Double).to_device(tch::Device::Cpu)
}

/// Of each image by itself.
fn alone(model: &Model, pixels: &Tensor) -> Tensor {
    let each: Vec<Tensor> = (0..pixels.size()[0]).map(|image| logits(model, &pixels.narrow(0, image, 1))).collect();
    Tensor::cat(&each, 0)
}

/// In another order, among other statistics than those of the images: their negatives come along.
fn reversed(model: &Model, pixels: &Tensor) -> Tensor {
    let company = Tensor::cat(&[pixels.flip([0]), 1.0 - pixels], 0);
    logits(model, &company).narrow(0, 0, pixels.size()[0]).flip([0])
}

fn answers(model: &Model, pixels: &Tensor) -> Answers {
    let together = (0..PASSES).map(|_| logits(model, pixels)).collect();
    Answers { together, alone: alone(model, pixels), reversed: reversed(model, pixels) }
}

impl Answers {
    fn spread(&self) -> Tensor {
        let along = [1i64].as_slice();
        let first = &self.together[0];
        first.amax(along, false) - first.amin(along, false)
    }

    /// The largest difference of each image's logits, as a share of their spread.
    fn difference(&self, a: &Tensor, b: &Tensor) -> Vec<f64> {
        let apart = (a - b).abs().amax([1i64].as_slice(), false);
        let share = &apart / self.spread().clamp_min(f64::MIN_POSITIVE);
        // Constant logits have no spread; if they differ at all, by how much in units of their size.
        let size = a.abs().maximum(&b.abs()).amax([1i64].as_slice(), false).clamp_min(f64::MIN_POSITIVE);
        let relative = share.minimum(&(&apart / &size * 1e3));
        doubles(&relative.nan_to_num(0.0, 0.0, 0.0))
    }

    fn between_passes(&self) -> f64 {
        let others = self.together.iter().skip(1).flat_map(|other| self.difference(&self.together[0], other));
        others.fold(0.0, f64::max)
    }

    /// The largest difference between many passes in one and the same setting.
    fn by_chance(&self, model: &Model, pixels: &Tensor) -> f64 {
        let again = (0..AGAIN).flat_map(|_| {
            let passes = [
                (&self.together[0], logits(model, pixels)),
                (&self.alone, alone(model, pixels)),
                (&self.reversed, reversed(model, pixels)),
            ];
            passes.into_iter().flat_map(|(first, again)| self.difference(first, &again))
        });
        again.fold(0.0, f64::max)
    }

    /// The largest difference, and its image.
    fn between_batches(&self) -> (f64, usize) {
        let alone = self.difference(&self.together[0], &self.alone);
        let reversed = self.difference(&self.together[0], &self.reversed);
        let all = alone.into_iter().zip(reversed).map(|(alone, reversed)| alone.max(reversed));
        all.zip(0..).fold((0.0, 0), |worst, found| if found.0 > worst.0 { found } else { worst })
    }

    fn not_finite(&self) -> u64 {
        let finite = self.together[0].isfinite().all_dim(1, false);
        finite.logical_not().sum(Kind::Int64).int64_value(&[]) as u64
    }

    fn depends(&self, image: usize, difference: f64) -> Refusal {
        let class = |logits: &Tensor| logits.get(image as i64).argmax(-1, false).int64_value(&[]);
        format!(
            "its predictions depend on the other images of the batch: image {} of the trial is class {} alone, {} among {} \
             images and {} in another order, and its logits differ by {:.2} of their spread; export the model in eval mode \
             (batch normalization must use its running statistics), with a batch dimension that is not baked in by tracing",
            image + 1,
            class(&self.alone),
            class(&self.together[0]),
            self.together[0].size()[0],
            class(&self.reversed),
            difference
        )
    }
}

/// Whether every row `[N, K]` lies in [0, 1] and sums up to 1.
fn are_probabilities(answers: &Tensor) -> bool {
    let inside = answers.ge(-PROBABILITY).logical_and(&answers.le(1.0 + PROBABILITY)).all();
    let complete = (answers.sum_dim_intlist([1i64].as_slice(), false, Kind::Double) - 1.0).abs().le(PROBABILITY).all();
    inside.logical_and(&complete).int64_value(&[]) != 0
}

/// How many images no change of pixels by less than 1 flips, going by the gradient: the boundary of a network that learned something is
/// a hundred times nearer.
fn flat(model: &Model, pixels: &Tensor) -> u64 {
    let (distances, _) = linearized(model, pixels, Norm::Linf, pixels.size()[0].max(1) as usize);
    distances.into_iter().filter(|distance| *distance > 1.0).count() as u64
}

/// How many images have a gradient of the margin that is zero in every pixel.
fn zero_gradients(model: &Model, pixels: &Tensor) -> Result<u64, Refusal> {
    const NONE: &str = "it gives no gradient with respect to the image, which attacks follow: `forward` detaches it or runs under \
                        no_grad, its output does not depend on the image, or its layers are quantized; export the float \
                        model, without `detach` and `no_grad`, or attack with `optimizer = \"square\"`, which needs none";
    let pixels = pixels.detach().copy().set_requires_grad(true);
    let logits = model.logits(&pixels);
    if !logits.requires_grad() {
        return Err(NONE.to_owned());
    }
    let predictions = tch::no_grad(|| logits.argmax(-1, false));
    let score = margin(&logits, &predictions).sum(Kind::Float);
    let gradient = match Tensor::f_run_backward(&[score], &[&pixels], false, false) {
        Ok(mut gradients) if gradients.len() == 1 && gradients[0].defined() => gradients.remove(0),
        Ok(_) => return Err(NONE.to_owned()),
        Err(error) => return Err(format!("{NONE} (libtorch: {})", last_line(&error.to_string()))),
    };
    let largest = floats(&gradient.nan_to_num(1.0, 1.0, 1.0).abs().flatten(1, -1).amax([1i64].as_slice(), false));
    Ok(largest.into_iter().filter(|&largest| largest == 0.0).count() as u64)
}

/// Where libtorch says what went wrong: behind its call stack, if there is one.
fn last_line(text: &str) -> &str {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    lines.find(|line| line.starts_with("RuntimeError:") || line.contains("Error: ")).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tch::Device;

    use super::*;
    use crate::model::{Flow, Geometry, Network, Probe};
    use crate::suite::Normalize;

    /// Answers with the image's two values, the other way round where `turned` says so of the pass and of the images in it.
    struct Turning {
        passes: Cell<usize>,
        turned: fn(usize, i64) -> bool,
    }

    impl Network for Turning {
        fn forward(&self, pixels: Tensor, _: &mut dyn Probe) -> Flow<Tensor> {
            let pass = self.passes.replace(self.passes.get() + 1);
            let answer = pixels.flatten(1, -1);
            Flow::Continue(if (self.turned)(pass, pixels.size()[0]) { answer.flip([1]) } else { answer })
        }
    }

    fn tried(turned: fn(usize, i64) -> bool) -> Result<Trial, Refusal> {
        let geometry = Geometry { channels: 1, height: 1, width: 2, classes: 2 };
        let normalize = Normalize { mean: vec![0.0], std: vec![1.0] };
        let network = Box::new(Turning { passes: Cell::new(0), turned });
        let pixels = Tensor::from_slice(&[0.8f32, 0.1, 0.1, 0.9, 0.7, 0.2, 0.3, 0.6]).view([4, 1, 1, 2]);
        trial(&mut Model::custom("turning", network, geometry, &normalize), &pixels.to_device(Device::Cpu), false)
    }

    #[test]
    fn chance_is_not_taken_for_company() {
        // The three passes over all images agree, and an image alone is the fifth pass.
        let trial = tried(|pass, _| pass % 5 == 4).unwrap();
        assert!(trial.is_random() && trial.between_batches.is_none(), "{trial:?}");
        // Nor where the pass is a long time off.
        let trial = tried(|pass, _| pass % 37 == 6).unwrap();
        assert!(trial.is_random(), "{trial:?}");
    }

    #[test]
    fn company_is_blamed_where_every_pass_repeats() {
        let refusal = tried(|_, images| images == 1).unwrap_err();
        assert!(
            refusal.contains("depend on the other images") && refusal.contains("class 1 alone, 0 among 4"),
            "{refusal}"
        );
        let same = tried(|_, _| false).unwrap();
        assert_eq!((same.between_passes, same.between_batches), (0.0, Some(0.0)));
    }
}
