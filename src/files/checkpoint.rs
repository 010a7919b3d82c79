//! What a checkpoint of PyTorch holds, told without loading it, and the lines of Python that make safetensors of it.

use std::path::Path;

use super::pickle::{Key, Pickle, StateDict};
use super::zip::{Archive, ArchiveError};
use super::{open_regular, read_regular};

/// Longest pickle that is looked into; it names tensors and does not hold them.
const LONGEST: u64 = 1 << 28;

/// What `torch.load(weights_only=True)` imports, beside what rebuilds tensors; anything else makes it stop.
const HARMLESS: [&str; 12] = [
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "builtins.dict",
    "builtins.set",
    "__builtin__.set",
    "builtins.complex",
    "builtins.bytearray",
    "torch.Size",
    "torch.Tensor",
    "torch.device",
    "_codecs.encode",
];

/// A checkpoint by what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checkpoint {
    /// TorchScript: a program with its weights.
    Script,
    /// A program of `torch.export`.
    Exported,
    /// Dictionaries of tensors, the likeliest one first, and what else loading it would import.
    States {
        /// The dictionaries.
        states: Vec<StateDict>,
        /// Classes and functions that only a full unpickling imports.
        foreign: Vec<String>,
    },
    /// A pickle in which no tensors were found, or that could not be followed.
    Unclear,
    /// An archive that begins and does not end.
    Truncated,
    /// An archive of something else: its first members.
    Archive(Vec<String>),
}

impl Checkpoint {
    /// Looks into the file; none if it is neither an archive nor a pickle.
    pub fn look(path: &Path) -> Option<Self> {
        match Archive::open(path) {
            Ok(archive) => Some(Self::of_archive(&archive)),
            Err(ArchiveError::Truncated | ArchiveError::Damaged(_)) => Some(Checkpoint::Truncated),
            Err(ArchiveError::Read(_)) => None,
            Err(ArchiveError::Other) => Self::of_legacy(path),
        }
    }

    fn of_archive(archive: &Archive) -> Self {
        let holds = |end: &str| archive.find(end).is_some();
        let within = |part: &str| archive.members().iter().any(|member| member.name.contains(part));
        if holds("serialized_exported_program.json") || holds("models/model.json") || holds("archive_format") {
            return Checkpoint::Exported;
        }
        if holds("constants.pkl") && within("code/") {
            return Checkpoint::Script;
        }
        let Some(member) = archive.find("data.pkl") else {
            let names = archive.members().iter().take(3).map(|member| member.name.clone());
            return Checkpoint::Archive(names.collect());
        };
        let pickle = archive.read(member, LONGEST).ok().and_then(|bytes| Pickle::parse(&bytes));
        pickle.map_or(Checkpoint::Unclear, |(pickle, _)| Self::of_pickle(&pickle))
    }

    /// `torch.save` before 1.6: three small pickles, then that of the object, then its storages. Or a single pickle.
    fn of_legacy(path: &Path) -> Option<Self> {
        let mut begin = [0; 2];
        std::io::Read::read_exact(&mut open_regular(path).ok()?, &mut begin).ok()?;
        if !matches!(begin, [0x80, 1..=5]) {
            return None;
        }
        let Ok(bytes) = read_regular(path, 8 * LONGEST) else { return Some(Checkpoint::Unclear) };
        let mut rest = bytes.as_slice();
        let mut last = Checkpoint::Unclear;
        for _ in 0..4 {
            let Some((pickle, length)) = Pickle::parse(rest) else { break };
            last = Self::of_pickle(&pickle);
            if matches!(last, Checkpoint::States { .. }) {
                break;
            }
            rest = &rest[length..];
        }
        Some(last)
    }

    fn of_pickle(pickle: &Pickle) -> Self {
        let mut states = pickle.state_dicts();
        // An optimizer's moments are tensors too.
        let helper = |key: &Key| key.name().contains("optim") || key.name().contains("sched");
        states.retain(|state| !state.keys.iter().any(helper));
        if states.is_empty() {
            return Checkpoint::Unclear;
        }
        states.sort_by_key(|state| rank(state, states_most(pickle)));
        let foreign = pickle.globals.iter().filter(|name| !harmless(name)).cloned();
        Checkpoint::States { states, foreign: foreign.collect() }
    }
}

fn states_most(pickle: &Pickle) -> usize {
    pickle.state_dicts().iter().map(|state| state.tensors.len()).max().unwrap_or(0)
}

/// The order in which a file's dictionaries are likely to be the network's: those with nearly as many tensors as the largest first,
/// and among them the usual keys.
fn rank(state: &StateDict, most: usize) -> (bool, usize) {
    const USUAL: [&str; 10] = [
        "state_dict",
        "model_state_dict",
        "model_state",
        "model",
        "net",
        "network",
        "weights",
        "params",
        "state_dict_ema",
        "ema",
    ];
    let small = state.tensors.len() * 10 < most * 9;
    let place = state
        .keys
        .last()
        .map_or(0, |key| 1 + USUAL.iter().position(|usual| *usual == key.name()).unwrap_or(USUAL.len()));
    let averaged = state.keys.iter().any(|key| key.name().contains("ema") || key.name().contains("swa"));
    (small, place + if averaged { USUAL.len() } else { 0 })
}

fn harmless(name: &str) -> bool {
    let tensors = [
        "torch._utils._rebuild_",
        "torch._tensor._rebuild",
        "torch.storage.",
        "torch.nn.parameter.",
        "torch.serialization.",
    ];
    let kind = name.strip_prefix("torch.").is_some_and(|kind| {
        kind.ends_with("Storage")
            || kind.ends_with("Tensor")
            || kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    });
    HARMLESS.contains(&name) || kind || tensors.iter().any(|start| name.starts_with(start))
}

/// What the checkpoint is, and what to do about it where weights for an architecture are expected.
pub fn advice(path: &Path, checkpoint: &Checkpoint) -> String {
    match checkpoint {
        Checkpoint::Script => format!(
            "this is a TorchScript file, a program with its weights: use `arch = \"torchscript\"`; or take the weights alone, in \
             Python:\n  {}",
            script(path, "torch.jit.load(SOURCE, map_location=\"cpu\").state_dict()", &[])
        ),
        Checkpoint::Exported => {
            "this is an exported program (torch.export), with its weights: use `arch = \"exported\"`".to_owned()
        }
        Checkpoint::Truncated => {
            "this begins like an archive that `torch.save` writes, but its end is missing or damaged; copy or download it again".to_owned()
        }
        Checkpoint::Archive(names) => {
            format!("this is a zip archive, but none of PyTorch; it holds {}", names.join(", "))
        }
        Checkpoint::Unclear => format!(
            "this is a pickle, and loading one can execute code; convert it where you trust it, in Python:\n  {}",
            script(
                path,
                "torch.load(SOURCE, map_location=\"cpu\", weights_only=True)\n  \
                 state = next((state[key] for key in (\"state_dict\", \"model_state_dict\", \"model\", \"net\", \"state_dict_ema\", \
                 \"ema\") if key in state), state)",
                &[]
            )
        ),
        Checkpoint::States { states, foreign } => states_advice(path, states, foreign),
    }
}

fn states_advice(path: &Path, states: &[StateDict], foreign: &[String]) -> String {
    let [state, others @ ..] = states else { return advice(path, &Checkpoint::Unclear) };
    let keys: String = state.keys.iter().map(index).collect();
    let kind = if state.arrays { "NumPy array" } else { "tensor" };
    let count = match state.tensors.len() {
        1 => format!("1 {kind}"),
        count => format!("{count} {kind}s"),
    };
    let found = match (&state.class, keys.is_empty()) {
        (Some(class), true) => format!("it holds a whole module, {class}, whose code Python must be able to import"),
        (Some(class), false) => {
            format!("under {keys} it holds a whole module, {class}, whose code Python must be able to import")
        }
        (None, true) => format!("it holds a state dict of {count}"),
        (None, false) => format!("under {keys} it holds a state dict of {count}"),
    };
    let mut more = String::new();
    let others: Vec<&StateDict> =
        others.iter().filter(|other| other.tensors.len() * 2 >= state.tensors.len()).collect();
    if !others.is_empty() {
        let places: Vec<String> = others.iter().take(3).map(|other| format!("`{}`", path_of(&other.keys))).collect();
        more = format!("; other tensors are under {}", places.join(", "));
    }
    let full = state.class.is_some() || !foreign.is_empty();
    if state.class.is_none() && full {
        let classes: Vec<&str> = foreign.iter().take(3).map(String::as_str).collect();
        more += &format!("; it also holds {}, which only a full unpickling loads", classes.join(", "));
    }
    let load =
        format!("torch.load(SOURCE, map_location=\"cpu\", weights_only={})", if full { "False" } else { "True" });
    let take = if state.class.is_some() { format!("{load}{keys}.state_dict()") } else { format!("{load}{keys}") };
    let take = match (state.arrays, Archive::open(path).is_ok()) {
        // What `pickle.dump` wrote is no checkpoint of `torch.load`'s.
        (true, false) => {
            format!("__import__(\"pickle\").load(open(SOURCE, \"rb\")){keys}; state = {}", as_tensors())
        }
        (true, true) => {
            format!("torch.load(SOURCE, map_location=\"cpu\", weights_only=False){keys}; state = {}", as_tensors())
        }
        (false, _) => take,
    };
    let prefixes = prefixes(&state.tensors);
    format!(
        "this is a pickle, and loading one can execute code; {found}{more}; convert it where you trust it, in Python:\n  {}",
        script(path, &take, &prefixes)
    )
}

/// Python that makes tensors of the arrays in `state`.
fn as_tensors() -> &'static str {
    "{k: torch.as_tensor(v) for k, v in state.items() if hasattr(v, \"dtype\")}"
}

fn index(key: &Key) -> String {
    match key {
        Key::Name(name) => format!("[{}]", quoted(name)),
        Key::Place(place) => format!("[{place}]"),
    }
}

fn path_of(keys: &[Key]) -> String {
    keys.iter().map(Key::to_string).collect::<Vec<_>>().join(".")
}

/// The first parts of the names that all tensors share, such as `module.`; at most three.
fn prefixes(tensors: &[String]) -> Vec<String> {
    let mut names: Vec<&str> = tensors.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    while let Some((first, _)) =
        names.first().and_then(|name| name.split_once('.')).filter(|_| found.len() < 3 && names.len() > 1)
    {
        let prefix = format!("{first}.");
        let Some(shorter) = names.iter().map(|name| name.strip_prefix(prefix.as_str())).collect() else { break };
        names = shorter;
        found.push(prefix);
    }
    found
}

/// Lines of Python that save the tensors of `take` as safetensors.
fn script(path: &Path, take: &str, prefixes: &[String]) -> String {
    let misnamed = path.extension().is_some_and(|extension| extension == "safetensors");
    let to = path.with_extension(if misnamed { "converted.safetensors" } else { "safetensors" });
    let name =
        if prefixes.is_empty() { "k".to_owned() } else { format!("k.removeprefix({})", quoted(&prefixes.concat())) };
    let take = take.replacen("SOURCE", &quoted(&path.display().to_string()), 1);
    format!(
        "import torch, safetensors.torch as st; state = {take}\n  \
         st.save_file({{{name}: v.contiguous().clone() for k, v in state.items() if torch.is_tensor(v)}}, {})",
        quoted(&to.display().to_string())
    )
}

/// A string as Python writes it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
