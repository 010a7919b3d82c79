#!/usr/bin/env bash
# Measures am-eval beside torchattacks, Foolbox, adversarial-library and AutoAttack in one run, on the same weights and pixels: processor time,
# passes and peak memory to a robust accuracy. Table and chart go to target/bench-peers.
#
#   DATA=folder     images to attack, a folder per class (default: data/cifar10/val)     IMAGES=100   THREADS=1
#   ONLY=regex      some of the measurements (am-eval, torchattacks, foolbox, adv-lib, autoattack)
#   MODELS=names    some of resnet20, resnet20-adv and vit
#   RADIUS=8        radius of the single attacks in 1/255 (default: 1 for resnet20 and vit, 8 for resnet20-adv)
#   AUTOATTACK=dir  a checkout of AutoAttack (github.com/fra31/auto-attack), which is no package; without it, it is left out
#   BINARY=/path    the program (default: target/release/am-eval)
#
# The other packages are installed by pip in an environment of their own. Other load on the machine falsifies times, not passes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=target/bench-peers
mkdir -p "$out"
PYTHON=${PYTHON:-python3}
if [ ! -f "$out/ready" ]; then
    "$PYTHON" -m venv "$out/venv"
    pip() { "$out/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
    pip numpy scipy pillow safetensors matplotlib tqdm requests eagerpy gitpython
    "$out/venv/bin/python" -c 'import torch' 2>/dev/null || pip torch==2.11.0 # one that PYTHONPATH shows is taken
    pip --no-deps torchvision==0.26.0 torchattacks foolbox adv-lib
    mkdir -p "$out/stub" # adv-lib imports a module for live plots that it does not need
    : > "$out/stub/visdom.py"
    touch "$out/ready"
fi
export PYTHONPATH="$out/stub${AUTOATTACK:+:$AUTOATTACK}${PYTHONPATH:+:$PYTHONPATH}" BINARY=${BINARY:-target/release/am-eval}
exec "$out/venv/bin/python" scripts/bench_peers.py all "$out"
