//! The published Vision Transformers by name, each as torchvision or timm publishes it.

use super::Activation::{Gelu, QuickGelu};
use super::{Activation, Config, Framework, Prefix, Stem};
use crate::model::architecture::{Architecture, Geometry};

const fn member(name: &'static str, about: &'static str, geometry: Geometry, family: &'static Config) -> Architecture {
    let (stem, classifier) = match (family.framework, family.stem) {
        (Framework::Torchvision, _) => ("conv_proj.weight", "heads.head.weight"),
        (Framework::Timm, Stem::Patches) => ("patch_embed.proj.weight", "head.weight"),
        (Framework::Timm, Stem::Convolutions) => ("patch_embed.conv1.weight", "head.weight"),
    };
    // What patches give is laid out as tokens at once; convolutions are faster with the channels innermost, as elsewhere.
    let channels_last = matches!(family.stem, Stem::Convolutions);
    Architecture { name, about, geometry, stem, classifier, channels_last, family }
}

const fn cifar(name: &'static str, about: &'static str, family: &'static Config) -> Architecture {
    member(name, about, Geometry::rgb(32, 10), family)
}

/// Trained for ImageNet's 1000 classes on square images.
const fn imagenet(name: &'static str, about: &'static str, side: i64, family: &'static Config) -> Architecture {
    member(name, about, Geometry::rgb(side, 1000), family)
}

const fn small(width: i64, depth: usize, stem: Stem) -> Config {
    let plain = Config::new(Framework::Timm, 4, width, depth, 4);
    Config { prefix: Prefix::None, prefix_positions: false, stem, ..plain }
}

/// Width, depth and heads of the published sizes.
#[derive(Clone, Copy)]
struct Size(i64, usize, i64);

const TINY: Size = Size(192, 12, 3);
const SMALL: Size = Size(384, 12, 6);
const BASE: Size = Size(768, 12, 12);
const LARGE: Size = Size(1024, 24, 16);
const HUGE: Size = Size(1280, 32, 16);

const fn torchvision(patch: i64, Size(width, depth, heads): Size) -> Config {
    Config::new(Framework::Torchvision, patch, width, depth, heads)
}

const fn timm(patch: i64, Size(width, depth, heads): Size) -> Config {
    Config::new(Framework::Timm, patch, width, depth, heads)
}

const fn distilled(size: Size) -> Config {
    Config { prefix: Prefix::ClassAndDistillation, ..timm(16, size) }
}

const fn clip(patch: i64, size: Size, activation: Activation) -> Config {
    Config { pre_norm: true, epsilon: 1e-5, activation, ..timm(patch, size) }
}

const fn dinov2(size: Size) -> Config {
    Config { layer_scale: true, ..timm(14, size) }
}

const fn dinov2_registers(size: Size) -> Config {
    Config { prefix: Prefix::ClassAndRegisters(4), prefix_positions: false, ..dinov2(size) }
}

/// The members of the family.
pub const ARCHITECTURES: &[Architecture] = &[
    cifar(
        "cifar/vit-tiny",
        "ViT: patch 4, width 64, depth 4, 4 heads, mean of patch tokens",
        &small(64, 4, Stem::Patches),
    ),
    cifar(
        "cifar/vit",
        "ViT: patch 4, width 128, depth 6, 4 heads, mean of patch tokens",
        &small(128, 6, Stem::Patches),
    ),
    cifar(
        "cifar/vit-c-tiny",
        "ViT with convolutional stem: 8x8 tokens, width 64, depth 3",
        &small(64, 3, Stem::Convolutions),
    ),
    cifar(
        "cifar/vit-c",
        "ViT with convolutional stem: 8x8 tokens, width 128, depth 4",
        &small(128, 4, Stem::Convolutions),
    ),
    imagenet("torchvision/vit_b_16", "ViT-B/16 (Dosovitskiy et al. 2021)", 224, &torchvision(16, BASE)),
    imagenet("torchvision/vit_b_32", "ViT-B/32 (Dosovitskiy et al. 2021)", 224, &torchvision(32, BASE)),
    imagenet("torchvision/vit_l_16", "ViT-L/16 (Dosovitskiy et al. 2021)", 224, &torchvision(16, LARGE)),
    imagenet("torchvision/vit_l_32", "ViT-L/32 (Dosovitskiy et al. 2021)", 224, &torchvision(32, LARGE)),
    imagenet("torchvision/vit_h_14", "ViT-H/14 (Dosovitskiy et al. 2021)", 224, &torchvision(14, HUGE)),
    imagenet("timm/vit_tiny_patch16_224", "ViT-Ti/16 (Dosovitskiy et al. 2021)", 224, &timm(16, TINY)),
    imagenet("timm/vit_tiny_patch16_384", "ViT-Ti/16, 384x384 images (Dosovitskiy et al. 2021)", 384, &timm(16, TINY)),
    imagenet("timm/vit_small_patch8_224", "ViT-S/8 (Dosovitskiy et al. 2021)", 224, &timm(8, SMALL)),
    imagenet("timm/vit_small_patch16_224", "ViT-S/16 (Dosovitskiy et al. 2021)", 224, &timm(16, SMALL)),
    imagenet("timm/vit_small_patch16_384", "ViT-S/16, 384x384 images (Dosovitskiy et al. 2021)", 384, &timm(16, SMALL)),
    imagenet("timm/vit_small_patch32_224", "ViT-S/32 (Dosovitskiy et al. 2021)", 224, &timm(32, SMALL)),
    imagenet("timm/vit_small_patch32_384", "ViT-S/32, 384x384 images (Dosovitskiy et al. 2021)", 384, &timm(32, SMALL)),
    imagenet("timm/vit_base_patch8_224", "ViT-B/8 (Dosovitskiy et al. 2021)", 224, &timm(8, BASE)),
    imagenet("timm/vit_base_patch16_224", "ViT-B/16 (Dosovitskiy et al. 2021)", 224, &timm(16, BASE)),
    imagenet("timm/vit_base_patch16_384", "ViT-B/16, 384x384 images (Dosovitskiy et al. 2021)", 384, &timm(16, BASE)),
    imagenet("timm/vit_base_patch32_224", "ViT-B/32 (Dosovitskiy et al. 2021)", 224, &timm(32, BASE)),
    imagenet("timm/vit_base_patch32_384", "ViT-B/32, 384x384 images (Dosovitskiy et al. 2021)", 384, &timm(32, BASE)),
    imagenet("timm/vit_large_patch14_224", "ViT-L/14 (Dosovitskiy et al. 2021)", 224, &timm(14, LARGE)),
    imagenet("timm/vit_large_patch16_224", "ViT-L/16 (Dosovitskiy et al. 2021)", 224, &timm(16, LARGE)),
    imagenet("timm/vit_large_patch16_384", "ViT-L/16, 384x384 images (Dosovitskiy et al. 2021)", 384, &timm(16, LARGE)),
    imagenet("timm/vit_large_patch32_224", "ViT-L/32 (Dosovitskiy et al. 2021)", 224, &timm(32, LARGE)),
    imagenet("timm/vit_large_patch32_384", "ViT-L/32, 384x384 images (Dosovitskiy et al. 2021)", 384, &timm(32, LARGE)),
    imagenet("timm/deit_tiny_patch16_224", "DeiT-Ti/16 (Touvron et al. 2021)", 224, &timm(16, TINY)),
    imagenet("timm/deit_small_patch16_224", "DeiT-S/16 (Touvron et al. 2021)", 224, &timm(16, SMALL)),
    imagenet("timm/deit_base_patch16_224", "DeiT-B/16 (Touvron et al. 2021)", 224, &timm(16, BASE)),
    imagenet("timm/deit_base_patch16_384", "DeiT-B/16, 384x384 images (Touvron et al. 2021)", 384, &timm(16, BASE)),
    imagenet(
        "timm/deit_tiny_distilled_patch16_224",
        "DeiT-Ti/16 with distillation token (Touvron et al. 2021)",
        224,
        &distilled(TINY),
    ),
    imagenet(
        "timm/deit_small_distilled_patch16_224",
        "DeiT-S/16 with distillation token (Touvron et al. 2021)",
        224,
        &distilled(SMALL),
    ),
    imagenet(
        "timm/deit_base_distilled_patch16_224",
        "DeiT-B/16 with distillation token (Touvron et al. 2021)",
        224,
        &distilled(BASE),
    ),
    imagenet(
        "timm/deit_base_distilled_patch16_384",
        "DeiT-B/16 with distillation token, 384x384 images (Touvron et al. 2021)",
        384,
        &distilled(BASE),
    ),
    imagenet(
        "timm/vit_base_patch32_clip_224",
        "CLIP ViT-B/32 with a classifier (Radford et al. 2021)",
        224,
        &clip(32, BASE, Gelu),
    ),
    imagenet(
        "timm/vit_base_patch32_clip_256",
        "CLIP ViT-B/32 with a classifier, 256x256 images (Radford et al. 2021)",
        256,
        &clip(32, BASE, Gelu),
    ),
    imagenet(
        "timm/vit_base_patch32_clip_384",
        "CLIP ViT-B/32 with a classifier, 384x384 images (Radford et al. 2021)",
        384,
        &clip(32, BASE, Gelu),
    ),
    imagenet(
        "timm/vit_base_patch32_clip_448",
        "CLIP ViT-B/32 with a classifier, 448x448 images (Radford et al. 2021)",
        448,
        &clip(32, BASE, Gelu),
    ),
    imagenet(
        "timm/vit_base_patch16_clip_224",
        "CLIP ViT-B/16 with a classifier (Radford et al. 2021)",
        224,
        &clip(16, BASE, Gelu),
    ),
    imagenet(
        "timm/vit_base_patch16_clip_384",
        "CLIP ViT-B/16 with a classifier, 384x384 images (Radford et al. 2021)",
        384,
        &clip(16, BASE, Gelu),
    ),
    imagenet(
        "timm/vit_large_patch14_clip_224",
        "CLIP ViT-L/14 with a classifier (Radford et al. 2021)",
        224,
        &clip(14, LARGE, Gelu),
    ),
    imagenet(
        "timm/vit_large_patch14_clip_336",
        "CLIP ViT-L/14 with a classifier, 336x336 images (Radford et al. 2021)",
        336,
        &clip(14, LARGE, Gelu),
    ),
    imagenet(
        "timm/vit_base_patch32_clip_quickgelu_224",
        "CLIP ViT-B/32 with QuickGELU and a classifier",
        224,
        &clip(32, BASE, QuickGelu),
    ),
    imagenet(
        "timm/vit_base_patch16_clip_quickgelu_224",
        "CLIP ViT-B/16 with QuickGELU and a classifier",
        224,
        &clip(16, BASE, QuickGelu),
    ),
    imagenet(
        "timm/vit_large_patch14_clip_quickgelu_224",
        "CLIP ViT-L/14 with QuickGELU and a classifier",
        224,
        &clip(14, LARGE, QuickGelu),
    ),
    imagenet(
        "timm/vit_large_patch14_clip_quickgelu_336",
        "CLIP ViT-L/14 with QuickGELU and a classifier, 336x336 images",
        336,
        &clip(14, LARGE, QuickGelu),
    ),
    imagenet(
        "timm/vit_small_patch14_dinov2",
        "DINOv2 ViT-S/14 with a classifier (Oquab et al. 2023)",
        518,
        &dinov2(SMALL),
    ),
    imagenet(
        "timm/vit_base_patch14_dinov2",
        "DINOv2 ViT-B/14 with a classifier (Oquab et al. 2023)",
        518,
        &dinov2(BASE),
    ),
    imagenet(
        "timm/vit_large_patch14_dinov2",
        "DINOv2 ViT-L/14 with a classifier (Oquab et al. 2023)",
        518,
        &dinov2(LARGE),
    ),
    imagenet(
        "timm/vit_small_patch14_reg4_dinov2",
        "DINOv2 ViT-S/14 with 4 registers and a classifier (Darcet et al. 2023)",
        518,
        &dinov2_registers(SMALL),
    ),
    imagenet(
        "timm/vit_base_patch14_reg4_dinov2",
        "DINOv2 ViT-B/14 with 4 registers and a classifier (Darcet et al. 2023)",
        518,
        &dinov2_registers(BASE),
    ),
    imagenet(
        "timm/vit_large_patch14_reg4_dinov2",
        "DINOv2 ViT-L/14 with 4 registers and a classifier (Darcet et al. 2023)",
        518,
        &dinov2_registers(LARGE),
    ),
];
