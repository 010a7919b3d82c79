//! Problems that are found after the suite was read (files, layers, units), shown at the value that caused them.

use std::path::Path;

use crate::suite::config::{Suite, UnitSelection};
use crate::suite::picture::{LayerChoice, LayerDepth, Start};
use crate::suite::places::Place;
use crate::suite::read::problem::{Problems, SuiteErrors};
use crate::suite::target::Target;
use crate::terms::{LayerName, Unit};
use crate::wording::neighbour;
use crate::wording::suggest::did_you_mean;

/// The layer of logits, which every model has.
pub const LOGITS: &str = "logits";

/// What to do about a model that shows none of its layers.
pub const NO_LAYERS: &str = "it shows no layers: trace it with `torchvision.models.feature_extraction.create_feature_extractor`, which \
                             returns them by name beside `logits` (docs/models.md shows how)";

impl Suite {
    /// An error that points at a value of this suite's file: `message` says what is wrong, as a lowercase fragment,
    /// `help` what to do.
    pub fn error_at(&self, place: Place, message: impl Into<String>, help: impl Into<String>) -> SuiteErrors {
        let mut problems = Problems::default();
        self.report(&mut problems, place, message, "this value", help);
        problems.into_errors(&self.path, &self.source)
    }

    pub(in crate::suite) fn report(
        &self,
        problems: &mut Problems,
        place: Place,
        message: impl Into<String>,
        label: &str,
        help: impl Into<String>,
    ) {
        problems.add(self.places.find(place), message, label).help(help);
    }

    fn verdict(&self, problems: Problems) -> Result<(), SuiteErrors> {
        if problems.is_empty() { Ok(()) } else { Err(problems.into_errors(&self.path, &self.source)) }
    }

    /// Check that the weights and the data exist where the suite looks for them. What they hold is not looked at.
    ///
    /// # Errors
    /// Every file that is missing or of the wrong kind, with the path that was looked for.
    pub fn check_files(&self) -> Result<(), SuiteErrors> {
        let mut problems = Problems::default();
        self.check_data(&mut problems);
        self.check_starts(&mut problems);
        for (index, model) in self.models.iter().enumerate() {
            let path = &model.weights;
            let place = Place::Model(index, "weights");
            if !path.is_file() {
                let message = format!("no weights of model `{}` at {}", model.name, path.display());
                self.report(&mut problems, place, message, "no such file", weights_help(path, &model.arch));
            }
        }
        self.verdict(problems)
    }

    /// The images at which pictures start.
    fn check_starts(&self, problems: &mut Problems) {
        for (index, config) in self.visualizations.iter().enumerate() {
            let Start::Image(path) = &config.start else { continue };
            if !path.is_file() {
                let message = format!("no image to start at: {}", path.display());
                let help =
                    "pictures start at `noise`, `grey`, `mean` or an image file, relative to the suite".to_owned();
                self.report(problems, Place::Visualize(index, "start"), message, "no such file", help);
            }
        }
    }

    /// Check that each model's architecture is one of `known`.
    ///
    /// # Errors
    /// Every unknown architecture, with the nearest known one.
    pub fn check_architectures(&self, known: &[&str]) -> Result<(), SuiteErrors> {
        let mut problems = Problems::default();
        for (index, model) in self.models.iter().enumerate().filter(|(_, model)| !known.contains(&model.arch.as_str()))
        {
            let message = format!("unknown architecture `{}`", model.arch);
            let help = did_you_mean(&model.arch, known.iter().copied());
            self.report(&mut problems, Place::Model(index, "arch"), message, "not an architecture", help);
        }
        self.verdict(problems)
    }

    /// Check that `model` has the layers that attacks, studies and pictures of it name; `known` are the model's layers.
    ///
    /// # Errors
    /// Every unknown layer, with the nearest of the model's own.
    pub fn check_layers(&self, model: &str, known: &[&str]) -> Result<(), SuiteErrors> {
        let mut problems = Problems::default();
        let depths: Vec<LayerDepth> =
            known.iter().map(|name| LayerDepth { name, share: 1.0, landmark: true }).collect();
        for Named { place, layer, elsewhere } in self.named_layers(model) {
            let choice = match layer.parse::<LayerChoice>() {
                Ok(choice) => choice,
                Err(problem) => {
                    let help = "layers are named as `am-eval layers` lists them, by a pattern or by a depth".to_owned();
                    self.report(&mut problems, place, problem, "no layer", help);
                    continue;
                }
            };
            let found = match place {
                Place::SelfTest(_) => known.contains(&layer),
                _ => !choice.choose(&depths).is_empty(),
            };
            if found || layer == LOGITS {
                continue;
            }
            let mut help = match known {
                [] => NO_LAYERS.to_owned(),
                _ => did_you_mean(layer, known.iter().copied().chain([LOGITS])),
            };
            if self.models.len() > 1 {
                help.push_str(elsewhere);
            }
            let message = format!("model `{model}` has no layer `{layer}`");
            self.report(&mut problems, place, message, "unknown layer", help);
        }
        self.verdict(problems)
    }

    /// The layers that every table which concerns `model` names.
    fn named_layers<'a>(&'a self, model: &'a str) -> impl Iterator<Item = Named<'a>> {
        let attacks = self.attacks.iter().enumerate().filter(|(_, attack)| attack.applies_to(model));
        let attacks = attacks.filter_map(|(index, attack)| {
            let (place, layer) = (Place::Attack(index, "layer"), attack.goal.layer()?.as_str());
            let elsewhere = if attack.models.is_some() { "" } else { ATTACKS_SOME };
            Some(Named { place, layer, elsewhere })
        });
        let pictures = self.visualizations.iter().enumerate().filter(|(_, config)| config.applies_to(model));
        let pictures = pictures.flat_map(|(index, config)| {
            named(&config.layers, Place::Visualize(index, "layers"), if config.models.is_some() { "" } else { SOME })
        });
        let looks = |attacks: &[String]| {
            self.attacks.iter().any(|attack| attack.applies_to(model) && attacks.contains(&attack.name))
        };
        let damage = self.damage.iter().filter(move |damage| looks(&damage.attacks)).flat_map(|damage| {
            let patched = named(&damage.patch, Place::Damage("patch"), ALL);
            named(&damage.layers, Place::Damage("layers"), ALL).chain(patched)
        });
        let universal = self.universal.iter().enumerate().filter(|(_, config)| config.applies_to(model));
        let universal = universal.flat_map(|(index, config)| {
            named(&config.layers, Place::Universal(index, "layers"), if config.models.is_some() { "" } else { SOME })
        });
        let selftest = self.selftest.iter().filter_map(|config| config.layer.as_ref());
        let selftest =
            selftest.map(|layer| Named { place: Place::SelfTest("layer"), layer: layer.as_str(), elsewhere: "" });
        attacks.chain(pictures).chain(damage).chain(universal).chain(selftest)
    }
}

/// A layer that a table names.
struct Named<'a> {
    place: Place,
    layer: &'a str,
    /// What else would help where another model has the layer.
    elsewhere: &'static str,
}

const ATTACKS_SOME: &str = "; with `models = [\"…\"]` an attack runs on some models only";
const SOME: &str = "; with `models = [\"…\"]` it is for some models only";
const ALL: &str = "; it looks into every model that its attacks run on, and depths such as \"50%\" are layers of each";

fn named<'a>(layers: &'a [LayerChoice], place: Place, elsewhere: &'static str) -> impl Iterator<Item = Named<'a>> {
    layers.iter().map(move |choice| Named { place, layer: choice.as_str(), elsewhere })
}

/// What is wrong where `name` needs so many classes because of what `key` says, and a model has only so many.
pub fn too_few_classes(name: &str, needed: usize, key: &str, classes: usize) -> Option<String> {
    (needed > classes).then(|| match key {
        "target" => format!("{name} drives class {}, it has classes 0 to {}", needed - 1, classes.saturating_sub(1)),
        _ => format!("{name} needs {needed} classes, it has {classes}"),
    })
}

impl Suite {
    /// Check that `model`, which has so many classes, has those that attacks and `[boundary]` drive or need.
    ///
    /// # Errors
    /// Every class that is not there, where it is named.
    pub fn check_classes(&self, model: &str, classes: usize) -> Result<(), SuiteErrors> {
        let mut problems = Problems::default();
        let mut check = |place: Place, name: &str, needed: usize, key: &str, help: &str| {
            if let Some(problem) = too_few_classes(name, needed, key, classes) {
                let message = format!("model `{model}` does not fit: {problem}");
                self.report(&mut problems, place, message, "too few classes", help);
            }
        };
        for (index, attack) in self.attacks.iter().enumerate().filter(|(_, attack)| attack.applies_to(model)) {
            let (needed, key) = attack.goal.needed_classes();
            let help = "with `models = [\"…\"]` an attack runs on some models only";
            check(Place::Attack(index, key), &format!("attack `{}`", attack.name), needed, key, help);
        }
        if let Some(Target::Class(class)) = self.boundary.as_ref().map(|boundary| boundary.target) {
            check(Place::Boundary("target"), "[boundary]", class + 1, "target", "name a class that every model has");
        }
        self.verdict(problems)
    }

    /// Check that `model`, whose layers are `layers`, has the units that attacks and visualizations list; `problem` says what is wrong
    /// with a unit of a layer, if anything.
    ///
    /// # Errors
    /// Every unit that is not there, where it is listed.
    pub fn check_units(
        &self,
        model: &str,
        layers: &[LayerDepth],
        problem: impl Fn(&LayerName, Unit) -> Option<String>,
    ) -> Result<(), SuiteErrors> {
        let mut problems = Problems::default();
        for (index, attack) in self.attacks.iter().enumerate().filter(|(_, attack)| attack.applies_to(model)) {
            let (Some(layer), Some(UnitSelection::Listed(units))) = (attack.goal.layer(), attack.goal.units()) else {
                continue;
            };
            let Ok(choice) = layer.as_str().parse::<LayerChoice>() else { continue };
            let place = Place::Attack(index, "units");
            self.listed(&mut problems, place, model, (&[choice], layers), units, &problem);
        }
        let applying = self.visualizations.iter().enumerate().filter(|(_, config)| config.applies_to(model));
        for (index, config) in applying {
            let UnitSelection::Listed(units) = &config.units else { continue };
            let place = Place::Visualize(index, "units");
            self.listed(&mut problems, place, model, (&config.layers, layers), units, &problem);
        }
        if let Some(damage) = &self.damage
            && let Some(UnitSelection::Listed(units)) = &damage.patch_units
        {
            self.listed(&mut problems, Place::Damage("patch_units"), model, (&damage.patch, layers), units, &problem);
        }
        for (index, config) in self.universal.iter().enumerate().filter(|(_, config)| config.applies_to(model)) {
            let UnitSelection::Listed(units) = &config.units else { continue };
            let place = Place::Universal(index, "units");
            self.listed(&mut problems, place, model, (&config.layers, layers), units, &problem);
        }
        self.verdict(problems)
    }
}

impl Suite {
    /// Reports the units that are not in the layers that `choices` mean.
    fn listed(
        &self,
        problems: &mut Problems,
        place: Place,
        model: &str,
        (choices, layers): (&[LayerChoice], &[LayerDepth]),
        units: &[Unit],
        problem: &impl Fn(&LayerName, Unit) -> Option<String>,
    ) {
        for choice in choices {
            let mut names: Vec<&str> = choice.choose(layers).into_iter().map(|index| layers[index].name).collect();
            if names.is_empty() && choice.as_str() == LOGITS {
                names.push(LOGITS);
            }
            for layer in names.into_iter().map(LayerName::from) {
                for unit in units {
                    if let Some(help) = problem(&layer, *unit) {
                        let message = format!("layer `{layer}` of model `{model}` has no unit {unit}");
                        self.report(problems, place, message, "unknown unit", help);
                    }
                }
            }
        }
    }
}

/// A near name in the same folder, or how to get the weights.
fn weights_help(path: &Path, arch: &str) -> String {
    let near = neighbour(path, |file| file.extension().is_some_and(|end| end == "safetensors"));
    let near = near.map(|near| format!("did you mean `{near}`, which is in the same folder?"));
    match (near, training(path).or_else(|| download(path, arch))) {
        (Some(near), Some(other)) => format!("{near} Or {other}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => "paths are relative to the suite's file; `am-eval models` lists the shipped weights".to_owned(),
    }
}

/// The command that makes weights which are not shipped, if their recipe is beside them.
fn training(path: &Path) -> Option<String> {
    let recipe = path.parent()?.join("recipes").join(path.file_stem()?).with_extension("toml");
    recipe.is_file().then(|| format!("make them with `am-eval train {}`", recipe.display()))
}

/// How a network that brings its own graph is written to `path`.
fn written(path: &str, arch: &str) -> Option<String> {
    const BATCH: &str = "dynamic_shapes=({0: torch.export.Dim('batch')},)";
    let pixels = "torch.rand(2, 3, 224, 224)";
    let script = match arch {
        "exported" => format!("torch.export.save(torch.export.export(model.eval(), ({pixels},), {BATCH}), '{path}')"),
        "onnx" => format!("torch.onnx.export(model.eval(), ({pixels},), '{path}', dynamo=True, {BATCH})"),
        "torchscript" => format!("torch.jit.trace(model.eval(), {pixels}).save('{path}')"),
        _ => return None,
    };
    Some(format!("write it there in Python: {script}"))
}

/// The command that writes the published weights of an architecture to `path`.
fn download(path: &Path, arch: &str) -> Option<String> {
    let path = path.display();
    let script = match arch.split_once('/') {
        Some(("torchvision", name)) => format!(
            "import torchvision, safetensors.torch as s; \
             s.save_file(torchvision.models.{name}(weights='DEFAULT').state_dict(), '{path}')"
        ),
        Some(("timm", name)) => format!(
            "import timm, safetensors.torch as s; s.save_file(timm.create_model('{name}', pretrained=True).state_dict(), '{path}')"
        ),
        _ => return written(&path.to_string(), arch),
    };
    Some(format!(
        "write the published ones there (pip install {} safetensors): python3 -c \"{script}\"",
        arch.split('/').next()?
    ))
}
