//! The units that attacks drive: chosen, where the suite lists none, by what they do over the run's first images.

use super::error::RunError;
use super::prepare::Prepared;
use crate::attack::{DrivenUnit, Reference, Selected, choose, kind};
use crate::judge::{Labelled, learn_directions, pixels, ranked};
use crate::model::{LayerInfo, Model, ModelError};
use crate::objective::missing;
use crate::random::Noise;
use crate::suite::passes::REFERENCE;
use crate::suite::{AttackConfig, DamageConfig, Direction, Known, LayerChoice, Targets, UnitRanking, UnitSelection};
use crate::terms::Unit;

impl Prepared {
    /// The units that a unit attack drives in `model`, without its controls; none for other attacks.
    ///
    /// # Errors
    /// If the layer or a unit does not exist, or images cannot be read.
    pub fn driven_units(&self, attack: &AttackConfig, model: &Model) -> Result<Vec<DrivenUnit>, RunError> {
        let kind = kind(&attack.goal);
        let Some(selected) = kind.selected() else { return Ok(Vec::new()) };
        let layer = model.layer(selected.layer)?;
        let units = self.chosen_units(&attack.name, model, &layer, selected.units, selected.direction)?;
        let batches = self.labelled_by(self.capacity()).map(|batch| Ok::<_, RunError>(batch?.pixels));
        let reference = Reference::new(model, &kind.watched().into_iter().collect::<Vec<_>>(), batches)?;
        let selected = Selected { units: &UnitSelection::Listed(units), controls: &[], ..selected };
        Ok(choose(model, selected, &reference, &Noise::new(self.suite.seed, "ways"))?)
    }

    /// The units of `layer` that a selection means, of what is called `name` in the suite; they exist, and their directions are known.
    ///
    /// # Errors
    /// If a unit does not exist, or images cannot be read.
    pub fn chosen_units(
        &self,
        name: &str,
        model: &Model,
        layer: &LayerInfo,
        units: &UnitSelection,
        direction: Direction,
    ) -> Result<Vec<Unit>, RunError> {
        let noise = Noise::new(self.suite.seed, &format!("{name}/{}", model.name));
        let top = |top| Ok::<_, RunError>(ranked(model, &layer.name, top, direction, &self.labelled()?)?);
        let units = match units {
            UnitSelection::Listed(units) => {
                if units.iter().any(|unit| unit.direction().is_some()) {
                    learn_directions(model, layer, units, &self.labelled()?)?;
                }
                units.clone()
            }
            UnitSelection::All => (0..layer.units).map(Unit::channel).collect(),
            UnitSelection::Random(count) => {
                noise.choose("units", *count, layer.units).into_iter().map(Unit::channel).collect()
            }
            UnitSelection::TopActivation(count) => top((*count, UnitRanking::Activation))?,
            UnitSelection::Top { count, by } => top((*count, *by))?,
        };
        for unit in &units {
            if let Some(problem) = missing(model, *unit, layer) {
                let (model, layer, unit) = (model.name.clone(), layer.name.clone(), unit.to_string());
                return Err(ModelError::UnknownUnit { model, layer, unit, problem }.into());
            }
        }
        Ok(units)
    }

    /// The reference images with their labels: the first of the run.
    pub fn labelled(&self) -> Result<Vec<Labelled>, RunError> {
        self.labelled_by(self.capacity()).collect()
    }

    /// The same, `chunk` at a time, read when they are asked for.
    pub(super) fn labelled_by(&self, chunk: usize) -> impl Iterator<Item = Result<Labelled, RunError>> {
        let (count, chunk) = (self.selection.len().min(REFERENCE), chunk.max(1));
        (0..count).step_by(chunk).map(move |start| {
            let samples = self.selection.load_block(self.dataset.as_ref(), start..count.min(start + chunk))?;
            let labels = samples.iter().map(|sample| i64::from(sample.label)).collect();
            Ok(Labelled { pixels: pixels(&samples, self.device), labels })
        })
    }

    /// What only loaded models tell the estimate.
    ///
    /// # Errors
    /// If a layer does not exist.
    pub fn known(&self) -> Result<Known, ModelError> {
        let mut known = Known::default();
        for index in 0..self.sources.len() {
            self.look_at(index, &*self.verifier(index)?, &mut known)?;
        }
        Ok(known)
    }

    /// Adds what `model`, which has this `index`, tells the estimate.
    ///
    /// # Errors
    /// If a layer does not exist.
    pub(super) fn look_at(&self, index: usize, model: &Model, known: &mut Known) -> Result<(), ModelError> {
        let source = &self.sources[index];
        known.classes.insert(index, model.classes as u64);
        for (place, attack) in self.suite.attacks.iter().enumerate() {
            let kind = kind(&attack.goal);
            if let Some(Selected { layer, units: UnitSelection::All, .. }) =
                kind.selected().filter(|_| attack.applies_to(&source.name))
            {
                known.units.insert((index, place), model.layer(layer)?.units as u64);
            }
        }
        let named = |damage: &&DamageConfig| {
            let mut attacks = self.suite.attacks.iter().filter(|attack| attack.applies_to(&source.name));
            attacks.any(|attack| damage.attacks.contains(&attack.name))
        };
        if let Some(damage) = self.suite.damage.as_ref().filter(named) {
            model.chosen_layers(&damage.layers)?;
            let mut patched = targets(model, &damage.patch, damage.patch_units.as_ref())?;
            // The layer as a whole, too.
            patched.count += patched.layers;
            known.patched.insert(index, patched);
        }
        for (place, config) in self.suite.universal.iter().enumerate().filter(|(_, it)| it.applies_to(&source.name)) {
            known.perturbations.insert((index, place), targets(model, &config.layers, Some(&config.units))?);
        }
        let pictures = self.suite.visualizations.iter().enumerate();
        for (place, config) in pictures.filter(|(_, it)| it.applies_to(&source.name)) {
            known.pictures.insert((index, place), targets(model, &config.layers, Some(&config.units))?);
        }
        Ok(())
    }
}

/// The layers that a study means, and the units of them all.
fn targets(model: &Model, layers: &[LayerChoice], units: Option<&UnitSelection>) -> Result<Targets, ModelError> {
    let layers = model.chosen_layers(layers)?;
    let count = layers.iter().map(|layer| units.map_or(0, |units| units.count(Some(layer.units as u64)))).sum();
    Ok(Targets { layers: layers.len() as u64, count })
}
