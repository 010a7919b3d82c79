//! What heat maps of rates share: the rate at the dark end, and the scale that shows it.

use plotters::prelude::DrawingBackend;

use super::axis::SMALL;
use super::canvas::{Align, Canvas, Drawn, Type};
use super::palette::{self, MUTED};

/// A round rate at the dark end, at least as high as all of `rates`.
pub fn most(rates: impl Iterator<Item = f64>) -> f64 {
    let highest = rates.fold(0.0, f64::max);
    [0.05, 0.1, 0.2, 0.3, 0.5, 0.75].into_iter().find(|most| highest <= *most).unwrap_or(1.0)
}

/// The scale from 0 to `most`, at the upper right of a figure that is `right` wide; `rate_name` names the rate.
pub fn draw_scale<DB: DrawingBackend>(canvas: &mut Canvas<'_, DB>, right: f64, most: f64, rate_name: &str) -> Drawn {
    let (left, width, steps) = (right - 152.0, 150.0, 75);
    for step in 0..steps {
        let share = (f64::from(step) + 0.5) / f64::from(steps);
        let part = width / f64::from(steps);
        canvas.rectangle(left + f64::from(step) * part, 8.0, part + 0.5, 10.0, palette::sequential(share))?;
    }
    let face = Type::new(SMALL - 1.0, MUTED);
    canvas.text(left, 33.0, "0 %", face)?;
    canvas.text(left + width, 33.0, &format!("{:.0} %", most * 100.0), face.align(Align::Right))?;
    canvas.text(left + width / 2.0, 33.0, rate_name, face.align(Align::Centre))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dark_end_is_round_and_no_rate_lies_beyond_it() {
        assert_eq!(most([].into_iter()), 0.05);
        assert_eq!(most([0.02, 0.2, 0.1].into_iter()), 0.2);
        assert_eq!(most([0.201].into_iter()), 0.3);
        assert_eq!(most([0.76].into_iter()), 1.0);
    }
}
