//! Layers chosen by name, pattern or depth.

use super::{LayerInfo, Model, ModelError};
use crate::suite::{LOGITS, LayerChoice, LayerDepth};
use crate::terms::LayerName;

/// Every name of each layer, with its depth. Where no layer tells its cost, depth goes by the order.
pub fn depths(layers: &[LayerInfo]) -> Vec<LayerDepth<'_>> {
    placed(layers).1
}

/// The same with the place of the layer that each name is for.
fn placed(layers: &[LayerInfo]) -> (Vec<usize>, Vec<LayerDepth<'_>>) {
    let costs_known = layers.iter().any(|info| info.share < 1.0);
    let count = layers.len() as f64;
    let share = |index: usize, info: &LayerInfo| if costs_known { info.share } else { (index + 1) as f64 / count };
    let names = layers.iter().enumerate().flat_map(|(index, info)| {
        let depth = move |name| LayerDepth { name, share: share(index, info), landmark: info.landmark };
        info.names().map(move |name| (index, depth(name.as_str())))
    });
    names.unzip()
}

impl Model {
    /// The layers that `choices` mean, in the order of the pass, each once. `logits` is a layer of every model.
    ///
    /// # Errors
    /// If a choice means none: near names.
    pub fn chosen_layers<'c>(
        &self,
        choices: impl IntoIterator<Item = &'c LayerChoice>,
    ) -> Result<Vec<LayerInfo>, ModelError> {
        let infos = self.layers();
        let (places, depths) = placed(&infos);
        // A layer has the name by which it was asked for.
        let mut chosen: Vec<Option<LayerName>> = vec![None; infos.len()];
        let mut logits = false;
        for choice in choices {
            let found = choice.choose(&depths);
            match (found.is_empty(), choice.as_str()) {
                (false, _) => found.into_iter().for_each(|index| {
                    chosen[places[index]].get_or_insert_with(|| depths[index].name.into());
                }),
                (true, LOGITS) => logits = true,
                (true, other) => return Err(self.unknown_layer(&other.into())),
            }
        }
        let mut layers: Vec<LayerInfo> =
            infos.into_iter().zip(chosen).filter_map(|(info, name)| Some(info.called(name?))).collect();
        if logits {
            layers.push(self.layer(&LOGITS.into())?);
        }
        Ok(layers)
    }
}
