//! What unit attacks flip, beside their controls and the attacks on the class.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::chance::{above_draws, above_random, above_units};
use super::renumbered;
use crate::record::{CellKind, Record, Status};
use crate::stats::{Estimate, Observation, holm, kaplan_meier, median_distance, wilson};
use crate::summary::order::natural;
use crate::summary::sample_set::SampleSet;
use crate::terms::{Epsilon, LayerName, Norm};

/// Classes told of a unit's flips.
const CLASSES: usize = 5;

/// One unit of an attack at one radius. Rates are over the correctly classified samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitSummary {
    /// The model.
    pub model: String,
    /// The attack.
    pub attack: String,
    /// The layer.
    pub layer: LayerName,
    /// The unit.
    pub unit: String,
    /// The norm.
    pub norm: Norm,
    /// The radius.
    pub epsilon: Epsilon,
    /// Samples.
    pub n: u64,
    /// Share that driving the unit flips.
    pub flip_rate: Estimate,
    /// Share that noise of the same norm flips: the mean over draws.
    pub noise: Option<f64>,
    /// Share that driving another, random unit of the layer flips: the mean over units.
    pub random_unit: Option<f64>,
    /// Share that the run's class-logit attacks flip within the radius.
    pub class_attack: Option<f64>,
    /// Share of those flips that driving this unit reaches too.
    pub reach: Option<Estimate>,
    /// p value that the unit flips no more than noise.
    pub p_noise: Option<f64>,
    /// p value that it flips no more than random units do: its place among them.
    pub p_random_unit: Option<f64>,
    /// The larger of both, after Holm's correction over all units of the model at their largest radius.
    pub p_corrected: Option<f64>,
    /// The classes that its flips go to, the most frequent first, with counts.
    pub classes: Vec<(u32, u64)>,
}

/// One layer of a unit attack, over all its units and radii.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerSummary {
    /// The model.
    pub model: String,
    /// The attack.
    pub attack: String,
    /// The layer.
    pub layer: LayerName,
    /// The norm.
    pub norm: Norm,
    /// The largest radius.
    pub epsilon: Epsilon,
    /// Units that were driven.
    pub units: u64,
    /// Samples.
    pub n: u64,
    /// Share that at least one unit flips.
    pub any_unit: Estimate,
    /// Share of the class-logit attacks' flips that at least one unit reaches.
    pub reach: Option<Estimate>,
    /// The unit that flips most.
    pub strongest: String,
    /// Its share.
    pub strongest_rate: Estimate,
    /// Mean share over the units.
    pub mean_rate: f64,
    /// Mean share over random units.
    pub random_unit: Option<f64>,
    /// Mean share over draws of noise.
    pub noise: Option<f64>,
    /// Median over samples of the length of the smallest flip that any unit drives, those included that it passes on its way: the distance by
    /// layer.
    pub distance: Option<Estimate>,
    /// p value that the units flip no more than random ones do (rank sum).
    pub p: Option<f64>,
    /// The same after Holm's correction over the model's layers.
    pub p_corrected: Option<f64>,
}

/// What one driven unit or draw did at one radius.
#[derive(Debug, Clone, Default)]
struct Tries {
    tried: SampleSet,
    flipped: SampleSet,
    classes: BTreeMap<u32, u64>,
}

impl Tries {
    fn flips(&self) -> u64 {
        self.flipped.len()
    }
}

/// Model, attack, layer, norm.
type Place = (String, String, LayerName, Norm);

/// Units and controls of one attack on one layer.
#[derive(Debug, Clone, Default)]
struct Driven {
    /// By kind, radius and unit.
    tries: HashMap<(CellKind, Epsilon, String), Tries>,
    /// The smallest flip of each sample.
    smallest: HashMap<u32, f64>,
}

/// Gathers flips of units and of attacks on the class.
#[derive(Debug, Clone, Default)]
pub(super) struct Flips {
    driven: HashMap<Place, Driven>,
    /// By model, norm and radius.
    classes: HashMap<(String, Norm, Epsilon), SampleSet>,
}

impl Flips {
    pub(super) fn add(&mut self, record: &Record, sample: u32) {
        let cell = &record.cell;
        if record.clean_pred != record.label || record.status == Status::SkippedMisclassified {
            return;
        }
        let Some(layer) = &cell.layer else {
            if cell.kind == CellKind::ClassLogit && record.flipped {
                let key = (cell.model.clone(), cell.norm, cell.epsilon);
                self.classes.entry(key).or_default().insert(sample);
            }
            return;
        };
        if !matches!(cell.kind, CellKind::Unit | CellKind::ControlNoise | CellKind::ControlRandomUnit) {
            return;
        }
        let place = (cell.model.clone(), cell.attack.clone(), layer.clone(), cell.norm);
        let driven = self.driven.entry(place).or_default();
        let key = (cell.kind, cell.epsilon, cell.unit_text());
        let tries = driven.tries.entry(key).or_default();
        tries.tried.insert(sample);
        if record.flipped {
            tries.flipped.insert(sample);
            if cell.kind == CellKind::Unit && record.status == Status::Ok {
                *tries.classes.entry(record.adv_pred).or_default() += 1;
                let length = record.nearest_length(cell.norm);
                let smallest = driven.smallest.entry(sample).or_insert(f64::INFINITY);
                *smallest = smallest.min(length);
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Flips, numbers: &[u32]) {
        for (place, theirs) in &other.driven {
            let driven = self.driven.entry(place.clone()).or_default();
            for (key, theirs) in &theirs.tries {
                let tries = driven.tries.entry(key.clone()).or_default();
                tries.tried.add_all(&renumbered(&theirs.tried, numbers));
                tries.flipped.add_all(&renumbered(&theirs.flipped, numbers));
                for (class, count) in &theirs.classes {
                    *tries.classes.entry(*class).or_default() += count;
                }
            }
            for (sample, length) in &theirs.smallest {
                let smallest = driven.smallest.entry(numbers[*sample as usize]).or_insert(f64::INFINITY);
                *smallest = smallest.min(*length);
            }
        }
        for (key, theirs) in &other.classes {
            self.classes.entry(key.clone()).or_default().add_all(&renumbered(theirs, numbers));
        }
    }

    /// The samples that attacks on the class flip within a radius; none if none was run there.
    fn class_flips(&self, model: &str, norm: Norm, epsilon: Epsilon) -> Option<SampleSet> {
        let mut all: Option<SampleSet> = None;
        for ((_, _, _), set) in self
            .classes
            .iter()
            .filter(|((name, ball_norm, radius), _)| name == model && *ball_norm == norm && *radius <= epsilon)
        {
            all.get_or_insert_default().add_all(set);
        }
        all
    }

    pub(super) fn finish<R: Ord>(
        &self,
        models: &impl Fn(&str) -> R,
        attacks: &impl Fn(&str) -> R,
    ) -> (Vec<UnitSummary>, Vec<LayerSummary>) {
        let mut places: Vec<(&Place, &Driven)> = self.driven.iter().collect();
        places.sort_by(|(a, _), (b, _)| {
            let ranks = |place: &Place| (models(&place.0), attacks(&place.1));
            ranks(a).cmp(&ranks(b)).then_with(|| natural(a.2.as_str(), b.2.as_str())).then(a.3.cmp(&b.3))
        });
        let (mut units, mut layers) = (Vec::new(), Vec::new());
        for (place, driven) in places {
            let of_place = self.units(place, driven);
            layers.extend(self.layer(place, driven, &of_place));
            units.extend(of_place);
        }
        correct_units(&mut units);
        correct_layers(&mut layers);
        (units, layers)
    }

    fn units(&self, (model, attack, layer, norm): &Place, driven: &Driven) -> Vec<UnitSummary> {
        let mut unit_tries: Vec<(&Epsilon, &String, &Tries)> = driven.of_kind(CellKind::Unit).collect();
        unit_tries.sort_by(|a, b| natural(a.1, b.1).then(a.0.cmp(b.0)));
        unit_tries
            .into_iter()
            .map(|(&epsilon, unit, tries)| {
                let draws: Vec<&Tries> = driven.at(CellKind::ControlNoise, epsilon);
                let controls: Vec<&Tries> = driven.at(CellKind::ControlRandomUnit, epsilon);
                let n = tries.tried.len();
                let class = self.class_flips(model, *norm, epsilon).map(|class| class.and(&tries.tried));
                let tried = |sample: u32| {
                    let drawn = draws.iter().filter(|draw| draw.flipped.contains(sample)).count() as u32;
                    (tries.flipped.contains(sample), drawn, draws.len() as u32)
                };
                let flips: Vec<u64> = controls.iter().map(|control| control.flips()).collect();
                let mut classes: Vec<(u32, u64)> =
                    tries.classes.iter().map(|(class, count)| (*class, *count)).collect();
                classes.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
                classes.truncate(CLASSES);
                UnitSummary {
                    model: model.clone(),
                    attack: attack.clone(),
                    layer: layer.clone(),
                    unit: unit.clone(),
                    norm: *norm,
                    epsilon,
                    n,
                    flip_rate: wilson(tries.flips(), n),
                    noise: mean_rate(&draws),
                    random_unit: mean_rate(&controls),
                    class_attack: class.as_ref().map(|class| class.len() as f64 / n.max(1) as f64),
                    reach: class
                        .filter(|class| !class.is_empty())
                        .map(|class| wilson(class.and(&tries.flipped).len(), class.len())),
                    p_noise: (!draws.is_empty()).then(|| above_draws(tries.tried.iter().map(tried))),
                    p_random_unit: (!controls.is_empty()).then(|| above_units(tries.flips(), &flips)),
                    p_corrected: None,
                    classes,
                }
            })
            .collect()
    }

    fn layer(&self, place: &Place, driven: &Driven, units: &[UnitSummary]) -> Option<LayerSummary> {
        let (model, attack, layer, norm) = place;
        let epsilon = units.iter().map(|unit| unit.epsilon).max()?;
        let strongest = units
            .iter()
            .filter(|unit| unit.epsilon == epsilon)
            .max_by(|a, b| a.flip_rate.point.total_cmp(&b.flip_rate.point))?;
        let attacked = driven.at(CellKind::Unit, epsilon);
        let (controls, draws) =
            (driven.at(CellKind::ControlRandomUnit, epsilon), driven.at(CellKind::ControlNoise, epsilon));
        let (mut tried, mut flipped) = (SampleSet::default(), SampleSet::default());
        for (_, _, tries) in driven.of_kind(CellKind::Unit) {
            tried.add_all(&tries.tried);
            flipped.add_all(&tries.flipped);
        }
        let class = self.class_flips(model, *norm, epsilon).map(|class| class.and(&tried));
        let mut observations: Vec<Observation> = tried
            .iter()
            .map(|sample| match driven.smallest.get(&sample) {
                Some(&distance) if distance.is_finite() => Observation { distance, event: true },
                _ => Observation { distance: epsilon.value(), event: false },
            })
            .collect();
        let counts = |tries: &[&Tries]| tries.iter().map(|tries| tries.flips()).collect::<Vec<u64>>();
        Some(LayerSummary {
            model: model.clone(),
            attack: attack.clone(),
            layer: layer.clone(),
            norm: *norm,
            epsilon,
            units: attacked.len() as u64,
            n: tried.len(),
            any_unit: wilson(flipped.len(), tried.len()),
            reach: class.filter(|class| !class.is_empty()).map(|class| wilson(class.and(&flipped).len(), class.len())),
            strongest: strongest.unit.clone(),
            strongest_rate: strongest.flip_rate,
            mean_rate: mean_rate(&attacked).unwrap_or(0.0),
            random_unit: mean_rate(&controls),
            noise: mean_rate(&draws),
            distance: median_distance(&kaplan_meier(&mut observations)),
            p: above_random(&counts(&attacked), &counts(&controls)),
            p_corrected: None,
        })
    }
}

impl Driven {
    fn of_kind(&self, kind: CellKind) -> impl Iterator<Item = (&Epsilon, &String, &Tries)> {
        let tries_of_kind = self.tries.iter().filter(move |((tried_kind, _, _), _)| *tried_kind == kind);
        tries_of_kind.map(|((_, epsilon, unit), tries)| (epsilon, unit, tries))
    }

    fn at(&self, kind: CellKind, epsilon: Epsilon) -> Vec<&Tries> {
        self.of_kind(kind).filter(|(radius, ..)| **radius == epsilon).map(|(_, _, tries)| tries).collect()
    }
}

fn mean_rate(tries: &[&Tries]) -> Option<f64> {
    let mut rates: Vec<f64> = tries
        .iter()
        .filter(|tries| !tries.tried.is_empty())
        .map(|tries| tries.flips() as f64 / tries.tried.len() as f64)
        .collect();
    // The order of a sum shows in its last digit.
    rates.sort_by(f64::total_cmp);
    (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
}

/// Holm's correction over the units of a model at the largest radius of their attack and layer.
fn correct_units(units: &mut [UnitSummary]) {
    for model in units.chunk_by_mut(|a, b| a.model == b.model) {
        let most = |unit: &UnitSummary| {
            let same = model
                .iter()
                .filter(|other| (&other.attack, &other.layer, other.norm) == (&unit.attack, &unit.layer, unit.norm));
            same.map(|other| other.epsilon).max() == Some(unit.epsilon)
        };
        let tested: Vec<usize> = (0..model.len())
            .filter(|&index| {
                most(&model[index]) && (model[index].p_noise.is_some() || model[index].p_random_unit.is_some())
            })
            .collect();
        let p: Vec<f64> = tested
            .iter()
            .map(|&index| model[index].p_noise.unwrap_or(0.0).max(model[index].p_random_unit.unwrap_or(0.0)))
            .collect();
        for (index, corrected) in tested.into_iter().zip(holm(&p)) {
            model[index].p_corrected = Some(corrected);
        }
    }
}

fn correct_layers(layers: &mut [LayerSummary]) {
    for model in layers.chunk_by_mut(|a, b| a.model == b.model) {
        let tested: Vec<usize> = (0..model.len()).filter(|&index| model[index].p.is_some()).collect();
        let p: Vec<f64> = tested.iter().map(|&index| model[index].p.unwrap_or(1.0)).collect();
        for (index, corrected) in tested.into_iter().zip(holm(&p)) {
            model[index].p_corrected = Some(corrected);
        }
    }
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
