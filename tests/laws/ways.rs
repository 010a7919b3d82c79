//! A way that is followed is the way that the attack went.

use std::rc::Rc;

use am_eval::rows::{Drives, Row};
use am_eval::suite::GradientViews;

use super::features::{images, small};
use super::*;

fn driven(unit: &str, spread: Option<Vec<f64>>) -> DrivenUnit {
    DrivenUnit { unit: unit.parse().unwrap(), control: false, deviation: 1.0, spread: spread.map(Rc::new) }
}

/// What the search found of a sample.
type Found = (Row, Tensor);

/// What was driven on the way, its images, and the margin at its end.
type Went = (Drives, Vec<Tensor>, f32);

/// The last images of the search and of the way, of each sample that is attacked, and what was driven.
fn ends(attack: &AttackConfig, unit: &DrivenUnit) -> Vec<(Found, Went)> {
    let model = small();
    let samples = samples(&model, &images());
    let watched: Vec<_> = kind(&attack.goal).watched().into_iter().collect();
    let clean = CleanBlock::new(&model, &samples, &watched, 4);
    let block = AttackBlock {
        attack,
        dataset: "test",
        bench: bench(&model, &clean, 4),
        units: std::slice::from_ref(unit),
        victims: &[],
        learned: &Learned::default(),
        keep_images: true,
        looked_into: true,
    };
    let found = block.run().found.into_iter().flatten();
    found
        .map(|found| {
            let trace = block.trace(found.0.sample, Some(unit.unit)).unwrap();
            let margin = trace.steps.last().unwrap().margin;
            (found, (trace.drives, trace.images, margin))
        })
        .collect()
}

fn of_units(direction: Direction, views: Option<GradientViews>) -> AttackConfig {
    let attack = units("features", direction, Norm::L2, &[0.4]);
    let goal = match attack.goal {
        Goal::Unit(goal) => Goal::Unit(UnitGoal { controls: Vec::new(), ..goal }),
        goal => goal,
    };
    AttackConfig { goal, views, optimizer: OptimizerName::Momentum, ..attack }
}

fn apart(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn ways_go_through_the_image_that_the_attack_found_whatever_its_views() {
    let views = GradientViews { diversity: 0.5, samples: 2, radius: 0.5, ..GradientViews::PLAIN };
    let unit = driven("2", None);
    let (plain, viewed) =
        (ends(&of_units(Direction::Maximize, None), &unit), ends(&of_units(Direction::Maximize, Some(views)), &unit));
    assert!(!plain.is_empty());
    let mut differ = false;
    for (plain, viewed) in plain.iter().zip(&viewed) {
        for ((_, image), (_, way, _)) in [plain, viewed] {
            let nearest = way.iter().map(|step| apart(step, image)).fold(f64::MAX, f64::min);
            assert!(nearest < 1e-5, "{nearest}");
        }
        differ |= apart(plain.1.1.last().unwrap(), viewed.1.1.last().unwrap()) > 1e-3;
    }
    assert!(differ, "views change the way");
}

/// Each sample's own unit is driven the way that harms, whichever way the attack drives units that are named.
#[test]
fn each_samples_own_unit_is_followed_and_goes_the_way_that_harms() {
    let mut compared = 0;
    for rank in 1..=8 {
        let unit = driven(&format!("sensitive:{rank}"), Some(vec![1.0; 8]));
        let [raised, lowered] =
            [Direction::Maximize, Direction::Suppress].map(|direction| ends(&of_units(direction, None), &unit));
        for (one, other) in raised.iter().zip(&lowered) {
            assert_eq!(one.0.0.drives, one.1.0);
            // Where the rectifier gives no gradient, rows begin at random, each way by its own stream.
            if apart(&one.1.1[1], &other.1.1[1]) < 1e-5 {
                assert!(apart(one.1.1.last().unwrap(), other.1.1.last().unwrap()) < 1e-5);
                assert!((one.1.2 - other.1.2).abs() < 1e-4);
                compared += 1;
            }
        }
    }
    assert!(compared > 5, "{compared}");
}
