//! Suspicious signs as a first screen shows them: gathered over all cells, the grave ones first.

use serde::Serialize;

use crate::record::Manifest;
use crate::summary::{HealthSign, RunSummary};
use crate::wording::format;

/// One sign with everything that shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sign {
    /// Whether it puts the run's claims in doubt, or only deserves notice.
    pub grave: bool,
    /// Its short name, with a count where it has one.
    pub name: String,
    /// What it means for the reader.
    pub meaning: &'static str,
    /// Models and attacks that show it.
    pub places: Vec<String>,
}

/// The signs of a whole run.
pub fn signs(manifest: &Manifest, summary: &RunSummary) -> Vec<Sign> {
    let mut gathered = gather(all(summary).into_iter());
    let known = gathered.iter().any(|sign| sign.name.starts_with(name_of(HealthSign::UnconfirmedHits(0))));
    if manifest.unconfirmed_hits > 0 && !known {
        gathered.extend(gather([(HealthSign::UnconfirmedHits(manifest.unconfirmed_hits), String::new())].into_iter()));
    }
    if !manifest.skipped.is_empty() {
        gathered.push(Sign {
            grave: false,
            name: format!("unreadable images: {}", format::count(manifest.skipped.len() as u64)),
            meaning: "They were left out, as the suite allows; the rates speak about the rest. They are listed under \
                      provenance.",
            places: Vec::new(),
        });
    }
    gathered.sort_by_key(|sign| !sign.grave);
    gathered
}

/// The grave signs, those that put robustness in doubt and those of a model as a whole, as one line each: what first screens show below their numbers.
pub fn doubts(summary: &RunSummary) -> Vec<String> {
    let doubted =
        all(summary).into_iter().filter(|(sign, _)| sign.is_grave() || sign.doubts_robustness() || sign.is_of_model());
    let line = |sign: Sign| {
        let word = if sign.grave { "warning" } else { "note" };
        let (listed, more) = (sign.places.len().min(3), sign.places.len().saturating_sub(3));
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{word}: {} ({}{more}): {}", sign.name, sign.places[..listed].join(", "), sign.meaning)
    };
    gather(doubted).into_iter().map(line).collect()
}

/// Every sign of the run with its place; what is told of a model as a whole comes once, not with each of its cells.
fn all(summary: &RunSummary) -> Vec<(HealthSign, String)> {
    let cells = summary.cells.iter().flat_map(|cell| {
        let place = format!("{} · {}", cell.cell.model, cell.cell.attack);
        let signs = cell.health.iter().filter(|sign| !sign.is_of_model());
        signs.map(move |sign| (*sign, place.clone()))
    });
    let models = summary.models.iter().flat_map(|model| model.health.iter().map(|sign| (*sign, model.model.clone())));
    cells.chain(models).collect()
}

/// The signs of one model.
pub fn signs_of_model(summary: &RunSummary, model: &str) -> Vec<Sign> {
    let cells = summary.cells.iter().filter(|cell| cell.cell.model == model);
    let cells = cells.flat_map(|cell| cell.health.iter().map(|sign| (*sign, cell.cell.attack.clone())));
    let of_models = summary.models.iter().filter(|known| known.model == model).flat_map(|known| &known.health);
    gather(cells.filter(|(sign, _)| !sign.is_of_model()).chain(of_models.map(|sign| (*sign, String::new()))))
}

fn gather(signs: impl Iterator<Item = (HealthSign, String)>) -> Vec<Sign> {
    let mut gathered: Vec<(HealthSign, u64, Vec<String>)> = Vec::new();
    for (sign, place) in signs {
        let same = |other: &HealthSign| std::mem::discriminant(other) == std::mem::discriminant(&sign);
        let index = match gathered.iter().position(|(other, _, _)| same(other)) {
            Some(index) => index,
            None => {
                gathered.push((sign, 0, Vec::new()));
                gathered.len() - 1
            }
        };
        let (_, count, places) = &mut gathered[index];
        *count += count_of(sign);
        if !place.is_empty() && !places.contains(&place) {
            places.push(place);
        }
    }
    gathered.sort_by_key(|(sign, _, _)| *sign);
    let signs = gathered.into_iter().map(|(sign, count, places)| {
        let name = name_of(sign);
        let name = if count > 0 { format!("{name}: {}", format::count(count)) } else { name.to_owned() };
        Sign { grave: sign.is_grave(), name, meaning: meaning(sign), places }
    });
    signs.collect()
}

fn count_of(sign: HealthSign) -> u64 {
    match sign {
        // The passes of a mean are no number of cases, and not added up.
        HealthSign::AveragedModel(_) => 0,
        sign => sign.count().unwrap_or_default(),
    }
}

fn name_of(sign: HealthSign) -> &'static str {
    match sign {
        HealthSign::ZeroGradient(_) => "zero gradients",
        HealthSign::NonFinite(_) => "not finite",
        HealthSign::Undecided(_) => "undecided",
        HealthSign::DeadUnit(_) => "dead units",
        HealthSign::UnconfirmedHits(_) => "unconfirmed hits",
        HealthSign::ControlAsStrong => "control as strong",
        HealthSign::LostByRounding(_) => "lost by rounding",
        HealthSign::GradientMasking => "gradient masking",
        HealthSign::GradientFree(_) => "gradient-free search finds more",
        HealthSign::NotConverged(_) => "not converged",
        HealthSign::LossStillMoves(_) => "loss still moves",
        HealthSign::TransferFindsMore(_) => "transfer finds more",
        HealthSign::NotAtChance => "not at chance",
        HealthSign::SelfTestFailed(_) => "self-test failed",
        HealthSign::FlatGradient(_) => "flat gradients",
        HealthSign::FarBeyondLinear(_) => "distances far beyond the gradient's",
        HealthSign::ConstantPrediction => "constant prediction",
        HealthSign::RandomModel => "random model",
        HealthSign::AveragedModel(_) => "random model, averaged",
        HealthSign::Probabilities => "probabilities instead of logits",
    }
}

fn meaning(sign: HealthSign) -> &'static str {
    match sign {
        HealthSign::ZeroGradient(_) => {
            "The search had nothing to follow on these records, so they look more robust than they may be; try the \
             margin loss, and if gradients stay zero replace what hides them in a copy of the model."
        }
        HealthSign::NonFinite(_) => {
            "The network gave NaN or infinity. Images inside the ball for which it does count as not robust; check its \
             weights and the search precision."
        }
        HealthSign::Undecided(_) => {
            "f32 cannot tell which logit is the largest, so these samples count as not robust; take a constant off the \
             logits, or check that the last layer has not collapsed."
        }
        HealthSign::DeadUnit(_) => "Units that stayed at zero cannot be driven; their flip rate says nothing.",
        HealthSign::UnconfirmedHits(_) => {
            "Flips of the fast search that the exact f32 pass did not confirm. They are not counted as flips; many of \
             them call for precision = \"f32\"."
        }
        HealthSign::ControlAsStrong => {
            "A control of equal norm flips at least as often as the unit attack beside it: the flips do not show that \
             this unit is special."
        }
        HealthSign::LostByRounding(_) => "Flips that do not survive rounding to 8-bit pixels.",
        HealthSign::GradientMasking => {
            "Random noise flips samples that the gradient search does not: the gradient may be masked, and robust \
             accuracy too high."
        }
        HealthSign::GradientFree(_) => {
            "A short search without gradients flips samples that the attacks do not: gradients mislead, or the attacks are \
             weak, and robust accuracy is too high. Try the margin loss, more restarts or more steps."
        }
        HealthSign::NotConverged(_) => {
            "Twice the steps flip more samples, so robust accuracy is too high; double `steps` until nothing changes, or use \
             optimizer = \"apgd\"."
        }
        HealthSign::LossStillMoves(_) => {
            "The best loss of these samples, which hold, still moved by more than a twentieth of its way in the last tenth of the steps: \
             more steps may flip them."
        }
        HealthSign::TransferFindsMore(_) => {
            "Images made on other models flip samples that attacks on the model itself do not: its gradients mislead."
        }
        HealthSign::NotAtChance => {
            "Every ball reaches the grey image, and still more samples hold than chance: the attack fails."
        }
        HealthSign::SelfTestFailed(_) => {
            "Adversarial images that are there by construction were not found: the attacks are misled, and robustness cannot \
             be read from this run."
        }
        HealthSign::FlatGradient(_) => {
            "Going by the gradient, no image at all would flip these: the gradient hides the boundary (rounding, saturation)."
        }
        HealthSign::FarBeyondLinear(_) => {
            "Many boundary distances are over ten times what the gradient promises: the search is weak, or the gradient misleads. \
             Add the boundary method fmn, and more steps."
        }
        HealthSign::ConstantPrediction => "Every prediction is the same class; check weights and preprocessing.",
        HealthSign::RandomModel => {
            "The model answers the same image differently each time, so a flip or its absence in one pass is an accident; \
             export it in eval mode, or set eot = 8 in [run]."
        }
        HealthSign::AveragedModel(_) => {
            "The model answers the same image differently each time; every answer here is the mean of several passes (eot)."
        }
        HealthSign::Probabilities => {
            "The model returns probabilities; their logarithms were attacked. Return logits: where a softmax is saturated, \
             nothing is left to follow."
        }
    }
}

/// The signs of one cell.
pub fn of_cell(cell: &crate::summary::CellSummary) -> Vec<Sign> {
    gather(cell.health.iter().map(|sign| (*sign, String::new())))
}
