//! Networks as TorchScript files: any PyTorch model, with the layers that it was traced to show.
//!
//! The file's `forward` takes pixels `[N, C, H, W]` and returns logits `[N, K]`, or a dictionary of tensors with the key `logits`;
//! the other entries are its layers. `torchvision.models.feature_extraction.create_feature_extractor` makes such models. A layer of
//! a script costs a whole forward pass: only the backward pass ends there.
//!
//! A script is a program. Its code is read before it is run: one that calls operators for files or other processes is refused. It
//! runs for the first time on a thread that is given up on when it does not answer.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tch::{CModule, Device, IValue, Kind, Tensor, jit};

use super::{Backend, Built, Opened};
use crate::files::{ScriptCode, instead, read_regular};
use crate::model::weights::{Compute, Tensors, WeightsError};
use crate::model::{Flow, Geometry, ModelError, Network, Probe, Site, reason};
use crate::suite::ModelConfig;

/// Models whose `weights` are a TorchScript file.
pub struct TorchScript;

/// The value of `arch`.
pub const ARCH: &str = "torchscript";

impl Backend for TorchScript {
    fn arch(&self) -> &'static str {
        ARCH
    }

    fn claims(&self, head: &[u8], _path: &Path) -> bool {
        head.starts_with(b"PK")
    }

    fn open(&self, config: &ModelConfig, image: [i64; 3]) -> Result<Box<dyn Opened>, ModelError> {
        Ok(Box::new(Script::read(&config.weights, image)?))
    }
}

/// The entry of a script's dictionary that is not a layer.
const LOGITS: &str = "logits";

/// How long a script may take for its first answers, to three small batches.
const PATIENCE: Duration = Duration::from_secs(60);

/// A TorchScript file in memory, with its hash.
struct Script {
    path: PathBuf,
    bytes: Arc<Vec<u8>>,
    hash: String,
    /// Number of values of its parameters.
    parameters: u64,
    /// What it was found to take and to return.
    geometry: Geometry,
    /// Why its pixels have no gradient, if they have none.
    without_gradients: Option<String>,
}

impl Opened for Script {
    fn arch(&self) -> &str {
        TorchScript.arch()
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn classes(&self) -> Option<i64> {
        Some(self.geometry.classes)
    }

    fn hash(&self) -> &str {
        &self.hash
    }

    fn parameters(&self) -> u64 {
        self.parameters
    }

    fn without_gradients(&self) -> Option<ModelError> {
        self.without_gradients.as_deref().map(|problem| self.unusable(problem).into())
    }

    /// Scripts compute as they were written.
    fn narrows(&self) -> bool {
        false
    }

    fn channels_last(&self) -> bool {
        false
    }

    fn build(&self, _geometry: Geometry, compute: Compute) -> Result<Built, ModelError> {
        let compute = Compute { tf32: compute.tf32, ..Compute::f32(compute.device) };
        let module = load(&self.bytes, compute.device).map_err(|problem| self.unusable(&problem))?;
        if compute.device.is_cuda() {
            self.try_on(&module, compute.device)?;
        }
        Ok(Built { network: Box::new(ScriptedNetwork { module }), compute, tensors: Tensors::default() })
    }
}

/// A script's answer: its layers in their order, and the logits.
struct Answer {
    layers: Vec<(String, Tensor)>,
    logits: Tensor,
}

impl Script {
    /// Reads the file and tries it on grey images of `image` (channels, rows, columns), one and two at a time.
    ///
    /// # Errors
    /// If the file cannot be read, is no TorchScript, calls operators for files or processes, does not answer in time, does not take
    /// such images, or returns something else than logits or a dictionary with them and
    /// floating-point layers of two to four dimensions, one row for each image.
    fn read(path: &Path, image: [i64; 3]) -> Result<Self, ModelError> {
        let without_gradients = survey(path)?.no_gradient().map(|why| no_gradient(&why));
        let bytes =
            read_regular(path, u64::MAX - 1).map_err(|source| WeightsError::Read { path: path.into(), source })?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        let [channels, height, width] = image;
        let geometry = Geometry { channels, height, width, classes: 0 };
        let bytes = Arc::new(bytes);
        let mut script = Script { path: path.into(), bytes, hash, parameters: 0, geometry, without_gradients };
        // Quantized layers may have no kernels here: the code has told why it would be of no use anyway.
        let tried = script.tried(image).map_err(|error| script.without_gradients().unwrap_or(error.into()))?;
        (script.parameters, script.geometry.classes) = (tried.parameters, tried.classes);
        script.without_gradients = script.without_gradients.or(tried.without_gradients);
        Ok(script)
    }

    /// A trace holds the device of each tensor that the model made while it was traced.
    fn try_on(&self, module: &CModule, device: Device) -> Result<(), WeightsError> {
        let Geometry { channels, height, width, .. } = self.geometry;
        let pixels = Tensor::full([1, channels, height, width], 0.5, (Kind::Float, device));
        let problem = match tch::no_grad(|| answer(module, pixels)) {
            Ok(_) => return Ok(()),
            Err(problem) => problem,
        };
        let made_elsewhere = problem.contains("same device") || problem.contains("two devices");
        Err(self.unusable(&match made_elsewhere {
            true => "it runs on the CPU only: its trace makes tensors there, such as positions or masks; trace it with model and pixels \
                     on the GPU, or use `--device cpu`"
                .to_owned(),
            false => format!("on the GPU, it {problem}; `--device cpu` may help"),
        }))
    }

    /// What the script does with grey images.
    fn tried(&self, image: [i64; 3]) -> Result<Tried, WeightsError> {
        let (send, receive) = mpsc::channel();
        let bytes = self.bytes.clone();
        let work = move || {
            // Nobody listens any more after the time is over.
            let _ = send.send(load(&bytes, Device::Cpu).and_then(|module| trial(&module, image)));
        };
        std::thread::Builder::new()
            .name("script".to_owned())
            .stack_size(1 << 26)
            .spawn(work)
            .map_err(|error| self.unusable(&format!("it cannot be tried: {error}")))?;
        let seconds = PATIENCE.as_secs();
        let found = receive.recv_timeout(PATIENCE).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => self.unusable(&format!(
                "it gave no answer within {seconds} s; it may never end. A model as `arch = \"exported\"` or `\"onnx\"` has no \
                 loops of its own"
            )),
            mpsc::RecvTimeoutError::Disconnected => self.unusable("libtorch broke off while it ran"),
        })?;
        found.map_err(|problem| self.unusable(&problem))
    }

    fn unusable(&self, problem: &str) -> WeightsError {
        WeightsError::Script { path: self.path.clone(), problem: problem.to_owned() }
    }
}

/// Reads the code of a script without running it.
///
/// # Errors
/// If the file cannot be read, is no TorchScript, or calls operators for files or processes.
pub fn survey(path: &Path) -> Result<ScriptCode, WeightsError> {
    let unusable = |problem: String| WeightsError::Script { path: path.into(), problem };
    if let Err(source) = crate::files::open_regular(path) {
        return Err(WeightsError::Read { path: path.into(), source });
    }
    let other = |reason: String| match instead(path) {
        Some(description) => {
            WeightsError::Foreign { path: path.into(), problem: format!("not a TorchScript file: {description}") }
        }
        None => unusable(format!(
            "not a TorchScript file ({reason}); write one with `torch.jit.trace(model, pixels).save(path)`"
        )),
    };
    let code = ScriptCode::open(path).map_err(|error| other(error.to_string()))?;
    if !code.is_script() {
        return Err(other("it has no code".to_owned()));
    }
    if let Some(operator) = code.reaches_out() {
        return Err(unusable(format!(
            "its code calls {operator}, which reads or writes files or reaches other processes; a model needs none of that, so it \
             is not run"
        )));
    }
    Ok(code)
}

fn load(bytes: &[u8], device: Device) -> Result<CModule, String> {
    // Without the profiling executor, a script computes the same the first time and every later time.
    jit::set_graph_executor_optimize(false);
    let load = || -> Result<CModule, tch::TchError> {
        let mut bytes = bytes;
        let mut module = CModule::load_data_on_device(&mut bytes, device)?;
        module.f_set_eval()?;
        for (_, parameter) in module.named_parameters()? {
            let _ = parameter.f_set_requires_grad(false)?;
        }
        Ok(module)
    };
    load().map_err(|error| {
        format!(
            "libtorch cannot load it ({}); write it again with `torch.jit.trace(model, pixels).save(path)`",
            first_sentence(&reason(&error.to_string()))
        )
    })
}

/// What a script did with grey images.
struct Tried {
    /// Number of values of its parameters.
    parameters: u64,
    classes: i64,
    /// Why its pixels have no gradient, if they have none.
    without_gradients: Option<String>,
}

/// Runs a script on one and on two grey images, and backwards.
fn trial(module: &CModule, image: [i64; 3]) -> Result<Tried, String> {
    let parameters = module.named_parameters().map_err(|error| reason(&error.to_string()))?;
    let parameters = parameters.iter().map(|(_, tensor)| tensor.numel() as u64).sum();
    let mut classes = 0;
    for rows in [1, 2] {
        classes = check_answer(module, rows, image)?;
    }
    Ok(Tried { parameters, classes, without_gradients: check_gradient(module, image).err() })
}

/// The number of classes of a batch's answer.
fn check_answer(module: &CModule, rows: i64, [channels, height, width]: [i64; 3]) -> Result<i64, String> {
    let pixels = Tensor::full([rows, channels, height, width], 0.5, (Kind::Float, Device::Cpu));
    let answer = tch::no_grad(|| answer(module, pixels))
        .map_err(|problem| format!("given pixels [{rows}, {channels}, {height}, {width}], it {problem}"))?;
    let logits = answer.logits.size();
    let classes = match logits[..] {
        [_, classes] if classes != 1 => classes,
        _ => return Err(format!("its logits have shape {logits:?}; {}", right_shape(&logits, rows))),
    };
    for (name, activation) in answer.layers.iter().chain([&(LOGITS.to_owned(), answer.logits)]) {
        let size = activation.size();
        let fits = size.first() == Some(&rows) && (2..=4).contains(&size.len()) && activation.is_floating_point();
        if !fits {
            return Err(format!(
                "for {rows} images, entry `{name}` has shape {size:?} and kind {:?}; expected floating-point values \
                 [{rows}, ...] of two to four dimensions (trace with a batch of two or more images)",
                activation.kind()
            ));
        }
    }
    Ok(classes)
}

/// What to return instead of logits of this shape, for so many images.
fn right_shape(logits: &[i64], rows: i64) -> String {
    match logits {
        [] | [_] | [_, 1] if logits.first().is_none_or(|first| *first == rows) => {
            "one output for each image is a binary classifier's: return torch.stack([-z, z], 1), with z before the sigmoid, [N]"
                .to_owned()
        }
        [first, _, rest @ ..] if *first == rows && rest.iter().all(|size| *size == 1) => {
            "expected [N, classes]: return logits.flatten(1)".to_owned()
        }
        [first, _, _, _] if *first == rows => {
            "expected [N, classes]; this looks like a map of classes, as of a segmentation".to_owned()
        }
        _ => "expected [N, classes]".to_owned(),
    }
}

/// That attacks have no gradient to follow, and why.
pub fn no_gradient(why: &str) -> String {
    format!(
        "it gives no gradient with respect to its input ({why}), and all attacks but those by scores (`optimizer = \"square\"`) need one: \
         take `detach`, `no_grad` and quantized layers out of its forward pass"
    )
}

/// Whether attacks have a gradient to follow.
fn check_gradient(module: &CModule, [channels, height, width]: [i64; 3]) -> Result<(), String> {
    let pixels = Tensor::full([2, channels, height, width], 0.5, (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let none = no_gradient;
    let logits =
        answer(module, pixels.shallow_clone()).map_err(|problem| none(&format!("with gradients it {problem}")))?.logits;
    if !logits.requires_grad() {
        return Err(none("its output does not depend on it, or is cut off from it"));
    }
    let sum = logits.f_sum(Kind::Float).map_err(|error| none(&reason(&error.to_string())))?;
    let found = Tensor::f_run_backward(&[sum], &[&pixels], false, false);
    let found = found.map_err(|error| none(&reason(&error.to_string())))?;
    match found.first() {
        Some(gradient) if gradient.defined() => Ok(()),
        _ => Err(none("its output does not depend on it, or is cut off from it")),
    }
}

/// What a script returns, or how it fails, as the end of a sentence about it.
fn answer(module: &CModule, pixels: Tensor) -> Result<Answer, String> {
    let found = module.forward_is(&[IValue::Tensor(pixels)]);
    match found.map_err(|error| format!("fails: {}", explained(&error.to_string())))? {
        IValue::Tensor(logits) if !logits.defined() => Err("returns an undefined tensor".to_owned()),
        IValue::Tensor(logits) => Ok(Answer { layers: Vec::new(), logits }),
        IValue::GenericDict(entries) => {
            let mut layers = Vec::with_capacity(entries.len());
            let mut logits = None;
            for entry in entries {
                match entry {
                    (IValue::String(name), IValue::Tensor(tensor)) if !tensor.defined() => {
                        return Err(format!("returns a dictionary whose entry `{name}` is an undefined tensor"));
                    }
                    (IValue::String(name), IValue::Tensor(tensor)) if name == LOGITS => logits = Some(tensor),
                    (IValue::String(name), IValue::Tensor(tensor)) => layers.push((name, tensor)),
                    (key, _) => return Err(format!("returns a dictionary whose entry {key:?} is not a named tensor")),
                }
            }
            match logits {
                Some(logits) => Ok(Answer { layers, logits }),
                None => {
                    let names: Vec<&str> = layers.iter().map(|(name, _)| name.as_str()).collect();
                    Err(format!("returns a dictionary without `{LOGITS}`; it has {}", names.join(", ")))
                }
            }
        }
        IValue::Tuple(_) | IValue::TensorList(_) | IValue::GenericList(_) => Err(format!(
            "returns a tuple or list; expected logits, or a dictionary with `{LOGITS}` and named activations: return the first of them, if \
             those are the logits"
        )),
        _ => Err(format!("returns no tensor; expected logits, or a dictionary with `{LOGITS}` and named activations")),
    }
}

/// What libtorch says before it explains itself at length.
fn first_sentence(text: &str) -> &str {
    text.split(". ").next().unwrap_or(text)
}

/// Why a script failed, and what to do if it names a device that is not the one it runs on.
fn explained(text: &str) -> String {
    const SIGNS: [&str; 7] = [
        "'CUDA' backend",
        "NVIDIA driver",
        "CUDA driver",
        "same device",
        "CUDA backend",
        "not compiled with CUDA",
        "not linked with support for cuda",
    ];
    let elsewhere = SIGNS.iter().any(|sign| text.contains(sign));
    let digits =
        text.split("cuda:").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    let device =
        digits.filter(|digits| !digits.is_empty()).map_or("cuda".to_owned(), |digits| format!("cuda:{digits}"));
    let hint = match elsewhere {
        true => format!(
            "; it was traced on {device} and names that device inside: trace it on the CPU, or use `--device cuda`"
        ),
        false => String::new(),
    };
    format!("{}{hint}", reason(text))
}

struct ScriptedNetwork {
    module: CModule,
}

impl Network for ScriptedNetwork {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        // The script was tried when it was read; what fails now is libtorch, which panics like its other operations.
        let answer = answer(&self.module, pixels).unwrap_or_else(|problem| panic!("the TorchScript model {problem}"));
        for (name, activation) in answer.layers {
            let _ = probe.visit(&Site::new(name, "TorchScript"), activation)?;
        }
        ControlFlow::Continue(answer.logits)
    }
}
