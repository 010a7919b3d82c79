//! timm's `config.json`, as far as weights do not show it: what of it am-eval computes, and what it refuses.

use std::path::Path;

use serde_json::Value;

use super::FolderError;
use super::hugging_face::ANY_OTHER;
use crate::suite::{Interpolation, Preprocess};

/// Arguments of a model that change nothing in evaluation, or that the shapes of the weights show.
const HARMLESS: [&str; 16] = [
    "num_classes",
    "in_chans",
    "img_size",
    "pretrained",
    "drop_rate",
    "drop_path_rate",
    "drop_block_rate",
    "attn_drop_rate",
    "proj_drop_rate",
    "pos_drop_rate",
    "patch_drop_rate",
    "head_drop_rate",
    "zero_init_last",
    "init_values",
    "weight_init",
    "fix_init",
];

/// Checks that the network that the configuration names is the one that the architecture's name stands for.
///
/// # Errors
/// If it pools otherwise, or has arguments that change it.
pub(super) fn check(name: &str, config: &Value, path: &Path) -> Result<(), FolderError> {
    let refused = |difference: String, help: String| FolderError {
        problem: format!("{} has {difference}: another network than {name} as am-eval computes it", path.display()),
        help: format!("{help}{ANY_OTHER}"),
    };
    let usual = usual_pool(name);
    let pool = |value: &Value, key: &str| match value {
        Value::Null => Ok(()),
        Value::String(word) if word == usual => Ok(()),
        other => Err(refused(format!("`{key}` {other}"), format!("{name} is computed with \"{usual}\" alone"))),
    };
    pool(&config["global_pool"], "global_pool")?;
    // timm takes it from there where nothing else says it.
    if config["global_pool"].is_null() && config["model_args"]["global_pool"].is_null() {
        pool(&config["pretrained_cfg"]["global_pool"], "pretrained_cfg.global_pool")?;
    }
    let arguments = match &config["model_args"] {
        Value::Null => return Ok(()),
        Value::Object(arguments) => arguments,
        other => return Err(refused(format!("`model_args` {other}"), "expected an object".to_owned())),
    };
    for (key, value) in arguments {
        match key.as_str() {
            "global_pool" => pool(value, "model_args.global_pool")?,
            // Those of the weights decide; a size that is none is the weights' own.
            _ if HARMLESS.contains(&key.as_str()) || value.is_null() => {}
            _ => {
                let help = "its arguments are not computed".to_owned();
                return Err(refused(format!("`model_args.{key}` {value}"), help));
            }
        }
    }
    Ok(())
}

/// How the networks of timm make one vector of many.
fn usual_pool(name: &str) -> &'static str {
    let transformer = ["vit_", "deit", "beit", "eva"].iter().any(|family| name.starts_with(family));
    if transformer && !name.contains("_gap") { "token" } else { "avg" }
}

/// timm's evaluation transform: the shorter side becomes `crop / crop_pct`, rounded down, then the centre is cut out.
///
/// # Errors
/// If it is another transform, or one that cannot be meant.
pub(super) fn preprocess(config: &Value, path: &Path) -> Result<Option<Preprocess>, FolderError> {
    let refused = |key: &str, help: &str| FolderError {
        problem: format!("{} prepares images with `{key}` {}, which is not computed", path.display(), config[key]),
        help: format!("{help}; `resize` and `crop` in [data] override it"),
    };
    let side = |value: &Value| value.as_u64().filter(|side| (1..=16_384).contains(side));
    let crop = match &config["input_size"] {
        Value::Null => return Ok(None),
        Value::Array(sizes) => match &sizes[..] {
            [_, rows, columns] if rows == columns && side(rows).is_some() => side(rows).unwrap_or(1) as u32,
            _ => return Err(refused("input_size", "expected [channels, side, side]: images are squares")),
        },
        _ => return Err(refused("input_size", "expected [channels, side, side]")),
    };
    match config["crop_mode"].as_str() {
        None | Some("center") => {}
        Some(_) => return Err(refused("crop_mode", "\"center\" alone is computed")),
    }
    let interpolation = match &config["interpolation"] {
        Value::Null => Interpolation::Bilinear,
        Value::String(word) if word == "bilinear" => Interpolation::Bilinear,
        Value::String(word) if word == "bicubic" => Interpolation::Bicubic,
        Value::String(word) if word == "nearest" => Interpolation::Nearest,
        _ => return Err(refused("interpolation", "\"bilinear\", \"bicubic\" and \"nearest\" are computed")),
    };
    let share = match &config["crop_pct"] {
        Value::Null => Some(0.875),
        value => value.as_f64().filter(|share| *share > 0.0 && *share <= 1.0),
    };
    let Some(share) = share else { return Err(refused("crop_pct", "expected a share above 0 and up to 1")) };
    let resize = Some((f64::from(crop) / share).floor() as u32);
    Ok(Some(Preprocess { channels: None, resize, crop: Some(crop), interpolation }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(name: &str, config: Value) -> String {
        let path = Path::new("FOLDER/config.json");
        let found = check(name, &config, path).and_then(|()| preprocess(&config["pretrained_cfg"], path));
        found.map_or_else(|error| format!("{error} | {}", error.help), |found| format!("{found:?}"))
    }

    #[test]
    fn networks_and_transforms_that_are_not_computed_are_refused() {
        let size = [3, 224, 224];
        let cases = [
            ("resnet18", json!({ "global_pool": "max" })),
            ("resnet18", json!({ "global_pool": "catavgmax" })),
            ("resnet18", json!({ "pretrained_cfg": { "global_pool": "max" } })),
            ("resnet18", json!({ "model_args": { "act_layer": "silu" } })),
            ("resnet50", json!({ "model_args": { "output_stride": 16 } })),
            (
                "vit_tiny_patch16_224",
                json!({ "global_pool": "token", "model_args": { "global_pool": "avg", "fc_norm": false } }),
            ),
            ("vit_tiny_patch16_224", json!({ "model_args": "none" })),
            ("resnet18", json!({ "pretrained_cfg": { "input_size": size, "interpolation": "lanczos" } })),
            ("resnet18", json!({ "pretrained_cfg": { "input_size": size, "crop_mode": "squash" } })),
            ("resnet18", json!({ "pretrained_cfg": { "input_size": [3, 224, 192] } })),
            ("resnet18", json!({ "pretrained_cfg": { "input_size": size, "crop_pct": 1.2 } })),
        ];
        insta::assert_snapshot!(cases.map(|(name, config)| outcome(name, config)).join("\n"));
    }

    #[test]
    fn what_changes_nothing_is_taken() {
        let config = json!({
            "global_pool": "avg", "num_features": 512,
            "model_args": { "num_classes": 2, "drop_rate": 0.1, "img_size": 224, "act_layer": null },
            "pretrained_cfg": { "input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.95, "crop_mode": "center" },
        });
        assert!(outcome("resnet18", config).starts_with("Some(Preprocess"));
        assert_eq!(outcome("deit_tiny_patch16_224", json!({ "global_pool": "token" })), "None");
    }
}
