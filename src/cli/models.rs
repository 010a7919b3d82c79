//! `am-eval models`: the architectures, and the weights found in `models/`.

use std::path::PathBuf;

use super::args::ModelsArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::output::print;
use crate::data::TensorFile;
use crate::model::{Architecture, ModelError, shipped};
use crate::wording::columns::{Align, columns};
use crate::wording::format;

/// Lists architectures, then weights. A file that cannot be read is listed with the reason.
pub fn models(_args: &ModelsArgs) -> Result<Exit, Failure> {
    let architectures = architectures().or_exit(Exit::RunFailed)?;
    let files = shipped();
    let weights = match files.is_empty() {
        true => "No weights in models/: run from a checkout of am-eval to see those it ships with.\n".to_owned(),
        false => columns(&weights(&files), [Align::Left, Align::Right, Align::Left, Align::Left]) + "\n",
    };
    print(&format!("{architectures}\n{weights}"))?;
    Ok(Exit::Success)
}

fn architectures() -> Result<String, ModelError> {
    let mut rows = vec![["architecture", "input", "parameters", "about"].map(str::to_owned)];
    for architecture in Architecture::all() {
        let model = architecture.outline(architecture.geometry)?;
        let input = model.input.map(|size| size.to_string()).join("x");
        rows.push([architecture.name.into(), input, format::count(model.parameters), architecture.about.into()]);
    }
    Ok(columns(&rows, [Align::Left, Align::Right, Align::Right, Align::Left]) + "\n")
}

fn weights(files: &[PathBuf]) -> Vec<[String; 4]> {
    let mut rows = vec![["weights", "size", "architecture", "notes"].map(str::to_owned)];
    rows.extend(files.iter().map(|path| {
        let name = path.display().to_string();
        match TensorFile::open(path) {
            Ok(file) => {
                let mut notes = file.notes();
                let arch = notes.remove("arch").unwrap_or_default();
                let notes: Vec<String> = notes.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                [name, format!("{} kB", file.length().div_ceil(1000)), arch, notes.join(", ")]
            }
            Err(error) => [name, "-".to_owned(), String::new(), format!("unusable: {error}")],
        }
    }));
    rows
}
