//! What a run's images are called: by what they are, not by how they are read.

use std::path::Path;

use crate::record::Manifest;
use crate::wording::data_kind;

/// The data of a run in a few words: `CIFAR-10`, `imagenet20.csv`, `the folder val`.
pub fn data_name(manifest: &Manifest) -> String {
    let kind = data_kind(&manifest.dataset);
    if !matches!(manifest.dataset.as_str(), "csv" | "image-folder" | "webdataset" | "idx") && kind != manifest.dataset {
        return kind.to_owned();
    }
    let suite: toml::Table = toml::from_str(&manifest.suite_source).unwrap_or_default();
    let last = |path: &str| {
        let path = Path::new(path.trim_end_matches(['/', '\\']));
        path.file_name().map(|name| name.to_string_lossy().into_owned())
    };
    let value = |key: &str| suite.get("data")?.get(key)?.as_str().and_then(last);
    let found = match manifest.dataset.as_str() {
        "csv" => value("file"),
        "idx" => value("images"),
        _ => moved(&manifest.command)
            .and_then(|path| last(&path))
            .or_else(|| value("root"))
            .map(|name| format!("the folder {name}")),
    };
    found.unwrap_or_else(|| kind.to_owned())
}

/// The folder that the command line gave instead of the suite's.
fn moved(command: &[String]) -> Option<String> {
    let mut words = command.iter();
    words
        .find_map(|word| match word.strip_prefix("--data-root") {
            Some("") => None,
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        })
        .or_else(|| command.iter().skip_while(|word| *word != "--data-root").nth(1).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::manifest;

    fn named(dataset: &str, table: &str, command: &[&str]) -> String {
        let mut manifest = manifest("s", &["m"]);
        manifest.dataset = dataset.to_owned();
        manifest.suite_source = format!("schema = 1\n[data]\n{table}");
        manifest.command = command.iter().map(|word| (*word).to_owned()).collect();
        data_name(&manifest)
    }

    #[test]
    fn data_is_called_by_what_it_is() {
        assert_eq!(named("csv", "file = \"lists/imagenet20.csv\"", &[]), "imagenet20.csv");
        assert_eq!(named("image-folder", "root = \"../data/val/\"", &[]), "the folder val");
        assert_eq!(named("image-folder", "root = \"val\"", &["run", "--data-root", "/x/photos"]), "the folder photos");
        assert_eq!(named("image-folder", "root = \"val\"", &["run", "--data-root=/x/photos"]), "the folder photos");
        assert_eq!(named("cifar10", "", &[]), "CIFAR-10");
        assert_eq!(named("idx", "images = \"a/x-idx3-ubyte\"", &[]), "x-idx3-ubyte");
        assert_eq!(named("odd", "not TOML [", &[]), "odd");
    }
}
