//! Attacks that are composed of parts, each of which runs on the samples that the parts before it did not flip.

use super::choices::{Loss, OptimizerName};
use super::features::GradientViews;
use crate::terms::{Norm, words};

words! {
    /// An attack composed of parts.
    pub enum Preset {
        /// The composition and the budgets of AutoAttack's standard version (Croce and Hein 2020, <https://arxiv.org/abs/2003.01690>; for l1
        /// Croce and Hein 2021, <https://arxiv.org/abs/2103.01208>).
        Standard = "standard",
        /// Adaptive ascent on the margin of probabilities and on cross-entropy; on samples that are not far from the boundary then, towards
        /// the classes that are nearest to first order, on the margin from balls of twice the radius and on the ratio of differences; on near
        /// misses the margin again, from several random starts. Together they flip all or nearly all that AutoAttack flips on the shipped
        /// networks, and more where inner features were changed (docs/strength.md).
        AmStandard = "am-standard",
    }
}

/// Where the rows of a part are driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Away from the clean prediction.
    Away,
    /// Towards each of so many classes, the likeliest on the clean image first.
    Likeliest(usize),
    /// Towards each of so many classes, the nearest to first order first (Melamed et al. 2024, <https://arxiv.org/abs/2407.02240>).
    Nearest(usize),
}

/// A part of a preset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Its name in records.
    pub name: &'static str,
    /// How rows move.
    pub optimizer: OptimizerName,
    /// What they maximize.
    pub loss: Loss,
    /// Where they are driven.
    pub aim: Aim,
    /// Steps of each row.
    pub steps: usize,
    /// Random starts of each aim; none begins at the clean image.
    pub random_starts: usize,
    /// Views over which each gradient is averaged.
    pub views: Option<GradientViews>,
    /// The samples that it is tried on, of those that no part before it flipped.
    pub tried_on: TriedOn,
}

/// The samples that a part is tried on, by the share of their clean margin that the parts before it took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriedOn {
    /// All of them.
    All,
    /// All but those far from the boundary: the parts before took away less than 65 % of the margin. No image of which that is true was
    /// ever flipped by a later part (docs/strength.md). Where they took away next to nothing, gradients may mislead, and all is tried.
    NotFar,
    /// Those of which the parts before took away three quarters, or next to nothing.
    Near,
    /// Those that nearly flipped: the parts before took away nine tenths.
    NearMisses,
}

impl TriedOn {
    /// Whether a sample with this `clean` margin is among them, which the parts before brought down to `margin`, infinite where none ran.
    pub fn includes(self, clean: f32, margin: f32) -> bool {
        let taken = f64::from(clean - margin) / f64::from(clean);
        match self {
            TriedOn::All => true,
            // Of what cannot be told, NaN among it, nothing is left out.
            TriedOn::NotFar => !(BLIND..FAR).contains(&taken),
            TriedOn::Near => !(BLIND..NEAR).contains(&taken),
            TriedOn::NearMisses => taken >= NEARLY_FLIPPED,
        }
    }
}

/// The share of the margin below which attacks that took no more away may have been blind.
const BLIND: f64 = 0.05;
/// The share below which the boundary is far; whatever a later part flipped had lost 0.753 or more (docs/strength.md).
const FAR: f64 = 0.65;
const NEAR: f64 = 0.75;
const NEARLY_FLIPPED: f64 = 0.9;

impl Part {
    const fn new(name: &'static str, optimizer: OptimizerName, loss: Loss, aim: Aim, steps: usize) -> Self {
        Part { name, optimizer, loss, aim, steps, random_starts: 0, views: None, tried_on: TriedOn::All }
    }

    const fn on(self, tried_on: TriedOn) -> Self {
        Part { tried_on, ..self }
    }

    const fn starts(self, random_starts: usize) -> Self {
        Part { random_starts, ..self }
    }

    /// Whether all rows of a sample run side by side, and not each only if those before it failed. A part that is kept for some samples flips
    /// hardly any, so that this costs few passes more, and fuller batches cost much less time each.
    pub fn is_abreast(&self) -> bool {
        self.tried_on != TriedOn::All
    }

    /// Rows of one sample and radius, in a network of so many classes.
    pub fn rows(&self, classes: usize) -> usize {
        let aims = match self.aim {
            Aim::Away => 1,
            Aim::Likeliest(count) | Aim::Nearest(count) => count.min(classes.saturating_sub(1)),
        };
        aims * self.random_starts.max(1)
    }
}

/// The `steps` of an attack that is a preset: its parts have their own, of which this is the share in percent.
pub const WHOLE_BUDGET: usize = 100;

impl Preset {
    /// Its parts in the norm, in order, for networks of so many classes.
    ///
    /// With fewer than four classes the targeted ratio of differences is not defined; then the parts that use it use the margin.
    pub fn parts(self, norm: Norm, classes: usize) -> Vec<Part> {
        self.parts_of(norm, classes, WHOLE_BUDGET)
    }

    /// The same with steps of so many percent. With more than its whole budget a preset leaves out its search without gradients: what is
    /// asked then is whether ascents had come to their end.
    pub fn parts_of(self, norm: Norm, classes: usize, percent: usize) -> Vec<Part> {
        let mut parts = self.full_parts(norm, classes);
        parts.retain(|part| percent <= WHOLE_BUDGET || part.optimizer != OptimizerName::Square);
        for part in &mut parts {
            part.steps = (part.steps * percent).div_ceil(WHOLE_BUDGET);
        }
        parts
    }

    fn full_parts(self, norm: Norm, classes: usize) -> Vec<Part> {
        use OptimizerName::{Apgd, ApgdWide, Fab, Square};
        let ratio = if classes < Loss::Dlr.classes(true) { Loss::Margin } else { Loss::Dlr };
        let sparse = norm == Norm::L1;
        match self {
            Preset::Standard => vec![
                Part::new("apgd-ce", Apgd, Loss::Ce, Aim::Away, 100).starts(if sparse { 5 } else { 1 }),
                Part::new("apgd-t", Apgd, ratio, Aim::Likeliest(if sparse { 5 } else { 9 }), 100).starts(1),
                Part::new("fab-t", Fab, Loss::Margin, Aim::Likeliest(9), 100),
                Part::new("square", Square, Loss::Margin, Aim::Away, 5000),
            ],
            Preset::AmStandard => vec![
                Part::new("pma", Apgd, Loss::Pma, Aim::Away, 30),
                Part::new("ce", Apgd, Loss::Ce, Aim::Away, 20),
                Part::new("nearest", ApgdWide, Loss::Margin, Aim::Nearest(2), 80).on(TriedOn::NotFar),
                Part::new("nearest-dlr", Apgd, ratio, Aim::Nearest(4), 40).on(TriedOn::Near),
                Part::new("near-miss", ApgdWide, Loss::Margin, Aim::Nearest(2), 100).starts(4).on(TriedOn::NearMisses),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::plan::passes::passes_of;

    #[test]
    fn targets_adapt_to_few_classes() {
        let rows = |classes| {
            Preset::Standard.parts(Norm::Linf, classes).iter().map(|part| part.rows(classes)).collect::<Vec<_>>()
        };
        assert_eq!(rows(10), [1, 9, 9, 1]);
        assert_eq!(rows(1000), [1, 9, 9, 1]);
        assert_eq!(rows(3), [1, 2, 2, 1]);
        assert!(Preset::Standard.parts(Norm::L2, 3).iter().all(|part| part.loss != Loss::Dlr));
    }

    #[test]
    fn twice_the_steps_leave_out_what_has_no_gradient() {
        let parts = Preset::Standard.parts_of(Norm::Linf, 10, 2 * WHOLE_BUDGET);
        assert_eq!(parts.iter().map(|part| part.steps).collect::<Vec<_>>(), [200, 200, 200]);
        assert!(parts.iter().all(|part| part.optimizer != OptimizerName::Square));
        let parts = Preset::AmStandard.parts_of(Norm::L2, 10, 2 * WHOLE_BUDGET);
        assert_eq!(parts.iter().map(|part| part.steps).collect::<Vec<_>>(), [60, 40, 160, 80, 200]);
    }

    #[test]
    fn half_the_budget_keeps_every_part() {
        let steps = |preset: Preset, percent| {
            preset.parts_of(Norm::Linf, 10, percent).iter().map(|part| part.steps).collect::<Vec<_>>()
        };
        assert_eq!(steps(Preset::AmStandard, 50), [15, 10, 40, 20, 50]);
        assert_eq!(steps(Preset::Standard, 1), [1, 1, 1, 50]);
    }

    #[test]
    fn far_samples_and_near_misses_are_told_by_the_share_of_the_margin_that_is_left() {
        let partial = [TriedOn::NotFar, TriedOn::Near, TriedOn::NearMisses];
        let tried = |margin: f32| partial.map(|on| on.includes(2.0, margin));
        let rising = [[false, false, false], [true, false, false], [true, true, false], [true, true, true]];
        assert_eq!([0.8, 0.6, 0.4, 0.1].map(tried), rising);
        // What took nothing away may have been blind; before the first part nothing is known.
        assert_eq!([1.95, 2.5, f32::INFINITY, f32::NAN].map(tried), [[true, true, false]; 4]);
        // Whatever the logits' scale.
        let scale = f32::powi(2.0, -20);
        for on in partial {
            let same = |margin: f32| on.includes(2.0, margin) == on.includes(2.0 * scale, margin * scale);
            assert!((0..100).all(|at| same(at as f32 / 50.0)));
        }
        assert!(TriedOn::All.includes(2.0, 1.2));
        assert!(Preset::Standard.parts(Norm::L2, 10).iter().all(|part| part.tried_on == TriedOn::All));
    }

    /// What near misses take beyond that is in docs/strength.md: it depends on how many there are.
    #[test]
    fn the_own_composition_costs_at_most_a_fifth_of_autoattacks_but_on_near_misses() {
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let passes = |preset: Preset| {
                let mut parts = preset.parts(norm, 10);
                parts.retain(|part| part.tried_on != TriedOn::NearMisses);
                passes_of(&parts, 10)
            };
            let (am_standard, reference) = (passes(Preset::AmStandard), passes(Preset::Standard));
            assert!(am_standard.forwards * 5 <= reference.forwards, "{norm}: {am_standard:?}, {reference:?}");
            assert!(am_standard.backwards * 5 <= reference.backwards, "{norm}: {am_standard:?}, {reference:?}");
        }
    }
}
