//! The contact sheet: clean image, magnified perturbation and adversarial image of the first examples, as one PNG.

use image::RgbImage;
use image::imageops::FilterType;
use plotters::prelude::DrawingBackend;

use super::axis;
use super::canvas::{Align, Canvas, DrawError, Drawn, Type};
use super::figure::{self, Figure, MARGIN, PNG_SCALE};
use super::palette::{INK, MUTED};
use crate::record::Example;
use crate::wording::format;

const COLUMNS: usize = 3;
const MOST: usize = 12;
const WIDTH: u32 = 890;
const TOP: u32 = 84;
const SIDE: u32 = 88;
const GAP: u32 = 6;
const PITCH: (u32, u32) = (304, 150);

/// The examples that a sheet or page of `most` pictures shows, by index: each model and attack in turn, so that no
/// group crowds out another.
pub fn choose(examples: &[Example], most: usize) -> Vec<usize> {
    let mut groups: Vec<(&str, &str, Vec<usize>)> = Vec::new();
    for (index, example) in examples.iter().enumerate() {
        let cell = &example.cell;
        match groups.iter_mut().find(|(model, attack, _)| *model == cell.model && *attack == cell.attack) {
            Some((_, _, members)) => members.push(index),
            None => groups.push((&cell.model, &cell.attack, vec![index])),
        }
    }
    let longest = groups.iter().map(|(_, _, members)| members.len()).max().unwrap_or(0);
    let rounds = (0..longest).flat_map(|round| groups.iter().filter_map(move |(_, _, members)| members.get(round)));
    let mut chosen: Vec<usize> = rounds.take(most).copied().collect();
    chosen.sort_unstable();
    chosen
}

/// The name of class `index`, or its number.
pub fn class_name(classes: &[String], index: u32) -> String {
    classes.get(index as usize).filter(|name| !name.is_empty()).cloned().unwrap_or_else(|| format!("class {index}"))
}

/// The sheet as PNG; none without examples. An error names the sample whose picture cannot be decoded.
pub fn contact_sheet(examples: &[Example], classes: &[String]) -> Result<Option<Vec<u8>>, DrawError> {
    let chosen: Vec<&Example> = choose(examples, MOST).into_iter().map(|index| &examples[index]).collect();
    if chosen.is_empty() {
        return Ok(None);
    }
    let sheet = Sheet { examples: &chosen, classes };
    let (width, height) = figure::png_size(&sheet);
    let mut canvas = RgbImage::from_raw(width, height, figure::pixels(&sheet)?)
        .ok_or_else(|| DrawError::new("the contact sheet has a wrong size"))?;
    for (index, example) in chosen.iter().enumerate() {
        for (place, picture) in [&example.clean, &example.perturbation, &example.adversarial].into_iter().enumerate() {
            let picture = decode(picture).map_err(|cause| {
                DrawError::new(format!("failed to decode a picture of sample {}: {cause}", example.sample_id))
            })?;
            let (left, top) = corner(index);
            let left = (MARGIN + left + place as u32 * (SIDE + GAP)) * PNG_SCALE;
            let top = (MARGIN + top) * PNG_SCALE;
            image::imageops::replace(&mut canvas, &picture, i64::from(left), i64::from(top));
        }
    }
    figure::encode_png(canvas.as_raw(), width, height).map(Some)
}

/// Upper left corner of example `index`, in logical pixels.
fn corner(index: usize) -> (u32, u32) {
    ((index % COLUMNS) as u32 * PITCH.0, TOP + (index / COLUMNS) as u32 * PITCH.1)
}

/// A picture at its place's size; small ones keep their pixels visible.
fn decode(png: &[u8]) -> Result<RgbImage, image::ImageError> {
    let picture = image::load_from_memory_with_format(png, image::ImageFormat::Png)?.to_rgb8();
    let side = SIDE * PNG_SCALE;
    let filter = if picture.width().max(picture.height()) <= side { FilterType::Nearest } else { FilterType::Triangle };
    Ok(image::imageops::resize(&picture, side, side, filter))
}

/// All of the sheet but its pictures.
struct Sheet<'e> {
    examples: &'e [&'e Example],
    classes: &'e [String],
}

impl Figure for Sheet<'_> {
    fn size(&self) -> (u32, u32) {
        (WIDTH, TOP + self.examples.len().div_ceil(COLUMNS) as u32 * PITCH.1 - 24)
    }

    fn title(&self) -> String {
        "Examples".to_owned()
    }

    fn description(&self) -> String {
        format!("{} flipped samples.", self.examples.len())
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        let subtitle = "Clean image, perturbation (magnified as stated, grey is no change), adversarial image";
        axis::heading(canvas, "Flipped samples", subtitle, f64::from(WIDTH))?;
        for (index, example) in self.examples.iter().enumerate() {
            let (left, top) = corner(index);
            let (left, top) = (f64::from(left), f64::from(top));
            let centre = |place: u32| left + f64::from(place * (SIDE + GAP) + SIDE / 2);
            let small = Type::new(11.0, MUTED);
            let room = f64::from(PITCH.0 - 24);
            let head = format!(
                "{} · {} · ε {}",
                example.cell.model,
                example.cell.attack,
                format::epsilon(example.cell.epsilon)
            );
            canvas.text(left, top - 7.0, &small.fit(&head, room), small)?;
            let below = top + f64::from(SIDE) + 15.0;
            let face = Type::new(11.5, INK).bold().align(Align::Centre);
            let name = |class: u32| face.fit(&class_name(self.classes, class), f64::from(SIDE + GAP));
            canvas.text(centre(0), below, &name(example.clean_pred), face)?;
            canvas.text(centre(2), below, &name(example.adv_pred), face)?;
            let small = small.align(Align::Centre);
            canvas.text(centre(1), below, &format!("× {}", gain(example.gain)), small)?;
            canvas.text(centre(0), below + 14.0, &format::percent(f64::from(example.confidence_clean)), small)?;
            canvas.text(centre(2), below + 14.0, &format::percent(f64::from(example.confidence_adv)), small)?;
        }
        Ok(())
    }
}

/// A gain without needless digits.
pub fn gain(gain: f32) -> String {
    if gain >= 10.0 { format!("{gain:.0}") } else { format!("{}", (gain * 10.0).round() / 10.0) }
}
