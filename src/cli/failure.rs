//! How a command fails: a diagnostic for people and an exit code for programs.

use std::error::Error;
use std::io::{self, IsTerminal, Write};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, Report};

use super::exit::Exit;
use crate::wording::escape;

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// What the process ends with.
    pub exit: Exit,
    /// What is shown on standard error, with its causes, snippets and help.
    pub report: Report,
}

impl Failure {
    /// Any error that has no spans of its own; its sources are shown as causes.
    pub fn new(exit: Exit, error: impl Error + Send + Sync + 'static) -> Self {
        Failure { exit, report: Report::from_err(error) }
    }

    /// An error that knows its source, labels and help.
    pub fn diagnostic(exit: Exit, error: impl Diagnostic + Send + Sync + 'static) -> Self {
        Failure { exit, report: Report::new(error) }
    }

    /// A message with a remedy.
    pub fn message(exit: Exit, text: impl Into<String>, help: impl Into<String>) -> Self {
        let report = miette::MietteDiagnostic::new(text).with_help(help).with_labels(Vec::<LabeledSpan>::new());
        Failure { exit, report: Report::new(report) }
    }

    /// Writing to standard output failed. A reader that has seen enough (`am-eval models | head -1`) is no failure:
    /// [`Failure::is_broken_pipe`].
    pub fn output(error: io::Error) -> Self {
        Failure::new(Exit::RunFailed, OutputError(error))
    }

    /// Whether the reader of standard output went away.
    pub fn is_broken_pipe(&self) -> bool {
        self.report.chain().any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        })
    }

    /// The diagnostic as text: boxes and colours on a terminal, plain ASCII without colour elsewhere.
    pub fn render(&self, style: Style) -> String {
        let theme = match style {
            Style::Colour => GraphicalTheme::unicode(),
            Style::Monochrome => GraphicalTheme::unicode_nocolor(),
            Style::Plain => GraphicalTheme::none(),
        };
        // Lines are not wrapped for files and logs, so that they can be searched.
        let width = if style == Style::Plain { 10_000 } else { 120 };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
        let mut text = String::new();
        match handler.render_report(&mut text, self.report.as_ref()) {
            Ok(()) => text,
            Err(_) => format!("error: {:#}\n", self.report),
        }
    }

    /// Show the diagnostic on standard error. Nothing more can be done if that is closed.
    pub fn print(&self) {
        let style = Style::of_stderr();
        let text = self.render(style);
        let text = if style == Style::Colour { escape::coloured(&text) } else { escape::terminal(&text).into_owned() };
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Writing to standard output failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to write to standard output")]
struct OutputError(#[source] io::Error);

/// How a diagnostic is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Unicode boxes and colours.
    Colour,
    /// Unicode boxes without colours, as `NO_COLOR` asks.
    Monochrome,
    /// ASCII.
    Plain,
}

impl Style {
    /// What suits standard error.
    pub fn of_stderr() -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match (io::stderr().is_terminal(), no_colour) {
            (false, _) => Style::Plain,
            (true, true) => Style::Monochrome,
            (true, false) => Style::Colour,
        }
    }
}

/// Turns a library's error into a [`Failure`] with an exit code.
pub trait OrExit<T> {
    /// `Err` becomes a failure that ends with `exit`.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Error + Send + Sync + 'static> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_reader_is_told_from_other_write_errors() {
        assert!(Failure::output(io::ErrorKind::BrokenPipe.into()).is_broken_pipe());
        assert!(!Failure::output(io::ErrorKind::StorageFull.into()).is_broken_pipe());
    }

    #[test]
    fn plain_rendering_has_no_escapes_and_shows_causes_and_help() {
        let failure = Failure::output(io::Error::other("disk on fire"));
        let text = failure.render(Style::Plain);
        assert!(text.is_ascii(), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("failed to write to standard output") && text.contains("disk on fire"), "{text}");
        let text = Failure::message(Exit::Usage, "no such thing", "try another").render(Style::Plain);
        assert!(text.contains("no such thing") && text.contains("help: try another"), "{text}");
    }
}
