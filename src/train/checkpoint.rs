//! Weights and checkpoints as safetensors, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
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
    notes: HashMap<String, String>,
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
    let bytes = serialize(views, Some(notes)).map_err(|error| write(std::io::Error::other(error)))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(write)?;
    }
    write_atomically(path, &bytes)?;
    Ok(())
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
