//! The summary of a run, as reports and gates read it.

use serde::{Deserialize, Serialize};

use crate::record::Cell;
use crate::stats::Estimate;
use crate::terms::{Epsilon, Norm};

/// One row of `summary.csv`. Rates are shares in [0, 1] with 95 % Wilson intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellSummary {
    /// The cell.
    pub cell: Cell,
    /// Records in the cell.
    pub n: u64,
    /// Records whose clean prediction is the label.
    pub n_clean_correct: u64,
    /// Clean-correct share of all.
    pub clean_accuracy: Estimate,
    /// Share of all that is clean-correct and not flipped.
    pub robust_accuracy: Estimate,
    /// Flipped share of the clean-correct; none if there is none.
    pub flip_rate: Option<Estimate>,
    /// Flipped share of all.
    pub flip_rate_all: Estimate,
    /// Share of the clean-correct whose flip survives rounding to 8 bits.
    pub flip_rate_u8: Option<Estimate>,
    /// Share of the clean-correct of other classes than the target that reached it; none without a target.
    pub target_rate: Option<Estimate>,
    /// Median boundary distance of the model in the cell's norm, if the run measured it.
    pub distance_median: Option<Estimate>,
    /// Mean of the unit's gain in standard deviations; none for class logits.
    pub gain_z_mean: Option<f64>,
    /// Forward passes spent.
    pub forwards: u64,
    /// Backward passes spent.
    pub backwards: u64,
    /// Wall-clock seconds spent (the attack's seconds, shared out by passes).
    pub seconds: f64,
    /// Suspicious signs.
    pub health: Vec<HealthSign>,
}

/// A sign that a number may say more about the attack than about the model. `Display` names the cause and the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "sign", content = "count")]
pub enum HealthSign {
    /// Records whose gradient was zero on the whole path.
    ZeroGradient(u64),
    /// Records whose network output was NaN or infinite: not robust.
    NonFinite(u64),
    /// Records whose largest logit cannot be told in f32: not robust.
    Undecided(u64),
    /// Records of dead units.
    DeadUnit(u64),
    /// Search hits that f32 verification did not confirm.
    UnconfirmedHits(u64),
    /// A control flips at least as often as the attack that it stands beside.
    ControlAsStrong,
    /// Flips that rounding to 8 bits undoes.
    LostByRounding(u64),
    /// A control of random noise flips although the targeted search does not: gradients may be masked.
    GradientMasking,
    /// Samples that a search without gradients flips and the attacks do not.
    GradientFree(u64),
    /// Samples that the attack flips with twice the steps, of those searched again.
    NotConverged(u64),
    /// Samples that hold and whose loss still moved in the last tenth of the steps.
    LossStillMoves(u64),
    /// Samples that images made on other models flip and the attacks on the model itself do not.
    TransferFindsMore(u64),
    /// The largest radius reaches half of the box, where one image lies in every ball, and more samples than chance hold.
    NotAtChance,
    /// Planted adversarial points that the attacks did not find.
    SelfTestFailed(u64),
    /// Every prediction is the same class.
    ConstantPrediction,
    /// The model answers the same image differently each time, and single passes decide.
    RandomModel,
    /// The model answers the same image differently each time, and every answer is averaged over so many passes.
    AveragedModel(u64),
    /// The model returns probabilities, whose logarithms are attacked.
    Probabilities,
    /// Images of the trial whose gradient shows no boundary within the box.
    FlatGradient(u64),
    /// Boundary distances that are more than ten times what the gradient promises.
    FarBeyondLinear(u64),
}

/// One step of a Kaplan-Meier curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SurvivalPoint {
    /// Distance, in pixel units of [0, 1].
    pub distance: f64,
    /// Share whose boundary is farther than that, with its pointwise 95 % interval.
    pub survival: Estimate,
    /// Observations still at risk just before.
    pub at_risk: u64,
}

/// Distances of one model by one method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistanceSummary {
    /// The model.
    pub model: String,
    /// The method.
    pub method: String,
    /// The norm.
    pub norm: Norm,
    /// Observations, the misclassified (distance 0) included.
    pub n: u64,
    /// Observations without a flip.
    pub censored: u64,
    /// Kaplan-Meier median with its 95 % interval; none if fewer than half flipped. `hi` may be infinite.
    pub median: Option<Estimate>,
    /// How near the method comes to the smallest flips of the run: 1 is as near, 0 finds nothing (AttackBench's local optimality).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimality: Option<f64>,
    /// The survival curve, by ascending distance.
    pub curve: Vec<SurvivalPoint>,
}

/// The worst case per sample over several balls of different norms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AllNorms {
    /// The headline ball of each norm.
    pub balls: Vec<(Norm, Epsilon)>,
    /// Share of samples that hold in all of them.
    pub estimate: Estimate,
}

impl std::fmt::Display for AllNorms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let balls: Vec<String> = self.balls.iter().map(|(norm, epsilon)| format!("{norm} {epsilon}")).collect();
        f.write_str(&balls.join(", "))
    }
}

/// One model over all its attacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSummary {
    /// The model.
    pub model: String,
    /// Samples.
    pub n: u64,
    /// Clean accuracy.
    pub clean_accuracy: Estimate,
    /// Worst case per sample over everything that flipped it, for each norm and radius that attacks searched, ascending.
    pub worst_case: Vec<(Norm, Epsilon, Estimate)>,
    /// Worst case per sample over the headline balls of all norms, if there are several norms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_norms: Option<AllNorms>,
    /// Signs of the model as a whole; its cells carry them too.
    #[serde(default)]
    pub health: Vec<HealthSign>,
}

/// How often images that an attack made on one model, the source, fool another, the victim. Rates are shares in [0, 1] with 95 %
/// Wilson intervals; none where their denominator is 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferSummary {
    /// The source's cell.
    pub cell: Cell,
    /// The victim.
    pub victim: String,
    /// Samples that source and victim both classify rightly.
    pub n_both_correct: u64,
    /// Of these, those whose image flips the source.
    pub n: u64,
    /// Of these, those whose image fools the victim: its prediction differs from the one on the clean image.
    pub fooled: u64,
    /// Samples that both classify rightly and whose image fools the victim, whether it flips the source or not.
    pub fooled_all: u64,
    /// `fooled` of `n`.
    pub transfer_rate: Option<Estimate>,
    /// Share of `n` on which random noise as long as the perturbation changes the victim's prediction.
    pub noise_rate: Option<Estimate>,
    /// `fooled_all` of `n_both_correct`.
    pub transfer_rate_all: Option<Estimate>,
    /// Share of `n_both_correct` on which random noise as long as the perturbation changes the victim's prediction.
    pub noise_rate_all: Option<Estimate>,
    /// Forward passes of the victim, those on clean images left out.
    pub forwards: u64,
}

/// All of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// By model in the suite's order, then attack, kind, unit, epsilon.
    pub cells: Vec<CellSummary>,
    /// By model in the suite's order.
    pub models: Vec<ModelSummary>,
    /// By model and method.
    pub distances: Vec<DistanceSummary>,
    /// By source, attack, radius and victim. Blocks tell of transfers; tables of samples do not.
    pub transfers: Vec<TransferSummary>,
    /// Images of the selection that were left out, because they are broken or of another size: they are in no other number.
    #[serde(default)]
    pub left_out: u64,
    /// What the run tells of the inside of its models.
    #[serde(default, skip_serializing_if = "super::InsideSummary::is_empty")]
    pub inside: super::InsideSummary,
}
