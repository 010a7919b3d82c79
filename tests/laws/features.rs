//! Attacks on inner features.

use std::rc::Rc;

use am_eval::attack::{Guides, Learned};
use am_eval::objective::{Readout, Trained};
use am_eval::suite::{FeatureObjective, FeaturesGoal, GradientViews};

use super::*;

/// Three features of an image, rectified, and a linear classifier of them.
struct Small {
    inner: Tensor,
    outer: Tensor,
}

impl Network for Small {
    fn forward(&self, pixels: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let features = pixels.flatten(1, -1).matmul(&self.inner.tr()).relu();
        let features = probe.visit(&Site::new("features", "ReLU"), features)?;
        Flow::Continue(features.matmul(&self.outer.tr()))
    }
}

pub(super) fn small() -> Model {
    let noise = am_eval::random::Noise::new(5, "small");
    let inner = Tensor::from_slice(&noise.normal("inner", 8 * PIXELS)).view([8, PIXELS as i64]);
    let outer = Tensor::from_slice(&noise.normal("outer", 3 * 8)).view([3, 8]);
    model(Small { inner, outer }, 3)
}

pub(super) fn images() -> Vec<Vec<u8>> {
    let noise = am_eval::random::Noise::new(6, "images");
    let image =
        |index: usize| noise.uniform(&index.to_string(), PIXELS).iter().map(|x| (x * 60.0 + 128.0) as u8).collect();
    (0..6).map(image).collect()
}

/// Images of stronger contrast, which the model sees as several classes.
fn strong() -> Vec<Vec<u8>> {
    let noise = am_eval::random::Noise::new(7, "guides");
    let image =
        |index: usize| noise.uniform(&index.to_string(), PIXELS).iter().map(|x| (x * 127.0 + 127.0) as u8).collect();
    (0..24).map(image).collect()
}

fn attack(objective: FeatureObjective, norm: Norm, radius: f64) -> AttackConfig {
    AttackConfig {
        goal: Goal::Features(FeaturesGoal { objective, layer: LayerName::from("features") }),
        stop: Stop::Budget,
        optimizer: OptimizerName::Momentum,
        ..class_logit(Loss::Margin, Target::Untargeted, norm, &[radius])
    }
}

fn outcome(model: &Model, attack: &AttackConfig, rows: usize) -> AttackOutcome {
    outcome_of(model, attack, rows, &[0, 1, 2, 3, 4, 5])
}

/// What comes of a block of these samples.
fn outcome_of(model: &Model, attack: &AttackConfig, rows: usize, chosen: &[usize]) -> AttackOutcome {
    let found = samples(model, &images());
    let clean = CleanBlock::new(model, &found, &[], rows).subset(chosen);
    let layer = LayerName::from("features");
    let (readout, agrees) = Readout::train(model, &layer, &[clean.pixels.shallow_clone()]);
    let readouts = vec![Trained { layer, readout: Rc::new(readout), agrees }];
    // Other images than those that are attacked, so that what guides does not depend on the batch.
    let guides = CleanBlock::new(model, &samples(model, &strong()), &[], rows);
    let guides = Guides::new(guides.pixels.shallow_clone(), guides.predictions());
    let learned = Learned { readouts, guides };
    AttackBlock {
        attack,
        dataset: "test",
        bench: bench(model, &clean, rows),
        units: &[],
        victims: &[],
        learned: &learned,
        keep_images: true,
        looked_into: true,
    }
    .run()
}

#[test]
fn every_objective_keeps_to_its_ball_and_its_budget_in_every_norm() {
    let model = small();
    for objective in FeatureObjective::ALL {
        for (norm, radius) in [(Norm::Linf, 0.1), (Norm::L2, 0.5), (Norm::L1, 2.0)] {
            let attack = attack(objective, norm, radius);
            let most = attack.row();
            for record in outcome(&model, &attack, 8).records {
                assert_eq!(record.cell.kind.as_str(), "features");
                assert_eq!(record.cell.unit_text(), objective.as_str());
                assert!(f64::from(length(&record)) <= radius * (1.0 + 1e-6), "{objective:?} {norm}");
                assert!(u64::from(record.forwards) <= most.forwards && u64::from(record.backwards) <= most.backwards);
                assert!(length(&record) > 0.0, "{objective:?} {norm}: it moves");
            }
        }
    }
}

/// Rows do not depend on their company, with all that is drawn for them.
#[test]
fn a_row_alone_equals_the_same_row_in_a_batch_with_views() {
    let model = small();
    let views =
        GradientViews { diversity: 0.5, scales: 2, samples: 2, radius: 0.5, translation: 3, ..GradientViews::PLAIN };
    for objective in [FeatureObjective::Fia, FeatureObjective::Ila, FeatureObjective::Guided, FeatureObjective::Readout]
    {
        let attack = AttackConfig { views: Some(views), ..attack(objective, Norm::Linf, 0.1) };
        let (alone, together) = (outcome(&model, &attack, 1), outcome(&model, &attack, 8));
        for (one, other) in alone.records.iter().zip(&together.records) {
            assert!((one.margin_adv - other.margin_adv).abs() < 1e-4, "{objective:?}");
            assert_eq!((one.forwards, one.backwards), (other.forwards, other.backwards));
        }
    }
}

/// Features that are linear in the image: against a readout that knows them, and against the logits, the flips are the same.
#[test]
fn a_readout_of_the_classifiers_own_features_flips_what_the_margin_flips() {
    let model = small();
    let flips = |attack: &AttackConfig| -> usize {
        outcome(&model, attack, 8).records.iter().filter(|record| record.flipped).count()
    };
    let by_readout = flips(&attack(FeatureObjective::Readout, Norm::Linf, 0.3));
    let by_margin = flips(&AttackConfig {
        stop: Stop::Budget,
        ..class_logit(Loss::Margin, Target::Untargeted, Norm::Linf, &[0.3])
    });
    assert!(by_readout > 0 && by_readout <= by_margin + 1, "{by_readout}, {by_margin}");
}

/// What guides an image is its own draw among the data's images of other classes: where it is drawn from, not with whom it shares a block.
#[test]
fn guided_features_do_not_depend_on_the_block() {
    let model = small();
    let attack = attack(FeatureObjective::Guided, Norm::Linf, 0.1);
    let together = outcome(&model, &attack, 8);
    for sample in 0..images().len() {
        let alone = outcome_of(&model, &attack, 8, &[sample]);
        let (one, other) = (&alone.records[0], &together.records[sample]);
        assert_eq!(one.sample_id, other.sample_id);
        assert!((one.margin_adv - other.margin_adv).abs() < 1e-4, "sample {sample}");
    }
}
