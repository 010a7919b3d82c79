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

    /// Flips of a network that learned nothing: a patch, of a unit or a layer, undoes as many as its control does by chance.
    #[test]
    fn patches_that_do_no_more_than_their_controls_are_called_significant_no_more_often_than_said() {
        let (runs, patches, flips) = (120u64, 12, 40);
        let called = |extra: f32| {
            let significant = |seed: &u64| {
                let noise = crate::random::Noise::new(*seed, "patches");
                let tally = |patch: usize| {
                    let chance = noise.uniform(&format!("{patch}"), 1)[0] * 0.5;
                    let (unit, control) =
                        (noise.uniform(&format!("{patch}/u"), flips), noise.uniform(&format!("{patch}/c"), flips));
                    let count = |unit_undoes: bool, control_undoes: bool| {
                        let both = unit.iter().zip(&control).filter(|(u, c)| {
                            ((**u < chance + extra) == unit_undoes) && ((**c < chance) == control_undoes)
                        });
                        both.count() as u64
                    };
                    let (only, only_control, both) = (count(true, false), count(false, true), count(true, true));
                    let origin = DamageOrigin {
                        model: "m".to_owned(),
                        attack: "a".to_owned(),
                        norm: crate::terms::Norm::L2,
                        epsilon: crate::terms::Epsilon::new(1.0).unwrap(),
                    };
                    PatchTally {
                        origin,
                        layer: "layer1".into(),
                        depth: 0.5,
                        unit: Some(patch.to_string()),
                        n: flips as u64,
                        restored: only + both,
                        control: only_control + both,
                        only,
                        only_control,
                        complete: 0,
                    }
                };
                let found = patching((0..patches).map(tally).collect(), &|_| 0, &|_| 0);
                found.iter().any(|patch| patch.p_corrected <= 0.05)
            };
            (0..runs).filter(significant).count() as f64
        };
        // Five deviations of a binomial with p = 0.05.
        let most = runs as f64 * 0.05 + 5.0 * (runs as f64 * 0.05 * 0.95).sqrt();
        let by_chance = called(0.0);
        assert!(by_chance <= most, "{by_chance} of {runs} runs");
        assert!(called(0.5) > 0.95 * runs as f64, "what undoes half of the flips more is found");
    }
}
