//! The suite as it is written: one struct per table. Their documentation is that of the JSON Schema.
//!
//! A value that could not be read is none here; `validate` then skips what depends on it.

pub(in crate::suite) mod attack;
pub(in crate::suite) mod data;
pub(in crate::suite) mod gate;
pub(in crate::suite) mod inside;
pub(in crate::suite) mod visualize;

use schemars::JsonSchema;
use toml::de::DeValue;

use self::attack::RawAttack;
use self::data::RawData;
use self::gate::{Glob, RawRule, RawWaiver};
use self::inside::{RawDamage, RawTrajectories, RawUniversal};
use self::visualize::RawVisualize;
use super::config::{BoundaryMethod, Loss, SearchPrecision, TableForm, UnitRanking, UnitSelection};
use super::read::{At, Fields, FromToml, Value, raw_table, wrong};
use crate::suite::read::kinds::Tables;
use crate::suite::read::problem::Problems;
use crate::suite::read::values::{
    Batch, Count, Device, FormVersion, Name, Number, Positive, Radius, TargetRule, Text, UnitName,
};
use crate::suite::read::words::DistanceNorm;
use crate::terms::Unit;
use crate::wording::suggest::{excerpt, nearest};

raw_table! {
    /// A suite of am-eval: the images, the models, and the attacks that are run on them. Paths are relative to this file.
    /// Epsilons, norms and distances are in pixel units of [0, 1], before normalization.
    struct RawSuite ("the suite") {
        /// Version of the suite's form: 2. Suites of form 1 keep the defaults that they were written for: class-logit attacks that name
        /// neither drive the plain logit (`loss`) by steepest ascent (`optimizer`), which overstates robustness.
        schema: FormVersion, required;
        /// The suite's name; it begins the name of the run's directory.
        name: Name, required;
        /// The seed of every random choice: samples, targets, units, starts. Default 0.
        seed: Count<0, { u64::MAX }>;
        /// Where and how to run.
        run: RawRun;
        /// The images.
        data: RawData, required;
        /// The networks.
        model: Tables<RawModel>, required;
        /// The attacks.
        attack: Tables<RawAttack>;
        /// Pictures of units.
        visualize: Tables<RawVisualize>;
        /// What adversarial images change layer by layer, and which of it flips them.
        damage: RawDamage;
        /// The way of some samples over the boundary.
        trajectories: RawTrajectories;
        /// One perturbation for many images.
        universal: Tables<RawUniversal>;
        /// Measure how far each image is from the decision boundary.
        boundary: RawBoundary;
        /// Show the images that attacks made on one model to all the others.
        transfer: RawTransfer;
        /// Test the attacks on planted adversarial points, which they must find.
        selftest: RawSelfTest;
        /// What the results must fulfil.
        gate: Tables<RawRule>;
        /// Known violations that do not fail the gate for a time.
        waiver: Tables<RawWaiver>;
    }
}

raw_table! {
    /// Where and how to run.
    struct RawRun ("`[run]`") {
        /// The device: auto (CUDA if there is one), cpu, cuda or cuda:N. Default auto.
        device: Device;
        /// Arithmetic of the search; verification is always f32. Default auto.
        precision: SearchPrecision;
        /// Rows in a batch; auto lets the harness choose. Default auto.
        batch: Batch;
        /// Samples in a block, the unit of resume and of sharding. Default some batches on a GPU and, of small networks, on a CPU, where 32 blocks remain at least; otherwise 50.
        block: Count<1, 100_000>;
        /// Passes of the model that are averaged into one answer, in the search and in the verification: expectation over a random
        /// model's randomness. Every pass that is counted then costs so many. Default 1.
        eot: Count<1, 1_000>;
        /// The forms in which tables are written: csv, which is always one of them, and parquet. Default csv alone.
        tables: Vec<At<TableForm>>;
    }
}

raw_table! {
    /// A network. It takes pixels in [0, 1] and normalizes inside.
    struct RawModel ("`[[model]]`") {
        /// The name used in records and reports.
        name: Name, required;
        /// The architecture, such as `cifar/resnet20`, or `exported`, `onnx` or `torchscript`. A model's folder tells it.
        arch: Text;
        /// The safetensors file, relative to this file; the program of torch.export (`.pt2`), ONNX or TorchScript file; or a
        /// model's folder as the Hugging Face hub distributes it, with `config.json` and `model.safetensors`.
        weights: Text, required;
        /// Normalization of the pixels before the first layer. A model's folder tells it.
        normalize: RawNormalize;
        /// Number of classes. Default: the architecture's own or the weights'.
        classes: Count<2, 1_000_000>;
    }
}

raw_table! {
    /// Normalization per channel: `(pixels - mean) / std`.
    struct RawNormalize ("`normalize`") {
        /// One value per channel (1 or 3), in pixel units of [0, 1].
        mean: Vec<At<Number>>, required;
        /// One positive value per channel (1 or 3), in pixel units of [0, 1].
        std: Vec<At<Positive>>, required;
    }
}

raw_table! {
    /// The units that a measure over the reference images (the first 512 samples) puts first.
    struct RawTop ("`units`") {
        /// How many.
        top: Count<1, 1_000_000>, required;
        /// The measure: activation, variance, selectivity, gradient (of the label's logit) or sensitivity (how little a unit
        /// must move to change the prediction). Default activation.
        by: UnitRanking;
    }
}

raw_table! {
    /// Units drawn by the seed.
    struct RawRandom ("`units`") {
        /// How many.
        random: Count<1, 1_000_000>, required;
    }
}

/// `units = "all"`.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum AllUnits {
    /// Every unit of the layer.
    All,
}

/// Which units of a layer to drive.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum RawUnits {
    /// The top ones by a measure.
    Top(RawTop),
    /// Random ones.
    Random(RawRandom),
    /// These: indices, or single neurons as "index@row,column".
    Listed(#[schemars(length(min = 1))] Vec<At<UnitName>>),
    /// Every one.
    All(AllUnits),
}

impl FromToml for RawUnits {
    fn from_toml(key: &str, value: &Value, problems: &mut Problems) -> Option<Self> {
        const EXPECTED: &str = "{ top = N, by = \"activation\" }, { random = N }, a list, or \"all\"";
        match value.get_ref() {
            DeValue::Table(table) if table.get("top").is_some() => {
                RawTop::from_toml(key, value, problems).map(RawUnits::Top)
            }
            DeValue::Table(table) if table.get("random").is_some() => {
                RawRandom::from_toml(key, value, problems).map(RawUnits::Random)
            }
            DeValue::Array(_) => Vec::from_toml(key, value, problems).map(RawUnits::Listed),
            DeValue::String(text) if text == "all" => Some(RawUnits::All(AllUnits::All)),
            // A table of which neither key is there: the nearest one says which was meant, and its reader what is wrong.
            DeValue::Table(table) if !table.is_empty() => {
                let near = |name| nearest(name, ["top", "by", "random"]);
                match table.keys().find_map(|name| near(name.get_ref().as_ref())) {
                    Some("random") => RawRandom::from_toml(key, value, problems).map(RawUnits::Random),
                    _ => RawTop::from_toml(key, value, problems).map(RawUnits::Top),
                }
            }
            other => {
                let help = other.as_str().and_then(|text| match (text.parse::<Unit>(), nearest(text, ["all"])) {
                    (_, Some(meant)) => Some(format!("did you mean \"{meant}\"?")),
                    (Ok(_), _) => Some(format!("write `{key} = [\"{}\"]`", excerpt(text))),
                    _ => None,
                });
                let problem = wrong(key, value, EXPECTED, problems);
                if let Some(help) = help {
                    problem.help(help);
                }
                None
            }
        }
    }
}

impl RawUnits {
    /// The selection.
    pub fn selection(&self) -> Option<UnitSelection> {
        Some(match self {
            RawUnits::Top(top) => {
                let by = top.by.as_ref().map_or(UnitRanking::Activation, |by| by.value);
                UnitSelection::top(top.top.as_ref()?.value.size(), by)
            }
            RawUnits::Random(random) => UnitSelection::Random(random.random.as_ref()?.value.size()),
            RawUnits::Listed(units) => UnitSelection::Listed(units.iter().map(|unit| unit.value.0).collect()),
            RawUnits::All(_) => UnitSelection::All,
        })
    }
}

raw_table! {
    /// Measure how far each image is from the decision boundary.
    struct RawBoundary ("`[boundary]`") {
        /// The norm in which distance is measured. Default l2.
        norm: DistanceNorm;
        /// The search methods. Default path for linf and l2, fab for l1, sigma-zero for l0.
        methods: Vec<At<BoundaryMethod>>;
        /// Largest radius searched, in pixel units of [0, 1]; beyond it a distance is censored. Default 32/255 for linf, 4 for l2, 100 for l1,
        /// 10000 for l0.
        max_radius: Radius;
        /// Steps of each method. Default 40 for path alone, else 100.
        steps: Count<1, 100_000>;
        /// What the path's ascent maximizes. Default margin.
        loss: Loss;
        /// Bisection steps after the bracket is found. Default 20.
        bisections: Count<0, 1_000>;
        /// The class to which distances are measured: least-likely, runner-up, nearest, random, or a class index. Default untargeted: to
        /// the boundary with any other class.
        target: TargetRule;
    }
}

raw_table! {
    /// Show the images that attacks on class logits or features made on one model to all the others.
    struct RawTransfer ("`[transfer]`") {
        /// The attacks, by name; `*` stands for any characters and `?` for any one. Default all attacks of kind `class-logit` and `features`.
        attacks: Vec<At<Glob>>;
    }
}

raw_table! {
    /// Test the class-logit attacks on adversarial points that are planted through a linear readout on the network's own features (the
    /// attack unit test of Zimmermann et al. 2022): at the headline radius of each norm, on some samples.
    struct RawSelfTest ("`[selftest]`") {
        /// The layer whose features are read, as `am-eval layers` names it. Default the last one before the classifier.
        layer: Text;
        /// Samples near which a point is planted. Default 32.
        samples: Count<1, 1_000_000>;
    }
}
