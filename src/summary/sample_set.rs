//! Sets of samples, one bit each.

/// A set of sample indices.
#[derive(Debug, Clone, Default)]
pub(super) struct SampleSet {
    words: Vec<u64>,
}

impl SampleSet {
    pub(super) fn insert(&mut self, sample: u32) {
        let word = sample as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (sample % 64);
    }

    pub(super) fn contains(&self, sample: u32) -> bool {
        self.words.get(sample as usize / 64).is_some_and(|word| word >> (sample % 64) & 1 == 1)
    }

    pub(super) fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    pub(super) fn add_all(&mut self, other: &SampleSet) {
        self.words.resize(self.words.len().max(other.words.len()), 0);
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
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
