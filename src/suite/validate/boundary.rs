//! `[boundary]`.

use super::attack::check_linf_radius;
use crate::suite::config::{BoundaryConfig, BoundaryMethod, Loss};
use crate::suite::raw::RawBoundary;
use crate::suite::read::At;
use crate::suite::read::problem::Problems;
use crate::terms::{Epsilon, Norm};

pub(super) fn resolve(raw: At<RawBoundary>, problems: &mut Problems) -> Option<BoundaryConfig> {
    let raw = raw.value;
    let norm = raw.norm.map_or(Norm::L2, |norm| norm.value.0);
    let max_radius = match &raw.max_radius {
        Some(radius) => {
            check_linf_radius(Some(norm), radius, "radius", problems);
            if radius.value.0.value() == 0.0 {
                problems.add(radius.span.clone(), "`max_radius` must be greater than 0", "nothing to search");
            }
            radius.value.0
        }
        None => {
            let largest = match norm {
                Norm::Linf => 32.0 / 255.0,
                Norm::L2 => 4.0,
                Norm::L1 => 100.0,
            };
            Epsilon::new(largest).ok()?
        }
    };
    let methods = match raw.methods {
        None => vec![BoundaryMethod::Path],
        Some(methods) => {
            if methods.value.is_empty() && problems.none_within(&methods.span) {
                problems.add(methods.span, "`methods` is empty", "no method").help("known are path, fmn");
            }
            let mut distinct = Vec::new();
            for method in methods.value {
                if distinct.contains(&method.value) {
                    problems.add(method.span, "this method stands twice", "again here");
                } else {
                    distinct.push(method.value);
                }
            }
            distinct
        }
    };
    Some(BoundaryConfig {
        norm,
        methods,
        max_radius,
        steps: raw.steps.map_or(40, |steps| steps.value.size()),
        loss: raw.loss.map_or(Loss::Margin, |loss| loss.value),
        bisections: raw.bisections.map_or(20, |bisections| bisections.value.size()),
    })
}
