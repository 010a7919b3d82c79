//! The class-balanced, seeded choice of samples, and their images block by block.

use std::collections::VecDeque;
use std::ops::Range;

use rayon::prelude::*;

use super::{DataError, Dataset, Image};
use crate::random::Stream;
use crate::suite::OnDataError;
use crate::terms::SampleId;

/// One image, its label and its stable id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What identifies the sample in its data set.
    pub id: SampleId,
    /// Its class index.
    pub label: u32,
    /// Its image, preprocessed.
    pub image: Image,
}

/// A sample that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The sample.
    pub id: SampleId,
    /// What is wrong with its image.
    pub reason: String,
}

/// The chosen samples of a data set, in an order of which every beginning is class-balanced. Images are decoded only on
/// [`Selection::load_block`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    indices: Vec<usize>,
    skipped: Vec<Skipped>,
}

/// Chooses `samples` of the data set's samples, or all.
///
/// Classes take turns, each in its own random order, so that the counts of any two classes differ by at most one as long
/// as both have samples left; this holds for every prefix too, and a smaller choice is a prefix of a larger one. The choice
/// depends on `seed`, ids' order and labels alone. With [`OnDataError::Skip`], every chosen image is decoded once, and those that
/// cannot be are left out, not replaced.
///
/// # Errors
/// If the data set has fewer samples than asked for, or most of those chosen would be left out.
pub fn select(
    dataset: &dyn Dataset,
    samples: Option<usize>,
    seed: u64,
    on_error: OnDataError,
) -> Result<Selection, DataError> {
    let wanted = samples.unwrap_or(dataset.len());
    if wanted > dataset.len() {
        return Err(DataError::Dataset(format!(
            "{} samples were asked for, but {} has only {}",
            wanted,
            dataset.name(),
            dataset.len()
        )));
    }
    let mut selection = Selection { indices: balanced_order(dataset, wanted, seed), skipped: Vec::new() };
    if on_error == OnDataError::Skip {
        selection.leave_out_broken(dataset);
        let (usable, left_out) = (selection.len(), selection.skipped.len());
        if let Some(first) = selection.skipped.first().filter(|_| left_out > usable) {
            return Err(DataError::Dataset(format!(
                "{left_out} of {} images would be left out, the first being {}: {}; `on_error = \"skip\"` is for the few that \
                 are broken",
                left_out + usable,
                first.id,
                first.reason
            )));
        }
    }
    Ok(selection)
}

impl Selection {
    /// Number of chosen samples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether none is chosen.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Places of the chosen samples in the data set, in the selection's order.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The samples that were left out.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Keeps the first `count` samples.
    pub fn truncate(&mut self, count: usize) {
        self.indices.truncate(count);
    }

    /// Decodes the samples at `range` of the selection, in parallel.
    ///
    /// # Errors
    /// The first, in the selection's order, of the images that cannot be decoded or do not fit.
    ///
    /// # Panics
    /// If `range` reaches beyond the selection.
    pub fn load_block(&self, dataset: &dyn Dataset, range: Range<usize>) -> Result<Vec<Sample>, DataError> {
        load(dataset, &self.indices[range])
    }

    /// A BLAKE3 hash, in hexadecimal, of what was chosen, whatever its order: the data set's name and classes, and each sample's
    /// id, label and stored bytes, all of which are read.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn hash(&self, dataset: &dyn Dataset) -> Result<String, DataError> {
        let sample = |&index: &usize| {
            let mut hash = blake3::Hasher::new();
            hash_text(dataset.id(index).as_str(), &mut hash);
            hash.update(&dataset.label(index).to_le_bytes()).update(&dataset.fingerprint(index)?.to_le_bytes());
            Ok(*hash.finalize().as_bytes())
        };
        let mut samples = self.indices.par_iter().map(sample).collect::<Result<Vec<[u8; 32]>, DataError>>()?;
        samples.sort_unstable();
        let mut hash = blake3::Hasher::new();
        hash_text(dataset.name(), &mut hash);
        dataset.classes().iter().for_each(|class| hash_text(class, &mut hash));
        samples.iter().for_each(|sample| {
            hash.update(sample);
        });
        Ok(hash.finalize().to_hex().to_string())
    }

    /// A BLAKE3 hash, in hexadecimal, of the order of the samples' ids: what a block holds depends on it.
    pub fn order(&self, dataset: &dyn Dataset) -> String {
        let mut hash = blake3::Hasher::new();
        self.indices.iter().for_each(|&index| hash_text(dataset.id(index).as_str(), &mut hash));
        hash.finalize().to_hex().to_string()
    }

    fn leave_out_broken(&mut self, dataset: &dyn Dataset) {
        let reasons: Vec<Option<String>> =
            self.indices.par_iter().map(|&index| dataset.image(index).err().map(|error| error.with_cause())).collect();
        let mut reasons = reasons.into_iter();
        self.indices.retain(|&index| match reasons.next().flatten() {
            None => true,
            Some(reason) => {
                self.skipped.push(Skipped { id: dataset.id(index), reason });
                false
            }
        });
    }
}

/// A text with its length, so that no two lists of texts give the same bytes.
fn hash_text(text: &str, hash: &mut blake3::Hasher) {
    hash.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
}

/// Decodes the samples at `indices` of the data set, in parallel, in their order.
///
/// # Errors
/// The first, in that order, of the images that cannot be decoded or do not fit.
pub fn load(dataset: &dyn Dataset, indices: &[usize]) -> Result<Vec<Sample>, DataError> {
    let loaded: Vec<Result<Sample, DataError>> = indices
        .par_iter()
        .map(|&index| Ok(Sample { id: dataset.id(index), label: dataset.label(index), image: dataset.image(index)? }))
        .collect();
    // Collected before it is searched, so that which error is reported does not depend on the threads.
    loaded.into_iter().collect()
}

/// Indices of `wanted` samples: rounds over the classes, in a random order of classes for each round.
fn balanced_order(dataset: &dyn Dataset, wanted: usize, seed: u64) -> Vec<usize> {
    let mut classes: Vec<VecDeque<usize>> = vec![VecDeque::new(); dataset.classes().len()];
    for index in 0..dataset.len() {
        let label = dataset.label(index) as usize;
        if label >= classes.len() {
            classes.resize(label + 1, VecDeque::new());
        }
        classes[label].push_back(index);
    }
    let mut random = Stream::new(&[b"select\0", &seed.to_le_bytes()]);
    classes.iter_mut().for_each(|class| random.shuffle(class.make_contiguous()));
    let mut order = Vec::with_capacity(wanted);
    while order.len() < wanted {
        classes.retain(|class| !class.is_empty());
        random.shuffle(&mut classes);
        order.extend(classes.iter_mut().filter_map(VecDeque::pop_front).take(wanted - order.len()));
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A data set of 1x1 images with given labels, of which some are broken.
    struct Labels {
        classes: Vec<String>,
        labels: Vec<u32>,
        broken: Vec<usize>,
    }

    impl Labels {
        fn new(labels: Vec<u32>) -> Self {
            Labels { classes: (0..5).map(|class| format!("class {class}")).collect(), labels, broken: Vec::new() }
        }
    }

    impl Dataset for Labels {
        fn name(&self) -> &str {
            "labels"
        }
        fn classes(&self) -> &[String] {
            &self.classes
        }
        fn len(&self) -> usize {
            self.labels.len()
        }
        fn id(&self, index: usize) -> SampleId {
            index.to_string().into()
        }
        fn label(&self, index: usize) -> u32 {
            self.labels[index]
        }
        fn image(&self, index: usize) -> Result<Image, DataError> {
            if self.broken.contains(&index) {
                return Err(DataError::Dataset(format!("sample {index} is broken")));
            }
            Ok(Image { channels: 1, height: 1, width: 1, pixels: vec![index as u8] })
        }
        fn size(&self, _: usize) -> Option<(u32, u32)> {
            Some((1, 1))
        }
        fn location(&self, index: usize) -> std::path::PathBuf {
            index.to_string().into()
        }
        fn fingerprint(&self, _: usize) -> Result<u64, DataError> {
            Ok(0)
        }
    }

    fn chosen(data: &Labels, samples: Option<usize>, seed: u64) -> Vec<usize> {
        select(data, samples, seed, OnDataError::Fail).unwrap().indices
    }

    proptest! {
        #[test]
        fn every_prefix_is_balanced_while_classes_have_enough(
            labels in proptest::collection::vec(0u32..5, 0..80), seed: u64,
        ) {
            let data = Labels::new(labels);
            let order = chosen(&data, None, seed);
            let mut left = [0usize; 5];
            data.labels.iter().for_each(|label| left[*label as usize] += 1);
            let mut taken = [0usize; 5];
            for index in order {
                let class = data.label(index) as usize;
                taken[class] += 1;
                left[class] -= 1;
                // No class may be ahead of one that still has samples by more than one.
                for other in 0..5 {
                    prop_assert!(left[other] == 0 || taken[class] <= taken[other] + 1);
                }
            }
            prop_assert_eq!(left, [0; 5]);
        }

        #[test]
        fn a_choice_is_a_prefix_of_every_larger_one_without_repetition(
            labels in proptest::collection::vec(0u32..5, 1..80), seed: u64, share in 0.0f64..1.0,
        ) {
            let data = Labels::new(labels);
            let count = (share * data.len() as f64) as usize;
            let all = chosen(&data, None, seed);
            prop_assert_eq!(&chosen(&data, Some(count), seed)[..], &all[..count]);
            let mut sorted = all;
            sorted.sort_unstable();
            prop_assert!(sorted.into_iter().eq(0..data.len()));
        }
    }

    #[test]
    fn seeds_choose_differently_and_threads_do_not_matter() {
        let data = Labels::new((0..200).map(|index| index % 5).collect());
        assert_ne!(chosen(&data, Some(50), 1), chosen(&data, Some(50), 2));
        let selection = select(&data, Some(50), 1, OnDataError::Skip).unwrap();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        alone.install(|| {
            let again = select(&data, Some(50), 1, OnDataError::Skip).unwrap();
            assert_eq!(again, selection);
            assert_eq!(again.load_block(&data, 10..30).unwrap(), selection.load_block(&data, 10..30).unwrap());
        });
        let block = selection.load_block(&data, 10..12).unwrap();
        assert_eq!(block[0].id, data.id(selection.indices()[10]));
        assert_eq!(block[1].image.pixels, [selection.indices()[11] as u8]);
    }

    #[test]
    fn broken_images_fail_or_are_left_out_and_counted() {
        let mut data = Labels::new((0..20).map(|index| index % 5).collect());
        data.broken = vec![3, 7];
        let selection = select(&data, None, 1, OnDataError::Skip).unwrap();
        assert_eq!(selection.len(), 18);
        let mut reasons: Vec<&str> = selection.skipped().iter().map(|skipped| skipped.reason.as_str()).collect();
        reasons.sort_unstable();
        assert_eq!(reasons, ["sample 3 is broken", "sample 7 is broken"]);
        let all = select(&data, None, 1, OnDataError::Fail).unwrap();
        let first = all.indices().iter().find(|index| data.broken.contains(index)).unwrap();
        let error = all.load_block(&data, 0..20).unwrap_err().to_string();
        assert_eq!(error, format!("sample {first} is broken"));
        assert_eq!(
            select(&data, Some(21), 1, OnDataError::Fail).unwrap_err().to_string(),
            "21 samples were asked for, but labels has only 20"
        );
    }

    #[test]
    fn the_hash_tells_choices_apart() {
        let data = Labels::new((0..20).map(|index| index % 5).collect());
        let hash = |data: &Labels, count| select(data, Some(count), 1, OnDataError::Fail).unwrap().hash(data).unwrap();
        assert_eq!(hash(&data, 10), hash(&data, 10));
        assert_ne!(hash(&data, 10), hash(&data, 11));
        let mut relabelled = Labels::new(data.labels.clone());
        relabelled.classes[0] = "other".into();
        assert_ne!(hash(&data, 10), hash(&relabelled, 10));
    }
}
