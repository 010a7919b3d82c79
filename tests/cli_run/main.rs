//! The real binary on whole runs: outputs, resuming, bad input, saved images, reports, training.
#![cfg(feature = "torch")]

mod bad_input;
mod faults;
mod inputs;
mod outputs;
mod resume;
mod sandbox;
mod saved_images;
mod shards;
mod training;
mod transfer;
mod workers;
