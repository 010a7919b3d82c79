//! Chances under the assumption that a unit is no more than its controls.

use crate::stats::normal_cdf;

/// Samples beyond which a sum of chances is taken to be normal.
const MOST_EXACT: usize = 2000;

/// Units beyond which a rank sum is taken to be normal.
const MOST_RANKED: usize = 40;

/// One-sided p value that a unit flips samples no more often than random draws of the same norm. For each sample: whether the unit
/// flips it, how many draws do, and of how many. Given how many of all tries on a sample flip, each try is as likely to be the unit's:
/// the number of flips is a sum of independent chances (exact and conditional, like McNemar's test with several controls).
pub(super) fn above_draws(samples: impl IntoIterator<Item = (bool, u32, u32)>) -> f64 {
    let (mut flips, mut chances) = (0usize, Vec::new());
    for (flipped, drawn, draws) in samples {
        let chance = (f64::from(u32::from(flipped)) + f64::from(drawn)) / (f64::from(draws) + 1.0);
        flips += usize::from(flipped);
        if chance >= 1.0 {
            // Everything flips the sample: it tells nothing.
            flips -= 1;
        } else if chance > 0.0 {
            chances.push(chance);
        }
    }
    at_least(flips, &chances)
}

/// The chance that at least `count` of independent events happen.
fn at_least(count: usize, chances: &[f64]) -> f64 {
    if count == 0 {
        return 1.0;
    }
    if chances.len() > MOST_EXACT {
        let mean: f64 = chances.iter().sum();
        let variance: f64 = chances.iter().map(|chance| chance * (1.0 - chance)).sum();
        return 1.0 - normal_cdf((count as f64 - 0.5 - mean) / variance.sqrt().max(1e-12));
    }
    let mut exactly = vec![0.0; chances.len() + 1];
    exactly[0] = 1.0;
    for (trial, chance) in chances.iter().enumerate() {
        for events in (0..=trial + 1).rev() {
            let below = if events > 0 { exactly[events - 1] * chance } else { 0.0 };
            exactly[events] = exactly[events] * (1.0 - chance) + below;
        }
    }
    exactly[count.min(chances.len() + 1)..].iter().sum::<f64>().min(1.0)
}

/// p value that a unit is one of its random controls: its place among them. Units differ in strength even in a network that learned
/// nothing, so that only other units can tell whether one stands out.
pub(super) fn above_units(flips: u64, controls: &[u64]) -> f64 {
    let as_strong = controls.iter().filter(|control| **control >= flips).count();
    (1 + as_strong) as f64 / (1 + controls.len()) as f64
}

/// One-sided p value that chosen units flip no more samples than random ones of their layer: the rank sum of Wilcoxon, Mann and Whitney
/// with mid ranks. Exact given the ties; among more units than [`MOST_RANKED`] by its normal approximation, corrected for continuity and
/// ties.
pub(super) fn above_random(chosen: &[u64], random: &[u64]) -> Option<f64> {
    if chosen.is_empty() || random.is_empty() {
        return None;
    }
    let ranks = doubled_ranks(chosen, random);
    let observed: usize = ranks[..chosen.len()].iter().sum();
    if ranks.len() <= MOST_RANKED {
        return Some(share_of_sums(&ranks, chosen.len(), observed));
    }
    let (m, n, total) = (chosen.len() as f64, random.len() as f64, ranks.len() as f64);
    let mean = ranks.iter().sum::<usize>() as f64 / total;
    let spread = ranks.iter().map(|rank| (*rank as f64 - mean).powi(2)).sum::<f64>() / total;
    let variance = m * n / (total - 1.0) * spread;
    if variance <= 0.0 {
        return Some(1.0);
    }
    // Half a rank, doubled as the ranks are.
    Some(1.0 - normal_cdf((observed as f64 - m * mean - 1.0) / variance.sqrt()))
}

/// Twice the mid rank of each unit among all of them, the chosen ones first.
fn doubled_ranks(chosen: &[u64], random: &[u64]) -> Vec<usize> {
    let all: Vec<u64> = chosen.iter().chain(random).copied().collect();
    let rank = |flips: &u64| {
        let below = all.iter().filter(|other| *other < flips).count();
        let equal = all.iter().filter(|other| *other == flips).count();
        2 * below + equal + 1
    };
    all.iter().map(rank).collect()
}

/// The share of all choices of `count` ranks whose sum is at least `observed`.
fn share_of_sums(ranks: &[usize], count: usize, observed: usize) -> f64 {
    let most: usize = ranks.iter().sum();
    // Choices of so many ranks with such a sum.
    let mut choices = vec![vec![0.0f64; most + 1]; count + 1];
    choices[0][0] = 1.0;
    for rank in ranks {
        for taken in (1..=count).rev() {
            for sum in *rank..=most {
                let without = choices[taken - 1][sum - rank];
                choices[taken][sum] += without;
            }
        }
    }
    let extreme: f64 = choices[count][observed..].iter().sum();
    extreme / choices[count].iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::mcnemar;

    #[test]
    fn one_draw_gives_mcnemars_test() {
        // 7 samples flipped by the unit alone, 2 by the draw alone, 5 by both, 6 by none.
        let samples = [(7, (true, 0)), (2, (false, 1)), (5, (true, 1)), (6, (false, 0))];
        let each = samples.iter().flat_map(|&(count, (unit, drawn))| std::iter::repeat_n((unit, drawn, 1), count));
        assert!((above_draws(each) - mcnemar(7, 2).greater).abs() < 1e-12);
        assert_eq!(above_draws([(false, 0, 5)]), 1.0);
    }

    #[test]
    fn a_units_place_among_its_controls_is_its_chance() {
        assert_eq!(above_units(5, &[1, 2, 5, 7]), 0.6);
        assert_eq!(above_units(9, &[1; 19]), 0.05);
        assert_eq!(above_units(9, &[]), 1.0);
    }

    #[test]
    fn the_rank_sum_is_that_of_a_table() {
        assert_eq!(above_random(&[], &[1]), None);
        assert_eq!(above_random(&[3, 3], &[3, 3]), Some(1.0));
        let strongest = |chosen: &[u64], random: &[u64]| above_random(chosen, random).unwrap();
        // One choice of 252, and of 20: there the normal approximation says 0.040.
        assert!((strongest(&[6, 7, 8, 9, 10], &[1, 2, 3, 4, 5]) - 1.0 / 252.0).abs() < 1e-12);
        assert!((strongest(&[4, 5, 6], &[1, 2, 3]) - 0.05).abs() < 1e-12);
        // Of the six choices of two only 1 with either 2 has a lower sum of ranks than both 2.
        assert!((strongest(&[2, 2], &[1, 3]) - 4.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn large_rank_sums_are_normal() {
        let noise = crate::random::Noise::new(3, "ranks");
        let drawn = |key: &str, count| -> Vec<u64> {
            noise.uniform(key, count).into_iter().map(|value| (value * 40.0) as u64).collect()
        };
        for run in 0..4 {
            let (chosen, random) = (drawn(&format!("a{run}"), 21), drawn(&format!("b{run}"), 20));
            let ranks = doubled_ranks(&chosen, &random);
            let exact = share_of_sums(&ranks, chosen.len(), ranks[..chosen.len()].iter().sum());
            let normal = above_random(&chosen, &random).unwrap();
            assert!((exact - normal).abs() < 5e-3, "{exact} {normal}");
        }
    }

    /// Units of a network that learned nothing: each has a strength of its own. Nothing may stand out more often than stated.
    #[test]
    fn nothing_stands_out_among_random_units() {
        let noise = crate::random::Noise::new(5, "chance");
        let (mut by_place, mut by_sum, runs) = (0, 0, 400);
        for run in 0..runs {
            let strengths = noise.uniform(&format!("{run}"), 40);
            let flips = |unit: usize| (50.0 * (1.0 + strengths[unit])) as u64;
            let controls: Vec<u64> = (1..20).map(flips).collect();
            by_place += u32::from(above_units(flips(0), &controls) <= 0.05);
            let (chosen, random): (Vec<u64>, Vec<u64>) = ((0..20).map(flips).collect(), (20..40).map(flips).collect());
            by_sum += u32::from(above_random(&chosen, &random).unwrap() <= 0.05);
        }
        // Five deviations of a binomial with p = 0.05.
        let most = f64::from(runs) * 0.05 + 5.0 * (f64::from(runs) * 0.05 * 0.95).sqrt();
        assert!(f64::from(by_place) <= most && f64::from(by_sum) <= most, "{by_place} {by_sum} of {runs}");
    }
}
