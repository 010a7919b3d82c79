//! `history.csv`: one row per group, number and run.

use std::path::Path;

use super::{History, Point, Series};
use crate::record::{AtomicFile, StoreError, float_text};
use crate::stats::Estimate;
use crate::suite::gate::utc;
use crate::terms::Epsilon;
use crate::wording::escape::cell;

/// The columns.
pub const COLUMNS: [&str; 27] = [
    "group",
    "suite",
    "seed",
    "place",
    "run",
    "folder",
    "time",
    "time_certain",
    "commit",
    "model",
    "metric",
    "norm",
    "epsilon",
    "method",
    "n",
    "value",
    "value_lo",
    "value_hi",
    "weights_changed",
    "difference",
    "difference_lo",
    "difference_hi",
    "p",
    "p_adjusted",
    "trend_per_run",
    "trend_p_adjusted",
    "doubts",
];

/// Write `history.csv` to `path`, whole and synced, or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_history(path: &Path, history: &History) -> Result<(), StoreError> {
    let mut writer = ::csv::Writer::from_writer(AtomicFile::create(path)?);
    let failed = |error: ::csv::Error| StoreError::Content { path: path.to_owned(), problem: error.to_string() };
    writer.write_record(COLUMNS).map_err(failed)?;
    for (number, group) in history.groups.iter().enumerate() {
        for series in &group.series {
            for point in &series.points {
                let run = &group.runs[point.run];
                let mut row = vec![
                    (number + 1).to_string(),
                    group.suite.clone(),
                    group.seed.to_string(),
                    (point.run + 1).to_string(),
                    run.run.clone(),
                    run.folder.display().to_string(),
                    utc(run.moment.seconds),
                    run.moment.certain.to_string(),
                    run.commit.clone().unwrap_or_default(),
                ];
                row.extend(numbers(series, point));
                let row: Vec<String> = row.iter().map(|text| cell(text).into_owned()).collect();
                writer.write_record(row).map_err(failed)?;
            }
        }
    }
    let file = writer.into_inner().map_err(|error| StoreError::io("write", path)(error.into_error()))?;
    file.finish().map(|_| ())
}

fn numbers(series: &Series, point: &Point) -> Vec<String> {
    let subject = &series.subject;
    let three = |estimate: &Estimate| [estimate.point, estimate.lo, estimate.hi].map(float_text);
    let step = point.step.as_ref();
    let mut row = vec![
        subject.model.clone(),
        series.metric.as_str().to_owned(),
        subject.norm.map_or("", |norm| norm.as_str()).to_owned(),
        subject.epsilon.map(Epsilon::value).map(float_text).unwrap_or_default(),
        subject.method.clone().unwrap_or_default(),
        point.n.to_string(),
    ];
    row.extend(three(&point.estimate));
    row.push(point.changed.to_string());
    row.extend(step.map_or_else(Default::default, |step| three(&step.difference)));
    row.push(step.map(|step| float_text(step.p)).unwrap_or_default());
    row.push(step.map(|step| float_text(step.p_adjusted)).unwrap_or_default());
    row.push(series.trend.as_ref().map(|trend| float_text(trend.slope.point)).unwrap_or_default());
    row.push(series.trend.as_ref().map(|_| float_text(series.p_trend)).unwrap_or_default());
    row.push(point.doubts.join(";"));
    row
}
