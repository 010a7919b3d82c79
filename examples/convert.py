"""Makes safetensors of a PyTorch checkpoint: what am-eval reads in its place, since loading a pickle can execute code.

    pip install torch numpy safetensors
    python3 examples/convert.py checkpoints/model.pt models/model.safetensors

Finds the state dict in the file (under `state_dict`, `model_state_dict`, `model`, `net` and the like, or on top; with `--key a.b` the one
there), takes prefixes off that all names share (`module.` of DataParallel, `model.` of a wrapper), and keeps tensors alone. What a wrapper
normalizes with (`mu` and `sigma`) is told: am-eval compares it with the suite's `normalize`.
Loads with `weights_only=True`; `--trust` loads whatever the file executes.
"""

import argparse
import pickle
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

KEYS = ["state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "state_dict_ema", "ema"]
NORMALIZATION = {"mu", "sigma", "mean", "std", "normalize.mean", "normalize.std"}


def tensors(value):
    """The tensors of a state dict, or of a module, and NumPy's arrays as tensors; none if it holds none."""
    if isinstance(value, torch.nn.Module):
        value = value.state_dict()
    if not isinstance(value, dict):
        return {}
    numbers = {name: torch.as_tensor(array) for name, array in value.items() if hasattr(array, "dtype") and not isinstance(name, int)}
    return {str(name): tensor for name, tensor in numbers.items()}


def members(value):
    """What a dictionary, a list or a tuple holds, by its key or place, the usual keys first."""
    if isinstance(value, (list, tuple)):
        return [(str(place), member) for place, member in enumerate(value[:100])]
    if not isinstance(value, dict):
        return []
    usual = sorted((name for name in value if name in KEYS), key=KEYS.index)
    helpers = lambda name: any(part in str(name) for part in ("optim", "sched"))
    others = [name for name in value if name not in KEYS and not helpers(name)]
    return [(str(name), value[name]) for name in usual + others]


def dictionaries(value, place="", depth=3):
    """Every dictionary of tensors down to a depth, with its place."""
    state = tensors(value)
    found = [(state, place)] if state else []
    if depth and not isinstance(value, torch.nn.Module):
        for name, member in members(value):
            found += dictionaries(member, f"{place}.{name}".lstrip("."), depth - 1)
    return found


def find(content, key):
    """The state dict, and where it lies."""
    if key:
        for part in key.split("."):
            held = dict(members(content))
            held |= {str(name): value for name, value in content.items()} if isinstance(content, dict) else {}
            if part not in held:
                sys.exit(f"the checkpoint has no key `{key}`: at `{part}` there are {', '.join(held) or type(content).__name__}")
            content = held[part]
        return tensors(content), key
    found = dictionaries(content)
    # The first that is nearly as large as the largest: a dictionary of a few counters lies beside many checkpoints.
    most = max((len(state) for state, _ in found), default=0)
    return next(((state, place) for state, place in found if len(state) * 10 >= most * 9), ({}, ""))


def without_prefixes(state):
    """The tensors under the names that are left when what all names begin with is taken off; and those prefixes."""
    prefixes = []
    while len(state) > 1:
        first = next(iter(state))
        prefix = first.split(".")[0] + "."
        if "." not in first or not all(name.startswith(prefix) for name in state):
            break
        state = {name[len(prefix):]: tensor for name, tensor in state.items()}
        prefixes.append(prefix)
    return state, prefixes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--key", help="where the state dict lies, parts joined by points")
    parser.add_argument("--trust", action="store_true", help="execute whatever the checkpoint's pickle says")
    options = parser.parse_args()
    if options.out.suffix != ".safetensors":
        sys.exit(f"{options.out} must end in .safetensors")
    try:
        content = torch.load(options.checkpoint, map_location="cpu", weights_only=not options.trust)
    except FileNotFoundError:
        sys.exit(f"{options.checkpoint} is not there")
    except pickle.UnpicklingError:
        sys.exit(f"{options.checkpoint} holds more than tensors, and loading that can execute code; if you trust the file, add --trust")
    except Exception as error:
        sys.exit(f"{options.checkpoint} cannot be loaded: {str(error).splitlines()[0]}")
    state, place = find(content, options.key)
    if not state:
        sys.exit(f"{options.checkpoint} holds no state dict; name its place with --key")
    state, prefixes = without_prefixes(state)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, options.out)
    under = f" under `{place}`" if place else ""
    taken = f", without the prefix `{''.join(prefixes)}`" if prefixes else ""
    print(f"wrote {options.out}: {len(state)} tensors{under}{taken}")
    for name, tensor in state.items():
        if name in NORMALIZATION:
            values = [round(value, 6) for value in tensor.flatten().tolist()]
            print(f"{name} = {values} normalizes in front of the network: the suite's `normalize` must say the same")


if __name__ == "__main__":
    main()
