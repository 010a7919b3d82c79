//! Views of an image over which a step's gradient is averaged: copies of its neighbourhood, smaller ones, darker ones.
//!
//! Input diversity: Xie et al. 2019, <https://arxiv.org/abs/1803.06978>. Translation: Dong et al. 2019,
//! <https://arxiv.org/abs/1904.02884>. Scale: Lin et al. 2020, <https://arxiv.org/abs/1908.06281>. Neighbourhood: Wang and He 2021,
//! <https://arxiv.org/abs/2103.15571>, and what smoothing does to networks whose gradients are broken (Athalye et al. 2018).
//! Patches: PatchOut of Wei et al. 2022, <https://arxiv.org/abs/2109.04176>.

use tch::{Device, Kind, Tensor};

use crate::model::Tokens;
use crate::region::Region;
use crate::rows::{Entrants, rows};
use crate::suite::GradientViews;

/// By how much a diverse view is larger than the image that lies somewhere in it, at most.
const LARGEST: f64 = 1.1;

/// Rows and columns of the patches of images whose network has none.
const GRID: [i64; 2] = [14, 14];

/// Random numbers of a diverse view: whether, how large, row and column.
const DRAWS: i64 = 4;

rows! {
    /// What is drawn for the views of each row, when it enters.
    pub(super) struct RowViews {
        each {
            /// Steps taken `[R]`, i64.
            age: Tensor,
            /// For each step and view `[R, steps, views * 4]` in [0, 1).
            draws: Option<Tensor>,
            /// Where copies lie beside the image `[R, samples - 1, C, H, W]`.
            places: Option<Tensor>,
            /// For each step and view, the cells of a grid `[R, steps, views * cells]` in [0, 1): the smallest are perturbed.
            cells: Option<Tensor>,
            /// The clean images, where some cells are shown without their perturbation.
            clean: Option<Tensor>,
        }
        all {
            pub(super) views: GradientViews,
            /// Rows and columns of the cells.
            grid: [i64; 2],
        }
    }
}

impl RowViews {
    /// For rows that enter, in a network of such tokens.
    pub(super) fn new(views: GradientViews, entrants: &Entrants, region: &dyn Region, tokens: Tokens) -> Self {
        let device = entrants.device();
        let rows = entrants.rows.len() as i64;
        let steps = entrants.steps.max(1);
        let drawn = |stream: &str, each: i64| {
            let count = steps * views.count() * each as usize;
            let draw = |key: &String| Tensor::from_slice(&entrants.noise.uniform(&format!("{key}/{stream}"), count));
            let draws: Vec<Tensor> = entrants.keys.iter().map(draw).collect();
            let shape = [rows, steps as i64, views.count() as i64 * each];
            ((Tensor::stack(&draws, 0) + 1.0) / 2.0).view(shape).to_device(device)
        };
        let draws = (views.diversity > 0.0).then(|| drawn("views", DRAWS));
        let size = region.center().size();
        let [down, across] = tokens.grid.unwrap_or(GRID);
        let grid = [down.min(size[2]), across.min(size[3])];
        let cells = (views.patches < 1.0).then(|| drawn("patches", grid[0] * grid[1]));
        let clean = cells.is_some().then(|| region.center().shallow_clone());
        let places = region.shape().filter(|_| views.samples > 1).map(|shape| {
            let copy = |copy: usize| {
                let unit = entrants
                    .drawn(|_, key, count| shape.draw_inside(entrants.noise, &format!("{key}/copy/{copy}"), count));
                unit * region.size() * views.radius
            };
            let copies: Vec<Tensor> = (1..views.samples).map(copy).collect();
            Tensor::stack(&copies, 1)
        });
        RowViews { age: Tensor::zeros([rows], (Kind::Int64, device)), draws, places, cells, clean, views, grid }
    }

    /// The view at `place` of images `[R, C, H, W]`; gradients flow through.
    pub(super) fn image(&self, pixels: &Tensor, place: usize) -> Tensor {
        let (copy, scale) = (place / self.views.scales, place % self.views.scales);
        let pixels = match (&self.cells, &self.clean) {
            (Some(cells), Some(clean)) => clean + (pixels - clean) * self.perturbed(cells, place as i64, pixels),
            _ => pixels.shallow_clone(),
        };
        let moved = match &self.places {
            Some(places) if copy > 0 => pixels + places.select(1, copy as i64 - 1),
            _ => pixels,
        };
        let darker = if scale > 0 { moved / f64::from(1u32 << scale) } else { moved };
        match &self.draws {
            Some(draws) => self.diverse(&darker, draws, place as i64),
            None => darker,
        }
    }

    /// What was drawn for this step and the view at `place`, `[R, each]`.
    fn now(&self, draws: &Tensor, place: i64, each: i64) -> Tensor {
        let steps = draws.size()[1];
        let index = self.age.clamp_max(steps - 1).view([-1, 1, 1]).expand([-1, 1, draws.size()[2]], true);
        draws.gather(1, &index, false).squeeze_dim(1).narrow(1, place * each, each)
    }

    /// 1 in the patches whose perturbation the view at `place` has, 0 in others: `[R, 1, H, W]`.
    fn perturbed(&self, cells: &Tensor, place: i64, pixels: &Tensor) -> Tensor {
        let [rows, columns] = self.grid;
        let now = self.now(cells, place, rows * columns);
        let count = ((rows * columns) as f64 * self.views.patches).round().max(1.0) as i64;
        let (last, _) = now.kthvalue(count, 1, true);
        let perturbed = now.le_tensor(&last).to_kind(Kind::Float).view([-1, 1, rows, columns]);
        let size = pixels.size();
        perturbed.upsample_nearest2d([size[2], size[3]], None, None)
    }

    /// The same images, some of them shrunk and moved, on black.
    fn diverse(&self, pixels: &Tensor, draws: &Tensor, place: i64) -> Tensor {
        let now = self.now(draws, place, DRAWS);
        let column = |at: i64| now.select(1, at).view([-1, 1, 1]);
        let moved = column(0).lt(self.views.diversity);
        let share = column(1) * (1.0 / LARGEST - 1.0) + 1.0;
        let share = share.where_self(&moved, &share.ones_like());
        let room: Tensor = -&share + 1.0;
        let size = pixels.size();
        let rows = resampling(&share, &(column(2) * &room), size[2], pixels.device());
        let columns = resampling(&share, &(column(3) * &room), size[3], pixels.device());
        rows.unsqueeze(1).matmul(pixels).matmul(&columns.unsqueeze(1).transpose(2, 3))
    }

    /// The gradient `[R, C, H, W]`, blurred as if it were averaged over moved images.
    pub(super) fn blurred(&self, gradient: Tensor) -> Tensor {
        if self.views.translation <= 1 {
            return gradient;
        }
        let (size, side) = (gradient.size(), self.views.translation as i64);
        let kernel = gaussian(side, gradient.device()).view([1, 1, side, side]);
        let planes = gradient.reshape([size[0] * size[1], 1, size[2], size[3]]);
        let half = [side / 2, side / 2];
        planes.conv2d(&kernel, None::<Tensor>, [1, 1], half, [1, 1], 1).reshape(size)
    }

    /// One step is done.
    pub(super) fn advance(&mut self) {
        self.age += 1i64;
    }
}

/// Matrices `[R, side, side]` that shrink a line to `share` `[R, 1, 1]` of its length and move it by `offset` `[R, 1, 1]` of it, linearly;
/// what lies outside is 0.
fn resampling(share: &Tensor, offset: &Tensor, side: i64, device: Device) -> Tensor {
    let line = Tensor::arange(side, (Kind::Float, device));
    let source = (line.view([1, -1, 1]) + 0.5 - offset * side as f64) / share - 0.5;
    let apart = source - line.view([1, 1, -1]);
    (-apart.abs() + 1.0).clamp_min(0.0)
}

/// A Gaussian kernel `[side, side]` of sum 1 that ends at three deviations.
fn gaussian(side: i64, device: Device) -> Tensor {
    let line = Tensor::linspace(-3.0, 3.0, side, (Kind::Float, device)).square();
    let bell = (line * -0.5).exp();
    let bell = &bell / bell.sum(Kind::Float);
    bell.outer(&bell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: &Tensor) -> Vec<f64> {
        crate::rows::doubles(tensor)
    }

    #[test]
    fn a_line_that_is_not_shrunk_stays() {
        let resampled = |share: f64, offset: f64| {
            let one = |value: f64| Tensor::from_slice(&[value as f32]).view([1, 1, 1]);
            resampling(&one(share), &one(offset), 4, Device::Cpu)
        };
        assert_eq!(values(&(resampled(1.0, 0.0) - Tensor::eye(4, (Kind::Float, Device::Cpu)).unsqueeze(0))), [0.0; 16]);
        // Half as long, moved to the end: each value is the mean of two.
        let line = Tensor::from_slice(&[1.0f32, 3.0, 5.0, 7.0]).view([1, 4, 1]);
        assert_eq!(values(&resampled(0.5, 0.5).matmul(&line)), [0.0, 0.0, 2.0, 6.0]);
    }

    #[test]
    fn kernels_sum_up_to_one_and_keep_a_flat_gradient_inside() {
        let views = GradientViews { translation: 3, ..GradientViews::PLAIN };
        let age = Tensor::zeros([1], (Kind::Int64, Device::Cpu));
        let rows = RowViews { age, draws: None, places: None, cells: None, clean: None, views, grid: GRID };
        let blurred = rows.blurred(Tensor::ones([1, 2, 5, 5], (Kind::Float, Device::Cpu)));
        assert_eq!(blurred.size(), [1, 2, 5, 5]);
        assert!((blurred.double_value(&[0, 1, 2, 2]) - 1.0).abs() < 1e-6);
        assert!(blurred.double_value(&[0, 0, 0, 0]) < 1.0);
    }

    #[test]
    fn darker_and_displaced_views_are_what_they_say() {
        let views = GradientViews { scales: 2, samples: 2, radius: 0.5, ..GradientViews::PLAIN };
        let options = (Kind::Float, Device::Cpu);
        let places = Some(Tensor::full([1, 1, 1, 2, 2], 0.25, options));
        let age = Tensor::zeros([1], (Kind::Int64, Device::Cpu));
        let rows = RowViews { age, draws: None, places, cells: None, clean: None, views, grid: GRID };
        let image = Tensor::full([1, 1, 2, 2], 0.5, options);
        let means: Vec<f64> = (0..4).map(|place| rows.image(&image, place).double_value(&[0, 0, 0, 0])).collect();
        assert_eq!(means, [0.5, 0.25, 0.75, 0.375]);
    }

    #[test]
    fn diverse_views_keep_their_size_and_some_stay_whole() {
        let views = GradientViews { diversity: 0.5, ..GradientViews::PLAIN };
        let draws = Tensor::from_slice(&[0.9f32, 0.5, 0.5, 0.5, 0.1, 1.0, 0.0, 0.0]).view([2, 1, 4]);
        let age = Tensor::zeros([2], (Kind::Int64, Device::Cpu));
        let rows = RowViews { age, draws: Some(draws), places: None, cells: None, clean: None, views, grid: GRID };
        let image = Tensor::ones([2, 1, 22, 22], (Kind::Float, Device::Cpu));
        let view = rows.image(&image, 0);
        assert_eq!(view.get(0).sum(Kind::Double).double_value(&[]), 22.0 * 22.0, "the first stays");
        let share = view.get(1).sum(Kind::Double).double_value(&[]) / (22.0 * 22.0);
        assert!((share - 1.0 / 1.21).abs() < 0.01, "{share}");
    }

    #[test]
    fn so_many_patches_are_perturbed_at_each_step() {
        let views = GradientViews { patches: 0.5, ..GradientViews::PLAIN };
        let cells = Tensor::from_slice(&[0.1f32, 0.9, 0.8, 0.2, 0.9, 0.1, 0.2, 0.8]).view([1, 2, 4]);
        let options = (Kind::Float, Device::Cpu);
        let clean = Some(Tensor::zeros([1, 1, 4, 4], options));
        let age = Tensor::zeros([1], (Kind::Int64, Device::Cpu));
        let mut rows = RowViews { age, draws: None, places: None, cells: Some(cells), clean, views, grid: [2, 2] };
        let image = Tensor::ones([1, 1, 4, 4], options);
        let corner_values = |rows: &RowViews| -> Vec<f64> {
            let corners = rows.image(&image, 0);
            [[0, 0], [0, 3], [3, 0], [3, 3]].map(|[y, x]| corners.double_value(&[0, 0, y, x])).into()
        };
        assert_eq!(corner_values(&rows), [1.0, 0.0, 0.0, 1.0]);
        rows.advance();
        assert_eq!(corner_values(&rows), [0.0, 1.0, 1.0, 0.0]);
    }
}
