//! The pictures of units in a page: an atlas of each layer, and what is measured of the pictures.

use serde::Serialize;

use super::embedded::{SAMPLE_SIDE, SIDE, embedded};
use super::encode::data_uri;
use super::rate::Rate;
use super::unit_cards::{UnitCard, unit_cards};
use crate::record::{Example, PictureDir, PictureRecord, Status, StudyDir, UniversalRecord};
use crate::report::chart::atlas::{Atlas, atlases, unit_name};
use crate::report::chart::canvas::DrawError;
use crate::report::chart::gallery::class_name;
use crate::report::chart::way::WayFigure;
use crate::report::error::ReportError;
use crate::stats::wilson;
use crate::summary::RunSummary;
use crate::wording::format;

/// Most bytes of atlases in a page; those beyond are in `visualize/` only.
const ROOM: usize = 4_000_000;

/// Real samples below a picture.
const SAMPLES: usize = 5;

/// The layers of a page.
#[derive(Debug, Default, Serialize)]
pub(in crate::report) struct UnitPictures {
    layers: Vec<LayerPictures>,
    /// Atlases that are files only.
    dropped: usize,
    rows: Vec<Row>,
    /// Ways over the boundary.
    ways: Vec<WayView>,
    /// Those that are files only.
    ways_dropped: usize,
    /// A section for each unit.
    cards: Vec<UnitCard>,
    /// Units without one.
    cards_dropped: usize,
    /// Universal perturbations.
    universal: Vec<Universal>,
    /// Bytes of the ways.
    #[serde(skip)]
    used: usize,
    /// What the pictures of units took.
    #[serde(skip)]
    seconds: f64,
}

/// The pictures of a layer.
#[derive(Debug, Serialize)]
struct LayerPictures {
    caption: String,
    making: String,
    below: String,
    tiles: Vec<Tile>,
}

/// One of them.
#[derive(Debug, Serialize)]
struct Tile {
    source: String,
    unit: String,
    standing: String,
    class: String,
    /// Real samples.
    samples: Vec<String>,
}

impl LayerPictures {
    fn new(atlas: &Atlas, dir: &PictureDir) -> Result<Self, DrawError> {
        let tile = |picture: &&PictureRecord| {
            let [unit, standing, class] = atlas.words(picture);
            let source = embedded(&dir.path().join(&picture.file), SIDE)?;
            let samples = picture.samples.iter().take(SAMPLES);
            let samples = samples.map(|sample| embedded(&dir.path().join(&sample.file), SAMPLE_SIDE));
            Ok(Tile { source, unit, standing, class, samples: samples.collect::<Result<_, DrawError>>()? })
        };
        let tiles = atlas.pictures().iter().map(tile).collect::<Result<_, DrawError>>()?;
        Ok(LayerPictures { caption: atlas.caption(), making: atlas.making(), below: atlas.below(), tiles })
    }

    fn bytes(&self) -> usize {
        let of_tile = |tile: &Tile| tile.source.len() + tile.samples.iter().map(String::len).sum::<usize>();
        self.tiles.iter().map(of_tile).sum()
    }
}

/// A way over the boundary.
#[derive(Debug, Serialize)]
struct WayView {
    caption: String,
    frames: Vec<Frame>,
    /// SVG.
    curves: String,
    slice: Option<Slice>,
}

#[derive(Debug, Serialize)]
struct Frame {
    step: usize,
    class: String,
    source: String,
}

#[derive(Debug, Serialize)]
struct Slice {
    source: String,
    axes: String,
    /// Names and CSS colours.
    classes: Vec<(String, String)>,
}

impl WayView {
    fn new(figure: &WayFigure, dir: &StudyDir, id: &str) -> Result<Self, DrawError> {
        let frame = |(step, class, file): (usize, String, &str)| {
            Ok(Frame { step, class, source: embedded(&dir.path().join(file), SIDE)? })
        };
        let slice = figure.slice()?.map(|slice| Slice {
            source: data_uri(&slice.png),
            axes: slice.axes,
            classes: slice.classes.into_iter().map(|(name, [r, g, b])| (name, format!("rgb({r},{g},{b})"))).collect(),
        });
        Ok(WayView {
            caption: figure.caption(),
            frames: figure.frames().into_iter().map(frame).collect::<Result<_, DrawError>>()?,
            curves: figure.curves(id)?,
            slice,
        })
    }

    fn bytes(&self) -> usize {
        let frames: usize = self.frames.iter().map(|frame| frame.source.len()).sum();
        frames + self.curves.len() + self.slice.as_ref().map_or(0, |slice| slice.source.len())
    }
}

/// What is measured of a unit's first picture.
#[derive(Debug, Serialize)]
struct Row {
    model: String,
    layer: String,
    unit: String,
    preset: String,
    objective: String,
    percentile: String,
    gain: String,
    class: String,
    agree: String,
    seeds: String,
    status: &'static str,
}

/// The pictures in a run's folder.
///
/// # Errors
/// If a picture cannot be read.
pub(in crate::report) fn unit_pictures(
    dir: &PictureDir,
    summary: &RunSummary,
    examples: &[Example],
    classes: &[String],
) -> Result<UnitPictures, ReportError> {
    let draw = |chart: &str| {
        let chart = chart.to_owned();
        move |source| ReportError::Draw { chart, source }
    };
    let pictures = dir.read().map_err(|error| draw("atlas")(DrawError::new(error)))?;
    let seconds = pictures.iter().map(|picture| picture.seconds).sum();
    let mut found = UnitPictures { seconds, ..UnitPictures::default() };
    let mut used = 0;
    for atlas in atlases(&pictures, classes) {
        let layer = LayerPictures::new(&atlas, dir).map_err(draw(&atlas.slug))?;
        used += layer.bytes();
        match used <= ROOM {
            true => found.layers.push(layer),
            false => found.dropped += 1,
        }
    }
    (found.cards, found.cards_dropped) = unit_cards(dir, &pictures, &summary.inside, examples, classes)?;
    found.rows = pictures.iter().filter(|picture| picture.seed == 0).map(|picture| row(picture, classes)).collect();
    Ok(found)
}

impl UnitPictures {
    /// What the pictures of units took, in seconds.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// One more way over the boundary, if there is room.
    ///
    /// # Errors
    /// If the picture cannot be read.
    pub(in crate::report) fn add_way(&mut self, figure: &WayFigure, dir: &StudyDir) -> Result<(), ReportError> {
        let failed = |source| ReportError::Draw { chart: figure.slug(), source };
        let id = format!("way-{}", self.ways.len() + self.ways_dropped);
        let way = WayView::new(figure, dir, &id).map_err(failed)?;
        self.used += way.bytes();
        match self.used <= ROOM {
            true => self.ways.push(way),
            false => self.ways_dropped += 1,
        }
        Ok(())
    }
}

/// A universal perturbation at one radius.
#[derive(Debug, Serialize)]
struct Universal {
    /// The perturbation's picture, at its first radius.
    source: Option<String>,
    name: String,
    model: String,
    made_from: String,
    on: String,
    ball: String,
    n: String,
    flips: Rate,
    shuffled: String,
    p: String,
    class: String,
    gain: String,
    status: &'static str,
}

impl UnitPictures {
    /// Universal perturbations; their pictures are read from `dir`.
    ///
    /// # Errors
    /// If a picture cannot be read.
    pub(in crate::report) fn add_universal(
        &mut self,
        dir: &StudyDir,
        records: &[UniversalRecord],
        classes: &[String],
    ) -> Result<(), ReportError> {
        let mut previous: Option<&str> = None;
        for record in records {
            let first = previous != Some(record.file.as_str());
            previous = Some(&record.file);
            let picture = || {
                let failed = |error: std::io::Error| ReportError::Draw {
                    chart: record.file.clone(),
                    source: DrawError::new(error),
                };
                let png = crate::files::read_whole(dir.path().join(&record.file)).map_err(failed)?;
                Ok::<_, ReportError>(data_uri(&png))
            };
            self.universal.push(Universal { source: first.then(picture).transpose()?, ..universal(record, classes) });
        }
        Ok(())
    }
}

/// A row without its picture.
fn universal(record: &UniversalRecord, classes: &[String]) -> Universal {
    Universal {
        source: None,
        name: record.name.clone(),
        model: record.model.clone(),
        made_from: record.source.clone(),
        on: format!("{} of {}", record.unit, record.layer),
        ball: format!("{} {}", format::norm(record.norm), format::epsilon(record.epsilon)),
        n: format::count(record.n),
        flips: Rate::new(&wilson(record.flips, record.n)),
        shuffled: format::percent(record.control_rate()),
        p: if record.p() < 0.001 { "< 0.001".to_owned() } else { format!("{:.3}", record.p()) },
        class: record.top_class.map_or_else(
            || "–".to_owned(),
            |(class, count)| format!("{} ({count} of {})", class_name(classes, class), record.flips),
        ),
        gain: record.gain.map_or_else(|| "–".to_owned(), |gain| format!("{gain:.1}")),
        status: match record.status {
            Status::Ok => "",
            status => status.as_str(),
        },
    }
}

fn row(picture: &PictureRecord, classes: &[String]) -> Row {
    let maybe = |value: Option<f64>, text: fn(f64) -> String| value.map_or_else(|| "–".to_owned(), text);
    let others = picture.others.len();
    let agree = picture.others.iter().filter(|answer| answer.class == picture.answer.class).count();
    Row {
        model: picture.model.clone(),
        layer: picture.layer.to_string(),
        unit: unit_name(picture, classes),
        preset: picture.preset.clone(),
        objective: format!("{:.3}", picture.objective),
        percentile: maybe(picture.percentile, |share| format!("{:.1} %", share * 100.0)),
        gain: maybe(picture.gain, |gain| format!("{gain:.1}")),
        class: format!("{} ({:.0} %)", class_name(classes, picture.answer.class), picture.answer.confidence * 100.0),
        agree: if others == 0 { "–".to_owned() } else { format!("{agree} of {others}") },
        seeds: maybe(picture.seed_sensitivity, |spread| format!("{:.0} %", spread * 100.0)),
        status: match picture.status {
            Status::Ok => "",
            status => status.as_str(),
        },
    }
}
