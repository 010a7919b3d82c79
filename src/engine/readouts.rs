//! Readouts of layers, trained when a run comes to a model whose attacks follow them.

use std::collections::HashSet;
use std::rc::Rc;

use tch::Tensor;

use super::error::RunError;
use super::prepare::Prepared;
use crate::attack::kind;
use crate::data::Loading;
use crate::judge::pixels;
use crate::model::Model;
use crate::objective::{Readout, Trained};
use crate::terms::LayerName;

/// Images on which readouts are trained.
const IMAGES: usize = 2048;

/// So few images besides those of the run are too few.
const FEWEST: usize = 256;

/// Readouts of all layers that attacks on the model at `index` follow. Works on at most `chunk` images at once.
///
/// # Errors
/// If images cannot be read.
pub fn trained(prepared: &Prepared, index: usize, verifier: &Model, chunk: usize) -> Result<Vec<Trained>, RunError> {
    let name = &prepared.suite.models[index].name;
    let mut layers: Vec<LayerName> = Vec::new();
    for attack in prepared.suite.attacks.iter().filter(|attack| attack.applies_to(name)) {
        if let Some(layer) = kind(&attack.goal).readout().filter(|layer| !layers.contains(layer)) {
            layers.push(layer);
        }
    }
    if layers.is_empty() {
        return Ok(Vec::new());
    }
    let batches = images(prepared, chunk)?;
    let train = |layer: LayerName| {
        let (readout, agrees) = Readout::train(verifier, &layer, &batches);
        Trained { layer, readout: Rc::new(readout), agrees }
    };
    Ok(layers.into_iter().map(train).collect())
}

/// Others of the data set than those of the run, evenly over it; those of the run if there are too few others.
fn images(prepared: &Prepared, chunk: usize) -> Result<Vec<Tensor>, RunError> {
    let run = prepared.selection.indices();
    let taken: HashSet<usize> = run.iter().copied().collect();
    let others: Vec<usize> = (0..prepared.dataset.len()).filter(|index| !taken.contains(index)).collect();
    let pool = if others.len() >= FEWEST { others } else { run.to_vec() };
    let count = pool.len().min(IMAGES);
    let chosen: Vec<usize> = (0..count).map(|place| pool[place * pool.len() / count]).collect();
    let batches = chosen.chunks(chunk.max(1)).map(|part| -> Result<Tensor, RunError> {
        let samples = Loading::start(prepared.dataset.clone(), part.to_vec()).wait()?;
        Ok(pixels(&samples, prepared.device))
    });
    batches.collect()
}
