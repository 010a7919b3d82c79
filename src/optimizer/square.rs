//! Square Attack (Andriushchenko et al. 2020, <https://arxiv.org/abs/1912.00049>): random search with squares, which asks for no gradient.
//! What it breaks and an attack with gradients does not, tells of gradients that mislead.
//!
//! Rows begin with vertical stripes as strong as the ball allows. Each step changes a square window of the best image: in l-inf balls
//! every channel of it by twice the radius in a random direction; in l2 balls the window gets a pattern of two opposite bumps and the
//! length that another random window gives up. An image is kept where its objective is better. The windows' size shrinks with the share
//! of the steps that is used up. All that is random is drawn when rows enter.

use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use super::{Needs, Optimizer, Pace, Seen};
use crate::random::{Noise, Stream};
use crate::region::Region;
use crate::rows::{Entrants, rows, where_rows};
use crate::terms::Norm;

/// Share of the pixels that the first windows cover.
const FIRST: f64 = 0.8;

/// The share of the pixels that a window covers: halved at these points of the paper's 10,000 steps.
fn coverage(step: usize, steps: usize) -> f64 {
    const HALVED: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];
    let scaled = step * 10_000 / steps.max(1);
    FIRST / f64::powi(2.0, HALVED.iter().filter(|&&at| scaled > at).count() as i32)
}

/// The side of a window at each step, in images of `height` rows and `width` columns.
fn sides(steps: usize, height: i64, width: i64, norm: Norm) -> Vec<i64> {
    let most = height.min(width);
    let side = |step: usize| {
        let side = (coverage(step, steps) * (height * width) as f64).sqrt().round() as i64;
        match norm {
            // A bump has a middle.
            Norm::L2 => (side.max(3) | 1).min(if most % 2 == 0 { most - 1 } else { most }),
            Norm::Linf | Norm::L1 | Norm::L0 => side.clamp(1, (most - 1).max(1)),
        }
    };
    (0..steps.max(1)).map(side).collect()
}

/// What is the same for all rows.
struct Windows {
    /// Side of the window at each step `[S]`, i64.
    side: Tensor,
    /// For l2, the pattern of each step's window as its place in `patterns` `[S]`, i64.
    pattern: Tensor,
    /// Patterns of length 1 over a whole image, at its upper left corner, each upright and lying `[2 P, H * W]`.
    patterns: Option<Tensor>,
}

impl Windows {
    fn new(steps: usize, height: i64, width: i64, norm: Norm, device: Device) -> Self {
        let sides = sides(steps, height, width, norm);
        let mut distinct = sides.clone();
        distinct.dedup();
        let place = |side: &i64| distinct.iter().position(|known| known == side).unwrap_or(0) as i64;
        let pattern: Vec<i64> = sides.iter().map(place).collect();
        let patterns = (norm == Norm::L2).then(|| {
            let flat: Vec<Tensor> = distinct.iter().flat_map(|&side| bumps(side, height, width)).collect();
            Tensor::stack(&flat, 0).to_device(device)
        });
        let upload = |values: &[i64]| Tensor::from_slice(values).to_device(device);
        Windows { side: upload(&sides), pattern: upload(&pattern), patterns }
    }
}

/// Two opposite bumps of length 1 in a square of `side`, one above and one beside the other, each at the upper left corner of an image.
fn bumps(side: i64, height: i64, width: i64) -> [Tensor; 2] {
    let bump = |rows: i64, columns: i64| {
        let (middle_row, middle_column) = (rows / 2, columns / 2);
        let most = (rows / 2 + 1).max(columns / 2 + 1);
        let value = move |row: i64, column: i64| -> f64 {
            let ring = (row - middle_row).abs().max((column - middle_column).abs());
            (ring..most).map(|ring| 1.0 / ((ring + 1) * (ring + 1)) as f64).sum()
        };
        let values: Vec<f64> = (0..rows * columns).map(|at| value(at / columns, at % columns)).collect();
        let length = values.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        values.into_iter().map(|value| (value / length) as f32).collect::<Vec<f32>>()
    };
    let upper = side / 2;
    let both: Vec<f32> =
        bump(upper, side).into_iter().chain(bump(side - upper, side).iter().map(|value| -value)).collect();
    let square = Tensor::from_slice(&both).view([side, side]);
    let square = &square / square.square().sum(Kind::Float).sqrt();
    let placed = |square: Tensor| square.constant_pad_nd([0, width - side, 0, height - side]).flatten(0, -1);
    [placed(square.tr()), placed(square)]
}

rows! {
    /// Random search.
    struct Square {
        each {
            /// The best image, and the one that is looked at.
            best: Tensor,
            query: Tensor,
            /// The best objective `[R]`.
            score: Tensor,
            /// Places of the windows as shares of the room for them, and of the second ones `[R, S, 4]`, in [0, 1).
            places: Tensor,
            /// The sign of each channel `[R, S, C]`.
            signs: Tensor,
            /// Whether the pattern lies `[R, S]`, i64.
            lies: Tensor,
            /// Looks so far `[R]`, i64.
            looks: Tensor,
        }
        all { windows: Rc<Windows> }
    }
}

/// Rows that begin with stripes, wherever others would begin.
pub(super) fn enter(pace: Pace, entrants: &Entrants, _: Tensor, region: &dyn Region) -> Box<dyn Optimizer> {
    let size = entrants.center.size();
    let (channels, height, width, steps) = (size[1], size[2], size[3], pace.steps.max(1));
    let norm = region.shape().map_or(Norm::Linf, |shape| shape.norm());
    let (count, device) = (entrants.rows.len() as i64, entrants.device());
    let drawn: Vec<Drawn> =
        entrants.keys.iter().map(|key| Drawn::new(entrants.noise, key, steps, channels as usize)).collect();
    let stack = |values: &dyn Fn(&Drawn) -> Tensor| {
        Tensor::stack(&drawn.iter().map(values).collect::<Vec<_>>(), 0).to_device(device)
    };
    let (across, down) = (width as usize * channels as usize, height as usize);
    let unit = entrants.drawn(|row, _, _| match norm {
        // The same stripe from top to bottom, in each channel.
        Norm::Linf | Norm::L1 | Norm::L0 => {
            let stripes = entrants.noise.signs(&format!("{}/stripes", entrants.keys[row]), across);
            stripes.chunks(width as usize).flat_map(|stripe| stripe.repeat(down)).collect()
        }
        Norm::L2 => tiles(entrants.noise, &entrants.keys[row], channels, height, width),
    });
    let first = region.project(&(region.center() + unit * region.size()));
    Box::new(Square {
        best: first.copy(),
        query: first,
        score: Tensor::full([count], f64::NEG_INFINITY, (Kind::Float, device)),
        places: stack(&|drawn| Tensor::from_slice(&drawn.places).view([steps as i64, 4])),
        signs: stack(&|drawn| Tensor::from_slice(&drawn.signs).view([steps as i64, channels])),
        lies: stack(&|drawn| Tensor::from_slice(&drawn.lies)),
        looks: Tensor::zeros([count], (Kind::Int64, device)),
        windows: Rc::new(Windows::new(steps, height, width, norm, device)),
    })
}

/// A start for l2: five by five bumps with random signs, of length 1 together.
fn tiles(noise: &Noise, key: &str, channels: i64, height: i64, width: i64) -> Vec<f32> {
    let side = (height.min(width) / 5).max(2);
    let (down, across) = (height / side, width / side);
    let signs = noise.signs(&format!("{key}/tiles"), (channels * down * across) as usize);
    let [_, bump] = bumps(side, side, side);
    let bump: Vec<f32> = crate::rows::floats(&bump);
    let mut values = vec![0.0f32; (channels * height * width) as usize];
    let (top, left) = ((height - down * side) / 2, (width - across * side) / 2);
    for (tile, sign) in signs.iter().enumerate() {
        let tile = tile as i64;
        let (channel, row, column) = (tile / (down * across), tile / across % down, tile % across);
        for at in 0..side * side {
            let (y, x) = (top + row * side + at / side, left + column * side + at % side);
            values[((channel * height + y) * width + x) as usize] = sign * bump[at as usize];
        }
    }
    let length = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt().max(1e-12);
    values.into_iter().map(|value| (f64::from(value) / length) as f32).collect()
}

/// All that is random about a row.
struct Drawn {
    places: Vec<f32>,
    signs: Vec<f32>,
    lies: Vec<i64>,
}

impl Drawn {
    fn new(noise: &Noise, key: &str, steps: usize, channels: usize) -> Self {
        let mut stream: Stream = noise.stream(&format!("{key}/windows"));
        Drawn {
            places: (0..steps * 4).map(|_| stream.unit()).collect(),
            signs: noise.signs(&format!("{key}/signs"), steps * channels),
            lies: (0..steps).map(|_| i64::from(stream.bits() & 1)).collect(),
        }
    }
}

impl Square {
    /// Values of each row at its own step: of `[R, S, ..]` those `[R, ..]`.
    fn now(&self, drawn: &Tensor, step: &Tensor) -> Tensor {
        let size = drawn.size();
        let flat = drawn.flatten(0, 1);
        let rows = Tensor::arange(size[0], (Kind::Int64, drawn.device())) * size[1];
        flat.index_select(0, &(rows + step))
    }

    /// The upper row and the left column `[R, 1, 1, 1]` of windows of `side` `[R]`, from shares of the room `[R, 2]`.
    fn corner(share: &Tensor, side: &Tensor, height: i64, width: i64) -> [Tensor; 2] {
        let place = |axis: i64, room: i64| {
            let room = (-side + room + 1).clamp_min(1).to_kind(Kind::Float);
            (share.select(1, axis) * room).floor().to_kind(Kind::Int64).view([-1, 1, 1, 1])
        };
        [place(0, height), place(1, width)]
    }

    /// Where windows lie `[R, 1, H, W]`.
    fn mask(corner: &[Tensor; 2], side: &Tensor, height: i64, width: i64) -> Tensor {
        let device = side.device();
        let within = |from: &Tensor, places: Tensor| {
            places.ge_tensor(from).logical_and(&places.lt_tensor(&(from + side.view([-1, 1, 1, 1]))))
        };
        let rows = within(&corner[0], Tensor::arange(height, (Kind::Int64, device)).view([1, 1, -1, 1]));
        rows.logical_and(&within(&corner[1], Tensor::arange(width, (Kind::Int64, device)).view([1, 1, 1, -1])))
    }

    /// The next image of each row to be looked at.
    fn propose(&self, region: &dyn Region) -> Tensor {
        let size = self.best.size();
        let (height, width) = (size[2], size[3]);
        let step = self.looks.clamp_max(self.windows.side.size()[0] - 1);
        let side = self.windows.side.index_select(0, &step);
        let places = self.now(&self.places, &step);
        let signs = self.now(&self.signs, &step).view([-1, size[1], 1, 1]);
        let corner = Square::corner(&places.narrow(1, 0, 2), &side, height, width);
        let window = Square::mask(&corner, &side, height, width);
        let next = match &self.windows.patterns {
            None => &self.best + signs * region.size() * 2.0 * window.to_kind(Kind::Float),
            Some(patterns) => {
                let other = Square::corner(&places.narrow(1, 2, 2), &side, height, width);
                let other = Square::mask(&other, &side, height, width);
                let which = self.windows.pattern.index_select(0, &step) * 2 + self.now(&self.lies, &step);
                let pattern = shifted(&patterns.index_select(0, &which), &corner, &window, height, width);
                self.exchanged(region, &window, &other, &(pattern * signs))
            }
        };
        region.project(&next)
    }

    /// For l2: `window` gets `pattern` `[R, C, H, W]` beside what it had, and the length that `other` gives up and the ball has left.
    fn exchanged(&self, region: &dyn Region, window: &Tensor, other: &Tensor, pattern: &Tensor) -> Tensor {
        let delta = &self.best - region.center();
        let channels = delta.size()[1] as f64;
        let plane = |values: &Tensor| values.square().sum_dim_intlist([2i64, 3].as_slice(), true, Kind::Float).sqrt();
        let energy = |values: &Tensor| values.square().sum_dim_intlist([1i64, 2, 3].as_slice(), true, Kind::Float);
        let inside = &delta * window.to_kind(Kind::Float);
        let moved = pattern + &inside / (plane(&inside) + 1e-12);
        let window_energy = energy(&(&delta * window.logical_or(other).to_kind(Kind::Float)));
        let free = (region.size().square() - energy(&delta)).clamp_min(0.0) / channels;
        let moved = &moved / (plane(&moved) + 1e-12) * (window_energy + free).sqrt();
        let rest = delta.masked_fill(&window.logical_or(other), 0.0);
        let next = rest + moved;
        let length = energy(&next).sqrt() + 1e-12;
        region.center() + next / length * region.size()
    }
}

/// Patterns `[R, H * W]` that stand at the upper left corner, moved to `corner` and shown in `window` only: `[R, 1, H, W]`.
fn shifted(patterns: &Tensor, corner: &[Tensor; 2], window: &Tensor, height: i64, width: i64) -> Tensor {
    let device = patterns.device();
    let rows = Tensor::arange(height, (Kind::Int64, device)).view([1, 1, -1, 1]) - &corner[0];
    let columns = Tensor::arange(width, (Kind::Int64, device)).view([1, 1, 1, -1]) - &corner[1];
    let index = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(1, -1);
    patterns.gather(1, &index, false).view_as(window) * window.to_kind(Kind::Float)
}

impl Optimizer for Square {
    fn needs(&self) -> Needs {
        Needs::Score
    }

    fn query(&self) -> Tensor {
        self.query.shallow_clone()
    }

    fn tell(&mut self, observed: &Seen, region: &dyn Region) {
        let better = observed.score.gt_tensor(&self.score);
        self.score = observed.score.where_self(&better, &self.score);
        self.best = where_rows(&better, &self.query, &self.best);
        self.looks += 1;
        self.query = self.propose(region);
    }

    fn best(&self) -> Option<Tensor> {
        Some(self.best.shallow_clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_shrink_as_in_the_paper() {
        let shares: Vec<f64> = [0, 11, 51, 9_999].iter().map(|&step| coverage(step, 10_000)).collect();
        assert_eq!(shares, [0.8, 0.4, 0.2, 0.8 / 512.0]);
        assert_eq!(coverage(999, 1000), coverage(9_990, 10_000));
        assert_eq!(sides(5_000, 32, 32, Norm::Linf)[0], 29);
        assert!(sides(5_000, 32, 32, Norm::L2).iter().all(|side| side % 2 == 1 && (3..32).contains(side)));
    }

    #[test]
    fn patterns_are_two_opposite_bumps_of_length_one() {
        for side in [3, 5, 9] {
            for pattern in bumps(side, 12, 10) {
                let length = pattern.square().sum(Kind::Double).double_value(&[]);
                assert!((length - 1.0).abs() < 1e-5);
                assert!(pattern.max().double_value(&[]) > 0.0 && pattern.min().double_value(&[]) < 0.0);
            }
        }
    }
}
