//! Who decides what an image reached, and how far: the f32 model, with labels and clean predictions.

use tch::Tensor;

use crate::judge::{Bench, Judgement, Lengths, judge};
use crate::rows::{Drives, Row};
use crate::search::{Referee, Verdict};
use crate::suite::Direction;
use crate::terms::{LayerName, Norm, Unit};

/// Ranks images of one level by how far the label's logit lies below the best other.
pub struct ByMargin<'a>(pub Bench<'a>);

impl Referee for ByMargin<'_> {
    fn judge(&self, rows: &[&Row], images: &Tensor) -> Vec<Verdict> {
        verdicts(&self.0, rows, images, None, |_, judgement| f64::from(-judgement.margin))
    }
}

/// Ranks images of one level by the driven unit's activation.
pub struct ByUnit<'a> {
    /// The models and samples.
    pub bench: Bench<'a>,
    /// The layer.
    pub layer: &'a LayerName,
    /// Up or down.
    pub direction: Direction,
}

impl Referee for ByUnit<'_> {
    fn judge(&self, rows: &[&Row], images: &Tensor) -> Vec<Verdict> {
        let unit = |row: &&Row| match row.drives {
            Drives::Unit(unit) | Drives::Lowered(unit) => unit,
            _ => unreachable!("rows of a unit attack drive units"),
        };
        let units: Vec<Unit> = rows.iter().map(unit).collect();
        verdicts(&self.bench, rows, images, Some((self.layer, &units)), |row, judgement| {
            let activation = f64::from(judgement.activation.unwrap_or(0.0)) * row.drives.sign();
            match self.direction {
                Direction::Maximize => activation,
                Direction::Suppress => -activation,
            }
        })
    }
}

/// Ranks images that reach the same by how near they are to the clean one.
pub struct ByDistance<'a> {
    /// The models and samples.
    pub bench: Bench<'a>,
    /// The norm of the distance.
    pub norm: Norm,
    /// The level above which all count as the same: 1 flips, 2 targets that are reached.
    pub most: i64,
}

impl Referee for ByDistance<'_> {
    fn judge(&self, rows: &[&Row], images: &Tensor) -> Vec<Verdict> {
        let clean = &self.bench.clean.pixels;
        let samples: Vec<i64> = rows.iter().map(|row| row.sample as i64).collect();
        let centers = clean.index_select(0, &Tensor::from_slice(&samples).to_device(clean.device()));
        let mut verdicts = verdicts(&self.bench, rows, images, None, |_, _| 0.0);
        for (verdict, lengths) in verdicts.iter_mut().zip(Lengths::measure(images, &centers)) {
            verdict.measure = -lengths.get(self.norm);
            verdict.level = verdict.level.min(self.most);
        }
        verdicts
    }
}

fn verdicts(
    bench: &Bench,
    rows: &[&Row],
    images: &Tensor,
    units: Option<(&LayerName, &[Unit])>,
    measure: impl Fn(&Row, &Judgement) -> f64,
) -> Vec<Verdict> {
    let labels: Vec<i64> = rows.iter().map(|row| bench.clean.labels[row.sample]).collect();
    let judged = judge(bench.verifier, images, &labels, units, bench.capacity);
    let verdict = |(row, judgement): (&&Row, Judgement)| {
        // An image for which the network has no finite answer is not classified rightly.
        let flipped = judgement.flips(bench.clean.judgements[row.sample].prediction) || !judgement.finite;
        let hit = flipped && row.drives == Drives::Towards(judgement.prediction);
        Verdict { level: i64::from(flipped) + i64::from(hit), measure: measure(row, &judgement), judgement }
    };
    rows.iter().zip(judged).map(verdict).collect()
}
