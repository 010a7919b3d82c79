"""Measures the attacks of AutoAttack and adversarial-library on the shipped CIFAR-10 models: the references of docs/strength.md.

    python3 scripts/strength.py pixels reports/pixels-*/ pixels.safetensors     the very pixels that am-eval saw
    python3 scripts/strength.py variants pixels.safetensors CIFAR10/train local/   MeanSparse and k-winners-take-all, for both
    python3 scripts/strength.py reference pixels.safetensors reference.json [--images 0-500] [--attacks apgd-ce,apgd-t] [--only NAME,..]
    python3 scripts/strength.py table reference.json pixels.safetensors RUN..      the tables of docs/strength.md, from runs of am-eval on the same samples

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
            least = flat.detach().kthvalue(flat.shape[1] - int(self.share * flat.shape[1]) + 1, 1, keepdim=True).values
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
    from adv_lib.attacks.auto_pgd import minimal_apgd

    calls = {
        "fmn": lambda m, i, t: attacks.fmn(m, i, t, norm=norm, steps=100),
        "ddn": lambda m, i, t: attacks.ddn(m, i, t, steps=100, levels=None),
        "deepfool": lambda m, i, t: attacks.df(m, i, t, steps=100, norm=norm),
        "fab": lambda m, i, t: attacks.fab(m, i, t, norm=norm, n_iter=100),
        "fab-10": lambda m, i, t: attacks.fab(m, i, t, norm=norm, n_iter=10),
        "cw": lambda m, i, t: attacks.carlini_wagner_l2(m, i, t, max_iterations=100),
        "apgd": lambda m, i, t: minimal_apgd(m, i, t, norm=norm, max_eps=LARGEST[norm], binary_search_steps=10, n_iter=16),
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
    """Name, and what is called with it: kind, model, arguments."""
    listed = {}
    standard = [("resnet20-adv", "8/255", "0.5"), ("resnet20", "1/255", "0.25"), ("vit", "1/255", "0.25"), ("mean-sparse", "8/255", None), ("k-winners", "8/255", None)]
    for model, linf, l2 in standard:
        for norm, word in (("Linf", linf), ("L2", l2)):
            if word:
                number = int(word.split("/")[0]) / 255 if "/" in word else float(word)
                for kind, call in (("standard", autoattack), ("apgd-ce", apgd_ce), ("square-1000", square_1000)):
                    listed[f"{kind}/{model}/{norm.lower()}/{word}"] = call, model, (norm, number)
    listed["apgd-ce/resnet20-adv/l1/12"] = apgd_ce, "resnet20-adv", ("L1", 12.0)
    for model in MODELS:
        for norm, word, methods in DISTANCES:
            for method in methods:
                listed[f"distance/{model}/{word}/{method}"] = distance, model, (method, norm)
    return listed


DISTANCES = (
    (2, "l2", ("fmn", "ddn", "deepfool", "fab-10", "fab", "cw", "apgd")),
    (INF, "linf", ("fmn", "deepfool", "fab-10", "fab", "apgd")),
    (0, "l0", ("sigma-zero-100", "fmn", "sigma-zero-1000")),
    (1, "l1", ("fmn", "fab-10", "fab", "apgd")),
)
SLOW = ("fab", "cw", "sigma-zero-1000", "apgd")
# The largest radius of the search over radii.
LARGEST = {INF: 0.2, 2: 6.0, 1: 60.0}


def plan(first, last, size):
    """Everything, as (name, images, attacks), the most important first; slices of images, so that many processes can share it."""

    def slices(begin, end, size):
        return [f"{at}-{min(at + size, end)}" for at in range(begin, end, size)]

    names = list(jobs())
    standard = [name for name in names if name.startswith("standard/")]
    standard.sort(key=lambda name: ["resnet20-adv", "mean-sparse", "k-winners", "resnet20", "vit"].index(name.split("/")[1]))
    square = sorted(standard, key=lambda name: name.split("/")[1] not in VARIANTS)
    quick = [name for name in names if name.startswith("distance/") and name.split("/")[3] not in SLOW]
    slow = [name for name in names if name.startswith("distance/") and name.split("/")[3] in SLOW]
    half = first + (last - first) // 2
    listed = [(name, images, ("apgd-ce", "apgd-t", "fab-t")) for name in standard for images in slices(first, last, size)]
    listed += [(name, images, None) for name in quick for images in slices(first, half, 2 * size)]
    listed += [(f"square-1000/resnet20-adv/{rest}", images, None) for rest in ("l2/0.5", "linf/8/255") for images in slices(first, last, size)]
    listed += [(name, images, ("square",)) for name in square for images in slices(first, last, size)]
    for names in (slow, quick, slow):
        listed += [(name, images, None) for name in names for images in slices(*((first, half) if names is slow else (half, last)), 2 * size)]
    listed += [(name, images, None) for name in slow for images in slices(half, last, 2 * size)]
    return list(dict.fromkeys(listed))


class Originals:
    """The attacks of `jobs` on slices of the images, on one device."""

    def __init__(self, pixels, device):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.set_num_threads(1)
        self.folder, self.device, self.models = pixels.parent, device, {}
        self.x, self.known, self.label = load(pixels)

    def run(self, name, images, attacks, before):
        """Yields what is known of the slice, more each time, with a line that says so."""
        call, model_name, options = jobs()[name]
        if model_name not in self.models:
            model = classifier(model_name, self.folder, self.device)
            self.models[model_name] = model, ~flips(model, self.x.to(self.device), self.label)
        model, right = self.models[model_name]
        first, last = (int(number) for number in images.split("-"))
        places = first + (right & self.known)[first:last].nonzero()[:, 0]
        options = [*options, self.device] + ([attacks, before] if call is autoattack else [])
        start = time.time()
        for result in call(model, self.x[places], self.label[places], *options):
            what = f"{len(result['robust'])} of {last - first} robust" if "robust" in result else f"median {medians(result['distance']):.5g}"
            text = f"{name} {images}  {time.time() - start:.1f} s on {self.device}  {list(result['passes'])[-1]}  {what}"
            yield result | {"places": [place - first for place in places.tolist()], "images": last - first}, text


def reference(arguments):
    """One process, in the order of `jobs`, or of --only."""
    file = arguments.out
    found = json.loads(file.read_text()) if file.exists() else {}
    begun, originals = time.time(), Originals(arguments.pixels, arguments.device)
    chosen = arguments.only.split(",") if arguments.only else [""]
    attacks = arguments.attacks.split(",") if arguments.attacks else None
    for name in [name for start in chosen for name in jobs() if name.startswith(start)]:
        slices = found.setdefault(name, {})
        before = slices.get(arguments.images)
        if before and not name.startswith("standard/") or time.time() - begun > arguments.seconds:
            continue
        try:
            for slices[arguments.images], text in originals.run(name, arguments.images, attacks, before):
                file.write_text(json.dumps(found))
                print(f"{time.time() - begun:7.1f} s  {text}", flush=True)
        except Exception as error:  # one original that fails must not end the others
            print(f"{name}: {type(error).__name__}: {error}", flush=True)


def work(number, pixels, device, tasks, events):
    """A process of `parallel`: does what it is sent, sends what it finds."""
    originals = Originals(pixels, device)
    events.put((number, "idle", None, None, None))
    while task := tasks.get():
        try:
            for result, text in originals.run(*task):
                events.put((number, "found", task[:2], result, text))
        except Exception as error:  # one original that fails must not end the others
            events.put((number, "found", task[:2], None, f"{task[0]} {task[1]}: {type(error).__name__}: {error}"))
        events.put((number, "idle", task[:2], None, None))


def parallel(arguments):
    """`plan` on many processes that share one device, and some on the CPU beside it; ends by itself after `seconds`."""
    import queue
    import torch.multiprocessing as processes

    begun, file = time.time(), arguments.out
    found = json.loads(file.read_text()) if file.exists() else {}
    first, last = (int(number) for number in arguments.images.split("-"))
    waiting = [task for task in plan(first, last, arguments.slice) if not arguments.only or task[0].startswith(tuple(arguments.only.split(",")))]
    context = processes.get_context("spawn")
    events, devices = context.Queue(), [arguments.device] * arguments.workers + ["cpu"] * arguments.cpu_workers
    queues, started = [context.Queue() for _ in devices], []
    for number, device in enumerate(devices):
        started.append(context.Process(target=work, args=(number, arguments.pixels, device, queues[number], events), daemon=True))
        started[-1].start()
    idle, busy = set(), set()

    def missing(task):
        name, images, attacks = task
        known = found.get(name, {}).get(images)
        return not known or any(attack not in known["passes"] for attack in attacks or ()) and bool(known["robust"])

    def possible(task, number):
        name, images, attacks = task
        beside = number >= arguments.workers
        if beside and name.split("/")[1] not in ("resnet20", "resnet20-adv") or beside and attacks and "square" not in attacks:
            return False
        return (name, images) not in busy and (attacks != ("square",) or "fab-t" in found.get(name, {}).get(images, {}).get("passes", ()))

    while waiting or busy:
        for number in sorted(idle):
            waiting = [task for task in waiting if missing(task)]
            ready = [task for task in waiting if possible(task, number)]
            if number >= arguments.workers:  # many small attacks first: the device is better at the long ones
                ready.sort(key=lambda task: not task[0].startswith("distance/") or task[0].split("/")[3] in SLOW)
            if ready:
                waiting.remove(ready[0])
                busy.add(ready[0][:2])
                idle.discard(number)
                queues[number].put((*ready[0], found.get(ready[0][0], {}).get(ready[0][1])))
        left = arguments.seconds - (time.time() - begun)
        if left <= 0:
            break
        try:
            number, kind, task, result, text = events.get(timeout=min(left, 5))
        except queue.Empty:
            continue
        if kind == "idle":
            busy.discard(task)
            idle.add(number)
        if result is not None:
            found.setdefault(task[0], {})[task[1]] = result
            file.with_suffix(".part").write_text(json.dumps(found))
            file.with_suffix(".part").replace(file)
        if text:
            print(f"{time.time() - begun:7.1f} s  {text}", flush=True)
    print(f"{time.time() - begun:7.1f} s  end; cut off: {sorted(busy)}; not begun: {len(waiting)}", flush=True)
    for process in started:
        process.kill()


def rounded(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}"


def medians(values):
    """Median distance of the samples, one without a flip being infinitely far."""
    ordered = sorted(INF if value is None else value for value in values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


class Side:
    """What one side says of the images: by what was asked, which images it leaves robust or how far flips are, and the passes of each."""

    def __init__(self):
        self.attacks, self.distances = {}, {}


def originals_side(file):
    """The slices of each job put together."""
    side = Side()
    for name, slices in json.loads(file.read_text()).items():
        kind, model, norm, *rest = name.split("/")
        robust, seen, far, images = set(), set(), {}, 0
        passes = {}
        for place, found in slices.items():
            first = int(place.split("-")[0])
            places = [first + at for at in found["places"]]
            seen.update(places)
            images += found["images"]
            robust.update(places[at] for at in found.get("robust", ()))
            far.update(zip(places, found.get("distance", ())))
            for attack, (forwards, backwards) in found["passes"].items():
                known = passes.setdefault(attack, [0, 0, 0])
                passes[attack] = [known[0] + forwards, known[1] + backwards, known[2] + 1]
        whole = [attack for attack, (_, _, done) in passes.items() if done == len(slices)]
        spent = [sum(passes[attack][place] for attack in passes) for place in (0, 1)]
        if kind == "distance":
            side.distances[(model, norm, rest[0])] = {at: (INF if value is None else value) for at, value in far.items()}, spent
        else:
            called = "AutoAttack: " + ", ".join(whole) if kind == "standard" else kind
            side.attacks[(model, norm, "/".join(rest), called)] = seen, robust, images, spent
    return side


def am_eval_side(runs, ids):
    """The same of am-eval's runs; the distances of methods whose steps are not 100 have them in their name."""
    side = Side()
    place = {name: at for at, name in enumerate(ids)}
    for run in runs:
        boundary = json.loads((run / "manifest.json").read_text())["suite_resolved"].get("boundary") or {}
        for row in csv.DictReader((run / "samples.csv").open()):
            if row["kind"] != "class-logit":
                continue
            word = next((word for word in ("8/255", "1/255", "0.5", "0.25") if abs(radius(word) - float(row["epsilon"])) < 1e-9), row["epsilon"])
            seen, robust, images, spent = side.attacks.setdefault((row["model"], row["norm"], word, row["attack"]), (set(), set(), [0], [0, 0]))
            images[0] += 1
            if row["clean_correct"] == "true":
                seen.add(place[row["sample_id"]])
                if row["flipped"] == "false":
                    robust.add(place[row["sample_id"]])
            spent[0] += int(row["forwards"])
            spent[1] += int(row["backwards"])
        for row in csv.DictReader((run / "distances.csv").open()):
            steps = boundary["steps"]
            method = row["method"] if steps == 100 and row["method"] != "sigma-zero" else f"{row['method']}-{steps}"
            found, spent = side.distances.setdefault((row["model"], row["norm"], method), ({}, [0, 0]))
            if row["label"] == row["clean_pred"]:
                found[place[row["sample_id"]]] = INF if row["censored"] == "true" else float(row["distance"])
            spent[0] += int(row["forwards"])
            spent[1] += int(row["backwards"])
    return side


def radius(word):
    return int(word.split("/")[0]) / 255 if "/" in word else float(word)


def table(file, pixels, runs):
    """What the originals and am-eval say of the same images, as Markdown."""
    import safetensors

    with safetensors.safe_open(pixels, "pt") as kept:
        ids = json.loads(kept.metadata()["ids"])
    theirs, ours = originals_side(file), am_eval_side(runs, ids)
    print("| model | norm | radius | who | images | robust accuracy, % | forward passes | backward passes | images that the other alone flips |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (model, norm, word, called), (seen, robust, images, spent) in sorted(theirs.attacks.items()):
        print(f"| {model} | {norm} | {word} | {called} | {images} | {rounded(100 * len(robust) / images)} | {spent[0]:,} | {spent[1]:,} | |")
        kin = {"apgd-ce": ("ce-100",), "square-1000": ("square-1000",)}.get(called)
        for (own, own_norm, own_word, attack), (known, left, count, passes) in sorted(ours.attacks.items()):
            if (own, own_norm, own_word) != (model, norm, word) or (attack not in kin if kin else not called.startswith("AutoAttack") or attack in ("ce-100", "square-1000")):
                continue
            both = known & seen
            missed, more = len((left & both) - robust), len((robust & both) - left)
            mine = f"{rounded(100 * len(left) / count[0])}"
            print(f"| {model} | {norm} | {word} | am-eval: {attack} | {count[0]} | {mine} | {passes[0]:,} | {passes[1]:,} | AutoAttack's {missed}, am-eval's {more} |")
    print("\n| model | norm | method | images | original, median | am-eval, median | ratio | original, passes of an image | am-eval, passes of an image |")
    print("|---|---|---|---|---|---|---|---|---|")
    nearest, best = {}, {}
    for (model, norm, method), (far, spent) in sorted(ours.distances.items()):
        known, their_spent = theirs.distances.get((model, norm, method), ({}, (0, 0)))
        both = sorted(set(far) & set(known))
        envelope = nearest.setdefault((model, norm), {})
        for at, value in far.items():
            envelope[at] = min(envelope.get(at, INF), value)
        if not both:
            continue
        original, own = medians([known[at] for at in both]), medians([far[at] for at in both])
        each = [f"{round(total / max(len(values), 1))}" for values, sides in ((known, their_spent), (far, spent)) for total in sides]
        print(f"| {model} | {norm} | {method} | {len(both)} | {original:.5g} | {own:.5g} | {own / original:.3f} | {each[0]}, {each[1]} | {each[2]}, {each[3]} |")
        rival = best.setdefault((model, norm), {})
        rival[method] = known
    print("\n| model | norm | images | the best original's median | the envelope of am-eval's methods | ratio | each image's best original | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for (model, norm), rival in sorted(best.items()):
        both = sorted(set(nearest[(model, norm)]).intersection(*rival.values()))
        name, median = min(((method, medians([known[at] for at in both])) for method, known in rival.items()), key=lambda pair: pair[1])
        own = medians([nearest[(model, norm)][at] for at in both])
        of_all = medians([min(known[at] for known in rival.values()) for at in both])
        print(f"| {model} | {norm} | {len(both)} | {name} {median:.5g} | {own:.5g} | {own / median:.3f} | {of_all:.5g} | {own / of_all:.3f} |")


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
    three.add_argument("--workers", type=int, default=0, help="processes that share the device; slices of the images; everything, the most important first")
    three.add_argument("--cpu-workers", type=int, default=0, help="further processes on the CPU")
    three.add_argument("--slice", type=int, default=125)
    three.add_argument("--attacks")
    three.add_argument("--only")
    three.add_argument("--seconds", type=float, default=1e9)
    four = commands.add_parser("table")
    four.add_argument("reference", type=Path)
    four.add_argument("pixels", type=Path)
    four.add_argument("runs", type=Path, nargs="*")
    arguments = parser.parse_args()
    match arguments.command:
        case "pixels":
            pixels(arguments.run, arguments.out)
        case "variants":
            variants(arguments.pixels, arguments.train, arguments.out, arguments.shares)
        case "reference":
            (parallel if arguments.workers else reference)(arguments)
        case "table":
            table(arguments.reference, arguments.pixels, arguments.runs)


if __name__ == "__main__":
    sys.exit(main())
