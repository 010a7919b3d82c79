//! A file of rules, for `am-eval gate --rules`: the same `[[gate]]` and `[[waiver]]` as in a suite.

use std::path::PathBuf;

use super::{gate, root, text_of};
use crate::suite::gate::RuleSet;
use crate::suite::raw::gate::RawRules;
use crate::suite::read::FromToml;
use crate::suite::read::problem::{Problems, SuiteErrors};

impl RuleSet {
    /// Read and validate a file of rules.
    ///
    /// # Errors
    /// The file cannot be read or says something wrong; all problems come at once.
    pub fn load(path: impl Into<PathBuf>) -> Result<RuleSet, SuiteErrors> {
        let path = path.into();
        let source = text_of(&path).map_err(|errors| errors.for_file("rules"))?;
        RuleSet::parse(path, &source)
    }

    /// Validate the text of a file of rules.
    ///
    /// # Errors
    /// Every problem of the text, with its place.
    pub fn parse(path: impl Into<PathBuf>, source: &str) -> Result<RuleSet, SuiteErrors> {
        let mut problems = Problems::default();
        let rules = resolve(source, &mut problems);
        match rules {
            Some(rules) if problems.is_empty() => Ok(rules),
            _ => Err(problems.into_errors(&path.into(), source).for_file("rules")),
        }
    }
}

fn resolve(source: &str, problems: &mut Problems) -> Option<RuleSet> {
    let value = root(source, problems)?;
    let raw = RawRules::from_toml("rules", &value, problems)?;
    let rules = raw.gate.map(|rules| gate::rules(rules.value.0, problems)).unwrap_or_default();
    Some(RuleSet {
        rules: rules.into_iter().map(|rule| rule.value).collect(),
        waivers: raw.waiver.map(|waivers| gate::waivers(waivers.value.0, problems)).unwrap_or_default(),
    })
}
