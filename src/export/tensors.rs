//! Images as arrays: what AutoAttack calls `x_adv`, f32 `[N, C, H, W]` in [0, 1], with labels `y` and rows of `samples.csv`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::source::{Reading, for_each_image};
use super::table::ImageTable;
use super::{Choice, ExportError, Exported, Group};
use crate::record::{AtomicFile, Manifest, RunDir, StoreError};

/// The form of the arrays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One safetensors file.
    Safetensors,
    /// `x_adv.npy`, `y.npy` and `row.npy` in a folder.
    Npy,
}

/// What stands beside the images of one group.
#[derive(Default)]
struct Labels {
    shape: [usize; 3],
    labels: Vec<i64>,
    rows: Vec<i64>,
}

/// The files of each group, and `images.csv`, whose `path` names the array and whose rows are in its order.
pub(super) fn write_tensors(
    dir: &RunDir,
    manifest: &Manifest,
    choice: &Choice,
    format: Format,
    out: &Path,
) -> Result<Exported, ExportError> {
    let mut groups: BTreeMap<Group, Labels> = BTreeMap::new();
    for_each_image(dir, manifest, choice, Reading::Records, |saved| {
        let group = groups.entry(Group::new(&saved.record.cell)).or_default();
        group.shape = saved.shape;
        group.labels.push(saved.record.label.into());
        group.rows.push(saved.row as i64);
        Ok(())
    })?;
    let mut files: BTreeMap<Group, (String, AtomicFile)> = BTreeMap::new();
    let mut exported = Exported { images: 0, files: 1 };
    for (group, labels) in &groups {
        let name = group.name();
        let (place, file) = match format {
            Format::Safetensors => (format!("{name}.safetensors"), begin_safetensors(out, &name, labels)?),
            Format::Npy => (format!("{name}/x_adv.npy"), begin_npy(&out.join(&name), labels)?),
        };
        exported.files += if format == Format::Npy { 3 } else { 1 };
        files.insert(group.clone(), (place, file));
    }
    let mut table = ImageTable::create(out)?;
    let mut bytes = Vec::new();
    for_each_image(dir, manifest, choice, Reading::Pixels, |saved| {
        let Some((place, file)) = files.get_mut(&Group::new(&saved.record.cell)) else { return Ok(()) };
        bytes.clear();
        bytes.extend(saved.pixels.iter().flat_map(|value| value.to_le_bytes()));
        file.put(&bytes)?;
        exported.images += 1;
        table.write(place, saved)
    })?;
    for (_, file) in files.into_values() {
        file.finish()?;
    }
    table.finish()?;
    Ok(exported)
}

/// The header and all but the images, which come last.
fn begin_safetensors(out: &Path, name: &str, labels: &Labels) -> Result<AtomicFile, ExportError> {
    let path = out.join(format!("{name}.safetensors"));
    let count = labels.labels.len();
    let [channels, height, width] = labels.shape;
    let (labels_end, rows_end) = (count * 8, count * 16);
    let header = serde_json::json!({
        "y": { "dtype": "I64", "shape": [count], "data_offsets": [0, labels_end] },
        "row": { "dtype": "I64", "shape": [count], "data_offsets": [labels_end, rows_end] },
        "x_adv": {
            "dtype": "F32",
            "shape": [count, channels, height, width],
            "data_offsets": [rows_end, rows_end + count * channels * height * width * 4],
        },
    });
    let mut json = header.to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut file = AtomicFile::create(&path)?;
    file.put(&(json.len() as u64).to_le_bytes())?;
    file.put(&json)?;
    file.put(&words(&labels.labels))?;
    file.put(&words(&labels.rows))?;
    Ok(file)
}

/// `y.npy` and `row.npy` as a whole, and the begin of `x_adv.npy`.
fn begin_npy(folder: &Path, labels: &Labels) -> Result<AtomicFile, ExportError> {
    std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    let count = labels.labels.len();
    let [channels, height, width] = labels.shape;
    for (name, values) in [("y", &labels.labels), ("row", &labels.rows)] {
        let mut file = AtomicFile::create(&npy_path(folder, name))?;
        file.put(&npy_header("<i8", &[count]))?;
        file.put(&words(values))?;
        file.finish()?;
    }
    let mut file = AtomicFile::create(&npy_path(folder, "x_adv"))?;
    file.put(&npy_header("<f4", &[count, channels, height, width]))?;
    Ok(file)
}

fn npy_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.npy"))
}

/// NumPy's header of version 1.0, padded so that values begin at a multiple of 64 bytes.
fn npy_header(descr: &str, shape: &[usize]) -> Vec<u8> {
    const BEFORE: usize = 10;
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let length = (BEFORE + text.len() + 1).next_multiple_of(64) - BEFORE;
    text += &" ".repeat(length - text.len() - 1);
    text.push('\n');
    [b"\x93NUMPY\x01\x00", &(length as u16).to_le_bytes()[..], text.as_bytes()].concat()
}

fn words(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
