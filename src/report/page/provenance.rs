//! How a run was made, and what it takes to make it again.

use crate::record::{Manifest, ModelEntry};
use crate::report::data_name;
use crate::wording::format;

/// A name and its value under provenance.
pub type Fact = (String, String);

/// The facts of a run that took `duration`, by name.
pub(super) fn provenance(manifest: &Manifest, duration: String) -> Vec<Fact> {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![
        fact("Run", manifest.run.clone()),
        fact("Status", format!("{} of {} blocks", manifest.blocks_done, manifest.blocks_total)),
        fact(
            "Data",
            format!("{} ({}), {} samples", data_name(manifest), manifest.dataset, format::count(manifest.samples)),
        ),
        fact("Hash of ids and labels", manifest.data_hash.clone()),
        fact("Seed", manifest.seed.to_string()),
        fact("Device", manifest.device.clone()),
        fact("Time", duration),
        fact("Unconfirmed search hits", format::count(manifest.unconfirmed_hits)),
    ];
    facts.extend(manifest.versions.iter().map(|(name, version)| fact(&format!("Version of {name}"), version.clone())));
    facts
}

/// A model: name, architecture, weights, their hash, and how it is searched.
pub(super) fn weights(entry: &ModelEntry) -> [String; 5] {
    [entry.name.clone(), entry.arch.clone(), entry.weights.clone(), entry.weights_hash.clone(), entry.search.clone()]
}

/// Hashes of the tables. Those of the reports are left out: a page cannot hold its own.
pub(super) fn tables(manifest: &Manifest) -> Vec<Fact> {
    let outputs = manifest.outputs.iter().filter(|(name, _)| name.ends_with(".csv"));
    outputs.map(|(name, hash)| (name.clone(), hash.clone())).collect()
}

/// The first 200,000 characters, with a note if there are more.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(200_000) {
        Some((end, _)) => format!("{}\n… shortened; manifest.json holds all of it", &text[..end]),
        None => text.to_owned(),
    }
}

/// A command as a POSIX shell reads it.
pub(in crate::report) fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_for_a_shell() {
        let words = ["am-eval", "run", "my suite.toml", "it's", ""].map(str::to_owned);
        assert_eq!(command(&words), r"am-eval run 'my suite.toml' 'it'\''s' ''");
    }

    #[test]
    fn long_sources_are_cut_between_characters() {
        let text = "ε".repeat(200_001);
        assert!(shortened(&text).starts_with('ε') && shortened(&text).ends_with("all of it"));
        assert_eq!(shortened("short"), "short");
    }
}
