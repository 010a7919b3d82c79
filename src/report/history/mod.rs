//! The history of runs as text, chart and page: all from the same [`History`](crate::history::History).

mod chart;
mod page;
mod text;

pub use page::{Pages, pages};
pub use text::text;

use crate::history::{Entry, Finding, Series};
use crate::report::gate::{difference, p_value, value};
use crate::suite::gate::{Metric, utc};
use crate::wording::format;

/// What a series is about, without its model: `worst case, linf 8/255`.
fn series_name(series: &Series) -> String {
    let subject = &series.subject;
    let ball = match (subject.norm, subject.epsilon) {
        (Some(norm), Some(epsilon)) => format!("{} {}", format::norm(norm), format::epsilon(epsilon)),
        (Some(norm), None) => format::norm(norm).to_owned(),
        _ => String::new(),
    };
    match series.metric {
        Metric::CleanAccuracy | Metric::AllNormsAccuracy => series.metric.words().to_owned(),
        Metric::WorstCaseAccuracy => format!("worst-case accuracy, {ball}"),
        Metric::DistanceMedian => {
            format!("median distance, {ball}, {}", subject.method.as_deref().unwrap_or("unknown method"))
        }
        other => format!("{}, {ball}", other.words()),
    }
}

/// A run in few characters: its day, and its commit.
fn short(entry: &Entry) -> String {
    let day = utc(entry.moment.seconds)[..10].to_owned();
    match &entry.commit {
        Some(commit) => format!("{day} {}", commit.get(..7).unwrap_or(commit)),
        None => day,
    }
}

/// The finding in a few words.
fn word(finding: Finding) -> &'static str {
    match finding {
        Finding::TooFew => "too few runs for a trend",
        Finding::Steady => "steady",
        Finding::Fell(_) => "fell",
        Finding::Rose(_) => "rose",
        Finding::DriftsDown => "drifts down",
        Finding::DriftsUp => "drifts up",
    }
}

/// The finding as a sentence with its numbers; `runs` are those of the group.
fn sentence(series: &Series, runs: &[Entry]) -> String {
    let trend = series.trend.as_ref().map(|trend| {
        format!(
            "{} per run over the last {} states of the model, {}",
            difference(series.metric, &trend.slope),
            trend.measurements,
            p_value(series.p_trend)
        )
    });
    match series.finding {
        Finding::Fell(place) | Finding::Rose(place) => {
            let point = &series.points[place];
            let step = point.step.as_ref();
            let step = step
                .map(|step| format!("{}, {}", difference(series.metric, &step.difference), p_value(step.p_adjusted)));
            let word = word(series.finding);
            format!("{word} with run {} ({}): {}", point.run + 1, short(&runs[point.run]), step.unwrap_or_default())
        }
        Finding::DriftsDown | Finding::DriftsUp => {
            format!("{}, though no single step is significant: {}", word(series.finding), trend.unwrap_or_default())
        }
        Finding::Steady => format!("no significant step and no trend: {}", trend.unwrap_or_default()),
        Finding::TooFew => {
            let states = series.points.iter().filter(|point| point.changed).count();
            let states = if states == 1 { "one state".to_owned() } else { format!("{states} states") };
            format!("no significant step; {states} of the model, and a trend needs {}", crate::stats::FEWEST)
        }
    }
}

/// The last value with its interval.
fn now(series: &Series) -> String {
    series.points.last().map_or_else(String::new, |point| value(series.metric, &point.estimate))
}

#[cfg(test)]
mod tests;
