//! Attacks on units and features whose layer is a pattern or a depth become one attack for each layer that it means.

use std::rc::Rc;

use tch::Device;

use super::error::RunError;
use crate::model::{Compute, Model, ModelSource};
use crate::suite::{AttackConfig, LayerChoice};
use crate::terms::LayerName;

/// The attacks with one layer each, and for each the place in `attacks` of the one that it was written as. An attack of several
/// layers gives its name, followed by the layer, to each of them; models without the layer are left out of it.
///
/// # Errors
/// If a model has no such layer.
pub(super) fn attacks_by_layer(
    attacks: Vec<AttackConfig>,
    sources: &[ModelSource],
    device: Device,
) -> Result<(Vec<AttackConfig>, Vec<usize>), RunError> {
    let mut models: Vec<Option<Rc<Model>>> = sources.iter().map(|_| None).collect();
    let (mut expanded, mut origins) = (Vec::new(), Vec::new());
    for (place, attack) in attacks.into_iter().enumerate() {
        let Some(choice) = open_choice(&attack) else {
            expanded.push(attack);
            origins.push(place);
            continue;
        };
        let mut layers: Vec<(LayerName, Vec<String>)> = Vec::new();
        for (source, model) in sources.iter().zip(&mut models).filter(|(source, _)| attack.applies_to(&source.name)) {
            let model = match model {
                Some(model) => model.clone(),
                None => model.insert(Rc::new(source.build(Compute::f32(device))?)).clone(),
            };
            let found = model.chosen_layers([&choice]).map_err(|error| RunError::Asking { attack: place, error })?;
            for info in found {
                match layers.iter_mut().find(|(layer, _)| *layer == info.name) {
                    Some((_, models)) => models.push(source.name.clone()),
                    None => layers.push((info.name, vec![source.name.clone()])),
                }
            }
        }
        let single = layers.len() == 1;
        for (layer, models) in layers {
            let name = if single { attack.name.clone() } else { format!("{}-{layer}", attack.name) };
            expanded.push(on_layer(&attack, name, layer, models));
            origins.push(place);
        }
    }
    Ok((expanded, origins))
}

fn open_choice(attack: &AttackConfig) -> Option<LayerChoice> {
    attack.goal.layer()?.as_str().parse::<LayerChoice>().ok().filter(LayerChoice::is_open)
}

fn on_layer(attack: &AttackConfig, name: String, layer: LayerName, models: Vec<String>) -> AttackConfig {
    let mut attack = AttackConfig { name, models: Some(models), ..attack.clone() };
    if let Some(driven) = attack.goal.layer_mut() {
        *driven = layer;
    }
    attack
}
