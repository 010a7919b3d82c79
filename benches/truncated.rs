//! What a unit costs that lies at some depth: a forward and backward pass up to its layer, against the whole pass.

use am_eval::model::{Architecture, Compute, Model};
use am_eval::terms::LayerName;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use support::{ROWS, batch, criterion, median_ratio, model, noise, pass, timed};
use tch::{Device, Kind, Tensor};

mod support;

/// The gradient of the layer's mean activation with respect to the pixels; nothing behind the layer is computed.
fn truncated(model: &Model, pixels: &Tensor, layer: &LayerName) -> Tensor {
    let pixels = pixels.detach().set_requires_grad(true);
    let score = model.tap(&pixels, layer).expect("a layer of the model").mean(Kind::Float);
    Tensor::run_backward(&[score], &[&pixels], false, false).remove(0)
}

fn depths(criterion: &mut Criterion) {
    let few = noise("torchvision/resnet50", 4);
    // A quarter of ResNet-50's multiply-adds ends with `layer2.0.conv2`, and the first of its four stages with `layer1`.
    for (arch, layers, pixels) in [
        ("cifar/resnet20", ["relu", "layer1", "layer2", "layer3"], batch(ROWS)),
        ("cifar/vit-c", ["blocks.0", "blocks.1", "blocks.2", "blocks.3"], batch(ROWS)),
        ("torchvision/resnet50", ["maxpool", "layer1", "layer2.0.conv2", "layer3"], few.shallow_clone()),
        ("timm/vit_tiny_patch16_224", ["pos_drop", "blocks.2", "blocks.5", "blocks.8"], few),
    ] {
        let architecture = Architecture::find(arch).expect("a known architecture");
        let compute = Compute { channels_last: architecture.channels_last, ..Compute::f32(Device::Cpu) };
        let model = model(arch, compute);
        let mut group = criterion.benchmark_group(format!("truncated/{arch}"));
        for layer in layers.map(LayerName::from) {
            let share = model.layer(&layer).expect("a layer of the model").share;
            let ratio =
                median_ratio(7, || timed(|| truncated(&model, &pixels, &layer)), || timed(|| pass(&model, &pixels)));
            println!("{arch}, {layer}: {ratio:.3} of the whole pass; {share:.3} of its multiply-adds");
            group.bench_with_input(BenchmarkId::new("up to", &layer), &layer, |bencher, layer| {
                bencher.iter(|| truncated(&model, &pixels, layer));
            });
        }
        group.bench_function("whole", |bencher| bencher.iter(|| pass(&model, &pixels)));
        group.finish();
    }
}

criterion_group! { name = benches; config = criterion(); targets = depths }
criterion_main!(benches);
