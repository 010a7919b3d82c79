use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};

use super::*;
use crate::data::{Dataset, Pictures, Synthetic};
use crate::suite::{PictureOptimizer, Preprocess, Split};
use crate::visualize::adam::Adam;

/// A picture with edges, textures and shades, `[3, H, W]`: four scenes of the synthetic data beside each other.
fn photograph() -> Tensor {
    let scenes = Synthetic::new(Split::Test, 32);
    let scene = |index: usize| {
        let image = scenes.image(index).unwrap();
        Tensor::from_slice(&image.pixels).view([3, 32, 32]).to_kind(Kind::Float) / 255.0
    };
    let row = |first: usize| Tensor::cat(&[scene(first), scene(first + 1)], 2);
    // Odd in one direction.
    Tensor::cat(&[row(0), row(2)], 1).narrow(1, 0, 47).contiguous()
}

/// Rows and columns of a photograph of the shared test data, odd in one direction.
const PHOTOGRAPH: [i64; 2] = [223, 224];

/// Photographs `[2, 3, H, W]` of the shared test data; none where they are missing.
fn photographs() -> Option<Tensor> {
    let data = std::env::var_os("AM_EVAL_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let folder = data.join("imagenet20");
    let how = Preprocess { resize: Some(256), crop: Some(224), ..Preprocess::default() };
    let Ok(pictures) = Pictures::open(&folder, how) else {
        eprintln!("skipped: {} is missing", folder.display());
        return None;
    };
    let [height, width] = PHOTOGRAPH;
    let photograph = |index: usize| {
        let image = pictures.image(index).unwrap();
        let pixels = Tensor::from_slice(&image.pixels).view([3, 224, 224]).to_kind(Kind::Float) / 255.0;
        pixels.narrow(1, 0, height).narrow(2, 0, width).contiguous()
    };
    Some(Tensor::stack(&[photograph(0), photograph(7)], 0))
}

/// The mean absolute error from `image` `[C, H, W]`, or from images `[R, C, H, W]`, after so many steps of Adam with a rate of 0.05.
fn fit(canvas: &dyn Canvas, image: &Tensor, steps: usize) -> f64 {
    let config = PictureOptimizer { nesterov: false, rate: 0.05, beta1: 0.9, beta2: 0.999, cosine: true };
    let mut adam = Adam::new(config, steps);
    let rows = if image.dim() == 4 { image.size()[0] } else { 1 };
    let keys: Vec<String> = (0..rows).map(|row| format!("image/{row}")).collect();
    let mut parameters = canvas.start(&Noise::new(1, "fit"), &keys);
    for _ in 0..steps {
        let driven = parameters.detach().set_requires_grad(true);
        let loss = (canvas.image(&driven) - image).square().sum(Kind::Float);
        let gradient = Tensor::run_backward(&[loss], &[&driven], false, false).remove(0);
        parameters = tch::no_grad(|| canvas.settle(adam.step(&parameters, &gradient)));
    }
    error(&canvas.image(&parameters), image)
}

fn error(found: &Tensor, image: &Tensor) -> f64 {
    (found - image).abs().mean(Kind::Float).double_value(&[])
}

fn sizes(image: &Tensor) -> [i64; 3] {
    let size = image.size();
    [size[0], size[1], size[2]]
}

#[test]
fn pixels_and_spectra_fit_a_photograph() {
    let image = photograph();
    for form in [CanvasForm::Pixel, CanvasForm::Fourier { decay: 1.0 }, CanvasForm::Fourier { decay: 1.5 }] {
        let canvas = canvas(form, sizes(&image), Device::Cpu);
        let error = fit(canvas.as_ref(), &image, 1000);
        assert!(error < 0.01, "{form:?}: {error}");
    }
}

/// About a minute where the data is.
#[test]
fn real_photographs_are_fitted_and_come_back() {
    let Some(images) = photographs() else { return };
    for form in [CanvasForm::Pixel, CanvasForm::Fourier { decay: 1.0 }, CanvasForm::Fourier { decay: 1.5 }] {
        let canvas = canvas(form, sizes(&images.get(0)), Device::Cpu);
        let back = (canvas.image(&canvas.invert(&images)) - &images).abs().max().double_value(&[]);
        let error = fit(canvas.as_ref(), &images, 1000);
        eprintln!("{form:?}: mean error {error:.5} after 1000 steps, largest error of the inverse {back:.5}");
        assert!(error < 0.01 && back < 2e-3, "{form:?}: {error} {back}");
    }
}

#[test]
fn images_that_begin_a_picture_come_back() {
    let image = photograph().unsqueeze(0);
    for form in [CanvasForm::Pixel, CanvasForm::Fourier { decay: 1.0 }, CanvasForm::Fourier { decay: 1.5 }] {
        let canvas = canvas(form, sizes(&image.get(0)), Device::Cpu);
        let worst = (canvas.image(&canvas.invert(&image)) - &image).abs().max().double_value(&[]);
        assert!(worst < 2e-3, "{form:?}: {worst}");
    }
}

#[test]
fn a_spectrum_of_zeros_is_grey() {
    for size in [[3, 8, 8], [3, 5, 7], [1, 6, 3]] {
        let canvas = canvas(CanvasForm::Fourier { decay: 1.0 }, size, Device::Cpu);
        let parameters = canvas.start(&Noise::new(1, "grey"), &["a".to_owned()]) * 0.0;
        let image = canvas.image(&parameters);
        assert_eq!(image.size(), [1, size[0], size[1], size[2]]);
        assert!((image - 0.5).abs().max().double_value(&[]) < 1e-6);
    }
}

#[test]
fn phases_move_within_fixed_magnitudes() {
    let canvas = maco::Maco::analytic([3, 24, 31], Device::Cpu);
    let keys = ["a".to_owned(), "b".to_owned()];
    let parameters = canvas.start(&Noise::new(1, "phases"), &keys);
    let image = canvas.image(&parameters);
    let (least, most) = (image.min().double_value(&[]), image.max().double_value(&[]));
    assert!(least > 0.0 && most < 1.0 && most - least > 0.3, "{least} {most}");
    // The magnitudes of two pictures are proportional, whatever their phases.
    let values = Colours::new(3, Device::Cpu).decorrelate(&crate::visualize::colour::logit(&image));
    let spectra = spectrum::to_spectrum(&values).abs();
    let share = |row: i64| {
        let magnitudes = spectra.get(row).narrow(2, 1, 10);
        &magnitudes / magnitudes.sum(Kind::Float)
    };
    let difference = (share(0) - share(1)).abs().max().double_value(&[]) / share(0).max().double_value(&[]);
    assert!(difference < 0.02, "{difference}");
}

#[test]
fn a_row_starts_the_same_in_any_batch() {
    for form in [CanvasForm::Pixel, CanvasForm::Fourier { decay: 1.0 }, CanvasForm::Maco] {
        let canvas = canvas(form, [3, 6, 7], Device::Cpu);
        let noise = Noise::new(5, "start");
        let both = canvas.start(&noise, &["a".to_owned(), "b".to_owned()]);
        let alone = canvas.start(&noise, &["b".to_owned()]);
        assert_eq!(both.narrow(0, 1, 1), alone);
        let (in_both, by_itself) = (canvas.image(&both).get(1), canvas.image(&alone).get(0));
        assert!((in_both - by_itself).abs().max().double_value(&[]) < 1e-6);
    }
}

use crate::visualize::colour::Colours;
