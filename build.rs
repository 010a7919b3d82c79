//! With the `torch` feature: where binaries, tests and benches find libtorch when they start, without
//! `LD_LIBRARY_PATH`. Finding it when they link is the matter of torch-sys, which reads the same variables.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["LIBTORCH", "LIBTORCH_LIB", "LIBTORCH_USE_PYTORCH", "LIBTORCH_STATIC"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    // The person who links statically, or against a Python environment's libtorch, says so to torch-sys and sets the
    // loader's path.
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() || env::var_os("LIBTORCH_STATIC").is_some() {
        return;
    }
    let Some(lib) = env::var_os("LIBTORCH_LIB").or_else(|| env::var_os("LIBTORCH")).map(PathBuf::from) else {
        return; // torch-sys looks in /usr then, where the loader looks too.
    };
    let lib = lib.join("lib");
    let family = env::var("CARGO_CFG_TARGET_FAMILY").unwrap_or_default();
    let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if family != "unix" {
        return; // Windows has no rpath; there the loader's path must name the folder.
    }
    let library = lib.join(if os == "macos" { "libtorch_cpu.dylib" } else { "libtorch_cpu.so" });
    if !library.is_file() {
        eprintln!("there is no libtorch: {} does not exist", library.display());
        eprintln!(
            "run `make libtorch` once, or set LIBTORCH to the folder of libtorch 2.11.0 that holds lib/ and include/"
        );
        eprintln!("(to build without libtorch: cargo build --no-default-features)");
        std::process::exit(1);
    }
    // Absolute, so that `cargo install --path .` gives a binary that starts from anywhere.
    let lib = lib.canonicalize().unwrap_or(lib);
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
}
