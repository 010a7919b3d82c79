//! A map cut into square windows, on demand shifted by half of one.

use tch::{Device, Kind, Tensor};

/// What keeps tokens apart that the shift has brought into one window from opposite sides of the image.
const APART: f32 = -100.0;

/// The windows of a map of one size.
pub struct Windows {
    /// Side of a window.
    pub side: i64,
    /// Rows and columns of the map.
    map: [i64; 2],
    /// Rows and columns of the map padded to whole windows.
    padded: [i64; 2],
    /// By how many rows and columns the map is shifted.
    shift: [i64; 2],
    /// `[windows, 1, T, T]`, where the map is shifted.
    mask: Option<Tensor>,
}

impl Windows {
    /// The windows of a `map` (rows, columns). A map of one window is not shifted.
    pub fn new(side: i64, shifted: bool, map: [i64; 2], device: Device) -> Self {
        let padded = map.map(|size| (size + side - 1) / side * side);
        let shift = padded.map(|size| if shifted && size > side { side / 2 } else { 0 });
        let mut windows = Windows { side, map, padded, shift, mask: None };
        windows.mask = (shift != [0, 0]).then(|| windows.regions().to_device(device));
        windows
    }

    /// Zeros below and to the right of `[N, H, W, C]`, as far as windows need them.
    pub fn pad(&self, x: &Tensor) -> Tensor {
        let [below, right] = [0, 1].map(|axis| self.padded[axis] - self.map[axis]);
        if below + right == 0 { x.shallow_clone() } else { x.constant_pad_nd([0, 0, 0, right, 0, below]) }
    }

    /// Takes away what [`Windows::pad`] has added.
    pub fn crop(&self, x: &Tensor) -> Tensor {
        if self.padded == self.map {
            return x.shallow_clone();
        }
        x.slice(1, 0, self.map[0], 1).slice(2, 0, self.map[1], 1).contiguous()
    }

    /// Shifts a padded map `[N, H, W, C]` and cuts it: `[N * windows, T, C]`.
    pub fn cut(&self, x: &Tensor) -> Tensor {
        let (rows, channels) = (x.size()[0], x.size()[3]);
        let x = if self.mask.is_some() { x.roll(self.shift.map(|by| -by), [1, 2]) } else { x.shallow_clone() };
        let [down, across] = self.padded.map(|size| size / self.side);
        let x = x.reshape([rows, down, self.side, across, self.side, channels]);
        x.permute([0, 1, 3, 2, 4, 5]).reshape([-1, self.side * self.side, channels])
    }

    /// The inverse of [`Windows::cut`], for a batch of `rows`.
    pub fn join(&self, x: &Tensor, rows: i64) -> Tensor {
        let [down, across] = self.padded.map(|size| size / self.side);
        let x = x.reshape([rows, down, across, self.side, self.side, -1]).permute([0, 1, 3, 2, 4, 5]);
        let x = x.reshape([rows, self.padded[0], self.padded[1], -1]);
        if self.mask.is_some() { x.roll(self.shift, [1, 2]) } else { x }
    }

    /// Logits `[N * windows, heads, T, T]` with the mask added, where there is one.
    pub fn masked(&self, logits: Tensor) -> Tensor {
        let Some(mask) = &self.mask else { return logits };
        let (windows, heads, tokens) = (mask.size()[0], logits.size()[1], logits.size()[2]);
        let apart = logits.view([-1, windows, heads, tokens, tokens]) + mask.to_kind(logits.kind());
        apart.view([-1, heads, tokens, tokens])
    }

    /// For each pair of tokens of a window its place in a table of all differences of rows and columns: `[T * T]`, i64.
    pub fn relative_positions(&self) -> Tensor {
        let (side, span) = (self.side, 2 * self.side - 1);
        let tokens = || (0..side * side).map(move |token| (token / side, token % side));
        let places = tokens().flat_map(|(y, x)| {
            tokens().map(move |(other_y, other_x)| (y - other_y + side - 1) * span + (x - other_x + side - 1))
        });
        Tensor::from_slice(&places.collect::<Vec<i64>>())
    }

    /// The mask `[windows, 1, T, T]`: 0 between tokens that were neighbours before the shift, or else [`APART`].
    fn regions(&self) -> Tensor {
        let region = |axis: usize, place: i64| match (self.padded[axis], self.shift[axis]) {
            (_, 0) => 0,
            (size, _) if place < size - self.side => 0,
            (size, shift) if place < size - shift => 1,
            _ => 2,
        };
        let [height, width] = self.padded;
        let regions: Vec<i64> =
            (0..height * width).map(|place| 3 * region(0, place / width) + region(1, place % width)).collect();
        let unshifted = Windows { mask: None, shift: [0, 0], ..*self };
        let regions = unshifted.cut(&Tensor::from_slice(&regions).view([1, height, width, 1])).squeeze_dim(2);
        let apart = regions.unsqueeze(1).not_equal_tensor(&regions.unsqueeze(2));
        (apart.to_kind(Kind::Float) * f64::from(APART)).unsqueeze(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_and_joining_gives_the_map_again() {
        for (map, shifted) in [([4, 8], false), ([4, 8], true), ([7, 9], true), ([3, 4], true), ([1, 1], true)] {
            let windows = Windows::new(4, shifted, map, Device::Cpu);
            let x = Tensor::arange(2 * map[0] * map[1] * 3, (Kind::Float, Device::Cpu)).view([2, map[0], map[1], 3]);
            let cut = windows.cut(&windows.pad(&x));
            assert_eq!(cut.size()[1..], [16, 3]);
            assert!(windows.crop(&windows.join(&cut, 2)).equal(&x), "{map:?}");
        }
    }

    #[test]
    fn tokens_from_opposite_sides_are_kept_apart() {
        // Two windows of 2x2 in a row, shifted by one column: the second holds the last column and the first.
        let windows = Windows::new(2, true, [2, 4], Device::Cpu);
        assert_eq!(windows.shift, [0, 1]);
        let mask = windows.mask.unwrap();
        assert_eq!(mask.size(), [2, 1, 4, 4]);
        let mask_of_window = |window: i64| Vec::<f32>::try_from(mask.select(0, window).flatten(0, -1)).unwrap();
        assert_eq!(mask_of_window(0), [0.0; 16]);
        let row = [0.0, APART, 0.0, APART];
        let other = [APART, 0.0, APART, 0.0];
        assert_eq!(mask_of_window(1), [row, other, row, other].concat());
    }

    #[test]
    fn relative_positions_are_torchvisions() {
        // torchvision's `ShiftedWindowAttention(4, [2, 2], [0, 0], 1).relative_position_index`.
        let windows = Windows::new(2, false, [2, 2], Device::Cpu);
        let expected = [4, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4];
        assert_eq!(Vec::<i64>::try_from(windows.relative_positions()).unwrap(), expected);
    }
}
