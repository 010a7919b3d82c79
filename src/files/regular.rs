//! Regular files alone are read: a pipe would wait for a writer that never comes, and a device never ends.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// Opens a regular file, through links to it.
///
/// # Errors
/// If there is none, or what is there is a folder, a pipe, a socket or a device.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a pipe waits for its other end, so the question comes first.
    check(&std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// The content of a regular file.
///
/// # Errors
/// As [`open_regular`], or if it has more than `most` bytes.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len();
    let too_long = || io::Error::other(format!("it has {length} bytes; at most {most} are read"));
    if length > most {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize).map_err(|_| io::Error::other("it does not fit into memory"))?;
    // A file can grow while it is read.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_long()) } else { Ok(bytes) }
}

/// The content of a regular file of any length.
///
/// # Errors
/// As [`open_regular`], or if it does not fit into memory.
pub fn read_whole(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    read_regular(path.as_ref(), u64::MAX - 1)
}

/// The text in a regular file.
///
/// # Errors
/// As [`read_whole`], or if it is no UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read_whole(path)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8 text"))
}

fn check(about: &Metadata) -> io::Result<()> {
    if about.is_file() {
        return Ok(());
    }
    Err(io::Error::other(format!("it is {}, not a regular file", kind(about.file_type()))))
}

#[cfg(unix)]
fn kind(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match () {
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_char_device() || kind.is_block_device() => "a device",
        () => "something else",
    }
}

#[cfg(not(unix))]
fn kind(kind: FileType) -> &'static str {
    if kind.is_dir() { "a folder" } else { "something else" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"four").unwrap();
        assert_eq!(read_regular(&file, 4).unwrap(), b"four");
        assert!(read_regular(&file, 3).unwrap_err().to_string().contains("4 bytes"));
        assert!(read_regular(folder.path(), 9).unwrap_err().to_string().contains("a folder"));
        assert_eq!(read_regular(&folder.path().join("gone"), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert!(open_regular(&pipe).unwrap_err().to_string().contains("a pipe"));
        assert!(open_regular(Path::new("/dev/zero")).unwrap_err().to_string().contains("a device"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        assert!(open_regular(&link).unwrap_err().to_string().contains("a pipe"));
    }
}
