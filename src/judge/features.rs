//! Activations of units, of whole blocks of images.

use tch::Tensor;

use crate::model::{Model, ModelError, Taps};
use crate::objective::{unit_means, unit_values};
use crate::terms::{LayerName, Unit};

/// A layer whose units' activations are wanted: the means over positions of all, and units of other kinds.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The layer.
    pub layer: LayerName,
    /// Its units that are wanted and are no such means.
    pub neurons: Vec<Unit>,
}

/// The activations of a watched layer for N images.
#[derive(Debug)]
pub struct Features {
    /// The layer.
    pub layer: LayerName,
    /// Every unit's mean over positions `[N, U]`, f32.
    pub means: Tensor,
    neurons: Vec<(Unit, Tensor)>,
}

impl Features {
    /// From the whole activation of N images.
    pub fn new(model: &Model, watched: &Watched, activation: &Tensor) -> Self {
        let images = activation.size()[0] as usize;
        let neuron = |unit: &Unit| (*unit, unit_values(model, &watched.layer, activation, &vec![*unit; images]));
        Features {
            layer: watched.layer.clone(),
            means: unit_means(activation, model.tokens()),
            neurons: watched.neurons.iter().map(neuron).collect(),
        }
    }

    /// The activations `[N]` of a unit of the layer; none of another kind that was not watched.
    pub fn of_unit(&self, unit: Unit) -> Option<Tensor> {
        match unit.mean_of() {
            Some(index) => Some(self.means.select(1, index as i64)),
            None => self.neurons.iter().find(|(known, _)| *known == unit).map(|(_, values)| values.shallow_clone()),
        }
    }

    /// The images of `parts`, which watched the same layer, one after the other.
    pub fn join(parts: &[&Features]) -> Option<Features> {
        let first = parts.first()?;
        let cat = |value: &dyn Fn(&Features) -> Tensor| {
            let values: Vec<Tensor> = parts.iter().map(|part| value(part)).collect();
            Tensor::cat(&values, 0)
        };
        let neuron =
            |place: usize| (first.neurons[place].0, cat(&|part: &Features| part.neurons[place].1.shallow_clone()));
        Some(Features {
            layer: first.layer.clone(),
            means: cat(&|part: &Features| part.means.shallow_clone()),
            neurons: (0..first.neurons.len()).map(neuron).collect(),
        })
    }
}

/// The activations of all watched layers for `batches` of pixels `[N, C, H, W]`, one pass each, which leaves the network after the last
/// layer that is wanted.
///
/// # Errors
/// If there is no such layer, or what loading a batch gives.
pub fn features<E: From<ModelError>>(
    model: &Model,
    watched: &[Watched],
    batches: impl Iterator<Item = Result<Tensor, E>>,
) -> Result<Vec<Features>, E> {
    let layers: Vec<LayerName> = watched.iter().map(|watched| watched.layer.clone()).collect();
    let mut parts: Vec<Vec<Features>> = watched.iter().map(|_| Vec::new()).collect();
    for batch in batches {
        let batch = batch?;
        let mut taps = Taps::leaving(&layers);
        tch::no_grad(|| drop(model.forward(&batch, &mut taps)));
        for ((parts, watched), activation) in parts.iter_mut().zip(watched).zip(taps.into_activations()) {
            let activation = activation.ok_or_else(|| model.unknown_layer(&watched.layer))?;
            parts.push(tch::no_grad(|| Features::new(model, watched, &activation)));
        }
    }
    Ok(parts.iter().filter_map(|parts| Features::join(&parts.iter().collect::<Vec<_>>())).collect())
}
