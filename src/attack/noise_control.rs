//! The control of random noise beside a unit attack.

use tch::Tensor;

use super::AttackBlock;
use super::settle::Entry;
use crate::judge::{Lengths, in_8_bits, judge};
use crate::random::Noise;
use crate::record::{CellKind, CellUnit};
use crate::region::{Balls, Regions};
use crate::rows::{Drives, Entrants, Row};
use crate::search::Finished;
use crate::suite::passes::{NOISE_DRAW, NOISE_DRAWS};
use crate::terms::{Epsilon, LayerName};

impl AttackBlock<'_> {
    /// Random noise as long as the ball allows, [`NOISE_DRAWS`] times: what chance does with the same norm.
    pub(super) fn noise_control(&self, layer: &LayerName) -> Vec<Entry> {
        let noise = self.noise("noise-control");
        let (clean, attacked) = (self.bench.clean, self.bench.attacked());
        let mut entries = Vec::new();
        for &epsilon in &self.attack.epsilons {
            for draw in 0..NOISE_DRAWS {
                let cell = self.cell(CellKind::ControlNoise, None, Some(CellUnit::Draw(draw)), Some(layer), epsilon);
                let mut drawn = self.draw(&noise, &attacked, epsilon, draw).into_iter();
                for sample in 0..clean.len() {
                    entries.push(if clean.attackable(sample) {
                        drawn.next().map_or_else(|| self.skipped(&cell, sample), |row| self.entry(&cell, &row))
                    } else {
                        self.skipped(&cell, sample)
                    });
                }
            }
        }
        entries
    }

    fn draw(&self, noise: &Noise, attacked: &[usize], epsilon: Epsilon, draw: usize) -> Vec<Finished> {
        if attacked.is_empty() {
            return Vec::new();
        }
        let (bench, clean) = (self.bench, self.bench.clean);
        let row = |&sample: &usize| Row { sample, epsilon, restart: draw, drives: Drives::Away };
        let rows: Vec<Row> = attacked.iter().map(row).collect();
        let index: Vec<i64> = attacked.iter().map(|&sample| sample as i64).collect();
        let index = Tensor::from_slice(&index).to_device(clean.pixels.device());
        let center = clean.pixels.index_select(0, &index);
        let keys: Vec<String> =
            attacked.iter().map(|&sample| format!("{}/{}/{draw}", clean.ids[sample], epsilon.value())).collect();
        let entrants = Entrants { rows: &rows, keys: &keys, noise, center, steps: 0 };
        let images = Balls(self.attack.norm).around(&entrants).full_noise(&entrants);
        let labels: Vec<i64> = attacked.iter().map(|&sample| clean.labels[sample]).collect();
        let judged = judge(bench.verifier, &images, &labels, None, bench.capacity);
        let judged_u8 = judge(bench.verifier, &in_8_bits(&images), &labels, None, bench.capacity);
        let lengths = Lengths::measure(&images, &entrants.center);
        rows.into_iter()
            .enumerate()
            .map(|(at, row)| {
                let prediction = clean.judgements[row.sample].prediction;
                let flipped = judged[at].breaks(prediction);
                Finished {
                    image: images.narrow(0, at as i64, 1),
                    verdict: judged[at],
                    measure: f64::from(-judged[at].margin),
                    flipped,
                    flipped_u8: flipped && judged_u8[at].flips(prediction),
                    hit: false,
                    lengths: lengths[at],
                    steps: 0,
                    forwards: NOISE_DRAW.forwards as u32,
                    backwards: 0,
                    zero_gradient: false,
                    non_finite: !judged[at].finite,
                    nearest: None,
                    still_moves: None,
                    row,
                }
            })
            .collect()
    }
}
