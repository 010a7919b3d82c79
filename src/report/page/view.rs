//! What the page's template is filled with: texts and numbers ready to print, in the order in which they are shown.

use serde::Serialize;

use super::health::{self, Sign};
use super::provenance::{Fact, command, provenance, shortened, tables, weights};
use super::rate::Rate;
use super::slots;
use super::transfer_table::{Transfer, transfer};
use crate::gate::Subject;
use crate::record::{CellKind, Example, Manifest, RunStatus};
use crate::report::chart::gallery;
use crate::report::data_name;
use crate::report::headline::{headlines, worst_case_at};
use crate::report::radii::advice;
use crate::stats::Estimate;
use crate::suite::Target;
use crate::summary::{Answer, CellSummary, ENVELOPE, ModelSummary, Question, RunSummary, checklist};
use crate::terms::{Epsilon, Norm};
use crate::wording::format;

/// Rows of the table of cells; the rest is in `summary.csv`.
const MOST_CELLS: usize = 1500;

/// A model on the first screen.
#[derive(Debug, Serialize)]
pub struct ModelCard {
    name: String,
    /// Class of the model's colour.
    series: usize,
    arch: Option<String>,
    parameters: Option<String>,
    n: String,
    clean: Rate,
    /// Place of its difference to the baseline.
    clean_delta: String,
    /// Worst case at the headline radius of each norm.
    headline: Vec<Ball>,
    /// Worst case over the headline balls of all norms, with what they are.
    all_norms: Option<(Rate, String)>,
    /// Worst case at every radius.
    worst_case: Vec<Ball>,
    distances: Vec<String>,
    /// Whether a sign says that the model may be less robust than these numbers.
    doubted: bool,
    health: Vec<Sign>,
}

/// A rate in a norm ball.
#[derive(Debug, Serialize)]
pub struct Ball {
    norm: &'static str,
    epsilon: String,
    rate: Rate,
    /// Whether a sign says that the model may be less robust in this norm than the rate.
    doubted: bool,
    /// Place of its difference to the baseline.
    delta: String,
}

/// One ball of the table of attacks.
#[derive(Debug, Serialize)]
pub struct AttackGroup {
    ball: String,
    rows: Vec<AttackRow>,
    /// Worst case per sample over the attacks, by model.
    union: Vec<Option<Rate>>,
}

/// One attack in one ball, by model.
#[derive(Debug, Serialize)]
pub struct AttackRow {
    attack: String,
    note: &'static str,
    models: Vec<Option<Rate>>,
}

/// One row of the table of cells.
#[derive(Debug, Serialize)]
pub struct CellRow {
    model: String,
    attack: String,
    kind: String,
    on: String,
    ball: String,
    epsilon: f64,
    n: u64,
    n_clean_correct: u64,
    robust: Rate,
    flip: Option<Rate>,
    flip_u8: Option<Rate>,
    target: Option<Rate>,
    gain_z: Option<String>,
    passes: u64,
    health: Vec<Sign>,
}

/// One picture triple.
#[derive(Debug, Serialize)]
pub struct Picture {
    pub(in crate::report) sample: String,
    pub(in crate::report) model: String,
    pub(in crate::report) attack: String,
    on: String,
    ball: String,
    label: String,
    clean_pred: String,
    adv_pred: String,
    confidence_clean: String,
    confidence_adv: String,
    linf: String,
    /// Length in the ball's norm, if that is another than these: `, ℓ0 12`.
    length: String,
    l2: String,
    gain: String,
    pub(in crate::report) clean: String,
    pub(in crate::report) perturbation: String,
    pub(in crate::report) adversarial: String,
}

/// Everything but charts and pictures.
#[derive(Debug, Serialize)]
pub struct View {
    run: String,
    suite: String,
    complete: bool,
    blocks_done: String,
    blocks_total: String,
    /// Whether the suite attacks and measures nothing, and only looks inside its models.
    pictures_alone: bool,
    dataset: String,
    samples: String,
    classes: usize,
    seed: u64,
    device: String,
    duration: String,
    version: Option<String>,
    headline: Option<String>,
    radii_advice: Vec<String>,
    models: Vec<ModelCard>,
    health: Vec<Sign>,
    questions: Vec<Question>,
    questions_passed: usize,
    questions_failed: usize,
    attacks: Vec<AttackGroup>,
    transfer: Option<Transfer>,
    cells: Vec<CellRow>,
    cells_total: String,
    cells_hidden: usize,
    provenance: Vec<Fact>,
    weights: Vec<[String; 5]>,
    skipped: Vec<String>,
    outputs: Vec<Fact>,
    source: String,
    resolved: String,
    command: String,
}

impl View {
    /// The suite's name.
    pub fn suite(&self) -> &str {
        &self.suite
    }
}

/// The view of a run, whose pictures took so many `seconds` beside its blocks.
pub fn view(manifest: &Manifest, summary: &RunSummary, seconds: f64) -> View {
    let duration = format::duration(manifest.seconds + seconds);
    let headline =
        headlines(summary).first().map(|at| format!("{} ε {}", format::norm(at.norm), format::epsilon(at.epsilon)));
    let cells = cell_rows(summary, &manifest.classes);
    let questions = checklist(manifest, summary);
    let count = |answer: Answer| questions.iter().filter(|question| question.answer == answer).count();
    View {
        run: manifest.run.clone(),
        suite: manifest.suite_name.clone(),
        complete: manifest.status == RunStatus::Complete,
        blocks_done: format::count(manifest.blocks_done),
        blocks_total: format::count(manifest.blocks_total),
        pictures_alone: manifest.blocks_total == 0,
        radii_advice: advice(summary),
        dataset: data_name(manifest),
        samples: format::count(manifest.samples),
        classes: manifest.classes.len(),
        seed: manifest.seed,
        device: manifest.device.clone(),
        duration: duration.clone(),
        version: manifest.versions.get("am-eval").cloned(),
        headline,
        models: summary
            .models
            .iter()
            .enumerate()
            .map(|(index, model)| model_card(manifest, summary, index, model))
            .collect(),
        health: health::signs(manifest, summary),
        questions_passed: count(Answer::Passed),
        questions_failed: count(Answer::Failed),
        questions,
        attacks: attack_groups(summary),
        transfer: transfer(manifest, summary),
        cells_total: format::count(summary.cells.len() as u64),
        cells_hidden: summary.cells.len() - cells.len(),
        cells,
        provenance: provenance(manifest, duration),
        weights: manifest.models.iter().map(weights).collect(),
        skipped: manifest.skipped.iter().take(50).cloned().collect(),
        outputs: tables(manifest),
        source: shortened(&manifest.suite_source),
        resolved: shortened(&serde_json::to_string_pretty(&manifest.suite).unwrap_or_default()),
        command: command(&manifest.command),
    }
}

fn model_card(manifest: &Manifest, summary: &RunSummary, index: usize, model: &ModelSummary) -> ModelCard {
    let entry = manifest.models.iter().find(|entry| entry.name == model.model);
    let ball = |norm: Norm, epsilon: Epsilon, estimate: &Estimate| Ball {
        norm: format::norm(norm),
        epsilon: format::epsilon(epsilon),
        rate: Rate::new(estimate),
        doubted: is_doubted(summary, model, Some(norm)),
        delta: delta_place(&Subject { norm: Some(norm), epsilon: Some(epsilon), ..Subject::model(&model.model) }),
    };
    let distances = summary.distances.iter().filter(|distance| distance.model == model.model).map(|distance| {
        let median = distance.median.as_ref().map_or("not reached".to_owned(), format::distance_estimate);
        let optimality = distance.optimality.filter(|_| !distance.method.starts_with(ENVELOPE));
        let optimality = optimality.map_or(String::new(), |share| format!(", optimality {share:.2}"));
        format!("{} {median} ({}{optimality})", format::norm(distance.norm), distance.method)
    });
    let at = headlines(summary).into_iter();
    ModelCard {
        name: model.model.clone(),
        series: index % 7,
        arch: entry.map(|entry| entry.arch.clone()),
        parameters: entry.map(|entry| format::count(entry.parameters)),
        n: format::count(model.n),
        clean: Rate::new(&model.clean_accuracy),
        clean_delta: delta_place(&Subject::model(&model.model)),
        headline: at.filter_map(|at| Some(ball(at.norm, at.epsilon, &worst_case_at(model, at)?))).collect(),
        all_norms: model.all_norms.as_ref().map(|all| (Rate::new(&all.estimate), together(&all.balls))),
        worst_case: model.worst_case.iter().map(|(norm, epsilon, estimate)| ball(*norm, *epsilon, estimate)).collect(),
        distances: distances.collect(),
        doubted: is_doubted(summary, model, None),
        health: health::signs_of_model(summary, &model.model),
    }
}

/// `ℓ∞ ε 8/255, ℓ2 ε 0.5 and ℓ1 ε 12`.
fn together(balls: &[(Norm, Epsilon)]) -> String {
    let ball = |(norm, epsilon): &(Norm, Epsilon)| format!("{} ε {}", format::norm(*norm), format::epsilon(*epsilon));
    let balls: Vec<String> = balls.iter().map(ball).collect();
    match balls.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Whether a sign says that the model may be less robust than its numbers in `norm`, or in any.
fn is_doubted(summary: &RunSummary, model: &ModelSummary, norm: Option<Norm>) -> bool {
    let cells = summary.cells.iter().filter(|cell| cell.cell.model == model.model);
    let cells = cells.filter(|cell| norm.is_none_or(|norm| cell.cell.norm == norm));
    let mut signs = cells.flat_map(|cell| &cell.health).chain(&model.health);
    signs.any(|sign| sign.doubts_robustness())
}

fn delta_place(subject: &Subject) -> String {
    slots::place(&slots::delta_name(subject))
}

fn attack_groups(summary: &RunSummary) -> Vec<AttackGroup> {
    let mut balls: Vec<(Norm, Epsilon)> =
        summary.cells.iter().map(|cell| (cell.cell.norm, cell.cell.epsilon)).collect();
    balls.sort();
    balls.dedup();
    let groups = balls.into_iter().map(|(norm, epsilon)| {
        let cells_in_ball = || {
            let cells = summary.cells.iter().filter(move |cell| cell.cell.norm == norm && cell.cell.epsilon == epsilon);
            cells.filter(|cell| !cell.cell.kind.is_control())
        };
        let mut attacks: Vec<(&str, CellKind)> = Vec::new();
        for cell in cells_in_ball() {
            let attack = (cell.cell.attack.as_str(), cell.cell.kind);
            if !attacks.contains(&attack) {
                attacks.push(attack);
            }
        }
        let rows = attacks.into_iter().map(|(attack, kind)| {
            let by_model = summary.models.iter().map(|model| {
                let cells = cells_in_ball().filter(|cell| cell.cell.model == model.model && cell.cell.attack == attack);
                cells.map(|cell| &cell.robust_accuracy).min_by(|a, b| a.point.total_cmp(&b.point)).map(Rate::new)
            });
            let note = if kind.drives_unit() { "strongest single unit" } else { "" };
            AttackRow { attack: attack.to_owned(), note, models: by_model.collect() }
        });
        let union = summary.models.iter().map(|model| {
            let mut all = model.worst_case.iter();
            all.find(|(ball_norm, at, _)| *ball_norm == norm && *at == epsilon)
                .map(|(_, _, estimate)| Rate::new(estimate))
        });
        let ball = format!("{} ε {}", format::norm(norm), format::epsilon(epsilon));
        AttackGroup { ball, rows: rows.collect(), union: union.collect() }
    });
    groups.chain(all_norms(summary)).collect()
}

/// The headline balls of all norms together, if there are several norms.
fn all_norms(summary: &RunSummary) -> Option<AttackGroup> {
    let known = summary.models.iter().find_map(|model| model.all_norms.as_ref())?;
    let union = summary.models.iter().map(|model| model.all_norms.as_ref().map(|all| Rate::new(&all.estimate)));
    Some(AttackGroup { ball: together(&known.balls), rows: Vec::new(), union: union.collect() })
}

/// All cells if they are not too many; else class logits first, then units, then controls, in the summary's order.
fn cell_rows(summary: &RunSummary, classes: &[String]) -> Vec<CellRow> {
    let mut cells: Vec<&CellSummary> = summary.cells.iter().collect();
    if cells.len() > MOST_CELLS {
        cells.sort_by_key(|cell| cell.cell.kind);
        cells.truncate(MOST_CELLS);
    }
    cells.into_iter().map(|cell| cell_row(cell, classes)).collect()
}

fn cell_row(cell: &CellSummary, classes: &[String]) -> CellRow {
    let key = &cell.cell;
    CellRow {
        model: key.model.clone(),
        attack: key.attack.clone(),
        kind: key.kind.label(),
        on: on(key, classes),
        ball: format!("{} ε {}", format::norm(key.norm), format::epsilon(key.epsilon)),
        epsilon: key.epsilon.value(),
        n: cell.n,
        n_clean_correct: cell.n_clean_correct,
        robust: Rate::new(&cell.robust_accuracy),
        flip: cell.flip_rate.as_ref().map(Rate::new),
        flip_u8: cell.flip_rate_u8.as_ref().map(Rate::new),
        target: cell.target_rate.as_ref().map(Rate::new),
        gain_z: cell.gain_z_mean.filter(|gain| gain.is_finite()).map(|gain| format!("{gain:.2}")),
        passes: cell.forwards + cell.backwards,
        health: health::of_cell(cell),
    }
}

/// What an attack drives: the target rule, whose class is named, or layer and unit.
fn on(cell: &crate::record::Cell, classes: &[String]) -> String {
    let name = match cell.target {
        Some(Target::Class(index)) => classes.get(index).filter(|name| !name.is_empty()),
        _ => None,
    };
    match (&cell.layer, &cell.unit) {
        (Some(layer), Some(unit)) => format!("{layer} · {unit}"),
        (Some(layer), None) => layer.to_string(),
        (None, Some(unit)) => unit.to_string(),
        (None, None) => name.map_or_else(|| cell.target_text(), |name| format!("{} · {name}", cell.target_text())),
    }
}

/// The caption of an example; its pictures are filled in by the page, within its budget.
pub fn picture(manifest: &Manifest, example: &Example) -> Picture {
    let cell = &example.cell;
    let class = |index: u32| gallery::class_name(&manifest.classes, index);
    Picture {
        sample: example.sample_id.to_string(),
        model: cell.model.clone(),
        attack: cell.attack.clone(),
        on: on(cell, &manifest.classes),
        ball: format!("{} ε {}", format::norm(cell.norm), format::epsilon(cell.epsilon)),
        label: class(example.label),
        clean_pred: class(example.clean_pred),
        adv_pred: class(example.adv_pred),
        confidence_clean: format::percent(f64::from(example.confidence_clean)),
        confidence_adv: format::percent(f64::from(example.confidence_adv)),
        linf: format::distance(f64::from(example.linf)),
        length: example.length.map_or(String::new(), |length| {
            format!(", {} {}", format::norm(cell.norm), format::distance(f64::from(length)))
        }),
        l2: format::distance(f64::from(example.l2)),
        gain: gallery::gain(example.gain),
        clean: String::new(),
        perturbation: String::new(),
        adversarial: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::realistic;

    #[test]
    fn a_target_class_has_its_name_if_there_is_one() {
        let mut cell = realistic(&["m"]).cells[0].cell.clone();
        let classes = ["cat".to_owned(), String::new()];
        let mut text = |target: &str| {
            cell.target = Some(target.parse().unwrap());
            on(&cell, &classes)
        };
        assert_eq!(
            ["class:0", "class:1", "class:7", "random"].map(&mut text),
            ["class:0 · cat", "class:1", "class:7", "random"]
        );
    }

    #[test]
    fn a_control_that_had_nothing_to_look_at_says_so() {
        use crate::record::CellKind;
        use crate::report::fixture::{cell, manifest};

        let manifest = manifest("x", &["m"]);
        let answers = |kinds: &[CellKind]| {
            let mut summary = realistic(&["m"]);
            summary.cells = kinds.iter().map(|kind| cell("m", "a", *kind, None, 8.0, 0.0)).collect();
            let questions = checklist(&manifest, &summary);
            let find = |words: &str| {
                let found = questions.iter().find(|question| question.question.contains(words)).unwrap();
                (found.answer, found.evidence.clone(), found.advice)
            };
            [find("without gradients"), find("twice the steps")]
        };
        let noise = CellKind::ControlNoise;
        for (answer, evidence, advice) in answers(&[CellKind::ClassLogit, noise]) {
            assert_eq!(answer, Answer::NotTested);
            assert!(
                evidence.contains("left none of the images") && advice.starts_with("Nothing"),
                "{evidence} {advice}"
            );
        }
        for (answer, evidence, _) in answers(&[]) {
            assert!(answer == Answer::NotTested && evidence.contains("no attack"), "{evidence}");
        }
        let [search, longer] = answers(&[CellKind::Features, noise, CellKind::ControlSearch]);
        assert_eq!((search.0, longer.0), (Answer::Passed, Answer::NotTested));
        assert!(longer.1.contains("no number of steps"), "{longer:?}");
        let both = answers(&[CellKind::ClassLogit, noise, CellKind::ControlSearch, CellKind::ControlLonger]);
        assert!(both.iter().all(|(answer, ..)| *answer == Answer::Passed));
    }
}
