//! The atlas of a layer: the pictures of its units beside the real samples that drive them, as one PNG.

use std::path::{Path, PathBuf};

use image::imageops::{FilterType, overlay, replace, resize};
use image::{RgbImage, Rgba, RgbaImage};
use plotters::prelude::DrawingBackend;

use super::axis::{self, SMALL};
use super::canvas::{Align, Canvas, DrawError, Drawn, Type};
use super::figure::{self, Figure, MARGIN, PNG_SCALE};
use super::gallery::class_name;
use super::palette::{INK, MUTED};
use crate::record::{PictureDir, PictureRecord, Status, file_word, write_atomically};
use crate::report::ReportError;

const COLUMNS: usize = 6;
const WIDTH: u32 = 890;
const TOP: u32 = 74;
const SIDE: u32 = 136;
const GAP: u32 = 14;
/// Real samples below a picture.
const SAMPLES: usize = 5;
const SAMPLE_GAP: u32 = 4;
const SAMPLE_SIDE: u32 = (SIDE - (SAMPLES as u32 - 1) * SAMPLE_GAP) / SAMPLES as u32;
const TEXT: u32 = 34;
const PITCH: u32 = SIDE + 6 + SAMPLE_SIDE + TEXT + 12;
/// Pictures of an atlas; further ones have files of their own.
const MOST: usize = 60;

/// The pictures of one layer of one model.
pub struct Atlas<'p> {
    /// The file's name, without its ending.
    pub slug: String,
    pictures: Vec<&'p PictureRecord>,
    left_out: usize,
    classes: &'p [String],
}

/// The visualizations that made one picture each of a layer where others did too: they stand beside each other.
fn compared(pictures: &[PictureRecord]) -> Vec<&PictureRecord> {
    let of_layer = |a: &PictureRecord, b: &PictureRecord| a.model == b.model && a.layer == b.layer;
    let count = |picture: &PictureRecord| {
        let same_visualization =
            |other: &&PictureRecord| of_layer(other, picture) && other.visualization == picture.visualization;
        pictures.iter().filter(same_visualization).count()
    };
    let single: Vec<&PictureRecord> = pictures.iter().filter(|picture| count(picture) == 1).collect();
    let has_neighbours = |picture: &&PictureRecord| single.iter().filter(|other| of_layer(other, picture)).count() > 1;
    single.iter().copied().filter(has_neighbours).collect()
}

/// The atlases of some pictures, in their order.
pub fn atlases<'p>(pictures: &'p [PictureRecord], classes: &'p [String]) -> Vec<Atlas<'p>> {
    let mut atlases: Vec<Atlas> = Vec::new();
    let compared = compared(pictures);
    for picture in pictures {
        let name = match compared.iter().any(|other| std::ptr::eq(*other, picture)) {
            true => "compared",
            false => picture.visualization.as_str(),
        };
        let slug = file_word(&format!("atlas-{name}-{}-{}", picture.model, picture.layer));
        let place = atlases.iter().position(|atlas| atlas.slug == slug);
        let place = place.unwrap_or_else(|| {
            atlases.push(Atlas { slug, pictures: Vec::new(), left_out: 0, classes });
            atlases.len() - 1
        });
        match &mut atlases[place] {
            atlas if atlas.pictures.len() < MOST => atlas.pictures.push(picture),
            atlas => atlas.left_out += 1,
        }
    }
    atlases
}

/// A unit by its number, or by its class where units are classes.
pub fn unit_name(picture: &PictureRecord, classes: &[String]) -> String {
    let class = picture.unit.parse::<usize>().ok().filter(|_| picture.of_classes).and_then(|unit| classes.get(unit));
    class.map_or_else(|| picture.unit.clone(), |class| format!("{} {class}", picture.unit))
}

impl Atlas<'_> {
    /// Its pictures.
    pub fn pictures(&self) -> &[&PictureRecord] {
        &self.pictures
    }

    /// What stands below a picture: its unit, how it stands among real samples, and what it is seen as.
    pub fn words(&self, picture: &PictureRecord) -> [String; 3] {
        let seed = if picture.seed > 0 { format!(" ({})", picture.seed + 1) } else { String::new() };
        let mixed = self.pictures.iter().any(|other| other.visualization != self.pictures[0].visualization);
        let unit = unit_name(picture, self.classes);
        let name = match mixed {
            true => format!("{} · {unit}{seed}", picture.visualization),
            false => format!("{unit}{seed}"),
        };
        let standing = match (picture.status, picture.percentile) {
            (Status::Ok, Some(share)) => format!("{:.1} %", share * 100.0),
            (Status::Ok, None) => format!("{:.3}", picture.objective),
            (status, _) => status.to_string(),
        };
        let answer = &picture.answer;
        [name, standing, format!("{} {:.0} %", class_name(self.classes, answer.class), answer.confidence * 100.0)]
    }

    /// What stands above it, and below a page's picture of it.
    pub fn caption(&self) -> String {
        let Some(first) = self.pictures.first() else { return String::new() };
        let more = if self.left_out > 0 {
            format!(" ({} more have files of their own)", self.left_out)
        } else {
            String::new()
        };
        format!(
            "{} · {} · {} at {:.0} % of the pass: {} picture{}{more}",
            first.model,
            self.names(),
            first.layer,
            first.depth * 100.0,
            self.pictures.len(),
            if self.pictures.len() == 1 { "" } else { "s" }
        )
    }

    /// The visualizations whose pictures these are.
    fn names(&self) -> String {
        let mut names: Vec<&str> = self.pictures.iter().map(|picture| picture.visualization.as_str()).collect();
        names.dedup();
        names.join(", ")
    }

    /// How the pictures were made.
    pub fn making(&self) -> String {
        match self.pictures.first() {
            Some(first) if self.pictures.iter().all(|other| other.visualization == first.visualization) => {
                format!("{}: preset {}, from {}, {} steps", first.visualization, first.preset, first.start, first.steps)
            }
            _ => format!("One picture each: {}", self.names()),
        }
    }

    /// What stands below the pictures.
    pub fn below(&self) -> String {
        match self.pictures.first() {
            Some(first) if !first.samples.is_empty() => format!(
                "below: real samples that drive the unit most; percentile among {} samples; class given to the picture",
                first.compared
            ),
            _ => "below: the class given to the picture".to_owned(),
        }
    }

    /// The PNG file; pictures are read from `dir`.
    ///
    /// # Errors
    /// If a picture cannot be read.
    pub fn png(&self, dir: &PictureDir) -> Result<Vec<u8>, DrawError> {
        let (width, height) = figure::png_size(self);
        let mut canvas = RgbImage::from_raw(width, height, figure::pixels(self)?)
            .ok_or_else(|| DrawError::new("the atlas has a wrong size"))?;
        for (index, picture) in self.pictures.iter().enumerate() {
            let (left, top) = corner(index);
            let place =
                |left: u32, top: u32| (i64::from((MARGIN + left) * PNG_SCALE), i64::from((MARGIN + top) * PNG_SCALE));
            let (x, y) = place(left, top);
            replace(&mut canvas, &read(&dir.path().join(&picture.file), SIDE * PNG_SCALE)?, x, y);
            for (rank, sample) in picture.samples.iter().take(SAMPLES).enumerate() {
                let (x, y) = place(left + rank as u32 * (SAMPLE_SIDE + SAMPLE_GAP), top + SIDE + 6);
                replace(&mut canvas, &read(&dir.path().join(&sample.file), SAMPLE_SIDE * PNG_SCALE)?, x, y);
            }
        }
        figure::encode_png(canvas.as_raw(), width, height)
    }
}

/// A picture at its place's size, on white; small ones keep their pixels visible.
pub(super) fn read(path: &Path, side: u32) -> Result<RgbImage, DrawError> {
    let wrong = |cause: String| DrawError::new(format!("{}: {cause}", path.display()));
    let bytes = crate::files::read_whole(path).map_err(|error| wrong(error.to_string()))?;
    let picture = image::load_from_memory(&bytes).map_err(|error| wrong(error.to_string()))?.to_rgba8();
    let largest = picture.width().max(picture.height());
    let filter = if largest <= side { FilterType::CatmullRom } else { FilterType::Triangle };
    // Pixels that are as large as this need no more than one step between them, and files are a fraction as large.
    let resized = match side / largest.max(1) {
        4.. => {
            let twice = resize(&picture, 2 * picture.width(), 2 * picture.height(), filter);
            resize(&twice, side, side, FilterType::Nearest)
        }
        _ => resize(&picture, side, side, filter),
    };
    let mut paper = RgbaImage::from_pixel(side, side, Rgba([255; 4]));
    overlay(&mut paper, &resized, 0, 0);
    Ok(image::DynamicImage::ImageRgba8(paper).to_rgb8())
}

/// Upper left corner of picture `index`, in logical pixels.
fn corner(index: usize) -> (u32, u32) {
    ((index % COLUMNS) as u32 * (SIDE + GAP), TOP + (index / COLUMNS) as u32 * PITCH)
}

impl Figure for Atlas<'_> {
    fn size(&self) -> (u32, u32) {
        (WIDTH, TOP + self.pictures.len().div_ceil(COLUMNS) as u32 * PITCH)
    }

    fn title(&self) -> String {
        "Atlas".to_owned()
    }

    fn description(&self) -> String {
        self.caption()
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        let Some(first) = self.pictures.first() else { return Ok(()) };
        let title = format!("{} · {}", first.model, first.layer);
        axis::heading(canvas, &title, &self.making(), f64::from(WIDTH))?;
        let face = Type::new(SMALL, MUTED);
        canvas.text(0.0, 56.0, &face.fit(&self.below(), f64::from(WIDTH)), face)?;
        for (index, picture) in self.pictures.iter().enumerate() {
            let (left, top) = corner(index);
            let left = f64::from(left);
            let line = f64::from(top + SIDE + 6 + SAMPLE_SIDE) + 13.0;
            let face = Type::new(11.5, INK).bold();
            let [name, standing, class] = self.words(picture);
            canvas.text(left, line, &face.fit(&name, f64::from(SIDE) - 46.0), face)?;
            let small = Type::new(11.0, MUTED);
            canvas.text(left + f64::from(SIDE), line, &standing, small.align(Align::Right))?;
            canvas.text(left, line + 14.0, &small.fit(&class, f64::from(SIDE)), small)?;
        }
        Ok(())
    }
}

/// Writes the atlases beside the pictures; returns their paths.
///
/// # Errors
/// If a picture cannot be read or a file not be written.
pub fn write_atlases(
    dir: &PictureDir,
    pictures: &[PictureRecord],
    classes: &[String],
) -> Result<Vec<PathBuf>, ReportError> {
    let mut written = Vec::new();
    for atlas in atlases(pictures, classes) {
        let draw = |source| ReportError::Draw { chart: atlas.slug.clone(), source };
        let path = dir.path().join(format!("{}.png", atlas.slug));
        write_atomically(&path, &atlas.png(dir).map_err(draw)?)?;
        written.push(path);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{PICTURES_FORMAT, PictureBlock, Seen, TopSample};

    fn picture(unit: usize) -> PictureRecord {
        PictureRecord {
            visualization: "early".to_owned(),
            model: "net".to_owned(),
            layer: "layer1/a".into(),
            depth: 0.25,
            unit: unit.to_string(),
            of_classes: false,
            seed: 0,
            preset: "lucid".to_owned(),
            start: "noise".to_owned(),
            steps: 4,
            objective: 1.0,
            percentile: Some(0.995),
            gain: Some(3.0),
            compared: 10,
            answer: Seen { model: "net".to_owned(), class: 1, confidence: 0.5 },
            others: vec![Seen { model: "other".to_owned(), class: 1, confidence: 0.25 }],
            seed_sensitivity: None,
            variation: 0.1,
            seconds: 0.5,
            status: Status::Ok,
            file: format!("{unit}.png"),
            history: vec![0.0, 1.0],
            samples: vec![TopSample {
                id: "3".into(),
                label: Some(1),
                activation: 0.75,
                file: "sample.png".to_owned(),
                patch: None,
            }],
        }
    }

    #[test]
    fn an_atlas_shows_pictures_and_samples_in_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let dir = PictureDir::of_run(folder.path());
        let plain = |colour: [u8; 3]| {
            let mut png = std::io::Cursor::new(Vec::new());
            RgbImage::from_pixel(8, 8, image::Rgb(colour)).write_to(&mut png, image::ImageFormat::Png).unwrap();
            png.into_inner()
        };
        dir.write_png("0.png", &plain([200, 0, 0])).unwrap();
        dir.write_png("1.png", &plain([0, 200, 0])).unwrap();
        dir.write_png("sample.png", &plain([0, 0, 200])).unwrap();
        let block =
            PictureBlock { format: PICTURES_FORMAT, identity: "id".to_owned(), pictures: vec![picture(0), picture(1)] };
        dir.write_block("00", &block).unwrap();
        assert_eq!(dir.block("00", "id").as_ref(), Some(&block));
        assert!(dir.block("00", "other").is_none() && dir.block("01", "id").is_none());
        let pictures = dir.read().unwrap();
        let names = ["cat".to_owned(), "dog".to_owned()];
        let written = write_atlases(&dir, &pictures, &names).unwrap();
        assert!(written[0].ends_with("visualize/atlas-early-net-layer1-a.png"), "{written:?}");
        let atlas = image::open(&written[0]).unwrap().to_rgb8();
        let at = |left: u32, top: u32| atlas.get_pixel((MARGIN + left) * PNG_SCALE, (MARGIN + top) * PNG_SCALE).0;
        assert_eq!(at(SIDE / 2, TOP + SIDE / 2), [200, 0, 0]);
        assert_eq!(at(SIDE + GAP + SIDE / 2, TOP + SIDE / 2), [0, 200, 0]);
        assert_eq!(at(SAMPLE_SIDE / 2, TOP + SIDE + 6 + SAMPLE_SIDE / 2), [0, 0, 200]);
        std::fs::remove_file(dir.path().join("sample.png")).unwrap();
        assert!(dir.block("00", "id").is_none(), "a block whose file is gone is not finished");
    }

    #[test]
    fn the_table_has_a_row_for_each_picture() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("visualize.csv");
        crate::record::write_visualize(&path, &[picture(0)]).unwrap();
        insta::assert_snapshot!(std::fs::read_to_string(path).unwrap());
    }
}
