//! The ten shapes, as signed distances.

use super::dice::{Dice, sine};

/// Class names, by class index: the shape that the image shows.
pub(super) const CLASSES: [&str; 10] =
    ["arrow", "crescent", "cross", "disc", "hexagon", "hourglass", "ring", "square", "star", "triangle"];

/// An outline within the unit circle.
enum Outline {
    /// A polygon by its corners; where edges cross, the even-odd rule holds.
    Polygon(Vec<[f32; 2]>),
    Disc,
    /// A disc without the concentric disc of this radius.
    Ring(f32),
    /// A disc without the disc of radius `hole` at (`offset`, 0).
    Crescent {
        hole: f32,
        offset: f32,
    },
}

/// A shape at its place in the image, in pixels.
pub(super) struct Shape {
    outline: Outline,
    centre: [f32; 2],
    direction: [f32; 2],
    half_axes: [f32; 2],
}

impl Shape {
    /// The shape of class `class` around `centre` with about `radius`; its rotation, stretch and proportions are random.
    pub(super) fn random(class: usize, centre: [f32; 2], radius: f32, dice: &mut Dice) -> Self {
        let stretch = dice.between(0.85, 1.18);
        Shape {
            outline: outline(class, dice),
            centre,
            direction: dice.direction(),
            half_axes: [radius * stretch, radius / stretch],
        }
    }

    /// Distance in pixels from the outline to (`x`, `y`), negative inside. Exact for unstretched shapes, else close.
    pub(super) fn distance(&self, x: f32, y: f32) -> f32 {
        let [dx, dy] = [x - self.centre[0], y - self.centre[1]];
        let [c, s] = self.direction;
        let point = [(c * dx + s * dy) / self.half_axes[0], (c * dy - s * dx) / self.half_axes[1]];
        let scale = self.half_axes[0].min(self.half_axes[1]);
        let length = hypotenuse(point[0], point[1]);
        if length > 1.0 + 2.0 / scale {
            return (length - 1.0) * scale;
        }
        scale
            * match &self.outline {
                Outline::Disc => length - 1.0,
                Outline::Ring(inner) => (length - 1.0).max(inner - length),
                Outline::Crescent { hole, offset } => {
                    (length - 1.0).max(hole - hypotenuse(point[0] - offset, point[1]))
                }
                Outline::Polygon(corners) => polygon_distance(corners, point),
            }
    }
}

fn outline(class: usize, dice: &mut Dice) -> Outline {
    match CLASSES[class] {
        "arrow" => {
            let shaft = dice.between(0.17, 0.3);
            let neck = dice.between(-0.1, 0.2);
            let barb = dice.between(0.62, 0.8);
            let tail = -0.95;
            Outline::Polygon(vec![
                [1.0, 0.0],
                [neck, barb],
                [neck, shaft],
                [tail, shaft],
                [tail, -shaft],
                [neck, -shaft],
                [neck, -barb],
            ])
        }
        "crescent" => Outline::Crescent { hole: dice.between(0.75, 0.95), offset: dice.between(0.5, 0.65) },
        "cross" => {
            let w = dice.between(0.22, 0.36);
            let quarter = [[1.0, -w], [1.0, w], [w, w]];
            Outline::Polygon((0..4).flat_map(|turn| quarter.map(|corner| rotate_by_quarters(corner, turn))).collect())
        }
        "disc" => Outline::Disc,
        "hexagon" => Outline::Polygon(circle_points(6, &[1.0])),
        "hourglass" => {
            let (w, h) = (dice.between(0.55, 0.75), dice.between(0.78, 0.9));
            Outline::Polygon(vec![[-w, -h], [w, -h], [-w, h], [w, h]])
        }
        "ring" => Outline::Ring(dice.between(0.4, 0.65)),
        "square" => Outline::Polygon(circle_points(4, &[1.0])),
        "star" => Outline::Polygon(circle_points(10, &[1.0, dice.between(0.4, 0.52)])),
        _ => Outline::Polygon(circle_points(3, &[1.0])),
    }
}

/// `count` points at equal angles, at the given radii in turn.
fn circle_points(count: usize, radii: &[f32]) -> Vec<[f32; 2]> {
    (0..count)
        .map(|point| {
            let turn = point as f32 / count as f32;
            let radius = radii[point % radii.len()];
            [radius * sine(turn + 0.25), radius * sine(turn)]
        })
        .collect()
}

fn rotate_by_quarters([x, y]: [f32; 2], quarters: usize) -> [f32; 2] {
    match quarters {
        0 => [x, y],
        1 => [-y, x],
        2 => [-x, -y],
        _ => [y, -x],
    }
}

fn hypotenuse(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// Signed distance to a polygon (Inigo Quilez, "2D distance functions").
fn polygon_distance(corners: &[[f32; 2]], [px, py]: [f32; 2]) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = false;
    let mut previous = corners[corners.len() - 1];
    for &corner in corners {
        let edge = [previous[0] - corner[0], previous[1] - corner[1]];
        let to = [px - corner[0], py - corner[1]];
        let along = (to[0] * edge[0] + to[1] * edge[1]) / (edge[0] * edge[0] + edge[1] * edge[1]);
        let along = along.clamp(0.0, 1.0);
        let off = [to[0] - edge[0] * along, to[1] - edge[1] * along];
        nearest = nearest.min(off[0] * off[0] + off[1] * off[1]);
        let below = py >= corner[1];
        let above = py < previous[1];
        let left = edge[0] * to[1] > edge[1] * to[0];
        if (below && above && left) || (!below && !above && !left) {
            inside = !inside;
        }
        previous = corner;
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polygon_distance_of_a_square_is_the_closed_form() {
        let square = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
        for (point, distance) in [([0.0, 0.0], -1.0), ([0.5, 0.0], -0.5), ([3.0, 0.0], 2.0), ([4.0, 5.0], 5.0)] {
            assert!((polygon_distance(&square, point) - distance).abs() < 1e-6, "{point:?}");
        }
    }

    #[test]
    fn every_shape_has_an_inside_and_stays_in_its_circle() {
        let mut dice = Dice::new(0, "shapes", 0);
        for (class, name) in CLASSES.iter().enumerate() {
            let shape = Shape::random(class, [16.0, 16.0], 10.0, &mut dice);
            let mut area = 0;
            for y in 0..32 {
                for x in 0..32 {
                    let inside = shape.distance(x as f32 + 0.5, y as f32 + 0.5) < 0.0;
                    let from_centre = hypotenuse(x as f32 - 15.5, y as f32 - 15.5);
                    assert!(!inside || from_centre <= 12.0, "{name} reaches {from_centre}");
                    area += usize::from(inside);
                }
            }
            assert!((60..330).contains(&area), "{name} covers {area} pixels");
        }
    }
}
