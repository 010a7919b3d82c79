//! `am-eval schema`: the JSON Schemas of suites and summaries, made from the code that reads and writes them.

use super::args::{SchemaArgs, SchemaOf};
use super::exit::Exit;
use super::failure::Failure;
use super::output::print_exactly;
use crate::suite::schema_text;
use crate::summary::summary_schema_text;

/// Prints the text of `suites/suite.schema.json` or `docs/summary.schema.json`.
pub fn schema(args: &SchemaArgs) -> Result<Exit, Failure> {
    let text = match args.file {
        SchemaOf::Suite => schema_text(),
        SchemaOf::Summary => summary_schema_text(),
    };
    print_exactly(&text)?;
    Ok(Exit::Success)
}
