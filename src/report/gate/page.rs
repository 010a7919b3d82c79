//! The verdict on the page: a summary on its first screen, the difference to the baseline beside each accuracy, and details
//! and pictures further down, put into a page which is there already.

use std::collections::HashMap;
use std::path::Path;

use minijinja::context;
use minijinja::value::Serde;

use super::page_pictures::broken;
use super::page_view::{deltas, view};
use crate::gate::{GateOutcome, Subject};
use crate::record::Thumbnails;
use crate::report::shell::{self, MOST_BYTES};
use crate::report::thumbs::Album;
use crate::report::{ReportError, write_whole};

/// The places that each page keeps free, by name, and what is put there. The names stand in comments, which no name of a
/// model can hold: its `<` is escaped.
const PLACES: [(&str, &str); 5] = [
    ("gate-link", r##"<a href="#gate">Gate</a>"##),
    ("gate", include_str!("../templates/gate.html.jinja")),
    (
        "gate-lead",
        "{% if gate.differences %} Below each number, its difference to the baseline in points, with its 95&nbsp;% interval, \
         paired by sample.{% endif %}",
    ),
    ("gate-broken", include_str!("../templates/gate-broken.html.jinja")),
    ("gate-details", include_str!("../templates/gate-details.html.jinja")),
];

/// Bytes that a page leaves to the gate's pictures, and those that its words beside them may take.
pub const ROOM: usize = 1_500_000;
const WORDS: usize = 100_000;

/// The place called `name`, still empty.
pub fn place(name: &str) -> String {
    marks(name).concat()
}

/// The name of the place for the difference of an accuracy to the baseline's.
pub fn delta_name(subject: &Subject) -> String {
    // Any name of a model gives letters and digits.
    let hash = blake3::hash(subject.to_string().as_bytes()).to_hex();
    format!("delta-{}", &hash[..16])
}

fn marks(name: &str) -> [String; 2] {
    [format!("<!--{name}-->"), format!("<!--/{name}-->")]
}

/// Put the outcome into the page of the run in `run_dir`, instead of an earlier one; a silent outcome is taken out. The run's
/// `thumbnails` show the samples that newly broke. A run without a page, or one whose page has no place for the outcome, is
/// left as it is: the result tells whether the page shows it.
///
/// # Errors
/// If the page cannot be read or written.
pub fn show_gate(run_dir: &Path, outcome: &GateOutcome, thumbnails: &Thumbnails) -> Result<bool, ReportError> {
    let path = run_dir.join("report.html");
    let page = match std::fs::read_to_string(&path) {
        Ok(page) => page,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(ReportError::Read { path, source }),
    };
    if PLACES.iter().any(|(name, _)| !page.contains(&marks(name)[0])) {
        return Ok(false);
    }
    let mut page = filled(&page, &HashMap::new());
    if !outcome.is_silent() {
        let room = MOST_BYTES.saturating_sub(page.len() + WORDS).min(ROOM);
        page = filled(&page, &contents(outcome, &mut Album::new(thumbnails, room))?);
    }
    write_whole(&path, page.as_bytes())?;
    Ok(true)
}

/// What stands at each place.
fn contents(outcome: &GateOutcome, album: &mut Album<'_>) -> Result<HashMap<String, String>, ReportError> {
    let (gate, broken) = (view(outcome), broken(outcome, album));
    let mut contents: HashMap<String, String> = deltas(outcome).collect();
    for (name, template) in PLACES {
        let content = shell::part(template, context! { gate => Serde(&gate), broken => Serde(&broken) })?;
        contents.insert(name.to_owned(), content);
    }
    Ok(contents)
}

/// The page with these contents at its places, by name; those without content get empty.
fn filled(page: &str, contents: &HashMap<String, String>) -> String {
    let mut made = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, name, after)) = next_place(rest) {
        let [begin, end] = marks(name);
        let content = contents.get(name).map_or("", String::as_str);
        made.extend([before, &begin, content, &end]);
        rest = after;
    }
    made + rest
}

/// The first place: the page before it, its name, and the page after it.
fn next_place(page: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = page.split_once("<!--")?;
    let (name, rest) = rest.split_once("-->")?;
    let (_, after) = rest.split_once(&marks(name)[1])?;
    Some((before, name, after))
}
