//! A suite with its data chosen, its models opened and its plan made: all that can go wrong before the first step goes wrong here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tch::Device;

use super::device::{self, judges_with, paints_with, searches_with};
use super::error::RunError;
use super::guard::guarded;
use super::layers::attacks_by_layer;
use super::trials::{self, trial};
use crate::attack::{Selected, Unfit, features_layer, kind};
use crate::data::{self, Dataset, Sample, Selection};
use crate::judge::{Labelled, learn_directions, pixels, ranked};
use crate::model::{Compute, LayerInfo, Model, ModelError, ModelSource};
use crate::objective::missing;
use crate::random::Noise;
use crate::record::{MANIFEST_FORMAT, Manifest, ModelEntry, RunStatus, Trial};
use crate::suite::{
    AttackConfig, Backward, Direction, Known, Plan, SearchPrecision, Suite, Target, UnitRanking, UnitSelection,
};
use crate::terms::{LayerName, Unit};
use crate::wording::format;

/// Version of everything that determines a result besides the suite: a change makes earlier blocks unusable.
pub const ENGINE_VERSION: &str = "3";

/// Version of what a run's identity is made of: since 2 the images' content, the number of threads on a CPU, and libtorch's version.
pub const IDENTITY_FORMAT: u32 = 2;

/// Images by which units are ranked and gains are scaled.
pub(super) const REFERENCE: usize = 512;

/// A suite that is ready to run.
pub struct Prepared {
    /// The suite, with the command line's overrides.
    pub suite: Suite,
    /// The data set.
    pub dataset: Arc<dyn Dataset>,
    /// The samples.
    pub selection: Selection,
    /// The models' weights, in the suite's order.
    pub sources: Vec<ModelSource>,
    /// The work.
    pub plan: Plan,
    /// Where networks run.
    pub device: Device,
    /// The run's identity: the suite's name and a hash of everything that determines its results.
    pub run: String,
    /// What looks wrong and need not be, one sentence each.
    pub warnings: Vec<String>,
    /// Places in the suite's file of the attacks.
    origins: Vec<usize>,
    data_hash: String,
    /// What a few passes told of each model, in the suite's order.
    trials: Vec<Trial>,
    /// The layer whose features a self-test reads, by model, if the suite asks for one.
    features: Vec<Option<LayerName>>,
}

impl Prepared {
    /// Opens data and models and checks that they fit each other and the suite. `limit` takes so many samples at most.
    ///
    /// # Errors
    /// Missing or wrong data, weights, layers, units or devices: see [`RunError`].
    pub fn new(suite: Suite, limit: Option<usize>) -> Result<Self, RunError> {
        let work = || format!("suite `{}`: loading and checking the models", suite.name);
        guarded(|| Self::opened(suite.clone(), limit))
            .unwrap_or_else(|error| Err(RunError::Libtorch { work: work(), error }))
    }

    fn opened(mut suite: Suite, limit: Option<usize>) -> Result<Self, RunError> {
        let device = device::resolve(suite.run.device)?;
        let dataset: Arc<dyn Dataset> = data::open(&suite.data)?.into();
        let mut selection = data::select(dataset.as_ref(), suite.data.samples, suite.seed, suite.data.on_error)?;
        if let Some(limit) = limit {
            selection.truncate(limit);
        }
        if selection.is_empty() {
            return Err(RunError::Empty(format!("`{}` has no images", dataset.name())));
        }
        let first = selection.load_block(dataset.as_ref(), 0..1)?;
        let size = [first[0].image.height as i64, first[0].image.width as i64];
        let sources = suite
            .models
            .iter()
            .enumerate()
            .map(|(model, config)| {
                ModelSource::open(config, Some(size)).map_err(|error| RunError::Opening { model, error })
            })
            .collect::<Result<Vec<_>, RunError>>()?;
        let before: Vec<String> = suite.attacks.iter().map(|attack| attack.name.clone()).collect();
        let (attacks, origins) = attacks_by_layer(std::mem::take(&mut suite.attacks), &sources, device)?;
        rename(&mut suite, &before, attacks, &origins);
        suite.run.block = suite.run.block.or_else(|| Some(usual_block(&suite, &sources[0], device)));
        let plan = Plan::new(&suite, selection.len());
        let data_hash = selection.hash(dataset.as_ref())?;
        let run = identity(&suite, &sources, [&data_hash, &selection.order(dataset.as_ref())], device);
        let (trials, features) = (Vec::new(), Vec::new());
        let warnings = warnings(dataset.as_ref(), &selection, &sources);
        let mut prepared = Prepared {
            suite,
            dataset,
            selection,
            sources,
            plan,
            device,
            run,
            warnings,
            origins,
            data_hash,
            trials,
            features,
        };
        prepared.check_fit(&first)?;
        prepared.trials = prepared.try_models()?;
        prepared.features = prepared.find_features()?;
        Ok(prepared)
    }

    /// The model that searches and the one that decides; the same one where they would compute alike.
    ///
    /// # Errors
    /// If the weights are not those of the architecture.
    pub fn models(&self, index: usize) -> Result<(Rc<Model>, Rc<Model>), ModelError> {
        let verifier = self.verifier(index)?;
        Ok((self.searcher(index, &verifier)?, verifier))
    }

    /// The model that decides, in f32.
    ///
    /// # Errors
    /// If the weights are not those of the architecture.
    pub fn verifier(&self, index: usize) -> Result<Rc<Model>, ModelError> {
        self.build(index, self.judge_compute(index))
    }

    /// The model that makes pictures, in f32.
    ///
    /// # Errors
    /// If the weights are not those of the architecture.
    pub fn painter(&self, index: usize) -> Result<Rc<Model>, ModelError> {
        self.build(index, paints_with(&self.sources[index], self.device))
    }

    fn build(&self, index: usize, compute: Compute) -> Result<Rc<Model>, ModelError> {
        Ok(Rc::new(self.built(index, compute)?))
    }

    fn built(&self, index: usize, compute: Compute) -> Result<Model, ModelError> {
        let mut model = self.sources[index].build(compute)?;
        model.probabilities = self.trials.get(index).is_some_and(|trial| trial.probabilities);
        model.repeats = self.suite.run.eot;
        Ok(model)
    }

    /// The model that searches: `verifier`, the one that decides, where both would compute alike.
    ///
    /// # Errors
    /// If the weights are not those of the architecture.
    pub fn searcher(&self, index: usize, verifier: &Rc<Model>) -> Result<Rc<Model>, ModelError> {
        let compute = self.search_compute(index);
        if compute == self.judge_compute(index) {
            return Ok(verifier.clone());
        }
        let mut model = self.built(index, compute)?;
        model.directions = verifier.directions.clone();
        Ok(Rc::new(model))
    }

    fn judge_compute(&self, index: usize) -> Compute {
        judges_with(&self.sources[index], self.device)
    }

    fn search_compute(&self, index: usize) -> Compute {
        searches_with(self.suite.run.precision, &self.sources[index], self.device)
    }

    /// Shows a few of the run's images to each model.
    fn try_models(&self) -> Result<Vec<Trial>, RunError> {
        let count = self.selection.len().min(trials::IMAGES);
        let samples = self.selection.load_block(self.dataset.as_ref(), 0..count)?;
        let pixels = pixels(&samples, self.device);
        // Square Attack needs no gradient, so that it runs on models that give none.
        let follows = |attack: &AttackConfig| attack.optimizer.step().backwards > 0;
        let follows_gradients = |name: &str| {
            let mut attacks = self.suite.attacks.iter().filter(|attack| attack.applies_to(name));
            self.suite.boundary.is_some() || attacks.any(follows)
        };
        let of_model = |index: usize| {
            let mut model = self.built(index, self.judge_compute(index))?;
            let name = self.sources[index].name.clone();
            trial(&mut model, &pixels, follows_gradients(&name))
                .map_err(|problem| RunError::Untrusted { model: name, problem })
        };
        (0..self.sources.len()).map(of_model).collect()
    }

    /// The layers whose features a self-test reads.
    fn find_features(&self) -> Result<Vec<Option<LayerName>>, RunError> {
        let Some(config) = &self.suite.selftest else { return Ok(self.sources.iter().map(|_| None).collect()) };
        let of_model = |index: usize| {
            let model = self.verifier(index)?;
            match &config.layer {
                Some(layer) => model.layer(layer).map(|info| Some(info.name)).map_err(|error| match error {
                    ModelError::UnknownLayer { model, layer, near } => {
                        RunError::SelfTest { problem: format!("model `{model}` has no layer `{layer}`"), help: near }
                    }
                    error => error.into(),
                }),
                None => features_layer(&model).map(Some).ok_or_else(|| RunError::SelfTest {
                    problem: format!("model `{}` shows no layer besides its logits", model.name),
                    help: "export it with its layers (docs/models.md), or leave `[selftest]` out".to_owned(),
                }),
            }
        };
        (0..self.sources.len()).map(of_model).collect()
    }

    /// The layer of a model whose features a self-test reads, if the suite asks for one.
    pub fn features_layer(&self, model: usize) -> Option<&LayerName> {
        self.features.get(model)?.as_ref()
    }

    /// What the trial told of each model, in the suite's order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Checks classes, image sizes, layers, units and losses of every model and attack.
    fn check_fit(&self, first: &[Sample]) -> Result<(), RunError> {
        let image = &first[0].image;
        let shape = [image.channels as i64, image.height as i64, image.width as i64];
        let classes = data::class_count(self.dataset.as_ref());
        let mut first_model: Option<(&str, i64)> = None;
        for (index, source) in self.sources.iter().enumerate() {
            let (model, _) = self.models(index)?;
            let fit = |problem: String| RunError::Fit { model: source.name.clone(), problem };
            if model.input != shape {
                let (needs, has) = (model.input, shape);
                return Err(fit(format!(
                    "it takes images of {needs:?} (channels, rows, columns), the data has {has:?}"
                )));
            }
            if (model.classes as usize) < classes {
                let why = data::misfit(self.dataset.as_ref(), model.classes as usize);
                let why = why.map(|why| format!("; {why}")).unwrap_or_default();
                return Err(fit(format!("it has {} classes, the data has {classes}{why}", model.classes)));
            }
            let (of_first, expected) = *first_model.get_or_insert((source.name.as_str(), model.classes));
            if self.suite.transfer.is_some() && model.classes != expected {
                let named = |name: &str, classes: i64| (name.to_owned(), classes);
                let [first, other] = [named(of_first, expected), named(&source.name, model.classes)];
                return Err(RunError::DifferentClasses { first, other });
            }
            if let Some(Target::Class(class)) = self.suite.boundary.as_ref().map(|boundary| boundary.target)
                && class as i64 >= model.classes
            {
                let last = model.classes - 1;
                return Err(fit(format!("[boundary] measures to class {class}, it has classes 0 to {last}")));
            }
            let pixels = pixels(first, self.device);
            let attacks = self.suite.attacks.iter().enumerate();
            for (index, attack) in attacks.filter(|(_, attack)| attack.applies_to(&source.name)) {
                if let Some(backward) = attack.views.and_then(|views| views.backward).filter(|way| !model.rewires(*way))
                {
                    let problem = unknown_pieces(backward);
                    let error = ModelError::Unusable { model: source.name.clone(), problem };
                    return Err(RunError::Asking { attack: self.origins[index], error });
                }
                kind(&attack.goal).check(attack, &model, &pixels).map_err(|problem| match problem {
                    Unfit::Model(error) => RunError::Asking { attack: self.origins[index], error },
                    Unfit::Other(problem) => fit(problem),
                })?;
            }
        }
        Ok(())
    }

    /// The units that a unit attack drives in `model`, without its controls; none for other attacks.
    ///
    /// # Errors
    /// If the layer or a unit does not exist, or images cannot be read.
    pub fn driven_units(&self, attack: &AttackConfig, model: &Model) -> Result<Vec<Unit>, RunError> {
        let kind = kind(&attack.goal);
        let Some(Selected { layer, units, direction, .. }) = kind.selected() else { return Ok(Vec::new()) };
        self.chosen_units(&attack.name, model, &model.layer(layer)?, units, direction)
    }

    /// The units of `layer` that a selection means, of what is called `name` in the suite; they exist, and their directions are known.
    ///
    /// # Errors
    /// If a unit does not exist, or images cannot be read.
    pub fn chosen_units(
        &self,
        name: &str,
        model: &Model,
        layer: &LayerInfo,
        units: &UnitSelection,
        direction: Direction,
    ) -> Result<Vec<Unit>, RunError> {
        let noise = Noise::new(self.suite.seed, &format!("{name}/{}", model.name));
        let top = |top| Ok::<_, RunError>(ranked(model, &layer.name, top, direction, &self.labelled()?)?);
        let units = match units {
            UnitSelection::Listed(units) => {
                if units.iter().any(|unit| unit.direction().is_some()) {
                    learn_directions(model, layer, units, &self.labelled()?)?;
                }
                units.clone()
            }
            UnitSelection::All => (0..layer.units).map(Unit::channel).collect(),
            UnitSelection::Random(count) => {
                noise.choose("units", *count, layer.units).into_iter().map(Unit::channel).collect()
            }
            UnitSelection::TopActivation(count) => top((*count, UnitRanking::Activation))?,
            UnitSelection::Top { count, by } => top((*count, *by))?,
        };
        for unit in &units {
            if let Some(problem) = missing(model, *unit, layer) {
                let (model, layer, unit) = (model.name.clone(), layer.name.clone(), unit.to_string());
                return Err(ModelError::UnknownUnit { model, layer, unit, problem }.into());
            }
        }
        Ok(units)
    }

    /// The reference images with their labels: the first of the run.
    pub fn labelled(&self) -> Result<Vec<Labelled>, RunError> {
        let count = self.selection.len().min(REFERENCE);
        let chunk = self.capacity().max(1);
        (0..count)
            .step_by(chunk)
            .map(|start| {
                let range = start..count.min(start + chunk);
                let samples = self.selection.load_block(self.dataset.as_ref(), range)?;
                let labels = samples.iter().map(|sample| i64::from(sample.label)).collect();
                Ok(Labelled { pixels: pixels(&samples, self.device), labels })
            })
            .collect()
    }

    /// What only loaded models tell the estimate.
    ///
    /// # Errors
    /// If a layer does not exist.
    pub fn known(&self) -> Result<Known, ModelError> {
        let mut known = Known::default();
        for (index, source) in self.sources.iter().enumerate() {
            let (model, _) = self.models(index)?;
            known.classes.insert(index, model.classes as u64);
            for (place, attack) in self.suite.attacks.iter().enumerate() {
                let kind = kind(&attack.goal);
                if let Some(Selected { layer, units: UnitSelection::All, .. }) =
                    kind.selected().filter(|_| attack.applies_to(&source.name))
                {
                    known.units.insert((index, place), model.layer(layer)?.units as u64);
                }
            }
        }
        Ok(known)
    }

    /// Rows in a batch.
    pub fn capacity(&self) -> usize {
        self.suite.run.batch.unwrap_or_else(|| usual_rows(&self.sources[0], self.device))
    }

    /// Where and how the run computes, for people: `NVIDIA H100 (cuda:0), bf16, channels-last, batches of 256, blocks of 1024`.
    pub fn place(&self) -> String {
        let mut forms: Vec<String> = Vec::new();
        for index in 0..self.sources.len() {
            let form = device::words(self.search_compute(index));
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        let (batch, block) = (self.capacity(), self.suite.run.samples_per_block());
        format!("{}, {}, batches of {batch}, blocks of {block}", device::title(self.device), forms.join(" or "))
    }

    /// The manifest of a run that has finished nothing yet.
    pub fn manifest(&self, command: Vec<String>) -> Manifest {
        let models = self.sources.iter().enumerate().map(|(index, source)| ModelEntry {
            name: source.name.clone(),
            arch: source.arch().to_owned(),
            weights: relative(&self.suite.models[index].weights, &self.suite.path),
            weights_hash: source.hash().to_owned(),
            parameters: source.parameters(),
            search: device::words(self.search_compute(index)),
            trial: self.trials.get(index).cloned(),
        });
        let versions = BTreeMap::from([
            ("am-eval".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("engine".to_owned(), ENGINE_VERSION.to_owned()),
            ("libtorch".to_owned(), device::libtorch_version()),
        ]);
        let skipped = self.selection.skipped().iter().map(|skipped| format!("{}: {}", skipped.id, skipped.reason));
        Manifest {
            format: MANIFEST_FORMAT,
            run: self.run.clone(),
            status: RunStatus::Incomplete,
            suite_name: self.suite.name.clone(),
            suite_source: self.suite.source.clone(),
            suite: self.suite.clone(),
            dataset: self.dataset.name().to_owned(),
            classes: self.dataset.classes().to_vec(),
            samples: self.selection.len() as u64,
            skipped: skipped.collect(),
            data_hash: self.data_hash.clone(),
            models: models.collect(),
            seed: self.suite.seed,
            device: match self.device.is_cuda() {
                true => device::name(self.device),
                false => {
                    let threads = format::counted(tch::get_num_threads().unsigned_abs().into(), "thread");
                    format!("{}, {threads}", device::name(self.device))
                }
            },
            repeats: true,
            versions,
            command,
            blocks_total: self.plan.units().len() as u64,
            blocks_done: 0,
            seconds: 0.0,
            origin: None,
            unconfirmed_hits: 0,
            evidence: Vec::new(),
            outputs: BTreeMap::new(),
            blocks: BTreeMap::new(),
        }
    }
}

/// Gives `suite` its attacks after some became several; what names them names all of these. `origins` are their places before.
fn rename(suite: &mut Suite, before: &[String], attacks: Vec<AttackConfig>, origins: &[usize]) {
    let after = |names: &mut Vec<String>| {
        let named = attacks.iter().zip(origins).filter(|(_, origin)| names.contains(&before[**origin]));
        *names = named.map(|(attack, _)| attack.name.clone()).collect();
    };
    if let Some(damage) = &mut suite.damage {
        after(&mut damage.attacks);
    }
    if let Some(trajectories) = &mut suite.trajectories {
        after(&mut trajectories.attacks);
    }
    if let Some(transfer) = &mut suite.transfer {
        after(&mut transfer.attacks);
    }
    suite.attacks = attacks;
}

/// What looks wrong about data and models together: classes that differ, and images that are left out.
fn warnings(dataset: &dyn Dataset, selection: &Selection, sources: &[ModelSource]) -> Vec<String> {
    let mut found = dataset.warnings();
    for source in sources {
        found.extend(data::misfit(dataset, source.geometry.classes as usize).filter(|text| !found.contains(text)));
    }
    if let Some(first) = selection.skipped().first() {
        let (left_out, all) = (selection.skipped().len(), selection.skipped().len() + selection.len());
        found.push(format!("{left_out} of {all} images are left out, the first being {}: {}", first.id, first.reason));
    }
    found
}

fn usual_rows(source: &ModelSource, device: Device) -> usize {
    let geometry = source.geometry;
    device::rows(device, geometry.height * geometry.width)
}

/// Samples in a block of a suite that says nothing. A batch that the suite names does not count: a smaller one keeps the blocks
/// that are finished.
fn usual_block(suite: &Suite, source: &ModelSource, device: Device) -> usize {
    let cells = suite.attacks.iter().map(|attack| {
        let units = match kind(&attack.goal).selected().map(|selected| selected.units) {
            Some(
                UnitSelection::TopActivation(count) | UnitSelection::Top { count, .. } | UnitSelection::Random(count),
            ) => 2 * count,
            Some(UnitSelection::Listed(units)) => 2 * units.len(),
            Some(UnitSelection::All) => 2048,
            None => 1,
        };
        units * attack.epsilons.len() * attack.restarts.max(1)
    });
    let [channels, height, width] = source.geometry.image();
    let values = (channels * height * width) as usize;
    device::block(device, usual_rows(source, device), cells.max().unwrap_or(1), values)
}

/// The suite's name and twelve digits of a hash of everything that determines the results.
/// On a CPU, libtorch splits sums by its number of threads, which so decides their last bits.
fn identity(suite: &Suite, sources: &[ModelSource], [data, order]: [&str; 2], device: Device) -> String {
    let libtorch = device::libtorch_version();
    let weights: Vec<&str> = sources.iter().map(|source| source.hash()).collect();
    let mut material = serde_json::json!({
        "identity": IDENTITY_FORMAT,
        "engine": ENGINE_VERSION,
        "threads": if device.is_cuda() { None } else { Some(tch::get_num_threads()) },
        "suite": suite.run_key_material(),
        "weights": weights,
        "data": data,
        "order": order,
        "device": if device.is_cuda() { device::name(device) } else { "cpu".to_owned() },
        // A CPU's libtorch computes alike whatever it was packaged with.
        "libtorch": libtorch.split('+').next().filter(|_| !device.is_cuda()).unwrap_or(&libtorch),
    });
    // What `fast` means depends on the CPU.
    if suite.run.precision == SearchPrecision::Fast {
        let forms = sources.iter().map(|source| device::words(searches_with(suite.run.precision, source, device)));
        material["search"] = forms.collect::<Vec<_>>().into();
    }
    let hash = blake3::hash(material.to_string().as_bytes()).to_hex();
    format!("{}-{}", suite.name, &hash[..12])
}

/// A weights file as seen from the suite's folder, so that manifests do not carry anyone's home directory.
fn relative(weights: &std::path::Path, suite: &std::path::Path) -> String {
    let folder = suite.parent().map(PathBuf::from).unwrap_or_default();
    weights.strip_prefix(&folder).unwrap_or(weights).display().to_string()
}

/// Why a network's backward pass cannot be changed.
fn unknown_pieces(backward: Backward) -> String {
    let networks = backward.networks();
    let word = backward.as_str();
    format!("`backward = \"{word}\"` is for native {networks}; name them in the attack's `models`, or leave it out")
}
