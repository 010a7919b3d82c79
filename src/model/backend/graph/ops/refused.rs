//! Operators that no attack can use, with the reason: better than that they are merely not known.

/// Why the operator of this name, such as `aten.randn.default`, cannot be used; none for others.
pub fn why_not(operator: &str) -> Option<&'static str> {
    let (library, rest) = operator.split_once('.')?;
    let name = rest.split('.').next().unwrap_or(rest).trim_end_matches('_');
    match (library, name) {
        ("aten", name) if RANDOM.contains(&name) => Some(
            "draws random numbers in each pass, so that no answer is certain; take it out of the forward pass, or call `model.eval()` \
             before the export",
        ),
        ("aten", name) if OPEN_ENDED.contains(&name) => Some(
            "has an output whose size depends on the pixels' values, as in detectors; write the model with masks (`torch.where`) instead",
        ),
        (library, name)
            if library.starts_with("quantized") || name.contains("quantize") || name == "_weight_int8pack_mm" =>
        {
            Some("computes in whole numbers, which have no gradients; export the model before quantization")
        }
        ("torchvision", "nms" | "roi_align" | "roi_pool" | "ps_roi_align" | "ps_roi_pool") => {
            Some("belongs to detectors, whose answers are no logits [N, classes]; use a classifier")
        }
        _ => None,
    }
}

const RANDOM: &[&str] = &[
    "bernoulli",
    "cauchy",
    "exponential",
    "geometric",
    "log_normal",
    "multinomial",
    "normal",
    "normal_functional",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "random",
    "randperm",
    "rrelu_with_noise",
    "uniform",
];

const OPEN_ENDED: &[&str] = &[
    "argwhere",
    "masked_select",
    "nonzero",
    "nonzero_numpy",
    "unique",
    "_unique2",
    "unique_consecutive",
    "unique_dim",
];

#[cfg(test)]
mod tests {
    use super::why_not;

    #[test]
    fn reasons_are_told_apart() {
        let reason = |operator: &str| why_not(operator).unwrap_or_default();
        assert!(reason("aten.randn_like.default").contains("random"));
        assert!(reason("aten.uniform_.default").contains("random"), "also where it writes");
        assert!(reason("aten.nonzero.default").contains("size depends"));
        assert!(reason("quantized_decomposed.quantize_per_tensor.default").contains("quantization"));
        assert!(reason("torchvision.nms.default").contains("detectors"));
        assert_eq!(why_not("aten.relu.default"), None);
    }
}
