//! Files as they lie on disk: their bytes, or what they are instead of a network's graph.

use std::path::Path;

use super::GraphError;
use crate::files::{foreign, read_whole};

/// The bytes of the file at `path`, which should be `form`.
///
/// # Errors
/// If it cannot be read, or is something else that can be told by its beginning.
pub fn bytes_of(path: &Path, form: &'static str) -> Result<Vec<u8>, GraphError> {
    let bytes = read_whole(path).map_err(|source| GraphError::Read { path: path.to_path_buf(), source })?;
    let instead = foreign(&bytes, bytes.len() as u64).or_else(|| weights(&bytes).map(str::to_owned));
    match instead {
        Some(problem) => Err(GraphError::Unusable { path: path.to_path_buf(), form, problem }),
        None => Ok(bytes),
    }
}

/// Says of safetensors that they bring no network: a length of eight bytes, and JSON of that length.
fn weights(bytes: &[u8]) -> Option<&'static str> {
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let fits = length <= bytes.len() as u64 && bytes.get(8) == Some(&b'{');
    fits.then_some(
        "it holds tensors alone, as safetensors, and no network: `arch` must name the architecture they are for \
         (`am-eval models` lists them), or export the whole model",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_graph_is_told_by_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let problem = |bytes: &[u8]| {
            let path = folder.path().join("model.pt2");
            std::fs::write(&path, bytes).unwrap();
            bytes_of(&path, "a program").err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(problem(b"version https://git-lfs.github.com/spec/v1\nsize 7\n").contains("Git LFS"));
        assert!(problem(b"<!DOCTYPE html><html>").contains("HTML page"));
        assert!(problem(b"\x02\0\0\0\0\0\0\0{}").contains("no network"));
        assert_eq!(problem(b"\x08\x09\x12\x07pytorch"), "");
    }
}
