//! The messages of ONNX, as far as they matter here, with the field numbers of `onnx.proto`.

use std::collections::BTreeMap;

use super::wire::{Wire, fields, floats, ints};

/// A model.
#[derive(Debug, Default)]
pub struct Model<'a> {
    pub graph: Graph<'a>,
    /// Versions of the operator sets by domain; the empty one is ONNX's own.
    pub opsets: BTreeMap<String, i64>,
    /// Names of functions that the model brings.
    pub functions: Vec<String>,
}

/// A graph.
#[derive(Debug, Default)]
pub struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    pub initializers: Vec<TensorProto<'a>>,
    pub inputs: Vec<ValueInfo>,
    pub outputs: Vec<ValueInfo>,
    pub sparse: bool,
}

/// A node.
#[derive(Debug, Default)]
pub struct Node<'a> {
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub name: String,
    pub operator: String,
    pub domain: String,
    pub attributes: Vec<(String, Attribute<'a>)>,
    pub notes: BTreeMap<String, String>,
}

/// What an attribute holds.
#[derive(Debug)]
pub enum Attribute<'a> {
    Float(f64),
    Int(i64),
    Text(String),
    Tensor(TensorProto<'a>),
    Floats(Vec<f64>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
    Graph,
}

/// A tensor.
#[derive(Debug, Default)]
pub struct TensorProto<'a> {
    pub name: String,
    pub shape: Vec<i64>,
    pub kind: i64,
    pub raw: Option<&'a [u8]>,
    pub floats: Vec<f64>,
    pub ints: Vec<i64>,
    pub doubles: Vec<f64>,
    /// Where the values stand outside of the file: `location`, `offset`, `length`.
    pub external: BTreeMap<String, String>,
}

/// The kind and shape of an input or output; none for sizes that vary.
#[derive(Debug, Default, Clone)]
pub struct ValueInfo {
    pub name: String,
    pub kind: i64,
    pub shape: Option<Vec<Option<i64>>>,
}

impl<'a> Model<'a> {
    /// Reads a model.
    ///
    /// # Errors
    /// If the bytes are no model.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut model = Model::default();
        let mut found = false;
        for (number, value) in fields(bytes)? {
            match number {
                7 => (model.graph, found) = (Graph::read(value.bytes())?, true),
                8 => {
                    let (mut domain, mut version) = (String::new(), 0);
                    for (number, value) in fields(value.bytes())? {
                        match number {
                            1 => domain = value.text(),
                            2 => version = value.int(),
                            _ => {}
                        }
                    }
                    model.opsets.insert(if domain == "ai.onnx" { String::new() } else { domain }, version);
                }
                25 => {
                    let function = fields(value.bytes())?;
                    model
                        .functions
                        .extend(function.iter().find(|(number, _)| *number == 1).map(|(_, name)| name.text()));
                }
                _ => {}
            }
        }
        if found { Ok(model) } else { Err("it has no graph".to_owned()) }
    }
}

impl<'a> Graph<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut graph = Graph::default();
        for (number, value) in fields(bytes)? {
            match number {
                1 => graph.nodes.push(Node::read(value.bytes())?),
                5 => graph.initializers.push(TensorProto::read(value.bytes())?),
                11 => graph.inputs.push(ValueInfo::read(value.bytes())?),
                12 => graph.outputs.push(ValueInfo::read(value.bytes())?),
                15 => graph.sparse = true,
                _ => {}
            }
        }
        Ok(graph)
    }
}

impl<'a> Node<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut node = Node::default();
        for (number, value) in fields(bytes)? {
            match number {
                1 => node.inputs.push(value.text()),
                2 => node.outputs.push(value.text()),
                3 => node.name = value.text(),
                4 => node.operator = value.text(),
                5 => node.attributes.extend(attribute(value.bytes())?),
                7 => node.domain = value.text(),
                9 => {
                    let (key, note) = pair(value)?;
                    node.notes.insert(key, note);
                }
                _ => {}
            }
        }
        if node.domain == "ai.onnx" {
            node.domain.clear();
        }
        Ok(node)
    }
}

/// A key and a value.
fn pair(value: Wire) -> Result<(String, String), String> {
    let (mut key, mut content) = (String::new(), String::new());
    for (number, value) in fields(value.bytes())? {
        match number {
            1 => key = value.text(),
            2 => content = value.text(),
            _ => {}
        }
    }
    Ok((key, content))
}

fn attribute(bytes: &[u8]) -> Result<Option<(String, Attribute<'_>)>, String> {
    let (mut name, mut kind) = (String::new(), 0);
    let (mut float, mut int, mut text, mut tensor) = (0.0, 0, String::new(), None);
    let (mut many_floats, mut many_ints, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for (number, value) in fields(bytes)? {
        match number {
            1 => name = value.text(),
            2 => float = value.float(),
            3 => int = value.int(),
            4 => text = value.text(),
            5 => tensor = Some(TensorProto::read(value.bytes())?),
            7 => floats(value, &mut many_floats),
            8 => ints(value, &mut many_ints)?,
            9 => texts.push(value.text()),
            20 => kind = value.int(),
            _ => {}
        }
    }
    let attribute = match kind {
        1 => Attribute::Float(float),
        2 => Attribute::Int(int),
        3 => Attribute::Text(text),
        4 => Attribute::Tensor(tensor.ok_or_else(|| format!("its attribute `{name}` has no tensor"))?),
        6 => Attribute::Floats(many_floats),
        7 => Attribute::Ints(many_ints),
        8 => Attribute::Texts(texts),
        5 | 10 => Attribute::Graph,
        // Kinds that the operators known here do not have.
        _ => return Ok(None),
    };
    Ok(Some((name, attribute)))
}

impl<'a> TensorProto<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut tensor = TensorProto::default();
        for (number, value) in fields(bytes)? {
            match number {
                1 => ints(value, &mut tensor.shape)?,
                2 => tensor.kind = value.int(),
                4 => floats(value, &mut tensor.floats),
                5 | 7 | 11 => ints(value, &mut tensor.ints)?,
                8 => tensor.name = value.text(),
                9 => tensor.raw = Some(value.bytes()),
                10 => {
                    let eights = value.bytes().chunks_exact(8).filter_map(|eight| eight.try_into().ok());
                    tensor.doubles.extend(eights.map(f64::from_le_bytes));
                }
                13 => tensor.external.extend([pair(value)?]),
                _ => {}
            }
        }
        Ok(tensor)
    }
}

impl ValueInfo {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut info = ValueInfo::default();
        for (number, value) in fields(bytes)? {
            match number {
                1 => info.name = value.text(),
                2 => {
                    let kinds = fields(value.bytes())?;
                    let Some((_, tensor)) = kinds.iter().find(|(number, _)| *number == 1) else { continue };
                    for (number, value) in fields(tensor.bytes())? {
                        match number {
                            1 => info.kind = value.int(),
                            2 => info.shape = Some(shape(value)?),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(info)
    }
}

/// The sizes; none for those that vary.
fn shape(value: Wire) -> Result<Vec<Option<i64>>, String> {
    let mut sizes = Vec::new();
    for (number, value) in fields(value.bytes())? {
        if number == 1 {
            let dimension = fields(value.bytes())?;
            sizes.push(
                dimension.iter().find(|(number, _)| *number == 1).map(|(_, size)| size.int()).filter(|&size| size > 0),
            );
        }
    }
    Ok(sizes)
}
