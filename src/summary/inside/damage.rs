//! Damage profiles and patching, from counts.

use serde::{Deserialize, Serialize};

use crate::record::{DamageOrigin, DamageTally, Moments, PatchTally, Positions};
use crate::stats::{Estimate, Z95, holm, mcnemar, wilson};
use crate::terms::LayerName;

/// How far adversarial images move a layer's activation. Means over images with 95 % intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DamageSummary {
    /// The images.
    pub origin: DamageOrigin,
    /// The layer.
    pub layer: LayerName,
    /// Share of the pass up to and with it.
    pub depth: f64,
    /// The positions that are compared.
    pub positions: Positions,
    /// Images.
    pub n: u64,
    /// Length of the change over that of the clean activation.
    pub change: Estimate,
    /// Cosine between both activations.
    pub cosine: Estimate,
    /// The change by the same perturbations with their pixels shuffled.
    pub shuffled: Estimate,
}

/// Whether flips go away where a layer or unit gets its clean activation back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatchSummary {
    /// The images.
    pub origin: DamageOrigin,
    /// The layer.
    pub layer: LayerName,
    /// Share of the pass up to and with it.
    pub depth: f64,
    /// The unit; none for the whole layer.
    pub unit: Option<String>,
    /// Flips that were tried.
    pub n: u64,
    /// Share of them that goes away.
    pub restored: Estimate,
    /// Share that goes away with the control: another unit, or for a whole layer another image's activation.
    pub control: Estimate,
    /// One-sided p value that patching does no more than its control (McNemar).
    pub p: f64,
    /// The same after Holm's correction over all patches of the model.
    pub p_corrected: f64,
    /// Share of the flips whose logits became those of the clean image: nothing passes the layer by, and its patch says nothing.
    pub complete: f64,
}

fn mean(moments: &Moments) -> Estimate {
    let n = moments.n as f64;
    if moments.n == 0 {
        return Estimate { point: f64::NAN, lo: f64::NAN, hi: f64::NAN };
    }
    let mean = moments.sum / n;
    let variance = ((moments.squares - n * mean * mean) / (n - 1.0).max(1.0)).max(0.0);
    let half = if moments.n > 1 { Z95 * (variance / n).sqrt() } else { f64::INFINITY };
    Estimate { point: mean, lo: mean - half, hi: mean + half }
}

pub(super) fn damage<R: Ord>(
    mut tallies: Vec<DamageTally>,
    models: &impl Fn(&str) -> R,
    attacks: &impl Fn(&str) -> R,
) -> Vec<DamageSummary> {
    tallies.sort_by_cached_key(|tally| {
        let origin = &tally.origin;
        (models(&origin.model), attacks(&origin.attack), origin.norm, origin.epsilon, tally.place, tally.positions)
    });
    let summary = |tally: DamageTally| DamageSummary {
        n: tally.change.n,
        change: mean(&tally.change),
        cosine: mean(&tally.cosine),
        shuffled: mean(&tally.shuffled),
        origin: tally.origin,
        layer: tally.layer,
        depth: tally.depth,
        positions: tally.positions,
    };
    tallies.into_iter().map(summary).collect()
}

pub(super) fn patching<R: Ord>(
    mut tallies: Vec<PatchTally>,
    models: &impl Fn(&str) -> R,
    attacks: &impl Fn(&str) -> R,
) -> Vec<PatchSummary> {
    let rank = |tally: &PatchTally| {
        let origin = &tally.origin;
        (models(&origin.model), attacks(&origin.attack), origin.norm, origin.epsilon)
    };
    // The order of layers and units is that of the blocks.
    tallies.sort_by_cached_key(rank);
    let p: Vec<f64> = tallies.iter().map(|tally| mcnemar(tally.only, tally.only_control).greater).collect();
    let mut corrected = vec![1.0; tallies.len()];
    let mut start = 0;
    for model in tallies.chunk_by(|a, b| a.origin.model == b.origin.model) {
        let range = start..start + model.len();
        corrected[range.clone()].copy_from_slice(&holm(&p[range.clone()]));
        start = range.end;
    }
    let summary = |((tally, p), p_corrected): ((PatchTally, f64), f64)| PatchSummary {
        n: tally.n,
        restored: wilson(tally.restored, tally.n),
        control: wilson(tally.control, tally.n),
        p,
        p_corrected,
        complete: if tally.n == 0 { 0.0 } else { tally.complete as f64 / tally.n as f64 },
        origin: tally.origin,
        layer: tally.layer,
        depth: tally.depth,
        unit: tally.unit,
    };
    tallies.into_iter().zip(p).zip(corrected).map(summary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_the_interval_of_its_deviation() {
        let mut moments = Moments::default();
        [1.0, 2.0, 3.0, f64::NAN].into_iter().for_each(|value| moments.add(value));
        let found = mean(&moments);
        assert!((found.point - 2.0).abs() < 1e-12 && (found.hi - 2.0 - Z95 / 3f64.sqrt()).abs() < 1e-12);
        assert!(mean(&Moments::default()).point.is_nan());
    }
}
