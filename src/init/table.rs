//! A `[[model]]` table as it is written.

/// A `[[model]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its lines.
    pub lines: Vec<String>,
    /// Side of the images that it takes, where images have to be brought to one size; none if a configuration says it.
    pub side: Option<u32>,
    /// Whether it takes images of that side alone: smaller ones are brought to it too.
    pub exact: bool,
}
