//! Image files in one folder per class, as torchvision's `ImageFolder` reads them.

use std::path::Path;

use super::DataError;
use super::class_names::{ClassList, is_synset};
use super::image_files::ImageFiles;
use super::listing::{class_folders, image_files, labelled_files};

/// Lists the images below `root`. Classes are the folders in alphabetical order, whose names they have; a class's files may
/// lie deeper, and come in natural order (`9.png` before `10.png`). Ids are paths relative to the root.
///
/// Where the folders are named by synsets of ImageNet, the classes have ImageNet's names. With `names` that hold every
/// folder (as synset or name), a folder's class is its place among them, so that some of the classes can be there only; with
/// as many names as folders, none of which is a folder, they name the folders in their order.
///
/// # Errors
/// If the root is missing, has no class folders, a class folder has no images, or the names are of other classes.
pub(super) fn open(root: &Path, names: Option<&ClassList>) -> Result<ImageFiles, DataError> {
    if !root.is_dir() {
        return Err(DataError::content(root, "is not a folder; it should hold one folder of images per class"));
    }
    let folders = folders(root)?;
    if folders.is_empty() {
        return Err(DataError::content(root, "has no folders; it should hold one folder of images per class"));
    }
    let mut files = labelled_files(root, root, &folders)?;
    let classes = match names {
        None => own_names(folders)?,
        Some(list) => {
            if let Some(indices) = places(root, &folders, list)? {
                files.iter_mut().for_each(|file| file.label = indices[file.label as usize]);
            }
            list.names.clone()
        }
    };
    Ok(ImageFiles { name: "image-folder", root: root.to_path_buf(), classes, files })
}

/// The class folders. torchvision takes hidden ones for classes too, and stops if one has no images; such are left out here.
fn folders(root: &Path) -> Result<Vec<String>, DataError> {
    let mut folders = class_folders(root, true)?;
    let mut problem = None;
    folders.retain(|name| {
        !name.starts_with('.')
            || image_files(&root.join(name), true)
                .map(|files| !files.is_empty())
                .map_err(|error| problem = Some(error))
                .unwrap_or(true)
    });
    problem.map_or(Ok(folders), Err)
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

/// The class of each folder, or none if the names are given to the folders in their order.
fn places(root: &Path, folders: &[String], list: &ClassList) -> Result<Option<Vec<u32>>, DataError> {
    let indices: Vec<Option<u32>> = folders.iter().map(|folder| list.index(folder)).collect();
    if indices.iter().all(Option::is_none) {
        if folders.len() == list.names.len() {
            return Ok(None);
        }
        let (names, count) = (list.path.display(), list.names.len());
        let problem = format!(
            "has {} class folders, but {names} has {count} names, none of which is a folder (such as `{}`)",
            folders.len(),
            folders[0]
        );
        return Err(DataError::content(root, problem));
    }
    let mut found = Vec::with_capacity(folders.len());
    for (folder, index) in folders.iter().zip(indices) {
        let Some(index) = index else {
            let problem = format!("is no class of {}; {}", list.path.display(), list.near(folder));
            return Err(DataError::content(root.join(folder), problem));
        };
        if let Some(twin) = found.iter().position(|other| *other == index) {
            let problem = format!("is class {index} of {}, as is the folder `{}`", list.path.display(), folders[twin]);
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

    fn said(error: DataError, root: &Path) -> String {
        error.to_string().replace(&root.display().to_string(), "ROOT")
    }

    fn named(root: &Path, text: &str) -> Result<ImageFiles, String> {
        let path = root.join("names.txt");
        std::fs::write(&path, text).unwrap();
        let list = ClassList::open(&ClassNames::File(path)).unwrap();
        open(root, Some(&list)).map_err(|error| said(error, root))
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
    fn unusable_folders_and_files_are_named() {
        let root = animals();
        let at = |path: &Path| said(open(path, None).unwrap_err(), root.path());
        insta::assert_snapshot!(at(&root.path().join("gone")), @"ROOT/gone: is not a folder; it should hold one folder of images per class");
        insta::assert_snapshot!(at(&root.path().join("cat")), @"ROOT/cat: has no folders; it should hold one folder of images per class");
        std::fs::create_dir(root.path().join("empty")).unwrap();
        insta::assert_snapshot!(at(root.path()), @"ROOT/empty: has no images; expected files ending in jpg, jpeg, png, webp, bmp, ppm, pgm, tif, tiff");
        std::fs::write(root.path().join("empty/a.jpg"), b"not an image").unwrap();
        let data = open(root.path(), None).unwrap();
        insta::assert_snapshot!(said(data.image(4).unwrap_err(), root.path()), @"ROOT/empty/a.jpg: is not a JPEG, PNG, WebP, BMP or PNM image");
    }
}
