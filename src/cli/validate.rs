//! `am-eval validate`: every error of every suite at once, without running anything.

use std::path::Path;

use super::args::ValidateArgs;
use super::exit::Exit;
use super::failure::{Failure, print};
use crate::data;
use crate::suite::{OnDataError, Place, Suite, SuiteErrors};

/// Checks each suite, then the files that it names and, where this build knows them, architectures and layers. A wrong
/// suite does not hide the errors of the next.
pub fn validate(args: &ValidateArgs) -> Result<Exit, Failure> {
    let mut exit = Exit::Success;
    for path in &args.suites {
        match check(path, args) {
            Ok(suite) => {
                print(&format!("{}: {}\n", path.display(), outline(&suite)))?;
                suite.gate_warnings().iter().for_each(|text| eprintln!("{}: warning: {text}", path.display()));
            }
            Err(failures) => {
                exit = Exit::Usage;
                failures.into_iter().for_each(|errors| Failure::diagnostic(Exit::Usage, errors).print());
            }
        }
    }
    Ok(exit)
}

fn check(path: &Path, args: &ValidateArgs) -> Result<Suite, Vec<SuiteErrors>> {
    let mut suite = Suite::load_from(path, args.weights_root.as_deref()).map_err(|errors| vec![errors])?;
    if let Some(folder) = &args.data_root {
        suite.data.source.move_to(folder);
    }
    let mut found: Vec<SuiteErrors> = suite.check_files().err().into_iter().collect();
    if suite.has_data() {
        found.extend(data_problem(&suite));
    }
    found.extend(networks::problems(&suite));
    if found.is_empty() { Ok(suite) } else { Err(found) }
}

/// What is wrong with the lists of the data: labels, names and counts. Images are not decoded.
fn data_problem(suite: &Suite) -> Option<SuiteErrors> {
    let (key, problem) = match data::open(&suite.data) {
        Err(error) => ("kind", error.with_cause()),
        Ok(dataset) => {
            let (samples, seed) = (suite.data.samples, suite.seed);
            ("samples", data::select(dataset.as_ref(), samples, seed, OnDataError::Fail).err()?.with_cause())
        }
    };
    Some(suite.error_at(Place::Data(key), problem, "the README shows every kind of data"))
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
    use crate::suite::{Suite, SuiteErrors};

    /// A build without networks cannot know their layers.
    pub fn problems(_suite: &Suite) -> Vec<SuiteErrors> {
        Vec::new()
    }
}

#[cfg(feature = "torch")]
mod networks {
    use crate::model::{Architecture, Compute, Geometry, LayerInfo, ModelError, ModelSource, backend};
    use crate::suite::{ModelConfig, Place, Suite, SuiteErrors};

    /// Unknown architectures, or else files whose network cannot be used, and unknown layers. Those of an architecture are its
    /// outline's, so that this needs no weights.
    pub fn problems(suite: &Suite) -> Vec<SuiteErrors> {
        let known: Vec<&str> = backend::known().collect();
        if let Err(errors) = suite.check_architectures(&known) {
            return vec![errors];
        }
        let models = suite.models.iter().enumerate();
        models.filter_map(|(index, model)| layer_problems(suite, index, model)).collect()
    }

    fn layer_problems(suite: &Suite, index: usize, model: &ModelConfig) -> Option<SuiteErrors> {
        let layers = match backend::find(&model.arch) {
            Some(_) => match file_layers(suite, model)? {
                Ok(layers) => layers,
                Err(error) => {
                    let help = "the README's section on models says how to write such a file";
                    return Some(suite.error_at(Place::Model(index, "weights"), error.to_string(), help));
                }
            },
            None => native_layers(model)?,
        };
        let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        suite.check_layers(&model.name, &names).err()
    }

    /// The layers of a file's network; none where the file is missing, which is said elsewhere, or the size of images is not known.
    fn file_layers(suite: &Suite, model: &ModelConfig) -> Option<Result<Vec<LayerInfo>, ModelError>> {
        let size = suite.data.image_size().filter(|_| model.weights.is_file())?;
        let layers = || Ok(ModelSource::open(model, Some(size))?.build(Compute::f32(tch::Device::Cpu))?.layers());
        Some(layers())
    }

    /// The layers of an architecture's outline.
    fn native_layers(model: &ModelConfig) -> Option<Vec<LayerInfo>> {
        let architecture = Architecture::find(&model.arch).ok()?;
        let channels = model.normalize.mean.len() as i64; // opening the model says if it has another number
        Some(architecture.outline(Geometry { channels, ..architecture.geometry }).ok()?.layers())
    }
}
