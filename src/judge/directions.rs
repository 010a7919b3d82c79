//! Directions that units name: read from files, or learned as differences of class means.

use std::path::Path;

use tch::{Kind, Tensor};

use super::Labelled;
use crate::model::{LayerInfo, Model, ModelError};
use crate::objective::unit_means;
use crate::terms::{DirectionName, DirectionSource, Unit};

/// Makes the directions among `units` of `layer` known to `model`. Those of class means need `images`; without any, classes are
/// only checked.
///
/// # Errors
/// If a file cannot be used, has another length than the layer has features, or a class does not exist or has no images.
pub fn learn_directions(
    model: &Model,
    layer: &LayerInfo,
    units: &[Unit],
    images: &[Labelled],
) -> Result<(), ModelError> {
    for unit in units {
        let Some(name) = unit.direction() else { continue };
        if model.directions.get(&layer.name, name).is_some() {
            continue;
        }
        let found = match name.source() {
            DirectionSource::File(path) => file_vector(Path::new(path), layer.units).map(Some),
            DirectionSource::Classes(class, other) => class_vector(model, layer, class, other, images)?,
        };
        match found {
            Ok(Some(vector)) => model.directions.set(&layer.name, name, vector.to_device(model.device())),
            Ok(None) => {}
            Err(problem) => return Err(unusable(model, layer, name, problem)),
        }
    }
    Ok(())
}

fn unusable(model: &Model, layer: &LayerInfo, name: DirectionName, problem: String) -> ModelError {
    let unit = format!("direction:{}", name.short());
    ModelError::UnknownUnit { model: model.name.clone(), layer: layer.name.clone(), unit, problem }
}

/// The vector of a file: NumPy's `.npy`, the only tensor of a `.safetensors`, or numbers as text.
///
/// # Errors
/// If it cannot be read, or has another length than `features`.
pub fn file_vector(path: &Path, features: usize) -> Result<Tensor, String> {
    let named = |problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !path.is_file() {
        return Err(named(&"no such file; it is looked for beside the suite"));
    }
    if path.metadata().is_ok_and(|file| file.len() == 0) {
        return Err(named(&"the file is empty"));
    }
    let vector = match extension {
        "npy" => Tensor::read_npy(path).map_err(|error| named(&error))?,
        "safetensors" => {
            let mut tensors = Tensor::read_safetensors(path).map_err(|error| named(&error))?;
            match (tensors.pop(), tensors.len()) {
                (Some((_, tensor)), 0) => tensor,
                (_, more) => return Err(named(&format!("it has {} tensors; a direction is one", more + 1))),
            }
        }
        _ => {
            let text = crate::files::read_text(path).map_err(|error| named(&error))?;
            let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
            let numbers: Result<Vec<f32>, String> =
                words.map(|word| word.parse::<f32>().map_err(|_| named(&format!("`{word}` is no number")))).collect();
            Tensor::from_slice(&numbers?)
        }
    };
    if vector.size().iter().filter(|length| **length != 1).count() > 1 {
        return Err(named(&format!("it has the shape {:?}; a direction is one row of values", vector.size())));
    }
    let vector = vector.to_kind(Kind::Float).flatten(0, -1);
    let length = vector.size()[0] as usize;
    if length != features {
        return Err(named(&format!("it has {length} values, the layer has {features} features")));
    }
    if !bool::try_from(vector.isfinite().all()).unwrap_or(false) {
        return Err(named(&"it has values that are not finite"));
    }
    // Directions are scaled to length one.
    if vector.square().sum(Kind::Double).double_value(&[]) == 0.0 {
        return Err(named(&"all its values are zero, which is no direction"));
    }
    Ok(vector)
}

/// Why there is no direction between these classes; none if `model` has them.
pub fn missing_class(model: &Model, class: usize, other: Option<usize>) -> Option<String> {
    let most = other.map_or(class, |other| class.max(other));
    (most as i64 >= model.classes).then(|| format!("there is no class {most}; classes are 0 to {}", model.classes - 1))
}

/// The mean of a class's features less that of another class, or of all others; none without images.
fn class_vector(
    model: &Model,
    layer: &LayerInfo,
    class: usize,
    other: Option<usize>,
    images: &[Labelled],
) -> Result<Result<Option<Tensor>, String>, ModelError> {
    if let Some(problem) = missing_class(model, class, other) {
        return Ok(Err(problem));
    }
    if images.is_empty() {
        return Ok(Ok(None));
    }
    let mut sums = [(); 2].map(|()| (Tensor::zeros([layer.units as i64], (Kind::Double, model.device())), 0usize));
    for batch in images {
        let activation = tch::no_grad(|| model.tap(&batch.pixels, &layer.name))?;
        let means = unit_means(&activation, model.tokens()).to_kind(Kind::Double);
        for (row, &label) in batch.labels.iter().enumerate() {
            let side = match other {
                _ if label == class as i64 => 0,
                None => 1,
                Some(other) if label == other as i64 => 1,
                Some(_) => continue,
            };
            sums[side].0 += means.get(row as i64);
            sums[side].1 += 1;
        }
    }
    let missing = |class: String| Ok(Err(format!("no reference image is of {class}; take more samples")));
    match (sums[0].1, sums[1].1) {
        (0, _) => missing(format!("class {class}")),
        (_, 0) => missing(other.map_or("another class".to_owned(), |other| format!("class {other}"))),
        (class_images, others) => Ok(Ok(Some(&sums[0].0 / class_images as f64 - &sums[1].0 / others as f64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_read_from_text_and_npy_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let (text, npy) = (dir.path().join("v.txt"), dir.path().join("v.npy"));
        std::fs::write(&text, "1, 2\n-3").unwrap();
        Tensor::from_slice(&[1.0f32, 2.0, -3.0]).write_npy(&npy).unwrap();
        for path in [&text, &npy] {
            assert_eq!(Vec::<f32>::try_from(file_vector(path, 3).unwrap()).unwrap(), [1.0, 2.0, -3.0]);
            assert!(file_vector(path, 4).unwrap_err().contains("it has 3 values, the layer has 4 features"));
        }
        std::fs::write(&text, "1 x").unwrap();
        assert!(file_vector(&text, 2).unwrap_err().contains("`x` is no number"));
        assert!(file_vector(&dir.path().join("w.txt"), 2).unwrap_err().contains("no such file"));
        for (values, problem) in
            [("", "the file is empty"), ("0 0", "all its values are zero"), ("1 nan", "not finite")]
        {
            std::fs::write(&text, values).unwrap();
            assert!(file_vector(&text, 2).unwrap_err().contains(problem), "{values}");
        }
        Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).view([2, 2]).write_npy(&npy).unwrap();
        assert!(file_vector(&npy, 4).unwrap_err().contains("the shape [2, 2]"));
        Tensor::from_slice(&[1.0f32, 2.0]).view([1, 2]).write_npy(&npy).unwrap();
        assert!(file_vector(&npy, 2).is_ok());
    }
}
