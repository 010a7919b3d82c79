//! The inside of models on a page: which layers flip with their clean activation back, and what units flip.

use serde::Serialize;

use super::rate::Rate;
use crate::report::chart::gallery::class_name;
use crate::stats::Estimate;
use crate::summary::{LayerSummary, PatchSummary, RunSummary, UnitSummary};
use crate::wording::format;

/// Rows of each table; the rest is in the CSV files.
const MOST_ROWS: usize = 200;

/// The tables.
#[derive(Debug, Default, Serialize)]
pub(in crate::report) struct Inside {
    patches: Vec<Patch>,
    layers: Vec<Layer>,
    units: Vec<Unit>,
    hidden_patches: usize,
    hidden_units: usize,
}

#[derive(Debug, Serialize)]
struct Patch {
    model: String,
    attack: String,
    layer: String,
    unit: String,
    n: String,
    restored: Rate,
    control: Rate,
    p: String,
    significant: bool,
    complete: bool,
}

#[derive(Debug, Serialize)]
struct Layer {
    model: String,
    attack: String,
    layer: String,
    units: u64,
    any: Rate,
    strongest: String,
    strongest_rate: Rate,
    mean: String,
    random: String,
    noise: String,
    reach: Option<Rate>,
    distance: String,
    p: String,
    significant: bool,
}

#[derive(Debug, Serialize)]
struct Unit {
    model: String,
    attack: String,
    layer: String,
    unit: String,
    flips: Rate,
    noise: String,
    random: String,
    class_attack: String,
    reach: Option<Rate>,
    p: String,
    significant: bool,
    classes: String,
}

/// The tables of a run; `classes` are the names of classes.
pub(in crate::report) fn inside(summary: &RunSummary, classes: &[String]) -> Inside {
    let inside = &summary.inside;
    // Units at the largest radius of their attack: those whose chance is told.
    let mut units: Vec<&UnitSummary> = inside.units.iter().filter(|unit| unit.p_corrected.is_some()).collect();
    units.sort_by(|a, b| b.flip_rate.point.total_cmp(&a.flip_rate.point));
    Inside {
        hidden_patches: inside.patching.len().saturating_sub(MOST_ROWS),
        hidden_units: units.len().saturating_sub(MOST_ROWS),
        patches: inside.patching.iter().take(MOST_ROWS).map(patch).collect(),
        layers: inside.layers.iter().take(MOST_ROWS).map(layer).collect(),
        units: units.into_iter().take(MOST_ROWS).map(|summary| unit(summary, classes)).collect(),
    }
}

/// p values below one in 20 count, after their correction.
fn stands_out(p: Option<f64>) -> bool {
    p.is_some_and(|p| p < 0.05)
}

fn p_text(p: Option<f64>) -> String {
    match p {
        None => "–".to_owned(),
        Some(p) if p < 0.001 => "< 0.001".to_owned(),
        Some(p) => format!("{p:.3}"),
    }
}

fn share(rate: Option<f64>) -> String {
    rate.map_or_else(|| "–".to_owned(), format::percent)
}

fn rate(estimate: &Estimate) -> Rate {
    Rate::new(estimate)
}

fn patch(summary: &PatchSummary) -> Patch {
    Patch {
        model: summary.origin.model.clone(),
        attack: format!(
            "{}, {} {}",
            summary.origin.attack,
            format::norm(summary.origin.norm),
            format::epsilon(summary.origin.epsilon)
        ),
        layer: summary.layer.to_string(),
        unit: summary.unit.clone().unwrap_or_else(|| "whole layer".to_owned()),
        n: format::count(summary.n),
        restored: rate(&summary.restored),
        control: rate(&summary.control),
        p: p_text(Some(summary.p_corrected)),
        significant: stands_out(Some(summary.p_corrected)),
        complete: summary.complete > 0.99,
    }
}

fn layer(summary: &LayerSummary) -> Layer {
    Layer {
        model: summary.model.clone(),
        attack: format!("{}, {} {}", summary.attack, format::norm(summary.norm), format::epsilon(summary.epsilon)),
        layer: summary.layer.to_string(),
        units: summary.units,
        any: rate(&summary.any_unit),
        strongest: summary.strongest.clone(),
        strongest_rate: rate(&summary.strongest_rate),
        mean: format::percent(summary.mean_rate),
        random: share(summary.random_unit),
        noise: share(summary.noise),
        reach: summary.reach.as_ref().map(rate),
        distance: summary.distance.map_or_else(|| "beyond".to_owned(), |distance| format!("{:.4}", distance.point)),
        p: p_text(summary.p_corrected),
        significant: stands_out(summary.p_corrected),
    }
}

fn unit(summary: &UnitSummary, classes: &[String]) -> Unit {
    let class = |(class, count): &(u32, u64)| format!("{} ({count})", class_name(classes, *class));
    Unit {
        model: summary.model.clone(),
        attack: format!("{}, {} {}", summary.attack, format::norm(summary.norm), format::epsilon(summary.epsilon)),
        layer: summary.layer.to_string(),
        unit: summary.unit.clone(),
        flips: rate(&summary.flip_rate),
        noise: share(summary.noise),
        random: share(summary.random_unit),
        class_attack: share(summary.class_attack),
        reach: summary.reach.as_ref().map(rate),
        p: p_text(summary.p_corrected),
        // Any unit flips more than noise, in a network that learned nothing too: only other units can tell whether one is special.
        significant: stands_out(summary.p_corrected) && summary.p_random_unit.is_some(),
        classes: summary.classes.iter().take(3).map(class).collect::<Vec<_>>().join(", "),
    }
}
