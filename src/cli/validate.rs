//! `am-eval validate`: every error of every suite at once, without running anything.

use std::path::Path;

use super::args::ValidateArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::output::{say, tell};
use crate::data::{self, DataError, Dataset, Selection};
use crate::suite::{OnDataError, Place, Suite, SuiteErrors};
use crate::wording::escape;

/// Checks each suite, then the files that it names and, where this build knows them, architectures and layers. A wrong
/// suite does not hide the errors of the next.
pub fn validate(args: &ValidateArgs) -> Result<Exit, Failure> {
    let mut exit = Exit::Success;
    for path in &args.suites {
        match check(path, args) {
            Ok((suite, narrow)) => {
                tell(&format!("{}: {}\n", path.display(), outline(&suite)));
                let warnings = suite.gate_warnings().into_iter().chain(suite.attack_warnings());
                let warnings = warnings.chain(networks::warnings(&suite)).chain(narrow);
                warnings.for_each(|text| say(&format!("{}: warning: {}", path.display(), escape::line(&text))));
            }
            Err(failures) => {
                exit = Exit::Usage;
                failures.into_iter().for_each(|errors| Failure::diagnostic(Exit::Usage, errors).print());
            }
        }
    }
    Ok(exit)
}

/// The suite, and where layers are narrower than it takes them to be.
fn check(path: &Path, args: &ValidateArgs) -> Result<(Suite, Vec<String>), Vec<SuiteErrors>> {
    let mut suite = Suite::load_from(path, args.weights_root.as_deref()).map_err(|errors| vec![errors])?;
    if let Some(folder) = &args.data_root {
        suite.data.source.move_to(folder);
    }
    let Review { problems, narrow } = review(&suite);
    if problems.is_empty() { Ok((suite, narrow)) } else { Err(problems) }
}

/// What is wrong with the files that a suite names, and where this build knows them, with architectures and layers.
pub(super) fn problems_of(suite: &Suite) -> Vec<SuiteErrors> {
    review(suite).problems
}

/// What looking at a suite's files and networks tells.
#[derive(Default)]
struct Review {
    problems: Vec<SuiteErrors>,
    /// Where layers are narrower than the suite takes them to be.
    narrow: Vec<String>,
}

fn review(suite: &Suite) -> Review {
    let mut problems: Vec<SuiteErrors> = suite.check_files().err().into_iter().collect();
    if suite.has_data() {
        problems.extend(data_problem(suite));
    }
    let networks = networks::review(suite);
    problems.extend(networks.problems);
    Review { problems, narrow: networks.narrow }
}

/// What is wrong with the lists of the data: labels, names and counts. Images are not decoded.
fn data_problem(suite: &Suite) -> Option<SuiteErrors> {
    let (key, problem) = match data::open(&suite.data) {
        Err(error) => ("kind", error.with_cause()),
        Ok(dataset) => ("samples", chosen(suite, dataset.as_ref()).err()?.with_cause()),
    };
    Some(suite.error_at(Place::Data(key), problem, "docs/data.md shows every kind of data"))
}

/// The samples of a run, whose images are not looked at.
fn chosen(suite: &Suite, dataset: &dyn Dataset) -> Result<Selection, DataError> {
    data::select(dataset, suite.data.samples, suite.seed, OnDataError::Fail)
}

/// What a good suite holds, on one line.
fn outline(suite: &Suite) -> String {
    let count = |number: usize, one: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    };
    let (models, attacks) = (count(suite.models.len(), "model"), count(suite.attacks.len(), "attack"));
    let boundary = if suite.boundary.is_some() { ", boundary distance" } else { "" };
    let transfer = if suite.transfer.is_some() { ", transfer" } else { "" };
    format!("ok, {models}, {attacks}{boundary}{transfer}")
}

#[cfg(not(feature = "torch"))]
mod networks {
    use super::Review;
    use crate::data::TensorFile;
    use crate::files::instead;
    use crate::suite::{Place, Suite};

    /// A build without networks cannot know their layers; it sees whether files of weights are whole.
    pub fn review(suite: &Suite) -> Review {
        let programs = ["torchscript", "exported", "onnx"];
        let models = suite.models.iter().enumerate().filter(|(_, model)| !programs.contains(&model.arch.as_str()));
        let problem = |(index, model): (usize, &crate::suite::ModelConfig)| {
            let error = TensorFile::open(&model.weights).err()?;
            let problem = match instead(&model.weights) {
                Some(description) => format!("{}: {description}", model.weights.display()),
                None => error.with_cause(),
            };
            Some(suite.error_at(Place::Model(index, "weights"), problem, "name the file of the model's weights"))
        };
        Review { problems: models.filter_map(problem).collect(), ..Review::default() }
    }

    /// What looks wrong about the data.
    pub fn warnings(suite: &Suite) -> Vec<String> {
        crate::data::open(&suite.data).map(|data| data.warnings()).unwrap_or_default()
    }
}

#[cfg(feature = "torch")]
mod networks {
    use std::cell::OnceCell;
    use std::collections::BTreeSet;

    use super::{Review, chosen};
    use crate::cli::output::say;
    use crate::cli::run::SCRIPTS;
    use crate::data::{self, misfit};
    use crate::engine::narrow_layers;
    use crate::judge::{file_vector, missing_class};
    use crate::model::{
        Architecture, Compute, Geometry, Model, ModelError, ModelSource, TORCHSCRIPT, WeightsError, WeightsFile,
        backend, depths, no_gradient, survey,
    };
    use crate::objective::missing;
    use crate::suite::passes::REFERENCE;
    use crate::suite::{LayerDepth, ModelConfig, Place, Suite, SuiteErrors};
    use crate::terms::{DirectionSource, LayerName, Unit};

    /// What is known of a model's layers.
    struct Layers {
        names: Vec<String>,
        /// The network, whose layers tell their units; none of a script, which is read and not run.
        network: Option<Model>,
    }

    /// Unknown architectures, or else weights that are not theirs, and unknown layers. Names and shapes are those of an
    /// architecture's outline and of the headers of the weights; scripts are read and not run.
    pub fn review(suite: &Suite) -> Review {
        let known: Vec<&str> = backend::known().collect();
        if let Err(errors) = suite.check_architectures(&known) {
            return Review { problems: vec![errors], ..Review::default() };
        }
        let mut narrow = Vec::new();
        let mut found: Vec<SuiteErrors> =
            suite.models.iter().flat_map(|model| backward_problems(suite, model)).collect();
        let (labels, size) = (OnceCell::new(), image_size(suite));
        for (index, model) in suite.models.iter().enumerate().filter(|(_, model)| model.weights.is_file()) {
            let help = "docs/models.md says how to write such a file";
            let layers = weights(suite, model, size).map(|()| layers(suite, model, size));
            match layers.and_then(Option::transpose) {
                Ok(Some(layers)) => {
                    let names: Vec<&str> = layers.names.iter().map(String::as_str).collect();
                    found.extend(suite.check_layers(&model.name, &names).err());
                    found.extend(unit_problems(suite, model, size, &layers, &labels));
                    if let Some(network) = &layers.network {
                        let classes = usize::try_from(network.classes).ok();
                        found.extend(classes.and_then(|classes| suite.check_classes(&model.name, classes).err()));
                        // A layer that is not there is among the problems.
                        narrow.extend(narrow_layers(suite, &model.name, network).into_iter().flatten());
                    }
                }
                Ok(None) => {}
                Err(error) => found.push(suite.error_at(Place::Model(index, "weights"), error.to_string(), help)),
            }
        }
        Review { problems: found, narrow }
    }

    /// What looks wrong about the data for the models, and that scripts are programs.
    pub fn warnings(suite: &Suite) -> Vec<String> {
        let Ok(dataset) = data::open(&suite.data) else { return Vec::new() };
        let mut found = dataset.warnings();
        if suite.models.iter().any(|model| model.arch == TORCHSCRIPT) {
            found.push(SCRIPTS.to_owned());
        }
        let native = suite.models.iter().filter(|model| backend::find(&model.arch).is_none());
        let classes =
            native.filter_map(|model| ModelSource::outline(model, None).ok()).map(|source| source.geometry.classes);
        found.extend(classes.filter_map(|classes| misfit(dataset.as_ref(), classes as usize)));
        found.dedup();
        found
    }

    /// Attacks whose backward pass the architecture does not have.
    fn backward_problems(suite: &Suite, model: &ModelConfig) -> Vec<SuiteErrors> {
        let outline = || {
            let architecture = Architecture::find(&model.arch).ok()?;
            let channels = model.normalize.mean.len() as i64;
            architecture.outline(Geometry { channels, ..architecture.geometry }).ok()
        };
        let attacks = suite.attacks.iter().enumerate().filter(|(_, attack)| attack.applies_to(&model.name));
        let edited: Vec<_> = attacks
            .filter_map(|(index, attack)| Some((index, attack.views.and_then(|views| views.backward)?)))
            .collect();
        let Some(network) = (!edited.is_empty()).then(outline) else { return Vec::new() };
        edited
            .into_iter()
            .filter(|(_, backward)| !network.as_ref().is_some_and(|network| network.rewires(*backward)))
            .map(|(index, backward)| {
                let (word, networks) = (backward.as_str(), backward.networks());
                let problem = format!("`backward = \"{word}\"` is for native {networks}; `{}` is none", model.name);
                suite.error_at(
                    Place::Attack(index, "views"),
                    problem,
                    "name the models that it is for: `models = [\"vit\"]`",
                )
            })
            .collect()
    }

    /// Listed units that a layer does not have, or whose direction cannot be learned. What a script's layers hold is left to the run, and so
    /// are single neurons where the suite does not tell the images' size.
    fn unit_problems(
        suite: &Suite,
        model: &ModelConfig,
        size: Option<[i64; 2]>,
        layers: &Layers,
        labels: &OnceCell<BTreeSet<usize>>,
    ) -> Option<SuiteErrors> {
        let known = layers.network.as_ref().map(Model::layers);
        let places: Vec<LayerDepth> = match &known {
            Some(layers) => depths(layers),
            None => layers.names.iter().map(|name| LayerDepth { name, share: 1.0, landmark: true }).collect(),
        };
        let of_network = |network: &Model, layer: &LayerName, unit: Unit| {
            let known = network.layer(layer).ok()?;
            let decidable = size.is_some() || !unit.has_position();
            let direction = || match unit.direction()?.source() {
                DirectionSource::File(path) => file_vector(std::path::Path::new(path), known.units).err(),
                DirectionSource::Classes(class, other) => missing_class(network, class, other),
            };
            missing(network, unit, &known).filter(|_| decidable).or_else(direction)
        };
        let problem = |layer: &LayerName, unit: Unit| {
            let network = layers.network.as_ref();
            network.and_then(|network| of_network(network, layer, unit)).or_else(|| unlearnable(suite, unit, labels))
        };
        suite.check_units(&model.name, &places, problem).err()
    }

    /// Why there is no direction between the classes of a unit, as far as the reference images tell.
    fn unlearnable(suite: &Suite, unit: Unit, labels: &OnceCell<BTreeSet<usize>>) -> Option<String> {
        let DirectionSource::Classes(class, other) = unit.direction()?.source() else { return None };
        if other == Some(class) {
            return Some("a class less itself is no direction; name two classes".to_owned());
        }
        let labels = labels.get_or_init(|| reference_labels(suite));
        let mut absent = [Some(class), other].into_iter().flatten().filter(|class| !labels.contains(class));
        let alone = other.is_none() && labels.len() < 2;
        match absent.next() {
            _ if labels.is_empty() => None,
            Some(class) => Some(format!("no reference image is of class {class}; take more samples")),
            None => alone.then(|| "no reference image is of another class; take more samples".to_owned()),
        }
    }

    /// The classes of the images by which directions are learned; none if the data cannot be looked at.
    fn reference_labels(suite: &Suite) -> BTreeSet<usize> {
        let Ok(dataset) = data::open(&suite.data) else { return BTreeSet::new() };
        let selection = chosen(suite, dataset.as_ref());
        let indices = selection.iter().flat_map(|selection| selection.indices().iter().take(REFERENCE));
        indices.map(|&index| dataset.label(index) as usize).collect()
    }

    /// The size of the images (rows, columns) as the suite tells it, or else that of the first image; none if there is no image to look at.
    fn image_size(suite: &Suite) -> Option<[i64; 2]> {
        suite.data.image_size().or_else(|| {
            let dataset = data::open(&suite.data).ok()?;
            let first = chosen(suite, dataset.as_ref()).ok()?.load_block(dataset.as_ref(), 0..1).ok()?;
            first.first().map(|sample| [sample.image.height as i64, sample.image.width as i64])
        })
    }

    fn weights(suite: &Suite, model: &ModelConfig, size: Option<[i64; 2]>) -> Result<(), ModelError> {
        if backend::find(&model.arch).is_none() {
            ModelSource::outline(model, size)?.check_weights()?;
            return WeightsFile::check_numbers(&model.weights).map_err(ModelError::from);
        }
        if model.arch != TORCHSCRIPT {
            return Ok(());
        }
        match survey(&model.weights)?.no_gradient() {
            Some(why) if suite.follows_gradients(&model.name) => {
                let problem = no_gradient(&why);
                Err(WeightsError::Script { path: model.weights.clone(), problem }.into())
            }
            _ => Ok(()),
        }
    }

    /// The layers of an architecture's outline, of a script's code, or of another file's network; none where they are not known.
    fn layers(suite: &Suite, model: &ModelConfig, size: Option<[i64; 2]>) -> Option<Result<Layers, ModelError>> {
        if model.arch == TORCHSCRIPT {
            return survey(&model.weights).ok()?.layers().map(|names| Ok(Layers { names, network: None }));
        }
        let named = |network: Model| {
            let names = network.layers().iter().flat_map(|layer| layer.names()).map(ToString::to_string).collect();
            Layers { names, network: Some(network) }
        };
        if backend::find(&model.arch).is_some() {
            let size = size?;
            let open = || {
                let source = ModelSource::open_for(model, Some(size), suite.follows_gradients(&model.name))?;
                let (path, name) = (suite.path.display(), &model.name);
                source.notes().iter().for_each(|note| say(&format!("{path}: note: model `{name}`: {note}")));
                source.build(Compute::f32(tch::Device::Cpu))
            };
            return Some(open().map(named));
        }
        let architecture = Architecture::find(&model.arch).ok()?;
        let [height, width] = size.unwrap_or([architecture.geometry.height, architecture.geometry.width]);
        let channels = model.normalize.mean.len() as i64; // opening the model says if it has another number
        let classes =
            ModelSource::outline(model, size).map_or(architecture.geometry.classes, |source| source.geometry.classes);
        let outline = architecture.outline(Geometry { channels, height, width, classes }).ok()?;
        Some(Ok(named(outline)))
    }
}
