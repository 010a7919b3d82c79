//! The residual networks by name.

use super::block::{Branch, Change};
use super::names::{Names, PYTORCH_CIFAR, TIMM, TORCHVISION, TRADES};
use super::{Config, Stem};
use crate::model::architecture::{Architecture, Geometry};

const fn member(name: &'static str, about: &'static str, family: &'static Config) -> Architecture {
    let geometry = match family.stem {
        Stem::Large => Geometry::rgb(224, 1000),
        Stem::Small => Geometry::rgb(32, 10),
    };
    let classifier = family.names.classifier_weight;
    Architecture { name, about, geometry, stem: "conv1.weight", classifier, channels_last: true, family }
}

const BOTTLENECK: Branch = Branch::Bottleneck { groups: 1, width: 64 };

/// For ImageNet: four stages from 64 channels on.
const fn imagenet(names: &'static Names, branch: Branch, stages: &'static [usize]) -> Config {
    Config { branch, change: Change::Normalized, stages, stem: Stem::Large, entry: 64, planes: 64, names }
}

/// For 32x32 images, of depth 6n + 2: three stages of n blocks, from 16 channels on, and shortcuts without weights (He et al.
/// 2016, section 4.2).
const fn small(stages: &'static [usize]) -> Config {
    let (stem, names) = (Stem::Small, &TORCHVISION);
    Config { branch: Branch::Basic, change: Change::Padding, stages, stem, entry: 16, planes: 16, names }
}

/// For 32x32 images: the four stages of ResNet-18 behind a 3x3 convolution.
const fn cifar18(branch: Branch, change: Change) -> Config {
    let (stem, names) = (Stem::Small, &PYTORCH_CIFAR);
    Config { branch, change, stages: &[2, 2, 2, 2], stem, entry: 64, planes: 64, names }
}

/// For 32x32 images, of depth 6n + 4 (Zagoruyko and Komodakis 2016, <https://arxiv.org/abs/1605.07146>).
const fn wide(stages: &'static [usize], widening: i64) -> Config {
    let (branch, change, stem) = (Branch::PreActivation, Change::Plain, Stem::Small);
    Config { branch, change, stages, stem, entry: 16, planes: 16 * widening, names: &TRADES }
}

/// The members of the family.
pub const ARCHITECTURES: &[Architecture] = &[
    member("cifar/resnet8", "ResNet-8 for 32x32 images (He et al. 2016, section 4.2, n = 1)", &small(&[1; 3])),
    member("cifar/resnet14", "ResNet-14 for 32x32 images (n = 2)", &small(&[2; 3])),
    member("cifar/resnet20", "ResNet-20 for 32x32 images (n = 3)", &small(&[3; 3])),
    member("cifar/resnet32", "ResNet-32 for 32x32 images (n = 5)", &small(&[5; 3])),
    member("cifar/resnet44", "ResNet-44 for 32x32 images (n = 7)", &small(&[7; 3])),
    member("cifar/resnet56", "ResNet-56 for 32x32 images (n = 9)", &small(&[9; 3])),
    member(
        "cifar/resnet18",
        "ResNet-18 with a 3x3 stem (kuangliu/pytorch-cifar, RobustBench's `ResNet18`)",
        &cifar18(Branch::Basic, Change::Normalized),
    ),
    member(
        "cifar/preact_resnet18",
        "ResNet-18 with pre-activation (Rice et al. 2020, RobustBench's `PreActBlockV2` with `bn_before_fc`)",
        &cifar18(Branch::PreActivation, Change::Sequence),
    ),
    member("cifar/wide_resnet-28-10", "WRN-28-10 (TRADES, RobustBench's `WideResNet`)", &wide(&[4; 3], 10)),
    member("cifar/wide_resnet-34-10", "WRN-34-10 (TRADES, RobustBench's `WideResNet`)", &wide(&[5; 3], 10)),
    member("torchvision/resnet18", "ResNet-18 (He et al. 2016)", &imagenet(&TORCHVISION, Branch::Basic, &[2, 2, 2, 2])),
    member("torchvision/resnet34", "ResNet-34", &imagenet(&TORCHVISION, Branch::Basic, &[3, 4, 6, 3])),
    member("torchvision/resnet50", "ResNet-50", &imagenet(&TORCHVISION, BOTTLENECK, &[3, 4, 6, 3])),
    member("torchvision/resnet101", "ResNet-101", &imagenet(&TORCHVISION, BOTTLENECK, &[3, 4, 23, 3])),
    member("torchvision/resnet152", "ResNet-152", &imagenet(&TORCHVISION, BOTTLENECK, &[3, 8, 36, 3])),
    member(
        "torchvision/wide_resnet50_2",
        "ResNet-50 with twice the inner channels (Zagoruyko and Komodakis 2016)",
        &imagenet(&TORCHVISION, Branch::Bottleneck { groups: 1, width: 128 }, &[3, 4, 6, 3]),
    ),
    member(
        "torchvision/resnext50_32x4d",
        "ResNeXt-50: 32 groups of 4 channels (Xie et al. 2017)",
        &imagenet(&TORCHVISION, Branch::Bottleneck { groups: 32, width: 4 }, &[3, 4, 6, 3]),
    ),
    member("timm/resnet18", "ResNet-18, layers named as in timm", &imagenet(&TIMM, Branch::Basic, &[2, 2, 2, 2])),
    member("timm/resnet50", "ResNet-50, layers named as in timm", &imagenet(&TIMM, BOTTLENECK, &[3, 4, 6, 3])),
];
