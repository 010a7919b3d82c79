//! What attacks on features learn of a model when a run comes to it: readouts of layers, and images to be guided to.

use std::collections::HashSet;
use std::rc::Rc;

use tch::Tensor;

use super::error::RunError;
use super::prepare::Prepared;
use crate::attack::{Guides, Learned};
use crate::data::Loading;
use crate::judge::pixels;
use crate::model::Model;
use crate::objective::{Readout, Trained};
use crate::rows::integers;
use crate::suite::passes::{GUIDES, READOUT_IMAGES};
use crate::terms::LayerName;

/// So few images besides those of the run are too few.
const FEWEST: usize = 256;

/// What the attacks on the model at `index` learn. Works on at most `chunk` images at once.
///
/// # Errors
/// If images cannot be read, or the model says the same of all images that others could be guided to.
pub fn learned(prepared: &Prepared, index: usize, verifier: &Model, chunk: usize) -> Result<Learned, RunError> {
    let name = &prepared.suite.models[index].name;
    let mut layers: Vec<LayerName> = Vec::new();
    let mut is_guided = false;
    for attack in prepared.suite.attacks.iter().filter(|attack| attack.applies_to(name)) {
        if attack.goal.follows_readout() {
            layers.extend(attack.goal.layer().filter(|layer| !layers.contains(layer)).cloned());
        }
        is_guided |= attack.goal.follows_guides();
    }
    let mut learned = Learned::default();
    if !layers.is_empty() {
        let batches = images(prepared, chunk)?;
        let train = |layer: LayerName| {
            let (readout, agrees) = Readout::train(verifier, &layer, &batches);
            Trained { layer, readout: Rc::new(readout), agrees }
        };
        learned.readouts = layers.into_iter().map(train).collect();
    }
    if is_guided {
        learned.guides = Some(guides(prepared, verifier, chunk)?);
    }
    Ok(learned)
}

/// Images evenly over the data set, whatever part of it is run.
fn guides(prepared: &Prepared, verifier: &Model, chunk: usize) -> Result<Guides, RunError> {
    let all: Vec<usize> = (0..prepared.dataset.len()).collect();
    let batches = loaded(prepared, &evenly(&all, GUIDES), chunk)?;
    let predicted = |batch: &Tensor| integers(&tch::no_grad(|| verifier.logits(batch)).argmax(-1, false));
    let predictions: Vec<i64> = batches.iter().flat_map(predicted).collect();
    let (count, class) = (predictions.len(), predictions.first().copied().unwrap_or(0));
    Guides::new(Tensor::cat(&batches, 0), predictions).ok_or_else(|| RunError::Fit {
        model: verifier.name.clone(),
        problem: format!(
            "`guided` drives features towards those of an image of another class, and it predicts class {class} for all \
             {count} images of the data that were looked at"
        ),
    })
}

/// Others of the data set than those of the run, evenly over it; those of the run if there are too few others.
fn images(prepared: &Prepared, chunk: usize) -> Result<Vec<Tensor>, RunError> {
    let run = prepared.selection.indices();
    let taken: HashSet<usize> = run.iter().copied().collect();
    let others: Vec<usize> = (0..prepared.dataset.len()).filter(|index| !taken.contains(index)).collect();
    let pool = if others.len() >= FEWEST { others } else { run.to_vec() };
    loaded(prepared, &evenly(&pool, READOUT_IMAGES), chunk)
}

/// At most `most` of `pool`, evenly over it.
fn evenly(pool: &[usize], most: usize) -> Vec<usize> {
    let count = pool.len().min(most);
    (0..count).map(|place| pool[place * pool.len() / count]).collect()
}

/// Images of the data set, `chunk` at a time.
fn loaded(prepared: &Prepared, indices: &[usize], chunk: usize) -> Result<Vec<Tensor>, RunError> {
    let batches = indices.chunks(chunk.max(1)).map(|part| -> Result<Tensor, RunError> {
        let samples = Loading::start(prepared.dataset.clone(), part.to_vec()).wait()?;
        Ok(pixels(&samples, prepared.device))
    });
    batches.collect()
}
