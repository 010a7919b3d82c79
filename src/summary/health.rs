//! Signs that a number may say more about the attack than about the model: when they show, and what to do.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::HealthSign;
use super::sample_set::SampleSet;
use super::tally::{CellTally, ModelTally, Variety};
use crate::record::CellKind;
use crate::terms::{Epsilon, Norm};

/// What a sign puts in doubt.
#[derive(PartialEq)]
enum Doubt {
    /// Nothing: it only deserves notice.
    Notice,
    /// What the run claims, but not that the model is as robust as it says.
    Claim,
    /// That the model is as robust as the numbers say.
    Robustness,
}

/// What a sign is told of.
#[derive(PartialEq)]
enum About {
    /// A cell of an attack.
    Attack,
    /// A model, whatever the attack.
    Model,
}

impl HealthSign {
    /// Its short name; what it counts, if it does; what it puts in doubt; what it is told of.
    const fn about(self) -> (&'static str, Option<u64>, Doubt, About) {
        use About::{Attack, Model};
        use Doubt::{Claim, Notice, Robustness};
        match self {
            HealthSign::ZeroGradient(count) => ("zero-gradient", Some(count), Robustness, Attack),
            HealthSign::NonFinite(count) => ("non-finite", Some(count), Robustness, Attack),
            HealthSign::Undecided(count) => ("undecided", Some(count), Robustness, Attack),
            HealthSign::DeadUnit(count) => ("dead-unit", Some(count), Notice, Attack),
            HealthSign::UnconfirmedHits(count) => ("unconfirmed-hits", Some(count), Notice, Attack),
            HealthSign::ControlAsStrong => ("control-as-strong", None, Claim, Attack),
            HealthSign::LostByRounding(count) => ("lost-by-rounding", Some(count), Notice, Attack),
            HealthSign::GradientMasking => ("gradient-masking", None, Robustness, Attack),
            HealthSign::GradientFree(count) => ("gradient-free", Some(count), Robustness, Attack),
            HealthSign::NotConverged(count) => ("not-converged", Some(count), Robustness, Attack),
            HealthSign::LossStillMoves(count) => ("loss-still-moves", Some(count), Notice, Attack),
            HealthSign::TransferFindsMore(count) => ("transfer-finds-more", Some(count), Robustness, Attack),
            HealthSign::NotAtChance => ("not-at-chance", None, Robustness, Attack),
            HealthSign::SelfTestFailed(count) => ("self-test-failed", Some(count), Robustness, Model),
            HealthSign::FlatGradient(count) => ("flat-gradient", Some(count), Robustness, Model),
            HealthSign::FarBeyondLinear(count) => ("far-beyond-linear", Some(count), Robustness, Attack),
            HealthSign::ConstantPrediction => ("constant-prediction", None, Robustness, Attack),
            HealthSign::RandomModel => ("random-model", None, Robustness, Model),
            HealthSign::AveragedModel(passes) => ("averaged-model", Some(passes), Notice, Model),
            HealthSign::Probabilities => ("probabilities", None, Notice, Model),
        }
    }

    /// Whether it puts a run's claims in doubt, or only deserves notice.
    pub fn is_grave(self) -> bool {
        self.about().2 != Doubt::Notice
    }

    /// Whether the model may be less robust than the numbers beside it say, or the numbers mean nothing: first screens show it, and
    /// no rule of a gate passes cleanly on such a number.
    pub fn doubts_robustness(self) -> bool {
        self.about().2 == Doubt::Robustness
    }

    /// Whether it is told of a model as a whole, whatever the attack.
    pub fn is_of_model(self) -> bool {
        self.about().3 == About::Model
    }

    /// A short name: `zero-gradient`.
    pub const fn word(self) -> &'static str {
        self.about().0
    }

    /// What it counts: records, samples, or the passes of a mean; none where there is nothing to count.
    pub const fn count(self) -> Option<u64> {
        self.about().1
    }

    /// The short name for `summary.csv`, with the count where there is one: `zero-gradient:3`.
    pub fn code(self) -> String {
        match self.count() {
            Some(count) => format!("{}:{count}", self.word()),
            None => self.word().to_owned(),
        }
    }
}

impl fmt::Display for HealthSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: &u64, noun: &str| format!("{count} {noun}{}", if *count == 1 { "" } else { "s" });
        match self {
            HealthSign::ZeroGradient(count) => {
                let samples = counted(count, "sample");
                write!(
                    f,
                    "gradients are zero for {samples}; try loss = \"margin\", or another layer for a unit attack; if they stay zero, \
                     replace what hides them (rounding, saturation) in a copy of the model"
                )
            }
            HealthSign::NonFinite(count) => write!(
                f,
                "the network gives NaN or infinity for {}, where it counts as not robust; check weights and normalization, and \
                 try precision = \"f32\"",
                counted(count, "sample")
            ),
            HealthSign::Undecided(count) => write!(
                f,
                "f32 cannot tell the largest logit of {}, which count as not robust; take a constant off the logits, or check \
                 that the last layer has not collapsed",
                counted(count, "sample")
            ),
            HealthSign::DeadUnit(count) => write!(
                f,
                "the unit stays at zero for {}; choose live ones with units = {{ top = 16, by = \"activation\" }}",
                counted(count, "sample")
            ),
            HealthSign::UnconfirmedHits(count) => write!(
                f,
                "the separate f32 pass did not confirm {}, left out of all counts; try precision = \"f32\"",
                counted(count, "search hit")
            ),
            HealthSign::ControlAsStrong => f.write_str(
                "a control of equal norm flips at least as often, so the flips say little about this unit; \
                 try a smaller epsilon, more steps, or other units",
            ),
            HealthSign::LostByRounding(count) => write!(
                f,
                "rounding to 8 bits undoes {}; read flip_rate_u8, or try a larger epsilon",
                counted(count, "flip")
            ),
            HealthSign::GradientMasking => f.write_str(
                "random noise flips samples that the gradient attacks do not, so gradients may be masked; \
                 try loss = \"margin\", more restarts or more steps",
            ),
            HealthSign::GradientFree(count) => write!(
                f,
                "a search without gradients flips {} that the attacks do not, so gradients mislead or the attacks are weak; try \
                 loss = \"margin\", more restarts or more steps",
                counted(count, "sample")
            ),
            HealthSign::NotConverged(count) => write!(
                f,
                "twice the steps flip {} more of those searched again, so the attack has not converged; double `steps` until \
                 nothing changes, or use optimizer = \"apgd\"",
                counted(count, "sample")
            ),
            HealthSign::LossStillMoves(count) => write!(
                f,
                "the loss of {} that hold still moves in the last tenth of the steps; double `steps`, or use optimizer = \"apgd\"",
                counted(count, "sample")
            ),
            HealthSign::TransferFindsMore(count) => write!(
                f,
                "images made on other models flip {} that attacks on the model itself do not, so its gradients mislead; attack \
                 it with loss = \"margin\" and more restarts, and read the worst case",
                counted(count, "sample")
            ),
            HealthSign::NotAtChance => f.write_str(
                "more samples hold than chance although every ball reaches the grey image, so the attack fails; check gradients, \
                 steps and loss",
            ),
            HealthSign::SelfTestFailed(count) => write!(
                f,
                "the attacks do not find {} although an adversarial image is there by construction, so they are misled; read no \
                 robustness from this run, and look for operations that hide the gradient",
                counted(count, "planted point")
            ),
            HealthSign::FlatGradient(count) => write!(
                f,
                "going by the gradient, no image at all flips {} of the trial, so the gradient hides the boundary; look for \
                 rounding, saturation or other operations without a useful gradient",
                counted(count, "image")
            ),
            HealthSign::FarBeyondLinear(count) => write!(
                f,
                "{} more than ten times what the gradient promises, so the boundary search is weak or the gradient misleads; add \
                 the method fmn, and more steps",
                match count {
                    1 => "1 boundary distance is".to_owned(),
                    count => format!("{count} boundary distances are"),
                }
            ),
            HealthSign::ConstantPrediction => f.write_str(
                "the model predicts one class for every sample; check its weights, normalization and class order",
            ),
            HealthSign::RandomModel => f.write_str(
                "the model answers the same image differently each time, so flips of one pass are accidents; export it in eval \
                 mode, or set eot = 8 in [run]",
            ),
            HealthSign::AveragedModel(passes) => {
                write!(f, "the model answers the same image differently each time; each answer is the mean of {passes} passes")
            }
            HealthSign::Probabilities => f.write_str(
                "the model returns probabilities, whose logarithms were attacked; return logits, since a saturated softmax \
                 hides gradients",
            ),
        }
    }
}

/// The signs of each cell, for sorted cells.
pub(super) fn signs(
    cells: &[CellTally],
    models: &[ModelTally],
    unconfirmed_hits: &BTreeMap<(String, String), u64>,
) -> Vec<Vec<HealthSign>> {
    let controls = control_shares(cells);
    let masked: Vec<BTreeMap<(Norm, Epsilon), Missed>> = models.iter().map(missed).collect();
    let mut last_of_attack: HashMap<(&str, &str), usize> = HashMap::new();
    for (place, tally) in cells.iter().enumerate().filter(|(_, tally)| !tally.cell.kind.is_control()) {
        last_of_attack.insert((&tally.cell.model, &tally.cell.attack), place);
    }
    let of_cell = |(place, tally): (usize, &CellTally)| {
        let (cell, model) = (&tally.cell, &models[tally.model]);
        let mut signs = Vec::new();
        let mut counted = |count: u64, sign: fn(u64) -> HealthSign| {
            if count > 0 {
                signs.push(sign(count));
            }
        };
        if cell.kind != CellKind::ControlLonger {
            counted(tally.zero_gradient, HealthSign::ZeroGradient);
        }
        counted(tally.non_finite, HealthSign::NonFinite);
        counted(tally.undecided, HealthSign::Undecided);
        counted(tally.dead_unit, HealthSign::DeadUnit);
        if !cell.kind.is_control() {
            counted(tally.flips - tally.flips_u8, HealthSign::LostByRounding);
        }
        // Hits are counted for an attack as a whole; they are shown once.
        if last_of_attack.get(&(cell.model.as_str(), cell.attack.as_str())) == Some(&place) {
            let hits = unconfirmed_hits.get(&(cell.model.clone(), cell.attack.clone()));
            counted(hits.copied().unwrap_or(0), HealthSign::UnconfirmedHits);
        }
        if model.predictions != Variety::Many && model.labels == Variety::Many {
            signs.push(HealthSign::ConstantPrediction);
        }
        if !cell.kind.is_control() {
            let control_share = controls.get(&control_key(tally)).filter(|_| cell.kind.drives_unit());
            if control_share.is_some_and(|share| *share > 0.0 && *share >= tally.flip_share()) {
                signs.push(HealthSign::ControlAsStrong);
            }
            let missed = masked[tally.model].get(&(cell.norm, cell.epsilon)).copied().unwrap_or_default();
            if missed.noise > 0 {
                signs.push(HealthSign::GradientMasking);
            }
            if missed.search > 0 {
                signs.push(HealthSign::GradientFree(missed.search));
            }
            if missed.longer > 0 {
                signs.push(HealthSign::NotConverged(missed.longer));
            }
            if missed.transfer > 0 {
                signs.push(HealthSign::TransferFindsMore(missed.transfer));
            }
            if 10 * model.far > model.measured {
                signs.push(HealthSign::FarBeyondLinear(model.far));
            }
            if is_above_chance(tally, model) {
                signs.push(HealthSign::NotAtChance);
            }
        }
        signs.sort_unstable();
        signs
    };
    cells.iter().enumerate().map(of_cell).collect()
}

type ControlKey<'a> = (&'a str, &'a str, Norm, Epsilon);

fn control_key(tally: &CellTally) -> ControlKey<'_> {
    let cell = &tally.cell;
    (&cell.model, &cell.attack, cell.norm, cell.epsilon)
}

/// The mean flip rate of the controls beside each attack; of several kinds of control, the strongest.
fn control_shares(cells: &[CellTally]) -> HashMap<ControlKey<'_>, f64> {
    let mut sums: BTreeMap<(ControlKey<'_>, CellKind), (f64, f64)> = BTreeMap::new();
    for tally in cells.iter().filter(|tally| tally.cell.kind.is_control()) {
        if matches!(tally.cell.kind, CellKind::ControlSearch | CellKind::ControlLonger) {
            continue;
        }
        let (sum, count) = sums.entry((control_key(tally), tally.cell.kind)).or_default();
        *sum += tally.flip_share();
        *count += 1.0;
    }
    let mut shares: HashMap<ControlKey<'_>, f64> = HashMap::new();
    for ((key, _), (sum, count)) in sums {
        let strongest = shares.entry(key).or_default();
        *strongest = strongest.max(sum / count);
    }
    shares
}

/// Whether more samples hold than one prediction explains in balls that reach the middle of the box: the grey image lies in all of them,
/// and has one class.
fn is_above_chance(tally: &CellTally, model: &ModelTally) -> bool {
    let cell = &tally.cell;
    let searched = cell.kind.seeks_flips() && cell.norm == Norm::Linf && cell.epsilon.value() >= 0.5;
    searched && model.labels == Variety::Many && tally.clean_correct - tally.flips > model.most_of_a_label()
}

/// Samples that controls flip in a ball and the attacks do not.
#[derive(Debug, Clone, Copy, Default)]
struct Missed {
    /// By random noise.
    noise: u64,
    /// By a search without gradients.
    search: u64,
    /// By the attack with twice the steps, if they are more than a fiftieth of the samples looked at: one in fifty may be chance.
    longer: u64,
    /// By images made on other models.
    transfer: u64,
}

/// What the attacks of a model missed in each ball in which one of them searched for flips.
fn missed(model: &ModelTally) -> BTreeMap<(Norm, Epsilon), Missed> {
    let searched = model.cumulative().filter(|(_, _, threat, _)| threat.searched);
    let count = searched.map(|(norm, epsilon, threat, flipped)| {
        let missed = |set: &SampleSet| {
            set.iter().filter(|&sample| threat.samples.contains(sample) && !flipped.contains(sample)).count() as u64
        };
        let missed = Missed {
            noise: missed(&threat.flipped_by_noise),
            search: missed(&threat.flipped_by_search),
            longer: Some(missed(&threat.flipped_by_longer))
                .filter(|&count| 50 * count > threat.looked_at.len())
                .unwrap_or_default(),
            transfer: missed(&threat.flipped_by_transfer),
        };
        ((norm, epsilon), missed)
    });
    count.collect()
}
