//! Which of the tables that may be right is: the first that its reader opens.

use std::path::Path;

use super::look::Candidate;
use super::{Draft, Found, quoted, relative};
use crate::data::{self, Dataset};
use crate::suite::Suite;

/// Images that a first suite takes.
const SAMPLES: usize = 100;
/// Images whose sizes are looked at.
const LOOKED_AT: usize = 24;

/// A table of data that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Its lines.
    pub lines: Vec<String>,
    /// Width and height of the images, if those looked at are all alike.
    pub size: Option<(u32, u32)>,
    /// Colour channels.
    pub channels: usize,
    /// Number of classes.
    pub classes: usize,
    /// The longer explanation.
    pub note: String,
}

pub(super) fn choose(suite: &Path, base: &Path, found: &Found, draft: &mut Draft) -> Option<Data> {
    let mut chosen = None;
    let mut refused: Vec<String> = Vec::new();
    for candidate in &found.data {
        match (&chosen, open(suite, base, candidate)) {
            (None, Ok(data)) => {
                draft.taken.push(format!("data: {}", data.note));
                chosen = Some(data);
            }
            (Some(_), Ok(data)) => draft.left.push(format!("data that would do too: {}", data.note)),
            (_, Err(why)) => refused.push(why),
        }
    }
    // A table of something else is no news where the images were found.
    if chosen.is_none() {
        draft.left.extend(refused.into_iter().take(5));
        for (folder, count) in &found.loose {
            draft.left.push(format!(
                "{}: {count} images without labels; part them into one folder for each class, or list them in a CSV file with columns \
                 path and label",
                relative(folder, base)
            ));
        }
        draft
            .open
            .push("[data]: no labelled images were found; `kind` and paths (docs/data.md shows every kind)".to_owned());
    }
    chosen
}

fn open(suite: &Path, base: &Path, candidate: &Candidate) -> Result<Data, String> {
    let mut lines = vec![format!("kind = {}", quoted(candidate.kind))];
    lines.extend(candidate.paths.iter().rev().map(|(key, path)| format!("{key} = {}", quoted(&relative(path, base)))));
    let place = candidate.paths.last().map(|(_, path)| relative(path, base)).unwrap_or_default();
    let config = parsed(suite, &lines).ok_or_else(|| format!("{place}: no table of data"))?;
    let dataset =
        data::open(&config.data).map_err(|error| format!("{place} as {}: {}", candidate.kind, error.with_cause()))?;
    if dataset.is_empty() {
        return Err(format!("{place} as {}: no image", candidate.kind));
    }
    let first = dataset.image(0).map_err(|error| format!("{place} as {}: {}", candidate.kind, error.with_cause()))?;
    let (size, classes) = (common_size(dataset.as_ref()), dataset.classes().len());
    let shape = size.map_or("of various sizes".to_owned(), |(width, height)| format!("{width} x {height}"));
    let note = format!("{place} ({}: {} images {shape}, {classes} classes)", candidate.kind, dataset.len());
    if dataset.len() > SAMPLES {
        lines.push(format!("samples = {SAMPLES} # of {}, the same number of each class", dataset.len()));
    }
    Ok(Data { lines, size, channels: first.channels as usize, classes, note })
}

/// A suite with these lines of data and a model that is none.
fn parsed(suite: &Path, lines: &[String]) -> Option<Suite> {
    let text = format!(
        "schema = 1\nname = \"s\"\n[data]\n{}\n[[model]]\nname = \"m\"\narch = \"a\"\nweights = \"w\"\n\
         normalize = {{ mean = [0.5], std = [0.5] }}\n[boundary]\n",
        lines.join("\n")
    );
    Suite::parse(suite, text).ok()
}

fn common_size(dataset: &dyn Dataset) -> Option<(u32, u32)> {
    let step = dataset.len().div_ceil(LOOKED_AT).max(1);
    let mut sizes = (0..dataset.len()).step_by(step).map(|index| dataset.size(index));
    let first = sizes.next()??;
    sizes.all(|size| size == Some(first)).then_some(first)
}
