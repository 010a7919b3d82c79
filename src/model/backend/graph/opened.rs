//! A file's graph as the harness opens it: read once, lowered for each precision and device.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tch::Device;

use super::GraphError;
use super::builder::Program;
use super::labels::Label;
use super::network::{GraphNetwork, Outline};
use super::survey::Survey;
use super::value::Slot;
use crate::model::backend::{Built, Opened};
use crate::model::{Compute, Geometry, ModelError, Tensors};

/// Networks with at least so many convolutions compute faster with the channels innermost (`benches/layout.rs`).
const CONVOLUTIONAL: usize = 8;

/// A program and the slots of the file's values.
pub struct Lowering {
    /// The program.
    pub program: Program,
    /// The slots by the values' names.
    pub names: BTreeMap<String, Slot>,
}

/// A file whose nodes can be lowered.
pub trait Source {
    /// Lowers every node, to compute as `compute` says.
    ///
    /// # Errors
    /// All that cannot be computed, with the nodes, as clauses about the network.
    fn lower(&self, compute: Compute) -> Result<Lowering, String>;
}

/// A file's graph, looked through.
pub struct OpenedGraph {
    arch: &'static str,
    path: PathBuf,
    form: &'static str,
    hash: String,
    parameters: u64,
    source: Box<dyn Source>,
    geometry: Geometry,
    outline: Outline,
    notes: Vec<String>,
    without_gradients: Option<String>,
}

/// What a frontend knows of its file.
pub struct File {
    /// The value of `arch`.
    pub arch: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What it should be, for messages.
    pub form: &'static str,
    /// blake3 of it.
    pub hash: String,
    /// Number of floating-point values of the weights.
    pub parameters: u64,
    /// Layers, by the names of values.
    pub labels: Vec<Label>,
    /// What a user should know.
    pub notes: Vec<String>,
}

impl OpenedGraph {
    /// Lowers the graph and tries it on images of `image` (channels, rows, columns).
    ///
    /// # Errors
    /// What cannot be computed, or what the answer is instead of logits.
    pub fn survey(file: File, source: Box<dyn Source>, image: [i64; 3]) -> Result<Self, GraphError> {
        let File { arch, path, form, hash, parameters, labels, notes } = file;
        let unusable = |problem: String| GraphError::Unusable { path: path.clone(), form, problem };
        let lowering = source.lower(Compute::f32(Device::Cpu)).map_err(unusable)?;
        let survey = Survey::run(&lowering.program, image).map_err(unusable)?;
        let outline = survey.outline(&labels, &lowering.names, lowering.program.left_out);
        let mut notes = notes;
        notes.extend(super::preparation::note(&lowering.program));
        if let Some(left_out) = lowering.program.left_out {
            notes.push(format!(
                "its answer is a {}; the logits are what goes into it, whose gradients do not vanish",
                left_out.name
            ));
        }
        let without_gradients = survey.without_gradients;
        notes.extend(without_gradients.clone());
        let [channels, height, width] = image;
        let geometry = Geometry { channels, height, width, classes: outline.classes };
        Ok(OpenedGraph { arch, path, form, hash, parameters, source, geometry, outline, notes, without_gradients })
    }
}

impl Opened for OpenedGraph {
    fn arch(&self) -> &str {
        self.arch
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn classes(&self) -> Option<i64> {
        Some(self.geometry.classes)
    }

    fn hash(&self) -> &str {
        &self.hash
    }

    fn parameters(&self) -> u64 {
        self.parameters
    }

    fn narrows(&self) -> bool {
        true
    }

    fn channels_last(&self) -> bool {
        self.outline.convolutions >= CONVOLUTIONAL
    }

    fn folds(&self) -> bool {
        self.outline.folds
    }

    fn without_gradients(&self) -> Option<ModelError> {
        let problem = self.without_gradients.clone()?;
        Some(GraphError::Unusable { path: self.path.clone(), form: self.form, problem }.into())
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn build(&self, _geometry: Geometry, compute: Compute) -> Result<Built, ModelError> {
        let lowering = self.source.lower(compute).map_err(|problem| GraphError::Unusable {
            path: self.path.clone(),
            form: self.form,
            problem,
        })?;
        let network = GraphNetwork::new(lowering.program, &lowering.names, &self.outline);
        Ok(Built { network: Box::new(network), compute, tensors: Tensors::default() })
    }
}
