//! Damage by layer: how far adversarial images move each layer's activation, beside the same perturbations shuffled.

use plotters::prelude::DrawingBackend;

use super::axis::{self, LABEL, SMALL, Scale};
use super::canvas::{Align, Canvas, Drawn, Type};
use super::figure::Figure;
use super::palette::{self, AXIS, GRID, INK, MUTED};
use crate::record::Positions;
use crate::stats::Estimate;
use crate::summary::{DamageSummary, RunSummary};
use crate::wording::format;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 430.0;
const TOP: f64 = 66.0;
const LEFT: f64 = 62.0;
/// Lines of one figure; the others are in `damage.csv`.
const MOST_LINES: usize = 6;

/// One attack at its largest radius, over one kind of positions.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    label: String,
    /// Layer's place, change, change by the shuffled perturbation.
    points: Vec<(usize, Estimate, f64)>,
}

/// The damage profile of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct DamageProfile {
    model: String,
    /// Names in the order of the pass.
    layers: Vec<String>,
    lines: Vec<Line>,
    hidden: usize,
}

/// One figure for each model whose damage was measured.
pub fn figures(summary: &RunSummary) -> Vec<DamageProfile> {
    let damage = &summary.inside.damage;
    let mut figures: Vec<DamageProfile> = Vec::new();
    for rows in damage.chunk_by(|a, b| a.origin.model == b.origin.model) {
        let mut layers: Vec<String> = Vec::new();
        for row in rows {
            if !layers.iter().any(|known| known == row.layer.as_str()) {
                layers.push(row.layer.to_string());
            }
        }
        let mut lines: Vec<Line> = Vec::new();
        for row in rows.iter().filter(|row| is_largest(row, rows)) {
            let Some(place) = layers.iter().position(|known| known == row.layer.as_str()) else { continue };
            if !row.change.point.is_finite() {
                continue;
            }
            let label = label(row);
            let point = (place, row.change, row.shuffled.point);
            match lines.iter_mut().find(|line| line.label == label) {
                Some(line) => line.points.push(point),
                None => lines.push(Line { label, points: vec![point] }),
            }
        }
        let hidden = lines.len().saturating_sub(MOST_LINES);
        lines.truncate(MOST_LINES);
        figures.push(DamageProfile { model: rows[0].origin.model.clone(), layers, lines, hidden });
    }
    figures.retain(|figure| !figure.lines.is_empty());
    figures
}

fn is_largest(row: &DamageSummary, rows: &[DamageSummary]) -> bool {
    let same =
        rows.iter().filter(|other| (&other.origin.attack, other.origin.norm) == (&row.origin.attack, row.origin.norm));
    same.map(|other| other.origin.epsilon).max() == Some(row.origin.epsilon)
}

fn label(row: &DamageSummary) -> String {
    let origin = &row.origin;
    let positions = match row.positions {
        Positions::All => "",
        Positions::Class => ", class token",
        Positions::Patches => ", patches",
    };
    format!("{} {} {}{positions}", origin.attack, format::norm(origin.norm), format::epsilon(origin.epsilon))
}

impl DamageProfile {
    /// A name for files and ids.
    pub fn slug(&self) -> String {
        format!("damage-{}", format::slug(&self.model))
    }

    fn most(&self) -> f64 {
        let points = self.lines.iter().flat_map(|line| &line.points);
        points
            // Bands are shown whole, but for those so wide that they would flatten what they are about.
            .flat_map(|(_, change, shuffled)| [change.hi.min(2.0 * change.point), *shuffled])
            .filter(|value| value.is_finite())
            .fold(0.1, f64::max)
            * 1.08
    }

    fn grid<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>, x: Scale, y: Scale) -> Drawn {
        for value in axis::round_ticks(self.most(), 5) {
            let place = y.at(value);
            canvas.line(&[(x.from, place), (x.to, place)], if value == 0.0 { AXIS } else { GRID }, 1.0)?;
            let text = format!("{:.0} %", value * 100.0);
            canvas.text(x.from - 8.0, place + 4.5, &text, Type::new(SMALL, MUTED).align(Align::Right))?;
        }
        // As many names as have room, evenly.
        let room = ((x.to - x.from) / 130.0).floor().max(1.0) as usize;
        let step = self.layers.len().div_ceil(room).max(1);
        let face = Type::new(SMALL - 1.0, MUTED).align(Align::Centre);
        for (place, layer) in self.layers.iter().enumerate().step_by(step) {
            let at = x.at(place as f64);
            canvas.line(&[(at, y.from), (at, y.from + 4.0)], AXIS, 1.0)?;
            canvas.text(at.max(40.0), y.from + 18.0, &face.fit(layer, 124.0), face)?;
        }
        let legend = "layers in the order of the pass; thin grey: the same perturbation with its pixels shuffled";
        canvas.text((x.from + x.to) / 2.0, HEIGHT - 8.0, legend, Type::new(SMALL, MUTED).align(Align::Centre))
    }
}

impl Figure for DamageProfile {
    fn size(&self) -> (u32, u32) {
        (WIDTH as u32, HEIGHT as u32)
    }

    fn title(&self) -> String {
        format!("Damage by layer: {}", self.model)
    }

    fn description(&self) -> String {
        let mut text = String::from("Line chart.");
        for line in &self.lines {
            let most = line.points.iter().max_by(|a, b| a.1.point.total_cmp(&b.1.point));
            if let (Some((first, change, _)), Some((place, most, shuffled))) = (line.points.first(), most) {
                text += &format!(
                    " {}: {} at {}, most at {} with {} (shuffled {}).",
                    line.label,
                    format::percent(change.point),
                    self.layers[*first],
                    self.layers[*place],
                    format::percent(most.point),
                    format::percent(*shuffled),
                );
            }
        }
        text
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        let hidden =
            if self.hidden > 0 { format!("; {} more lines are in damage.csv", self.hidden) } else { String::new() };
        let subtitle = format!(
            "Length of the activation's change over that of the clean activation; bands are 95 % intervals of the mean{hidden}"
        );
        axis::heading(canvas, &self.title(), &subtitle, WIDTH)?;
        let face = Type::new(LABEL - 1.0, INK);
        let reserved = self.lines.iter().map(|line| face.width(&line.label)).fold(90.0, f64::max).min(250.0) + 30.0;
        let right = WIDTH - reserved;
        let hi = (self.layers.len().saturating_sub(1)).max(1) as f64;
        let x = Scale { lo: 0.0, hi, from: LEFT, to: right };
        let y = Scale { lo: 0.0, hi: self.most(), from: HEIGHT - 52.0, to: TOP };
        self.grid(canvas, x, y)?;
        for (index, line) in self.lines.iter().enumerate() {
            let colour = palette::series(index).line;
            let edge = |value: fn(&Estimate) -> f64| {
                line.points.iter().map(move |(place, estimate, _)| (x.at(*place as f64), y.at(value(estimate))))
            };
            let mut band: Vec<(f64, f64)> = edge(|estimate| estimate.hi).collect();
            band.extend(edge(|estimate| estimate.lo).rev());
            canvas.polygon(&band, colour, 0.16)?;
            let shuffled: Vec<(f64, f64)> = line
                .points
                .iter()
                .filter(|(_, _, shuffled)| shuffled.is_finite())
                .map(|(place, _, shuffled)| (x.at(*place as f64), y.at(*shuffled)))
                .collect();
            canvas.line(&shuffled, AXIS, 1.0)?;
            let points: Vec<(f64, f64)> = edge(|estimate| estimate.point).collect();
            canvas.line(&points, colour, 2.0)?;
        }
        let ends: Vec<f64> = self
            .lines
            .iter()
            .filter_map(|line| line.points.last())
            .map(|(_, estimate, _)| y.at(estimate.point))
            .collect();
        let places = axis::spread(&ends, LABEL * 1.35, TOP, y.from);
        for (index, (line, place)) in self.lines.iter().zip(places).enumerate() {
            let face = Type::new(LABEL - 1.0, palette::series(index).text).bold();
            canvas.text(right + 14.0, place + 5.0, &face.fit(&line.label, reserved - 16.0), face)?;
        }
        Ok(())
    }
}
