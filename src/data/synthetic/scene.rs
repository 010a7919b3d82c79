//! One scene: background, clutter, the shape, occlusion, light and sensor.

use super::SIDE;
use super::dice::Dice;
use super::shape::{CLASSES, Shape};
use super::texture::{Colour, Texture, mix};

/// The scene's colours, row by row.
struct Canvas(Vec<Colour>);

impl Canvas {
    /// Lays a surface over the canvas, with `cover(x, y)` in [0, 1] as its opacity at a pixel's centre.
    fn lay(&mut self, surface: &Texture, cover: impl Fn(f32, f32) -> f32) {
        for (row, line) in self.0.chunks_mut(SIDE).enumerate() {
            for (column, pixel) in line.iter_mut().enumerate() {
                let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
                let share = cover(x, y);
                if share > 0.0 {
                    *pixel = mix(*pixel, surface.colour(x, y), share);
                }
            }
        }
    }

    /// One pass of a 3x3 binomial blur, mixed in by `share`.
    fn blur(&mut self, share: f32) {
        let sharp = self.0.clone();
        for row in 0..SIDE {
            for column in 0..SIDE {
                let mut sum = [0.0; 3];
                for (dy, wy) in [(0, 0.25), (1, 0.5), (2, 0.25)] {
                    for (dx, wx) in [(0, 0.25), (1, 0.5), (2, 0.25)] {
                        let clamp = |at: usize, step: usize| (at + step).saturating_sub(1).min(SIDE - 1);
                        let near = sharp[clamp(row, dy) * SIDE + clamp(column, dx)];
                        (0..3).for_each(|channel| sum[channel] += wy * wx * near[channel]);
                    }
                }
                let pixel = &mut self.0[row * SIDE + column];
                *pixel = mix(*pixel, sum, share);
            }
        }
    }
}

/// Opacity of a pixel whose centre lies `distance` pixels outside an edge: a ramp one pixel wide.
fn cover(distance: f32) -> f32 {
    (0.5 - distance).clamp(0.0, 1.0)
}

/// Planar RGB bytes, `3 * SIDE * SIDE`, of a scene that shows `class`.
pub(super) fn render(class: usize, dice: &mut Dice) -> Vec<u8> {
    let ground: Colour = std::array::from_fn(|_| dice.between(0.1, 0.9));
    let figure = distinct_colour(ground, dice);
    let mut canvas = Canvas(vec![[0.0; 3]; SIDE * SIDE]);
    let contrast = dice.between(0.05, 0.3);
    canvas.lay(&Texture::random(ground, contrast, dice), |_, _| 1.0);

    let radius = dice.between(7.5, 12.5);
    let margin = radius - 1.0;
    let centre = [dice.between(margin, SIDE as f32 - margin), dice.between(margin, SIDE as f32 - margin)];
    (0..dice.pick(3)).for_each(|_| distract(&mut canvas, dice));

    let shape = Shape::random(class, centre, radius, dice);
    let contrast = dice.between(0.0, 0.22);
    let opacity = dice.between(0.85, 1.0);
    canvas.lay(&Texture::random(figure, contrast, dice), |x, y| opacity * cover(shape.distance(x, y)));

    if dice.chance(0.25) {
        occlude(&mut canvas, centre, radius, dice);
    }
    if dice.chance(0.2) {
        distract(&mut canvas, dice);
    }
    if dice.chance(0.4) {
        let share = dice.between(0.3, 1.0);
        canvas.blur(share);
    }
    expose(&canvas, dice)
}

/// A colour that can be told from `ground`, if only just.
fn distinct_colour(ground: Colour, dice: &mut Dice) -> Colour {
    let wanted = dice.between(0.4, 0.9);
    let mut best = ground;
    let mut best_gap = f32::INFINITY;
    for _ in 0..8 {
        let colour: Colour = std::array::from_fn(|_| dice.unit());
        let differences: Colour = std::array::from_fn(|channel| colour[channel] - ground[channel]);
        let distance = differences.iter().map(|difference| difference * difference).sum::<f32>().sqrt();
        // Too close is worse than too far.
        let gap = (distance - wanted).max(8.0 * (wanted - distance));
        if gap < best_gap {
            (best, best_gap) = (colour, gap);
        }
    }
    best
}

/// A line or a small shape that has nothing to do with the class.
fn distract(canvas: &mut Canvas, dice: &mut Dice) {
    let colour: Colour = std::array::from_fn(|_| dice.unit());
    let surface = Texture::random(colour, 0.2, dice);
    let at = [dice.between(0.0, SIDE as f32), dice.between(0.0, SIDE as f32)];
    if dice.chance(0.5) {
        let [c, s] = dice.direction();
        let width = dice.between(0.4, 1.1);
        canvas.lay(&surface, |x, y| cover((s * (x - at[0]) - c * (y - at[1])).abs() - width));
    } else {
        let class = dice.pick(CLASSES.len());
        let radius = dice.between(2.0, 4.2);
        let shape = Shape::random(class, at, radius, dice);
        canvas.lay(&surface, |x, y| cover(shape.distance(x, y)));
    }
}

/// A bar across a part of the shape.
fn occlude(canvas: &mut Canvas, centre: [f32; 2], radius: f32, dice: &mut Dice) {
    let colour: Colour = std::array::from_fn(|_| dice.unit());
    let surface = Texture::random(colour, 0.3, dice);
    let [c, s] = dice.direction();
    let offset = dice.between(-0.8, 0.8) * radius;
    let half_width = dice.between(0.8, 2.0);
    canvas.lay(&surface, |x, y| {
        let across = s * (x - centre[0]) - c * (y - centre[1]) - offset;
        cover(across.abs() - half_width)
    });
}

/// Light that falls off to one side, exposure, and the sensor's noise.
fn expose(canvas: &Canvas, dice: &mut Dice) -> Vec<u8> {
    let [c, s] = dice.direction();
    let slope = dice.between(0.0, 0.35) / (SIDE as f32 / 2.0);
    let exposure = dice.between(0.65, 1.15);
    let sigma = dice.between(0.01, 0.045);
    let half = SIDE as f32 / 2.0 - 0.5;
    let mut pixels = vec![0; 3 * SIDE * SIDE];
    for (place, colour) in canvas.0.iter().enumerate() {
        let (x, y) = ((place % SIDE) as f32 - half, (place / SIDE) as f32 - half);
        let light = exposure * (1.0 + slope * (c * x + s * y));
        for (channel, value) in colour.iter().enumerate() {
            let value = value * light + sigma * dice.noise();
            pixels[channel * SIDE * SIDE + place] = (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        }
    }
    pixels
}
