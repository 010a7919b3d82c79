//! Adversarial images, so that every flip can be confirmed elsewhere: one safetensors file per block while the run goes
//! on, one per model and attack at its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::table::finished;
use super::{AtomicFile, RunDir, StoreError, write_atomically};
use crate::suite::adversarial_file;

/// The adversarial images of one block.
#[derive(Debug, Clone, PartialEq)]
pub struct AdversarialImages {
    /// Channels, height and width of each image.
    pub shape: [usize; 3],
    /// For each image, its record's place within the block.
    pub rows: Vec<i64>,
    /// Values `[N, 3, H, W]` in [0, 1].
    pub pixels: Vec<f32>,
}

impl AdversarialImages {
    /// Adds the values of one image, of the record at place `row`.
    pub fn push(&mut self, row: usize, pixels: &[f32]) {
        self.rows.push(row as i64);
        self.pixels.extend(pixels);
    }

    /// Write the images beside the block `key`; to be called before the block itself is written.
    pub fn write(&self, dir: &RunDir, key: &str) -> Result<(), StoreError> {
        let path = dir.adversarial_block_path(key)?;
        let content = |problem: String| StoreError::Content { path: path.clone(), problem };
        let [channels, height, width] = self.shape;
        let rows: Vec<u8> = self.rows.iter().flat_map(|row| row.to_le_bytes()).collect();
        let pixels: Vec<u8> = self.pixels.iter().flat_map(|value| value.to_le_bytes()).collect();
        let shape = vec![self.rows.len(), channels, height, width];
        let x = TensorView::new(Dtype::F32, shape, &pixels).map_err(|error| content(error.to_string()))?;
        let row =
            TensorView::new(Dtype::I64, vec![self.rows.len()], &rows).map_err(|error| content(error.to_string()))?;
        let bytes =
            safetensors::serialize([("row", row), ("x", x)], None).map_err(|error| content(error.to_string()))?;
        write_atomically(&path, &bytes)?;
        Ok(())
    }

    /// Read the images of the block `key`; none if it has no such file.
    pub fn read(dir: &RunDir, key: &str) -> Result<Option<Self>, StoreError> {
        let path = dir.adversarial_block_path(key)?;
        let bytes = match crate::files::read_whole(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(StoreError::io("read", &path))?,
        };
        decode(&bytes).map(Some).map_err(|problem| StoreError::DamagedBlock { path, problem })
    }
}

fn decode(bytes: &[u8]) -> Result<AdversarialImages, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let tensor = |name: &str, dtype: Dtype| {
        let view = file.tensor(name).map_err(|error| error.to_string())?;
        if view.dtype() == dtype { Ok(view) } else { Err(format!("tensor `{name}` is not of type {dtype:?}")) }
    };
    let (row, x) = (tensor("row", Dtype::I64)?, tensor("x", Dtype::F32)?);
    let &[n, channels, height, width] = x.shape() else { return Err("tensor `x` is not [N, 3, H, W]".to_owned()) };
    if row.shape() != [n] {
        return Err("tensors `row` and `x` have different lengths".to_owned());
    }
    Ok(AdversarialImages {
        shape: [channels, height, width],
        rows: row.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect(),
        pixels: x.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
    })
}

/// The images of one model and attack, in the order of `samples.csv`.
struct Group {
    path: PathBuf,
    shape: [usize; 3],
    index: Vec<i64>,
}

/// Write `adversarial/` (see [`adversarial_file`]) from the blocks `keys`, in plan order: `x` f32 `[N, 3, H, W]` and
/// `index` i64 `[N]`, the row of each image in `samples.csv`, from 0. Controls are in the file of their attack. Holds
/// one block's images in memory at a time. Returns the files written, with their blake3 hashes; blocks without images
/// contribute none.
pub fn assemble_adversarial(dir: &RunDir, keys: &[String]) -> Result<Vec<(PathBuf, String)>, StoreError> {
    let folder = dir.path().join("adversarial");
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for_each_image(dir, keys, |group, shape, index, _| {
        let known = groups.entry(group.clone()).or_insert_with(|| Group {
            path: folder.join(adversarial_file(&group.0, &group.1)),
            shape,
            index: Vec::new(),
        });
        if known.shape != shape {
            let problem = format!("images of {shape:?} beside images of {:?}", known.shape);
            return Err(StoreError::Content { path: known.path.clone(), problem });
        }
        known.index.push(index);
        Ok(())
    })?;
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
    let mut files = BTreeMap::new();
    for (name, group) in &groups {
        let mut file = AtomicFile::create(&group.path)?;
        file.put(&header(group))?;
        for index in &group.index {
            file.put(&index.to_le_bytes())?;
        }
        files.insert(name.clone(), file);
    }
    let mut bytes = Vec::new();
    for_each_image(dir, keys, |group, _, _, pixels| {
        bytes.clear();
        bytes.extend(pixels.iter().flat_map(|value| value.to_le_bytes()));
        files.get_mut(group).map_or(Ok(()), |file| file.put(&bytes))
    })?;
    files.into_values().map(|file| Ok((file.path().to_owned(), file.finish()?))).collect()
}

/// Every image of the blocks: its model and attack, its shape, its row in `samples.csv`, its pixels.
fn for_each_image(
    dir: &RunDir,
    keys: &[String],
    mut visit: impl FnMut(&(String, String), [usize; 3], i64, &[f32]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut first_row = 0;
    for key in keys {
        let block = finished(dir, key)?;
        if let Some(images) = AdversarialImages::read(dir, key)? {
            let size: usize = images.shape.iter().product();
            for (at, &row) in images.rows.iter().enumerate() {
                let record = usize::try_from(row).ok().and_then(|row| block.records.get(row));
                let record = record.ok_or_else(|| StoreError::DamagedBlock {
                    path: dir.path().join("blocks").join(format!("{key}.adv.safetensors")),
                    problem: format!("image {at} belongs to record {row}, which the block does not have"),
                })?;
                let group = (record.cell.model.clone(), record.cell.attack.clone());
                let pixels = &images.pixels[at * size..(at + 1) * size];
                visit(&group, images.shape, first_row + row, pixels)?;
            }
        }
        first_row += block.records.len() as i64;
    }
    Ok(())
}

/// The safetensors header: its length, then JSON padded to eight bytes, `index` first so that both tensors are aligned.
fn header(group: &Group) -> Vec<u8> {
    let n = group.index.len();
    let [channels, height, width] = group.shape;
    let split = 8 * n;
    let end = split + 4 * n * channels * height * width;
    let mut json = format!(
        concat!(
            r#"{{"index":{{"dtype":"I64","shape":[{n}],"data_offsets":[0,{split}]}},"#,
            r#""x":{{"dtype":"F32","shape":[{n},{channels},{height},{width}],"data_offsets":[{split},{end}]}}}}"#
        ),
        n = n,
        split = split,
        channels = channels,
        height = height,
        width = width,
        end = end
    );
    json.extend(std::iter::repeat_n(' ', json.len().next_multiple_of(8) - json.len()));
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes
}

#[cfg(test)]
#[path = "adversarial_tests.rs"]
mod tests;
