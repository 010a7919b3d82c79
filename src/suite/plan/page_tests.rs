//! `docs/attacks.md` has the plan's own numbers.

use super::Plan;
use super::passes::{INWARD, PROJECTED, RIVALS, passes_of, step};
use crate::suite::Suite;
use crate::suite::config::{BoundaryConfig, BoundaryMethod, Loss, OptimizerName, Target};
use crate::suite::features::FeatureObjective;
use crate::suite::presets::{Aim, Preset};
use crate::suite::row_passes::Passes;
use crate::terms::{Epsilon, Norm};
use crate::wording::format;

const PAGE: &str = include_str!("../../../docs/attacks.md");

/// The cells of the row of `word` in the table whose header begins with `first`.
fn row(first: &str, word: &str) -> Vec<String> {
    let table = PAGE.split("\n\n").find(|block| block.starts_with(&format!("| {first} |")));
    let rows = table.unwrap_or_else(|| panic!("no table of {first}")).lines().skip(2);
    let mut rows = rows.map(|line| {
        let cells = line.replace("\\|", "/");
        cells.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    });
    rows.find(|cells| cells[0].split(' ').next() == Some(&format!("`{word}`")))
        .unwrap_or_else(|| panic!("no row of {word}"))
}

/// What a cell such as `S + 24 + B forward, 9 S backward; mostly less` comes to.
fn passes(cell: &str, [steps, bisections]: [u64; 2]) -> Passes {
    let number = |term: &str| -> u64 {
        let of_term = |factor: &str| match factor {
            "S" => steps,
            "B" => bisections,
            "none" => 0,
            number => number.replace(',', "").parse().unwrap_or_else(|_| panic!("{cell}: {number}")),
        };
        let words = term.split(' ').filter(|word| !["forward", "backward", "passes", ""].contains(word));
        words.map(of_term).product()
    };
    let sum = |part: &str| part.split('+').map(number).sum();
    let mut parts = cell.split(';').next().unwrap_or_default().split(", ");
    Passes { forwards: parts.next().map_or(0, sum), backwards: parts.next().map_or(0, sum) }
}

/// The norms of a cell such as `linf, l2`.
fn norms(cell: &str) -> Vec<Norm> {
    cell.split(", ").map(|word| word.parse().unwrap()).collect()
}

#[test]
fn optimizers_have_their_norms_and_the_passes_of_a_step() {
    for optimizer in OptimizerName::ALL.into_iter().filter(|optimizer| !optimizer.is_nearest()) {
        let cells = row("word", optimizer.as_str());
        assert_eq!(norms(&cells[1]), optimizer.norms(), "{optimizer}");
        assert_eq!(passes(&cells[3], [0, 0]), step(optimizer, None), "{optimizer}");
    }
}

#[test]
fn boundary_methods_have_their_norms_and_the_most_passes() {
    for method in BoundaryMethod::ALL {
        let cells = row("method", method.as_str());
        assert_eq!(norms(&cells[1]), method.norms(), "{method}");
        // As many steps as make the last of the balls that Auto-PGD is tried in the fullest.
        let config = BoundaryConfig {
            norm: method.norms()[0],
            methods: vec![method],
            max_radius: Epsilon::new(1.0).unwrap(),
            steps: 97,
            loss: Loss::Margin,
            bisections: 11,
            target: Target::Untargeted,
        };
        let projections = if method.projects(config.norm) { 2 } else { 0 };
        let Passes { forwards, backwards } = method.passes(&config);
        let projection = (PROJECTED.len() + INWARD.len() + 1) as u64 + 11;
        let search = Passes {
            forwards: forwards - projections * projection,
            backwards: backwards - projections * RIVALS as u64,
        };
        assert_eq!(passes(&cells[3], [97, 11]), search, "{method}");
    }
    let projection =
        format!("{} + B forward and up to {RIVALS} backward passes each", PROJECTED.len() + INWARD.len() + 1);
    assert!(PAGE.contains(&projection), "{projection}");
}

#[test]
fn drives_of_features_have_the_passes_before_their_first_step() {
    for objective in FeatureObjective::ALL {
        assert_eq!(passes(&row("`objective`", objective.as_str())[2], [0, 0]), objective.preparation(), "{objective}");
    }
}

#[test]
fn compositions_have_their_parts_and_budgets() {
    for preset in Preset::ALL {
        let cells = row("`kind`", preset.as_str());
        let parts = preset.parts(Norm::Linf, 10);
        for part in &parts {
            let name = format!("`{}` (", part.name);
            let (_, rest) = cells[1].split_once(&name).unwrap_or_else(|| panic!("{preset} has a part {name}"));
            let about = rest.split(')').next().unwrap_or_default();
            let numbers: Vec<&str> = about.split(|letter: char| !letter.is_ascii_digit() && letter != ',').collect();
            // Repeated only where it differs from the part before: `the same, 100`.
            let steps = format::count(part.steps as u64);
            assert!(numbers.iter().any(|number| number.trim_matches(',') == steps), "{name}: {about}, not {steps}");
            let classes = match part.aim {
                Aim::Likeliest(count) | Aim::Nearest(count) => Some(count.to_string()),
                Aim::Away => None,
            };
            let says = classes.is_none_or(|count| {
                numbers.contains(&count.as_str()) || about.contains("as `") || about.contains("the same")
            });
            assert!(says, "{name}: {about}, {:?}", part.aim);
        }
    }
    // Without verification and the search for the nearest classes, as AutoAttack's budgets are told.
    let parts = Preset::Standard.parts(Norm::Linf, 10);
    let steps = |part: &crate::suite::presets::Part| (part.steps * part.rows(10)) as u64;
    let forwards: u64 = parts.iter().map(steps).sum();
    let backwards: u64 = parts.iter().filter(|part| part.optimizer.follows_gradients()).map(steps).sum();
    assert_eq!(passes(&row("`kind`", "standard")[2], [0, 0]), Passes { forwards, backwards });
    // Rounded to tens.
    let whole_composition = passes_of(&Preset::AmStandard.parts(Norm::Linf, 10), 10);
    let near_miss =
        row("`kind`", "am-standard")[2].rsplit("near miss ").next().map(|cell| passes(cell, [0, 0])).unwrap();
    for (rounded, exact) in
        [(near_miss.forwards, whole_composition.forwards), (near_miss.backwards, whole_composition.backwards)]
    {
        assert!(rounded.abs_diff(exact) <= exact / 50, "{rounded} of {exact}");
    }
}

#[test]
fn papers_that_are_cited_are_linked() {
    let (body, papers) = PAGE.split_once("## Papers").unwrap();
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (body, papers) = (flat(body), flat(papers));
    let mut cited = 0;
    for (at, found) in body.match_indices(" et al. ") {
        let author = body[..at].rsplit([' ', '(']).next().unwrap_or_default();
        let year: String = body[at + found.len()..].chars().take(4).collect();
        if year.parse::<u16>().is_ok() {
            let name = format!("{author} et al. {year} ([");
            assert!(papers.contains(&name), "no link for {name}");
            cited += 1;
        }
    }
    assert!(cited > 20, "{cited}");
}

#[test]
fn every_file_of_a_run_is_on_its_page() {
    const COMMANDS: &str = include_str!("../../../docs/commands.md");
    const FULL: &str = include_str!("../tests/full.toml");
    const EVERYTHING: &str = include_str!("../../../tests/fixtures/suites/everything.toml");
    for source in [FULL, EVERYTHING] {
        let suite = Suite::parse("suites/test.toml", source).unwrap();
        for file in Plan::outputs(&suite, true) {
            // Of the files of a folder the folder is named.
            let name = file.split_once('/').map_or(file.as_str(), |(folder, _)| folder);
            assert!(
                COMMANDS.contains(&format!("`{name}")) || file.ends_with(".parquet"),
                "docs/commands.md lacks {file}"
            );
        }
    }
}
