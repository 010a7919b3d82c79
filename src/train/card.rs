//! Model cards: what a weights file is, how it was made, and how it does on held-out images, clean and attacked.

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use super::recipe::{DataRecipe, Recipe};
use super::{Images, TrainError, Trainer, accuracy};
use crate::attack::ByMargin;
use crate::data;
use crate::engine::device;
use crate::judge::{Bench, CleanBlock};
use crate::model::{Compute, Model, ModelSource};
use crate::objective::LogitObjective;
use crate::optimizer::Pace;
use crate::random::Noise;
use crate::record::write_atomically;
use crate::region::Balls;
use crate::rows::{Drives, Row};
use crate::search::{Criterion, Retain, Search};
use crate::stats::{Estimate, wilson};
use crate::suite::{DataConfig, Loss, ModelConfig, OnDataError, OptimizerName, SearchPrecision, Split};
use crate::terms::{Epsilon, Norm};
use crate::wording::format;

/// Held-out images that are attacked, at most.
const ATTACKED: usize = 1000;
/// Images that are attacked together.
const BLOCK: usize = 250;
/// Radius of the l-inf ball.
const RADIUS: Epsilon = Epsilon::levels(8);
/// Ascent steps, of the default length.
const STEPS: usize = 40;

/// What the weights were found to be worth.
struct Judged {
    /// Share of the held-out images classified rightly.
    clean: Estimate,
    clean_images: usize,
    /// Share of the attacked images that stay classified rightly.
    robust: Estimate,
    robust_images: usize,
}

impl Trainer {
    /// The model card, beside the weights.
    pub fn card(&self) -> PathBuf {
        self.output().with_extension("md")
    }

    /// Judges the weights that are there and writes their card: accuracy on all held-out images, and robust accuracy on at most
    /// 1,000 of them, class-balanced, under 40 steps of projected gradient ascent on the cross-entropy from a random start in
    /// the l-inf ball of 8/255 (Madry et al. 2018). `after_block` is told how many images of how many were attacked; `stop` is
    /// asked before each block.
    ///
    /// # Errors
    /// If weights or held-out images cannot be used, or the card cannot be written.
    pub fn write_card(
        &self,
        mut after_block: impl FnMut(usize, usize),
        stop: impl Fn() -> bool,
    ) -> Result<PathBuf, TrainError> {
        let recipe = self.recipe();
        let model = ModelConfig::of_file(&recipe.arch, &self.output(), recipe.normalize.clone());
        let images = self.held_out()?;
        let geometry = images.geometry();
        let source = ModelSource::open(&model, Some([geometry.height, geometry.width]))?;
        let judged = self.judge(&source, &images, &mut after_block, &stop)?;
        let card = self.card();
        write_atomically(&card, self.text(&source, &judged).as_bytes())?;
        Ok(card)
    }

    fn judge(
        &self,
        source: &ModelSource,
        images: &Images,
        after_block: &mut dyn FnMut(usize, usize),
        stop: &dyn Fn() -> bool,
    ) -> Result<Judged, TrainError> {
        let held_out = self.recipe.data.source(Split::Test, &self.folder, self.data_root.as_deref());
        let verifier = source.build(Compute::f32(self.device))?;
        let model = source.build(device::searches_with(SearchPrecision::F32, source, self.device))?;
        let clean_images = images.images.len();
        let right = (accuracy(&verifier, images) * clean_images as f64).round() as u64;
        let dataset = data::open(&DataConfig::plain(held_out))?;
        let attacked = dataset.len().min(ATTACKED);
        let selection = data::select(dataset.as_ref(), Some(attacked), self.recipe.seed, OnDataError::Fail)?;
        let mut robust = 0;
        for start in (0..attacked).step_by(BLOCK) {
            if stop() {
                return Err(TrainError::CardInterrupted { card: self.card() });
            }
            let end = attacked.min(start + BLOCK);
            let samples = selection.load_block(dataset.as_ref(), start..end)?;
            robust += self.survivors(&model, &verifier, &CleanBlock::new(&verifier, &samples, &[], BLOCK));
            after_block(end, attacked);
        }
        Ok(Judged {
            clean: wilson(right, clean_images as u64),
            clean_images,
            robust: wilson(robust, attacked as u64),
            robust_images: attacked,
        })
    }

    /// How many images of a block are classified rightly and stay so.
    fn survivors(&self, model: &Model, verifier: &Model, clean: &CleanBlock) -> u64 {
        let [_, height, width] = model.input;
        let capacity = device::rows(self.device, height * width);
        let bench = Bench { model, verifier, clean, seed: self.recipe.seed, capacity, poll: device::poll(self.device) };
        let predictions = clean.predictions();
        let search = Search {
            bench,
            regions: &Balls(Norm::Linf),
            objective: &|rows| Box::new(LogitObjective::new(Loss::Ce, rows, &predictions, model.device())),
            optimizer: OptimizerName::Steepest,
            pace: Pace::new(STEPS, None),
            criterion: Criterion::first(1),
            referee: &ByMargin(bench),
            views: None,
            noise: Noise::new(self.recipe.seed, "card/start"),
            retain: Retain::All,
            known: None,
        };
        // Restart 0 begins at the clean image, later ones at random.
        let row = |sample| vec![Row { sample, epsilon: RADIUS, restart: 1, drives: Drives::Away }];
        let found = search.run(bench.attacked().into_iter().map(row).collect());
        found.chains.iter().filter(|rows| rows.iter().all(|row| !row.flipped)).count() as u64
    }

    fn text(&self, source: &ModelSource, judged: &Judged) -> String {
        let recipe = self.recipe();
        let weights = self.output();
        let file = weights.file_name().unwrap_or_default().to_string_lossy();
        let normalize = &recipe.normalize;
        let [channels, height, width] = source.geometry.image();
        let recipe_path = self.recipe_beside_weights();
        let mut card = format!("# {}\n\n", source.name);
        let mut line = |title: &str, value: String| {
            let _ = writeln!(card, "- **{title}**: {value}");
        };
        line(
            "Network",
            match source.architecture() {
                Some(arch) => format!("`{}`: {}", arch.name, arch.about),
                None => source.arch().to_owned(),
            },
        );
        line("Parameters", format!("{}, running statistics included", format::count(source.parameters())));
        line("Weights", format!("`{file}`, blake3 `{}`", source.hash()));
        line(
            "Input",
            format!(
                "{channels} x {height} x {width} (channels, rows, columns), pixels in [0, 1], normalized inside with mean \
                 {:?} and standard deviation {:?}",
                normalize.mean, normalize.std
            ),
        );
        line("Data", data_line(&recipe.data, judged.clean_images));
        line("Training", training_line(recipe));
        line(
            "Held-out accuracy",
            format!("{}, {} images", format::rate(&judged.clean), format::count(judged.clean_images as u64)),
        );
        line(
            "Robust accuracy",
            format!(
                "{}, {} held-out images, class-balanced; l-inf ball of 8/255, {STEPS} steps of projected gradient ascent on \
                 the cross-entropy (PGD) from one random start, each step {} of the radius; misclassified images count as \
                 not robust",
                format::rate(&judged.robust),
                format::count(judged.robust_images as u64),
                Pace::new(STEPS, None).share
            ),
        );
        line("Judged by", format!("am-eval {}, libtorch {}", env!("CARGO_PKG_VERSION"), device::libtorch_version()));
        format!(
            "{card}\nRates carry 95 % Wilson intervals. One attack gives an upper bound of the robust accuracy, not the robust \
             accuracy itself.\n\n## Make it again\n\n    am-eval train {recipe_path}\n\nin this folder{}. The same recipe gives \
             the same tensors on the same kind of device with the same libtorch; others round differently.\n\n## Recipe\n\n\
             ```toml\n{}\n```\n",
            if !matches!(recipe.data, DataRecipe::Synthetic { .. }) {
                ", with `--data-root` for the images"
            } else {
                ""
            },
            self.source.trim_end()
        )
    }

    /// The recipe's path as seen from the folder that it names for the weights; its file name where that is no plain path.
    fn recipe_beside_weights(&self) -> String {
        let target = plain(&self.folder.join(self.recipe.out.parent().unwrap_or(Path::new(""))));
        let recipe = plain(&self.path);
        let written = match recipe.strip_prefix(&target) {
            Ok(relative) => relative.to_path_buf(),
            Err(_) => PathBuf::from(self.path.file_name().unwrap_or_default()),
        };
        written.display().to_string()
    }
}

/// The path from the root, without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

fn data_line(data: &DataRecipe, held_out: usize) -> String {
    let held_out = format::count(held_out as u64);
    match data {
        DataRecipe::Synthetic { train, .. } => format!(
            "procedural images made by am-eval itself (`kind = \"synthetic\"`, generator version {}): {} to train on, {held_out} \
             held out",
            data::synthetic::VERSION,
            format::count(*train as u64)
        ),
        DataRecipe::Mnist { .. } => {
            format!("MNIST (LeCun et al. 1998): its training images, {held_out} held out")
        }
        DataRecipe::Cifar10 { .. } => format!(
            "CIFAR-10 (Krizhevsky 2009, <https://www.cs.toronto.edu/~kriz/cifar.html>): its training images, {held_out} held \
             out"
        ),
    }
}

fn training_line(recipe: &Recipe) -> String {
    let train = &recipe.train;
    let mut text = format!("{} epochs in batches of {}", train.epochs, train.batch);
    if let Some(adversarial) = &recipe.adversarial {
        text += &format!(
            ", fast adversarial training (Wong et al. 2020) in the l-inf ball of {}/255",
            adversarial.epsilon_255
        );
    }
    if let Some(start) = recipe.start.as_deref().and_then(Path::file_name) {
        text += &format!(", starting from `{}`", start.to_string_lossy());
    }
    text + "; the recipe below says the rest"
}
