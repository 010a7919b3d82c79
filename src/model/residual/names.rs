//! What frameworks and repositories call the same parts of a residual network.

/// The names of one source. Those of modules are in its weights files too; those of functions are what torchvision's feature
/// extractor calls them.
#[derive(Debug)]
pub struct Names {
    /// The first ReLU of a network.
    pub relu: &'static str,
    /// The ReLUs of a block, in their order.
    pub relus: [&'static str; 3],
    /// The stages, counted from 1 behind this word.
    pub stage: &'static str,
    /// A module around the blocks of each stage, where the source has one.
    pub blocks: Option<&'static str>,
    /// The shortcut that changes channels or size.
    pub shortcut: &'static str,
    /// The batch normalization behind the last stage of networks with pre-activation.
    pub last_norm: &'static str,
    /// A second first stage, which files hold and networks do not use.
    pub unused: Option<&'static str>,
    /// The mean over positions, flattened.
    pub pool: [&'static str; 2],
    /// A module around both, where the source has one.
    pub pooled: Option<&'static str>,
    /// The classifier.
    pub classifier: &'static str,
    /// The classifier's weight.
    pub classifier_weight: &'static str,
}

/// torchvision, `torchvision/models/resnet.py`.
pub const TORCHVISION: Names = Names {
    relu: "relu",
    relus: ["relu", "relu_1", "relu_2"],
    stage: "layer",
    blocks: None,
    shortcut: "downsample",
    last_norm: "bn",
    unused: None,
    pool: ["avgpool", "flatten"],
    pooled: None,
    classifier: "fc",
    classifier_weight: "fc.weight",
};

/// timm, `timm/models/resnet.py`.
pub const TIMM: Names = Names {
    relu: "act1",
    relus: ["act1", "act2", "act3"],
    pool: ["global_pool.pool", "global_pool.flatten"],
    pooled: Some("global_pool"),
    ..TORCHVISION
};

/// kuangliu/pytorch-cifar, `models/resnet.py` and `models/preact_resnet.py`, and RobustBench's forms of them
/// (`robustbench/model_zoo/architectures/resnet.py`).
pub const PYTORCH_CIFAR: Names = Names {
    shortcut: "shortcut",
    pool: ["avg_pool2d", "view"],
    classifier: "linear",
    classifier_weight: "linear.weight",
    ..TORCHVISION
};

/// yaodongyu/TRADES, `models/wideresnet.py`, and RobustBench's form of it
/// (`robustbench/model_zoo/architectures/wide_resnet.py`).
pub const TRADES: Names = Names {
    relus: ["relu1", "relu2", "relu3"],
    stage: "block",
    blocks: Some("layer"),
    shortcut: "convShortcut",
    last_norm: "bn1",
    unused: Some("sub_block1"),
    pool: ["avg_pool2d", "view"],
    ..TORCHVISION
};
