//! Layers that are narrower than a suite takes them to be. What is asked of them runs with the units that there are, and the user hears of
//! it before the run: too few units, and too few that are left for a control.

use crate::attack::controls_left;
use crate::model::{LayerInfo, Model, ModelError};
use crate::suite::{AttackConfig, Control, LayerChoice, Suite, UnitSelection, VisualizeConfig};
use crate::terms::Unit;

/// What the suite asks of layers of the model that it calls `name`, where they have fewer units: one sentence for each attack, visualization
/// or study.
///
/// # Errors
/// If a layer does not exist.
pub fn narrow_layers(suite: &Suite, name: &str, model: &Model) -> Result<Vec<String>, ModelError> {
    let named = Named { name, model };
    let mut found = Vec::new();
    for attack in suite.attacks.iter().filter(|attack| attack.applies_to(name)) {
        found.extend(named.of_attack(attack)?);
    }
    found.extend(narrow_pictures(&suite.visualizations, name, model)?);
    for config in suite.universal.iter().filter(|config| config.applies_to(name)) {
        let layers = model.chosen_layers(&config.layers)?;
        found.extend(named.too_few(&format!("universal `{}`", config.name), &config.units, &layers));
    }
    let attacked =
        |attacks: &[String]| suite.attacks.iter().any(|it| it.applies_to(name) && attacks.contains(&it.name));
    if let Some(damage) = suite.damage.as_ref().filter(|damage| attacked(&damage.attacks))
        && let Some(units) = &damage.patch_units
    {
        found.extend(named.too_few("`patch_units`", units, &model.chosen_layers(&damage.patch)?));
    }
    Ok(found)
}

/// The same of visualizations alone.
///
/// # Errors
/// If a layer does not exist.
pub fn narrow_pictures(
    visualizations: &[VisualizeConfig],
    name: &str,
    model: &Model,
) -> Result<Vec<String>, ModelError> {
    let mut found = Vec::new();
    for config in visualizations.iter().filter(|config| config.applies_to(name)) {
        let layers = model.chosen_layers(&config.layers)?;
        found.extend(Named { name, model }.too_few(&format!("visualize `{}`", config.name), &config.units, &layers));
    }
    Ok(found)
}

/// A model under the name that the suite gives it: an outline has none.
#[derive(Clone, Copy)]
struct Named<'a> {
    name: &'a str,
    model: &'a Model,
}

impl Named<'_> {
    fn of_attack(self, attack: &AttackConfig) -> Result<Vec<String>, ModelError> {
        let (Some(layer), Some(units)) = (attack.goal.layer(), attack.goal.units()) else { return Ok(Vec::new()) };
        let open = layer.as_str().parse::<LayerChoice>().ok().filter(LayerChoice::is_open);
        let layers =
            open.map_or_else(|| Ok(vec![self.model.layer(layer)?]), |choice| self.model.chosen_layers([&choice]))?;
        let asking = format!("attack `{}`", attack.name);
        let controlled = attack.goal.controls().contains(&Control::RandomUnit);
        let controls = controlled.then(|| self.short_of_controls(&asking, units, &layers)).flatten();
        Ok(self.too_few(&asking, units, &layers).into_iter().chain(controls).collect())
    }

    fn too_few(self, asking: &str, units: &UnitSelection, layers: &[LayerInfo]) -> Option<String> {
        let requested = units.requested()?;
        let narrow = layers.iter().filter(|layer| layer.units < requested);
        let narrow: Vec<String> = narrow.map(|layer| format!("`{}` has {}", layer.name, layer.units)).collect();
        let narrow = listed(&narrow)?;
        let name = self.name;
        Some(format!(
            "{asking} asks for {requested} units of each layer; in `{name}` {narrow}, and all of them are taken"
        ))
    }

    fn short_of_controls(self, asking: &str, units: &UnitSelection, layers: &[LayerInfo]) -> Option<String> {
        let short = layers.iter().filter_map(|layer| {
            // Which ones does not matter to how many are left.
            let driven = match units {
                UnitSelection::Listed(units) => units.clone(),
                other => (0..other.requested().unwrap_or(layer.units).min(layer.units)).map(Unit::channel).collect(),
            };
            let left = controls_left(&driven, layer, self.model);
            (left < driven.len()).then(|| format!("{left} in `{}`", layer.name))
        });
        let short = listed(&short.collect::<Vec<String>>())?;
        let name = self.name;
        Some(format!(
            "{asking} drives so many units of `{name}` that fewer are left for its control `random-unit`: {short}; the fewer there are, the \
             less can stand out from them"
        ))
    }
}

/// The first of them, and how many there are more; none if there are none.
fn listed(parts: &[String]) -> Option<String> {
    const MOST: usize = 4;
    let text = parts[..parts.len().min(MOST)].join(", ");
    match parts.len().saturating_sub(MOST) {
        _ if parts.is_empty() => None,
        0 => Some(text),
        more => Some(format!("{text}, and {more} more layers")),
    }
}
