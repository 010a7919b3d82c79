//! Rows, scheduling, verification, device and precision.

pub mod device;
