//! Ascent steps and projections onto balls, by norm and size of the images.

use am_eval::region::{self, Ball, Region};
use am_eval::terms::Norm;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use support::criterion;
use tch::{Device, Kind, Tensor};

mod support;

fn projection(criterion: &mut Criterion) {
    for (rows, side) in [(64i64, 32i64), (16, 224)] {
        let shape = [rows, 3, side, side];
        tch::manual_seed(1);
        let image = || Tensor::rand(shape, (Kind::Float, Device::Cpu));
        let (center, far, gradient) = (image(), image(), image() - 0.5);
        let mut group = criterion.benchmark_group(format!("projection/{rows}x3x{side}x{side}"));
        group.throughput(Throughput::Elements(rows as u64));
        for (norm, radius) in [(Norm::Linf, 8.0 / 255.0), (Norm::L2, 1.0)] {
            let radii = Tensor::full([rows], radius, (Kind::Double, Device::Cpu));
            let balls = Ball::around(region::shape(norm), center.shallow_clone(), &radii);
            let share = Tensor::full([rows, 1, 1, 1], 0.0625, (Kind::Float, Device::Cpu));
            group.bench_with_input(BenchmarkId::new("project", norm), &balls, |bencher, balls| {
                bencher.iter(|| balls.project(&far));
            });
            group.bench_with_input(BenchmarkId::new("ascend", norm), &balls, |bencher, balls| {
                bencher.iter(|| balls.project(&balls.ascend(&center, &gradient, &share)));
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = criterion(); targets = projection }
criterion_main!(benches);
