//! The plan of a run: the units of work, their order and names, and their distribution over shards.

pub mod controls;
mod cost;
mod line;
pub mod passes;
mod shard;
mod studies;

use std::ops::Range;

pub use cost::Estimate;
pub use line::{Known, Line, Targets};
use serde::Serialize;
pub use shard::{Shard, ShardChoice, ShardError};

use super::config::Suite;

/// What a unit of work does with its model and samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// The attack with this index in the suite, its controls included.
    Attack(usize),
    /// The boundary distance.
    Boundary,
}

/// One block of one task of one model: what is done, resumed and sharded as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct WorkUnit {
    /// Index of the model in the suite.
    pub model: usize,
    /// What is done.
    pub task: Task,
    /// Which block of the samples.
    pub block: usize,
    /// The samples of the block, by position in the chosen samples' order.
    pub samples: Range<usize>,
    /// The name of the unit's file, without extension: safe in any file system, distinct within the plan, and sorted by
    /// name as the plan is. It depends on the suite alone, not on shards or interruptions.
    pub key: String,
}

/// The units of work of a run (or of one shard of it), by model, then the attacks in the suite's order, then the boundary,
/// then block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    units: Vec<WorkUnit>,
    /// Samples of the whole run, also of a share.
    samples: usize,
}

/// The tasks of a suite, in the order of the plan: index of the model, task, and the beginning of its files' names.
fn tasks(suite: &Suite) -> Vec<(usize, Task, String)> {
    let mut tasks = Vec::new();
    for (index, model) in suite.models.iter().enumerate() {
        let attacks = suite.attacks.iter().enumerate().filter(|(_, attack)| attack.applies_to(&model.name));
        let named = attacks.map(|(attack, config)| (Task::Attack(attack), config.name.as_str()));
        for (task, name) in named.chain(suite.boundary.iter().map(|_| (Task::Boundary, "boundary"))) {
            // The number keeps names distinct whatever the models and attacks are called.
            let stem = format!("{:03}-{}--{name}", tasks.len(), model.name);
            tasks.push((index, task, stem));
        }
    }
    tasks
}

impl Plan {
    /// The whole plan for `samples` chosen samples.
    pub fn new(suite: &Suite, samples: usize) -> Plan {
        let block = suite.run.samples_per_block();
        let blocks = |(model, task, stem): (usize, Task, String)| {
            (0..samples.div_ceil(block)).map(move |index| WorkUnit {
                model,
                task,
                block: index,
                samples: index * block..samples.min((index + 1) * block),
                key: format!("{stem}--{index:05}"),
            })
        };
        Plan { units: tasks(suite).into_iter().flat_map(blocks).collect(), samples }
    }

    /// The units of work, in order.
    pub fn units(&self) -> &[WorkUnit] {
        &self.units
    }

    /// Whether `unit` is the first of the whole plan's units that look at its samples.
    pub fn is_first_look(&self, unit: &WorkUnit) -> bool {
        // The first task's blocks come first, in order.
        self.units.get(unit.block).is_some_and(|first| first.key == unit.key)
    }

    /// This plan's share for one of several shards: every `count`-th unit, so that models and attacks spread evenly. The
    /// shares are disjoint and together the whole.
    pub fn shard(&self, shard: Shard) -> Plan {
        let mine = self.units.iter().skip(shard.index() - 1).step_by(shard.count());
        Plan { units: mine.cloned().collect(), samples: self.samples }
    }

    /// The files that the run leaves in its directory, blocks left out. Charts depend on the results and are one entry.
    pub fn outputs(suite: &Suite, save_adversarial: bool) -> Vec<String> {
        let mut files: Vec<String> =
            ["manifest.json", "samples.csv", "summary.csv", "summary.json"].map(String::from).into();
        if !suite.attacks.is_empty() {
            files.extend(["worst_case.csv", "worst_case_samples.csv"].map(String::from));
        }
        if suite.boundary.is_some() {
            files.extend(["distances.csv", "curves.csv"].map(String::from));
        }
        if suite.transfer.is_some() {
            files.push("transfer.csv".into());
        }
        if suite.attacks.iter().any(|attack| attack.goal.units().is_some()) {
            files.extend(["units.csv", "layers.csv"].map(String::from));
        }
        if let Some(damage) = &suite.damage {
            files.push("damage.csv".into());
            files.extend((!damage.patch.is_empty()).then(|| String::from("patching.csv")));
        }
        if !suite.universal.is_empty() {
            files.extend(["universal.csv", "universal/*.png"].map(String::from));
        }
        if suite.trajectories.is_some() {
            files.extend(["trajectories.csv", "ways/*.png"].map(String::from));
        }
        if !suite.visualizations.is_empty() {
            files.extend(["visualize.csv", "visualize/*.png"].map(String::from));
        }
        if suite.run.writes_parquet() {
            let tables: Vec<String> =
                files.iter().filter_map(|file| file.strip_suffix(".csv")).map(String::from).collect();
            files.extend(tables.into_iter().map(|table| format!("{table}.parquet")));
        }
        let made = [
            "thumbnails.safetensors",
            "charts/*.png",
            "report.html",
            "gate.json",
            "gate.sarif",
            "junit.xml",
            "summary.md",
        ];
        files.extend(made.map(String::from));
        if save_adversarial {
            let attacks = tasks(suite).into_iter().filter_map(|(model, task, _)| match task {
                Task::Attack(attack) => Some((&suite.models[model].name, &suite.attacks[attack].name)),
                Task::Boundary => None,
            });
            files.extend(attacks.map(|(model, attack)| format!("adversarial/{}", adversarial_file(model, attack))));
        }
        files
    }
}

/// The name of the file with a model's and an attack's images: `<model>--<attack>.safetensors`. Where a reader could cut
/// that in two ways (`a--b` and `c`, or `a` and `b--c`), a part of a hash tells the pairs apart.
pub fn adversarial_file(model: &str, attack: &str) -> String {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
    };
    let joined = format!("{}--{}", plain(model), plain(attack));
    let cuts = joined.as_bytes().windows(2).filter(|pair| pair == b"--").count();
    if cuts == 1 && plain(model) == model && plain(attack) == attack {
        return format!("{joined}.safetensors");
    }
    let hash = blake3::hash(format!("{model}\0{attack}").as_bytes()).to_hex();
    format!("{joined}--{}.safetensors", &hash[..12])
}

#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod tests;
