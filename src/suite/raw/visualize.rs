//! `[[visualize]]` as it is written.

use toml::de::DeValue;

use super::RawUnits;
use crate::suite::choices::CanvasWord;
use crate::suite::config::Direction;
use crate::suite::picture::{LayerChoice, PicturePreset};
use crate::suite::read::problem::Problems;
use crate::suite::read::values::{Amount, Count, Name, Positive, Share, Text};
use crate::suite::read::{At, Fields, FromToml, Value, raw_table, schema_of, wrong};

raw_table! {
    /// Pictures of units by activation maximization, from noise or an image. What is left out is as the preset has it.
    struct RawVisualize ("`[[visualize]]`") {
        /// The name used in files and reports.
        name: Name, required;
        /// The models, by name. Default all.
        models: Vec<At<Text>>;
        /// The layers: names as `am-eval layers` prints them, patterns with `*` and `?`, or depths such as "25%".
        layers: Vec<At<LayerText>>, required;
        /// The units of each layer: the top ones by a measure, random ones, a list, or all.
        units: RawUnits, required;
        /// Raise or lower the activation. Default maximize.
        direction: Direction;
        /// The settings to begin with: lucid (a Fourier canvas, warped), maco (phases only, for sharp pictures), ghiasi (for
        /// Vision Transformers), pixel. Default lucid.
        preset: PicturePreset;
        /// Where pictures begin: noise, grey, mean (of the samples), or an image file. Default noise.
        start: Text;
        /// Pictures of each unit. Default 1.
        seeds: Count<1, 100>;
        /// Real samples shown beside each unit. Default 5.
        samples: Count<0, 100>;
        /// Steps of the optimizer.
        steps: Count<1, 100_000>;
        /// Learning rate.
        rate: Positive;
        /// What the parameters are: pixel, fourier or maco.
        canvas: CanvasWord;
        /// How much a Fourier canvas damps high frequencies: `f^-decay`. More is smoother.
        decay: Positive;
        /// Rows and columns of the canvas. Default the network's, for maco twice that.
        side: Count<4, 4096>;
        /// Randomly moved copies at each step.
        views: Count<1, 256>;
        /// Largest shift of a copy, as a share of the side.
        jitter: Amount;
        /// Largest change of a copy's size, as a share.
        scale: Share;
        /// Largest turn of a copy, in degrees.
        rotate: Amount;
        /// Deviation of the noise that copies get.
        noise: Amount;
        /// Weight of total variation: 0.1 is a tenth of the objective's own gradient in a noisy picture.
        tv: Amount;
        /// Weight of the distance from grey.
        l2: Amount;
        /// Weight of the distance from the blurred picture.
        blur: Amount;
        /// Weight of the distance from the image at which the picture starts.
        keep: Amount;
        /// How strongly pictures of one unit are pushed apart.
        diversity: Amount;
    }
}

/// Layers, by name, pattern or depth.
#[derive(Debug, Clone)]
pub struct LayerText(pub LayerChoice);

impl FromToml for LayerText {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.parse::<LayerChoice>(),
            _ => Err(String::new()),
        };
        match text {
            Ok(choice) => Some(LayerText(choice)),
            Err(problem) => {
                let found =
                    wrong(key, value, "layer names, patterns with `*` and `?`, or depths such as \"25%\"", problems);
                if !problem.is_empty() {
                    found.help(problem);
                }
                None
            }
        }
    }
}

schema_of!(LayerText, "LayerText", { "type": "string", "minLength": 1 });
