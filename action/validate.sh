#!/usr/bin/env bash
# The hook of pre-commit: checks the suites that are given, with the am-eval on the PATH; else with one that is built here once, without
# libtorch (it knows no architectures and layers, but everything else).
set -euo pipefail

program=${AM_EVAL:-am-eval}
if ! command -v "$program" >/dev/null; then
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    program=$here/target/release/am-eval
    [ -x "$program" ] || cargo build --quiet --release --locked --no-default-features --manifest-path "$here/Cargo.toml" >&2
fi
exec "$program" validate "$@"
