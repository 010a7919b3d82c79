//! Verdicts on made-up runs, and the file of a baseline.

use super::testing::*;
use super::*;

mod baselines;
mod verdicts;
mod worst_case;
