//! A figure is described once and rendered twice: to PNG for disk, to SVG for the page.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use plotters::prelude::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::RGBColor;

use super::canvas::{Canvas, DrawError, Drawn, Medium};
use super::palette;

/// Something that can be drawn on a canvas.
pub trait Figure {
    /// Width and height, in logical pixels.
    fn size(&self) -> (u32, u32);
    /// The title, as a screen reader says it.
    fn title(&self) -> String;
    /// What the figure shows, in a sentence or two with its main numbers, for those who cannot see it.
    fn description(&self) -> String;
    /// Draw it.
    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn;
}

/// Free paper around a PNG, in logical pixels; a page has margins of its own.
pub const MARGIN: u32 = 24;

/// Pixels of a PNG per logical pixel.
pub const PNG_SCALE: u32 = 2;

/// `figure` as PNG, RGB, at twice its logical size on white paper with a margin.
pub fn png(figure: &impl Figure) -> Result<Vec<u8>, DrawError> {
    let (width, height) = png_size(figure);
    encode_png(&pixels(figure)?, width, height)
}

/// Width and height of `figure` as PNG, its margin included.
pub fn png_size(figure: &impl Figure) -> (u32, u32) {
    let (width, height) = figure.size();
    ((width + 2 * MARGIN) * PNG_SCALE, (height + 2 * MARGIN) * PNG_SCALE)
}

/// `figure` as RGB bytes, row by row, at twice its logical size, with its margin.
pub fn pixels(figure: &impl Figure) -> Result<Vec<u8>, DrawError> {
    let (width, height) = png_size(figure);
    let drawn = (width * 2, height * 2);
    let mut buffer: Vec<u8> = paper().repeat(drawn.0 as usize * drawn.1 as usize);
    {
        let mut backend = BitMapBackend::with_buffer(&mut buffer, drawn);
        figure.draw(&mut Canvas::new(&mut backend, Medium::BITMAP, MARGIN))?;
        backend.present().map_err(DrawError::new)?;
    }
    Ok(halve(&buffer, drawn.0 as usize))
}

/// RGB bytes as PNG.
pub fn encode_png(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, DrawError> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(DrawError::new)?;
    Ok(bytes)
}

/// `figure` as an `<svg>` element for a page: title and description are tied to it by ids that begin with `id`, and
/// themed colours are classes (`f-ink`, `l-s0`, ...) besides attributes.
pub fn svg(figure: &impl Figure, id: &str) -> Result<String, DrawError> {
    let (width, height) = figure.size();
    let scale = Medium::SVG.scale as u32;
    let mut drawn = String::new();
    {
        let mut backend = SVGBackend::with_string(&mut drawn, (width * scale, height * scale));
        figure.draw(&mut Canvas::new(&mut backend, Medium::SVG, 0))?;
        backend.present().map_err(DrawError::new)?;
    }
    let body = drawn.split_once('>').map_or("", |(_, body)| body);
    Ok(format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n<title \
         id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>{}",
        width * scale,
        height * scale,
        escape(&figure.title()),
        escape(&figure.description()),
        themed(body),
    ))
}

/// Adds a class to each element in a themed colour, and drops what the page's style says once for all. Attributes can
/// be told from text because plotters escapes quotes in text.
fn themed(body: &str) -> String {
    let mut body = body.replace(" font-family=\"Inter\"", "").replace(" opacity=\"1\"", "").replace(" \"", "\"");
    body = body.replace(" stroke=\"none\"", "").replace("font-weight=\"bold\"", "font-weight=\"600\"");
    for (RGBColor(r, g, b), name) in palette::css_classes() {
        let hex = format!("\"#{r:02X}{g:02X}{b:02X}\"");
        body = body.replace(&format!("fill={hex}"), &format!("class=\"f-{name}\" fill={hex}"));
        body = body.replace(&format!("stroke={hex}"), &format!("class=\"l-{name}\" stroke={hex}"));
    }
    body
}

/// `text` with the characters that mean something in HTML replaced.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn paper() -> [u8; 3] {
    let RGBColor(r, g, b) = palette::PAPER;
    [r, g, b]
}

/// The mean of each 2 x 2 pixels of an RGB image of even size.
fn halve(pixels: &[u8], width: usize) -> Vec<u8> {
    let mut halved = Vec::with_capacity(pixels.len() / 4);
    for rows in pixels.chunks_exact(width * 6) {
        let (upper, lower) = rows.split_at(width * 3);
        for (a, b) in upper.chunks_exact(6).zip(lower.chunks_exact(6)) {
            let mean = |at: usize| {
                let sum = u16::from(a[at]) + u16::from(a[at + 3]) + u16::from(b[at]) + u16::from(b[at + 3]);
                ((sum + 2) / 4) as u8
            };
            halved.extend_from_slice(&[mean(0), mean(1), mean(2)]);
        }
    }
    halved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::canvas::Type;

    struct Hostile;

    impl Figure for Hostile {
        fn size(&self) -> (u32, u32) {
            (120, 40)
        }
        fn title(&self) -> String {
            "<script>alert(1)</script>".to_owned()
        }
        fn description(&self) -> String {
            "\"><img onerror='x'>".to_owned()
        }
        fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
            canvas.text(4.0, 20.0, "</text><script>fill=\"#1F2328\"", Type::new(10.0, palette::INK))
        }
    }

    #[test]
    fn names_are_escaped_in_svg() {
        insta::assert_snapshot!(svg(&Hostile, "chart").unwrap());
    }

    #[test]
    fn png_has_twice_the_logical_size_and_ink() {
        let bytes = png(&Hostile).unwrap();
        let image = image::load_from_memory(&bytes).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (2 * (120 + 48), 2 * (40 + 48)));
        assert!(image.pixels().any(|pixel| pixel.0[0] < 0x60), "text leaves dark pixels");
        assert_eq!(bytes, png(&Hostile).unwrap());
    }
}
