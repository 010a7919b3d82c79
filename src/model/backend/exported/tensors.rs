//! The tensors of an archive: raw bytes, with their kinds and shapes in JSON beside them.

use std::collections::BTreeMap;

use serde::Deserialize;
use tch::{Kind, Tensor};

use super::archive::Archive;
use super::layout::laid;
use super::schema::{TensorMeta, fixed};
use crate::model::backend::graph::MOST_DIMENSIONS;

/// Parameters, buffers and constants by name.
pub struct Stored {
    tensors: BTreeMap<String, Tensor>,
}

#[derive(Deserialize)]
struct Config {
    config: BTreeMap<String, Payload>,
}

#[derive(Deserialize)]
struct Payload {
    path_name: String,
    #[serde(default)]
    use_pickle: bool,
    tensor_meta: Option<TensorMeta>,
}

impl Stored {
    /// Reads all tensors, half precision as f32.
    ///
    /// # Errors
    /// A pickle, or a tensor that its bytes do not fill.
    pub fn read(archive: &Archive) -> Result<Self, String> {
        let mut tensors = BTreeMap::new();
        for folder in ["data/weights/", "data/constants/"] {
            let configs = archive.names().filter(|name| name.starts_with(folder) && name.ends_with("_config.json"));
            for name in configs {
                let config: Config = serde_json::from_slice(archive.entry(name)?)
                    .map_err(|error| format!("`{name}` cannot be read: {error}"))?;
                for (tensor, payload) in config.config {
                    tensors.insert(tensor.clone(), read(archive, folder, &tensor, &payload)?);
                }
            }
        }
        for name in archive.names().filter(|name| super::older::holds_tensors(name)) {
            tensors.extend(super::older::read(archive.entry(name)?).map_err(|problem| format!("`{name}` {problem}"))?);
        }
        Ok(Stored { tensors })
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Number of floating-point values.
    pub fn values(&self) -> u64 {
        self.tensors.values().filter(|tensor| tensor.is_floating_point()).map(|tensor| tensor.numel() as u64).sum()
    }
}

fn read(archive: &Archive, folder: &str, name: &str, payload: &Payload) -> Result<Tensor, String> {
    let unusable = |problem: String| format!("tensor `{name}` {problem}");
    if payload.use_pickle {
        return Err(unusable(
            "is a pickle, and loading one can execute code; make it an ordinary tensor before the export \
             (`module.weight = torch.nn.Parameter(module.weight.detach().clone().contiguous())`)"
                .to_owned(),
        ));
    }
    let meta = payload.tensor_meta.as_ref().ok_or_else(|| unusable("is no tensor of numbers".to_owned()))?;
    let kind = kind(meta.dtype).ok_or_else(|| {
        unusable(format!(
            "has values of a kind ({}) that is not supported; convert it: `model.float()`",
            kind_name(meta.dtype)
        ))
    })?;
    let all = |sizes: Vec<Option<i64>>| sizes.into_iter().collect::<Option<Vec<i64>>>();
    let shape = all(meta.shape()).filter(|shape| shape.len() <= MOST_DIMENSIONS && shape.iter().all(|&size| size >= 0));
    let strides = all(meta.strides.iter().map(fixed).collect());
    let (Some(shape), Some(strides)) = (shape, strides) else {
        return Err(unusable("has a shape that cannot be meant".to_owned()));
    };
    let offset = meta.storage_offset.as_ref().and_then(fixed).unwrap_or(0);
    let entry = format!("{folder}{}", payload.path_name);
    if !archive.has(&entry) {
        return Err(unusable(format!(
            "should lie in `{entry}`, which the archive lacks: it is incomplete, copy or export it again"
        )));
    }
    let bytes = archive.entry(&entry)?;
    laid(bytes, kind, &shape, &strides, offset).map_err(unusable)
}

/// The kinds of numbers by their code in the schema.
pub fn kind(code: u64) -> Option<Kind> {
    Some(match code {
        1 => Kind::Uint8,
        2 => Kind::Int8,
        3 => Kind::Int16,
        4 => Kind::Int,
        5 => Kind::Int64,
        6 => Kind::Half,
        7 => Kind::Float,
        8 => Kind::Double,
        12 => Kind::Bool,
        13 => Kind::BFloat16,
        _ => return None,
    })
}

/// The name of a kind of numbers that is not supported, by its code in the schema.
fn kind_name(code: u64) -> String {
    let name = match code {
        9 => "complex of half precision",
        10 => "complex",
        11 => "complex of double precision",
        28 => "uint16",
        29 => "float8_e4m3fn",
        30 => "float8_e5m2",
        31 => "float8_e4m3fnuz",
        32 => "float8_e5m2fnuz",
        _ => return format!("code {code}"),
    };
    name.to_owned()
}
