//! Weights of Hugging Face's `ViTForImageClassification` and `DeiTForImageClassificationWithTeacher`, under timm's names.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::model::weights::WeightsFile;

/// `layer_norm_eps` of these networks if no configuration says another, where timm has 1e-6.
const EPSILON: f64 = 1e-12;

/// Renames the tensors of `weights` and joins queries, keys and values, if they have Hugging Face's names.
pub fn adopt(weights: &mut WeightsFile) {
    let backbones = ["vit.", "deit.", ""];
    let has_backbone = |backbone: &&&str| weights.tensors.contains_key(&format!("{backbone}embeddings.cls_token"));
    let Some(backbone) = backbones.iter().find(has_backbone) else { return };
    weights.tensors = renamed(std::mem::take(&mut weights.tensors), backbone);
    weights.layer_norm_epsilon = Some(EPSILON);
}

fn renamed(tensors: BTreeMap<String, Tensor>, backbone: &str) -> BTreeMap<String, Tensor> {
    let mut renamed = BTreeMap::new();
    for (name, tensor) in tensors {
        let without_backbone = name.strip_prefix(backbone).unwrap_or(&name);
        // They have no part in classification: the first is for pre-training, the second for other heads.
        if without_backbone != "embeddings.mask_token" && !without_backbone.starts_with("pooler.dense.") {
            renamed.insert(timm_name(without_backbone).unwrap_or_else(|| name.clone()), tensor);
        }
    }
    join_projections(&mut renamed);
    renamed
}

/// timm's name for Hugging Face's, the latter without the backbone's; none if it is not one of theirs.
fn timm_name(name: &str) -> Option<String> {
    let renamed = match name {
        "embeddings.cls_token" => "cls_token",
        "embeddings.distillation_token" => "dist_token",
        "embeddings.position_embeddings" => "pos_embed",
        _ => "",
    };
    if !renamed.is_empty() {
        return Some(renamed.to_owned());
    }
    let (layer, kind) = name.rsplit_once('.')?;
    let timm = match layer {
        "embeddings.patch_embeddings.projection" => "patch_embed.proj".to_owned(),
        "layernorm" => "norm".to_owned(),
        "classifier" | "cls_classifier" => "head".to_owned(),
        "distillation_classifier" => "head_dist".to_owned(),
        _ => {
            // The second of each is that of a state dict of transformers 5, whose files keep the first.
            let blocks = layer.strip_prefix("encoder.layer.").or_else(|| layer.strip_prefix("layers."));
            let (block, part) = blocks?.split_once('.')?;
            let part = match part {
                "attention.attention.query" | "attention.q_proj" => "attn.query",
                "attention.attention.key" | "attention.k_proj" => "attn.key",
                "attention.attention.value" | "attention.v_proj" => "attn.value",
                "attention.output.dense" | "attention.o_proj" => "attn.proj",
                "intermediate.dense" | "mlp.fc1" => "mlp.fc1",
                "output.dense" | "mlp.fc2" => "mlp.fc2",
                "layernorm_before" => "norm1",
                "layernorm_after" => "norm2",
                _ => return None,
            };
            format!("blocks.{block}.{part}")
        }
    };
    Some(format!("{timm}.{kind}"))
}

/// Joins `attn.query`, `attn.key` and `attn.value` of each block to `attn.qkv`, where all three have one shape.
fn join_projections(tensors: &mut BTreeMap<String, Tensor>) {
    let queries: Vec<String> = tensors.keys().filter(|name| name.contains(".attn.query.")).cloned().collect();
    for query in queries {
        let names = ["query", "key", "value"].map(|part| query.replace(".query.", &format!(".{part}.")));
        let parts: Vec<&Tensor> = names.iter().filter_map(|name| tensors.get(name)).collect();
        let alike =
            parts.iter().all(|part| part.dim() > 0 && part.size() == parts[0].size() && part.kind() == parts[0].kind());
        if parts.len() == names.len() && alike {
            let joined = Tensor::cat(&parts, 0);
            tensors.insert(query.replace(".query.", ".qkv."), joined);
            for name in &names {
                tensors.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;
    use safetensors::tensor::{TensorView, serialize_to_file};
    use tch::{Device, Kind};

    use super::*;
    use crate::model::{Compute, Scope};

    fn names(tensors: &[(&str, &[i64])]) -> Vec<(String, Vec<i64>)> {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let tensors = tensors.iter().map(|(name, shape)| ((*name).to_owned(), zeros(shape))).collect();
        renamed(tensors, "vit.").into_iter().map(|(name, tensor)| (name, tensor.size())).collect()
    }

    #[test]
    fn projections_are_joined_where_all_three_are_there() {
        let attention = "vit.encoder.layer.3.attention.attention";
        let [query, key, value] = ["query", "key", "value"].map(|part| format!("{attention}.{part}.bias"));
        let complete = names(&[(&query, &[4]), (&key, &[4]), (&value, &[4])]);
        assert_eq!(complete, [("blocks.3.attn.qkv.bias".to_owned(), vec![12])]);
        let five = ["q_proj", "k_proj", "v_proj"].map(|part| format!("vit.layers.3.attention.{part}.bias"));
        assert_eq!(names(&[(&five[0], &[4]), (&five[1], &[4]), (&five[2], &[4])]), complete);
        let missing = names(&[(&query, &[4]), (&key, &[4])]);
        assert_eq!(missing.len(), 2);
        let unlike = names(&[(&query, &[4]), (&key, &[5]), (&value, &[4])]);
        assert_eq!(unlike.len(), 3);
        let scalars = names(&[(&query, &[]), (&key, &[]), (&value, &[])]);
        assert_eq!(scalars.len(), 3);
    }

    /// The epsilon that a network gets from a file with a tensor of this name.
    fn epsilon(tensor: &str) -> f64 {
        let view = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        serialize_to_file([(tensor, view)], None, file.path()).unwrap();
        let mut weights = WeightsFile::read(file.path()).unwrap();
        adopt(&mut weights);
        Scope::file(&weights, Compute::f32(Device::Cpu)).layer_norm_epsilon(1e-6)
    }

    #[test]
    fn layer_normalization_has_the_epsilon_of_its_framework() {
        assert_eq!(epsilon("vit.embeddings.cls_token"), 1e-12);
        assert_eq!(epsilon("deit.embeddings.cls_token"), 1e-12);
        assert_eq!(epsilon("cls_token"), 1e-6);
    }

    #[test]
    fn unknown_names_stay_and_those_without_a_part_in_classification_go() {
        let retained =
            names(&[("vit.encoder.layer.0.new.weight", &[1]), ("vit.pooler.dense.weight", &[1]), ("lone", &[1])]);
        assert_eq!(retained, [("lone".to_owned(), vec![1]), ("vit.encoder.layer.0.new.weight".to_owned(), vec![1])]);
    }
}
