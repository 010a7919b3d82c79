//! `damage.csv`, `patching.csv`, `units.csv` and `layers.csv`.

use std::path::Path;

use super::{DamageSummary, LayerSummary, PatchSummary, UnitSummary};
use crate::record::{DamageOrigin, StoreError, float_text};
use crate::stats::Estimate;
use crate::summary::csv::{estimate_fields, write_table};

fn estimated(name: &str) -> [String; 3] {
    [name.to_owned(), format!("{name}_lo"), format!("{name}_hi")]
}

fn columns(parts: &[&[&str]], estimates: &[&[&str]]) -> Vec<String> {
    let mut all = Vec::new();
    for (plain, with_interval) in parts.iter().zip(estimates) {
        all.extend(plain.iter().map(|name| String::from(*name)));
        all.extend(with_interval.iter().flat_map(|name| estimated(name)));
    }
    all
}

/// The columns of `damage.csv`.
pub fn damage_columns() -> Vec<String> {
    columns(
        &[&["model", "attack", "norm", "epsilon", "layer", "depth", "positions", "n"]],
        &[&["change", "cosine", "change_shuffled"]],
    )
}

/// The columns of `patching.csv`.
pub fn patching_columns() -> Vec<String> {
    columns(
        &[&["model", "attack", "norm", "epsilon", "layer", "depth", "unit", "n"], &["p", "p_corrected", "complete"]],
        &[&["restored", "restored_control"], &[]],
    )
}

/// The columns of `units.csv`.
pub fn unit_columns() -> Vec<String> {
    columns(
        &[
            &["model", "attack", "norm", "epsilon", "layer", "unit", "n"],
            &["noise_flip_rate", "random_unit_rate", "class_attack_rate"],
            &["p_noise", "p_random_unit", "p_corrected", "classes"],
        ],
        &[&["flip_rate"], &["reach"], &[]],
    )
}

/// The columns of `layers.csv`.
pub fn layer_columns() -> Vec<String> {
    columns(
        &[
            &["model", "attack", "norm", "epsilon", "layer", "units", "n"],
            &["strongest_unit"],
            &["mean_rate", "random_unit_rate", "noise_flip_rate"],
            &["p", "p_corrected"],
        ],
        &[&["any_unit", "reach"], &["strongest_rate"], &["layer_distance"], &[]],
    )
}

fn origin(origin: &DamageOrigin) -> Vec<String> {
    vec![origin.model.clone(), origin.attack.clone(), origin.norm.to_string(), float_text(origin.epsilon.value())]
}

fn maybe(value: Option<f64>) -> String {
    value.map(float_text).unwrap_or_default()
}

/// Writes `damage.csv`; returns its blake3 hash.
///
/// # Errors
/// If it cannot be written.
pub fn write_damage(path: &Path, rows: &[DamageSummary]) -> Result<String, StoreError> {
    let row = |damage: &DamageSummary| {
        let mut row = origin(&damage.origin);
        let positions = damage.positions.as_str().to_owned();
        row.extend([damage.layer.to_string(), float_text(damage.depth), positions, damage.n.to_string()]);
        row.extend(
            [damage.change, damage.cosine, damage.shuffled].into_iter().flat_map(|value| estimate_fields(Some(value))),
        );
        row
    };
    write_table(path, damage_columns(), rows.iter().map(row))
}

/// Writes `patching.csv`; returns its blake3 hash.
///
/// # Errors
/// If it cannot be written.
pub fn write_patching(path: &Path, rows: &[PatchSummary]) -> Result<String, StoreError> {
    let row = |patch: &PatchSummary| {
        let mut row = origin(&patch.origin);
        let unit = patch.unit.clone().unwrap_or_default();
        row.extend([patch.layer.to_string(), float_text(patch.depth), unit, patch.n.to_string()]);
        row.extend(
            [patch.restored, patch.control].into_iter().flat_map(|value: Estimate| estimate_fields(Some(value))),
        );
        row.extend([patch.p, patch.p_corrected, patch.complete].map(float_text));
        row
    };
    write_table(path, patching_columns(), rows.iter().map(row))
}

/// Writes `units.csv`; returns its blake3 hash.
///
/// # Errors
/// If it cannot be written.
pub fn write_units(path: &Path, rows: &[UnitSummary]) -> Result<String, StoreError> {
    let row = |unit: &UnitSummary| {
        let mut row =
            vec![unit.model.clone(), unit.attack.clone(), unit.norm.to_string(), float_text(unit.epsilon.value())];
        row.extend([unit.layer.to_string(), unit.unit.clone(), unit.n.to_string()]);
        row.extend(estimate_fields(Some(unit.flip_rate)));
        row.extend([unit.noise, unit.random_unit, unit.class_attack].map(maybe));
        row.extend(estimate_fields(unit.reach));
        row.extend([unit.p_noise, unit.p_random_unit, unit.p_corrected].map(maybe));
        row.push(unit.classes.iter().map(|(class, count)| format!("{class}:{count}")).collect::<Vec<_>>().join(" "));
        row
    };
    write_table(path, unit_columns(), rows.iter().map(row))
}

/// Writes `layers.csv`; returns its blake3 hash.
///
/// # Errors
/// If it cannot be written.
pub fn write_layers(path: &Path, rows: &[LayerSummary]) -> Result<String, StoreError> {
    let row = |layer: &LayerSummary| {
        let mut row =
            vec![layer.model.clone(), layer.attack.clone(), layer.norm.to_string(), float_text(layer.epsilon.value())];
        row.extend([layer.layer.to_string(), layer.units.to_string(), layer.n.to_string()]);
        row.extend([Some(layer.any_unit), layer.reach].into_iter().flat_map(estimate_fields));
        row.push(layer.strongest.clone());
        row.extend(estimate_fields(Some(layer.strongest_rate)));
        row.extend([Some(layer.mean_rate), layer.random_unit, layer.noise].map(maybe));
        row.extend(estimate_fields(layer.distance));
        row.extend([layer.p, layer.p_corrected].map(maybe));
        row
    };
    write_table(path, layer_columns(), rows.iter().map(row))
}
