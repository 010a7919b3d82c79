//! Whether the classes of a data set can be those of a model.

use std::collections::BTreeSet;

use super::Dataset;

/// How the classes of a data set got their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// They are the data set's own, or a list of names gives them.
    Fixed,
    /// Each is the place of a name among those that are there, in alphabetical order: of `folders`, or of `labels`.
    Places(&'static str),
    /// Labels are numbers.
    Numbers,
}

/// What looks wrong about the data for a model of so many classes: one sentence, and what to do.
pub fn misfit(dataset: &dyn Dataset, classes: usize) -> Option<String> {
    let names = dataset.classes();
    match dataset.numbering() {
        Numbering::Places(noun) if names.len() != classes => Some(format!(
            "{noun} {} are classes {} in alphabetical order, but the model has {classes} classes; `class_names` in [data] \
             tells which classes they are",
            first(names.iter().map(|name| format!("`{name}`")), names.len()),
            first((0..names.len()).map(|class| class.to_string()), names.len()),
        )),
        Numbering::Fixed if names.len() != classes && !names.is_empty() => Some(format!(
            "the data has {} classes, the model has {classes}; are they numbered alike? `class_names` in [data] names the \
             model's classes",
            names.len()
        )),
        Numbering::Numbers => begins_at_one(dataset, classes)
            .then(|| "no label is 0: do labels begin at 1? am-eval counts classes from 0".to_owned()),
        _ => None,
    }
}

/// Whether the labels are numbers from 1 on: up to the number of classes, or without a gap.
fn begins_at_one(dataset: &dyn Dataset, classes: usize) -> bool {
    let labels: BTreeSet<u32> = (0..dataset.len()).map(|index| dataset.label(index)).collect();
    let last = labels.last().map_or(0, |last| *last as usize);
    let gapless = labels.len() > 1 && labels.first() == Some(&1) && last == labels.len();
    !labels.contains(&0) && (gapless || last == classes)
}

/// The number of classes that the labels speak of.
pub fn class_count(dataset: &dyn Dataset) -> usize {
    let largest = (0..dataset.len()).map(|index| dataset.label(index) as usize + 1).max();
    dataset.classes().len().max(largest.unwrap_or(0))
}

/// The first few of a list.
fn first(words: impl Iterator<Item = String>, count: usize) -> String {
    const SHOWN: usize = 5;
    let mut text = words.take(SHOWN).collect::<Vec<_>>().join(", ");
    if count > SHOWN {
        text += &format!(" and {} more", count - SHOWN);
    }
    text
}
