//! Pictures for the gallery, and small ones of every sample.

use tch::{Kind, Tensor};

use crate::data::Image;
use crate::judge::CleanBlock;
use crate::record::{Example, Record, THUMBNAIL_SIDE, Thumbnail};
use crate::rows::floats;
use crate::terms::Norm;

/// The pictures of one flipped record; images `[1, C, H, W]` in [0, 1].
pub fn example(record: &Record, clean: &Tensor, image: &Tensor) -> Example {
    let delta = image - clean;
    let reach = delta.abs().max().double_value(&[]).max(1e-9);
    let gain = (1.0 / reach) as f32;
    let visible = (delta * f64::from(gain) * 0.5 + 0.5).clamp(0.0, 1.0);
    Example {
        cell: (*record.cell).clone(),
        sample_id: record.sample_id.clone(),
        label: record.label,
        clean_pred: record.clean_pred,
        adv_pred: record.adv_pred,
        confidence_clean: record.confidence_clean,
        confidence_adv: record.confidence_adv,
        linf: record.linf,
        l2: record.l2,
        length: match record.cell.norm {
            Norm::Linf | Norm::L2 => None,
            norm @ (Norm::L1 | Norm::L0) => Some(record.length(norm) as f32),
        },
        clean: png(clean),
        perturbation: png(&visible),
        gain,
        adversarial: png(image),
    }
}

/// The clean image of sample `index`, small.
pub fn thumbnail(clean: &CleanBlock, index: usize) -> Thumbnail {
    let image = plain(&clean.pixels.get(index as i64).unsqueeze(0));
    Thumbnail { sample_id: clean.ids[index].clone(), png: image.within(THUMBNAIL_SIDE).to_png() }
}

fn png(image: &Tensor) -> Vec<u8> {
    plain(image).to_png()
}

fn plain(image: &Tensor) -> Image {
    let size: Vec<usize> = image.size()[1..].iter().map(|&size| size as usize).collect();
    Image::from_unit(size[0], size[1], size[2], &floats(&image.to_kind(Kind::Float)))
}
