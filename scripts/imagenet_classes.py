"""Writes src/data/imagenet_classes.txt: the 1000 classes of ILSVRC2012 in the order of their synsets.

    python scripts/imagenet_classes.py

Synsets are those of timm's list, names those of torchvision's model weights. Made with torchvision 0.26.0 and timm 1.0.31.
"""

import pathlib

import timm
from torchvision.models._meta import _IMAGENET_CATEGORIES as names

synsets = (pathlib.Path(timm.__file__).parent / "data/_info/imagenet_synsets.txt").read_text().split()
assert len(synsets) == len(names) == 1000 and synsets == sorted(synsets)
lines = [f"{synset} {name}\n" for synset, name in zip(synsets, names)]
(pathlib.Path(__file__).parent.parent / "src/data/imagenet_classes.txt").write_text("".join(lines))
