//! What a sweep over several radii costs, and that it finds what an attack at each of them finds.

use super::search::two_classes;
use super::*;

/// Several radii from the nearest flip cost two steps of a search, whose first look the margin's own rows share, and one attack that fails.
#[test]
fn a_sweep_from_the_nearest_flip_pays_for_one_attack_that_fails() {
    // The distance is 1 / 48.
    let model = model(two_classes(1.0), 2);
    let samples = samples(&model, &[vec![128; PIXELS]]);
    for (loss, shared) in [(Loss::Margin, 1), (Loss::Logit, 0)] {
        for (radii, flips) in
            [([0.005, 0.01, 0.03, 0.1], [false, false, true, true]), ([0.001, 0.004, 0.01, 0.02], [false; 4])]
        {
            let each = AttackConfig { steps: 20, ..class_logit(loss, Target::Untargeted, Norm::Linf, &radii) };
            let nearest = AttackConfig { sweep: Sweep::Nearest, ..each.clone() };
            for (attack, backwards) in [(&nearest, Some(2 + 20 - shared)), (&each, None)] {
                let records = run(&model, &samples, attack, &[], 8).records;
                assert_eq!(
                    records.iter().map(|record| record.flipped).collect::<Vec<_>>(),
                    flips,
                    "{:?}",
                    attack.sweep
                );
                let sum: u32 = records.iter().map(|record| record.backwards).sum();
                assert_eq!(sum, backwards.unwrap_or(sum), "{loss:?} {radii:?}");
            }
        }
    }
}
