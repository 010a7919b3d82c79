//! `[[attack]]` as it is written, one table for each kind, and what validation asks of each.

use std::path::Path;

use schemars::JsonSchema;
use toml::de::DeValue;

use super::RawUnits;
use super::visualize::LayerText;
use crate::suite::config::{AttackConfig, Control, Direction, Loss, ModelConfig, OptimizerName, Stop, Sweep};
use crate::suite::features::{Backward, FeatureObjective};
use crate::suite::read::kinds::{kind, tagged};
use crate::suite::read::problem::Problems;
use crate::suite::read::values::{Count, FormVersion, Name, Positive, Radius, Share, TargetRule, Text};
use crate::suite::read::words::{BallNorm, unknown_word};
use crate::suite::read::{At, Fields, FromToml, Value, Written, raw_table, wrong};

/// The suite around an attack.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The form of the file, on which defaults depend.
    pub form: FormVersion,
    /// The names of all models.
    pub names: &'a [At<String>],
    /// The models that can be used.
    pub models: &'a [ModelConfig],
    /// The folder to which files are relative.
    pub base: &'a Path,
}

/// What validation asks of the table of each kind of attack.
pub(in crate::suite) trait AttackTable {
    /// The attack's name.
    fn name(&self) -> Option<&At<Name>>;

    /// The attack, or none after what is wrong with it was told.
    fn resolve(self: Box<Self>, suite: Around, problems: &mut Problems) -> Option<AttackConfig>;
}

kind! {
    /// `kind = "class-logit"`.
    ClassLogitKind = "class-logit"
}
kind! {
    /// `kind = "unit"`.
    UnitKind = "unit"
}
kind! {
    /// `kind = "features"`.
    FeaturesKind = "features"
}
kind! {
    /// `standard`.
    StandardKind = "standard"
}
kind! {
    /// `am-standard`.
    AmStandardKind = "am-standard"
}

tagged! {
    /// An attack.
    enum RawAttack ("`[[attack]]`") as dyn AttackTable {
        /// Activation maximization of a class logit.
        ClassLogit(RawClassLogit) = "class-logit",
        /// Activation maximization of a unit.
        Unit(RawUnit) = "unit",
        /// Disturbance of a layer's features.
        Features(RawFeatures) = "features",
        /// The composition of AutoAttack's standard version.
        Standard(RawStandard) = "standard",
        /// The own composition: cheaper, and at least as strong.
        AmStandard(RawAmStandard) = "am-standard",
    }
}

raw_table! {
    /// Activation maximization of the logit of a class.
    struct RawClassLogit ("`[[attack]]` of kind `class-logit`") {
        /// Drives the logit of a class.
        kind: ClassLogitKind, required;
        /// The name used in records and reports.
        name: Name, required;
        /// The models to attack, by name. Default all.
        models: Vec<At<Text>>;
        /// The class to drive: away from the predicted one, or a rule, or a class index. Default untargeted.
        target: TargetRule;
        /// The function of the logits that is maximized; in suites of form 1 `logit` unless they say otherwise. Default margin.
        loss: Loss;
        /// The norm of the ball.
        norm: BallNorm, required;
        /// Radii of the ball, in pixel units of [0, 1].
        epsilons: Vec<At<Radius>>, required;
        /// Ascent steps for each row.
        steps: Count<1, 100_000>, required;
        /// Step size as a share of epsilon, for optimizers that do not choose it themselves. Default 2.5 / steps.
        step_size: Positive;
        /// How rows move; in suites of form 1 `steepest` unless they say otherwise. Default apgd.
        optimizer: Written<OptimizerName>;
        /// Views over which each step's gradient is averaged. Default the image alone.
        views: RawViews;
        /// Independent starts: the first from the clean image, the others random. Default 1.
        restarts: Count<1, 10_000>;
        /// When a row may leave before its steps are used up. Default flip if untargeted, else target.
        stop: Stop;
        /// In which order several radii are settled: each for itself, or first those beyond the nearest flip that a minimal-norm attack finds,
        /// which is quicker and credits the attack with that attack's flips. Default each.
        sweep: Sweep;
    }
}

raw_table! {
    /// Activation maximization (or suppression) of units of a layer.
    struct RawUnit ("`[[attack]]` of kind `unit`") {
        /// Drives units inside the network.
        kind: UnitKind, required;
        /// The name used in records and reports.
        name: Name, required;
        /// The models to attack, by name. Default all.
        models: Vec<At<Text>>;
        /// The layer, as `am-eval layers` names it.
        layer: Text, required;
        /// The units: the top ones by a measure, random ones, a list, or all.
        units: RawUnits, required;
        /// Raise or lower the activation. Default maximize.
        direction: Direction;
        /// Controls of equal norm and budget beside the attack. Default noise.
        controls: Vec<At<Control>>;
        /// The norm of the ball.
        norm: BallNorm, required;
        /// Radii of the ball, in pixel units of [0, 1].
        epsilons: Vec<At<Radius>>, required;
        /// Ascent steps for each row.
        steps: Count<1, 100_000>, required;
        /// Step size as a share of epsilon. Default 2.5 / steps.
        step_size: Positive;
        /// How rows move. Default steepest.
        optimizer: Written<OptimizerName>;
        /// Views over which each step's gradient is averaged. Default the image alone.
        views: RawViews;
        /// Independent starts: the first from the clean image, the others random. Default 1.
        restarts: Count<1, 10_000>;
        /// When a row may leave before its steps are used up. Default budget, so that gains compare.
        stop: Stop;
    }
}

raw_table! {
    /// Disturbs the features of a layer as a whole; flips are what comes of it.
    struct RawFeatures ("`[[attack]]` of kind `features`") {
        /// Disturbs inner features.
        kind: FeaturesKind, required;
        /// The name used in records and reports.
        name: Name, required;
        /// The models to attack, by name. Default all.
        models: Vec<At<Text>>;
        /// What is made of the layer's features.
        objective: FeatureObjective, required;
        /// The layer: a name as `am-eval layers` prints it, a pattern (an attack for each layer that has it), or a depth such as "50%".
        layer: LayerText, required;
        /// The norm of the ball.
        norm: BallNorm, required;
        /// Radii of the ball, in pixel units of [0, 1].
        epsilons: Vec<At<Radius>>, required;
        /// Ascent steps for each row.
        steps: Count<1, 100_000>, required;
        /// Step size as a share of epsilon. Default 2.5 / steps.
        step_size: Positive;
        /// How rows move. Default momentum.
        optimizer: Written<OptimizerName>;
        /// Views over which each step's gradient is averaged. Default the image alone.
        views: RawViews;
        /// Independent starts: the first from the clean image, the others random. Default 1.
        restarts: Count<1, 10_000>;
        /// When a row may leave before its steps are used up. Default budget, so that features go as far as they can.
        stop: Stop;
    }
}

raw_table! {
    /// Views of an image over which each step's gradient is averaged.
    struct RawViews ("`views`") {
        /// Chance that a view is shrunk by up to a tenth and moved, at each step anew (DI-FGSM). Default none.
        diversity: Share;
        /// Scales: the image, its half, its quarter and so on (SI-FGSM). Default 1.
        scales: Count<1, 16>;
        /// Copies: the image, and others at fixed random places around it. Default 1.
        samples: Count<1, 256>;
        /// How far those are, as a share of epsilon in the attack's norm. Default 0.5.
        radius: Positive;
        /// Side of the Gaussian kernel that blurs the gradient, an odd number (TI-FGSM). Default 1.
        translation: Count<1, 63>;
        /// Share of the patches whose perturbation a view has, at each step others (PatchOut). Default 1, all.
        patches: Share;
        /// Backward pass of a Vision Transformer that is not the derivative: pna or tgr. Default the derivative.
        backward: Backward;
    }
}

raw_table! {
    /// The parts and budgets of AutoAttack's standard version, each on the samples that those before it did not flip.
    struct RawStandard ("`[[attack]]` of kind `standard`") {
        /// AutoAttack's composition.
        kind: StandardKind, required;
        /// The name used in records and reports.
        name: Name, required;
        /// The models to attack, by name. Default all.
        models: Vec<At<Text>>;
        /// The norm of the ball: linf or l2.
        norm: BallNorm, required;
        /// Radii of the ball, in pixel units of [0, 1].
        epsilons: Vec<At<Radius>>, required;
        /// Steps of each part, in percent of AutoAttack's. Default 100.
        budget: Count<1, 100>;
        /// In which order several radii are settled; `nearest` begins with a minimal-norm attack, which AutoAttack does not have. Default each.
        sweep: Sweep;
    }
}

raw_table! {
    /// Adaptive ascent on several functions of the logits, then towards the classes that are nearest to first order, each on the samples
    /// that those before did not flip.
    struct RawAmStandard ("`[[attack]]` of kind `am-standard`") {
        /// The own composition.
        kind: AmStandardKind, required;
        /// The name used in records and reports.
        name: Name, required;
        /// The models to attack, by name. Default all.
        models: Vec<At<Text>>;
        /// The norm of the ball.
        norm: BallNorm, required;
        /// Radii of the ball, in pixel units of [0, 1].
        epsilons: Vec<At<Radius>>, required;
        /// Steps of each part, in percent of its own. Default 100.
        budget: Count<1, 100>;
        /// In which order several radii are settled; in suites of form 1 `each` unless they say otherwise. Default nearest.
        sweep: Sweep;
    }
}
