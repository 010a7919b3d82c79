//! `am-eval visualize`: pictures of units, of a suite's models or of a single one.

use std::path::Path;
use std::rc::Rc;

use tch::Device;

use super::args::VisualizeArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::output::{print, say, warn};
use crate::attack::Learned;
use crate::cuda;
use crate::data::{self, Pictures};
use crate::engine::{ENGINE_VERSION, Prepared, device, learned, narrow_pictures};
use crate::interrupt;
use crate::judge::CleanBlock;
use crate::model::{Architecture, Compute, Model, ModelError, ModelSource, backend};
use crate::record::{PictureDir, StudyDir, write_visualize};
use crate::report::write_atlases;
use crate::suite::passes::{REFERENCE, UNIVERSAL_SAMPLES, WAY_SAMPLES};
use crate::suite::{
    AttackConfig, Channels, Direction, LayerChoice, ModelConfig, ModelFolder, Normalize, PicturePreset, Preprocess,
    SearchPrecision, Start, Suite, VisualizeConfig,
};
use crate::visualize::universal::Forge;
use crate::visualize::ways::WayFinder;
use crate::visualize::{RealSamples, Studio, VisualizeError};
use crate::wording::did_you_mean;

/// Makes the pictures that the suite or the flags ask for.
pub fn visualize(args: &VisualizeArgs) -> Result<Exit, Failure> {
    interrupt::listen(|| Exit::Incomplete.leave());
    let request = Request::new(args)?;
    let device = device::resolve(args.device).or_exit(Exit::Usage)?;
    let (samples, classes, data) = request.samples(args)?;
    let sources = request.open(&samples)?;
    let of_suite = request.suite.as_ref().map_or(SearchPrecision::Auto, |suite| suite.run.precision);
    let precision = match (args.fast, args.exact) {
        (true, _) => SearchPrecision::Fast,
        (_, true) => SearchPrecision::F32,
        _ => of_suite,
    };
    let built = |compute: &dyn Fn(&ModelSource) -> Compute| -> Result<Vec<Rc<Model>>, Failure> {
        sources
            .iter()
            .map(|source| source.build(compute(source)).map(Rc::new))
            .collect::<Result<_, _>>()
            .or_exit(Exit::Usage)
    };
    let models = built(&|source| device::judges_with(source, device))?;
    for model in models.iter().filter(|model| args.model.as_ref().is_none_or(|only| *only == model.name)) {
        // A layer that is not there is told of with the visualization's name, below.
        narrow_pictures(&request.visualizations, &model.name, model).into_iter().flatten().for_each(|text| warn(&text));
    }
    let painters = built(&|source| device::paints_with(precision, source, device))?;
    let forms: Vec<String> = painters.iter().map(|painter| device::words(painter.compute)).collect();
    std::fs::create_dir_all(&args.out).or_exit(Exit::RunFailed)?;
    let dir = PictureDir::of_run(&args.out);
    if args.fresh {
        dir.remove().or_exit(Exit::RunFailed)?;
    }
    let hashes: Vec<&str> = sources.iter().map(ModelSource::hash).collect();
    let pixels = sources.first().map_or(1, |source| source.geometry.height * source.geometry.width);
    let studio = Studio {
        dir: &dir,
        seed: args.seed.unwrap_or(request.seed),
        capacity: args.batch.unwrap_or_else(|| device::rows(device, pixels)),
        samples: &samples,
        painters: &painters,
        identity: serde_json::json!([ENGINE_VERSION, hashes, data, device_name(device), forms]).to_string(),
    };
    draw(&studio, &request.visualizations, &models, args.model.as_deref(), (0, 1))?;
    let pictures = finish(&args.out, &classes)?;
    print(&format!("wrote {pictures} pictures, their atlases and visualize.csv to {}\n", args.out.display()))?;
    Ok(Exit::Success)
}

fn device_name(device: Device) -> String {
    if device.is_cuda() { device::name(device) } else { "cpu".to_owned() }
}

/// Makes all pictures of some visualizations, of all models or of one; those of `share` (index, count).
pub fn draw(
    studio: &Studio,
    visualizations: &[VisualizeConfig],
    models: &[Rc<Model>],
    only: Option<&str>,
    share: (usize, usize),
) -> Result<(), Failure> {
    // No kernel of a GPU resamples backwards with the same bits each time.
    cuda::repeat(cuda::Repeatability::Preferred);
    for config in visualizations {
        for (place, model) in models.iter().enumerate() {
            if !config.applies_to(&model.name) || only.is_some_and(|only| only != model.name) {
                continue;
            }
            let others: Vec<Rc<Model>> = models.iter().filter(|other| other.name != model.name).cloned().collect();
            let mut tell = |layer: &str, done: usize, total: usize| {
                if done < total {
                    say(&format!("{} {} {layer}: block {}/{total}", model.name, config.name, done + 1));
                }
            };
            studio.run(config, model, place, &others, share, &mut tell).map_err(failure)?;
        }
    }
    Ok(())
}

/// Makes the pictures of a prepared suite in a run's directory; those of `share` (index, count).
fn of_run(prepared: &Prepared, run: &Path, share: (usize, usize)) -> Result<(), Failure> {
    if prepared.suite.visualizations.is_empty() {
        return Ok(());
    }
    let count = prepared.selection.len().min(REFERENCE);
    let samples = prepared.selection.load_block(prepared.dataset.as_ref(), 0..count).or_exit(Exit::Usage)?;
    let samples = RealSamples::labelled(samples);
    let of_all = |model: &dyn Fn(usize) -> Result<Rc<Model>, ModelError>| -> Result<Vec<Rc<Model>>, Failure> {
        (0..prepared.sources.len()).map(model).collect::<Result<_, _>>().or_exit(Exit::Usage)
    };
    let (models, painters) = (of_all(&|index| prepared.verifier(index))?, of_all(&|index| prepared.painter(index))?);
    let studio = Studio {
        dir: &PictureDir::of_run(run),
        seed: prepared.suite.seed,
        capacity: prepared.capacity(),
        samples: &samples,
        painters: &painters,
        // The run's name holds the hash of weights, data, device and suite.
        identity: prepared.run.clone(),
    };
    for config in &prepared.suite.visualizations {
        for model in models.iter().filter(|model| config.applies_to(&model.name)) {
            studio.check(config, model).map_err(failure)?;
        }
    }
    draw(&studio, &prepared.suite.visualizations, &models, None, share)
}

/// All that a prepared suite asks for beside its blocks: pictures, ways over the boundary, universal perturbations.
pub fn studies_of_run(prepared: &Prepared, run: &Path, share: (usize, usize)) -> Result<(), Failure> {
    of_run(prepared, run, share)?;
    ways_of_run(prepared, run, share)?;
    universal_of_run(prepared, run, share)
}

/// Follows some samples of a prepared suite over the boundary; those of `share` (index, count).
fn ways_of_run(prepared: &Prepared, run: &Path, share: (usize, usize)) -> Result<(), Failure> {
    let Some(config) = &prepared.suite.trajectories else { return Ok(()) };
    let dir = StudyDir::ways(run);
    // Enough samples that some of them are classified rightly.
    let count = prepared.selection.len().min(WAY_SAMPLES.max(4 * config.samples));
    let samples = prepared.selection.load_block(prepared.dataset.as_ref(), 0..count).or_exit(Exit::Usage)?;
    let finder = WayFinder {
        dir: &dir,
        config,
        seed: prepared.suite.seed,
        capacity: prepared.capacity(),
        dataset: prepared.dataset.name(),
        identity: prepared.run.clone(),
    };
    let mut part = 0;
    for place in 0..prepared.sources.len() {
        let name = &prepared.suite.models[place].name;
        let attacks: Vec<(usize, &AttackConfig)> = prepared
            .suite
            .attacks
            .iter()
            .enumerate()
            .filter(|(_, attack)| attack.applies_to(name) && config.attacks.contains(&attack.name))
            .collect();
        if attacks.is_empty() {
            continue;
        }
        let model = prepared.verifier(place).or_exit(Exit::Usage)?;
        let clean = CleanBlock::new(&model, &samples, &[], prepared.capacity());
        let followed = attacks.iter().any(|(_, attack)| attack.goal.objective_word().is_some());
        let learned = match followed {
            true => learned(prepared, place, &model, prepared.capacity()).or_exit(Exit::Usage)?,
            false => Learned::default(),
        };
        for (at, attack) in attacks {
            part += 1;
            if (part - 1) % share.1 != share.0 {
                continue;
            }
            say(&format!("{name} {}: the way over the boundary", attack.name));
            let units = prepared.driven_units(attack, &model).map_err(|error| Failure::new(Exit::Usage, error))?;
            let key = format!("{place:02}-{name}--{at:03}-{}", attack.name);
            finder.run(attack, &model, &clean, (&units, &learned), &key).map_err(failure)?;
        }
    }
    Ok(())
}

/// Makes the universal perturbations of a prepared suite; those of `share` (index, count).
fn universal_of_run(prepared: &Prepared, run: &Path, share: (usize, usize)) -> Result<(), Failure> {
    if prepared.suite.universal.is_empty() {
        return Ok(());
    }
    let count = prepared.selection.len().min(UNIVERSAL_SAMPLES);
    let samples = prepared.selection.load_block(prepared.dataset.as_ref(), 0..count).or_exit(Exit::Usage)?;
    let samples = RealSamples::labelled(samples);
    let dir = StudyDir::universal(run);
    let forge = Forge {
        dir: &dir,
        seed: prepared.suite.seed,
        capacity: prepared.capacity(),
        samples: &samples,
        identity: prepared.run.clone(),
    };
    let mut part = 0;
    for place in 0..prepared.sources.len() {
        let name = &prepared.suite.models[place].name;
        let configs: Vec<_> = prepared.suite.universal.iter().filter(|config| config.applies_to(name)).collect();
        if configs.is_empty() {
            continue;
        }
        let model = prepared.verifier(place).or_exit(Exit::Usage)?;
        for config in configs {
            for layer in model.chosen_layers(&config.layers).or_exit(Exit::Usage)? {
                part += 1;
                if (part - 1) % share.1 != share.0 {
                    continue;
                }
                say(&format!("{name} {}: perturbations from {}", config.name, layer.name));
                let units = prepared
                    .chosen_units(&config.name, &model, &layer, &config.units, config.direction)
                    .map_err(|error| Failure::new(Exit::Usage, error))?;
                forge.run(config, &model, place, (&layer, &units)).map_err(failure)?;
            }
        }
    }
    Ok(())
}

/// Writes table and atlases from the blocks that are there; returns the number of pictures.
pub fn finish(folder: &Path, classes: &[String]) -> Result<usize, Failure> {
    let dir = PictureDir::of_run(folder);
    let pictures = dir.read().or_exit(Exit::RunFailed)?;
    write_visualize(&folder.join("visualize.csv"), &pictures).or_exit(Exit::RunFailed)?;
    write_atlases(&dir, &pictures, classes).or_exit(Exit::RunFailed)?;
    Ok(pictures.len())
}

/// The exit code of what stopped pictures.
pub fn failure(error: VisualizeError) -> Failure {
    let exit = match &error {
        VisualizeError::Interrupted => Exit::Incomplete,
        VisualizeError::Store(_) => Exit::RunFailed,
        VisualizeError::Libtorch(error) if error.retry() => Exit::Device,
        VisualizeError::Libtorch(_) => Exit::RunFailed,
        VisualizeError::Model(_)
        | VisualizeError::NoLayer { .. }
        | VisualizeError::Unfit { .. }
        | VisualizeError::Data(_) => Exit::Usage,
    };
    Failure::new(exit, error)
}

/// Models, visualizations and images, from a suite or from flags.
struct Request {
    suite: Option<Suite>,
    models: Vec<ModelConfig>,
    visualizations: Vec<VisualizeConfig>,
    preprocess: Preprocess,
    seed: u64,
}

impl Request {
    fn new(args: &VisualizeArgs) -> Result<Self, Failure> {
        let from_options = own_visualization(args)?;
        let Some(path) = &args.suite else {
            let (Some(arch), Some(weights)) = (&args.arch, &args.weights) else {
                let help = "give a suite, or --arch, --weights, --mean and --std";
                return Err(Failure::message(Exit::Usage, "no model is given", help));
            };
            let folder =
                ModelFolder::at(weights).map_err(|error| Failure::message(Exit::Usage, error.problem, error.help))?;
            let normalize = Normalize { mean: args.mean.clone(), std: args.std.clone() };
            let layer_norm_epsilon = folder.layer_norm_epsilon;
            let model = ModelConfig { layer_norm_epsilon, ..ModelConfig::of_file(arch, &folder.weights, normalize) };
            let Some(visualization) = from_options else {
                return Err(Failure::message(
                    Exit::Usage,
                    "no layer is given",
                    "add --layer; `am-eval layers` lists them",
                ));
            };
            let preprocess = fitting(&model, args.mean.len()).or_exit(Exit::Usage)?;
            return Ok(Request {
                suite: None,
                models: vec![model],
                visualizations: vec![visualization],
                preprocess,
                seed: 0,
            });
        };
        let mut suite = Suite::load(path).map_err(|errors| Failure::diagnostic(Exit::Usage, errors))?;
        if let Some(folder) = &args.data_root {
            suite.data.source.move_to(folder);
        }
        suite.check_files().map_err(|errors| Failure::diagnostic(Exit::Usage, errors))?;
        if let Some(name) = &args.model
            && !suite.models.iter().any(|model| model.name == *name)
        {
            let known = suite.models.iter().map(|model| model.name.as_str());
            let text = format!("{} has no model `{name}`", path.display());
            return Err(Failure::message(Exit::Usage, text, did_you_mean(name, known)));
        }
        let visualizations =
            from_options.map_or_else(|| suite.visualizations.clone(), |visualization| vec![visualization]);
        if visualizations.is_empty() {
            let text = format!("{} asks for no pictures", path.display());
            return Err(Failure::message(Exit::Usage, text, "add a `[[visualize]]` to it, or give --layer"));
        }
        let (models, seed, preprocess) = (suite.models.clone(), suite.seed, suite.data.preprocess);
        Ok(Request { suite: Some(suite), models, visualizations, preprocess, seed })
    }

    /// The real images, the classes' names, and what identifies them.
    fn samples(&self, args: &VisualizeArgs) -> Result<(RealSamples, Vec<String>, String), Failure> {
        if let Some(path) = &args.images {
            let pictures = Pictures::open(path, self.preprocess).or_exit(Exit::Usage)?;
            let mut samples = RealSamples::default();
            for index in 0..pictures.len().min(REFERENCE) {
                samples.push(pictures.id(index), None, pictures.image(index).or_exit(Exit::Usage)?);
            }
            let classes = self.suite.as_ref().and_then(|suite| data::open(&suite.data).ok());
            let classes = classes.map_or_else(Vec::new, |dataset| dataset.classes().to_vec());
            return Ok((samples, classes, path.display().to_string()));
        }
        let Some(suite) = &self.suite else { return Ok((RealSamples::default(), Vec::new(), String::new())) };
        let dataset = data::open(&suite.data).or_exit(Exit::Usage)?;
        let selection =
            data::select(dataset.as_ref(), suite.data.samples, suite.seed, suite.data.on_error).or_exit(Exit::Usage)?;
        let count = selection.len().min(REFERENCE);
        let samples = selection.load_block(dataset.as_ref(), 0..count).or_exit(Exit::Usage)?;
        let hash = selection.hash(dataset.as_ref()).or_exit(Exit::Usage)?;
        Ok((RealSamples::labelled(samples), dataset.classes().to_vec(), hash))
    }

    fn open(&self, samples: &RealSamples) -> Result<Vec<ModelSource>, Failure> {
        let size = (!samples.is_empty()).then(|| {
            let image = samples.get(0).2;
            [image.height as i64, image.width as i64]
        });
        let open = |model: &ModelConfig| ModelSource::open(model, size);
        self.models.iter().map(open).collect::<Result<_, _>>().or_exit(Exit::Usage)
    }
}

/// How images of any size come to that of a network: the shorter side to 8/7 of it, then the middle.
fn fitting(model: &ModelConfig, channels: usize) -> Result<Preprocess, ModelError> {
    let side = match backend::find(&model.arch) {
        Some(backend) => ModelSource::usual_size(backend, model)[0],
        None => Architecture::find(&model.arch)?.geometry.height,
    } as u32;
    let channels = Some(if channels == 1 { Channels::Grey } else { Channels::Rgb });
    Ok(Preprocess { channels, resize: Some(side * 8 / 7), crop: Some(side), ..Preprocess::default() })
}

/// The visualization that the flags describe, if they name a layer.
fn own_visualization(args: &VisualizeArgs) -> Result<Option<VisualizeConfig>, Failure> {
    if args.layer.is_empty() {
        return Ok(None);
    }
    let wrong = |text: String| Failure::message(Exit::Usage, text, "see `am-eval visualize --help`");
    let layers =
        args.layer.iter().map(|text| text.parse::<LayerChoice>()).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let preset = args.preset.parse::<PicturePreset>().map_err(wrong)?;
    let mut picture = preset.config();
    picture.steps = args.steps.unwrap_or(picture.steps);
    picture.side = args.side.or(picture.side);
    picture.penalties.keep = args.keep.unwrap_or(picture.penalties.keep);
    let start = match args.start.as_str() {
        "noise" => Start::Noise,
        "grey" | "gray" => Start::Grey,
        "mean" => Start::Mean,
        path => Start::Image(path.into()),
    };
    Ok(Some(VisualizeConfig {
        name: "units".to_owned(),
        models: None,
        layers,
        units: args.units.0.clone(),
        direction: if args.suppress { Direction::Suppress } else { Direction::Maximize },
        preset,
        picture,
        start,
        seeds: args.seeds,
        samples: args.samples,
    }))
}
