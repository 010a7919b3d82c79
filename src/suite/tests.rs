//! The reader as a whole: what it accepts, what it says of what it does not, and that nothing makes it panic.

mod data;
mod files;
mod fuzz;
mod messages;
mod schema;
mod words;

use super::{Suite, SuiteErrors};

/// A suite that uses every table.
const FULL: &str = include_str!("tests/full.toml");

/// The shipped suites: name and text.
const SHIPPED: [(&str, &str); 3] = [
    ("suites/quickstart.toml", include_str!("../../suites/quickstart.toml")),
    ("suites/cifar10.toml", include_str!("../../suites/cifar10.toml")),
    ("suites/robustbench.toml", include_str!("../../suites/robustbench.toml")),
];

fn parse(source: &str) -> Result<Suite, SuiteErrors> {
    Suite::parse("suites/test.toml", source)
}

/// As the command line shows it, without colours.
fn render(errors: &SuiteErrors) -> String {
    let mut text = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .with_width(110)
        .render_report(&mut text, errors)
        .expect("rendering into a string cannot fail");
    text
}

/// The full suite with one line replaced.
fn replaced(old: &str, new: &str) -> String {
    assert_eq!(FULL.matches(old).count(), 1, "{old}");
    FULL.replace(old, new)
}
