//! From the tables as written to a validated [`Suite`]: what spans several values, defaults, and paths.

mod attack;
mod boundary;
mod data;
mod data_files;
mod found;
pub(super) mod gate;
mod homes;
mod inside;
mod model;
mod rules_file;
mod transfer;
mod visualize;

pub use found::{LOGITS, NO_LAYERS, too_few_classes};

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::config::{
    AttackConfig, DeviceChoice, ModelConfig, RunConfig, SearchPrecision, SelfTestConfig, Suite, TableForm,
};
use super::raw::attack::Around;
use super::raw::{RawModel, RawRun, RawSelfTest, RawSuite};
use super::read::{At, FromToml, Value};
use crate::files::open_regular;
use crate::suite::places::Places;
use crate::suite::read::problem::{Problems, SuiteErrors};
use crate::suite::read::values::FormVersion;
use crate::terms::LayerName;
use crate::wording::neighbour;
use crate::wording::suggest::excerpt;

/// A file of more bytes was meant for something else.
const LARGEST_FILE: u64 = 1 << 20;

/// After so many lines that are not TOML, the rest of the file is not TOML either.
const SYNTAX_ERRORS: usize = 20;

impl Suite {
    /// Read and validate a suite's file. Data and weights are not looked at; see [`Suite::check_files`].
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, is not TOML, or says something wrong; all problems come at once.
    pub fn load(path: impl Into<PathBuf>) -> Result<Suite, SuiteErrors> {
        Suite::load_from(path, None)
    }

    /// The same, with the models' weights (files or folders) in `weights_root` under their own names, if one is given.
    ///
    /// # Errors
    /// See [`Suite::load`].
    pub fn load_from(path: impl Into<PathBuf>, weights_root: Option<&Path>) -> Result<Suite, SuiteErrors> {
        let path = path.into();
        let source = text_of(&path)?;
        parse(path, source, weights_root)
    }

    /// Validate a suite's text; `path` is its file, to which the paths in it are relative.
    ///
    /// # Errors
    /// Every problem of the text, with its place.
    pub fn parse(path: impl Into<PathBuf>, source: impl Into<String>) -> Result<Suite, SuiteErrors> {
        parse(path.into(), source.into(), None)
    }
}

fn parse(path: PathBuf, source: String, weights_root: Option<&Path>) -> Result<Suite, SuiteErrors> {
    let mut problems = Problems::default();
    match resolve(&path, &source, weights_root, &mut problems) {
        Some(suite) if problems.is_empty() => Ok(suite),
        _ => {
            homes::name_homes(&mut problems);
            Err(problems.into_errors(&path, &source))
        }
    }
}

/// The text of a suite's file, or of a file of rules.
pub(super) fn text_of(path: &Path) -> Result<String, SuiteErrors> {
    let unreadable = |message: String, help: &str| {
        let mut problems = Problems::default();
        problems.add_unplaced(message).help(help);
        problems.into_errors(path, "")
    };
    if path.is_dir() {
        return Err(unreadable("this is a folder, not a file".into(), "name the TOML file"));
    }
    let mut bytes = Vec::new();
    open_regular(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)).map_err(|error| {
        let near = neighbour(path, |file| file.extension().is_some_and(|end| end == "toml"));
        let help = match near.filter(|_| error.kind() == std::io::ErrorKind::NotFound) {
            Some(near) => format!("did you mean `{near}`, which is in the same folder?"),
            None => "check the path and its permissions".to_owned(),
        };
        unreadable(format!("failed to read the file: {error}"), &help)
    })?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(unreadable(format!("the file has more than {LARGEST_FILE} bytes"), "this is not a suite"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        unreadable(format!("byte {valid} (line {line}) is not UTF-8"), "save the file as UTF-8 text")
    })
}

/// The file's outermost table, or none after its syntax errors were told.
pub(super) fn root<'i>(source: &'i str, problems: &mut Problems) -> Option<Value<'i>> {
    let (table, syntax) = DeTable::parse_recoverable(source);
    if syntax.is_empty() {
        let span = start_of(table.span());
        return Some(toml::Spanned::new(span, DeValue::Table(table.into_inner())));
    }
    let mut errors = 0;
    let mut line = 0..0;
    for error in syntax {
        let span = error.span().unwrap_or(0..0);
        // One mistake often causes several errors on its line; the first is the one to mend.
        if errors > 0 && line.contains(&span.start) {
            continue;
        }
        if errors == SYNTAX_ERRORS {
            break;
        }
        errors += 1;
        line = line_around(source, span.start);
        let is_twice = error.message().contains("duplicate key");
        let name = excerpt(source.get(span.clone()).unwrap_or_default());
        let is_table = source.get(..span.start).is_some_and(|before| before.ends_with('['));
        let problem = problems.add(span, format!("this is not TOML: {}", error.message()), "here");
        match is_twice {
            true if is_table => {
                problem.help(format!(
                    "`[{name}]` stands once; join both, or write `[[{name}]]` if it may stand several times"
                ));
                // Its keys stand a second time with it.
                break;
            }
            true => {
                problem.help(format!("`{name}` stands once in a table; leave one of them out"));
            }
            false => {}
        }
    }
    None
}

/// The suite, or none after at least one problem was found.
fn resolve(path: &Path, source: &str, weights_root: Option<&Path>, problems: &mut Problems) -> Option<Suite> {
    let value = root(source, problems)?;
    let raw = RawSuite::from_toml("suite", &value, problems)?;

    let base = path.parent().unwrap_or(Path::new(""));
    let run = run(raw.run, problems);
    let data_span = raw.data.as_ref().map(|data| data.span.clone());
    let mut data = raw.data.and_then(|data| data::resolve(data, base, problems));
    let names = raw.model.as_ref().map(|models| model_names(&models.value.0, problems)).unwrap_or_default();
    let models = models(raw.model, base, weights_root, problems);
    let (models, preprocessings): (Vec<ModelConfig>, Vec<_>) = models.into_iter().unzip();
    if let (Some(data), Some(span)) = (&mut data, data_span) {
        match model::told_preprocessing(data.preprocess, &preprocessings) {
            Ok(preprocess) => data.preprocess = preprocess,
            Err(problem) => {
                problems
                    .add(span, problem, "no `resize` and no `crop`")
                    .help("add `resize`, `crop` and `interpolation`");
            }
        }
    }
    let attacks = raw.attack.map(|attacks| attacks.value.0).unwrap_or_default();
    let visualizations = raw.visualize.map(|tables| tables.value.0).unwrap_or_default();
    let universal = raw.universal.map(|tables| tables.value.0).unwrap_or_default();
    let pictures = !visualizations.is_empty() || !universal.is_empty();
    if attacks.is_empty() && !pictures && raw.boundary.is_none() && problems.is_empty() {
        problems
            .add(value.span(), "the suite measures nothing", "no attack, no boundary, no picture")
            .help("add an `[[attack]]`, `[boundary]` or `[[visualize]]`");
    }
    let form = raw.schema.map_or(FormVersion::Second, |schema| schema.value);
    let attacks = attack::resolve(attacks, Around { form, names: &names, models: &models, base }, problems);
    let visualizations = visualize::resolve(visualizations, &names, base, problems);
    let universal = inside::universal(universal, &names, base, problems);
    let damage = raw.damage.map(|raw| inside::damage(raw, &attacks, base, problems));
    let trajectories = raw.trajectories.map(|raw| inside::trajectories(raw, &attacks, problems));
    let boundary = raw.boundary.and_then(|boundary| boundary::resolve(boundary, &models, problems));
    let gates = raw.gate.map(|gates| gate::rules(gates.value.0, problems)).unwrap_or_default();
    let waivers = raw.waiver.map(|waivers| gate::waivers(waivers.value.0, problems)).unwrap_or_default();
    // What selects among attacks and models is judged only where all of them can be used.
    let sound = problems.is_empty();
    if sound {
        gate::check_selections(&gates, &models, &attacks, boundary.as_ref(), problems);
    }
    let transfer =
        raw.transfer.filter(|_| sound).map(|transfer| transfer::resolve(transfer, &attacks, &models, problems));
    let selftest = raw.selftest.map(|selftest| self_test(&selftest, &attacks, problems));
    Some(Suite {
        name: raw.name?.value.0,
        seed: raw.seed.map_or(0, |seed| seed.value.0),
        run,
        data: data?,
        models,
        attacks,
        boundary,
        transfer,
        selftest,
        visualizations,
        damage,
        trajectories,
        universal,
        gates: gates.into_iter().map(|rule| rule.value).collect(),
        waivers,
        path: path.to_path_buf(),
        source: source.to_string(),
        places: places(&value),
    })
}

impl Places {
    /// Of any text of TOML, whether it is a valid suite or not; empty if it is no TOML.
    pub fn of_text(source: &str) -> Places {
        root(source, &mut Problems::default()).map(|root| places(&root)).unwrap_or_default()
    }
}

/// Where the file's tables and their keys stand.
fn places(root: &Value) -> Places {
    let mut places = Places::default();
    let mut note = |list: &str, index: Option<usize>, table: &Value| {
        places.note(list, index, None, table.span());
        let DeValue::Table(fields) = table.get_ref() else { return };
        for (key, value) in fields.iter() {
            places.note(list, index, Some(key.get_ref()), value.span());
            if let (Some(index), "name", DeValue::String(name)) = (index, key.get_ref().as_ref(), value.get_ref()) {
                places.note_name(list, index, name);
            }
        }
    };
    if let DeValue::Table(tables) = root.get_ref() {
        for (name, value) in tables.iter() {
            match value.get_ref() {
                DeValue::Array(items) => {
                    items.iter().enumerate().for_each(|(index, item)| note(name.get_ref(), Some(index), item));
                }
                _ => note(name.get_ref(), None, value),
            }
        }
    }
    places
}

fn self_test(raw: &At<RawSelfTest>, attacks: &[AttackConfig], problems: &mut Problems) -> SelfTestConfig {
    if problems.is_empty() && !attacks.iter().any(|attack| attack.goal.drives_logits()) {
        problems
            .add(raw.span.clone(), "`[selftest]` finds no attack of kind `class-logit`", "nothing to test")
            .help("add such an attack, or leave `[selftest]` out");
    }
    SelfTestConfig {
        layer: raw.value.layer.as_ref().map(|layer| LayerName::from(layer.value.0.as_str())),
        samples: raw.value.samples.as_ref().map_or(32, |samples| samples.value.size()),
    }
}

/// The bytes of the line that holds byte `at`, its end included.
fn line_around(source: &str, at: usize) -> Range<usize> {
    let bytes = source.as_bytes();
    let at = at.min(bytes.len());
    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length);
    start..end + 1
}

/// What the file lacks as a whole is shown at its beginning.
fn start_of(span: Range<usize>) -> Range<usize> {
    span.start..span.start
}

/// The forms of tables, each once; csv is among them, since `gate` and `compare` read it.
fn tables(raw: Option<&At<Vec<At<TableForm>>>>, problems: &mut Problems) -> Vec<TableForm> {
    let Some(raw) = raw else { return vec![TableForm::Csv] };
    for (form, first) in repeated(&raw.value, |form| *form) {
        problems
            .add(form.span.clone(), "a form of tables stands twice", "again here")
            .note(first.span.clone(), "first here");
    }
    if !raw.value.iter().any(|form| form.value == TableForm::Csv) && problems.none_within(&raw.span) {
        problems
            .add(raw.span.clone(), "`tables` lacks csv, which `gate` and `compare` read", "no csv")
            .help("write tables = [\"csv\", \"parquet\"] for both, or leave `tables` out for csv alone");
    }
    let mut forms: Vec<TableForm> = raw.value.iter().map(|form| form.value).collect();
    forms.sort();
    forms
}

fn run(raw: Option<At<RawRun>>, problems: &mut Problems) -> RunConfig {
    let raw = raw.map(|raw| raw.value);
    let raw = raw.as_ref();
    RunConfig {
        device: raw.and_then(|run| run.device.as_ref()).map_or(DeviceChoice::Auto, |device| device.value.0),
        precision: raw.and_then(|run| run.precision.as_ref()).map_or(SearchPrecision::Auto, |word| word.value),
        batch: raw.and_then(|run| run.batch.as_ref()).and_then(|batch| batch.value.0),
        block: raw.and_then(|run| run.block.as_ref()).map(|block| block.value.size()),
        eot: raw.and_then(|run| run.eot.as_ref()).map_or(1, |eot| eot.value.size()),
        tables: tables(raw.and_then(|run| run.tables.as_ref()), problems),
    }
}

/// The models' names with their places, the unusable models included; repetitions are problems.
fn model_names(models: &[At<RawModel>], problems: &mut Problems) -> Vec<At<String>> {
    let names = models.iter().filter_map(|model| model.value.name.as_ref());
    let names: Vec<At<String>> =
        names.map(|name| At { value: name.value.0.clone(), span: name.span.clone() }).collect();
    distinct("model name", &names, problems);
    names
}

/// Say which names repeat an earlier one. Case does not count: some file systems do not see it.
fn distinct(noun: &str, names: &[At<String>], problems: &mut Problems) {
    for (name, first) in repeated(names, |name| name.to_ascii_lowercase()) {
        problems
            .add(name.span.clone(), format!("{noun} `{}` stands twice", name.value), "again here")
            .help("records are told apart by it: give each its own")
            .note(first.span.clone(), "first here");
    }
}

/// The values whose key an earlier value has too, each with the first such.
fn repeated<T, K: Hash + Eq>(values: &[At<T>], key: impl Fn(&T) -> K) -> Vec<(&At<T>, &At<T>)> {
    let mut first: HashMap<K, &At<T>> = HashMap::new();
    let mut repeated = Vec::new();
    for value in values {
        match first.entry(key(&value.value)) {
            Entry::Occupied(earlier) => repeated.push((value, *earlier.get())),
            Entry::Vacant(free) => {
                free.insert(value);
            }
        }
    }
    repeated
}

fn models(
    raw: Option<At<crate::suite::read::kinds::Tables<RawModel>>>,
    base: &Path,
    weights_root: Option<&Path>,
    problems: &mut Problems,
) -> Vec<model::Resolved> {
    let Some(raw) = raw else { return Vec::new() };
    if raw.value.0.is_empty() && problems.none_within(&raw.span) {
        problems.add(raw.span, "the suite names no model", "no model").help("add a `[[model]]`");
    }
    raw.value.0.into_iter().filter_map(|raw| model::resolve(raw, base, weights_root, problems)).collect()
}
