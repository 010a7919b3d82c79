//! Image files in one folder per class, as torchvision's `ImageFolder` reads them.

use std::collections::BTreeSet;
use std::path::Path;

use super::class_names::{ClassList, is_synset};
use super::image_files::ImageFiles;
use super::labels::number;
use super::listing::{class_folders, image_files, is_image, labelled_files};
use super::{DataError, Numbering};

/// Folders that systems and tools leave behind, and that are no classes.
const LITTER: [&str; 14] = [
    "__MACOSX",
    "__pycache__",
    ".ipynb_checkpoints",
    ".git",
    ".svn",
    ".cache",
    ".thumbnails",
    ".Trashes",
    ".Spotlight-V100",
    ".fseventsd",
    "@eaDir",
    "lost+found",
    "$RECYCLE.BIN",
    "System Volume Information",
];

/// Names of splits, which lie above the classes.
const SPLITS: [&str; 8] = ["train", "training", "val", "valid", "validation", "test", "testing", "eval"];

/// Lists the images below `root`. Classes are the folders in alphabetical order, whose names they have; a class's files may
/// lie deeper, and come in natural order (`9.png` before `10.png`). Ids are paths relative to the root.
///
/// Where the folders are named by synsets of ImageNet, the classes have ImageNet's names. With `names` that hold every
/// folder (as synset or name, or as a class index), a folder's class is its place among them, so that some of the classes can be
/// there only; with as many names as folders, none of which is a folder, they name the folders in their order.
///
/// # Errors
/// If the root is missing, has no class folders, a class folder has no images and no names, or the names are of other classes.
pub(super) fn open(root: &Path, names: Option<&ClassList>) -> Result<ImageFiles, DataError> {
    if !root.is_dir() {
        return Err(DataError::content(root, "is not a folder; it should hold one folder of images per class"));
    }
    let mut warnings = Vec::new();
    let folders = folders(root, &mut warnings)?;
    if folders.is_empty() {
        return Err(DataError::content(root, "has no folders; it should hold one folder of images per class"));
    }
    warnings.extend(too_high(root, &folders)?);
    let mut files = labelled_files(root, root, &folders, names.is_some()).map_err(unless_named)?;
    let mut numbering = Numbering::Fixed;
    let classes = match names {
        None => {
            warnings.extend(out_of_order(&folders));
            numbering = Numbering::Places("folders");
            own_names(folders)?
        }
        Some(list) => {
            let there: BTreeSet<u32> = files.iter().map(|file| file.label).collect();
            if let Some(indices) = places(root, &folders, &there, list)? {
                files.iter_mut().for_each(|file| file.label = indices[file.label as usize]);
            }
            list.names.clone()
        }
    };
    Ok(ImageFiles { name: "image-folder", root: root.to_path_buf(), classes, files, numbering, warnings })
}

/// The error of an empty folder, with the way to let it be.
fn unless_named(error: DataError) -> DataError {
    match error {
        DataError::Content { path, problem } if problem.starts_with("has no images") => {
            let way = "remove the folder, or name all classes in `class_names` in [data], so that it can stay empty";
            DataError::Content { path, problem: format!("{problem}; {way}") }
        }
        other => other,
    }
}

/// The class folders. torchvision takes hidden ones for classes too, and stops if one has no images; such are left out here.
fn folders(root: &Path, warnings: &mut Vec<String>) -> Result<Vec<String>, DataError> {
    let mut folders = Vec::new();
    for name in class_folders(root, true)? {
        let litter = LITTER.contains(&name.as_str()) || name.starts_with(".Trash-");
        if !litter && !name.starts_with('.') {
            folders.push(name);
            continue;
        }
        let images = image_files(&root.join(&name), true)?.len();
        match (litter, images) {
            (_, 0) => {}
            (true, _) => {
                warnings.push(format!("{}: `{name}` is no class; its {images} images are left out", root.display()))
            }
            (false, _) => {
                warnings.push(format!(
                    "{}: the hidden folder `{name}` is taken for a class, as torchvision does",
                    root.display()
                ));
                folders.push(name);
            }
        }
    }
    Ok(folders)
}

/// That the root seems to lie above the folder of classes.
fn too_high(root: &Path, folders: &[String]) -> Result<Option<String>, DataError> {
    let split = |name: &String| SPLITS.contains(&name.to_lowercase().as_str());
    if folders.len() > 1 && !folders.iter().all(split) {
        return Ok(None);
    }
    let mut deeper = Vec::new();
    for folder in folders {
        let path = root.join(folder);
        let direct = std::fs::read_dir(&path).map_err(DataError::read(&path))?;
        if direct.flatten().any(|entry| is_image(&entry.path())) {
            return Ok(None);
        }
        deeper.extend(class_folders(&path, false)?);
    }
    let (folder, place) = (root.display(), root.join(&folders[0]));
    Ok((!deeper.is_empty()).then(|| {
        let classes = folders.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        format!(
            "{folder}: the only classes are {classes}, and {} holds folders (such as `{}`); is `root` one level too high? try {}",
            folders[0],
            deeper[0],
            place.display()
        )
    }))
}

/// That folders are named by numbers, which are not their classes.
fn out_of_order(folders: &[String]) -> Option<String> {
    let numbers: Vec<u32> = folders.iter().map(|folder| number(folder)).collect::<Option<_>>()?;
    let (place, number) = numbers.iter().enumerate().find(|(place, number)| *place as u32 != **number)?;
    Some(format!(
        "the folders are numbers, but in the alphabetical order of torchvision folder `{}` is class {place}, not {number}; where the \
         model's classes are these numbers, `class_names` in [data] (one name per line, from class 0 on) makes folder N class N",
        folders[place]
    ))
}

/// ImageNet's names if all folders are synsets of it, else the folders' own.
fn own_names(folders: Vec<String>) -> Result<Vec<String>, DataError> {
    if !folders.iter().all(|folder| is_synset(folder)) {
        return Ok(folders);
    }
    let imagenet = ClassList::imagenet()?;
    let indices: Option<Vec<u32>> = folders.iter().map(|folder| imagenet.index(folder)).collect();
    Ok(indices.map_or(folders, |indices| indices.iter().map(|at| imagenet.names[*at as usize].clone()).collect()))
}

/// The class of each folder, or none if the names are given to the folders in their order. `there`: the places of folders with
/// images; the others need no class.
fn places(
    root: &Path,
    folders: &[String],
    there: &BTreeSet<u32>,
    list: &ClassList,
) -> Result<Option<Vec<u32>>, DataError> {
    let (path, count) = (list.path.display(), list.names.len());
    let class = |folder: &String| list.index(folder).or_else(|| number(folder));
    let twofold = |folder: &&String| matches!((list.index(folder), number(folder)), (Some(named), Some(number)) if named != number);
    if let Some(folder) = folders.iter().find(twofold) {
        let (named, number) = (list.index(folder).unwrap_or_default(), number(folder).unwrap_or_default());
        let problem = format!(
            "is class {number} by its number, but class {named} by its name in {path}; give the names words, or leave them out"
        );
        return Err(DataError::content(root.join(folder), problem));
    }
    let indices: Vec<Option<u32>> = folders.iter().map(class).collect();
    if indices.iter().all(Option::is_none) {
        if folders.len() == count {
            return Ok(None);
        }
        let problem = format!(
            "has {} class folders, but {path} has {count} names, none of which is a folder (such as `{}`)",
            folders.len(),
            folders[0]
        );
        return Err(DataError::content(root, problem));
    }
    let mut found: Vec<u32> = Vec::with_capacity(folders.len());
    for (place, (folder, index)) in folders.iter().zip(indices).enumerate() {
        let empty = !there.contains(&(place as u32));
        let Some(index) = index.filter(|index| (*index as usize) < count).or(empty.then_some(u32::MAX)) else {
            let problem = match index {
                Some(_) => {
                    format!("is beyond the {count} classes of {path}, which go from 0 on; do the folders count from 1?")
                }
                None => format!("is no class of {path}; {}", list.near(folder)),
            };
            return Err(DataError::content(root.join(folder), problem));
        };
        if let Some(twin) = found.iter().position(|other| *other == index && index != u32::MAX) {
            let problem = format!("is class {index} of {path}, as is the folder `{}`", folders[twin]);
            return Err(DataError::content(root.join(folder), problem));
        }
        found.push(index);
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::data::Dataset;
    use crate::suite::ClassNames;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            RgbImage::from_pixel(8, 6, Rgb([10, 20, 30])).save(path).unwrap();
        }
        root
    }

    fn animals() -> tempfile::TempDir {
        folder(&["dog/b/2.png", "dog/10.png", "dog/9.png", "cat/1.bmp"])
    }

    fn message(error: DataError, root: &Path) -> String {
        error.to_string().replace(&root.display().to_string(), "ROOT")
    }

    fn named(root: &Path, text: &str) -> Result<ImageFiles, String> {
        let path = root.join("names.txt");
        std::fs::write(&path, text).unwrap();
        let list = ClassList::open(&ClassNames::File(path)).unwrap();
        open(root, Some(&list)).map_err(|error| message(error, root))
    }

    #[test]
    fn classes_are_alphabetical_and_files_in_natural_order() {
        let root = animals();
        let data = open(root.path(), None).unwrap();
        let all: Vec<(String, u32)> = (0..data.len()).map(|i| (data.id(i).to_string(), data.label(i))).collect();
        let expected = [("cat/1.bmp", 0), ("dog/9.png", 1), ("dog/10.png", 1), ("dog/b/2.png", 1)];
        assert_eq!(all, expected.map(|(id, label)| (id.to_string(), label)));
        assert_eq!(data.classes(), ["cat", "dog"]);
        let image = data.image(0).unwrap();
        assert_eq!((image.channels, image.height, image.width, image.pixels[48]), (3, 6, 8, 20));
        assert_eq!(data.size(0), Some((8, 6)));
    }

    #[test]
    fn hidden_folders_are_classes_only_with_images() {
        let root = folder(&["b/1.png", ".a/1.png"]);
        std::fs::create_dir(root.path().join(".empty")).unwrap();
        assert_eq!(open(root.path(), None).unwrap().classes(), [".a", "b"]);
    }

    #[test]
    fn synsets_of_imagenet_have_its_names() {
        let root = folder(&["n01443537/1.png", "n01440764/1.png"]);
        let data = open(root.path(), None).unwrap();
        assert_eq!((data.classes(), data.label(1)), (&["tench".to_owned(), "goldfish".to_owned()][..], 1));
        let list = ClassList::imagenet().unwrap();
        let root = folder(&["n15075141/1.png", "n01443537/1.png"]);
        let data = open(root.path(), Some(&list)).unwrap();
        assert_eq!((data.classes().len(), data.label(0), data.label(1)), (1000, 1, 999));
    }

    #[test]
    fn names_give_places_or_rename() {
        let root = animals();
        let labels = |data: &ImageFiles| [data.label(0), data.label(3)];
        let placed = named(root.path(), "ant\ndog\ncat\n").unwrap();
        assert_eq!((placed.classes(), labels(&placed)), (&["ant", "dog", "cat"].map(String::from)[..], [2, 1]));
        let renamed = named(root.path(), "a cat\na dog\n").unwrap();
        assert_eq!((renamed.classes(), labels(&renamed)), (&["a cat", "a dog"].map(String::from)[..], [0, 1]));
        insta::assert_snapshot!(named(root.path(), "a\nb\nc").unwrap_err(), @"ROOT: has 2 class folders, but ROOT/names.txt has 3 names, none of which is a folder (such as `cat`)");
        insta::assert_snapshot!(named(root.path(), "cat\ndogs").unwrap_err(), @"ROOT/dog: is no class of ROOT/names.txt; did you mean `dogs`?");
        insta::assert_snapshot!(named(root.path(), "{\"0\": [\"cat\", \"dog\"]}").unwrap_err(), @"ROOT/dog: is class 0 of ROOT/names.txt, as is the folder `cat`");
    }

    #[test]
    fn folders_that_are_numbers_are_classes_by_number_where_names_are_given() {
        let names: Vec<String> = (0..12).map(|class| format!("{class}/a.png")).collect();
        let root = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let plain = open(root.path(), None).unwrap();
        assert!(plain.warnings[0].contains("folder `10` is class 2, not 10"), "{:?}", plain.warnings);
        let words: String = (0..12).map(|class| format!("name {class}\n")).collect();
        let data = named(root.path(), &words).unwrap();
        let right = (0..12).all(|at| data.id(at).as_str() == format!("{}/a.png", data.label(at)));
        assert!(right && data.len() == 12);
        let few = named(root.path(), "a\nb\nc\n").unwrap_err();
        assert!(few.contains("is beyond the 3 classes"), "{few}");
        assert!(open(folder(&["0/a.png", "1/a.png"]).path(), None).unwrap().warnings.is_empty());
        let padded = named(folder(&["007/a.png"]).path(), &words).unwrap();
        assert_eq!(padded.label(0), 7);
    }

    #[test]
    fn empty_folders_are_passed_over_where_names_tell_the_classes() {
        let root = animals();
        for name in ["zebra", "__MACOSX/._dog", ".ipynb_checkpoints"] {
            std::fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let data = named(root.path(), "ape\ncat\ndog\nzebra\n").unwrap();
        assert_eq!((data.label(0), data.label(1), data.classes().len()), (1, 2, 4));
        assert!(open(root.path(), None).unwrap_err().to_string().contains("zebra: has no images"));
    }

    #[test]
    fn folders_that_look_wrong_are_named() {
        let warned = |names: &[&str]| open(folder(names).path(), None).unwrap().warnings.join("\n");
        assert!(warned(&["val/a/1.png", "val/b/1.png"]).contains("is `root` one level too high?"));
        assert!(warned(&["train/a/1.png", "test/a/1.png"]).contains("is `root` one level too high?"));
        assert!(warned(&["a/1.png", ".ipynb_checkpoints/1.png"]).contains("is no class; its 1 images are left out"));
        assert!(warned(&["a/1.png", ".b/1.png"]).contains("the hidden folder `.b` is taken for a class"));
        assert_eq!(warned(&["dog/b/2.png", "cat/1.png"]), "");
    }

    #[test]
    fn unusable_folders_and_files_are_named() {
        let root = animals();
        let at = |path: &Path| message(open(path, None).unwrap_err(), root.path());
        insta::assert_snapshot!(at(&root.path().join("gone")), @"ROOT/gone: is not a folder; it should hold one folder of images per class");
        insta::assert_snapshot!(at(&root.path().join("cat")), @"ROOT/cat: has no folders; it should hold one folder of images per class");
        std::fs::create_dir(root.path().join("empty")).unwrap();
        insta::assert_snapshot!(at(root.path()), @"ROOT/empty: has no images; expected files ending in jpg, jpeg, png, webp, bmp, ppm, pgm, tif, tiff; remove the folder, or name all classes in `class_names` in [data], so that it can stay empty");
        std::fs::write(root.path().join("empty/a.jpg"), b"not an image").unwrap();
        let data = open(root.path(), None).unwrap();
        insta::assert_snapshot!(message(data.image(4).unwrap_err(), root.path()), @r#"ROOT/empty/a.jpg: is not a JPEG, PNG, WebP, BMP or PNM image: it is a short text that begins with "not an image"; download the file again"#);
    }
}
