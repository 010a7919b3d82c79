#!/usr/bin/env bash
# Makes docs/pictures/: atlases of the shipped CIFAR-10 networks, and of SqueezeNet 1.0 where its weights are.
#
#   scripts/atlas.sh DATA [WEIGHTS [IMAGES]]    DATA holds CIFAR-10 as docs/data.md says, WEIGHTS and IMAGES are the file and the folder that
#                                               suites/imagenet_squeezenet.toml names
#
# Needs am-eval on the PATH (or AM=command) and Python with Pillow, which shrinks the PNGs to a palette of 200 colours. A few minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
am=${AM:-am-eval}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

made() { # name, layers, units, model, further flags
  local name=$1 layer=$2 units=$3 model=$4
  shift 4
  $am visualize suites/visualize_cifar.toml --data-root "$DATA" --model "$model" --layer "$layer" --units "$units" --out "$out/$name" "$@"
}

DATA=$1
made early relu random:6 resnet20 --steps 256
made middle layer2.2 random:6 resnet20 --steps 256
made classes logits all resnet20 --steps 256
made vit logits all vit --preset lucid --steps 192
if [ $# -gt 1 ]; then
  $am visualize --arch torchvision/squeezenet1_0 --weights "$2" --mean 0.48235294,0.45882353,0.40784314 \
    --std 0.00392157,0.00392157,0.00392157 ${3:+--images "$3"} --layer features.7 --units random:6 --steps 96 \
    --out "$out/squeezenet-features.7"
fi
mkdir -p docs/pictures
python3 - "$out" docs/pictures <<'PYTHON'
import sys
from pathlib import Path

from PIL import Image

for folder in sorted(Path(sys.argv[1]).iterdir()):
    for atlas in sorted(folder.rglob("atlas-*.png")):
        image = Image.open(atlas).convert("RGB")
        width = 940
        image = image.resize((width, round(image.height * width / image.width)), Image.LANCZOS)
        image.quantize(200, method=Image.MEDIANCUT).save(Path(sys.argv[2]) / f"{folder.name}.png", optimize=True)
PYTHON
ls -l docs/pictures
