//! How often images that flip one model fool another.

use std::collections::HashMap;
use std::sync::Arc;

use super::TransferSummary;
use crate::record::{Cell, TransferRecord};
use crate::stats::wilson;

/// The counts of one source cell and victim.
#[derive(Debug, Clone, Default)]
struct Tally {
    n_both_correct: u64,
    /// Of these, those that flip the source.
    n: u64,
    fooled: u64,
    fooled_by_noise: u64,
    /// The same over all that both classify rightly.
    fooled_all: u64,
    fooled_by_noise_all: u64,
    forwards: u64,
}

/// Gathers transfers, by source cell and victim.
#[derive(Debug, Clone, Default)]
pub(super) struct TransferTallies(HashMap<(Arc<Cell>, Arc<str>), Tally>);

impl TransferTallies {
    pub(super) fn add(&mut self, transfer: &TransferRecord) {
        let tally = self.0.entry((transfer.cell.clone(), transfer.victim.clone())).or_default();
        tally.n_both_correct += 1;
        tally.n += u64::from(transfer.flipped);
        tally.fooled += u64::from(transfer.flipped && transfer.fooled);
        tally.fooled_by_noise += u64::from(transfer.flipped && transfer.fooled_by_noise);
        tally.fooled_all += u64::from(transfer.fooled);
        tally.fooled_by_noise_all += u64::from(transfer.fooled_by_noise);
        tally.forwards += u64::from(transfer.forwards);
    }

    /// Add all that `other` gathered.
    pub(super) fn merge(&mut self, other: &TransferTallies) {
        for (key, theirs) in &other.0 {
            let tally = self.0.entry(key.clone()).or_default();
            tally.n_both_correct += theirs.n_both_correct;
            tally.n += theirs.n;
            tally.fooled += theirs.fooled;
            tally.fooled_by_noise += theirs.fooled_by_noise;
            tally.fooled_all += theirs.fooled_all;
            tally.fooled_by_noise_all += theirs.fooled_by_noise_all;
            tally.forwards += theirs.forwards;
        }
    }

    /// By source and attack, each in the order of its rank, then norm, radius, and victim.
    pub(super) fn finish<R: Ord>(
        self,
        models: impl Fn(&str) -> R,
        attacks: impl Fn(&str) -> R,
    ) -> Vec<TransferSummary> {
        let mut summaries: Vec<TransferSummary> = self.0.into_iter().map(summary).collect();
        summaries.sort_by_cached_key(|summary| {
            let cell = &summary.cell;
            let attack = (attacks(&cell.attack), cell.target, cell.dataset.clone());
            (models(&cell.model), attack, cell.norm, cell.epsilon, models(&summary.victim))
        });
        summaries
    }
}

fn summary(((cell, victim), tally): ((Arc<Cell>, Arc<str>), Tally)) -> TransferSummary {
    let Tally { n_both_correct, n, .. } = tally;
    let share = |count: u64, total: u64| (total > 0).then(|| wilson(count, total));
    TransferSummary {
        cell: (*cell).clone(),
        victim: victim.to_string(),
        n_both_correct,
        n,
        fooled: tally.fooled,
        fooled_all: tally.fooled_all,
        transfer_rate: share(tally.fooled, n),
        noise_rate: share(tally.fooled_by_noise, n),
        transfer_rate_all: share(tally.fooled_all, n_both_correct),
        noise_rate_all: share(tally.fooled_by_noise_all, n_both_correct),
        forwards: tally.forwards,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::testing::{any_transfer, cell, transfer};
    use crate::summary::{Summarizer, transfer_columns, write_transfer};

    fn summaries(records: &[TransferRecord]) -> Vec<TransferSummary> {
        let mut tallies = TransferTallies::default();
        records.iter().for_each(|record| tallies.add(record));
        tallies.finish(|name: &str| name.to_owned(), |name: &str| name.to_owned())
    }

    /// Ten samples that both models classify rightly: six flip the source, two of these and one of the others fool the victim.
    fn ten() -> Vec<TransferRecord> {
        let cell = Arc::new(cell(0.1));
        let of_sample = |sample: usize| TransferRecord {
            flipped: sample < 6,
            fooled_by_noise: [1, 7].contains(&sample),
            ..transfer(&cell, "v", sample, [0, 1, 9].contains(&sample))
        };
        (0..10).map(of_sample).collect()
    }

    #[test]
    fn rates_have_the_denominators_of_the_contract() {
        let summaries = summaries(&ten());
        let [summary] = &summaries[..] else { panic!("{summaries:?}") };
        assert_eq!(
            (summary.n_both_correct, summary.n, summary.fooled, summary.fooled_all, summary.forwards),
            (10, 6, 2, 3, 20)
        );
        assert_eq!((summary.transfer_rate, summary.noise_rate), (Some(wilson(2, 6)), Some(wilson(1, 6))));
        assert_eq!((summary.transfer_rate_all, summary.noise_rate_all), (Some(wilson(3, 10)), Some(wilson(2, 10))));
    }

    #[test]
    fn without_flips_there_is_no_rate_but_one_over_all() {
        let records: Vec<TransferRecord> = ten().into_iter().filter(|record| !record.flipped).collect();
        let summary = summaries(&records).remove(0);
        assert_eq!((summary.n, summary.transfer_rate, summary.noise_rate), (0, None, None));
        assert_eq!(summary.transfer_rate_all, Some(wilson(1, 4)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transfer.csv");
        let hash = write_transfer(&path, &[summary]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(hash, blake3::hash(text.as_bytes()).to_hex().as_str());
        assert_eq!(text.lines().next().unwrap(), transfer_columns().join(","));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn sources_and_victims_stand_in_the_suites_order() {
        let models = ["m", "w", "v"].map(String::from);
        let mut summarizer = Summarizer::default();
        let mut block = crate::record::testing::block("b");
        for (epsilon, victim) in [(0.2, "v"), (0.1, "v"), (0.2, "w"), (0.1, "w")] {
            block.transfers.push(transfer(&Arc::new(cell(epsilon)), victim, 0, true));
        }
        summarizer.add_block(&block);
        let order = summarizer.finish(&models, &[]).transfers;
        let order: Vec<(f64, &str)> =
            order.iter().map(|summary| (summary.cell.epsilon.value(), summary.victim.as_str())).collect();
        assert_eq!(order, [(0.1, "w"), (0.1, "v"), (0.2, "w"), (0.2, "v")]);
    }

    proptest! {
        #[test]
        fn counts_are_consistent_and_parts_add_up(
            records in proptest::collection::vec(any_transfer(), 0..40),
            cut in any::<proptest::sample::Index>(),
        ) {
            let undivided = summaries(&records);
            for summary in &undivided {
                prop_assert!(summary.fooled <= summary.n && summary.n <= summary.n_both_correct && summary.fooled <= summary.fooled_all);
                prop_assert!(summary.fooled_all - summary.fooled <= summary.n_both_correct - summary.n);
                prop_assert_eq!(summary.transfer_rate.is_some(), summary.n > 0);
            }
            let total: u64 = undivided.iter().map(|summary| summary.n_both_correct).sum();
            prop_assert_eq!(total, records.len() as u64);
            let (head, tail) = records.split_at(if records.is_empty() { 0 } else { cut.index(records.len()) });
            let mut parts = TransferTallies::default();
            tail.iter().for_each(|record| parts.add(record));
            let mut other = TransferTallies::default();
            head.iter().for_each(|record| other.add(record));
            parts.merge(&other);
            prop_assert_eq!(parts.finish(|name: &str| name.to_owned(), |name: &str| name.to_owned()), undivided);
        }
    }
}
