"""What scripts/bench_peers.sh runs: am-eval and its peers, each in a process of its own, on the same weights and pixels.

    python3 scripts/bench_peers.py all OUT            everything; OUT/results.json, OUT/table.md, OUT/peers.png
    python3 scripts/bench_peers.py one OUT MODEL PEER one peer; prints what it found as JSON

Processor seconds are those of a whole process, less those of one that only loads the network and the images and classifies them once (of
am-eval, `am-eval predict`): verification, controls, tables and report of am-eval are in. Those of the whole process stand beside them.
"""

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
THREADS = os.environ.get("THREADS", "1")
RADII = {"resnet20": (1, 8), "resnet20-adv": (8, 8), "vit": (1, 8)}  # of the single attacks, and the largest of the sweep, in 1/255
ARCHS = {"resnet20": "cifar/resnet20", "resnet20-adv": "cifar/resnet20", "vit": "cifar/vit-c"}
SWEEP = (0.5, 1, 2, 4, 8)
if RADIUS := os.environ.get("RADIUS"):
    RADII = {name: (float(RADIUS), largest) for name, (_, largest) in RADII.items()}
STEPS = 40


# --- the peers ------------------------------------------------------------------------------------------------------------------


def load(out, model_name):
    import numpy
    import torch
    from PIL import Image

    torch.set_num_threads(int(THREADS))
    spec = importlib.util.spec_from_file_location("confirm_flips", ROOT / "examples/confirm_flips.py")
    networks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(networks)
    network = networks.network(ARCHS[model_name], ROOT / f"models/cifar10-{model_name}.safetensors")

    class Classifier(torch.nn.Module):
        """Logits of pixels in [0, 1], with a count of the images that went forward and backward."""

        def __init__(self):
            super().__init__()
            self.network, self.forwards, self.backwards = network, 0, 0
            self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

        def forward(self, x):
            logits = self.network((x - self.mean) / self.std)
            self.forwards += len(x)
            if logits.requires_grad:
                logits.register_hook(self.count)
            return logits

        def count(self, gradient):
            self.backwards += len(gradient)

    folders = sorted(folder for folder in (out / "images").iterdir() if folder.is_dir())
    images, labels = [], []
    for index, folder in enumerate(folders):
        for path in sorted(folder.glob("*.png")):
            images.append(torch.from_numpy(numpy.array(Image.open(path))).permute(2, 0, 1))
            labels.append(index)
    model = Classifier().eval().requires_grad_(False)
    return torch, model, torch.stack(images).float() / 255, torch.tensor(labels)


def one(out, model_name, peer):
    torch, model, x, y = load(out, model_name)
    with torch.no_grad():
        right = model(x).argmax(1) == y
    model.forwards = model.backwards = 0
    x, y, total = x[right], y[right], len(right)
    epsilon = RADII[model_name][0] / 255

    def robust(adversarial):
        with torch.no_grad():
            return (model(adversarial).argmax(1) == y).sum().item() / total

    found, accuracy = {}, None
    if peer == "null":
        pass
    elif peer == "torchattacks PGD":
        import torchattacks

        adversarial = torchattacks.PGD(model, eps=epsilon, alpha=epsilon / 4, steps=STEPS)(x, y)
    elif peer == "foolbox PGD":
        import foolbox

        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        attack = foolbox.attacks.LinfPGD(steps=STEPS, rel_stepsize=0.25)
        adversarial = attack(wrapped, x, y, epsilons=epsilon)[1]
    elif peer == "adv-lib FMN, five radii":
        from adv_lib.attacks import fmn

        adversarial = fmn(model, x, y, norm=float("inf"), steps=25)
        passes = model.forwards, model.backwards
        with torch.no_grad():
            flipped = model(adversarial).argmax(1) != y
        length = (adversarial - x).abs().flatten(1).amax(1)
        curve = [1 - ((flipped & (length <= radius / 255 + 1e-6)).sum() + (~right).sum()).item() / total for radius in SWEEP]
        found |= {"curve": curve, "passes": passes}
        accuracy = curve[-1]
    elif peer == "torchattacks PGD, five radii":
        import torchattacks

        curve = []
        for radius in SWEEP:
            adversarial = torchattacks.PGD(model, eps=radius / 255, alpha=radius / 255 / 4, steps=20)(x, y)
            passes = model.forwards, model.backwards
            curve.append(robust(adversarial))
            model.forwards, model.backwards = passes
        found |= {"curve": curve, "passes": passes}
        accuracy = curve[-1]
    elif peer == "autoattack APGD-CE, five radii":
        import autoattack

        curve = []
        for radius in SWEEP:
            attacker = autoattack.AutoAttack(model, norm="Linf", eps=radius / 255, device="cpu", verbose=False, seed=0, version="custom", attacks_to_run=["apgd-ce"])
            adversarial = attacker.run_standard_evaluation(x, y, bs=len(x))
            passes = model.forwards, model.backwards
            curve.append(robust(adversarial))
            model.forwards, model.backwards = passes
        found |= {"curve": curve, "passes": passes}
        accuracy = curve[-1]
    elif peer.startswith("autoattack"):
        import autoattack

        versions = {"autoattack APGD-CE": ["apgd-ce"], "autoattack APGD-CE and APGD-T": ["apgd-ce", "apgd-t"], "autoattack standard": None}
        attacks = versions[peer]
        options = {"version": "standard"} if attacks is None else {"version": "custom", "attacks_to_run": attacks}
        attacker = autoattack.AutoAttack(model, norm="Linf", eps=epsilon, device="cpu", verbose=False, seed=0, **options)
        adversarial = attacker.run_standard_evaluation(x, y, bs=len(x))
    else:
        raise SystemExit(f"unknown peer {peer}")
    if peer != "null":
        found.setdefault("passes", (model.forwards, model.backwards))
        found["robust"] = robust(adversarial) if accuracy is None else accuracy
    print(json.dumps(found))


# --- am-eval --------------------------------------------------------------------------------------------------------------------

SUITE = """schema = 2
name = "peers"
seed = 17
[run]
device = "cpu"
precision = "{precision}"
[data]
kind = "image-folder"
root = "{images}"
samples = {count}
[[model]]
name = "model"
arch = "{arch}"
weights = "{weights}"
normalize = {{ mean = {mean}, std = {std} }}
[[attack]]
name = "attack"
norm = "linf"
epsilons = [{epsilons}]
{attack}
"""

OURS = {
    "am-eval PGD": f'kind = "class-logit"\nloss = "ce"\noptimizer = "steepest"\nsteps = {STEPS}',
    "am-eval am-standard": 'kind = "am-standard"',
    "am-eval margin, five radii": 'kind = "class-logit"\nsteps = 20\nsweep = "nearest"',
    "am-eval am-standard, five radii": 'kind = "am-standard"',
}
# The same with the precision that is fast on this CPU.
OURS |= {f"{name} (fast)": attack for name, attack in OURS.items()}


def am_eval(out, model_name, name, count):
    radii = SWEEP if "five radii" in name else (RADII[model_name][0],)
    folder = out / re.sub(r"[^a-z0-9]+", "-", f"{model_name} {name}")
    folder.mkdir(exist_ok=True)
    epsilons = ", ".join(f'"{radius}/255"' for radius in radii)
    weights = ROOT / f"models/cifar10-{model_name}.safetensors"
    precision = "fast" if "(fast)" in name else "auto"
    text = SUITE.format(precision=precision, images=(out / "images").resolve(), count=count, arch=ARCHS[model_name], weights=weights, mean=list(MEAN), std=list(STD), epsilons=epsilons, attack=OURS[name])
    (folder / "suite.toml").write_text(text)
    command = [os.environ["BINARY"], "run", folder / "suite.toml", "--out", folder, "--fresh", "--no-progress"]
    used = measured(command)
    run = max((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    rows = [row for row in csv.DictReader((run / "samples.csv").open()) if row["attack"] == "attack" and not row["kind"].startswith("control")]
    curve = []
    for radius in radii:
        held = [row for row in rows if abs(float(row["epsilon"]) * 255 - radius) < 1e-6 and row["clean_correct"] == "true" and row["flipped"] == "false"]
        samples = {row["sample_id"] for row in rows}
        curve.append(len({row["sample_id"] for row in held}) / len(samples))
    passes = tuple(sum(int(row[column]) for row in rows) for column in ("forwards", "backwards"))
    return used | {"robust": curve[-1], "curve": curve, "passes": passes}


def loading(out, model_name):
    """The command of am-eval that only loads the network and the images and classifies them once."""
    values = lambda numbers: ",".join(map(str, numbers))
    weights = ROOT / f"models/cifar10-{model_name}.safetensors"
    network = ["--arch", ARCHS[model_name], "--weights", weights, "--mean", values(MEAN), "--std", values(STD)]
    return [os.environ["BINARY"], "predict", *network, "--images", out / "images", "--out", out / "predictions.csv", "--device", "cpu"]


def measured(command):
    """The output, the processor and wall seconds and the peak memory of a command."""
    begun = time.time()
    environment = os.environ | {"OMP_NUM_THREADS": THREADS}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(errors.read()[-600:] or f"exit code {process.returncode}")
    return {"output": output, "cpu": usage.ru_utime + usage.ru_stime, "wall": time.time() - begun, "peak_mb": usage.ru_maxrss // 1024}


# --- all ------------------------------------------------------------------------------------------------------------------------

PEERS = (
    "torchattacks PGD",
    "foolbox PGD",
    "autoattack APGD-CE",
    "autoattack APGD-CE and APGD-T",
    "autoattack standard",
    "adv-lib FMN, five radii",
    "torchattacks PGD, five radii",
    "autoattack APGD-CE, five radii",
)
# What is compared with what: the first is am-eval's.
GROUPS = (
    ("40 steps of PGD, cross-entropy", ("am-eval PGD", "am-eval PGD (fast)", "torchattacks PGD", "foolbox PGD")),
    ("robust accuracy", ("am-eval am-standard", "am-eval am-standard (fast)", "autoattack APGD-CE", "autoattack APGD-CE and APGD-T", "autoattack standard")),
    ("five radii", ("am-eval margin, five radii", "am-eval margin, five radii (fast)", "adv-lib FMN, five radii", "torchattacks PGD, five radii")),
    ("five radii, more steps", ("am-eval am-standard, five radii", "am-eval am-standard, five radii (fast)", "autoattack APGD-CE, five radii")),
)


def choose_images(out):
    from PIL import Image

    folder, count = Path(os.environ.get("DATA", ROOT / "data/cifar10/val")), int(os.environ.get("IMAGES", "100"))
    classes = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if len(classes) != 10:
        raise SystemExit(f"{folder} has {len(classes)} class folders; DATA must name a folder with CIFAR-10's ten")
    for old in (out / "images").glob("*/*.png"):
        old.unlink()
    for at, path in enumerate(classes):
        target = out / "images" / path.name
        target.mkdir(parents=True, exist_ok=True)
        for image in sorted(path.iterdir())[: count // 10 + (at < count % 10)]:
            Image.open(image).convert("RGB").save(target / f"{image.stem}.png")
    return count


def everything(out):
    count = choose_images(out)
    only = re.compile(os.environ.get("ONLY", ""))
    results = {}
    models = os.environ.get("MODELS", " ".join(RADII)).split()
    if unknown := set(models) - set(RADII):
        raise SystemExit(f"MODELS names {', '.join(sorted(unknown))}; there are {', '.join(RADII)}")
    for model_name in models:
        found = {}
        base = measured([sys.executable, __file__, "one", out, model_name, "null"])["cpu"]
        base_ours = measured(loading(out, model_name))["cpu"]
        for _, names in GROUPS:
            for name in names:
                if not only.search(name):
                    continue
                try:
                    if name in OURS:
                        found[name] = am_eval(out, model_name, name, count)
                    else:
                        used = measured([sys.executable, __file__, "one", out, model_name, name])
                        found[name] = used | json.loads(used["output"].splitlines()[-1])
                    found[name]["whole"] = found[name]["cpu"]
                    found[name]["cpu"] = max(found[name]["whole"] - (base_ours if name in OURS else base), 0.0)
                    found[name].pop("output")
                    print(f"{model_name}: {name}: {found[name]['cpu']:.1f} s, robust {100 * found[name]['robust']:.1f} %", flush=True)
                except Exception as error:  # a peer that is not there or fails must not end the others
                    print(f"{model_name}: {name}: left out: {str(error).strip().splitlines()[-1]}", flush=True)
        results[model_name] = found
        (out / "results.json").write_text(json.dumps(results, indent=1))
    table(out, results, count)
    chart(out, results)


def table(out, results, count):
    import platform

    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    lines = [f"{count} CIFAR-10 images, {THREADS} thread(s) of {cpu}; processor seconds.", ""]
    for title, names in GROUPS:
        lines += [f"**{title}**", "", "| model | attack | robust accuracy | seconds | whole process | am-eval's share, f32 and fast | forward / backward passes an image | peak memory |", "|---|---|---|---|---|---|---|---|"]
        for model_name, found in results.items():
            ours = [found[name] for name in names if name in OURS and name in found]
            for name in names:
                if name not in found:
                    continue
                row = found[name]
                compared = ours if name not in OURS and row["cpu"] > 0 else []
                share = ", ".join(f"{our['cpu'] / row['cpu']:.2f}" for our in compared)
                accuracies = row.get("curve") or [row["robust"]]
                shown = ", ".join(f"{100 * value:.1f}" for value in accuracies) + " %"
                forward, backward = (passes / count for passes in row["passes"])
                lines.append(f"| {model_name} | {name} | {shown} | {row['cpu']:.1f} | {row['whole']:.1f} | {share} | {forward:.0f} / {backward:.0f} | {row['peak_mb']} MB |")
        lines.append("")
    text = "\n".join(lines)
    (out / "table.md").write_text(text)
    print(text)


def chart(out, results):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plot

    figure, axes = plot.subplots(len(GROUPS), len(results), figsize=(4.2 * len(results), 2.6 * len(GROUPS)), squeeze=False)
    for row, (title, names) in enumerate(GROUPS):
        for column, (model_name, found) in enumerate(results.items()):
            axis, there = axes[row][column], [name for name in names if name in found]
            bars = axis.barh(range(len(there)), [found[name]["cpu"] for name in there], color=["#1f6f8b" if name in OURS else "#c9b458" for name in there])
            axis.set_yticks(range(len(there)), [name.replace(", five radii", "") for name in there], fontsize=7)
            axis.invert_yaxis()
            axis.bar_label(bars, [f" {found[name]['cpu']:.1f} s, {100 * found[name]['robust']:.0f} %" for name in there], fontsize=7)
            axis.set_xlim(0, 1.5 * max([found[name]["cpu"] for name in there], default=1))
            axis.set_title(f"{title}: {model_name}", fontsize=8)
            axis.tick_params(axis="x", labelsize=7)
    figure.supxlabel("processor seconds; robust accuracy", fontsize=8)
    figure.tight_layout()
    figure.savefig(out / "peers.png", dpi=110)


if __name__ == "__main__":
    command, out = sys.argv[1], Path(sys.argv[2])
    if command == "one":
        one(out, *sys.argv[3:])
    else:
        everything(out)
