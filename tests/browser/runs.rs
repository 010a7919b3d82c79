//! Runs with made-up records, from which the real binary makes the pages that a browser opens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use am_eval::record::{
    Block, Cell, CellKind, DistanceRecord, Example, MANIFEST_FORMAT, Manifest, ModelEntry, Record, RunDir, RunStatus,
    Status, Thumbnail, TransferRecord,
};
use am_eval::suite::{Suite, Target, TransferConfig};
use am_eval::terms::{Epsilon, Norm, SampleId};

/// The suite that the made-up runs are said to be of.
const SUITE: &str = r#"schema = 1
name = "cifar10"
seed = 17
[data]
kind = "synthetic"
[[model]]
name = "resnet20"
arch = "cifar/resnet20"
weights = "resnet20.safetensors"
normalize = { mean = [0.5], std = [0.5] }
[[attack]]
name = "untargeted"
kind = "class-logit"
target = "untargeted"
norm = "linf"
epsilons = ["1/255", "8/255"]
steps = 40
[[attack]]
name = "least-likely"
kind = "class-logit"
target = "least-likely"
norm = "linf"
epsilons = ["1/255", "8/255"]
steps = 40
[[attack]]
name = "layer1.2.conv2-units"
kind = "unit"
layer = "layer1.2.conv2"
units = "all"
norm = "linf"
epsilons = ["8/255"]
steps = 40
[[attack]]
name = "layer2.2.conv2-units"
kind = "unit"
layer = "layer2.2.conv2"
units = "all"
norm = "linf"
epsilons = ["8/255"]
steps = 40
[boundary]
norm = "linf"
max_radius = 0.1
"#;

const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// A model: name, clean accuracy, and the radius at which two thirds of its samples are flipped.
pub type Model = (&'static str, f64, f64);

/// What a run is made of.
pub struct Recipe<'r> {
    pub models: &'r [Model],
    pub samples: u32,
    /// Draws the run: runs of the same data differ in it.
    pub salt: u64,
    /// Changes every name.
    pub name: fn(&str) -> String,
    pub pictures: bool,
    /// Whether images are shown to the other models.
    pub transfer: bool,
    pub complete: bool,
}

impl Default for Recipe<'_> {
    fn default() -> Self {
        Recipe {
            models: &[("resnet20", 0.92, 0.012), ("resnet20-adv", 0.79, 0.05), ("vit-tiny", 0.86, 0.02)],
            samples: 150,
            salt: 0,
            name: str::to_owned,
            pictures: true,
            transfer: false,
            complete: true,
        }
    }
}

/// A number in [0, 1) that depends on the words alone.
fn draw(words: &[u64]) -> f64 {
    let mixed = words.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |state, word| {
        let mut mixed = (state ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^= mixed >> 29;
        mixed = mixed.wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 32)
    });
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

/// A picture of 32x32 pixels with values in [0, 1].
fn png(value: &dyn Fn(u32, u32, u32) -> f64) -> Vec<u8> {
    let image = image::RgbImage::from_fn(32, 32, |x, y| {
        image::Rgb([0, 1, 2].map(|c| (value(x, y, c) * 255.0).clamp(0.0, 255.0) as u8))
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A disc before a sky, both of colours that are drawn.
fn disc(salt: u64, x: u32, y: u32, c: u32) -> f64 {
    let (x, y) = (f64::from(x) / 32.0 - 0.5, f64::from(y) / 32.0 - 0.5);
    let inside = (x * x + y * y).sqrt() < 0.2 + 0.2 * draw(&[salt]);
    0.2 + 0.3 * draw(&[salt, u64::from(c)]) + if inside { 0.4 } else { 0.2 * (y + 0.5) }
}

fn scene(salt: u64) -> Vec<u8> {
    png(&|x, y, c| disc(salt, x, y, c))
}

impl Recipe<'_> {
    /// Write the run into `folder`, as an engine would have left it before its reports are made.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let manifest = self.manifest(folder);
        let dir = RunDir::create(folder, &manifest.run).unwrap();
        for (place, model) in (0u64..).zip(self.models) {
            let mut block = Block { key: format!("{place:03}--00000"), seconds: 31.5, ..Block::default() };
            self.class_logits(place, model, &mut block);
            self.units(place, model, &mut block);
            self.distances(place, model, &mut block);
            if place == 0 && self.pictures {
                let thumbnail = |sample| Thumbnail { sample_id: self.sample(sample), png: scene(u64::from(sample)) };
                block.thumbnails = (0..self.samples).map(thumbnail).collect();
            }
            if self.transfer {
                self.transfers(place, &mut block);
            }
            block.write(&dir).unwrap();
        }
        manifest.save(&dir.manifest_path()).unwrap();
        dir.path().to_owned()
    }

    fn sample(&self, sample: u32) -> SampleId {
        (self.name)(&format!("test/{}/{sample:04}.png", CLASSES[sample as usize % 10])).into()
    }

    fn cell(&self, model: &str, attack: &str, kind: CellKind, levels: f64) -> Cell {
        Cell {
            model: (self.name)(model),
            dataset: (self.name)("cifar10"),
            attack: (self.name)(attack),
            kind,
            target: None,
            layer: None,
            unit: None,
            norm: Norm::Linf,
            epsilon: Epsilon::new(levels / 255.0).unwrap(),
        }
    }

    /// Smallest radius at which the sample flips.
    fn radius(&self, place: u64, &(_, _, typical): &Model, sample: u32) -> f64 {
        typical * (-draw(&[place, sample.into(), 2]).ln()).powf(0.7) * (0.97 + 0.06 * draw(&[self.salt, sample.into()]))
    }

    fn record(&self, cell: &Arc<Cell>, place: u64, model: &Model, sample: u32, hit: bool) -> Record {
        let label = sample % 10;
        let correct = draw(&[place, sample.into(), 1]) < model.1;
        let clean_pred = if correct { label } else { (label + 3) % 10 };
        let hit = hit && correct;
        let of_unit = |value: f32| (cell.kind != CellKind::ClassLogit).then_some(value);
        Record {
            cell: cell.clone(),
            sample_id: self.sample(sample),
            label,
            clean_pred,
            part: None,
            nearest_flip: None,
            target: (cell.target == Some(Target::LeastLikely)).then_some((label + 5) % 10),
            steps: 20,
            forwards: 21,
            backwards: 20,
            adv_pred: if hit { (label + 1 + sample % 7) % 10 } else { clean_pred },
            flipped: hit,
            flipped_u8: hit && !sample.is_multiple_of(41),
            target_hit: (cell.target == Some(Target::LeastLikely)).then_some(hit && sample.is_multiple_of(3)),
            margin_clean: 2.5,
            margin_adv: if hit { -0.75 } else { 0.5 },
            confidence_clean: 0.94,
            confidence_adv: 0.71,
            activation_clean: of_unit(0.25),
            activation_adv: of_unit(1.75),
            activation_gain_z: of_unit(3.5),
            linf: cell.epsilon.value() as f32,
            l2: 1.25,
            l1: 61.5,
            l0: 3072,
            status: if correct { Status::Ok } else { Status::SkippedMisclassified },
        }
    }

    fn class_logits(&self, place: u64, model: &Model, block: &mut Block) {
        for (attack, target, power) in
            [("untargeted", Target::Untargeted, 1.0), ("least-likely", Target::LeastLikely, 0.7)]
        {
            for levels in [1.0, 2.0, 4.0, 8.0] {
                let cell = self.cell(model.0, attack, CellKind::ClassLogit, levels);
                let cell = Arc::new(Cell { target: Some(target), ..cell });
                for sample in 0..self.samples {
                    let luck = 0.85 + 0.3 * draw(&[place, sample.into(), target.to_string().len() as u64]);
                    let hit = levels / 255.0 * power * luck >= self.radius(place, model, sample);
                    let record = self.record(&cell, place, model, sample, hit);
                    if self.pictures && record.flipped && levels == 8.0 && block.examples.len() < 12 {
                        block.examples.push(self.example(&record));
                    }
                    block.records.push(record);
                }
            }
        }
    }

    fn transfers(&self, place: u64, block: &mut Block) {
        for (other, victim) in (0u64..).zip(self.models).filter(|(other, _)| *other != place) {
            for record in block.records.iter().filter(|record| record.cell.kind == CellKind::ClassLogit) {
                let label = record.label;
                let luck = draw(&[place, other, block.transfers.len() as u64]);
                let fooled = record.flipped && luck < 0.01 / victim.2;
                if record.label == record.clean_pred {
                    block.transfers.push(TransferRecord {
                        cell: record.cell.clone(),
                        victim: (self.name)(victim.0).into(),
                        sample_id: record.sample_id.clone(),
                        flipped: record.flipped,
                        victim_pred: if fooled { (label + 1) % 10 } else { label },
                        fooled,
                        fooled_by_noise: luck < 0.02,
                        forwards: 2,
                    });
                }
            }
        }
    }

    fn units(&self, place: u64, model: &Model, block: &mut Block) {
        let strength = (0.02 / model.2).min(1.5);
        let control = [(CellKind::ControlNoise, "draw:0", 0.01), (CellKind::ControlRandomUnit, "61", 0.06)];
        for (depth, layer) in (1u32..).zip(["layer1.2.conv2", "layer2.2.conv2", "layer3.2.conv2"]) {
            let units = [3, 7, 12, 19, 33, 40].map(|unit: u32| {
                let share = f64::from(unit * depth % 13) / 13.0;
                (CellKind::Unit, unit.to_string(), 0.03 + 0.16 * f64::from(depth) * share)
            });
            let controls = control.map(|(kind, unit, share)| (kind, unit.to_owned(), share));
            for (kind, unit, share) in units.into_iter().chain(controls) {
                let cell = self.cell(model.0, &format!("{layer}-units"), kind, 8.0);
                let named = Cell { layer: Some((self.name)(layer).into()), unit: Some(unit.parse().unwrap()), ..cell };
                let cell = Arc::new(named);
                for sample in 0..self.samples {
                    let luck = draw(&[place, sample.into(), unit.len() as u64, depth.into(), share.to_bits()]);
                    block.records.push(self.record(&cell, place, model, sample, luck < share * strength));
                }
            }
        }
    }

    fn distances(&self, place: u64, model: &Model, block: &mut Block) {
        for sample in 0..self.samples {
            let (searched, label) = (0.1, sample % 10);
            let correct = draw(&[place, sample.into(), 1]) < model.1;
            let radius = self.radius(place, model, sample);
            let censored = correct && radius > searched;
            block.distances.push(DistanceRecord {
                model: (self.name)(model.0).into(),
                sample_id: self.sample(sample),
                label,
                clean_pred: if correct { label } else { (label + 3) % 10 },
                norm: Norm::Linf,
                method: "path".into(),
                distance: if censored {
                    f64::INFINITY
                } else if correct {
                    radius
                } else {
                    0.0
                },
                bracket: 1e-5,
                searched,
                censored,
                linearized: radius * 0.8,
                adv_pred: (label + 1) % 10,
                forwards: 36,
                backwards: 20,
                status: if censored { Status::Censored } else { Status::Ok },
            });
        }
    }

    fn example(&self, record: &Record) -> Example {
        let salt = u64::from(record.label);
        let noise = |x: u32, y: u32, c: u32| draw(&[salt, x.into(), y.into(), c.into()]) - 0.5;
        Example {
            cell: (*record.cell).clone(),
            sample_id: record.sample_id.clone(),
            label: record.label,
            clean_pred: record.clean_pred,
            adv_pred: record.adv_pred,
            confidence_clean: record.confidence_clean,
            confidence_adv: record.confidence_adv,
            linf: record.linf,
            l2: record.l2,
            length: None,
            clean: scene(salt),
            perturbation: png(&|x, y, c| 0.5 + noise(x, y, c)),
            gain: 16.0,
            adversarial: png(&|x, y, c| disc(salt, x, y, c) + noise(x, y, c) * 8.0 / 255.0),
        }
    }

    fn manifest(&self, folder: &Path) -> Manifest {
        let mut suite = Suite::parse("suite.toml", SUITE).map_err(|errors| format!("{errors:#}")).unwrap();
        suite.attacks.iter_mut().for_each(|attack| attack.name = (self.name)(&attack.name));
        suite.transfer = self.transfer.then(|| TransferConfig { attacks: Vec::new() });
        let models = self.models.iter().map(|(name, _, _)| ModelEntry {
            name: (self.name)(name),
            arch: "cifar/resnet20".to_owned(),
            weights: format!("../models/{name}.safetensors"),
            weights_hash: blake3::hash(&[name.as_bytes(), &self.salt.to_le_bytes()].concat()).to_hex().to_string(),
            parameters: 272_474,
            search: "f32, channels-last".to_owned(),
            trial: None,
        });
        let name = folder.file_name().unwrap().to_string_lossy();
        let blocks = self.models.len() as u64;
        Manifest {
            format: MANIFEST_FORMAT,
            run: (self.name)(&format!("{name}-0123456789ab")),
            status: if self.complete { RunStatus::Complete } else { RunStatus::Incomplete },
            suite_name: (self.name)("cifar10"),
            suite_source: (self.name)("schema = 1\nname = \"cifar10\"\nseed = 17\n"),
            suite,
            dataset: (self.name)("cifar10"),
            classes: CLASSES.map(|class| (self.name)(class)).to_vec(),
            samples: self.samples.into(),
            skipped: Vec::new(),
            data_hash: "d".repeat(64),
            models: models.collect(),
            seed: 17,
            device: (self.name)("CPU, 2 threads"),
            repeats: true,
            versions: BTreeMap::from(
                [("am-eval", "0.1.0"), ("engine", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())),
            ),
            command: ["am-eval", "run", "suites/cifar10.toml"].map(|word| (self.name)(word)).to_vec(),
            blocks_total: if self.complete { blocks } else { blocks + 4 },
            blocks_done: blocks,
            seconds: 192.4,
            origin: None,
            unconfirmed_hits: 0,
            evidence: Vec::new(),
            outputs: BTreeMap::new(),
            blocks: BTreeMap::new(),
        }
    }
}
