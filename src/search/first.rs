//! What rows see where they begin at a clean image: the same for all rows of a sample that drive the same, whatever their ball, so that one
//! forward and one backward pass serve all of them.

use std::collections::HashMap;

use tch::Tensor;

use super::look::Look;
use crate::judge::Bench;
use crate::objective::Objective;
use crate::optimizer::gradient;
use crate::rows::Row;

/// The first look of some samples.
pub struct FirstLook {
    /// Where each sample stands in the tensors.
    places: HashMap<usize, i64>,
    /// What is maximized `[N]`.
    score: Tensor,
    /// What is reached `[N]`, i64.
    level: Tensor,
    /// `[N, C, H, W]`.
    gradient: Tensor,
}

impl FirstLook {
    /// Looks at the clean images of `rows`, one of each sample, as `objective` maximizes them there. None where there are no rows, or where a
    /// pass does not show what it reached.
    pub fn take(bench: Bench, rows: &[Row], objective: &dyn Fn(&[Row]) -> Box<dyn Objective>) -> Option<FirstLook> {
        let pixels = &bench.clean.pixels;
        let mut parts: Vec<(Tensor, Tensor, Tensor)> = Vec::new();
        for rows in rows.chunks(bench.capacity.max(1)) {
            let index: Vec<i64> = rows.iter().map(|row| row.sample as i64).collect();
            let index = Tensor::from_slice(&index).to_device(pixels.device());
            let images = pixels.index_select(0, &index).set_requires_grad(true);
            let scored = objective(rows).score(bench.model, &images, true);
            let gradient = gradient(&scored.score, &images, false);
            parts.push((scored.score.detach(), scored.level?, gradient));
        }
        let all = |part: fn(&(Tensor, Tensor, Tensor)) -> &Tensor| {
            let parts: Vec<&Tensor> = parts.iter().map(part).collect();
            (!parts.is_empty()).then(|| Tensor::cat(&parts, 0))
        };
        Some(FirstLook {
            places: rows.iter().zip(0i64..).map(|(row, place)| (row.sample, place)).collect(),
            score: all(|(score, ..)| score)?,
            level: all(|(_, level, _)| level)?,
            gradient: all(|(.., gradient)| gradient)?,
        })
    }

    /// What these rows see, if all of them begin at clean images that were looked at.
    pub(super) fn of_rows(&self, rows: &[Row]) -> Option<Look> {
        let place = |row: &Row| self.places.get(&row.sample).copied().filter(|_| row.restart == 0);
        let places: Vec<i64> = rows.iter().map(place).collect::<Option<_>>()?;
        let places = Tensor::from_slice(&places).to_device(self.score.device());
        let taken = |tensor: &Tensor| tensor.index_select(0, &places);
        Some(Look {
            score: taken(&self.score),
            level: Some(taken(&self.level)),
            gradient: Some(taken(&self.gradient)),
            zero: None,
            graph: None,
        })
    }
}
