//! Decoding and preprocessing against Pillow's and torchvision's own output.

use std::path::{Path, PathBuf};

use super::Image;
use super::image_files::decode_file;
use super::preprocess::preprocess;
use crate::suite::{Channels, Interpolation, Preprocess};

fn load(path: &Path) -> Image {
    decode_file(path).unwrap()
}

/// Mean and largest absolute difference, in 8-bit levels.
fn difference(ours: &[u8], theirs: &[u8]) -> (f64, u8) {
    assert_eq!(ours.len(), theirs.len());
    let gaps = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    (gaps.clone().map(f64::from).sum::<f64>() / ours.len() as f64, gaps.max().unwrap_or(0))
}

#[test]
fn preprocessing_is_torchvisions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/preprocess");
    let cases = std::fs::read_to_string(folder.join("cases.txt")).unwrap();
    for case in cases.lines() {
        let [input, resize, crop, interpolation, channels, expected] = case.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{case}");
        };
        let interpolation = match interpolation {
            "bilinear" => Interpolation::Bilinear,
            "bicubic" => Interpolation::Bicubic,
            "nearest" => Interpolation::Nearest,
            other => panic!("{other}"),
        };
        let channels = (channels == "L").then_some(Channels::Grey);
        let how = Preprocess { channels, resize: resize.parse().ok(), crop: crop.parse().ok(), interpolation };
        let ours = preprocess(load(&folder.join(input)), &how).unwrap();
        let mut theirs = load(&folder.join(expected));
        if channels.is_some() {
            theirs.pixels.truncate(theirs.width * theirs.height);
        }
        assert_eq!((ours.width, ours.height), (theirs.width, theirs.height), "{case}");
        let (mean, largest) = difference(&ours.pixels, &theirs.pixels);
        // Resampling is exact; decoders of lossy formats round their transforms differently.
        let lossy = input.ends_with(".jpg") || input.ends_with("lossy.webp");
        let tolerance = match (lossy, how.resize) {
            (false, _) => (0.0, 0),
            (true, Some(_)) => (0.5, 6),
            (true, None) => (0.5, 12),
        };
        assert!(mean <= tolerance.0 && largest <= tolerance.1, "{case}: mean {mean}, largest {largest}");
        eprintln!("{case}: mean {mean:.4}, largest {largest}");
    }
}

/// A file of the shared test data, or none if it is not there.
fn shared(path: &str) -> Option<PathBuf> {
    let data = std::env::var_os("AM_EVAL_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = data.join(path);
    if !path.exists() {
        eprintln!("skipped: {} is missing", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn imagenet_pixels_are_torchvisions() {
    let (Some(folder), Some(reference)) =
        (shared("imagenet20"), shared("../reference/squeezenet_imagenet20.safetensors"))
    else {
        return;
    };
    let bytes = std::fs::read(reference).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let expected = tensors.tensor("pixels_u8").unwrap();
    assert_eq!(expected.shape(), [20, 3, 224, 224]);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    paths.sort();
    let how = Preprocess { resize: Some(256), crop: Some(224), ..Preprocess::default() };
    for (path, theirs) in paths.iter().zip(expected.data().chunks(3 * 224 * 224)) {
        let ours = preprocess(load(path), &how).unwrap();
        let (mean, largest) = difference(&ours.pixels, theirs);
        eprintln!("{}: mean {mean:.4}, largest {largest}", path.display());
        assert!(mean <= 0.5, "{}: mean {mean}, largest {largest}", path.display());
    }
}
