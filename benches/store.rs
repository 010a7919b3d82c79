//! Blocks on disk: writing one, synced, and reading it back with its hash checked.

use std::sync::Arc;
use std::time::Duration;

use am_eval::record::{Block, Cell, CellKind, Record, RunDir, Status};
use am_eval::terms::{Epsilon, Norm, Unit};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Records of a block: 50 samples in 20 cells.
const SAMPLES: usize = 50;
const CELLS: usize = 20;

fn record(cell: &Arc<Cell>, sample: usize) -> Record {
    let noise = |salt: usize| ((sample * 7919 + salt * 104_729) % 10_007) as f32 / 10_007.0;
    Record {
        cell: cell.clone(),
        sample_id: format!("test/{sample:06}").into(),
        label: (sample % 10) as u32,
        clean_pred: (sample % 10) as u32,
        target: None,
        part: None,
        nearest_flip: None,
        steps: 40,
        forwards: 43,
        backwards: 40,
        adv_pred: ((sample + 1) % 10) as u32,
        flipped: true,
        flipped_u8: true,
        target_hit: None,
        margin_clean: noise(1),
        margin_adv: -noise(2),
        confidence_clean: noise(3),
        confidence_adv: noise(4),
        activation_clean: Some(noise(5)),
        activation_adv: Some(noise(6)),
        activation_gain_z: Some(noise(7)),
        linf: noise(8),
        l2: noise(9),
        l1: noise(10),
        l0: 3072,
        status: Status::Ok,
    }
}

fn block() -> Block {
    let cells = (0..CELLS).map(|unit| {
        Arc::new(Cell {
            model: "resnet20".to_owned(),
            dataset: "cifar10".to_owned(),
            attack: "units".to_owned(),
            kind: CellKind::Unit,
            target: None,
            layer: Some("layer2".into()),
            unit: Some(Unit::channel(unit).into()),
            norm: Norm::Linf,
            epsilon: Epsilon::new(8.0 / 255.0).expect("a radius"),
        })
    });
    let records = cells.flat_map(|cell| (0..SAMPLES).map(move |sample| record(&cell, sample))).collect();
    Block { key: "000-resnet20--units--00000".to_owned(), records, ..Block::default() }
}

fn store(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = RunDir::create(folder.path().join("run"), "bench-1").expect("a run's directory");
    let block = block();
    block.write(&dir).expect("room for a block");
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements((SAMPLES * CELLS) as u64));
    group.bench_function("write a block", |bencher| bencher.iter(|| block.write(&dir).expect("room for a block")));
    group.bench_function("read a block", |bencher| {
        bencher.iter(|| dir.block(&block.key).expect("a whole block").expect("a block"));
    });
    group.finish();
}

fn config() -> Criterion {
    let criterion = Criterion::default().configure_from_args().without_plots().sample_size(10);
    criterion.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = config(); targets = store }
criterion_main!(benches);
