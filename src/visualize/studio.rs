//! Makes the pictures of a suite's `[[visualize]]`, block by block: some units of one layer, with all their seeds. What is finished
//! stays; a block's content depends on the suite alone.

use std::rc::Rc;
use std::time::Instant;

use tch::{Kind, Tensor};

use super::measures::{Comparison, classified, sensitivity, thinned};
use super::{Driven, Painted, Painter, RealSamples, Subject, VisualizeError, fitted, patch, png};
use crate::data::Image;
use crate::engine::guarded;
use crate::interrupt;
use crate::model::{LayerInfo, Model};
use crate::random::Noise;
use crate::record::{PICTURES_FORMAT, PictureBlock, PictureDir, PictureRecord, Seen, Status, TopSample, file_word};
use crate::suite::{Start, VisualizeConfig};
use crate::terms::Unit;

/// Pictures of a block.
const BLOCK: usize = 16;

/// Side of the stored pictures of real samples.
const SAMPLE_SIDE: usize = 128;

/// What pictures are made with.
pub struct Studio<'a> {
    /// Where they go.
    pub dir: &'a PictureDir,
    /// The seed of every random choice.
    pub seed: u64,
    /// Views in a batch.
    pub capacity: usize,
    /// Real images of the models' size; may be none.
    pub samples: &'a RealSamples,
    /// The models that give gradients, by their place; they may compute less exactly than those that judge.
    pub painters: &'a [Rc<Model>],
    /// Hash of what determines pictures besides their visualization: weights, data, device.
    pub identity: String,
}

/// The pictures of a layer that are done together.
pub struct Sitting {
    layer: LayerInfo,
    units: Vec<Unit>,
    key: String,
}

impl Studio<'_> {
    /// Makes the missing pictures of `config` for `model`, whose place in the suite is `place`. `share` is the part of the blocks that is
    /// done here: (index, count). `others` are shown the pictures. `tell` hears of each block: layer, done, total.
    ///
    /// # Errors
    /// See [`VisualizeError`]; finished blocks are kept.
    pub fn run(
        &self,
        config: &VisualizeConfig,
        model: &Model,
        place: usize,
        others: &[Rc<Model>],
        share: (usize, usize),
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(), VisualizeError> {
        let planned = guarded(|| self.plan(config, model))??;
        let each = (BLOCK / config.seeds).max(1);
        let origin = self.origin(config, model)?;
        let mut blocks = Vec::new();
        for (at, planned) in planned.iter().enumerate() {
            for (block, units) in planned.units.chunks(each).enumerate() {
                let layer = file_word(planned.layer.name.as_str());
                let key = format!("{place:02}-{}--{}--{at:03}-{layer}--{block:05}", model.name, config.name);
                let sitting = Sitting { layer: planned.layer.clone(), units: units.to_vec(), key };
                blocks.push((sitting, planned.driven.clone()));
            }
        }
        let identity = self.identity_of(config, model);
        let total = blocks.len();
        for (at, (sitting, driven)) in blocks.iter().enumerate() {
            tell(sitting.layer.name.as_str(), at, total);
            if at % share.1 != share.0 || self.dir.block(&sitting.key, &identity).is_some() {
                continue;
            }
            if interrupt::requested() {
                return Err(VisualizeError::Interrupted);
            }
            let pictures = guarded(|| {
                self.block(config, (model, &self.painters[place]), others, sitting, driven, origin.as_ref())
            })??;
            let block = PictureBlock { format: PICTURES_FORMAT, identity: identity.clone(), pictures };
            self.dir.write_block(&sitting.key, &block)?;
        }
        tell("", total, total);
        Ok(())
    }

    /// Checks that `model` has what `config` asks for, and chooses layers and units.
    ///
    /// # Errors
    /// If it has not.
    pub fn check(&self, config: &VisualizeConfig, model: &Model) -> Result<(), VisualizeError> {
        self.plan(config, model).map(drop)
    }

    fn identity_of(&self, config: &VisualizeConfig, model: &Model) -> String {
        let material =
            serde_json::json!([self.identity, self.seed, model.name, config, self.samples.len(), PICTURES_FORMAT]);
        blake3::hash(material.to_string().as_bytes()).to_hex().to_string()
    }

    /// The image at which pictures begin, of the canvas's size.
    fn origin(&self, config: &VisualizeConfig, model: &Model) -> Result<Option<Tensor>, VisualizeError> {
        let noise = Noise::new(self.seed, "");
        let layer = "".into();
        let painter = Painter {
            model,
            judge: model,
            layer: &layer,
            config: &config.picture,
            direction: config.direction,
            noise: &noise,
        };
        let [channels, height, width] = painter.canvas_size();
        let unfit = |problem: String| VisualizeError::Unfit { visualization: config.name.clone(), problem };
        let resized = |image: Tensor| fitted(&image.unsqueeze(0), [height, width]).get(0);
        match &config.start {
            Start::Noise => Ok(None),
            Start::Grey => Ok(Some(Tensor::full([channels, height, width], 0.5, (Kind::Float, model.device())))),
            Start::Mean => match self.samples.mean(self.capacity, model.device()) {
                Some(mean) => Ok(Some(resized(mean))),
                None => Err(unfit("`start = \"mean\"` needs real images".to_owned())),
            },
            Start::Image(path) => {
                let pictures = crate::data::Pictures::open(path, crate::suite::Preprocess::default())?;
                let image = pictures.image(0)?;
                if image.channels as i64 != channels {
                    return Err(unfit(format!(
                        "{} has {} channels, the model takes {channels}",
                        path.display(),
                        image.channels
                    )));
                }
                Ok(Some(resized(pixels(&image).to_device(model.device()))))
            }
        }
    }

    fn block(
        &self,
        config: &VisualizeConfig,
        (model, painter): (&Model, &Model),
        others: &[Rc<Model>],
        sitting: &Sitting,
        driven: &Driven,
        origin: Option<&Tensor>,
    ) -> Result<Vec<PictureRecord>, VisualizeError> {
        let subjects: Vec<Subject> =
            sitting.units.iter().flat_map(|&unit| (0..config.seeds).map(move |seed| Subject { unit, seed })).collect();
        let noise = Noise::new(self.seed, &format!("visualize/{}", config.name));
        let layer = &sitting.layer.name;
        let painter = Painter {
            model: painter,
            judge: model,
            layer,
            config: &config.picture,
            direction: config.direction,
            noise: &noise,
        };
        // The seeds of a unit share a batch: they may push each other apart.
        let rows = (self.capacity / config.picture.views.copies / config.seeds).max(1) * config.seeds;
        let mut pictures = Vec::new();
        for subjects in subjects.chunks(rows) {
            let started = Instant::now();
            let painted = painter.paint(subjects, origin);
            let seconds = started.elapsed().as_secs_f64() / subjects.len() as f64;
            let images: Vec<Tensor> = painted.iter().map(|one| one.image.shallow_clone()).collect();
            let images = Tensor::stack(&images, 0).to_device(model.device());
            let answers = classified(model, &images);
            let others: Vec<Vec<Seen>> = others.iter().map(|other| classified(other, &images)).collect();
            for (row, painted) in painted.iter().enumerate() {
                let mut record = self.record(config, model, sitting, driven, painted)?;
                record.answer = answers[row].clone();
                record.others = others.iter().map(|answer| answer[row].clone()).collect();
                record.seconds = seconds;
                pictures.push(record);
            }
        }
        for unit in pictures.chunks_mut(config.seeds) {
            let spread = sensitivity(&unit.iter().map(|picture| picture.objective).collect::<Vec<_>>());
            unit.iter_mut().for_each(|picture| picture.seed_sensitivity = spread);
        }
        Ok(pictures)
    }

    /// The record of a picture, whose file is written.
    fn record(
        &self,
        config: &VisualizeConfig,
        model: &Model,
        sitting: &Sitting,
        driven: &Driven,
        painted: &Painted,
    ) -> Result<PictureRecord, VisualizeError> {
        let Subject { unit, seed } = painted.subject;
        let layer = &sitting.layer.name;
        let folder = format!("{}/{}/{}", config.name, model.name, file_word(layer.as_str()));
        let stem = file_word(&unit.to_string());
        let file = format!("{folder}/{stem}-{seed}.png");
        self.dir.write_png(&file, &png(painted, config.picture.canvas))?;
        let real = driven.of_unit(unit);
        let finite: Vec<f64> = real.iter().map(|value| f64::from(*value)).filter(|value| value.is_finite()).collect();
        let comparison = Comparison::new(&finite, painted.activation);
        let samples = match seed {
            0 => self.top_samples(config, model, sitting, unit, &real, &format!("{folder}/samples/{stem}"))?,
            _ => Vec::new(),
        };
        let status = match () {
            () if painted.broken => Status::NonFinite,
            () if painted.dead => Status::DeadUnit,
            () => Status::Ok,
        };
        Ok(PictureRecord {
            visualization: config.name.clone(),
            model: model.name.clone(),
            layer: layer.clone(),
            depth: sitting.layer.share,
            unit: unit.to_string(),
            of_classes: sitting.layer.shape == [model.classes] && sitting.layer.share >= 1.0,
            seed,
            preset: config.preset.to_string(),
            start: config.start.to_string(),
            steps: config.picture.steps,
            objective: if painted.activation.is_finite() { painted.activation } else { 0.0 },
            percentile: comparison.percentile,
            gain: comparison.gain,
            compared: finite.len(),
            answer: Seen { model: model.name.clone(), class: 0, confidence: 0.0 },
            others: Vec::new(),
            seed_sensitivity: None,
            variation: painted.variation,
            seconds: 0.0,
            status,
            file,
            history: thinned(&painted.history),
            samples,
        })
    }

    /// The real samples that drive the unit most (or least, where it is suppressed), with their files.
    fn top_samples(
        &self,
        config: &VisualizeConfig,
        model: &Model,
        sitting: &Sitting,
        unit: Unit,
        real: &[f32],
        stem: &str,
    ) -> Result<Vec<TopSample>, VisualizeError> {
        let sign = if config.direction == crate::suite::Direction::Maximize { 1.0 } else { -1.0 };
        let mut order: Vec<usize> = (0..real.len()).filter(|&index| real[index].is_finite()).collect();
        order.sort_by(|&a, &b| (sign * real[b]).total_cmp(&(sign * real[a])).then(a.cmp(&b)));
        let mut samples = Vec::new();
        for (rank, index) in order.into_iter().take(config.samples).enumerate() {
            let (id, label, image) = self.samples.get(index);
            let file = format!("{stem}-{rank}.png");
            self.dir.write_png(&file, &image.within(SAMPLE_SIDE).to_png())?;
            let patch = patch(model, &sitting.layer.name, unit, &pixels(image));
            samples.push(TopSample { id: id.clone(), label, activation: real[index], file, patch });
        }
        Ok(samples)
    }
}

/// An image as pixels `[C, H, W]` in [0, 1].
fn pixels(image: &Image) -> Tensor {
    let shape = [image.channels as i64, image.height as i64, image.width as i64];
    Tensor::from_slice(&image.pixels).view(shape).to_kind(Kind::Float) / 255.0
}
