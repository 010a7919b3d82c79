//! `am-eval predict`: what a model says of images, as CSV or safetensors.

use std::time::Instant;

use super::args::PredictArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::output::{tell, warn};
use super::run::SCRIPTS;
use crate::data::Pictures;
use crate::engine::{PredictError, Predictor, device, guarded};
use crate::interrupt;
use crate::model::{Compute, ModelError, ModelSource, TORCHSCRIPT};
use crate::objective::PixelObjective;
use crate::record::StoreError;
use crate::suite::{Channels, ModelConfig, ModelFolder, Normalize, Preprocess, Suite};
use crate::terms::LayerName;
use crate::wording::did_you_mean;

/// Predicts and writes. With a suite, image files are resized and cropped as its `[data]` says; they become grey for a
/// model of one channel.
pub fn predict(args: &PredictArgs) -> Result<Exit, Failure> {
    let objective = args.gradient.as_deref().map(str::parse::<PixelObjective>).transpose().or_exit(Exit::Usage)?;
    interrupt::listen(|| Exit::Incomplete.leave());
    let device = device::resolve(args.device).or_exit(Exit::Usage)?;
    if let Some(warning) = device::missed(args.device, device) {
        warn(&warning);
    }
    let request = Request::new(args)?;
    if request.model.arch == TORCHSCRIPT {
        warn(SCRIPTS);
    }
    let pictures = Pictures::open(&args.images, request.preprocess).or_exit(Exit::Usage)?;
    let first = pictures.image(0).or_exit(Exit::Usage)?;
    let size = [first.height as i64, first.width as i64];
    let began = Instant::now();
    let model = loaded(|| request.open(size, objective.is_some())?.build(Compute::f32(device)))?;
    let layers = args.tap.iter().map(|layer| LayerName::from(layer.as_str())).collect();
    let predictor = loaded(|| Predictor::new(&model, layers, objective))?;
    let loading = began.elapsed().as_secs_f64();
    let computing = predictor.write(&pictures, &args.out).map_err(failure)?.as_secs_f64();
    let (out, count) = (args.out.display(), pictures.len());
    tell(&format!("wrote {out} ({count} images; {loading:.3} s to load, {computing:.3} s to compute)\n"));
    Ok(Exit::Success)
}

/// What loads or tries a model; libtorch may give up on the way.
fn loaded<T>(work: impl FnOnce() -> Result<T, ModelError>) -> Result<T, Failure> {
    guarded(work).map_err(PredictError::from).and_then(|found| found.map_err(PredictError::from)).map_err(failure)
}

/// The model that the suite or the flags name.
struct Request {
    model: ModelConfig,
    /// How the suite brings images to the model's size, and to its channels.
    preprocess: Preprocess,
}

impl Request {
    fn new(args: &PredictArgs) -> Result<Self, Failure> {
        if let (Some(path), Some(name)) = (&args.suite, &args.model) {
            let suite = Suite::load(path).map_err(|errors| Failure::diagnostic(Exit::Usage, errors))?;
            let Some(model) = suite.models.iter().find(|model| model.name == *name) else {
                let known = suite.models.iter().map(|model| model.name.as_str());
                let text = format!("{} has no model `{name}`", path.display());
                return Err(Failure::message(Exit::Usage, text, did_you_mean(name, known)));
            };
            return Ok(Request::for_model(model.clone(), suite.data.preprocess));
        }
        let (Some(arch), Some(weights)) = (&args.arch, &args.weights) else {
            return Err(Failure::message(
                Exit::Usage,
                "no model is given",
                "give --suite and --model, or --arch and --weights",
            ));
        };
        let normalize = Normalize { mean: args.mean.clone(), std: args.std.clone() };
        let folder =
            ModelFolder::at(weights).map_err(|error| Failure::message(Exit::Usage, error.problem, error.help))?;
        let layer_norm_epsilon = folder.layer_norm_epsilon;
        let model = ModelConfig { layer_norm_epsilon, ..ModelConfig::of_file(arch, &folder.weights, normalize) };
        Ok(Request::for_model(model, Preprocess::default()))
    }

    fn for_model(model: ModelConfig, mut preprocess: Preprocess) -> Self {
        let grey = model.normalize.mean.len() == 1;
        preprocess.channels = Some(if grey { Channels::Grey } else { Channels::Rgb });
        Request { model, preprocess }
    }

    /// Opens the model for images of `size` (rows, columns); `gradients` with respect to them are asked for or not.
    fn open(&self, size: [i64; 2], gradients: bool) -> Result<ModelSource, ModelError> {
        ModelSource::open_for(&self.model, Some(size), gradients)
    }
}

/// The exit code of what stopped a prediction.
fn failure(error: PredictError) -> Failure {
    let exit = match &error {
        PredictError::Data(_) | PredictError::Model(_) | PredictError::Size { .. } => Exit::Usage,
        PredictError::Store(StoreError::Content { .. }) => Exit::Usage, // a name that is no file's
        PredictError::Store(_) => Exit::RunFailed,
        PredictError::Interrupted { .. } => Exit::Incomplete,
        PredictError::Libtorch(error) if error.retry() => Exit::Device,
        PredictError::Libtorch(_) => Exit::RunFailed,
    };
    Failure::new(exit, error)
}
