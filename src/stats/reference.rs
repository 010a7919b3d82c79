//! Against SciPy, statsmodels and lifelines: `tests/fixtures/stats/make.py` made the values.

use serde_json::Value;

use super::*;

fn fixture(name: &str) -> Vec<Value> {
    let text = include_str!("../../tests/fixtures/stats/reference.json");
    match serde_json::from_str::<Value>(text).unwrap()[name].take() {
        Value::Array(cases) if !cases.is_empty() => cases,
        Value::Object(case) => vec![Value::Object(case)],
        other => panic!("fixture `{name}` is {other}"),
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap_or(f64::INFINITY)).collect()
}

fn observations(distance: &Value, event: &Value) -> Vec<Observation> {
    let events = event.as_array().unwrap().iter().map(|event| event.as_bool().unwrap());
    numbers(distance).into_iter().zip(events).map(|(distance, event)| Observation { distance, event }).collect()
}

#[track_caller]
fn close(ours: f64, theirs: f64, tolerance: f64) {
    assert!(ours == theirs || (ours - theirs).abs() <= tolerance, "{ours} is not {theirs}");
}

#[track_caller]
fn same_interval(ours: Estimate, theirs: &Value, tolerance: f64) {
    let theirs = numbers(theirs);
    close(ours.lo, theirs[0], tolerance);
    close(ours.hi, theirs[1], tolerance);
}

#[test]
fn proportions() {
    for case in fixture("proportions") {
        let (k, n) = (case["k"].as_u64().unwrap(), case["n"].as_u64().unwrap());
        same_interval(wilson(k, n), &case["wilson"], 1e-12);
        same_interval(clopper_pearson(k, n), &case["clopper_pearson"], 1e-9);
    }
}

#[test]
fn mcnemar_exact() {
    for case in fixture("mcnemar") {
        let test = mcnemar(case["b"].as_u64().unwrap(), case["c"].as_u64().unwrap());
        close(test.two_sided, case["two_sided"].as_f64().unwrap(), 1e-10);
        close(test.two_sided_mid, case["mid"].as_f64().unwrap(), 1e-10);
        close(test.greater, case["greater"].as_f64().unwrap(), 1e-10);
    }
}

#[test]
fn paired_difference_score_interval() {
    for case in fixture("tango") {
        let count = |name: &str| case[name].as_u64().unwrap();
        same_interval(paired_difference(count("b"), count("c"), count("n")), &case["interval"], 1e-6);
    }
}

#[test]
fn wilcoxon_signed_rank() {
    for case in fixture("wilcoxon") {
        let test = wilcoxon(numbers(&case["x"]).into_iter().zip(numbers(&case["y"])));
        close(test.positive_ranks, case["positive_ranks"].as_f64().unwrap(), 1e-9);
        close(test.two_sided, case["p"].as_f64().unwrap(), 1e-10);
    }
}

#[test]
fn survival_curve_and_median() {
    for case in fixture("survival") {
        let steps = kaplan_meier(&mut observations(&case["distance"], &case["event"]));
        let theirs = case["steps"].as_array().unwrap();
        assert_eq!(steps.len(), theirs.len());
        for (ours, theirs) in steps.iter().zip(theirs) {
            let theirs = numbers(theirs);
            close(ours.distance, theirs[0], 0.0);
            close(ours.survival.point, theirs[1], 1e-12);
            close(ours.survival.lo, theirs[2], 1e-9);
            close(ours.survival.hi, theirs[3], 1e-9);
        }
        let theirs = numbers(&case["median"]);
        match median_distance(&steps) {
            Some(ours) => assert_eq!([ours.point, ours.lo, ours.hi], theirs[..]),
            None => assert_eq!(theirs[0], f64::INFINITY),
        }
    }
}

#[test]
fn log_rank_of_two_groups() {
    for case in fixture("log_rank") {
        let group = |name: &str| observations(&case[name][0], &case[name][1]);
        let test = log_rank(&mut group("a"), &mut group("b"));
        close(test.chi_squared, case["chi_squared"].as_f64().unwrap(), 1e-9);
        close(test.p, case["p"].as_f64().unwrap(), 1e-10);
    }
}

#[test]
fn holm_adjustment() {
    for case in fixture("holm") {
        for (ours, theirs) in holm(&numbers(&case["p"])).into_iter().zip(numbers(&case["adjusted"])) {
            close(ours, theirs, 1e-12);
        }
    }
}

#[test]
fn bootstrap_interval_of_a_mean() {
    for case in fixture("bootstrap") {
        let x = numbers(&case["x"]);
        let mean = |indices: &[usize]| indices.iter().map(|&index| x[index]).sum::<f64>() / indices.len() as f64;
        let ours = bootstrap(x.len(), 40_000, 1, mean).unwrap();
        // Both are drawn at random: their ends agree to some hundredths of the width.
        let theirs = numbers(&case["interval"]);
        same_interval(ours, &case["interval"], 0.02 * (theirs[1] - theirs[0]));
    }
}

#[test]
fn power_of_the_paired_test() {
    for case in fixture("power") {
        let number = |name: &str| case[name].as_f64().unwrap();
        let (n, discordant, alpha) = (case["n"].as_u64().unwrap(), number("discordant"), number("alpha"));
        close(paired_power(n, discordant, number("drop"), alpha), number("power"), 1e-10);
        let drop = smallest_detectable_drop(n, discordant, alpha, number("power")).unwrap();
        close(drop, number("drop"), 1e-10);
    }
}

#[test]
fn quantiles_of_the_normal_distribution() {
    for case in fixture("normal_quantile") {
        close(normal_quantile(case[0].as_f64().unwrap()), case[1].as_f64().unwrap(), 1e-9);
    }
    close(normal_quantile(0.975), Z95, 1e-9);
}
