//! `am-eval schema`: the JSON Schema of suites, made from the code that reads them.

use super::args::SchemaArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::output::print_exactly;
use crate::suite::schema_text;

/// Prints the text of `suites/suite.schema.json`.
pub fn schema(_args: &SchemaArgs) -> Result<Exit, Failure> {
    print_exactly(&schema_text())?;
    Ok(Exit::Success)
}
