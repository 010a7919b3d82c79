//! What is wrong with a suite: every problem of a file at once, each with its place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use crate::suite::places::line_and_column;

/// One thing that is wrong with a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    message: String,
    label: String,
    span: Option<Range<usize>>,
    help: Option<String>,
    notes: Vec<(Range<usize>, String)>,
    /// The key that is unknown, if it is like none that its table has.
    strange_key: Option<String>,
}

impl Problem {
    /// What is wrong, as a lowercase fragment.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The bytes of the file that are wrong; none if the file could not be read at all.
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// What to do about it.
    pub fn suggestion(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Say what to do about it.
    pub(in crate::suite) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Say that this is about an unknown key, which is like none that its table has.
    pub(in crate::suite) fn of_strange_key(&mut self, key: &str) -> &mut Self {
        self.strange_key = Some(key.to_owned());
        self
    }

    /// Point at another place that has to do with it.
    pub(in crate::suite) fn note(&mut self, span: Range<usize>, label: impl Into<String>) -> &mut Self {
        self.notes.push((span, label.into()));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let primary = LabeledSpan::new_primary_with_span(Some(self.label.clone()), self.span.clone()?);
        let notes =
            self.notes.iter().map(|(span, label)| LabeledSpan::new_with_span(Some(label.clone()), span.clone()));
        Some(Box::new(std::iter::once(primary).chain(notes)))
    }
}

/// Collects the problems of one file.
#[derive(Debug, Default)]
pub(in crate::suite) struct Problems(Vec<Problem>);

impl Problems {
    /// Add a problem at a place; `label` stands beside the snippet.
    pub fn add(&mut self, span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> &mut Problem {
        self.push(Some(span), message.into(), label.into())
    }

    /// Add a problem with the file as a whole.
    pub fn add_unplaced(&mut self, message: impl Into<String>) -> &mut Problem {
        self.push(None, message.into(), String::new())
    }

    fn push(&mut self, span: Option<Range<usize>>, message: String, label: String) -> &mut Problem {
        let index = self.0.len();
        self.0.push(Problem { message, label, span, help: None, notes: Vec::new(), strange_key: None });
        &mut self.0[index]
    }

    /// The problems with keys that are like none of their table's, with these keys.
    pub fn strange_keys(&mut self) -> impl Iterator<Item = (String, &mut Problem)> {
        self.0.iter_mut().filter_map(|problem| Some((problem.strange_key.clone()?, problem)))
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many problems there are so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing between these bytes is wrong so far.
    pub fn none_within(&self, span: &Range<usize>) -> bool {
        let within = |inner: &Range<usize>| span.start <= inner.start && inner.end <= span.end;
        !self.0.iter().filter_map(|problem| problem.span.as_ref()).any(within)
    }

    /// All problems, in the order of the file; those after the first [`SuiteErrors::MOST`] are counted only.
    pub fn into_errors(mut self, path: &Path, source: &str) -> SuiteErrors {
        self.0.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        let source = Box::new(NamedSource::new(path.display().to_string(), source.to_string()).with_language("toml"));
        let count = self.0.len();
        self.0.truncate(SuiteErrors::MOST);
        SuiteErrors { noun: "suite", path: path.to_path_buf(), source, problems: self.0, count }
    }
}

/// Every problem of a suite's file.
///
/// `{}` is one line; `{:#}` adds a line `path:line:column: problem` for each. As a [`miette::Diagnostic`] it renders
/// each problem with a snippet of the file.
#[derive(Debug)]
pub struct SuiteErrors {
    noun: &'static str,
    path: PathBuf,
    source: Box<NamedSource<String>>,
    problems: Vec<Problem>,
    count: usize,
}

impl SuiteErrors {
    /// Problems that are kept of one file.
    pub const MOST: usize = 100;

    /// The same for a file that is something else than a suite.
    pub(in crate::suite) fn for_file(self, noun: &'static str) -> Self {
        SuiteErrors { noun, ..self }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The problems, in the order of the file: at least one, at most [`SuiteErrors::MOST`].
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Line and column of a problem, both counted from 1, columns in characters.
    pub fn position(&self, problem: &Problem) -> Option<(usize, usize)> {
        Some(line_and_column(self.source.inner(), problem.span.as_ref()?.start))
    }
}

impl fmt::Display for SuiteErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (noun, path) = (self.noun, self.path.display());
        match self.count {
            1 => write!(f, "{noun} {path} cannot be used: 1 problem")?,
            n if n > Self::MOST => write!(f, "{noun} {path} cannot be used: {n} problems, shown are {}", Self::MOST)?,
            n => write!(f, "{noun} {path} cannot be used: {n} problems")?,
        }
        if f.alternate() {
            for problem in &self.problems {
                match self.position(problem) {
                    Some((line, column)) => write!(f, "\n{path}:{line}:{column}: {problem}")?,
                    None => write!(f, "\n{path}: {problem}")?,
                }
                if let Some(help) = &problem.help {
                    write!(f, " ({help})")?;
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for SuiteErrors {}

impl Diagnostic for SuiteErrors {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.source)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}
