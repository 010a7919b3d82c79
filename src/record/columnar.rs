//! A table of a run once more as Parquet: the same rows and columns with their types, compressed by Snappy, an empty field as null.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord};
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::column::ColumnType;
use super::{AtomicFile, DISTANCES_TABLE, SAMPLES_TABLE, StoreError};
use crate::files::open_regular;
use crate::wording::escape;

/// The tables whose columns records declare; a field of another type in them is an error.
const RECORDS: [&str; 2] = ["samples.csv", "distances.csv"];

/// Rows that are held in memory, and make a row group.
const GROUP: usize = 1 << 15;

/// The type of the column `name` of `table` (`samples.csv`). Records declare theirs; in other tables columns of one name have one type.
pub fn column_type(table: &str, name: &str) -> ColumnType {
    let records: &[super::Column] = match table {
        "samples.csv" => SAMPLES_TABLE,
        "distances.csv" => DISTANCES_TABLE,
        _ => &[],
    };
    if let Some(column) = records.iter().find(|column| column.name == name) {
        return column.form;
    }
    match name {
        // The worst case over several norms names their radii.
        "epsilon" if table == "worst_case.csv" => ColumnType::Text,
        "robust" => ColumnType::Boolean,
        "clean_correct" | "flipped" | "flipped_u8" | "target_hit" | "censored" => ColumnType::Boolean,
        "label" | "clean_pred" | "adv_pred" | "steps" | "forwards" | "backwards" | "l0" | "n" | "n_clean_correct"
        | "n_both_correct" | "units" | "step" | "reached" | "prediction" | "made_from" | "top_class" | "fooled"
        | "fooled_all" | "left_out" | "seed" | "compared" | "class" => ColumnType::Whole,
        "activation_clean" | "activation_adv" => ColumnType::Single,
        "model" | "dataset" | "sample_id" | "attack" | "kind" | "target" | "layer" | "unit" | "norm" | "status"
        | "health" | "source" | "victim" | "visualization" | "preset" | "start" | "other_models" | "file"
        | "positions" | "classes" | "strongest_unit" | "name" | "source_of" => ColumnType::Text,
        _ => ColumnType::Double,
    }
}

/// The values of one column in the rows that are held: those that are there, and for each row whether one is.
enum Values {
    Boolean(Vec<bool>),
    Whole(Vec<i64>),
    Single(Vec<f32>),
    Double(Vec<f64>),
    Text(Vec<ByteArray>),
}

struct Column {
    name: String,
    values: Values,
    /// 1 where there is a value, 0 for null.
    present: Vec<i16>,
}

impl Column {
    fn new(table: &str, name: &str) -> Self {
        let values = match column_type(table, name) {
            ColumnType::Boolean => Values::Boolean(Vec::new()),
            ColumnType::Whole => Values::Whole(Vec::new()),
            ColumnType::Single => Values::Single(Vec::new()),
            ColumnType::Double => Values::Double(Vec::new()),
            ColumnType::Text => Values::Text(Vec::new()),
        };
        Column { name: name.to_owned(), values, present: Vec::new() }
    }

    fn schema(&self) -> Result<TypePtr, ParquetError> {
        let physical = match self.values {
            Values::Boolean(_) => Physical::BOOLEAN,
            Values::Whole(_) => Physical::INT64,
            Values::Single(_) => Physical::FLOAT,
            Values::Double(_) => Physical::DOUBLE,
            Values::Text(_) => Physical::BYTE_ARRAY,
        };
        let text = matches!(self.values, Values::Text(_)).then_some(LogicalType::String);
        let column = Type::primitive_type_builder(&self.name, physical).with_repetition(Repetition::OPTIONAL);
        column.with_logical_type(text).build().map(Arc::new)
    }

    fn push(&mut self, field: &str) -> Result<(), String> {
        self.present.push(i16::from(!field.is_empty()));
        if field.is_empty() {
            return Ok(());
        }
        let wrong = |problem: &str| format!("column `{}`: `{field}` is {problem}", self.name);
        match &mut self.values {
            Values::Boolean(values) => values.push(field.parse().map_err(|_| wrong("neither true nor false"))?),
            Values::Whole(values) => values.push(field.parse().map_err(|_| wrong("no whole number"))?),
            Values::Single(values) => values.push(field.parse().map_err(|_| wrong("no number"))?),
            Values::Double(values) => values.push(field.parse().map_err(|_| wrong("no number"))?),
            Values::Text(values) => {
                let text = escape::uncell(field);
                // Neighbouring rows mostly say the same, and then share it.
                let same = values.last().filter(|last| last.data() == text.as_bytes()).cloned();
                values.push(same.unwrap_or_else(|| text.as_bytes().to_vec().into()));
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.present.clear();
        match &mut self.values {
            Values::Boolean(values) => values.clear(),
            Values::Whole(values) => values.clear(),
            Values::Single(values) => values.clear(),
            Values::Double(values) => values.clear(),
            Values::Text(values) => values.clear(),
        }
    }

    fn write(&mut self, mut writer: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let present = &self.present;
        match &mut self.values {
            Values::Boolean(values) => put::<BoolType>(&mut writer, values, present)?,
            Values::Whole(values) => put::<Int64Type>(&mut writer, values, present)?,
            Values::Single(values) => put::<FloatType>(&mut writer, values, present)?,
            Values::Double(values) => put::<DoubleType>(&mut writer, values, present)?,
            Values::Text(values) => put::<ByteArrayType>(&mut writer, values, present)?,
        }
        self.present.clear();
        writer.close()
    }
}

fn put<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    present: &[i16],
) -> Result<(), ParquetError> {
    writer.typed::<T>().write_batch(values, Some(present), None)?;
    values.clear();
    Ok(())
}

/// Write the table `NAME.csv`, which a run has written, once more as `NAME.parquet` beside it, whole or not at all. Holds a group of rows
/// in memory at a time, however long the table is. Returns the file and its blake3 hash.
///
/// # Errors
/// If the table cannot be read, a field is not of its column's type, or the file cannot be written.
pub fn write_parquet(csv: &Path) -> Result<(PathBuf, String), StoreError> {
    let path = csv.with_extension("parquet");
    let name = csv.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let file: File = open_regular(csv).map_err(StoreError::io("read", csv))?;
    let mut reader = ReaderBuilder::new().from_reader(file);
    let header = reader.headers().map_err(|error| StoreError::table(csv, error))?;
    let mut columns: Vec<Column> = header.iter().map(|column| Column::new(name, column)).collect();
    if !RECORDS.contains(&name) {
        loosen(csv, &mut columns)?;
    }
    let failed = |error: ParquetError| StoreError::io("write", &path)(std::io::Error::other(error));
    let mut writer = begin(&columns, AtomicFile::create(&path)?).map_err(failed)?;
    let mut row = StringRecord::new();
    loop {
        let more = reader.read_record(&mut row).map_err(|error| StoreError::table(csv, error))?;
        let pending = columns.first().map_or(0, |column| column.present.len());
        if pending == GROUP || (!more && pending > 0) {
            write_group(&mut writer, &mut columns).map_err(failed)?;
        }
        if !more {
            break;
        }
        let pushed = columns.iter_mut().zip(&row).try_for_each(|(column, field)| column.push(field));
        let line = row.position().map_or(0, csv::Position::line);
        pushed.map_err(|problem| StoreError::Table { path: csv.to_owned(), line, problem })?;
    }
    let hash = writer.into_inner().map_err(failed)?.finish()?;
    Ok((path, hash))
}

/// Makes text of the columns in which a field is not of the column's type: the tables of summaries are small, and none of them may end a
/// run.
fn loosen(csv: &Path, columns: &mut [Column]) -> Result<(), StoreError> {
    let file: File = open_regular(csv).map_err(StoreError::io("read", csv))?;
    for row in ReaderBuilder::new().from_reader(file).records() {
        let row = row.map_err(|error| StoreError::table(csv, error))?;
        for (column, field) in columns.iter_mut().zip(&row) {
            if column.push(field).is_err() {
                column.values = Values::Text(Vec::new());
            }
            column.clear();
        }
    }
    Ok(())
}

fn begin(columns: &[Column], file: AtomicFile) -> Result<SerializedFileWriter<AtomicFile>, ParquetError> {
    let fields = columns.iter().map(Column::schema).collect::<Result<Vec<_>, _>>()?;
    let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by("am-eval".to_owned()).build();
    SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
}

fn write_group(writer: &mut SerializedFileWriter<AtomicFile>, columns: &mut [Column]) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for column in columns {
        if let Some(next) = group.next_column()? {
            column.write(next)?;
        }
    }
    group.close().map(drop)
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;

    fn rows(path: &Path) -> Vec<Vec<Field>> {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        rows.map(|row| row.unwrap().into_columns().into_iter().map(|(_, field)| field).collect()).collect()
    }

    fn table(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn values_keep_their_type_and_empty_fields_are_null() {
        let text = "sample_id,label,target,flipped,margin_adv,epsilon,layer\n\
                    a.png,3,,true,-0.1,0.03137254901960784,\n\
                    '=b,4,7,false,NaN,inf,features.3\n";
        let (_folder, csv) = table("samples.csv", text);
        let (path, hash) = write_parquet(&csv).unwrap();
        assert_eq!(hash, blake3::hash(&std::fs::read(&path).unwrap()).to_hex().as_str());
        let found = rows(&path);
        let first = [
            Field::Str("a.png".to_owned()),
            Field::Long(3),
            Field::Null,
            Field::Bool(true),
            Field::Float(-0.1),
            Field::Double(8.0 / 255.0),
            Field::Null,
        ];
        assert_eq!(found[0], first);
        assert_eq!(found[1][0], Field::Str("=b".to_owned()), "a guarded cell is the text again");
        assert!(matches!(found[1][4], Field::Float(value) if value.is_nan()));
        assert_eq!(found[1][5], Field::Double(f64::INFINITY));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn long_tables_are_several_groups_and_empty_ones_none() {
        let long: String = (0..GROUP + 5).map(|index| format!("m,{index}\n")).collect();
        let (_folder, csv) = table("distances.csv", &format!("model,label\n{long}"));
        let (path, _) = write_parquet(&csv).unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        let found = rows(&path);
        assert_eq!((found.len(), found[GROUP + 4][1].clone()), (GROUP + 5, Field::Long(GROUP as i64 + 4)));
        let (_folder, csv) = table("distances.csv", "model,label\n");
        assert_eq!(rows(&write_parquet(&csv).unwrap().0).len(), 0);
    }

    #[test]
    fn a_summary_with_words_among_its_numbers_is_text_there() {
        let text = "model,norm,epsilon,robust_accuracy\nm,linf,0.5,0.25\nm,all,\"linf 0.5, l2 1\",0.25\n";
        let (_folder, csv) = table("worst_case.csv", text);
        let found = rows(&write_parquet(&csv).unwrap().0);
        assert_eq!(found[1][2..], [Field::Str("linf 0.5, l2 1".to_owned()), Field::Double(0.25)]);
        let (_folder, csv) = table("new.csv", "name,share,odd\na,0.5,1\nb,1,one\n");
        let found = rows(&write_parquet(&csv).unwrap().0);
        assert_eq!(found[0][1..], [Field::Double(0.5), Field::Str("1".to_owned())]);
    }

    #[test]
    fn a_field_of_another_type_names_line_and_column() {
        let (folder, csv) = table("samples.csv", "model,label\nm,1\nm,one\n");
        let error = write_parquet(&csv).unwrap_err().to_string();
        assert!(error.ends_with("samples.csv:3: column `label`: `one` is no whole number"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no half file");
    }
}
