//! Radii that tell nothing apart, and radii that would.

use super::headline::headlines;
use crate::record::TOWARDS;
use crate::summary::{DistanceSummary, ENVELOPE, RunSummary};
use crate::terms::{Epsilon, Norm};
use crate::wording::format;

/// Of what is right without an attack, at most this share may be left at the smallest radius of a norm that tells nothing.
const NOTHING_LEFT: f64 = 0.02;
/// Shares of the images that proposed radii leave.
const LEAVE: [f64; 4] = [0.75, 0.5, 0.25, 0.1];

/// For each model and norm in which every radius leaves nothing, or takes nothing, one sentence with radii that would tell more.
pub fn advice(summary: &RunSummary) -> Vec<String> {
    let mut lines = Vec::new();
    for model in &summary.models {
        let clean = model.clean_accuracy.point;
        for norm in headlines(summary).into_iter().map(|at| at.norm) {
            let radii: Vec<(Epsilon, f64)> = model
                .worst_case
                .iter()
                .filter(|(known, _, _)| *known == norm)
                .map(|(_, epsilon, rate)| (*epsilon, rate.point))
                .collect();
            let (Some((smallest, most)), Some((largest, least))) = (radii.first(), radii.last()) else { continue };
            if clean <= 0.0 || model.n < 2 {
                continue;
            }
            let problem = if *most <= NOTHING_LEFT * clean {
                format!(
                    "nothing is left at any radius in {}, the smallest of which is {}",
                    format::norm(norm),
                    format::epsilon(*smallest)
                )
            } else if *least >= clean && radii.len() > 1 {
                format!(
                    "no radius in {} takes anything, the largest of which is {}",
                    format::norm(norm),
                    format::epsilon(*largest)
                )
            } else {
                continue;
            };
            lines.push(format!(
                "{}: {problem}: the radii tell nothing apart. {}",
                model.model,
                remedy(summary, &model.model, norm, *smallest)
            ));
        }
    }
    lines
}

/// Radii from the distances that the run measured, else how to measure some.
fn remedy(summary: &RunSummary, model: &str, norm: Norm, smallest: Epsilon) -> String {
    let of_model = || {
        summary
            .distances
            .iter()
            .filter(|distance| distance.model == model && distance.norm == norm && distance.median.is_some())
            // Distances to one class are not those to the boundary.
            .filter(|distance| !distance.method.contains(TOWARDS))
    };
    let found = of_model().find(|distance| distance.method == ENVELOPE).or_else(|| of_model().next());
    let proposed = found.map(|distance| proposed(distance, norm)).unwrap_or_default();
    if proposed.is_empty() {
        return format!(
            "Measure distances in {} ([boundary] with norm = \"{norm}\") to see which would; those of this run begin at {}",
            format::norm(norm),
            format::epsilon(smallest)
        );
    }
    format!("By the distances of this run these would: epsilons = [{}]", proposed.join(", "))
}

/// The distances at which so many images are left, rounded to two digits, without repetitions.
fn proposed(distances: &DistanceSummary, norm: Norm) -> Vec<String> {
    // Misclassified images have the distance 0.
    let start = distances
        .curve
        .iter()
        .take_while(|point| point.distance <= 0.0)
        .last()
        .map_or(1.0, |point| point.survival.point);
    let mut radii: Vec<f64> = LEAVE
        .iter()
        .filter_map(|share| {
            let point =
                distances.curve.iter().find(|point| point.distance > 0.0 && point.survival.point <= share * start)?;
            Some(point.distance)
        })
        .collect();
    radii.sort_by(f64::total_cmp);
    let mut texts: Vec<String> = radii.into_iter().map(|radius| text(radius, norm)).collect();
    texts.dedup();
    texts
}

/// As a suite writes it: two digits, in l-inf of 255 steps.
fn text(radius: f64, norm: Norm) -> String {
    let two_digits = |value: f64| format!("{value:.1e}").parse::<f64>().unwrap_or(value).to_string();
    match norm {
        Norm::Linf => format!("\"{}/255\"", two_digits(radius * 255.0)),
        _ => two_digits(radius),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::realistic;
    use crate::stats::Estimate;
    use crate::summary::SurvivalPoint;

    fn exactly(point: f64) -> Estimate {
        Estimate { point, lo: point, hi: point }
    }

    /// A run whose attacks leave `left` of the one model at each l-inf radius.
    fn run(left: f64) -> RunSummary {
        let mut summary = realistic(&["m"]);
        summary.models[0].clean_accuracy = exactly(0.8);
        summary.models[0].worst_case =
            [2.0, 4.0].map(|k| (Norm::Linf, Epsilon::new(k / 255.0).unwrap(), exactly(left))).to_vec();
        summary.distances.clear();
        summary
    }

    fn curve(norm: Norm, unit: f64) -> DistanceSummary {
        let point = |place: u32| SurvivalPoint {
            distance: f64::from(place) * unit,
            survival: exactly(0.8 * (1.0 - f64::from(place) / 20.0)),
            at_risk: 20 - u64::from(place),
        };
        DistanceSummary {
            model: "m".to_owned(),
            method: "fmn".to_owned(),
            norm,
            n: 20,
            censored: 0,
            median: Some(exactly(10.0 * unit)),
            optimality: None,
            curve: (0..=20).map(point).collect(),
        }
    }

    #[test]
    fn radii_that_leave_nothing_are_told_with_better_ones() {
        let mut saturated = run(0.0);
        let without = advice(&saturated);
        assert!(without.len() == 1 && without[0].contains("Measure distances in ℓ∞"), "{without:?}");
        saturated.distances.push(curve(Norm::L2, 0.1));
        assert!(advice(&saturated)[0].contains("Measure distances"), "another norm says nothing");
        saturated.distances.push(curve(Norm::Linf, 0.02 / 255.0));
        assert_eq!(
            advice(&saturated),
            [
                "m: nothing is left at any radius in ℓ∞, the smallest of which is 2/255: the radii tell nothing apart. By the distances of \
              this run these would: epsilons = [\"0.1/255\", \"0.2/255\", \"0.3/255\", \"0.36/255\"]"
            ]
        );
    }

    #[test]
    fn radii_that_take_nothing_are_told_and_others_are_not() {
        assert!(advice(&run(0.8))[0].contains("takes anything"));
        assert_eq!(advice(&run(0.4)), Vec::<String>::new());
    }
}
