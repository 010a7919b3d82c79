//! What other models say of an attack's images.

use std::collections::HashMap;
use std::rc::Rc;

use am_eval::record::TransferRecord;

use super::*;

fn victim(name: &str, network: Linear, classes: i64, samples: &[Sample]) -> Victim {
    let mut victim = model(network, classes);
    victim.name = name.to_owned();
    let clean = CleanBlock::new(&victim, samples, &[], 16).judgements;
    Victim { model: Rc::new(victim), clean: Rc::new(clean) }
}

fn run_with(model: &Model, samples: &[Sample], attack: &AttackConfig, victims: &[Victim]) -> AttackOutcome {
    let driven = [DrivenUnit { unit: Unit::channel(0), control: false, deviation: 1.0, spread: None }];
    run_before(victims, model, samples, attack, &driven, 4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// To a copy of the attacked model every flip transfers and nothing else; another model is judged on the saved image itself, for
    /// the samples that both classify rightly; being watched changes no record; passes have their closed form.
    #[test]
    fn victims_say_what_they_say_of_the_saved_images(
        images in prop::collection::vec(prop::collection::vec(any::<u8>(), PIXELS), 6),
        weight in weights(4 * PIXELS), other in weights(4 * PIXELS), norm in norms(),
        target in prop_oneof![Just(Target::Untargeted), Just(Target::LeastLikely)],
        stop in prop_oneof![Just(Stop::Flip), Just(Stop::Budget)],
    ) {
        let source = model(linear(&weight, &[0.0; 4]), 4);
        let samples = samples(&source, &images);
        let attack = AttackConfig { stop, ..class_logit(Loss::Margin, target, norm, &[0.02, 0.1, 0.4]) };
        let both = || [
            victim("copy", linear(&weight, &[0.0; 4]), 4, &samples),
            victim("other", linear(&other, &[0.0; 4]), 4, &samples),
        ];
        let found = run_with(&source, &samples, &attack, &both());
        let alone = run_with(&source, &samples, &attack, &[]);
        prop_assert_eq!(&found.records, &alone.records);
        prop_assert_eq!(&found.images, &alone.images);
        prop_assert!(alone.transfers.is_empty());

        let of_victim = |name: &str| found.transfers.iter().filter(|transfer| &*transfer.victim == name).collect::<Vec<&TransferRecord>>();
        let copies = of_victim("copy");
        prop_assert_eq!(copies.len(), found.records.len());
        for (record, transfer) in found.records.iter().zip(&copies) {
            prop_assert_eq!((&transfer.cell, &transfer.sample_id), (&record.cell, &record.sample_id));
            // What cannot be told to be classified rightly is not robust, but fools nobody.
            let fools = record.flipped && record.status != Status::Undecided;
            prop_assert_eq!((transfer.flipped, transfer.fooled), (record.flipped, fools));
            prop_assert!(!record.flipped || transfer.victim_pred == record.adv_pred);
        }

        let [_, other] = both();
        let right = |id: &str| samples.iter().zip(&*other.clean).any(|(sample, clean)| {
            sample.id.as_str() == id && clean.prediction == i64::from(sample.label)
        });
        let expected: Vec<usize> =
            (0..found.records.len()).filter(|&at| right(found.records[at].sample_id.as_str())).collect();
        let of_other = of_victim("other");
        prop_assert_eq!(of_other.len(), expected.len());
        let mut distinct: HashMap<(&str, &[u32]), u32> = HashMap::new();
        let bits: Vec<u32> = found.images.pixels.iter().map(|value| value.to_bits()).collect();
        for (&at, transfer) in expected.iter().zip(&of_other) {
            let record = &found.records[at];
            prop_assert_eq!((&transfer.cell, &transfer.sample_id), (&record.cell, &record.sample_id));
            let pixels = &found.images.pixels[at * PIXELS..(at + 1) * PIXELS];
            let image = Tensor::from_slice(pixels).view([1, 3, SIDE, SIDE]);
            let predicted = other.model.logits(&image).argmax(-1, false).int64_value(&[0]);
            prop_assert_eq!(i64::from(transfer.victim_pred), predicted);
            let label = samples.iter().find(|sample| sample.id == record.sample_id).unwrap().label;
            prop_assert!(!transfer.fooled || transfer.victim_pred != label);
            *distinct.entry((record.sample_id.as_str(), &bits[at * PIXELS..(at + 1) * PIXELS])).or_default() +=
                transfer.forwards;
        }
        // Two passes for each row that a cell tells of; rows of different radii may end at the same image.
        let rows = of_other.iter().filter(|transfer| transfer.forwards > 0).count();
        prop_assert!(rows >= distinct.len() && distinct.values().all(|passes| *passes >= 2 && passes.is_multiple_of(2)));
        prop_assert!(of_other.iter().all(|transfer| [0, 2].contains(&transfer.forwards)));
    }
}

/// Noise as long as the perturbation moves a victim that is close to its boundary, and leaves a firm one alone.
#[test]
fn noise_of_the_same_length_stands_beside_the_image() {
    let weight: Vec<f32> = (0..2 * PIXELS).map(|index| if index < PIXELS { 1.0 } else { -1.0 }).collect();
    // The margin is twice the sum of the pixels, which the attack lowers by 0.3 * 48, minus 28.
    let source = model(linear(&weight, &[-28.0, 0.0]), 2);
    let images: Vec<Vec<u8>> = (0..8).map(|index| [140 + index, 150].repeat(PIXELS / 2)).collect();
    let samples = samples(&source, &images);
    let firm = victim("firm", linear(&weight, &[60.0, 0.0]), 2, &samples);
    let attack =
        AttackConfig { stop: Stop::Budget, ..class_logit(Loss::Margin, Target::Untargeted, Norm::Linf, &[0.3]) };
    let found = run_with(&source, &samples, &attack, &[firm]);
    assert!(found.records.iter().all(|record| record.flipped));
    assert_eq!(found.transfers.len(), samples.len());
    assert!(
        found.transfers.iter().all(|transfer| !transfer.fooled && !transfer.fooled_by_noise),
        "no image in the ball moves it"
    );

    // Random signs move the margin by about 2 * 0.3 * sqrt(48) either way, the attack by 2 * 0.3 * 48 towards the boundary.
    let centre: f32 = images[0].iter().map(|&byte| f32::from(byte) / 255.0).sum();
    let edge = victim("edge", linear(&weight, &[-2.0 * centre + 0.05, 0.0]), 2, &samples);
    let found = run_with(&source, &samples, &attack, &[edge]);
    let moved = found.transfers.iter().filter(|transfer| transfer.fooled_by_noise).count();
    assert!((1..samples.len()).contains(&moved), "{moved} of {}", samples.len());
    assert!(found.transfers.iter().all(|transfer| transfer.fooled));
}

/// Victims are shown the images of class logits alone.
#[test]
fn images_of_units_are_not_shown() {
    let weight: Vec<f32> = (0..2 * PIXELS).map(|index| (index as f32 * 0.7).sin()).collect();
    let source = model(linear(&weight, &[0.0, 0.5]), 2);
    let samples = samples(&source, &[vec![128; PIXELS], vec![100; PIXELS]]);
    let copy = victim("copy", linear(&weight, &[0.0, 0.5]), 2, &samples);
    let found = run_with(&source, &samples, &units("scores", Direction::Maximize, Norm::Linf, &[0.3]), &[copy]);
    assert!(found.records.iter().any(|record| record.cell.kind == CellKind::Unit));
    assert_eq!(found.transfers, []);
}
