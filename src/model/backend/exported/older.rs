//! The layouts that PyTorch 2.6 to 2.8 wrote: the graph as in newer archives, the tensors in archives of `torch.save` inside. Those have
//! raw storages and a pickle that says how tensors lie in them. The pickle is not loaded: it is taken apart without importing or calling
//! anything ([`Pickle`]), and what it describes beside plain tensors is not there.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::archive::Archive;
use super::layout::laid;
use crate::files::Pickle;
use crate::model::backend::graph::MOST_DIMENSIONS;

/// The graph, up to PyTorch 2.7.
pub const PROGRAM: &str = "serialized_exported_program.json";

/// Whether an entry is an archive of tensors.
pub fn holds_tensors(name: &str) -> bool {
    let folder = name.starts_with("data/weights/") || name.starts_with("data/constants/");
    ["serialized_state_dict.pt", "serialized_constants.pt"].contains(&name) || folder && name.ends_with(".pt")
}

/// The tensors of an archive of `torch.save`, by name.
///
/// # Errors
/// If it is damaged, or a tensor does not lie in its storage: the end of a sentence about the entry.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let mut tensors = BTreeMap::new();
    // An empty dictionary may be an empty entry.
    if bytes.is_empty() {
        return Ok(tensors);
    }
    let archive = Archive::read(bytes)?;
    if archive.has("byteorder") && archive.entry("byteorder")? != b"little" {
        return Err("holds numbers in the order of another machine; save it again on this one".to_owned());
    }
    let (pickle, _) = Pickle::parse(archive.entry("data.pkl")?).ok_or("holds a pickle that is damaged")?;
    for (name, place) in pickle.tensors() {
        let unusable = |problem: String| format!("holds a tensor `{name}` that {problem}");
        let kind = kind(&place.class)
            .ok_or_else(|| unusable(format!("has values of a kind ({}) that is not supported", place.class)))?;
        if place.shape.len() > MOST_DIMENSIONS || place.shape.iter().any(|&size| size < 0) {
            return Err(unusable("has a shape that cannot be meant".to_owned()));
        }
        let storage = archive.entry(&format!("data/{}", place.storage)).map_err(unusable)?;
        let tensor = laid(storage, kind, &place.shape, &place.strides, place.offset).map_err(unusable)?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// The kinds of numbers by the class of their storage.
fn kind(class: &str) -> Option<Kind> {
    Some(match class {
        "FloatStorage" => Kind::Float,
        "DoubleStorage" => Kind::Double,
        "HalfStorage" => Kind::Half,
        "BFloat16Storage" => Kind::BFloat16,
        "LongStorage" => Kind::Int64,
        "IntStorage" => Kind::Int,
        "ShortStorage" => Kind::Int16,
        "CharStorage" => Kind::Int8,
        "ByteStorage" => Kind::Uint8,
        "BoolStorage" => Kind::Bool,
        _ => return None,
    })
}
