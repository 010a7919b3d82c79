//! Laws that hold for all inputs.

use proptest::prelude::*;

use super::*;

fn is_ordered(estimate: Estimate, lowest: f64, highest: f64) -> bool {
    lowest <= estimate.lo && estimate.lo <= estimate.point && estimate.point <= estimate.hi && estimate.hi <= highest
}

#[test]
fn nothing_observed_means_nothing_known() {
    let unknown = Estimate { point: 0.0, lo: 0.0, hi: 1.0 };
    assert_eq!(wilson(0, 0), unknown);
    assert_eq!(clopper_pearson(0, 0), unknown);
    assert_eq!(paired_difference(0, 0, 0), Estimate { point: 0.0, lo: -1.0, hi: 1.0 });
    assert_eq!(mcnemar(0, 0).two_sided, 1.0);
    assert_eq!(wilcoxon([]).two_sided, 1.0);
    assert_eq!(wilcoxon([(1.0, 1.0), (f64::INFINITY, f64::INFINITY)]).n, 0);
    assert_eq!(kaplan_meier(&mut Vec::new()), []);
    assert_eq!(median_distance(&[]), None);
    assert_eq!(log_rank(&mut [], &mut []).p, 1.0);
    assert_eq!(holm(&[]), Vec::<f64>::new());
    assert_eq!(bootstrap(0, 100, 1, |_| 0.0), None);
    assert_eq!(paired_median_difference(&[], &[], 100, 1), None);
    assert_eq!(paired_median_difference(&[f64::INFINITY], &[1.0], 100, 1), None);
    assert_eq!(smallest_detectable_drop(0, 0.1, 0.05, 0.8), None);
}

#[test]
fn certain_events_at_zero_leave_no_survivor() {
    let mut observations = vec![Observation { distance: 0.0, event: true }; 5];
    let steps = kaplan_meier(&mut observations);
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].survival, Estimate { point: 0.0, lo: 0.0, hi: 1.0 });
    assert_eq!(median_distance(&steps), Some(Estimate { point: 0.0, lo: 0.0, hi: f64::INFINITY }));
}

#[test]
fn the_bootstrap_does_not_depend_on_threads() {
    let values: Vec<f64> = (0..200).map(|i| f64::from(i * i % 37).sqrt()).collect();
    let shifted: Vec<f64> = values.iter().enumerate().map(|(i, value)| value + 0.5 + (i % 3) as f64).collect();
    let run = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| paired_median_difference(&shifted, &values, 500, seed).unwrap())
    };
    assert_eq!(run(1, 7), run(3, 7));
    assert_ne!(run(1, 7), run(1, 8));
    let estimate = run(2, 7);
    assert!(is_ordered(estimate, -40.0, 40.0) && estimate.lo < estimate.hi, "{estimate:?}");
}

#[test]
fn exact_sums_round_once() {
    let mut sum = ExactSum::default();
    for x in [1e100, 1.0, -1e100, 1e-30, f64::NAN] {
        sum.add(x);
    }
    assert_eq!(sum.value(), 1.0);
    sum.add(-1.0);
    assert_eq!(sum.value(), 1e-30);
    let mut tenths = ExactSum::default();
    (0..10).for_each(|_| tenths.add(0.1));
    assert_eq!(tenths.value(), 1.0);
}

fn observed() -> impl Strategy<Value = Vec<Observation>> {
    let one = (0u8..20, any::<bool>()).prop_map(|(at, event)| Observation { distance: f64::from(at) / 8.0, event });
    proptest::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn intervals_of_proportions(n in 1u64..100_000, part in 0.0f64..=1.0) {
        let k = (part * n as f64) as u64;
        for interval in [wilson, clopper_pearson] {
            let (estimate, mirrored) = (interval(k, n), interval(n - k, n));
            prop_assert!(is_ordered(estimate, 0.0, 1.0), "{estimate:?}");
            prop_assert!((estimate.lo + mirrored.hi - 1.0).abs() < 1e-8, "{estimate:?} {mirrored:?}");
            if k < n {
                prop_assert!(interval(k + 1, n).lo >= estimate.lo && interval(k + 1, n).hi >= estimate.hi);
            }
            let more = interval(2 * k, 2 * n);
            prop_assert!(more.hi - more.lo < estimate.hi - estimate.lo);
        }
    }

    #[test]
    fn paired_tests_are_symmetric(first in 0u64..400, second in 0u64..400, same in 0u64..1000) {
        let (test, mirrored) = (mcnemar(first, second), mcnemar(second, first));
        prop_assert_eq!(test.two_sided, mirrored.two_sided);
        for p in [test.two_sided, test.two_sided_mid, test.greater] {
            prop_assert!((0.0..=1.0).contains(&p));
        }
        prop_assert!(test.two_sided_mid <= test.two_sided);
        prop_assert!(mcnemar(first + 1, second).greater <= test.greater + 1e-12);
        let n = first + second + same;
        let (difference, mirrored) = (paired_difference(first, second, n), paired_difference(second, first, n));
        prop_assert!(is_ordered(difference, -1.0, 1.0), "{difference:?}");
        prop_assert!((difference.lo + mirrored.hi).abs() < 1e-9, "{difference:?} {mirrored:?}");
    }

    #[test]
    fn survival_falls_from_one(mut observations in observed()) {
        let (n, events) = (observations.len() as u64, observations.iter().filter(|o| o.event).count() as u64);
        let steps = kaplan_meier(&mut observations);
        prop_assert_eq!(steps.iter().map(|step| step.events).sum::<u64>(), events);
        prop_assert!(steps.iter().all(|step| is_ordered(step.survival, 0.0, 1.0) && step.at_risk <= n));
        for pair in steps.windows(2) {
            prop_assert!(pair[1].survival.point < pair[0].survival.point && pair[1].at_risk < pair[0].at_risk);
        }
        if let Some(median) = median_distance(&steps) {
            prop_assert!(is_ordered(median, 0.0, f64::INFINITY));
        }
        if events == n && n > 0 {
            let share = observations.iter().filter(|o| o.distance > 1.0).count() as f64 / n as f64;
            let at = steps.iter().rev().find(|step| step.distance <= 1.0).map_or(1.0, |step| step.survival.point);
            prop_assert!((share - at).abs() < 1e-9, "without censoring the curve is the share of the farther");
        }
    }

    #[test]
    fn log_rank_is_symmetric(mut first in observed(), mut second in observed()) {
        let test = log_rank(&mut first, &mut second);
        let mirrored = log_rank(&mut second, &mut first);
        prop_assert!((0.0..=1.0).contains(&test.p));
        prop_assert!((test.p - mirrored.p).abs() < 1e-9 && (test.excess + mirrored.excess).abs() < 1e-9);
        prop_assert!(log_rank(&mut first.clone(), &mut first).p > 1.0 - 1e-6);
    }

    #[test]
    fn wilcoxon_mirrors(pairs in proptest::collection::vec((-9i32..9, -9i32..9), 0..70)) {
        let pairs: Vec<(f64, f64)> = pairs.into_iter().map(|(x, y)| (x.into(), y.into())).collect();
        let (test, mirrored) = (wilcoxon(pairs.clone()), wilcoxon(pairs.into_iter().map(|(x, y)| (y, x))));
        prop_assert!((0.0..=1.0).contains(&test.two_sided));
        prop_assert!((test.two_sided - mirrored.two_sided).abs() < 1e-12);
        prop_assert_eq!(test.positive_ranks + mirrored.positive_ranks, (test.n * (test.n + 1)) as f64 / 2.0);
    }

    #[test]
    fn holm_lies_between_none_and_bonferroni(p in proptest::collection::vec(0.0f64..=1.0, 0..12)) {
        for (adjusted, p_one) in holm(&p).into_iter().zip(&p) {
            prop_assert!(*p_one <= adjusted && adjusted <= (p_one * p.len() as f64).min(1.0));
        }
    }

    #[test]
    fn power_rises(n in 1u64..20_000, discordant in 0.01f64..0.5, part in 0.01f64..0.9) {
        let drop = part * discordant;
        let power = paired_power(n, discordant, drop, 0.05);
        prop_assert!((0.0..=1.0).contains(&power));
        prop_assert!(paired_power(2 * n, discordant, drop, 0.05) >= power - 1e-12);
        if let Some(least) = smallest_detectable_drop(n, discordant, 0.05, 0.8) {
            prop_assert!((paired_power(n, discordant, least, 0.05) - 0.8).abs() < 1e-6);
        }
    }

    #[test]
    fn exact_sums_ignore_order(mut values in proptest::collection::vec(-1e9f64..1e9, 0..60), cut in 0usize..60) {
        let sum = |values: &[f64]| {
            let mut sum = ExactSum::default();
            values.iter().for_each(|&value| sum.add(value));
            sum
        };
        let total = sum(&values).value();
        let (head, tail) = values.split_at(cut.min(values.len()));
        let mut merged = sum(tail);
        merged.merge(&sum(head));
        prop_assert_eq!(merged.value(), total);
        values.sort_by(f64::total_cmp);
        prop_assert_eq!(sum(&values).value(), total);
    }
}
