//! `am-eval doctor`: what this installation has, line by line, with a remedy where something is missing.

use std::path::Path;

use super::args::DoctorArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::output::print;
use crate::wording::format;

/// One thing that was looked at.
struct Finding {
    subject: String,
    found: String,
    remedy: Option<&'static str>,
}

impl Finding {
    fn new(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Finding { subject: subject.into(), found: found.into(), remedy: None }
    }

    fn remedy(self, remedy: &'static str) -> Self {
        Finding { remedy: Some(remedy), ..self }
    }
}

/// Looks at libtorch, devices and files, and prints what it finds. Things that are missing are no failure: a build
/// without libtorch still validates and reports.
pub fn doctor(_args: &DoctorArgs) -> Result<Exit, Failure> {
    let mut findings = networks::findings();
    findings.push(cpu());
    findings.extend(files(Path::new(".")));
    let mut text = format!("am-eval {}\n", env!("CARGO_PKG_VERSION"));
    for Finding { subject, found, remedy } in findings {
        text.push_str(&format!("  {subject:<10} {found}\n"));
        if let Some(remedy) = remedy {
            text.push_str(&format!("  {:<10} -> {remedy}\n", ""));
        }
    }
    print(&text)?;
    Ok(Exit::Success)
}

fn cpu() -> Finding {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpu_field(&about, "model name").unwrap_or(std::env::consts::ARCH);
    let flags = cpu_field(&about, "flags").or_else(|| cpu_field(&about, "Features")).unwrap_or_default();
    let native = ["avx512_bf16", "amx_bf16", "bf16"].iter().any(|flag| flags.split(' ').any(|word| word == *flag));
    let precision = if native { "f32, bf16" } else { "f32 (bf16 only emulated)" };
    Finding::new("cpu", format!("{name}, {}; {precision}", format::counted(threads as u64, "thread")))
}

fn cpu_field<'a>(about: &'a str, field: &str) -> Option<&'a str> {
    about.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == field).then_some(value.trim())
    })
}

/// What a checkout has beside the program; suites name these folders relative to themselves.
fn files(root: &Path) -> Vec<Finding> {
    let weights = named(&root.join("models"), |path| path.extension().is_some_and(|end| end == "safetensors"));
    let data = named(&root.join("data"), Path::is_dir);
    let weights = match weights {
        names if names.is_empty() => Finding::new("weights", "none in models/")
            .remedy("run from a checkout of am-eval, or name your own weights in the suite"),
        names => Finding::new("weights", format!("models/: {}", names.join(", "))),
    };
    let data = match data {
        names if names.is_empty() => Finding::new("data", "none in data/; synthetic images need none")
            .remedy("put CIFAR-10 into data/cifar10, or give --data-root"),
        names => Finding::new("data", format!("data/: {}", names.join(", "))),
    };
    vec![weights, data]
}

fn named(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let wanted = entries.filter(|entry| wanted(&entry.path()));
    let mut names: Vec<String> = wanted.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(not(feature = "torch"))]
mod networks {
    use super::Finding;

    pub fn findings() -> Vec<Finding> {
        vec![
            Finding::new("libtorch", "not in this build: it validates and reports, but runs no networks")
                .remedy("build with the default features: `make build`"),
        ]
    }
}

#[cfg(feature = "torch")]
mod networks {
    use tch::{Cuda, Device, Kind, Tensor};

    use super::Finding;
    use crate::cuda::{self, Backend};
    use crate::engine::device;
    use crate::wording::format;

    pub fn findings() -> Vec<Finding> {
        // libtorch learns of CUDA before its first computation or never.
        let backend = cuda::register();
        let mut findings = vec![libtorch()];
        findings.push(match backend {
            Backend::Loaded(library) => Finding::new("cuda", format!("backend loaded from {}", library.display())),
            Backend::Absent => {
                Finding::new("cuda", "none: this libtorch is for the CPU").remedy("for a GPU: make libtorch CUDA=1")
            }
            Backend::NoDriver(reason) => Finding::new("cuda", format!("no NVIDIA driver ({reason}); the CPU is used")),
            Backend::Broken { library, reason } => {
                Finding::new("cuda", format!("{} could not be loaded: {reason}", library.display()))
                    .remedy("for a GPU: make libtorch CUDA=1")
            }
        });
        if matches!(backend, Backend::Loaded(_)) {
            findings.extend(devices());
        }
        findings
    }

    fn libtorch() -> Finding {
        let folder = cuda::libtorch_folder();
        let version = folder.as_deref().and_then(cuda::libtorch_version);
        let place = folder.map_or_else(|| "linked".to_owned(), |folder| folder.display().to_string());
        let works = match probe(Device::Cpu, Kind::Float) {
            Ok(()) => {
                let fast = if device::multiplies_bf16() { "bf16" } else { "f32" };
                let threads = format::counted(tch::get_num_threads().unsigned_abs().into(), "thread");
                format!("{threads}; precision `auto` is f32 on this CPU, `fast` is {fast}")
            }
            Err(error) => format!("does not compute: {error}"),
        };
        Finding::new("libtorch", format!("{} in {place}; {works}", version.as_deref().unwrap_or("unknown version")))
    }

    fn devices() -> Vec<Finding> {
        let gpus = cuda::gpus();
        if !Cuda::is_available() {
            let reason = device::unseen(cuda::register(), &gpus);
            return vec![Finding::new("cuda", reason.unwrap_or_else(|| "libtorch sees no usable GPU".to_owned()))];
        }
        let gpus = gpus.unwrap_or_default();
        (0..Cuda::device_count())
            .map(|index| {
                let name = format!("cuda:{index}");
                let about = usize::try_from(index).ok().and_then(|index| gpus.get(index)).map_or_else(
                    || "unnamed GPU".to_owned(),
                    |gpu| {
                        let ((major, minor), gib) = (gpu.capability, gpu.memory as f64 / f64::from(1 << 30));
                        format!("{}, {gib:.1} GiB, compute capability {major}.{minor}", gpu.name)
                    },
                );
                let device = Device::Cuda(index as usize);
                let kinds = [("f32", Kind::Float), ("bf16", Kind::BFloat16)];
                let works: Vec<&str> =
                    kinds.iter().filter(|(_, kind)| probe(device, *kind).is_ok()).map(|(name, _)| *name).collect();
                Finding::new(name, format!("{about}; {}", works.join(", ")))
            })
            .collect()
    }

    /// Multiplies two small matrices: whether the device computes at all in this precision.
    fn probe(device: Device, kind: Kind) -> Result<(), tch::TchError> {
        let ones = Tensor::f_ones([8, 8], (kind, device))?;
        let product = ones.f_matmul(&ones)?.f_sum(Kind::Float)?;
        f64::try_from(product).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_data_are_found_or_a_remedy_is_named() {
        let root = tempfile::tempdir().unwrap();
        assert!(files(root.path()).iter().all(|finding| finding.remedy.is_some()));
        std::fs::create_dir_all(root.path().join("models")).unwrap();
        std::fs::create_dir_all(root.path().join("data/cifar10")).unwrap();
        std::fs::write(root.path().join("models/a.safetensors"), b"").unwrap();
        std::fs::write(root.path().join("models/README.md"), b"").unwrap();
        let found = files(root.path());
        assert_eq!(found[0].found, "models/: a.safetensors");
        assert_eq!(found[1].found, "data/: cifar10");
        assert!(found.iter().all(|finding| finding.remedy.is_none()));
    }

    #[test]
    fn a_field_of_cpuinfo_is_found_whatever_its_padding() {
        let about = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx512_bf16\n";
        assert_eq!(cpu_field(about, "model name"), Some("Some CPU"));
        assert_eq!(cpu_field(about, "flags"), Some("fpu avx512_bf16"));
        assert_eq!(cpu_field(about, "bugs"), None);
    }
}
