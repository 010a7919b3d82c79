//! Differences with their intervals: one line for each number, the run minus the reference.

use plotters::prelude::DrawingBackend;

use super::label;
use crate::compare::{Contrast, Row};
use crate::record::CellKind;
use crate::report::chart::axis::{self, LABEL, SMALL, Scale};
use crate::report::chart::canvas::{Align, Canvas, Drawn, Type};
use crate::report::chart::figure::Figure;
use crate::report::chart::palette::{self, AXIS, GRID, INK, MUTED, PAPER};
use crate::stats::Estimate;

const WIDTH: u32 = 860;
const TOP: f64 = 62.0;
/// Height of a line.
const PITCH: f64 = 24.0;
/// Widest label.
const LABELS: f64 = 330.0;
/// Lines of a chart.
const MOST_LINES: usize = 36;

/// One difference.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    label: String,
    estimate: Estimate,
    significant: bool,
    /// The first line about a cell, below those about the model as a whole.
    begins_cells: bool,
}

/// The differences of one contrast.
#[derive(Debug, Clone, PartialEq)]
pub struct Differences {
    title: String,
    lines: Vec<Line>,
    /// Lines that did not fit.
    hidden: usize,
    /// Smallest and largest value of the axis, which all charts of a page share.
    reach: (f64, f64),
}

/// The chart of a contrast; none if it has no rate. Rates only: distances have another unit. Of the cells those with the
/// largest differences.
pub fn differences(contrast: &Contrast, reach: (f64, f64)) -> Option<Differences> {
    let rates = |row: &&Row| row.metric.is_share() && !row.is_control();
    let mut cells: Vec<(usize, &Row)> = contrast.cells().filter(rates).enumerate().collect();
    let headline: Vec<&Row> = contrast.headline().filter(rates).collect();
    let room = MOST_LINES.saturating_sub(headline.len());
    let hidden = cells.len().saturating_sub(room);
    let size = |row: &Row| row.change.estimate.point.abs();
    let is_unit = |row: &Row| row.subject.kind.is_some_and(CellKind::drives_unit);
    cells.sort_by(|(_, a), (_, b)| is_unit(a).cmp(&is_unit(b)).then(size(b).total_cmp(&size(a))));
    cells.truncate(room);
    cells.sort_by_key(|(place, _)| *place);
    let line = |row: &Row, begins_cells| Line {
        label: label(row),
        estimate: row.change.estimate,
        significant: row.is_significant(),
        begins_cells,
    };
    let mut lines: Vec<Line> = headline.into_iter().map(|row| line(row, false)).collect();
    lines.extend(cells.iter().enumerate().map(|(place, (_, row))| line(row, place == 0)));
    let title = format!("{} in {}", contrast.models, contrast.run);
    (!lines.is_empty()).then_some(Differences { title, lines, hidden, reach })
}

/// The axis that holds every interval of the contrasts, and zero.
pub fn reach(contrasts: &[Contrast]) -> (f64, f64) {
    let rows =
        contrasts.iter().flat_map(|contrast| &contrast.rows).filter(|row| row.metric.is_share() && !row.is_control());
    let (lo, hi) = rows.fold((-0.01, 0.01), |(lo, hi): (f64, f64), row| {
        (lo.min(row.change.estimate.lo), hi.max(row.change.estimate.hi))
    });
    let free = 0.03 * (hi - lo);
    ((lo - free).max(-1.0), (hi + free).min(1.0))
}

/// A difference in points: `-4.8`.
fn points(value: f64) -> String {
    let text = format!("{:+.1}", value * 100.0);
    if text == "+0.0" || text == "-0.0" { "0.0".to_owned() } else { text.replace('-', "\u{2212}") }
}

impl Differences {
    /// Round values of the axis.
    fn ticks(&self) -> Vec<(f64, String)> {
        let (lo, hi) = self.reach;
        let step = axis::round_ticks(hi - lo, 7).get(1).copied().unwrap_or(1.0);
        let (first, last) = ((lo / step).ceil() as i64, (hi / step).floor() as i64);
        let text = |value: f64| match (value * 1e6).round() / 1e4 {
            0.0 => "0".to_owned(),
            points => format!("{points:+}").replace('-', "\u{2212}"),
        };
        (first..=last).map(|place| (place as f64 * step, text(place as f64 * step))).collect()
    }
}

impl Figure for Differences {
    fn size(&self) -> (u32, u32) {
        let gap = if self.lines.iter().skip(1).any(|line| line.begins_cells) { 12.0 } else { 0.0 };
        (WIDTH, (TOP + self.lines.len() as f64 * PITCH + gap + 56.0) as u32)
    }

    fn title(&self) -> String {
        self.title.clone()
    }

    fn description(&self) -> String {
        let line = |line: &Line| {
            let Estimate { point, lo, hi } = line.estimate;
            let mark = if line.significant { ", significant" } else { "" };
            format!(" {}: {} points ({} to {}{mark}).", line.label, points(point), points(lo), points(hi))
        };
        format!(
            "Differences of accuracy in points, run minus reference.{}",
            self.lines.iter().map(line).collect::<String>()
        )
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        let (width, height) = (f64::from(WIDTH), f64::from(self.size().1));
        let mut subtitle =
            "Run minus reference; bars are 95 % intervals; filled: significant after adjustment".to_owned();
        if self.hidden > 0 {
            subtitle += &format!("; {} smaller differences of cells are not drawn", self.hidden);
        }
        axis::heading(canvas, &self.title, &subtitle, width)?;
        let face = Type::new(LABEL, INK);
        let names: Vec<String> = self.lines.iter().map(|line| face.fit(&line.label, LABELS)).collect();
        let left = names.iter().map(|name| face.width(name)).fold(120.0, f64::max) + 18.0;
        let right = width - 64.0;
        let x = Scale { lo: self.reach.0, hi: self.reach.1, from: left, to: right };
        let bottom = height - 50.0;
        let ticks = self.ticks();
        for (value, _) in &ticks {
            let place = x.at(*value);
            canvas.line(&[(place, TOP - 4.0), (place, bottom)], GRID, 1.0)?;
        }
        canvas.line(&[(x.at(0.0), TOP - 4.0), (x.at(0.0), bottom)], AXIS, 1.6)?;
        canvas.line(&[(left, bottom), (right, bottom)], AXIS, 1.0)?;
        axis::ticks(canvas, x, bottom, &ticks)?;
        let legend = Type::new(SMALL, MUTED).align(Align::Centre);
        canvas.text(
            (left + right) / 2.0,
            height - 8.0,
            "difference of accuracy, points; left of 0 is less robust",
            legend,
        )?;

        let mut y = TOP + PITCH / 2.0;
        for (place, (line, name)) in self.lines.iter().zip(&names).enumerate() {
            if line.begins_cells && place > 0 {
                canvas.line(&[(0.0, y - PITCH / 2.0 + 5.0), (right, y - PITCH / 2.0 + 5.0)], GRID, 1.0)?;
                y += 12.0;
            }
            let worse = line.estimate.point < 0.0;
            let colours = palette::series(if worse { 1 } else { 0 });
            let (bar, ink) = if line.significant { (colours.line, colours.text) } else { (MUTED, MUTED) };
            canvas.text(0.0, y + 5.0, name, face)?;
            canvas.line(&[(x.at(line.estimate.lo), y), (x.at(line.estimate.hi), y)], bar, 2.2)?;
            let point = x.at(line.estimate.point);
            canvas.disc(point, y, 5.0, bar)?;
            if !line.significant {
                canvas.disc(point, y, 3.2, PAPER)?;
            }
            let value = Type::new(SMALL, ink).align(Align::Right);
            canvas.text(
                width,
                y + 5.0,
                &points(line.estimate.point),
                if line.significant { value.bold() } else { value },
            )?;
            y += PITCH;
        }
        Ok(())
    }
}
