//! The verdict on the page: a summary on its first screen, the difference to the baseline beside each accuracy, and details
//! and pictures further down, put into a page which is there already.

use std::collections::HashMap;
use std::path::Path;

use minijinja::context;
use minijinja::value::Serde;

use super::page_pictures::broken;
use super::page_view::{deltas, view};
use crate::gate::GateOutcome;
use crate::record::{Thumbnails, write_atomically};
use crate::report::error::ReportError;
use crate::report::page::shell::{self, MOST_BYTES};
use crate::report::page::slots::{ROOM, filled, marks};
use crate::report::page::thumbs::Album;

/// The places that each page keeps free, by name, and what is put there. The names stand in comments, which no name of a
/// model can hold: its `<` is escaped.
const PLACES: [(&str, &str); 5] = [
    ("gate-link", r##"<a href="#gate">Gate</a>"##),
    ("gate", include_str!("../page/templates/gate.html.jinja")),
    (
        "gate-lead",
        "{% if gate.differences %} Below each number, its difference to the baseline in points, with its 95&nbsp;% interval, \
         paired by sample.{% endif %}",
    ),
    ("gate-broken", include_str!("../page/templates/gate-broken.html.jinja")),
    ("gate-details", include_str!("../page/templates/gate-details.html.jinja")),
];

/// Bytes that the words beside the pictures may take.
const WORDS: usize = 100_000;

/// Put the outcome into the page of the run in `run_dir`, instead of an earlier one; a silent outcome is taken out. The run's
/// `thumbnails` show the samples that newly broke. A run without a page, or one whose page has no place for the outcome, is
/// left as it is: the result tells whether the page shows it.
///
/// # Errors
/// If the page cannot be read or written.
pub fn show_gate(run_dir: &Path, outcome: &GateOutcome, thumbnails: &Thumbnails) -> Result<bool, ReportError> {
    let path = run_dir.join("report.html");
    let page = match crate::files::read_text(&path) {
        Ok(page) => page,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(ReportError::Read { path, source }),
    };
    if PLACES.iter().any(|(name, _)| !page.contains(&marks(name)[0])) {
        return Ok(false);
    }
    let mut page = without_gate(&page);
    if !outcome.is_silent() {
        let room = MOST_BYTES.saturating_sub(page.len() + WORDS).min(ROOM);
        page = filled(&page, &contents(outcome, &mut Album::new(thumbnails, room))?);
    }
    write_atomically(&path, page.as_bytes())?;
    Ok(true)
}

/// The page of a run without any verdict.
pub fn without_gate(page: &str) -> String {
    filled(page, &HashMap::new())
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
