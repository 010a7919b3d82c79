//! Rates as sets of samples: who was asked, and who answered yes.

use std::collections::{BTreeMap, BTreeSet};

use super::comparability::BOUNDARY;
use super::{Distance, Distances, ModelSamples, Snapshot, Subject};
use crate::suite::gate::Metric;
use crate::summary::{HealthSign, SampleSet};
use crate::terms::{Epsilon, Norm, headline_radius};

/// One rate of a run.
#[derive(Debug, Clone)]
pub struct Measure {
    /// What it is about.
    pub subject: Subject,
    /// The samples of the denominator.
    pub population: SampleSet,
    /// The samples of the numerator, all of them in `population`.
    pub yes: SampleSet,
    /// The attacks whose configuration determines it.
    pub attacks: BTreeSet<String>,
    /// Grave signs of its cells, counts left out.
    pub signs: BTreeSet<String>,
    /// Those of them by which the model may be less robust than the rate says.
    pub doubts: BTreeSet<String>,
}

/// All rates of one metric, in the snapshot's order; none of distances.
pub fn measures(snapshot: &Snapshot, metric: Metric) -> Vec<Measure> {
    match metric {
        Metric::CleanAccuracy => clean(snapshot),
        Metric::WorstCaseAccuracy => worst_case(snapshot),
        Metric::AllNormsAccuracy => all_norms(snapshot),
        Metric::RobustAccuracy | Metric::FlipRate => cells(snapshot, metric),
        Metric::DistanceMedian => Vec::new(),
    }
}

fn clean(snapshot: &Snapshot) -> Vec<Measure> {
    let of_model = snapshot.models.iter().map(|model| Measure {
        subject: Subject::model(&model.model),
        population: model.samples.clone(),
        yes: model.correct.and(&model.samples),
        attacks: BTreeSet::new(),
        signs: BTreeSet::new(),
        doubts: BTreeSet::new(),
    });
    of_model.collect()
}

fn cells(snapshot: &Snapshot, metric: Metric) -> Vec<Measure> {
    let of_cells = snapshot.cells.iter().filter_map(|cell| {
        let correct = &snapshot.models.iter().find(|model| model.model == cell.cell.model)?.correct;
        let attacked = cell.samples.and(correct);
        let (population, yes) = match metric {
            Metric::FlipRate => (attacked.clone(), cell.flipped.and(&attacked)),
            _ => (cell.samples.clone(), attacked.and_not(&cell.flipped)),
        };
        Some(Measure {
            subject: Subject::cell(&cell.cell),
            population,
            yes,
            attacks: BTreeSet::from([cell.cell.attack.clone()]),
            signs: grave(&cell.health),
            doubts: doubts(&cell.health),
        })
    });
    of_cells.collect()
}

/// The worst case per sample: what any attack, a control or the boundary search flips. What flips in a ball flips in every larger one
/// of its norm.
fn worst_case(snapshot: &Snapshot) -> Vec<Measure> {
    let mut all = Vec::new();
    for model in &snapshot.models {
        let mut balls: BTreeMap<(Norm, Epsilon), Measure> = BTreeMap::new();
        let cells = || snapshot.cells.iter().filter(|cell| cell.cell.model == model.model);
        for cell in cells().filter(|cell| !cell.cell.kind.is_control()) {
            let (norm, epsilon) = (cell.cell.norm, cell.cell.epsilon);
            let ball = balls.entry((norm, epsilon)).or_insert_with(|| Measure {
                subject: Subject { norm: Some(norm), epsilon: Some(epsilon), ..Subject::model(&model.model) },
                population: SampleSet::default(),
                yes: SampleSet::default(),
                attacks: BTreeSet::new(),
                signs: BTreeSet::new(),
                doubts: BTreeSet::new(),
            });
            ball.population.add_all(&cell.samples);
            ball.yes.add_all(&cell.flipped); // flips until the union is complete
            ball.attacks.insert(cell.cell.attack.clone());
            ball.signs.extend(grave(&cell.health));
            ball.doubts.extend(doubts(&cell.health));
        }
        for cell in cells().filter(|cell| cell.cell.kind.is_control()) {
            if let Some(ball) = balls.get_mut(&(cell.cell.norm, cell.cell.epsilon)) {
                ball.yes.add_all(&cell.flipped);
            }
        }
        for (ball, fooled) in &model.fooled {
            if let Some(ball) = balls.get_mut(ball) {
                ball.yes.add_all(fooled);
            }
        }
        for distances in snapshot.distances.iter().filter(|distances| distances.model == model.model) {
            for ((norm, epsilon), ball) in &mut balls {
                if *norm == distances.norm {
                    ball.attacks.insert(BOUNDARY.to_owned());
                    ball.yes.add_all(&within(distances, *epsilon));
                }
            }
        }
        let mut smaller: Option<(Norm, SampleSet, BTreeSet<String>)> = None;
        for ((norm, _), ball) in &mut balls {
            if let Some((_, flipped, attacks)) = smaller.take().filter(|(radius, _, _)| radius == norm) {
                ball.yes.add_all(&flipped);
                ball.attacks.extend(attacks);
            }
            smaller = Some((*norm, ball.yes.clone(), ball.attacks.clone()));
            ball.yes = ball.population.and(&model.correct).and_not(&ball.yes);
        }
        all.extend(balls.into_values());
    }
    all
}

/// What holds in the headline balls of all norms at once; none of models that are attacked in one.
fn all_norms(snapshot: &Snapshot) -> Vec<Measure> {
    let balls = worst_case(snapshot);
    let of_model = |model: &ModelSamples| {
        let model_balls = || balls.iter().filter(|ball| ball.subject.model == model.model);
        let headline = |norm: Norm| {
            let in_norm = || model_balls().filter(move |ball| ball.subject.norm == Some(norm));
            let radius = headline_radius(norm, in_norm().filter_map(|ball| ball.subject.epsilon))?;
            in_norm().find(|ball| ball.subject.epsilon == Some(radius))
        };
        let headlines: Vec<&Measure> = Norm::ALL.into_iter().filter_map(headline).collect();
        let (first, others) = headlines.split_first()?;
        let begin = Measure { subject: Subject::model(&model.model), ..(*first).clone() };
        let joined = others.iter().fold(begin, |all, ball| Measure {
            population: all.population.and(&ball.population),
            yes: all.yes.and(&ball.yes),
            attacks: all.attacks.union(&ball.attacks).cloned().collect(),
            signs: all.signs.union(&ball.signs).cloned().collect(),
            doubts: all.doubts.union(&ball.doubts).cloned().collect(),
            subject: all.subject,
        });
        (!others.is_empty() && !joined.population.is_empty()).then_some(joined)
    };
    snapshot.models.iter().filter_map(of_model).collect()
}

/// The samples whose boundary lies inside a ball.
fn within(distances: &Distances, epsilon: Epsilon) -> SampleSet {
    // Distances are rounded to six digits.
    let limit = epsilon.longest();
    let inside = |distance: &Distance| matches!(distance, Distance::At(distance) if *distance <= limit);
    distances.values.iter().zip(0..).filter(|(distance, _)| inside(distance)).map(|(_, sample)| sample).collect()
}

fn grave(health: &[HealthSign]) -> BTreeSet<String> {
    health.iter().filter(|sign| sign.is_grave()).map(|sign| sign.word().to_owned()).collect()
}

fn doubts(health: &[HealthSign]) -> BTreeSet<String> {
    health.iter().filter(|sign| sign.doubts_robustness()).map(|sign| sign.word().to_owned()).collect()
}
