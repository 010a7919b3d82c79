//! Flip rate per layer and unit of one model, with the controls beside: noise of the same norm and random units of the
//! same layer. A unit says something about the model only where it stands out from its controls.

use plotters::prelude::DrawingBackend;

use super::axis::{self, SMALL};
use super::canvas::{Align, Canvas, Drawn, Type};
use super::figure::Figure;
use super::heat;
use super::palette::{self, AXIS, INK, MUTED};
use crate::record::CellKind;
use crate::summary::{CellSummary, RunSummary};
use crate::terms::{Epsilon, Norm};
use crate::wording::format;

const WIDTH: f64 = 860.0;
const TOP: f64 = 84.0;
const ROW: f64 = 40.0;
/// Size of the notes below layer names.
const NOTE: f64 = 11.0;
/// Units of one layer that are shown; the rest is in `summary.csv`.
const MOST_UNITS: usize = 20;
/// Layers of one model that are shown.
const MOST_ROWS: usize = 40;

/// One attack on one layer, at its largest epsilon.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    attack: String,
    layer: String,
    norm: Norm,
    epsilon: Epsilon,
    /// Units and their flip rates, the most vulnerable first.
    units: Vec<(String, f64)>,
    /// Mean flip rate of the noise draws.
    noise: Option<f64>,
    /// Mean flip rate of the random units.
    random_unit: Option<f64>,
    /// Units left out of the picture.
    hidden: usize,
}

/// The heat map of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct FlipHeatmap {
    /// The model.
    pub model: String,
    rows: Vec<Row>,
    hidden_rows: usize,
    /// Flip rate at the dark end, the same for all models of a run.
    most: f64,
}

/// One heat map for each model that has unit attacks, on one common colour scale.
pub fn figures(summary: &RunSummary) -> Vec<FlipHeatmap> {
    let mut figures = Vec::new();
    for model in &summary.models {
        let mut rows = rows(summary, &model.model);
        if rows.is_empty() {
            continue;
        }
        let hidden_rows = rows.len().saturating_sub(MOST_ROWS);
        rows.truncate(MOST_ROWS);
        figures.push(FlipHeatmap { model: model.model.clone(), rows, hidden_rows, most: 1.0 });
    }
    let most = heat::most(figures.iter().flat_map(|figure| &figure.rows).flat_map(Row::rates));
    for figure in &mut figures {
        figure.most = most;
    }
    figures
}

fn rows(summary: &RunSummary, model: &str) -> Vec<Row> {
    let mut rows: Vec<(Row, Vec<&CellSummary>)> = Vec::new();
    for cell in summary.cells.iter().filter(|cell| cell.cell.model == model && cell.cell.layer.is_some()) {
        let driven = &cell.cell;
        let layer = driven.layer.as_ref().map(ToString::to_string).unwrap_or_default();
        let row = rows
            .iter_mut()
            .find(|(row, _)| row.attack == driven.attack && row.layer == layer && row.norm == driven.norm);
        match row {
            Some((row, cells)) => {
                row.epsilon = row.epsilon.max(driven.epsilon);
                cells.push(cell);
            }
            None => {
                let (attack, norm, epsilon) = (driven.attack.clone(), driven.norm, driven.epsilon);
                let empty =
                    Row { attack, layer, norm, epsilon, units: vec![], noise: None, random_unit: None, hidden: 0 };
                rows.push((empty, vec![cell]));
            }
        }
    }
    let filled = rows.into_iter().map(|(mut row, cells)| {
        let at_row = |kind: CellKind| {
            let cells = cells.iter().filter(move |cell| cell.cell.kind == kind);
            cells
                .filter(|cell| cell.cell.epsilon == row.epsilon)
                .filter_map(|cell| cell.flip_rate.map(|rate| (cell.cell.unit_text(), rate.point)))
        };
        row.noise = mean(at_row(CellKind::ControlNoise).map(|(_, rate)| rate));
        row.random_unit = mean(at_row(CellKind::ControlRandomUnit).map(|(_, rate)| rate));
        let mut units: Vec<(String, f64)> = at_row(CellKind::Unit).collect();
        units.sort_by(|a, b| b.1.total_cmp(&a.1));
        row.hidden = units.len().saturating_sub(MOST_UNITS);
        units.truncate(MOST_UNITS);
        row.units = units;
        row
    });
    filled.filter(|row| !row.units.is_empty()).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

impl Row {
    /// Radius, norm and attack.
    fn ball(&self) -> String {
        format!("ε {} {}, {}", format::epsilon(self.epsilon), format::norm(self.norm), self.attack)
    }

    fn rates(&self) -> impl Iterator<Item = f64> {
        self.units.iter().map(|(_, rate)| *rate).chain(self.noise).chain(self.random_unit)
    }
}

/// Where the columns stand.
struct Columns {
    left: f64,
    cell: f64,
    noise: f64,
    random: f64,
    control: f64,
}

impl FlipHeatmap {
    /// A name for files and ids.
    pub fn slug(&self) -> String {
        format!("flip-rate-{}", crate::wording::format::slug(&self.model))
    }

    fn columns(&self) -> Columns {
        let face = Type::new(SMALL, INK);
        let widest = |row: &Row| face.width(&row.layer).max(Type::new(NOTE, MUTED).width(&row.ball()));
        let left = self.rows.iter().map(widest).fold(60.0, f64::max).min(220.0) + 14.0;
        let control = 76.0;
        let most = self.rows.iter().map(|row| row.units.len()).max().unwrap_or(1).max(1);
        let cell = ((WIDTH - left - 2.0 * control - 16.0) / most as f64).min(58.0);
        let noise = left + cell * most as f64 + 14.0;
        Columns { left, cell, noise, random: noise + control + 2.0, control }
    }

    fn draw_cell<DB: DrawingBackend>(
        &self,
        canvas: &mut Canvas<'_, DB>,
        (x, y, width): (f64, f64, f64),
        rate: f64,
        unit: Option<&str>,
    ) -> Drawn {
        let fill = palette::sequential(rate / self.most);
        canvas.rectangle(x, y, width - 2.0, ROW - 2.0, fill)?;
        let ink = palette::text_on(fill);
        let centre = x + width / 2.0 - 1.0;
        let text = format!("{:.0}", rate * 100.0);
        let face = largest(&[12.5, 11.0, 9.5, 8.5], &text, width - 4.0, |size| Type::new(size, ink).bold());
        match unit {
            Some(unit) => {
                let small = largest(&[10.0, 9.0, 8.0], unit, width - 3.0, |size| Type::new(size, ink));
                canvas.text(centre, y + 16.0, &text, face)?;
                canvas.text(centre, y + 31.0, &small.fit(unit, width - 3.0), small)
            }
            None => canvas.text(centre, y + 23.0, &text, face),
        }
    }
}

/// The largest of some sizes, in descending order, at which a text is narrower than `width`; else the smallest.
fn largest(sizes: &[f64], text: &str, width: f64, face: impl Fn(f64) -> Type) -> Type {
    let fits = |size: &&f64| face(**size).width(text) < width;
    let size = sizes.iter().find(fits).or(sizes.last()).copied().unwrap_or(NOTE);
    face(size).align(Align::Centre)
}

impl Figure for FlipHeatmap {
    fn size(&self) -> (u32, u32) {
        let note = if self.hidden_rows > 0 || self.rows.iter().any(|row| row.hidden > 0) { 26 } else { 6 };
        (WIDTH as u32, TOP as u32 + (self.rows.len() as f64 * ROW) as u32 + note)
    }

    fn title(&self) -> String {
        format!("Flip rate by layer and unit: {}", self.model)
    }

    fn description(&self) -> String {
        let mut text = String::from("Heat map.");
        for row in &self.rows {
            let control = |rate: Option<f64>| rate.map_or("not run".to_owned(), format::percent);
            if let Some((unit, rate)) = row.units.first() {
                text += &format!(
                    " {} at {} {}: strongest unit {unit} with {}, noise {}, random units {}.",
                    row.layer,
                    format::norm(row.norm),
                    format::epsilon(row.epsilon),
                    format::percent(*rate),
                    control(row.noise),
                    control(row.random_unit),
                );
            }
        }
        text
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        let subtitle = "Bold: percent of clean-correct samples flipped. Small: the unit's index, the strongest first";
        axis::heading(canvas, &self.title(), subtitle, WIDTH - 220.0)?;
        heat::draw_scale(canvas, WIDTH, self.most, "flip rate")?;
        let columns = self.columns();
        let head = Type::new(SMALL - 1.0, MUTED);
        canvas.text(columns.left, TOP - 9.0, "units, ranked by flip rate", head)?;
        let centred = head.align(Align::Centre);
        canvas.text(columns.noise + columns.control / 2.0 - 1.0, TOP - 9.0, "noise", centred)?;
        canvas.text(columns.random + columns.control / 2.0 - 1.0, TOP - 9.0, "random unit", centred)?;
        for (index, row) in self.rows.iter().enumerate() {
            let y = TOP + index as f64 * ROW;
            let face = Type::new(SMALL, INK);
            canvas.text(0.0, y + 16.0, &face.fit(&row.layer, columns.left - 12.0), face)?;
            let small = Type::new(NOTE, MUTED);
            canvas.text(0.0, y + 31.0, &small.fit(&row.ball(), columns.left - 12.0), small)?;
            for (place, (unit, rate)) in row.units.iter().enumerate() {
                let x = columns.left + place as f64 * columns.cell;
                self.draw_cell(canvas, (x, y, columns.cell), *rate, Some(unit))?;
            }
            for (x, rate) in [(columns.noise, row.noise), (columns.random, row.random_unit)] {
                match rate {
                    Some(rate) => self.draw_cell(canvas, (x, y, columns.control), rate, None)?,
                    None => {
                        let face = Type::new(SMALL, AXIS).align(Align::Centre);
                        canvas.text(x + columns.control / 2.0, y + 24.0, "–", face)?;
                    }
                }
            }
        }
        let hidden: usize = self.rows.iter().map(|row| row.hidden).sum();
        if hidden + self.hidden_rows > 0 {
            let note = format!(
                "Not shown: {} weaker units and {} layers; see summary.csv",
                format::count(hidden as u64),
                format::count(self.hidden_rows as u64)
            );
            canvas.text(0.0, f64::from(self.size().1) - 6.0, &note, Type::new(SMALL - 1.0, MUTED))?;
        }
        Ok(())
    }
}
