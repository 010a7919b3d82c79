//! Surfaces: two colours mixed by a pattern.

use super::dice::{Dice, sine};

/// Red, green and blue in [0, 1].
pub(super) type Colour = [f32; 3];

/// Points on each side of the noise's lattice.
const LATTICE: usize = 8;

enum Pattern {
    Plain,
    /// A ramp along the direction.
    Gradient,
    /// Stripes across the direction.
    Stripes,
    /// Rectangular fields.
    Checker,
    /// Two octaves of value noise on a periodic lattice.
    Noise(Box<[f32; LATTICE * LATTICE]>),
}

/// A surface: `colours` mixed by a pattern.
pub(super) struct Texture {
    pattern: Pattern,
    colours: [Colour; 2],
    /// Periods per pixel.
    frequency: f32,
    direction: [f32; 2],
    phase: f32,
}

impl Texture {
    /// A random pattern of `base` and a colour that differs from it by up to `contrast` in each channel.
    pub(super) fn random(base: Colour, contrast: f32, dice: &mut Dice) -> Self {
        let other = base.map(|value| (value + dice.between(-contrast, contrast)).clamp(0.0, 1.0));
        let pattern = match dice.pick(6) {
            0 => Pattern::Plain,
            1 => Pattern::Gradient,
            2 => Pattern::Stripes,
            3 => Pattern::Checker,
            _ => {
                let mut lattice = Box::new([0.0; LATTICE * LATTICE]);
                lattice.iter_mut().for_each(|value| *value = dice.unit());
                Pattern::Noise(lattice)
            }
        };
        Texture {
            pattern,
            colours: [base, other],
            frequency: dice.between(0.08, 0.3),
            direction: dice.direction(),
            phase: dice.unit(),
        }
    }

    /// The colour at (`x`, `y`), in pixels.
    pub(super) fn colour(&self, x: f32, y: f32) -> Colour {
        let [c, s] = self.direction;
        let [u, v] = [c * x + s * y, c * y - s * x].map(|length| length * self.frequency);
        let share = match &self.pattern {
            Pattern::Plain => 0.0,
            Pattern::Gradient => (0.5 + 0.25 * u / (self.frequency * 12.0)).clamp(0.0, 1.0),
            Pattern::Stripes => smooth_sign(sine(u + self.phase)),
            Pattern::Checker => smooth_sign(2.0 * sine(u + self.phase) * sine(v)),
            Pattern::Noise(lattice) => {
                0.65 * value_noise(lattice, u + 7.0 * self.phase, v)
                    + 0.35 * value_noise(lattice, 2.3 * u + 0.5, 2.3 * v + 3.5)
            }
        };
        mix(self.colours[0], self.colours[1], share)
    }
}

/// `share` of `to`, the rest of `from`.
pub(super) fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    std::array::from_fn(|channel| from[channel] + (to[channel] - from[channel]) * share)
}

/// From [-1, 1] to [0, 1], steep in the middle: a soft edge instead of a jagged one.
fn smooth_sign(wave: f32) -> f32 {
    (0.5 + 1.5 * wave).clamp(0.0, 1.0)
}

fn value_noise(lattice: &[f32; LATTICE * LATTICE], x: f32, y: f32) -> f32 {
    let (cell_x, cell_y) = (x.floor(), y.floor());
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (tx, ty) = (smooth(x - cell_x), smooth(y - cell_y));
    let at = |dx: i32, dy: i32| {
        let wrap = |cell: f32, step: i32| (cell as i32 + step).rem_euclid(LATTICE as i32) as usize;
        lattice[wrap(cell_y, dy) * LATTICE + wrap(cell_x, dx)]
    };
    let top = at(0, 0) + (at(1, 0) - at(0, 0)) * tx;
    let bottom = at(0, 1) + (at(1, 1) - at(0, 1)) * tx;
    top + (bottom - top) * ty
}
