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
another side in either program, and with it goes a part of that image's gradient). check_graphs.py does this for many networks. The exit code is 1 if anything differs by more than `--tolerance`.
"""

import argparse
import copy
import importlib
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from check_parity import KINKS, MEAN, NEAR, STD, am_eval, draw, error, images_of, normalized, spread
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


def built(name, weights, **settings):
    """The network and the side of its images; `settings` go to timm's and torchvision's functions, or into the configuration of `hf/`."""
    library, _, rest = name.partition("/")
    default = weights == "DEFAULT"
    if library == "torchvision":
        models = importlib.import_module("torchvision").models
        extra = {"init_weights": False} if rest in ("googlenet", "inception_v3") and not default else {}
        model = models.get_model(rest, weights="DEFAULT" if default else None, **extra, **settings)
        side = models.get_model_weights(rest).DEFAULT.transforms().crop_size[0]
    elif library == "timm":
        model = importlib.import_module("timm").create_model(rest, pretrained=default, **settings)
        side = settings.get("img_size", model.pretrained_cfg.get("input_size", (3, 224, 224))[-1])
    elif library == "hf":
        hub = importlib.import_module("transformers")
        loader = hub.AutoModelForImageClassification
        model = loader.from_pretrained(rest) if default else loader.from_config(configuration(hub, rest, settings))
        config = getattr(model.config, "vision_config", model.config)
        side = getattr(config, "image_size", 224)
        side = side[0] if isinstance(side, (list, tuple)) else side
    else:
        module, _, function = name.partition(":")
        sys.path.insert(0, "")
        model, side = getattr(importlib.import_module(module), function)(), None
    return model, side


def configuration(hub, kind, settings):
    """The usual configuration of a type of models, with `settings` in it and in the parts that have them."""
    whole = hub.AutoConfig.for_model(kind)
    whole.architectures = whole.architectures or []  # some versions look for one in the list
    parts = [getattr(whole, part, None) for part in ("vision_config", "text_config", "backbone_config")]
    for config in [whole, *filter(None, parts)]:
        for key, value in settings.items():
            if config is whole or hasattr(config, key):
                setattr(config, key, value)
    return whole


def structured(model):
    """Whether the network is one of Hugging Face's, which return structures."""
    return hasattr(model, "config") and hasattr(model.config, "model_type")


def traced(model, pixels):
    """The program of the network, for any number of images."""
    return torch.export.export(model, (pixels,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def exported(model, pixels, path, form, program=None):
    """Writes the network for any number of images: `pt2` as exported, `core` in core ATen operators, or `onnx`."""
    if form == "onnx":
        model = Logits(model) if structured(model) else program or model
        batch = {} if isinstance(model, torch.export.ExportedProgram) else {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
        torch.onnx.export(model, (pixels,), path, dynamo=True, verbose=False, **batch)
        return
    program = program or traced(model, pixels)
    torch.export.save(program.run_decompositions() if form == "core" else program, path)


def tensors(output):
    """The tensors of a module's output, which may be a structure."""
    if isinstance(output, torch.Tensor):
        return [output]
    parts = output.values() if isinstance(output, dict) else output if isinstance(output, (list, tuple)) else []
    return [tensor for part in parts for tensor in tensors(part)]


def look(model, x, layers=None):
    """Logits, and by name what modules give out, a list of tensors: of all modules, or of `layers`. The second call of `relu` is `relu_1`.
    A module that several others share has a name for each way that leads to it, as in programs of torch.export."""
    names, around, calls, seen, hooks = {}, [""], {}, {}, []
    for name, module in model.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)

    def enter(module, _):
        inside = [name for name in names[module] if not around[-1] or name.startswith(f"{around[-1]}.")]
        around.append(min(inside or names[module], key=lambda name: name.count(".")))

    def leave(_, __, output):
        path = around.pop()
        place = calls[path] = calls.get(path, -1) + 1
        name = f"{path}_{place}" if place else path
        if name and name not in seen and (layers is None or name in layers):
            seen[name] = [tensor.clone() for tensor in tensors(output)]  # copies, as the next module may work in place

    for module in names:
        hooks += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    output = model(x)
    for hook in hooks:
        hook.remove()
    return getattr(output, "logits", output), seen


def closest(ours, theirs):
    """The error of an activation. Of a module with several outputs am-eval shows one: that which the program makes last."""
    fitting = [tensor for tensor in theirs if tensor.shape == ours.shape] or theirs[:1]
    return min(error(ours, tensor.detach()) for tensor in fitting)


def as_shown(activation, shape):
    """An activation with its channels where am-eval shows them."""
    if activation.dim() == 4 and list(activation.shape[1:]) != shape:
        return activation.permute(0, 3, 1, 2)
    return activation


class Reference:
    """What PyTorch says of some images: logits, the outputs of modules, and gradients with respect to pixels in [0, 1]."""

    def __init__(self, model, pixels_u8, layers=None):
        self.model, self.pixels_u8 = model, pixels_u8
        self.pixels = (pixels_u8.float() / 255).requires_grad_()
        self.logits, self.seen = look(model, normalized(self.pixels), layers)
        modules = dict(model.named_modules(remove_duplicate=False))
        self.classes = {name: type(modules.get(name) or modules[name.rpartition("_")[0]]).__name__ for name in self.seen}
        self.kinks = any(isinstance(module, KINKS) for module in model.modules())

    def gradient(self, value):
        return torch.autograd.grad(value.sum(), self.pixels, retain_graph=True)[0]

    def rounding(self, layer):
        """The errors of PyTorch's own f32 against its f64: of the logits, of a module's output, and of the gradient of a class, the
        image with the largest."""
        model, pixels = copy.deepcopy(self.model).double(), self.pixels.detach().double().requires_grad_()
        logits, seen = look(model, normalized(pixels), {layer})
        largest = self.logits.amin(0).argmax().item()
        exact = torch.autograd.grad(logits[:, largest].sum(), pixels)[0]
        gradient = max(error(*pair) for pair in zip(self.gradient(self.logits[:, largest]).double(), exact))
        pairs = zip(self.seen.get(layer, []), seen.get(layer, []))
        activation = max((error(ours.detach().double(), theirs.detach()) for ours, theirs in pairs), default=0.0)
        return {"logits": error(self.logits.detach().double(), logits.detach()), "activation": activation, "gradient": gradient}


def unit_of(seen, listed, tapped):
    """An objective on a unit in the middle of the network, and its value for each image; none without a layer that has units."""
    shapes = {layer["name"]: layer["shape"] for layer in listed}
    plain = [layer for layer in tapped if len(seen[layer]) == 1]
    middle = [layer for layer in plain if len(shapes[layer]) == 3] or [layer for layer in plain if len(shapes[layer]) == 1]
    for layer in sorted(middle, key=lambda layer: abs(middle.index(layer) - len(middle) // 2)):
        values = as_shown(seen[layer][0], shapes[layer])
        unit = values.shape[1] // 3
        value = values[:, unit].flatten(1).mean(1) if values.dim() == 4 else values[:, unit]
        # The mean of attention weights is the same for all images, and its gradient zero but for rounding.
        if value.detach().std() > 1e-4 * value.detach().abs().max():
            return f"unit:{layer}:{unit}", value
    return None


def compared(binary, path, form, reference, options, folder):
    """The errors of am-eval's answers for the file."""
    pictures, out = folder / "images.safetensors", folder / "out.safetensors"
    save_file({"pixels_u8": reference.pixels_u8}, pictures)
    side, inside = reference.pixels_u8.shape[-1], "model." if form == "onnx" and structured(reference.model) else ""
    listed = json.loads(am_eval(binary, "layers", path, "--size", f"{side}x{side}", "--json"))
    seen = {f"{inside}{name}": value for name, value in reference.seen.items() if value}
    ours = [layer for layer in listed if layer["name"] in seen]
    ours = [layer for layer in ours if reference.classes[layer["name"].removeprefix(inside)] == layer["kind"]]
    tapped = [layer["name"] for layer in spread(ours, options.layers)]
    mean, std = (",".join(map(str, values)) for values in (MEAN, STD))
    predict = ["predict", "--device", "cpu", "--arch", "onnx" if form == "onnx" else "exported", "--weights", path]
    predict += ["--mean", mean, "--std", std, "--images", pictures, "--out", out]
    largest = reference.logits.amin(0).argmax().item()
    objectives = [(f"class:{largest}", reference.logits[:, largest])]
    objectives += [found for found in [unit_of(seen, ours, tapped)] if found]
    found, gradients = {}, []
    for objective, value in objectives:
        taps = [] if gradients else [argument for layer in tapped for argument in ("--tap", layer)]
        am_eval(binary, *predict, *taps, "--gradient", objective)
        answers = load_file(out)
        errors = sorted(error(*pair) for pair in zip(answers["gradient"], reference.gradient(value)))
        gradients.append((errors[0], errors[-1]))
        if objective.startswith("class"):
            found["logits"] = error(answers["logits"], reference.logits.detach())
            activations = {layer: closest(answers[f"activation.{layer}"], seen[layer]) for layer in tapped}
    worst = max(activations, key=activations.get, default=None)
    found |= {"activation": activations.get(worst), "worst": worst, "compared": len(tapped), "layers": len(listed)}
    return found | {"form": form, "gradients": gradients, "kinks": reference.kinks}


def agrees(found, tolerance):
    """Whether all errors are within bounds. Of a network with kinks one image has to be exact."""
    good = found["logits"] <= tolerance and not (found["activation"] or 0) > tolerance
    return good and all(near(pair, 10 * tolerance, found) for pair in found["gradients"])


def near(pair, bound, found):
    """Whether the errors of the best and the worst image's gradient are within bounds. An ONNX file has batch normalization folded into
    the weights, and other rounding makes a deep network with kinks take another side somewhere in every image."""
    if found["kinks"]:
        return pair[0] <= (max(bound, NEAR) if found.get("form") == "onnx" else bound)
    return pair[1] <= bound


def rounds(found, own, tolerance):
    """Whether no error is larger than four times PyTorch's own (see Reference.rounding)."""
    bound = {key: 4 * max(tolerance, value) for key, value in own.items()}
    good = found["logits"] <= bound["logits"] and (found["activation"] or 0) <= bound["activation"]
    return good and all(near(pair, 10 * bound["gradient"], found) for pair in found["gradients"])


def cells(found):
    """The errors as words."""
    activation = "" if found["activation"] is None else f"{found['activation']:.1e}"
    row = [f"{found['logits']:.1e}", activation] + [f"{best:.1e} to {last:.1e}" for best, last in found["gradients"]]
    return row + [""] * (4 - len(row))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="networks")
    parser.add_argument("--weights", help="DEFAULT for the published ones, or a file with a state dict; random ones otherwise")
    parser.add_argument("--out", type=Path, help="the file; a temporary one otherwise")
    parser.add_argument("--format", choices=["pt2", "core", "onnx"], default="pt2", help="core: a .pt2 in core ATen operators")
    parser.add_argument("--size", type=int, help="side of the images; the network's own otherwise")
    parser.add_argument("--am-eval", metavar="BINARY", help="check the answers of this program")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--layers", type=int, default=24, help="activations to compare")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main():
    options, wrong = arguments(), 0
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            path = options.out or Path(folder) / f"model.{options.format.replace('core', 'pt2')}"
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
                reference = Reference(model, images_of(options.images, 3, [side, side], options.seed + 1))
                found = compared(options.am_eval, path, options.format, reference, options, Path(folder))
            except Exception as failure:  # of any library, for any network
                wrong += 1
                text = " ".join(f"{type(failure).__name__}: {failure}".split())[:400]
                print(f"{name}  FAILED: {text}", flush=True)
                continue
        good = agrees(found, options.tolerance)
        wrong += not good
        said = "" if good else f"  DIFFERS, worst layer {found['worst']}"
        print(f"{name:45} {side:4}  " + "  ".join(cells(found)) + said, flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
