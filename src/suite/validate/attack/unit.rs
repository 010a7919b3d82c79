//! `[[attack]]` of kind `unit`.

use super::{ball, chosen_models, no_target, optimizer, selection, views};
use crate::suite::config::{
    AttackConfig, Control, Direction, Goal, OptimizerName, Stop, Sweep, UnitGoal, UnitSelection,
};
use crate::suite::raw::attack::{Around, AttackTable, RawUnit};
use crate::suite::read::At;
use crate::suite::read::problem::Problems;
use crate::suite::read::values::Name;
use crate::terms::LayerName;

impl AttackTable for RawUnit {
    fn name(&self) -> Option<&At<Name>> {
        self.name.as_ref()
    }

    fn resolve(self: Box<Self>, suite: Around, problems: &mut Problems) -> Option<AttackConfig> {
        let applies = chosen_models(self.models, suite.names, problems);
        let units = self.units.as_ref().and_then(|units| selection(units, suite.base, problems));
        if let (Some(UnitSelection::Listed(listed)), Some(direction)) = (&units, &self.direction)
            && direction.value == Direction::Suppress
            && listed.iter().any(|unit| unit.is_chosen_by_sample())
        {
            problems
                .add(
                    direction.span.clone(),
                    "units chosen for each sample go the way that changes its prediction",
                    "not used",
                )
                .help("leave `direction` out");
        }
        let controls = controls(self.controls, units.as_ref(), problems);
        no_target(self.stop.as_ref(), "a unit attack", problems);
        let (norm, epsilons) = ball(self.norm, self.epsilons, problems);
        let steepest = OptimizerName::Steepest;
        let optimizer = optimizer(self.optimizer.as_ref(), steepest, norm, self.step_size.as_ref(), problems);
        let views = views(self.views, optimizer, problems);
        let goal = Goal::Unit(UnitGoal {
            layer: LayerName::from(self.layer?.value.0),
            units: units?,
            direction: self.direction.map_or(Direction::default(), |direction| direction.value),
            controls,
        });
        Some(AttackConfig {
            name: self.name?.value.0,
            models: applies,
            goal,
            norm: norm?,
            epsilons: epsilons?,
            steps: self.steps?.value.size(),
            step_size: self.step_size.map(|size| size.value.0),
            restarts: self.restarts.map_or(1, |restarts| restarts.value.size()),
            stop: self.stop.map_or(Stop::Budget, |stop| stop.value),
            optimizer,
            views,
            sweep: Sweep::Each,
        })
    }
}

fn controls(raw: Option<At<Vec<At<Control>>>>, units: Option<&UnitSelection>, problems: &mut Problems) -> Vec<Control> {
    let Some(raw) = raw else { return vec![Control::Noise] };
    let mut controls = Vec::new();
    for control in raw.value {
        if controls.contains(&control.value) {
            problems.add(control.span, "this control stands twice", "again here");
            continue;
        }
        if control.value == Control::RandomUnit && units == Some(&UnitSelection::All) {
            problems
                .add(control.span, "control `random-unit` needs units that the attack leaves out", "no unit is left")
                .help("drive fewer units, or leave this control out");
        }
        controls.push(control.value);
    }
    controls
}
