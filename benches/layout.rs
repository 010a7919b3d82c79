//! Memory layout and precision of the search: what `Architecture::channels_last` and `engine::device` choose by.

use am_eval::model::{Compute, Model};
use criterion::{Criterion, criterion_group, criterion_main};
use support::{ROWS, batch, criterion, median_ratio, model, noise, pass, timed};
use tch::{Device, Kind};

mod support;

const LARGER: [&str; 12] = [
    "cifar/resnet18",
    "cifar/wide_resnet-28-10",
    "torchvision/resnet18",
    "torchvision/resnet50",
    "torchvision/resnext50_32x4d",
    "torchvision/vgg11",
    "torchvision/vgg11_bn",
    "torchvision/squeezenet1_0",
    "torchvision/squeezenet1_1",
    "torchvision/densenet121",
    "torchvision/mobilenet_v2",
    "torchvision/convnext_tiny",
];

/// Images in a pass of a larger network.
const FEW: usize = 4;

fn layout(criterion: &mut Criterion) {
    let pixels = batch(ROWS);
    for arch in ["cifar/resnet20", "cifar/vit-c"] {
        let forms: Vec<(String, Model)> = [Kind::Float, Kind::BFloat16]
            .into_iter()
            .flat_map(|kind| {
                [false, true].map(|channels_last| Compute { kind, channels_last, ..Compute::f32(Device::Cpu) })
            })
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

/// One network of each family for ImageNet, and the larger ones for 32x32 images, in f32, without criterion's many repetitions.
/// `cargo bench --bench layout -- resnet50` measures those of that name alone.
fn larger(_: &mut Criterion) {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for arch in LARGER.into_iter().filter(|arch| arch.contains(&wanted)) {
        let pixels = noise(arch, FEW);
        let form = |channels_last| model(arch, Compute { channels_last, ..Compute::f32(Device::Cpu) });
        let (plain, last) = (form(false), form(true));
        let ratio = median_ratio(5, || timed(|| pass(&last, &pixels)), || timed(|| pass(&plain, &pixels)));
        println!("{arch}: channels-last takes {ratio:.3} times contiguous, for {FEW} images");
    }
}

criterion_group! { name = benches; config = criterion(); targets = layout, larger }
criterion_main!(benches);
