//! Which runs can stand beside each other.

use super::series::series;
use super::{Entry, Group, Unusable};
use crate::gate::{Provenance, Snapshot, comparability};
use crate::wording::data_kind;

/// A group whose numbers are not made yet.
pub(super) struct Bench {
    /// What differs from the group of the same suite before it.
    differs: Vec<String>,
    /// All with the samples of the first, in its order.
    runs: Vec<(Entry, Snapshot)>,
}

/// The runs by their conditions, each group in the order given.
pub(super) fn group(runs: Vec<(Entry, Snapshot)>, unusable: &mut Vec<Unusable>) -> Vec<Bench> {
    let mut groups: Vec<Bench> = Vec::new();
    for (entry, snapshot) in runs {
        let known = groups.iter().flat_map(|group| &group.runs);
        let twin = known.map(|(known, _)| known).find(|known| known.run == entry.run);
        if let Some(twin) = twin {
            let why = format!("it is the same run as {}", twin.folder.display());
            unusable.push(Unusable { folder: entry.folder, why });
            continue;
        }
        match groups.iter_mut().find(|group| differences(&group.runs[0].1, &snapshot).is_empty()) {
            Some(group) => {
                let snapshot = snapshot.renumbered(&group.runs[0].1.samples);
                group.runs.push((entry, snapshot));
            }
            None => {
                let of_suite = |group: &&Bench| group.runs[0].1.provenance.suite == snapshot.provenance.suite;
                let before = groups.iter().rev().find(of_suite);
                let differs = before.map(|group| differences(&group.runs[0].1, &snapshot)).unwrap_or_default();
                groups.push(Bench { differs, runs: vec![(entry, snapshot)] });
            }
        }
    }
    groups
}

/// What keeps two runs apart.
fn differences(first: &Snapshot, run: &Snapshot) -> Vec<String> {
    let (old, new) = (&first.provenance, &run.provenance);
    let mut found: Vec<String> =
        comparability::mismatches(first, run).iter().map(|found| found.against("group before")).collect();
    let mut compare = |setting: &str, old: String, new: String| {
        if old != new {
            found.push(format!("{setting}: {old} in the group before, {new} in the run"));
        }
    };
    let attacks = |provenance: &Provenance| provenance.attacks.keys().cloned().collect::<Vec<_>>().join(", ");
    let searched =
        |provenance: &Provenance| if provenance.boundary.is_null() { "not measured" } else { "measured" }.to_owned();
    compare("suite", old.suite.clone(), new.suite.clone());
    compare("seed", old.seed.to_string(), new.seed.to_string());
    compare("attacks", attacks(old), attacks(new));
    compare("boundary distances", searched(old), searched(new));
    found
}

impl Bench {
    /// The group with its numbers.
    pub fn finish(self, last: usize) -> Group {
        let series = series(&self.runs, last);
        let first = &self.runs[0].1;
        Group {
            suite: first.provenance.suite.clone(),
            dataset: data_kind(&first.provenance.dataset).to_owned(),
            samples: first.samples.len(),
            seed: first.provenance.seed,
            differs: self.differs,
            series,
            runs: self.runs.into_iter().map(|(entry, _)| entry).collect(),
        }
    }
}
