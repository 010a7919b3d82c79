//! Pictures of the same units of two models, side by side.

use std::path::PathBuf;

use serde::Serialize;

use crate::compare::Comparison;
use crate::record::{Manifest, PictureDir, PictureRecord, StoreError};
use crate::report::chart::atlas::unit_name;
use crate::report::chart::gallery::class_name;
use crate::report::page::encode::data_uri;

/// Most bytes of pictures in the page.
const ROOM: usize = 2_000_000;

/// The units that both models of a contrast have pictures of.
#[derive(Debug, Default, Serialize)]
pub struct UnitPairs {
    pairs: Vec<UnitPair>,
    /// Pairs for which the page has no room.
    dropped: usize,
}

#[derive(Debug, Serialize)]
struct UnitPair {
    layer: String,
    unit: String,
    reference: Side,
    run: Side,
}

#[derive(Debug, Serialize)]
struct Side {
    model: String,
    source: String,
    objective: String,
    percentile: String,
    class: String,
}

impl UnitPairs {
    /// Whether there are none, shown or not.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.dropped == 0
    }

    /// From the pictures of runs; `folders` are the runs' names in the comparison and their folders.
    ///
    /// # Errors
    /// If a picture cannot be read.
    pub fn new(comparison: &Comparison, folders: &[(String, PathBuf)]) -> Result<Self, StoreError> {
        let mut found = UnitPairs::default();
        let of_run = |name: &str| match folders.iter().find(|(known, _)| known == name) {
            // A baseline is a file, and has no pictures.
            Some((_, folder)) if folder.is_dir() => {
                let dir = PictureDir::of_run(folder);
                // What classes are called is in the manifest; without one they have numbers.
                let manifest = Manifest::load(&folder.join("manifest.json"));
                let classes = manifest.map_or_else(|_| Vec::new(), |manifest| manifest.classes);
                Ok(Some((dir.clone(), dir.read()?, classes)))
            }
            _ => Ok::<_, StoreError>(None),
        };
        let mut used = 0;
        for contrast in &comparison.contrasts {
            let (Some(first), Some(second)) = (of_run(&comparison.reference)?, of_run(&contrast.run)?) else {
                continue;
            };
            let pictures =
                first.1.iter().filter(|picture| picture.model == contrast.models.reference && picture.seed == 0);
            for picture in pictures {
                let same = |other: &&PictureRecord| {
                    other.model == contrast.models.run
                        && other.seed == 0
                        && (&other.layer, &other.unit, &other.preset)
                            == (&picture.layer, &picture.unit, &picture.preset)
                };
                let called = |other: &&PictureRecord| same(other) && other.visualization == picture.visualization;
                let found_other = second.1.iter().find(called).or_else(|| second.1.iter().find(same));
                let Some(other) = found_other else { continue };
                let (reference, run) = (side(&first.0, picture, &first.2)?, side(&second.0, other, &second.2)?);
                used += reference.source.len() + run.source.len();
                if used > ROOM {
                    found.dropped += 1;
                    continue;
                }
                let (layer, unit) = (picture.layer.to_string(), unit_name(picture, &first.2));
                found.pairs.push(UnitPair { layer, unit, reference, run });
            }
        }
        Ok(found)
    }
}

fn side(dir: &PictureDir, picture: &PictureRecord, classes: &[String]) -> Result<Side, StoreError> {
    let path = dir.path().join(&picture.file);
    let png = crate::files::read_whole(&path).map_err(StoreError::io("read", &path))?;
    Ok(Side {
        model: picture.model.clone(),
        source: data_uri(&png),
        objective: format!("{:.3}", picture.objective),
        percentile: picture.percentile.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0)),
        class: format!("{} ({:.0} %)", class_name(classes, picture.answer.class), picture.answer.confidence * 100.0),
    })
}
