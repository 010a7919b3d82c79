//! A table of paths and labels.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;

use super::DataError;
use super::class_names::ClassList;
use super::image_files::ImageFiles;
use super::labels::{Labelled, classify};
use super::listing::LabelledFile;
use super::text::TextFile;
use crate::terms::SampleId;
use crate::wording::did_you_mean;

/// Reads the columns `path` and `label` of a CSV file with a header. Paths are relative to `root` and are the samples' ids, in
/// the table's order; a label is a class index or a class name (see [`classify`]).
///
/// # Errors
/// If a column is missing, a line has another length, a path stands twice or is no file, or a label is wrong; each with
/// its line.
pub(super) fn open(file: &Path, root: &Path, names: Option<&ClassList>) -> Result<ImageFiles, DataError> {
    let text = TextFile::open(file)?;
    let table = Table::read(&text)?;
    table.check_files(root)?;
    let Labelled { labels, classes, numbering } =
        classify(&table.labels, names, |at, problem| table.wrong(at, problem))?;
    let files =
        table.paths.into_iter().zip(labels).map(|(path, label)| LabelledFile { id: SampleId::from(path), label });
    let (root, files, warnings) = (root.to_path_buf(), files.collect(), Vec::new());
    Ok(ImageFiles { name: "csv", root, classes, files, numbering, warnings })
}

/// The rows of a table.
struct Table<'f> {
    file: &'f TextFile,
    paths: Vec<String>,
    labels: Vec<String>,
    lines: Vec<usize>,
}

/// A path without `./` and doubled slashes, so that a sample is the same one however a table writes it.
fn plain(path: &str) -> String {
    let parts = path.split('/').enumerate().filter(|(at, part)| *part != "." && (*at == 0 || !part.is_empty()));
    let plain = parts.map(|(_, part)| part).collect::<Vec<_>>().join("/");
    if plain.is_empty() { path.to_owned() } else { plain }
}

/// What seems to stand between the columns, where it is no comma.
fn separator(header: &csv::StringRecord) -> Option<&'static str> {
    let first = header.get(0).filter(|_| header.len() == 1)?;
    let known = [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")];
    known.into_iter().find(|(letter, _)| first.contains(*letter)).map(|(_, name)| name)
}

impl<'f> Table<'f> {
    fn read(file: &'f TextFile) -> Result<Self, DataError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file.text().as_bytes());
        let header = reader.headers().map_err(|error| unreadable(file, &error))?.clone();
        let column = |name: &str| {
            header.iter().position(|column| column == name).ok_or_else(|| {
                let help = match separator(&header) {
                    Some(separator) => {
                        format!("columns are separated by {separator} there; save the table with commas")
                    }
                    None => did_you_mean(name, header.iter()),
                };
                file.wrong(
                    1,
                    format!("has no column `{name}`; the first line names the columns, path and label; {help}"),
                )
            })
        };
        let (path, label) = (column("path")?, column("label")?);
        let mut table = Table { file, paths: Vec::new(), labels: Vec::new(), lines: Vec::new() };
        let mut first_lines: HashMap<String, usize> = HashMap::new();
        for row in reader.records() {
            let row = row.map_err(|error| unreadable(file, &error))?;
            let line = row.position().map_or(1, |position| line_of(file, position));
            let (path, label) = (row.get(path).unwrap_or(""), row.get(label).unwrap_or(""));
            if path.is_empty() {
                return Err(file.wrong(line, "the path is empty"));
            }
            let path = &plain(path);
            if let Some(first) = first_lines.insert(path.to_owned(), line) {
                return Err(
                    file.wrong(line, format!("`{path}` stands on line {first} already; samples are told apart by it"))
                );
            }
            table.paths.push(path.to_owned());
            table.labels.push(label.to_owned());
            table.lines.push(line);
        }
        if table.paths.is_empty() {
            return Err(DataError::content(&file.path, "has no rows below its header"));
        }
        Ok(table)
    }

    /// An error about the row `at`.
    fn wrong(&self, at: usize, problem: String) -> DataError {
        self.file.wrong(self.lines[at], problem)
    }

    fn check_files(&self, root: &Path) -> Result<(), DataError> {
        let missing: Vec<usize> =
            (0..self.paths.len()).into_par_iter().filter(|at| !root.join(&self.paths[*at]).is_file()).collect();
        match missing[..] {
            [] => Ok(()),
            [first, ref others @ ..] => {
                let more = if others.is_empty() { String::new() } else { format!(" (and {} more)", others.len()) };
                let path = root.join(&self.paths[first]);
                Err(self.wrong(
                    first,
                    format!(
                        "no file {}{more}; paths are relative to `root` in [data], by default the \
                                               table's folder",
                        path.display()
                    ),
                ))
            }
        }
    }
}

/// The line where a row begins: behind the blank lines that the reader passes over.
fn line_of(file: &TextFile, position: &csv::Position) -> usize {
    let rest = file.text().as_bytes().get(position.byte() as usize..).unwrap_or(&[]);
    let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).filter(|byte| **byte == b'\n').count();
    position.line() as usize + blank
}

/// An error of the CSV reader, in the file's own lines.
fn unreadable(file: &TextFile, error: &csv::Error) -> DataError {
    let line = error.position().map_or(1, |position| line_of(file, position));
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            file.wrong(line, format!("has another number of columns ({len}) than the first line ({expected_len})"))
        }
        _ => file.wrong(line, format!("is not CSV: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::Dataset;

    fn opened(table: &[u8]) -> Result<ImageFiles, String> {
        let root = tempfile::tempdir().unwrap();
        for name in ["a.png", "b c.png", "deep/d.png"] {
            let path = root.path().join("images").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::RgbImage::new(3, 2).save(path).unwrap();
        }
        let file = root.path().join("labels.csv");
        std::fs::write(&file, table).unwrap();
        let message = |error: DataError| error.to_string().replace(&root.path().display().to_string(), "ROOT");
        let data = open(&file, &root.path().join("images"), None).map_err(message)?;
        (0..data.len()).try_for_each(|index| data.image(index).map(drop)).map_err(message)?;
        Ok(data)
    }

    #[test]
    fn rows_are_samples_in_their_order() {
        let data = opened(b"\xEF\xBB\xBFsource, label ,path\r\nx,3,deep/d.png\r\ny,0,\"b c.png\"\r\n").unwrap();
        assert_eq!((data.len(), data.id(0).as_str(), data.id(1).as_str()), (2, "deep/d.png", "b c.png"));
        assert_eq!((data.label(0), data.label(1), data.classes().len()), (3, 0, 4));
        let data = opened(b"path,label\na.png,wolf\nb c.png,ape\n").unwrap();
        assert_eq!((data.label(0), data.classes()), (1, &["ape".to_owned(), "wolf".to_owned()][..]));
    }

    #[test]
    fn wrong_tables_name_the_line() {
        let error = |table: &str| opened(table.as_bytes()).unwrap_err();
        insta::assert_snapshot!(error("file,label\na.png,1"), @"ROOT/labels.csv:1: has no column `path`; the first line names the columns, path and label; known are `file`, `label`");
        let twice = error("path,label\na.png,1\n./a.png,2\n");
        assert!(twice.contains("`a.png` stands on line 2 already"), "{twice}");
        for (table, separator) in [("path;label\na.png;1\n", "semicolons"), ("path\tlabel\na.png\t1\n", "tabs")] {
            assert!(error(table).contains(&format!("separated by {separator} there; save the table with commas")));
        }
        insta::assert_snapshot!(error("path,label\n"), @"ROOT/labels.csv: has no rows below its header");
        insta::assert_snapshot!(error("path,label\na.png,1\nb c.png\n"), @"ROOT/labels.csv:3: has another number of columns (1) than the first line (2)");
        insta::assert_snapshot!(error("path,label\na.png,1\n,1\n"), @"ROOT/labels.csv:3: the path is empty");
        insta::assert_snapshot!(error("path,label\na.png,1\n\nb c.png,\n"), @"ROOT/labels.csv:4: the label is empty");
        insta::assert_snapshot!(error("path,label\na.png,1\ndeep/d.png,1\na.png,2\n"), @"ROOT/labels.csv:4: `a.png` stands on line 2 already; samples are told apart by it");
        insta::assert_snapshot!(error("path,label\na.png,1\nc.png,1\ne.png,1\n"), @"ROOT/labels.csv:3: no file ROOT/images/c.png (and 1 more); paths are relative to `root` in [data], by default the table's folder");
        insta::assert_snapshot!(error("path,label\na.png,1\ndeep/d.png,dog\n"), @"ROOT/labels.csv:3: label `dog` is a class name, but the first label is a class index; name all classes in a file, `class_names` in [data], or use one of both");
    }

    proptest! {
        #[test]
        fn any_table_is_read_or_an_error(table in "(path,label\n)?[ab.png,\"\n0-9 ]{0,60}") {
            let _ = opened(table.as_bytes());
        }

        #[test]
        fn any_bytes_are_a_table_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(opened(&bytes).is_err());
        }
    }
}
