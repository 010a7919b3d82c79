//! Features of a layer as a whole: they are driven away from what they were, and flips are what comes of it.

use std::collections::HashMap;
use std::rc::Rc;

use tch::Tensor;

use super::block::Sought;
use super::settle::Entry;
use super::{AttackBlock, ByMargin, Kind, Unfit, Way};
use crate::model::Model;
use crate::objective::{FeatureScore, LogitObjective, Setup, SharedDrive};
use crate::optimizer::Pace;
use crate::record::{CellKind, CellUnit};
use crate::rows::{Drives, Row};
use crate::search::{Criterion, Finished, Retain};
use crate::suite::passes::ILA_STEPS;
use crate::suite::{AttackConfig, FeatureObjective, Loss, OptimizerName, Stop};
use crate::terms::{Epsilon, LayerName, Unit};

/// Disturbs the features of one layer.
pub struct FeatureDrive<'a> {
    /// What is made of the features.
    pub objective: FeatureObjective,
    /// The layer.
    pub layer: &'a LayerName,
}

impl Kind for FeatureDrive<'_> {
    fn check(&self, _: &AttackConfig, model: &Model, _: &Tensor) -> Result<(), Unfit> {
        model.layer(self.layer).map(drop).map_err(Unfit::Model)
    }

    fn transfers(&self) -> bool {
        true
    }

    fn way<'a>(&'a self, block: &'a AttackBlock<'_>, _: usize, _: Option<Unit>) -> Option<Way<'a>> {
        let score = move |rows: &[Row]| self.score_of_one(block, &rows[0]);
        Some(Way { drives: Drives::Away, target: None, objective: Box::new(score) })
    }

    fn run(&self, block: &AttackBlock) -> (Vec<Entry>, u64) {
        let (bench, attack) = (block.bench, block.attack);
        let attacked = bench.attacked();
        let chain = |&sample: &usize| -> Vec<Row> {
            attack.epsilons.iter().flat_map(|epsilon| block.restarts(sample, *epsilon, Drives::Away)).collect()
        };
        let chains: Vec<Vec<Row>> = attacked.iter().map(chain).collect();
        let others = self.others(block, &chains);
        let drive = SharedDrive::find(self.objective, block.readout(self.layer));
        let objective = |rows: &[Row]| score(block, self.layer, &drive, &others, rows);
        let found = block.search(chains, &objective, &ByMargin(bench), Retain::All);
        let mut by_sample: Vec<Option<Vec<Finished>>> = (0..bench.clean.len()).map(|_| None).collect();
        let preparation = self.objective.preparation();
        for (&sample, mut rows) in attacked.iter().zip(found.chains) {
            for row in &mut rows {
                row.forwards += preparation.forwards as u32;
                row.backwards += preparation.backwards as u32;
            }
            by_sample[sample] = Some(rows);
        }
        (self.entries(block, &by_sample), found.unconfirmed)
    }
}

impl FeatureDrive<'_> {
    /// What one row maximizes.
    pub(super) fn score_of_one(&self, block: &AttackBlock, row: &Row) -> Box<dyn crate::objective::Objective> {
        let others = self.others(block, &[vec![row.clone()]]);
        let drive = SharedDrive::find(self.objective, block.readout(self.layer));
        score(block, self.layer, &drive, &others, std::slice::from_ref(row))
    }

    fn entries(&self, block: &AttackBlock, by_sample: &[Option<Vec<Finished>>]) -> Vec<Entry> {
        // Rows that use all their steps go as far as their ball allows, and are told apart by it.
        let driven = block.attack.stop == Stop::Budget;
        let mut entries = Vec::new();
        for &epsilon in &block.attack.epsilons {
            let unit = Some(CellUnit::Objective(self.objective));
            let cell = block.cell(CellKind::Features, None, unit, Some(self.layer), epsilon);
            for (sample, rows) in by_sample.iter().enumerate() {
                entries.push(match rows {
                    Some(rows) => block.settled(&cell, sample, rows, driven),
                    None => block.skipped(&cell, sample),
                });
            }
        }
        entries
    }

    /// The images from which each row learns what to do.
    fn others(&self, block: &AttackBlock, chains: &[Vec<Row>]) -> Others {
        match self.objective {
            FeatureObjective::Ila => Others::of_rows(reference(block, chains)),
            FeatureObjective::Guided => Others::of_samples(guides(block)),
            _ => Others::default(),
        }
    }
}

/// The images from which rows learn what to do `[1, C, H, W]`.
#[derive(Default)]
struct Others {
    rows: HashMap<RowKey, Tensor>,
    samples: Vec<Tensor>,
}

/// Sample, radius and start.
type RowKey = (usize, u64, usize);

fn key(row: &Row) -> RowKey {
    let epsilon: Epsilon = row.epsilon;
    (row.sample, epsilon.value().to_bits(), row.restart)
}

impl Others {
    fn of_rows(rows: HashMap<RowKey, Tensor>) -> Self {
        Others { rows, samples: Vec::new() }
    }

    fn of_samples(samples: Vec<Tensor>) -> Self {
        Others { rows: HashMap::new(), samples }
    }

    /// Those of some rows `[R, C, H, W]`.
    fn find(&self, rows: &[Row]) -> Option<Tensor> {
        let image = |row: &Row| self.rows.get(&key(row)).or_else(|| self.samples.get(row.sample));
        let images: Option<Vec<&Tensor>> = rows.iter().map(image).collect();
        images.map(|images| Tensor::cat(&images, 0))
    }
}

/// What rows maximize.
fn score(
    block: &AttackBlock,
    layer: &LayerName,
    drive: &SharedDrive,
    others: &Others,
    rows: &[Row],
) -> Box<dyn crate::objective::Objective> {
    let (bench, clean) = (block.bench, block.bench.clean);
    let device = bench.model.device();
    let predictions = clean.predictions();
    let index: Vec<i64> = rows.iter().map(|row| row.sample as i64).collect();
    let index = Tensor::from_slice(&index).to_device(clean.pixels.device());
    let classes: Vec<i64> = rows.iter().map(|row| predictions[row.sample]).collect();
    let keys: Vec<String> = rows.iter().map(|row| row.key(&clean.ids[row.sample])).collect();
    let other = others.find(rows);
    let setup = Setup {
        model: bench.model,
        layer,
        clean: &clean.pixels.index_select(0, &index),
        classes: &Tensor::from_slice(&classes).to_device(device),
        other: other.as_ref(),
        keys: &keys,
        noise: &block.noise("features"),
    };
    Box::new(FeatureScore::new(drive.clone(), &setup, rows, &predictions, device))
}

/// What ten steps against the margin make of each row's image.
fn reference(block: &AttackBlock, chains: &[Vec<Row>]) -> HashMap<RowKey, Tensor> {
    let bench = block.bench;
    let predictions = bench.clean.predictions();
    let found = block.search_by(
        (OptimizerName::Steepest, Pace::new(ILA_STEPS, None), Criterion::best(), None),
        chains.to_vec(),
        Sought::new(
            &|rows| Box::new(LogitObjective::new(Loss::Margin, rows, &predictions, bench.model.device())),
            &ByMargin(bench),
            Retain::All,
        ),
    );
    found.chains.into_iter().flatten().map(|row| (key(&row.row), row.image)).collect()
}

/// For each sample of the block an image of the data set that the model calls something else, drawn by the sample's own stream.
fn guides(block: &AttackBlock) -> Vec<Tensor> {
    let Some(guides) = &block.learned.guides else { unreachable!("guides are chosen before the attack begins") };
    let (clean, noise) = (block.bench.clean, block.noise("guide"));
    let predictions = clean.predictions();
    (0..clean.len()).map(|sample| guides.choose(predictions[sample], &noise, clean.ids[sample].as_str())).collect()
}

/// A readout of the attack's layer.
impl AttackBlock<'_> {
    fn readout(&self, layer: &LayerName) -> Option<Rc<crate::objective::Readout>> {
        self.learned.readouts.iter().find(|trained| &trained.layer == layer).map(|trained| trained.readout.clone())
    }
}
