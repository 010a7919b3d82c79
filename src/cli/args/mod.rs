//! The command line's arguments: structure and help texts, no logic. One file for each group of commands.

mod networks;
mod results;
mod run;
mod tools;

use clap::{Parser, Subcommand};

pub use self::networks::*;
pub use self::results::*;
pub use self::run::*;
pub use self::tools::*;
use super::exit::help_table;

/// `am-eval`.
#[derive(Debug, Parser)]
#[command(
    name = "am-eval",
    version,
    about = "Measures how robust image classifiers are, with activation maximization as the attack",
    long_about = "Measures how robust image classifiers (CNNs and Vision Transformers) are, with activation maximization \
                  as the attack: gradient ascent on the input drives a class logit, or a unit inside the network, within \
                  a norm ball. A TOML suite names data, models and attacks; the result is CSV, charts and one HTML report.",
    after_help = help_table(),
    max_term_width = 110
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run suites and write their reports; the same command again continues an interrupted run
    Run(RunArgs),
    /// Write a first suite for what lies in a folder: weights, configurations, images
    Init(InitArgs),
    /// Check suites: every error at once, with file, line and column
    Validate(ValidateArgs),
    /// Make the tables, charts and the HTML report of a run again from its records
    Report(ReportArgs),
    /// Join the shards of a run and write its outputs
    Merge(MergeArgs),
    /// Tell what of a run is done, running, missing or broken
    Status(StatusArgs),
    /// Judge a finished run by rules, against a baseline; the exit code tells the verdict
    Gate(GateArgs),
    /// Put finished runs side by side, paired by sample: differences, and the samples that changed
    Compare(CompareArgs),
    /// Put many runs in their order: what moved, which step was significant, and whether there is a drift
    History(HistoryArgs),
    /// Save a run as the baseline of later ones, or show what a baseline holds
    Baseline(BaselineArgs),
    /// Write a run's adversarial images, or its numbers in RobustBench's form, for other tools
    Export(ExportArgs),
    /// List the architectures and the shipped models
    Models(ModelsArgs),
    /// List every layer of a model: name, kind, shape, units, share of the forward pass
    Layers(LayersArgs),
    /// Write a model's logits, activations or input gradients for some images
    Predict(PredictArgs),
    /// Make pictures of what drives units inside a network
    Visualize(Box<VisualizeArgs>),
    /// Train a model of the zoo by a recipe
    Train(TrainArgs),
    /// Print the JSON Schema of suites, for editors, or of `summary.json`
    Schema(SchemaArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write the pages of all commands
    Man(ManArgs),
    /// Look at this installation: libtorch, devices, precision, weights and data
    Doctor(DoctorArgs),
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("must be a whole number".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::CommandFactory;

    use super::*;
    use crate::suite::DeviceChoice;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn devices_are_read_and_others_named() {
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:x", "CPU"] {
            let error = Cli::try_parse_from(["am-eval", "run", "s.toml", &format!("--device={text}")]).unwrap_err();
            assert!(error.to_string().contains("known are auto"), "{text}: {error}");
        }
    }

    #[test]
    fn predict_takes_a_model_from_a_suite_or_from_flags_but_not_from_both() {
        let tail = "--images x.png --out y.csv";
        for good in ["--suite s.toml --model m", "--arch a --weights w --mean 0.5,0.5,0.5 --std 1,1,1"] {
            assert!(parse(&format!("am-eval predict {good} {tail}")).is_ok(), "{good}");
        }
        for bad in [
            "",
            "--suite s.toml",
            "--arch a",
            "--weights w",
            "--suite s.toml --model m --arch a --weights w",
            "--suite s.toml --model m --mean 0.5 --std 1",
            "--arch a --weights w",
            "--arch a --weights w --mean 0.5",
            "--arch a --weights w --mean 0.5 --std 0",
            "--arch a --weights w --mean nan --std 1",
        ] {
            assert!(parse(&format!("am-eval predict {bad} {tail}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_run_needs_a_suite_and_a_positive_limit() {
        assert!(parse("am-eval run").is_err());
        assert!(parse("am-eval run s.toml --limit 0").is_err());
        let Command::Run(args) = parse("am-eval run a.toml b.toml --device cuda:1 --limit 5").unwrap().command else {
            panic!("another command");
        };
        assert_eq!((args.suites.len(), args.device, args.limit), (2, Some(DeviceChoice::Cuda(1)), Some(5)));
        assert_eq!(args.out, PathBuf::from("reports"));
    }

    #[test]
    fn the_help_text_is_the_documented_one() {
        insta::assert_snapshot!(Cli::command().term_width(100).render_long_help());
    }
}
