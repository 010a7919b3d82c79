//! IDX files: MNIST (LeCun, Cortes and Burges), Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), and any other pair of
//! images and labels. The format is described at <http://yann.lecun.com/exdb/mnist>: two zero bytes, the type of the values,
//! the number of dimensions, each dimension as a big-endian u32, then the values.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::DataError;
use super::class_names::ClassList;
use super::labels::classify;
use super::records::Records;
use crate::files::open_regular;
use crate::suite::Split;

const MNIST: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const FASHION: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// The type of unsigned bytes.
const UNSIGNED_BYTE: u8 = 0x08;
/// Most values that a file may have, a guard against files that unpack without end.
const LARGEST: u64 = 1 << 33;

/// Opens a split of MNIST.
///
/// # Errors
/// If a file is missing or is no IDX file of images or labels; each says what would be right.
pub(super) fn open_mnist(root: &Path, split: Split) -> Result<Records, DataError> {
    open_named("mnist", root, "MNIST", split, &MNIST)
}

/// Opens a split of Fashion-MNIST.
///
/// # Errors
/// As [`open_mnist`].
pub(super) fn open_fashion_mnist(root: &Path, split: Split) -> Result<Records, DataError> {
    open_named("fashion-mnist", root, "FashionMNIST", split, &FASHION)
}

/// Opens a pair of files. Classes go up to the largest label and have no names, or are those of `names`.
///
/// # Errors
/// As [`open_mnist`]; if a label is beyond the names.
pub(super) fn open(images: &Path, labels: &Path, names: Option<&ClassList>) -> Result<Records, DataError> {
    let mut records = read(images, labels)?;
    let texts: Vec<String> = records.labels.iter().map(u32::to_string).collect();
    let wrong = |at: usize, problem: String| DataError::content(labels, format!("image {at}: {problem}"));
    records.classes = classify(&texts, names, wrong)?.classes;
    Ok(records)
}

fn open_named(
    name: &'static str,
    root: &Path,
    folder: &str,
    split: Split,
    classes: &[&str; 10],
) -> Result<Records, DataError> {
    let prefix = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let images = find(root, folder, &format!("{prefix}-images-idx3-ubyte"))?;
    let labels = find(root, folder, &format!("{prefix}-labels-idx1-ubyte"))?;
    let mut records = read(&images, &labels)?;
    if let Some(at) = records.labels.iter().position(|label| *label as usize >= classes.len()) {
        let problem = format!("image {at} has label {}; labels go from 0 to 9", records.labels[at]);
        return Err(DataError::content(labels, problem));
    }
    records.name = name;
    records.prefix = format!("{}/", split.as_str());
    records.classes = classes.map(String::from).to_vec();
    Ok(records)
}

/// A file in the root, or where torchvision puts it; with the dot in its name that some copies have; plain or gzipped.
fn find(root: &Path, folder: &str, name: &str) -> Result<PathBuf, DataError> {
    if !root.is_dir() {
        return Err(DataError::content(root, format!("is not a folder; it should hold {name}, plain or .gz")));
    }
    let dotted = name.replace("-idx", ".idx");
    for place in [root.to_path_buf(), root.join("raw"), root.join(folder).join("raw"), root.join(folder)] {
        for name in [name, &dotted] {
            for file in [place.join(name), place.join(format!("{name}.gz"))] {
                if file.is_file() {
                    return Ok(file);
                }
            }
        }
    }
    Err(DataError::content(root, format!("has no {name}, plain or .gz, here, in raw/ or in {folder}/raw/")))
}

fn read(images: &Path, labels: &Path) -> Result<Records, DataError> {
    let (shape, bytes) = values(images)?;
    let (count, shape) = match shape[..] {
        [count, height, width] => (count, [1, height, width]),
        [count, channels @ (1 | 3), height, width] => (count, [channels, height, width]),
        _ => {
            let problem =
                format!("has the shape {shape:?}; images are [N, rows, columns] or [N, channels, rows, columns]");
            return Err(DataError::content(images, problem));
        }
    };
    if shape.contains(&0) {
        return Err(DataError::content(images, "its images have no pixels"));
    }
    let (label_shape, label_bytes) = values(labels)?;
    if label_shape.len() != 1 {
        let problem = format!("has the shape {label_shape:?}; labels are [N]");
        return Err(DataError::content(labels, problem));
    }
    if label_bytes.len() != count {
        let (found, images) = (label_bytes.len(), images.display());
        let problem = format!("has {found} labels, but {images} has {count} images; they must be of the same split");
        return Err(DataError::content(labels, problem));
    }
    let labels = label_bytes.iter().map(|label| u32::from(*label)).collect();
    let (prefix, classes, path) = (String::new(), Vec::new(), images.to_path_buf());
    Ok(Records { name: "idx", prefix, classes, labels, bytes, skip: 0, shape, path })
}

/// Dimensions and values of a file of unsigned bytes, plain or gzipped.
fn values(path: &Path) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let mut file = open_regular(path).map_err(DataError::read(path))?;
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start).map_err(DataError::read(path))?;
    let gzipped = start == [0x1F, 0x8B];
    let content = start.as_slice().chain(file);
    if !gzipped {
        return parse(path, content);
    }
    parse(path, MultiGzDecoder::new(content))
}

fn parse(path: &Path, mut source: impl Read) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let wrong = |problem: String| DataError::content(path, problem);
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => wrong("is truncated: it ends within its header or its gzip stream".into()),
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => {
            wrong(format!("is damaged: {error}; fetch it again"))
        }
        _ => DataError::Read { path: path.to_path_buf(), source: error },
    };
    let mut magic = [0; 4];
    source.read_exact(&mut magic).map_err(unreadable)?;
    let [0, 0, kind, dimensions] = magic else {
        return Err(wrong(format!("is not an IDX file: it begins with {magic:02x?}, not with two zero bytes")));
    };
    if kind != UNSIGNED_BYTE {
        return Err(wrong(format!("holds values of type 0x{kind:02x}; only unsigned bytes (0x08) are read")));
    }
    let mut shape = Vec::with_capacity(usize::from(dimensions));
    let mut count = u64::from(dimensions > 0);
    for _ in 0..dimensions {
        let mut size = [0; 4];
        source.read_exact(&mut size).map_err(unreadable)?;
        let size = u32::from_be_bytes(size);
        shape.push(size as usize);
        count = count.saturating_mul(u64::from(size));
    }
    if count > LARGEST {
        return Err(wrong(format!("its header announces {count} bytes, more than the {LARGEST} that are read")));
    }
    let mut bytes = Vec::new();
    source.take(count + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let found = bytes.len() as u64;
    if found != count {
        let has = if found > count { "more".to_owned() } else { format!("only {found}") };
        return Err(wrong(format!("its header announces {count} bytes ({shape:?}), but it has {has}: fetch it again")));
    }
    Ok((shape, bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::data::Dataset;

    fn idx(shape: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, UNSIGNED_BYTE, shape.len() as u8];
        shape.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn write(root: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn pair(images: &[u8], labels: &[u8]) -> Result<Records, String> {
        let root = tempfile::tempdir().unwrap();
        let (images, labels) = (write(root.path(), "images", images), write(root.path(), "labels", labels));
        open(&images, &labels, None)
            .map_err(|error| error.to_string().replace(&root.path().display().to_string(), "ROOT"))
    }

    fn two() -> Vec<u8> {
        idx(&[2, 2, 3], &(0..12).collect::<Vec<u8>>())
    }

    #[test]
    fn mnist_is_found_plain_and_gzipped_where_torchvision_puts_it() {
        let labels = idx(&[2], &[7, 3]);
        for (folder, zip) in [("", false), ("raw", true), ("MNIST/raw", true), ("MNIST/raw", false)] {
            let root = tempfile::tempdir().unwrap();
            for (name, bytes) in [("t10k-images-idx3-ubyte", two()), ("t10k-labels-idx1-ubyte", labels.clone())] {
                match zip {
                    true => write(root.path(), &format!("{folder}/{name}.gz"), &gzipped(&bytes)),
                    false => write(&root.path().join(folder), name, &bytes),
                };
            }
            let data = open_mnist(root.path(), Split::Test).unwrap();
            assert_eq!((data.name(), data.len(), data.label(0), data.classes()[7].as_str()), ("mnist", 2, 7, "7"));
            let image = data.image(1).unwrap();
            assert_eq!(
                (image.channels, image.height, image.width, &image.pixels[..]),
                (1, 2, 3, &[6, 7, 8, 9, 10, 11][..])
            );
            assert_eq!(data.id(1).as_str(), "test/00001");
            let error = open_mnist(root.path(), Split::Train).unwrap_err().to_string();
            assert!(
                error.ends_with("has no train-images-idx3-ubyte, plain or .gz, here, in raw/ or in MNIST/raw/"),
                "{error}"
            );
        }
    }

    #[test]
    fn any_pair_has_as_many_classes_as_its_largest_label_says() {
        let colour = idx(&[1, 3, 1, 2], &[1, 2, 3, 4, 5, 6]);
        let data = pair(&gzipped(&colour), &idx(&[1], &[4])).unwrap();
        assert_eq!((data.image(0).unwrap().channels, data.classes().len(), data.id(0).as_str()), (3, 5, "00000"));
    }

    #[test]
    fn wrong_files_say_what_would_be_right() {
        let labels = idx(&[2], &[0, 1]);
        let error = |images: &[u8], labels: &[u8]| pair(images, labels).unwrap_err();
        insta::assert_snapshot!(error(&two()[..15], &labels), @"ROOT/images: is truncated: it ends within its header or its gzip stream");
        insta::assert_snapshot!(error(&two()[..20], &labels), @"ROOT/images: its header announces 12 bytes ([2, 2, 3]), but it has only 4: fetch it again");
        insta::assert_snapshot!(error(&[two(), vec![0]].concat(), &labels), @"ROOT/images: its header announces 12 bytes ([2, 2, 3]), but it has more: fetch it again");
        insta::assert_snapshot!(error(b"PNG.....", &labels), @"ROOT/images: is not an IDX file: it begins with [50, 4e, 47, 2e], not with two zero bytes");
        insta::assert_snapshot!(error(&[0, 0, 13, 1, 0, 0, 0, 0], &labels), @"ROOT/images: holds values of type 0x0d; only unsigned bytes (0x08) are read");
        insta::assert_snapshot!(error(&labels, &labels), @"ROOT/images: has the shape [2]; images are [N, rows, columns] or [N, channels, rows, columns]");
        insta::assert_snapshot!(error(&two(), &two()), @"ROOT/labels: has the shape [2, 2, 3]; labels are [N]");
        insta::assert_snapshot!(error(&two(), &idx(&[1], &[0])), @"ROOT/labels: has 1 labels, but ROOT/images has 2 images; they must be of the same split");
        insta::assert_snapshot!(error(&idx(&[2, 0, 3], &[]), &labels), @"ROOT/images: its images have no pixels");
        insta::assert_snapshot!(error(&idx(&[u32::MAX, u32::MAX, 3], &[]), &labels), @"ROOT/images: its header announces 18446744073709551615 bytes, more than the 8589934592 that are read");
        let zipped = gzipped(&two());
        insta::assert_snapshot!(error(&zipped[..zipped.len() / 2], &labels), @"ROOT/images: is truncated: it ends within its header or its gzip stream");
        assert!((0..zipped.len()).all(|length| pair(&zipped[..length], &labels).is_err()));
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "t10k-images-idx3-ubyte", &two());
        write(root.path(), "t10k-labels-idx1-ubyte", &idx(&[2], &[1, 10]));
        let error = open_fashion_mnist(root.path(), Split::Test).unwrap_err().to_string();
        assert!(error.ends_with("image 1 has label 10; labels go from 0 to 9"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_values_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(Path::new("idx"), bytes.as_slice());
            let _ = parse(Path::new("idx"), MultiGzDecoder::new(bytes.as_slice()));
        }

        #[test]
        fn damaged_files_never_panic(
            zip in any::<bool>(), damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = if zip { gzipped(&two()) } else { two() };
            for (place, value) in damage {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            if let Ok(data) = pair(&bytes, &idx(&[2], &[0, 1])) {
                prop_assert_eq!(data.image(1).unwrap().pixels.len(), data.shape.iter().product::<usize>());
            }
        }
    }
}
