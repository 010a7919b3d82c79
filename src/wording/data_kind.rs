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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_of_data_is_called_by_its_key() {
        let source = include_str!("../suite/data_config.rs");
        assert!(source.contains("enum DataSource"));
        for kind in [
            "cifar10",
            "cifar100",
            "mnist",
            "fashion-mnist",
            "imagenet-val",
            "synthetic",
            "csv",
            "image-folder",
            "webdataset",
            "idx",
        ] {
            assert_ne!(data_kind(kind), kind);
        }
    }
}
