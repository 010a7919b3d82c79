//! One file per format and per chart: PNG charts, the self-contained HTML page, the table on the terminal.
//!
//! [`write_reports`] makes all files of a run's directory that are made for eyes. They follow from the manifest, the
//! summary and the examples alone: made again, they have the same bytes.

mod chart;
pub mod compare;
mod data_name;
mod error;
pub mod gate;
mod headline;
pub mod history;
mod page;
mod radii;
mod terminal;

use std::path::{Path, PathBuf};

use crate::record::{Example, Manifest, PictureDir, StudyDir, UniversalRecord, WayRecord, write_atomically};
use crate::summary::RunSummary;

use chart::way::WayFigure;

pub use chart::atlas::write_atlases;
pub use data_name::data_name;
pub use error::{DrawError, ReportError};
pub use headline::{Headline, headline};
pub use terminal::{closing, table};

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
        write_atomically(&path, bytes)?;
        written.push(path);
        Ok::<(), ReportError>(())
    };
    let figures = chart::Figures::draw(summary)?;
    for chart in &figures.charts {
        save(charts.join(format!("{}.png", chart.slug)), &chart.png)?;
    }
    let sheet = chart::gallery::contact_sheet(examples, &manifest.classes)
        .map_err(|source| ReportError::Draw { chart: "gallery".to_owned(), source })?;
    if let Some(sheet) = sheet {
        save(charts.join("gallery.png"), &sheet)?;
    }
    let mut pictures = page::unit_pictures(&PictureDir::of_run(run_dir), summary, examples, &manifest.classes)?;
    let dir = StudyDir::ways(run_dir);
    for way in &dir.read::<WayRecord>().map_err(|error| draw_error("ways", error))? {
        let figure = WayFigure::new(way, &manifest.classes);
        let png = figure.png(&dir).map_err(|source| ReportError::Draw { chart: figure.slug(), source })?;
        save(charts.join(format!("{}.png", figure.slug())), &png)?;
        pictures.add_way(&figure, &dir)?;
    }
    let universal = StudyDir::universal(run_dir);
    let records = universal.read::<Vec<UniversalRecord>>().map_err(|error| draw_error("universal", error))?;
    pictures.add_universal(&universal, &records.into_iter().flatten().collect::<Vec<_>>(), &manifest.classes)?;
    let page = page::page(manifest, summary, examples, &figures, &pictures)?;
    save(run_dir.join("report.html"), page.as_bytes())?;
    Ok(written)
}

fn draw_error(chart: &str, error: crate::record::StoreError) -> ReportError {
    ReportError::Draw { chart: chart.to_owned(), source: DrawError::new(error) }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
