//! ONNX models, of operator sets 11 to 23: a protocol buffer with a graph and its tensors, which may stand in files beside it.

mod labels;
mod lower;
mod ops;
mod proto;
mod signature;
mod tensors;
mod wire;

use std::path::Path;

use super::graph::{File, GraphError, OpenedGraph, bytes_of};
use super::{Backend, Opened};
use crate::model::ModelError;
use crate::suite::ModelConfig;

/// What the file should be, for messages.
const FORM: &str = "an ONNX model";

/// The versions of the operator set that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 9..=24;

/// Models whose `weights` are an ONNX file.
pub struct Onnx;

impl Backend for Onnx {
    fn arch(&self) -> &'static str {
        "onnx"
    }

    fn claims(&self, _head: &[u8], path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "onnx")
    }

    fn image(&self, path: &Path) -> [Option<i64>; 3] {
        let bytes = crate::files::read_whole(path).unwrap_or_default();
        // What is wrong with the file is told when it is opened.
        proto::Model::read(&bytes).ok().and_then(|model| signature::image(&model.graph)).unwrap_or_default()
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

fn read(path: &Path, bytes: &[u8], image: [i64; 3]) -> Result<(File, lower::Program), String> {
    if bytes.starts_with(b"PK") {
        return Err("it is a zip archive, as torch.export.save writes: use `arch = \"exported\"`".to_owned());
    }
    let model = proto::Model::read(bytes)?;
    let (first, last) = (OPSETS.start(), OPSETS.end());
    let Some(&opset) = model.opsets.get("") else {
        return Err("it does not say which operator set of ONNX it uses: export it again".to_owned());
    };
    if !OPSETS.contains(&opset) {
        return Err(format!(
            "it uses operator set {opset}; those from {first} to {last} are supported: export it again with opset_version={}",
            opset.clamp(17, 20)
        ));
    }
    if !model.functions.is_empty() {
        let names = model.functions.join(", ");
        return Err(format!(
            "it brings functions of its own ({names}); inline them: onnx.inliner.inline_local_functions(model)"
        ));
    }
    if model.graph.sparse {
        return Err("it has sparse tensors, which are not supported".to_owned());
    }
    let signature = signature::Signature::read(&model.graph, image)?;
    let mut external = tensors::ExternalFiles::of_file(path);
    let program = lower::Program::read(&model, opset, &signature, &mut external)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(bytes);
    external.hash(&mut hasher);
    let (labels, notes) = (labels::labels(&model.graph), Vec::new());
    let (arch, path, hash) = (Onnx.arch(), path.to_path_buf(), hasher.finalize().to_hex().to_string());
    let parameters = program.values();
    Ok((File { arch, path, form: FORM, hash, parameters, labels, notes }, program))
}
