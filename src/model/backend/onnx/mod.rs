//! ONNX models, of operator sets 11 to 23: a protocol buffer with a graph and its tensors, which may stand in files beside it.

mod labels;
mod lower;
mod ops;
mod proto;
mod signature;
mod tensors;
mod wire;

use std::path::Path;

use super::graph::{File, GraphError, OpenedGraph};
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

    /// A protocol buffer that begins with the version of its format, a number.
    fn claims(&self, head: &[u8], path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "onnx") && head.first().is_none_or(|&byte| byte == 8)
    }

    fn image(&self, path: &Path) -> [Option<i64>; 3] {
        let bytes = crate::files::read_whole(path).unwrap_or_default();
        // What is wrong with the file is told when it is opened.
        proto::Model::read(&bytes).ok().and_then(|model| signature::image(&model.graph)).unwrap_or_default()
    }

    fn open(&self, config: &ModelConfig, image: [i64; 3]) -> Result<Box<dyn Opened>, ModelError> {
        let path = &config.weights;
        let bytes = crate::files::read_whole(path).map_err(|source| GraphError::Read { path: path.clone(), source })?;
        let opened = read(path, &bytes, image)
            .map_err(|problem| GraphError::Unusable { path: path.clone(), form: FORM, problem })
            .and_then(|(file, program)| OpenedGraph::survey(file, Box::new(program), image))?;
        Ok(Box::new(opened))
    }
}

fn read(path: &Path, bytes: &[u8], image: [i64; 3]) -> Result<(File, lower::Program), String> {
    let model = proto::Model::read(bytes)?;
    let opset = model.opsets.get("").copied().unwrap_or(0);
    if !OPSETS.contains(&opset) {
        let (first, last) = (OPSETS.start(), OPSETS.end());
        return Err(format!(
            "it uses operator set {opset}; those from {first} to {last} are supported: export it again"
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
    let (labels, notes) = (labels::labels(&model.graph), signature::preprocessing(&model.graph, &signature));
    let (arch, path, hash) = (Onnx.arch(), path.to_path_buf(), hasher.finalize().to_hex().to_string());
    let parameters = program.values();
    Ok((File { arch, path, form: FORM, hash, parameters, labels, notes }, program))
}
