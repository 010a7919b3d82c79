//! A first suite for a folder: what lies there, tried until it validates.
//!
//! [`look`] walks the folder and names what could be weights and images; [`draft`] makes a suite of it, and keeps of each kind what the
//! checks of `am-eval validate` accept. What could not be guessed stands in the suite as a comment, and in [`Draft::open`].

mod data;
mod look;
mod models;
mod table;
mod text;

use std::path::{Path, PathBuf};

pub use look::{Found, look};

/// What needs the rest of the program.
pub trait Knowledge {
    /// The architectures whose tensors a file of weights has, with the side of the images that each was published for; empty if none, or
    /// if this build knows no networks.
    fn architectures(&self, weights: &Path) -> Vec<(String, u32)>;
    /// What `am-eval validate` says of a suite's text; empty if it is good.
    fn problems(&self, path: &Path, text: &str) -> Vec<String>;
    /// Whether [`Knowledge::architectures`] can tell anything.
    fn knows_networks(&self) -> bool;
}

/// A suite that was made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its text.
    pub text: String,
    /// What was taken, one line each.
    pub taken: Vec<String>,
    /// What was not, with the reason.
    pub left: Vec<String>,
    /// What has to be filled in before it validates; empty if it does.
    pub open: Vec<String>,
    /// What was guessed and should be looked at.
    pub guessed: Vec<String>,
}

/// A suite in the file `suite` for what was found in the folder `root`.
pub fn draft(suite: &Path, root: &Path, found: &Found, knowledge: &dyn Knowledge) -> Draft {
    let mut draft = Draft { text: String::new(), taken: vec![], left: vec![], open: vec![], guessed: vec![] };
    let base = suite.parent().unwrap_or(Path::new(""));
    let data = data::choose(suite, base, found, &mut draft);
    let models = models::choose(suite, base, found, data.as_ref(), knowledge, &mut draft);
    draft.text = text::suite(root, data.as_ref(), &models, &draft);
    if data.is_some() && !models.is_empty() {
        // Each part was tried by itself; together they may still disagree.
        draft.open.extend(knowledge.problems(suite, &draft.text));
    }
    draft
}

/// `path` as the suite in `base` names it, with `/` on every system.
fn relative(path: &Path, base: &Path) -> String {
    let parts: Vec<String> = path
        .strip_prefix(base)
        .map(PathBuf::from)
        .unwrap_or_else(|_| path.to_owned())
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/").replace("//", "/") }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
