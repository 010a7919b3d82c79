//! What lies in a folder: weights, and what could be data.

use std::path::{Path, PathBuf};

/// Folders within folders that are looked into.
const DEPTH: usize = 8;
/// Entries of all folders that are looked at.
const MOST_ENTRIES: usize = 300_000;
/// Folders that never hold what is looked for.
const PASSED_OVER: [&str; 5] = ["target", "node_modules", "__pycache__", "site-packages", "venv"];
/// Endings of images that can be decoded.
const IMAGES: [&str; 8] = ["png", "jpg", "jpeg", "webp", "bmp", "ppm", "pgm", "pnm"];
/// Endings of weights and programs.
const WEIGHTS: [&str; 7] = ["safetensors", "pt", "pth", "pt2", "onnx", "bin", "ckpt"];

/// A table of `[data]` that may be right: kind, keys with their values, and what it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The kind of data.
    pub kind: &'static str,
    /// Keys whose values are paths.
    pub paths: Vec<(&'static str, PathBuf)>,
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Folders of a model: `config.json` beside `model.safetensors`.
    pub model_folders: Vec<PathBuf>,
    /// Files of weights or programs.
    pub weights: Vec<PathBuf>,
    /// Tables of data that may be right, the likelier ones first.
    pub data: Vec<Candidate>,
    /// Folders of images without any label, with their number.
    pub loose: Vec<(PathBuf, usize)>,
    /// Whether the folder has more than was looked at.
    pub cut: bool,
}

/// Looks through `root`. Hidden folders, finished runs and links to folders are passed over.
pub fn look(root: &Path) -> Found {
    let mut walk = Walk { found: Found::default(), left: MOST_ENTRIES };
    walk.folder(root, DEPTH);
    let mut found = walk.found;
    found.cut = walk.left == 0;
    // Test images before training images, near ones before those that lie deep.
    let rank = |candidate: &Candidate| {
        let path = candidate.paths.last().map(|(_, path)| path.clone()).unwrap_or_default();
        let text = path.to_string_lossy().to_lowercase();
        (text.contains("train"), path.components().count(), text)
    };
    found.data.sort_by_key(rank);
    found.weights.sort();
    found.model_folders.sort();
    found
}

struct Walk {
    found: Found,
    left: usize,
}

/// One folder's entries, sorted.
#[derive(Default)]
struct Entries {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Walk {
    fn entries(&mut self, folder: &Path) -> Entries {
        let mut entries = Entries::default();
        let Ok(listed) = std::fs::read_dir(folder) else { return entries };
        for entry in listed.flatten().take(self.left) {
            self.left -= 1;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            // Files may be links, as in the cache of a hub; folders that are links could lead in a circle.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => entries.folders.push(entry.path()),
                Ok(_) if entry.path().is_file() => entries.files.push(entry.path()),
                _ => {}
            }
        }
        entries.files.sort();
        entries.folders.sort();
        entries
    }

    /// How many images lie directly in the folder.
    fn folder(&mut self, folder: &Path, depth: usize) -> usize {
        let entries = self.entries(folder);
        let has = |name: &str| entries.files.iter().any(|file| file.file_name().is_some_and(|found| found == name));
        // A finished run holds images and tensors of its own.
        if has("manifest.json") && has("samples.csv") {
            return 0;
        }
        self.models(folder, &entries, has("config.json") && has("model.safetensors"));
        self.tables(folder, &entries);
        let images = entries.files.iter().filter(|file| ends(file, &IMAGES)).count();
        if images > 0 && self.validation_images(folder, &entries) {
            return 0;
        }
        let mut classes = 0;
        if let Some(deeper) = depth.checked_sub(1) {
            let passed =
                |path: &&PathBuf| !PASSED_OVER.iter().any(|name| path.file_name().is_some_and(|found| found == *name));
            for inner in entries.folders.iter().filter(passed) {
                classes += usize::from(self.folder(inner, deeper) > 0);
            }
        }
        if classes >= 2 {
            // The folders of images were classes.
            self.found.loose.retain(|(path, _)| path.parent() != Some(folder));
            self.add("image-folder", vec![("root", folder.to_owned())]);
        }
        if images > 0 {
            self.found.loose.push((folder.to_owned(), images));
        }
        images
    }

    fn models(&mut self, folder: &Path, entries: &Entries, described: bool) {
        if described {
            self.found.model_folders.push(folder.to_owned());
        }
        let listed_already =
            |file: &&PathBuf| described && file.file_name().is_some_and(|name| name == "model.safetensors");
        let weights = entries.files.iter().filter(|file| ends(file, &WEIGHTS) && !listed_already(file));
        let data = |file: &&PathBuf| {
            let name = file.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
            let batch = name.starts_with("data_batch") || name.starts_with("test_batch");
            batch || ["train.bin", "test.bin"].contains(&name.as_str())
        };
        self.found.weights.extend(weights.filter(|file| !data(file)).cloned());
    }

    /// Data sets that are known by the names of their files.
    fn tables(&mut self, folder: &Path, entries: &Entries) {
        let named = |name: &str| {
            entries.files.iter().find(|file| {
                file.file_name().is_some_and(|found| {
                    let found = found.to_string_lossy();
                    found == name || found.strip_suffix(".gz") == Some(name)
                })
            })
        };
        if named("test_batch.bin").is_some() || named("data_batch_1.bin").is_some() {
            self.add("cifar10", vec![("root", folder.to_owned())]);
        }
        if named("test.bin").is_some() && named("train.bin").is_some() {
            self.add("cifar100", vec![("root", folder.to_owned())]);
        }
        for images in entries.files.iter().filter(|file| file.to_string_lossy().contains("-images-idx3-ubyte")) {
            let name = images.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with("t10k-") {
                // Below `raw/` the reader finds them itself; it takes the folder as it is too.
                let fashion = folder.to_string_lossy().to_lowercase().contains("fashion");
                self.add(if fashion { "fashion-mnist" } else { "mnist" }, vec![("root", folder.to_owned())]);
            }
            let labels = folder.join(name.replace("-images-idx3-ubyte", "-labels-idx1-ubyte"));
            if labels.is_file() {
                self.add("idx", vec![("labels", labels), ("images", images.clone())]);
            }
        }
        for table in entries.files.iter().filter(|file| ends(file, &["csv"])) {
            let mut roots = vec![folder.to_owned()];
            roots.extend(entries.folders.iter().cloned());
            for root in roots {
                self.add("csv", vec![("root", root), ("file", table.clone())]);
            }
        }
        if entries.files.iter().any(|file| ends(file, &["tar"])) {
            self.add("webdataset", vec![("root", folder.to_owned())]);
        }
        // `<root>/{train,val}/<class>/` is CIFAR-10 as folders; the reader says whether it is.
        let split = |name: &str| entries.folders.iter().any(|folder| folder.ends_with(name));
        if folder.to_string_lossy().to_lowercase().contains("cifar10")
            && split("val")
            && named("test_batch.bin").is_none()
        {
            self.add("cifar10", vec![("root", folder.to_owned())]);
        }
    }

    /// ImageNet's validation images in one folder, with labels beside them or one folder up.
    fn validation_images(&mut self, folder: &Path, entries: &Entries) -> bool {
        let named =
            |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ILSVRC2012_val_"));
        if !entries.files.iter().any(named) {
            return false;
        }
        let folders = [Some(folder), folder.parent(), folder.parent().and_then(Path::parent)];
        let names = ["LOC_val_solution.csv", "ILSVRC2012_validation_ground_truth.txt", "val.txt", "synset_labels.txt"];
        let mut places = folders.into_iter().flatten().flat_map(|place| names.map(|name| place.join(name)));
        match places.find(|path| path.is_file()) {
            Some(labels) => {
                self.add("imagenet-val", vec![("labels", labels), ("root", folder.to_owned())]);
                true
            }
            None => false,
        }
    }

    fn add(&mut self, kind: &'static str, paths: Vec<(&'static str, PathBuf)>) {
        self.found.data.push(Candidate { kind, paths });
    }
}

fn ends(file: &Path, with: &[&str]) -> bool {
    file.extension().is_some_and(|ending| with.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}
