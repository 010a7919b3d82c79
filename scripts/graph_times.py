"""Times of graph files beside the native network and PyTorch's own: loading, forward and backward passes, memory.

    OMP_NUM_THREADS=1 python3 scripts/graph_times.py --am-eval target/release/am-eval [torchvision/resnet50 torchvision/vit_b_16]

For each network the same random weights as safetensors and as `.pt2`; native, file and eager take turns, and the least of each counts.
Seconds are of forward and backward passes for a class logit; memory is the process's largest.
"""

import argparse
import contextlib
import re
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


def predicted(binary, arch, weights, pictures, out):
    """Seconds of loading and of computing, and MB."""
    mean, std = (",".join(map(str, values)) for values in (MEAN, STD))
    command = [binary, "predict", "--device", "cpu", "--arch", arch, "--weights", weights, "--mean", mean, "--std", std]
    command += ["--images", pictures, "--out", out, "--gradient", "class:0"]
    with tempfile.TemporaryFile() as said:
        child, most = subprocess.Popen(list(map(str, command)), stdout=said, stderr=said), 0
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
    load, passes = map(float, re.search(r"([\d.]+) s to load, ([\d.]+) s to compute", text).groups())
    return load, passes, most / 1024


def eager(model, pixels_u8):
    began = time.perf_counter()
    pixels = (pixels_u8.float() / 255).requires_grad_()
    torch.autograd.grad(model(normalized(pixels))[:, 0].sum(), pixels)
    return time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["torchvision/resnet50", "torchvision/vit_b_16"])
    parser.add_argument("--am-eval", default="am-eval", metavar="BINARY")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            with uninitialized():
                model, side = built(name, None)
            for parameter in model.parameters():
                parameter.requires_grad_(False)
            draw(model, normalized(images_of(2, 3, [side, side], 0) / 255), 0)
            weights, file, pictures, out = (folder / name for name in ("w.safetensors", "m.pt2", "u8.safetensors", "o.safetensors"))
            save_file({key: value.contiguous().clone() for key, value in model.state_dict().items()}, weights)
            exported(model, torch.rand(2, 3, side, side), file, "pt2")
            pixels_u8 = images_of(options.images, 3, [side, side], 1)
            save_file({"pixels_u8": pixels_u8}, pictures)
            eager(model, pixels_u8)
            rounds = []
            for _ in range(options.rounds):
                native = predicted(options.am_eval, name, weights, pictures, out)
                graph = predicted(options.am_eval, "exported", file, pictures, out)
                rounds.append([*native, *graph, eager(model, pixels_u8)])
            load_n, pass_n, mb_n, load_g, pass_g, mb_g, pass_e = (min(column) for column in zip(*rounds))
            print(f"{name}, {file.stat().st_size / 1e6:.0f} MB, {options.images} images: loading {load_g:.2f} s (native {load_n:.2f}); passes "
                  f"{pass_g:.3f} s, native {pass_n:.3f}, eager {pass_e:.3f}: {pass_g / pass_n:.3f} of native, {pass_g / pass_e:.3f} of eager; "
                  f"memory {mb_g:.0f} MB, native {mb_n:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
