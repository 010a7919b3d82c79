//! Programs that `torch.export.save` writes (`.pt2`): a zip archive of a graph in ATen operators, as JSON, and raw tensors. Nothing in
//! it is executed: of the pickles that PyTorch before 2.9 wrote, only the places of the tensors are read (`older`).

mod archive;
mod arguments;
mod labels;
mod layout;
mod lower;
mod older;
mod program;
mod schema;
mod signature;
mod tensors;
mod writing;

use std::path::Path;

use archive::Archive;
use schema::ExportedProgram;

use super::graph::{File, GraphError, OpenedGraph, bytes_of};
use super::{Backend, Opened};
use crate::model::ModelError;
use crate::suite::ModelConfig;

/// The version of the schema that is read: `torch.export` has had it since PyTorch 2.6.
const SCHEMA: u64 = 8;

/// What the file should be, for messages.
const FORM: &str = "a program of torch.export";

/// Models whose `weights` are a program of `torch.export`.
pub struct Exported;

impl Backend for Exported {
    fn arch(&self) -> &'static str {
        "exported"
    }

    fn claims(&self, head: &[u8], path: &Path) -> bool {
        const WEIGHTS: &[u8] = b"/data/weights/";
        let named = path.extension().is_some_and(|extension| extension == "pt2");
        named || head.starts_with(b"PK") && head.windows(WEIGHTS.len()).any(|window| window == WEIGHTS)
    }

    fn image(&self, path: &Path) -> [Option<i64>; 3] {
        let bytes = crate::files::read_whole(path).unwrap_or_default();
        // What is wrong with the file is told when it is opened.
        program(&bytes).ok().and_then(|(_, program)| signature::image(&program)).unwrap_or_default()
    }

    fn open(&self, config: &ModelConfig, image: [i64; 3]) -> Result<Box<dyn Opened>, ModelError> {
        let path = &config.weights;
        let bytes = bytes_of(path, FORM)?;
        let opened = read(path, &bytes, image)
            .map_err(|problem| GraphError::Unusable { path: path.clone(), form: FORM, problem })
            .and_then(|(file, program)| OpenedGraph::survey(file, Box::new(program), image))?;
        Ok(Box::new(opened))
    }
}

fn read(path: &Path, bytes: &[u8], image: [i64; 3]) -> Result<(File, program::Program), String> {
    let (archive, mut program) = program(bytes)?;
    program.graph_module.graph.unfold()?;
    let signature = signature::Signature::read(&program, image)?;
    let tensors = tensors::Stored::read(&archive)?;
    let labels = labels::labels(&program.graph_module.graph);
    let parameters = tensors.values();
    let hash = blake3::hash(bytes).to_hex().to_string();
    let program = program::Program::new(program.graph_module.graph, signature, tensors)?;
    let (arch, path, notes) = (Exported.arch(), path.to_path_buf(), Vec::new());
    Ok((File { arch, path, form: FORM, hash, parameters, labels, notes }, program))
}

/// The archive and the graph in it.
fn program(bytes: &[u8]) -> Result<(Archive<'_>, ExportedProgram), String> {
    // ONNX begins with the version of its format, a small number.
    if matches!(bytes, [8, 1..=32, ..]) {
        return Err("it looks like an ONNX model: use `arch = \"onnx\"`".to_owned());
    }
    let archive = Archive::read(bytes)?;
    let program = ExportedProgram::read(model_json(&archive)?);
    let program = program.map_err(|error| format!("its graph cannot be read: {error}"))?;
    let version = program.schema_version.major;
    if version == SCHEMA {
        return Ok((archive, program));
    }
    Err(format!(
        "its schema has version {version}, expected {SCHEMA}; export the model again with PyTorch 2.6 or newer"
    ))
}

/// The graph of the one model in the archive.
fn model_json<'a>(archive: &Archive<'a>) -> Result<&'a [u8], String> {
    let models: Vec<&str> =
        archive.names().filter(|name| name.starts_with("models/") && name.ends_with(".json")).collect();
    match models[..] {
        [name] => archive.entry(name),
        [] if archive.has(older::PROGRAM) => archive.entry(older::PROGRAM),
        [] if archive.names().any(|name| name.starts_with("code/")) => {
            Err("it is a TorchScript file; use `arch = \"torchscript\"`".to_owned())
        }
        [] if archive.has("data.pkl") => {
            Err(format!("it is a pickle that `torch.save` wrote, with no graph; {}", signature::EXPORT))
        }
        [] if archive.names().any(|name| name.starts_with("data/aotinductor/")) => {
            Err("it is compiled to machine code (AOTInductor), which is not run here; save the program itself: \
                 torch.export.save(program, path)"
                .to_owned())
        }
        [] => Err("the archive has no graph (`models/*.json`): it is incomplete, copy or export it again".to_owned()),
        _ => Err(format!("the archive has several models: {}; save one alone", models.join(", "))),
    }
}
