//! What torchvision and timm do differently with the same Vision Transformer: names, and position embeddings of other grids.

/// Whose names and habits a ViT has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    /// timm's `VisionTransformer`.
    Timm,
    /// torchvision's `VisionTransformer`.
    Torchvision,
}

impl Framework {
    /// The framework's names.
    pub fn names(self) -> &'static Names {
        match self {
            Framework::Timm => &TIMM,
            Framework::Torchvision => &TORCHVISION,
        }
    }
}

/// How position embeddings are brought to another grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resampling {
    /// Bicubic with antialiasing: timm's `resample_abs_pos_embed`.
    Antialiased,
    /// Bicubic with corners on corners: torchvision's `interpolate_embeddings`.
    AlignedCorners,
}

/// A framework's names for the tensors and layers of a ViT, the tensors' without `.weight` and `.bias`.
#[derive(Debug)]
pub struct Names {
    /// Projection of patches.
    pub patches: &'static str,
    /// Class token.
    pub class_token: &'static str,
    /// Position embeddings.
    pub positions: &'static str,
    /// The layer that follows their sum with the tokens.
    pub embedded: &'static str,
    /// What stands before the number of a block.
    pub blocks: &'static str,
    /// Normalization before attention.
    pub norm1: &'static str,
    /// Attention.
    pub attention: &'static str,
    /// The matrix for queries, keys and values inside it, and what stands between it and `weight`.
    pub qkv: (&'static str, &'static str),
    /// The matrix behind the heads.
    pub projection: &'static str,
    /// Normalization before the block's second half.
    pub norm2: &'static str,
    /// First matrix, activation and second matrix of that half.
    pub mlp: [&'static str; 3],
    /// Normalization behind the last block.
    pub norm: &'static str,
    /// The vector that is classified.
    pub pooled: &'static str,
    /// The classifier.
    pub head: &'static str,
    /// Position embeddings of other grids.
    pub resampling: Resampling,
}

const TIMM: Names = Names {
    patches: "patch_embed.proj",
    class_token: "cls_token",
    positions: "pos_embed",
    embedded: "pos_drop",
    blocks: "blocks.",
    norm1: "norm1",
    attention: "attn",
    qkv: ("qkv", "."),
    projection: "proj",
    norm2: "norm2",
    mlp: ["fc1", "act", "fc2"],
    norm: "norm",
    pooled: "fc_norm",
    head: "head",
    resampling: Resampling::Antialiased,
};

const TORCHVISION: Names = Names {
    patches: "conv_proj",
    class_token: "class_token",
    positions: "encoder.pos_embedding",
    embedded: "encoder.dropout",
    blocks: "encoder.layers.encoder_layer_",
    norm1: "ln_1",
    attention: "self_attention",
    qkv: ("in_proj", "_"),
    projection: "out_proj",
    norm2: "ln_2",
    mlp: ["0", "1", "3"],
    norm: "encoder.ln",
    pooled: "pool",
    head: "heads.head",
    resampling: Resampling::AlignedCorners,
};
