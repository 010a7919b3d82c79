"""Confirms every flip of a run, and every rate of its transfer.csv, in PyTorch, apart from am-eval.

    am-eval run suites/quickstart.toml --save-adversarial
    python3 examples/confirm_flips.py reports/quickstart-*/ models/

Needs torch, numpy and safetensors; torchvision or timm for their architectures, onnxruntime for ONNX. Reads the run's manifest, its
adversarial images and samples.csv, builds each model in plain PyTorch, loads the same weights file (found by name in the given folder;
TorchScript, exported programs and ONNX graphs are loaded as they are), and compares predictions row by row. Where the suite has
`[transfer]`, the images of each model are shown to all the others, and the counts of transfer.csv are counted again.
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


class WideBlock(nn.Module):
    """Pre-activation of He et al. 2016: normalization and ReLU before each convolution; a shortcut with weights sees their result."""

    def __init__(self, inputs, outputs, stride, shortcut):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.change = shortcut if stride != 1 or inputs != outputs else None
        if self.change:
            project = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            setattr(self, self.change, nn.Sequential(project) if self.change == "shortcut" else project)

    def forward(self, x):
        y = F.relu(self.bn1(x))
        kept = getattr(self, self.change)(y) if self.change else x
        return kept + self.conv2(F.relu(self.bn2(self.conv1(y))))


class NormalizedBlock(nn.Module):
    """He et al. 2016 with a normalized projection as the shortcut (option B)."""

    def __init__(self, inputs, outputs, stride, shortcut):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        changed = stride != 1 or inputs != outputs
        self.shortcut = nn.Sequential(*([nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)] if changed else []))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class RobustBenchNet(nn.Module):
    """The networks that RobustBench's CIFAR entries mostly are: ResNet-18 in two forms (four stages), WideResNet (three)."""

    def __init__(self, block, sizes, entry, planes, shortcut, classes):
        super().__init__()
        self.conv1, self.wide = nn.Conv2d(3, entry, 3, 1, 1, bias=False), len(sizes) == 3
        self.stages, inputs = [], entry
        for stage, size in enumerate(sizes):
            outputs = planes << stage
            blocks = nn.Sequential(*[block(inputs if index == 0 else outputs, outputs, 2 if stage and index == 0 else 1, shortcut) for index in range(size)])
            inputs = outputs
            self.stages.append(f"{'block' if self.wide else 'layer'}{stage + 1}")
            if self.wide:
                holder = nn.Module()
                holder.layer = blocks
                blocks = holder
            setattr(self, self.stages[-1], blocks)
        self.last = "bn1" if self.wide or block is NormalizedBlock else "bn"
        setattr(self, self.last, nn.BatchNorm2d(entry if block is NormalizedBlock else inputs))
        setattr(self, "fc" if self.wide else "linear", nn.Linear(inputs, classes))
        self.early = block is NormalizedBlock

    def forward(self, x):
        normalized = getattr(self, self.last)
        x = F.relu(normalized(self.conv1(x))) if self.early else self.conv1(x)
        for stage in self.stages:
            stage = getattr(self, stage)
            x = (stage.layer if self.wide else stage)(x)
        x = x if self.early else F.relu(normalized(x))
        return (self.fc if self.wide else self.linear)(x.mean((2, 3)))


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


def builder(arch):
    """What makes the network of an architecture for so many classes."""
    source, _, name = arch.partition("/")
    forms = {"cifar/vit-tiny": (64, 4, False), "cifar/vit": (128, 6, False), "cifar/vit-c-tiny": (64, 3, True), "cifar/vit-c": (128, 4, True)}
    if arch in forms:
        return lambda classes: ViT(*forms[arch], classes)
    robustbench = {
        "cifar/resnet18": (NormalizedBlock, [2, 2, 2, 2], 64, 64, "shortcut"),
        "cifar/preact_resnet18": (WideBlock, [2, 2, 2, 2], 64, 64, "shortcut"),
        "cifar/wide_resnet-28-10": (WideBlock, [4, 4, 4], 16, 160, "convShortcut"),
        "cifar/wide_resnet-34-10": (WideBlock, [5, 5, 5], 16, 160, "convShortcut"),
    }
    if arch in robustbench:
        return lambda classes: RobustBenchNet(*robustbench[arch], classes)
    if source == "cifar" and name.removeprefix("resnet").isdigit():
        return lambda classes: CifarResNet(int(name.removeprefix("resnet")), classes)
    try:
        if source == "torchvision":
            import torchvision
            return lambda classes: torchvision.models.get_model(name, weights=None, num_classes=classes)
        if source == "timm":
            import timm
            return lambda classes: timm.create_model(name, num_classes=classes)
    except ImportError as error:
        sys.exit(f"{arch}: {error}; install it, since the network is built by that package")
    sys.exit(f"{arch} is not supported here: networks of am-eval's own (cifar/resnet..., cifar/vit...), RobustBench's cifar/, torchvision, timm, torchscript, exported and onnx are")


def plain(tensors, expected):
    """The tensors under the network's own names: without what a wrapper put before them, and what it added."""
    stem = next(iter(expected))
    prefixes = {key.removesuffix(stem) for key in tensors if key == stem or key.endswith("." + stem)}
    for prefix in sorted(prefixes, key=len):
        named = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if sum(key in named for key in expected) * 10 >= len(expected) * 7:
            return {key: value.float() for key, value in named.items() if key in expected or value.numel() > 3}
    return {key: value.float() for key, value in tensors.items()}


def onnx(path):
    """The graph, run by ONNX Runtime; a graph of one image or of a fixed number of them takes as many at a time."""
    try:
        import onnxruntime
    except ImportError as error:
        sys.exit(f"{path}: {error}; install onnxruntime, which runs ONNX graphs")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    rows = entry.shape[0] if isinstance(entry.shape[0], int) else None

    def answer(pixels):
        parts = pixels.split(rows or len(pixels))
        outputs = []
        for part in parts:
            padded = torch.cat([part, part[-1:].expand((rows or len(part)) - len(part), *part.shape[1:])])
            outputs.append(torch.from_numpy(session.run(None, {entry.name: padded.numpy()})[0])[: len(part)])
        return torch.cat(outputs)

    return answer


def network(arch, path):
    """The network with its weights."""
    if arch == "torchscript":
        return torch.jit.load(path, map_location="cpu").eval()
    if arch == "exported":
        return torch.export.load(path).module()
    if arch == "onnx":
        return onnx(path)
    build, tensors = builder(arch), load_file(path)
    usual = build(1000).state_dict()
    tensors = plain(tensors, usual)
    # Only the classifier differs, in its first dimension.
    other = [tensors[key].shape[0] for key, value in usual.items() if key in tensors and value.dim() and tensors[key].shape != value.shape and tensors[key].shape[1:] == value.shape[1:]]
    model = build(other[-1] if other else 1000).eval()
    loaded = model.load_state_dict(tensors, strict=False)
    missing = [key for key in loaded.missing_keys if "num_batches_tracked" not in key and "attn_mask" not in key and "relative_position_index" not in key]
    if missing or loaded.unexpected_keys:
        sys.exit(f"{path}: not under the names of {arch}: {(missing + loaded.unexpected_keys)[:5]}; other names than the package's own are not supported here")
    return model


def classifier(entry, manifest, weights):
    """What a model of the run predicts of pixels in [0, 1]."""
    places = [weights / entry["weights"], weights / Path(entry["weights"]).name]
    # A model's folder, as the Hugging Face hub has it, holds the file.
    places += [place / "model.safetensors" for place in places]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        sys.exit(f"no weights of model {entry['name']} at {places[-1]}")
    model = network(entry["arch"], path)
    normalize = next(of["normalize"] for of in manifest["suite_resolved"]["models"] if of["name"] == entry["name"])
    mean, std = (torch.tensor(normalize[key]).view(1, -1, 1, 1) for key in ("mean", "std"))

    @torch.no_grad()
    def predictions(pixels):
        answers = [model((part - mean) / std) for part in pixels.split(100)]
        logits = [answer["logits"] if isinstance(answer, dict) else answer for answer in answers]
        return torch.cat([part.argmax(1) for part in logits]).tolist()

    return predictions


def main():
    run, weights = Path(sys.argv[1]), Path(sys.argv[2])
    manifest = json.loads((run / "manifest.json").read_text())
    models = {entry["name"]: classifier(entry, manifest, weights) for entry in manifest["models"]}
    rows = list(csv.DictReader((run / "samples.csv").open()))
    right = {(row["model"], row["sample_id"]): row["clean_correct"] == "true" for row in rows}
    transferred = (manifest["suite_resolved"].get("transfer") or {"attacks": []})["attacks"]
    flips = wrong = 0
    counts = {}
    for path in sorted((run / "adversarial").glob("*.safetensors")):
        saved = load_file(path)
        told = [rows[index] for index in saved["index"].tolist()]
        source = told[0]["model"]
        for prediction, row in zip(models[source](saved["x"]), told):
            if row["flipped"] == "true":
                flips += 1
                wrong += prediction != int(row["adv_pred"])
        if told[0]["attack"] not in transferred:
            continue
        for victim in (name for name in models if name != source):
            for prediction, row in zip(models[victim](saved["x"]), told):
                # A victim without records of its own is not known to be right.
                if right.get((victim, row["sample_id"]), False):
                    flipped, fooled = row["flipped"] == "true", prediction != int(row["label"])
                    key = (source, victim, row["attack"], row["epsilon"])
                    before = counts.get(key, (0, 0, 0, 0))
                    counts[key] = tuple(a + b for a, b in zip(before, (1, flipped, flipped and fooled, fooled)))
    print(f"{flips} flips, {flips - wrong} confirmed")
    if transferred:
        table = list(csv.DictReader((run / "transfer.csv").open()))
        columns = ("n_both_correct", "n", "fooled", "fooled_all")
        differing = [row for row in table if counts.get(tuple(row[key] for key in ("source", "victim", "attack", "epsilon"))) != tuple(int(row[key]) for key in columns)]
        print(f"{len(table)} transfer rates, {len(table) - len(differing)} confirmed")
        wrong += len(differing)
    sys.exit(1 if wrong or not flips else 0)


if __name__ == "__main__":
    main()
