//! Pictures of units: one record each, kept in blocks of a layer's units, and `visualize.csv`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::version::file_versions;
use super::{AtomicFile, Status, StoreError, float_text, write_atomically};
use crate::terms::{LayerName, SampleId};

file_versions! {
    /// Version of the form of blocks of pictures.
    PicturesFormat = 1;
}

/// The form in which they are written.
pub const PICTURES_FORMAT: PicturesFormat = PicturesFormat::CURRENT;

/// A picture of a unit, and what is measured of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PictureRecord {
    /// The visualization's name.
    pub visualization: String,
    /// The model.
    pub model: String,
    /// The layer.
    pub layer: LayerName,
    /// Share of the forward pass up to and with the layer.
    pub depth: f64,
    /// The unit, as suites write it.
    pub unit: String,
    /// Whether the layer gives the logits, so that its units are classes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_classes: bool,
    /// Which of the unit's pictures, from 0.
    pub seed: usize,
    /// The settings.
    pub preset: String,
    /// Where it began.
    pub start: String,
    /// Steps of the optimizer.
    pub steps: usize,
    /// The unit's activation on the picture itself, not moved, at the size that the network takes.
    pub objective: f64,
    /// Share of the real samples whose activation is not above the picture's, in [0, 1].
    pub percentile: Option<f64>,
    /// The activation less the samples' mean, in their standard deviations.
    pub gain: Option<f64>,
    /// Number of real samples that it is compared with.
    pub compared: usize,
    /// What the model sees in it.
    #[serde(rename = "seen")]
    pub answer: Seen,
    /// What the suite's other models see in it.
    pub others: Vec<Seen>,
    /// Standard deviation of the objective over the unit's pictures, as a share of its mean's size.
    pub seed_sensitivity: Option<f64>,
    /// Total variation over the number of values.
    pub variation: f64,
    /// Seconds for this picture: those of its batch, shared evenly.
    pub seconds: f64,
    /// How it went.
    pub status: Status,
    /// The PNG file, relative to the folder of the pictures.
    pub file: String,
    /// The objective of the views, at evenly spaced steps.
    pub history: Vec<f32>,
    /// The real samples that drive the unit most; for a unit's first picture only.
    pub samples: Vec<TopSample>,
}

impl PictureRecord {
    /// Its files, relative to the folder of the pictures.
    pub fn files(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.file).chain(self.samples.iter().map(|sample| &sample.file))
    }
}

/// The class that a model gives to a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The model.
    pub model: String,
    /// The class.
    pub class: u32,
    /// Its probability.
    pub confidence: f32,
}

/// A real sample that drives a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopSample {
    /// The sample.
    pub id: SampleId,
    /// Its label, if it has one.
    pub label: Option<u32>,
    /// The unit's activation.
    pub activation: f32,
    /// The PNG file, relative to the folder of the pictures.
    pub file: String,
    /// Left, top, width and height of the part of the image that the strongest position of the unit sees, in pixels; none if it sees all.
    pub patch: Option<[u32; 4]>,
}

/// The pictures of a block, finished together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PictureBlock {
    /// [`PICTURES_FORMAT`].
    pub format: PicturesFormat,
    /// Hash of everything that determines the pictures.
    pub identity: String,
    /// The pictures, by unit, then seed.
    pub pictures: Vec<PictureRecord>,
}

/// The folder of a run's pictures.
#[derive(Debug, Clone)]
pub struct PictureDir {
    path: PathBuf,
}

impl PictureDir {
    /// The folder `visualize` of a run's directory.
    pub fn of_run(run: &Path) -> Self {
        PictureDir { path: run.join("visualize") }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn block_path(&self, key: &str) -> PathBuf {
        self.path.join("blocks").join(format!("{key}.json"))
    }

    /// Writes a PNG file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_png(&self, file: &str, png: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        }
        write_atomically(&path, png).map(drop)
    }

    /// Writes a block whose PNG files are there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_block(&self, key: &str, block: &PictureBlock) -> Result<(), StoreError> {
        let path = self.block_path(key);
        let folder = self.path.join("blocks");
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        let text = serde_json::to_vec_pretty(block)
            .map_err(|error| StoreError::Content { path: path.clone(), problem: error.to_string() })?;
        write_atomically(&path, &text).map(drop)
    }

    /// A finished block with all its PNG files, if it is there and was made under the same conditions.
    pub fn block(&self, key: &str, identity: &str) -> Option<PictureBlock> {
        let block: PictureBlock = serde_json::from_slice(&crate::files::read_whole(self.block_path(key)).ok()?).ok()?;
        let files = || block.pictures.iter().flat_map(PictureRecord::files);
        let usable = block.format == PICTURES_FORMAT && block.identity == identity;
        (usable && files().all(|file| self.path.join(file).is_file())).then_some(block)
    }

    /// All pictures of finished blocks, in the order of the blocks' names.
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn read(&self) -> Result<Vec<PictureRecord>, StoreError> {
        let folder = self.path.join("blocks");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read", &folder)(error)),
        };
        let json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(json).collect();
        paths.sort();
        let mut pictures = Vec::new();
        for path in paths {
            let bytes = crate::files::read_whole(&path).map_err(StoreError::io("read", &path))?;
            let block: PictureBlock = serde_json::from_slice(&bytes).map_err(|error| StoreError::Content {
                path: path.clone(),
                problem: format!("is no block of pictures ({error}); remove it, and run the suite again"),
            })?;
            pictures.extend(block.pictures);
        }
        Ok(pictures)
    }

    /// Removes all pictures, for a run from scratch.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub fn remove(&self) -> Result<(), StoreError> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// A text as part of a file's name.
pub fn file_word(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

/// The columns of `visualize.csv`.
pub const VISUALIZE_COLUMNS: [&str; 22] = [
    "visualization",
    "model",
    "layer",
    "depth",
    "unit",
    "seed",
    "preset",
    "start",
    "steps",
    "objective",
    "percentile",
    "gain_z",
    "compared",
    "class",
    "confidence",
    "other_models",
    "other_agree",
    "seed_sensitivity",
    "tv",
    "seconds",
    "status",
    "file",
];

/// Writes `visualize.csv`: whole, or not at all. Returns its blake3 hash.
///
/// # Errors
/// If it cannot be written.
pub fn write_visualize(path: &Path, pictures: &[PictureRecord]) -> Result<String, StoreError> {
    let mut writer = csv::WriterBuilder::new().from_writer(AtomicFile::create(path)?);
    let head = VISUALIZE_COLUMNS.map(String::from).to_vec();
    for row in std::iter::once(head).chain(pictures.iter().map(row)) {
        writer.write_record(&row).map_err(|error| StoreError::io("write", path)(error.into()))?;
    }
    writer.into_inner().map_err(|error| StoreError::io("write", path)(error.into_error()))?.finish()
}

fn row(picture: &PictureRecord) -> Vec<String> {
    let number = |value: f64| float_text(value);
    let maybe = |value: Option<f64>| value.map(number).unwrap_or_default();
    let other =
        |answer: &Seen| format!("{}:{}:{}", answer.model, answer.class, float_text(f64::from(answer.confidence)));
    let others: Vec<String> = picture.others.iter().map(other).collect();
    let agree = picture.others.iter().filter(|answer| answer.class == picture.answer.class).count();
    let agree = (!picture.others.is_empty()).then(|| agree as f64 / picture.others.len() as f64);
    vec![
        picture.visualization.clone(),
        picture.model.clone(),
        picture.layer.to_string(),
        number(picture.depth),
        picture.unit.clone(),
        picture.seed.to_string(),
        picture.preset.clone(),
        picture.start.clone(),
        picture.steps.to_string(),
        number(picture.objective),
        maybe(picture.percentile),
        maybe(picture.gain),
        picture.compared.to_string(),
        picture.answer.class.to_string(),
        float_text(f64::from(picture.answer.confidence)),
        others.join(" "),
        maybe(agree),
        maybe(picture.seed_sensitivity),
        number(picture.variation),
        number(picture.seconds),
        picture.status.as_str().to_owned(),
        picture.file.clone(),
    ]
}
