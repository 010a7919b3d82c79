//! Whether the files and folders of `[data]` exist.

use std::path::Path;

use crate::suite::config::Suite;
use crate::suite::data_config::{ClassNames, DataSource};
use crate::suite::places::Place;
use crate::suite::read::problem::Problems;

impl Suite {
    /// Whether the files and folders of `[data]` are there.
    pub fn has_data(&self) -> bool {
        let mut problems = Problems::default();
        self.check_data(&mut problems);
        problems.is_empty()
    }

    /// Reports what is missing of the data. What the files hold is not looked at.
    pub(in crate::suite) fn check_data(&self, problems: &mut Problems) {
        match &self.data.source {
            DataSource::Synthetic { .. } => {}
            DataSource::Cifar10 { root, .. } => {
                let help = "put the binary batches (data_batch_1.bin … test_batch.bin) or the folders train/ and val/ \
                            there, or name another folder with --data-root";
                self.check_folder(root, help, problems);
            }
            DataSource::Cifar100 { root, .. } => {
                let help = "put train.bin and test.bin of the binary version (cifar-100-binary.tar.gz, \
                            https://www.cs.toronto.edu/~kriz/cifar.html) there, or name another folder with --data-root";
                self.check_folder(root, help, problems);
            }
            DataSource::Mnist { root, .. } | DataSource::FashionMnist { root, .. } => {
                let help = "put the four IDX files (train-images-idx3-ubyte … t10k-labels-idx1-ubyte, plain or .gz) there; \
                            torchvision's download=True writes them to <root>/MNIST/raw or <root>/FashionMNIST/raw; or name \
                            another folder with --data-root";
                self.check_folder(root, help, problems);
            }
            DataSource::Idx { images, labels } => {
                let help = "name an IDX file, plain or .gz; paths are relative to the suite's file";
                self.check_file("images", images, help, problems);
                self.check_file("labels", labels, help, problems);
            }
            DataSource::ImageFolder { root } => {
                let help = "name a folder that holds one folder of images per class, here or with --data-root";
                self.check_folder(root, help, problems);
            }
            DataSource::ImagenetVal { root, labels, synsets } => {
                let help = "unpack ILSVRC2012_img_val.tar (https://image-net.org, an account is needed) there, or name \
                            another folder with --data-root";
                self.check_folder(root, help, problems);
                let help = "ILSVRC2012_validation_ground_truth.txt lies in data/ of the development kit \
                            (ILSVRC2012_devkit_t12.tar.gz, https://image-net.org), LOC_val_solution.csv beside Kaggle's copy \
                            of ImageNet";
                self.check_file("labels", labels, help, problems);
                if let Some(synsets) = synsets {
                    self.check_file("synsets", synsets, "meta.mat lies in data/ of the development kit", problems);
                }
            }
            DataSource::Csv { file, root } => {
                let help = "name a table with the columns path and label; paths are relative to the suite's file";
                self.check_file("file", file, help, problems);
                // Beside a table that is missing there is nothing to look for.
                if file.is_file() {
                    self.check_folder(root, "name the folder that the table's paths are relative to", problems);
                }
            }
            DataSource::Webdataset { root, .. } => {
                self.check_folder(root, "name the folder that holds the tar files, here or with --data-root", problems);
            }
        }
        if let Some(ClassNames::File(names)) = &self.data.class_names {
            let help =
                "name a file with one class name per line, or JSON as imagenet_class_index.json, or write \"imagenet\"";
            self.check_file("class_names", names, help, problems);
        }
    }

    fn check_folder(&self, root: &Path, help: &str, problems: &mut Problems) {
        // An empty path is the working directory.
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        let place = Place::Data("root");
        if root.is_file() {
            let message = format!("the data root is a file, not a folder: {}", root.display());
            self.report(problems, place, message, "not a folder", help);
        } else if !root.is_dir() {
            self.report(problems, place, format!("no data at {}", root.display()), "no such folder", help);
        }
    }

    fn check_file(&self, key: &'static str, file: &Path, help: &str, problems: &mut Problems) {
        let place = Place::Data(key);
        if file.is_dir() {
            self.report(problems, place, format!("`{key}` is a folder: {}", file.display()), "a folder", help);
        } else if !file.is_file() {
            self.report(problems, place, format!("no file {}", file.display()), "no such file", help);
        }
    }
}
