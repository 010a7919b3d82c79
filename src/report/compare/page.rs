//! `compare.html`: the comparison as one self-contained page.

use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

use super::units::UnitPairs;
use super::{cells, cells_sentence, chart, label, warnings};
use crate::compare::{Comparison, Contrast, Row};
use crate::record::Thumbnails;
use crate::report::ReportError;
use crate::report::chart::figure;
use crate::report::page::provenance::command as shell_command;
use crate::report::page::shell::{self, MOST_BYTES};
use crate::report::page::thumbs::{Album, Thumb};
use crate::suite::gate::Metric;
use crate::wording::format;
use crate::wording::format::slug;
use crate::wording::format::typeset;

/// Pictures of newly broken (or fixed) samples of one contrast.
const MOST_THUMBS: usize = 120;
/// Rows of a contrast's table of cells; the rest is in `compare.csv`.
const MOST_CELLS: usize = 600;
/// Bytes of pictures in a page, and of charts.
const ROOM: usize = MOST_BYTES / 2;
const MOST_CHART_BYTES: usize = MOST_BYTES / 5;

const TEMPLATE: &str = include_str!("../page/templates/compare.html.jinja");

#[derive(Debug, Serialize)]
struct View {
    reference: String,
    dataset: String,
    n: String,
    contrasts: Vec<ContrastView>,
    mismatches: Vec<String>,
    charts: Vec<String>,
    charts_dropped: usize,
    pictures: bool,
    command: String,
}

#[derive(Debug, Serialize)]
struct ContrastView {
    models: String,
    run: String,
    finding: &'static str,
    class: &'static str,
    rows: Vec<RowView>,
    cells_sentence: String,
    cells: Vec<RowView>,
    cells_hidden: usize,
    broken: Changed,
    fixed: Changed,
    warnings: Vec<String>,
    drift: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RowView {
    label: String,
    reference: Value,
    run: Value,
    difference: Value,
    /// For sorting.
    point: f64,
    class: &'static str,
    p: String,
    p_value: f64,
    n: String,
    broken: u64,
    fixed: u64,
    log_rank: Option<String>,
    signs: Vec<String>,
}

/// A number, and its interval in parentheses.
#[derive(Debug, Serialize)]
struct Value {
    text: String,
    interval: String,
}

impl Value {
    fn new(text: String) -> Self {
        let text = typeset(text);
        let (number, interval) = text.find(" (").map_or((text.as_str(), ""), |at| text.split_at(at));
        Value { text: number.to_owned(), interval: interval.trim_start().to_owned() }
    }
}

/// Samples that changed, grouped by what shows it first.
#[derive(Debug, Serialize)]
struct Changed {
    count: String,
    groups: Vec<Group>,
    hidden: String,
}

#[derive(Debug, Serialize)]
struct Group {
    label: String,
    count: String,
    thumbs: Vec<Thumb>,
}

/// The page. `thumbnails` are of any of the runs, `units` pictures of units that both models of a contrast have; `command` made the comparison, and makes it again.
///
/// # Errors
/// If a chart cannot be drawn.
pub fn page(
    comparison: &Comparison,
    thumbnails: &Thumbnails,
    units: &UnitPairs,
    command: &[String],
) -> Result<String, ReportError> {
    let mut album = Album::new(thumbnails, ROOM);
    let contrasts =
        comparison.contrasts.iter().map(|contrast| contrast_view(comparison, contrast, &mut album)).collect();
    let (charts, charts_dropped) = charts(comparison)?;
    let view = View {
        reference: comparison.reference.clone(),
        dataset: comparison.dataset.clone(),
        n: format::count(comparison.n),
        contrasts,
        mismatches: mismatches(comparison),
        charts,
        charts_dropped,
        pictures: !thumbnails.is_empty(),
        command: shell_command(command),
    };
    let title = format!("{} · comparison of runs", comparison.reference);
    shell::render(TEMPLATE, &title, context! { view => Serde(&view), units => Serde(units) })
}

/// The charts that fit, and how many do not.
fn charts(comparison: &Comparison) -> Result<(Vec<String>, usize), ReportError> {
    let reach = chart::reach(&comparison.contrasts);
    let (mut charts, mut used, mut dropped) = (Vec::new(), 0, 0);
    for (place, contrast) in comparison.contrasts.iter().enumerate() {
        let Some(figure) = chart::differences(contrast, reach) else { continue };
        let name = format!("differences-{place}-{}", slug(&contrast.models.to_string()));
        let svg = figure::svg(&figure, &name).map_err(|source| ReportError::Draw { chart: name, source })?;
        used += svg.len();
        if used <= MOST_CHART_BYTES { charts.push(svg) } else { dropped += 1 }
    }
    Ok((charts, dropped))
}

/// Each differing condition once.
fn mismatches(comparison: &Comparison) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for contrast in &comparison.contrasts {
        for found in &contrast.mismatches {
            let line = format!("{}: {}", contrast.run, found.against("reference"));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

fn contrast_view(comparison: &Comparison, contrast: &Contrast, album: &mut Album<'_>) -> ContrastView {
    let all = contrast.cells().count();
    let mut rows_shown: Vec<&Row> = contrast.cells().collect();
    if all > MOST_CELLS {
        rows_shown.sort_by(|a, b| {
            let size = |row: &Row| row.change.estimate.point.abs();
            a.is_control().cmp(&b.is_control()).then(size(b).total_cmp(&size(a)))
        });
        rows_shown.truncate(MOST_CELLS);
    }
    let finding = contrast.finding();
    ContrastView {
        models: contrast.models.to_string(),
        run: contrast.run.clone(),
        finding,
        class: match finding {
            "less robust" => "bad",
            "more robust" => "good",
            "no significant difference" => "note",
            _ => "warn",
        },
        rows: contrast.headline().map(row_view).collect(),
        cells_sentence: cells_sentence(contrast),
        cells: rows_shown.into_iter().map(row_view).collect(),
        cells_hidden: all.saturating_sub(MOST_CELLS),
        broken: changed(comparison, contrast, false, album),
        fixed: changed(comparison, contrast, true, album),
        warnings: warnings(contrast),
        drift: contrast.drift.clone(),
    }
}

fn row_view(row: &Row) -> RowView {
    let [reference, run, difference, p, _, _] = cells(row);
    let class = match row.change.estimate.point {
        _ if !row.is_significant() => "",
        point if point < 0.0 => "bad",
        _ => "good",
    };
    RowView {
        label: label(row),
        reference: Value::new(reference),
        run: Value::new(run),
        difference: Value::new(difference),
        point: row.change.estimate.point,
        class,
        p,
        p_value: row.change.p_adjusted,
        n: format::count(row.change.n),
        broken: row.change.broken,
        fixed: row.change.fixed,
        log_rank: row.log_rank.map(super::p_value),
        signs: row.new_signs.clone(),
    }
}

fn changed(comparison: &Comparison, contrast: &Contrast, fixed: bool, album: &mut Album<'_>) -> Changed {
    let samples = contrast.changed(fixed);
    let pictured = samples.len().min(MOST_THUMBS);
    let cause = |sample: u32, row: &Row| {
        let [before, now] = &contrast.correct;
        let robust = if fixed { before } else { now };
        let was_wrong = !robust.contains(sample) && row.metric != Metric::CleanAccuracy;
        if was_wrong { "misclassified" } else { "" }.to_owned()
    };
    let mut groups: Vec<Group> = Vec::new();
    for part in samples.chunk_by(|(_, a), (_, b)| std::ptr::eq(*a, *b)) {
        let taken: usize = groups.iter().map(|group| group.thumbs.len()).sum();
        let thumbs = part.iter().take(pictured.saturating_sub(taken)).filter_map(|(sample, row)| {
            let id = comparison.samples.get(*sample as usize)?;
            Some(album.thumb(id, cause(*sample, row)))
        });
        let cell_label = label(part[0].1);
        groups.push(Group { label: cell_label, count: format::count(part.len() as u64), thumbs: thumbs.collect() });
    }
    Changed {
        count: format::count(samples.len() as u64),
        hidden: format::count((samples.len() - pictured) as u64),
        groups,
    }
}
