//! The short table at the end of a run: plain text, aligned, for a terminal or a log.

use std::path::Path;

use super::data_name::data_name;
use super::headline::{Headline, headlines, worst_case_at};
use super::page::health::doubts;
use super::radii::advice;
use crate::record::Manifest;
use crate::summary::{CellSummary, RunSummary};
use crate::wording::columns::{Align, columns};
use crate::wording::format;

/// What a command ends with: the data and the device, and where the page is.
pub fn closing(manifest: &Manifest, page: &Path) -> String {
    let samples = format::count(manifest.samples);
    format!("{samples} samples of {}, on {}\nreport: {}", data_name(manifest), manifest.device, page.display())
}

/// The balls that the rows of a model's attacks are about, and those of the headlines: each has a worst case.
fn balls(summary: &RunSummary, model: &str) -> Vec<Headline> {
    let rows = strongest(summary, model);
    let mut balls: Vec<Headline> =
        rows.iter().map(|(_, cell)| Headline { norm: cell.cell.norm, epsilon: cell.cell.epsilon }).collect();
    balls.extend(headlines(summary));
    balls.sort_by_key(|ball| (ball.norm, ball.epsilon));
    balls.dedup();
    balls
}

/// Models by attacks, each at the radius of the headline, or at its largest if it was not tried there: robust accuracy and flip rate with 95 % intervals. Of a unit attack
/// the unit that flips most is shown. Below them what puts these numbers in doubt. Ends without a line break.
pub fn table(summary: &RunSummary) -> String {
    if summary.models.is_empty() && summary.left_out == 0 {
        return "no attack and no distance: nothing is told of robustness".to_owned();
    }
    let mut rows: Vec<[String; 4]> =
        vec![["model / attack", "ball", "robust accuracy", "flip rate"].map(str::to_owned)];
    for model in &summary.models {
        let clean = format!("{} clean", format::rate(&model.clean_accuracy));
        rows.push([model.model.clone(), format!("n = {}", format::count(model.n)), clean, String::new()]);
        for (label, cell) in strongest(summary, &model.model) {
            let flips = cell.flip_rate.as_ref().map_or("–".to_owned(), format::rate);
            let ball = format!("{} {}", cell.cell.norm, format::epsilon(cell.cell.epsilon));
            rows.push([format!("  {label}"), ball, format::rate(&cell.robust_accuracy), flips]);
        }
        for at in balls(summary, &model.model) {
            if let Some(worst) = worst_case_at(model, at) {
                let ball = format!("{} {}", at.norm, format::epsilon(at.epsilon));
                rows.push(["  worst case".to_owned(), ball, format::rate(&worst), String::new()]);
            }
        }
        if let Some(all) = &model.all_norms {
            rows.push(["  worst case".to_owned(), "all norms".to_owned(), format::rate(&all.estimate), String::new()]);
        }
    }
    let table = columns(&rows, [Align::Left; 4]);
    let mut below = doubts(summary);
    below.extend(advice(summary).into_iter().map(|line| format!("note: {line}")));
    if summary.left_out > 0 {
        let count = format::count(summary.left_out);
        below.insert(0, format!("{count} images are left out of all numbers: they are broken or of another size"));
    }
    if below.is_empty() { table } else { format!("{table}\n\n{}", below.join("\n")) }
}

/// For each attack of `model`, its label and its cell at the radius of the headline in its norm, else at its largest; of units the one that
/// flips most.
fn strongest<'s>(summary: &'s RunSummary, model: &str) -> Vec<(String, &'s CellSummary)> {
    let mut best: Vec<&CellSummary> = Vec::new();
    let heads = headlines(summary);
    let is_head = |cell: &CellSummary| heads.contains(&Headline { norm: cell.cell.norm, epsilon: cell.cell.epsilon });
    for cell in summary.cells.iter().filter(|cell| cell.cell.model == model && !cell.cell.kind.is_control()) {
        match best.iter_mut().find(|known| known.cell.attack == cell.cell.attack) {
            None => best.push(cell),
            Some(known) => {
                let rank = |cell: &CellSummary| ((is_head(cell), cell.cell.epsilon), cell.flip_rate_all.point);
                let (new, old) = (rank(cell), rank(known));
                if new.0 > old.0 || (new.0 == old.0 && new.1 > old.1) {
                    *known = cell;
                }
            }
        }
    }
    let label = |cell: &CellSummary| match &cell.cell.unit {
        Some(unit) if cell.cell.kind.drives_unit() => format!("{} (strongest unit {unit})", cell.cell.attack),
        // What is made of the features mostly is the attack's name already.
        Some(objective) if !cell.cell.attack.contains(&objective.to_string()) => {
            format!("{} ({objective})", cell.cell.attack)
        }
        _ => cell.cell.attack.clone(),
    };
    best.into_iter().map(|cell| (label(cell), cell)).collect()
}
