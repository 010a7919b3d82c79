//! `[damage]`, `[trajectories]` and `[[universal]]` as they are written.

use super::RawUnits;
use super::gate::Glob;
use super::visualize::LayerText;
use crate::suite::config::Direction;
use crate::suite::inside::{SliceAcross, UniversalSource};
use crate::suite::read::problem::Problems;
use crate::suite::read::values::{Count, Name, Radius, Share, Text};
use crate::suite::read::words::BallNorm;
use crate::suite::read::{At, Fields, FromToml, Value, raw_table};

raw_table! {
    /// What adversarial images change layer by layer, and which of it flips them (activation patching).
    struct RawDamage ("`[damage]`") {
        /// The layers whose activation is compared with the clean one: names, patterns or depths. Default all.
        layers: Vec<At<LayerText>>;
        /// The attacks, by name; `*` stands for any characters and `?` for any one. Default all.
        attacks: Vec<At<Glob>>;
        /// Samples that are looked at, evenly over the run. Default 200.
        samples: Count<1, 1_000_000>;
        /// Layers whose clean activation is put back into flipped images, to see whether the flip goes away. Default none.
        patch: Vec<At<LayerText>>;
        /// Units of these layers of which the same is done, one by one.
        patch_units: RawUnits;
    }
}

raw_table! {
    /// The way of some samples over the boundary: charts, film strips, and slices of the decision regions.
    struct RawTrajectories ("`[trajectories]`") {
        /// The attacks, by name; `*` stands for any characters and `?` for any one. Default all on class logits and units, no compositions.
        attacks: Vec<At<Glob>>;
        /// Samples of each model and attack. Default 3.
        samples: Count<1, 100>;
        /// Images of a film strip. Default 8.
        frames: Count<2, 32>;
        /// Points along each side of a slice through the image; 0 draws none. Default 61.
        slice: Count<0, 401>;
        /// What spans a slice beside the attack's perturbation: gradient (of the margin), or unit (what another unit of the attack does to the
        /// image; the gradient where there is none). Default gradient.
        across: SliceAcross;
    }
}

raw_table! {
    /// One perturbation for many images, made from a unit or a class, and judged on images that it was not made from.
    struct RawUniversal ("`[[universal]]`") {
        /// The name used in files and reports.
        name: Name, required;
        /// The models, by name. Default all.
        models: Vec<At<Text>>;
        /// What it is made from: picture (that of the unit, as a direction), none (data-free), range (noise like the images) or images.
        source: UniversalSource, required;
        /// The layers: names, patterns or depths. Default the logits, whose units are the classes.
        layers: Vec<At<LayerText>>;
        /// The units of each layer: the top ones by a measure, random ones, a list, or all.
        units: RawUnits, required;
        /// Raise or lower the activation. Default maximize.
        direction: Direction;
        /// The norm of the ball.
        norm: BallNorm, required;
        /// Radii of the ball, in pixel units of [0, 1].
        epsilons: Vec<At<Radius>>, required;
        /// Steps. Default 200.
        steps: Count<1, 100_000>;
        /// Share of the samples that it is made from, with `source = "images"`. Default 0.5.
        train: Share;
    }
}
