//! CIFAR-100 (Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009): 32x32 RGB, 100 classes in 20
//! superclasses, as the official binary version holds it (`cifar-100-binary.tar.gz`).

use std::path::{Path, PathBuf};

use super::DataError;
use super::decode::read;
use super::records::Records;
use crate::suite::{Cifar100Labels, Split};

/// The 100 classes in the data set's own order, which is also the alphabetical one.
pub const FINE: [&str; 100] = [
    "apple",
    "aquarium fish",
    "baby",
    "bear",
    "beaver",
    "bed",
    "bee",
    "beetle",
    "bicycle",
    "bottle",
    "bowl",
    "boy",
    "bridge",
    "bus",
    "butterfly",
    "camel",
    "can",
    "castle",
    "caterpillar",
    "cattle",
    "chair",
    "chimpanzee",
    "clock",
    "cloud",
    "cockroach",
    "couch",
    "crab",
    "crocodile",
    "cup",
    "dinosaur",
    "dolphin",
    "elephant",
    "flatfish",
    "forest",
    "fox",
    "girl",
    "hamster",
    "house",
    "kangaroo",
    "keyboard",
    "lamp",
    "lawn mower",
    "leopard",
    "lion",
    "lizard",
    "lobster",
    "man",
    "maple tree",
    "motorcycle",
    "mountain",
    "mouse",
    "mushroom",
    "oak tree",
    "orange",
    "orchid",
    "otter",
    "palm tree",
    "pear",
    "pickup truck",
    "pine tree",
    "plain",
    "plate",
    "poppy",
    "porcupine",
    "possum",
    "rabbit",
    "raccoon",
    "ray",
    "road",
    "rocket",
    "rose",
    "sea",
    "seal",
    "shark",
    "shrew",
    "skunk",
    "skyscraper",
    "snail",
    "snake",
    "spider",
    "squirrel",
    "streetcar",
    "sunflower",
    "sweet pepper",
    "table",
    "tank",
    "telephone",
    "television",
    "tiger",
    "tractor",
    "train",
    "trout",
    "tulip",
    "turtle",
    "wardrobe",
    "whale",
    "willow tree",
    "wolf",
    "woman",
    "worm",
];

/// The 20 superclasses in the data set's own order, which is also the alphabetical one.
pub const COARSE: [&str; 20] = [
    "aquatic mammals",
    "fish",
    "flowers",
    "food containers",
    "fruit and vegetables",
    "household electrical devices",
    "household furniture",
    "insects",
    "large carnivores",
    "large man-made outdoor things",
    "large natural outdoor scenes",
    "large omnivores and herbivores",
    "medium-sized mammals",
    "non-insect invertebrates",
    "people",
    "reptiles",
    "small mammals",
    "trees",
    "vehicles 1",
    "vehicles 2",
];

/// Side of the images, in pixels.
const SIDE: usize = 32;
/// Bytes of a record: the superclass, the class, and the colour planes.
const RECORD: usize = 2 + 3 * SIDE * SIDE;

/// Reads and checks `train.bin` or `test.bin`, in `root` or in its folder `cifar-100-binary`.
///
/// # Errors
/// If the file is missing, has another length, or a label that is none; each says what would be right.
pub(super) fn open(root: &Path, split: Split, labels: Cifar100Labels) -> Result<Records, DataError> {
    let (name, count) = match split {
        Split::Train => ("train.bin", 50_000),
        Split::Test => ("test.bin", 10_000),
    };
    let path = find(root, name)?;
    records(path.clone(), read(&path)?, count, split, labels)
}

fn find(root: &Path, name: &str) -> Result<PathBuf, DataError> {
    if !root.is_dir() {
        return Err(DataError::content(root, "is not a folder; it should hold CIFAR-100"));
    }
    let places = [root.join(name), root.join("cifar-100-binary").join(name)];
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let python = root.join("cifar-100-python").is_dir() || root.join("meta").is_file();
        let hint = match python {
            true => "; the Python version that is there cannot be read, take the binary version of the data set",
            false => "",
        };
        DataError::content(
            root,
            format!("has no {name} of CIFAR-100's binary version, here or in cifar-100-binary/{hint}"),
        )
    })
}

fn records(
    path: PathBuf,
    bytes: Vec<u8>,
    count: usize,
    split: Split,
    labels: Cifar100Labels,
) -> Result<Records, DataError> {
    if bytes.len() != count * RECORD {
        let (found, right) = (bytes.len(), count * RECORD);
        let problem =
            format!("is {found} bytes long; the whole file has {right} ({count} records of {RECORD}): fetch it again");
        return Err(DataError::content(path, problem));
    }
    for (record, label) in bytes.chunks_exact(RECORD).enumerate() {
        if usize::from(label[0]) >= COARSE.len() || usize::from(label[1]) >= FINE.len() {
            let (coarse, fine) = (label[0], label[1]);
            let problem =
                format!("record {record} has the labels {coarse} and {fine}; they go from 0 to 19 and from 0 to 99");
            return Err(DataError::content(path, problem));
        }
    }
    let (at, classes) = match labels {
        Cifar100Labels::Fine => (1, FINE.map(String::from).to_vec()),
        Cifar100Labels::Coarse => (0, COARSE.map(String::from).to_vec()),
    };
    let labels = bytes.iter().skip(at).step_by(RECORD).map(|label| u32::from(*label)).collect();
    let prefix = format!("{}/", split.as_str());
    Ok(Records { name: "cifar100", prefix, classes, labels, bytes, skip: 2, shape: [3, SIDE, SIDE], path })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::Dataset;

    /// Records with these labels, whose planes are 10, 20 and 30 plus the record's number.
    fn bytes(labels: &[[u8; 2]]) -> Vec<u8> {
        let record = |(at, label): (usize, &[u8; 2])| {
            let planes = [10u8, 20, 30].into_iter().flat_map(move |value| [value + at as u8; SIDE * SIDE]);
            label.iter().copied().chain(planes).collect::<Vec<u8>>()
        };
        labels.iter().enumerate().flat_map(record).collect()
    }

    fn read(bytes: Vec<u8>, count: usize, labels: Cifar100Labels) -> Result<Records, String> {
        let path = PathBuf::from("test.bin");
        records(path, bytes, count, Split::Test, labels).map_err(|error| error.to_string())
    }

    #[test]
    fn fine_and_coarse_labels_are_read() {
        let two = bytes(&[[4, 0], [1, 99]]);
        let fine = read(two.clone(), 2, Cifar100Labels::Fine).unwrap();
        assert_eq!((fine.label(0), fine.label(1), fine.classes().len()), (0, 99, 100));
        assert_eq!((fine.classes()[0].as_str(), fine.classes()[99].as_str()), ("apple", "worm"));
        assert_eq!((fine.id(1).as_str(), fine.size(1)), ("test/00001", Some((32, 32))));
        let pixels = fine.image(1).unwrap().pixels;
        assert_eq!((pixels[0], pixels[1024], pixels[3071]), (11, 21, 31));
        let coarse = read(two, 2, Cifar100Labels::Coarse).unwrap();
        assert_eq!((coarse.label(0), coarse.classes()[4].as_str()), (4, "fruit and vegetables"));
        assert!(FINE.is_sorted() && COARSE.is_sorted());
    }

    #[test]
    fn wrong_files_say_what_would_be_right() {
        let error = |bytes: Vec<u8>| read(bytes, 1, Cifar100Labels::Fine).unwrap_err();
        insta::assert_snapshot!(error(bytes(&[[1, 1]])[1..].to_vec()), @"test.bin: is 3073 bytes long; the whole file has 3074 (1 records of 3074): fetch it again");
        insta::assert_snapshot!(error(bytes(&[[20, 3]])), @"test.bin: record 0 has the labels 20 and 3; they go from 0 to 19 and from 0 to 99");
        let root = tempfile::tempdir().unwrap();
        let open = || open(root.path(), Split::Test, Cifar100Labels::Fine).unwrap_err().to_string();
        assert!(open().ends_with("has no test.bin of CIFAR-100's binary version, here or in cifar-100-binary/"));
        std::fs::create_dir(root.path().join("cifar-100-python")).unwrap();
        assert!(open().ends_with("take the binary version of the data set"));
    }

    proptest! {
        #[test]
        fn a_file_is_read_exactly_if_its_length_and_labels_are_right(
            labels in proptest::collection::vec((0u8..22, 0u8..105), 2), extra in 0usize..2,
        ) {
            let mut all = bytes(&labels.iter().map(|(coarse, fine)| [*coarse, *fine]).collect::<Vec<_>>());
            all.extend(vec![0; extra]);
            let right = extra == 0 && labels.iter().all(|(coarse, fine)| *coarse < 20 && *fine < 100);
            prop_assert_eq!(read(all, 2, Cifar100Labels::Fine).is_ok(), right);
        }
    }
}
