//! The verdict on the page: a summary on its first screen and the details further down, put into a page which is there
//! already.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, context};

use super::page_view::{View, view};
use crate::gate::GateOutcome;
use crate::report::{ReportError, write_whole};

/// The places that a page keeps free, by name, and what is put there. The names stand in comments, which no name of a
/// model can hold: its `<` is escaped.
const PLACES: [(&str, &str); 3] = [
    ("gate-link", r##"<a href="#gate">Gate</a>"##),
    ("gate", include_str!("../templates/gate.html.jinja")),
    ("gate-details", include_str!("../templates/gate-details.html.jinja")),
];

/// The place called `name`, still empty.
pub fn place(name: &str) -> String {
    marks(name).concat()
}

fn marks(name: &str) -> [String; 2] {
    [format!("<!--{name}-->"), format!("<!--/{name}-->")]
}

/// Put the outcome into the page of the run in `run_dir`, instead of an earlier one; a silent outcome is taken out. A run
/// without a page, or one whose page has no place for it, is left as it is: the result tells whether the page shows it.
///
/// # Errors
/// If the page cannot be read or written.
pub fn show_gate(run_dir: &Path, outcome: &GateOutcome) -> Result<bool, ReportError> {
    let path = run_dir.join("report.html");
    let mut page = match std::fs::read_to_string(&path) {
        Ok(page) => page,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(ReportError::Read { path, source }),
    };
    let view = (!outcome.is_silent()).then(|| view(outcome));
    for (name, template) in PLACES {
        let content = view.as_ref().map_or(Ok(String::new()), |view| render(template, view))?;
        let Some(filled) = spliced(&page, name, &content) else { return Ok(false) };
        page = filled;
    }
    write_whole(&path, page.as_bytes())?;
    Ok(true)
}

/// The page with other content at a place.
fn spliced(page: &str, name: &str, content: &str) -> Option<String> {
    let [begin, end] = marks(name);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{content}{end}{after}"))
}

fn render(template: &str, view: &View) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(ReportError::Page)?;
    environment.set_syntax(syntax);
    // The name's ending turns escaping on.
    environment.add_template("gate.html", template).map_err(ReportError::Page)?;
    let template = environment.get_template("gate.html").map_err(ReportError::Page)?;
    template.render(context! { gate => Serde(view) }).map_err(ReportError::Page)
}
