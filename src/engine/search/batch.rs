//! The rows that are on the device.

use tch::{Kind, Tensor};

use super::{Row, Search};
use crate::attack::Balls;
use crate::suite::Stop;

/// A row on the device.
#[derive(Clone)]
pub(super) struct Active {
    pub(super) chain: usize,
    pub(super) row: Row,
    pub(super) age: usize,
    pub(super) forwards: u32,
    pub(super) backwards: u32,
}

/// The rows on the device and their state; every tensor has the row first.
pub(super) struct Batch {
    pub(super) rows: Vec<Active>,
    pub(super) balls: Balls,
    pub(super) image: Tensor,
    pub(super) kick: Tensor,
    pub(super) best_image: Tensor,
    pub(super) best_level: Tensor,
    pub(super) best_score: Tensor,
    pub(super) zero_steps: Tensor,
    pub(super) broken: Tensor,
    pub(super) clean_prediction: Tensor,
    pub(super) target: Option<Tensor>,
}

impl Active {
    pub(super) fn new(chain: usize, row: Row) -> Self {
        Active { chain, row, age: 0, forwards: 0, backwards: 0 }
    }
}

impl Search<'_> {
    /// Puts rows on the device: at their start, or where an unconfirmed hit left them.
    pub(super) fn admit(&self, entries: Vec<(Active, Option<Tensor>)>) -> Batch {
        let device = self.device();
        let count = entries.len() as i64;
        let samples: Vec<i64> = entries.iter().map(|(active, _)| active.row.sample as i64).collect();
        let center = self.clean.pixels.index_select(0, &Tensor::from_slice(&samples).to_device(device));
        let radius: Vec<f64> = entries.iter().map(|(active, _)| active.row.epsilon).collect();
        let keys: Vec<String> =
            entries.iter().map(|(active, _)| active.row.key(&self.clean.ids[active.row.sample])).collect();
        let balls = Balls::new(self.norm, center, &radius);
        let kick = balls.random_start(&self.noise, &keys);
        let starts: Vec<Tensor> = entries
            .iter()
            .enumerate()
            .map(|(place, (active, resumed))| match resumed {
                Some(image) => image.shallow_clone(),
                None if active.row.restart > 0 => kick.narrow(0, place as i64, 1),
                None => balls.center().narrow(0, place as i64, 1),
            })
            .collect();
        let image = Tensor::cat(&starts, 0);
        let predictions: Vec<i64> =
            samples.iter().map(|&sample| self.clean.judgements[sample as usize].prediction).collect();
        let targets: Option<Vec<i64>> = samples.iter().map(|&sample| self.target_of(sample as usize)).collect();
        Batch {
            rows: entries.into_iter().map(|(active, _)| active).collect(),
            kick,
            best_image: image.copy(),
            image,
            balls,
            best_level: Tensor::zeros([count], (Kind::Int64, device)),
            best_score: Tensor::full([count], f64::NEG_INFINITY, (Kind::Float, device)),
            zero_steps: Tensor::zeros([count], (Kind::Int64, device)),
            broken: Tensor::zeros([count], (Kind::Bool, device)),
            clean_prediction: Tensor::from_slice(&predictions).to_device(device),
            target: targets.map(|targets| Tensor::from_slice(&targets).to_device(device)),
        }
    }
}

impl Batch {
    /// Remembers the image where it is better than the best so far: a higher level, or for searches that use their whole
    /// budget the same level and a higher score.
    pub(super) fn keep_best(&mut self, search: &Search, score: &Tensor, logits: &Tensor) {
        let prediction = logits.argmax(-1, false);
        let moved: Vec<bool> = self.rows.iter().map(|active| active.age > 0 || active.row.restart > 0).collect();
        let moved = Tensor::from_slice(&moved).to_device(search.device());
        let flipped = prediction.ne_tensor(&self.clean_prediction).logical_and(&moved);
        let mut level = flipped.to_kind(Kind::Int64);
        if let (Some(target), false) = (&self.target, search.stop == Stop::Flip) {
            level += prediction.eq_tensor(target).logical_and(&flipped).to_kind(Kind::Int64);
        }
        let mut better = level.gt_tensor(&self.best_level);
        if search.stop == Stop::Budget {
            let tied = level.eq_tensor(&self.best_level).logical_and(&level.gt(0));
            better = better.logical_or(&tied.logical_and(&score.gt_tensor(&self.best_score)));
        }
        self.best_image = self.image.where_self(&better.view([-1, 1, 1, 1]), &self.best_image);
        self.best_score = score.where_self(&better, &self.best_score);
        self.best_level = level.where_self(&better, &self.best_level);
    }

    /// The rows at these places.
    pub(super) fn keep(&self, places: &[usize]) -> Batch {
        let index: Vec<i64> = places.iter().map(|&place| place as i64).collect();
        let index = Tensor::from_slice(&index).to_device(self.image.device());
        let pick = |tensor: &Tensor| tensor.index_select(0, &index);
        Batch {
            rows: places.iter().map(|&place| self.rows[place].clone()).collect(),
            balls: self.balls.regroup(&index, None),
            image: pick(&self.image),
            kick: pick(&self.kick),
            best_image: pick(&self.best_image),
            best_level: pick(&self.best_level),
            best_score: pick(&self.best_score),
            zero_steps: pick(&self.zero_steps),
            broken: pick(&self.broken),
            clean_prediction: pick(&self.clean_prediction),
            target: self.target.as_ref().map(pick),
        }
    }

    /// These rows, then those of `other`.
    pub(super) fn join(self, other: Batch) -> Batch {
        let all = Tensor::arange(self.rows.len() as i64, (Kind::Int64, self.image.device()));
        let cat = |mine: &Tensor, its: &Tensor| Tensor::cat(&[mine, its], 0);
        Batch {
            balls: self.balls.regroup(&all, Some(&other.balls)),
            image: cat(&self.image, &other.image),
            kick: cat(&self.kick, &other.kick),
            best_image: cat(&self.best_image, &other.best_image),
            best_level: cat(&self.best_level, &other.best_level),
            best_score: cat(&self.best_score, &other.best_score),
            zero_steps: cat(&self.zero_steps, &other.zero_steps),
            broken: cat(&self.broken, &other.broken),
            clean_prediction: cat(&self.clean_prediction, &other.clean_prediction),
            target: self.target.as_ref().zip(other.target.as_ref()).map(|(mine, its)| cat(mine, its)),
            rows: self.rows.into_iter().chain(other.rows).collect(),
        }
    }
}
