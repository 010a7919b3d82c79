//! Training images in memory, shuffled and augmented by generators keyed by seed, epoch and position.

use rayon::prelude::*;
use tch::{Kind, Tensor};

use super::TrainError;
use super::recipe::TrainRecipe;
use crate::data::{self, Image};
use crate::model::Geometry;
use crate::random::Stream;
use crate::suite::{DataConfig, DataSource};

/// All images of a split, decoded.
pub struct Images {
    /// Images of one size.
    pub images: Vec<Image>,
    /// Class of each.
    pub labels: Vec<i64>,
    /// Number of classes.
    pub classes: usize,
}

impl Images {
    /// Decodes every image of `source`, in parallel.
    ///
    /// # Errors
    /// If the data set cannot be opened or an image cannot be read.
    pub fn load(source: &DataSource) -> Result<Self, TrainError> {
        let dataset = data::open(&DataConfig::plain(source.clone()))?;
        let images: Vec<Image> =
            (0..dataset.len()).into_par_iter().map(|index| dataset.image(index)).collect::<Result<_, _>>()?;
        let labels = (0..dataset.len()).map(|index| i64::from(dataset.label(index))).collect();
        Ok(Images { images, labels, classes: dataset.classes().len() })
    }

    /// What a network for these images and classes is built for.
    pub fn geometry(&self) -> Geometry {
        let side = |size: fn(&Image) -> usize| self.images.first().map_or(0, size) as i64;
        Geometry {
            channels: side(|image| image.channels),
            height: side(|image| image.height),
            width: side(|image| image.width),
            classes: self.classes as i64,
        }
    }

    /// The order of one epoch (Fisher-Yates).
    pub fn order(&self, seed: u64, epoch: usize) -> Vec<usize> {
        let mut generator = generator(seed, epoch, u64::MAX);
        let mut order: Vec<usize> = (0..self.images.len()).collect();
        generator.shuffle(&mut order);
        order
    }

    /// Pixels `[N, C, H, W]` in [0, 1] and labels `[N]` of the images `chosen`, augmented as the recipe says.
    pub fn augmented(&self, chosen: &[usize], recipe: &TrainRecipe, seed: u64, epoch: usize) -> (Tensor, Tensor) {
        let pixels: Vec<Vec<u8>> = chosen
            .par_iter()
            .map(|&index| augment(&self.images[index], recipe, &mut generator(seed, epoch, index as u64)))
            .collect();
        self.tensors(chosen, pixels.concat())
    }

    /// Pixels and labels of the images `chosen`, as they are.
    pub fn plain(&self, chosen: &[usize]) -> (Tensor, Tensor) {
        let pixels: Vec<&[u8]> = chosen.iter().map(|&index| self.images[index].pixels.as_slice()).collect();
        self.tensors(chosen, pixels.concat())
    }

    fn tensors(&self, chosen: &[usize], pixels: Vec<u8>) -> (Tensor, Tensor) {
        let Image { channels, height, width, .. } = self.images[chosen[0]];
        let shape = [chosen.len() as i64, channels as i64, height as i64, width as i64];
        let labels: Vec<i64> = chosen.iter().map(|&index| self.labels[index]).collect();
        (Tensor::from_slice(&pixels).view(shape).to_kind(Kind::Float) / 255.0, Tensor::from_slice(&labels))
    }
}

fn generator(seed: u64, epoch: usize, stream: u64) -> Stream {
    Stream::new(&[format!("train/{seed}/{epoch}/{stream}").as_bytes()])
}

fn augment(image: &Image, recipe: &TrainRecipe, generator: &mut Stream) -> Vec<u8> {
    let (height, width) = (image.height as isize, image.width as isize);
    let mirrored = recipe.flip && generator.below(2) == 1;
    let reach = recipe.crop;
    let (down, right) = (generator.below(2 * reach + 1) as isize, generator.below(2 * reach + 1) as isize);
    let (down, right) = (down - reach as isize, right - reach as isize);
    let hole = recipe.cutout as isize;
    let (top, left) =
        (generator.below(image.height) as isize - hole / 2, generator.below(image.width) as isize - hole / 2);
    let mut out = vec![0u8; image.pixels.len()];
    for channel in 0..image.channels {
        let plane = channel * image.height * image.width;
        for y in 0..height {
            let from_y = y + down;
            for x in 0..width {
                let shifted_x = x + right;
                let from_x = if mirrored { width - 1 - shifted_x } else { shifted_x };
                let hidden = (top..top + hole).contains(&y) && (left..left + hole).contains(&x);
                if !hidden && (0..height).contains(&from_y) && (0..width).contains(&from_x) {
                    out[plane + (y * width + x) as usize] = image.pixels[plane + (from_y * width + from_x) as usize];
                }
            }
        }
    }
    out
}
