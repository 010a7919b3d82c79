//! What `predict` writes: values of a network for each image, as a table or as tensors.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::atomic::folder;
use super::table::TableWriter;
use super::{AtomicFile, StoreError};
use crate::terms::SampleId;

/// The form of a predictions file, which its extension tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PredictionsFormat {
    /// One line for each image.
    Csv,
    /// One tensor for each kind of value.
    Safetensors,
}

impl PredictionsFormat {
    /// The form that the extension of `path` asks for.
    ///
    /// # Errors
    /// If it is neither `csv` nor `safetensors`, or `path` is a folder.
    pub fn from_path(path: &Path) -> Result<Self, StoreError> {
        let content = |problem: &str| StoreError::Content { path: path.to_owned(), problem: problem.to_owned() };
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
        match extension.to_ascii_lowercase().as_str() {
            _ if path.is_dir() => Err(content("is a folder; give the name of a file in it")),
            "csv" => Ok(PredictionsFormat::Csv),
            "safetensors" => Ok(PredictionsFormat::Safetensors),
            _ => Err(content("predictions are written as .csv or .safetensors; end the file's name in one of them")),
        }
    }
}

/// One kind of value that each image has: its name, and its shape for one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictionField {
    /// `logits`, `activation.<layer>` or `gradient`.
    pub name: String,
    /// Shape for one image.
    pub shape: Vec<usize>,
}

impl PredictionField {
    fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Names of the values in row-major order: the field's name and the place, as in `gradient.0.3.17`.
    fn columns(&self) -> Vec<String> {
        self.shape.iter().fold(vec![self.name.clone()], |names, &size| {
            names.iter().flat_map(|name| (0..size).map(move |index| format!("{name}.{index}"))).collect()
        })
    }
}

/// Writes predictions image by image, with memory that does not grow with their number (but for the ids that a safetensors
/// header lists); without [`PredictionsWriter::finish`] no file appears.
pub struct PredictionsWriter {
    fields: Vec<PredictionField>,
    form: Form,
}

enum Form {
    Csv(Box<TableWriter>),
    Safetensors(Spools),
}

/// The tensors of a file whose length is not known yet, each in a file without a name.
struct Spools {
    path: PathBuf,
    notes: BTreeMap<String, String>,
    ids: Vec<SampleId>,
    predictions: Vec<i64>,
    spools: Vec<BufWriter<File>>,
}

impl PredictionsWriter {
    /// Begins the file `path`, whose folder must exist and be writable. `notes` are for the header of a safetensors file.
    pub fn create(
        path: &Path,
        fields: Vec<PredictionField>,
        notes: BTreeMap<String, String>,
    ) -> Result<Self, StoreError> {
        let form = match PredictionsFormat::from_path(path)? {
            PredictionsFormat::Csv => {
                let values: Vec<String> = fields.iter().flat_map(PredictionField::columns).collect();
                let columns: Vec<&str> =
                    ["id", "prediction"].into_iter().chain(values.iter().map(String::as_str)).collect();
                Form::Csv(Box::new(TableWriter::create(path, &columns)?))
            }
            PredictionsFormat::Safetensors => {
                let spool =
                    |_| tempfile::tempfile_in(folder(path)).map(BufWriter::new).map_err(StoreError::io("write", path));
                let spools = fields.iter().map(spool).collect::<Result<_, _>>()?;
                let (ids, predictions) = (Vec::new(), Vec::new());
                Form::Safetensors(Spools { path: path.to_owned(), notes, ids, predictions, spools })
            }
        };
        Ok(PredictionsWriter { fields, form })
    }

    /// Appends images: `values` has for each field the values of all of them, one image after the other.
    pub fn write(&mut self, ids: &[SampleId], predictions: &[i64], values: &[Vec<f32>]) -> Result<(), StoreError> {
        match &mut self.form {
            Form::Csv(table) => {
                for (at, (id, prediction)) in ids.iter().zip(predictions).enumerate() {
                    table.write(|row| {
                        row.text(id.as_str());
                        row.show(prediction);
                        for (field, values) in self.fields.iter().zip(values) {
                            let size = field.size();
                            values[at * size..(at + 1) * size].iter().for_each(|value| row.float32(*value));
                        }
                    })?;
                }
            }
            Form::Safetensors(file) => {
                file.ids.extend_from_slice(ids);
                file.predictions.extend_from_slice(predictions);
                for (spool, values) in file.spools.iter_mut().zip(values) {
                    let mut bytes = values.iter().map(|value| value.to_le_bytes());
                    bytes.try_for_each(|value| spool.write_all(&value)).map_err(StoreError::io("write", &file.path))?;
                }
            }
        }
        Ok(())
    }

    /// Syncs the file and gives it its name.
    pub fn finish(self) -> Result<(), StoreError> {
        match self.form {
            Form::Csv(table) => table.finish().map(drop),
            Form::Safetensors(spools) => spools.join(&self.fields),
        }
    }
}

impl Spools {
    fn join(mut self, fields: &[PredictionField]) -> Result<(), StoreError> {
        let mut file = AtomicFile::create(&self.path)?;
        file.put(&self.header(fields)?)?;
        for prediction in &self.predictions {
            file.put(&prediction.to_le_bytes())?;
        }
        for spool in self.spools {
            let failed = StoreError::io("write", &self.path);
            let mut spool =
                spool.into_inner().map_err(|error| StoreError::io("write", &self.path)(error.into_error()))?;
            spool.rewind().and_then(|()| copy(BufReader::new(spool), &mut file)).map_err(failed)?;
        }
        file.finish().map(drop)
    }

    /// The header's length and the header, padded to eight bytes. The 64-bit tensor comes first, so that all are aligned.
    fn header(&mut self, fields: &[PredictionField]) -> Result<Vec<u8>, StoreError> {
        let content = |problem: String| StoreError::Content { path: self.path.clone(), problem };
        let ids: Vec<&str> = self.ids.iter().map(SampleId::as_str).collect();
        let ids = serde_json::to_string(&ids).map_err(|error| content(error.to_string()))?;
        self.notes.insert("ids".to_owned(), ids);
        let count = self.predictions.len();
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".to_owned(), serde_json::json!(self.notes));
        let mut begin = 0;
        let mut enter = |name: &str, dtype: &str, shape: &[usize], bytes: usize| {
            let shape: Vec<usize> = std::iter::once(count).chain(shape.iter().copied()).collect();
            let end = begin + shape.iter().product::<usize>() * bytes;
            let entry = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [begin, end] });
            header.insert(name.to_owned(), entry);
            begin = end;
        };
        enter("prediction", "I64", &[], 8);
        fields.iter().for_each(|field| enter(&field.name, "F32", &field.shape, 4));
        let mut json = serde_json::to_vec(&header).map_err(|error| content(error.to_string()))?;
        json.resize(json.len().next_multiple_of(8), b' ');
        Ok([&(json.len() as u64).to_le_bytes()[..], &json].concat())
    }
}

fn copy(mut from: impl Read, to: &mut impl Write) -> std::io::Result<()> {
    std::io::copy(&mut from, to).map(drop)
}

#[cfg(test)]
mod tests {
    use safetensors::{Dtype, SafeTensors};

    use super::*;

    fn field(name: &str, shape: &[usize]) -> PredictionField {
        PredictionField { name: name.to_owned(), shape: shape.to_vec() }
    }

    fn write(path: &Path, finish: bool) -> Result<(), StoreError> {
        let fields = vec![field("logits", &[2]), field("gradient", &[1, 2, 2])];
        let notes = BTreeMap::from([("model".to_owned(), "m".to_owned())]);
        let mut writer = PredictionsWriter::create(path, fields, notes)?;
        let values = [vec![0.5, -1.0, 1e-9, f32::NAN], (0u8..8).map(f32::from).collect()];
        writer.write(&["a.png".into(), "b, c.png".into()], &[0, -1], &values)?;
        writer.write(&["d".into()], &[1], &[vec![3.0, 4.0], vec![9.0; 4]])?;
        if finish { writer.finish() } else { Ok(()) }
    }

    #[test]
    fn a_table_has_a_line_for_each_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        write(&path, true).unwrap();
        insta::assert_snapshot!(std::fs::read_to_string(&path).unwrap());
    }

    #[test]
    fn tensors_are_aligned_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.safetensors");
        write(&path, true).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (size, header) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(size % 8, 0);
        let notes = header.metadata().clone().unwrap();
        assert_eq!((notes["ids"].as_str(), notes["model"].as_str()), (r#"["a.png","b, c.png","d"]"#, "m"));
        let prediction = file.tensor("prediction").unwrap();
        assert_eq!((prediction.dtype(), prediction.shape(), prediction.data().len()), (Dtype::I64, &[3][..], 24));
        assert_eq!(prediction.data()[8..16], (-1i64).to_le_bytes());
        let gradient = file.tensor("gradient").unwrap();
        assert_eq!((gradient.dtype(), gradient.shape()), (Dtype::F32, &[3, 1, 2, 2][..]));
        assert_eq!(gradient.data()[28..36], [7.0f32.to_le_bytes(), 9.0f32.to_le_bytes()].concat());
        assert_eq!(file.tensor("logits").unwrap().shape(), [3, 2]);
    }

    #[test]
    fn an_unfinished_file_never_appears() {
        for name in ["out.csv", "out.safetensors"] {
            let folder = tempfile::tempdir().unwrap();
            write(&folder.path().join(name), false).unwrap();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{name}");
            let error = write(&folder.path().join("gone").join(name), true).unwrap_err().to_string();
            assert!(error.starts_with("failed to write ") && error.ends_with(name), "{error}");
        }
    }

    #[test]
    fn the_extension_tells_the_form() {
        assert_eq!(PredictionsFormat::from_path(Path::new("a/b.CSV")).unwrap(), PredictionsFormat::Csv);
        assert_eq!(PredictionsFormat::from_path(Path::new("b.safetensors")).unwrap(), PredictionsFormat::Safetensors);
        for name in ["b", "b.json", ".csv"] {
            let error = PredictionsFormat::from_path(Path::new(name)).unwrap_err().to_string();
            assert!(error.contains(".csv or .safetensors"), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(PredictionsFormat::from_path(folder.path()).unwrap_err().to_string().contains("is a folder"));
    }
}
