//! Charts: what is drawn, and the drawing. Each is a PNG file and an SVG in the page.

pub(in crate::report) mod atlas;
pub(in crate::report) mod axis;
pub(in crate::report) mod canvas;
mod damage_profile;
mod distance_cdf;
pub(in crate::report) mod figure;
mod flip_heatmap;
pub(in crate::report) mod font;
pub(in crate::report) mod gallery;
mod heat;
pub(in crate::report) mod palette;
mod robust_accuracy;
mod transfer;
pub(in crate::report) mod way;

use super::error::ReportError;
use crate::summary::RunSummary;

/// Which section of the page a chart belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Section {
    Curves,
    Units,
    Inside,
    Distances,
    Transfer,
}

/// A chart in both its forms.
pub(in crate::report) struct Chart {
    pub section: Section,
    pub slug: String,
    pub png: Vec<u8>,
    pub svg: String,
}

/// All charts of a run but the gallery.
pub(in crate::report) struct Figures {
    pub charts: Vec<Chart>,
}

impl Figures {
    pub fn draw(summary: &RunSummary) -> Result<Self, ReportError> {
        let mut figures = Figures { charts: Vec::new() };
        for figure in robust_accuracy::worst_case(summary).iter().chain(&robust_accuracy::by_attack(summary)) {
            figures.add(Section::Curves, figure.slug(), figure)?;
        }
        for figure in &flip_heatmap::figures(summary) {
            figures.add(Section::Units, figure.slug(), figure)?;
        }
        for figure in &damage_profile::figures(summary) {
            figures.add(Section::Inside, figure.slug(), figure)?;
        }
        for figure in &distance_cdf::figures(summary) {
            figures.add(Section::Distances, figure.slug(), figure)?;
        }
        for figure in &transfer::figures(summary) {
            figures.add(Section::Transfer, figure.slug(), figure)?;
        }
        Ok(figures)
    }

    /// Draw a figure; names that would be the same as files are told apart by a number.
    fn add(&mut self, section: Section, slug: String, drawing: &impl figure::Figure) -> Result<(), ReportError> {
        let taken = |slug: &str| self.charts.iter().any(|chart| chart.slug == slug);
        let free = (2..).map(|number| format!("{slug}-{number}")).find(|name| !taken(name));
        let slug = if taken(&slug) { free.unwrap_or_else(|| slug.clone()) } else { slug };
        let failed = |source| ReportError::Draw { chart: slug.clone(), source };
        let png = figure::png(drawing).map_err(failed)?;
        let svg = figure::svg(drawing, &slug).map_err(failed)?;
        self.charts.push(Chart { section, slug, png, svg });
        Ok(())
    }
}
