//! A model's number over the runs: one line for each radius, each point with its interval.

use plotters::prelude::DrawingBackend;

use super::{series_name, short, word};
use crate::history::{Entry, Finding, Group, Series};
use crate::report::chart::axis::{self, SMALL, Scale};
use crate::report::chart::canvas::{Align, Canvas, Drawn, Type};
use crate::report::chart::figure::Figure;
use crate::report::chart::palette::{self, AXIS, GRID, INK, MUTED, PAPER};
use crate::report::gate::value;
use crate::suite::gate::Metric;
use crate::wording::format;

const WIDTH: u32 = 860;
const HEIGHT: u32 = 380;
const TOP: f64 = 62.0;
const LEFT: f64 = 64.0;
/// Room for the names of the lines.
const RIGHT: f64 = 190.0;
/// Lines of a chart.
pub const MOST_LINES: usize = 7;

/// The runs' numbers of one model and metric.
pub struct Course<'h> {
    runs: &'h [Entry],
    series: Vec<&'h Series>,
    metric: Metric,
    model: String,
}

/// A chart for each model and metric of a group, in a norm each; of more radii than fit, the first.
pub fn courses(group: &Group) -> Vec<Course<'_>> {
    let mut courses: Vec<Course<'_>> = Vec::new();
    for series in &group.series {
        let same = |course: &&mut Course<'_>| {
            course.model == series.subject.model
                && course.metric == series.metric
                && course.series[0].subject.norm == series.subject.norm
        };
        match courses.iter_mut().find(same) {
            Some(course) if course.series.len() < MOST_LINES => course.series.push(series),
            Some(_) => {}
            None => courses.push(Course {
                runs: &group.runs,
                series: vec![series],
                metric: series.metric,
                model: series.subject.model.clone(),
            }),
        }
    }
    courses
}

impl Course<'_> {
    /// Name of the chart's file.
    pub fn slug(&self) -> String {
        let norm = self.series[0].subject.norm.map_or("", |norm| norm.as_str());
        format::slug(&format!("{} {} {norm}", self.model, self.metric.as_str()))
    }

    /// The values of the axis: all points with their intervals, and round ticks around them.
    fn reach(&self) -> (f64, f64, f64) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
        let lo = points().map(|point| finite(point.estimate.lo)).fold(f64::MAX, f64::min);
        let hi = points().map(|point| finite(point.estimate.hi)).fold(f64::MIN, f64::max);
        let step =
            axis::round_ticks((hi - lo).max(if self.metric.is_share() { 0.02 } else { hi.abs() * 0.1 + 1e-9 }), 4);
        let step = step.get(1).copied().unwrap_or(1.0);
        let (mut from, mut to) = ((lo / step).floor() * step, (hi / step).ceil() * step);
        if self.metric.is_share() {
            (from, to) = (from.max(0.0), to.min(1.0));
        }
        if to <= from {
            to = from + step;
        }
        (from, to, step)
    }

    fn line_name(&self, series: &Series) -> String {
        let subject = &series.subject;
        match (subject.epsilon, &subject.method) {
            (Some(epsilon), _) => format::epsilon(epsilon),
            (None, Some(method)) => method.clone(),
            _ => "clean".to_owned(),
        }
    }
}

impl Figure for Course<'_> {
    fn size(&self) -> (u32, u32) {
        (WIDTH, HEIGHT)
    }

    fn title(&self) -> String {
        match (self.metric, self.series.as_slice()) {
            (_, [one]) => format!("{}: {}", self.model, series_name(one)),
            (Metric::DistanceMedian, _) => format!("{}: median distances", self.model),
            (_, many) => {
                let norm = many[0].subject.norm.map_or("", format::norm);
                format!("{}: worst-case accuracy in {norm} balls", self.model)
            }
        }
    }

    fn description(&self) -> String {
        let line = |series: &&Series| {
            let values = series
                .points
                .iter()
                .map(|point| format!("run {} {}", point.run + 1, value(self.metric, &point.estimate)));
            format!(" {}, {}: {}.", series_name(series), word(series.finding), values.collect::<Vec<_>>().join("; "))
        };
        self.series.iter().map(line).collect::<String>().trim_start().to_owned()
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        let (width, height) = (f64::from(WIDTH), f64::from(HEIGHT));
        let (from, to, step) = self.reach();
        let subtitle = match self.metric.is_share() {
            true => {
                "bars are 95 % Wilson intervals; hollow: the same weights again, or signs of doubt; the axis need not begin at 0"
            }
            false => "pixel units of [0, 1], bars are 95 % intervals; the axis need not begin at 0",
        };
        axis::heading(canvas, &self.title(), subtitle, width)?;
        let (right, bottom) = (width - RIGHT, height - 62.0);
        let y = Scale { lo: from, hi: to, from: bottom, to: TOP };
        let last = (self.runs.len() - 1).max(1) as f64;
        let x = Scale { lo: 0.0, hi: last, from: LEFT + 14.0, to: right - 14.0 };
        let places = ((to - from) / step).round() as i64;
        for place in 0..=places.clamp(1, 12) {
            let at = (from + place as f64 * step).min(to);
            let text =
                if self.metric.is_share() { format!("{} %", ((at * 1e4).round() / 1e2)) } else { format::distance(at) };
            canvas.line(&[(LEFT, y.at(at)), (right, y.at(at))], GRID, 1.0)?;
            canvas.text(LEFT - 8.0, y.at(at) + 4.5, &text, Type::new(SMALL, MUTED).align(Align::Right))?;
        }
        canvas.line(&[(LEFT, bottom), (right, bottom)], AXIS, 1.0)?;
        let ticks: Vec<(f64, String)> =
            self.runs.iter().enumerate().map(|(place, run)| (place as f64, short(run))).collect();
        axis::ticks(canvas, x, bottom, &ticks)?;
        canvas.text(
            (LEFT + right) / 2.0,
            height - 14.0,
            "runs, the oldest first",
            Type::new(SMALL, MUTED).align(Align::Centre),
        )?;
        let ends: Vec<f64> = self
            .series
            .iter()
            .map(|series| series.points.last().map_or(bottom, |point| y.at(point.estimate.point)))
            .collect();
        let labels = axis::spread(&ends, 34.0, TOP + 8.0, bottom - 12.0);
        for (place, (series, label)) in self.series.iter().zip(labels).enumerate() {
            let colours = palette::series(place);
            let line: Vec<(f64, f64)> =
                series.points.iter().map(|point| (x.at(point.run as f64), y.at(point.estimate.point))).collect();
            canvas.line(&line, colours.line, 1.6)?;
            for (point, (at, level)) in series.points.iter().zip(&line) {
                canvas.line(&[(*at, y.at(point.estimate.lo)), (*at, y.at(point.estimate.hi))], colours.line, 1.4)?;
                canvas.disc(*at, *level, 4.4, colours.line)?;
                if !point.changed || !point.doubts.is_empty() {
                    canvas.disc(*at, *level, 2.8, PAPER)?;
                }
            }
            let face = Type::new(SMALL, colours.text);
            canvas.text(right + 10.0, label, &face.bold().fit(&self.line_name(series), RIGHT - 12.0), face.bold())?;
            let ink = if matches!(series.finding, Finding::Steady | Finding::TooFew) { MUTED } else { INK };
            let face = Type::new(SMALL, ink);
            canvas.text(right + 10.0, label + 16.0, &face.fit(word(series.finding), RIGHT - 12.0), face)?;
        }
        Ok(())
    }
}
