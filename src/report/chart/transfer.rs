//! How often images that flip one model fool another: one matrix for each attack, with what random noise of the same length does.

use plotters::prelude::DrawingBackend;

use super::axis::{self, SMALL};
use super::canvas::{Align, Canvas, Drawn, Type};
use super::figure::Figure;
use super::heat;
use super::palette::{self, AXIS, INK, MUTED};
use crate::report::headline::headlines;
use crate::stats::Estimate;
use crate::summary::{RunSummary, TransferSummary};
use crate::terms::{Epsilon, Norm};
use crate::wording::format;

const WIDTH: f64 = 860.0;
const TOP: f64 = 100.0;
const ROW: f64 = 58.0;
/// Size of the notes below a rate.
const NOTE: f64 = 10.5;
/// Models that are shown; the rest is in `transfer.csv`.
const MOST_MODELS: usize = 12;

/// One field of a matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Field {
    /// The source's own flip rate.
    Own(Option<Estimate>),
    /// How often the source's flips fool the victim, of how many samples, and how often noise does.
    Other(Option<(Estimate, u64, Option<Estimate>)>),
}

/// The matrix of one attack at one radius.
#[derive(Debug, Clone, PartialEq)]
pub struct TransferMatrix {
    attack: String,
    norm: Norm,
    epsilon: Epsilon,
    models: Vec<String>,
    /// Each source with its fields, by victim.
    rows: Vec<(String, Vec<Field>)>,
    /// Rate at the dark end, the same for all matrices of a run.
    most: f64,
    hidden: usize,
}

/// One matrix for each attack that was transferred: at the headline radius of its norm, or at its largest where it lacks that.
pub fn figures(summary: &RunSummary) -> Vec<TransferMatrix> {
    let headlines = headlines(summary);
    let mut attacks: Vec<(&str, Norm)> = Vec::new();
    for transfer in &summary.transfers {
        let attack = (transfer.cell.attack.as_str(), transfer.cell.norm);
        if !attacks.contains(&attack) {
            attacks.push(attack);
        }
    }
    let matrix = |(attack, norm): (&str, Norm)| {
        let of_attack = || {
            summary
                .transfers
                .iter()
                .filter(move |transfer| transfer.cell.attack == attack && transfer.cell.norm == norm)
        };
        let headline = headlines.iter().find(|at| at.norm == norm).map(|at| at.epsilon);
        let has = |epsilon: &Epsilon| of_attack().any(|transfer| transfer.cell.epsilon == *epsilon);
        let largest = of_attack().map(|transfer| transfer.cell.epsilon).max();
        let epsilon = headline.filter(has).or(largest)?;
        Some(TransferMatrix::new(summary, attack, norm, epsilon))
    };
    let mut figures: Vec<TransferMatrix> = attacks.into_iter().filter_map(matrix).collect();
    let most = heat::most(figures.iter().flat_map(TransferMatrix::rates));
    figures.iter_mut().for_each(|figure| figure.most = most);
    figures
}

impl TransferMatrix {
    fn new(summary: &RunSummary, attack: &str, norm: Norm, epsilon: Epsilon) -> Self {
        let hidden = summary.models.len().saturating_sub(MOST_MODELS);
        let models: Vec<String> = summary.models.iter().take(MOST_MODELS).map(|model| model.model.clone()).collect();
        let transfers: Vec<&TransferSummary> = summary
            .transfers
            .iter()
            .filter(|transfer| {
                transfer.cell.attack == attack && transfer.cell.norm == norm && transfer.cell.epsilon == epsilon
            })
            .collect();
        let on_itself = |source: &str| {
            let mut cells = summary.cells.iter().map(|summary| (&summary.cell, summary.flip_rate));
            let cell = cells.find(|(cell, _)| {
                let ball = cell.norm == norm && cell.epsilon == epsilon;
                cell.kind.seeks_flips() && cell.model == source && cell.attack == attack && ball
            });
            Field::Own(cell.and_then(|(_, rate)| rate))
        };
        let other = |source: &str, victim: &str| {
            let transfer = transfers.iter().find(|transfer| transfer.cell.model == source && transfer.victim == victim);
            Field::Other(transfer.and_then(|transfer| Some((transfer.transfer_rate?, transfer.n, transfer.noise_rate))))
        };
        let row = |source: &String| {
            let field = |victim: &String| if source == victim { on_itself(source) } else { other(source, victim) };
            (source.clone(), models.iter().map(field).collect())
        };
        // An attack may run on some of the models only.
        let attacked = |source: &&String| transfers.iter().any(|transfer| transfer.cell.model == **source);
        let rows = models.iter().filter(attacked).map(row).collect();
        TransferMatrix { attack: attack.to_owned(), norm, epsilon, models, rows, most: 1.0, hidden }
    }

    /// The rates that are shaded.
    fn rates(&self) -> impl Iterator<Item = f64> {
        self.rows.iter().flat_map(|(_, fields)| fields).filter_map(|field| match field {
            Field::Other(Some((rate, ..))) => Some(rate.point),
            _ => None,
        })
    }

    /// A name for files and ids.
    pub fn slug(&self) -> String {
        format!("transfer-{}-{}", crate::wording::format::slug(&self.attack), self.norm)
    }

    /// Where the fields begin, and the width of each.
    fn columns(&self) -> (f64, f64) {
        let face = Type::new(SMALL, INK);
        let widest = self.rows.iter().map(|(source, _)| face.width(source)).fold(70.0, f64::max);
        let left = widest.min(200.0) + 16.0;
        (left, ((WIDTH - left) / self.models.len().max(1) as f64).min(200.0))
    }

    fn draw_field<DB: DrawingBackend>(
        &self,
        canvas: &mut Canvas<'_, DB>,
        (x, y, width): (f64, f64, f64),
        field: Field,
    ) -> Drawn {
        let (width, height, centre) = (width - 3.0, ROW - 3.0, x + (width - 3.0) / 2.0);
        let (rate, note, ink) = match field {
            Field::Other(Some((rate, _, noise))) => {
                let fill = palette::sequential(rate.point / self.most);
                canvas.rectangle(x, y, width, height, fill)?;
                let noise = noise.map(|noise| format!("noise {}", format::percent(noise.point)));
                (rate, noise, palette::text_on(fill))
            }
            Field::Own(Some(rate)) => {
                let (right, bottom) = (x + width, y + height);
                let frame = [(x, y), (right, y), (right, bottom), (x, bottom), (x, y)];
                canvas.line(&frame, INK, 1.5)?;
                (rate, Some("own flips".to_owned()), INK)
            }
            Field::Own(None) | Field::Other(None) => {
                return canvas.text(centre, y + 33.0, "–", Type::new(SMALL, AXIS).align(Align::Centre));
            }
        };
        let bold = Type::new(if width < 60.0 { 12.5 } else { 15.0 }, ink).bold().align(Align::Centre);
        let small = Type::new(NOTE, ink).align(Align::Centre);
        let percent = format::percent(rate.point);
        let number = percent.trim_end_matches(" %");
        let wide = bold.width(&percent) < width - 6.0;
        canvas.text(centre, y + 21.0, if wide { &percent } else { number }, bold)?;
        for (text, below) in [(Some(format::interval(&rate)), 36.0), (note, 49.0)] {
            if let Some(text) = text.filter(|text| small.width(text) < width - 4.0) {
                canvas.text(centre, y + below, &text, small)?;
            }
        }
        Ok(())
    }
}

impl Figure for TransferMatrix {
    fn size(&self) -> (u32, u32) {
        let note = if self.hidden > 0 { 26 } else { 6 };
        (WIDTH as u32, TOP as u32 + (self.rows.len() as f64 * ROW) as u32 + note)
    }

    fn title(&self) -> String {
        format!("Transfer of {} at {} ε {}", self.attack, format::norm(self.norm), format::epsilon(self.epsilon))
    }

    fn description(&self) -> String {
        let mut text = String::from("Matrix of sources and victims.");
        for (source, fields) in &self.rows {
            let sentences = fields.iter().zip(&self.models).map(|(field, victim)| match field {
                Field::Own(Some(rate)) => format!("flip {source} itself {}", format::rate(rate)),
                Field::Other(Some((rate, n, noise))) => {
                    let noise =
                        noise.map_or_else(String::new, |noise| format!(", noise {}", format::percent(noise.point)));
                    format!("fool {victim} {} of {}{noise}", format::rate(rate), format::count(*n))
                }
                Field::Own(None) | Field::Other(None) => format!("fool {victim}: no sample to tell"),
            });
            text += &format!(" Images of {source}: {}.", sentences.collect::<Vec<_>>().join("; "));
        }
        text
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &mut Canvas<'_, DB>) -> Drawn {
        let subtitle = "Percent of a source's flips that fool the victim too. Framed: the source's own flip rate";
        axis::heading(canvas, &self.title(), subtitle, WIDTH - 220.0)?;
        heat::draw_scale(canvas, WIDTH, self.most, "transfer")?;
        let (left, width) = self.columns();
        let head = Type::new(SMALL - 1.0, MUTED);
        canvas.text(0.0, TOP - 10.0, "images of", head)?;
        canvas.text(left, TOP - 28.0, "shown to", head)?;
        let name = Type::new(SMALL, INK);
        for (place, victim) in self.models.iter().enumerate() {
            let centre = left + place as f64 * width + (width - 3.0) / 2.0;
            canvas.text(centre, TOP - 10.0, &name.fit(victim, width - 8.0), name.align(Align::Centre))?;
        }
        for (index, (source, fields)) in self.rows.iter().enumerate() {
            let y = TOP + index as f64 * ROW;
            canvas.text(0.0, y + 33.0, &name.fit(source, left - 12.0), name)?;
            for (place, field) in fields.iter().enumerate() {
                self.draw_field(canvas, (left + place as f64 * width, y, width), *field)?;
            }
        }
        if self.hidden > 0 {
            let note = format!("Not shown: {} more models; see transfer.csv", format::count(self.hidden as u64));
            canvas.text(0.0, f64::from(self.size().1) - 6.0, &note, head)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::figure::{png, svg};
    use crate::report::fixture::{realistic, with_transfers};

    fn epsilon(levels: f64) -> Epsilon {
        Epsilon::new(levels / 255.0).unwrap()
    }

    #[test]
    fn the_matrix_at_the_headline_radius() {
        let summary = with_transfers(realistic(&["resnet20", "resnet20-adv", "vit-tiny"]));
        let figures = figures(&summary);
        let [matrix] = &figures[..] else { panic!("one attack was transferred") };
        assert_eq!((matrix.epsilon, matrix.most), (epsilon(8.0), 0.75));
        assert_eq!(matrix.slug(), "transfer-margin-untargeted-linf");
        let on_itself = |field: &Field| matches!(field, Field::Own(Some(_)));
        for (place, (_, fields)) in matrix.rows.iter().enumerate() {
            assert!(fields.iter().enumerate().all(|(other, field)| on_itself(field) == (other == place)));
        }
        insta::assert_snapshot!(svg(matrix, "transfer").unwrap());
    }

    #[test]
    fn an_attack_without_the_headline_radius_is_shown_at_its_largest() {
        let mut summary = with_transfers(realistic(&["a", "b"]));
        summary.transfers.retain(|transfer| transfer.cell.epsilon < epsilon(4.0));
        assert_eq!(figures(&summary)[0].epsilon, epsilon(2.0));
        summary.transfers.clear();
        assert_eq!(figures(&summary), []);
    }

    #[test]
    fn only_attacked_models_are_sources_and_missing_rates_are_dashes() {
        let mut summary = with_transfers(realistic(&["a", "b", "c"]));
        summary.transfers.retain(|transfer| transfer.cell.model == "b" && transfer.victim != "c");
        summary.transfers.iter_mut().for_each(|transfer| transfer.transfer_rate = None);
        let matrix = figures(&summary).remove(0);
        assert_eq!(matrix.rows.len(), 1);
        assert_eq!(matrix.rows[0].1[0], Field::Other(None));
        assert!(svg(&matrix, "t").unwrap().contains("fool a: no sample to tell; flip b itself"));
    }

    #[test]
    fn many_models_with_long_names_still_fit() {
        let names: Vec<String> = (0..15).map(|at| format!("a-model-with-a-very-long-name-{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let matrix = figures(&with_transfers(realistic(&names))).remove(0);
        assert_eq!((matrix.rows.len(), matrix.hidden), (MOST_MODELS, 3));
        let (left, width) = matrix.columns();
        assert!(left + width * MOST_MODELS as f64 <= WIDTH + 0.5 && width > 40.0, "{left} {width}");
        assert!(png(&matrix).is_ok());
    }
}
