//! What the images of a block changed inside the network, and which of it flips them: a damage profile, and activation patching.

use std::ops::ControlFlow;

use tch::{Kind, Tensor};

use crate::judge::{Bench, CleanBlock};
use crate::model::{Flow, LayerInfo, Model, NoProbe, Probe, Site};
use crate::objective::patched;
use crate::random::Noise;
use crate::record::{DamageOrigin, DamageTally, Moments, PatchTally, Positions, Record, Status};
use crate::rows::{Row, doubles, integers};
use crate::suite::DamageConfig;
use crate::suite::controls::is_one_of;
use crate::terms::{LayerName, Part, Place, Unit};

/// How near logits must be to the clean ones to be called the same, as a share of their largest size.
const SAME: f64 = 1e-4;

/// A layer or unit whose clean activation is put back.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchTarget {
    /// The layer.
    pub layer: LayerInfo,
    /// The unit; none for the whole layer.
    pub unit: Option<Unit>,
    /// Another unit of the layer, as a control; none for whole layers, whose control is another image's activation.
    pub control: Option<Unit>,
}

/// What is looked at for one model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DamagePlan {
    /// The layers that are compared.
    pub layers: Vec<LayerInfo>,
    /// What is patched.
    pub targets: Vec<PatchTarget>,
}

/// The study of one block of an attack.
pub struct DamageStudy<'a> {
    /// What the suite asks for.
    pub config: &'a DamageConfig,
    /// Layers and units of the model.
    pub plan: &'a DamagePlan,
    /// Models and clean images.
    pub bench: Bench<'a>,
    /// Place of the block's first sample in the run.
    pub first: usize,
    /// Samples of the run.
    pub samples: usize,
}

/// Adversarial images of one origin.
struct Group {
    origin: DamageOrigin,
    /// Places in the block, with the image `[1, C, H, W]` and whether it flips.
    images: Vec<(usize, Tensor, bool)>,
}

impl DamageStudy<'_> {
    /// The tallies of the images that `records` tell of; `found` has the rows and images in the same order.
    pub fn run(&self, records: &[Record], found: &[Option<(Row, Tensor)>]) -> (Vec<DamageTally>, Vec<PatchTally>) {
        let (mut damage, mut patches) = (Vec::new(), Vec::new());
        for group in self.groups(records, found) {
            for part in group.images.chunks((self.bench.capacity / 3).max(1)) {
                DamageTally::gather(&mut damage, &tch::no_grad(|| self.compared(&group.origin, part)));
            }
            let flips: Vec<&(usize, Tensor, bool)> = group.images.iter().filter(|(_, _, flips)| *flips).collect();
            for part in flips.chunks(self.bench.capacity.max(1)) {
                let part: Vec<(usize, &Tensor)> = part.iter().map(|(sample, image, _)| (*sample, image)).collect();
                PatchTally::gather(&mut patches, &tch::no_grad(|| self.patches(&group.origin, &part)));
            }
        }
        (damage, patches)
    }

    fn groups(&self, records: &[Record], found: &[Option<(Row, Tensor)>]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (record, found) in records.iter().zip(found) {
            let Some((row, image)) = found else { continue };
            let (cell, sample) = (&record.cell, row.sample);
            let wanted = is_one_of(self.config.samples, self.first + sample, self.samples);
            if !wanted || cell.kind.is_control() || record.status != Status::Ok {
                continue;
            }
            let origin = DamageOrigin {
                model: cell.model.clone(),
                attack: cell.attack.clone(),
                norm: cell.norm,
                epsilon: cell.epsilon,
            };
            let entry = (sample, image.shallow_clone(), record.flipped);
            match groups.iter_mut().find(|group| group.origin == origin) {
                Some(group) => group.images.push(entry),
                None => groups.push(Group { origin, images: vec![entry] }),
            }
        }
        groups
    }

    fn clean(&self) -> &CleanBlock {
        self.bench.clean
    }

    /// Clean images of these places.
    fn originals(&self, samples: &[i64]) -> Tensor {
        let pixels = &self.clean().pixels;
        pixels.index_select(0, &Tensor::from_slice(samples).to_device(pixels.device()))
    }

    /// One pass of clean, adversarial and shuffled images together.
    fn compared(&self, origin: &DamageOrigin, part: &[(usize, Tensor, bool)]) -> Vec<DamageTally> {
        let samples: Vec<i64> = part.iter().map(|(sample, ..)| *sample as i64).collect();
        let clean = self.originals(&samples);
        let images: Vec<&Tensor> = part.iter().map(|(_, image, _)| image).collect();
        let adversarial = Tensor::cat(&images, 0).to_device(clean.device());
        let shuffled: Vec<Tensor> = part
            .iter()
            .enumerate()
            .map(|(row, (sample, ..))| {
                let row = row as i64;
                self.shuffled(origin, *sample, &clean.narrow(0, row, 1), &adversarial.narrow(0, row, 1))
            })
            .collect();
        let mut probe = Compare {
            model: self.bench.verifier,
            layers: &self.plan.layers,
            origin,
            count: part.len() as i64,
            tallies: Vec::new(),
        };
        let all = Tensor::cat(&[clean, adversarial, Tensor::cat(&shuffled, 0)], 0);
        let _ = self.bench.verifier.forward(&all, &mut probe);
        probe.tallies
    }

    /// The clean image with the pixels of the perturbation in another order.
    fn shuffled(&self, origin: &DamageOrigin, sample: usize, clean: &Tensor, adversarial: &Tensor) -> Tensor {
        let size = clean.size();
        let pixels = (size[2] * size[3]) as usize;
        let noise = Noise::new(self.bench.seed, &format!("{}/shuffled", origin.attack));
        let order = noise.choose(&format!("{}", self.clean().ids[sample]), pixels, pixels);
        let order: Vec<i64> = order.into_iter().map(|place| place as i64).collect();
        let order = Tensor::from_slice(&order).to_device(clean.device());
        let delta = (adversarial - clean).flatten(2, -1).index_select(2, &order).reshape(size.as_slice());
        (clean + delta).clamp(0.0, 1.0)
    }

    /// Every target's clean activation put back into flipped images.
    fn patches(&self, origin: &DamageOrigin, part: &[(usize, &Tensor)]) -> Vec<PatchTally> {
        if self.plan.targets.is_empty() || part.is_empty() {
            return Vec::new();
        }
        let model = self.bench.verifier;
        let samples: Vec<i64> = part.iter().map(|(sample, _)| *sample as i64).collect();
        let clean = self.originals(&samples);
        let images: Vec<&Tensor> = part.iter().map(|(_, image)| *image).collect();
        let adversarial = Tensor::cat(&images, 0).to_device(clean.device());
        let expected = model.logits(&clean);
        let predictions: Vec<i64> =
            samples.iter().map(|&sample| self.clean().judgements[sample as usize].prediction).collect();
        let other = self.originals(&self.strangers(&samples));
        let mut layers: Vec<&LayerInfo> = Vec::new();
        for target in &self.plan.targets {
            if !layers.iter().any(|layer| layer.name == target.layer.name) {
                layers.push(&target.layer);
            }
        }
        let mut tallies = Vec::new();
        for layer in layers {
            let (Ok(activation), Ok(strange)) = (model.tap(&clean, &layer.name), model.tap(&other, &layer.name)) else {
                continue;
            };
            let answer = |source: &Tensor, unit: Unit| {
                let mut patch = Patch { model, layer: &layer.name, source, unit, done: false };
                match model.forward(&adversarial, &mut patch) {
                    ControlFlow::Continue(logits) => logits,
                    ControlFlow::Break(()) => expected.zeros_like(),
                }
            };
            for target in self.plan.targets.iter().filter(|target| target.layer.name == layer.name) {
                let layer_unit = Unit { part: Part::Layer, place: Place::Mean };
                let logits = answer(&activation, target.unit.unwrap_or(layer_unit));
                let control = match target.control {
                    Some(control) => answer(&activation, control),
                    None => answer(&strange, target.unit.unwrap_or(layer_unit)),
                };
                tallies.push(tally(origin, target, &predictions, [&logits, &control, &expected]));
            }
        }
        tallies
    }

    /// Another image of the block for each, of another predicted class if there is one.
    fn strangers(&self, samples: &[i64]) -> Vec<i64> {
        let predictions = self.clean().predictions();
        let count = predictions.len() as i64;
        let stranger = |&sample: &i64| {
            let others = (1..count).map(|step| (sample + step) % count);
            others
                .clone()
                .find(|&other| predictions[other as usize] != predictions[sample as usize])
                .or_else(|| others.clone().next())
                .unwrap_or(sample)
        };
        samples.iter().map(stranger).collect()
    }
}

/// What patching a target did to flipped images: logits with the unit's clean activation, with the control's, and of the clean images.
fn tally(
    origin: &DamageOrigin,
    target: &PatchTarget,
    predictions: &[i64],
    [logits, control, expected]: [&Tensor; 3],
) -> PatchTally {
    let back = |logits: &Tensor| -> Vec<bool> {
        integers(&logits.argmax(-1, false)).iter().zip(predictions).map(|(found, clean)| found == clean).collect()
    };
    let (restored, by_control) = (back(logits), back(control));
    let distance = (logits - expected).abs().amax([1i64].as_slice(), false);
    let scale = expected.abs().amax([1i64].as_slice(), false).clamp_min(1e-12);
    let same = doubles(&(distance / scale)).into_iter().filter(|share| *share <= SAME).count();
    let both = |wanted: (bool, bool)| {
        restored.iter().copied().zip(by_control.iter().copied()).filter(|pair| *pair == wanted).count()
    };
    PatchTally {
        origin: origin.clone(),
        layer: target.layer.name.clone(),
        depth: target.layer.share,
        unit: target.unit.map(|unit| unit.to_string()),
        n: predictions.len() as u64,
        restored: restored.iter().filter(|back| **back).count() as u64,
        control: by_control.iter().filter(|back| **back).count() as u64,
        only: both((true, false)) as u64,
        only_control: both((false, true)) as u64,
        complete: same as u64,
    }
}

/// Compares the rows of a batch that holds `count` clean images, as many adversarial ones and as many shuffled ones.
struct Compare<'a> {
    model: &'a Model,
    layers: &'a [LayerInfo],
    origin: &'a DamageOrigin,
    count: i64,
    tallies: Vec<DamageTally>,
}

impl Compare<'_> {
    fn add(&mut self, place: usize, positions: Positions, activation: &Tensor) {
        let info = &self.layers[place];
        // Windows of one image are rows of their own.
        if activation.size()[0] % (3 * self.count) != 0 {
            return;
        }
        let flat = activation.to_kind(Kind::Double).reshape([3 * self.count, -1]);
        let rows = |part: i64| flat.narrow(0, part * self.count, self.count);
        let (clean, adversarial, shuffled) = (rows(0), rows(1), rows(2));
        let length = |tensor: &Tensor| tensor.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Double).sqrt();
        let base = length(&clean);
        let moments = |values: &Tensor| {
            let mut moments = Moments::default();
            doubles(values).into_iter().for_each(|value| moments.add(value));
            moments
        };
        let product = (&clean * &adversarial).sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
        let tally = DamageTally {
            origin: self.origin.clone(),
            layer: info.name.clone(),
            place,
            depth: info.share,
            positions,
            change: moments(&(length(&(&adversarial - &clean)) / &base)),
            cosine: moments(&(product / (length(&adversarial) * &base))),
            shuffled: moments(&(length(&(&shuffled - &clean)) / &base)),
        };
        self.tallies.push(tally);
    }
}

impl Probe for Compare<'_> {
    fn visit(&mut self, site: &Site, activation: Tensor) -> Flow<Tensor> {
        let place = self.layers.iter().position(|info| info.name == site.name);
        let has_tally = |tallies: &[DamageTally], place: usize| tallies.iter().any(|tally| tally.place == place);
        if let Some(place) = place.filter(|&place| !has_tally(&self.tallies, place)) {
            let tokens = self.model.tokens();
            let apart = activation.dim() == 3 && tokens.prefix > 0 && tokens.grid_of(activation.size()[1]).is_some();
            if apart {
                self.add(place, Positions::Class, &activation.narrow(1, 0, tokens.prefix));
                self.add(place, Positions::Patches, &activation.slice(1, tokens.prefix, None, 1));
            } else {
                self.add(place, Positions::All, &activation);
            }
        }
        ControlFlow::Continue(activation)
    }

    fn wants(&self, site: &Site) -> bool {
        self.layers.iter().any(|info| info.name == site.name)
    }
}

/// Puts a unit's activation of other images into a pass.
struct Patch<'a> {
    model: &'a Model,
    layer: &'a LayerName,
    source: &'a Tensor,
    unit: Unit,
    done: bool,
}

impl Probe for Patch<'_> {
    fn visit(&mut self, site: &Site, activation: Tensor) -> Flow<Tensor> {
        if &site.name != self.layer || self.done {
            return NoProbe.visit(site, activation);
        }
        self.done = true;
        ControlFlow::Continue(patched(self.model, self.layer, &activation, self.source, self.unit))
    }

    fn wants(&self, site: &Site) -> bool {
        &site.name == self.layer
    }
}

#[cfg(test)]
#[path = "damage_tests.rs"]
mod tests;
