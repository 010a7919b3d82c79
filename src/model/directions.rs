//! Directions in the activations of a model's layers, by the names that units give them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tch::{Kind, Tensor};

use crate::terms::{DirectionName, LayerName};

/// Unit vectors by layer and name. Clones share them: the model that searches and the one that decides read alike.
#[derive(Debug, Clone, Default)]
pub struct Directions(Rc<RefCell<BTreeMap<(LayerName, DirectionName), Tensor>>>);

impl Directions {
    /// Keeps a vector `[features]`, scaled to length 1. A vector without a length stays 0: its unit is dead.
    pub fn set(&self, layer: &LayerName, name: DirectionName, vector: Tensor) {
        let vector = vector.to_kind(Kind::Float).flatten(0, -1);
        let length = vector.norm().clamp_min(f64::from(f32::MIN_POSITIVE));
        self.0.borrow_mut().insert((layer.clone(), name), vector / length);
    }

    /// The vector `[features]`, if it is known.
    pub fn get(&self, layer: &LayerName, name: DirectionName) -> Option<Tensor> {
        self.0.borrow().get(&(layer.clone(), name)).map(Tensor::shallow_clone)
    }
}
