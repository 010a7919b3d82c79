//! `[[attack]]` of kind `class-logit`.

use super::{ball, chosen_models, optimizer, views};
use crate::suite::config::{AttackConfig, ClassLogitGoal, Goal, Loss, OptimizerName, Stop, Sweep, Target};
use crate::suite::raw::attack::{Around, AttackTable, RawClassLogit};
use crate::suite::read::At;
use crate::suite::read::problem::Problems;
use crate::suite::read::values::{FormVersion, Name};

/// What a class-logit attack maximizes, and how its rows move, where the suite does not say.
fn usual(form: FormVersion) -> (Loss, OptimizerName) {
    match form {
        FormVersion::First => (Loss::Logit, OptimizerName::Steepest),
        FormVersion::Second => (Loss::Margin, OptimizerName::Apgd),
    }
}

impl AttackTable for RawClassLogit {
    fn name(&self) -> Option<&At<Name>> {
        self.name.as_ref()
    }

    fn resolve(self: Box<Self>, suite: Around, problems: &mut Problems) -> Option<AttackConfig> {
        let target = self.target.as_ref().map_or(Target::Untargeted, |target| target.value.0);
        let (usual_loss, usual_optimizer) = usual(suite.form);
        let loss = self.loss.as_ref().map_or(usual_loss, |loss| loss.value);
        let applies = chosen_models(self.models, suite.names, problems);
        let runs_on = |name: &str| applies.as_ref().is_none_or(|chosen| chosen.iter().any(|other| other == name));
        for model in suite.models.iter().filter(|model| runs_on(&model.name)) {
            let Some(classes) = model.classes else { continue };
            if let (Target::Class(index), Some(at)) = (target, &self.target)
                && index >= classes
            {
                problems
                    .add(at.span.clone(), format!("model `{}` has no class {index}", model.name), "no such class")
                    .help(format!("its classes are 0 to {}", classes - 1));
            }
            let needed = loss.classes(!target.is_any());
            if let Some(at) = self.loss.as_ref().filter(|_| classes < needed) {
                let targeted = if target.is_any() { "" } else { "targeted " };
                let problem = format!("{targeted}loss `{}` needs at least {needed} classes", loss.as_str());
                problems
                    .add(at.span.clone(), problem, format!("`{}` has {classes}", model.name))
                    .help("use the loss `margin`");
            }
        }
        let default = if target == Target::Untargeted { Stop::Flip } else { Stop::Target };
        if let Some(stop) = self.stop.as_ref().filter(|stop| stop.value == Stop::Target)
            && target == Target::Untargeted
        {
            problems
                .add(stop.span.clone(), "an untargeted attack has no target to stop at", "no target")
                .help("use `stop = \"flip\"` or `stop = \"budget\"`, or choose a `target`");
        }
        if let Some(sweep) = self.sweep.as_ref().filter(|sweep| sweep.value == Sweep::Nearest) {
            let written = self.optimizer.as_ref().and_then(|optimizer| optimizer.value.0);
            let blind = written.filter(|optimizer| !optimizer.follows_gradients()).map(OptimizerName::as_str);
            let by_gradients = format!(
                "the search for the nearest flip follows gradients, which `{}` does without",
                blind.unwrap_or_default()
            );
            let stays = self.stop.as_ref().is_some_and(|stop| stop.value != Stop::Flip);
            let hinders = [
                (target != Target::Untargeted, "the nearest flip is of any class, and this attack has a target"),
                (
                    stays,
                    "the nearest flip ends the search of its radii, and rows of this attack stay beyond their flip",
                ),
                (blind.is_some(), by_gradients.as_str()),
            ];
            for (_, why) in hinders.into_iter().filter(|(hinders, _)| *hinders) {
                problems.add(sweep.span.clone(), why, "not with this attack").help("leave `sweep` out");
            }
        }
        let (norm, epsilons) = ball(self.norm, self.epsilons, problems);
        let optimizer = optimizer(self.optimizer.as_ref(), usual_optimizer, norm, self.step_size.as_ref(), problems);
        let views = views(self.views, optimizer, problems);
        Some(AttackConfig {
            name: self.name?.value.0,
            models: applies,
            goal: Goal::ClassLogit(ClassLogitGoal { target, loss, preset: None }),
            norm: norm?,
            epsilons: epsilons?,
            steps: self.steps?.value.size(),
            step_size: self.step_size.map(|size| size.value.0),
            restarts: self.restarts.map_or(1, |restarts| restarts.value.size()),
            stop: self.stop.map_or(default, |stop| stop.value),
            optimizer,
            views,
            sweep: self.sweep.map_or(Sweep::Each, |sweep| sweep.value),
        })
    }
}
