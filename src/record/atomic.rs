//! Files that are there as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::StoreError;

/// How the names of unfinished files begin.
pub(super) const PARTIAL: &str = ".partial-";

/// A file under a temporary name in its own folder; [`AtomicFile::finish`] gives it its name. Dropped without that, it
/// is removed.
pub struct AtomicFile {
    file: BufWriter<NamedTempFile>,
    hasher: blake3::Hasher,
    path: PathBuf,
}

impl AtomicFile {
    /// Begin the file `path`, whose folder must exist. A link to a file is followed; a pipe, a device or a folder of that name is
    /// left alone.
    ///
    /// # Errors
    /// If the file cannot be created, or what is there is no regular file.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let path = &target(path).map_err(StoreError::io("write", path))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(PARTIAL);
        #[cfg(unix)]
        let permissions = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
        #[cfg(unix)]
        builder.permissions(permissions);
        let file = builder.tempfile_in(folder(path)).map_err(StoreError::io("write", path))?;
        let file = BufWriter::with_capacity(1 << 16, file);
        Ok(AtomicFile { file, hasher: blake3::Hasher::new(), path: path.to_owned() })
    }

    /// Sync the content, give the file its name and sync the folder. Returns the content's blake3 hash in hexadecimal.
    pub fn finish(self) -> Result<String, StoreError> {
        let AtomicFile { file, hasher, path } = self;
        let file = file.into_inner().map_err(|error| StoreError::io("write", &path)(error.into_error()))?;
        file.as_file().sync_all().map_err(StoreError::io("write", &path))?;
        file.persist(&path).map_err(|error| StoreError::io("write", &path)(error.error))?;
        sync_folder(folder(&path))?;
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Write all of `bytes`; an error names the file.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_all(bytes).map_err(StoreError::io("write", &self.path))
    }

    /// The name that the file will have.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Write a whole file at once, as [`AtomicFile`] does.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<String, StoreError> {
    let mut file = AtomicFile::create(path)?;
    file.put(bytes)?;
    file.finish()
}

/// Where a file is written: behind links, as far as they lead to a file or to nothing yet.
fn target(path: &Path) -> io::Result<PathBuf> {
    const MOST_LINKS: usize = 40;
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(about) = fs::symlink_metadata(&place) else { return Ok(place) };
        if about.file_type().is_symlink() {
            place = folder(&place).join(fs::read_link(&place)?);
        } else if about.is_file() {
            return Ok(place);
        } else {
            let kind = if about.is_dir() { "a folder" } else { "a pipe, a socket or a device" };
            return Err(io::Error::other(format!("{} is {kind}, not a regular file", place.display())));
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// The folder that holds `path`.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A rename is durable only once its folder is.
fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("write", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let hash = write_atomically(&path, b"whole").unwrap();
        assert_eq!(hash, blake3::hash(b"whole").to_hex().as_str());
        let mut file = AtomicFile::create(&path).unwrap();
        file.put(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the partial file is gone");
    }

    #[test]
    fn an_unwritable_folder_is_an_error_with_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write_atomically(&file.join("table.csv"), b"").unwrap_err();
        assert!(error.to_string().starts_with("failed to write "), "{error}");
        assert!(error.to_string().ends_with("table.csv"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_devices_left_alone() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("deep")).unwrap();
        let (real, link) = (root.path().join("deep/real"), root.path().join("link"));
        std::os::unix::fs::symlink("deep/real", &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        write_atomically(&link, b"again").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"again");
        assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
        let pipe = root.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let circle = root.path().join("circle");
        std::os::unix::fs::symlink("circle", &circle).unwrap();
        for path in [pipe.as_path(), root.path(), Path::new("/dev/null"), &circle] {
            assert!(write_atomically(path, b"x").is_err(), "{}", path.display());
        }
        use std::os::unix::fs::FileTypeExt;
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }
}
