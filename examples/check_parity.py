"""Checks that am-eval's networks are those of torchvision, timm and RobustBench: the same weights and pixels give the same numbers.

    pip install torch torchvision timm safetensors numpy
    python3 examples/check_parity.py --am-eval target/release/am-eval torchvision/resnet50 'timm/resnet*'
    python3 examples/check_parity.py --am-eval target/release/am-eval --size 160x224 --classes 10 --channels 1 'torchvision/vgg*'

For each architecture and size it builds the framework's model with random weights, saves its state dict as safetensors, and runs
`am-eval predict` on random images. Compared are logits, activations (of layers spread evenly over those that `am-eval layers` lists
and the framework names) and gradients with respect to the pixels of a large class logit, of a unit's mean in an early layer and of a
single neuron in a middle one, all in f32. Frameworks that are not installed are left out; cifar/ names need RobustBench.

Weights are normal with variance 2 / fan-in (1 / fan-in beside layer normalization), biases and affine parameters are drawn too, layer
scales lie between 0.2 and 1. Running statistics of batch normalization are those of the images, changed by factors of 0.5 to 1.5
(variances) and by a fifth of a standard deviation (means), so that activations neither vanish nor grow.

The error of a tensor is max |ours - theirs| / max |theirs|, of a gradient the same for each image. All must be at most 1e-4 (`--tolerance`).
A gradient is judged otherwise where a ReLU or a max pooling has a kink: an input within rounding of it takes another side in either
program, and with it goes a part of that image's gradient; PyTorch differs from itself in the same way with another number of threads.
So of a network with kinks one image must be exact and each of the others within 5e-2; the table has the share of pixels that are not exact.
The exit code is 1 if anything differs by more, 2 if no architecture fits the names.
"""

import argparse
import fnmatch
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TOKENS = ("pos_embed", "pos_embedding", "cls_token", "class_token", "dist_token", "reg_token", "relative_position_bias_table")
NEAR = 5e-2
KINKS = (nn.ReLU, nn.ReLU6, nn.MaxPool2d)
DRIVEN = ("Conv2d", "Linear", "BatchNorm2d", "LayerNorm")


# ---------------------------------------------------------------- the framework's side


def built(arch, classes, channels, **options):
    library, name = arch.split("/")
    if library == "timm":
        return importlib.import_module("timm").create_model(name, num_classes=classes, in_chans=channels, **options)
    if library == "torchvision":
        model = importlib.import_module("torchvision").models.get_model(name, num_classes=classes, **options)
    else:
        zoo = "robustbench.model_zoo.architectures."
        resnet, wide = (importlib.import_module(zoo + module) for module in ("resnet", "wide_resnet"))
        model = {
            "resnet18": lambda: resnet.ResNet(resnet.BasicBlock, [2, 2, 2, 2], classes),
            "preact_resnet18": lambda: resnet.PreActResNet(resnet.PreActBlockV2, [2, 2, 2, 2], classes, bn_before_fc=True),
            "wide_resnet-28-10": lambda: wide.WideResNet(28, classes, 10),
            "wide_resnet-34-10": lambda: wide.WideResNet(34, classes, 10),
        }[name]()
    if channels != 3:
        name, conv = next((name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d))
        form = {key: getattr(conv, key) for key in ("kernel_size", "stride", "padding")}
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, nn.Conv2d(channels, conv.out_channels, bias=conv.bias is not None, **form))
    return model


def known(arch):
    """Whether a framework that is installed has the architecture."""
    library, name = arch.split("/")
    try:
        if library == "timm":
            return importlib.import_module("timm").is_model(name)
        if library == "torchvision":
            return name in importlib.import_module("torchvision").models.list_models()
        importlib.import_module("robustbench.model_zoo.architectures.resnet")
        return name in ("resnet18", "preact_resnet18", "wide_resnet-28-10", "wide_resnet-34-10")
    except ImportError:
        return False


def draw(model, images, seed):
    """Random weights under which activations keep their size."""
    random = torch.Generator().manual_seed(seed)
    normal = lambda like: torch.randn(like.shape, generator=random)
    uniform = lambda like: torch.rand(like.shape, generator=random)
    gain = 1 if any(isinstance(module, nn.LayerNorm) for module in model.modules()) else 2
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name.endswith(("layer_scale", "gamma")):
                tensor.copy_(0.2 + 0.8 * uniform(tensor))
            elif tensor.dim() == 1:
                tensor.copy_(1 + 0.2 * normal(tensor) if name.endswith("weight") else 0.1 * normal(tensor))
            elif name.endswith(TOKENS):
                tensor.copy_(0.5 * normal(tensor))
            else:
                tensor.copy_(normal(tensor) * (gain / tensor[0].numel()) ** 0.5)
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None  # the mean over all batches, of which there is one
            norm.reset_running_stats()
        if norms:
            model.train()(images)
        for norm in norms:
            norm.running_mean += 0.2 * norm.running_var.sqrt() * normal(norm.running_mean)
            norm.running_var *= 0.5 + uniform(norm.running_var)
    return model.eval()


def resized(model, arch, classes, channels, size):
    """The model for images of another size, as its framework makes it where its weights depend on the size."""
    if hasattr(model, "set_input_size"):
        model.set_input_size(size)
    elif hasattr(model, "image_size"):
        from torchvision.models.vision_transformer import interpolate_embeddings

        if size[0] != size[1]:
            raise RuntimeError("torchvision's ViT takes square images alone")
        state = interpolate_embeddings(size[0], model.patch_size, model.state_dict())
        model = built(arch, classes, channels, image_size=size[0])
        model.load_state_dict(state)
    return model.eval()


def names(model, x):
    """Names of the modules that a forward pass calls, and of the functions between modules as torchvision's feature extractor has
    them, where it can read the model."""
    called, hooks = set(), []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_hook(lambda *_, name=name: called.add(name)))
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    try:
        from torchvision.models.feature_extraction import get_graph_node_names

        functions = set(get_graph_node_names(model)[1]) - set(dict(model.named_modules()))
    except Exception:  # whatever a tracer meets in a model
        functions = set()
    return called | functions


def look(model, x, layers):
    """Logits, and the activations of `layers` by name."""
    modules, seen, hooks = dict(model.named_modules()), {}, []
    for layer in layers:
        if layer in modules:
            def keep(_, __, output, layer=layer):
                output = output[0] if isinstance(output, tuple) else output
                seen.setdefault(layer, output.clone())  # a ReLU is called twice in a block; its first call is the layer

            hooks.append(modules[layer].register_forward_hook(keep))
    logits = model(x)
    for hook in hooks:
        hook.remove()
    between = [layer for layer in layers if layer not in modules]
    if between:
        from torchvision.models.feature_extraction import create_feature_extractor

        seen |= create_feature_extractor(model, return_nodes=between)(x)
    return logits, seen


def patch_columns(model, size):
    """Patches in a row of a ViT's image; none of other networks."""
    patch = getattr(model, "patch_size", None) or getattr(getattr(model, "patch_embed", None), "patch_size", [None])[0]
    return size[1] // patch if isinstance(patch, int) else None


def score(objective, logits, seen, shape, prefix, columns):
    """The objective of each image. `shape` is the layer's as am-eval lists it, channels first; the framework may hold them last."""
    kind, *rest = objective.split(":")
    if kind == "class":
        return logits[:, int(rest[0])]
    values, (unit, _, place) = seen[rest[0]], rest[1].partition("@")
    if values.dim() == 4:
        values = values if list(values.shape[1:]) == shape else values.permute(0, 3, 1, 2)
        values = values[:, int(unit)]
        if place:
            row, column = map(int, place.split(","))
            return values[:, row, column]
    elif values.dim() == 3:
        values = values[:, prefix:, int(unit)]
        if place:
            row, column = map(int, place.split(","))
            return values[:, row * columns + column]
    else:
        return values[:, int(unit)]
    return values.flatten(1).mean(1)


# ---------------------------------------------------------------- am-eval's side


def am_eval(binary, *arguments):
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"exit code {done.returncode}")
    return done.stdout


def architectures(binary, patterns):
    listing = am_eval(binary, "models").split("\n\n")[0].splitlines()[1:]
    rows = (line.split()[:2] for line in listing)
    fits = lambda name: any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    return {name: int(shape.split("x")[1]) for name, shape in rows if fits(name) and known(name)}


def spread(items, count):
    """At most `count` of the items, evenly, the first and the last among them."""
    if len(items) <= count:
        return items
    return [items[round(place * (len(items) - 1) / (count - 1))] for place in range(count)]


# ---------------------------------------------------------------- the comparison


def images_of(count, channels, size, seed):
    """Smooth shapes and noise, u8 [N, C, H, W]."""
    random = torch.Generator().manual_seed(seed)
    shapes = F.interpolate(torch.rand([count, channels, 7, 7], generator=random), size=size, mode="bicubic")
    noise = torch.rand([count, channels, *size], generator=random)
    return ((0.75 * shapes + 0.25 * noise) * 255).clamp(0, 255).to(torch.uint8)


def normalized(pixels):
    mean, std = (torch.tensor(values[: pixels.shape[1]]).view(1, -1, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std


def error(ours, theirs):
    if ours.shape != theirs.shape:
        raise RuntimeError(f"am-eval has the shape {list(ours.shape)}, the framework {list(theirs.shape)}")
    if not ours.isfinite().all():
        return float("inf")
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-30)).item()


def compare(arch, native, size, options, folder):
    """The errors of logits, of activations with the worst layer, and of each objective those of the images and the share of values that
    differ, and whether the network has kinks. None if the framework refuses images of this size."""
    classes, channels = options.classes or (10 if arch.startswith("cifar/") else 1000), options.channels
    model = built(arch, classes, channels)
    draw(model, normalized(images_of(4, channels, [native] * 2, options.seed) / 255), options.seed)
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # or else the activations before would be lost
    weights, pictures, out = (folder / f"{name}.safetensors" for name in ("weights", "images", "out"))
    save_file({name: value.contiguous().clone() for name, value in model.state_dict().items()}, weights)
    pixels_u8 = images_of(options.images, channels, size, options.seed + 1)
    save_file({"pixels_u8": pixels_u8}, pictures)

    mean, std = (",".join(map(str, values[:channels])) for values in (MEAN, STD))
    predict = ["predict", "--device", options.device, "--arch", arch, "--weights", weights, "--mean", mean, "--std", std]
    predict += ["--images", pictures, "--out", out]
    pixels = (pixels_u8.float() / 255).requires_grad_()
    try:
        if size != [native] * 2:
            model = resized(model, arch, classes, channels, size)
        named = names(model, normalized(pixels[:1].detach()))
    except (RuntimeError, AssertionError, ValueError):
        return None

    side = "x".join(map(str, size))
    listed = json.loads(am_eval(options.am_eval, "layers", arch, "--size", side, "--channels", channels, "--json"))
    listed = [layer for layer in listed if layer["name"] in named]
    shapes = {layer["name"]: layer["shape"] for layer in listed}
    driven = [layer for layer in listed if layer["kind"] in DRIVEN and len(layer["shape"]) > 1]
    early, middle = driven[len(driven) // 6], driven[len(driven) // 2]
    prefix, columns = getattr(model, "num_prefix_tokens", 1), patch_columns(model, size)
    if len(middle["shape"]) == 3:
        place = f"@{middle['shape'][1] // 2},{middle['shape'][2] // 3}"
    else:
        place = f"@{(middle['shape'][0] - prefix) // columns // 2},{columns // 3}" if columns else ""
    tapped = [layer["name"] for layer in spread(listed, options.layers or len(listed))]
    logits, seen = look(model, normalized(pixels), list(dict.fromkeys([*tapped, early["name"], middle["name"]])))
    largest = logits.amin(0).argmax().item()  # behind the ReLU of a SqueezeNet most have no gradient
    objectives = [f"class:{largest}", f"unit:{early['name']}:{early['units'] // 3}"]
    objectives.append(f"unit:{middle['name']}:{middle['units'] // 3}{place}")

    gradients, said = [], {}
    for objective in objectives:
        taps = [] if said else [argument for layer in tapped for argument in ("--tap", layer)]
        am_eval(options.am_eval, *predict, *taps, "--gradient", objective)
        found = load_file(out)
        said = said or found
        layer = objective.split(":")[1]
        value = score(objective, logits, seen, shapes.get(layer), prefix, columns)
        theirs = torch.autograd.grad(value.sum(), pixels, retain_graph=True)[0]
        if not theirs.flatten(1).any(1).all():
            raise RuntimeError(f"the framework's gradient of {objective} is zero, which shows nothing; take another --seed")
        pairs = list(zip(found["gradient"], theirs))
        differing = sum(((ours - value).abs() > options.tolerance * value.abs().max()).float().mean() for ours, value in pairs)
        gradients.append((objective, sorted(error(*pair) for pair in pairs), differing.item() / len(pairs)))
    activations = {layer: error(said[f"activation.{layer}"], seen[layer].detach()) for layer in tapped}
    worst = max(activations, key=activations.get)
    kinks = "relu" in " ".join(shapes) or any(isinstance(module, KINKS) for module in model.modules())
    return error(said["logits"], logits.detach()), (activations[worst], worst), gradients, kinks


def judged(found, tolerance):
    """Whether all is within bounds, and the row of the table."""
    logits, (activation, _), gradients, kinks = found
    good = max(logits, activation) <= tolerance
    row = f"{logits:8.1e}  {activation:8.1e}"
    for _, errors, differing in gradients:
        good &= errors[0 if kinks else -1] <= tolerance and errors[-1] <= max(NEAR, tolerance)
        row += f"  {errors[0]:8.1e} {errors[-1]:8.1e} {differing:7.2%}"
    return good, row


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="architectures as `am-eval models` lists them; * and ? stand for any letters")
    parser.add_argument("--am-eval", default="am-eval", metavar="BINARY")
    parser.add_argument("--size", action="append", default=[], metavar="ROWSxCOLUMNS", help="of the images; may be given several times [the published one]")
    parser.add_argument("--images", type=int, default=3, metavar="N")
    parser.add_argument("--classes", type=int, metavar="N")
    parser.add_argument("--channels", type=int, default=3, choices=[1, 3])
    parser.add_argument("--layers", type=int, default=16, metavar="N", help="activations to compare; 0 for all")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="am-eval's")
    return parser.parse_args()


def main():
    options = arguments()
    asked = architectures(options.am_eval, options.names)
    if not asked:
        print("no architecture of an installed framework fits these names", file=sys.stderr)
        return 2
    width = max(map(len, asked))
    head = "  ".join(f"{name + ': best, worst, differing':25}" for name in ("class", "early unit", "middle unit"))
    print(f"{'architecture':{width}}  {'size':>9}  {'logits':8}  {'layers':8}  {head}", flush=True)
    wrong = 0
    for arch, native in asked.items():
        for text in options.size or [f"{native}x{native}"]:
            rows, _, columns = text.partition("x")
            size = [int(rows), int(columns or rows)]
            with tempfile.TemporaryDirectory() as folder:
                try:
                    found = compare(arch, native, size, options, Path(folder))
                    good, row = judged(found, options.tolerance) if found else (True, "not compared: the framework refuses images of this size")
                except RuntimeError as failure:
                    found, good, row = None, False, f"failed: {failure}"
            print(f"{arch:{width}}  {size[0]:>4}x{size[1]:<4}  {row}{'' if good else '  DIFFERS'}", flush=True)
            if found and not good:
                print(f"  worst layer {found[1][1]}; gradients of {', '.join(objective for objective, *_ in found[2])}")
            wrong += not good
    print(f"{wrong} differ" if wrong else "all agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
