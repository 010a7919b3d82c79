#!/usr/bin/env bash
# Builds am-eval in the folder of the action, unless a cache brought it or PROGRAM names one, and tells where it is.
#
#   PROGRAM  an am-eval that is there already, or empty
set -euo pipefail

: "${GITHUB_OUTPUT:=/dev/null}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=${PROGRAM:-$here/target/release/am-eval}
if ! command -v "$program" >/dev/null; then
    if [ -n "${PROGRAM:-}" ]; then
        echo "there is no program $PROGRAM" >&2
        exit 2
    fi
    make -C "$here" build
fi
"$program" --version
echo "program=$program" >>"$GITHUB_OUTPUT"
