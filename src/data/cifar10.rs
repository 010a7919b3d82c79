//! CIFAR-10 (Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009): 32x32 RGB, ten classes.
//!
//! Two forms are read: the official binary batches (`cifar-10-binary.tar.gz`), and folders of image files,
//! `<root>/{train,val}/<class>/`, where `test` is as good as `val`.

use std::path::{Path, PathBuf};

use super::decode::read;
use super::image_files::ImageFiles;
use super::listing::{class_folders, labelled_files};
use super::records::Records;
use super::{DataError, Dataset, Image, Numbering};
use crate::suite::Split;
use crate::terms::SampleId;

/// Class names in the data set's own order, which is also the alphabetical one.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The data set's name.
const NAME: &str = "cifar10";
/// Side of the images, in pixels.
const SIDE: usize = 32;
/// Bytes of an image's colour planes.
const PIXELS: usize = 3 * SIDE * SIDE;
/// Bytes of a record: the label, then the planes.
const RECORD: usize = 1 + PIXELS;
/// Records in an official batch.
const BATCH: usize = 10_000;

/// One split of CIFAR-10.
#[derive(Debug)]
pub struct Cifar10(Form);

#[derive(Debug)]
enum Form {
    Batches(Records),
    Folders(ImageFiles),
}

impl Cifar10 {
    /// Opens a split below `root`: reads and checks the binary batches, or lists the files of the folder form.
    ///
    /// # Errors
    /// If neither form is there, a batch has another size or a label above 9, or a class folder is missing, unknown or
    /// empty; each names the file and what would be right.
    pub fn open(root: &Path, split: Split) -> Result<Self, DataError> {
        let classes: Vec<String> = CLASSES.map(String::from).to_vec();
        Ok(Cifar10(match find(root, split)? {
            Found::Batches(paths) => {
                let mut bytes = Vec::with_capacity(paths.len() * BATCH * RECORD);
                for path in &paths {
                    let batch = read(path)?;
                    check_batch(path, &batch, BATCH)?;
                    bytes.extend_from_slice(&batch);
                }
                let labels = bytes.iter().step_by(RECORD).map(|label| u32::from(*label)).collect();
                let path = paths.first().and_then(|path| path.parent()).unwrap_or(root).to_path_buf();
                let prefix = format!("{}/", split.as_str());
                let shape = [3, SIDE, SIDE];
                Form::Batches(Records { name: NAME, prefix, classes, labels, bytes, skip: 1, shape, path })
            }
            Found::Folders(folder) => {
                check_class_folders(&folder, &class_folders(&folder, false)?)?;
                let files = labelled_files(root, &folder, &classes, false)?;
                let (numbering, warnings) = (Numbering::Fixed, Vec::new());
                Form::Folders(ImageFiles { name: NAME, root: root.to_path_buf(), classes, files, numbering, warnings })
            }
        }))
    }

    fn data(&self) -> &dyn Dataset {
        match &self.0 {
            Form::Batches(records) => records,
            Form::Folders(files) => files,
        }
    }
}

impl Dataset for Cifar10 {
    fn name(&self) -> &str {
        NAME
    }

    fn classes(&self) -> &[String] {
        self.data().classes()
    }

    fn len(&self) -> usize {
        self.data().len()
    }

    fn id(&self, index: usize) -> SampleId {
        self.data().id(index)
    }

    fn label(&self, index: usize) -> u32 {
        self.data().label(index)
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        let image = self.data().image(index)?;
        if (image.width, image.height) == (SIDE, SIDE) {
            return Ok(image);
        }
        let (width, height) = (image.width, image.height);
        let problem = format!("is {width}x{height} pixels; CIFAR-10 images are {SIDE}x{SIDE}");
        Err(DataError::content(self.location(index), problem))
    }

    fn size(&self, _index: usize) -> Option<(u32, u32)> {
        Some((SIDE as u32, SIDE as u32))
    }

    fn location(&self, index: usize) -> PathBuf {
        self.data().location(index)
    }

    fn fingerprint(&self, index: usize) -> Result<u64, DataError> {
        self.data().fingerprint(index)
    }
}

enum Found {
    Batches(Vec<PathBuf>),
    Folders(PathBuf),
}

fn find(root: &Path, split: Split) -> Result<Found, DataError> {
    let wrong = |problem: String| DataError::Content { path: root.to_path_buf(), problem };
    if !root.is_dir() {
        return Err(wrong("is not a folder; it should hold CIFAR-10".into()));
    }
    let batches: Vec<String> = match split {
        Split::Train => (1..=5).map(|batch| format!("data_batch_{batch}.bin")).collect(),
        Split::Test => vec!["test_batch.bin".into()],
    };
    for folder in [root.to_path_buf(), root.join("cifar-10-batches-bin")] {
        let paths: Vec<PathBuf> = batches.iter().map(|name| folder.join(name)).collect();
        if paths.iter().any(|path| path.is_file()) {
            return match paths.iter().find(|path| !path.is_file()) {
                None => Ok(Found::Batches(paths)),
                Some(missing) => Err(DataError::Content {
                    path: missing.clone(),
                    problem: "is missing; a training split is data_batch_1.bin to data_batch_5.bin".into(),
                }),
            };
        }
    }
    let folders: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["test", "val"],
    };
    if let Some(folder) = folders.iter().map(|name| root.join(name)).find(|folder| folder.is_dir()) {
        return Ok(Found::Folders(folder));
    }
    let hint = if root.join("cifar-10-batches-py").is_dir() || root.join("test_batch").is_file() {
        "; the Python version that is there cannot be read, take the binary version of the data set"
    } else {
        ""
    };
    Err(wrong(format!(
        "has neither {} (the official binary batches, here or in cifar-10-batches-bin/) nor a folder {}/ of class folders{hint}",
        batches.join(", "),
        folders.join("/ or "),
    )))
}

fn check_batch(path: &Path, bytes: &[u8], records: usize) -> Result<(), DataError> {
    let wrong = |problem| Err(DataError::Content { path: path.to_path_buf(), problem });
    if bytes.len() != records * RECORD {
        return wrong(format!(
            "is {} bytes long; a whole CIFAR-10 batch has {} ({records} records of {RECORD}): fetch it again",
            bytes.len(),
            records * RECORD
        ));
    }
    match bytes.iter().step_by(RECORD).enumerate().find(|(_, label)| usize::from(**label) >= CLASSES.len()) {
        Some((record, label)) => wrong(format!("record {record} has label {label}; labels go from 0 to 9")),
        None => Ok(()),
    }
}

fn check_class_folders(folder: &Path, found: &[String]) -> Result<(), DataError> {
    let wrong = |problem| Err(DataError::Content { path: folder.to_path_buf(), problem });
    if let Some(missing) = CLASSES.iter().find(|class| !found.iter().any(|name| name == *class)) {
        return wrong(format!("has no class folder `{missing}`; the classes are {}", CLASSES.join(", ")));
    }
    match found.iter().find(|name| !CLASSES.contains(&name.as_str())) {
        Some(unknown) => {
            wrong(format!("has a folder `{unknown}`, which is no class of CIFAR-10; they are {}", CLASSES.join(", ")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(labels: &[u8]) -> Vec<u8> {
        labels.iter().flat_map(|label| std::iter::once(*label).chain((0..PIXELS).map(|at| (at % 251) as u8))).collect()
    }

    /// A folder of ten classes with one 32x32 image each.
    fn folder_form(split: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (label, class) in CLASSES.iter().enumerate() {
            let folder = root.path().join(split).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            let pixel = image::Rgb([label as u8, 100, 200]);
            image::RgbImage::from_pixel(32, 32, pixel).save(folder.join("0001.png")).unwrap();
        }
        root
    }

    fn message(result: Result<Cifar10, DataError>, root: &Path) -> String {
        result.unwrap_err().to_string().replace(&root.display().to_string(), "ROOT")
    }

    #[test]
    fn official_batches_are_read_from_the_root_or_their_own_folder() {
        let labels: Vec<u8> = (0..BATCH).map(|index| (index * 7 % 10) as u8).collect();
        let bytes = batch(&labels);
        for inner in ["", "cifar-10-batches-bin"] {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(root.path().join(inner)).unwrap();
            std::fs::write(root.path().join(inner).join("test_batch.bin"), &bytes).unwrap();
            let data = Cifar10::open(root.path(), Split::Test).unwrap();
            assert_eq!((data.len(), data.label(3)), (BATCH, 1));
            assert_eq!(data.id(1234).as_str(), "test/01234");
            assert_eq!(data.image(9_999).unwrap().pixels[250..253], [250, 0, 1]);
        }
    }

    #[test]
    fn the_folder_form_reads_val_as_the_test_split() {
        for folder in ["test", "val"] {
            let root = folder_form(folder);
            let data = Cifar10::open(root.path(), Split::Test).unwrap();
            assert_eq!((data.len(), data.label(9)), (10, 9));
            assert_eq!(data.id(3).as_str(), format!("{folder}/cat/0001.png"));
            let image = data.image(3).unwrap();
            assert_eq!((image.channels, image.height, image.width), (3, 32, 32));
            assert_eq!((image.pixels[0], image.pixels[1024], image.pixels[2048]), (3, 100, 200));
        }
    }

    #[test]
    fn broken_batches_say_what_would_be_right() {
        let path = Path::new("test_batch.bin");
        let problem = |bytes: &[u8]| check_batch(path, bytes, 2).unwrap_err().to_string();
        insta::assert_snapshot!(problem(&batch(&[1, 2])[..4000]), @"test_batch.bin: is 4000 bytes long; a whole CIFAR-10 batch has 6146 (2 records of 3073): fetch it again");
        insta::assert_snapshot!(problem(&batch(&[1, 10])), @"test_batch.bin: record 1 has label 10; labels go from 0 to 9");
    }

    #[test]
    fn missing_parts_say_what_would_be_right() {
        let root = tempfile::tempdir().unwrap();
        let gone = root.path().join("gone");
        insta::assert_snapshot!(message(Cifar10::open(&gone, Split::Test), root.path()), @"ROOT/gone: is not a folder; it should hold CIFAR-10");
        insta::assert_snapshot!(message(Cifar10::open(root.path(), Split::Test), root.path()), @"ROOT: has neither test_batch.bin (the official binary batches, here or in cifar-10-batches-bin/) nor a folder test/ or val/ of class folders");
        std::fs::write(root.path().join("data_batch_2.bin"), b"").unwrap();
        insta::assert_snapshot!(message(Cifar10::open(root.path(), Split::Train), root.path()), @"ROOT/data_batch_1.bin: is missing; a training split is data_batch_1.bin to data_batch_5.bin");
        std::fs::create_dir(root.path().join("cifar-10-batches-py")).unwrap();
        assert!(message(Cifar10::open(root.path(), Split::Test), root.path()).contains("binary version"));
    }

    #[test]
    fn wrong_class_folders_and_sizes_are_named() {
        let root = folder_form("val");
        let val = root.path().join("val");
        image::RgbImage::new(40, 32).save(val.join("dog/0002.png")).unwrap();
        let data = Cifar10::open(root.path(), Split::Test).unwrap();
        let error = data.image(6).unwrap_err().to_string().replace(&root.path().display().to_string(), "ROOT");
        insta::assert_snapshot!(error, @"ROOT/val/dog/0002.png: is 40x32 pixels; CIFAR-10 images are 32x32");

        std::fs::remove_file(val.join("bird/0001.png")).unwrap();
        insta::assert_snapshot!(message(Cifar10::open(root.path(), Split::Test), root.path()), @"ROOT/val/bird: has no images; expected files ending in jpg, jpeg, png, webp, bmp, ppm, pgm, tif, tiff");
        std::fs::create_dir(val.join("boat")).unwrap();
        assert!(message(Cifar10::open(root.path(), Split::Test), root.path()).contains("folder `boat`"));
        std::fs::remove_dir(val.join("bird")).unwrap();
        assert!(message(Cifar10::open(root.path(), Split::Test), root.path()).contains("no class folder `bird`"));
    }

    proptest! {
        #[test]
        fn any_bytes_as_a_batch_are_checked_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..8000)) {
            let right = bytes.len() == 2 * RECORD && bytes[0] < 10 && bytes[RECORD] < 10;
            prop_assert_eq!(check_batch(Path::new("batch"), &bytes, 2).is_ok(), right);
        }

        #[test]
        fn a_whole_batch_is_right_exactly_if_its_labels_are(labels in proptest::collection::vec(0u8..12, 3)) {
            let right = labels.iter().all(|label| *label < 10);
            prop_assert_eq!(check_batch(Path::new("batch"), &batch(&labels), 3).is_ok(), right);
        }
    }
}
