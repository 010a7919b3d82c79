//! Arguments of the commands that read finished runs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use crate::compare::ModelPair;
use crate::stats::FEWEST;

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

/// An address of http or https, which Markdown can hold.
fn web_address(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let strange = |letter: char| letter.is_control() || letter.is_whitespace() || "()<>[]\"'`\\".contains(letter);
    match rest {
        Some(rest) if !rest.is_empty() && !text.contains(strange) => Ok(text.to_owned()),
        _ => Err("must be an address that begins with https:// or http://, without spaces and brackets".to_owned()),
    }
}

fn at_least_four(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number >= FEWEST)
        .ok_or_else(|| format!("must be a whole number of at least {FEWEST}"))
}
