//! Weights and checkpoints as safetensors, written whole or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize};
use tch::{Device, Kind, Tensor};

use super::TrainError;
use super::recipe::Storage;
use crate::record::write_atomically;

/// Writes `tensors` with `notes` in the header: to a temporary file, synced, then renamed.
///
/// # Errors
/// If the folder cannot be written or the disk is full.
pub fn save(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    storage: Storage,
    notes: &BTreeMap<&str, String>,
) -> Result<(), TrainError> {
    let write = |source: std::io::Error| TrainError::Write { path: path.into(), source };
    let stored: Vec<(&String, Dtype, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let shape = tensor.size().iter().map(|&size| size as usize).collect();
            let (dtype, bytes) = bytes_of(tensor, storage);
            (name, dtype, shape, bytes)
        })
        .collect();
    let mut views = Vec::with_capacity(stored.len());
    for (name, dtype, shape, bytes) in &stored {
        let view =
            TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| write(std::io::Error::other(error)))?;
        views.push((name.as_str(), view));
    }
    let bytes = serialize(views, None).map_err(|error| write(std::io::Error::other(error)))?;
    let bytes = with_notes(&bytes, notes).map_err(write)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(write)?;
    }
    write_atomically(path, &bytes)?;
    Ok(())
}

/// A safetensors file with notes in its header, in alphabetical order: the library would write them in a random one, and the
/// same training shall give the same bytes.
fn with_notes(bytes: &[u8], notes: &BTreeMap<&str, String>) -> std::io::Result<Vec<u8>> {
    let cut = || std::io::Error::other("a header that ends too early");
    let (length, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
    let (header, tensors) = rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or_else(cut)?;
    let entries = header.trim_ascii().strip_prefix(b"{").ok_or_else(cut)?;
    let mut header = br#"{"__metadata__":"#.to_vec();
    header.extend(serde_json::to_vec(notes)?);
    header.extend([b",", entries].concat());
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok([&(header.len() as u64).to_le_bytes(), &header[..], tensors].concat())
}

fn bytes_of(tensor: &Tensor, storage: Storage) -> (Dtype, Vec<u8>) {
    let tensor = tensor.detach().to_device(Device::Cpu).contiguous().flatten(0, -1);
    if tensor.kind() == Kind::Int64 {
        let values = Vec::<i64>::try_from(&tensor).unwrap_or_default();
        return (Dtype::I64, values.iter().flat_map(|value| value.to_le_bytes()).collect());
    }
    let values = Vec::<f32>::try_from(&tensor.to_kind(Kind::Float)).unwrap_or_default();
    match storage {
        Storage::F32 => (Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        Storage::F16 => {
            let bytes = values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
            (Dtype::F16, bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;
    use crate::model::WeightsFile;

    #[test]
    fn the_same_tensors_and_notes_give_the_same_bytes_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let tensors = BTreeMap::from([("b".to_owned(), Tensor::from_slice(&[1.0f32, -2.5]))]);
        let notes = ["seed", "arch", "trained_by", "epoch"].map(|key| (key, format!("{key} \"quoted\"")));
        let file = |name: &str| {
            let path = folder.path().join(name);
            save(&path, &tensors, Storage::F32, &BTreeMap::from(notes.clone())).unwrap();
            (std::fs::read(&path).unwrap(), WeightsFile::read(&path).unwrap())
        };
        let (first, read) = file("first");
        for index in 0..4 {
            assert_eq!(file(&index.to_string()).0, first);
        }
        let expected = notes.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
        assert_eq!(read.notes, expected);
        assert_eq!(read.into_tensors()["b"], tensors["b"]);
    }
}
