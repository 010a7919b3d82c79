//! What a step sees before the optimizer moves.

use tch::Tensor;

/// What one or more passes over the same images saw.
pub(super) struct Look {
    /// `[R]`; the sum, of several passes.
    pub(super) score: Tensor,
    /// The levels that were reached `[R]`, if the pass went as far as the logits.
    pub(super) level: Option<Tensor>,
    /// `[R, C, H, W]`; the sum, of several passes.
    pub(super) gradient: Option<Tensor>,
    /// Whether the gradient is zero `[R]`.
    pub(super) zero: Option<Tensor>,
    /// Logits and images, between which the graph is kept.
    pub(super) graph: Option<(Tensor, Tensor)>,
}

impl Look {
    /// Adds another pass over the same images.
    pub(super) fn add(&mut self, other: Look) {
        self.score += other.score;
        if let (Some(sum), Some(gradient)) = (&mut self.gradient, other.gradient) {
            *sum += gradient;
        }
    }
}
