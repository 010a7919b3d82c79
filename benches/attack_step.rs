//! What a step of an attack costs beyond the forward and backward pass that it cannot do without: at most a twentieth.

use std::time::Duration;

use am_eval::attack::ByMargin;
use am_eval::engine::device;
use am_eval::judge::{Bench, CleanBlock};
use am_eval::model::{Architecture, Compute, Model};
use am_eval::objective::LogitObjective;
use am_eval::optimizer::Pace;
use am_eval::random::Noise;
use am_eval::region::Balls;
use am_eval::rows::{Drives, Row};
use am_eval::search::{Criterion as Counts, Retain, Search};
use am_eval::suite::{Loss, OptimizerName};
use am_eval::terms::{Epsilon, Norm};
use criterion::{Criterion, criterion_group, criterion_main};
use support::{ROWS, batch, criterion, median_ratio, model, pass, samples, timed};
use tch::Device;

mod support;

/// Steps whose time is taken.
const STEPS: usize = 10;

/// So small a ball that nothing flips in it: verification then costs the same after any number of steps.
const RADIUS: f64 = 1e-6;

/// The time of `steps` steps of all rows: that of a search of so many and one more, less that of a search of one, which
/// takes off the beginning of the rows and the verification at their end.
fn steps(model: &Model, clean: &CleanBlock, norm: Norm, optimizer: OptimizerName, steps: usize) -> Duration {
    let bench = Bench { model, verifier: model, clean, seed: 0, capacity: ROWS, poll: device::poll(Device::Cpu) };
    let predictions = clean.predictions();
    let search = |steps: usize| {
        let search = Search {
            bench,
            regions: &Balls(norm),
            objective: &|rows| Box::new(LogitObjective::new(Loss::Ce, rows, &predictions, Device::Cpu)),
            optimizer,
            pace: Pace::new(steps, Some(0.0625)),
            // As attacks on class logits have it; nothing flips, so that no row leaves.
            criterion: Counts::first(1),
            referee: &ByMargin(bench),
            views: None,
            noise: Noise::new(0, "bench"),
            retain: Retain::All,
            known: None,
        };
        let row = |sample| {
            vec![Row { sample, epsilon: Epsilon::new(RADIUS).expect("a radius"), restart: 0, drives: Drives::Away }]
        };
        let chains: Vec<Vec<Row>> = (0..clean.len()).map(row).collect();
        timed(|| search.run(chains))
    };
    search(steps + 1).saturating_sub(search(1)).max(Duration::from_nanos(1))
}

fn attack_step(criterion: &mut Criterion) {
    let pixels = batch(ROWS);
    for arch in ["cifar/resnet20", "cifar/vit-c"] {
        let architecture = Architecture::find(arch).expect("a known architecture");
        let compute = Compute { channels_last: architecture.channels_last, ..Compute::f32(Device::Cpu) };
        let model = model(arch, compute);
        let clean = CleanBlock::new(&model, &samples(&model, ROWS), &[], ROWS);
        let bare = |count: usize| timed(|| (0..count).for_each(|_| drop(pass(&model, &pixels))));
        let both = [OptimizerName::Steepest, OptimizerName::Apgd];
        for (norm, optimizer) in [Norm::Linf, Norm::L2].into_iter().flat_map(|norm| both.map(|both| (norm, both))) {
            let ratio = median_ratio(9, || steps(&model, &clean, norm, optimizer, STEPS), || bare(STEPS));
            let word = optimizer.as_str();
            println!(
                "{arch}, {norm}, {word}: a step takes {ratio:.3} times a bare forward and backward pass of {ROWS} images"
            );
        }
        let mut group = criterion.benchmark_group(format!("attack_step/{arch}"));
        group.bench_function("bare pass", |bencher| bencher.iter(|| pass(&model, &pixels)));
        group.bench_function("linf step", |bencher| {
            bencher.iter_custom(|count| steps(&model, &clean, Norm::Linf, OptimizerName::Steepest, count as usize));
        });
        group.finish();
    }
}

criterion_group! { name = benches; config = criterion(); targets = attack_step }
criterion_main!(benches);
