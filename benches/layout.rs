//! Memory layout and precision of the search: what `Architecture::channels_last` and `engine::device` choose by.

use am_eval::model::{Compute, Model};
use criterion::{Criterion, criterion_group, criterion_main};
use support::{ROWS, batch, criterion, median_ratio, model, pass, timed};
use tch::{Device, Kind};

mod support;

fn layout(criterion: &mut Criterion) {
    let pixels = batch(ROWS);
    for arch in ["cifar/resnet20", "cifar/vit-c"] {
        let forms: Vec<(String, Model)> = [Kind::Float, Kind::BFloat16]
            .into_iter()
            .flat_map(|kind| [false, true].map(|channels_last| Compute { device: Device::Cpu, kind, channels_last }))
            .map(|compute| {
                let precision = if compute.kind == Kind::BFloat16 { "bf16" } else { "f32" };
                let order = if compute.channels_last { "channels-last" } else { "contiguous" };
                (format!("{precision}, {order}"), model(arch, compute))
            })
            .collect();
        let (plain, rest) = forms.split_first().expect("four forms");
        for (name, model) in rest {
            let one = || timed(|| pass(model, &pixels));
            let ratio = median_ratio(7, one, || timed(|| pass(&plain.1, &pixels)));
            println!("{arch}: {name} takes {ratio:.3} times {}", plain.0);
        }
        let mut group = criterion.benchmark_group(format!("layout/{arch}"));
        for (name, model) in &forms {
            group.bench_function(name, |bencher| bencher.iter(|| pass(model, &pixels)));
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = criterion(); targets = layout }
criterion_main!(benches);
