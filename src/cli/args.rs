//! The command line's arguments: structure and help texts, no logic.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use super::devices::DevicesChoice;
use super::exit::help_table;
use crate::compare::ModelPair;
use crate::stats::FEWEST;
use crate::suite::{DeviceChoice, ShardChoice, UnitSelection};

/// `am-eval`.
#[derive(Debug, Parser)]
#[command(
    name = "am-eval",
    version,
    about = "Measures how robust image classifiers are, with activation maximization as the attack",
    long_about = "Measures how robust image classifiers (CNNs and Vision Transformers) are, with activation maximization \
                  as the attack: gradient ascent on the input drives a class logit, or a unit inside the network, within \
                  a norm ball. A TOML suite names data, models and attacks; the result is CSV, charts and one HTML report.",
    after_help = help_table(),
    max_term_width = 110
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run suites and write their reports; the same command again continues an interrupted run
    Run(RunArgs),
    /// Write a first suite for what lies in a folder: weights, configurations, images
    Init(InitArgs),
    /// Check suites: every error at once, with file, line and column
    Validate(ValidateArgs),
    /// Make the tables, charts and the HTML report of a run again from its records
    Report(ReportArgs),
    /// Join the shards of a run and write its outputs
    Merge(MergeArgs),
    /// Tell what of a run is done, running, missing or broken
    Status(StatusArgs),
    /// Judge a finished run by rules, against a baseline; the exit code tells the verdict
    Gate(GateArgs),
    /// Put finished runs side by side, paired by sample: differences, and the samples that changed
    Compare(CompareArgs),
    /// Put many runs in their order: what moved, which step was significant, and whether there is a drift
    History(HistoryArgs),
    /// Save a run as the baseline of later ones, or show what a baseline holds
    Baseline(BaselineArgs),
    /// Write a run's adversarial images, or its numbers in RobustBench's form, for other tools
    Export(ExportArgs),
    /// List the architectures and the shipped models
    Models(ModelsArgs),
    /// List every layer of a model: name, kind, shape, units, share of the forward pass
    Layers(LayersArgs),
    /// Write a model's logits, activations or input gradients for some images
    Predict(PredictArgs),
    /// Make pictures of what drives units inside a network
    Visualize(Box<VisualizeArgs>),
    /// Train a model of the zoo by a recipe
    Train(TrainArgs),
    /// Print the JSON Schema of suites, for editors, or of `summary.json`
    Schema(SchemaArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write the pages of all commands
    Man(ManArgs),
    /// Look at this installation: libtorch, devices, precision, weights and data
    Doctor(DoctorArgs),
}

/// `am-eval run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Suite files, run one after the other
    #[arg(required = true, value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub suites: Vec<PathBuf>,
    /// Folder that receives the run's directory
    #[arg(long, value_name = "DIR", default_value = "reports", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// Forget the finished blocks of an earlier run of the same suite and start over
    #[arg(long)]
    pub fresh: bool,
    /// Device, instead of the suite's [auto, cpu, cuda, cuda:N]
    #[arg(long)]
    pub device: Option<DeviceChoice>,
    /// Use at most N samples, still class-balanced: for trying a suite out
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub limit: Option<usize>,
    /// Seed, instead of the suite's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder of the images, instead of the suite's `data.root`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_root: Option<PathBuf>,
    /// Folder of the weights, instead of those that the suite names; files are looked for by their names
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub weights_root: Option<PathBuf>,
    /// Write every adversarial image as f32 safetensors to `adversarial/`
    #[arg(long)]
    pub save_adversarial: bool,
    /// Show cells, blocks, rows, estimated passes and the files to be written; run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Run one of N shares of the blocks: I/N, or auto for what Slurm, Kubernetes (auto/N), Grid Engine or a CI service says; the last
    /// to finish writes the outputs, or `am-eval merge`
    #[arg(long, value_name = "I/N", conflicts_with = "dry_run")]
    pub shard: Option<ShardChoice>,
    /// Run one process on each of these devices, side by side: all (every GPU; without one, every core of the CPU), a list of
    /// cuda:N, or cpu:N (N processes that divide the threads)
    #[arg(long, value_name = "LIST", conflicts_with_all = ["device", "shard"])]
    pub devices: Option<DevicesChoice>,
    /// What `--devices` starts: ends quietly after its share, and stops when standard input is closed
    #[arg(long, hide = true, requires = "shard")]
    pub worker: bool,
    /// Print plain lines instead of a progress bar
    #[arg(long)]
    pub no_progress: bool,
    /// Baseline that the suite's gate compares with
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub baseline: Option<PathBuf>,
}

/// `am-eval validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Suite files
    #[arg(required = true, value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub suites: Vec<PathBuf>,
    /// Folder of the images, instead of the suite's `data.root`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_root: Option<PathBuf>,
    /// Folder of the weights, instead of those that the suite names; files are looked for by their names
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub weights_root: Option<PathBuf>,
}

/// `am-eval report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A run's directory
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub run: PathBuf,
    /// Show the page in the browser
    #[arg(long)]
    pub open: bool,
}

/// `am-eval merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Directories of one run's shards; the first receives the blocks of the others
    #[arg(required = true, value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub runs: Vec<PathBuf>,
    /// Folder that receives the run's directory, instead of the first RUN
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// Merge shards of different devices, whose results differ by rounding, and by precision if the suite leaves it open
    #[arg(long)]
    pub allow_mixed_devices: bool,
}

/// `am-eval status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Directories of runs
    #[arg(required = true, value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub runs: Vec<PathBuf>,
}

/// `am-eval gate`.
#[derive(Debug, Args)]
pub struct GateArgs {
    /// A run's directory
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub run: PathBuf,
    /// The baseline to compare with, made by `am-eval baseline save`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub baseline: Option<PathBuf>,
    /// A file of rules (`[[gate]]`, `[[waiver]]`) instead of the suite's own
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub rules: Option<PathBuf>,
    /// Compare although run and baseline were made under different conditions
    #[arg(long)]
    pub allow_mismatch: bool,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t = GateFormat::Text)]
    pub format: GateFormat,
    /// Also write the comment of a pull request (Markdown with a marker line, by which the next one replaces it)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub comment: Option<PathBuf>,
    /// Where the run's folder can be looked at (https://…), for the comment's links to its page and pictures
    #[arg(long, value_name = "URL", value_parser = web_address)]
    pub link_base: Option<String>,
    /// Also write the findings as SARIF 2.1.0, for code scanning
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sarif: Option<PathBuf>,
    /// The suite's file, at whose lines SARIF shows findings [default: the one that the run's command named]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub suite: Option<PathBuf>,
}

/// How a gate's outcome is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GateFormat {
    /// Plain text, with annotations in a job of GitHub Actions
    Text,
    /// All of the outcome, for machines
    Json,
    /// Annotations of GitHub Actions
    Github,
    /// GitLab's code quality report
    Gitlab,
    /// Markdown, for comments
    Markdown,
}

/// `am-eval export`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["images", "robustbench"]))]
pub struct ExportArgs {
    /// The directory of a run that was made with --save-adversarial
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub run: PathBuf,
    /// New folder that receives the adversarial images, and images.csv, which says what each of them is
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub images: Option<PathBuf>,
    /// The form of the images
    #[arg(long, value_enum, default_value_t = ExportForm::Png, requires = "images")]
    pub form: ExportForm,
    /// Only the images of this model; may be given several times
    #[arg(long, value_name = "NAME", requires = "images")]
    pub model: Vec<String>,
    /// Only the images of this attack; may be given several times
    #[arg(long, value_name = "NAME", requires = "images")]
    pub attack: Vec<String>,
    /// Only images that change the prediction
    #[arg(long, requires = "images")]
    pub flipped: bool,
    /// The images of controls too
    #[arg(long, requires = "images")]
    pub controls: bool,
    /// New folder that receives DATASET/THREAT/MODEL.json for each model, as RobustBench's model_info has it
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub robustbench: Option<PathBuf>,
    /// Export what there is of a run that is not finished
    #[arg(long)]
    pub partial: bool,
}

/// The form of exported images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportForm {
    /// PNG files, rounded to 8 bits, in a folder for each model, attack and radius
    Png,
    /// The same with a folder for each true class, as torchvision's ImageFolder reads them
    Imagefolder,
    /// Arrays as AutoAttack has them: x_adv (f32, N x C x H x W, in [0, 1]), y and row in one safetensors file each
    Safetensors,
    /// The same arrays as .npy files for NumPy
    Npy,
}

/// `am-eval compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Directories of runs, or baselines; the first is the reference
    #[arg(required = true, value_name = "RUN", value_hint = ValueHint::AnyPath)]
    pub runs: Vec<PathBuf>,
    /// Compare model A of the reference with model B of the others, instead of models of the same name; may be given
    /// several times. With a single RUN, models of that run
    #[arg(long = "model", value_name = "A=B")]
    pub models: Vec<ModelPair>,
    /// Compare although the runs were made under different conditions
    #[arg(long)]
    pub allow_mismatch: bool,
    /// Folder for compare.html, compare.csv and changed.csv [default: reports/compare-HASH]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// How the comparison is printed
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    pub format: CompareFormat,
}

/// How a comparison is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// Plain text
    Text,
    /// Markdown, for comments
    Markdown,
    /// All numbers, for machines
    Json,
}

/// `am-eval completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `am-eval man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder for one page for each command, instead of printing the main one
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
}

/// `am-eval init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The suite to write, which must not be there yet [default: DIR/suite.toml]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// `am-eval history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Directories of runs, or folders that hold some at any depth
    #[arg(required = true, value_name = "RUN|DIR", value_hint = ValueHint::DirPath)]
    pub runs: Vec<PathBuf>,
    /// What puts runs in order
    #[arg(long, value_enum, default_value_t = HistoryOrder::Time)]
    pub order: HistoryOrder,
    /// States of a model that a trend looks back on
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_four)]
    pub last: usize,
    /// Folder for history.html, history.csv and charts/
    #[arg(long, value_name = "DIR", default_value = "reports/history", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = HistoryFormat::Text)]
    pub format: HistoryFormat,
    /// End with exit code 100 if a number drifts for the worse, or its last step was significant and for the worse
    #[arg(long)]
    pub fail_on_drift: bool,
}

/// What puts runs in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HistoryOrder {
    /// When they were started
    Time,
    /// When the commit was made that was checked out
    Commit,
}

/// How a history is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HistoryFormat {
    /// Plain text
    Text,
    /// All numbers, for machines
    Json,
}

/// `am-eval baseline`.
#[derive(Debug, Args)]
pub struct BaselineArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: BaselineAction,
}

/// What to do with a baseline.
#[derive(Debug, Subcommand)]
pub enum BaselineAction {
    /// Write a finished run's results, sample by sample, to a small JSON file that can be committed
    Save {
        /// A run's directory
        #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
        run: PathBuf,
        /// File to write
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Print what a baseline holds
    Show {
        /// A baseline
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

/// `am-eval models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {}

/// `am-eval layers`.
#[derive(Debug, Args)]
pub struct LayersArgs {
    /// An architecture (`cifar/resnet20`), which `am-eval models` lists, or a file with a network: .pt2, .onnx or TorchScript
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Size of the images: SIDE, or ROWSxCOLUMNS; default: what the architecture was published for, or the file
    /// is for; 224 for a file that does not tell
    #[arg(long, value_name = "SIZE", value_parser = image_size)]
    pub size: Option<[i64; 2]>,
    /// Channels of the images; default: 3
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(i64).range(1..=1024))]
    pub channels: i64,
    /// Print a JSON list instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `am-eval predict`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["suite", "arch"]))]
pub struct PredictArgs {
    /// Suite that describes the model
    #[arg(long, value_name = "SUITE", requires = "model", value_hint = ValueHint::FilePath)]
    pub suite: Option<PathBuf>,
    /// The model's name in the suite
    #[arg(long, value_name = "NAME", requires = "suite")]
    pub model: Option<String>,
    /// Architecture, for a model without a suite
    #[arg(long, requires_all = ["weights", "mean", "std"], conflicts_with_all = ["suite", "model"])]
    pub arch: Option<String>,
    /// The model's safetensors file, or its folder
    #[arg(long, value_name = "PATH", requires = "arch", value_hint = ValueHint::AnyPath)]
    pub weights: Option<PathBuf>,
    /// Mean of the pixels in [0, 1], one value per channel, as in 0.485,0.456,0.406
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', value_parser = finite, requires = "arch")]
    pub mean: Vec<f32>,
    /// Standard deviation of the pixels in [0, 1], one value per channel
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', value_parser = positive, requires = "arch")]
    pub std: Vec<f32>,
    /// An image, a folder of images, or a safetensors file with `pixels_u8` [N, 3, H, W]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub images: PathBuf,
    /// File to write: .csv (one line per image), or .safetensors (one tensor per kind of value)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
    /// Also write the activation of this layer (CSV: the mean of each unit over positions); may be given several times
    #[arg(long, value_name = "LAYER")]
    pub tap: Vec<String>,
    /// Also write the gradient of an objective with respect to the pixels in [0, 1]: class:K, unit:LAYER:I or
    /// unit:LAYER:I@ROW,COLUMN
    #[arg(long, value_name = "OBJECTIVE")]
    pub gradient: Option<String>,
    /// Device [auto, cpu, cuda, cuda:N]
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
}

/// `am-eval train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Recipe files, trained one after the other
    #[arg(required = true, value_name = "RECIPE", value_hint = ValueHint::FilePath)]
    pub recipes: Vec<PathBuf>,
    /// Device [auto, cpu, cuda, cuda:N]
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Folder of the images, instead of the recipe's `data.root`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_root: Option<PathBuf>,
    /// Folder for the weights and the model card, instead of the recipe's
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// Forget the checkpoint of an interrupted training and start over
    #[arg(long)]
    pub fresh: bool,
    /// Train nothing: judge the weights that are there and write their model card
    #[arg(long, conflicts_with = "fresh")]
    pub card_only: bool,
    /// Print plain lines instead of a progress bar
    #[arg(long)]
    pub no_progress: bool,
}

/// `am-eval schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// What the schema is of
    #[arg(value_name = "OF", value_enum, default_value_t = SchemaOf::Suite)]
    pub file: SchemaOf,
}

/// What a JSON Schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// A suite's file
    Suite,
    /// A run's `summary.json`
    Summary,
}

/// `am-eval doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {}

/// `am-eval visualize`.
#[derive(Debug, Args)]
pub struct VisualizeArgs {
    /// Suite whose models, images and `[[visualize]]` tables are used; without --layer all its pictures are made
    #[arg(value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub suite: Option<PathBuf>,
    /// Model of the suite; all of them without it
    #[arg(long, value_name = "NAME", requires = "suite")]
    pub model: Option<String>,
    /// Architecture, instead of a suite
    #[arg(long, value_name = "ARCH", conflicts_with = "suite", requires_all = ["weights", "mean", "std"])]
    pub arch: Option<String>,
    /// Weights, instead of a suite
    #[arg(long, value_name = "PATH", requires = "arch", value_hint = ValueHint::AnyPath)]
    pub weights: Option<PathBuf>,
    /// Means of the normalization, one per channel, comma-separated
    #[arg(long, value_delimiter = ',', value_parser = finite, requires = "arch")]
    pub mean: Vec<f32>,
    /// Standard deviations of the normalization
    #[arg(long, value_delimiter = ',', value_parser = positive, requires = "arch")]
    pub std: Vec<f32>,
    /// Layer: a name, a pattern with `*` and `?`, or a depth such as 25%; may be given several times
    #[arg(long, value_name = "LAYER")]
    pub layer: Vec<String>,
    /// Units: all, random:N, top:N (by mean activation), or a list such as \"3 17 4@2,5\"
    #[arg(long, value_name = "UNITS", default_value = "random:12")]
    pub units: UnitsText,
    /// Settings: lucid, maco, ghiasi (for Vision Transformers), pixel
    #[arg(long, value_name = "NAME", default_value = "lucid")]
    pub preset: String,
    /// Steps, instead of the preset's
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub steps: Option<usize>,
    /// Rows and columns of the canvas, instead of the network's (maco: twice that)
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub side: Option<usize>,
    /// Where pictures begin: noise, grey, mean, or an image file
    #[arg(long, value_name = "START", default_value = "noise")]
    pub start: String,
    /// How strongly a picture is held near the image at which it starts; 1 is as strong as the objective at a change of 0.1
    #[arg(long, value_name = "WEIGHT")]
    pub keep: Option<f64>,
    /// Lower activations instead of raising them
    #[arg(long)]
    pub suppress: bool,
    /// Pictures of each unit
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub seeds: usize,
    /// Real images shown beside each unit
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub samples: usize,
    /// Real images to compare with, instead of the suite's
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub images: Option<PathBuf>,
    /// Folder that receives pictures, atlases and visualize.csv; the same command again continues
    #[arg(long, value_name = "DIR", default_value = "pictures", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// Forget the pictures that are there
    #[arg(long)]
    pub fresh: bool,
    /// Device [auto, cpu, cuda, cuda:N]
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Views in a batch
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub batch: Option<usize>,
    /// Seed, instead of the suite's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder of the images, instead of the suite's `data.root`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_root: Option<PathBuf>,
}

/// Units as the command line names them.
#[derive(Debug, Clone)]
pub struct UnitsText(pub UnitSelection);

impl std::str::FromStr for UnitsText {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let count = |text: &str| text.parse::<usize>().ok().filter(|count| *count > 0);
        let wrong =
            || format!("`{text}` names no units; write all, random:8, top:8, or a list such as 3 17@2,5 in quotes");
        let selection = match text.split_once(':') {
            None if text == "all" => UnitSelection::All,
            Some(("random", number)) => UnitSelection::Random(count(number).ok_or_else(wrong)?),
            Some(("top", number)) => UnitSelection::TopActivation(count(number).ok_or_else(wrong)?),
            _ => {
                // Commas part units, unless they part row and column of a neuron.
                let parts = text.split_whitespace().flat_map(|part| match part.contains('@') {
                    true => vec![part],
                    false => part.split(',').collect(),
                });
                let units = parts.map(str::parse).collect::<Result<Vec<_>, _>>().map_err(|_| wrong())?;
                UnitSelection::Listed(units)
            }
        };
        Ok(UnitsText(selection))
    }
}

/// `SIDE` or `ROWSxCOLUMNS`.
fn image_size(text: &str) -> Result<[i64; 2], String> {
    let side = |text: &str| text.parse::<i64>().ok().filter(|side| (1..=65_536).contains(side));
    let (rows, columns) = text.split_once('x').unwrap_or((text, text));
    match (side(rows), side(columns)) {
        (Some(rows), Some(columns)) => Ok([rows, columns]),
        _ => Err("a size is SIDE or ROWSxCOLUMNS in pixels, such as 224 or 32x64".to_owned()),
    }
}

/// An address of http or https, which Markdown can hold.
fn web_address(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let strange = |letter: char| letter.is_control() || letter.is_whitespace() || "()<>[]\"'`\\".contains(letter);
    match rest {
        Some(rest) if !rest.is_empty() && !text.contains(strange) => Ok(text.to_owned()),
        _ => Err("must be an address that begins with https:// or http://, without spaces and brackets".to_owned()),
    }
}

fn finite(text: &str) -> Result<f32, String> {
    text.trim().parse().ok().filter(|value: &f32| value.is_finite()).ok_or_else(|| "must be a number".into())
}

fn positive(text: &str) -> Result<f32, String> {
    finite(text).ok().filter(|value| *value > 0.0).ok_or_else(|| "must be a number above 0".into())
}

fn at_least_four(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number >= FEWEST)
        .ok_or_else(|| format!("must be a whole number of at least {FEWEST}"))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("must be a whole number".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn devices_are_read_and_others_named() {
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:x", "CPU"] {
            let error = Cli::try_parse_from(["am-eval", "run", "s.toml", &format!("--device={text}")]).unwrap_err();
            assert!(error.to_string().contains("known are auto"), "{text}: {error}");
        }
    }

    #[test]
    fn predict_takes_a_model_from_a_suite_or_from_flags_but_not_from_both() {
        let tail = "--images x.png --out y.csv";
        for good in ["--suite s.toml --model m", "--arch a --weights w --mean 0.5,0.5,0.5 --std 1,1,1"] {
            assert!(parse(&format!("am-eval predict {good} {tail}")).is_ok(), "{good}");
        }
        for bad in [
            "",
            "--suite s.toml",
            "--arch a",
            "--weights w",
            "--suite s.toml --model m --arch a --weights w",
            "--suite s.toml --model m --mean 0.5 --std 1",
            "--arch a --weights w",
            "--arch a --weights w --mean 0.5",
            "--arch a --weights w --mean 0.5 --std 0",
            "--arch a --weights w --mean nan --std 1",
        ] {
            assert!(parse(&format!("am-eval predict {bad} {tail}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_run_needs_a_suite_and_a_positive_limit() {
        assert!(parse("am-eval run").is_err());
        assert!(parse("am-eval run s.toml --limit 0").is_err());
        let Command::Run(args) = parse("am-eval run a.toml b.toml --device cuda:1 --limit 5").unwrap().command else {
            panic!("another command");
        };
        assert_eq!((args.suites.len(), args.device, args.limit), (2, Some(DeviceChoice::Cuda(1)), Some(5)));
        assert_eq!(args.out, PathBuf::from("reports"));
    }

    #[test]
    fn the_help_text_is_the_documented_one() {
        insta::assert_snapshot!(Cli::command().term_width(100).render_long_help());
    }
}
