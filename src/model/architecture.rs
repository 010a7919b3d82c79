//! What an architecture is: the images and classes that it is for, and the family that builds it.

use super::Network;
use super::weights::{Scope, WeightsFile};

/// The images and classes that a network is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Channels of an image.
    pub channels: i64,
    /// Rows of an image.
    pub height: i64,
    /// Columns of an image.
    pub width: i64,
    /// Logits.
    pub classes: i64,
}

impl Geometry {
    /// Square colour images.
    pub const fn rgb(side: i64, classes: i64) -> Self {
        Geometry { channels: 3, height: side, width: side, classes }
    }

    /// Channels, rows and columns of an image.
    pub fn image(&self) -> [i64; 3] {
        [self.channels, self.height, self.width]
    }
}

/// Why images of `geometry` are too small for a network that needs so many rows and columns; none if they are not.
pub(super) fn below(least: i64, geometry: Geometry) -> Option<String> {
    let Geometry { height, width, .. } = geometry;
    (height.min(width) < least)
        .then(|| format!("it needs images of at least {least}x{least}; {height}x{width} is less"))
}

/// A family of networks: its configuration builds one of them.
pub trait Family: std::fmt::Debug + Sync {
    /// The network for images and classes of `geometry`, from the tensors that `scope` gives.
    fn build(&self, scope: &Scope, geometry: Geometry) -> Box<dyn Network>;

    /// Why the network cannot take images of `geometry`, as the end of a sentence about it; none if it can.
    fn unfit(&self, _geometry: Geometry) -> Option<String> {
        None
    }

    /// Brings the weights to the family's names, where they are those of another framework that the family knows.
    fn adopt(&self, _weights: &mut WeightsFile) {}
}

/// What the harness knows about an architecture before any weights are read.
#[derive(Debug, Clone, Copy)]
pub struct Architecture {
    /// The name in suites, such as `cifar/resnet20`.
    pub name: &'static str,
    /// What it is, with its source.
    pub about: &'static str,
    /// The images and classes that its authors published it for.
    pub geometry: Geometry,
    /// The tensor whose second dimension is the number of channels of an image.
    pub stem: &'static str,
    /// The tensor whose first dimension is the number of classes.
    pub classifier: &'static str,
    /// Whether activations with the channels innermost are faster on the CPU (measured by `benches/layout.rs`).
    pub channels_last: bool,
    /// The configuration.
    pub family: &'static dyn Family,
}
