//! The numbers of a group's runs: points, steps, trends.

use super::{ALPHA, Entry, Finding, Point, Series, Step};
use crate::gate::check::{paired, rate};
use crate::gate::measure::{Measure, measures};
use crate::gate::{Distance, Distances, Snapshot, Subject, distances};
use crate::stats::{Estimate, Trend, holm, trend};
use crate::suite::gate::Metric;

/// What one run knows of a subject.
enum Value {
    Rate(Measure),
    Distance(Distances),
}

/// Every series of the runs, by first appearance of its subject in each metric; what a trend looks back on.
pub(super) fn series(runs: &[(Entry, Snapshot)], last: usize) -> Vec<Series> {
    let mut found = Vec::new();
    for metric in [Metric::CleanAccuracy, Metric::WorstCaseAccuracy, Metric::DistanceMedian] {
        let mut rows: Vec<(Subject, Vec<(usize, Value)>)> = Vec::new();
        for (run, (_, snapshot)) in runs.iter().enumerate() {
            for (subject, value) in values(snapshot, metric) {
                match rows.iter_mut().find(|(known, _)| *known == subject) {
                    Some((_, row)) => row.push((run, value)),
                    None => rows.push((subject, vec![(run, value)])),
                }
            }
        }
        found.extend(rows.into_iter().map(|(subject, row)| one(runs, subject, metric, &row, last)));
    }
    let family: Vec<usize> = (0..found.len()).filter(|place| found[*place].trend.is_some()).collect();
    let p: Vec<f64> = family.iter().map(|place| found[*place].p_trend).collect();
    for (place, p) in family.into_iter().zip(holm(&p)) {
        found[place].p_trend = p;
    }
    found.iter_mut().for_each(|series| series.finding = finding(series));
    found
}

fn values(snapshot: &Snapshot, metric: Metric) -> Vec<(Subject, Value)> {
    match metric {
        Metric::DistanceMedian => snapshot
            .distances
            .iter()
            .map(|distances| (distances::subject(distances), Value::Distance(distances.clone())))
            .collect(),
        _ => measures(snapshot, metric)
            .into_iter()
            .map(|measure| (measure.subject.clone(), Value::Rate(measure)))
            .collect(),
    }
}

fn one(runs: &[(Entry, Snapshot)], subject: Subject, metric: Metric, row: &[(usize, Value)], last: usize) -> Series {
    let weights = |run: usize| {
        let models = &runs[run].1.provenance.models;
        models.iter().find(|model| model.name == subject.model).map(|model| model.weights_hash.as_str())
    };
    let mut points: Vec<Point> = Vec::new();
    // The value of each state of the model, in turn.
    let mut states: Vec<&Value> = Vec::new();
    for (run, value) in row {
        let Some((n, estimate)) = estimate(value) else { continue };
        let changed = points.last().is_none_or(|before| weights(before.run) != weights(*run));
        let step = states.last().filter(|_| changed).and_then(|before| step(before, value, &runs[*run].1));
        let doubts = match value {
            Value::Rate(measure) => measure.doubts.iter().cloned().collect(),
            Value::Distance(_) => Vec::new(),
        };
        if changed {
            states.push(value);
        }
        points.push(Point { run: *run, estimate, n, doubts, changed, step });
    }
    let steps: Vec<f64> = points.iter().filter_map(|point| point.step.as_ref()).map(|step| step.p).collect();
    let adjusted = holm(&steps);
    for (step, p) in points.iter_mut().filter_map(|point| point.step.as_mut()).zip(adjusted) {
        step.p_adjusted = p;
    }
    let trend = trend_of(&states[states.len().saturating_sub(last)..]);
    let p_trend = trend.as_ref().map_or(1.0, Trend::p);
    Series { subject, metric, points, trend, p_trend, finding: Finding::TooFew }
}

/// Number of samples and value; none without samples.
fn estimate(value: &Value) -> Option<(u64, Estimate)> {
    match value {
        Value::Rate(measure) => Some((measure.population.len(), rate(measure)?)),
        Value::Distance(distances) => Some(distances::median(distances)).filter(|(n, _)| *n > 0),
    }
}

fn step(before: &Value, now: &Value, snapshot: &Snapshot) -> Option<Step> {
    let (change, better) = match (before, now) {
        (Value::Rate(before), Value::Rate(now)) => paired(before, now, true)?.change(&snapshot.samples),
        (Value::Distance(before), Value::Distance(now)) => distances::change(before, now, &snapshot.samples)?,
        _ => return None,
    };
    let p = (2.0 * change.p.min(better)).min(1.0);
    Some(Step { difference: change.estimate, p, p_adjusted: p })
}

/// The trend over the samples that every state measured. Distances beyond the smallest radius that was searched count as that radius.
fn trend_of(states: &[&Value]) -> Option<Trend> {
    let searched = states.iter().filter_map(|value| match value {
        Value::Distance(distances) => Some(distances.searched),
        Value::Rate(_) => None,
    });
    let end = searched.fold(f64::MAX, f64::min);
    let number = |value: &Value, sample: u32| match value {
        Value::Rate(measure) if !measure.population.contains(sample) => None,
        Value::Rate(measure) => Some(f64::from(u8::from(measure.yes.contains(sample)))),
        Value::Distance(distances) => match distances.values.get(sample as usize) {
            None | Some(Distance::Missing) => None,
            Some(Distance::Censored) => Some(end),
            Some(Distance::At(distance)) => Some(distance.min(end)),
        },
    };
    let samples: Vec<u32> = match states.first()? {
        Value::Rate(measure) => measure.population.iter().collect(),
        Value::Distance(distances) => (0..distances.values.len() as u32).collect(),
    };
    let row = |sample: &u32| states.iter().map(|value| number(value, *sample)).collect::<Option<Vec<f64>>>();
    let rows: Vec<Vec<f64>> = samples.iter().filter_map(row).collect();
    trend(&rows)
}

fn finding(series: &Series) -> Finding {
    let significant = |point: &Point| point.step.as_ref().is_some_and(|step| step.p_adjusted < ALPHA);
    if let Some(place) = series.points.iter().rposition(significant) {
        let fell = series.points[place].step.as_ref().is_some_and(|step| step.difference.point < 0.0);
        return if fell { Finding::Fell(place) } else { Finding::Rose(place) };
    }
    match &series.trend {
        None => Finding::TooFew,
        Some(trend) if series.p_trend < ALPHA && trend.slope.point < 0.0 => Finding::DriftsDown,
        Some(_) if series.p_trend < ALPHA => Finding::DriftsUp,
        Some(_) => Finding::Steady,
    }
}
