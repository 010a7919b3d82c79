//! What stands beside the blocks of a plan and what it costs at most: the passes that prepare a model, ways over the boundary, universal
//! perturbations, pictures. The loops that take the passes share these numbers.

use super::line::{Known, Line, Targets};
use super::passes::{
    FLIP_DRAWS, GUIDES, Passes, READOUT_IMAGES, REFERENCE, TRIAL, UNIVERSAL_BATCH, UNIVERSAL_SAMPLES, WAY_SAMPLES,
    WAY_UNITS, linearized,
};
use crate::suite::config::{AttackConfig, LINEARIZED_CLASSES, Suite, UnitSelection};
use crate::suite::inside::{DamageConfig, TrajectoryConfig, UniversalConfig, UniversalSource};
use crate::suite::picture::{PictureConfig, PicturePreset, VisualizeConfig};

/// What a study counts for one model.
struct Cost {
    cells: u64,
    rows: u64,
    passes: Passes,
    /// Whether it is not known how many layers and units there are.
    partial: bool,
}

/// Of a study whose layers and units are not known yet: one of each.
const ONE: Targets = Targets { layers: 1, count: 1 };

/// The suite's studies of one model.
pub(super) struct Studies<'a> {
    pub(super) suite: &'a Suite,
    pub(super) model: usize,
    pub(super) samples: u64,
    pub(super) known: &'a Known,
}

impl Studies<'_> {
    /// A line for each kind of study that the suite asks for, the preparation before them all.
    pub(super) fn lines(&self) -> Vec<Line> {
        let suite = self.suite;
        let preparation = Cost { cells: 0, rows: 0, passes: self.preparation(), partial: false };
        let mut costs = vec![("preparation".to_owned(), preparation)];
        costs.extend(suite.trajectories.as_ref().map(|config| ("trajectories".to_owned(), self.trajectories(config))));
        let name = self.name();
        for (at, config) in suite.universal.iter().enumerate().filter(|(_, config)| config.applies_to(name)) {
            costs.push((config.name.clone(), self.universal(at, config)));
        }
        for (at, config) in suite.visualizations.iter().enumerate().filter(|(_, config)| config.applies_to(name)) {
            costs.push((config.name.clone(), self.pictures(at, config)));
        }
        let line = |(task, cost): (String, Cost)| Line {
            model: name.to_owned(),
            task,
            cells: cost.cells,
            rows: cost.rows,
            blocks: 0,
            forwards: cost.passes.forwards,
            backwards: cost.passes.backwards,
            partial: cost.partial,
        };
        costs.into_iter().map(line).collect()
    }

    fn name(&self) -> &str {
        &self.suite.models[self.model].name
    }

    fn attacks(&self) -> impl Iterator<Item = &AttackConfig> {
        self.suite.attacks.iter().filter(|attack| attack.applies_to(self.name()))
    }

    fn classes(&self) -> u64 {
        let configured = self.suite.models[self.model].classes.map(|classes| classes as u64);
        self.known.classes.get(&self.model).copied().or(configured).unwrap_or(LINEARIZED_CLASSES)
    }

    fn reference(&self) -> u64 {
        self.samples.min(REFERENCE as u64)
    }

    /// Choosing units over the reference images.
    fn choosing(&self, units: &UnitSelection) -> Passes {
        units.choosing(self.classes()).times(self.reference())
    }

    /// What attacks on features learn of the model: a readout for each layer that is read, and images to be guided to.
    fn learned(&self) -> Passes {
        let readouts = self.attacks().filter(|attack| attack.goal.follows_readout()).count() as u64;
        let features = self.attacks().any(|attack| attack.goal.objective_word().is_some());
        Passes::forward(readouts * READOUT_IMAGES as u64 + if features { GUIDES as u64 } else { 0 })
    }

    /// The trial of the model, the reference images, units that are ranked, readouts.
    fn preparation(&self) -> Passes {
        let trial = TRIAL.times(1) + linearized(self.classes()).times(super::passes::TRIAL_IMAGES as u64);
        let mut sum = trial + self.learned();
        if self.attacks().any(|attack| attack.goal.units().is_some()) {
            sum = sum + Passes::forward(self.reference());
        }
        // Attacks try their layers on an image first.
        sum = sum + Passes::forward(self.attacks().count() as u64);
        self.attacks().filter_map(|attack| attack.goal.units()).fold(sum, |sum, units| sum + self.choosing(units))
    }

    /// Steps of each sample's row, its images once more, and the slice; of a unit attack several units are tried.
    fn trajectories(&self, config: &TrajectoryConfig) -> Cost {
        let attacks = || self.attacks().filter(|attack| config.attacks.contains(&attack.name));
        let samples = config.samples as u64;
        let looked_at = self.samples.min(WAY_SAMPLES.max(4 * config.samples) as u64);
        let mut sum = Passes::forward(if attacks().next().is_some() { looked_at } else { 0 });
        // Where features are followed, all that attacks on the model learn is learned.
        if attacks().any(|attack| attack.goal.objective_word().is_some()) {
            sum = sum + self.learned();
        }
        for attack in attacks() {
            // Of several units the first that flips is followed, and a slice may show what one more does.
            let tried = if attack.goal.units().is_some() { WAY_UNITS as u64 + 1 } else { 1 };
            let looks = attack.steps as u64 + 1;
            // The row, and what is driven of each of its images.
            let way = attack.row() + attack.goal.ranking(self.classes()) + Passes::forward(looks);
            let slice = Passes { forwards: (config.slice * config.slice) as u64 + 1, backwards: 1 };
            sum = sum + (way.times(tried) + Passes::forward(looks) + slice).times(samples);
            if let Some(units) = attack.goal.units() {
                sum = sum + self.choosing(units);
            }
        }
        let ways = attacks().count() as u64;
        Cost { cells: ways, rows: ways * samples, passes: sum, partial: false }
    }

    /// For each unit the ascent or the picture, then all radii on images that are held out, each with shuffled twins.
    fn universal(&self, at: usize, config: &UniversalConfig) -> Cost {
        let known = self.known.perturbations.get(&(self.model, at)).copied();
        let targets = known.unwrap_or(ONE);
        let images = self.samples.min(UNIVERSAL_SAMPLES as u64);
        let made = match config.source {
            UniversalSource::Picture => PictureConfig { steps: config.steps, ..PicturePreset::Lucid.config() }.passes(),
            UniversalSource::None => Passes { forwards: 1, backwards: 1 }.times(config.steps as u64),
            UniversalSource::Range | UniversalSource::Images => {
                Passes { forwards: 1, backwards: 1 }.times(UNIVERSAL_BATCH as u64 * config.steps as u64)
            }
        };
        let radii = config.epsilons.len() as u64;
        let judged = Passes::forward(images.saturating_mul(1 + radii * (1 + FLIP_DRAWS)));
        let passes = (made + judged).times(targets.count) + self.choosing(&config.units).times(targets.layers);
        Cost { cells: targets.count.saturating_mul(radii), rows: targets.count, passes, partial: known.is_none() }
    }

    /// For each picture its steps and what all models say of it; for each unit the real samples beside it; for each layer the reference
    /// images. Layers and units are chosen once to see whether they exist, and once to be drawn.
    fn pictures(&self, at: usize, config: &VisualizeConfig) -> Cost {
        let known = self.known.pictures.get(&(self.model, at)).copied();
        let targets = known.unwrap_or(ONE);
        let seeds = config.seeds as u64;
        let picture = config.picture.passes() + Passes::forward(self.suite.models.len() as u64);
        let real_samples = Passes { forwards: 1, backwards: 1 }.times(config.samples as u64);
        let layer = self.choosing(&config.units) + Passes::forward(self.reference());
        let passes = (picture.times(seeds) + real_samples).times(targets.count) + layer.times(2 * targets.layers);
        let drawn = targets.count.saturating_mul(seeds);
        Cost { cells: targets.count, rows: drawn, passes, partial: known.is_none() }
    }
}

/// What `[damage]` takes for each image of an attack, with so many targets of patching in so many layers: one pass of the clean, the
/// adversarial and the shuffled image; if it flips, each layer's clean activation and a stranger's, and both put back at each target.
pub(super) fn damage(config: &DamageConfig, patched: Option<Targets>) -> Passes {
    let patched = match patched {
        None if config.patch.is_empty() => Targets::default(),
        patched => patched.unwrap_or(ONE),
    };
    let patching = 1 + 2 * patched.layers + 2 * patched.count;
    Passes::forward(3 + if patched.count > 0 { patching } else { 0 })
}
