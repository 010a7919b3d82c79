//! Robust accuracy against epsilon: one line per model with its interval as a band, labelled at its end.

use plotters::prelude::DrawingBackend;

use super::axis::{self, LABEL, SMALL, Scale};
use super::canvas::{Align, Canvas, Drawn, Type};
use super::figure::Figure;
use super::palette::{self, INK, MUTED, PAPER};
use crate::stats::Estimate;
use crate::summary::{ModelSummary, RunSummary};
use crate::terms::{Epsilon, Norm};
use crate::wording::format;

const WIDTH: u32 = 860;
const TOP: f64 = 66.0;
const LEFT: f64 = 56.0;

/// One model's line.
#[derive(Debug, Clone, PartialEq)]
struct Curve {
    model: String,
    /// Place of the model in the suite; decides the colour.
    index: usize,
    /// By ascending epsilon, from the clean accuracy at 0.
    points: Vec<(Epsilon, Estimate)>,
}

/// The lines of one attack, or of the worst case over all.
#[derive(Debug, Clone, PartialEq)]
struct Panel {
    title: String,
    curves: Vec<Curve>,
}

/// Robust accuracy against epsilon in one norm: a single panel, or one for each attack.
#[derive(Debug, Clone, PartialEq)]
pub struct RobustAccuracy {
    /// The norm of all curves.
    pub norm: Norm,
    title: String,
    subtitle: String,
    panels: Vec<Panel>,
}

/// The worst case over all attacks, one figure for each norm.
pub fn worst_case(summary: &RunSummary) -> Vec<RobustAccuracy> {
    let mut figures = Vec::new();
    for norm in Norm::ALL {
        let curves = curves(summary, |model| {
            let points = model.worst_case.iter().filter(|(point_norm, _, _)| *point_norm == norm);
            points.map(|(_, epsilon, estimate)| (*epsilon, *estimate)).collect()
        });
        if !curves.is_empty() {
            figures.push(RobustAccuracy {
                norm,
                title: format!("Robust accuracy against {} perturbations", format::norm(norm)),
                subtitle: "Worst case per sample over all attacks; bands are 95 % Wilson intervals".to_owned(),
                panels: vec![Panel { title: String::new(), curves }],
            });
        }
    }
    figures
}

/// Each class-logit attack in a panel of its own, one figure for each norm that has several.
pub fn by_attack(summary: &RunSummary) -> Vec<RobustAccuracy> {
    let mut figures = Vec::new();
    for norm in Norm::ALL {
        let attacks = class_attacks(summary, norm);
        if attacks.len() < 2 {
            continue;
        }
        let panels = attacks.into_iter().map(|attack| {
            let curves = curves(summary, |model| {
                let cells = summary.cells.iter().filter(|cell| {
                    let cell = &cell.cell;
                    cell.kind.seeks_flips() && cell.norm == norm && cell.attack == attack && cell.model == model.model
                });
                let mut points: Vec<_> = cells.map(|cell| (cell.cell.epsilon, cell.robust_accuracy)).collect();
                points.sort_by_key(|(epsilon, _)| *epsilon);
                points
            });
            Panel { title: attack, curves }
        });
        figures.push(RobustAccuracy {
            norm,
            title: format!("Robust accuracy by attack, {}", format::norm(norm)),
            subtitle: "Lower is a stronger attack; bands are 95 % Wilson intervals".to_owned(),
            panels: panels.collect(),
        });
    }
    figures
}

/// Names of the class-logit attacks in `norm`, by first appearance.
fn class_attacks(summary: &RunSummary, norm: Norm) -> Vec<String> {
    let mut attacks: Vec<String> = Vec::new();
    for cell in &summary.cells {
        let cell = &cell.cell;
        if cell.kind.seeks_flips() && cell.norm == norm && !attacks.contains(&cell.attack) {
            attacks.push(cell.attack.clone());
        }
    }
    attacks
}

fn curves(summary: &RunSummary, points: impl Fn(&ModelSummary) -> Vec<(Epsilon, Estimate)>) -> Vec<Curve> {
    let mut curves = Vec::new();
    for (index, model) in summary.models.iter().enumerate() {
        let mut points = points(model);
        if points.is_empty() {
            continue;
        }
        if let (Ok(zero), true) = (Epsilon::new(0.0), points[0].0.value() > 0.0) {
            points.insert(0, (zero, model.clean_accuracy));
        }
        curves.push(Curve { model: model.model.clone(), index, points });
    }
    curves
}

impl RobustAccuracy {
    /// A name for files and ids.
    pub fn slug(&self) -> String {
        let form = if self.panels.len() > 1 { "robust-accuracy-by-attack" } else { "robust-accuracy" };
        format!("{form}-{}", self.norm)
    }

    fn columns(&self) -> usize {
        self.panels.len().min(3)
    }

    /// All radii, ascending.
    fn epsilons(&self) -> Vec<Epsilon> {
        let points = self.panels.iter().flat_map(|panel| &panel.curves).flat_map(|curve| &curve.points);
        let mut epsilons: Vec<Epsilon> = points.map(|(epsilon, _)| *epsilon).collect();
        epsilons.sort();
        epsilons.dedup();
        epsilons
    }

    /// Ticks at the radii that were attacked.
    fn ticks(&self) -> Vec<(f64, String)> {
        self.epsilons().into_iter().map(|epsilon| (epsilon.value(), format::epsilon(epsilon))).collect()
    }

    fn draw_curves<DB: DrawingBackend>(
        &self,
        canvas: &mut Canvas<'_, DB>,
        panel: &Panel,
        x: Scale,
        y: Scale,
        weight: f64,
    ) -> Drawn {
        for curve in &panel.curves {
            let colour = palette::series(curve.index).line;
            let edge = |value: fn(&Estimate) -> f64| {
                curve.points.iter().map(move |(epsilon, estimate)| (x.at(epsilon.value()), y.at(value(estimate))))
            };
            let mut band: Vec<(f64, f64)> = edge(|estimate| estimate.hi).collect();
            band.extend(edge(|estimate| estimate.lo).rev());
            canvas.polygon(&band, colour, 0.16)?;
        }
        for curve in &panel.curves {
            let colour = palette::series(curve.index).line;
            let line: Vec<_> =
                curve.points.iter().map(|(epsilon, estimate)| (x.at(epsilon.value()), y.at(estimate.point))).collect();
            canvas.line(&line, colour, weight)?;
            for (x, y) in line {
                canvas.disc(x, y, weight * 1.6 + 1.0, PAPER)?;
                canvas.disc(x, y, weight * 1.6, colour)?;
            }
        }
        Ok(())
    }

    fn draw_single<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>, panel: &Panel) -> Drawn {
        let (width, height) = self.size();
        let face = Type::new(LABEL, INK).bold();
        let labels: Vec<(String, String)> = panel
            .curves
            .iter()
            .map(|curve| {
                let end = curve.points.last().map(|(_, estimate)| format::percent(estimate.point)).unwrap_or_default();
                (face.fit(&curve.model, 210.0), end)
            })
            .collect();
        let reserved = labels.iter().map(|(name, _)| face.width(name)).fold(90.0, f64::max) + 84.0;
        let right = f64::from(width) - reserved;
        let hi = self.epsilons().last().map_or(1.0, |epsilon| epsilon.value());
        let x = Scale { lo: 0.0, hi, from: LEFT, to: right };
        let y = Scale { lo: 0.0, hi: 1.0, from: f64::from(height) - 52.0, to: TOP };
        axis::percent_grid(canvas, y, LEFT, right, true)?;
        axis::ticks(canvas, x, y.from, &self.ticks())?;
        let legend = format!("perturbation radius ε, {}, {}", format::norm(self.norm), format::unit(self.norm));
        let face_axis = Type::new(SMALL, MUTED).align(Align::Centre);
        canvas.text((LEFT + right) / 2.0, f64::from(height) - 8.0, &legend, face_axis)?;
        self.draw_curves(canvas, panel, x, y, 2.4)?;

        let ends = panel.curves.iter().filter_map(|curve| curve.points.last());
        let wishes: Vec<f64> = ends.map(|(_, estimate)| y.at(estimate.point)).collect();
        let places = axis::spread(&wishes, LABEL * 1.35, TOP, y.from);
        for ((curve, (name, value)), (place, wish)) in panel.curves.iter().zip(&labels).zip(places.iter().zip(&wishes))
        {
            let colours = palette::series(curve.index);
            if (place - wish).abs() > 3.0 {
                canvas.line(&[(right + 7.0, *wish), (right + 17.0, *place)], colours.line, 1.0)?;
            }
            let face = Type::new(LABEL, colours.text);
            canvas.text(right + 20.0, place + 5.0, name, face.bold())?;
            canvas.text(right + 28.0 + face.bold().width(name), place + 5.0, value, face)?;
        }
        Ok(())
    }

    fn draw_multiples<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        let mut place = 0.0;
        let mut named = Vec::new();
        for curve in self.panels.iter().flat_map(|panel| &panel.curves) {
            if named.contains(&curve.index) || place > f64::from(WIDTH) - 60.0 {
                continue;
            }
            named.push(curve.index);
            let colours = palette::series(curve.index);
            let face = Type::new(LABEL, colours.text).bold();
            let name = face.fit(&curve.model, 200.0);
            canvas.line(&[(place, 63.0), (place + 18.0, 63.0)], colours.line, 3.0)?;
            canvas.text(place + 24.0, 68.0, &name, face)?;
            place += 24.0 + face.width(&name) + 26.0;
        }
        let columns = self.columns();
        let pitch = (f64::from(WIDTH) - LEFT) / columns as f64;
        let hi = self.epsilons().last().map_or(1.0, |epsilon| epsilon.value());
        for (index, panel) in self.panels.iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let left = LEFT + column as f64 * pitch;
            let right = left + pitch - 46.0;
            let top = 118.0 + row as f64 * ROW;
            let y = Scale { lo: 0.0, hi: 1.0, from: top + ROW - 80.0, to: top };
            let x = Scale { lo: 0.0, hi, from: left, to: right };
            let face = Type::new(LABEL, INK).bold();
            canvas.text(left, top - 14.0, &face.fit(&panel.title, pitch - 30.0), face)?;
            axis::percent_grid(canvas, y, left, right, column == 0)?;
            axis::ticks(canvas, x, y.from, &self.ticks())?;
            self.draw_curves(canvas, panel, x, y, 2.0)?;
        }
        let legend = format!("perturbation radius ε, {}, {}", format::norm(self.norm), format::unit(self.norm));
        let face = Type::new(SMALL, MUTED).align(Align::Centre);
        canvas.text(f64::from(WIDTH) / 2.0, f64::from(self.size().1) - 8.0, &legend, face)
    }
}

/// Height of a row of small panels.
const ROW: f64 = 270.0;

impl Figure for RobustAccuracy {
    fn size(&self) -> (u32, u32) {
        if self.panels.len() > 1 {
            (WIDTH, 86 + self.panels.len().div_ceil(self.columns()) as u32 * ROW as u32)
        } else {
            (WIDTH, 430)
        }
    }

    fn title(&self) -> String {
        self.title.clone()
    }

    fn description(&self) -> String {
        let mut text = String::from("Line chart.");
        for panel in &self.panels {
            if !panel.title.is_empty() {
                text += &format!(" {}:", panel.title);
            }
            for curve in &panel.curves {
                let points = curve.points.iter();
                let points: Vec<String> = points
                    .map(|(epsilon, estimate)| format!("{} at {}", format::rate(estimate), format::epsilon(*epsilon)))
                    .collect();
                text += &format!(" {}: {}.", curve.model, points.join(", "));
            }
        }
        text
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        axis::heading(canvas, &self.title, &self.subtitle, f64::from(WIDTH))?;
        match self.panels.as_slice() {
            [single] => self.draw_single(canvas, single),
            _ => self.draw_multiples(canvas),
        }
    }
}
