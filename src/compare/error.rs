//! Why runs cannot be compared.

use crate::gate::Mismatch;
use crate::wording::did_you_mean;

/// Why runs cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A run lacks a model that was asked for.
    #[error("run {run} has no model `{model}`; {near}")]
    UnknownModel {
        /// The run.
        run: String,
        /// The model.
        model: String,
        /// The nearest of its models, or all.
        near: String,
    },
    /// Names of models differ.
    #[error(
        "the runs have no model of the same name: {} in {reference}, {} in {run}; name pairs with --model {}={}",
        theirs.join(", "), others.join(", "), theirs.first().map_or("A", String::as_str),
        others.first().map_or("B", String::as_str)
    )]
    NoModelShared {
        /// The reference.
        reference: String,
        /// Its models.
        theirs: Vec<String>,
        /// The run.
        run: String,
        /// Its models.
        others: Vec<String>,
    },
    /// No cell corresponds.
    #[error(
        "no sample of {reference} was measured in another run too; compare runs of the same suite, or of suites with the \
         same data"
    )]
    NothingShared {
        /// The reference.
        reference: String,
    },
    /// The runs were made under different conditions.
    #[error("{run} and {reference} were made under different conditions:{}", lines(mismatches))]
    Incomparable {
        /// The reference.
        reference: String,
        /// The run.
        run: String,
        /// What differs.
        mismatches: Vec<Mismatch>,
    },
}

impl CompareError {
    /// The error of an unknown model, with what is near.
    pub(super) fn unknown_model(run: &str, model: &str, known: &[String]) -> Self {
        let near = did_you_mean(model, known.iter().map(String::as_str));
        CompareError::UnknownModel { run: run.to_owned(), model: model.to_owned(), near }
    }
}

fn lines(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(|found| format!("\n- {}", found.against("reference"))).collect()
}
