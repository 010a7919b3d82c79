//! What charts share: linear scales, a light grid of percentages, ticks, and labels that keep clear of each other.

use plotters::prelude::DrawingBackend;

use super::canvas::{Align, Canvas, Drawn, Type};
use super::palette::{AXIS, GRID, INK, MUTED};

/// Size of axis labels, in logical pixels.
pub const SMALL: f64 = 13.0;
/// Size of direct labels.
pub const LABEL: f64 = 14.0;
/// Size of titles.
pub const TITLE: f64 = 17.0;

/// A linear map from values to logical pixels.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// The value at `from`.
    pub lo: f64,
    /// The value at `to`.
    pub hi: f64,
    /// Pixel of `lo`.
    pub from: f64,
    /// Pixel of `hi`.
    pub to: f64,
}

impl Scale {
    /// The pixel of `value`; values outside the scale are clipped to its ends, NaN to its start.
    pub fn at(&self, value: f64) -> f64 {
        let span = self.hi - self.lo;
        let share = (value - self.lo) / span;
        let share = if span > 0.0 && !share.is_nan() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.from + (self.to - self.from) * share
    }
}

/// Title and subtitle at the figure's upper left.
pub fn heading<DB: DrawingBackend>(canvas: &mut Canvas<'_, DB>, title: &str, subtitle: &str, width: f64) -> Drawn {
    let face = Type::new(TITLE, INK).bold();
    canvas.text(0.0, 18.0, &face.fit(title, width), face)?;
    let face = Type::new(SMALL, MUTED);
    canvas.text(0.0, 39.0, &face.fit(subtitle, width), face)
}

/// Horizontal grid lines at 0, 25, ... 100 % between `left` and `right`, labelled on the left if `labels`.
pub fn percent_grid<DB: DrawingBackend>(
    canvas: &mut Canvas<'_, DB>,
    y: Scale,
    left: f64,
    right: f64,
    labels: bool,
) -> Drawn {
    for step in 0..=4 {
        let place = y.at(f64::from(step) / 4.0);
        let colour = if step == 0 { AXIS } else { GRID };
        canvas.line(&[(left, place), (right, place)], colour, 1.0)?;
        if labels {
            let text = format!("{} %", step * 25);
            canvas.text(left - 8.0, place + 4.5, &text, Type::new(SMALL, MUTED).align(Align::Right))?;
        }
    }
    Ok(())
}

/// Ticks below the line at pixel `y`, and of their labels as many as have room; the last ticks come first in line.
pub fn ticks<DB: DrawingBackend>(canvas: &mut Canvas<'_, DB>, x: Scale, y: f64, ticks: &[(f64, String)]) -> Drawn {
    let face = Type::new(SMALL, MUTED).align(Align::Centre);
    let mut free_up_to = f64::INFINITY;
    for (value, text) in ticks.iter().rev() {
        let place = x.at(*value);
        canvas.line(&[(place, y), (place, y + 4.0)], AXIS, 1.0)?;
        let half = face.width(text) / 2.0;
        if place + half <= free_up_to {
            canvas.text(place, y + 19.0, text, face)?;
            free_up_to = place - half - 9.0;
        }
    }
    Ok(())
}

/// Round values that divide [0, `hi`] into about `wanted` parts: multiples of 1, 2 or 5 times a power of ten.
pub fn round_ticks(hi: f64, wanted: usize) -> Vec<f64> {
    if !(hi.is_finite() && hi > 0.0) {
        return vec![0.0];
    }
    let rough = hi / wanted.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|step| *step >= rough * 0.999).unwrap_or(rough);
    (0..=(hi / step + 1e-9) as usize).map(|index| index as f64 * step).collect()
}

/// Moves label positions apart so that neighbours are `gap` apart and all lie in [`lo`, `hi`] (if they can), each as
/// near to its wish as that allows; the order is kept.
pub fn spread(wishes: &[f64], gap: f64, lo: f64, hi: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by(|&a, &b| wishes[a].total_cmp(&wishes[b]).then(a.cmp(&b)));
    // Pools of labels that touch: each sits at the mean of what its members wish for its first place.
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for &index in &order {
        let mut pool = (wishes[index], 1);
        loop {
            let highest = hi - (pool.1 - 1) as f64 * gap;
            pool.0 = pool.0.min(highest).max(lo);
            match pools.last() {
                Some(&(place, size)) if place + size as f64 * gap > pool.0 => {
                    let shifted = pool.0 - size as f64 * gap;
                    pool = ((place * size as f64 + shifted * pool.1 as f64) / (size + pool.1) as f64, size + pool.1);
                    pools.pop();
                }
                _ => break,
            }
        }
        pools.push(pool);
    }
    let mut places = vec![0.0; wishes.len()];
    let mut next = order.into_iter();
    for (start, size) in pools {
        for step in 0..size {
            if let Some(index) = next.next() {
                places[index] = start + step as f64 * gap;
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(round_ticks(1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(round_ticks(3.2, 4), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(round_ticks(f64::NAN, 4), [0.0]);
    }

    proptest! {
        #[test]
        fn spread_labels_keep_their_gap_and_order(wishes in prop::collection::vec(-50.0..250.0f64, 1..12)) {
            let places = spread(&wishes, 15.0, 0.0, 200.0);
            for (i, a) in places.iter().enumerate() {
                prop_assert!((-1e-9..=200.0 + 1e-9).contains(a), "{places:?}");
                for (j, b) in places.iter().enumerate() {
                    if wishes[i] < wishes[j] {
                        prop_assert!(b - a >= 15.0 - 1e-6, "{wishes:?} {places:?}");
                    }
                }
            }
        }

        #[test]
        fn spread_leaves_distant_labels_alone(first in 10.0..50.0f64) {
            prop_assert_eq!(spread(&[first, first + 60.0], 15.0, 0.0, 200.0), vec![first, first + 60.0]);
        }
    }
}
