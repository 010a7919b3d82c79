//! The validated suite: every value resolved and checked, so that invalid states cannot be written down.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use super::choices::{Loss, OptimizerName, Sweep, TableForm};
use super::data_config::DataConfig;
use super::features::{FeatureObjective, GradientViews};
use super::places::Places;
use super::presets::Preset;
use crate::terms::{Epsilon, LayerName, Norm, Unit};

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
                .ok_or_else(|| format!("unknown device `{other}`; known are auto, cpu, cuda, cuda:N")),
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

/// `[[attack]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttackConfig {
    /// The name used in records and reports.
    pub name: String,
    /// The models it runs on, by name, in the suite's order; none means all of them.
    pub models: Option<Vec<String>>,
    /// What the attack drives.
    pub goal: Goal,
    /// The norm of the ball.
    pub norm: Norm,
    /// Radii, ascending, without repetition, at least one.
    pub epsilons: Vec<Epsilon>,
    /// Ascent steps for each row.
    pub steps: usize,
    /// Step size over epsilon; none means 2.5 / steps.
    pub step_size: Option<f64>,
    /// Independent starts: the first from the clean image, the others random.
    pub restarts: usize,
    /// When a row may leave.
    pub stop: Stop,
    /// How rows move.
    #[serde(default, skip_serializing_if = "OptimizerName::is_default")]
    pub optimizer: OptimizerName,
    /// Views over which each gradient is averaged; none for the image alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<GradientViews>,
    /// In which order several radii are settled.
    #[serde(default, skip_serializing_if = "Sweep::is_each")]
    pub sweep: Sweep,
}

impl AttackConfig {
    /// Whether the attack runs on this model.
    pub fn applies_to(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|name| name == model))
    }

    /// Whether it runs random noise of equal norm beside itself.
    pub fn has_noise_control(&self) -> bool {
        self.goal.controls().contains(&Control::Noise)
    }
}

/// What an attack drives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Goal {
    /// The logit of a class.
    ClassLogit {
        /// Which class.
        target: Target,
        /// The function of the logits that is maximized.
        loss: Loss,
        /// The composition of attacks that runs instead of one; each of its parts has a loss of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preset: Option<Preset>,
    },
    /// A unit inside the network.
    Unit {
        /// The layer.
        layer: LayerName,
        /// The units.
        units: UnitSelection,
        /// Maximize or suppress.
        direction: Direction,
        /// Controls of equal norm and budget that run beside the attack.
        controls: Vec<Control>,
    },
    /// A layer's features as a whole.
    Features {
        /// What is made of them.
        objective: FeatureObjective,
        /// The layer.
        layer: LayerName,
    },
}

/// The class that a class-logit attack drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The class with the smallest clean logit.
    LeastLikely,
    /// The class with the second-largest clean logit.
    RunnerUp,
    /// The class that is nearest to first order on the clean image (Melamed et al. 2024, <https://arxiv.org/abs/2407.02240>).
    Nearest,
    /// A class drawn by seed and sample id, not the predicted one.
    Random,
    /// A class index.
    Class(usize),
    /// Away from the predicted class.
    Untargeted,
}

/// As the `target` column of `samples.csv` writes it: `least-likely`, `class:3`.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::LeastLikely => f.write_str("least-likely"),
            Target::RunnerUp => f.write_str("runner-up"),
            Target::Nearest => f.write_str("nearest"),
            Target::Random => f.write_str("random"),
            Target::Class(index) => write!(f, "class:{index}"),
            Target::Untargeted => f.write_str("untargeted"),
        }
    }
}

impl Target {
    /// Every rule that a word names; class indices are the others.
    pub const NAMED: [Target; 5] =
        [Target::Untargeted, Target::LeastLikely, Target::RunnerUp, Target::Nearest, Target::Random];

    /// The rule that a word names.
    pub fn named(word: &str) -> Option<Self> {
        Target::NAMED.into_iter().find(|target| target.to_string() == word)
    }
}

/// What [`Target`]'s text says.
impl std::str::FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let class = text.strip_prefix("class:").and_then(|index| index.parse().ok()).map(Target::Class);
        class.or_else(|| Target::named(text)).ok_or_else(|| {
            let known = Target::NAMED.map(|target| target.to_string()).join(", ");
            format!("`{text}` is no target; known are {known}, class:INDEX")
        })
    }
}

/// When a row of an attack may leave before its steps are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// As soon as the prediction flips (the default of untargeted attacks).
    Flip,
    /// As soon as the target class is predicted (the default of targeted attacks).
    Target,
    /// Never: every step is used (the default of unit attacks, so that gains compare).
    Budget,
}

/// Which units of a layer to drive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitSelection {
    /// The units with the largest mean activation over the reference images.
    TopActivation(usize),
    /// The units that another measure puts first.
    Top {
        /// How many.
        count: usize,
        /// The measure.
        by: UnitRanking,
    },
    /// Units drawn by seed.
    Random(usize),
    /// These units.
    Listed(Vec<Unit>),
    /// Every unit.
    All,
}

/// How the units of `{ top = N }` are ranked, over the reference images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnitRanking {
    /// By mean activation.
    Activation,
    /// By the variance of the activation.
    Variance,
    /// By how far the mean of one class stands out from the mean of the others, in standard deviations.
    Selectivity,
    /// By the derivative of the label's logit by the unit.
    Gradient,
    /// By how little the unit must move, in its standard deviations, to change the prediction (Suri and Evans 2020): the units by which images
    /// are fooled most easily.
    Sensitivity,
}

impl UnitRanking {
    /// The word of suites.
    pub fn word(self) -> &'static str {
        match self {
            UnitRanking::Activation => "activation",
            UnitRanking::Variance => "variance",
            UnitRanking::Selectivity => "selectivity",
            UnitRanking::Gradient => "gradient",
            UnitRanking::Sensitivity => "sensitivity",
        }
    }
}

impl UnitSelection {
    /// The first `count` units by a measure.
    pub fn top(count: usize, by: UnitRanking) -> Self {
        match by {
            UnitRanking::Activation => UnitSelection::TopActivation(count),
            by => UnitSelection::Top { count, by },
        }
    }
}

/// Drive a unit up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Raise the activation.
    #[default]
    Maximize,
    /// Lower the activation.
    Suppress,
}

/// A control beside a unit attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// Random noise of the same norm, five draws.
    Noise,
    /// As many other units of the same layer, drawn by seed, with the same budget.
    RandomUnit,
}

/// `[boundary]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoundaryConfig {
    /// The norm in which distance is measured.
    pub norm: Norm,
    /// The search methods.
    pub methods: Vec<BoundaryMethod>,
    /// Largest radius searched, in pixel units of [0, 1]; beyond it a distance is censored.
    pub max_radius: Epsilon,
    /// Steps of each method.
    pub steps: usize,
    /// What the path's ascent maximizes.
    pub loss: Loss,
    /// Bisection steps after the bracket is found.
    pub bisections: usize,
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

/// How the boundary is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BoundaryMethod {
    /// Along the direction that activation maximization takes: a geometric grid, then bisection.
    Path,
    /// The nearest flip of the Fast Minimum-Norm attack, then bisection (Pintor et al. 2021).
    Fmn,
    /// DeepFool (Moosavi-Dezfooli et al. 2016), for linf, l2 and l1.
    Deepfool,
    /// FAB (Croce and Hein 2020), for linf, l2 and l1.
    Fab,
    /// DDN (Rony et al. 2019), for l2.
    Ddn,
    /// Carlini and Wagner's attack (2017), for l2.
    Cw,
    /// sigma-zero (Cinà et al. 2025), for l0.
    SigmaZero,
    /// Auto-PGD in balls whose radius is searched, for linf, l2 and l1.
    Apgd,
}

impl BoundaryMethod {
    /// All methods.
    pub const ALL: [BoundaryMethod; 8] = [
        BoundaryMethod::Path,
        BoundaryMethod::Fmn,
        BoundaryMethod::Deepfool,
        BoundaryMethod::Fab,
        BoundaryMethod::Ddn,
        BoundaryMethod::Cw,
        BoundaryMethod::SigmaZero,
        BoundaryMethod::Apgd,
    ];

    /// The norms in which the method measures.
    pub fn norms(self) -> &'static [Norm] {
        match self {
            BoundaryMethod::Path
            | BoundaryMethod::Fmn
            | BoundaryMethod::Deepfool
            | BoundaryMethod::Fab
            | BoundaryMethod::Apgd => &[Norm::Linf, Norm::L2, Norm::L1],
            BoundaryMethod::Ddn | BoundaryMethod::Cw => &[Norm::L2],
            BoundaryMethod::SigmaZero => &[Norm::L0],
        }
    }

    /// The word of suites, CSV files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            BoundaryMethod::Path => "path",
            BoundaryMethod::Fmn => "fmn",
            BoundaryMethod::Deepfool => "deepfool",
            BoundaryMethod::Fab => "fab",
            BoundaryMethod::Ddn => "ddn",
            BoundaryMethod::Cw => "cw",
            BoundaryMethod::SigmaZero => "sigma-zero",
            BoundaryMethod::Apgd => "apgd",
        }
    }
}

/// Classes, the predicted one included, that the distance to first order looks at: the most likely ones.
pub const LINEARIZED_CLASSES: u64 = 10;
