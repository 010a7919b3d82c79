//! Distances to the decision boundary: along the path of activation maximization, and to first order.

mod linearized;
mod path;

pub use linearized::linearized;
pub use path::PathBlock;
