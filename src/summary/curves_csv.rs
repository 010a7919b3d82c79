//! `curves.csv`: the robust accuracy at every radius, from distances, by every method and by the envelope of all.

use std::path::Path;

use super::DistanceSummary;
use super::csv::{estimate_fields, write_table};
use crate::record::{StoreError, float_text};

/// The columns of `curves.csv`, in order.
pub const CURVES_COLUMNS: [&str; 14] = [
    "model",
    "norm",
    "method",
    "n",
    "without_flip",
    "median",
    "median_lo",
    "median_hi",
    "optimality",
    "radius",
    "share_beyond",
    "share_beyond_lo",
    "share_beyond_hi",
    "at_risk",
];

/// Write `curves.csv` to `path`: whole and synced, or not at all. Returns its blake3 hash.
///
/// # Errors
/// If the file cannot be written.
pub fn write_curves(path: &Path, distances: &[DistanceSummary]) -> Result<String, StoreError> {
    write_table(path, CURVES_COLUMNS.map(String::from).to_vec(), distances.iter().flat_map(rows))
}

/// One row for each step of a method's curve; one without a step if nothing flipped.
fn rows(summary: &DistanceSummary) -> Vec<Vec<String>> {
    let mut shared = vec![
        summary.model.clone(),
        summary.norm.to_string(),
        summary.method.clone(),
        summary.n.to_string(),
        summary.censored.to_string(),
    ];
    shared.extend(estimate_fields(summary.median));
    shared.push(summary.optimality.map(float_text).unwrap_or_default());
    if summary.curve.is_empty() {
        shared.extend([const { String::new() }; 5]);
        return vec![shared];
    }
    let row = |step: &super::SurvivalPoint| {
        let mut row = shared.clone();
        row.push(float_text(step.distance));
        row.extend(estimate_fields(Some(step.survival)));
        row.push(step.at_risk.to_string());
        row
    };
    summary.curve.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Estimate;
    use crate::summary::SurvivalPoint;
    use crate::terms::Norm;

    #[test]
    fn each_step_of_a_curve_has_its_row_and_a_method_without_flips_has_one() {
        let estimate = |point: f64| Estimate { point, lo: point - 0.1, hi: point + 0.1 };
        let step = |distance: f64, left: f64| SurvivalPoint { distance, survival: estimate(left), at_risk: 4 };
        let summary = DistanceSummary {
            model: "cnn".into(),
            method: "fmn".into(),
            norm: Norm::L2,
            n: 4,
            censored: 1,
            median: Some(estimate(0.5)),
            optimality: Some(0.75),
            curve: vec![step(0.25, 0.75), step(0.5, 0.25)],
        };
        let none =
            DistanceSummary { censored: 4, median: None, optimality: Some(0.0), curve: Vec::new(), ..summary.clone() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.csv");
        write_curves(&path, &[summary, none]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[0].split(',').count(), CURVES_COLUMNS.len());
        assert_eq!(lines[2], "cnn,l2,fmn,4,1,0.5,0.4,0.6,0.75,0.5,0.25,0.15,0.35,4");
        assert_eq!(lines[3], "cnn,l2,fmn,4,4,,,,0,,,,,");
    }
}
