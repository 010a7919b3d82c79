//! Networks as TorchScript files: any PyTorch model, with the layers that it was traced to show.
//!
//! The file's `forward` takes pixels `[N, C, H, W]` and returns logits `[N, K]`, or a dictionary of tensors with the key `logits`;
//! the other entries are its layers. `torchvision.models.feature_extraction.create_feature_extractor` makes such models. A layer of
//! a script costs a whole forward pass: only the backward pass ends there.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tch::{CModule, Device, IValue, Kind, Tensor, jit};

use super::{Backend, Built, Opened};
use crate::model::weights::{Compute, Tensors, WeightsError};
use crate::model::{Flow, Geometry, ModelError, Network, Probe, Site};
use crate::suite::ModelConfig;

/// Models whose `weights` are a TorchScript file.
pub struct TorchScript;

impl Backend for TorchScript {
    fn arch(&self) -> &'static str {
        "torchscript"
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

/// A TorchScript file in memory, with its hash.
struct Script {
    path: PathBuf,
    bytes: Vec<u8>,
    hash: String,
    /// Number of values of its parameters.
    parameters: u64,
    /// What it was found to take and to return.
    geometry: Geometry,
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

    /// Scripts compute as they were written.
    fn narrows(&self) -> bool {
        false
    }

    fn channels_last(&self) -> bool {
        false
    }

    fn build(&self, _geometry: Geometry, compute: Compute) -> Result<Built, ModelError> {
        let compute = Compute { tf32: compute.tf32, ..Compute::f32(compute.device) };
        let module = self.load(compute.device)?;
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
    /// If the file cannot be read, is no TorchScript, does not take such images, or returns something else than logits or a
    /// dictionary with them and floating-point layers of two to four dimensions, one row for each image.
    fn read(path: &Path, image: [i64; 3]) -> Result<Self, WeightsError> {
        let bytes = std::fs::read(path).map_err(|source| WeightsError::Read { path: path.into(), source })?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        let [channels, height, width] = image;
        let geometry = Geometry { channels, height, width, classes: 0 };
        let mut script = Script { path: path.into(), bytes, hash, parameters: 0, geometry };
        let module = script.load(Device::Cpu)?;
        let parameters = module.named_parameters().map_err(|error| script.unusable(&error.to_string()))?;
        script.parameters = parameters.iter().map(|(_, tensor)| tensor.numel() as u64).sum();
        script.geometry.classes = script.check(&module, image)?;
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

    fn load(&self, device: Device) -> Result<CModule, WeightsError> {
        // Without the profiling executor, a script computes the same the first time and every later time.
        jit::set_graph_executor_optimize(false);
        let load = || -> Result<CModule, tch::TchError> {
            let mut module = CModule::load_data_on_device(&mut self.bytes.as_slice(), device)?;
            module.f_set_eval()?;
            for (_, parameter) in module.named_parameters()? {
                let _ = parameter.f_set_requires_grad(false)?;
            }
            Ok(module)
        };
        load().map_err(|error| {
            self.unusable(&format!(
                "not a TorchScript file that libtorch can load ({}); write one with `torch.jit.trace(model, pixels).save(path)`",
                first_sentence(&error.to_string())
            ))
        })
    }

    /// The number of classes.
    fn check(&self, module: &CModule, [channels, height, width]: [i64; 3]) -> Result<i64, WeightsError> {
        let mut classes = 0;
        for rows in [1, 2] {
            let pixels = Tensor::full([rows, channels, height, width], 0.5, (Kind::Float, Device::Cpu));
            let answer = tch::no_grad(|| answer(module, pixels)).map_err(|problem| {
                self.unusable(&format!("given pixels [{rows}, {channels}, {height}, {width}], it {problem}"))
            })?;
            let logits = answer.logits.size();
            let [_, count] = logits[..] else {
                return Err(self.unusable(&format!("its logits have shape {logits:?}; expected [N, classes]")));
            };
            classes = count;
            for (name, activation) in answer.layers.iter().chain([&(LOGITS.to_owned(), answer.logits)]) {
                let size = activation.size();
                let fits = size[0] == rows && (2..=4).contains(&size.len()) && activation.is_floating_point();
                if !fits {
                    return Err(self.unusable(&format!(
                        "for {rows} images, entry `{name}` has shape {size:?} and kind {:?}; expected floating-point values \
                         [{rows}, ...] of two to four dimensions (trace with a batch of two or more images)",
                        activation.kind()
                    )));
                }
            }
        }
        Ok(classes)
    }

    fn unusable(&self, problem: &str) -> WeightsError {
        WeightsError::Script { path: self.path.clone(), problem: problem.to_owned() }
    }
}

/// What a script returns, or how it fails, as the end of a sentence about it.
fn answer(module: &CModule, pixels: Tensor) -> Result<Answer, String> {
    let found = module.forward_is(&[IValue::Tensor(pixels)]);
    match found.map_err(|error| format!("fails: {}", last_line(&error.to_string())))? {
        IValue::Tensor(logits) => Ok(Answer { layers: Vec::new(), logits }),
        IValue::GenericDict(entries) => {
            let mut layers = Vec::with_capacity(entries.len());
            let mut logits = None;
            for entry in entries {
                match entry {
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
            "returns a tuple or list; expected logits, or a dictionary with `{LOGITS}` and named activations"
        )),
        _ => Err(format!("returns no tensor; expected logits, or a dictionary with `{LOGITS}` and named activations")),
    }
}

/// What libtorch says before it explains itself at length.
fn first_sentence(text: &str) -> &str {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.split(". ").next().unwrap_or(line)
}

/// Where a failing script says what went wrong: behind its call stack.
fn last_line(text: &str) -> &str {
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default()
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
