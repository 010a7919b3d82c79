//! Names of tensors: what wrappers put before them, and which differ between a file and an architecture.

use std::collections::{BTreeMap, BTreeSet};

use tch::Kind;

use super::Store;
use super::file::{WeightsError, WeightsFile};
use crate::suite::Normalize;

/// The tensor by which files with Hugging Face's names of a ViT are known.
const HUGGING_FACE: &str = "embeddings.cls_token";

impl WeightsFile {
    /// The shapes of the tensors of floating-point values, without what all their names begin with.
    pub fn plain_shapes(&self) -> BTreeMap<String, Vec<i64>> {
        let shapes = self.shapes();
        let prefix = common_prefix(&shapes);
        without(shapes, &prefix)
    }

    /// Takes away what wrappers put before the network's names: `module.` of `DataParallel`, `_orig_mod.` of `torch.compile`,
    /// `model.` of Lightning, `1.` of a `Sequential` with a normalization, or anything else.
    ///
    /// # Errors
    /// If the file holds several networks.
    pub(in crate::model) fn unwrap_names(&mut self, stem: &str, classifier: &str) -> Result<(), WeightsError> {
        let mut prefixes = self.prefixes(stem, classifier);
        if prefixes.len() > 1 {
            let prefixes = prefixes.into_iter().collect();
            return Err(WeightsError::Several { path: self.path.clone(), prefixes });
        }
        if let Some(prefix) = prefixes.pop_first().filter(|prefix| !prefix.is_empty()) {
            self.tensors = without(std::mem::take(&mut self.tensors), &prefix);
            self.others = without(std::mem::take(&mut self.others), &prefix);
        }
        Ok(())
    }

    /// What stands before the names of each network of this architecture; empty for one whose names are plain.
    fn prefixes(&self, stem: &str, classifier: &str) -> BTreeSet<String> {
        let holds = |name: &str| self.tensors.contains_key(name);
        let before = |end: &str| {
            let end = end.to_owned();
            let prefix = move |name: &str| Some(name.strip_suffix(end.as_str())?.to_owned());
            let at_boundary = |prefix: &String| prefix.is_empty() || prefix.ends_with('.');
            self.tensors.keys().filter_map(move |name| prefix(name)).filter(at_boundary)
        };
        let hugging_face = |prefix: String| {
            let backbone = ["vit.", "deit."].iter().find_map(|backbone| prefix.strip_suffix(backbone));
            backbone.map_or(prefix.clone(), str::to_owned)
        };
        let theirs: BTreeSet<String> = before(HUGGING_FACE).map(hugging_face).collect();
        if !theirs.is_empty() {
            return theirs;
        }
        let found: BTreeSet<String> = before(classifier).filter(|prefix| holds(&format!("{prefix}{}", stem))).collect();
        if found.contains("") {
            return BTreeSet::from([String::new()]);
        }
        if !found.is_empty() {
            return found;
        }
        // A network with another classifier: nearly all names share what stands before its first layer.
        let shared = |prefix: &String| {
            let count = self.tensors.keys().filter(|name| name.starts_with(prefix.as_str())).count();
            !prefix.is_empty() && count * 10 >= self.tensors.len() * 9
        };
        before(stem).filter(shared).collect()
    }

    /// Takes away the mean and the standard deviation by which a wrapper normalizes images (`mu` and `sigma`, `0.mean` and
    /// `0.std`), where they are those of the suite: the model normalizes with these.
    ///
    /// # Errors
    /// If they are others.
    pub(in crate::model) fn unwrap_normalization(&mut self, suite: &Normalize) -> Result<(), WeightsError> {
        const MEANS: [&str; 6] = ["mu", "mean", "_mean", "image_mean", "pixel_mean", "means"];
        const DEVIATIONS: [&str; 9] =
            ["sigma", "std", "_std", "image_std", "pixel_std", "stds", "sd", "stdev", "deviation"];
        let named = |known: &[&str]| {
            let last = |name: &&String| known.contains(&name.rsplit('.').next().unwrap_or_default());
            let shallow = |name: &&String| name.matches('.').count() <= 2;
            let mut found = self.tensors.keys().filter(last).filter(shallow);
            found.next().cloned().filter(|_| found.next().is_none())
        };
        let (Some(mean), Some(deviation)) = (named(&MEANS), named(&DEVIATIONS)) else { return Ok(()) };
        let values = |name: &str| -> Option<Vec<f32>> {
            let tensor = self.tensors.get(name).filter(|tensor| matches!(tensor.numel(), 1 | 3))?;
            Vec::try_from(tensor.to_kind(Kind::Float).contiguous().view(-1)).ok()
        };
        let (Some(means), Some(deviations)) = (values(&mean), values(&deviation)) else { return Ok(()) };
        let near = |found: &[f32], stated: &[f32]| {
            (0..found.len().max(stated.len())).all(|at| {
                let pair = (found.get(at).or(found.first()), stated.get(at).or(stated.first()));
                matches!(pair, (Some(found), Some(stated)) if (found - stated).abs() <= 1e-4)
            })
        };
        // A wrapper may count pixels from 0 to 255.
        let scale = if means.iter().chain(&deviations).any(|value| *value > 1.0) { 255.0 } else { 1.0 };
        let [means, deviations] =
            [means, deviations].map(|values| values.iter().map(|value| value / scale).collect::<Vec<f32>>());
        let agrees = near(&means, &suite.mean) && near(&deviations, &suite.std);
        if !agrees {
            let (mean, deviation) = ((mean, means), (deviation, deviations));
            return Err(WeightsError::Normalized {
                path: self.path.clone(),
                mean: Box::new(mean),
                deviation: Box::new(deviation),
                suite: Box::new(suite.clone()),
            });
        }
        self.tensors.remove(&mean);
        self.tensors.remove(&deviation);
        Ok(())
    }

    /// The tensors that are no part of the network whose tensors are `used`, and are not needless, with types and shapes.
    fn unexpected(&self, used: &BTreeSet<String>) -> BTreeMap<&str, (String, Vec<i64>)> {
        let tensors = self.tensors.iter().map(|(name, tensor)| {
            let dtype = if tensor.kind() == Kind::Int64 { "I64" } else { "F32" };
            (name.as_str(), (dtype.to_owned(), tensor.size()))
        });
        let others = self.others.iter().map(|(name, other)| (name.as_str(), other.clone()));
        let unused = tensors.chain(others).filter(|(name, _)| !used.contains(*name));
        unused.filter(|(name, (dtype, shape))| !needless(name, dtype, shape)).collect()
    }
}

/// Whether a tensor is one that counts something, and computes nothing: batches, averaged models, a profiler's operations.
fn needless(name: &str, dtype: &str, shape: &[i64]) -> bool {
    let single = shape.iter().product::<i64>() == 1;
    let last = name.rsplit('.').next().unwrap_or_default();
    let integral = dtype.starts_with('I') || dtype.starts_with('U');
    single && (integral || matches!(last, "num_batches_tracked" | "total_ops" | "total_params" | "n_averaged"))
}

fn without<T>(entries: BTreeMap<String, T>, prefix: &str) -> BTreeMap<String, T> {
    let plain = |name: String| name.strip_prefix(prefix).map(str::to_owned).unwrap_or(name);
    entries.into_iter().map(|(name, value)| (plain(name), value)).collect()
}

/// What all names begin with, up to a point; empty if nothing.
fn common_prefix(names: &BTreeMap<String, Vec<i64>>) -> String {
    if names.len() < 4 {
        return String::new();
    }
    let mut names = names.keys();
    let Some(first) = names.next() else { return String::new() };
    let mut prefix = first.as_str();
    for name in names {
        let shared = prefix.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        prefix = prefix.get(..shared).unwrap_or_default();
    }
    prefix.rfind('.').map_or_else(String::new, |end| prefix[..=end].to_owned())
}

/// Every difference between the file and the architecture, whose construction took its tensors from it.
pub(super) fn compare(file: &WeightsFile, arch: &str, classifier: &str, store: &Store) -> Result<(), WeightsError> {
    let unexpected = file.unexpected(&store.used);
    if store.problems.is_empty() && unexpected.is_empty() {
        return Ok(());
    }
    let (path, name) = (file.path.clone(), arch.to_owned());
    let stem = classifier.trim_end_matches(".weight");
    let only_classifier = store.problems.len() == store.missing.len()
        && store.missing.iter().all(|(missing, _)| missing.starts_with(stem))
        && store.missing.iter().any(|(missing, _)| missing == classifier);
    if only_classifier {
        if let Some((found, shape)) = renamed(store, classifier, &unexpected) {
            let (classifier, found) = (classifier.into(), found.into());
            return Err(WeightsError::RenamedClassifier { path, arch: name, classifier, found, shape: shape.into() });
        }
        if unexpected.is_empty() {
            let missing = store.missing.iter().map(|(name, _)| name.clone()).collect();
            return Err(WeightsError::NoClassifier { path, arch: name, missing });
        }
    }
    let described = |(name, (dtype, shape)): (&&str, &(String, Vec<i64>))| match dtype.as_str() {
        "F32" => format!("`{name}` {shape:?} is not part of the architecture"),
        _ => format!("`{name}` {shape:?} ({dtype}) is not part of the architecture"),
    };
    let unexpected = unexpected.iter().map(described).collect();
    let prefix = common_prefix(&file.shapes()).into();
    let problems = store.problems.clone().into();
    Err(WeightsError::Mismatch { path, arch: name.into(), problems, unexpected, prefix, resembles: Box::default() })
}

/// The only tensor beside its bias that the architecture does not have, if it has the shape of a classifier.
fn renamed<'t>(
    store: &Store,
    classifier: &str,
    unexpected: &BTreeMap<&'t str, (String, Vec<i64>)>,
) -> Option<(&'t str, Vec<i64>)> {
    let (_, expected) = store.missing.iter().find(|(name, _)| name == classifier)?;
    let like = |shape: &[i64]| {
        shape.len() == expected.len() && shape.len() >= 2 && shape[1..] == expected[1..] && shape[0] >= 2
    };
    let (name, (_, shape)) = unexpected.iter().find(|(_, (dtype, shape))| dtype == "F32" && like(shape))?;
    let stem = name.strip_suffix("weight")?;
    unexpected.keys().all(|other| other.starts_with(stem)).then(|| (*name, shape.clone()))
}
