//! The tables of what is inside models, and of pictures.

use crate::record::{TRAJECTORY_COLUMNS, UNIVERSAL_COLUMNS, VISUALIZE_COLUMNS};
use crate::summary::{damage_columns, layer_columns, patching_columns, unit_columns};

/// What their columns mean, where no other table has them.
pub(super) const MEANINGS: &[(&str, &str)] = &[
    ("depth", "share of the forward pass up to and with the layer"),
    ("positions", "`all`; of tokens `class` (those before the patches) and `patches` apart"),
    ("change", "length of the activation's change over that of the clean activation, mean over the images"),
    ("cosine", "cosine between both activations, mean over the images"),
    ("change_shuffled", "`change` by the same perturbations with their pixels shuffled"),
    ("restored", "share of the flips that go away with the clean activation put back"),
    (
        "restored_control",
        "the same with the control's: a random unit of the layer; for a whole layer the activation of another image",
    ),
    ("p", "one-sided p value: no more than the controls (McNemar in `patching.csv`, exact rank sum in `layers.csv`)"),
    ("p_corrected", "the same after Holm's correction over the model; in `units.csv` of the larger of both chances"),
    (
        "complete",
        "share of the flips whose logits became the clean ones: nothing passes the layer by, and its patch says nothing",
    ),
    ("noise_flip_rate", "share that random noise of the same norm flips, mean over draws"),
    ("random_unit_rate", "share that driving random units of the layer flips, mean over units"),
    ("class_attack_rate", "share that the run's class-logit attacks flip within the radius"),
    ("reach", "share of those flips that the unit (the layer's units together) reaches too"),
    ("p_noise", "chance that the unit flips no more than noise, exact over samples"),
    ("p_random_unit", "chance that it flips no more than random units: its place among them"),
    ("classes", "classes that its flips go to, with counts"),
    ("units", "units that were driven"),
    ("any_unit", "share that at least one unit flips, at any radius"),
    ("strongest_unit", "the unit that flips most at the largest radius"),
    ("strongest_rate", "its share"),
    ("mean_rate", "mean share over the units"),
    ("layer_distance", "median length of the smallest flip that any unit of the layer drives, or passes on its way"),
    ("reached", "the class that the way ends in, or that comes nearest"),
    ("step", "the step; 0 is the clean image"),
    ("length", "length of the perturbation in the ball's norm"),
    ("margin", "logit of the label less the best other"),
    ("prediction", "predicted class"),
    ("name", "the name of the `[[universal]]`"),
    ("source_of", "what the perturbation is made from: `picture`, `none`, `range` or `images`"),
    ("made_from", "images that it was made from; they are not judged"),
    ("shuffled_rate", "flips of five perturbations with the same values at other pixels"),
    ("class_rate", "share that is given the class of the unit, if the unit is a class"),
    ("top_class", "the class that most flips end in"),
    ("top_share", "their share of the flips"),
    ("visualization", "the name of the `[[visualize]]`"),
    ("seed", "which of the unit's pictures"),
    ("preset", "the settings"),
    ("start", "where the picture began"),
    ("objective", "the unit's activation on the finished picture, not moved"),
    ("percentile", "share of the real samples whose activation is not above it"),
    ("gain_z", "the activation less the samples' mean, in their deviations"),
    ("compared", "real samples that it is compared with"),
    ("class", "class that the model gives to the picture"),
    ("confidence", "its probability"),
    ("other_models", "what the suite's other models see: `name:class:confidence`"),
    ("other_agree", "share of them that give the same class"),
    ("seed_sensitivity", "deviation of the objective over the unit's pictures, as a share of its mean"),
    ("tv", "total variation over the number of values"),
    ("file", "the PNG file, relative to `visualize/`"),
];

/// Name, subject and columns of each table.
pub(super) fn tables() -> [(&'static str, &'static str, Vec<String>); 7] {
    [
        ("units.csv", "One row per driven unit and radius, with its controls.", unit_columns()),
        ("layers.csv", "One row per unit attack and layer, at the largest radius.", layer_columns()),
        ("damage.csv", "One row per attack, radius and layer, with `[damage]`.", damage_columns()),
        (
            "patching.csv",
            "One row per layer or unit whose clean activation is put back, with `[damage] patch`.",
            patching_columns(),
        ),
        (
            "trajectories.csv",
            "One row per step of each way that `[trajectories]` follows, the clean image first.",
            TRAJECTORY_COLUMNS.map(String::from).to_vec(),
        ),
        (
            "universal.csv",
            "One row per universal perturbation and radius.",
            UNIVERSAL_COLUMNS.map(String::from).to_vec(),
        ),
        ("visualize.csv", "One row per picture, with `[[visualize]]`.", VISUALIZE_COLUMNS.map(String::from).to_vec()),
    ]
}
