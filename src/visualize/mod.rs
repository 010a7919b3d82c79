//! Activation maximization proper: pictures of units, from noise or from an image, without labels and without a ball.
//!
//! A [`canvas`] turns parameters into an image; views of it, moved at random, go through the network as far as
//! the unit's layer; the unit's activation, less what `penalty` takes, is raised by Adam. Many units of a layer share a batch, and
//! no row sees another.

mod adam;
pub mod canvas;
mod colour;
mod error;
mod measures;
mod paint;
mod penalty;
mod plan;
mod render;
mod samples;
mod studio;
pub mod universal;
mod views;
mod wake;
pub mod ways;

pub use error::VisualizeError;
pub use paint::{Painted, Painter, Subject, fitted};
pub use render::{plain, png};
pub use samples::{Driven, RealSamples, patch};
pub use studio::Studio;
