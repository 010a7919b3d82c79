//! What kinds of data are called in sentences.

/// The data of a kind in words: `CIFAR-10`, `a table of images`; the kind itself where it is none that is known.
pub fn data_kind(kind: &str) -> &str {
    match kind {
        "cifar10" => "CIFAR-10",
        "cifar100" => "CIFAR-100",
        "mnist" => "MNIST",
        "fashion-mnist" => "Fashion-MNIST",
        "imagenet-val" => "ImageNet's validation images",
        "synthetic" => "procedural images",
        "csv" => "a table of images",
        "image-folder" => "a folder of images",
        "webdataset" => "tar shards of images",
        "idx" => "IDX files",
        other => other,
    }
}
