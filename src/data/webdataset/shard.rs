//! The samples of one tar file.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::Value;
use tar::Archive;

use crate::data::DataError;
use crate::files::open_regular;

/// Extensions of images.
const IMAGES: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "ppm"];
/// Most bytes that a label's member may have.
const LARGEST_LABEL: u64 = 1 << 24;
/// A tar file comes in blocks of so many bytes.
const BLOCK: u64 = 512;
/// How a gzipped file begins.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// A sample: its key, the text of its label, and where its image lies in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) key: String,
    pub(super) label: String,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// A sample whose members are still being read.
#[derive(Default)]
struct Group {
    key: String,
    extensions: Vec<String>,
    image: Option<(u64, u64)>,
    class: Option<String>,
    json: Option<String>,
}

/// Lists the samples of the file: members that follow each other and have the same path up to the first dot of the name.
///
/// # Errors
/// If the file is no tar file or truncated, a sample has no image or more than one, no label, or two members of one name, or
/// its members do not follow each other.
pub(super) fn samples(path: &Path, label_field: &str) -> Result<Vec<Found>, DataError> {
    let wrong = |problem: String| DataError::content(path, problem);
    let file = open_regular(path).map_err(DataError::read(path))?;
    let length = file.metadata().map_err(DataError::read(path))?.len();
    let mut file = BufReader::new(file);
    if file.fill_buf().map_err(DataError::read(path))?.starts_with(GZIP) {
        return Err(wrong(
            "is gzipped, and images are read from their places in a tar file: unpack it with gunzip".into(),
        ));
    }
    let mut archive = Archive::new(file);
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::Other | ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => {
            wrong("is no tar file, or damaged".into())
        }
        _ => DataError::Read { path: path.to_path_buf(), source: error },
    };
    let mut found = Vec::new();
    let mut keys = HashSet::new();
    let mut group = Group::default();
    let mut end = 0;
    for entry in archive.entries_with_seek().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let (offset, size) = (entry.raw_file_position(), entry.size());
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        end = offset.saturating_add(size).checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
        if offset.saturating_add(size) > length {
            return Err(wrong(format!(
                "is truncated: member `{name}` ends at byte {}, the file at {length}",
                offset.saturating_add(size)
            )));
        }
        let Some((key, extension)) = split(&name).filter(|_| entry.header().entry_type().is_file()) else { continue };
        if key != group.key {
            found.extend(std::mem::take(&mut group).finish(path, label_field)?);
            if !keys.insert(key.to_owned()) {
                return Err(wrong(format!(
                    "the members of sample `{key}` do not follow each other; make the shard again"
                )));
            }
            group.key = key.to_owned();
        }
        if group.extensions.contains(&extension) {
            return Err(wrong(format!("sample `{key}` has two members `{extension}`")));
        }
        if extension == "cls" || extension == "json" {
            let mut text = String::new();
            let read = entry.by_ref().take(LARGEST_LABEL).read_to_string(&mut text);
            read.map_err(|error| wrong(format!("member `{name}` cannot be read: {error}")))?;
            match extension.as_str() {
                "cls" => group.class = Some(text),
                _ => group.json = Some(text),
            }
        } else if IMAGES.contains(&extension.as_str()) && group.image.replace((offset, size)).is_some() {
            return Err(wrong(format!("sample `{key}` has two images: {}, {extension}", group.extensions.join(", "))));
        }
        group.extensions.push(extension);
    }
    // A file that was cut off between two members says so, rather than that its last sample lacks one.
    check_end(path, end, length)?;
    found.extend(group.finish(path, label_field)?);
    Ok(found)
}

/// Checks that a block of zeros, which ends a tar file, follows the last member.
fn check_end(path: &Path, end: u64, length: u64) -> Result<(), DataError> {
    let mut block = Vec::new();
    let mut file = open_regular(path).map_err(DataError::read(path))?;
    file.seek(SeekFrom::Start(end.min(length)))
        .and_then(|_| file.take(BLOCK).read_to_end(&mut block))
        .map_err(DataError::read(path))?;
    if block.len() as u64 == BLOCK && block.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    Err(DataError::content(path, "is truncated: it has no end mark; fetch or make it again"))
}

/// A member's key and its extension in lower case; none for what is no member of a sample.
fn split(name: &str) -> Option<(&str, String)> {
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = start + name[start..].find('.')?;
    let key = name[..dot].strip_prefix("./").unwrap_or(&name[..dot]);
    // A key that begins with two underscores holds notes, an empty name is a hidden file.
    if dot == start || name[start..].starts_with("__") {
        return None;
    }
    Some((key, name[dot + 1..].to_ascii_lowercase()))
}

impl Group {
    fn finish(self, path: &Path, label_field: &str) -> Result<Option<Found>, DataError> {
        if self.extensions.is_empty() {
            return Ok(None);
        }
        let (key, has) = (&self.key, self.extensions.join(", "));
        let wrong = |problem: String| DataError::content(path, format!("sample `{key}` {problem}"));
        let Some((offset, length)) = self.image else {
            return Err(wrong(format!("has no image (one of {}); its members are {has}", IMAGES.join(", "))));
        };
        let label = match (&self.class, &self.json) {
            (Some(text), _) => text.trim_start_matches('\u{feff}').trim().to_owned(),
            (None, Some(text)) => label_of(text, label_field).map_err(wrong)?,
            (None, None) => {
                return Err(wrong(format!("has no label, a member `cls` or `json`; its members are {has}")));
            }
        };
        Ok(Some(Found { key: self.key, label, offset, length }))
    }
}

/// The label in a JSON object's field: a whole number or a text.
fn label_of(text: &str, field: &str) -> Result<String, String> {
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| format!("has a json member that is no JSON: {error}"))?;
    match value.get(field) {
        Some(Value::Number(number)) if number.is_u64() => Ok(number.to_string()),
        // Written as a table with gaps in its column has it.
        Some(Value::Number(number)) if number.as_f64().is_some_and(|number| number.fract() == 0.0 && number >= 0.0) => {
            Ok(format!("{:.1}", number.as_f64().unwrap_or_default()))
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!("has the label {other} in its json member; it must be a whole number or a text")),
        None => {
            let known: Vec<&str> =
                value.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default();
            let known =
                if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
            Err(format!(
                "has no field `{field}` in its json member; {known}; name the label's with `label_field` in [data]"
            ))
        }
    }
}
