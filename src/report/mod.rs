//! One file per format and per chart: PNG charts, the self-contained HTML page, the table on the terminal.
//!
//! [`write_reports`] makes all files of a run's directory that are made for eyes. They follow from the manifest, the
//! summary and the examples alone: made again, they have the same bytes.

mod axis;
mod canvas;
pub mod compare;
mod distance_cdf;
mod encode;
mod figure;
mod flip_heatmap;
mod font;
mod gallery;
pub mod gate;
mod headline;
mod health;
mod heat;
mod html;
mod palette;
mod robust_accuracy;
mod shell;
mod terminal;
mod thumbs;
mod transfer;
mod transfer_table;
mod view;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::record::{Example, Manifest, PARTIAL};
use crate::summary::RunSummary;

pub use canvas::DrawError;
pub use headline::{Headline, headline};
pub use terminal::table;

/// What can go wrong with reports.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or folder could not be written.
    #[error("failed to write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A page could not be read.
    #[error("failed to read {path}")]
    Read {
        /// The page.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A chart could not be drawn.
    #[error("failed to draw {chart}")]
    Draw {
        /// The chart's name.
        chart: String,
        /// Why.
        #[source]
        source: DrawError,
    },
    /// A page could not be made.
    #[error("failed to make the page")]
    Page(#[source] minijinja::Error),
}

/// Write `charts/*.png` and `report.html` into `run_dir`; returns their paths, the page last. Each file appears whole
/// or not at all.
pub fn write_reports(
    run_dir: &Path,
    manifest: &Manifest,
    summary: &RunSummary,
    examples: &[Example],
) -> Result<Vec<PathBuf>, ReportError> {
    let charts = run_dir.join("charts");
    std::fs::create_dir_all(&charts).map_err(|source| ReportError::Write { path: charts.clone(), source })?;
    let mut written = Vec::new();
    let mut save = |path: PathBuf, bytes: &[u8]| {
        write_whole(&path, bytes)?;
        written.push(path);
        Ok(())
    };
    let figures = Figures::of(summary)?;
    for chart in &figures.charts {
        save(charts.join(format!("{}.png", chart.slug)), &chart.png)?;
    }
    let sheet = gallery::contact_sheet(examples, &manifest.classes)
        .map_err(|source| ReportError::Draw { chart: "gallery".to_owned(), source })?;
    if let Some(sheet) = sheet {
        save(charts.join("gallery.png"), &sheet)?;
    }
    let page = html::page(manifest, summary, examples, &figures)?;
    save(run_dir.join("report.html"), page.as_bytes())?;
    Ok(written)
}

/// Which section of the page a chart belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Curves,
    Units,
    Distances,
    Transfer,
}

/// A chart in both its forms.
struct Chart {
    section: Section,
    slug: String,
    png: Vec<u8>,
    svg: String,
}

/// All charts of a run but the gallery.
struct Figures {
    charts: Vec<Chart>,
}

impl Figures {
    fn of(summary: &RunSummary) -> Result<Self, ReportError> {
        let mut figures = Figures { charts: Vec::new() };
        for of in robust_accuracy::worst_case(summary).iter().chain(&robust_accuracy::by_attack(summary)) {
            figures.add(Section::Curves, of.slug(), of)?;
        }
        for of in &flip_heatmap::figures(summary) {
            figures.add(Section::Units, of.slug(), of)?;
        }
        for of in &distance_cdf::figures(summary) {
            figures.add(Section::Distances, of.slug(), of)?;
        }
        for of in &transfer::figures(summary) {
            figures.add(Section::Transfer, of.slug(), of)?;
        }
        Ok(figures)
    }

    /// Draw a figure; names that would be the same as files are told apart by a number.
    fn add(&mut self, section: Section, slug: String, of: &impl figure::Figure) -> Result<(), ReportError> {
        let taken = |slug: &str| self.charts.iter().any(|chart| chart.slug == slug);
        let free = (2..).map(|number| format!("{slug}-{number}")).find(|name| !taken(name));
        let slug = if taken(&slug) { free.unwrap_or_else(|| slug.clone()) } else { slug };
        let failed = |source| ReportError::Draw { chart: slug.clone(), source };
        let png = figure::png(of).map_err(failed)?;
        let svg = figure::svg(of, &slug).map_err(failed)?;
        self.charts.push(Chart { section, slug, png, svg });
        Ok(())
    }
}

/// `name` as a part of a file's name or an id: lower-case letters, digits and hyphens, at most 60.
fn slug(name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let slug: String = letters.take(60).collect();
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "unnamed".to_owned() } else { slug.to_owned() }
}

/// Write a file under a temporary name beside it, sync it, then rename it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let failed = |source| ReportError::Write { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
