//! A line of an estimate, and what only loaded models tell it.

use std::collections::BTreeMap;

/// Layers of a model that a study looks at, and its targets there: units, or what is patched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Targets {
    /// Layers.
    pub layers: u64,
    /// Targets of all these layers together.
    pub count: u64,
}

/// What only a loaded model tells.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Units of the layer of attack `.1` in model `.0`, for attacks on all units.
    pub units: BTreeMap<(usize, usize), u64>,
    /// Classes of each model; the suite names them, or ten are taken, for models left out.
    pub classes: BTreeMap<usize, u64>,
    /// What `[damage]` patches in each model.
    pub patched: BTreeMap<usize, Targets>,
    /// Layers and units of universal perturbation `.1` in model `.0`.
    pub perturbations: BTreeMap<(usize, usize), Targets>,
    /// Layers and units of visualization `.1` in model `.0`.
    pub pictures: BTreeMap<(usize, usize), Targets>,
}

/// The cost of one task of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The model's name.
    pub model: String,
    /// The attack's or study's name, `boundary`, `controls` for what stands beside the attacks, or `preparation`.
    pub task: String,
    /// Cells: rows of the summary, controls included; for the boundary, methods.
    pub cells: u64,
    /// Rows: optimizations, each one sample, epsilon, target or unit, and restart; a noise draw counts as one.
    pub rows: u64,
    /// Blocks.
    pub blocks: u64,
    /// Forward passes at most.
    pub forwards: u64,
    /// Backward passes at most.
    pub backwards: u64,
    /// Whether the number of units, which only the model tells, was not given: the numbers then hold for one unit.
    pub partial: bool,
}
