//! Which units of which layers a `[[visualize]]` means in a model.

use std::rc::Rc;

use super::studio::Studio;
use super::{Driven, VisualizeError};
use crate::judge::{Labelled, learn_directions, ranked};
use crate::model::{LayerInfo, Model, ModelError};
use crate::objective::missing;
use crate::random::Noise;
use crate::suite::{UnitRanking, UnitSelection, VisualizeConfig};
use crate::terms::Unit;

/// A layer with the blocks of its units.
pub(super) struct Planned {
    pub(super) layer: LayerInfo,
    pub(super) units: Vec<Unit>,
    pub(super) driven: Rc<Driven>,
}

impl Studio<'_> {
    pub(super) fn plan(&self, config: &VisualizeConfig, model: &Model) -> Result<Vec<Planned>, VisualizeError> {
        self.check_canvas(config, model)?;
        let layers = model.chosen_layers(&config.layers).map_err(|error| named(config, error))?;
        layers
            .into_iter()
            .map(|layer| {
                let units = self.units(config, model, &layer)?;
                let others: Vec<Unit> = units.iter().filter(|unit| unit.mean_of().is_none()).copied().collect();
                let driven = self.samples.driven(model, &layer.name, &others, self.capacity)?;
                Ok(Planned { layer, units, driven: Rc::new(driven) })
            })
            .collect()
    }

    fn check_canvas(&self, config: &VisualizeConfig, model: &Model) -> Result<(), VisualizeError> {
        let [_, height, width] = model.input;
        match config.picture.side {
            Some(side) if (side as i64) < height.max(width) => Err(VisualizeError::Unfit {
                visualization: config.name.clone(),
                problem: format!(
                    "a canvas of {side}x{side} is smaller than the {height}x{width} pixels that model `{}` takes; use \
                     `side = {}` or more",
                    model.name,
                    height.max(width)
                ),
            }),
            _ => Ok(()),
        }
    }

    fn units(&self, config: &VisualizeConfig, model: &Model, layer: &LayerInfo) -> Result<Vec<Unit>, VisualizeError> {
        let noise = Noise::new(self.seed, &format!("visualize/{}/{}/{}", config.name, model.name, layer.name));
        let units: Vec<Unit> = match &config.units {
            UnitSelection::Listed(units) => units.clone(),
            UnitSelection::All => (0..layer.units).map(Unit::channel).collect(),
            UnitSelection::Random(count) => {
                let mut chosen = noise.choose("units", *count, layer.units);
                chosen.sort_unstable();
                chosen.into_iter().map(Unit::channel).collect()
            }
            UnitSelection::TopActivation(count) => self.top(config, model, layer, (*count, UnitRanking::Activation))?,
            UnitSelection::Top { count, by } => self.top(config, model, layer, (*count, *by))?,
        };
        for unit in &units {
            if let Some(problem) = missing(model, *unit, layer) {
                let (model, layer, unit) = (model.name.clone(), layer.name.clone(), unit.to_string());
                return Err(ModelError::UnknownUnit { model, layer, unit, problem }.into());
            }
        }
        if units.iter().any(|unit| unit.direction().is_some()) {
            learn_directions(model, layer, &units, &self.labelled(model))?;
            let unknown =
                |unit: &&Unit| unit.direction().is_some_and(|name| model.directions.get(&layer.name, name).is_none());
            if let Some(unit) = units.iter().find(unknown) {
                let problem = format!(
                    "unit {unit} is a difference of class means, which needs images with labels: those of a suite"
                );
                return Err(VisualizeError::Unfit { visualization: config.name.clone(), problem });
            }
        }
        Ok(units)
    }

    /// The real samples with their labels; none if any has none.
    fn labelled(&self, model: &Model) -> Vec<Labelled> {
        let Some(labels) = self.samples.labels() else { return Vec::new() };
        self.with_labels(model, &labels)
    }

    fn with_labels(&self, model: &Model, labels: &[i64]) -> Vec<Labelled> {
        let mut rest = labels;
        self.samples
            .batches(self.capacity, model.device())
            .map(|pixels| {
                let (batch, later) = rest.split_at(pixels.size()[0] as usize);
                rest = later;
                Labelled { pixels, labels: batch.to_vec() }
            })
            .collect()
    }

    /// The units that a measure puts first.
    fn top(
        &self,
        config: &VisualizeConfig,
        model: &Model,
        layer: &LayerInfo,
        top: (usize, UnitRanking),
    ) -> Result<Vec<Unit>, VisualizeError> {
        let unfit =
            |problem: &str| VisualizeError::Unfit { visualization: config.name.clone(), problem: problem.to_owned() };
        if self.samples.is_empty() {
            return Err(unfit(
                "units are ranked over real images, and there are none; give images, or choose units by number",
            ));
        }
        let labels = match (self.samples.labels(), top.1) {
            (Some(labels), _) => labels,
            (None, UnitRanking::Activation | UnitRanking::Variance) => vec![0; self.samples.len()],
            (None, by) => return Err(unfit(&format!("`{}` needs images with labels: those of a suite", by.as_str()))),
        };
        let images = self.with_labels(model, &labels);
        Ok(ranked(model, &layer.name, top, config.direction, &images)?)
    }
}

/// An unknown layer as the visualization's own.
fn named(config: &VisualizeConfig, error: ModelError) -> VisualizeError {
    match error {
        ModelError::UnknownLayer { model, layer, near } => {
            VisualizeError::NoLayer { visualization: config.name.clone(), model, choice: layer.to_string(), near }
        }
        error => error.into(),
    }
}
