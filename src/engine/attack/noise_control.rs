//! The control of random noise beside a unit attack.

use tch::Tensor;

use super::{AttackBlock, Entry, NOISE_DRAWS};
use crate::attack::{Balls, Lengths, Noise};
use crate::engine::judge::judge;
use crate::engine::search::{Finished, Row};
use crate::record::CellKind;
use crate::terms::{Epsilon, LayerName};

impl AttackBlock<'_> {
    /// Random noise as long as the ball allows, [`NOISE_DRAWS`] times: what chance does with the same norm.
    pub(super) fn noise_control(&self, layer: &LayerName) -> Vec<Entry> {
        let noise = self.noise("noise-control");
        let attacked = self.attacked();
        let mut entries = Vec::new();
        for &epsilon in &self.attack.epsilons {
            for draw in 0..NOISE_DRAWS {
                let cell = self.cell(CellKind::ControlNoise, Some(format!("draw:{draw}")), Some(layer), epsilon);
                let mut drawn = self.draw(&noise, &attacked, epsilon, draw).into_iter();
                for sample in 0..self.clean.len() {
                    entries.push(if self.clean.attackable(sample) {
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
        let index: Vec<i64> = attacked.iter().map(|&sample| sample as i64).collect();
        let index = Tensor::from_slice(&index).to_device(self.clean.pixels.device());
        let center = self.clean.pixels.index_select(0, &index);
        let balls = Balls::new(self.attack.norm, center, &vec![epsilon.value(); attacked.len()]);
        let keys: Vec<String> =
            attacked.iter().map(|&sample| format!("{}/{}/{draw}", self.clean.ids[sample], epsilon.value())).collect();
        let images = balls.full_noise(noise, &keys);
        let rounded = (&images * 255.0).round() / 255.0;
        let labels: Vec<i64> = attacked.iter().map(|&sample| self.clean.labels[sample]).collect();
        let judged = judge(self.verifier, &images, &labels, None, self.capacity);
        let judged_u8 = judge(self.verifier, &rounded, &labels, None, self.capacity);
        let lengths = Lengths::of(&images, balls.center());
        attacked
            .iter()
            .enumerate()
            .map(|(at, &sample)| {
                let clean = self.clean.judgements[sample].prediction;
                let flipped = judged[at].flips(clean);
                Finished {
                    row: Row { sample, epsilon: epsilon.value(), restart: draw, unit: None },
                    image: images.narrow(0, at as i64, 1),
                    verdict: judged[at],
                    flipped,
                    flipped_u8: flipped && judged_u8[at].flips(clean),
                    hit: false,
                    lengths: lengths[at],
                    steps: 0,
                    forwards: 2,
                    backwards: 0,
                    zero_gradient: false,
                    non_finite: !judged[at].finite,
                }
            })
            .collect()
    }
}
