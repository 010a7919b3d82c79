//! Transfer: what the other models of a suite say of the images that an attack made on one of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::rc::Rc;
use std::sync::Arc;

use tch::Tensor;

use super::settle::Entry;
use super::{AttackBlock, kind};
use crate::judge::{Judgement, judge};
use crate::model::Model;
use crate::record::{Record, TransferRecord};
use crate::region::{Ball, Region, shape};
use crate::rows::{Entrants, Row};
use crate::suite::passes::TRANSFER;
use crate::terms::Epsilon;

/// Another model of the suite, to which an attack's images are shown.
pub struct Victim {
    /// The model, in f32.
    pub model: Rc<Model>,
    /// What it says of the block's clean images.
    pub clean: Rc<Vec<Judgement>>,
}

impl Victim {
    /// Whether it classifies the clean image of this sample rightly.
    fn is_right(&self, sample: usize, label: i64) -> bool {
        self.clean[sample].finite && self.clean[sample].prediction == label
    }
}

/// An image that a victim is shown. Cells of several radii may tell of the same one.
struct Image<'e> {
    row: &'e Row,
    pixels: &'e Tensor,
    /// Length of the perturbation in the attack's norm.
    length: f64,
}

/// What a victim says of an image, and of noise of the same length.
type Verdicts = (Judgement, Judgement);

impl AttackBlock<'_> {
    /// Shows each victim the image of every class-logit record whose sample it classifies rightly, as the attacked model does too:
    /// images that flip the attacked model, and those that do not. By victim, cell, then sample.
    pub(super) fn transfers(&self, entries: &[Entry]) -> Vec<TransferRecord> {
        if !kind(&self.attack.goal).transfers() {
            return Vec::new();
        }
        let mut images: Vec<Image> = Vec::new();
        let mut places: BTreeMap<(usize, Epsilon, usize), usize> = BTreeMap::new();
        // Each record with the place of its image, and whether it is the first to tell of it.
        let mut listed: Vec<(&Record, usize, bool)> = Vec::new();
        for Entry { record, found, .. } in entries.iter().filter(|entry| !entry.record.cell.kind.is_control()) {
            let Some((row, pixels)) = found else { continue };
            match places.entry((row.sample, row.epsilon, row.restart)) {
                Place::Occupied(known) => listed.push((record, *known.get(), false)),
                Place::Vacant(free) => {
                    listed.push((record, *free.insert(images.len()), true));
                    images.push(Image { row, pixels, length: record.length_in_ball() });
                }
            }
        }
        let of_victim = |victim: &Victim| {
            let (name, verdicts) = (Arc::<str>::from(victim.model.name.as_str()), self.show(victim, &images));
            let record = |&(record, place, first): &(&Record, usize, bool)| {
                let ((image, noise), clean) = (verdicts[place]?, victim.clean[images[place].row.sample].prediction);
                Some(TransferRecord {
                    cell: record.cell.clone(),
                    victim: name.clone(),
                    sample_id: record.sample_id.clone(),
                    flipped: record.flipped,
                    victim_pred: image.prediction as u32,
                    fooled: image.flips(clean),
                    fooled_by_noise: noise.flips(clean),
                    forwards: if first { TRANSFER.forwards as u32 } else { 0 },
                })
            };
            listed.iter().filter_map(record).collect::<Vec<_>>()
        };
        self.victims.iter().flat_map(of_victim).collect()
    }

    /// What the victim says of each image; nothing of samples that it misclassifies anyway.
    fn show(&self, victim: &Victim, images: &[Image]) -> Vec<Option<Verdicts>> {
        let noise = self.noise("transfer-noise");
        let mut verdicts: Vec<Option<Verdicts>> = images.iter().map(|_| None).collect();
        let label = |place: usize| self.bench.clean.labels[images[place].row.sample];
        let right: Vec<usize> =
            (0..images.len()).filter(|&place| victim.is_right(images[place].row.sample, label(place))).collect();
        for chunk in right.chunks(self.bench.capacity.max(1)) {
            let pixels: Vec<&Tensor> = chunk.iter().map(|&place| images[place].pixels).collect();
            let samples: Vec<i64> = chunk.iter().map(|&place| images[place].row.sample as i64).collect();
            let clean = self.bench.clean;
            let index = Tensor::from_slice(&samples).to_device(clean.pixels.device());
            let center = clean.pixels.index_select(0, &index);
            let rows: Vec<Row> = chunk.iter().map(|&place| images[place].row.clone()).collect();
            let key = |place: &usize| {
                let Row { sample, epsilon, restart, .. } = images[*place].row;
                format!("{}/{}/{restart}", clean.ids[*sample], epsilon.value())
            };
            let keys: Vec<String> = chunk.iter().map(key).collect();
            let entrants = Entrants { rows: &rows, keys: &keys, noise: &noise, center, steps: 0 };
            // Balls just as large as the perturbations are.
            let lengths: Vec<f64> = chunk.iter().map(|&place| images[place].length).collect();
            let lengths = Tensor::from_slice(&lengths).to_device(clean.pixels.device());
            let balls = Ball::around(shape(self.attack.norm), entrants.center.shallow_clone(), &lengths);
            let random = balls.full_noise(&entrants);
            let labels: Vec<i64> = chunk.iter().map(|&place| label(place)).collect();
            let of_images = judge(&victim.model, &Tensor::cat(&pixels, 0), &labels, None, self.bench.capacity);
            let of_noise = judge(&victim.model, &random, &labels, None, self.bench.capacity);
            for (&place, both) in chunk.iter().zip(of_images.into_iter().zip(of_noise)) {
                verdicts[place] = Some(both);
            }
        }
        verdicts
    }
}
