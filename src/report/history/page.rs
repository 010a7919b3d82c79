//! `history.html`: the history as one self-contained page, with its charts as files beside it.

use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

use super::{chart, now, sentence, series_name, short, word};
use crate::history::{Finding, Group, History, Point, Series};
use crate::report::ReportError;
use crate::report::chart::figure;
use crate::report::gate::{difference, p_value, value};
use crate::report::page::provenance::command as shell_command;
use crate::report::page::shell::{self, MOST_BYTES};
use crate::suite::gate::utc;
use crate::wording::format;
use crate::wording::format::typeset;

/// Rows of a group's table; the rest is in `history.csv`.
const MOST_ROWS: usize = 2000;
const MOST_CHART_BYTES: usize = MOST_BYTES / 3;

const TEMPLATE: &str = include_str!("../page/templates/history.html.jinja");

/// The page and its pictures.
pub struct Pages {
    /// `history.html`.
    pub page: String,
    /// PNG files by name.
    pub charts: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Serialize)]
struct View {
    title: String,
    runs: usize,
    groups: Vec<GroupView>,
    unusable: Vec<(String, String)>,
    last: usize,
    fewest: usize,
    command: String,
}

#[derive(Debug, Serialize)]
struct GroupView {
    suite: String,
    dataset: String,
    samples: String,
    seed: u64,
    differs: Vec<String>,
    runs: Vec<RunView>,
    findings: Vec<FindingView>,
    charts: Vec<String>,
    charts_dropped: usize,
    rows: Vec<RowView>,
    rows_hidden: usize,
}

#[derive(Debug, Serialize)]
struct RunView {
    number: usize,
    run: String,
    folder: String,
    time: String,
    uncertain: bool,
    commit: String,
    device: String,
}

#[derive(Debug, Serialize)]
struct FindingView {
    model: String,
    series: String,
    now: String,
    point: f64,
    word: &'static str,
    class: &'static str,
    sentence: String,
}

#[derive(Debug, Serialize)]
struct RowView {
    model: String,
    series: String,
    number: usize,
    run: String,
    value: String,
    point: f64,
    n: String,
    difference: String,
    step: f64,
    p: String,
    p_value: f64,
    significant: bool,
    same: bool,
    doubts: Vec<String>,
}

/// The page and the pictures. `command` made the history, and makes it again.
///
/// # Errors
/// If a chart cannot be drawn.
pub fn pages(history: &History, command: &[String]) -> Result<Pages, ReportError> {
    let mut charts = Vec::new();
    let mut room = MOST_CHART_BYTES;
    let mut groups = Vec::new();
    for (place, group) in history.groups.iter().enumerate() {
        groups.push(group_view(group, place, &mut charts, &mut room)?);
    }
    let mut suites: Vec<&str> = history.groups.iter().map(|group| group.suite.as_str()).collect();
    suites.dedup();
    let title = if suites.is_empty() { "no run".to_owned() } else { suites.join(", ") };
    let unusable = history.unusable.iter().map(|run| (run.folder.display().to_string(), run.why.clone()));
    let view = View {
        runs: history.groups.iter().map(|group| group.runs.len()).sum(),
        unusable: unusable.collect(),
        last: history.last,
        fewest: crate::stats::FEWEST,
        command: shell_command(command),
        groups,
        title: title.clone(),
    };
    let page = shell::render(TEMPLATE, &format!("{title} · history of runs"), context! { view => Serde(&view) })?;
    Ok(Pages { page, charts })
}

fn group_view(
    group: &Group,
    place: usize,
    files: &mut Vec<(String, Vec<u8>)>,
    room: &mut usize,
) -> Result<GroupView, ReportError> {
    let (mut charts, mut charts_dropped) = (Vec::new(), 0);
    for (number, course) in chart::courses(group).iter().enumerate() {
        let name = format!("{}-{}-{}", place + 1, number + 1, course.slug());
        let failed = |source| ReportError::Draw { chart: name.clone(), source };
        files.push((format!("{name}.png"), figure::png(course).map_err(failed)?));
        let svg = figure::svg(course, &format!("c{name}")).map_err(failed)?;
        match room.checked_sub(svg.len()) {
            Some(left) => {
                *room = left;
                charts.push(svg);
            }
            None => charts_dropped += 1,
        }
    }
    let mut rows: Vec<RowView> =
        group.series.iter().flat_map(|series| series.points.iter().map(|point| row(series, point, group))).collect();
    let rows_hidden = rows.len().saturating_sub(MOST_ROWS);
    rows.truncate(MOST_ROWS);
    Ok(GroupView {
        suite: group.suite.clone(),
        dataset: group.dataset.clone(),
        samples: format::count(group.samples as u64),
        seed: group.seed,
        differs: group.differs.clone(),
        runs: runs(group),
        findings: group.series.iter().map(|series| finding(series, group)).collect(),
        charts,
        charts_dropped,
        rows,
        rows_hidden,
    })
}

fn runs(group: &Group) -> Vec<RunView> {
    let view = |(place, run): (usize, &crate::history::Entry)| RunView {
        number: place + 1,
        run: run.run.clone(),
        folder: run.folder.display().to_string(),
        time: utc(run.moment.seconds).replace('T', " ").trim_end_matches('Z').to_owned(),
        uncertain: !run.moment.certain,
        commit: run.commit.clone().unwrap_or_default(),
        device: run.device.clone(),
    };
    group.runs.iter().enumerate().map(view).collect()
}

fn finding(series: &Series, group: &Group) -> FindingView {
    let class = match series.finding {
        Finding::Fell(_) | Finding::DriftsDown => "bad",
        Finding::Rose(_) | Finding::DriftsUp => "good",
        Finding::TooFew | Finding::Steady => "",
    };
    FindingView {
        model: series.subject.model.clone(),
        series: series_name(series),
        now: typeset(now(series)),
        point: series.points.last().map_or(0.0, |point| point.estimate.point),
        word: word(series.finding),
        class,
        sentence: typeset_numbers(sentence(series, &group.runs)),
    }
}

/// True minus signs before digits; hyphens of words and dates stay.
fn typeset_numbers(text: String) -> String {
    let letters: Vec<char> = text.chars().collect();
    let minus = |place: usize| {
        let before = place.checked_sub(1).and_then(|place| letters.get(place)).copied().unwrap_or(' ');
        (before == ' ' || before == '(') && letters.get(place + 1).is_some_and(char::is_ascii_digit)
    };
    letters
        .iter()
        .enumerate()
        .map(|(place, &letter)| if letter == '-' && minus(place) { '\u{2212}' } else { letter })
        .collect()
}

fn row(series: &Series, point: &Point, group: &Group) -> RowView {
    let step = point.step.as_ref();
    RowView {
        model: series.subject.model.clone(),
        series: series_name(series),
        number: point.run + 1,
        run: short(&group.runs[point.run]),
        value: typeset(value(series.metric, &point.estimate)),
        point: point.estimate.point,
        n: format::count(point.n),
        difference: step.map(|step| typeset(difference(series.metric, &step.difference))).unwrap_or_default(),
        step: step.map_or(0.0, |step| step.difference.point),
        p: step
            .map(|step| p_value(step.p_adjusted).trim_start_matches("p = ").trim_start_matches("p ").to_owned())
            .unwrap_or_default(),
        p_value: step.map_or(2.0, |step| step.p_adjusted),
        significant: step.is_some_and(|step| step.p_adjusted < crate::history::ALPHA),
        same: !point.changed,
        doubts: point.doubts.clone(),
    }
}
