//! What a file on disk really is, whatever its name says: opened only if it is a regular file, recognised by its first bytes,
//! and, where it is an archive or a pickle, looked into without executing anything.

mod checkpoint;
mod foreign;
mod pickle;
mod regular;
mod script;
mod zip;

pub use checkpoint::{Checkpoint, advice};
pub use foreign::foreign;
pub use pickle::{Laid, Pickle};
pub use regular::{open_regular, read_regular, read_text, read_whole};
pub use script::ScriptCode;
pub use zip::{Archive, ArchiveError, Member};

use std::io::Read;
use std::path::Path;

/// What a file is instead of safetensors, and what to do about it; none if that is not known.
pub fn instead(path: &Path) -> Option<String> {
    let file = open_regular(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut head = Vec::new();
    file.take(4096).read_to_end(&mut head).ok()?;
    if let Some(description) = foreign(&head, length) {
        return Some(format!("this is no safetensors file: {description}"));
    }
    if let Some(checkpoint) = Checkpoint::look(path) {
        return Some(advice(path, &checkpoint));
    }
    let onnx = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
    onnx.then(|| "this is an ONNX file, a program with its weights: use `arch = \"onnx\"`".to_owned())
}
