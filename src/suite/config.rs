//! The validated suite: every value resolved and checked, so that invalid states cannot be written down.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use super::attack::{AttackConfig, Stop};
pub use super::boundary::{BoundaryConfig, BoundaryMethod, LINEARIZED_CLASSES};
pub use super::choices::{Loss, OptimizerName, Sweep, TableForm};
use super::data_config::DataConfig;
pub use super::goal::{ClassLogitGoal, Driven, FeaturesGoal, Goal, GoalKind, UnitGoal};
use super::places::Places;
pub use super::selection::{Control, Direction, UnitRanking, UnitSelection};
pub use super::target::Target;
use crate::terms::LayerName;
use crate::wording::nearest;

/// A validated suite. `raw` turns a file into one; `docs/suite.md` lists every key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suite {
    /// The suite's name: letters, digits, `-`, `_` and `.`; it begins the run directory's name.
    pub name: String,
    /// The seed from which every random choice is derived.
    pub seed: u64,
    /// Where and how to run.
    pub run: RunConfig,
    /// The images.
    pub data: DataConfig,
    /// The networks, in the suite's order, with distinct names.
    pub models: Vec<ModelConfig>,
    /// The attacks, in the suite's order, with distinct names.
    pub attacks: Vec<AttackConfig>,
    /// The boundary-distance measurement, if the suite asks for one.
    pub boundary: Option<BoundaryConfig>,
    /// Which images are shown to other models, if the suite asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferConfig>,
    /// Whether attacks are tested on planted points, if the suite asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selftest: Option<SelfTestConfig>,
    /// Pictures of units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visualizations: Vec<super::VisualizeConfig>,
    /// What is asked about damage by layer, if the suite asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<super::DamageConfig>,
    /// Whose ways over the boundary are drawn, if the suite asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trajectories: Option<super::TrajectoryConfig>,
    /// Universal perturbations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub universal: Vec<super::UniversalConfig>,
    /// The gate's rules.
    pub gates: Vec<super::gate::Rule>,
    /// Known violations that the gate excuses for a time.
    pub waivers: Vec<super::gate::Waiver>,
    /// The suite's file.
    #[serde(skip)]
    pub path: PathBuf,
    /// The file's text, verbatim.
    #[serde(skip)]
    pub source: String,
    /// Where its values stand in the text.
    #[serde(skip)]
    pub places: Places,
}

impl Suite {
    /// Whether the images that `attack` makes on one model are shown to the others.
    pub fn transfers(&self, attack: &AttackConfig) -> bool {
        self.transfer.as_ref().is_some_and(|transfer| transfer.attacks.contains(&attack.name))
    }

    /// Whether something that is done with `model` needs gradients: all but attacks by scores on its logits, and the damage that they do.
    pub fn follows_gradients(&self, model: &str) -> bool {
        let needs = |attack: &AttackConfig| attack.optimizer.follows_gradients() || !attack.goal.drives_logits();
        self.attacks.iter().any(|attack| attack.applies_to(model) && needs(attack))
            || self.boundary.is_some()
            || self.selftest.is_some()
            || self.trajectories.is_some()
            || self.universal.iter().any(|config| config.applies_to(model))
            || self.visualizations.iter().any(|config| config.applies_to(model))
    }
}

/// Which device runs the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceChoice {
    /// The first CUDA device if there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by index (`cuda` means `cuda:0`).
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .filter(|index| index.bytes().all(|digit| digit.is_ascii_digit()))
                .and_then(|index| index.parse().ok())
                .map(DeviceChoice::Cuda)
                .ok_or_else(|| match DeviceChoice::meant(other) {
                    Some(meant) => {
                        format!("unknown device `{other}`; did you mean `{meant}`? known are auto, cpu, cuda, cuda:N")
                    }
                    None => format!("unknown device `{other}`; known are auto, cpu, cuda, cuda:N"),
                }),
        }
    }
}

impl DeviceChoice {
    /// The word that was probably meant by one that is no device.
    pub(super) fn meant(word: &str) -> Option<&'static str> {
        match word.to_lowercase().as_str() {
            "gpu" | "nvidia" | "mps" | "rocm" => Some("cuda"),
            word => nearest(word, ["auto", "cpu", "cuda"]),
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// Arithmetic of the search; verification is always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SearchPrecision {
    /// The harness chooses by device and architecture, the same way each time.
    Auto,
    /// IEEE single precision.
    F32,
    /// TF32 in convolutions and matrix products on GPUs that have it, else IEEE single precision.
    Tf32,
    /// bfloat16 in the network; perturbations and objectives stay f32.
    Bf16,
    /// As `auto`, but bfloat16 on CPUs with instructions for it too, where it takes about half the time. Then runs on other CPUs are other
    /// runs, whose results differ by rounding.
    Fast,
}

/// `[run]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// Device.
    pub device: DeviceChoice,
    /// Search precision.
    pub precision: SearchPrecision,
    /// Rows per batch; none lets the harness choose.
    pub batch: Option<usize>,
    /// Samples per block, the unit of resume and of sharding; none lets the harness choose.
    #[serde(serialize_with = "block_or_default")]
    pub block: Option<usize>,
    /// Passes of a random model that are averaged into one answer; 1 for none.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub eot: usize,
    /// The forms in which tables are written, csv first.
    #[serde(default = "csv_alone", skip_serializing_if = "is_csv_alone")]
    pub tables: Vec<TableForm>,
}

impl RunConfig {
    /// Whether the run writes its tables as Parquet too.
    pub fn writes_parquet(&self) -> bool {
        self.tables.contains(&TableForm::Parquet)
    }
}

fn csv_alone() -> Vec<TableForm> {
    vec![TableForm::Csv]
}

fn is_csv_alone(tables: &[TableForm]) -> bool {
    tables == [TableForm::Csv]
}

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

/// Samples in a block if neither the suite nor the device says otherwise.
pub const DEFAULT_BLOCK: usize = 50;

impl RunConfig {
    /// Samples per block.
    pub fn samples_per_block(&self) -> usize {
        self.block.unwrap_or(DEFAULT_BLOCK).max(1)
    }
}

fn block_or_default<S: serde::Serializer>(block: &Option<usize>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(block.unwrap_or(DEFAULT_BLOCK) as u64)
}

/// `[[model]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The name used in records and reports.
    pub name: String,
    /// Architecture, such as `cifar/resnet20`.
    pub arch: String,
    /// The safetensors file.
    #[serde(skip)]
    pub weights: PathBuf,
    /// Per-channel mean and standard deviation of the pixels in [0, 1], applied inside the model.
    pub normalize: Normalize,
    /// Number of classes; none takes the architecture's own or the weights'.
    pub classes: Option<usize>,
    /// Epsilon of layer normalization, where a configuration of Hugging Face beside the weights gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_norm_epsilon: Option<f64>,
}

impl ModelConfig {
    /// The model of a weights file, named after the file.
    pub fn of_file(arch: &str, weights: &Path, normalize: Normalize) -> Self {
        let name = weights.file_stem().map_or_else(|| arch.to_owned(), |stem| stem.to_string_lossy().into_owned());
        let (arch, weights) = (arch.to_owned(), weights.to_path_buf());
        ModelConfig { name, arch, weights, normalize, classes: None, layer_norm_epsilon: None }
    }
}

/// Per-channel normalization: `(pixels - mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// One value per channel, in pixel units of [0, 1].
    pub mean: Vec<f32>,
    /// One positive value per channel, in pixel units of [0, 1].
    pub std: Vec<f32>,
}

/// `[selftest]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelfTestConfig {
    /// The layer whose features are read; none for the last one before the classifier.
    pub layer: Option<LayerName>,
    /// Samples near which a point is planted.
    pub samples: usize,
}

/// `[transfer]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferConfig {
    /// Names of attacks on class logits or features, in the suite's order, at least one.
    pub attacks: Vec<String>,
}
