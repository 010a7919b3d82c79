//! What every page shares: one file that needs neither network nor JavaScript to be read, and obeys a strict policy.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value, context};

use super::encode::{base64, sha256};
use crate::report::chart::font;
use crate::report::error::ReportError;
use crate::wording::escape;

/// Largest size of a page, in bytes.
pub const MOST_BYTES: usize = 10_000_000;

const HEAD: &str = include_str!("templates/head.html.jinja");
const FOOT: &str = include_str!("templates/foot.html.jinja");
const THUMBS: &str = include_str!("templates/thumbs.html.jinja");
const STYLE: &str = include_str!("templates/report.css");
const SCRIPT: &str = include_str!("templates/report.js");

/// The policy: nothing is loaded, and no script runs but the page's own, told by its hash.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = base64(&sha256(SCRIPT.as_bytes()));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; script-src 'sha256-{hash}'; \
         base-uri 'none'; form-action 'none'"
    )
});

/// A page: `template` includes `head.html` before and `foot.html` after its own, `thumbs.html` where it shows the samples of
/// `thumbs`, and sees the values of `content`.
pub fn render(template: &str, title: &str, content: Value) -> Result<String, ReportError> {
    let shared = context! {
        title => title,
        policy => POLICY.as_str(),
        style => STYLE,
        script => SCRIPT,
        font_regular => base64(font::REGULAR),
        font_semi_bold => base64(font::SEMI_BOLD),
    };
    part(template, context! { ..shared, ..content })
}

/// A part of a page.
pub fn part(template: &str, content: Value) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    // What is included ends with the line break that it has.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.map_err(ReportError::Page)?);
    // The names' ending turns escaping on.
    for (name, source) in [("head.html", HEAD), ("foot.html", FOOT), ("thumbs.html", THUMBS), ("part.html", template)] {
        environment.add_template(name, source).map_err(ReportError::Page)?;
    }
    let template = environment.get_template("part.html").map_err(ReportError::Page)?;
    template.render(content).map(|page| escape::page(&page).into_owned()).map_err(ReportError::Page)
}
