//! Folders of a model as the Hugging Face hub distributes them: `config.json` beside `model.safetensors`, or the cache's folder
//! of a repository, with `refs/` and `snapshots/`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::FolderError;
use super::hugging_face::HuggingFace;
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
    /// Normalization of pixels in [0, 1], if it is given.
    pub normalize: Option<Normalize>,
    /// Resizing and cropping for evaluation, if it is given.
    pub preprocess: Option<Preprocess>,
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
        let config = json(&folder.join(CONFIG))?;
        let mut found = ModelFolder::of(weights);
        if let Some(name) = config["architecture"].as_str() {
            found.arch = Some(format!("timm/{name}"));
            let pretrained = if config["pretrained_cfg"].is_object() { &config["pretrained_cfg"] } else { &config };
            found.normalize = normalization(&pretrained["mean"], &pretrained["std"], &folder.join(CONFIG))?;
            found.preprocess = preprocess(pretrained);
        } else if let Some(config) = HuggingFace::read(&config, &folder.join(CONFIG))? {
            found.arch = Some(config.arch);
            found.layer_norm_epsilon = Some(config.layer_norm_epsilon);
            let path = folder.join("preprocessor_config.json");
            if path.is_file() {
                let processor = json(&path)?;
                found.normalize = match processor["do_normalize"].as_bool() {
                    Some(false) => Some(Normalize { mean: vec![0.0; 3], std: vec![1.0; 3] }),
                    _ => normalization(&processor["image_mean"], &processor["image_std"], &path)?,
                };
            }
        }
        Ok(found)
    }

    /// The same for a model's folder or its file of weights. All that is taken from the configuration beside a file is Hugging
    /// Face's epsilon of layer normalization, which no tensor shows.
    ///
    /// # Errors
    /// See [`ModelFolder::read`].
    pub fn at(path: &Path) -> Result<Self, FolderError> {
        if path.is_dir() {
            return ModelFolder::read(path);
        }
        let mut found = ModelFolder::of(path.to_path_buf());
        let config = path.with_file_name(CONFIG);
        if path.ends_with(WEIGHTS) && config.is_file() {
            found.layer_norm_epsilon =
                HuggingFace::read(&json(&config)?, &config)?.map(|config| config.layer_norm_epsilon);
        }
        Ok(found)
    }

    /// Weights without a description.
    fn of(weights: PathBuf) -> Self {
        ModelFolder { weights, arch: None, normalize: None, preprocess: None, layer_norm_epsilon: None }
    }
}

/// The folder itself, or in a cache's folder of a repository the snapshot that `main` names, or the only one.
fn snapshot(folder: &Path) -> Result<PathBuf, FolderError> {
    if folder.join(CONFIG).is_file() {
        return Ok(folder.to_path_buf());
    }
    let snapshots = folder.join("snapshots");
    if let Ok(revision) = std::fs::read_to_string(folder.join("refs/main")) {
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
    let pickle =
        ["pytorch_model.bin", "model.pth", "pytorch_model.pt"].into_iter().find(|name| folder.join(name).is_file());
    match pickle {
        Some(name) => format!(
            "{name} can execute code when it is loaded; convert it: python3 -c \"import torch, safetensors.torch as s; \
             s.save_file(torch.load('{name}', weights_only=True), '{WEIGHTS}')\""
        ),
        None => format!("download the model's {WEIGHTS} into that folder"),
    }
}

fn json(path: &Path) -> Result<Value, FolderError> {
    let failed = |problem: String| FolderError { problem, help: "download the file again".to_owned() };
    let text =
        std::fs::read_to_string(path).map_err(|error| failed(format!("failed to read {}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| failed(format!("{} is no JSON: {error}", path.display())))
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

/// timm's evaluation transform: the shorter side becomes `crop / crop_pct`, rounded down, then the centre is cut out.
fn preprocess(config: &Value) -> Option<Preprocess> {
    let crop = config["input_size"].as_array()?.last()?.as_u64().filter(|side| (1..=16_384).contains(side))? as u32;
    let percentage = config["crop_pct"].as_f64().filter(|share| *share > 0.0 && *share <= 1.0).unwrap_or(0.875);
    let interpolation = match config["interpolation"].as_str() {
        Some("bicubic") => Interpolation::Bicubic,
        _ => Interpolation::Bilinear,
    };
    let resize = Some((f64::from(crop) / percentage).floor() as u32);
    Some(Preprocess { channels: None, resize, crop: Some(crop), interpolation })
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
        assert_eq!(found.normalize, Some(Normalize { mean: vec![0.5; 3], std: vec![0.5; 3] }));
        // timm.data.create_transform of this configuration resizes to 248.
        let expected = Preprocess {
            resize: Some(248),
            crop: Some(224),
            interpolation: Interpolation::Bicubic,
            ..Preprocess::default()
        };
        assert_eq!(found.preprocess, Some(expected));
    }

    #[test]
    fn a_hugging_face_vit_is_named_after_its_timm_twin() {
        let config =
            r#"{"model_type": "vit", "layer_norm_eps": 1e-6, "hidden_size": 768, "patch_size": 16, "image_size": 224}"#;
        let processor = r#"{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}"#;
        let folder = folder(&[(CONFIG, config), ("preprocessor_config.json", processor), (WEIGHTS, "")]);
        let found = ModelFolder::read(folder.path()).unwrap();
        assert_eq!(found.arch.as_deref(), Some("timm/vit_base_patch16_224"));
        assert_eq!(found.normalize.unwrap().std, [0.25; 3]);
        assert_eq!((found.preprocess, found.layer_norm_epsilon), (None, Some(1e-6)));
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
        assert_eq!(found.normalize, Some(Normalize { mean: vec![0.0; 3], std: vec![1.0; 3] }));
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
        let said = |files: &[(&str, &str)]| {
            let folder = folder(files);
            let error = ModelFolder::read(folder.path()).unwrap_err();
            format!("{error} | {}", error.help).replace(&folder.path().display().to_string(), "FOLDER")
        };
        let pixels = TIMM.replace("\"mean\": [0.5, 0.5, 0.5]", "\"mean\": [123, 117, 104]");
        let messages = [
            said(&[]),
            said(&[(CONFIG, TIMM)]),
            said(&[(CONFIG, TIMM), ("pytorch_model.bin", "")]),
            said(&[(CONFIG, "{"), (WEIGHTS, "")]),
            said(&[(CONFIG, &pixels), (WEIGHTS, "")]),
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
