//! Which units of a layer an attack drives, and how their activations lie over the reference images.

use tch::{Kind, Tensor};

use super::judge::floats;
use crate::attack::Noise;
use crate::model::{Model, ModelError};
use crate::objective::{missing, unit_means, unit_values};
use crate::suite::{Control, UnitSelection};
use crate::terms::{LayerName, Unit};

/// A unit that is driven, with the spread that makes its gain comparable.
#[derive(Debug, Clone, PartialEq)]
pub struct DrivenUnit {
    /// The unit.
    pub unit: Unit,
    /// Whether it is a control beside the attack.
    pub control: bool,
    /// Standard deviation of its activation over the reference images.
    pub deviation: f64,
}

/// Chooses the units of an attack and of its random-unit control from `batches` of reference pixels `[N, C, H, W]`.
///
/// # Errors
/// If the layer or a listed unit does not exist.
pub fn choose(
    model: &Model,
    layer: &LayerName,
    selection: &UnitSelection,
    controls: &[Control],
    batches: &[Tensor],
    noise: &Noise,
) -> Result<Vec<DrivenUnit>, ModelError> {
    let info = model.layer(layer)?;
    let tokens = model.tokens();
    let mut units: Vec<Unit> = match selection {
        UnitSelection::Listed(units) => units.clone(),
        UnitSelection::All => (0..info.units).map(Unit::channel).collect(),
        UnitSelection::Random(count) => {
            noise.choose("units", *count, info.units).into_iter().map(Unit::channel).collect()
        }
        UnitSelection::TopActivation(count) => {
            let (mean, _) = spread(&means(model, layer, batches)?);
            let mut order: Vec<usize> = (0..mean.len()).collect();
            order.sort_by(|&a, &b| mean[b].total_cmp(&mean[a]).then(a.cmp(&b)));
            order.into_iter().take(*count).map(Unit::channel).collect()
        }
    };
    for unit in &units {
        if let Some(problem) = missing(*unit, &info.shape, tokens) {
            let (model, layer, unit) = (model.name.clone(), layer.clone(), unit.to_string());
            return Err(ModelError::UnknownUnit { model, layer, unit, problem });
        }
    }
    let attacked = units.len();
    if controls.contains(&Control::RandomUnit) {
        let free: Vec<usize> = (0..info.units).filter(|index| units.iter().all(|unit| unit.index != *index)).collect();
        units.extend(noise.choose("control-units", attacked, free.len()).into_iter().map(|at| Unit::channel(free[at])));
    }
    let deviations = deviations(model, layer, &units, batches)?;
    let driven = units.into_iter().zip(deviations).enumerate();
    Ok(driven.map(|(at, (unit, deviation))| DrivenUnit { unit, control: at >= attacked, deviation }).collect())
}

/// Every unit's mean activation for each reference image, `[N, U]`.
fn means(model: &Model, layer: &LayerName, batches: &[Tensor]) -> Result<Tensor, ModelError> {
    let parts: Result<Vec<Tensor>, ModelError> = batches
        .iter()
        .map(|batch| tch::no_grad(|| Ok(unit_means(&model.tap(batch, layer)?, model.tokens()))))
        .collect();
    Ok(Tensor::cat(&parts?, 0))
}

/// Standard deviation of each unit's activation over the reference images.
fn deviations(model: &Model, layer: &LayerName, units: &[Unit], batches: &[Tensor]) -> Result<Vec<f64>, ModelError> {
    let mut columns: Vec<Vec<Tensor>> = units.iter().map(|_| Vec::new()).collect();
    for batch in batches {
        let activation = tch::no_grad(|| model.tap(batch, layer))?;
        let all = unit_means(&activation, model.tokens());
        let rows = batch.size()[0] as usize;
        for (column, unit) in columns.iter_mut().zip(units) {
            column.push(match unit.position {
                None => all.select(1, unit.index as i64),
                Some(_) => unit_values(&activation, &vec![*unit; rows], model.tokens()),
            });
        }
    }
    Ok(columns.iter().map(|column| spread(&Tensor::cat(column, 0).unsqueeze(1)).1[0]).collect())
}

/// Mean and standard deviation of each column.
fn spread(values: &Tensor) -> (Vec<f64>, Vec<f64>) {
    let wide = values.to_kind(Kind::Double).nan_to_num(0.0, 0.0, 0.0);
    let mean = wide.mean_dim([0i64].as_slice(), false, None);
    let deviation = (&wide - &mean).square().mean_dim([0i64].as_slice(), false, None).sqrt();
    let column = |tensor: &Tensor| floats(tensor).into_iter().map(f64::from).collect();
    (column(&mean), column(&deviation))
}
