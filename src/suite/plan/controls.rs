//! What stands beside the attacks of every suite, whatever those are: where, on which samples, and what it costs at most. The engine's
//! loops share these numbers.

use std::collections::BTreeMap;

use super::passes::{Passes, VERIFICATION};
use crate::suite::config::{AttackConfig, ModelConfig, OptimizerName, Suite};
use crate::suite::presets::WHOLE_BUDGET;
use crate::terms::{Epsilon, Norm, headline_radius};

/// Draws of noise for each sample.
pub const DRAWS: usize = 2;

/// Passes of the gradient-free search for each sample.
pub const QUERIES: usize = 100;

/// At least so many samples of a run are looked at again, if it has so many; beyond ten times as many, a tenth.
const FEWEST: usize = 10;

/// So many samples of those lie behind each other: they run in one batch, which takes a third of the time of so many batches of one. The
/// order of samples is random, and classes take turns in it.
const TOGETHER: usize = 16;

/// Points of a self-test that the planted one is told from: half of them anywhere in the ball, half on its surface.
pub const POINTS: usize = 96;

/// Fresh random points of a self-test.
pub const FRESH: usize = 10;

/// The attack beside which the controls of each norm run: the first of the suite for this model that has the headline radius.
pub fn control_places(suite: &Suite, model: &ModelConfig) -> BTreeMap<Norm, (usize, Epsilon)> {
    let attacks = || suite.attacks.iter().enumerate().filter(|(_, attack)| attack.applies_to(&model.name));
    let mut places = BTreeMap::new();
    for norm in Norm::ALL {
        let radii = attacks().filter(|(_, attack)| attack.norm == norm).flat_map(|(_, attack)| attack.epsilons.clone());
        if let Some(radius) = headline_radius(norm, radii) {
            let first = attacks().find(|(_, attack)| attack.norm == norm && attack.epsilons.contains(&radius));
            places.extend(first.map(|(index, _)| (norm, (index, radius))));
        }
    }
    places
}

/// Whether the sample at `place` is one of `wanted` that lie evenly over a run of `samples`.
pub fn is_one_of(wanted: usize, place: usize, samples: usize) -> bool {
    let wanted = wanted.min(samples).max(1);
    place * wanted / samples.max(1) != (place + 1) * wanted / samples.max(1)
}

/// Whether the sample at `place` of a run of `samples` is one that controls look at again where the attack left it.
pub fn is_searched(place: usize, samples: usize) -> bool {
    let wanted = (samples / 10).max(FEWEST).min(samples);
    let groups = wanted.div_ceil(TOGETHER);
    // The last group that begins at this place or before it.
    let group = ((place + 1) * groups - 1) / samples;
    let (begin, members) = (group * samples / groups, wanted / groups + usize::from(group < wanted % groups));
    place < begin + members
}

/// The attack with twice the steps at one radius, a composition with more than its whole budget, without its search without gradients;
/// none for attacks on units.
pub fn longer(attack: &AttackConfig, epsilon: Epsilon) -> Option<AttackConfig> {
    let least = attack.goal.composition().map_or(0, |_| WHOLE_BUDGET + 1);
    let steps = (attack.steps * 2).max(least);
    attack.goal.can_be_longer().then(|| AttackConfig { steps, epsilons: vec![epsilon], ..attack.clone() })
}

/// Whether a suite's attack takes part in self-tests of `norm`.
pub fn takes_part(attack: &AttackConfig, norm: Norm) -> bool {
    attack.norm == norm && attack.goal.drives_logits() && attack.optimizer.follows_gradients()
}

/// The attack as it can run on the two classes of a self-test at one radius; none where no function of the logits is driven. Of a
/// composition, whose parts are for more classes, its Auto-PGD.
pub fn on_two_classes(attack: &AttackConfig, epsilon: Epsilon) -> Option<AttackConfig> {
    let goal = attack.goal.on_two_classes()?;
    let (optimizer, steps) = match attack.goal.composition() {
        Some(_) => (OptimizerName::Apgd, attack.steps.max(100)),
        None => (attack.optimizer, attack.steps),
    };
    Some(AttackConfig { goal, optimizer, steps, epsilons: vec![epsilon], ..attack.clone() })
}

/// Passes of an attack's rows on one sample and radius at most, in a model of so many classes.
fn rows(attack: &AttackConfig, classes: u64) -> Passes {
    match attack.goal.composition() {
        Some(preset) => preset.passes(attack, classes),
        None => attack.row().times(attack.restarts as u64),
    }
}

/// What stands beside one attack.
pub(super) struct Beside<'a> {
    pub(super) suite: &'a Suite,
    pub(super) model: &'a ModelConfig,
    /// Index of the attack.
    pub(super) attack: usize,
    /// Classes of the model, or as many as it may have where that matters.
    pub(super) classes: u64,
}

impl Beside<'_> {
    fn radii(&self) -> impl Iterator<Item = (Norm, Epsilon)> {
        let places = control_places(self.suite, self.model).into_iter();
        places.filter(|(_, (index, _))| *index == self.attack).map(|(norm, (_, epsilon))| (norm, epsilon))
    }

    /// Cells of the controls.
    pub(super) fn cells(&self) -> u64 {
        let attack = &self.suite.attacks[self.attack];
        let each = |(_, epsilon): (Norm, Epsilon)| {
            let noise = if attack.has_noise_control() { 0 } else { DRAWS as u64 };
            noise + 1 + u64::from(longer(attack, epsilon).is_some())
        };
        self.radii().map(each).sum()
    }

    /// Passes at most for the samples at `places` of a run of `samples`.
    pub(super) fn passes(&self, places: std::ops::Range<usize>, samples: usize) -> Passes {
        let attack = &self.suite.attacks[self.attack];
        let count = |chosen: &dyn Fn(usize) -> bool| places.clone().filter(|&place| chosen(place)).count() as u64;
        let searched = count(&|place| is_searched(place, samples));
        let mut sum = Passes::default();
        for (norm, epsilon) in self.radii() {
            if !attack.has_noise_control() {
                // Each draw, and once more rounded to 8 bits if it flips.
                sum = sum + Passes::forward(2 * DRAWS as u64).times(places.len() as u64);
            }
            sum = sum + Passes::forward(QUERIES as u64 + 1).times(searched);
            sum = sum
                + longer(attack, epsilon)
                    .map_or(Passes::default(), |longer| rows(&longer, self.classes))
                    .times(searched);
            if let Some(config) = &self.suite.selftest {
                sum =
                    sum + self.planted(norm, epsilon).times(count(&|place| is_one_of(config.samples, place, samples)));
            }
        }
        sum
    }

    /// Passes of one planted point at most: its clean image and all points, then each attack, which sees the clean image too.
    fn planted(&self, norm: Norm, epsilon: Epsilon) -> Passes {
        let attacks = self.suite.attacks.iter().filter(|attack| attack.applies_to(&self.model.name));
        let attacks: Vec<Passes> = attacks
            .filter(|attack| takes_part(attack, norm))
            .filter_map(|attack| Some(rows(&on_two_classes(attack, epsilon)?, 2) + VERIFICATION))
            .collect();
        if attacks.is_empty() {
            return Passes::default();
        }
        attacks.into_iter().fold(Passes::forward((1 + POINTS + 1 + FRESH) as u64), |sum, attack| sum + attack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_looked_at_again_in_groups_over_the_whole_run() {
        let places = |samples: usize| (0..samples).filter(|&place| is_searched(place, samples)).collect::<Vec<_>>();
        for (samples, wanted) in [(1, 1), (9, 9), (99, 10), (169, 16), (170, 17), (500, 50), (50_000, 5_000)] {
            assert_eq!(places(samples).len(), wanted, "{samples}");
        }
        assert_eq!(places(100), (0..10).collect::<Vec<_>>());
        assert_eq!(places(333), [0..11, 111..122, 222..233].into_iter().flatten().collect::<Vec<_>>());
    }
}
