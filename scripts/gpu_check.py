"""Parts of gpu_check.sh that need PyTorch: data and weights, parity, confirmation of flips, bare loops, the table.

    python3 gpu_check.py prepare|parity|confirm|quick|bare|layouts|small|table WORK OUT

AM is the release binary with its libraries' path set (a command), DEVICE cuda or cpu, SMALL=1 a try-out on a CPU.
"""

import csv
import glob
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by deterministic algorithms; the size of the default
import torch
from torch.nn import functional as F

DEVICE = os.environ.get("DEVICE", "cuda")
SMALL = os.environ.get("SMALL") == "1"
AM = os.environ.get("AM", "am-eval").split()
WORK, OUT = Path(sys.argv[2]), Path(sys.argv[3])
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EPS = 8 / 255
# arch, side, images
MODELS = [("torchvision/resnet18", 64, 8), ("torchvision/vit_b_16", 64, 8)] if SMALL else [("torchvision/resnet50", 224, 256), ("torchvision/vit_b_16", 224, 256)]
STEPS = (2, 4) if SMALL else (10, 50)


def exact():
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def built(arch, side):
    import torchvision

    name = short(arch)
    return torchvision.models.get_model(name, **({"image_size": side} if "vit" in name else {}))


def short(arch):
    return arch.split("/")[1]


def normalized(x):
    mean, std = (torch.tensor(v, device=x.device, dtype=x.dtype).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (x - mean) / std


def loaded(arch, side, dtype=torch.float32, device=None):
    from safetensors.torch import load_file

    model = built(arch, side)
    model.load_state_dict(load_file(WORK / f"{short(arch)}.safetensors"))
    return model.eval().requires_grad_(False).to(device or DEVICE, dtype)


def pixels_u8(arch):
    from safetensors.torch import load_file

    return load_file(WORK / f"{short(arch)}-images.safetensors")["pixels_u8"]


SUITE = """schema = 1
name = "{name}"
seed = 1
[data]
kind = "csv"
file = "{arch}.csv"
root = "{arch}"
[[model]]
name = "m"
arch = "{full}"
weights = "{arch}.safetensors"
normalize = {{ mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }}
[[attack]]
name = "a"
{attack}
norm = "{norm}"
epsilons = {epsilons}
steps = {steps}
stop = "{stop}"
[run]
precision = "{precision}"
{block}
{batch}
"""
LOGIT = 'kind = "class-logit"\nloss = "ce"'
# Attacks of one suite: the first has the headline radius and takes what stands beside attacks (controls, the clean pass, kernels that are loaded),
# so that the others, which differ in their steps alone, tell the rate of a step by the seconds of their blocks.
PACED = (("first", 2), ("few", STEPS[0]), ("many", STEPS[1]))


def paced(name, arch, precision, count, batch=None, attacks=PACED):
    suite(name, arch, 0, precision, batch=batch or count, block=count)
    text = (WORK / f"{name}.toml").read_text()
    before, rest = text.split("[[attack]]")
    attack, after = rest.split("[run]")
    attacks = [attack.replace('name = "a"', f'name = "{word}"').replace("steps = 0", f"steps = {steps}") for word, steps in attacks]
    (WORK / f"{name}.toml").write_text(before + "".join("[[attack]]" + text for text in attacks) + "[run]" + after)


def suite(name, arch, steps, precision="f32", batch=None, block=None, attack=LOGIT, norm="linf", epsilons='["8/255"]', stop="budget"):
    """`block` and `batch` of all images; none leaves both to am-eval."""
    text = SUITE.format(name=name, arch=short(arch), full=arch, attack=attack, norm=norm, epsilons=epsilons, steps=steps, stop=stop, precision=precision,
                        block=f"block = {block}" if block else "", batch=f"batch = {batch}" if batch else "")
    (WORK / f"{name}.toml").write_text(text)


# ---------------------------------------------------------------- data, weights, suites


def prepare():
    from PIL import Image
    from safetensors.torch import save_file

    exact()
    for arch, side, count in MODELS:
        torch.manual_seed(3)
        model = built(arch, side)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, torch.nn.Linear) and not module.weight.any():
                    torch.nn.init.normal_(module.weight, std=0.05)  # torchvision's ViT begins with a head of zeros
            coarse = torch.rand(count, 3, max(side // 16, 2), max(side // 16, 2))
            images = F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1) * 0.8 + 0.2 * torch.rand(count, 3, side, side)
            images = (images * 255).round().to(torch.uint8)
            pixels = images.float().to(DEVICE) / 255
            model.to(DEVICE)
            norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
            for norm in norms:
                norm.momentum = None
                norm.reset_running_stats()
            if norms:
                model.train()(normalized(pixels[:64]))
            model.eval()
            labels = torch.cat([model(normalized(part)).argmax(1) for part in pixels.split(64)]).tolist()
        save_file({name: value.contiguous().clone().cpu() for name, value in model.state_dict().items()}, WORK / f"{short(arch)}.safetensors")
        save_file({"pixels_u8": images}, WORK / f"{short(arch)}-images.safetensors")
        save_file({"pixels_u8": images[:4].clone()}, WORK / f"{short(arch)}-few.safetensors")
        folder = WORK / short(arch)
        folder.mkdir(exist_ok=True)
        with (WORK / f"{short(arch)}.csv").open("w") as table:
            table.write("path,label\n")
            for index, (image, label) in enumerate(zip(images, labels)):
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index:04}.bmp")
                table.write(f"{index:04}.bmp,{label}\n")
        print(f"{arch}: {count} images, {len(set(labels))} classes predicted, commonest {max(map(labels.count, set(labels)))}")
        for precision in ("f32", "tf32", "bf16"):
            suite(f"{short(arch)}-{precision}-{STEPS[0]}", arch, STEPS[0], precision, batch=count, block=count)
            paced(f"{short(arch)}-{precision}-rate", arch, precision, count)
        for steps in STEPS:
            paced(f"{short(arch)}-calls-{steps}", arch, "bf16", count, attacks=(("first", 2), ("counted", steps)))
        for batch in (count // 4, count // 2):
            suite(f"{short(arch)}-batch{batch}", arch, STEPS[1], "auto", batch=batch, block=count)
        suite(f"{short(arch)}-defaults", arch, STEPS[1], "auto")
        suite(f"{short(arch)}-l2", arch, STEPS[0], "bf16", batch=count, block=count, norm="l2", epsilons="[2.0]")
        suite(f"{short(arch)}-flip", arch, STEPS[1], "bf16", batch=count, block=count, stop="flip", epsilons='["0.1/255", "0.25/255", "1/255", "4/255"]')
    vit = MODELS[1]
    layer = "encoder.layers.encoder_layer_10.mlp.0"
    units = f'kind = "unit"\nlayer = "{layer}"\nunits = {{ random = {2 if SMALL else 128} }}'
    suite("oom", vit[0], 2, "auto", batch=vit[2] if SMALL else 8192, block=vit[2] if SMALL else 64, attack=units)
    script()
    cifar()


# ---------------------------------------------------------------- a small network, bound by launches


CIFAR = ("cifar/resnet20", 32, 16 if SMALL else 4096)


def cifar():
    """Images of 32x32 with the labels that am-eval predicts, and suites for the shipped ResNet-20."""
    from PIL import Image
    from safetensors.torch import save_file

    arch, side, count = CIFAR
    torch.manual_seed(4)
    coarse = torch.rand(count, 3, 4, 4)
    images = (F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1) * 255).round().to(torch.uint8)
    save_file({"pixels_u8": images}, WORK / "resnet20-images.safetensors")
    weights = Path("models/cifar10-resnet20.safetensors").resolve()
    (WORK / "resnet20.safetensors").unlink(missing_ok=True)
    (WORK / "resnet20.safetensors").symlink_to(weights)
    folder = WORK / "resnet20"
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index:04}.bmp")
    flags = ["--arch", arch, "--weights", weights, "--mean", ",".join(map(str, MEAN)), "--std", ",".join(map(str, STD))]
    command = [*AM, "predict", *flags, "--images", WORK / "resnet20-images.safetensors", "--out", WORK / "resnet20-predicted.csv", "--device", DEVICE]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        print(f"cifar: am-eval predict ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return
    rows = list(csv.DictReader((WORK / "resnet20-predicted.csv").open()))
    column = next(name for name in rows[0] if "class" in name or "pred" in name)
    with (WORK / "resnet20.csv").open("w") as table:
        table.write("path,label\n")
        for index, row in enumerate(rows):
            table.write(f"{index:04}.bmp,{row[column]}\n")
    for precision in ("f32", "bf16"):
        for batch in sorted({count // 4, count // 2, count}):
            paced(f"resnet20-{precision}-{batch}", arch, precision, count, batch)
    print(f"{arch}: {count} images")


class Block(torch.nn.Module):
    def __init__(self, before, width, stride):
        super().__init__()
        conv = lambda a, b, s: torch.nn.Conv2d(a, b, 3, s, 1, bias=False)
        self.conv1, self.bn1 = conv(before, width, stride), torch.nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 1), torch.nn.BatchNorm2d(width)
        self.stride, self.pad = stride, width - before

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad // 2, self.pad // 2))
        return F.relu(x + y)


def resnet20():
    """He et al. 2016 for CIFAR-10: three stages of three blocks."""
    layers, before = [torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False), torch.nn.BatchNorm2d(16), torch.nn.ReLU()], 16
    for stage, width in enumerate((16, 32, 64)):
        for block in range(3):
            layers.append(Block(before, width, 2 if stage and not block else 1))
            before = width
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 10))


def small():
    """The bare loop of the small network beside am-eval's."""
    from safetensors.torch import load_file

    arch, _, count = CIFAR
    pixels = load_file(WORK / "resnet20-images.safetensors")["pixels_u8"].to(DEVICE).float() / 255
    for name, tf32, nhwc, cast, *_ in [("f32", False, False, None), ("tf32", True, False, None), ("bf16 nhwc", False, True, "bf16")]:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        model = resnet20().eval().requires_grad_(False).to(DEVICE, torch.bfloat16 if cast else torch.float32)
        if nhwc:
            model = model.to(memory_format=torch.channels_last)
        for batch in sorted({count // 4, count // 2, count}):
            x = pixels[:batch]
            if nhwc:
                x = x.to(memory_format=torch.channels_last)
            rate = timed(model, x, cast)[0]
            print(f"small   bare resnet20 {name:10} batch {batch:4}: {rate:9.0f} images x steps/s", flush=True)
    for precision in ("f32", "bf16"):
        for batch in sorted({count // 4, count // 2, count}):
            line(f"resnet20 {precision} batch {batch}", run_of(f"resnet20-{precision}-{batch}"), "small  ")


def timed(model, part, cast):
    """Images x steps a second of the bare loop, and whether it gives the same bits again."""
    y = torch.zeros(len(part), dtype=torch.long, device=DEVICE)
    lower, upper = (part - EPS).clamp_min(0), (part + EPS).clamp_max(1)
    one = bare_loop(model, part, y, 3, cast, lower, upper)
    wait()
    before = time.perf_counter()
    bare_loop(model, part, y, 3, cast, lower, upper)
    wait()
    steps = max(3, min(40, int(1.0 / max((time.perf_counter() - before) / 3, 1e-9))))
    before = time.perf_counter()
    bare_loop(model, part, y, steps, cast, lower, upper)
    wait()
    rate = len(part) * steps / (time.perf_counter() - before)
    again = [bare_loop(model, part, y, 3, cast, lower, upper) for _ in range(2)]
    return rate, all(bool((one == other).all()) for other in again)


def script():
    """Two TorchScript files: a plain one, and one whose trace has put a tensor on the CPU for good."""

    class Placed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 10)

        def forward(self, x):
            y = self.conv(x)
            return self.head((y * torch.arange(y.shape[-1], device=y.device).float().sin()).mean((2, 3)))

    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 10))
    folder = short(MODELS[0][0])
    few = pixels_u8(MODELS[0][0])[:8]
    for name, model in (("plain", plain), ("placed", Placed())):
        traced = torch.jit.trace(model.eval(), normalized(few[:2].float() / 255))
        traced.save(str(WORK / f"{name}.pt"))
        labels = traced(normalized(few.float() / 255)).argmax(1).tolist()
        lines = [f"{index:04}.bmp,{label}\n" for index, label in enumerate(labels)]
        (WORK / f"script-{name}.csv").write_text("path,label\n" + "".join(lines))
        text = SUITE.format(name=f"script-{name}", arch=folder, full="torchscript", attack=LOGIT, norm="linf", epsilons='["8/255"]', steps=2, stop="budget", precision="f32", block="block = 8", batch="")
        text = text.replace(f'"{folder}.safetensors"', f'"{name}.pt"').replace(f'"{folder}.csv"', f'"script-{name}.csv"')
        (WORK / f"script-{name}.toml").write_text(text)


# ---------------------------------------------------------------- parity: logits and input gradients against f64


def parity():
    """am-eval's f32 against PyTorch's f64 on the same device: TF32 would show as 1e-3, f32 is at 1e-5 or below."""
    from safetensors.torch import load_file

    rows = []
    for arch, side, _ in MODELS:
        few = load_file(WORK / f"{short(arch)}-few.safetensors")["pixels_u8"]
        model = loaded(arch, side, torch.float64)
        x = (few.to(DEVICE, torch.float64) / 255).requires_grad_()
        logits = model(normalized(x))
        target = int(logits.argmax(1)[0])
        (gradient,) = torch.autograd.grad(logits[:, target].sum(), x)
        for device in dict.fromkeys((DEVICE, "cpu")):
            out = WORK / f"predict-{device}.safetensors"
            flags = ["--arch", arch, "--weights", WORK / f"{short(arch)}.safetensors", "--mean", ",".join(map(str, MEAN)), "--std", ",".join(map(str, STD))]
            command = [*AM, "predict", *flags, "--images", WORK / f"{short(arch)}-few.safetensors", "--out", out, "--gradient", f"class:{target}", "--device", device]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
            if done.returncode:
                rows.append((arch, device, f"exit {done.returncode}: {done.stderr.strip()[-300:]}"))
                continue
            found = load_file(out)
            error = lambda ours, theirs: ((ours.double() - theirs.detach().cpu()).abs().max() / theirs.abs().max().cpu()).item()
            each = [error(a, b) for a, b in zip(found["gradient"], gradient)]
            rows.append((arch, device, f"logits {error(found['logits'], logits):.1e}, gradients {min(each):.1e} (best image) {max(each):.1e} (worst)"))
    for row in rows:
        print("parity  %-24s am-eval on %-5s against f64: %s" % row)


# ---------------------------------------------------------------- flips of a run, confirmed in PyTorch


def run_of(name, root="runs"):
    found = sorted(glob.glob(str(WORK / root / f"{name}-*" / "manifest.json")))
    return Path(found[-1]).parent if found else None


def confirm():
    from safetensors.torch import load_file

    exact()
    for arch, side, precision in [(arch, side, precision) for arch, side, _ in MODELS for precision in ("f32", "tf32", "bf16")]:
        name = f"{short(arch)}-{precision}-{STEPS[0]}"
        run = run_of(name, "again")
        if run is None:
            continue
        rows = list(csv.DictReader((run / "samples.csv").open()))
        clean = pixels_u8(arch).float() / 255
        checked = flips = wrong = outside = 0
        models = {device: loaded(arch, side, device=device) for device in dict.fromkeys((DEVICE, "cpu"))}
        for path in run.glob("adversarial/*.safetensors"):
            saved = load_file(path)
            told = [rows[index] for index in saved["index"].tolist()]
            predictions = {}
            with torch.no_grad():
                for device, model in models.items():
                    limit = len(told) if device != "cpu" else min(len(told), 32)
                    predictions[device] = torch.cat([model(normalized(part.to(device))).argmax(1).cpu() for part in saved["x"][:limit].split(64)]).tolist()
            for at, row in enumerate(told):
                checked += 1
                delta = (saved["x"][at].double() - clean[int(row["sample_id"][:4])].double()).abs().max().item()
                outside += delta > EPS * (1 + 1e-6) or saved["x"][at].min() < 0 or saved["x"][at].max() > 1
                if row["flipped"] == "true":
                    flips += 1
                    wrong += sum(found[at] != int(row["adv_pred"]) for found in predictions.values() if at < len(found))
        print(f"confirm {name}: {checked} images, {flips} flips, {wrong} not confirmed (GPU, and 32 of them on the CPU), {outside} outside ball or box")


# ---------------------------------------------------------------- quickstart on CPU and CUDA


def table_of(run, name):
    return list(csv.DictReader((run / name).open()))


def quick():
    runs = {name: run_of("quickstart", name) for name in ("q-cpu", "q-cuda", "q-cuda-again")}
    for other in ("q-cuda", "q-cuda-again"):
        if runs["q-cpu"] is None or runs[other] is None:
            print(f"quick   {other}: no run")
            continue
        a, b = (table_of(runs[name], "samples.csv") for name in ("q-cpu", other))
        # Cells of drawn units may differ where the ranking of units does.
        key = lambda row: tuple(row.get(name) for name in ("model", "attack", "kind", "layer", "unit", "epsilon", "sample_id"))
        left, right = ({key(row): row for row in rows} for rows in (a, b))
        both = left.keys() & right.keys()
        differ = sum(left[k]["flipped"] != right[k]["flipped"] for k in both)
        clean = sum(left[k]["clean_pred"] != right[k]["clean_pred"] for k in both)
        flips = [sum(rows[k]["flipped"] == "true" for k in both) for rows in (left, right)]
        print(f"quick   cpu and {other}: {len(both)} of {len(a)} rows in both, flips {flips[0]} and {flips[1]}, {differ} rows differ in the flip, {clean} in the clean prediction")
        d, e = ({(row["model"], row["sample_id"]): row for row in table_of(runs[name], "distances.csv")} for name in ("q-cpu", other))
        ratios = []
        for k in d.keys() & e.keys():
            x, y = float(d[k]["distance"]), float(e[k]["distance"])
            if x > 0 and y > 0 and x != float("inf") and y != float("inf"):
                ratios.append(y / x)
        if ratios:
            near = [sum(abs(ratio - 1) <= bound for ratio in ratios) / len(ratios) for bound in (1e-3, 1e-2, 1e-1)]
            print(f"quick   distances {other}/cpu: median {statistics.median(ratios):.4f}, within 0.1 % {near[0]:.0%}, 1 % {near[1]:.0%}, 10 % {near[2]:.0%} of {len(ratios)}")
    pairs = [("q-cuda", "q-cuda-again", "quickstart")] + [("runs", "again", f"{short(arch)}-{precision}-{STEPS[0]}") for arch, *_ in MODELS for precision in ("f32", "tf32", "bf16")]
    for first, second, name in pairs:
        one, two = run_of(name, first), run_of(name, second)
        if one and two:
            said = [f"{file} {'same bytes' if (one / file).read_bytes() == (two / file).read_bytes() else 'DIFFERS'}" for file in ("samples.csv", "distances.csv") if (one / file).exists()]
            print(f"repeat  {name}: {', '.join(said)}")


# ---------------------------------------------------------------- bare loops


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def bare_loop(model, x, y, steps, cast, lower, upper):
    adversarial = x
    for _ in range(steps):
        a = adversarial.detach().requires_grad_()
        with torch.autocast(DEVICE, torch.bfloat16, enabled=cast == "autocast"):
            z = normalized(a)
            logits = model(z.bfloat16() if cast == "bf16" else z).float()
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, y, reduction="sum"), a)
        adversarial = torch.min(torch.max(adversarial + (2.5 * EPS / 40) * gradient.sign(), lower), upper)
    return adversarial


# name, TF32, channels-last, cast, cudnn.benchmark, deterministic; what may be the fastest first, as time may end
VARIANTS = [
    ("bf16", False, False, "bf16", False, False),
    ("autocast bf16", False, False, "autocast", False, False),
    ("tf32", True, False, None, False, False),
    ("tf32 nhwc", True, True, None, False, False),
    ("bf16 nhwc", False, True, "bf16", False, False),
    ("autocast bf16 nhwc", False, True, "autocast", False, False),
    ("f32", False, False, None, False, False),
    ("bf16 nhwc deterministic", False, True, "bf16", False, True),
    ("bf16 deterministic", False, False, "bf16", False, True),
    ("bf16 nhwc benchmark", False, True, "bf16", True, False),
    ("tf32 deterministic", True, False, None, False, True),
    ("f32 nhwc", False, True, None, False, False),
    ("f32 deterministic", False, False, None, False, True),
]


def bare():
    rates, stop = {}, time.time() + float(os.environ.get("BARE_S", "120"))
    wanted = os.environ.get("PRECISIONS", "").split()
    for name, tf32, nhwc, cast, benchmark, deterministic in VARIANTS:
        if wanted and not any(precision in name.split() for precision in wanted):
            continue
        for arch, side, count in MODELS:
            if "vit" in arch and (benchmark or (nhwc and cast != "bf16")):
                continue  # one convolution: layout and autotuning do not matter
            if "vit" in arch and name == "bf16 nhwc" and (f"{short(arch)}|bf16|{count}") in rates:
                continue
            if time.time() > stop:
                print("bare    out of time")
                break
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            torch.backends.cudnn.benchmark = benchmark
            torch.use_deterministic_algorithms(deterministic)
            torch.utils.deterministic.fill_uninitialized_memory = False  # or else every new tensor is filled
            model = loaded(arch, side, torch.bfloat16 if cast == "bf16" else torch.float32)
            x = pixels_u8(arch).to(DEVICE).float() / 255
            if nhwc:
                model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
            for batch in [count]:
                part = x[:batch]
                try:
                    rate, same = timed(model, part, cast)
                except RuntimeError as error:
                    print(f"bare    {arch} {name} batch {batch}: {str(error).splitlines()[0][:200]}")
                    continue
                peak = torch.cuda.max_memory_allocated() / 2**30 if DEVICE == "cuda" else 0
                rates[f"{short(arch)}|{name}|{batch}"] = rate
                print(f"bare    {short(arch):10} {name:24} batch {batch:4}: {rate:8.0f} images x steps/s, {'same bits' if same else 'OTHER BITS'} when repeated, peak {peak:.1f} GiB", flush=True)
            if DEVICE == "cuda":
                torch.cuda.reset_peak_memory_stats()
    (WORK / "bare.json").write_text(json.dumps(rates, indent=1))


def layouts():
    """Which layout is the faster one in bf16, for convolutional networks of several kinds."""
    import torchvision

    names = ["resnet18"] if SMALL else ["resnet18", "resnext50_32x4d", "vgg11_bn", "densenet121", "mobilenet_v2", "convnext_tiny", "squeezenet1_0"]
    side, count = (64, 4) if SMALL else (224, 128)
    for name in names:
        rates = {}
        for layout in ("contiguous", "channels-last"):
            torch.manual_seed(5)
            model = torchvision.models.get_model(name).eval().requires_grad_(False).to(DEVICE, torch.bfloat16)
            x = torch.rand(count, 3, side, side, device=DEVICE)
            if layout == "channels-last":
                model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
            rates[layout] = timed(model, x, "bf16")[0]
        print(f"layouts {name:16} bf16 batch {count}: " + ", ".join(f"{layout} {rate:.0f}" for layout, rate in rates.items()) + " images x steps/s", flush=True)


# ---------------------------------------------------------------- am-eval's rates


def work_of(run):
    rows = table_of(run, "summary.csv")
    return sum(int(row["backwards"]) for row in rows), sum(int(row["forwards"]) for row in rows), json.loads((run / "manifest.json").read_text())


def blocks_of(run):
    """The headers of a run's blocks, by attack."""
    headers = [json.loads(path.open("rb").readline()) for path in (run / "blocks").iterdir() if path.is_file()]
    return {word: header for word, _ in PACED for header in headers if f"-{word}-" in header["key"]}


def line(title, run, mark, others=()):
    """The rate of a step from two attacks of one run that differ in the number of steps, and what a block costs apart from them."""
    blocks = blocks_of(run) if run else {}
    if not {"few", "many"} <= blocks.keys():
        print(f"{mark} {title}: a run is missing")
        return
    (b1, t1), (b2, t2) = ((blocks[word]["backwards"], blocks[word]["seconds"]) for word in ("few", "many"))
    each = (b2 - b1) / max(t2 - t1, 1e-9)
    manifest = json.loads((run / "manifest.json").read_text())
    text = f"{mark} {title} ({manifest['models'][0]['search']}): {each:8.0f} images x steps/s; a whole attack of {STEPS[1]} steps {t2:.2f} s, {t2 / (b2 / each):.3f} of its steps"
    for label, theirs in others:
        if theirs:
            text += f"; {each / theirs:.2f} of {label} ({theirs:.0f})"
    print(text)


def table():
    bare_rates = json.loads((WORK / "bare.json").read_text()) if (WORK / "bare.json").exists() else {}
    best = lambda arch, batch, names: max((bare_rates.get(f"{short(arch)}|{name}|{batch}", 0) for name in names), default=0)
    same = {"f32": ["f32", "f32 nhwc"], "tf32": ["tf32", "tf32 nhwc"], "bf16": [name for name, *_ in VARIANTS if "bf16" in name]}
    for arch, _, count in MODELS:
        for precision in ("f32", "tf32", "bf16"):
            others = [(label, best(arch, count, names)) for label, names in (("the best bare loop of this precision", same[precision]), ("the best bare loop", [name for name, *_ in VARIANTS]))]
            line(f"{short(arch):10} {precision:4} batch {count}", run_of(f"{short(arch)}-{precision}-rate"), "rate   ", others)
        for name in ("defaults", f"batch{count // 4}", f"batch{count // 2}", "l2", "flip"):
            run = run_of(f"{short(arch)}-{name}")
            if run:
                backwards, forwards, manifest = work_of(run)
                print(f"rate    {short(arch):10} {name:8}: {backwards} steps and {forwards} passes in {manifest['seconds']:.2f} s: {backwards / manifest['seconds']:8.0f} images x steps/s, all told; device {manifest['device']}")


{"prepare": prepare, "parity": parity, "confirm": confirm, "quick": quick, "bare": bare, "layouts": layouts, "small": small, "table": table}[sys.argv[1]]()
