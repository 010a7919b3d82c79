"""Measures the attacks of AutoAttack and adversarial-library on the shipped CIFAR-10 models: the references of docs/strength.md.

    python3 scripts/strength.py pixels reports/pixels-*/ pixels.safetensors     the very pixels that am-eval saw
    python3 scripts/strength.py variants pixels.safetensors CIFAR10/train local/   MeanSparse and k-winners-take-all, for both
    python3 scripts/strength.py reference pixels.safetensors reference.json [--images 0-500] [--attacks apgd-ce,apgd-t] [--only NAME,..]
    python3 scripts/strength.py table reference.json RUN..      the tables of docs/strength.md, from runs of am-eval on the same samples

`reference` adds to its file: what it has of the same images it does not do again, and AutoAttack goes on with the attacks that are
missing. BatchNorm is folded into the convolutions (twice as quick on a CPU; logits differ by 3e-6); whether an image flips is asked of
the network as it is.

`pixels` needs a finished run with `--save-adversarial` whose attack is too small to change a pixel's byte. Needs torch, numpy,
safetensors and, for `reference`, the original packages on PYTHONPATH: `autoattack` (github.com/fra31/auto-attack, a392200) and
`adv_lib` (github.com/jeromerony/adversarial-library, 9dec220; it imports a module `visdom`, which may be empty).
"""

import argparse
import csv
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

ROOT = Path(os.environ.get("STRENGTH_ROOT", Path(__file__).resolve().parent.parent))
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
MODELS = {"resnet20": "cifar/resnet20", "resnet20-adv": "cifar/resnet20", "vit": "cifar/vit-c"}
VARIANTS = ("mean-sparse", "k-winners")
INF = float("inf")


def networks():
    """The plain PyTorch twins of the shipped architectures, from examples/confirm_flips.py."""
    spec = importlib.util.spec_from_file_location("confirm_flips", ROOT / "examples/confirm_flips.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Changed(nn.Module):
    """A trained CifarResNet whose values before each ReLU are changed afterwards.

    `mean-sparse` (Amini et al. 2024, arXiv 2406.05927): values within `share` standard deviations of their channel's mean become
    the mean. `k-winners` (Xiao et al. 2020, arXiv 1905.10510): behind the ReLU, only the largest `share` of a layer's values stay.
    """

    def __init__(self, base, kind, share, statistics=None):
        super().__init__()
        self.base, self.kind, self.share, self.seen = base, kind, share, None
        for index, (mean, std) in enumerate(statistics or []):
            self.register_buffer(f"mean{index}", mean)
            self.register_buffer(f"std{index}", std)

    def change(self, index, x):
        if self.seen is not None:
            self.seen.setdefault(index, []).append(x)
        elif self.kind == "mean-sparse":
            mean, std = (getattr(self, f"{name}{index}").view(1, -1, 1, 1) for name in ("mean", "std"))
            x = torch.where((x - mean).abs() <= self.share * std, mean.expand_as(x), x)
        x = F.relu(x)
        if self.kind == "k-winners" and self.seen is None:
            flat = x.flatten(1)
            least = flat.topk(int(self.share * flat.shape[1]), 1).values[:, -1:]
            x = torch.where(flat >= least, flat, torch.zeros_like(flat)).view_as(x)
        return x

    def forward(self, x):
        net, index = self.base, 1
        x = self.change(0, net.bn1(net.conv1(x)))
        for stage in (net.layer1, net.layer2, net.layer3):
            for block in stage:
                y = self.change(index, block.bn1(block.conv1(x)))
                if block.side:
                    x = F.pad(x[:, :, :: block.stride, :: block.stride], (0, 0, 0, 0, block.side, block.side))
                x = self.change(index + 1, x + block.bn2(block.conv2(y)))
                index += 2
        return net.fc(x.mean((2, 3)))


class Classifier(nn.Module):
    """Logits of pixels in [0, 1], with a count of the images that went forward and backward."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        self.forwards = self.backwards = 0

    def forward(self, x):
        logits = self.network((x - self.mean) / self.std)
        self.forwards += len(x)
        if logits.requires_grad:
            logits.register_hook(self.count)
        return logits

    def count(self, gradient):
        self.backwards += len(gradient)

    def passes(self):
        counted = self.forwards, self.backwards
        self.forwards = self.backwards = 0
        return counted


def network(name, folder):
    base = {"mean-sparse": "resnet20-adv", "k-winners": "resnet20-adv"}.get(name, name)
    net = networks().network(MODELS[base], ROOT / f"models/cifar10-{base}.safetensors")
    if name in VARIANTS:
        kept = load_file(Path(folder) / f"{name}.safetensors")
        pairs = [(kept[f"mean{index}"], kept[f"std{index}"]) for index in range(len(kept) // 2)]
        net = Changed(net, name, float(kept["share"]), pairs)
    return net


def folded(net):
    """The same function of a CifarResNet, with BatchNorm inside the convolutions."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    def fold(module, conv, norm):
        setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
        setattr(module, norm, nn.Identity())

    fold(net, "conv1", "bn1")
    for block in [*net.layer1, *net.layer2, *net.layer3]:
        fold(block, "conv1", "bn1")
        fold(block, "conv2", "bn2")
    return net


def classifier(name, folder, device):
    """The model that is attacked, and the one that says what flips."""
    exact = Classifier(network(name, folder)).eval().to(device).requires_grad_(False)
    if MODELS.get(name) != "cifar/resnet20":
        return exact
    model = Classifier(folded(network(name, folder))).eval().to(device).requires_grad_(False)
    model.exact = exact
    return model


def flips(model, images, label):
    """Which of the images are not classified as `label`; not counted as passes."""
    with torch.no_grad():
        exact = getattr(model, "exact", model)
        held = torch.cat([exact(part).argmax(1) for part in images.split(250)])
        exact.passes()
    return (held != label.to(held.device)).cpu()


def pixels(run, out):
    rows = list(csv.DictReader((run / "samples.csv").open()))
    ids = list(dict.fromkeys(row["sample_id"] for row in rows))
    images = torch.zeros(len(ids), 3, 32, 32, dtype=torch.uint8)
    known = torch.zeros(len(ids), dtype=torch.bool)
    for path in sorted((run / "adversarial").glob("*.safetensors")):
        saved = load_file(path)
        places = [ids.index(rows[index]["sample_id"]) for index in saved["index"].tolist()]
        images[places] = (saved["x"] * 255).round().to(torch.uint8)
        known[places] = True
    label = {row["sample_id"]: int(row["label"]) for row in rows}
    tensors = {"pixels_u8": images, "label": torch.tensor([label[name] for name in ids]), "known": known}
    for model in dict.fromkeys(row["model"] for row in rows):
        right = {row["sample_id"] for row in rows if row["model"] == model and row["clean_correct"] == "true"}
        tensors[f"right-{model}"] = torch.tensor([name in right for name in ids])
    save_file(tensors, out, metadata={"ids": json.dumps(ids)})
    print(f"{len(ids)} images, {int(known.sum())} with pixels (the others are misclassified by every model)")


def variants(file, train, out, shares):
    from PIL import Image
    import numpy

    paths = [path for folder in sorted(train.iterdir()) for path in sorted(folder.iterdir())[:100]]
    images = torch.stack([torch.from_numpy(numpy.array(Image.open(path))).permute(2, 0, 1) for path in paths]) / 255
    x, known, label = load(file)
    out.mkdir(exist_ok=True)
    for kind, share in zip(VARIANTS, shares):
        net = Changed(network("resnet20-adv", out), kind, share).eval()
        plain = Classifier(net)
        with torch.no_grad():
            net.seen = {}
            for part in images.split(100):
                plain(part)
            statistics = []
            for index in sorted(net.seen):
                values = torch.cat(net.seen[index])
                statistics.append((values.mean((0, 2, 3)), values.std((0, 2, 3))))
            changed = Classifier(Changed(net.base, kind, share, statistics)).eval()
            right = (changed(x).argmax(1) == label)[known].sum().item()
            print(f"{kind}: {right} of {len(x)} right with a share of {share}")
            tensors = {"share": torch.tensor(share)}
            for index, (mean, std) in enumerate(statistics):
                tensors |= {f"mean{index}": mean, f"std{index}": std}
            save_file(tensors, out / f"{kind}.safetensors")
            torch.jit.trace(changed.network, torch.zeros(2, 3, 32, 32)).save(out / f"{kind}.pt")


def load(file):
    kept = load_file(file)
    return kept["pixels_u8"].float() / 255, kept["known"], kept["label"]


# --- the originals --------------------------------------------------------------------------------------------------------------


def autoattack(model, x, label, norm, epsilon, device, names, before=None):
    """The standard version; which attack broke a sample, and the passes of each. Goes on from what was found `before`."""
    import autoattack.autoattack as aa

    attacker = aa.AutoAttack(model, norm=norm, eps=epsilon, seed=0, device=device, verbose=False)
    attacker.logger.log = lambda text: None
    found = before or {"broken": {}, "passes": {}, "robust": list(range(len(x)))}
    model.passes()
    for name in list(attacker.attacks_to_run):
        places = torch.tensor(found["robust"], dtype=torch.long)
        if name in found["passes"]:
            continue
        if not len(places) or (names and name not in names):
            break
        attacker.attacks_to_run = [name]
        adv = attacker.run_standard_evaluation(x[places].to(device), label[places].to(device), bs=500)
        found["passes"][name] = model.passes()
        broken = flips(model, adv, label[places])
        found["broken"][name] = places[broken].tolist()
        found["robust"] = places[~broken].tolist()
        yield found


def square_1000(model, x, label, norm, epsilon, device, queries=1000):
    from autoattack.square import SquareAttack

    attacker = SquareAttack(model, p_init=0.8, n_queries=queries, eps=epsilon, norm=norm, n_restarts=1, seed=0, device=device, resc_schedule=False, verbose=False)
    with torch.no_grad():
        adv = attacker.perturb(x.to(device), label.to(device))
    passes = model.passes()
    yield {"robust": (~flips(model, adv, label)).nonzero()[:, 0].tolist(), "passes": {"square": passes}}


def apgd_ce(model, x, label, norm, epsilon, device):
    from autoattack.autopgd_base import APGDAttack

    attacker = APGDAttack(model, n_iter=100, norm=norm, eps=epsilon, n_restarts=1, seed=0, loss="ce", eot_iter=1, rho=0.75, device=device)
    attacker.use_largereps = norm == "L1"
    adv = attacker.perturb(x.to(device), label.to(device))
    passes = model.passes()
    yield {"robust": (~flips(model, adv, label)).nonzero()[:, 0].tolist(), "passes": {"apgd-ce": passes}}


def distance(model, x, label, method, norm, device):
    from adv_lib import attacks

    calls = {
        "fmn": lambda m, i, t: attacks.fmn(m, i, t, norm=norm, steps=100),
        "ddn": lambda m, i, t: attacks.ddn(m, i, t, steps=100, levels=None),
        "deepfool": lambda m, i, t: attacks.df(m, i, t, steps=100, norm=norm),
        "fab": lambda m, i, t: attacks.fab(m, i, t, norm=norm, n_iter=100),
        "fab-10": lambda m, i, t: attacks.fab(m, i, t, norm=norm, n_iter=10),
        "cw": lambda m, i, t: attacks.carlini_wagner_l2(m, i, t, max_iterations=100),
        "sigma-zero-100": lambda m, i, t: attacks.sigma_zero(m, i, t, num_steps=100),
        "sigma-zero-1000": lambda m, i, t: attacks.sigma_zero(m, i, t, num_steps=1000),
    }
    images, targets = x.to(device), label.to(device)
    torch.manual_seed(0)
    model.passes()
    adv = calls[method](model, images, targets)
    passes = model.passes()
    flipped = flips(model, adv, label).to(device)
    delta = (adv - images).flatten(1).double()
    size = (delta != 0).sum(1).double() if norm == 0 else delta.norm(p=norm, dim=1)
    size = torch.where(flipped, size, torch.full_like(size, INF))
    yield {"distance": [round(value, 7) if value < INF else None for value in size.tolist()], "passes": {method: passes}}


def jobs():
    """Name, kind and arguments, the most important first."""
    listed = []

    def standard(model, norm, epsilon, word):
        listed.append((f"standard/{model}/{norm.lower()}/{word}", autoattack, model, (norm, epsilon)))

    standard("resnet20-adv", "Linf", 8 / 255, "8/255")
    standard("resnet20-adv", "L2", 0.5, "0.5")
    standard("resnet20", "Linf", 1 / 255, "1/255")
    standard("vit", "Linf", 1 / 255, "1/255")
    quick = ((2, "l2", ("fmn", "ddn", "deepfool", "fab-10")), (INF, "linf", ("fmn", "deepfool", "fab-10")), (0, "l0", ("sigma-zero-100", "fmn")), (1, "l1", ("fmn", "fab-10")))
    slow = ((2, "l2", ("fab", "cw")), (INF, "linf", ("fab",)), (0, "l0", ("sigma-zero-1000",)), (1, "l1", ("fab",)))

    def distances(table, models):
        for model in models:
            for norm, word, methods in table:
                for method in methods:
                    listed.append((f"distance/{model}/{word}/{method}", distance, model, (method, norm)))

    distances(quick, ("resnet20", "resnet20-adv"))
    standard("mean-sparse", "Linf", 8 / 255, "8/255")
    standard("resnet20", "L2", 0.25, "0.25")
    standard("vit", "L2", 0.25, "0.25")
    standard("k-winners", "Linf", 8 / 255, "8/255")
    distances(slow, ("resnet20", "resnet20-adv"))
    distances(quick, ("vit",))
    for model in ("resnet20", "vit"):
        standard(model, "Linf", 8 / 255, "8/255")
        standard(model, "L2", 0.5, "0.5")
    for model, norm, epsilon, word in (("resnet20-adv", "Linf", 8 / 255, "8/255"), ("resnet20-adv", "L2", 0.5, "0.5"), ("resnet20", "Linf", 1 / 255, "1/255"), ("vit", "Linf", 1 / 255, "1/255")):
        listed.append((f"apgd-ce/{model}/{norm.lower()}/{word}", apgd_ce, model, (norm, epsilon)))
        listed.append((f"square-1000/{model}/{norm.lower()}/{word}", square_1000, model, (norm, epsilon)))
    listed.append(("apgd-ce/resnet20-adv/l1/12", apgd_ce, "resnet20-adv", ("L1", 12.0)))
    distances(slow, ("vit",))
    return listed


def reference(arguments):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(1)
    x, known, label = load(arguments.pixels)
    first, last = (int(number) for number in arguments.images.split("-"))
    x, known, label = x[first:last], known[first:last], label[first:last]
    file = arguments.out
    found = json.loads(file.read_text()) if file.exists() else {}
    begun, models, rights = time.time(), {}, {}
    chosen = arguments.only.split(",") if arguments.only else [""]
    names = arguments.attacks.split(",") if arguments.attacks else None
    listed = [(name, rest) for start in chosen for name, *rest in jobs() if name.startswith(start)]
    for name, (call, model_name, options) in listed:
        slices = found.setdefault(name, {})
        before = slices.get(arguments.images)
        if before and call is not autoattack or time.time() - begun > arguments.seconds:
            continue
        if model_name not in models:
            models[model_name] = classifier(model_name, arguments.pixels.parent, arguments.device)
            rights[model_name] = ~flips(models[model_name], x.to(arguments.device), label)
        model = models[model_name]
        places = (rights[model_name] & known).nonzero()[:, 0]
        options = [*options, arguments.device] + ([names, before] if call is autoattack else [])
        start = time.time()
        try:
            for result in call(model, x[places], label[places], *options):
                slices[arguments.images] = result | {"places": places.tolist(), "images": len(x)}
                file.write_text(json.dumps(found))
                robust = f"{len(result['robust'])} of {len(x)} robust" if "robust" in result else f"median {medians(result['distance']):.5g}"
                print(f"{time.time() - begun:7.1f} s  {name} {arguments.images}  {time.time() - start:.1f} s  {list(result['passes'])[-1]}  {robust}", flush=True)
        except Exception as error:  # one original that fails must not end the others
            print(f"{name}: {type(error).__name__}: {error}", flush=True)


def rounded(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}"


def medians(values):
    """Median distance of the samples, one without a flip being infinitely far."""
    ordered = sorted(INF if value is None else value for value in values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def table(file, runs):
    """What the originals and am-eval say of the same samples, as Markdown."""
    reference = json.loads(file.read_text())
    attacks, distances = {}, {}
    for run in runs:
        for row in csv.DictReader((run / "samples.csv").open()):
            if row["kind"] == "class-logit":
                cell = attacks.setdefault((row["model"], row["norm"], row["epsilon"], row["attack"]), [0, 0, 0, 0])
                cell[0] += 1
                cell[1] += row["clean_correct"] == "true" and row["flipped"] == "false"
                cell[2] += int(row["forwards"])
                cell[3] += int(row["backwards"])
        for row in csv.DictReader((run / "distances.csv").open()):
            cell = distances.setdefault((row["model"], row["norm"], row["method"]), [])
            if row["label"] == row["clean_pred"]:
                cell.append((INF if row["censored"] == "true" else float(row["distance"]), int(row["forwards"]), int(row["backwards"])))
    print("| model | norm | radius | who | attack | robust accuracy, % | forward passes | backward passes |\n|---|---|---|---|---|---|---|---|")
    for name, found in sorted(reference.items()):
        if "robust" in found:
            attack, model, norm, *radius = name.split("/")
            passes = [sum(one) for one in zip(*found["passes"].values())]
            print(f"| {model} | {norm} | {'/'.join(radius)} | original | {attack} | {rounded(100 * len(found['robust']) / found['images'])} | {passes[0]:,} | {passes[1]:,} |")
    for (model, norm, epsilon, attack), (n, robust, forwards, backwards) in sorted(attacks.items()):
        print(f"| {model} | {norm} | {epsilon} | am-eval | {attack} | {rounded(100 * robust / n)} | {forwards:,} | {backwards:,} |")
    print("\n| model | norm | who | method | median distance | passes of an image |\n|---|---|---|---|---|---|")
    for name, found in sorted(reference.items()):
        if "distance" in found:
            _, model, norm, method = name.split("/")
            passes = [round(count / len(found["distance"])) for count in next(iter(found["passes"].values()))]
            print(f"| {model} | {norm} | original | {method} | {medians(found['distance']):.5g} | {passes[0]}, {passes[1]} |")
    for (model, norm, method), found in sorted(distances.items()):
        count = max(len(found), 1)
        passes = [round(sum(row[place] for row in found) / count) for place in (1, 2)]
        print(f"| {model} | {norm} | am-eval | {method} | {medians([row[0] for row in found]):.5g} | {passes[0]}, {passes[1]} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("pixels")
    one.add_argument("run", type=Path)
    one.add_argument("out", type=Path)
    two = commands.add_parser("variants")
    two.add_argument("pixels", type=Path)
    two.add_argument("train", type=Path)
    two.add_argument("out", type=Path)
    two.add_argument("--shares", type=float, nargs=2, default=(0.4, 0.6))
    three = commands.add_parser("reference")
    three.add_argument("pixels", type=Path)
    three.add_argument("out", type=Path)
    three.add_argument("--device", default="cpu")
    three.add_argument("--images", default="0-500")
    three.add_argument("--attacks")
    three.add_argument("--only")
    three.add_argument("--seconds", type=float, default=1e9)
    four = commands.add_parser("table")
    four.add_argument("reference", type=Path)
    four.add_argument("runs", type=Path, nargs="*")
    arguments = parser.parse_args()
    match arguments.command:
        case "pixels":
            pixels(arguments.run, arguments.out)
        case "variants":
            variants(arguments.pixels, arguments.train, arguments.out, arguments.shares)
        case "reference":
            reference(arguments)
        case "table":
            table(arguments.reference, arguments.runs)


if __name__ == "__main__":
    sys.exit(main())
