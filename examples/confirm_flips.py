"""Confirms every flip of a run in PyTorch, apart from am-eval.

    am-eval run suites/quickstart.toml --save-adversarial
    python3 examples/confirm_flips.py reports/quickstart-*/ models/

Needs torch, numpy and safetensors. Reads the run's manifest, its adversarial images and samples.csv, builds each model in plain
PyTorch, loads the same weights file (found by name in the given folder), and compares predictions row by row.
"""

import csv
import json
import sys
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file


class BasicBlock(nn.Module):
    """He et al. 2016, option A: the shortcut drops every other pixel and pads the new channels with zeros."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.side = stride, (outputs - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.side:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.side, self.side))
        return F.relu(x + y)


class CifarResNet(nn.Module):
    def __init__(self, depth, classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        inputs = 16
        for stage, outputs in enumerate([16, 32, 64], 1):
            blocks = []
            for index in range((depth - 2) // 6):
                blocks.append(BasicBlock(inputs, outputs, 2 if stage > 1 and index == 0 else 1))
                inputs = outputs
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.attn, self.mlp = nn.Module(), nn.Module()
        self.attn.qkv, self.attn.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.heads = heads

    def forward(self, x):
        rows, tokens, width = x.shape
        qkv = self.attn.qkv(self.norm1(x)).view(rows, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*qkv).transpose(1, 2).reshape(rows, tokens, width)
        x = x + self.attn.proj(mixed)
        return x + self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(x))))


class ViT(nn.Module):
    def __init__(self, width, depth, convolutions, classes, heads=4):
        super().__init__()
        self.patch_embed, self.convolutions = nn.Module(), convolutions
        if convolutions:
            for place, (inputs, outputs, stride) in enumerate([(3, width // 2, 1), (width // 2, width // 2, 2), (width // 2, width, 2)], 1):
                setattr(self.patch_embed, f"conv{place}", nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))
                setattr(self.patch_embed, f"bn{place}", nn.BatchNorm2d(outputs))
            self.patch_embed.proj = nn.Conv2d(width, width, 1)
        else:
            self.patch_embed.proj = nn.Conv2d(3, width, 4, 4)
        self.pos_embed = nn.Parameter(torch.zeros(1, 64, width))
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width, 1e-6), nn.Linear(width, classes)

    def forward(self, x):
        for place in (1, 2, 3) if self.convolutions else ():
            x = F.relu(getattr(self.patch_embed, f"bn{place}")(getattr(self.patch_embed, f"conv{place}")(x)))
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2) + self.pos_embed
        return self.head(self.norm(self.blocks(x)).mean(1))


def network(arch, classes):
    if arch.startswith("cifar/resnet"):
        return CifarResNet(int(arch.removeprefix("cifar/resnet")), classes)
    forms = {"cifar/vit-tiny": (64, 4, False), "cifar/vit": (128, 6, False), "cifar/vit-c-tiny": (64, 3, True), "cifar/vit-c": (128, 4, True)}
    return ViT(*forms[arch], classes)


def main():
    run, weights = Path(sys.argv[1]), Path(sys.argv[2])
    manifest = json.loads((run / "manifest.json").read_text())
    normalize = {model["name"]: model["normalize"] for model in manifest["suite_resolved"]["models"]}
    rows = list(csv.DictReader((run / "samples.csv").open()))
    flips = wrong = 0
    for entry in manifest["models"]:
        name = entry["name"]
        model = network(entry["arch"], len(manifest["classes"])).eval()
        tensors = {key: value.float() for key, value in load_file(weights / Path(entry["weights"]).name).items()}
        loaded = model.load_state_dict(tensors, strict=False)
        unexpected = loaded.unexpected_keys + [key for key in loaded.missing_keys if "num_batches_tracked" not in key]
        assert not unexpected, unexpected
        mean, std = (torch.tensor(normalize[name][key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        for path in sorted((run / "adversarial").glob(f"*{name}--*.safetensors")):
            saved = load_file(path)
            with torch.no_grad():
                logits = torch.cat([model((x - mean) / std) for x in saved["x"].split(100)])
            for prediction, index in zip(logits.argmax(1).tolist(), saved["index"].tolist()):
                row = rows[index]
                if row["model"] == name and row["flipped"] == "true":
                    flips += 1
                    wrong += prediction != int(row["adv_pred"])
    print(f"{flips} flips, {flips - wrong} confirmed")
    sys.exit(1 if wrong or not flips else 0)


if __name__ == "__main__":
    main()
