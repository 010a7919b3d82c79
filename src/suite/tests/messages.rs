//! What the reader accepts, and the messages for what it does not.

use super::{FULL, SHIPPED, parse, render, replaced};
use crate::suite::gate::Level;
use crate::suite::*;
use crate::terms::{Epsilon, Norm, Unit};

#[test]
fn the_full_suite_means_what_it_says() {
    let suite = parse(FULL).unwrap();
    assert_eq!((suite.name.as_str(), suite.seed), ("full", 3));
    assert_eq!(suite.run.device, DeviceChoice::Cuda(1));
    assert_eq!((suite.run.precision, suite.run.batch, suite.run.block), (SearchPrecision::Bf16, Some(64), Some(25)));
    let DataSource::ImageFolder { root } = &suite.data.source else { panic!("{:?}", suite.data.source) };
    let preprocess = suite.data.preprocess;
    assert_eq!(root, std::path::Path::new("suites/../data/val"));
    assert_eq!((preprocess.resize, preprocess.crop), (Some(256), Some(224)));
    assert_eq!(preprocess.interpolation, Interpolation::Bicubic);
    assert_eq!((suite.data.samples, suite.data.on_error), (Some(1000), OnDataError::Skip));
    assert_eq!(suite.models[0].weights, std::path::Path::new("suites/../models/cnn.safetensors"));
    assert_eq!(suite.models[1].normalize, Normalize { mean: vec![0.5], std: vec![0.5] });

    let [untargeted, seven, neurons, every] = &suite.attacks[..] else { panic!() };
    let radii: Vec<String> = untargeted.epsilons.iter().map(Epsilon::to_string).collect();
    assert_eq!(radii, ["0", "1/255", "8/255"], "sorted");
    assert!(
        matches!(&untargeted.goal, Goal::ClassLogit(goal) if (goal.target, goal.loss) == (Target::Untargeted, Loss::Margin))
    );
    assert_eq!((untargeted.optimizer, seven.optimizer), (OptimizerName::Apgd, OptimizerName::Steepest));
    assert_eq!((untargeted.stop, untargeted.restarts, untargeted.step_size), (Stop::Flip, 1, None));
    assert!(matches!(&seven.goal, Goal::ClassLogit(goal) if (goal.target, goal.loss) == (Target::Class(7), Loss::Dlr)));
    assert_eq!((seven.stop, seven.restarts, seven.step_size, seven.norm), (Stop::Budget, 3, Some(0.1), Norm::L2));
    assert!(seven.applies_to("cnn") && !seven.applies_to("vit") && untargeted.applies_to("vit"));
    assert_eq!(neurons.models.as_deref(), Some(&["cnn".to_string(), "vit".to_string()][..]), "in the suite's order");
    let Goal::Unit(UnitGoal { units, direction, controls, .. }) = &neurons.goal else { panic!() };
    let neuron = Unit::neuron(4, 3, 5);
    assert_eq!(units, &UnitSelection::Listed(vec![Unit::channel(3), Unit::channel(17), neuron]));
    assert_eq!(*direction, Direction::Suppress);
    assert_eq!(controls, &[Control::Noise, Control::RandomUnit]);
    assert!(
        matches!(&every.goal, Goal::Unit(UnitGoal { units: UnitSelection::All, controls, .. }) if controls == &[Control::Noise])
    );
    assert_eq!(every.stop, Stop::Budget);
    let rules: Vec<String> = suite.gates.iter().map(ToString::to_string).collect();
    let worst = "worst_case_accuracy (model = \"cnn\", epsilon = \"8/255\"): max_drop 0.05, max_rise 0.2, min 0.3";
    assert_eq!(rules, ["robust_accuracy: max_drop 0.02", "distance_median: min 1.5", worst]);
    assert_eq!((suite.gates[0].level, suite.gates[2].alpha), (Level::Warn, 0.01));
    assert_eq!(suite.gates[2].inconclusive, Level::Error);
    assert_eq!(suite.waivers[0].to_string(), "waiver of ana for flip_rate (kind = \"class*\") until 2026-09-30");

    let boundary = suite.boundary.unwrap();
    assert_eq!((boundary.max_radius.value(), boundary.steps, boundary.bisections), (2.5, 30, 10));
    assert_eq!((suite.gates[0].max_drop, suite.gates[1].min), (Some(0.02), Some(1.5)));
}

#[test]
fn tables_are_csv_and_what_else_is_asked_for() {
    let read = |tables: &str| parse(&replaced("batch = 64", tables));
    assert!(!parse(FULL).unwrap().run.writes_parquet());
    let both = read("tables = [\"parquet\", \"csv\"]").unwrap();
    assert_eq!(both.run.tables, [TableForm::Csv, TableForm::Parquet]);
    assert_eq!(both.run_key_material(), parse(FULL).unwrap().run_key_material(), "the run keeps its name");
    assert_eq!(read("tables = [\"csv\"]").unwrap().run.tables, parse(FULL).unwrap().run.tables);
    let message = |tables: &str| render(&read(tables).unwrap_err());
    assert!(message("tables = [\"parquet\"]").contains("`tables` lacks csv"));
    assert!(message("tables = [\"csv\", \"csv\"]").contains("stands twice"));
    assert!(message("tables = [\"csv\", \"parqet\"]").contains("did you mean `parquet`?"));
}

#[test]
fn shipped_suites_are_valid() {
    for (path, source) in SHIPPED {
        if let Err(errors) = Suite::parse(path, source) {
            panic!("{errors:#}");
        }
    }
}

#[test]
fn transfer_takes_class_logit_attacks_by_name() {
    let attacks =
        |transfer: &str| parse(&replaced("attacks = [\"untarget*\"]", transfer)).unwrap().transfer.unwrap().attacks;
    assert_eq!(attacks(""), ["untargeted", "class-seven"], "all of them, none of units");
    assert_eq!(attacks("attacks = [\"class-seven\", \"*\"]"), ["untargeted", "class-seven"], "in the suite's order");
    let suite = parse(FULL).unwrap();
    let transferred: Vec<bool> = suite.attacks.iter().map(|attack| suite.transfers(attack)).collect();
    assert_eq!(transferred, [true, false, false, false]);
}

#[test]
fn what_cannot_be_transferred_is_told_at_the_table() {
    let (data, rest) = FULL.split_once("[[model]]\nname = \"cnn\"").unwrap();
    let (_, vit) = rest.split_once("[[model]]").unwrap();
    let vit = format!("{data}[[model]]{vit}");
    let (models, _) = vit.split_once("[[attack]]").unwrap();
    let unit = FULL.split_once("[[attack]]\nname = \"every-unit\"").unwrap().1.split_once("[boundary]").unwrap().0;
    let attack = "[[attack]]\nname = \"a\"\nkind = \"class-logit\"\nnorm = \"l2\"\nepsilons = [1]\nsteps = 1\n";
    let one_model = format!("{models}{attack}[transfer]\n");
    let (both, _) = FULL.split_once("[[attack]]").unwrap();
    let units_alone = format!("{both}[[attack]]\nname = \"every-unit\"{unit}[transfer]\n");
    let classes = replaced("normalize = { mean = [0.5]", "classes = 11\nnormalize = { mean = [0.5]");
    let messages = [one_model, units_alone, classes].map(|source| {
        let errors = parse(&source).unwrap_err();
        let (line, _) = errors.position(&errors.problems()[0]).unwrap();
        assert!(source.lines().nth(line - 1).unwrap().starts_with("[transfer]"), "{errors:#}");
        render(&errors)
    });
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn defaults_of_the_boundary_depend_on_its_norm() {
    let with = |boundary: &str| {
        let (head, _) = FULL.split_once("[boundary]").unwrap();
        parse(&format!("{head}{boundary}")).unwrap().boundary.unwrap()
    };
    let default = with("[boundary]\n");
    assert_eq!((default.norm, default.max_radius.value(), default.steps), (Norm::L2, 4.0, 40));
    assert_eq!((default.loss, default.bisections), (Loss::Margin, 20));
    assert_eq!(default.methods, [BoundaryMethod::Path]);
    assert_eq!(with("[boundary]\nnorm = \"linf\"\n").max_radius.to_string(), "32/255");
}

#[test]
fn the_targeted_difference_of_logits_needs_four_classes() {
    let source = replaced("classes = 10", "classes = 3").replace("target = 7\n", "target = 2\n");
    let errors = parse(&source).expect_err("three classes");
    let messages: Vec<&str> = errors.problems().iter().map(Problem::message).collect();
    assert_eq!(messages.len(), 1, "{errors:#}");
    assert!(messages[0].starts_with("targeted loss `dlr` needs at least 4 classes"), "{errors:#}");
}

/// Each replacement of a line by a wrong one, and the beginning of the one message that it must cause.
#[test]
fn each_wrong_value_causes_one_message_at_its_line() {
    let cases = [
        ("schema = 2", "schema = 3", "`schema` must be 1 or 2, not 3"),
        (
            "step_size = 0.1\noptimizer = \"steepest\"",
            "step_size = 0.1",
            "optimizer `apgd`, the default, chooses its steps itself",
        ),
        ("schema = 2", "", "missing key `schema` in the suite"),
        ("name = \"full\"", "name = \"../etc\"", "`name` must be 1 to 64 letters"),
        ("seed = 3", "seed = -3", "`seed` must be a whole number of at least 0, not -3"),
        ("device = \"cuda:1\"", "device = \"gpu\"", "`device` must be auto, cpu, cuda or cuda:N"),
        ("device = \"cuda:1\"", "device = \"cuda:+1\"", "`device` must be auto, cpu, cuda or cuda:N"),
        ("precision = \"bf16\"", "precision = \"fp16\"", "unknown precision `fp16`"),
        ("batch = 64", "batch = 0", "`batch` must be a whole number of at least 1, not 0"),
        ("kind = \"image-folder\"", "kind = \"imagefolder\"", "unknown kind `imagefolder`"),
        ("root = \"../data/val\"", "path = \"../data/val\"", "unknown key `path` in `[data]` of kind `image-folder`"),
        ("crop = 224", "crop = 257", "`crop` is larger than the resized image"),
        ("crop = 224", "crop = 224\ncrop_pct = 0.875", "`crop_pct` and `resize` say the same thing twice"),
        ("resize = 256\ncrop = 224", "crop_pct = 0.875", "`crop_pct` without `crop` has no effect"),
        (
            "resize = 256\ncrop = 224\ninterpolation = \"bicubic\"",
            "crop = 224\ncrop_pct = 1.5",
            "`crop_pct` must be at most 1, not 1.5",
        ),
        ("resize = 256\n", "", "`interpolation` without `resize` has no effect"),
        ("crop = 224", "crop = 224\nchannels = 2", "`channels` must be 1 (grey) or 3 (RGB), not 2"),
        ("name = \"neurons\"", "name = \"Untargeted\"", "attack name `Untargeted` stands twice"),
        ("mean = [0.5], std = [0.5]", "mean = [0.5], std = [0.5, 0.5]", "`std` has 2 values but `mean` has 1"),
        ("mean = [0.5], std = [0.5]", "mean = [0.5, 0.5], std = [0.5, 0.5]", "`mean` has 2 values"),
        ("mean = [0.5], std = [0.5]", "mean = [127.5], std = [64]", "mean 127.5 is not a pixel value"),
        ("mean = [0.5], std = [0.5]", "mean = [0.5], std = [0]", "`std` must be greater than 0, not 0"),
        ("mean = [0.5], std = [0.5]", "mean = [0.5], std = [1e-300]", "`std` is not a positive f32"),
        ("target = 7", "target = 10", "model `cnn` has no class 10"),
        ("target = 7", "target = \"leastlikely\"", "unknown target `leastlikely`"),
        ("loss = \"dlr\"", "loss = \"cw\"", "unknown loss `cw`"),
        ("optimizer = \"steepest\"", "optimizer = \"agpd\"", "unknown optimizer `agpd`"),
        (
            "step_size = 0.1\noptimizer = \"steepest\"",
            "step_size = 0.1\noptimizer = \"apgd\"",
            "optimizer `apgd` chooses its steps itself",
        ),
        (
            "norm = \"linf\"\nepsilons = [\"8/255\", \"1/255\", 0.0]",
            "optimizer = \"square\"\nnorm = \"l1\"\nepsilons = [\"8/255\", \"1/255\", 0.0]",
            "optimizer `square` is not defined in l1 balls",
        ),
        ("norm = \"l2\"\nepsilons", "norm = \"l3\"\nepsilons", "unknown norm `l3`"),
        ("epsilons = [1, 0.5]", "epsilons = [1, -0.5]", "`epsilons` must be a number of at least 0 or a fraction"),
        ("epsilons = [1, 0.5]", "epsilons = [0.5, 1, 0.5]", "epsilon 0.5 stands twice"),
        ("epsilons = [1, 0.5]", "epsilons = [0.0, -0.0]", "epsilon 0 stands twice"),
        ("epsilons = [1, 0.5]", "epsilons = []", "`epsilons` is empty"),
        ("epsilons = [1, 0.5]", "epsilons = 0.5", "`epsilons` must be a list"),
        ("epsilons = [1, 0.5]", "epsilons = [\"1/0\"]", "`epsilons` must be a number of at least 0 or a fraction"),
        ("epsilons = [1, 0.5]", "epsilons = [inf]", "`epsilons` must be a number of at least 0 or a fraction"),
        ("epsilons = [\"8/255\", \"1/255\", 0.0]", "epsilons = [8]", "epsilon 8 is more than the whole range"),
        ("steps = 100", "steps = 0", "`steps` must be a whole number of at least 1, not 0"),
        ("steps = 100", "steps = 100001", "`steps` must be at most 100000"),
        ("steps = 100", "steps = \"forty\"", "`steps` must be a whole number of at least 1, not the string \"forty\""),
        ("steps = 100", "stesp = 100", "unknown key `stesp` in `[[attack]]` of kind `class-logit`"),
        ("steps = 100", "", "missing key `steps` in `[[attack]]` of kind `class-logit`"),
        ("step_size = 0.1", "step_size = 0", "`step_size` must be greater than 0"),
        ("restarts = 3", "restarts = 0", "`restarts` must be a whole number of at least 1"),
        ("stop = \"budget\"", "layer = \"fc\"", "unknown key `layer`"),
        ("models = [\"cnn\"]", "models = [\"cnm\"]", "unknown model `cnm`"),
        ("models = [\"cnn\"]", "models = []", "`models` is empty"),
        ("models = [\"cnn\"]", "models = [\"cnn\", \"cnn\"]", "model `cnn` stands twice"),
        ("units = [3, 17, \"4@3,5\"]", "units = [3, \"4@3\"]", "`units` must be unit indices"),
        ("units = [3, 17, \"4@3,5\"]", "units = [3, 3]", "unit 3 stands twice"),
        ("units = [3, 17, \"4@3,5\"]", "units = []", "`units` is empty"),
        ("units = [3, 17, \"4@3,5\"]", "units = { top = 3, by = \"norm\" }", "unknown measure `norm`"),
        ("units = [3, 17, \"4@3,5\"]", "units = { topp = 3 }", "unknown key `topp` in `units`"),
        ("units = [3, 17, \"4@3,5\"]", "units = { top = 3, random = 2 }", "unknown key `random` in `units`"),
        ("units = \"all\"", "units = \"some\"", "`units` must be { top = N"),
        ("units = \"all\"", "units = \"all\"\ncontrols = [\"random-unit\"]", "control `random-unit` needs units"),
        ("direction = \"suppress\"", "stop = \"target\"", "a unit attack has no target class"),
        ("target = 7\nloss = \"dlr\"", "stop = \"target\"", "an untargeted attack has no target"),
        ("methods = [\"path\"]", "methods = [\"fmm\"]", "unknown method `fmm`"),
        ("methods = [\"path\"]", "methods = [\"sigma-zero\"]", "method `sigma-zero` does not measure l2 distances"),
        (
            "norm = \"l2\"\nmethods = [\"path\"]",
            "norm = \"l0\"\nmethods = [\"fab\"]",
            "method `fab` does not measure l0 distances",
        ),
        ("norm = \"l2\"\nepsilons", "norm = \"l7\"\nepsilons", "unknown norm `l7`"),
        ("norm = \"l2\"\nepsilons", "norm = \"l0\"\nepsilons", "no attack has l0 balls"),
        ("optimizer = \"steepest\"", "optimizer = \"sigma-zero\"", "optimizer `sigma-zero` looks for the nearest flip"),
        ("max_radius = 2.5", "max_radius = 0", "`max_radius` must be greater than 0"),
        ("attacks = [\"untarget*\"]", "attacks = [\"untargted\"]", "unknown attack `untargted`"),
        ("attacks = [\"untarget*\"]", "attacks = [\"pgd*\"]", "`pgd*` selects no attack of this suite"),
        (
            "attacks = [\"untarget*\"]",
            "attacks = [\"*\", \"neu?ons\"]",
            "`neu?ons` selects attacks of kind `unit` alone",
        ),
        ("attacks = [\"untarget*\"]", "attacks = [\"*\", \"*\"]", "attack `*` stands twice"),
        ("attacks = [\"untarget*\"]", "attacks = []", "`attacks` is empty"),
        ("attacks = [\"untarget*\"]", "attacks = \"untarget*\"", "`attacks` must be a list in brackets"),
        ("attacks = [\"untarget*\"]", "attacks = [true]", "`attacks` must be a name, or a pattern"),
        ("attacks = [\"untarget*\"]", "attack = [\"untarget*\"]", "unknown key `attack` in `[transfer]`"),
        ("metric = \"robust_accuracy\"", "metric = \"loudness\"", "unknown metric `loudness`"),
        ("max_drop = 0.02", "max_drop = 2", "`max_drop` 2 is more than the whole range of a rate"),
        ("max_drop = 0.02", "", "the gate has no bound"),
        ("max_drop = 0.02", "max = 0.02", "`max` does not fit robust_accuracy, of which more is better"),
        ("max_drop = 0.02", "max_drop = 0.02\nalpha = 0.9", "`alpha` 0.9 is no small chance"),
        ("min = 1.5", "max_rise = -1", "`max_rise` must be at least 0"),
        ("model = \"cnn\", epsilon = \"8/255\"", "model = \"cnm\"", "the gate selects nothing of this suite"),
        ("model = \"cnn\", epsilon = \"8/255\"", "epsilon = 0.7", "the gate selects nothing of this suite"),
        ("model = \"cnn\", epsilon = \"8/255\"", "modle = \"cnn\"", "unknown key `modle` in `select`"),
        ("model = \"cnn\", epsilon = \"8/255\"", "attack = \"x\"", "worst_case_accuracy is not told apart by attack"),
        ("kind = \"class*\"", "kind = \"pgd\"", "unknown kind `pgd`"),
        ("expires = \"2026-09-30\"", "expires = \"2026-02-30\"", "`expires` must be a day in quotes"),
        ("expires = \"2026-09-30\"", "expires = 2026-09-30", "`expires` must be a day in quotes"),
        ("owner = \"ana\"", "", "missing key `owner` in `[[waiver]]`"),
        ("max_drop = 0.02", "max_drop = true", "`max_drop` must be a finite number, not true"),
        ("[[gate]]\nmetric = \"distance", "[[gates]]\nmetric = \"distance", "unknown key `gates` in the suite"),
    ];
    for (old, new, message) in cases {
        // Some replacements leave a key that the other line has already; drop the older one.
        let mut source = replaced(old, new);
        if new.contains("stop = \"target\"") {
            source = source.replace("restarts = 3\nstop = \"budget\"\n", "restarts = 3\n");
        }
        let errors = parse(&source).expect_err(new);
        let messages: Vec<&str> = errors.problems().iter().map(Problem::message).collect();
        assert_eq!(messages.len(), 1, "{new}: {errors:#}");
        assert!(messages[0].starts_with(message), "{new}: {errors:#}");
        let (line, column) = errors.position(&errors.problems()[0]).unwrap();
        assert!(line >= 1 && column >= 1 && line <= source.lines().count());
        let text = source.lines().nth(line - 1).unwrap();
        assert!(new.is_empty() || new.contains(text) || text.contains(new), "{new} shown at line {line}: {text}");
    }
}

#[test]
fn all_problems_come_at_once_with_snippets_and_suggestions() {
    let errors = parse(include_str!("many-problems.toml")).unwrap_err();
    insta::assert_snapshot!("many_problems_rendered", render(&errors));
    insta::assert_snapshot!("many_problems_plain", format!("{errors:#}"));
}

#[test]
fn syntax_errors_are_shown_at_their_place() {
    let errors = parse("schema = 1\nname = \"a\nseed = = 2\n[data\n").unwrap_err();
    insta::assert_snapshot!("syntax_errors", format!("{errors:#}"));
    assert_eq!(errors.problems().len(), 3);
}

#[test]
fn an_empty_file_says_what_it_lacks() {
    insta::assert_snapshot!("empty_file", render(&parse("").unwrap_err()));
}

#[test]
fn a_file_of_rules_is_read_like_the_suites_own() {
    let rules =
        "schema = 1\n[[gate]]\nmetric = \"flip_rate\"\nmax_rise = 0.02\nselect = { unit = 17, layer = \"layer*\" }\n";
    let read = crate::suite::gate::RuleSet::parse("rules.toml", rules).unwrap();
    assert_eq!(read.rules[0].to_string(), "flip_rate (layer = \"layer*\", unit = \"17\"): max_rise 0.02");
    let errors = crate::suite::gate::RuleSet::parse("rules.toml", &rules.replace("max_rise", "min")).unwrap_err();
    assert_eq!(errors.to_string(), "rules rules.toml cannot be used: 1 problem");
    assert_eq!(errors.problems()[0].suggestion(), Some("write `max`"));
    assert!(crate::suite::gate::RuleSet::parse("rules.toml", "schema = 1\n").is_err());
}

#[test]
fn a_margin_that_the_data_cannot_show_is_warned_of() {
    let with = |margin: &str, samples: &str| {
        let source = replaced("max_drop = 0.02", margin).replace("samples = 1000", samples);
        parse(&source).unwrap().gate_warnings()
    };
    let messages = with("max_drop = 0.001", "samples = 500");
    assert_eq!(messages.len(), 1, "the margin of 5 points is large enough: {messages:?}");
    assert!(
        messages[0].contains("500 samples show a drop of") && messages[0].contains("samples would do"),
        "{messages:?}"
    );
    assert!(with("max_drop = 0.001", "").is_empty(), "the number of samples is not known");
    assert!(with("max_drop = 0.03", "samples = 5000").is_empty());
}

/// What a manifest keeps of a suite is the whole of it, but for paths and text.
#[test]
fn a_suite_reads_back_from_its_json() {
    for source in SHIPPED.iter().map(|(_, source)| *source).chain([FULL]) {
        let suite = parse(source).unwrap();
        let json = serde_json::to_string(&suite).unwrap();
        let read: Suite = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert_eq!(read.attacks, suite.attacks);
        assert_eq!(read.run_key_material(), suite.run_key_material());
    }
}

/// Attacks on features and views, as a suite has them after its attacks.
fn with_features(table: &str) -> String {
    replaced("[boundary]", &format!("[[attack]]\nname = \"features\"\nkind = \"features\"\n{table}\n\n[boundary]"))
}

#[test]
fn attacks_on_features_are_read_with_their_views() {
    let ball = "norm = \"linf\"\nepsilons = [\"8/255\"]\nsteps = 10";
    let suite = parse(&with_features(&format!(
        "objective = \"fia\"\nlayer = \"50%\"\n{ball}\nviews = {{ samples = 4, diversity = 0.5 }}"
    )))
    .unwrap();
    let attack = suite.attacks.iter().find(|attack| attack.name == "features").unwrap();
    assert_eq!((attack.optimizer, attack.stop), (OptimizerName::Momentum, Stop::Budget));
    assert!(
        matches!(&attack.goal, Goal::Features(FeaturesGoal { objective: FeatureObjective::Fia, layer }) if layer.as_str() == "50%")
    );
    let views = GradientViews { samples: 4, radius: 0.5, diversity: 0.5, ..GradientViews::PLAIN };
    assert_eq!(attack.views, Some(views));
    let json = serde_json::to_string(&suite).unwrap();
    assert_eq!(serde_json::from_str::<Suite>(&json).unwrap().attacks, suite.attacks);
    // Thirty gradients beforehand; each step looks at four views, and at the image itself; the last image, the best, the nearest, and one rounded.
    let (row, steps) = (attack.row(), 10);
    assert_eq!((row.forwards, row.backwards), (30 + steps * 5 + 4, 30 + steps * 4));
}

#[test]
fn wrong_attacks_on_features_are_explained_where_they_stand() {
    let ball = "norm = \"linf\"\nepsilons = [\"8/255\"]\nsteps = 10";
    let error = |table: &str| {
        let errors = parse(&with_features(&format!("{table}\n{ball}"))).unwrap_err();
        assert_eq!(errors.problems().len(), 1, "{errors:?}");
        render(&errors)
    };
    let cases = [
        ("objective = \"fai\"\nlayer = \"50%\"", "did you mean `fia`?"),
        ("objective = \"fia\"", "missing key `layer`"),
        ("objective = \"fia\"\nlayer = \"150%\"", "is no depth"),
        ("objective = \"fia\"\nlayer = \"50%\"\nstop = \"target\"", "no target class"),
        ("objective = \"fia\"\nlayer = \"50%\"\noptimizer = \"fmn\"", "looks for the nearest flip"),
        ("objective = \"fia\"\nlayer = \"50%\"\nviews = { radius = 0.5 }", "add `samples`"),
        ("objective = \"fia\"\nlayer = \"50%\"\nviews = { translation = 4 }", "write 3 or 5"),
        ("objective = \"fia\"\nlayer = \"50%\"\nviews = { scales = 1 }", "asks for the image alone"),
        ("objective = \"dr\"\nlayer = \"50%\"\noptimizer = \"square\"\nviews = { scales = 2 }", "asks for no gradient"),
    ];
    for (table, expected) in cases {
        let message = error(table);
        assert!(message.contains(expected), "{table}: {message}");
    }
}

/// What suites of each form get where they say nothing; what they say holds in both.
#[test]
fn the_default_attack_depends_on_the_form_of_the_suite() {
    use crate::suite::{ClassLogitGoal, Goal, Loss, OptimizerName};
    let driven = |source: &str| {
        let suite = parse(source).unwrap();
        let attack = &suite.attacks[0];
        let Goal::ClassLogit(ClassLogitGoal { loss, .. }) = attack.goal else {
            panic!("the first attack drives a class")
        };
        (loss, attack.optimizer, suite.attack_warnings())
    };
    let first = replaced("schema = 2", "schema = 1");
    assert_eq!(driven(FULL), (Loss::Margin, OptimizerName::Apgd, vec![]));
    let (loss, optimizer, warnings) = driven(&first);
    assert_eq!((loss, optimizer), (Loss::Logit, OptimizerName::Steepest));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("attack `untargeted` drives the plain logit"), "{warnings:?}");
    let explicit = "name = \"untargeted\"\nloss = \"logit\"\noptimizer = \"steepest\"";
    let [explained, told_first] =
        [FULL, first.as_str()].map(|source| source.replacen("name = \"untargeted\"", explicit, 1));
    assert_eq!(driven(&explained), (Loss::Logit, OptimizerName::Steepest, vec![]));
    // The same attack has the same identity, whichever form says it.
    let material = |source: &str| parse(source).unwrap().run_key_material();
    assert_eq!(material(&explained), material(&told_first));
    assert_eq!(material(&explained), material(&first));
    assert_ne!(material(FULL), material(&first));
}

#[test]
fn a_perturbation_needs_images_that_it_was_not_made_from() {
    let universal = "\n[[universal]]\nname = \"u\"\nsource = \"images\"\nunits = [1]\nnorm = \"l2\"\nepsilons = [1]\n";
    parse(&format!("{FULL}{universal}train = 0.9\n")).unwrap();
    let errors = parse(&format!("{FULL}{universal}train = 1\n")).unwrap_err();
    assert_eq!(errors.problems()[0].message(), "no image is left to judge the perturbation");
}

#[test]
fn what_stands_twice_is_told_once_with_what_to_do() {
    for (source, help) in [
        (format!("{FULL}\n[data]\nkind = \"synthetic\"\nroot = \"x\"\n"), "`[data]` stands once; join both"),
        (replaced("seed = 3", "seed = 3\nseed = 4"), "`seed` stands once in a table"),
    ] {
        let errors = parse(&source).unwrap_err();
        assert_eq!(errors.problems().len(), 1, "{errors:#}");
        assert!(errors.problems()[0].suggestion().unwrap_or_default().starts_with(help), "{errors:#}");
    }
}
