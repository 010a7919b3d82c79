//! Files of weights: safetensors in memory, and why a file is none that can be used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor};

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be read.
    #[error("failed to read weights {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not a safetensors file, truncated, or of a dtype that weights do not have.
    #[error("{path}: not usable as safetensors: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Not a TorchScript model that can be evaluated.
    #[error("{path}: not usable as a TorchScript model: {problem}")]
    Script {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file that PyTorch has pickled.
    #[error("{path}: this is a pickle, and loading one can execute code; convert it where you trust it, in Python:\n  {}", conversion(.path))]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// All that is missing is the classifier.
    #[error("{path}: it has no classifier; {arch} needs {}; use a file whose network was trained to classify", quoted(.missing))]
    NoClassifier {
        /// The file.
        path: PathBuf,
        /// The architecture that the suite names.
        arch: String,
        /// The tensors of the classifier.
        missing: Vec<String>,
    },
    /// The tensors are not those of the architecture.
    #[error("{path}: these are not the weights of {arch}:{}{}", list(.problems), resemblance(.resembles))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The architecture that the suite names.
        arch: String,
        /// One line for each tensor.
        problems: Vec<String>,
        /// The architectures whose weights they seem to be; none if it is the one that the suite names.
        resembles: Vec<String>,
    },
}

fn resemblance(architectures: &[String]) -> String {
    match architectures {
        [] => String::new(),
        _ => format!("\n  they look like the weights of {}", architectures.join(" or ")),
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

/// Two lines of Python that write the tensors of a pickled state dict as safetensors.
fn conversion(path: &Path) -> String {
    let misnamed = path.extension().is_some_and(|extension| extension == "safetensors");
    let to = path.with_extension(if misnamed { "converted.safetensors" } else { "safetensors" });
    format!(
        "import torch, safetensors.torch as st; state = torch.load({:?}, map_location=\"cpu\", weights_only=True)\n  \
         st.save_file({{k: v.contiguous().clone() for k, v in state.get(\"state_dict\", state.get(\"model\", state)).items()}}, {:?})",
        path.display().to_string(),
        to.display().to_string()
    )
}

/// Whether a file that is no safetensors is a pickle, bare or in a zip archive, as `torch.save` writes them.
fn is_pickle(path: &Path, bytes: &[u8]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let named = matches!(extension.as_deref(), Some("pt" | "pth" | "bin" | "pkl" | "ckpt"));
    named || bytes.starts_with(b"PK\x03\x04") || matches!(bytes, [0x80, 2..=5, ..])
}

fn list(problems: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text: String = problems.iter().take(SHOWN).map(|problem| format!("\n  {problem}")).collect();
    if problems.len() > SHOWN {
        text += &format!("\n  and {} more", problems.len() - SHOWN);
    }
    text
}

/// A safetensors file in memory, with its hash.
pub struct WeightsFile {
    pub(super) path: PathBuf,
    pub(in crate::model) tensors: BTreeMap<String, Tensor>,
    /// The epsilon of layer normalization in the framework that the file is from, if it is not the architecture's own.
    pub(in crate::model) layer_norm_epsilon: Option<f64>,
    /// The file's own notes (`__metadata__`).
    pub notes: BTreeMap<String, String>,
    /// blake3 of the file.
    pub hash: String,
}

impl WeightsFile {
    /// Reads all tensors as f32 (f16 and bf16 are widened, integers kept).
    ///
    /// # Errors
    /// If the file cannot be read, is not safetensors, holds NaN or infinity, or a dtype that weights do not have.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let bytes = std::fs::read(path).map_err(|source| WeightsError::Read { path: path.into(), source })?;
        let format = |problem: String| WeightsError::Format { path: path.into(), problem };
        let damaged = |error| match is_pickle(path, &bytes) {
            true => WeightsError::Pickle { path: path.into() },
            false => format(format!("{error}; the file may be truncated or damaged")),
        };
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let kind = match view.dtype() {
                Dtype::F64 => Kind::Double,
                Dtype::F32 => Kind::Float,
                Dtype::F16 => Kind::Half,
                Dtype::BF16 => Kind::BFloat16,
                Dtype::I64 => Kind::Int64,
                other => {
                    return Err(format(format!("tensor `{name}` has dtype {other:?}; weights are f32, f16 or bf16")));
                }
            };
            let shape: Result<Vec<i64>, _> = view.shape().iter().map(|&size| i64::try_from(size)).collect();
            let shape =
                shape.map_err(|error| format(format!("tensor `{name}` has shape {:?}: {error}", view.shape())))?;
            let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)
                .map_err(|error| format(format!("tensor `{name}`: {error}")))?;
            let tensor = if kind == Kind::Int64 { tensor } else { tensor.to_kind(Kind::Float) };
            if kind != Kind::Int64 && tensor.isfinite().all().int64_value(&[]) == 0 {
                return Err(format(format!("tensor `{name}` holds NaN or infinity")));
            }
            tensors.insert(name, tensor);
        }
        let notes = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
        let hash = blake3::hash(&bytes).to_hex().to_string();
        Ok(WeightsFile { path: path.into(), tensors, layer_norm_epsilon: None, notes, hash })
    }

    /// The tensors by name.
    pub fn into_tensors(self) -> BTreeMap<String, Tensor> {
        self.tensors
    }

    /// Number of floating-point values, running statistics included.
    pub fn parameters(&self) -> u64 {
        self.tensors.values().filter(|tensor| tensor.kind() == Kind::Float).map(|tensor| tensor.numel() as u64).sum()
    }

    /// The shapes of the tensors of floating-point values.
    pub fn shapes(&self) -> BTreeMap<String, Vec<i64>> {
        let floats = self.tensors.iter().filter(|(_, tensor)| tensor.kind() == Kind::Float);
        floats.map(|(name, tensor)| (name.clone(), tensor.size())).collect()
    }

    /// The shape of a tensor, if the file has it.
    pub fn shape(&self, name: &str) -> Option<Vec<i64>> {
        self.tensors.get(name).map(Tensor::size)
    }
}
