//! How a picture of a unit is made: the canvas, the views of it that the network is shown, the penalties and the optimizer; and
//! the settings of other tools as presets.

use serde::{Deserialize, Serialize};

use crate::terms::words;

/// Everything that decides how a picture comes about, apart from what is driven and where it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PictureConfig {
    /// What the parameters of the picture are.
    pub canvas: CanvasForm,
    /// Rows and columns of the canvas; none takes the network's (twice the network's for MACO).
    pub side: Option<usize>,
    /// Steps of the optimizer.
    pub steps: usize,
    /// The optimizer.
    pub optimizer: PictureOptimizer,
    /// What the network is shown at each step.
    pub views: Views,
    /// What keeps pictures smooth.
    pub penalties: Penalties,
    /// How strongly the pictures of one unit's seeds are pushed apart; 0 leaves them alone.
    pub diversity: f64,
}

/// What the parameters of a picture are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum CanvasForm {
    /// The pixels themselves, clamped to [0, 1] after each step.
    Pixel,
    /// A spectrum whose high frequencies are damped by `f^-decay`, with decorrelated colours.
    Fourier {
        /// 1 in Lucid, 1.5 in Horama.
        decay: f64,
    },
    /// The phases of a spectrum whose magnitudes are those of natural images (MACO, Fel et al. 2023,
    /// <https://arxiv.org/abs/2306.06805>).
    Maco,
}

/// The optimizer of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PictureOptimizer {
    /// Nesterov momentum (Dozat 2016) instead of Adam's.
    pub nesterov: bool,
    /// Learning rate.
    pub rate: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Whether the rate falls to 0 like a cosine.
    pub cosine: bool,
}

/// What the network is shown at each step: so many randomly moved, zoomed and recoloured copies of the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Views {
    /// Copies at each step; the objective is their mean.
    pub copies: usize,
    /// How copies are moved.
    pub motion: Motion,
    /// Deviation of the noise added to copies, at the first step and at the last.
    pub noise: [f64; 2],
    /// Whether colours are shifted and stretched at random (Ghiasi et al. 2022).
    pub recolour: bool,
}

/// How a view is moved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Motion {
    /// Not at all.
    Still,
    /// Shifted, scaled and turned in one resampling, with grey around.
    Warp {
        /// The two jitters of Lucid, each the whole width of its range, as a share of the side.
        jitter: [f64; 2],
        /// Largest change of size, as a share.
        scale: f64,
        /// Largest turn, in degrees.
        degrees: f64,
    },
    /// Shifted in whole pixels by at most this share of the side; what leaves comes back on the other side.
    Roll {
        /// Share of the side.
        share: f64,
    },
    /// Crops whose centre is normal around the middle.
    Crops {
        /// Mean side of a crop at the first step and at the last, as a share of the canvas.
        side: [f64; 2],
        /// Deviation of the side.
        spread: f64,
    },
}

/// Weights of what is subtracted from the objective. A weight of 0.1 means a tenth of the objective's own gradient, measured where a
/// picture starts, against a noisy picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Penalties {
    /// Total variation.
    pub tv: f64,
    /// Distance from grey.
    pub l2: f64,
    /// Distance from the blurred picture.
    pub blur: f64,
    /// Distance from the image at which the picture starts: accentuation.
    pub keep: f64,
}

words! {
    /// Settings under a name.
    #[derive(Default)]
    pub enum PicturePreset {
        /// Olah et al. 2017: a Fourier canvas, warped.
        #[default]
        Lucid = "lucid",
        /// Fel et al. 2023: phases only, crops.
        Maco = "maco",
        /// Ghiasi et al. 2022 (<https://arxiv.org/abs/2212.06727>), for Vision Transformers: pixels, rolled and recoloured copies.
        Ghiasi = "ghiasi",
        /// Pixels with total variation.
        Pixel = "pixel",
    }
}

impl PicturePreset {
    /// The settings.
    pub fn config(self) -> PictureConfig {
        let adam = |rate, beta1, beta2, cosine| PictureOptimizer { nesterov: false, rate, beta1, beta2, cosine };
        let views = |copies, motion| Views { copies, motion, noise: [0.0; 2], recolour: false };
        let penalties = Penalties::default();
        // Lucid's pixels of a canvas of 128 as shares of the side.
        let warp = Motion::Warp { jitter: [8.0 / 128.0, 4.0 / 128.0], scale: 0.1, degrees: 10.0 };
        let (side, diversity) = (None, 0.0);
        match self {
            PicturePreset::Lucid => PictureConfig {
                canvas: CanvasForm::Fourier { decay: 1.0 },
                side,
                steps: 512,
                optimizer: adam(0.05, 0.9, 0.999, false),
                views: views(1, warp),
                penalties,
                diversity,
            },
            PicturePreset::Maco => PictureConfig {
                canvas: CanvasForm::Maco,
                side,
                steps: 256,
                optimizer: PictureOptimizer { nesterov: true, ..adam(1.0, 0.9, 0.999, false) },
                views: Views { noise: [0.08; 2], ..views(6, Motion::Crops { side: [0.5, 0.05], spread: 0.05 }) },
                penalties,
                diversity,
            },
            PicturePreset::Ghiasi => PictureConfig {
                canvas: CanvasForm::Pixel,
                side,
                steps: 400,
                optimizer: adam(0.1, 0.5, 0.99, true),
                views: Views { noise: [0.5, 0.0], recolour: true, ..views(8, Motion::Roll { share: 32.0 / 224.0 }) },
                penalties: Penalties { tv: 0.1, ..penalties },
                diversity,
            },
            PicturePreset::Pixel => PictureConfig {
                canvas: CanvasForm::Pixel,
                side,
                steps: 256,
                optimizer: adam(0.05, 0.9, 0.999, false),
                views: views(1, warp),
                penalties: Penalties { tv: 0.25, l2: 0.05, ..penalties },
                diversity,
            },
        }
    }
}

/// `[[visualize]]`: pictures of units of some layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisualizeConfig {
    /// The name used in files and reports.
    pub name: String,
    /// The models it runs on, by name, in the suite's order; none means all of them.
    pub models: Option<Vec<String>>,
    /// The layers.
    pub layers: Vec<LayerChoice>,
    /// The units of each layer.
    pub units: super::UnitSelection,
    /// Raise or lower activations.
    pub direction: super::Direction,
    /// The settings that `picture` began with.
    pub preset: PicturePreset,
    /// How pictures are made.
    pub picture: PictureConfig,
    /// Where they begin.
    pub start: Start,
    /// Pictures of each unit.
    pub seeds: usize,
    /// Real samples shown beside each unit.
    pub samples: usize,
}

impl VisualizeConfig {
    /// Whether it runs on this model.
    pub fn applies_to(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|name| name == model))
    }
}

/// Where a picture begins.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Almost grey noise, or random phases.
    #[default]
    Noise,
    /// Grey: what seeds then have of their own are the views.
    Grey,
    /// The mean of the suite's samples.
    Mean,
    /// An image file: accentuation.
    Image(std::path::PathBuf),
}

impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Start::Noise => f.write_str("noise"),
            Start::Grey => f.write_str("grey"),
            Start::Mean => f.write_str("mean"),
            Start::Image(path) => f.write_str(&path.file_name().unwrap_or_default().to_string_lossy()),
        }
    }
}

/// Layers by name, by pattern (`*` any characters, `?` any one), or by depth: `25%` is the first layer that has at least a quarter of
/// the pass behind it. Of a file's graph that is a module or a block, where one lies within 15 % of the pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerChoice(String);

/// A layer as far as choosing needs it.
#[derive(Debug, Clone, Copy)]
pub struct LayerDepth<'a> {
    /// Its name.
    pub name: &'a str,
    /// Share of the pass up to and with it.
    pub share: f64,
    /// Whether it is a module or a block, no value in between.
    pub landmark: bool,
}

/// How much further a depth may go, as a share of the pass, to reach a module or a block.
const NEAR: f64 = 0.15;

impl LayerChoice {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Places in `layers` that are meant, in the order of the pass.
    pub fn choose(&self, layers: &[LayerDepth]) -> Vec<usize> {
        if let Some(share) = self.depth() {
            let first = layers.iter().position(|layer| layer.share >= share - 1e-9);
            let nearest = |first: usize| {
                let behind = layers.iter().skip(first).take_while(|layer| layer.share <= layers[first].share + NEAR);
                behind.into_iter().position(|layer| layer.landmark).map_or(first, |further| first + further)
            };
            return first.map(nearest).into_iter().collect();
        }
        let pattern = super::gate::Pattern::new(&self.0);
        (0..layers.len()).filter(|&index| pattern.matches(layers[index].name)).collect()
    }

    /// Whether it may mean several layers, or another one in each model: a pattern or a depth.
    pub fn is_open(&self) -> bool {
        self.depth().is_some() || self.0.contains(['*', '?'])
    }

    /// The share of the pass that is meant, if it is a depth.
    fn depth(&self) -> Option<f64> {
        let percent = self.0.strip_suffix('%')?.trim().parse::<f64>().ok()?;
        (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
    }
}

impl std::str::FromStr for LayerChoice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let choice = LayerChoice(text.trim().to_owned());
        match choice.0.as_str() {
            "" => Err("a layer's name is empty".to_owned()),
            text if text.ends_with('%') && choice.depth().is_none() => {
                Err(format!("`{text}` is no depth; write a share of the pass from `0%` to `100%`"))
            }
            _ => Ok(choice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_chosen_by_name_pattern_and_depth() {
        let layers: Vec<LayerDepth> = [("a.0", 0.1), ("a.1", 0.25), ("b.0", 0.6), ("c", 1.0)]
            .map(|(name, share)| LayerDepth { name, share, landmark: true })
            .into();
        let chosen = |text: &str| text.parse::<LayerChoice>().unwrap().choose(&layers);
        assert_eq!(chosen("b.0"), [2]);
        assert_eq!(chosen("*.0"), [0, 2]);
        assert_eq!(chosen("25%"), [1]);
        assert_eq!(chosen("26 %"), [2]);
        assert_eq!(chosen("100%"), [3]);
        assert!(chosen("d").is_empty());
        for text in ["", "  ", "120%", "x%"] {
            assert!(text.parse::<LayerChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_depth_is_a_module_where_one_is_near() {
        let layers: Vec<LayerDepth> = [
            ("conv", 0.2, true),
            ("matmul", 0.5, false),
            ("add", 0.5, false),
            ("block", 0.55, true),
            ("mul", 0.8, false),
        ]
        .map(|(name, share, landmark)| LayerDepth { name, share, landmark })
        .into();
        let chosen = |text: &str| text.parse::<LayerChoice>().unwrap().choose(&layers);
        assert_eq!(chosen("20%"), [0]);
        assert_eq!(chosen("30%"), [3], "the block, not a value inside of it");
        assert_eq!(chosen("70%"), [4], "nothing that is near");
        assert_eq!(chosen("matmul"), [1], "by its name");
    }

    #[test]
    fn presets_read_back_their_words() {
        for preset in PicturePreset::ALL {
            assert_eq!(preset.as_str().parse::<PicturePreset>(), Ok(preset));
            assert_eq!(serde_json::to_value(preset).unwrap(), preset.as_str());
        }
        assert!("lucent".parse::<PicturePreset>().unwrap_err().contains("lucid, maco"));
    }
}
