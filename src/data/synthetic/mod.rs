//! Procedural images for runs without any download: 32x32 RGB, one of ten shapes each.
//!
//! Only the shape tells the class. Colours, textures, position, size, rotation and proportions vary freely; clutter,
//! occlusion, uneven light, blur and sensor noise make a small network err on some images, and leave it directions along
//! which it can be fooled. An image depends on the generator's version, the split and the index alone.

mod dice;
mod scene;
mod shape;
mod texture;

use std::path::PathBuf;

use super::{DataError, Dataset, Image};
use crate::suite::Split;
use crate::terms::SampleId;

/// Images are square with this side, in pixels.
pub const SIDE: usize = 32;

/// Raised whenever the generator's images change.
pub const VERSION: u32 = 1;

/// The first `size` images of a split; the splits share no image.
#[derive(Debug, Clone)]
pub struct Synthetic {
    split: Split,
    size: usize,
    classes: Vec<String>,
}

impl Synthetic {
    /// The first `size` images of `split`.
    pub fn new(split: Split, size: usize) -> Self {
        Synthetic { split, size, classes: shape::CLASSES.map(String::from).to_vec() }
    }
}

impl Dataset for Synthetic {
    fn name(&self) -> &str {
        "synthetic"
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn len(&self) -> usize {
        self.size
    }

    fn id(&self, index: usize) -> SampleId {
        format!("{}/{index:06}", self.split.as_str()).into()
    }

    fn label(&self, index: usize) -> u32 {
        (index % self.classes.len()) as u32
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        if index >= self.size {
            return Err(DataError::Dataset(format!("synthetic data has no sample {index}: its size is {}", self.size)));
        }
        let mut dice = dice::Dice::new(VERSION, self.split.as_str(), index as u64);
        let pixels = scene::render(index % self.classes.len(), &mut dice);
        Ok(Image { channels: 3, height: SIDE, width: SIDE, pixels })
    }

    fn size(&self, _index: usize) -> Option<(u32, u32)> {
        Some((SIDE as u32, SIDE as u32))
    }

    fn location(&self, index: usize) -> PathBuf {
        format!("synthetic {}", self.id(index)).into()
    }

    fn fingerprint(&self, _index: usize) -> Result<u64, DataError> {
        Ok(u64::from(VERSION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_depends_on_split_and_index_alone() {
        let (few, many) = (Synthetic::new(Split::Test, 20), Synthetic::new(Split::Test, 1000));
        assert_eq!(few.image(7).unwrap(), many.image(7).unwrap());
        let train = Synthetic::new(Split::Train, 20);
        let mut all: Vec<Vec<u8>> =
            (0..20).flat_map(|i| [few.image(i).unwrap().pixels, train.image(i).unwrap().pixels]).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 40);
        assert_eq!(train.id(7).as_str(), "train/000007");
        assert_eq!(train.label(17), 7);
    }

    #[test]
    fn the_images_of_this_version_stay_as_they_are() {
        let data = Synthetic::new(Split::Train, 100);
        let mut hash = blake3::Hasher::new();
        (0..100).for_each(|index| {
            hash.update(&data.image(index).unwrap().pixels);
        });
        insta::assert_snapshot!(format!("version {VERSION}: {}", hash.finalize().to_hex()));
    }

    #[test]
    fn colour_alone_does_not_tell_the_class() {
        let data = Synthetic::new(Split::Train, 4000);
        let mut sums = [[0.0f64; 3]; 10];
        for index in 0..4000 {
            let image = data.image(index).unwrap();
            for (channel, plane) in image.pixels.chunks(SIDE * SIDE).enumerate() {
                let mean = plane.iter().map(|value| f64::from(*value)).sum::<f64>() / plane.len() as f64;
                sums[index % 10][channel] += mean / 400.0;
            }
        }
        for (class, sum) in sums.iter().enumerate() {
            let gaps = [0, 1, 2].map(|channel| sum[channel] - sums[0][channel]);
            assert!(gaps.iter().all(|gap| gap.abs() < 20.0), "class {class}: {gaps:?}");
        }
    }

    #[test]
    fn a_sample_beyond_the_size_is_an_error() {
        assert!(Synthetic::new(Split::Test, 3).image(3).is_err());
    }
}
