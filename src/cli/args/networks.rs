//! Arguments of the commands that look at single networks.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::at_least_one;
use crate::suite::{DeviceChoice, UnitSelection};

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
    /// Take bfloat16 for the steps where the CPU has instructions for it, as a suite's `precision = "fast"` does, for small images too (from
    /// 128 by 128 on it is the default); what is measured on the pictures stays f32
    #[arg(long)]
    pub fast: bool,
    /// Take f32 for the steps, as a suite's `precision = "f32"` does
    #[arg(long, conflicts_with = "fast")]
    pub exact: bool,
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

fn finite(text: &str) -> Result<f32, String> {
    text.trim().parse().ok().filter(|value: &f32| value.is_finite()).ok_or_else(|| "must be a number".into())
}

fn positive(text: &str) -> Result<f32, String> {
    finite(text).ok().filter(|value| *value > 0.0).ok_or_else(|| "must be a number above 0".into())
}
