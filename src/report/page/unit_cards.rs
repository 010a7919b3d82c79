//! One section for each unit that has a picture: what drives it, the real samples that do, and what driving it flips.

use serde::Serialize;

use super::embedded::{SAMPLE_SIDE, SIDE, embedded};
use super::encode::data_uri;
use crate::record::{Example, PictureDir, PictureRecord};
use crate::report::chart::atlas::unit_name;
use crate::report::chart::canvas::DrawError;
use crate::report::chart::gallery::class_name;
use crate::report::error::ReportError;
use crate::summary::{InsideSummary, UnitSummary};
use crate::wording::format;

/// Most units with a section of their own.
const MOST_CARDS: usize = 120;
/// Most bytes of their pictures.
const ROOM: usize = 2_500_000;
/// Real samples and flips of a unit.
const FEW: usize = 5;

/// A unit.
#[derive(Debug, Serialize)]
pub(in crate::report) struct UnitCard {
    title: String,
    picture: String,
    measures: String,
    samples: Vec<Shown>,
    /// What driving it flips, one line for each attack.
    flips: Vec<String>,
    worst: Vec<Shown>,
}

/// A small picture with a caption.
#[derive(Debug, Serialize)]
struct Shown {
    source: String,
    caption: String,
}

/// The sections, in the order of the pictures, as many as have room; and how many have none.
///
/// # Errors
/// If a picture cannot be read.
pub(in crate::report) fn unit_cards(
    dir: &PictureDir,
    pictures: &[PictureRecord],
    inside: &InsideSummary,
    examples: &[Example],
    classes: &[String],
) -> Result<(Vec<UnitCard>, usize), ReportError> {
    let (mut cards, mut used, mut dropped) = (Vec::new(), 0, 0);
    for picture in pictures.iter().filter(|picture| picture.seed == 0) {
        if cards.len() >= MOST_CARDS || used > ROOM {
            dropped += 1;
            continue;
        }
        let card = card(dir, picture, inside, examples, classes)?;
        used += card.picture.len()
            + card.samples.iter().chain(&card.worst).map(|sample| sample.source.len()).sum::<usize>();
        cards.push(card);
    }
    Ok((cards, dropped))
}

fn card(
    dir: &PictureDir,
    picture: &PictureRecord,
    inside: &InsideSummary,
    examples: &[Example],
    classes: &[String],
) -> Result<UnitCard, ReportError> {
    let read = |file: &str, most: u32| {
        let failed = |source: DrawError| ReportError::Draw { chart: file.to_owned(), source };
        embedded(&dir.path().join(file), most).map_err(failed)
    };
    let samples = picture.samples.iter().take(FEW).map(|sample| {
        let class = sample.label.map_or_else(String::new, |label| format!("{}, ", class_name(classes, label)));
        Ok(Shown { source: read(&sample.file, 2 * SAMPLE_SIDE)?, caption: format!("{class}{:.2}", sample.activation) })
    });
    let is_of =
        |unit: &&UnitSummary| (&unit.model, &unit.layer, &unit.unit) == (&picture.model, &picture.layer, &picture.unit);
    let mut driven: Vec<&UnitSummary> = inside.units.iter().filter(is_of).collect();
    // At the largest radius of each attack.
    driven.sort_by(|a, b| a.attack.cmp(&b.attack).then(b.epsilon.cmp(&a.epsilon)));
    driven.dedup_by(|later, first| later.attack == first.attack);
    let mut worst: Vec<&Example> = examples
        .iter()
        .filter(|example| {
            let cell = &example.cell;
            cell.model == picture.model
                && cell.layer.as_ref() == Some(&picture.layer)
                && cell.unit_text() == picture.unit
        })
        .collect();
    worst.sort_by(|a, b| b.confidence_adv.total_cmp(&a.confidence_adv));
    let percentile = picture.percentile.map_or_else(String::new, |share| {
        format!(", above {:.1} % of {} real samples", share * 100.0, picture.compared)
    });
    Ok(UnitCard {
        title: format!(
            "{} · {} · unit {} · {}",
            picture.model,
            picture.layer,
            unit_name(picture, classes),
            picture.visualization
        ),
        picture: read(&picture.file, SIDE)?,
        measures: format!(
            "activation {:.3}{percentile}; given {} with {:.0} %",
            picture.objective,
            class_name(classes, picture.answer.class),
            picture.answer.confidence * 100.0
        ),
        samples: samples.collect::<Result<_, ReportError>>()?,
        flips: driven.into_iter().map(|unit| flips(unit, classes)).collect(),
        worst: worst
            .into_iter()
            .take(FEW)
            .map(|example| Shown {
                source: data_uri(&example.adversarial),
                caption: format!(
                    "{} as {}, {:.0} %",
                    class_name(classes, example.label),
                    class_name(classes, example.adv_pred),
                    example.confidence_adv * 100.0
                ),
            })
            .collect(),
    })
}

fn flips(unit: &UnitSummary, classes: &[String]) -> String {
    let to: Vec<String> =
        unit.classes.iter().map(|(class, count)| format!("{} ({count})", class_name(classes, *class))).collect();
    let compared = |name: &str, rate: Option<f64>| rate.map(|rate| format!(", {name} {}", format::percent(rate)));
    format!(
        "{} {} {}: flips {} of {}{}{}{}",
        unit.attack,
        format::norm(unit.norm),
        format::epsilon(unit.epsilon),
        format::percent(unit.flip_rate.point),
        format::count(unit.n),
        compared("noise", unit.noise).unwrap_or_default(),
        compared("random units", unit.random_unit).unwrap_or_default(),
        if to.is_empty() { String::new() } else { format!("; to {}", to.join(", ")) },
    )
}
