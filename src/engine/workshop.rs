//! Computes one block, with what the blocks of a model share.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use super::device;
use super::error::RunError;
use super::fault;
use super::learned::learned;
use super::loaded::Loaded;
use super::prepare::Prepared;
use crate::attack::{
    AttackBlock, ControlBlock, ControlOutcome, DamagePlan, DamageStudy, DrivenUnit, Learned, PatchTarget, Reference,
    Selected, SelfTest, Victim, choose, kind, thumbnail,
};
use crate::boundary::BoundaryBlock;
use crate::data::{Loading, Sample};
use crate::judge::{Bench, CleanBlock, Judgement, Watched, judge, learn_directions, ranked};
use crate::model::Model;
use crate::random::Noise;
use crate::record::{Block, Evidence, MOST_THUMBNAILS, Record, RunDir};
use crate::suite::controls::{control_places, is_one_of, takes_part};
use crate::suite::{AttackConfig, DamageConfig, Direction, Task, UnitSelection, WorkUnit};
use crate::terms::{Part, Unit};

/// The models on the device, and what was found out about them and about the samples that one block after another asks for.
pub(super) struct Workshop<'a> {
    prepared: &'a Prepared,
    /// Where adversarial images are kept, if they are.
    images: Option<&'a RunDir>,
    /// Rows in a batch: as many as the suite or the device says, fewer once they did not fit.
    capacity: usize,
    loaded: Loaded<'a>,
    /// The model that `clean` and `units` belong to.
    model: Option<usize>,
    clean: HashMap<usize, Rc<CleanBlock>>,
    /// What models that are shown another's images say of clean ones, by model and block.
    clean_of_victims: HashMap<(usize, usize), Rc<Vec<Judgement>>>,
    /// The samples of a block to come, which are decoded while another one is computed.
    ahead: Option<(usize, Loading)>,
    units: HashMap<usize, Rc<Vec<DrivenUnit>>>,
    /// What units do over the reference images, of the same model.
    reference: Option<Rc<Reference>>,
    /// What was learned of the same model for attacks on features.
    learned: Option<Rc<Learned>>,
    /// What is looked at inside the same model.
    damage: Option<Rc<DamagePlan>>,
}

/// What the suite asks about the damage that an attack does, if it does.
fn prepared_damage<'a>(prepared: &'a Prepared, attack: &AttackConfig) -> Option<&'a DamageConfig> {
    prepared.suite.damage.as_ref().filter(|damage| damage.attacks.contains(&attack.name))
}

impl<'a> Workshop<'a> {
    /// Nothing is loaded yet. Adversarial images are kept in `images`.
    pub(super) fn new(prepared: &'a Prepared, images: Option<&'a RunDir>) -> Self {
        Workshop {
            prepared,
            images,
            capacity: prepared.capacity(),
            loaded: Loaded::new(prepared),
            model: None,
            clean: HashMap::new(),
            clean_of_victims: HashMap::new(),
            ahead: None,
            units: HashMap::new(),
            reference: None,
            learned: None,
            damage: None,
        }
    }

    /// Rows in a batch.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Works with half as many rows from now on, and returns how many; what is on the device and can be had again is let go.
    pub(super) fn halve(&mut self) -> usize {
        self.capacity = self.capacity.div_ceil(2);
        self.clean.clear();
        self.clean_of_victims.clear();
        self.units.clear();
        self.reference = None;
        self.damage = None;
        self.learned = None;
        self.capacity
    }

    /// Computes the block `unit`; samples of the first of `later` are decoded meanwhile.
    ///
    /// # Errors
    /// If images, layers or units cannot be had.
    ///
    /// # Panics
    /// With libtorch's words, where libtorch fails.
    pub(super) fn compute(&mut self, unit: &WorkUnit, later: &[WorkUnit]) -> Result<Block, RunError> {
        let started = Instant::now();
        fault::strike();
        self.seed_models(unit);
        if !std::iter::once(unit).chain(later).any(|unit| self.transfers(unit)) {
            self.loaded.keep_only(unit.model);
        }
        let (model, verifier) = self.models(unit.model)?;
        let clean = self.clean(unit, &verifier)?;
        self.look_ahead(unit, later);
        let bench = Bench {
            model: &model,
            verifier: &verifier,
            clean: &clean,
            seed: self.prepared.suite.seed,
            capacity: self.capacity,
            poll: device::poll(self.prepared.device),
        };
        let mut block = Block { key: unit.key.clone(), ..Block::default() };
        if self.prepared.plan.is_first_look(unit) {
            let room = MOST_THUMBNAILS.saturating_sub(unit.samples.start);
            block.thumbnails = (0..clean.len().min(room)).map(|index| thumbnail(&clean, index)).collect();
        }
        match (unit.task, &self.prepared.suite.boundary) {
            (Task::Attack(index), _) => self.attack((unit, index), bench, &verifier, &mut block)?,
            (Task::Boundary, Some(config)) => {
                (block.distances, block.unconfirmed_hits) = BoundaryBlock { config, bench }.run();
            }
            (Task::Boundary, None) => {}
        }
        block.repeat_passes(self.prepared.suite.run.eot);
        block.seconds = started.elapsed().as_secs_f64();
        Ok(block)
    }

    /// Attacks a block's samples with the attack at `index`, with its controls, self-tests and what it does inside the model.
    fn attack(
        &mut self,
        (unit, index): (&WorkUnit, usize),
        bench: Bench,
        verifier: &Rc<Model>,
        block: &mut Block,
    ) -> Result<(), RunError> {
        let attack = &self.prepared.suite.attacks[index];
        let units = self.units(index, unit.model, verifier)?;
        let learned = self.learned(unit.model, verifier)?;
        let victims = if self.transfers(unit) { self.victims(unit, bench.clean)? } else { Vec::new() };
        let mut outcome = AttackBlock {
            attack,
            dataset: self.prepared.dataset.name(),
            bench,
            units: &units,
            victims: &victims,
            learned: &learned,
            keep_images: self.images.is_some(),
            looked_into: prepared_damage(self.prepared, attack).is_some(),
        }
        .run();
        for control in self.controls(unit, index, (bench, &learned), &outcome.records) {
            let first = outcome.records.len();
            control.images.iter().for_each(|(row, image)| outcome.images.push(first + row, image));
            outcome.records.extend(control.records);
        }
        if let Some(dir) = self.images {
            outcome.images.write(dir, &unit.key)?;
        }
        if let Some(config) = prepared_damage(self.prepared, attack) {
            let plan = self.damage_plan(config, verifier)?;
            let (first, samples) = (unit.samples.start, self.prepared.selection.len());
            let study = DamageStudy { config, plan: &plan, bench, first, samples };
            (block.damage, block.patches) = study.run(&outcome.records, &outcome.found);
        }
        block.records = outcome.records;
        block.evidence = outcome.evidence;
        block.evidence.extend(self.self_test(unit, index, verifier, bench));
        block.examples = outcome.examples;
        block.transfers = outcome.transfers;
        block.unconfirmed_hits = outcome.unconfirmed;
        Ok(())
    }

    /// Models that draw randomly take libtorch's generator, which begins anew with each block: so that a run repeats, and does not
    /// depend on what was computed before.
    fn seed_models(&self, unit: &WorkUnit) {
        let name = format!("{}/{}", self.prepared.suite.seed, unit.key);
        let digest = blake3::hash(name.as_bytes());
        let bytes: [u8; 8] = digest.as_bytes()[..8].try_into().unwrap_or_default();
        tch::manual_seed(i64::from_le_bytes(bytes) & i64::MAX);
    }

    /// The layers that are compared and the units that are patched in the model at hand.
    fn damage_plan(&mut self, config: &DamageConfig, verifier: &Model) -> Result<Rc<DamagePlan>, RunError> {
        if let Some(plan) = &self.damage {
            return Ok(plan.clone());
        }
        let mut plan = DamagePlan { layers: verifier.chosen_layers(&config.layers)?, targets: Vec::new() };
        for layer in verifier.chosen_layers(&config.patch)? {
            plan.targets.push(PatchTarget { layer: layer.clone(), unit: None, control: None });
            let Some(units) = &config.patch_units else { continue };
            let name = format!("patch/{}", layer.name);
            let noise = Noise::new(self.prepared.suite.seed, &format!("{name}/{}", verifier.name));
            let units = self.prepared.chosen_units(&name, verifier, &layer, units, Direction::Maximize)?;
            let free: Vec<usize> =
                (0..layer.units).filter(|&index| units.iter().all(|unit| unit.index() != Some(index))).collect();
            for unit in units {
                let control = noise.choose(&format!("control/{unit}"), 1, free.len()).first().map(|&at| free[at]);
                let control = control.map(|index| Unit { part: Part::Channel(index), place: unit.place });
                plan.targets.push(PatchTarget { layer: layer.clone(), unit: Some(unit), control });
            }
        }
        let plan = Rc::new(plan);
        self.damage = Some(plan.clone());
        Ok(plan)
    }

    /// What the controls that stand beside this attack found.
    fn controls(
        &self,
        unit: &WorkUnit,
        attack: usize,
        (bench, learned): (Bench, &Learned),
        attacked: &[Record],
    ) -> Vec<ControlOutcome> {
        let suite = &self.prepared.suite;
        let places = control_places(suite, &suite.models[unit.model]);
        let control_places = places.into_values().filter(|(index, _)| *index == attack);
        let outcomes = control_places.map(|(_, epsilon)| {
            ControlBlock {
                attack: &suite.attacks[attack],
                epsilon,
                dataset: self.prepared.dataset.name(),
                bench,
                learned,
                first: unit.samples.start,
                samples: self.prepared.selection.len(),
                keep_images: self.images.is_some(),
            }
            .run(attacked)
        });
        outcomes.collect()
    }

    /// The self-tests of the norms whose headline radius this attack is the first to have.
    fn self_test(&self, unit: &WorkUnit, attack: usize, verifier: &Rc<Model>, bench: Bench) -> Vec<Evidence> {
        let suite = &self.prepared.suite;
        let (Some(config), Some(layer)) = (&suite.selftest, self.prepared.features_layer(unit.model)) else {
            return Vec::new();
        };
        let model = &suite.models[unit.model];
        let total = self.prepared.selection.len();
        let chosen = |sample: &usize| is_one_of(config.samples, unit.samples.start + sample, total);
        let samples: Vec<usize> = (0..bench.clean.len()).filter(chosen).collect();
        let places = control_places(suite, model).into_iter().filter(|(_, (index, _))| *index == attack);
        let evidence = places.flat_map(|(norm, (_, epsilon))| {
            let attacks = suite.attacks.iter().filter(|attack| attack.applies_to(&model.name));
            let attacks: Vec<_> = attacks.filter(|attack| takes_part(attack, norm)).collect();
            if attacks.is_empty() || samples.is_empty() {
                return Vec::new();
            }
            SelfTest { body: verifier.clone(), layer, attacks, norm, epsilon, bench }.run(&samples)
        });
        evidence.collect()
    }

    fn models(&mut self, index: usize) -> Result<(Rc<Model>, Rc<Model>), RunError> {
        let pair = self.loaded.pair(index)?;
        if self.model != Some(index) {
            self.clean.clear();
            self.units.clear();
            self.reference = None;
            self.damage = None;
            self.learned = None;
            self.model = Some(index);
            self.learn_directions(&pair.1)?;
        }
        Ok(pair)
    }

    /// Makes the directions that attacks on a model name known to it, from the reference images where they are class means.
    fn learn_directions(&self, model: &Model) -> Result<(), RunError> {
        for attack in self.prepared.suite.attacks.iter().filter(|attack| attack.applies_to(&model.name)) {
            let kind = kind(&attack.goal);
            let Some(Selected { layer, units: UnitSelection::Listed(units), .. }) = kind.selected() else { continue };
            if units.iter().any(|unit| unit.direction().is_some()) {
                learn_directions(model, &model.layer(layer)?, units, &self.prepared.labelled()?)?;
            }
        }
        Ok(())
    }

    /// Whether images of this block are shown to other models.
    fn transfers(&self, unit: &WorkUnit) -> bool {
        let suite = &self.prepared.suite;
        matches!(unit.task, Task::Attack(index) if suite.transfers(&suite.attacks[index]))
    }

    /// The other models, with what they say of the block's clean images. They stay loaded until no block needs them.
    fn victims(&mut self, unit: &WorkUnit, clean: &CleanBlock) -> Result<Vec<Victim>, RunError> {
        let mut victims = Vec::new();
        let capacity = self.capacity;
        for index in (0..self.prepared.sources.len()).filter(|&index| index != unit.model) {
            let model = self.loaded.verifier(index)?;
            let judged = self.clean_of_victims.entry((index, unit.block)).or_insert_with(|| {
                // In the same batches as the model's own clean pass.
                Rc::new(judge(&model, &clean.pixels, &clean.labels, None, capacity))
            });
            victims.push(Victim { clean: judged.clone(), model });
        }
        Ok(victims)
    }

    /// The block's samples, judged once for all attacks on a model while they fit a modest cache.
    fn clean(&mut self, unit: &WorkUnit, verifier: &Model) -> Result<Rc<CleanBlock>, RunError> {
        if let Some(clean) = self.clean.get(&unit.block) {
            return Ok(clean.clone());
        }
        const CACHED_VALUES: i64 = 1 << 26;
        let samples = self.samples(unit)?;
        let watched = self.watched(unit.model);
        let clean = Rc::new(CleanBlock::new(verifier, &samples, &watched, self.capacity));
        let each = clean.pixels.numel() as i64;
        if each * (self.clean.len() as i64 + 1) > CACHED_VALUES {
            self.clean.clear();
        }
        self.clean.insert(unit.block, clean.clone());
        Ok(clean)
    }

    /// The block's samples, which may have been decoded already.
    fn samples(&mut self, unit: &WorkUnit) -> Result<Vec<Sample>, RunError> {
        match self.ahead.take() {
            Some((block, loading)) if block == unit.block => Ok(loading.wait()?),
            _ => Ok(self.prepared.selection.load_block(self.prepared.dataset.as_ref(), unit.samples.clone())?),
        }
    }

    /// Begins to decode the next block that will be asked for.
    fn look_ahead(&mut self, unit: &WorkUnit, later: &[WorkUnit]) {
        let ready = |next: &&WorkUnit| next.model == unit.model && self.clean.contains_key(&next.block);
        if let (None, Some(next)) = (&self.ahead, later.iter().find(|next| !ready(next))) {
            let indices = self.prepared.selection.indices()[next.samples.clone()].to_vec();
            self.ahead = Some((next.block, Loading::start(self.prepared.dataset.clone(), indices)));
        }
    }

    /// The layers that attacks on a model watch.
    fn watched(&self, model: usize) -> Vec<Watched> {
        let suite = &self.prepared.suite;
        let name = &suite.models[model].name;
        let mut watched: Vec<Watched> = Vec::new();
        for attack in suite.attacks.iter().filter(|attack| attack.applies_to(name)) {
            let Some(layer) = kind(&attack.goal).watched() else { continue };
            match watched.iter_mut().find(|known| known.layer == layer.layer) {
                Some(known) => known.neurons.extend(layer.neurons),
                None => watched.push(layer),
            }
        }
        watched
    }

    /// The units of an attack, chosen from the reference images: the first of the run, whatever the shard. They are seen once for all
    /// attacks on the model.
    fn units(&mut self, attack: usize, model: usize, verifier: &Model) -> Result<Rc<Vec<DrivenUnit>>, RunError> {
        if let Some(units) = self.units.get(&attack) {
            return Ok(units.clone());
        }
        let config = &self.prepared.suite.attacks[attack];
        let kind = kind(&config.goal);
        let units = match kind.selected() {
            None => Vec::new(),
            Some(selected) => {
                let listed = match selected.units {
                    UnitSelection::Top { count, by } => {
                        let (top, images) = ((*count, *by), self.prepared.labelled()?);
                        let units = ranked(verifier, selected.layer, top, selected.direction, &images)?;
                        Some(UnitSelection::Listed(units))
                    }
                    _ => None,
                };
                let selected = Selected { units: listed.as_ref().unwrap_or(selected.units), ..selected };
                let noise = Noise::new(self.prepared.suite.seed, &format!("{}/{}", config.name, verifier.name));
                choose(verifier, selected, &*self.reference(model, verifier)?, &noise)?
            }
        };
        let units = Rc::new(units);
        self.units.insert(attack, units.clone());
        Ok(units)
    }

    /// What attacks on a model's features learn of it, once.
    fn learned(&mut self, model: usize, verifier: &Model) -> Result<Rc<Learned>, RunError> {
        if let Some(learned) = &self.learned {
            return Ok(learned.clone());
        }
        let learned = Rc::new(learned(self.prepared, model, verifier, self.capacity)?);
        self.learned = Some(learned.clone());
        Ok(learned)
    }

    fn reference(&mut self, model: usize, verifier: &Model) -> Result<Rc<Reference>, RunError> {
        if let Some(reference) = &self.reference {
            return Ok(reference.clone());
        }
        let batches = self.prepared.labelled_by(self.capacity).map(|batch| Ok::<_, RunError>(batch?.pixels));
        let reference = Rc::new(Reference::new(verifier, &self.watched(model), batches)?);
        self.reference = Some(reference.clone());
        Ok(reference)
    }
}
