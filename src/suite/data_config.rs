//! `[data]`, validated: where images come from and how they are brought to the models' size.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::terms::words;

/// `[data]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// Where the images come from.
    pub source: DataSource,
    /// How images are brought to one size.
    #[serde(default, skip_serializing_if = "Preprocess::is_default")]
    pub preprocess: Preprocess,
    /// Names of the classes other than the data set's own. They reach a run's identity through the data's hash.
    #[serde(skip)]
    pub class_names: Option<ClassNames>,
    /// How many samples to draw, class-balanced, by the suite's seed; none takes all.
    pub samples: Option<usize>,
    /// What to do with an image that cannot be decoded or has another size.
    pub on_error: OnDataError,
}

impl DataConfig {
    /// All images of a source, as they are.
    pub fn plain(source: DataSource) -> Self {
        let (preprocess, on_error) = (Preprocess::default(), OnDataError::Fail);
        DataConfig { source, preprocess, class_names: None, samples: None, on_error }
    }

    /// Rows and columns of every image, where the suite tells them.
    pub fn image_size(&self) -> Option<[i64; 2]> {
        let side_of_source = match self.source {
            DataSource::Synthetic { .. } | DataSource::Cifar10 { .. } | DataSource::Cifar100 { .. } => Some(32),
            DataSource::Mnist { .. } | DataSource::FashionMnist { .. } => Some(28),
            _ => None,
        };
        let resized = side_of_source.map(|side| self.preprocess.resize.unwrap_or(side));
        self.preprocess.crop.or(resized).map(|side| [i64::from(side); 2])
    }
}

/// What to do with an undecodable or mis-sized image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, Default)]
#[serde(rename_all = "kebab-case")]
pub enum OnDataError {
    /// Stop with an error that names the file.
    #[default]
    Fail,
    /// Leave the image out and count it in the manifest.
    Skip,
}

/// A data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DataSource {
    /// Procedural images, 10 classes, 32x32 RGB, made from seed and index.
    Synthetic {
        /// Which half of the index space: the shipped models were trained on `train`.
        split: Split,
        /// Size of the split to draw from.
        size: usize,
    },
    /// CIFAR-10: the official binary batches, or folders `<root>/{train,val}/<class>/` of images.
    Cifar10 {
        /// Folder that holds the batches or the class folders.
        #[serde(skip)]
        root: PathBuf,
        /// `train` or `test` (`val` in the folder form).
        split: Split,
    },
    /// CIFAR-100: the official binary version.
    Cifar100 {
        /// Folder that holds `train.bin` and `test.bin`.
        #[serde(skip)]
        root: PathBuf,
        /// `train` or `test`.
        split: Split,
        /// Which of the two labels of an image.
        labels: Cifar100Labels,
    },
    /// MNIST, as IDX files.
    Mnist {
        /// Folder that holds the four files.
        #[serde(skip)]
        root: PathBuf,
        /// `train` or `test` (`t10k` in the files' names).
        split: Split,
    },
    /// Fashion-MNIST, as IDX files.
    FashionMnist {
        /// Folder that holds the four files.
        #[serde(skip)]
        root: PathBuf,
        /// `train` or `test` (`t10k` in the files' names).
        split: Split,
    },
    /// Any pair of IDX files.
    Idx {
        /// Images, u8 `[N, H, W]`, or `[N, C, H, W]` with 1 or 3 channels.
        #[serde(skip)]
        images: PathBuf,
        /// Labels, u8 `[N]`.
        #[serde(skip)]
        labels: PathBuf,
    },
    /// One folder per class, in alphabetical order.
    ImageFolder {
        /// The folder of class folders.
        #[serde(skip)]
        root: PathBuf,
    },
    /// ImageNet's validation images in one folder, with a file of labels.
    ImagenetVal {
        /// The folder of images.
        #[serde(skip)]
        root: PathBuf,
        /// The file of labels.
        #[serde(skip)]
        labels: PathBuf,
        /// What the devkit's class ids mean; none looks for `meta.mat` beside the labels.
        #[serde(skip)]
        synsets: Option<PathBuf>,
    },
    /// A table of paths and labels.
    Csv {
        /// The table.
        #[serde(skip)]
        file: PathBuf,
        /// The folder that the paths are relative to.
        #[serde(skip)]
        root: PathBuf,
    },
    /// WebDataset: tar files whose members are grouped into samples by name.
    Webdataset {
        /// The folder that the patterns are relative to.
        #[serde(skip)]
        root: PathBuf,
        /// Names of tar files, with ranges such as `val-{000..063}.tar`; none takes every tar file in the folder.
        #[serde(skip)]
        shards: Vec<String>,
        /// The field of a sample's JSON member that holds its label, where it has no `cls` member.
        label_field: String,
    },
}

impl DataSource {
    /// Looks for the data in `folder` instead.
    pub fn move_to(&mut self, folder: &Path) {
        let rebase = |file: &mut PathBuf| {
            if let Some(name) = file.file_name() {
                *file = folder.join(name);
            }
        };
        match self {
            DataSource::Synthetic { .. } => {}
            DataSource::Cifar10 { root, .. }
            | DataSource::Cifar100 { root, .. }
            | DataSource::Mnist { root, .. }
            | DataSource::FashionMnist { root, .. }
            | DataSource::ImageFolder { root }
            | DataSource::ImagenetVal { root, .. }
            | DataSource::Csv { root, .. } => *root = folder.to_path_buf(),
            DataSource::Idx { images, labels } => [images, labels].into_iter().for_each(rebase),
            DataSource::Webdataset { root, shards, .. } => {
                *root = folder.to_path_buf();
                // What stood before the last `/` was the way to the old folder.
                let name = |shard: &String| shard.rsplit('/').next().unwrap_or(shard).to_owned();
                *shards = shards.iter().map(name).collect();
            }
        }
    }
}

words! {
    /// A split of a data set.
    #[derive(Default)]
    pub enum Split {
        /// Images for training.
        Train = "train",
        /// Held-out images.
        #[default]
        Test = "test",
    }
}

/// Which labels of CIFAR-100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Cifar100Labels {
    /// The 100 classes.
    #[default]
    Fine,
    /// The 20 superclasses.
    Coarse,
}

/// Names of classes that a suite gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassNames {
    /// The 1000 classes of ImageNet (ILSVRC2012), in the order of their synsets.
    Imagenet,
    /// A file of names.
    File(PathBuf),
}

/// torchvision's evaluation preprocessing: resize the shorter side, then crop the centre. The default leaves images as
/// they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Preprocess {
    /// Colour channels; none leaves those of the data set: 3 of pictures, 1 or 3 of IDX files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Channels>,
    /// Length of the shorter side after resizing; none leaves the size.
    pub resize: Option<u32>,
    /// Side of the centred square; none leaves the size.
    pub crop: Option<u32>,
    /// The resampling filter.
    pub interpolation: Interpolation,
}

impl Preprocess {
    /// Whether it leaves images as they are.
    pub fn is_default(&self) -> bool {
        *self == Preprocess::default()
    }
}

/// Colour channels of an image. Grey becomes RGB by repetition, RGB becomes grey as by Pillow's `convert("L")`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// One.
    Grey,
    /// Three.
    Rgb,
}

/// The resampling filter, as Pillow defines it; all but nearest with antialiasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// Triangle filter.
    #[default]
    Bilinear,
    /// Catmull-Rom filter (a = -0.5).
    Bicubic,
    /// The pixel below the centre of the new one.
    Nearest,
}
