//! `am-eval predict`: what a model says of images, as CSV or safetensors.

use super::args::PredictArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit, print};
use crate::data::Pictures;
use crate::engine::{PredictError, Predictor, device};
use crate::interrupt;
use crate::model::{Compute, ModelSource};
use crate::objective::PixelObjective;
use crate::record::StoreError;
use crate::suite::{DataSource, Normalize, Preprocess, Suite, did_you_mean};
use crate::terms::LayerName;

/// Predicts and writes. With a suite, image files are resized and cropped as its `[data]` says.
pub fn predict(args: &PredictArgs) -> Result<Exit, Failure> {
    let objective = args.gradient.as_deref().map(str::parse::<PixelObjective>).transpose().or_exit(Exit::Usage)?;
    interrupt::listen();
    let (source, preprocess) = source(args)?;
    let device = device::resolve(args.device).or_exit(Exit::Usage)?;
    let model = source.build(Compute::f32(device)).or_exit(Exit::Usage)?;
    let pictures = Pictures::open(&args.images, preprocess).or_exit(Exit::Usage)?;
    let layers = args.tap.iter().map(|layer| LayerName::from(layer.as_str())).collect();
    let predictor = Predictor::new(&model, layers, objective).or_exit(Exit::Usage)?;
    predictor.write(&pictures, &args.out).map_err(failure)?;
    print(&format!("wrote {} ({} images)\n", args.out.display(), pictures.len()))?;
    Ok(Exit::Success)
}

/// The model of the suite or of the flags, and how the suite brings images to the model's size.
fn source(args: &PredictArgs) -> Result<(ModelSource, Option<Preprocess>), Failure> {
    if let (Some(path), Some(name)) = (&args.suite, &args.model) {
        let suite = Suite::load(path).map_err(|errors| Failure::diagnostic(Exit::Usage, errors))?;
        let Some(model) = suite.models.iter().find(|model| model.name == *name) else {
            let known = suite.models.iter().map(|model| model.name.as_str());
            let text = format!("{} has no model `{name}`", path.display());
            return Err(Failure::message(Exit::Usage, text, did_you_mean(name, known)));
        };
        let preprocess = match suite.data.source {
            DataSource::ImageFolder { preprocess, .. } => preprocess,
            DataSource::Synthetic { .. } | DataSource::Cifar10 { .. } => None,
        };
        let source = ModelSource::open(name, &model.arch, &model.weights, &model.normalize, model.classes);
        return Ok((source.or_exit(Exit::Usage)?, preprocess));
    }
    let (Some(arch), Some(weights)) = (&args.arch, &args.weights) else {
        return Err(Failure::message(
            Exit::Usage,
            "no model is given",
            "give --suite and --model, or --arch and --weights",
        ));
    };
    let normalize = Normalize { mean: args.mean.clone(), std: args.std.clone() };
    let name = weights.file_stem().map_or_else(|| arch.clone(), |stem| stem.to_string_lossy().into_owned());
    Ok((ModelSource::open(&name, arch, weights, &normalize, None).or_exit(Exit::Usage)?, None))
}

/// The exit code of what stopped a prediction.
fn failure(error: PredictError) -> Failure {
    let exit = match &error {
        PredictError::Data(_) | PredictError::Model(_) | PredictError::Size { .. } => Exit::Usage,
        PredictError::Store(StoreError::Content { .. }) => Exit::Usage, // a name that is no file's
        PredictError::Store(_) => Exit::RunFailed,
        PredictError::Interrupted { .. } => Exit::Incomplete,
        PredictError::Libtorch(error) if error.retry => Exit::Device,
        PredictError::Libtorch(_) => Exit::RunFailed,
    };
    Failure::new(exit, error)
}
