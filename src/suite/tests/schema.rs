//! The JSON Schema: current, and of one mind with the reader.

use super::FULL;
use crate::suite::{schema, schema_text};

fn as_json(source: &str) -> serde_json::Value {
    toml::from_str(source).unwrap()
}

#[test]
fn the_checked_in_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/suites/suite.schema.json");
    if std::env::var_os("AM_EVAL_WRITE_SCHEMA").is_some() {
        std::fs::write(path, schema_text()).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap();
    assert!(checked_in == schema_text(), "write it again: AM_EVAL_WRITE_SCHEMA=1 cargo test the_checked_in_schema");
}

#[test]
fn shipped_suites_fulfil_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/suites")).unwrap();
    let paths =
        folder.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|ext| ext == "toml"));
    let shipped: Vec<(String, String)> =
        paths.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect();
    assert!(shipped.len() > 10, "{shipped:?}");
    for (path, source) in shipped.iter().map(|(path, source)| (path.as_str(), source.as_str())).chain([("full", FULL)])
    {
        let instance = as_json(source);
        let errors: Vec<String> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{path}: {errors:?}");
    }
}

#[test]
fn the_schema_knows_the_units_that_the_reader_knows() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let known = |unit: &str| {
        let source = FULL.replace("units = [3, 17, \"4@3,5\"]", &format!("units = [\"{unit}\"]"));
        let source = source.replace("direction = \"suppress\"\n", "");
        assert_ne!(source, FULL);
        (validator.is_valid(&as_json(&source)), super::parse(&source).is_ok())
    };
    for unit in
        ["3", "3@max", "q:1@class", "normed:8", "head:2", "layer", "direction:1-2", "sensitive:1", "sensitive:20"]
    {
        assert_eq!(known(unit), (true, true), "{unit}");
    }
    for unit in ["", "x", "sensitive:0", "sensitive:", "head:", "3@", "layers"] {
        assert_eq!(known(unit), (false, false), "{unit}");
    }
}

#[test]
fn the_schema_rejects_what_the_reader_rejects() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let cases = [
        ("schema = 2", "schema = 3"),
        ("name = \"full\"", "name = \"a/b\""),
        ("seed = 3", "seed = -3"),
        ("device = \"cuda:1\"", "device = \"gpu\""),
        ("precision = \"bf16\"", "precision = \"fp16\""),
        ("batch = 64", "batch = 0"),
        ("batch = 64", "tables = [\"csv\", \"excel\"]"),
        ("kind = \"image-folder\"", "kind = \"folder\""),
        ("resize = 256", "resize = 256\nsplit = \"test\""),
        ("weights = \"../models/cnn.safetensors\"", ""),
        ("target = 7", "target = \"first\""),
        ("norm = \"l2\"\nepsilons", "norm = \"l3\"\nepsilons"),
        ("epsilons = [1, 0.5]", "epsilons = [-1]"),
        ("epsilons = [1, 0.5]", "epsilons = [\"eight\"]"),
        ("steps = 100", "stesp = 100"),
        ("steps = 100", "steps = 0"),
        ("step_size = 0.1", "step_size = 0"),
        ("units = [3, 17, \"4@3,5\"]", "units = [3, \"4@3\"]"),
        ("units = \"all\"", "units = \"some\""),
        ("methods = [\"path\"]", "methods = [\"fmm\"]"),
        ("level = \"warn\"", "level = \"loud\""),
    ];
    for (old, new) in cases {
        assert_eq!(FULL.matches(old).count(), 1, "{old}");
        let source = FULL.replace(old, new);
        assert!(!validator.is_valid(&as_json(&source)), "{new}");
        assert!(super::parse(&source).is_err(), "{new}");
    }
}

const EVERYTHING: &str = include_str!("../../../tests/fixtures/suites/everything.toml");
const AVERAGED: &str = include_str!("../../../tests/fixtures/suites/averaged.toml");

/// Tables that say no more than they have to.
const BARE: &str = r#"
schema = 2
name = "bare"
[run]
[data]
kind = "synthetic"
[[model]]
name = "cnn"
arch = "cifar/resnet20"
weights = "cnn.safetensors"
normalize = { mean = [0.5], std = [0.5] }
[[attack]]
name = "class"
kind = "class-logit"
norm = "linf"
epsilons = [0.1]
steps = 3
views = { samples = 2 }
[[attack]]
name = "blurred"
kind = "class-logit"
norm = "linf"
epsilons = [0.1]
steps = 3
views = { diversity = 0.5 }
[[attack]]
name = "unit"
kind = "unit"
layer = "fc"
units = { top = 2 }
norm = "linf"
epsilons = [0.1]
steps = 3
[boundary]
[selftest]
[trajectories]
[damage]
[[universal]]
name = "one"
source = "images"
units = [1]
norm = "l2"
epsilons = [1]
[[visualize]]
name = "two"
layers = ["fc"]
units = [1]
[[gate]]
metric = "clean_accuracy"
min = 0.3
"#;

/// A key or an index on the way to a table of a suite.
#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

/// The tables of a suite, each with the part of the schema that it fulfils.
fn tables<'s>(
    definitions: &'s serde_json::Value,
    node: &'s serde_json::Value,
    value: &toml::Value,
    way: Vec<Step>,
    found: &mut Vec<(Vec<Step>, &'s serde_json::Value)>,
) {
    let node = match node["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        Some(name) => &definitions[name],
        None => node,
    };
    let onto = |step: Step| way.iter().cloned().chain([step]).collect::<Vec<_>>();
    match (value, node["anyOf"].as_array()) {
        (toml::Value::Table(_), Some(choices)) => {
            // The kind says which it is, or the keys do.
            let fits = |choice: &&serde_json::Value| {
                let name = choice["$ref"].as_str().and_then(|path| path.rsplit('/').next());
                let choice = name.map_or(*choice, |name| &definitions[name]);
                let known = |(key, value): (&String, &toml::Value)| {
                    let property = &choice["properties"][key];
                    !property.is_null() && (property["const"].is_null() || property["const"].as_str() == value.as_str())
                };
                value.as_table().is_some_and(|table| table.iter().all(known))
            };
            let choice = choices.iter().find(fits).unwrap_or_else(|| panic!("{way:?}: {value}"));
            tables(definitions, choice, value, way, found);
        }
        (toml::Value::Table(table), None) => {
            found.push((way.clone(), node));
            for (key, value) in table {
                tables(definitions, &node["properties"][key], value, onto(Step::Key(key.clone())), found);
            }
        }
        (toml::Value::Array(list), None) => {
            for (at, value) in list.iter().enumerate() {
                tables(definitions, &node["items"], value, onto(Step::Index(at)), found);
            }
        }
        _ => {}
    }
}

/// Each default that the schema tells, written out where a suite leaves it out: the suite stays the same.
#[test]
fn defaults_are_what_is_left_out() {
    let schema = schema();
    let resolved = |suite: &toml::Value| {
        let text = toml::to_string(suite).unwrap();
        let suite = super::parse(&text).map_err(|errors| format!("{}\n{text}", super::render(&errors))).unwrap();
        serde_json::to_value(&suite).unwrap()
    };
    let of_kind = |keys: &str| {
        let (before, rest) = FULL.split_once("[data]\n").unwrap();
        let (_, after) = rest.split_once("[[model]]").unwrap();
        format!("{before}[data]\n{keys}\nresize = 32\n[[model]]{after}")
    };
    let folder = "root = \"r\"";
    let kinds = ["cifar10", "cifar100", "mnist", "fashion-mnist", "webdataset", "image-folder"];
    let mut sources: Vec<String> = kinds.map(|kind| of_kind(&format!("kind = \"{kind}\"\n{folder}"))).to_vec();
    let files = [
        "kind = \"synthetic\"",
        "kind = \"csv\"\nfile = \"t.csv\"",
        "kind = \"idx\"\nimages = \"i\"\nlabels = \"l\"",
        "kind = \"imagenet-val\"\nroot = \"r\"\nlabels = \"l\"",
    ];
    sources.extend(files.map(of_kind));
    sources.extend([BARE, FULL, EVERYTHING, AVERAGED].map(str::to_owned));
    let defaults = |node: &serde_json::Value| -> Vec<String> {
        let properties = node["properties"].as_object().into_iter().flatten();
        properties.filter(|(_, property)| !property["default"].is_null()).map(|(key, _)| key.clone()).collect()
    };
    let mut untried: Vec<(*const serde_json::Value, String)> =
        defaults(&schema).into_iter().map(|key| (&raw const schema, key)).collect();
    for node in schema["$defs"].as_object().unwrap().values() {
        untried.extend(defaults(node).into_iter().map(|key| (&raw const *node, key)));
    }
    assert!(untried.len() > 60, "{}", untried.len());
    for source in sources {
        let suite: toml::Value = toml::from_str(&source).unwrap();
        let (expected, mut found) = (resolved(&suite), Vec::new());
        tables(&schema["$defs"], &schema, &suite, Vec::new(), &mut found);
        for (way, node) in found {
            for (key, property) in node["properties"].as_object().unwrap() {
                let mut changed = suite.clone();
                let table = way.iter().fold(&mut changed, |value, step| match step {
                    Step::Key(key) => &mut value[key.as_str()],
                    Step::Index(at) => &mut value[*at],
                });
                let table = table.as_table_mut().unwrap();
                // What means nothing without another key is refused without it.
                let is_idle = match key.as_str() {
                    "radius" => !table.contains_key("samples"),
                    "interpolation" => !table.contains_key("resize"),
                    "train" => table["source"].as_str() != Some("images"),
                    _ => false,
                };
                if property["default"].is_null() || table.contains_key(key) || is_idle {
                    continue;
                }
                table.insert(key.clone(), toml::Value::try_from(&property["default"]).unwrap());
                assert_eq!(resolved(&changed), expected, "{way:?} {key}");
                untried.retain(|(other, name)| !(std::ptr::eq(*other, node) && name == key));
            }
        }
    }
    let name = |node: *const serde_json::Value| {
        let mut definitions = schema["$defs"].as_object().unwrap().iter();
        definitions.find(|(_, other)| std::ptr::eq(*other, node)).map_or("the suite", |(name, _)| name.as_str())
    };
    let left: Vec<String> = untried.iter().map(|(node, key)| format!("{}.{key}", name(*node))).collect();
    assert!(left.is_empty(), "no suite of this test leaves out {left:?}");
}

/// What a rule may select by is every kind of cell.
#[test]
fn the_kinds_of_cells_are_all_told() {
    let schema = schema();
    let about = schema["$defs"]["RawSelect"]["properties"]["kind"]["description"].as_str().unwrap();
    let missing: Vec<&str> = crate::terms::CellKind::ALL
        .into_iter()
        .map(|kind| kind.as_str())
        .filter(|kind| !about.contains(kind))
        .collect();
    assert!(missing.is_empty(), "`select` says nothing of {missing:?}");
}

#[test]
fn the_reference_pages_are_current() {
    crate::manual::tests::check("suite.md", &crate::suite::suite_reference());
}
