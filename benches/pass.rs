//! am-eval's side of `benches/eager.py`, which compares a network's forward and backward pass with PyTorch's own.
//!
//! `cargo bench --bench pass -- ARCH IMAGES contiguous|channels-last` gets ready, and then makes one pass for each line that it reads
//! and prints the processor seconds that it took. The other side is another process, so that each has its own libtorch.

use std::io::{BufRead, Write};

use am_eval::engine::device;
use am_eval::model::Compute;
use am_eval::suite::DeviceChoice;
use support::{model, noise, pass, processor_seconds};

mod support;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let [arch, images, layout] = &arguments[..] else {
        println!("`python3 benches/eager.py` compares passes with PyTorch's");
        return Ok(());
    };
    // As a run does it, with the memory of a run.
    let device = device::resolve(DeviceChoice::Cpu).expect("a CPU");
    let model = model(arch, Compute { channels_last: layout == "channels-last", ..Compute::f32(device) });
    let pixels = noise(arch, images.parse().expect("a number of images"));
    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let before = processor_seconds();
        drop(pass(&model, &pixels));
        writeln!(out, "{}", processor_seconds() - before)?;
    }
    Ok(())
}
