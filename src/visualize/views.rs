//! What the network is shown of a canvas: copies that are moved in one resampling, recoloured and made noisy. All random numbers of a
//! picture are drawn before its first step, from the picture's own streams, so that they depend on nothing else.

use tch::{Device, Tensor};

use crate::random::Noise;
use crate::suite::{Motion, Views};

/// Uniform numbers that a copy takes at a step: shifts, size, turn, crop.
const DRAWS: usize = 8;

/// How far into a longer stretch of noise a copy's own may begin.
const POOL: usize = 1 << 16;

/// Pixels of the canvas that a crop has at least, on a side.
const LEAST_CROP: f64 = 24.0;

/// The views of some pictures at every step.
pub struct Prepared {
    views: Views,
    /// Rows and columns of an output.
    output: [i64; 2],
    /// Output to input coordinates, `[T, R * copies, 2, 3]`; none if nothing moves.
    motions: Option<Tensor>,
    /// Shifts and logarithms of the stretch of each channel, `[T, R * copies, C, 2]`.
    colours: Option<Tensor>,
    /// Noise of deviation 1, one stretch for each picture, `[R, ..]`, and where each copy's begins, `[T][R * copies]`.
    noise: Option<(Tensor, Vec<Vec<i64>>)>,
    steps: usize,
}

/// Rows and columns of pictures.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Of the canvas.
    pub canvas: [i64; 2],
    /// Of what the network takes.
    pub output: [i64; 2],
}

impl Prepared {
    /// Draws everything for pictures whose streams `keys` name.
    pub fn new(
        views: Views,
        steps: usize,
        channels: i64,
        Sizes { canvas, output }: Sizes,
        noise: &Noise,
        keys: &[String],
        device: Device,
    ) -> Self {
        let (rows, copies) = (keys.len(), views.copies);
        let moves = views.motion != Motion::Still || canvas != output;
        let upload = |values: &[f32], shape: &[i64]| Tensor::from_slice(values).view(shape).to_device(device);
        let count = (rows * copies) as i64;
        let motions = moves.then(|| {
            let draws: Vec<Vec<f32>> =
                keys.iter().map(|key| noise.uniform(&format!("{key}/motion"), steps * copies * DRAWS)).collect();
            let mut values = Vec::with_capacity(steps * rows * copies * 6);
            for step in 0..steps {
                let progress = step as f64 / steps.max(2).saturating_sub(1) as f64;
                for draws in &draws {
                    for copy in 0..copies {
                        let at = (step * copies + copy) * DRAWS;
                        values.extend(motion(views.motion, &draws[at..at + DRAWS], progress, canvas));
                    }
                }
            }
            upload(&values, &[steps as i64, count, 2, 3])
        });
        let colours = views.recolour.then(|| {
            let each = copies * channels as usize * 2;
            let draws: Vec<Vec<f32>> =
                keys.iter().map(|key| noise.uniform(&format!("{key}/colour"), steps * each)).collect();
            let values: Vec<f32> = (0..steps)
                .flat_map(|step| {
                    draws.iter().flat_map(move |draws| draws[step * each..(step + 1) * each].iter().copied())
                })
                .collect();
            upload(&values, &[steps as i64, count, channels, 2])
        });
        let noisy = views.noise.iter().any(|deviation| *deviation > 0.0);
        let stretch = (channels * output[0] * output[1]) as usize + POOL;
        let noise = noisy.then(|| {
            let values: Vec<f32> = keys.iter().flat_map(|key| noise.normal(&format!("{key}/noise"), stretch)).collect();
            let pool = upload(&values, &[rows as i64, stretch as i64]);
            let starts: Vec<Vec<f32>> =
                keys.iter().map(|key| noise.uniform(&format!("{key}/noise-start"), steps * copies)).collect();
            let start = |value: f32| (f64::from(value + 1.0) / 2.0 * POOL as f64) as i64;
            let places = (0..steps)
                .map(|step| {
                    let of_step = |starts: &Vec<f32>| starts[step * copies..(step + 1) * copies].to_vec();
                    starts.iter().flat_map(of_step).map(start).collect()
                })
                .collect();
            (pool, places)
        });
        Prepared { views, output, motions, colours, noise, steps }
    }

    /// The copies `[R * copies, C, h, w]` of canvases `[R, C, H, W]` at a step, the copies of a canvas beside each other.
    pub fn show(&self, canvas: &Tensor, step: usize) -> Tensor {
        let size = canvas.size();
        let (rows, channels, copies) = (size[0], size[1], self.views.copies as i64);
        let [height, width] = self.output;
        let mut view = match copies {
            1 => canvas.shallow_clone(),
            _ => canvas.repeat_interleave_self_int(copies, 0, None),
        };
        if let Some(motions) = &self.motions {
            let grid = Tensor::affine_grid_generator(
                &motions.get(step as i64),
                [rows * copies, channels, height, width],
                false,
            );
            // Zeros around grey-centred values are grey; borders are repeated for crops; and what rolls comes back.
            view = match self.views.motion {
                Motion::Still | Motion::Crops { .. } => view.grid_sampler(&grid, 0, 1, false),
                Motion::Warp { .. } => (view - 0.5).grid_sampler(&grid, 0, 0, false).g_add_scalar_(0.5),
                Motion::Roll { .. } => view.grid_sampler(&((grid + 1.0).remainder(2.0) - 1.0), 0, 1, false),
            };
        }
        if let Some(colours) = &self.colours {
            let colours = colours.get(step as i64).unsqueeze(-1).unsqueeze(-1);
            view = (view - colours.select(2, 0)) / colours.select(2, 1).exp();
        }
        if let Some((pool, starts)) = &self.noise {
            let progress = step as f64 / self.steps.max(2).saturating_sub(1) as f64;
            let deviation = between(self.views.noise, progress);
            let stretch = channels * height * width;
            let pieces: Vec<Tensor> = starts[step]
                .iter()
                .enumerate()
                .map(|(place, start)| pool.get(place as i64 / copies).narrow(0, *start, stretch))
                .collect();
            view += Tensor::stack(&pieces, 0).view([rows * copies, channels, height, width]) * deviation;
        }
        view
    }
}

/// Where a quantity stands that goes evenly from the first to the second value.
fn between(ends: [f64; 2], progress: f64) -> f64 {
    ends[0] + (ends[1] - ends[0]) * progress
}

/// Output to input coordinates of one copy, two rows of three; `draws` are uniform in [-1, 1).
fn motion(motion: Motion, draws: &[f32], progress: f64, canvas: [i64; 2]) -> [f32; 6] {
    let draw = |index: usize| f64::from(draws[index]);
    // Three uniform numbers with the deviation of a normal one's, near enough to it.
    let bell = |first: usize| draw(first) + draw(first + 1) + draw(first + 2);
    let affine = match motion {
        Motion::Still => [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        Motion::Warp { jitter, scale, degrees } => {
            // A range of `jitter` is the whole width of the side's share; coordinates span 2.
            let shift = |first: usize| draw(first) * jitter[0] + draw(first + 1) * jitter[1];
            let turn = (draw(4) * degrees).to_radians();
            let size = 1.0 / (1.0 + draw(5) * scale);
            let (sine, cosine) = (turn.sin() * size, turn.cos() * size);
            [cosine, sine, shift(0), -sine, cosine, shift(2)]
        }
        Motion::Roll { share } => {
            // Whole pixels, so that nothing is blurred.
            let shift = |index: usize, side: i64| (draw(index) * share * side as f64).round() * 2.0 / side as f64;
            [1.0, 0.0, shift(0, canvas[1]), 0.0, 1.0, shift(1, canvas[0])]
        }
        Motion::Crops { side, spread } => {
            // A crop of a few pixels shows nothing that a network could see.
            let least = (LEAST_CROP / canvas[0].min(canvas[1]) as f64).clamp(0.05, 1.0);
            let mean = between(side, progress).max(least);
            let size = (mean + draw(6) * spread * 3f64.sqrt()).clamp(least, 1.0);
            let centre = |first: usize| bell(first) * 0.15 * 2.0;
            [size, 0.0, centre(0), 0.0, size, centre(3)]
        }
    };
    affine.map(|value| value as f32)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn prepared(motion: Motion, size: [i64; 2]) -> Prepared {
        let views = Views { copies: 2, motion, noise: [0.0; 2], recolour: false };
        let keys = ["a".to_owned(), "b".to_owned()];
        Prepared::new(views, 3, 3, Sizes { canvas: size, output: size }, &Noise::new(1, "views"), &keys, Device::Cpu)
    }

    fn picture(height: i64, width: i64) -> Tensor {
        (Tensor::arange(2 * 3 * height * width, (Kind::Float, Device::Cpu)) * 0.37).sin().view([2, 3, height, width])
            * 0.4
            + 0.5
    }

    #[test]
    fn nothing_moves_where_nothing_may() {
        let canvas = picture(6, 8);
        let still = Motion::Warp { jitter: [0.0; 2], scale: 0.0, degrees: 0.0 };
        for motion in [still, Motion::Roll { share: 0.0 }, Motion::Still] {
            let view = prepared(motion, [6, 8]).show(&canvas, 1);
            let expected = canvas.repeat_interleave_self_int(2, 0, None);
            assert!((view - expected).abs().max().double_value(&[]) < 1e-5, "{motion:?}");
        }
    }

    #[test]
    fn a_roll_moves_whole_pixels_around() {
        let canvas = picture(8, 8);
        let view = prepared(Motion::Roll { share: 0.5 }, [8, 8]).show(&canvas, 0);
        for (copy, row) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
            let found = (-4..=4).flat_map(|y| (-4..=4).map(move |x| (y, x))).any(|(y, x)| {
                let rolled = canvas.get(row).roll([y, x].as_slice(), [1i64, 2].as_slice());
                (rolled - view.get(copy)).abs().max().double_value(&[]) < 1e-4
            });
            assert!(found, "copy {copy}");
        }
    }

    #[test]
    fn a_warp_turns_and_shifts_as_it_says_and_leaves_grey_around() {
        // A turn by 90 degrees in one resampling is libtorch's own.
        let affine = motion(
            Motion::Warp { jitter: [0.0; 2], scale: 0.0, degrees: 90.0 },
            &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
            0.0,
            [4, 4],
        );
        let grid = Tensor::affine_grid_generator(&Tensor::from_slice(&affine).view([1, 2, 3]), [1, 3, 4, 4], false);
        let canvas = picture(4, 4).narrow(0, 0, 1);
        let turned = canvas.grid_sampler(&grid, 0, 0, false);
        let turns: Vec<f64> = [1, 3]
            .map(|quarter| (&turned - canvas.rot90(quarter, [2i64, 3].as_slice())).abs().max().double_value(&[]))
            .into();
        assert!(turns.iter().any(|difference| *difference < 1e-4), "{turns:?}");
        let far = Motion::Warp { jitter: [4.0, 0.0], scale: 0.0, degrees: 0.0 };
        let view = prepared(far, [6, 6]).show(&Tensor::ones([2, 3, 6, 6], (Kind::Float, Device::Cpu)), 0);
        let (least, most) = (view.min().double_value(&[]), view.max().double_value(&[]));
        assert!(least >= 0.5 && most <= 1.0, "{least} {most}");
    }

    #[test]
    fn views_of_a_row_do_not_depend_on_its_neighbours() {
        let motion = Motion::Crops { side: [0.5, 0.25], spread: 0.05 };
        let views = Views { copies: 3, motion, noise: [0.1, 0.0], recolour: true };
        let noise = Noise::new(9, "views");
        let sizes = Sizes { canvas: [12, 12], output: [8, 8] };
        let make = |keys: &[String]| Prepared::new(views, 4, 3, sizes, &noise, keys, Device::Cpu);
        let (both, alone) = (make(&["a".to_owned(), "b".to_owned()]), make(&["b".to_owned()]));
        let canvas = picture(12, 12);
        for step in 0..4 {
            let found = both.show(&canvas, step).narrow(0, 3, 3);
            assert_eq!(found.size(), [3, 3, 8, 8]);
            assert!((found - alone.show(&canvas.narrow(0, 1, 1), step)).abs().max().double_value(&[]) < 1e-6);
        }
    }
}
