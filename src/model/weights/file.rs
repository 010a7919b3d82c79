//! Files of weights: safetensors in memory, and why a file is none that can be used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};

use crate::data::{DataError, TensorFile};
use crate::files::{instead, read_regular};
use crate::model::reason;
use crate::suite::Normalize;

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
    /// A file of another kind.
    #[error("{path}: {problem}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do about it.
        problem: String,
    },
    /// Several networks in one file.
    #[error("{path}: it holds several networks, whose names begin with {}; {}", quoted(.prefixes), keep_one(.path, .prefixes))]
    Several {
        /// The file.
        path: PathBuf,
        /// What the names of each begin with.
        prefixes: Vec<String>,
    },
    /// The file's network normalizes its images, otherwise than the suite says.
    #[error("{path}: its network normalizes images itself, `{}` {} and `{}` {}, but the suite says mean {:?} and std {:?}; write `normalize = {{ mean = {}, std = {} }}`", mean.0, as_in_suites(&mean.1), deviation.0, as_in_suites(&deviation.1), suite.mean, suite.std, as_in_suites(&mean.1), as_in_suites(&deviation.1))]
    Normalized {
        /// The file.
        path: PathBuf,
        /// Name and values of its mean.
        mean: Box<(String, Vec<f32>)>,
        /// Name and values of its standard deviation.
        deviation: Box<(String, Vec<f32>)>,
        /// What the suite says.
        suite: Box<Normalize>,
    },
    /// The classifier has another name.
    #[error("{path}: it has no `{classifier}`, the classifier of {arch}, but `{found}` {shape:?} looks like it; rename it, in Python:\n  {}", rename(.path, .found, .classifier))]
    RenamedClassifier {
        /// The file.
        path: PathBuf,
        /// The architecture that the suite names.
        arch: String,
        /// The tensor that is missing.
        classifier: Box<str>,
        /// The tensor that looks like it.
        found: Box<str>,
        /// Its shape.
        shape: Box<[i64]>,
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
    #[error("{path}: these are not the weights of {arch}:{}{}{}", list(.problems), list(.unexpected), resemblance(.resembles, .prefix))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The architecture that the suite names.
        arch: Box<str>,
        /// One line for each tensor that is missing or wrong.
        problems: Box<[String]>,
        /// One line for each tensor that is not part of the architecture.
        unexpected: Box<[String]>,
        /// What all names begin with; often empty.
        prefix: Box<str>,
        /// The architectures whose weights they seem to be; none if it is the one that the suite names.
        resembles: Box<[String]>,
    },
}

fn resemblance(architectures: &[String], prefix: &str) -> String {
    let without = match prefix {
        "" => String::new(),
        _ => format!("\n  all names begin with `{prefix}`"),
    };
    match architectures {
        [] => without,
        _ => format!("{without}\n  they look like the weights of {}", architectures.join(" or ")),
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

/// Values as a suite writes them.
fn as_in_suites(values: &[f32]) -> String {
    format!("{values:?}")
}

/// A string as Python writes it.
fn python(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Python that loads `path` as `state` and saves what `entries` makes of it.
fn rewrite(path: &Path, entries: &str) -> String {
    let to = path.with_extension("converted.safetensors").display().to_string();
    let from = python(&path.display().to_string());
    format!("import safetensors.torch as st; state = st.load_file({from}); st.save_file({entries}, {})", python(&to))
}

fn keep_one(path: &Path, prefixes: &[String]) -> String {
    let first = python(&prefixes[0]);
    let entries = format!("{{k.removeprefix({first}): v for k, v in state.items() if k.startswith({first})}}");
    format!("keep one of them, in Python:\n  {}", rewrite(path, &entries))
}

fn rename(path: &Path, found: &str, classifier: &str) -> String {
    let [from, to] = [found, classifier].map(|name| python(name.trim_end_matches("weight")));
    let entries =
        format!("{{({to} + k.removeprefix({from}) if k.startswith({from}) else k): v for k, v in state.items()}}");
    rewrite(path, &entries)
}

fn list(problems: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text: String = problems.iter().take(SHOWN).map(|problem| format!("\n  {problem}")).collect();
    if problems.len() > SHOWN {
        text += &format!("\n  and {} more", problems.len() - SHOWN);
    }
    text
}

/// The error of a file whose header or tensors cannot be read.
fn unreadable(path: &Path, error: DataError) -> WeightsError {
    match error {
        DataError::Read { source, .. } => WeightsError::Read { path: path.into(), source },
        DataError::Content { problem, .. } => {
            not_safetensors(path, problem.trim_start_matches("not usable as safetensors: ").to_owned())
        }
        other => not_safetensors(path, other.to_string()),
    }
}

/// A safetensors file in memory, with its hash.
pub struct WeightsFile {
    pub(super) path: PathBuf,
    pub(in crate::model) tensors: BTreeMap<String, Tensor>,
    /// Type and shape of the tensors that weights do not have: narrow integers, booleans, narrow floats.
    pub(super) others: BTreeMap<String, (String, Vec<i64>)>,
    /// Whether the tensors are zeros that share one value in memory.
    pub(super) outline: bool,
    /// The epsilon of layer normalization in the framework that the file is from, if it is not the architecture's own.
    pub(in crate::model) layer_norm_epsilon: Option<f64>,
    /// The file's own notes (`__metadata__`).
    pub notes: BTreeMap<String, String>,
    /// blake3 of the file.
    pub hash: String,
}

impl WeightsFile {
    /// Whether there are the running statistics of a batch normalization.
    pub(in crate::model) fn normalizes_batches(&self) -> bool {
        self.tensors.keys().any(|name| name.ends_with("running_var"))
    }

    /// Reads all tensors as f32 (f16 and bf16 are widened, 64-bit integers kept). Those of other types are remembered by name: no
    /// network needs them.
    ///
    /// # Errors
    /// If the file cannot be read, is not safetensors, or holds NaN or infinity.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let bytes =
            read_regular(path, u64::MAX - 1).map_err(|source| WeightsError::Read { path: path.into(), source })?;
        let format = |problem: String| WeightsError::Format { path: path.into(), problem };
        let damaged = |error: safetensors::SafeTensorError| not_safetensors(path, error.to_string());
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let notes = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut weights = WeightsFile::named(path, notes, blake3::hash(&bytes).to_hex().to_string());
        for (name, view) in file.tensors() {
            let Some((kind, shape)) = weights.retained(&name, view.dtype(), view.shape())? else { continue };
            let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)
                .map_err(|error| format(format!("tensor `{name}`: {error}")))?;
            let tensor = if kind == Kind::Int64 { tensor } else { tensor.to_kind(Kind::Float) };
            if kind != Kind::Int64 && tensor.isfinite().all().int64_value(&[]) == 0 {
                return Err(format(format!("tensor `{name}` holds NaN or infinity")));
            }
            weights.tensors.insert(name, tensor);
        }
        Ok(weights)
    }

    /// Reads the header and the smallest tensors, by which a wrapper may normalize: the others have their shapes, but are zeros that take
    /// no memory. The hash is empty.
    ///
    /// # Errors
    /// If the file cannot be read, is not safetensors, or truncated.
    pub fn outline(path: &Path) -> Result<Self, WeightsError> {
        const SMALL: i64 = 3;
        let header = TensorFile::open(path).map_err(|error| unreadable(path, error))?;
        let mut weights = WeightsFile::named(path, header.notes(), String::new());
        weights.outline = true;
        for name in header.names() {
            let Some((dtype, shape)) = header.tensor(&name) else { continue };
            let Some((kind, shape)) = weights.retained(&name, dtype, shape)? else { continue };
            if kind != Kind::Int64 && shape.iter().product::<i64>() <= SMALL {
                let size = shape.iter().product::<i64>() as usize * kind.elt_size_in_bytes();
                let bytes = header.bytes(&name, 0, size);
                let bytes = bytes.map_err(|error| unreadable(path, error))?;
                let tensor = Tensor::f_from_data_size(&bytes, &shape, kind)
                    .map_err(|error| not_safetensors(path, reason(&error.to_string())))?;
                weights.tensors.insert(name, tensor.to_kind(Kind::Float));
                continue;
            }
            let kind = if kind == Kind::Int64 { kind } else { Kind::Float };
            let zeros = Tensor::zeros([0i64; 0], (kind, Device::Cpu));
            let zeros = zeros.f_expand(&shape, false).map_err(|error| {
                let problem = format!("tensor `{name}`: {}", reason(&error.to_string()));
                WeightsError::Format { path: path.into(), problem }
            })?;
            weights.tensors.insert(name, zeros);
        }
        Ok(weights)
    }

    /// Whether every number of the file is one, read piece by piece.
    ///
    /// # Errors
    /// If a tensor holds NaN or infinity, or the file cannot be read.
    pub fn check_numbers(path: &Path) -> Result<(), WeightsError> {
        const PIECE: usize = 1 << 20;
        let header = TensorFile::open(path).map_err(|error| unreadable(path, error))?;
        for name in header.names() {
            let Some((dtype, shape)) = header.tensor(&name) else { continue };
            // The bits of the exponent, all of which are set in NaN and infinity.
            let (size, exponent): (usize, u64) = match dtype {
                Dtype::F64 => (8, 0x7ff0_0000_0000_0000),
                Dtype::F32 => (4, 0x7f80_0000),
                Dtype::F16 => (2, 0x7c00),
                Dtype::BF16 => (2, 0x7f80),
                _ => continue,
            };
            let count = shape.iter().product::<usize>();
            for from in (0..count).step_by(PIECE) {
                let bytes = header.bytes(&name, from * size, PIECE.min(count - from) * size);
                let bytes = bytes.map_err(|error| unreadable(path, error))?;
                let bits = |number: &[u8]| number.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
                if bytes.chunks_exact(size).any(|number| bits(number) & exponent == exponent) {
                    let problem = format!("tensor `{name}` holds NaN or infinity");
                    return Err(WeightsError::Format { path: path.into(), problem });
                }
            }
        }
        Ok(())
    }

    fn named(path: &Path, notes: BTreeMap<String, String>, hash: String) -> Self {
        let (tensors, others) = (BTreeMap::new(), BTreeMap::new());
        WeightsFile { path: path.into(), tensors, others, outline: false, layer_norm_epsilon: None, notes, hash }
    }

    /// How a tensor is kept; none, and a note of it, if it is of a type that weights do not have.
    fn retained(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<Option<(Kind, Vec<i64>)>, WeightsError> {
        let sizes: Result<Vec<i64>, _> = shape.iter().map(|&size| i64::try_from(size)).collect();
        let sizes = sizes.map_err(|error| {
            let problem = format!("tensor `{name}` has shape {shape:?}: {error}");
            WeightsError::Format { path: self.path.clone(), problem }
        })?;
        let kind = match dtype {
            Dtype::F64 => Kind::Double,
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::I64 => Kind::Int64,
            other => {
                self.others.insert(name.to_owned(), (format!("{other:?}"), sizes));
                return Ok(None);
            }
        };
        Ok(Some((kind, sizes)))
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

/// Why a file is no safetensors: because it is something else that is known, or because it is damaged.
fn not_safetensors(path: &Path, problem: String) -> WeightsError {
    match instead(path) {
        Some(description) => WeightsError::Foreign { path: path.into(), problem: description },
        None => WeightsError::Format {
            path: path.into(),
            problem: format!("{problem}; the file may be truncated or damaged"),
        },
    }
}
