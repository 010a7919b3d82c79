//! Distance to the decision boundary: the share of samples flipped within a distance, by Kaplan and Meier, so that
//! samples without a flip count as far as they were searched and no farther.

use plotters::prelude::DrawingBackend;

use super::axis::{self, LABEL, SMALL, Scale};
use super::canvas::{Align, Canvas, Drawn, Type};
use super::figure::Figure;
use super::palette::{self, AXIS, INK, MUTED};
use crate::summary::{DistanceSummary, RunSummary};
use crate::terms::Norm;
use crate::wording::format;

const SIZE: (u32, u32) = (860, 430);
const LEFT: f64 = 56.0;
const TOP: f64 = 66.0;

/// The curves of all models by one method, in one norm.
#[derive(Debug, Clone, PartialEq)]
pub struct DistanceCdf<'s> {
    norm: Norm,
    method: &'s str,
    /// With the place of the model in the suite.
    curves: Vec<(usize, &'s DistanceSummary)>,
}

/// One figure for each norm and method.
pub fn figures(summary: &RunSummary) -> Vec<DistanceCdf<'_>> {
    let mut figures: Vec<DistanceCdf<'_>> = Vec::new();
    for distances in summary.distances.iter().filter(|distances| !distances.curve.is_empty()) {
        let index =
            summary.models.iter().position(|model| model.model == distances.model).unwrap_or(summary.models.len());
        match figures.iter_mut().find(|figure| figure.norm == distances.norm && figure.method == distances.method) {
            Some(figure) => figure.curves.push((index, distances)),
            None => figures.push(DistanceCdf {
                norm: distances.norm,
                method: &distances.method,
                curves: vec![(index, distances)],
            }),
        }
    }
    figures
}

impl DistanceCdf<'_> {
    /// A name for files and ids; the method's name is one of the suite's keywords.
    pub fn slug(&self) -> String {
        format!("distance-cdf-{}-{}", self.norm, crate::wording::format::slug(self.method))
    }

    fn farthest(&self) -> f64 {
        let points = self.curves.iter().flat_map(|(_, distances)| &distances.curve).map(|point| point.distance);
        let hi = points.filter(|distance| distance.is_finite()).fold(0.0, f64::max);
        if hi > 0.0 { hi * 1.02 } else { 1.0 }
    }

    /// A curve's steps as pixels: (x, point, lo, hi), at most one each half pixel, the last of those that share one.
    fn steps(summary: &DistanceSummary, x: Scale, y: Scale) -> Vec<(f64, f64, f64, f64)> {
        let mut steps: Vec<(f64, f64, f64, f64)> = vec![(x.from, y.at(0.0), y.at(0.0), y.at(0.0))];
        for point in summary.curve.iter().filter(|point| point.distance.is_finite()) {
            let flipped = |survival: f64| y.at(1.0 - survival);
            let place = (x.at(point.distance) * 2.0).round() / 2.0;
            let survival = &point.survival;
            let step = (place, flipped(survival.point), flipped(survival.hi), flipped(survival.lo));
            match steps.last_mut() {
                Some(last) if last.0 == place => *last = step,
                _ => steps.push(step),
            }
        }
        let end = steps[steps.len() - 1];
        steps.push((x.to, end.1, end.2, end.3));
        steps
    }
}

/// A staircase through `steps`: each level holds until the next step.
fn staircase(steps: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut path = Vec::with_capacity(steps.len() * 2);
    for pair in steps.windows(2) {
        path.push(pair[0]);
        if pair[0].1 != pair[1].1 {
            path.push((pair[1].0, pair[0].1));
        }
    }
    path.extend(steps.last());
    path
}

fn percent_whole(part: u64, total: u64) -> String {
    if total == 0 { "–".to_owned() } else { format::percent(part as f64 / total as f64) }
}

impl Figure for DistanceCdf<'_> {
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn title(&self) -> String {
        format!("Distance to the decision boundary, {}", format::norm(self.norm))
    }

    fn description(&self) -> String {
        let mut text = String::from("Kaplan-Meier curves of the share of samples flipped within a distance.");
        for (_, distances) in &self.curves {
            let median = distances.median.as_ref().map_or("not reached".to_owned(), format::distance_estimate);
            text += &format!(
                " {}: median {median}, {} of {} without a flip.",
                distances.model,
                format::count(distances.censored),
                format::count(distances.n)
            );
        }
        text
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        let (width, height) = (f64::from(SIZE.0), f64::from(SIZE.1));
        let subtitle =
            format!("Share of samples flipped within a distance ({}); bands are 95 % intervals", self.method);
        axis::heading(canvas, &self.title(), &subtitle, width)?;
        let face = Type::new(LABEL, INK);
        let names: Vec<String> =
            self.curves.iter().map(|(_, distances)| face.bold().fit(&distances.model, 210.0)).collect();
        let reserved = names.iter().map(|name| face.bold().width(name)).fold(118.0, f64::max) + 28.0;
        let right = width - reserved;
        let x = Scale { lo: 0.0, hi: self.farthest(), from: LEFT, to: right };
        let y = Scale { lo: 0.0, hi: 1.0, from: height - 52.0, to: TOP };
        axis::percent_grid(canvas, y, LEFT, right, true)?;
        let ticks = axis::round_ticks(x.hi, 6).into_iter();
        let ticks: Vec<_> = ticks.map(|value| (value, format!("{}", (value * 1e9).round() / 1e9))).collect();
        axis::ticks(canvas, x, y.from, &ticks)?;
        let legend = format!("{} distance, {}", format::norm(self.norm), format::unit(self.norm));
        let centred = Type::new(SMALL, MUTED).align(Align::Centre);
        canvas.text((LEFT + right) / 2.0, height - 8.0, &legend, centred)?;

        let mut wishes = Vec::new();
        for (index, distances) in &self.curves {
            let steps = Self::steps(distances, x, y);
            let edge = |value: fn(&(f64, f64, f64, f64)) -> f64| -> Vec<(f64, f64)> {
                staircase(&steps.iter().map(|step| (step.0, value(step))).collect::<Vec<_>>())
            };
            let mut band = edge(|step| step.3);
            band.extend(edge(|step| step.2).into_iter().rev());
            let colour = palette::series(*index).line;
            canvas.polygon(&band, colour, 0.16)?;
            canvas.line(&edge(|step| step.1), colour, 2.2)?;
            wishes.push(steps[steps.len() - 1].1);
            if let Some(median) = distances.median.filter(|median| median.point > 0.0 && median.point <= x.hi) {
                let place = x.at(median.point);
                canvas.line(&[(place, y.at(0.5)), (place, y.from)], AXIS, 1.0)?;
                canvas.disc(place, y.at(0.5), 3.6, colour)?;
            }
        }
        let places = axis::spread(&wishes, LABEL * 2.6, TOP + 6.0, y.from - 14.0);
        for (((index, distances), name), (place, wish)) in
            self.curves.iter().zip(&names).zip(places.iter().zip(&wishes))
        {
            let colours = palette::series(*index);
            canvas.line(&[(right + 2.0, *wish), (right + 14.0, *place)], colours.line, 1.0)?;
            canvas.text(right + 18.0, place + 4.0, name, Type::new(LABEL, colours.text).bold())?;
            let censored = format!("{} not flipped", percent_whole(distances.censored, distances.n));
            canvas.text(right + 18.0, place + 20.0, &censored, Type::new(SMALL, MUTED))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staircase_holds_its_level_until_the_next_step() {
        let path = staircase(&[(0.0, 9.0), (4.0, 5.0), (7.0, 5.0)]);
        assert_eq!(path, [(0.0, 9.0), (4.0, 9.0), (4.0, 5.0), (7.0, 5.0)]);
        assert_eq!(staircase(&[]), []);
    }
}
