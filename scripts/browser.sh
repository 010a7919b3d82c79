#!/bin/sh
# Opens reports in Chromium (tests/browser): accessibility, behaviour, printing, no network requests.
# Exits with 77 where node, npm or Chromium are missing, or npm cannot fetch the two packages that are needed.
#
#   CHROMIUM=/path     the browser (default: the first of chromium, chromium-browser, google-chrome on the PATH)
#   SCREENSHOTS=dir    keep pictures      PAGES=dir    keep the reports
set -eu
cd "$(dirname "$0")/.."

skip() { echo "browser tests cannot run: $1" >&2; exit 77; }

for tool in node npm; do
    command -v "$tool" >/dev/null || skip "$tool is missing (Debian and Ubuntu: apt install nodejs npm; 20 or later)"
done
node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' || skip "node $(node --version) is too old: 20 or later is needed"

if [ -z "${CHROMIUM:-}" ]; then
    for name in chromium chromium-browser google-chrome; do
        CHROMIUM=$(command -v "$name") && break
    done
fi
[ -n "${CHROMIUM:-}" ] || skip "Chromium is missing (Debian and Ubuntu: apt install chromium), or set CHROMIUM"
[ -x "$CHROMIUM" ] || skip "CHROMIUM=$CHROMIUM is not a program"
export CHROMIUM

# npm writes this file last, and again when the lock file asks for other versions.
installed=tests/browser/node_modules/.package-lock.json
if [ ! -f "$installed" ] || [ tests/browser/package-lock.json -nt "$installed" ]; then
    (cd tests/browser && npm ci --loglevel=error) || skip "npm could not install tests/browser/package.json"
fi

# Absolute, for the tests run in another folder.
for name in SCREENSHOTS PAGES; do
    eval "value=\${$name:-}"
    case "$value" in
        "") ;;
        /*) export "$name=$value" ;;
        *) export "$name=$PWD/$value" ;;
    esac
done
exec "${CARGO:-cargo}" test --locked --no-default-features --test browser -- --ignored --nocapture
