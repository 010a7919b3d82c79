//! Which units of a layer an attack drives, and how their activations lie over the reference images.

use std::rc::Rc;

use tch::{Kind, Tensor};

use crate::judge::{Features, Watched, features};
use crate::model::{LayerInfo, Model, ModelError};
use crate::objective::missing;
use crate::random::Noise;
use crate::rows::floats;
use crate::suite::{Control, Direction, UnitSelection};
use crate::terms::{LayerName, Part, Place, Unit};

/// A unit that is driven, with the spread that makes its gain comparable.
#[derive(Debug, Clone, PartialEq)]
pub struct DrivenUnit {
    /// The unit.
    pub unit: Unit,
    /// Whether it is a control beside the attack.
    pub control: bool,
    /// Standard deviation of its activation over the reference images.
    pub deviation: f64,
    /// Where the unit is chosen for each sample, those of all units of the layer.
    pub spread: Option<Rc<Vec<f64>>>,
}

/// What the units of watched layers do over the reference images.
#[derive(Debug)]
pub struct Reference {
    features: Vec<Features>,
}

impl Reference {
    /// From `batches` of reference pixels `[N, C, H, W]`, each seen once for all `watched` layers.
    ///
    /// # Errors
    /// If there is no such layer, or what loading a batch gives.
    pub fn new<E: From<ModelError>>(
        model: &Model,
        watched: &[Watched],
        batches: impl Iterator<Item = Result<Tensor, E>>,
    ) -> Result<Self, E> {
        for watched in watched {
            // Neurons that do not exist cannot be seen.
            let info = model.layer(&watched.layer)?;
            for unit in &watched.neurons {
                check_unit(model, *unit, &info)?;
            }
        }
        Ok(Reference { features: features(model, watched, batches)? })
    }

    fn layer(&self, layer: &LayerName) -> Option<&Features> {
        self.features.iter().find(|features| &features.layer == layer)
    }
}

fn check_unit(model: &Model, unit: Unit, layer: &LayerInfo) -> Result<(), ModelError> {
    match missing(model, unit, layer) {
        None => Ok(()),
        Some(problem) => {
            let (model, layer, unit) = (model.name.clone(), layer.name.clone(), unit.to_string());
            Err(ModelError::UnknownUnit { model, layer, unit, problem })
        }
    }
}

/// Which units of a layer an attack drives.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'a> {
    /// The layer.
    pub layer: &'a LayerName,
    /// The units.
    pub units: &'a UnitSelection,
    /// Up or down.
    pub direction: Direction,
    /// Controls beside them, of which some are units too.
    pub controls: &'a [Control],
}

/// Chooses the units of an attack and of its random-unit control from what they do over the reference images.
///
/// # Errors
/// If the layer or a listed unit does not exist.
pub fn choose(
    model: &Model,
    selected: Selected,
    reference: &Reference,
    noise: &Noise,
) -> Result<Vec<DrivenUnit>, ModelError> {
    let Selected { layer, units: selection, controls, .. } = selected;
    let info = model.layer(layer)?;
    let features = reference.layer(layer).ok_or_else(|| model.unknown_layer(layer))?;
    let mut units: Vec<Unit> = match selection {
        UnitSelection::Listed(units) => units.clone(),
        UnitSelection::All => (0..info.units).map(Unit::channel).collect(),
        UnitSelection::Random(count) => {
            noise.choose("units", *count, info.units).into_iter().map(Unit::channel).collect()
        }
        // What another measure ranks is listed before; for checks any units do.
        UnitSelection::Top { count, .. } => (0..info.units).take(*count).map(Unit::channel).collect(),
        UnitSelection::TopActivation(count) => {
            let (mean, _) = spread(&features.means);
            let mut order: Vec<usize> = (0..mean.len()).collect();
            order.sort_by(|&a, &b| mean[b].total_cmp(&mean[a]).then(a.cmp(&b)));
            order.into_iter().take(*count).map(Unit::channel).collect()
        }
    };
    for unit in &units {
        check_unit(model, *unit, &info)?;
    }
    let attacked = units.len();
    if controls.contains(&Control::RandomUnit) {
        units.extend(control_units(&units, &info, model, noise));
    }
    let by_sample = units.iter().any(|unit| unit.is_chosen_by_sample());
    let spread = by_sample.then(|| Rc::new(spread(&features.means).1));
    let driven = units.into_iter().enumerate();
    Ok(driven
        .map(|(at, unit)| {
            let (control, deviation) = (at >= attacked, deviation(features, unit));
            let spread = spread.clone().filter(|_| control || unit.is_chosen_by_sample());
            DrivenUnit { unit, control, deviation, spread }
        })
        .collect())
}

/// As many other units of the layer, drawn at random: heads for heads, else channels or features at the same places, of which single
/// neurons are compared with means.
fn control_units(units: &[Unit], info: &LayerInfo, model: &Model, noise: &Noise) -> Vec<Unit> {
    let free = free_parts(units, info, model);
    let chosen = noise.choose("control-units", units.len(), free.len());
    let place = |place: Place| if matches!(place, Place::At(..)) { Place::Mean } else { place };
    chosen.into_iter().zip(units).map(|(at, unit)| Unit { part: free[at], place: place(unit.place) }).collect()
}

/// How many random units there can be beside `units` as their controls, at most as many as these.
pub fn controls_left(units: &[Unit], info: &LayerInfo, model: &Model) -> usize {
    free_parts(units, info, model).len().min(units.len())
}

/// The parts of a layer that `units` leave to controls.
fn free_parts(units: &[Unit], info: &LayerInfo, model: &Model) -> Vec<Part> {
    let heads = units.iter().all(|unit| matches!(unit.part, Part::Head(_)));
    let count = if heads && info.shape.len() == 2 { model.heads().unwrap_or(0) as usize } else { info.units };
    let part = |index: usize| if heads { Part::Head(index) } else { Part::Channel(index) };
    (0..count).map(part).filter(|part| units.iter().all(|unit| unit.part != *part)).collect()
}

/// Standard deviation of a unit's activation over the reference images.
fn deviation(features: &Features, unit: Unit) -> f64 {
    features.of_unit(unit).map_or(0.0, |values| spread(&values.unsqueeze(1)).1[0])
}

/// Mean and standard deviation of each column.
fn spread(values: &Tensor) -> (Vec<f64>, Vec<f64>) {
    let wide = values.to_kind(Kind::Double).nan_to_num(0.0, 0.0, 0.0);
    let mean = wide.mean_dim([0i64].as_slice(), false, None);
    let deviation = (&wide - &mean).square().mean_dim([0i64].as_slice(), false, None).sqrt();
    let column = |tensor: &Tensor| floats(tensor).into_iter().map(f64::from).collect();
    (column(&mean), column(&deviation))
}
