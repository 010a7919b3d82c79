#!/bin/sh
# Makes the example run in reports/example again, with the program given (default target/release/am-eval), and the picture
# of its report that the README shows, where node and Chromium are.
set -eu
cd "$(dirname "$0")/.."

# The manifest keeps the command as it was typed.
program=$(dirname "$(realpath "${1:-target/release/am-eval}")")
PATH="$program:$PATH"
page=$(am-eval run suites/quickstart.toml | sed -n 's/^report: \([^ ]*\).*/\1/p')
[ -f "$page" ] || { echo "the run told of no report" >&2; exit 1; }
rm -rf reports/example
cp -r "$(dirname "$page")" reports/example
rm -f reports/example/.lock*
# The page holds what charts and atlases show, and `am-eval report reports/example` draws them again.
rm -rf reports/example/charts reports/example/visualize/atlas-*.png
du -sh reports/example
if [ -d tests/browser/node_modules ]; then
    node tests/browser/picture.mjs reports/example/report.html reports/quickstart.png
else
    echo "reports/quickstart.png stays as it was: \`make browser\` installs what a new one needs" >&2
fi
