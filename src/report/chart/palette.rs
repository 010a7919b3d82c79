//! Colours: Okabe and Ito's palette for series (Color Universal Design, 2008), and a sequential map of steadily falling
//! lightness for rates (seaborn's reversed `rocket`). Both stay readable with any colour vision and in print.

use plotters::style::RGBColor;

/// Text.
pub const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
/// Secondary text: axis labels and notes.
pub const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6e);
/// Grid lines.
pub const GRID: RGBColor = RGBColor(0xe6, 0xea, 0xef);
/// Axis lines and ticks.
pub const AXIS: RGBColor = RGBColor(0xaf, 0xb8, 0xc1);
/// The paper.
pub const PAPER: RGBColor = RGBColor(0xfe, 0xfe, 0xfe);

/// A series' two colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// Lines, points and bands.
    pub line: RGBColor,
    /// Text in the series' hue, with a contrast of at least 4.5 to white.
    pub text: RGBColor,
}

const SERIES: [Series; 7] = [
    Series { line: RGBColor(0x00, 0x72, 0xb2), text: RGBColor(0x00, 0x63, 0x9b) },
    Series { line: RGBColor(0xd5, 0x5e, 0x00), text: RGBColor(0xb0, 0x4d, 0x00) },
    Series { line: RGBColor(0x00, 0x9e, 0x73), text: RGBColor(0x00, 0x78, 0x57) },
    Series { line: RGBColor(0xcc, 0x79, 0xa7), text: RGBColor(0xa3, 0x45, 0x7b) },
    Series { line: RGBColor(0xe6, 0x9f, 0x00), text: RGBColor(0x8a, 0x5f, 0x00) },
    Series { line: RGBColor(0x56, 0xb4, 0xe9), text: RGBColor(0x1b, 0x72, 0xa6) },
    Series { line: RGBColor(0x4d, 0x4d, 0x4d), text: RGBColor(0x3d, 0x3d, 0x3d) },
];

/// The colours of series `index`; they repeat after seven.
pub fn series(index: usize) -> Series {
    SERIES[index % SERIES.len()]
}

/// The CSS class that stands for a colour in a page, so that dark mode can change it.
pub fn css_classes() -> Vec<(RGBColor, String)> {
    let mut classes = vec![
        (INK, "ink".to_owned()),
        (MUTED, "muted".to_owned()),
        (GRID, "grid".to_owned()),
        (AXIS, "axis".to_owned()),
        (PAPER, "paper".to_owned()),
    ];
    for (index, series) in SERIES.iter().enumerate() {
        classes.push((series.line, format!("s{index}")));
        classes.push((series.text, format!("t{index}")));
    }
    classes
}

const SEQUENTIAL: [(u8, u8, u8); 9] = [
    (0xfa, 0xeb, 0xdd),
    (0xf7, 0xc9, 0xaa),
    (0xf5, 0xa4, 0x7b),
    (0xf2, 0x79, 0x56),
    (0xe6, 0x4a, 0x45),
    (0xc9, 0x21, 0x4f),
    (0x98, 0x1b, 0x5b),
    (0x65, 0x1e, 0x54),
    (0x37, 0x19, 0x40),
];

/// The sequential map at `share` in [0, 1]; values outside are clipped, NaN counts as 0.
pub fn sequential(share: f64) -> RGBColor {
    let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
    let place = share * (SEQUENTIAL.len() - 1) as f64;
    let lower = (place as usize).min(SEQUENTIAL.len() - 2);
    let part = place - lower as f64;
    let (from, to) = (SEQUENTIAL[lower], SEQUENTIAL[lower + 1]);
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// Black or white, whichever is easier to read on `background`.
pub fn text_on(background: RGBColor) -> RGBColor {
    let (black, white) = (RGBColor(0, 0, 0), RGBColor(0xff, 0xff, 0xff));
    if contrast(background, black) >= contrast(background, white) { black } else { white }
}

/// Contrast ratio of two colours, from 1 to 21 (WCAG 2.2).
pub fn contrast(a: RGBColor, b: RGBColor) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Relative luminance (WCAG 2.2).
fn luminance(RGBColor(r, g, b): RGBColor) -> f64 {
    let linear = |value: u8| {
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequential_map_darkens_steadily_and_its_text_is_readable() {
        let mut last = f64::INFINITY;
        for step in 0..=100 {
            let colour = sequential(f64::from(step) / 100.0);
            assert!(luminance(colour) < last, "at {step} %");
            assert!(contrast(colour, text_on(colour)) >= 4.5, "at {step} %");
            last = luminance(colour);
        }
        assert_eq!(sequential(f64::NAN), sequential(0.0));
        assert_eq!(sequential(7.0), sequential(1.0));
    }

    #[test]
    fn series_text_is_readable_on_white() {
        for index in 0..7 {
            assert!(contrast(series(index).text, PAPER) >= 4.5, "series {index}");
        }
        assert!(contrast(MUTED, PAPER) >= 4.5);
    }

    #[test]
    fn each_themed_colour_is_distinct() {
        let classes = css_classes();
        for (index, (colour, _)) in classes.iter().enumerate() {
            assert!(classes[index + 1..].iter().all(|(other, _)| other != colour), "{colour:?}");
        }
    }
}
