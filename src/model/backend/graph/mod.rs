//! Networks as graphs: what files of `torch.export` and ONNX are lowered to, and what computes them on libtorch.
//!
//! A frontend turns each node of its file into a *step*: a closure over libtorch calls that reads slots and writes slots. Arguments are
//! checked then, steps whose operands are constants are done at once, and what no answer needs is dropped. A pass runs the steps in
//! order, forgets a value after its last use, and shows activations to the probe under the names of modules and of nodes. No step
//! writes into a tensor: operators that do are lowered to their twins that do not ([`aliases`]).

mod aliases;
mod arguments;
mod builder;
mod ending;
mod folding;
mod gradient;
mod images;
mod labels;
mod landmarks;
mod network;
mod numbers;
mod opened;
pub mod ops;
mod origin;
mod overwriting;
mod parting;
mod preparation;
mod problems;
mod reading;
mod survey;
mod value;

pub use aliases::{Aliases, View};
use arguments::convolution_weight;
pub use arguments::{Arg, Args};
pub use builder::Builder;
pub use images::{Input, image};
pub use labels::{Call, Label, Labelled, labels};
pub use numbers::{Int, Ints, Number, Resolved};
pub use opened::{File, Lowering, OpenedGraph, Source};
pub use origin::line_of_code;
pub use problems::{Problems, both};
pub use reading::bytes_of;
pub use value::{Cost, Frame, Kernel, Lower, Lowered, Part, Product, Rule, Slot, Value, many, one, refuse};

use std::path::PathBuf;

/// Why a file's network cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The file could not be read.
    #[error("failed to read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is damaged, or its network is none that can be evaluated.
    #[error("{path}: not usable as {form}: {problem}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the file should be.
        form: &'static str,
        /// What is wrong, where, and what to change.
        problem: String,
    },
}

/// Most values that a tensor may have which the graph makes of nothing: more are a damaged file.
pub const MOST_VALUES: i64 = 1 << 30;

/// Most dimensions of a tensor.
pub const MOST_DIMENSIONS: usize = 8;
