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
    let cells = summary.cells.iter().flat_map(|cell| {
        let place = format!("{} · {}", cell.cell.model, cell.cell.attack);
        cell.health.iter().map(move |sign| (*sign, place.clone()))
    });
    let mut gathered = gather(cells);
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

/// The signs of one model.
pub fn signs_of_model(summary: &RunSummary, model: &str) -> Vec<Sign> {
    let cells = summary.cells.iter().filter(|cell| cell.cell.model == model);
    gather(cells.flat_map(|cell| cell.health.iter().map(|sign| (*sign, cell.cell.attack.clone()))))
}

fn gather(signs: impl Iterator<Item = (HealthSign, String)>) -> Vec<Sign> {
    let mut gathered: Vec<(HealthSign, u64, Vec<String>)> = Vec::new();
    for (sign, place) in signs {
        let same = |of: &HealthSign| std::mem::discriminant(of) == std::mem::discriminant(&sign);
        let index = match gathered.iter().position(|(of, _, _)| same(of)) {
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
        HealthSign::ZeroGradient(count)
        | HealthSign::NonFinite(count)
        | HealthSign::DeadUnit(count)
        | HealthSign::UnconfirmedHits(count)
        | HealthSign::LostByRounding(count) => count,
        HealthSign::ControlAsStrong | HealthSign::GradientMasking | HealthSign::ConstantPrediction => 0,
    }
}

fn name_of(sign: HealthSign) -> &'static str {
    match sign {
        HealthSign::ZeroGradient(_) => "zero gradients",
        HealthSign::NonFinite(_) => "not finite",
        HealthSign::DeadUnit(_) => "dead units",
        HealthSign::UnconfirmedHits(_) => "unconfirmed hits",
        HealthSign::ControlAsStrong => "control as strong",
        HealthSign::LostByRounding(_) => "lost by rounding",
        HealthSign::GradientMasking => "gradient masking",
        HealthSign::ConstantPrediction => "constant prediction",
    }
}

fn meaning(sign: HealthSign) -> &'static str {
    match sign {
        HealthSign::ZeroGradient(_) => {
            "The search had nothing to follow on these records, so they look more robust than they may be; try the \
             margin loss."
        }
        HealthSign::NonFinite(_) => "The network gave NaN or infinity; check its weights and the search precision.",
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
        HealthSign::ConstantPrediction => "Every prediction is the same class; check weights and preprocessing.",
    }
}

/// The signs of one cell.
pub fn of_cell(cell: &crate::summary::CellSummary) -> Vec<Sign> {
    gather(cell.health.iter().map(|sign| (*sign, String::new())))
}
