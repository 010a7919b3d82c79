//! Whether a run and a baseline were made under the same conditions; what differs, if not.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Mismatch, Provenance, Snapshot};
use crate::wording::data_kind;

/// The scope of distances in [`Mismatch::attack`].
pub const BOUNDARY: &str = "boundary";

/// Conditions that must be the same: data, preprocessing, engine, attacks, boundary search.
pub fn mismatches(baseline: &Snapshot, run: &Snapshot) -> Vec<Mismatch> {
    let (old, new) = (&baseline.provenance, &run.provenance);
    let mut found = Vec::new();
    found.extend(other_samples(baseline, run));
    differences(None, "data", &old.data, &new.data, &mut found);
    let engine =
        |provenance: &Provenance| provenance.versions.get("engine").cloned().unwrap_or_else(|| "unknown".to_owned());
    if engine(old) != engine(new) {
        found.push(mismatch(None, "engine version", engine(old), engine(new)));
    }
    for (name, config) in &new.attacks {
        if let Some(before) = old.attacks.get(name) {
            let first = found.len();
            differences(Some(name), &format!("attack {name}"), before, config, &mut found);
            found[first..].iter_mut().for_each(|mismatch| as_in_suites(mismatch, config));
        }
    }
    if !old.boundary.is_null() && !new.boundary.is_null() {
        differences(Some(BOUNDARY), BOUNDARY, &old.boundary, &new.boundary, &mut found);
    }
    found
}

/// Whether the samples are others: by their ids, and where both sides know them by labels and content, whatever their order.
fn other_samples(baseline: &Snapshot, run: &Snapshot) -> Option<Mismatch> {
    let known: BTreeSet<_> = baseline.samples.iter().collect();
    let shared = run.samples.iter().filter(|id| known.contains(id)).count();
    let (old, new) = (&baseline.provenance.data_hash, &run.provenance.data_hash);
    let side = |snapshot: &Snapshot| {
        format!("{} of {}", samples(snapshot.samples.len()), data_kind(&snapshot.provenance.dataset))
    };
    if shared != run.samples.len() || shared != baseline.samples.len() {
        let run_side = format!("{}, {shared} of them shared", side(run));
        return Some(mismatch(None, "samples (ids)", side(baseline), run_side));
    }
    if old.is_empty() || new.is_empty() || old == new {
        return None;
    }
    let short = |hash: &str| format!("hash {}", hash.get(..12).unwrap_or(hash));
    Some(mismatch(None, "labels or images of the same sample ids", short(old), short(new)))
}

/// Conditions that may move numbers a little, and what was changed on purpose. `side` is what `baseline` is called.
pub fn drift(baseline: &Provenance, run: &Provenance, side: &str) -> Vec<String> {
    let mut found = Vec::new();
    if baseline.data_hash.is_empty() != run.data_hash.is_empty() {
        let older = if run.data_hash.is_empty() { "run" } else { side };
        found.push(format!(
            "the {older} was made by an older am-eval, which did not look into images: samples are paired by id alone; renew it with \
             `am-eval run SUITE` and `am-eval baseline save RUN FILE`"
        ));
    }
    let mut compare = |setting: &str, old: &str, new: &str| {
        if old != new {
            found.push(format!("{setting}: {old} in the {side}, {new} in the run"));
        }
    };
    compare("suite", &baseline.suite, &run.suite);
    compare("device", &baseline.device, &run.device);
    compare("seed", &baseline.seed.to_string(), &run.seed.to_string());
    let versions: BTreeSet<&String> = baseline.versions.keys().chain(run.versions.keys()).collect();
    for name in versions.into_iter().filter(|name| *name != "engine") {
        let version = |side: &Provenance| side.versions.get(name).cloned().unwrap_or_else(|| "none".to_owned());
        compare(&format!("version of {name}"), &version(baseline), &version(run));
    }
    for model in &run.models {
        let Some(before) = baseline.models.iter().find(|before| before.name == model.name) else { continue };
        compare(&format!("architecture of {}", model.name), &before.arch, &model.arch);
        compare(&format!("search of {}", model.name), &before.search, &model.search);
        let [old, new] = [&before.normalize, &model.normalize].map(Value::to_string);
        compare(&format!("normalization of {}", model.name), &old, &new);
    }
    found
}

fn samples(count: usize) -> String {
    if count == 1 { "1 sample".to_owned() } else { format!("{count} samples") }
}

fn mismatch(attack: Option<&str>, setting: &str, baseline: String, run: String) -> Mismatch {
    Mismatch { attack: attack.map(str::to_owned), setting: setting.to_owned(), baseline, run }
}

/// Names the share of their steps that the parts of a composition take as suites do.
fn as_in_suites(mismatch: &mut Mismatch, config: &Value) {
    let path = mismatch.setting.strip_suffix(".steps").filter(|_| config["goal"]["preset"].is_string());
    if let Some(path) = path {
        mismatch.setting = format!("{path}.budget");
    }
}

/// Adds each value in which two configurations differ, with its path.
fn differences(attack: Option<&str>, path: &str, old: &Value, new: &Value, found: &mut Vec<Mismatch>) {
    if let (Value::Object(before), Value::Object(after)) = (old, new) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let value = |side: &serde_json::Map<String, Value>| side.get(key).cloned().unwrap_or_default();
            differences(attack, &format!("{path}.{key}"), &value(before), &value(after), found);
        }
    } else if old != new {
        let text = |value: &Value| match value {
            Value::Null => "default".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        found.push(mismatch(attack, path, text(old), text(new)));
    }
}
