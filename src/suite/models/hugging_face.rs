//! The configuration of a ViT or DeiT of Hugging Face (`config.json` with `model_type`), as far as weights do not show it: what of it
//! am-eval computes is named after its twin in timm, and all else is refused.

use std::path::Path;

use serde_json::Value;

use super::FolderError;

/// Name, width, blocks and heads of the sizes that timm has.
const SIZES: [(&str, u64, u64, u64); 4] =
    [("tiny", 192, 12, 3), ("small", 384, 12, 6), ("base", 768, 12, 12), ("large", 1024, 24, 16)];

/// What a configuration says of a network that am-eval has.
#[derive(Debug, Clone, PartialEq)]
pub struct HuggingFace {
    /// The architecture.
    pub arch: String,
    /// Epsilon of layer normalization.
    pub layer_norm_epsilon: f64,
}

impl HuggingFace {
    /// Reads the configuration in the file `path`; none if it is not one of a ViT or DeiT. What it leaves out has the value that
    /// `ViTConfig` and `DeiTConfig` give it.
    ///
    /// # Errors
    /// If the network is one that am-eval does not compute, or a value cannot be meant.
    pub fn read(config: &Value, path: &Path) -> Result<Option<Self>, FolderError> {
        // Theirs always has the distillation token; DeiT without it is a `vit` there.
        let (family, distilled) = match config["model_type"].as_str() {
            Some("vit") => ("vit", ""),
            Some("deit") => ("deit", "_distilled"),
            _ => return Ok(None),
        };
        let refused =
            |problem: String, help: String| FolderError { problem: format!("{} {problem}", path.display()), help };
        let number = |key: &str, usual: u64| match &config[key] {
            Value::Null => Ok(usual),
            value => side(value).ok_or_else(|| {
                refused(
                    format!("gives {value} as `{key}`"),
                    "expected a positive whole number; images and patches are squares".to_owned(),
                )
            }),
        };
        let width = number("hidden_size", 768)?;
        let Some((size, _, depth, heads)) = SIZES.into_iter().find(|(_, known, ..)| *known == width) else {
            let known = SIZES.map(|(size, width, ..)| format!("{width} ({size})")).join(", ");
            let help = format!("expected one of {known}{ANY_OTHER}");
            return Err(refused(format!("has `hidden_size` {width}"), help));
        };
        for (key, expected, usual) in [
            ("num_hidden_layers", depth, 12),
            ("num_attention_heads", heads, 12),
            ("intermediate_size", 4 * width, 3072),
        ] {
            let found = number(key, usual)?;
            if found != expected {
                let help = format!("the {size} {family} of `hidden_size` {width} has {expected}{ANY_OTHER}");
                return Err(refused(format!("has `{key}` {found}"), help));
            }
        }
        match &config["hidden_act"] {
            Value::Null => {}
            Value::String(word) if word == "gelu" => {}
            other => {
                let help = format!("this network is computed with \"gelu\" alone{ANY_OTHER}");
                return Err(refused(format!("has `hidden_act` {other}"), help));
            }
        }
        if config["qkv_bias"] == Value::Bool(false) {
            let help = format!("queries, keys and values are computed with their biases{ANY_OTHER}");
            return Err(refused("has `qkv_bias` false".to_owned(), help));
        }
        check_rest(config).map_err(|(problem, help)| refused(problem, format!("{help}{ANY_OTHER}")))?;
        let layer_norm_epsilon = match &config["layer_norm_eps"] {
            Value::Null => 1e-12,
            value => value.as_f64().filter(|epsilon| (0.0..1.0).contains(epsilon)).ok_or_else(|| {
                refused(format!("gives {value} as `layer_norm_eps`"), "expected a number from 0 to 1".to_owned())
            })?,
        };
        let (patch, side) = (number("patch_size", 16)?, number("image_size", 224)?);
        let arch = format!("timm/{family}_{size}{distilled}_patch{patch}_{side}");
        Ok(Some(HuggingFace { arch, layer_norm_epsilon }))
    }
}

/// Keys that are read, that the shapes of the weights show, or that change nothing in evaluation.
const KNOWN: [&str; 48] = [
    "architectures",
    "model_type",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "id2label",
    "label2id",
    "num_labels",
    "finetuning_task",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "qkv_bias",
    "layer_norm_eps",
    "patch_size",
    "image_size",
    "num_channels",
    "encoder_stride",
    "initializer_range",
    "pooler_act",
    "pooler_output_size",
    "attention_probs_dropout_prob",
    "hidden_dropout_prob",
    "classifier_dropout",
    "return_dict",
    "output_hidden_states",
    "output_attentions",
    "torchscript",
    "use_cache",
    "tie_word_embeddings",
    "max_length",
    "min_length",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "length_penalty",
    "repetition_penalty",
    "diversity_penalty",
    "num_beams",
    "num_beam_groups",
    "num_return_sequences",
    "chunk_size_feed_forward",
    "gradient_checkpointing",
    "is_encoder_decoder",
    "use_bfloat16",
];

/// What the configuration says beyond what is read, and that may change the network: the problem and what would be right.
fn check_rest(config: &Value) -> Result<(), (String, String)> {
    let nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(members) => members.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    for (key, value) in config.as_object().into_iter().flatten() {
        if key == "problem_type" && !matches!(value.as_str(), None | Some("single_label_classification")) {
            let help = "the class with the largest logit is not the prediction of such a network".to_owned();
            return Err((format!("has `problem_type` {value}"), help));
        }
        let known = KNOWN.contains(&key.as_str()) || key == "problem_type" || key.starts_with('_');
        if !known && !nothing(value) {
            let short: String = value.to_string().chars().take(60).collect();
            return Err((format!("has `{key}` {short}"), "it may change the network, and is not computed".to_owned()));
        }
    }
    Ok(())
}

/// A positive number, or the side of a square that is given as `[side, side]`.
fn side(value: &Value) -> Option<u64> {
    let number = match value.as_array().map(Vec::as_slice) {
        Some([rows, columns]) if rows == columns => rows.as_u64(),
        _ => value.as_u64(),
    };
    number.filter(|number| *number > 0)
}

/// The way out for networks that are refused.
pub(super) const ANY_OTHER: &str = "; any other network can come as a program of torch.export (docs/models.md)";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(config: Value) -> Result<Option<HuggingFace>, FolderError> {
        HuggingFace::read(&config, Path::new("FOLDER/config.json"))
    }

    #[test]
    fn what_is_left_out_has_hugging_faces_value() {
        let found = read(json!({ "model_type": "vit" })).unwrap().unwrap();
        let expected = HuggingFace { arch: "timm/vit_base_patch16_224".to_owned(), layer_norm_epsilon: 1e-12 };
        assert_eq!(found, expected);
        assert_eq!(read(json!({ "model_type": "vit", "patch_size": [16, 16] })).unwrap().unwrap(), expected);
        assert_eq!(read(json!({ "model_type": "resnet" })), Ok(None));
        assert_eq!(read(json!([])), Ok(None));
    }

    #[test]
    fn a_configuration_as_it_is_saved() {
        // `ViTConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096, patch_size=32,
        // image_size=384, layer_norm_eps=1e-6).save_pretrained`, without what says nothing of the network.
        let found = read(json!({
            "architectures": ["ViTForImageClassification"], "attention_probs_dropout_prob": 0.0, "encoder_stride": 16,
            "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "hidden_size": 1024, "image_size": 384,
            "initializer_range": 0.02, "intermediate_size": 4096, "layer_norm_eps": 1e-06, "model_type": "vit",
            "num_attention_heads": 16, "num_channels": 3, "num_hidden_layers": 24, "patch_size": 32,
            "pooler_act": "tanh", "pooler_output_size": 1024, "qkv_bias": true, "transformers_version": "4.57.1"
        }));
        let found = found.unwrap().unwrap();
        assert_eq!((found.arch.as_str(), found.layer_norm_epsilon), ("timm/vit_large_patch32_384", 1e-6));
    }

    #[test]
    fn networks_that_are_not_computed_are_refused() {
        let changes = [
            json!({ "hidden_act": "quick_gelu" }),
            json!({ "hidden_act": 3 }),
            json!({ "qkv_bias": false }),
            json!({ "hidden_size": 32 }),
            json!({ "hidden_size": "wide" }),
            json!({ "hidden_size": 384, "num_attention_heads": 12 }),
            json!({ "num_attention_heads": 8 }),
            json!({ "num_hidden_layers": 6 }),
            json!({ "intermediate_size": 1536 }),
            json!({ "layer_norm_eps": -1e-6 }),
            json!({ "patch_size": 0 }),
            json!({ "image_size": [224, 192] }),
            json!({ "quantization_config": { "bits": 8 } }),
            json!({ "use_mean_pooling": true }),
            json!({ "problem_type": "multi_label_classification" }),
        ];
        let messages = changes.map(|mut config| {
            config["model_type"] = "vit".into();
            let error = read(config).unwrap_err();
            format!("{error} | {}", error.help)
        });
        insta::assert_snapshot!(messages.join("\n"));
    }

    proptest! {
        #[test]
        fn any_values_are_read_or_refused(key in "hidden_(act|size)|layer_norm_eps|qkv_bias|patch_size", value in ".{0,12}", number: f64) {
            let _ = read(json!({ "model_type": "vit", (key.clone()): value }));
            let _ = read(json!({ "model_type": "deit", (key): number }));
        }
    }
}
