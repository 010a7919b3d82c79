//! What can be said about a suite's gate before anything has run.

use crate::gate::power::{DISCORDANT, Design, samples_for};
use crate::suite::gate::{Level, Metric, Rule};
use crate::suite::{DataSource, Suite};

impl Suite {
    /// Warnings about rules whose margin is smaller than the suite's samples can show, one sentence each. Nothing is said
    /// where the number of samples is not known beforehand.
    pub fn gate_warnings(&self) -> Vec<String> {
        let Some(n) = self.samples_known() else { return Vec::new() };
        self.gates.iter().filter(|rule| rule.level != Level::Off).filter_map(|rule| warning(rule, n)).collect()
    }

    /// How many samples the suite draws, as far as the file tells.
    fn samples_known(&self) -> Option<u64> {
        match (self.data.samples, &self.data.source) {
            (Some(samples), _) => Some(samples as u64),
            (None, DataSource::Synthetic { size, .. }) => Some(*size as u64),
            (None, _) => None,
        }
    }
}

fn warning(rule: &Rule, n: u64) -> Option<String> {
    // Distances are no shares, and flips are counted among the clean-correct, whose number is not known beforehand.
    let margin = rule.margin().filter(|_| rule.metric.is_share() && rule.metric != Metric::FlipRate)?;
    let design = Design { n, discordant: DISCORDANT, alpha: rule.alpha, margin: 0.0 };
    let found = design.smallest_drop();
    if found.is_some_and(|found| found <= margin) || margin >= DISCORDANT {
        return None;
    }
    let points = |share: f64| format!("{:.1} points", share * 100.0);
    let shows = match found {
        Some(found) => format!("{n} samples show a drop of {}", points(found)),
        None => format!("{n} samples show no drop"),
    };
    let remedy = match samples_for(margin, rule.alpha) {
        Some(needed) => format!("about {needed} samples would do, or a larger margin"),
        None => "choose a margin above 0".to_owned(),
    };
    Some(format!(
        "the gate `{rule}` tolerates {}, but {shows} with 80 % power (alpha {}, 5 % of the samples changing): smaller ones \
         will be inconclusive; {remedy}",
        points(margin),
        rule.alpha
    ))
}
