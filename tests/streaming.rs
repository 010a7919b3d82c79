//! `predict` over a large folder: memory must not grow with the number of images.
//!
//! Ignored, since it writes thousands of files: `cargo test --release --test streaming -- --ignored --nocapture`.
#![cfg(all(feature = "torch", target_os = "linux"))]

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Images of the small and the large run.
const COUNTS: [usize; 2] = [500, 4000];
/// What the larger run may need more, in MiB: ids and what the allocator keeps.
const SLACK: f64 = 64.0;

/// A JPEG of ImageNet's usual size, as detailed as a photograph.
fn photo() -> Vec<u8> {
    let image = image::RgbImage::from_fn(500, 375, |x, y| {
        let wave = |period: u32, at: u32| ((at % period) * 255 / period) as u8;
        image::Rgb([wave(37, x + y), wave(91, x * 3 + y), (x * y % 251) as u8])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// The largest resident size of a process until it ends, in MiB.
fn peak(mut child: Child) -> f64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("");
        let kib = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
        peak = peak.max(kib / 1024.0);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success());
    peak
}

fn predict(folder: &Path, out: &Path) -> Child {
    let suite = folder.join("s.toml");
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/synthetic-cnn.safetensors");
    let text = format!(
        "schema = 1\nname = \"s\"\n[data]\nkind = \"image-folder\"\nroot = \".\"\nresize = 256\ncrop = 32\n[[model]]\nname = \"m\"\n\
         arch = \"cifar/resnet8\"\nweights = {:?}\nnormalize = {{ mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }}\n[boundary]\n",
        weights.display().to_string()
    );
    std::fs::write(&suite, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_am-eval"));
    command.env_remove("LD_LIBRARY_PATH").args(["predict", "--model", "m", "--suite"]).arg(suite);
    command.arg("--images").arg(folder.join("images")).arg("--out").arg(out).spawn().unwrap()
}

#[test]
#[ignore = "writes thousands of files"]
fn memory_does_not_grow_with_the_number_of_images() {
    let photo = photo();
    let root = tempfile::tempdir().unwrap();
    let peaks = COUNTS.map(|count| {
        let folder = root.path().join(count.to_string());
        std::fs::create_dir_all(folder.join("images")).unwrap();
        for index in 0..count {
            std::fs::write(folder.join(format!("images/{index:05}.jpg")), &photo).unwrap();
        }
        let start = Instant::now();
        let peak = peak(predict(&folder, &folder.join("out.csv")));
        let seconds = start.elapsed().as_secs_f64();
        println!("{count} images: peak {peak:.0} MiB, {seconds:.1} s, {:.0} images/s", count as f64 / seconds);
        let lines = std::fs::read_to_string(folder.join("out.csv")).unwrap().lines().count();
        assert_eq!(lines, count + 1);
        peak
    });
    assert!(peaks[1] < peaks[0] + SLACK && peaks[1] < 2048.0, "{peaks:?}");
}
