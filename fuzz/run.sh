#!/bin/sh
# Runs libFuzzer on each reader, with stable Rust: LLVM's coverage pass is asked for by name, which needs no nightly compiler.
#
#     fuzz/run.sh [SECONDS for each target, 60] [TARGET...]
#
# Needs clang or gcc for libFuzzer's own code. Inputs that broke a reader stay in fuzz/artifacts/, the corpus in fuzz/corpus/.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -gt 0 ] && shift
targets=${*:-suite weights image data baseline record}
export RUSTFLAGS="${RUSTFLAGS:-} --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
# The triple is named, so that build scripts are compiled without the pass.
triple=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --target "$triple"
for target in $targets; do
    mkdir -p "corpus/$target" "artifacts/$target"
    echo "== $target"
    "target/$triple/release/$target" "corpus/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
        -artifact_prefix="artifacts/$target/" -print_final_stats=1 2>&1 | tail -n 8
done
