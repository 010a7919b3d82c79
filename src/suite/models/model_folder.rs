//! Folders of a model as the Hugging Face hub distributes them: `config.json` beside `model.safetensors`, or the cache's folder
//! of a repository, with `refs/` and `snapshots/`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::hugging_face::HuggingFace;
use super::{FolderError, timm};
use crate::files::{instead, read_regular};
use crate::suite::{Interpolation, Normalize, Preprocess};

/// The files that make a folder one of a model.
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";

/// What a model's folder says about it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFolder {
    /// The weights.
    pub weights: PathBuf,
    /// The architecture, if the configuration names one.
    pub arch: Option<String>,
    /// Normalization of pixels in [0, 1], if it is given; or why what is given cannot be used, where the suite does not override it.
    pub normalize: Result<Option<Normalize>, FolderError>,
    /// Resizing and cropping for evaluation, if it is given; or why what is given cannot be used.
    pub preprocess: Result<Option<Preprocess>, FolderError>,
    /// Epsilon of layer normalization, if the configuration is one of Hugging Face.
    pub layer_norm_epsilon: Option<f64>,
}

impl ModelFolder {
    /// Reads the folder's configuration: timm's (`architecture`, `pretrained_cfg`) or that of a Hugging Face ViT
    /// (`model_type`, beside `preprocessor_config.json`). What it does not say stays open.
    ///
    /// # Errors
    /// If files are missing, or the configuration is no JSON or holds values that cannot be meant.
    pub fn read(folder: &Path) -> Result<Self, FolderError> {
        let folder = snapshot(folder)?;
        let weights = folder.join(WEIGHTS);
        if !weights.is_file() {
            let problem = format!("{} has no {WEIGHTS}", folder.display());
            return Err(FolderError { problem, help: weights_elsewhere(&folder) });
        }
        let path = folder.join(CONFIG);
        let config = json(&path)?;
        let mut found = ModelFolder::bare(weights);
        if let Some(name) = config["architecture"].as_str() {
            timm::check(name, &config, &path)?;
            found.arch = Some(format!("timm/{name}"));
            let pretrained = if config["pretrained_cfg"].is_object() { &config["pretrained_cfg"] } else { &config };
            found.normalize = normalization(&pretrained["mean"], &pretrained["std"], &path);
            found.preprocess = timm::preprocess(pretrained, &path);
        } else if let Some(config) = HuggingFace::read(&config, &path)? {
            found.arch = Some(config.arch);
            found.layer_norm_epsilon = Some(config.layer_norm_epsilon);
            let path = folder.join("preprocessor_config.json");
            if path.is_file() {
                let processor = json(&path)?;
                found.normalize = processor_normalization(&processor, &path);
                found.preprocess = processor_preprocess(&processor, &path);
            }
        }
        Ok(found)
    }

    /// The same for a model's folder or its file of weights. Of the configuration beside a file, all that no tensor shows is looked
    /// at: whether the network is one that is computed, and Hugging Face's epsilon of layer normalization.
    ///
    /// # Errors
    /// See [`ModelFolder::read`].
    pub fn at(path: &Path) -> Result<Self, FolderError> {
        if path.is_dir() {
            return ModelFolder::read(path);
        }
        let mut found = ModelFolder::bare(path.to_path_buf());
        let config = path.with_file_name(CONFIG);
        if path.ends_with(WEIGHTS) && config.is_file() {
            let value = json(&config)?;
            if let Some(name) = value["architecture"].as_str() {
                timm::check(name, &value, &config)?;
            } else {
                found.layer_norm_epsilon = HuggingFace::read(&value, &config)?.map(|config| config.layer_norm_epsilon);
            }
        }
        Ok(found)
    }

    /// Weights without a description.
    fn bare(weights: PathBuf) -> Self {
        ModelFolder { weights, arch: None, normalize: Ok(None), preprocess: Ok(None), layer_norm_epsilon: None }
    }
}

/// The folder itself, or in a cache's folder of a repository the snapshot that `main` names, or the only one.
fn snapshot(folder: &Path) -> Result<PathBuf, FolderError> {
    if folder.join(CONFIG).is_file() {
        return Ok(folder.to_path_buf());
    }
    let snapshots = folder.join("snapshots");
    if let Ok(revision) = crate::files::read_text(folder.join("refs/main")) {
        let found = snapshots.join(revision.trim());
        if found.join(CONFIG).is_file() {
            return Ok(found);
        }
    }
    let entries = std::fs::read_dir(&snapshots).into_iter().flatten().flatten().map(|entry| entry.path());
    let found: Vec<PathBuf> = entries.filter(|path| path.join(CONFIG).is_file()).collect();
    match &found[..] {
        [only] => Ok(only.clone()),
        [] => Err(FolderError {
            problem: format!("{} has no {CONFIG}", folder.display()),
            help: format!("name a weights file, or a model's folder with {CONFIG} and {WEIGHTS}"),
        }),
        several => Err(FolderError {
            problem: format!("{} has {} snapshots", folder.display(), several.len()),
            help: "name one of the folders in snapshots/".to_owned(),
        }),
    }
}

/// The file that the folder has instead of `model.safetensors`, with what to do about it.
fn weights_elsewhere(folder: &Path) -> String {
    let others = ["pytorch_model.bin", "model.pth", "pytorch_model.pt"].map(|name| folder.join(name));
    match others.iter().find(|path| path.is_file()) {
        Some(path) => {
            let description = instead(path).unwrap_or_else(|| "it is no safetensors file".to_owned());
            format!("{} is there, but {description}; then name the converted file `{WEIGHTS}`", path.display())
        }
        None => format!("download the model's {WEIGHTS} into that folder"),
    }
}

fn json(path: &Path) -> Result<Value, FolderError> {
    let failed = |problem: String| FolderError { problem, help: "download the file again".to_owned() };
    const LARGEST: u64 = 1 << 26;
    let bytes =
        read_regular(path, LARGEST).map_err(|error| failed(format!("failed to read {}: {error}", path.display())))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(format!("{} is no JSON: {error}", path.display())))
}

fn normalization(mean: &Value, std: &Value, path: &Path) -> Result<Option<Normalize>, FolderError> {
    if mean.is_null() && std.is_null() {
        return Ok(None);
    }
    let values = |value: &Value| -> Option<Vec<f32>> {
        value.as_array()?.iter().map(|number| number.as_f64().map(|number| number as f32)).collect()
    };
    let read = || {
        let (mean, std) = (values(mean)?, values(std)?);
        let sane = matches!(mean.len(), 1 | 3)
            && mean.len() == std.len()
            && mean.iter().all(|value| (0.0..=1.0).contains(value))
            && std.iter().all(|value| value.is_finite() && *value > 0.0);
        sane.then_some(Normalize { mean, std })
    };
    read().map(Some).ok_or_else(|| FolderError {
        problem: format!("{} gives a mean {mean} and a standard deviation {std} that cannot be meant", path.display()),
        help: "expected one or three values each, means in [0, 1], deviations positive; `normalize` in the suite overrides them"
            .to_owned(),
    })
}

/// How a processor of Hugging Face normalizes pixels, after it brought them to [0, 1].
fn processor_normalization(processor: &Value, path: &Path) -> Result<Option<Normalize>, FolderError> {
    let refused = |key: &str, help: &str| FolderError {
        problem: format!("{} has `{key}` {}, which is not computed", path.display(), processor[key]),
        help: format!("{help}; `normalize` in the suite overrides it, if pixels in [0, 1] can be normalized so"),
    };
    if processor["do_rescale"] == Value::Bool(false) {
        return Err(refused("do_rescale", "pixels are brought to [0, 1] before they are normalized"));
    }
    let factor = processor["rescale_factor"].as_f64();
    if factor.is_some_and(|factor| (factor * 255.0 - 1.0).abs() > 1e-3) {
        return Err(refused("rescale_factor", "pixels are divided by 255"));
    }
    const KNOWN: [&str; 6] =
        ["do_resize", "do_rescale", "do_normalize", "do_center_crop", "do_convert_rgb", "do_reduce_labels"];
    for (key, value) in processor.as_object().into_iter().flatten() {
        let switch = key.starts_with("do_") || key == "rescale_offset";
        if switch && value == &Value::Bool(true) && !KNOWN.contains(&key.as_str()) {
            return Err(refused(key, "am-eval resizes, crops and normalizes, and does nothing else"));
        }
    }
    match processor["do_normalize"].as_bool() {
        Some(false) => Ok(Some(Normalize { mean: vec![0.0; 3], std: vec![1.0; 3] })),
        _ => normalization(&processor["image_mean"], &processor["image_std"], path),
    }
}

/// How a processor of Hugging Face resizes and crops, where it keeps proportions.
///
/// # Errors
/// If it squeezes images to a square, or resamples as nothing here does.
fn processor_preprocess(processor: &Value, path: &Path) -> Result<Option<Preprocess>, FolderError> {
    let side = |value: &Value| {
        value.as_u64().and_then(|side| u32::try_from(side).ok()).filter(|side| (1..=16_384).contains(side))
    };
    let resizes = processor["do_resize"] != Value::Bool(false);
    let resize = side(&processor["size"]["shortest_edge"]).filter(|_| resizes);
    let crops = processor["do_center_crop"] == Value::Bool(true);
    let size = &processor["crop_size"];
    let crop =
        side(size).or_else(|| side(&size["height"]).filter(|_| size["height"] == size["width"])).filter(|_| crops);
    let squeezed = side(&processor["size"]).or_else(|| side(&processor["size"]["height"]));
    if let (Some(side), None, true) = (squeezed, resize, resizes) {
        let problem =
            format!("{} squeezes images to `size` {}, which is not computed", path.display(), processor["size"]);
        let help = format!(
            "write `resize = {side}` in [data], which is the same for square images, and `crop = {side}` too for others"
        );
        return Err(FolderError { problem, help });
    }
    if resize.is_none() && crop.is_none() {
        return Ok(None);
    }
    let interpolation = match processor["resample"].as_u64() {
        Some(0) => Interpolation::Nearest,
        None | Some(2) => Interpolation::Bilinear,
        Some(3) => Interpolation::Bicubic,
        Some(_) => {
            let problem = format!("{} has `resample` {}, which is not computed", path.display(), processor["resample"]);
            let help =
                "0 (nearest), 2 (bilinear) and 3 (bicubic) are; `resize` and `crop` in [data] override it".to_owned();
            return Err(FolderError { problem, help });
        }
    };
    Ok(Some(Preprocess { channels: None, resize, crop, interpolation }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMM: &str = r#"{"architecture": "vit_tiny_patch16_224", "num_classes": 1000, "pretrained_cfg": {
        "input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.9,
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn timms_configuration_gives_everything() {
        let folder = folder(&[(CONFIG, TIMM), (WEIGHTS, "")]);
        let found = ModelFolder::read(folder.path()).unwrap();
        assert_eq!(found.arch.as_deref(), Some("timm/vit_tiny_patch16_224"));
        assert_eq!(found.normalize, Ok(Some(Normalize { mean: vec![0.5; 3], std: vec![0.5; 3] })));
        // timm.data.create_transform of this configuration resizes to 248.
        let expected = Preprocess {
            resize: Some(248),
            crop: Some(224),
            interpolation: Interpolation::Bicubic,
            ..Preprocess::default()
        };
        assert_eq!(found.preprocess, Ok(Some(expected)));
    }

    #[test]
    fn a_hugging_face_vit_is_named_after_its_timm_twin() {
        let config =
            r#"{"model_type": "vit", "layer_norm_eps": 1e-6, "hidden_size": 768, "patch_size": 16, "image_size": 224}"#;
        let processor = r#"{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}"#;
        let folder = folder(&[(CONFIG, config), ("preprocessor_config.json", processor), (WEIGHTS, "")]);
        let found = ModelFolder::read(folder.path()).unwrap();
        assert_eq!(found.arch.as_deref(), Some("timm/vit_base_patch16_224"));
        assert_eq!(found.normalize.unwrap().unwrap().std, [0.25; 3]);
        assert_eq!((found.preprocess, found.layer_norm_epsilon), (Ok(None), Some(1e-6)));
        let deit = r#"{"model_type": "deit", "hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}"#;
        let found = ModelFolder::read(self::folder(&[(CONFIG, deit), (WEIGHTS, "")]).path()).unwrap();
        assert_eq!(found.arch.as_deref(), Some("timm/deit_tiny_distilled_patch16_224"));
        assert_eq!(found.layer_norm_epsilon, Some(1e-12));
    }

    #[test]
    fn pixels_that_are_not_normalized_stay_as_they_are() {
        let processor = r#"{"do_normalize": false, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#;
        let files = [(CONFIG, r#"{"model_type": "vit"}"#), ("preprocessor_config.json", processor), (WEIGHTS, "")];
        let found = ModelFolder::read(folder(&files).path()).unwrap();
        assert_eq!(found.normalize, Ok(Some(Normalize { mean: vec![0.0; 3], std: vec![1.0; 3] })));
    }

    #[test]
    fn processors_that_do_something_else_are_refused() {
        let found = |processor: &str| {
            let files = [(CONFIG, r#"{"model_type": "vit"}"#), ("preprocessor_config.json", processor), (WEIGHTS, "")];
            ModelFolder::read(folder(&files).path()).unwrap()
        };
        for processor in [
            r#"{"do_rescale": false}"#,
            r#"{"rescale_factor": 1.0}"#,
            r#"{"do_flip_channel_order": true}"#,
            r#"{"rescale_offset": true}"#,
        ] {
            assert!(found(processor).normalize.is_err(), "{processor}");
        }
        let folder = found(
            r#"{"do_rescale": true, "rescale_factor": 0.00392156862745098, "do_center_crop": true, "crop_size": {"height": 224, "width": 224},
                "size": {"shortest_edge": 256}, "resample": 3, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#,
        );
        let expected =
            Preprocess { channels: None, resize: Some(256), crop: Some(224), interpolation: Interpolation::Bicubic };
        assert_eq!((folder.preprocess, folder.normalize.is_ok()), (Ok(Some(expected)), true));
        assert!(found(r#"{"size": {"shortest_edge": 256}, "resample": 1}"#).preprocess.is_err());
        for squeezing in [r#"{"size": 224}"#, r#"{"size": {"height": 224, "width": 224}, "do_resize": true}"#] {
            let refused = found(squeezing).preprocess.unwrap_err();
            assert!(
                refused.problem.contains("squeezes images") && refused.help.contains("`resize = 224`"),
                "{refused:?}"
            );
        }
        assert_eq!(found(r#"{"size": 224, "do_resize": false}"#).preprocess.unwrap(), None);
    }

    #[test]
    fn a_file_beside_the_configuration_of_another_network_is_refused() {
        let files =
            [(CONFIG, r#"{"architecture": "resnet18", "global_pool": "max"}"#), (WEIGHTS, ""), ("a.safetensors", "")];
        let folder = folder(&files);
        assert!(ModelFolder::at(&folder.path().join(WEIGHTS)).unwrap_err().problem.contains("`global_pool` \"max\""));
        assert!(ModelFolder::at(&folder.path().join("a.safetensors")).is_ok());
    }

    #[test]
    fn a_file_that_is_named_itself_has_the_epsilon_of_the_configuration_beside_it() {
        let config = r#"{"model_type": "vit", "layer_norm_eps": 1e-6}"#;
        let folder = folder(&[(CONFIG, config), (WEIGHTS, ""), ("other.safetensors", "")]);
        let epsilon = |name: &str| ModelFolder::at(&folder.path().join(name)).unwrap().layer_norm_epsilon;
        assert_eq!((epsilon(WEIGHTS), epsilon(""), epsilon("other.safetensors")), (Some(1e-6), Some(1e-6), None));
        let timm = self::folder(&[(CONFIG, TIMM), (WEIGHTS, "")]);
        assert_eq!(ModelFolder::at(&timm.path().join(WEIGHTS)).unwrap().layer_norm_epsilon, None);
    }

    #[test]
    fn a_caches_folder_leads_to_its_snapshot() {
        let snapshots = [("snapshots/a1/config.json", TIMM), ("snapshots/a1/model.safetensors", "")];
        let only = folder(&snapshots);
        assert!(ModelFolder::read(only.path()).unwrap().weights.ends_with("snapshots/a1/model.safetensors"));
        let other = [("snapshots/b2/config.json", TIMM), ("snapshots/b2/model.safetensors", "")];
        let several = folder(&[&snapshots[..], &other[..]].concat());
        assert!(ModelFolder::read(several.path()).unwrap_err().problem.ends_with("has 2 snapshots"));
        let named = folder(&[&snapshots[..], &other[..], &[("refs/main", "b2\n")]].concat());
        assert!(ModelFolder::read(named.path()).unwrap().weights.ends_with("snapshots/b2/model.safetensors"));
    }

    #[test]
    fn what_is_missing_or_senseless_is_named() {
        let error = |files: &[(&str, &str)]| {
            let folder = folder(files);
            let found = ModelFolder::read(folder.path()).and_then(|found| found.normalize);
            let error = found.unwrap_err();
            format!("{error} | {}", error.help).replace(&folder.path().display().to_string(), "FOLDER")
        };
        let pixels = TIMM.replace("\"mean\": [0.5, 0.5, 0.5]", "\"mean\": [123, 117, 104]");
        let messages = [
            error(&[]),
            error(&[(CONFIG, TIMM)]),
            error(&[(CONFIG, TIMM), ("pytorch_model.bin", "")]),
            error(&[(CONFIG, "{"), (WEIGHTS, "")]),
            error(&[(CONFIG, &pixels), (WEIGHTS, "")]),
        ];
        insta::assert_snapshot!(messages.join("\n"));
    }

    proptest! {
        #[test]
        fn any_configuration_is_read_or_refused(text in r#"(\{"architecture": "a", "pretrained_cfg": \{"mean": .{0,9}\}\}|.{0,40})"#) {
            let folder = folder(&[(CONFIG, &text), (WEIGHTS, "")]);
            let _ = ModelFolder::read(folder.path());
        }
    }
}
