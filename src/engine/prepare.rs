//! A suite with its data chosen, its models opened and its plan made: all that can go wrong before the first step goes wrong here.

use std::rc::Rc;
use std::sync::Arc;

use tch::Device;

use super::block::usual_block;
use super::device::{self, judges_with, paints_with, search_rows, searches_with};
use super::error::RunError;
use super::guard::guarded;
use super::identity::identity;
use super::layers::attacks_by_layer;
use super::trials::trial;
use super::widths::narrow_layers;
use crate::attack::{Unfit, features_layer, kind};
use crate::data::{self, Dataset, Sample, Selection};
use crate::judge::pixels;
use crate::model::{Compute, Model, ModelError, ModelSource};
use crate::record::Trial;
use crate::suite::passes::TRIAL_IMAGES;
use crate::suite::{AttackConfig, Backward, Known, Place, Plan, Suite, Target, too_few_classes};
use crate::terms::LayerName;

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
    pub(super) data_hash: String,
    /// What a few passes told of each model, in the suite's order.
    pub(super) trials: Vec<Trial>,
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
                ModelSource::open_for(config, Some(size), suite.follows_gradients(&config.name))
                    .map_err(|error| RunError::Opening { model, error })
            })
            .collect::<Result<Vec<_>, RunError>>()?;
        let before: Vec<String> = suite.attacks.iter().map(|attack| attack.name.clone()).collect();
        let written = suite.clone();
        let (attacks, origins) = attacks_by_layer(std::mem::take(&mut suite.attacks), &sources, device)?;
        rename(&mut suite, &before, attacks, &origins);
        suite.run.block = suite.run.block.or_else(|| Some(usual_block(&suite, &sources, selection.len(), device)));
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
        let narrow = prepared.check_fit(&first, &written)?;
        prepared.warnings.extend(narrow);
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

    /// The model that makes pictures.
    ///
    /// # Errors
    /// If the weights are not those of the architecture.
    pub fn painter(&self, index: usize) -> Result<Rc<Model>, ModelError> {
        self.build(index, paints_with(self.suite.run.precision, &self.sources[index], self.device))
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

    pub(super) fn search_compute(&self, index: usize) -> Compute {
        searches_with(self.suite.run.precision, &self.sources[index], self.device)
    }

    /// Shows a few of the run's images to each model.
    fn try_models(&self) -> Result<Vec<Trial>, RunError> {
        let count = self.selection.len().min(TRIAL_IMAGES);
        let samples = self.selection.load_block(self.dataset.as_ref(), 0..count)?;
        let pixels = pixels(&samples, self.device);
        // Square Attack needs no gradient, so that it runs on models that give none.
        let follows = |attack: &AttackConfig| attack.optimizer.follows_gradients();
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

    /// Checks classes, image sizes, layers, units and losses of every model and attack. Returns where layers are narrower than the suite, as
    /// it is `written`, takes them to be.
    fn check_fit(&self, first: &[Sample], written: &Suite) -> Result<Vec<String>, RunError> {
        let mut narrow = Vec::new();
        let image = &first[0].image;
        let shape = [image.channels as i64, image.height as i64, image.width as i64];
        let classes = data::class_count(self.dataset.as_ref());
        let mut first_model: Option<(&str, i64)> = None;
        for (index, source) in self.sources.iter().enumerate() {
            let (model, _) = self.models(index)?;
            let fit = |problem: String| RunError::Fit { model: source.name.clone(), problem };
            // Studies look at layers long after the first block.
            self.look_at(index, &model, &mut Known::default())?;
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
            let unfit = |place, problem| RunError::Unfit { place, model: source.name.clone(), problem };
            if let Some(Target::Class(class)) = self.suite.boundary.as_ref().map(|boundary| boundary.target)
                && let Some(problem) = too_few_classes("[boundary]", class + 1, "target", model.classes as usize)
            {
                return Err(unfit(Place::Boundary("target"), problem));
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
                    Unfit::Value { key, problem } => unfit(Place::Attack(self.origins[index], key), problem),
                })?;
            }
            narrow.extend(narrow_layers(written, &source.name, &model)?);
        }
        Ok(narrow)
    }

    /// Rows in a batch.
    pub fn capacity(&self) -> usize {
        self.suite.run.batch.unwrap_or_else(|| search_rows(&self.sources[0], self.device))
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

/// Why a network's backward pass cannot be changed.
fn unknown_pieces(backward: Backward) -> String {
    let networks = backward.networks();
    let word = backward.as_str();
    format!("`backward = \"{word}\"` is for native {networks}; name them in the attack's `models`, or leave it out")
}
