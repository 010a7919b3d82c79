//! Tensors of an ONNX model, whose values stand in the file or in files beside it.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use tch::{Kind, Tensor};

use super::proto::TensorProto;
use crate::model::backend::graph::MOST_DIMENSIONS;

/// Files beside the model, read once.
pub struct ExternalFiles<'p> {
    folder: &'p Path,
    files: BTreeMap<String, Vec<u8>>,
}

impl<'p> ExternalFiles<'p> {
    /// The files in the folder of `model`.
    pub fn of_file(model: &'p Path) -> Self {
        ExternalFiles { folder: model.parent().unwrap_or(Path::new(".")), files: BTreeMap::new() }
    }

    /// Adds the files' bytes to a hash.
    pub fn hash(&self, hasher: &mut blake3::Hasher) {
        self.files.values().for_each(|bytes| {
            hasher.update(bytes);
        });
    }

    fn bytes(&mut self, external: &BTreeMap<String, String>) -> Result<&[u8], String> {
        let location = external.get("location").map_or("", String::as_str);
        let plain = Path::new(location).components().all(|part| matches!(part, Component::Normal(_)));
        if location.is_empty() || !plain {
            return Err(format!("has its values at {location:?}; expected a file in the model's folder"));
        }
        if !self.files.contains_key(location) {
            let bytes = crate::files::read_whole(self.folder.join(location)).map_err(|error| {
                format!(
                    "has its values in the file `{location}` beside the model: {error}; copy it there, or export with \
                         external_data=False"
                )
            })?;
            self.files.insert(location.to_owned(), bytes);
        }
        let file = &self.files[location];
        let number = |key: &str, usual: usize| external.get(key).map_or(Some(usual), |text| text.parse().ok());
        let range = number("offset", 0).and_then(|offset| {
            let length = number("length", file.len().checked_sub(offset)?)?;
            file.get(offset..offset.checked_add(length)?)
        });
        range.ok_or_else(|| format!("has its values outside of the file `{location}`"))
    }
}

/// The tensor; half precision as f32.
///
/// # Errors
/// If its values do not fill its shape, are of a kind that is not supported, or not finite.
pub fn tensor(proto: &TensorProto, external: &mut ExternalFiles) -> Result<Tensor, String> {
    let unusable = |problem: String| format!("tensor `{}` {problem}", proto.name);
    let kind = kind(proto.kind)
        .ok_or_else(|| unusable(format!("has values of a kind ({}) that is not supported", kind_name(proto.kind))))?;
    let count = proto.shape.iter().try_fold(1i64, |count, &size| count.checked_mul(size).filter(|_| size >= 0));
    let count = count.filter(|_| proto.shape.len() <= MOST_DIMENSIONS);
    let count = count.ok_or_else(|| {
        let shape = match proto.shape.len() {
            rank if rank > MOST_DIMENSIONS => format!("{rank} dimensions"),
            _ => format!("the shape {:?}", proto.shape),
        };
        unusable(format!("has {shape}, which cannot be meant"))
    })? as usize;
    let external =
        if proto.external.is_empty() { None } else { Some(external.bytes(&proto.external).map_err(unusable)?) };
    let failed = |error: tch::TchError| unusable(format!("cannot be read: {error}"));
    let short = |found: usize| unusable(format!("has {found} values for the shape {:?}", proto.shape));
    let flat = match external.or(proto.raw) {
        Some(bytes) => {
            if bytes.len() != count.saturating_mul(kind.elt_size_in_bytes()) {
                return Err(short(bytes.len() / kind.elt_size_in_bytes()));
            }
            Tensor::f_from_data_size(bytes, &[count as i64], kind).map_err(failed)?
        }
        None => {
            let listed = [proto.floats.len(), proto.ints.len(), proto.doubles.len()].into_iter().max().unwrap_or(0);
            if listed != count {
                return Err(short(listed));
            }
            listed_values(proto, kind).map_err(failed)?
        }
    };
    let tensor = flat.f_reshape(&proto.shape).map_err(failed)?;
    if !tensor.is_floating_point() {
        return Ok(tensor);
    }
    let tensor = if kind == Kind::Double { tensor } else { tensor.f_to_kind(Kind::Float).map_err(failed)? };
    let nan = tensor.f_isnan().and_then(|nan| nan.f_any()).and_then(|any| any.f_int64_value(&[])).map_err(failed)?;
    if nan == 0 { Ok(tensor) } else { Err(unusable("holds NaN".to_owned())) }
}

fn listed_values(proto: &TensorProto, kind: Kind) -> Result<Tensor, tch::TchError> {
    if !proto.floats.is_empty() {
        return Tensor::from_slice(&proto.floats).f_to_kind(kind);
    }
    if !proto.doubles.is_empty() {
        return Tensor::from_slice(&proto.doubles).f_to_kind(kind);
    }
    // Half precision is listed by its bits.
    if matches!(kind, Kind::Half | Kind::BFloat16) {
        let bytes: Vec<u8> = proto.ints.iter().flat_map(|&bits| (bits as u16).to_le_bytes()).collect();
        return Tensor::f_from_data_size(&bytes, &[proto.ints.len() as i64], kind);
    }
    Tensor::from_slice(&proto.ints).f_to_kind(kind)
}

/// The kinds of numbers by ONNX's codes.
pub fn kind(code: i64) -> Option<Kind> {
    Some(match code {
        1 => Kind::Float,
        2 => Kind::Uint8,
        3 => Kind::Int8,
        5 => Kind::Int16,
        6 => Kind::Int,
        7 => Kind::Int64,
        9 => Kind::Bool,
        10 => Kind::Half,
        11 => Kind::Double,
        16 => Kind::BFloat16,
        _ => return None,
    })
}

/// The name of a kind of numbers that is not supported, by ONNX's code.
fn kind_name(code: i64) -> String {
    let name = match code {
        4 => "uint16",
        8 => "words",
        12 => "uint32",
        13 => "uint64",
        14 => "complex64",
        15 => "complex128",
        17..=20 => "float8",
        21 | 22 => "int4",
        23 => "float4",
        _ => return format!("code {code}"),
    };
    name.to_owned()
}
