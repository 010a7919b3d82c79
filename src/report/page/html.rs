//! `report.html`: the page of a run.

use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

use super::encode::data_uri;
use super::inside::{Inside, inside};
use super::shell::{self, MOST_BYTES};
use super::slots;
use super::unit_pictures::UnitPictures;
use super::view::{self, Picture};
use crate::record::{Example, Manifest};
use crate::report::chart::{Chart, Figures, Section, gallery};
use crate::report::error::ReportError;
use crate::summary::RunSummary;

/// Most bytes of charts in a page; those beyond are in `charts/` only.
const MOST_CHART_BYTES: usize = 4_000_000;
/// Most picture triples in a page.
const MOST_PICTURES: usize = 48;

const TEMPLATE: &str = include_str!("templates/report.html.jinja");

/// Pictures that a page shows, and what became of the others.
#[derive(Debug, Default, Serialize)]
struct Gallery {
    pictures: Vec<Picture>,
    total: usize,
    /// Left out because the page would grow too large.
    dropped: usize,
}

/// The page of a run.
pub(in crate::report) fn page(
    manifest: &Manifest,
    summary: &RunSummary,
    examples: &[Example],
    figures: &Figures,
    pictures: &UnitPictures,
) -> Result<String, ReportError> {
    let view = view::view(manifest, summary, pictures.seconds());
    let inside = inside(summary, &manifest.classes);
    let empty = Gallery { total: examples.len(), ..Gallery::default() };
    let bare = render(&view, figures, (pictures, &inside), &empty)?;
    let room = MOST_BYTES.saturating_sub(bare.len() + slots::ROOM);
    let gallery = fill(manifest, examples, room);
    if gallery.pictures.is_empty() && gallery.dropped == 0 {
        Ok(bare)
    } else {
        render(&view, figures, (pictures, &inside), &gallery)
    }
}

/// As many pictures as fit into `room` bytes.
fn fill(manifest: &Manifest, examples: &[Example], room: usize) -> Gallery {
    let mut gallery = Gallery { total: examples.len(), ..Gallery::default() };
    let mut used = 0;
    for index in gallery::choose(examples, MOST_PICTURES) {
        let example = &examples[index];
        let mut picture = view::picture(manifest, example);
        let names = picture.sample.len() + picture.model.len() + picture.attack.len();
        let images = [&example.clean, &example.perturbation, &example.adversarial];
        let bytes: usize = images.iter().map(|png| png.len().div_ceil(3) * 4).sum();
        // Names stand in a caption and in alternative texts, escaped to at most six times their length.
        used += bytes + 4000 + names * 24;
        if used > room {
            gallery.dropped += 1;
            continue;
        }
        picture.clean = data_uri(&example.clean);
        picture.perturbation = data_uri(&example.perturbation);
        picture.adversarial = data_uri(&example.adversarial);
        gallery.pictures.push(picture);
    }
    gallery
}

fn render(
    view: &view::View,
    figures: &Figures,
    (pictures, inside): (&UnitPictures, &Inside),
    gallery: &Gallery,
) -> Result<String, ReportError> {
    let (charts, dropped) = within_budget(&figures.charts);
    let charts_of = |section: Section| -> Vec<String> {
        charts.iter().filter(|chart| chart.section == section).map(|chart| chart.svg.clone()).collect()
    };
    let title = format!("{} · robustness report", view.suite());
    shell::render(
        TEMPLATE,
        &title,
        context! {
            view => Serde(view),
            gallery => Serde(gallery),
            pictures => Serde(pictures),
            curves => charts_of(Section::Curves),
            units => charts_of(Section::Units),
            inside => Serde(inside),
            damage => charts_of(Section::Inside),
            distances => charts_of(Section::Distances),
            transfers => charts_of(Section::Transfer),
            charts_dropped => dropped,
            gate_link_place => slots::place("gate-link"),
            gate_place => slots::place("gate"),
            gate_lead_place => slots::place("gate-lead"),
            gate_broken_place => slots::place("gate-broken"),
            gate_details_place => slots::place("gate-details"),
        },
    )
}

/// The charts that fit, and how many do not.
fn within_budget(charts: &[Chart]) -> (Vec<&Chart>, usize) {
    let mut used = 0;
    let fitting: Vec<&Chart> = charts
        .iter()
        .filter(|chart| {
            used += chart.svg.len();
            used <= MOST_CHART_BYTES
        })
        .collect();
    let dropped = charts.len() - fitting.len();
    (fitting, dropped)
}
