//! The way of one image over the boundary: a film strip, margin and confidence by step, and a slice of the decision regions.

use image::imageops::replace;
use image::{Rgb, RgbImage};
use plotters::prelude::DrawingBackend;

use super::atlas::read;
use super::axis::{self, SMALL, Scale};
use super::canvas::{Align, Canvas, DrawError, Drawn, Type};
use super::figure::{self, Figure, MARGIN, PNG_SCALE};
use super::gallery::class_name;
use super::palette::{self, AXIS, GRID, INK, MUTED};
use crate::record::{SliceRecord, StudyDir, WayPoint, WayRecord};
use crate::wording::format;

const WIDTH: u32 = 860;
const STRIP_TOP: u32 = 58;
const FRAME: u32 = 98;
const FRAME_GAP: u32 = 10;
const FRAMES: usize = 8;
const CHART_TOP: f64 = 236.0;
/// Height of the curves, without what is written below.
const CURVES: f64 = 264.0;
/// Width of the curves in a page, and their upper edge.
const PAGE_WIDTH: u32 = 560;
const PAGE_TOP: f64 = 20.0;
/// Room for the names of classes behind the curves.
const NAMES: f64 = 150.0;
/// Classes of a slice that are named.
const NAMED: usize = 7;
const HEIGHT: u32 = 590;
/// The slice's square, in logical pixels.
const SLICE: u32 = 276;
const SLICE_LEFT: u32 = WIDTH - SLICE;

/// A way with the names of classes.
pub struct WayFigure<'a> {
    way: &'a WayRecord,
    classes: &'a [String],
}

impl<'a> WayFigure<'a> {
    /// The figure of a way.
    pub fn new(way: &'a WayRecord, classes: &'a [String]) -> Self {
        WayFigure { way, classes }
    }

    /// A name for its file.
    pub fn slug(&self) -> String {
        let way = self.way;
        crate::record::file_word(&format!("way-{}-{}-{}", way.model, way.attack, way.sample_id))
    }

    /// What it shows, in a line.
    pub fn caption(&self) -> String {
        let way = self.way;
        let driven = match (&way.layer, &way.unit) {
            (Some(layer), Some(objective)) if !way.kind.drives_unit() => format!(", {objective} of {layer}"),
            (Some(layer), Some(unit)) => format!(", unit {unit} of {layer}"),
            _ => String::new(),
        };
        let flip = match way.first_flip {
            Some(step) => format!("the prediction flips at step {step}"),
            None => "the prediction does not flip".to_owned(),
        };
        format!(
            "{} · {} {} {}{driven} · sample {}, {}: {flip}",
            way.model,
            way.attack,
            format::norm(way.norm),
            format::epsilon(way.epsilon),
            way.sample_id,
            class_name(self.classes, way.label),
        )
    }

    /// The PNG file; frames are read from `dir`.
    ///
    /// # Errors
    /// If a frame cannot be read.
    pub fn png(&self, dir: &StudyDir) -> Result<Vec<u8>, DrawError> {
        let (width, height) = figure::png_size(self);
        let mut canvas = RgbImage::from_raw(width, height, figure::pixels(self)?)
            .ok_or_else(|| DrawError::new("the figure has a wrong size"))?;
        let at = |logical: u32| i64::from((MARGIN + logical) * PNG_SCALE);
        for (place, (_, file)) in self.way.frames.iter().take(FRAMES).enumerate() {
            let frame = read(&dir.path().join(file), FRAME * PNG_SCALE)?;
            replace(&mut canvas, &frame, at(place as u32 * (FRAME + FRAME_GAP)), at(STRIP_TOP));
        }
        if let Some(slice) = &self.way.slice {
            let picture = self.regions(slice, SLICE * PNG_SCALE);
            replace(&mut canvas, &picture, at(SLICE_LEFT), at(CHART_TOP as u32 - 6));
        }
        figure::encode_png(canvas.as_raw(), width, height)
    }

    /// What is predicted at a step, and how surely if that is followed.
    fn seen_as(&self, point: &WayPoint) -> String {
        let name = class_name(self.classes, point.prediction);
        match point.prediction {
            class if class == self.way.label => format!("{name} {:.0} %", point.confidence * 100.0),
            class if class == self.way.reached => format!("{name} {:.0} %", point.reached * 100.0),
            _ => name,
        }
    }

    /// What the lines and axes of a slice are.
    fn axes(&self, slice: &SliceRecord) -> [String; 2] {
        let norm = format::norm(self.way.norm);
        let up = match &slice.across {
            Some(unit) => format!("what drives unit {unit}"),
            None => "the margin's gradient".to_owned(),
        };
        [format!("solid: {norm} ball; dashed: equal length, other norm"), format!("right: the attack; up: {up}")]
    }

    /// The frames of a page: step, what is predicted there, and the image's file.
    pub fn frames(&self) -> Vec<(usize, String, &str)> {
        let frames = self.way.frames.iter().take(FRAMES);
        frames
            .filter_map(|(step, file)| Some((*step, self.seen_as(self.way.points.get(*step)?), file.as_str())))
            .collect()
    }

    /// The curves alone, as SVG for a page.
    ///
    /// # Errors
    /// If they cannot be drawn.
    pub fn curves(&self, id: &str) -> Result<String, DrawError> {
        figure::svg(&Curves(self), id)
    }

    /// The slice alone for a page: its PNG, what lines and axes are, and its classes with their colours.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn slice(&self) -> Result<Option<SliceView>, DrawError> {
        let Some(slice) = &self.way.slice else { return Ok(None) };
        let side = SLICE * PNG_SCALE;
        let picture = self.regions(slice, side);
        let named = self.colours(slice).into_iter().take(NAMED);
        Ok(Some(SliceView {
            png: figure::encode_png(picture.as_raw(), side, side)?,
            axes: self.axes(slice).join("; "),
            classes: named.map(|(class, rgb)| (class_name(self.classes, class), rgb)).collect(),
        }))
    }

    /// The regions of a slice with both balls: each class has a colour, the paler the less sure the model is.
    fn regions(&self, slice: &SliceRecord, pixels: u32) -> RgbImage {
        let colours = self.colours(slice);
        let cell = |row: usize, column: usize| row.min(slice.side - 1) * slice.side + column.min(slice.side - 1);
        let mut picture = RgbImage::from_fn(pixels, pixels, |x, y| {
            let place = |value: u32| (value as usize * slice.side / pixels as usize).min(slice.side - 1);
            let index = cell(place(y), place(x));
            let colour =
                colours.iter().find(|(class, _)| *class == slice.classes[index]).map_or([200; 3], |(_, rgb)| *rgb);
            let strength = 0.25 + 0.6 * slice.confidence[index].clamp(0.0, 1.0);
            Rgb(colour.map(|value| (255.0 - (255.0 - f32::from(value)) * strength) as u8))
        });
        let (radius, other) = self.radii(slice);
        let ink = Rgb([20, 20, 20]);
        for y in 0..pixels {
            for x in 0..pixels {
                let crosses = |inside: &dyn Fn(u32, u32) -> bool| {
                    let centre = inside(x, y);
                    let neighbours = [(x + 1, y), (x + 2, y), (x, y + 1), (x, y + 2)];
                    neighbours.into_iter().any(|(x, y)| x < pixels && y < pixels && inside(x, y) != centre)
                };
                let dash = (x + y) / 9 % 3 != 0;
                if crosses(&|x, y| self.length(slice, x, y, pixels, true) <= radius)
                    || dash && crosses(&|x, y| self.length(slice, x, y, pixels, false) <= other)
                {
                    picture.put_pixel(x, y, ink);
                }
            }
        }
        let middle = f64::from(pixels) / 2.0;
        disc(&mut picture, middle, middle, 9.0, Rgb([255; 3]));
        disc(&mut picture, middle, middle, 6.0, ink);
        let adversarial = middle + slice.adversarial / slice.reach * middle;
        disc(&mut picture, adversarial, middle, 9.0, Rgb([255; 3]));
        disc(&mut picture, adversarial, middle, 6.0, Rgb([200, 30, 30]));
        picture
    }

    /// Length of the plane's offset at a pixel: in the attack's norm (or as l2 where the plane does not tell), or in the other.
    fn length(&self, slice: &SliceRecord, x: u32, y: u32, pixels: u32, attack_norm: bool) -> f64 {
        let place = |value: u32| (2.0 * (f64::from(value) + 0.5) / f64::from(pixels) - 1.0) * slice.reach;
        let l2 = place(x).hypot(place(y));
        let linf = self.way.norm == crate::terms::Norm::Linf;
        if linf == attack_norm { interpolated(slice, x, y, pixels) } else { l2 }
    }

    /// The radius of the attack's ball, and the length of its perturbation in the other norm.
    fn radii(&self, slice: &SliceRecord) -> (f64, f64) {
        match self.way.norm {
            crate::terms::Norm::Linf => (self.way.epsilon.value(), slice.adversarial),
            crate::terms::Norm::L2 => (self.way.epsilon.value(), slice.adversarial_linf),
            _ => (slice.adversarial, slice.adversarial_linf),
        }
    }

    /// Classes of a slice with their colours, the label first, then the class that is reached.
    fn colours(&self, slice: &SliceRecord) -> Vec<(u32, [u8; 3])> {
        let mut counts: Vec<(u32, usize)> = Vec::new();
        for &class in &slice.classes {
            match counts.iter_mut().find(|(known, _)| *known == class) {
                Some((_, count)) => *count += 1,
                None => counts.push((class, 1)),
            }
        }
        // In the chart beside it the label and the class that is reached have the first two colours.
        if !counts.iter().any(|(class, _)| *class == self.way.reached) {
            counts.push((self.way.reached, 0));
        }
        let reached = self.way.reached;
        counts.sort_by_key(|(class, count)| (*class != self.way.label, *class != reached, std::cmp::Reverse(*count)));
        // Colours that come again would make one region of two.
        let colour = |place: usize| match palette::series(place).line {
            line if place < NAMED => [line.0, line.1, line.2],
            _ => [150; 3],
        };
        counts.into_iter().enumerate().map(|(place, (class, _))| (class, colour(place))).collect()
    }

    /// The curves, of which the upper edge is at `top` and the right one at `right`.
    fn draw_steps<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>, top: f64, right: f64) -> Drawn {
        let points = &self.way.points;
        let bottom = top + CURVES;
        let x = Scale { lo: 0.0, hi: (points.len().saturating_sub(1)).max(1) as f64, from: 52.0, to: right };
        let y = Scale { lo: 0.0, hi: 1.0, from: bottom - 130.0, to: top };
        axis::percent_grid(canvas, y, x.from, x.to, true)?;
        let label_line =
            points.iter().enumerate().map(|(step, point)| (x.at(step as f64), y.at(f64::from(point.confidence))));
        let other = points.iter().enumerate().map(|(step, point)| (x.at(step as f64), y.at(f64::from(point.reached))));
        let lines = [(label_line.collect::<Vec<_>>(), self.way.label), (other.collect(), self.way.reached)];
        let ends: Vec<f64> = lines.iter().filter_map(|(line, _)| line.last()).map(|(_, y)| *y).collect();
        let places = axis::spread(&ends, 17.0, top, y.from);
        for (index, ((line, class), place)) in lines.iter().zip(places).enumerate() {
            canvas.line(line, palette::series(index).line, 2.0)?;
            let face = Type::new(SMALL, palette::series(index).text).bold();
            canvas.text(right + 8.0, place + 5.0, &face.fit(&class_name(self.classes, *class), 132.0), face)?;
        }
        let margins: Vec<f64> =
            points.iter().map(|point| f64::from(point.margin)).filter(|value| value.is_finite()).collect();
        let (lo, hi) = margins.iter().fold((0.0f64, 0.0f64), |(lo, hi), value| (lo.min(*value), hi.max(*value)));
        let z = Scale { lo, hi: if hi > lo { hi } else { lo + 1.0 }, from: bottom, to: bottom - 96.0 };
        canvas.line(&[(x.from, z.at(0.0)), (x.to, z.at(0.0))], AXIS, 1.0)?;
        for value in [lo, hi] {
            canvas.line(&[(x.from, z.at(value)), (x.to, z.at(value))], GRID, 1.0)?;
            let face = Type::new(SMALL, MUTED).align(Align::Right);
            canvas.text(x.from - 8.0, z.at(value) + 4.5, &format!("{value:.1}"), face)?;
        }
        let line: Vec<(f64, f64)> =
            points.iter().enumerate().map(|(step, point)| (x.at(step as f64), z.at(f64::from(point.margin)))).collect();
        canvas.line(&line, INK, 1.6)?;
        canvas.text(right + 8.0, z.at(0.0) + 5.0, "margin 0", Type::new(SMALL, MUTED))?;
        let steps: Vec<(f64, String)> =
            axis::round_ticks(x.hi, 5).into_iter().map(|step| (step, format!("{step:.0}"))).collect();
        axis::ticks(canvas, x, bottom, &steps)?;
        if let Some(flip) = self.way.first_flip {
            let at = x.at(flip as f64);
            canvas.line(&[(at, top), (at, bottom)], AXIS, 1.0)?;
            canvas.text(at + 4.0, top - 4.0, "flip", Type::new(SMALL - 1.0, MUTED))?;
        }
        canvas.text((x.from + x.to) / 2.0, bottom + 38.0, "step", Type::new(SMALL, MUTED).align(Align::Centre))
    }

    fn draw_legend<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>, slice: &SliceRecord) -> Drawn {
        let (left, top) = (f64::from(SLICE_LEFT), CHART_TOP - 6.0 + f64::from(SLICE));
        let face = Type::new(SMALL - 1.0, MUTED);
        for (line, text) in self.axes(slice).iter().enumerate() {
            canvas.text(left, top + 15.0 * (line + 1) as f64, &face.fit(text, f64::from(SLICE)), face)?;
        }
        let (mut x, mut y) = (left, top + 39.0);
        for (place, (class, _)) in self.colours(slice).into_iter().take(NAMED).enumerate() {
            let name = Type::new(SMALL - 1.0, palette::series(place).text).bold();
            let text = name.fit(&class_name(self.classes, class), 110.0);
            let width = 22.0 + name.width(&text);
            if x > left && x + width > left + f64::from(SLICE) + 9.0 {
                (x, y) = (left, y + 16.0);
                if y > top + 60.0 {
                    break;
                }
            }
            canvas.rectangle(x, y, 9.0, 9.0, palette::series(place).line)?;
            canvas.text(x + 13.0, y + 9.0, &text, name)?;
            x += width;
        }
        Ok(())
    }
}

/// A slice with what has to be said of it.
pub struct SliceView {
    /// The picture.
    pub png: Vec<u8>,
    /// What its lines and axes are.
    pub axes: String,
    /// The classes of its regions and their colours, the label first.
    pub classes: Vec<(String, [u8; 3])>,
}

/// Margin and confidence by step.
struct Curves<'a, 'w>(&'a WayFigure<'w>);

impl Figure for Curves<'_, '_> {
    fn size(&self) -> (u32, u32) {
        (PAGE_WIDTH, (PAGE_TOP + CURVES) as u32 + 46)
    }

    fn title(&self) -> String {
        "Confidence and margin by step".to_owned()
    }

    fn description(&self) -> String {
        self.0.caption()
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        self.0.draw_steps(canvas, PAGE_TOP, f64::from(PAGE_WIDTH) - NAMES)
    }
}

/// The largest change at a pixel, between the points of the slice: bilinear.
fn interpolated(slice: &SliceRecord, x: u32, y: u32, pixels: u32) -> f64 {
    let last = slice.side - 1;
    let place = |value: u32| ((f64::from(value) + 0.5) / f64::from(pixels) * last as f64).clamp(0.0, last as f64);
    let (column, row) = (place(x), place(y));
    let (left, top) = (column.floor() as usize, row.floor() as usize);
    let at = |row: usize, column: usize| f64::from(slice.linf[row.min(last) * slice.side + column.min(last)]);
    let (across, down) = (column - left as f64, row - top as f64);
    let upper = at(top, left) * (1.0 - across) + at(top, left + 1) * across;
    let lower = at(top + 1, left) * (1.0 - across) + at(top + 1, left + 1) * across;
    upper * (1.0 - down) + lower * down
}

fn disc(picture: &mut RgbImage, x: f64, y: f64, radius: f64, colour: Rgb<u8>) {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    for row in (y - radius).max(0.0) as u32..=(y + radius).min(height - 1.0) as u32 {
        for column in (x - radius).max(0.0) as u32..=(x + radius).min(width - 1.0) as u32 {
            if (f64::from(column) - x).hypot(f64::from(row) - y) <= radius {
                picture.put_pixel(column, row, colour);
            }
        }
    }
}

impl Figure for WayFigure<'_> {
    fn size(&self) -> (u32, u32) {
        (WIDTH, HEIGHT)
    }

    fn title(&self) -> String {
        "The way over the boundary".to_owned()
    }

    fn description(&self) -> String {
        self.caption()
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        let way = self.way;
        axis::heading(canvas, &format!("{} · {}", way.model, way.attack), &self.caption(), f64::from(WIDTH))?;
        for (place, (step, _)) in way.frames.iter().take(FRAMES).enumerate() {
            let middle = f64::from(place as u32 * (FRAME + FRAME_GAP)) + f64::from(FRAME) / 2.0;
            let below = f64::from(STRIP_TOP + FRAME);
            let Some(point) = way.points.get(*step) else { continue };
            let face = Type::new(11.5, INK).bold().align(Align::Centre);
            canvas.text(middle, below + 14.0, &format!("step {step}"), face)?;
            let text = self.seen_as(point);
            let small = Type::new(11.0, MUTED).align(Align::Centre);
            canvas.text(middle, below + 28.0, &small.fit(&text, f64::from(FRAME + FRAME_GAP)), small)?;
        }
        let right = f64::from(if way.slice.is_some() { SLICE_LEFT } else { WIDTH }) - NAMES;
        self.draw_steps(canvas, CHART_TOP, right)?;
        match &way.slice {
            Some(slice) => self.draw_legend(canvas, slice),
            None => Ok(()),
        }
    }
}
