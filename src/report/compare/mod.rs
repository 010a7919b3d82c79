//! A comparison of runs in every format: text, Markdown, one page. All come from the same [`Comparison`].

mod chart;
mod markdown;
mod page;
mod text;
mod units;

pub use markdown::markdown;
pub use page::page;
pub use text::text;
pub use units::UnitPairs;

use super::gate::{difference, p_value, value};
use crate::compare::{Comparison, Contrast, Row};
use crate::suite::gate::Metric;
use crate::wording::format;

/// What the row is about, without its model.
fn label(row: &Row) -> String {
    let about = &row.subject;
    let ball = match (about.norm, about.epsilon) {
        (Some(norm), Some(epsilon)) => format!("{} ε {}", format::norm(norm), format::epsilon(epsilon)),
        (Some(norm), None) => format::norm(norm).to_owned(),
        _ => String::new(),
    };
    let mut parts = vec![match row.metric {
        Metric::CleanAccuracy => "clean accuracy".to_owned(),
        Metric::WorstCaseAccuracy => "worst case".to_owned(),
        Metric::AllNormsAccuracy => "all norms".to_owned(),
        Metric::DistanceMedian => format!("median distance ({})", about.method.as_deref().unwrap_or_default()),
        Metric::RobustAccuracy | Metric::FlipRate => about.attack.clone().unwrap_or_default(),
    }];
    if let Some(kind) = about.kind.filter(|kind| kind.is_control()) {
        parts[0] += &format!(" ({kind})");
    }
    match (&about.layer, &about.unit) {
        (Some(layer), Some(unit)) => parts.push(format!("{layer} unit {unit}")),
        (Some(one), None) | (None, Some(one)) => parts.push(one.clone()),
        (None, None) => {}
    }
    parts.push(ball);
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

/// A row's numbers as texts: reference, run, difference, p value, broken, fixed.
fn cells(row: &Row) -> [String; 6] {
    let change = &row.change;
    [
        value(row.metric, &row.reference),
        value(row.metric, &row.run),
        difference(row.metric, &change.estimate),
        p_value(change.p_adjusted).trim_start_matches("p = ").trim_start_matches("p ").to_owned(),
        format::count(change.broken),
        format::count(change.fixed),
    ]
}

/// The cells that differ significantly, controls left out, the largest difference first.
fn significant(contrast: &Contrast) -> Vec<&Row> {
    let mut rows: Vec<&Row> = contrast.cells().filter(|row| row.is_significant() && !row.is_control()).collect();
    rows.sort_by(|a, b| b.change.estimate.point.abs().total_cmp(&a.change.estimate.point.abs()));
    rows
}

/// How many cells there are, and how many of them differ, as a sentence without its end.
fn cells_sentence(contrast: &Contrast) -> String {
    let all = contrast.cells().filter(|row| !row.is_control()).count();
    let differ = significant(contrast).len();
    match (differ, all) {
        (_, 0) => "no cell of an attack is in both".to_owned(),
        (0, 1) => "the only cell does not differ significantly".to_owned(),
        (_, 1) => "the only cell differs significantly".to_owned(),
        (0, all) => format!("none of {all} cells differs significantly"),
        (differ, all) => {
            format!("{differ} of {all} cells {} significantly", if differ == 1 { "differs" } else { "differ" })
        }
    }
}

/// What must be known before the numbers are believed: new health signs, equal weights, what is left out.
fn warnings(contrast: &Contrast) -> Vec<String> {
    let mut found = Vec::new();
    let signs: std::collections::BTreeSet<&str> =
        contrast.rows.iter().flat_map(|row| row.new_signs.iter().map(String::as_str)).collect();
    if !signs.is_empty() {
        let signs: Vec<&str> = signs.into_iter().collect();
        found.push(format!("new health sign: {}; the attack may have got weaker", signs.join(", ")));
    }
    if contrast.same_weights && contrast.finding() != "no significant difference" {
        found.push("the weights are the same, so the attack differs, not the model".to_owned());
    }
    found.extend(contrast.notes.iter().cloned());
    for (subjects, side) in [(&contrast.only_reference, "reference"), (&contrast.only_run, "run")] {
        let attacks: std::collections::BTreeSet<&str> =
            subjects.iter().filter_map(|subject| subject.attack.as_deref()).collect();
        if !attacks.is_empty() {
            let attacks: Vec<&str> = attacks.into_iter().collect();
            let cells = if subjects.len() == 1 { "1 cell" } else { &format!("{} cells", subjects.len()) };
            found.push(format!("only the {side} has {cells} of {}", attacks.join(", ")));
        }
    }
    found
}

/// Which samples changed, and by what they show it first: `40 newly broken (a, b, …)`.
fn changed(comparison: &Comparison, contrast: &Contrast, fixed: bool, most: usize) -> Option<String> {
    let samples = contrast.changed(fixed);
    let id = |sample: u32| comparison.samples.get(sample as usize).map_or("?", |id| id.as_str());
    let listed: Vec<&str> = samples.iter().take(most).map(|(sample, _)| id(*sample)).collect();
    let more = if samples.len() > listed.len() { ", …" } else { "" };
    let verb = if fixed { "newly fixed" } else { "newly broken" };
    (!samples.is_empty())
        .then(|| format!("{} {verb} ({}{more})", format::count(samples.len() as u64), listed.join(", ")))
}

#[cfg(test)]
mod tests;
