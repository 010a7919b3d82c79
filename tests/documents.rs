//! What the documents say is what the program does.

use std::path::PathBuf;

use am_eval::cli::Exit;
use am_eval::cli::args::Cli;
use am_eval::record::SAMPLES_COLUMNS;
use am_eval::suite::Suite;
use am_eval::suite::gate::RuleSet;
use clap::{CommandFactory, Parser};

#[path = "support/sources.rs"]
mod sources;

const README: &str = include_str!("../README.md");
const CI: &str = include_str!("../docs/ci.md");
const COMMANDS: &str = include_str!("../docs/commands.md");
const DATA: &str = include_str!("../docs/data.md");
const GATE: &str = include_str!("../docs/gate.md");

#[test]
fn the_suite_in_the_readme_is_valid() {
    let (_, rest) = README.split_once("```toml\n").unwrap();
    let (suite, _) = rest.split_once("```").unwrap();
    let suite = Suite::parse("README.toml", suite).map_err(|errors| format!("{errors:#}")).unwrap();
    assert_eq!((suite.models.len(), suite.attacks.len()), (1, 3));
}

#[test]
fn the_kinds_of_data_on_their_page_are_valid() {
    let (_, rest) = DATA.split_once("```toml\n").unwrap();
    let (tables, _) = rest.split_once("```").unwrap();
    let tables: Vec<&str> = tables.split("[data]\n").skip(1).collect();
    for table in &tables {
        let suite = format!(
            "schema = 1\nname = \"s\"\n[data]\n{table}\n[[model]]\nname = \"m\"\narch = \"a\"\nweights = \"w\"\n\
             normalize = {{ mean = [0.5], std = [0.5] }}\n[boundary]\n"
        );
        Suite::parse("data.toml", suite).unwrap_or_else(|errors| panic!("{table}\n{errors:#}"));
    }
    let schema = am_eval::suite::schema_text();
    let kinds = schema.matches("kind of data").count();
    // MNIST and Fashion-MNIST share an example.
    assert_eq!(tables.len(), kinds - 1, "an example for each kind");
}

#[test]
fn the_rules_in_the_documents_are_valid() {
    for (document, waivers) in [(README, 0), (GATE, 1)] {
        let (_, rest) = document.split_once("```toml\n[[gate]]").unwrap();
        let (rules, _) = rest.split_once("```").unwrap();
        let rules = RuleSet::parse("rules.toml", &format!("schema = 1\n[[gate]]{rules}"));
        let rules = rules.map_err(|errors| format!("{errors:#}")).unwrap();
        assert_eq!((rules.rules.len(), rules.waivers.len()), (1, waivers));
    }
}

#[test]
fn columns_that_the_documents_read_in_python_exist() {
    let mut read = 0;
    for (path, text) in documents() {
        for (_, rest) in text.match_indices("row[\"").map(|(at, found)| text.split_at(at + found.len())) {
            let (column, _) = rest.split_once('"').unwrap();
            assert!(SAMPLES_COLUMNS.contains(&column), "{}: samples.csv has no column `{column}`", path.display());
            read += 1;
        }
    }
    assert!(read >= 3, "README reads samples.csv");
}

#[test]
fn links_between_documents_lead_somewhere() {
    for (path, text) in documents() {
        for (_, rest) in text.match_indices("](").map(|(at, found)| text.split_at(at + found.len())) {
            let (link, _) = rest.split_once(')').unwrap();
            let file = link.split('#').next().unwrap();
            if !file.is_empty() && !link.contains("://") {
                let there = path.parent().unwrap().join(file);
                assert!(there.exists(), "{} links to {link}, which is not there", path.display());
            }
        }
    }
}

#[test]
fn files_that_contributors_are_sent_to_exist() {
    let (_, text) = documents().into_iter().find(|(path, _)| path.ends_with("CONTRIBUTING.md")).unwrap();
    let mut named = 0;
    for path in text.split('`').skip(1).step_by(2).filter(|word| word.starts_with("src/") || word.starts_with("tests/"))
    {
        // `NAME.rs` and `<family>.rs` are files to come.
        if !path.contains(['<', ' ']) && !path.contains("NAME") && !path.contains("node_modules") {
            assert!(std::path::Path::new(path).exists(), "CONTRIBUTING.md sends people to {path}, which is not there");
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}

#[test]
fn every_shipped_suite_is_on_its_page() {
    let (_, page) = documents().into_iter().find(|(path, _)| path.ends_with("suites/README.md")).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir("suites").unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            assert!(page.contains(&format!("`{name}`")), "suites/README.md lacks {name}");
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    for (path, _) in documents().iter().filter(|(path, _)| path.starts_with("docs")) {
        assert!(README.contains(&format!("({})", path.display())), "README does not link {}", path.display());
    }
}

/// Each law has a test that says so.
#[test]
fn laws_are_held_by_tests() {
    let (_, text) = documents().into_iter().find(|(path, _)| path.ends_with("CONTRIBUTING.md")).unwrap();
    let (_, laws) = text.split_once("## Laws").unwrap();
    let (laws, _) = laws.split_once("\n## ").unwrap();
    let count = laws.lines().filter(|line| line.starts_with(|letter: char| letter.is_ascii_digit())).count();
    assert_eq!(count, 7);
    let mut tested = std::collections::BTreeSet::new();
    for file in sources::rust_files(std::path::Path::new("tests")) {
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().map(str::trim_start) {
            let Some(rest) = line.strip_prefix("/// Law ").or_else(|| line.strip_prefix("/// Laws ")) else { continue };
            let numbers = rest.split([':', '.']).next().unwrap_or_default().split([',', ' ']);
            tested.extend(numbers.filter_map(|word| word.parse::<usize>().ok()));
        }
    }
    assert!(tested.iter().copied().eq(1..=count), "{tested:?}");
}

/// The pages that people read, with their paths from the repository's root, where tests run.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths = vec!["README.md".into(), "CONTRIBUTING.md".into(), "suites/README.md".into()];
    paths.extend(std::fs::read_dir("docs").unwrap().map(|entry| entry.unwrap().path()));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let text =
        |path: &PathBuf| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    paths.iter().map(|path| (path.clone(), text(path))).collect()
}

#[test]
fn the_exit_codes_on_their_page_are_the_programs() {
    let (_, table) = COMMANDS.split_once("## Exit codes").unwrap();
    for exit in Exit::ALL {
        let row = format!("| {} | {} |", exit.code(), exit.meaning());
        assert!(table.contains(&row), "docs/commands.md lacks `{row}`");
    }
}

#[test]
fn every_command_is_on_its_page() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let named = [format!("`{name}`"), format!("`{name} ")];
        assert!(named.iter().any(|name| COMMANDS.contains(name.as_str())), "docs/commands.md lacks `{name}`");
    }
}

/// The words of a command line, of which some stand in quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split(['"', '\'']).enumerate() {
        match place % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Every `am-eval` line of a page parses as a command.
#[test]
fn commands_on_the_pages_are_the_programs() {
    let mut count = 0;
    for (page, text) in documents() {
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            let line = if fenced { line } else { line.strip_prefix("    ").unwrap_or_default() };
            let line = line.strip_prefix("target/release/").unwrap_or(line);
            if !line.starts_with("am-eval ") || line.ends_with('\\') {
                continue;
            }
            let words =
                words(line).into_iter().take_while(|word| !["#", ">", "|", "&&", "||"].contains(&word.as_str()));
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{}: {line}\n{error}", page.display());
            }
            count += 1;
        }
    }
    assert!(count >= 20, "{count} commands");
}

/// What pages, comments and messages call `am-eval COMMAND --option` exists.
#[test]
fn what_people_are_told_to_run_exists() {
    let mut texts = documents();
    let read = |path: PathBuf| (path.clone(), std::fs::read_to_string(&path).unwrap());
    texts.extend(sources::rust_files(std::path::Path::new("src")).into_iter().map(read));
    let mut named = 0;
    for (path, text) in texts {
        for code in text.split("`am-eval ").skip(1).filter_map(|rest| rest.split_once('`')).map(|(code, _)| code) {
            if code.starts_with(|letter: char| letter.is_uppercase() || letter == '{') {
                continue; // any command
            }
            let (cli, mut words) = (Cli::command(), code.split_whitespace().filter(|word| *word != "\\").peekable());
            let mut command = &cli;
            while let Some(next) = words.peek().and_then(|word| command.find_subcommand(word)) {
                command = next;
                words.next();
            }
            assert!(command.get_name() != cli.get_name(), "{}: there is no `am-eval {code}`", path.display());
            for option in words.filter_map(|word| word.strip_prefix("--")) {
                let option = option.split('=').next().unwrap_or(option);
                let is_known = command.get_arguments().any(|known| known.get_long() == Some(option));
                assert!(is_known || option == "help", "{}: `am-eval {code}` has no --{option}", path.display());
            }
            named += 1;
        }
    }
    assert!(named > 40, "{named}");
}

#[test]
fn the_action_on_its_page_has_the_actions_inputs() {
    let action = include_str!("../action.yml");
    let (_, inputs) = action.split_once("inputs:\n").unwrap();
    let (inputs, rest) = inputs.split_once("outputs:\n").unwrap();
    let (outputs, _) = rest.split_once("runs:\n").unwrap();
    let names = |text: &str| -> Vec<String> {
        let keys = text.lines().filter(|line| line.starts_with("  ") && !line.starts_with("    "));
        keys.map(|line| line.trim().trim_end_matches(':').to_owned()).collect()
    };
    let (inputs, outputs) = (names(inputs), names(outputs));
    assert!(inputs.len() > 8 && outputs.len() == 5, "{inputs:?} {outputs:?}");
    for name in inputs.iter().chain(&outputs) {
        assert!(CI.contains(&format!("`{name}`")), "docs/ci.md lacks `{name}`");
    }
}
