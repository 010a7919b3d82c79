//! What a plan costs, before it runs: upper bounds in closed form.
//!
//! Passes are counted for single rows (one image through the network once), truncated passes as whole ones. For each
//! sample, with E epsilons, R restarts, S steps and U units:
//!
//! | task | forward passes | backward passes |
//! |---|---|---|
//! | shared clean pass of any task | 1 | |
//! | class logit | E R (S + 3) | E R S |
//! | unit | U E R (S + 3) | U E R S |
//! | a sweep over several radii, beside the attacks | 20 + 3 + 2 (1 + E (E - 1) / 2) | 20 |
//! | features, with P passes of preparation | E R (S + 3 + P) | E R (S + P) |
//! | control `random-unit` | the same as the unit attack again | the same again |
//! | control `noise` | 5 E 2 | |
//! | transfer of a class logit to V models | V (2 E + 1) | |
//! | boundary, each method: `path` | (S + 3) + 17 + B + 4 | S |
//! | boundary, `fmn`, `ddn`, `cw`, `sigma-zero` | (S + 3) + 7 + B + 4 | S |
//! | boundary, `deepfool`, `fab` | (S + 3) + 7 + B + 4 | 9 S |
//! | distance to first order, once | 1 | min(C, 10) - 1 |
//! | controls of each norm: noise | 4 | |
//! | controls, on a tenth of the samples, at least ten | 101 + (2 S + 3) R | 2 S R |
//! | self-test, on its samples | 108 + 3 + (S + 3) R | S R |
//!
//! With `views` a step costs one pass for each view, and one forward pass more where none of them is the image itself.
//! S steps, then the verification: the last point and the best one in f32, the nearest flip where an attack goes on after it
//! (`stop = "budget"`: one pass more than the table says), and the chosen one after rounding to 8 bits.
//! Transfer shows each image, and noise of its length, to each victim, which also sees the clean images.
//! The boundary adds 16 points of the geometric grid and the path's end, B bisections, the point that is reported (mostly
//! one pass, at most four), and the distance to first order: one pass, and a gradient for each other class among the ten
//! likeliest of C. `passes.rs` has these numbers, for the plan and for the loops that take the passes.
//!
//! Units that are chosen for each sample (`sensitive:1`) take 2 passes and at most 5 gradients more of each. `[damage]` takes 3 passes of
//! each of its images, and of those that flip 1 + 2 for each layer + 2 for each target of patching.
//!
//! Controls and self-tests have a line of their own for each model, and so have what prepares a model (its trial, the first images of the
//! run that rank units and scale their gains, readouts), trajectories, universal perturbations and pictures: `studies.rs`. Each
//! process of a run prepares its models, and counts as one here. With `eot` every pass counts as many times as answers are averaged.
//!
//! Rows that leave early cost less. Not in the bound: two passes more for each search hit that verification does not confirm, which is
//! rare.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::controls::Beside;
use super::line::{Known, Line};
use super::passes::{self, NOISE_DRAW, NOISE_DRAWS, Passes, TRANSFER};
use super::studies::{Studies, damage};
use super::{Plan, Task};
use crate::suite::config::{AttackConfig, BoundaryConfig, Control, LINEARIZED_CLASSES, Suite};
use crate::suite::controls::is_one_of;
use crate::suite::goal::Driven;
use crate::suite::presets::Preset;
use crate::wording::columns::{Align, columns};
use crate::wording::format;

/// The cost of a plan. `Display` is a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// By model and task, in the plan's order.
    pub lines: Vec<Line>,
}

/// Cells, and for each sample rows and passes.
struct PerSample {
    cells: u64,
    rows: u64,
    passes: Passes,
    partial: bool,
}

fn number(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

fn product(factors: &[u64]) -> u64 {
    factors.iter().copied().fold(1, u64::saturating_mul)
}

impl Plan {
    /// What this plan costs at most; see the head of this module's file for the formulas. Counts saturate.
    pub fn estimate(&self, suite: &Suite, known: &Known) -> Estimate {
        let mut lines: Vec<(usize, Task, Line)> = Vec::new();
        for unit in &self.units {
            let Some(model) = suite.models.get(unit.model) else { continue };
            let each = match unit.task {
                Task::Attack(index) => match suite.attacks.get(index) {
                    Some(attack) => {
                        let layer_units = known.units.get(&(unit.model, index)).copied();
                        with_transfer(suite, attack, of_attack(attack, layer_units, classes(suite, unit.model, known)))
                    }
                    None => continue,
                },
                Task::Boundary => match &suite.boundary {
                    Some(boundary) => of_boundary(boundary, classes(suite, unit.model, known)),
                    None => continue,
                },
            };
            if lines.last().is_none_or(|(model, task, _)| (*model, *task) != (unit.model, unit.task)) {
                let task = match unit.task {
                    Task::Attack(index) => suite.attacks[index].name.clone(),
                    Task::Boundary => "boundary".to_string(),
                };
                let model = model.name.clone();
                let empty = Line {
                    model,
                    task,
                    cells: each.cells,
                    rows: 0,
                    blocks: 0,
                    forwards: 0,
                    backwards: 0,
                    partial: each.partial,
                };
                lines.push((unit.model, unit.task, empty));
            }
            if let Some((_, _, line)) = lines.last_mut() {
                let samples = number(unit.samples.len());
                line.blocks += 1;
                line.rows = line.rows.saturating_add(product(&[samples, each.rows]));
                line.forwards =
                    line.forwards.saturating_add(product(&[samples, each.passes.forwards.saturating_add(1)]));
                line.backwards = line.backwards.saturating_add(product(&[samples, each.passes.backwards]));
                if let (Task::Attack(index), Some(config)) = (unit.task, &suite.damage)
                    && config.attacks.contains(&suite.attacks[index].name)
                {
                    let patched = known.patched.get(&unit.model).copied();
                    let attack = &suite.attacks[index];
                    let layer_units = known.units.get(&(unit.model, index)).copied();
                    let images = product(&[attack.goal.driven(layer_units).count, number(attack.epsilons.len())]);
                    let chosen = unit.samples.clone().filter(|place| is_one_of(config.samples, *place, self.samples));
                    let passes = damage(config, patched).times(product(&[number(chosen.count()), images]));
                    line.forwards = line.forwards.saturating_add(passes.forwards);
                    line.partial |= patched.is_none() && !config.patch.is_empty();
                }
            }
        }
        let mut lines: Vec<Line> = lines.into_iter().map(|(_, _, line)| line).collect();
        lines.extend(self.controls(suite, known));
        let models: BTreeSet<usize> = self.units.iter().map(|unit| unit.model).collect();
        let all = || 0..suite.models.len();
        for model in all().filter(|model| models.contains(model) || self.units.is_empty()) {
            lines.extend(Studies { suite, model, samples: number(self.samples), known }.lines());
        }
        let repeats = number(suite.run.eot.max(1));
        for line in &mut lines {
            line.forwards = line.forwards.saturating_mul(repeats);
            line.backwards = line.backwards.saturating_mul(repeats);
        }
        Estimate { lines }
    }

    /// What stands beside the attacks of each model, in blocks of theirs.
    fn controls(&self, suite: &Suite, known: &Known) -> Vec<Line> {
        let mut lines: BTreeMap<usize, Line> = BTreeMap::new();
        for unit in &self.units {
            let (Task::Attack(attack), Some(model)) = (unit.task, suite.models.get(unit.model)) else { continue };
            let classes = classes(suite, unit.model, known).unwrap_or(LINEARIZED_CLASSES);
            let controls = Beside { suite, model, attack, classes };
            if controls.cells() == 0 {
                continue;
            }
            let line = lines.entry(unit.model).or_insert_with(|| Line {
                model: model.name.clone(),
                task: "controls".to_owned(),
                cells: 0,
                rows: 0,
                blocks: 0,
                forwards: 0,
                backwards: 0,
                partial: false,
            });
            let passes = controls.passes(unit.samples.clone(), self.samples);
            line.cells += if unit.block == 0 { controls.cells() } else { 0 };
            line.rows += product(&[controls.cells(), number(unit.samples.len())]);
            line.forwards = line.forwards.saturating_add(passes.forwards);
            line.backwards = line.backwards.saturating_add(passes.backwards);
        }
        lines.into_values().collect()
    }
}

fn classes(suite: &Suite, model: usize, known: &Known) -> Option<u64> {
    let configured = suite.models.get(model).and_then(|model| model.classes).map(number);
    known.classes.get(&model).copied().or(configured)
}

/// Every part at every radius.
fn of_preset(preset: Preset, attack: &AttackConfig, classes: Option<u64>) -> PerSample {
    let (epsilons, classes) = (number(attack.epsilons.len()), classes.unwrap_or(LINEARIZED_CLASSES));
    let parts = preset.parts_of(attack.norm, classes as usize, attack.steps);
    let rows = parts.iter().map(|part| number(part.rows(classes as usize))).sum();
    let passes = preset.passes(attack, classes).times(epsilons);
    with_sweep(attack, PerSample { cells: epsilons, rows: product(&[rows, epsilons]), passes, partial: false })
}

/// The same with what a sweep over several radii takes beside the attacks, if there is one.
fn with_sweep(attack: &AttackConfig, alone: PerSample) -> PerSample {
    if !attack.sweeps() {
        return alone;
    }
    PerSample {
        rows: alone.rows.saturating_add(1),
        passes: alone.passes + passes::sweep(attack.norm, number(attack.epsilons.len())),
        ..alone
    }
}

fn of_attack(attack: &AttackConfig, layer_units: Option<u64>, classes: Option<u64>) -> PerSample {
    if let Some(preset) = attack.goal.composition() {
        return of_preset(preset, attack, classes);
    }
    let epsilons = number(attack.epsilons.len());
    let restarts = number(attack.restarts);
    let Driven { count: units, at_least: partial } = attack.goal.driven(layer_units);
    let controls = attack.goal.controls();
    let driven = if controls.contains(&Control::RandomUnit) { units.saturating_mul(2) } else { units };
    let ranking = attack.goal.ranking(classes.unwrap_or(LINEARIZED_CLASSES));
    let draws = if controls.contains(&Control::Noise) { number(NOISE_DRAWS) } else { 0 };
    let rows = product(&[driven, epsilons, restarts]);
    let noise = product(&[draws, epsilons]);
    let alone = PerSample {
        cells: product(&[driven, epsilons]).saturating_add(noise),
        rows: rows.saturating_add(noise),
        passes: attack.row().times(rows) + NOISE_DRAW.times(noise) + ranking,
        partial,
    };
    with_sweep(attack, alone)
}

/// The same with the passes that show the attack's images to the other models, if the suite asks for them.
fn with_transfer(suite: &Suite, attack: &AttackConfig, alone: PerSample) -> PerSample {
    if !suite.transfers(attack) {
        return alone;
    }
    let victims = number(suite.models.len().saturating_sub(1));
    let images = number(attack.epsilons.len());
    let transfer = (TRANSFER.times(images) + Passes::forward(1)).times(victims);
    PerSample { passes: alone.passes + transfer, ..alone }
}

fn of_boundary(boundary: &BoundaryConfig, classes: Option<u64>) -> PerSample {
    let methods = number(boundary.methods.len());
    let each = boundary.methods.iter().map(|method| method.passes(boundary));
    let linearized = passes::linearized(classes.unwrap_or(LINEARIZED_CLASSES));
    PerSample {
        cells: methods,
        rows: methods,
        passes: each.fold(linearized, |sum, passes| sum + passes),
        partial: false,
    }
}

impl Estimate {
    /// All lines together, with the model and task names `total` and empty.
    pub fn total(&self) -> Line {
        let sum = |count: fn(&Line) -> u64| self.lines.iter().map(count).fold(0, u64::saturating_add);
        Line {
            model: "total".to_string(),
            task: String::new(),
            cells: sum(|line| line.cells),
            rows: sum(|line| line.rows),
            blocks: sum(|line| line.blocks),
            forwards: sum(|line| line.forwards),
            backwards: sum(|line| line.backwards),
            partial: self.lines.iter().any(|line| line.partial),
        }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["model", "task", "cells", "rows", "blocks", "forward", "backward"].map(String::from);
        let total = self.total();
        let body = self.lines.iter().chain([&total]).map(|line| {
            let count = |count: u64| format!("{}{}", format::count(count), if line.partial { "+" } else { "" });
            let (cells, rows) = (count(line.cells), count(line.rows));
            let (forwards, backwards) = (count(line.forwards), count(line.backwards));
            [line.model.clone(), line.task.clone(), cells, rows, format::count(line.blocks), forwards, backwards]
        });
        let table: Vec<[String; 7]> = [head].into_iter().chain(body).collect();
        let mut align = [Align::Right; 7];
        align[..2].fill(Align::Left);
        writeln!(f, "{}", columns(&table, align))?;
        if total.partial {
            writeln!(f, "+ and more: the number of layers and units is known only once the model is loaded")?;
        }
        Ok(())
    }
}
