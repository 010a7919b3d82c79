"""Times of graph files beside the native network and PyTorch's own: loading, forward and backward passes, memory.

    OMP_NUM_THREADS=1 python3 scripts/graph_times.py --am-eval target/release/am-eval [torchvision/resnet50 torchvision/vit_b_16]

For each network the same random weights as safetensors and as `.pt2`. Native (where am-eval has the architecture), file and eager take
turns, on as many images as asked for and on three times as many, in batches of 16: half the difference counts, so that neither start nor
warming up does. Times are seconds of processor time, of forward
and backward passes for a class logit or with `--forward` of forward passes alone; the medians of the rounds' ratios are reported, and the
ratios of each side's least time, which other programs on the machine disturb least. Loading is by the clock; memory is the process's
largest.
"""

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
import torch
from check_graphs import uninitialized
from check_parity import MEAN, STD, draw, images_of, normalized
from export import built, exported
from safetensors.torch import save_file

# Of am-eval's predictions.
BATCH = 16


def predicted(binary, arch, weights, pictures, out, objective):
    """Seconds of loading, of processor time in all, and MB."""
    mean, std = (",".join(map(str, values)) for values in (MEAN, STD))
    command = [binary, "predict", "--device", "cpu", "--arch", arch, "--weights", weights, "--mean", mean, "--std", std]
    command += ["--images", pictures, "--out", out] + (["--gradient", objective] if objective else [])
    before, most = os.times(), 0
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(list(map(str, command)), stdout=said, stderr=said)
        while (status := child.poll()) is None:
            # The system's own figure would count this process, whose copy the child began as.
            with contextlib.suppress(OSError):
                peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{child.pid}/status").read_text())
                most = max(most, int(peak[1]) if peak else 0)
            time.sleep(0.02)
        said.seek(0)
        text = said.read().decode()
    if status:
        raise RuntimeError(text)
    load = float(re.search(r"([\d.]+) s to load", text)[1])
    after = os.times()
    return load, after.children_user + after.children_system - before.children_user - before.children_system, most / 1024


def eager(model, pixels_u8, forward):
    began = time.process_time()
    for part in pixels_u8.split(BATCH):
        pixels = part.float() / 255
        if forward:
            with torch.no_grad():
                model(normalized(pixels))
        else:
            pixels.requires_grad_()
            torch.autograd.grad(model(normalized(pixels))[:, 0].sum(), pixels)
    return time.process_time() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["torchvision/resnet50", "torchvision/vit_b_16"])
    parser.add_argument("--am-eval", default="am-eval", metavar="BINARY")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=BATCH, metavar="N")
    parser.add_argument("--side", type=int, help="of the images; without it the network's usual one")
    parser.add_argument("--unit", metavar="OBJECTIVE", help="also the share of a pass for a unit's gradient (unit:layer1.0.conv1:0)")
    parser.add_argument("--forward", action="store_true", help="forward passes alone")
    options = parser.parse_args()
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            print(measured(name, Path(folder), options), flush=True)


def native(binary):
    """The architectures that am-eval has itself."""
    listed = subprocess.run([binary, "models"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^\s*(\S+/\S+)", listed, re.M))


def measured(name, folder, options):
    """A network's figures as a line."""
    with uninitialized():
        model, side = built(name, None)
    side = options.side or side
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    draw(model, normalized(images_of(2, 3, [side, side], 0) / 255), 0)
    weights, file, out = (folder / name for name in ("w.safetensors", "m.pt2", "o.safetensors"))
    save_file({key: value.contiguous().clone() for key, value in model.state_dict().items()}, weights)
    exported(model, torch.rand(2, 3, side, side), file, "pt2")
    pictures = [images_of(count * options.images, 3, [side, side], 1) for count in (1, 3)]
    paths = [folder / f"{len(pixels)}.safetensors" for pixels in pictures]
    for pixels, path in zip(pictures, paths):
        save_file({"pixels_u8": pixels}, path)
    eager(model, pictures[0], options.forward)
    sides = {"file": ("exported", file)} | ({"native": (name, weights)} if name in native(options.am_eval) else {})
    objective = None if options.forward else "class:0"
    rounds = []
    for _ in range(options.rounds):
        figures = {}
        for key, (arch, source) in sides.items():
            few, many = (predicted(options.am_eval, arch, source, path, out, objective) for path in paths)
            figures |= {key: (many[1] - few[1]) / 2, f"loading {key}": few[0], f"memory {key}": many[2]}
        few, many = (eager(model, pixels, options.forward) for pixels in pictures)
        figures["eager"] = (many - few) / 2
        if options.unit:
            few, many = (predicted(options.am_eval, "exported", file, path, out, options.unit) for path in paths)
            figures["unit"] = (many[1] - few[1]) / 2 / figures["file"]
        rounds.append(figures | {f"of {key}": figures["file"] / figures[key] for key in ("eager", "native") if key in figures})
    median = {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}
    least = {key: min(figures[key] for figures in rounds) for key in rounds[0]}
    median |= {f"least {key}": least["file"] / least[key] for key in ("eager", "native") if key in least}
    unit = f"; {options.unit} takes {median['unit']:.2f} of it" if options.unit else ""
    own = lambda text: text.format(**{key.replace(" ", "_"): value for key, value in median.items()}) if "native" in median else ""
    return (
        f"{name}, {file.stat().st_size / 1e6:.0f} MB, {options.images} images of {side}, "
        f"{'forward' if options.forward else 'forward and backward'}: file {median['file']:.2f} s, eager {median['eager']:.2f}"
        f"{own(', native {native:.2f}')}: {median['of eager']:.3f} of eager{own(', {of_native:.3f} of native')} in the median of "
        f"{options.rounds} rounds, {median['least eager']:.3f} of eager{own(', {least_native:.3f} of native')} by the least times{unit}; loading {median['loading file']:.2f} s"
        f"{own(', native {loading_native:.2f}')}; memory {median['memory file']:.0f} MB{own(', native {memory_native:.0f} MB')}"
    )


if __name__ == "__main__":
    main()
