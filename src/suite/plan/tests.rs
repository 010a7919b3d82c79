use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const FULL: &str = include_str!("../tests/full.toml");

fn suite(source: &str) -> Suite {
    Suite::parse("suites/test.toml", source).unwrap()
}

#[test]
fn the_order_is_model_attack_boundary_block() {
    let plan = Plan::new(&suite(FULL), 60);
    let keys: Vec<&str> = plan.units().iter().map(|unit| unit.key.as_str()).collect();
    assert_eq!(plan.units()[2].samples, 50..60, "the last block is shorter");
    assert_eq!(&keys[..3], ["000-cnn--untargeted--00000", "000-cnn--untargeted--00001", "000-cnn--untargeted--00002"]);
    let first: Vec<&str> = keys.iter().copied().filter(|key| key.ends_with("--00000")).collect();
    assert_eq!(
        first,
        [
            "000-cnn--untargeted--00000",
            "001-cnn--class-seven--00000",
            "002-cnn--neurons--00000",
            "003-cnn--every-unit--00000",
            "004-cnn--boundary--00000",
            "005-vit--untargeted--00000",
            "006-vit--neurons--00000",
            "007-vit--every-unit--00000",
            "008-vit--boundary--00000",
        ],
        "class-seven attacks the cnn only"
    );
    assert_eq!(Plan::new(&suite(FULL), 0).units(), []);
}

#[test]
fn names_that_run_into_each_other_stay_distinct() {
    let source = FULL
        .replace("\"cnn\"", "\"a--b\"")
        .replace("\"vit\"", "\"a\"")
        .replace("name = \"untargeted\"", "name = \"c\"")
        .replace("\"untarget*\"", "\"c\"")
        .replace("name = \"class-seven\"", "name = \"b--c\"")
        .replace("name = \"neurons\"", "name = \"boundary\"");
    let plan = Plan::new(&suite(&source), 60);
    let keys: HashSet<&str> = plan.units().iter().map(|unit| unit.key.as_str()).collect();
    assert_eq!(keys.len(), plan.units().len());
}

#[test]
fn outputs_follow_what_is_asked() {
    let without_boundary: String = FULL.replace("[boundary]", "[bound]");
    assert!(Suite::parse("x.toml", without_boundary).is_err());
    let mut suite = suite(FULL);
    let files = Plan::outputs(&suite, false);
    let tables = [
        "manifest.json",
        "samples.csv",
        "summary.csv",
        "summary.json",
        "worst_case.csv",
        "worst_case_samples.csv",
        "distances.csv",
        "curves.csv",
        "transfer.csv",
        "units.csv",
        "layers.csv",
    ];
    let made =
        ["thumbnails.safetensors", "charts/*.png", "report.html", "gate.json", "gate.sarif", "junit.xml", "summary.md"];
    assert_eq!(files, [&tables[..], &made[..]].concat());
    (suite.boundary, suite.transfer) = (None, None);
    let files = Plan::outputs(&suite, true);
    assert!(!files.iter().any(|file| ["distances.csv", "transfer.csv"].contains(&file.as_str())));
    assert!(files.contains(&"adversarial/cnn--class-seven.safetensors".to_string()), "{files:?}");
    assert_eq!(files.iter().filter(|file| file.starts_with("adversarial/")).count(), 7);
}

/// The formulas of `cost`, worked out by hand for the full suite and 60 samples.
#[test]
fn costs_match_their_closed_forms() {
    let suite = suite(FULL);
    let plan = Plan::new(&suite, 60);
    let units = [((0, 3), 10), ((1, 3), 10)].into();
    let known = Known { units, classes: [(0, 3), (1, 1000)].into(), ..Known::default() };
    let lines = plan.estimate(&suite, &known).lines;
    let numbers = |index: usize| {
        let line: &Line = &lines[index];
        (line.cells, line.rows, line.blocks, line.forwards, line.backwards, line.partial)
    };
    // Three epsilons, 40 steps; the other model sees the clean image, three images, and as many of noise.
    assert_eq!(numbers(0), (3, 180, 3, 60 * (3 * 43 + 1 + 7), 60 * 3 * 40, false));
    assert_eq!(numbers(5), numbers(0));
    // Two epsilons, three restarts, 100 steps and the nearest flip on the way.
    assert_eq!(numbers(1), (2, 360, 3, 60 * (6 * 104 + 1), 60 * 6 * 100, false));
    // Three units and three random ones, 20 steps and the nearest flip on the way, five draws of noise.
    assert_eq!(numbers(2), (11, 60 * 11, 3, 60 * (6 * 24 + 10 + 1), 60 * 6 * 20, false));
    // All ten units, five draws of noise.
    assert_eq!(numbers(3), (15, 60 * 15, 3, 60 * (10 * 24 + 10 + 1), 60 * 10 * 20, false));
    // 30 steps, 10 bisections; gradients for the others of three classes, and of the ten likeliest of a thousand.
    assert_eq!(numbers(4), (1, 60, 3, 60 * (33 + 17 + 10 + 4 + 1 + 1), 60 * (30 + 2), false));
    assert_eq!(numbers(8), (1, 60, 3, 60 * (33 + 17 + 10 + 4 + 1 + 1), 60 * (30 + 9), false));
}

#[test]
fn the_table_says_what_is_not_known_yet() {
    let suite = suite(FULL);
    let estimate = Plan::new(&suite, 1000).estimate(&suite, &Known::default());
    insta::assert_snapshot!("estimate", estimate);
    assert!(estimate.lines[3].partial && estimate.lines[7].partial && !estimate.lines[8].partial);
}

#[test]
fn shards_are_written_as_i_of_n() {
    assert_eq!("3/16".parse::<Shard>().unwrap().to_string(), "3/16");
    for text in ["0/2", "3/2", "0/0", "1", "a/b", "-1/2", "1/2/3", ""] {
        let error = text.parse::<Shard>().unwrap_err();
        assert!(error.to_string().starts_with(&format!("`{text}` is not a shard")), "{error}");
    }
    let plan = Plan::new(&suite(FULL), 60);
    assert_eq!(plan.shard(Shard::WHOLE), plan);
}

proptest! {
    /// Each sample is in exactly one block of each task, and blocks do not depend on the number of shards.
    #[test]
    fn shards_are_disjoint_and_together_the_whole(samples in 0usize..400, block in 1usize..120, count in 1usize..40) {
        let mut suite = suite(FULL);
        suite.run.block = Some(block);
        let plan = Plan::new(&suite, samples);
        let covered: usize = plan.units().iter().map(|unit| unit.samples.len()).sum();
        prop_assert_eq!(covered, samples * 9);
        let keys: Vec<&String> = plan.units().iter().map(|unit| &unit.key).collect();
        prop_assert!(keys.is_sorted());
        prop_assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());

        let shards: Vec<Plan> = (1..=count).map(|index| plan.shard(Shard::new(index, count).unwrap())).collect();
        let mut union: Vec<WorkUnit> = shards.iter().flat_map(|shard| shard.units().to_vec()).collect();
        union.sort_by(|a, b| a.key.cmp(&b.key));
        prop_assert_eq!(&union[..], plan.units());
        let sizes: Vec<usize> = shards.iter().map(|shard| shard.units().len()).collect();
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);

        // Costs add up over shards too, but for what each of them prepares.
        let work = |plan: &Plan| {
            let mut estimate = plan.estimate(&suite, &Known::default());
            estimate.lines.retain(|line| line.task != "preparation");
            estimate.total()
        };
        let total = work(&plan);
        let parts: Vec<Line> = shards.iter().map(work).collect();
        prop_assert_eq!(total.forwards, parts.iter().map(|line| line.forwards).sum::<u64>());
        prop_assert_eq!(total.rows, parts.iter().map(|line| line.rows).sum::<u64>());
    }
}

/// Beside an attack of 20 steps and two starts on 40 samples: noise on all, and on ten of them a search and twice the steps.
#[test]
fn controls_self_tests_and_averaged_answers_are_counted() {
    const SMALL: &str = r#"schema = 1
name = "small"
[data]
kind = "synthetic"
split = "test"
samples = 40
[[model]]
name = "m"
arch = "cifar/resnet8"
weights = "w.safetensors"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }
[[attack]]
name = "a"
kind = "class-logit"
norm = "linf"
epsilons = ["1/255", "8/255"]
steps = 20
restarts = 2
"#;
    let controls = |source: &str| {
        let suite = suite(source);
        let lines = Plan::new(&suite, 40).estimate(&suite, &Known::default()).lines;
        let line = lines.iter().find(|line| line.task == "controls").unwrap();
        (line.cells, line.rows, line.forwards, line.backwards)
    };
    let (forwards, backwards) = (40 * 4 + 10 * (101 + 2 * 43), 10 * 2 * 40);
    assert_eq!(controls(SMALL), (4, 160, forwards, backwards));
    // Each of five planted points: 108 images, and the attack with the clean image and a margin for its verification.
    let tested = format!("{SMALL}[selftest]\nsamples = 5\n");
    let (planted, back) = (5 * (108 + 2 * 23 + 3), 5 * 2 * 20);
    assert_eq!(controls(&tested), (4, 160, forwards + planted, backwards + back));
    let averaged = SMALL.replace("[data]", "[run]\neot = 3\n[data]");
    assert_eq!(controls(&averaged), (4, 160, 3 * forwards, 3 * backwards));
}
