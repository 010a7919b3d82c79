//! What makes two runs the same run.

use tch::{Device, Kind};

use super::device::{self, paints_with, searches_with};
use crate::model::{Compute, ModelSource};
use crate::suite::{SearchPrecision, Suite};

/// Version of everything that determines a result besides the suite: a change makes earlier blocks unusable.
pub const ENGINE_VERSION: &str = "4";

/// Version of what a run's identity is made of: since 2 the images' content, the number of threads on a CPU, and libtorch's version.
pub const IDENTITY_FORMAT: u32 = 2;

/// The suite's name and twelve digits of a hash of everything that determines the results.
/// On a CPU, libtorch splits sums by its number of threads, which so decides their last bits.
pub(super) fn identity(suite: &Suite, sources: &[ModelSource], [data, order]: [&str; 2], device: Device) -> String {
    let libtorch = device::libtorch_version();
    let weights: Vec<&str> = sources.iter().map(|source| source.hash()).collect();
    let mut material = serde_json::json!({
        "identity": IDENTITY_FORMAT,
        "engine": ENGINE_VERSION,
        "threads": if device.is_cuda() { None } else { Some(tch::get_num_threads()) },
        "suite": suite.run_key_material(),
        "weights": weights,
        "data": data,
        "order": order,
        "device": if device.is_cuda() { device::name(device) } else { "cpu".to_owned() },
        // A CPU's libtorch computes alike whatever it was packaged with.
        "libtorch": libtorch.split('+').next().filter(|_| !device.is_cuda()).unwrap_or(&libtorch),
    });
    // What `fast` means depends on the CPU.
    if suite.run.precision == SearchPrecision::Fast {
        let forms = sources.iter().map(|source| device::words(searches_with(suite.run.precision, source, device)));
        material["search"] = forms.collect::<Vec<_>>().into();
    }
    // And so does what pictures of wide images are made in.
    let draws = !suite.visualizations.is_empty() || !suite.universal.is_empty();
    if suite.run.precision == SearchPrecision::Auto && draws {
        let forms: Vec<Compute> =
            sources.iter().map(|source| paints_with(suite.run.precision, source, device)).collect();
        if forms.iter().any(|form| form.kind != Kind::Float) {
            material["pictures"] = forms.into_iter().map(device::words).collect::<Vec<_>>().into();
        }
    }
    let hash = blake3::hash(material.to_string().as_bytes()).to_hex();
    format!("{}-{}", suite.name, &hash[..12])
}
