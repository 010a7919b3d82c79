"""A network's forward and backward pass against PyTorch's own eager one, in the same layout of memory.

    pip install torch==2.11.0 torchvision timm
    python3 benches/eager.py torchvision/resnet50 torchvision/squeezenet1_0

The pass is that of an attack: the gradient of the sum of the largest logits with respect to the pixels. The two sides are processes
that take turns, one pass each, so that other work slows both alike, and count processor seconds. The ratio is that of the smallest
times; at most 1.05 is what am-eval promises. The exit code is 1 if a network takes more.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

CARGO = "cargo bench --quiet --locked --bench pass --"


def eager(torch, arch, images, layout):
    """PyTorch's pass, as a function that returns its processor seconds."""
    library, name = arch.split("/")
    if library == "timm":
        import timm

        model = timm.create_model(name)
        side = model.default_cfg["input_size"][-1]
    else:
        import torchvision

        model, side = torchvision.models.get_model(name), 224
    form = {"memory_format": torch.channels_last} if layout == "channels-last" else {}
    model = model.eval().requires_grad_(False).to(**form)
    mean, std = (torch.full([1, 3, 1, 1], value) for value in (0.5, 0.25))
    pixels = torch.rand(images, 3, side, side).to(**form)

    def one():
        before = time.process_time()
        x = pixels.detach().requires_grad_()
        score = model((x - mean) / std).amax(1).sum()
        torch.autograd.grad(score, x)
        return time.process_time() - before

    return one


def ours(command, arch, images, layout):
    """The same of am-eval, in a process that waits for a line."""
    child = subprocess.Popen([*command.split(), arch, str(images), layout], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if child.stdout.readline().strip() != "ready":
        sys.exit(f"`{command}` did not get ready for {arch}")

    def one():
        child.stdin.write("\n")
        child.stdin.flush()
        return float(child.stdout.readline())

    return child, one


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="architectures of torchvision and timm, as `am-eval models` lists them")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--layouts", nargs="+", default=["contiguous", "channels-last"])
    parser.add_argument("--threads", type=int, default=1, help="of each side")
    parser.add_argument("--command", default=CARGO, help=f"what starts am-eval's side [{CARGO}]")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before torch is imported; the child inherits it
    import torch

    torch.set_num_threads(options.threads)
    slow = 0
    for arch in options.names:
        for layout in options.layouts:
            theirs = eager(torch, arch, options.images, layout)
            child, own = ours(options.command, arch, options.images, layout)
            for _ in range(2):
                theirs(), own()
            pairs = [(own(), theirs()) for _ in range(options.rounds)]
            child.stdin.close()
            child.wait()
            best, best_theirs = (min(times) for times in zip(*pairs))
            paired = statistics.median(a / b for a, b in pairs)
            ratio = best / best_theirs
            slow += ratio > 1.05
            print(f"{arch}, {layout}: {ratio:.3f} times PyTorch's ({best:.3f} to {best_theirs:.3f} s; median of pairs {paired:.3f})", flush=True)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
