//! Sets of samples, one bit each.

/// A set of sample indices.
#[derive(Debug, Clone, Default)]
pub struct SampleSet {
    words: Vec<u64>,
}

impl SampleSet {
    /// Add a sample.
    pub fn insert(&mut self, sample: u32) {
        let word = sample as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (sample % 64);
    }

    /// Whether the sample is in the set.
    pub fn contains(&self, sample: u32) -> bool {
        self.words.get(sample as usize / 64).is_some_and(|word| word >> (sample % 64) & 1 == 1)
    }

    /// Number of samples.
    pub fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Add every sample of `other`.
    pub fn add_all(&mut self, other: &SampleSet) {
        self.words.resize(self.words.len().max(other.words.len()), 0);
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// Whether there is no sample in it.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The samples that are in both.
    pub fn and(&self, other: &SampleSet) -> SampleSet {
        SampleSet { words: self.words.iter().zip(&other.words).map(|(word, other)| word & other).collect() }
    }

    /// The samples that are not in `other`.
    pub fn and_not(&self, other: &SampleSet) -> SampleSet {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        SampleSet { words: self.words.iter().zip(others).map(|(word, other)| word & !other).collect() }
    }

    /// The set as bytes, the first sample in the lowest bit of the first byte, without zeros at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        bytes
    }

    /// Reads what [`SampleSet::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> SampleSet {
        let word = |chunk: &[u8]| {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(eight)
        };
        SampleSet { words: bytes.chunks(8).map(word).collect() }
    }

    /// The samples, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let bits = |(at, word): (usize, &u64)| {
            let word = *word;
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at as u32 * 64 + bit)
        };
        self.words.iter().enumerate().flat_map(bits)
    }

    /// The same set after its samples were numbered anew.
    pub(super) fn add_renumbered(&mut self, other: &SampleSet, numbers: &[u32]) {
        other.iter().for_each(|sample| self.insert(numbers[sample as usize]));
    }
}

impl FromIterator<u32> for SampleSet {
    fn from_iter<I: IntoIterator<Item = u32>>(samples: I) -> Self {
        let mut set = SampleSet::default();
        samples.into_iter().for_each(|sample| set.insert(sample));
        set
    }
}

/// Sets are equal if they hold the same samples.
impl PartialEq for SampleSet {
    fn eq(&self, other: &Self) -> bool {
        let (short, long) = if self.words.len() < other.words.len() { (self, other) } else { (other, self) };
        let (same, rest) = long.words.split_at(short.words.len());
        same == short.words && rest.iter().all(|word| *word == 0)
    }
}

impl Eq for SampleSet {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn samples() -> impl Strategy<Value = BTreeSet<u32>> {
        prop::collection::btree_set(0u32..300, 0..60)
    }

    proptest! {
        #[test]
        fn sets_of_bits_are_sets(a in samples(), b in samples()) {
            let set = |samples: &BTreeSet<u32>| samples.iter().copied().collect::<SampleSet>();
            let (left, right) = (set(&a), set(&b));
            prop_assert_eq!(left.and(&right), set(&(&a & &b)));
            prop_assert_eq!(left.and_not(&right), set(&(&a - &b)));
            prop_assert_eq!(left.len(), a.len() as u64);
            prop_assert_eq!(left.is_empty(), a.is_empty());
            prop_assert_eq!(left == right, a == b);
            prop_assert!(left.iter().eq(a.iter().copied()));
            let bytes = left.to_bytes();
            prop_assert_ne!(bytes.last(), Some(&0));
            prop_assert_eq!(SampleSet::from_bytes(&bytes), left);
        }
    }
}
