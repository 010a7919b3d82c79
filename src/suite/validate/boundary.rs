//! `[boundary]`.

use super::attack::check_linf_radius;
use crate::suite::config::{BoundaryConfig, BoundaryMethod, Loss, ModelConfig, Target};
use crate::suite::raw::RawBoundary;
use crate::suite::read::At;
use crate::suite::read::problem::Problems;
use crate::terms::{Epsilon, Norm};

pub(super) fn resolve(raw: At<RawBoundary>, models: &[ModelConfig], problems: &mut Problems) -> Option<BoundaryConfig> {
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
        None => Epsilon::new(farthest(norm)).ok()?,
    };
    let methods = match raw.methods {
        None => vec![usual(norm)],
        Some(methods) => {
            if methods.value.is_empty() && problems.none_within(&methods.span) {
                problems
                    .add(methods.span, "`methods` is empty", "no method")
                    .help(format!("known for {norm} are {}", known(norm)));
            }
            let mut distinct = Vec::new();
            for method in methods.value {
                if !method.value.norms().contains(&norm) {
                    let name = method.value.as_str();
                    problems
                        .add(
                            method.span,
                            format!("method `{name}` does not measure {norm} distances"),
                            "not in this norm",
                        )
                        .help(format!("methods for {norm}: {}", known(norm)));
                } else if distinct.contains(&method.value) {
                    problems.add(method.span, "this method stands twice", "again here");
                } else {
                    distinct.push(method.value);
                }
            }
            distinct
        }
    };
    let target = raw.target.as_ref().map_or(Target::Untargeted, |target| target.value.0);
    if let (Target::Class(index), Some(at)) = (target, &raw.target) {
        for model in models {
            if let Some(classes) = model.classes.filter(|&classes| index >= classes) {
                problems
                    .add(at.span.clone(), format!("model `{}` has no class {index}", model.name), "no such class")
                    .help(format!("its classes are 0 to {}", classes - 1));
            }
        }
    }
    let steps = if methods == [BoundaryMethod::Path] { 40 } else { 100 };
    Some(BoundaryConfig {
        norm,
        methods,
        max_radius,
        steps: raw.steps.map_or(steps, |steps| steps.value.size()),
        loss: raw.loss.map_or(Loss::Margin, |loss| loss.value),
        bisections: raw.bisections.map_or(20, |bisections| bisections.value.size()),
        target,
    })
}

/// The methods that measure in `norm`.
fn known(norm: Norm) -> String {
    let methods = BoundaryMethod::ALL.into_iter().filter(|method| method.norms().contains(&norm));
    methods.map(BoundaryMethod::as_str).collect::<Vec<_>>().join(", ")
}

/// The method of suites that name none.
fn usual(norm: Norm) -> BoundaryMethod {
    match norm {
        Norm::Linf | Norm::L2 => BoundaryMethod::Path,
        Norm::L1 => BoundaryMethod::Fab,
        Norm::L0 => BoundaryMethod::SigmaZero,
    }
}

/// How far is searched in suites that do not say.
fn farthest(norm: Norm) -> f64 {
    match norm {
        Norm::Linf => 32.0 / 255.0,
        Norm::L2 => 4.0,
        Norm::L1 => 100.0,
        Norm::L0 => 10_000.0,
    }
}
