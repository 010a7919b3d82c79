//! A drawing surface in logical pixels over any plotters backend, so that each chart is drawn once for all formats.

use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle};

use super::font;
pub use crate::report::error::DrawError;

/// What drawing gives.
pub type Drawn = Result<(), DrawError>;

/// How a backend's units relate to logical pixels and to the size of type.
#[derive(Debug, Clone, Copy)]
pub struct Medium {
    /// Backend units per logical pixel.
    pub scale: f64,
    /// plotters' font size for a type of one unit per em.
    size_of_em: f64,
    /// Distance of the baseline below the anchor of top-anchored text, in plotters' font size.
    baseline: f64,
}

impl Medium {
    /// SVG: tenths of a pixel, since plotters' coordinates are integers; its text is set `0.76em` below the anchor, and
    /// its font size is divided by 1.24.
    pub const SVG: Medium = Medium { scale: 10.0, size_of_em: 1.24, baseline: 0.76 / 1.24 };

    /// Pixels: four per logical pixel, halved after drawing so that edges are smooth. plotters takes the line height
    /// (for Inter 2478 of 2048 units) as size, and sets the baseline at half of it.
    pub const BITMAP: Medium = Medium { scale: 4.0, size_of_em: 2478.0 / 2048.0, baseline: 0.5 };
}

/// Horizontal alignment of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// The text begins at the point.
    Left,
    /// The point is the text's middle.
    Centre,
    /// The text ends at the point.
    Right,
}

/// How a text is set.
#[derive(Debug, Clone, Copy)]
pub struct Type {
    /// Size of the em, in logical pixels.
    pub size: f64,
    /// Semi-bold instead of regular.
    pub bold: bool,
    /// Colour.
    pub colour: RGBColor,
    /// Alignment.
    pub align: Align,
}

impl Type {
    /// Regular, left-aligned text.
    pub fn new(size: f64, colour: RGBColor) -> Self {
        Type { size, bold: false, colour, align: Align::Left }
    }

    /// The same, semi-bold.
    pub fn bold(self) -> Self {
        Type { bold: true, ..self }
    }

    /// The same, aligned otherwise.
    pub fn align(self, align: Align) -> Self {
        Type { align, ..self }
    }

    /// Width of `text`, in logical pixels.
    pub fn width(&self, text: &str) -> f64 {
        const EM: f64 = 1000.0;
        let layout = description(EM * Medium::BITMAP.size_of_em, self.bold).box_size(text);
        layout.map_or(0.0, |(width, _)| f64::from(width)) / EM * self.size
    }

    /// `text`, shortened in its middle to at most `width` logical pixels.
    pub fn fit(&self, text: &str, width: f64) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let letters: Vec<char> = text.chars().take(400).collect();
        for length in (1..letters.len()).rev() {
            let (head, tail) = (length.div_ceil(2), length / 2);
            let short: String =
                letters[..head].iter().chain(['…'].iter()).chain(&letters[letters.len() - tail..]).collect();
            if self.width(&short) <= width {
                return short;
            }
        }
        "…".to_owned()
    }
}

fn description(size: f64, bold: bool) -> FontDesc<'static> {
    font::register();
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    FontDesc::new(FontFamily::Name(font::FAMILY), size, style)
}

/// A surface; `y` grows downwards.
pub struct Canvas<'b, DB: DrawingBackend> {
    backend: &'b mut DB,
    medium: Medium,
    /// Where (0, 0) lies, in logical pixels from the backend's corner.
    origin: f64,
}

impl<'b, DB: DrawingBackend> Canvas<'b, DB> {
    /// Draw onto `backend`, with `margin` logical pixels left free on its left and at its top.
    pub fn new(backend: &'b mut DB, medium: Medium, margin: u32) -> Self {
        Canvas { backend, medium, origin: f64::from(margin) }
    }

    fn place(&self, (x, y): (f64, f64)) -> (i32, i32) {
        (self.units(x + self.origin), self.units(y + self.origin))
    }

    fn units(&self, length: f64) -> i32 {
        (length * self.medium.scale).round() as i32
    }

    fn points(&self, points: &[(f64, f64)]) -> Vec<(i32, i32)> {
        points.iter().map(|&point| self.place(point)).collect()
    }

    /// A line through `points`.
    pub fn line(&mut self, points: &[(f64, f64)], colour: RGBColor, width: f64) -> Drawn {
        let style =
            ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: self.units(width).max(1) as u32 };
        self.backend.draw_path(self.points(points), &style).map_err(DrawError::new)
    }

    /// A filled polygon, `opacity` in [0, 1].
    pub fn polygon(&mut self, points: &[(f64, f64)], colour: RGBColor, opacity: f64) -> Drawn {
        self.backend
            .fill_polygon(self.points(points), &ShapeStyle::from(colour.mix(opacity)).filled())
            .map_err(DrawError::new)
    }

    /// A filled rectangle by its upper left corner, width and height.
    pub fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, colour: RGBColor) -> Drawn {
        let corners = (self.place((x, y)), self.place((x + width, y + height)));
        self.backend.draw_rect(corners.0, corners.1, &ShapeStyle::from(colour).filled(), true).map_err(DrawError::new)
    }

    /// A filled disc.
    pub fn disc(&mut self, x: f64, y: f64, radius: f64, colour: RGBColor) -> Drawn {
        let centre = self.place((x, y));
        self.backend
            .draw_circle(centre, self.units(radius) as u32, &ShapeStyle::from(colour).filled(), true)
            .map_err(DrawError::new)
    }

    /// `text` with its baseline at `y`.
    pub fn text(&mut self, x: f64, y: f64, text: &str, face: Type) -> Drawn {
        let size = face.size * self.medium.scale * self.medium.size_of_em;
        let horizontal = match face.align {
            Align::Left => HPos::Left,
            Align::Centre => HPos::Center,
            Align::Right => HPos::Right,
        };
        let style =
            TextStyle::from(description(size, face.bold)).color(&face.colour).pos(Pos::new(horizontal, VPos::Top));
        let top = (y + self.origin) * self.medium.scale - size * self.medium.baseline;
        self.backend.draw_text(text, &style, (self.units(x + self.origin), top.round() as i32)).map_err(DrawError::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_measured_and_shortened() {
        let face = Type::new(10.0, RGBColor(0, 0, 0));
        assert!(face.width("mmmm") > 2.0 * face.width("ii"));
        assert_eq!(face.fit("short", 100.0), "short");
        let long = face.fit(&"layer".repeat(40), 80.0);
        assert!(face.width(&long) <= 80.0 && long.starts_with("lay") && long.contains('…'), "{long}");
        assert_eq!(face.fit("anything", 1.0), "…");
    }
}
