#!/bin/sh
# Runs libFuzzer on each reader, with stable Rust: LLVM's coverage pass is asked for by name, which needs no nightly compiler.
#
#     fuzz/run.sh [SECONDS for each target, 60] [TARGET...]
#
# INPUTS=N ends a target after N inputs, if its seconds last so long. Each target starts from the files that its reader knows (see
# src/fuzzing.rs) and what earlier runs found. Inputs that broke a reader stay in fuzz/artifacts/, the corpus in fuzz/corpus/, and a line
# for each target (inputs, inputs a second, peak memory in MB, coverage) in fuzz/artifacts/summary.txt. Needs a C++ compiler for libFuzzer's own code.
# The exit code is 1 if any reader broke.
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
cargo build --release --locked --target "$triple"
broken=0
for target in $targets; do
    mkdir -p "corpus/$target" "artifacts/$target"
    log="artifacts/$target.log"
    status=0
    AM_EVAL_FUZZ_CORPUS="$PWD/corpus/$target" "target/$triple/release/$target" "corpus/$target" -max_total_time="$seconds" \
        -runs="${INPUTS:--1}" -timeout=20 -rss_limit_mb=2048 -max_len=65536 -artifact_prefix="artifacts/$target/" \
        -print_final_stats=1 >"$log" 2>&1 || status=$?
    stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
    covered=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
    line="$target: $(stat number_of_executed_units) inputs, $(stat average_exec_per_sec)/s, peak $(stat peak_rss_mb) MB, ${covered:-cov: 0}"
    if [ "$status" -ne 0 ]; then
        broken=1
        line="$line, BROKEN: see fuzz/$log"
    fi
    echo "$line" | tee -a artifacts/summary.txt
done
exit "$broken"
