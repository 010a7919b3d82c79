//! What the documents say is what the program does.

use am_eval::cli::Exit;
use am_eval::cli::args::Cli;
use am_eval::suite::Suite;
use am_eval::suite::gate::RuleSet;
use clap::CommandFactory;

const README: &str = include_str!("../README.md");

#[test]
fn the_suite_in_the_readme_is_valid() {
    let (_, rest) = README.split_once("```toml\n").unwrap();
    let (suite, _) = rest.split_once("```").unwrap();
    let suite = Suite::parse("README.toml", suite).map_err(|errors| format!("{errors:#}")).unwrap();
    assert_eq!((suite.models.len(), suite.attacks.len()), (1, 3));
}

#[test]
fn the_data_in_the_readme_is_valid() {
    let (_, rest) = README.split_once("## Data").unwrap();
    let (_, rest) = rest.split_once("```toml\n").unwrap();
    let (tables, _) = rest.split_once("```").unwrap();
    let tables: Vec<&str> = tables.split("[data]\n").skip(1).collect();
    for table in &tables {
        let suite = format!(
            "schema = 1\nname = \"s\"\n[data]\n{table}\n[[model]]\nname = \"m\"\narch = \"a\"\nweights = \"w\"\n\
             normalize = {{ mean = [0.5], std = [0.5] }}\n[boundary]\n"
        );
        Suite::parse("README.toml", suite).unwrap_or_else(|errors| panic!("{table}\n{errors:#}"));
    }
    let schema = am_eval::suite::schema_text();
    let kinds = schema.matches("kind of data").count();
    // MNIST and Fashion-MNIST share an example.
    assert_eq!(tables.len(), kinds - 1, "an example for each kind");
}

#[test]
fn the_rules_in_the_readme_are_valid() {
    let (_, rest) = README.split_once("```toml\n[[gate]]").unwrap();
    let (rules, _) = rest.split_once("```").unwrap();
    let rules = RuleSet::parse("README.toml", &format!("schema = 1\n[[gate]]{rules}"));
    let rules = rules.map_err(|errors| format!("{errors:#}")).unwrap();
    assert_eq!((rules.rules.len(), rules.waivers.len()), (1, 1));
}

#[test]
fn the_exit_codes_in_the_readme_are_the_programs() {
    let (_, table) = README.split_once("## Exit codes").unwrap();
    for exit in Exit::ALL {
        let row = format!("| {} | {} |", exit.code(), exit.meaning());
        assert!(table.contains(&row), "README lacks `{row}`");
    }
}

#[test]
fn every_command_is_in_the_readme() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let named = [format!("`{name}`"), format!("`{name} ")];
        assert!(named.iter().any(|name| README.contains(name.as_str())), "README lacks `{name}`");
    }
}
