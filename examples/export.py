"""Writes a PyTorch classifier as a file that am-eval runs (torch.export's .pt2, or ONNX), and checks am-eval's answers against PyTorch's.

    pip install torch torchvision timm transformers safetensors numpy      # onnx onnxscript for --format onnx
    python3 examples/export.py torchvision/resnet50 --weights DEFAULT --out models/resnet50.pt2
    python3 examples/export.py timm/mobilenetv4_conv_small --weights DEFAULT --out models/mobilenetv4.pt2 --am-eval target/release/am-eval
    python3 examples/export.py hf/google/vit-base-patch16-224 --weights DEFAULT --out models/vit.onnx --format onnx
    python3 examples/export.py my_package.my_module:make_model --out models/mine.pt2
    python3 examples/export.py --am-eval target/release/am-eval torchvision/alexnet 'timm/convmixer_768_32' hf/vit

A name is `torchvision/NAME`, `timm/NAME`, `hf/MODEL` or `module:function`, where the function takes nothing and returns a module from
normalized pixels [N, C, H, W] to logits [N, classes]. Without `--weights` the network has random ones (see check_parity.py); `hf/vit` is
then the model type of that name in its usual size. `--weights` is DEFAULT for the published ones, or a file with a state dict.

With `--am-eval` the file is evaluated on random images, and a line tells the errors, each max |ours - theirs| / max |theirs|: of the
logits, of the activations of modules spread evenly over the network, and of the gradients with respect to the pixels of a class logit
and of a unit in the middle, for the best and the worst image (a network with ReLUs has kinks: an input within rounding of one takes
another side in either program, and with it goes a part of that image's gradient). With `--table` the lines are those of a Markdown table.
The exit code is 1 if anything differs by more than `--tolerance`.
"""

import argparse
import importlib
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from check_parity import KINKS, MEAN, STD, am_eval, draw, error, images_of, normalized, spread
from safetensors.torch import load_file, save_file
from torch import nn

warnings.filterwarnings("ignore")


class Logits(nn.Module):
    """A Hugging Face model that returns its logits alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixels):
        return self.model(pixels).logits


def built(name, weights):
    """The network and the side of its images."""
    library, _, rest = name.partition("/")
    default = weights == "DEFAULT"
    if library == "torchvision":
        models = importlib.import_module("torchvision").models
        extra = {"init_weights": False} if rest in ("googlenet", "inception_v3") and not default else {}
        model = models.get_model(rest, weights="DEFAULT" if default else None, **extra)
        side = models.get_model_weights(rest).DEFAULT.transforms().crop_size[0]
    elif library == "timm":
        timm = importlib.import_module("timm")
        model = timm.create_model(rest, pretrained=default)
        side = model.pretrained_cfg.get("input_size", (3, 224, 224))[-1]
    elif library == "hf":
        hub = importlib.import_module("transformers")
        loader = hub.AutoModelForImageClassification
        model = loader.from_pretrained(rest) if default else loader.from_config(hub.AutoConfig.for_model(rest))
        config = getattr(model.config, "vision_config", model.config)
        side = getattr(config, "image_size", 224)
        side = side[0] if isinstance(side, (list, tuple)) else side
    else:
        module, _, function = name.partition(":")
        sys.path.insert(0, "")
        model, side = getattr(importlib.import_module(module), function)(), None
    return model, side


def exported(model, pixels, path, form):
    """Writes the network for any number of images."""
    if form == "onnx":
        model = Logits(model) if hasattr(model, "config") and hasattr(model.config, "model_type") else model
        torch.onnx.export(model, (pixels,), path, dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False)
        return
    program = torch.export.export(model, (pixels,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path)


def look(model, x, layers):
    """Logits, and the outputs of modules by name: of their first call."""
    seen, hooks = {}, []
    for name, module in model.named_modules():
        if name in layers:
            def keep(_, __, output, name=name):
                output = output[0] if isinstance(output, tuple) else output
                seen.setdefault(name, output.clone() if isinstance(output, torch.Tensor) else None)

            hooks.append(module.register_forward_hook(keep))
    output = model(x)
    for hook in hooks:
        hook.remove()
    return getattr(output, "logits", output), seen


def as_shown(activation, shape):
    """An activation with its channels where am-eval shows them."""
    if activation.dim() == 4 and list(activation.shape[1:]) != shape:
        return activation.permute(0, 3, 1, 2)
    return activation


def compared(binary, path, form, model, side, options, folder):
    """The errors, and whether the network has kinks."""
    pictures, out = folder / "images.safetensors", folder / "out.safetensors"
    pixels_u8 = images_of(options.images, 3, [side, side], options.seed + 1)
    save_file({"pixels_u8": pixels_u8}, pictures)
    arch = "onnx" if form == "onnx" else "exported"
    listed = json.loads(am_eval(binary, "layers", path, "--size", f"{side}x{side}", "--json"))
    modules = {name: type(module).__name__ for name, module in model.named_modules()}
    listed = [layer for layer in listed if modules.get(layer["name"]) == layer["kind"]]
    shapes = {layer["name"]: layer["shape"] for layer in listed}
    tapped = [layer["name"] for layer in spread(listed, options.layers)] if listed else []
    pixels = (pixels_u8.float() / 255).requires_grad_()
    logits, seen = look(model, normalized(pixels), tapped)
    tapped = [layer for layer in tapped if seen.get(layer) is not None]
    largest = logits.amin(0).argmax().item()
    objectives = [(f"class:{largest}", logits[:, largest])]
    middle = [layer for layer in tapped if len(shapes[layer]) == 3][:] or tapped
    if middle:
        layer = middle[len(middle) // 2]
        values = as_shown(seen[layer], shapes[layer])
        unit = values.shape[1 if values.dim() == 4 else -1] // 3
        values = values[:, unit] if values.dim() == 4 else values[..., unit]
        if values.dim() != 2 or len(shapes[layer]) == 3:
            objectives.append((f"unit:{layer}:{unit}", values.flatten(1).mean(1)))
    mean, std = (",".join(map(str, values)) for values in (MEAN, STD))
    predict = ["predict", "--arch", arch, "--weights", path, "--mean", mean, "--std", std, "--images", pictures, "--out", out]
    gradients, said = [], None
    for objective, value in objectives:
        taps = [] if said else [argument for layer in tapped for argument in ("--tap", layer)]
        am_eval(binary, *predict, *taps, "--gradient", objective)
        found = load_file(out)
        said = said or found
        theirs = torch.autograd.grad(value.sum(), pixels, retain_graph=True)[0]
        errors = sorted(error(*pair) for pair in zip(found["gradient"], theirs))
        gradients.append((errors[0], errors[-1]))
    activations = {layer: error(said[f"activation.{layer}"], seen[layer].detach()) for layer in tapped}
    kinks = any(isinstance(module, KINKS) for module in model.modules())
    return error(said["logits"], logits.detach()), activations, gradients, kinks


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="networks")
    parser.add_argument("--weights", help="DEFAULT for the published ones, or a file with a state dict; random ones otherwise")
    parser.add_argument("--out", type=Path, help="the file; a temporary one otherwise")
    parser.add_argument("--format", choices=["pt2", "onnx"], default="pt2")
    parser.add_argument("--size", type=int, help="side of the images; the network's own otherwise")
    parser.add_argument("--am-eval", metavar="BINARY", help="check the answers of this program")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--layers", type=int, default=10, help="activations to compare")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="print rows of a Markdown table")
    return parser.parse_args()


def main():
    options, wrong = arguments(), 0
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            path = options.out or Path(folder) / f"model.{options.format}"
            try:
                model, side = built(name, options.weights)
                side = options.size or side or 224
                if not options.weights:
                    draw(model, normalized(images_of(4, 3, [side, side], options.seed) / 255), options.seed)
                elif options.weights != "DEFAULT":
                    model.load_state_dict(torch.load(options.weights, weights_only=True))
                model.eval()
                began = time.monotonic()
                exported(model, torch.rand(2, 3, side, side), path, options.format)
                size = path.stat().st_size / 1e6
                if not options.am_eval:
                    print(f"wrote {path} ({size:.0f} MB, images {side}x{side}, {time.monotonic() - began:.0f} s)", flush=True)
                    continue
                logits, activations, gradients, kinks = compared(
                    options.am_eval, path, options.format, model, side, options, Path(folder)
                )
            except Exception as failure:  # of any library, for any network
                wrong += 1
                text = " ".join(f"{type(failure).__name__}: {failure}".split())[:400]
                print(f"| `{name}` | {text} |" if options.table else f"{name}  FAILED: {text}", flush=True)
                continue
        worst = max(activations, key=activations.get, default=None)
        activation = activations.get(worst, float("nan"))
        good = logits <= options.tolerance and not activation > options.tolerance
        good &= all(pair[0 if kinks else 1] <= 10 * options.tolerance for pair in gradients)
        wrong += not good
        cells = [f"{logits:.1e}", f"{activation:.1e}"] + [f"{best:.1e} to {last:.1e}" for best, last in gradients]
        cells += [""] * (4 - len(cells))
        if options.table:
            print(f"| `{name}` | {side} | " + " | ".join(cells) + " |", flush=True)
        else:
            print(f"{name:45} {side:4}  " + "  ".join(cells) + ("" if good else f"  DIFFERS, worst layer {worst}"), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
