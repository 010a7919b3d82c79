//! `docs/outputs.md`: every column of every table and every sign, made from the code.

mod inside;

use crate::record::{Column, DISTANCES_TABLE, SAMPLES_TABLE};
use crate::summary::{
    CURVES_COLUMNS, HealthSign, summary_columns, transfer_columns, worst_case_columns, worst_sample_columns,
};

/// What the columns of `summary.csv` and `transfer.csv` mean that `samples.csv` does not have, or has otherwise.
const MEANINGS: &[(&str, &str)] = &[
    ("target", "the attack's rule: `least-likely`, `untargeted`, `class:3`"),
    ("n", "records in the cell; in `transfer.csv` the samples of `n_both_correct` whose image flips the source"),
    ("n_clean_correct", "records whose clean prediction is the label"),
    ("clean_accuracy", "share of all whose clean prediction is the label"),
    ("robust_accuracy", "share of all that is clean-correct and not flipped"),
    ("robust_at", "the largest radius of the run at which nothing flips the sample; empty if there is none"),
    ("broken_at", "the smallest radius of the run at which something does; empty if there is none"),
    (
        "robust",
        "whether the sample is classified rightly and holds at the norm's headline radius (8/255 or 4/255, 0.5, 12 where the run has \
         it, else the largest); for `all` at those of all norms",
    ),
    ("flip_rate", "flipped share of the clean-correct"),
    ("flip_rate_all", "flipped share of all"),
    ("flip_rate_u8", "share of the clean-correct whose flip survives rounding to 8 bits"),
    ("target_rate", "share of the clean-correct of other classes than the target that reached it"),
    ("distance_median", "median boundary distance of the model in the cell's norm, if the run measured it"),
    ("gain_z_mean", "mean of `activation_gain_z`"),
    ("seconds", "wall-clock seconds spent"),
    ("health", "signs, `;` between them, each with its count: see below"),
    ("left_out", "images that could not be read and are in no cell"),
    ("without_flip", "records of `n` for which no flip was found"),
    ("median", "median distance (Kaplan and Meier)"),
    (
        "optimality",
        "how near the method comes to the smallest flips of the run: 1 is as near, 0 finds nothing (AttackBench)",
    ),
    ("radius", "a distance at which samples flip; empty if none did"),
    ("share_beyond", "share of all whose distance is larger: the robust accuracy at this radius"),
    ("at_risk", "records that had not flipped just before"),
    ("source", "the model that the images were made on"),
    ("victim", "the model that they are shown to"),
    ("n_both_correct", "samples that source and victim both classify rightly"),
    ("fooled", "samples of `n` whose image changes the victim's prediction"),
    ("fooled_all", "samples of `n_both_correct` whose image does, whether it flips the source or not"),
    ("transfer_rate", "`fooled` over `n`"),
    ("noise_rate", "the same for random noise of the same norm"),
    ("transfer_rate_all", "`fooled_all` over `n_both_correct`"),
    ("noise_rate_all", "the same for random noise"),
];

/// Every sign, with a count where it has one.
const SIGNS: &[HealthSign] = &[
    HealthSign::ZeroGradient(3),
    HealthSign::NonFinite(3),
    HealthSign::Undecided(3),
    HealthSign::DeadUnit(3),
    HealthSign::UnconfirmedHits(3),
    HealthSign::ControlAsStrong,
    HealthSign::LostByRounding(3),
    HealthSign::GradientMasking,
    HealthSign::GradientFree(3),
    HealthSign::NotConverged(3),
    HealthSign::LossStillMoves(3),
    HealthSign::TransferFindsMore(3),
    HealthSign::NotAtChance,
    HealthSign::SelfTestFailed(3),
    HealthSign::ConstantPrediction,
    HealthSign::RandomModel,
    HealthSign::AveragedModel(8),
    HealthSign::Probabilities,
    HealthSign::FlatGradient(3),
    HealthSign::FarBeyondLinear(3),
];

const HEAD: &str = "# What a run leaves behind

Made from the code: `AM_EVAL_WRITE_DOCS=1 cargo test --lib the_page_of_outputs_is_current` writes it again.

`manifest.json` tells what determined the run and lists every other file with its blake3 hash; it carries a hash of itself. `gate`,
`compare`, `baseline save` and `report` compare all files with it. Floats are the shortest digits that read back to the same number; an
empty field is \"none\". Three lines of Python read a table:

    import csv
    rows = list(csv.DictReader(open(\"reports/RUN/samples.csv\")))
    print(sum(row[\"flipped\"] == \"true\" for row in rows), \"flips of\", len(rows))

Names from outside (samples, classes, layers) break no line and send nothing to a terminal: in tables a control character or a mark that
turns the direction of text stands as its number, `\\u{1b}` (a name that says this itself has its backslash as `\\u{5c}`), and a name
that a spreadsheet would take for a formula has an apostrophe before it; in JSON it is `\\u001b`, which every reader takes back.
With `tables = [\"csv\", \"parquet\"]` in `[run]` each table has a typed twin in Parquet. `summary.json` holds the summary as one document
(schema: [summary.schema.json](summary.schema.json)). Pandas, polars, and images for other tools: [analysis.md](analysis.md).
";

/// The text of `docs/outputs.md`.
pub fn outputs_reference() -> String {
    let mut text = HEAD.to_owned();
    let records = [
        ("samples.csv", "One row per sample and cell.", SAMPLES_TABLE),
        ("distances.csv", "One row per sample, model and method.", DISTANCES_TABLE),
    ];
    for (name, about, columns) in records {
        text += &format!("\n## `{name}`\n\n{about}\n\n| column | type | meaning |\n|---|---|---|\n");
        for Column { name, form, optional, meaning } in columns {
            let or_empty = if *optional { " or empty" } else { "" };
            text += &format!("| `{name}` | {}{or_empty} | {} |\n", form.as_str(), meaning.trim());
        }
    }
    let summaries = [
        ("summary.csv", "One row per cell.", summary_columns()),
        (
            "worst_case.csv",
            "One row per model and ball that attacks searched: nothing of the run flips the sample there, controls, boundary search and \
             transfer included. With several norms a last row, `all`, for the headline balls together.",
            worst_case_columns(),
        ),
        (
            "worst_case_samples.csv",
            "The same sample by sample: one row per model, norm and sample, and with several norms one for `all`.",
            worst_sample_columns(),
        ),
        (
            "curves.csv",
            "Robust accuracy at every radius, with `[boundary]`: one row per model, method and radius at which samples flip; the method \
             `envelope` has the smallest verified flips of anything in the run.",
            CURVES_COLUMNS.map(String::from).to_vec(),
        ),
        ("transfer.csv", "One row per source cell and victim, with `[transfer]`.", transfer_columns()),
    ];
    for (name, about, columns) in summaries.into_iter().chain(inside::tables()) {
        text += &format!("\n## `{name}`\n\n{about}\n\n| column | meaning |\n|---|---|\n");
        for column in columns.iter().filter(|column| !is_end(column)) {
            let ends = if columns.contains(&format!("{column}_lo")) {
                format!("; `{column}_lo` and `{column}_hi` are the ends of its 95 % interval")
            } else {
                String::new()
            };
            text += &format!("| `{column}` | {}{ends} |\n", meaning(column).unwrap_or_default());
        }
    }
    text += "\n## Signs\n\nA sign says that a number may tell more about the attack than about the model. The report shows those in bold on its \
             first screen; no rule of a gate passes cleanly on a number that they put in doubt.\n\n| in `health` | meaning, and what to do |\n|---|---|\n";
    for sign in SIGNS {
        let code = format!("`{}`", sign.code());
        let code = if sign.is_grave() { format!("**{code}**") } else { code };
        text += &format!("| {code} | {} |\n", sign.to_string().replace('|', "\\|"));
    }
    text
}

/// Whether a column is the end of an interval, which stands with its estimate.
fn is_end(column: &str) -> bool {
    column.ends_with("_lo") || column.ends_with("_hi")
}

/// What a column of a summary means: its own meaning, or that of the records' column of this name.
fn meaning(column: &str) -> Option<&'static str> {
    let summed = MEANINGS.iter().chain(inside::MEANINGS).find(|(name, _)| *name == column).map(|(_, meaning)| *meaning);
    let recorded = || SAMPLES_TABLE.iter().chain(DISTANCES_TABLE).find(|known| known.name == column);
    summed.or_else(|| recorded().map(|known| known.meaning.trim()))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Compares a page of `docs/` with what the code makes of it; writes it if `AM_EVAL_WRITE_DOCS` is set.
    pub(crate) fn check(name: &str, text: &str) {
        let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("AM_EVAL_WRITE_DOCS").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "{path} is not current: AM_EVAL_WRITE_DOCS=1 cargo test --lib current");
    }

    #[test]
    fn the_page_of_outputs_is_current() {
        check("outputs.md", &outputs_reference());
    }

    #[test]
    fn every_column_has_a_meaning() {
        let mut used = BTreeSet::new();
        let inner = inside::tables().map(|(_, _, columns)| columns);
        let curves = CURVES_COLUMNS.map(String::from).to_vec();
        let outer = [summary_columns(), worst_case_columns(), worst_sample_columns(), curves, transfer_columns()];
        for columns in outer.into_iter().chain(inner) {
            for column in columns.iter().filter(|column| !is_end(column)) {
                assert!(meaning(column).is_some(), "{column}");
                used.insert(column.clone());
            }
        }
        let idle: Vec<&str> = MEANINGS
            .iter()
            .chain(inside::MEANINGS)
            .map(|(name, _)| *name)
            .filter(|name| !used.contains(*name))
            .collect();
        assert_eq!(idle, Vec::<&str>::new());
        for column in SAMPLES_TABLE.iter().chain(DISTANCES_TABLE) {
            let meaning = column.meaning.trim();
            assert!(meaning.len() > 5 && !meaning.ends_with('.'), "{column:?}");
        }
    }

    #[test]
    fn signs_that_put_robustness_in_doubt_are_on_the_page_of_belief() {
        let page = include_str!("../docs/believe.md");
        for sign in SIGNS.iter().filter(|sign| sign.doubts_robustness()) {
            assert!(page.contains(&format!("`{}`", sign.word())), "docs/believe.md lacks {}", sign.word());
        }
    }

    /// The compiler asks for every sign here.
    #[test]
    fn every_sign_is_listed_once() {
        let place = |sign: &HealthSign| match sign {
            HealthSign::ZeroGradient(_) => 0,
            HealthSign::NonFinite(_) => 1,
            HealthSign::Undecided(_) => 2,
            HealthSign::DeadUnit(_) => 3,
            HealthSign::UnconfirmedHits(_) => 4,
            HealthSign::ControlAsStrong => 5,
            HealthSign::LostByRounding(_) => 6,
            HealthSign::GradientMasking => 7,
            HealthSign::GradientFree(_) => 8,
            HealthSign::NotConverged(_) => 9,
            HealthSign::LossStillMoves(_) => 10,
            HealthSign::TransferFindsMore(_) => 11,
            HealthSign::NotAtChance => 12,
            HealthSign::SelfTestFailed(_) => 13,
            HealthSign::ConstantPrediction => 14,
            HealthSign::RandomModel => 15,
            HealthSign::AveragedModel(_) => 16,
            HealthSign::Probabilities => 17,
            HealthSign::FlatGradient(_) => 18,
            HealthSign::FarBeyondLinear(_) => 19,
        };
        assert!(SIGNS.iter().map(place).eq(0..SIGNS.len()));
    }
}
