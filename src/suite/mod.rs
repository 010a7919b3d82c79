//! From TOML with spans to a validated [`Suite`], and from there to a plan.

mod config;

pub use config::*;
