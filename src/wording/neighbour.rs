//! What lies beside a file or folder that is not there, under a name like its own.

use std::path::Path;

use super::nearest;

/// The name nearest to that of `path` among those in the same folder that `fits`, if one is near.
pub fn neighbour(path: &Path, fits: impl Fn(&Path) -> bool) -> Option<String> {
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries =
        std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| fits(path));
    let mut names: Vec<String> =
        entries.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    names.sort();
    nearest(&wanted, names.iter().map(String::as_str)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_same_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["quickstart.toml", "quickstart.json", "imagenet.toml"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let toml = |path: &Path| path.extension().is_some_and(|end| end == "toml");
        let near = |name: &str| neighbour(&folder.path().join(name), toml);
        assert_eq!(near("quickstrat.toml").as_deref(), Some("quickstart.toml"));
        assert_eq!(near("something-else.toml"), None);
        assert_eq!(neighbour(&folder.path().join("none/quickstart.toml"), toml), None);
    }
}
