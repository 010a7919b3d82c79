//! `[data]` as it is written: one struct per kind of data set. Their documentation is that of the JSON Schema.

use schemars::{JsonSchema, json_schema};
use toml::de::DeValue;

use crate::suite::data_config::{Cifar100Labels, Interpolation, OnDataError, Split};
use crate::suite::read::kinds::{kind, tagged};
use crate::suite::read::problem::Problems;
use crate::suite::read::values::{ColourChannels, Count, Share, Text};
use crate::suite::read::words::unknown_word;
use crate::suite::read::{At, Fields, FromToml, Value, raw_table, wrong};

tagged! {
    /// The images.
    enum RawData ("`[data]`") {
        /// Procedural images.
        Synthetic(RawSynthetic) = "synthetic",
        /// CIFAR-10.
        Cifar10(RawCifar10) = "cifar10",
        /// CIFAR-100.
        Cifar100(RawCifar100) = "cifar100",
        /// MNIST.
        Mnist(RawMnist) = "mnist",
        /// Fashion-MNIST.
        FashionMnist(RawFashionMnist) = "fashion-mnist",
        /// A pair of IDX files.
        Idx(RawIdx) = "idx",
        /// A folder of class folders.
        ImageFolder(RawImageFolder) = "image-folder",
        /// ImageNet's validation images with a file of labels.
        ImagenetVal(RawImagenetVal) = "imagenet-val",
        /// A table of paths and labels.
        Csv(RawCsv) = "csv",
        /// Tar files of samples.
        Webdataset(RawWebdataset) = "webdataset",
    }
}

/// The keys that every kind of data has.
#[derive(Debug)]
pub struct RawCommon {
    /// `resize`.
    pub resize: Option<At<Count<1, 16_384>>>,
    /// `crop`.
    pub crop: Option<At<Count<1, 16_384>>>,
    /// `crop_pct`.
    pub crop_pct: Option<At<Share>>,
    /// `interpolation`.
    pub interpolation: Option<At<Interpolation>>,
    /// `channels`.
    pub channels: Option<At<ColourChannels>>,
    /// `class_names`.
    pub class_names: Option<At<Text>>,
    /// `samples`.
    pub samples: Option<At<Count<1, 100_000_000>>>,
    /// `on_error`.
    pub on_error: Option<At<OnDataError>>,
}

/// A table of `[data]`: its own keys, and those of [`RawCommon`].
macro_rules! data_table {
    ($(#[$meta:meta])* struct $name:ident ($noun:literal, $kind:ident = $word:literal) { $($keys:tt)* }) => {
        kind! {
            #[doc = concat!("`kind = \"", $word, "\"`.")]
            $kind = $word
        }
        raw_table! {
            $(#[$meta])*
            struct $name ($noun) {
                /// The kind of data.
                kind: $kind, required;
                $($keys)*
                /// Length of the shorter side after resizing, in pixels. Default: the size is left.
                resize: Count<1, 16_384>;
                /// Side of the centred square that is cut out, in pixels. Default: the size is left.
                crop: Count<1, 16_384>;
                /// The share of the resized image that the crop keeps, as timm states it: `resize` is crop / crop_pct, rounded
                /// down. Instead of `resize`.
                crop_pct: Share;
                /// The resampling filter of resizing, with antialiasing. Default bilinear.
                interpolation: Interpolation;
                /// Colour channels: 1 makes images grey, 3 repeats grey. Default those of the data: 3 of pictures.
                channels: ColourChannels;
                /// A file of class names, one per line, or JSON (a list, or as imagenet_class_index.json); or "imagenet" for the
                /// 1000 classes of ImageNet. Where labels are names or folders, the file also gives their indices.
                class_names: Text;
                /// How many samples to draw, class-balanced, by the seed. Default all.
                samples: Count<1, 100_000_000>;
                /// What to do with an image that cannot be decoded or has another size. Default fail.
                on_error: OnDataError;
            }
        }

        impl $name {
            /// Takes the keys that every kind has.
            pub fn common(&mut self) -> RawCommon {
                RawCommon {
                    resize: self.resize.take(),
                    crop: self.crop.take(),
                    crop_pct: self.crop_pct.take(),
                    interpolation: self.interpolation.take(),
                    channels: self.channels.take(),
                    class_names: self.class_names.take(),
                    samples: self.samples.take(),
                    on_error: self.on_error.take(),
                }
            }
        }
    };
}

data_table! {
    /// Procedural images, 10 classes, 32x32 RGB, made from seed and index.
    struct RawSynthetic ("`[data]` of kind `synthetic`", SyntheticKind = "synthetic") {
        /// Which half of the index space; the shipped models were trained on train. Default test.
        split: Split;
        /// Images in the split that samples are drawn from. Default 2000.
        size: Count<1, 100_000_000>;
    }
}

data_table! {
    /// CIFAR-10: the official binary batches, or folders `<root>/{train,val}/<class>/` of images.
    struct RawCifar10 ("`[data]` of kind `cifar10`", Cifar10Kind = "cifar10") {
        /// Folder that holds the batches or the class folders, relative to this file.
        root: Text, required;
        /// Which split. Default test.
        split: Split;
    }
}

data_table! {
    /// CIFAR-100: the official binary version.
    struct RawCifar100 ("`[data]` of kind `cifar100`", Cifar100Kind = "cifar100") {
        /// Folder that holds `train.bin` and `test.bin`, or `cifar-100-binary/` with them, relative to this file.
        root: Text, required;
        /// Which split. Default test.
        split: Split;
        /// The 100 fine classes or the 20 coarse ones. Default fine.
        labels: Cifar100Labels;
    }
}

data_table! {
    /// MNIST as IDX files, plain or gzipped: 28x28, grey.
    struct RawMnist ("`[data]` of kind `mnist`", MnistKind = "mnist") {
        /// Folder that holds the files, also below `raw/` or `MNIST/raw/`, relative to this file.
        root: Text, required;
        /// Which split. Default test.
        split: Split;
    }
}

data_table! {
    /// Fashion-MNIST as IDX files, plain or gzipped: 28x28, grey.
    struct RawFashionMnist ("`[data]` of kind `fashion-mnist`", FashionMnistKind = "fashion-mnist") {
        /// Folder that holds the files, also below `raw/` or `FashionMNIST/raw/`, relative to this file.
        root: Text, required;
        /// Which split. Default test.
        split: Split;
    }
}

data_table! {
    /// A pair of IDX files, plain or gzipped.
    struct RawIdx ("`[data]` of kind `idx`", IdxKind = "idx") {
        /// The file of images, u8 [N, H, W] or [N, C, H, W], relative to this file.
        images: Text, required;
        /// The file of labels, u8 [N], relative to this file.
        labels: Text, required;
    }
}

data_table! {
    /// One folder per class, in alphabetical order, as torchvision's ImageFolder.
    struct RawImageFolder ("`[data]` of kind `image-folder`", ImageFolderKind = "image-folder") {
        /// The folder of class folders, relative to this file.
        root: Text, required;
    }
}

data_table! {
    /// ImageNet's validation images in one folder, with a file of labels.
    struct RawImagenetVal ("`[data]` of kind `imagenet-val`", ImagenetValKind = "imagenet-val") {
        /// The folder of images (`ILSVRC2012_val_00000001.JPEG` and so on), relative to this file.
        root: Text, required;
        /// The labels, relative to this file: the devkit's ILSVRC2012_validation_ground_truth.txt, a file of one synset per
        /// line, or a file of image name and synset (or class index) per line, such as LOC_val_solution.csv.
        labels: Text, required;
        /// What the devkit's class ids mean: its meta.mat, or a text file of `id synset` lines; or for other classes than
        /// ImageNet's 1000 a file of their synsets. Default: meta.mat beside the labels, if they are class ids.
        synsets: Text;
    }
}

data_table! {
    /// A table of paths and labels: columns `path` and `label`, named by the first line.
    struct RawCsv ("`[data]` of kind `csv`", CsvKind = "csv") {
        /// The table, relative to this file. A label is a class index or a class name.
        file: Text, required;
        /// The folder that the paths are relative to, itself relative to this file. Default the table's folder.
        root: Text;
    }
}

data_table! {
    /// WebDataset: tar files whose members are grouped into samples by name, each with an image and a label.
    struct RawWebdataset ("`[data]` of kind `webdataset`", WebdatasetKind = "webdataset") {
        /// The folder that holds the shards, relative to this file. Default this file's folder.
        root: Text;
        /// Tar files in the folder: names, with ranges such as "val-{000..063}.tar". Default every tar file in it.
        shards: RawShards;
        /// The field of a sample's JSON member that holds its label, where it has no `cls` member. Default label.
        label_field: Text;
    }
}

/// Names of shards: one, or a list.
#[derive(Debug)]
pub struct RawShards(pub Vec<String>);

impl FromToml for RawShards {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::Array(array) if !array.is_empty() => {
                let names = Vec::<At<Text>>::from_toml(key, value, problems)?;
                Some(RawShards(names.into_iter().map(|name| name.value.0).collect()))
            }
            DeValue::String(_) => Text::from_toml(key, value, problems).map(|name| RawShards(vec![name.0])),
            _ => {
                wrong(key, value, "a name such as \"val-{000..063}.tar\", or a list of names", problems);
                None
            }
        }
    }
}

impl JsonSchema for RawShards {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Shards".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "minLength": 1, "examples": ["val-{000..063}.tar"] },
                { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 }
            ]
        })
    }
}
