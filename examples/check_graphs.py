"""Checks many networks as files of torch.export and as ONNX: am-eval's answers against PyTorch's, and against ONNX Runtime's.

    pip install torch torchvision timm transformers safetensors numpy onnx onnxscript onnxruntime
    python3 examples/check_graphs.py --am-eval target/release/am-eval --processes 8 --rows rows.jsonl
    python3 examples/check_graphs.py --am-eval target/release/am-eval --forms pt2 onnx -- timm/eva02_tiny_patch14_224 'hf/vit num_hidden_layers=4'
    python3 examples/check_graphs.py --table rows.jsonl

Networks are those of `examples/networks.txt` unless some are given, each as a name (see export.py) and settings: `size` is the side of
the images, the others go to the framework. Weights are random (check_parity.py says how they are drawn), and operators that work in
place do. Each network is exported as it is (`pt2`), decomposed into core ATen operators (`core`), and as ONNX (`onnx`), and compared are
logits, outputs of modules spread evenly over the network, gradients of a class logit and of a unit with respect to the pixels, and for
ONNX the logits of ONNX Runtime. Errors are max |ours - theirs| / max |theirs|, gradients image by image. A network whose errors exceed
the tolerance, but not four times those of PyTorch's own f32 against its f64, `rounds`: no program could tell its numbers better. One whose
ONNX file gives other answers than PyTorch, in ONNX Runtime and in am-eval alike, is `as the file`.

Every network is a process of its own, and its rows are written as they come; networks with a row are left out when the command is given
again. With `--seconds` what is unfinished by then is stopped. The exit code is 1 if a network fails or differs.
"""

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import torch
from check_parity import draw, error, images_of, normalized
from export import Reference, agrees, built, compared, exported, rounds, traced
from safetensors.torch import load_file

FORMS = ("pt2", "core", "onnx")
GOOD = ("agrees", "rounds", "as the file")
LIST = Path(__file__).with_name("networks.txt")


@contextlib.contextmanager
def uninitialized():
    """Leaves weights as they are allocated: they are drawn afterwards, and truncated normal distributions take long."""
    kept = {name: getattr(torch.Tensor, name) for name in ("normal_", "uniform_", "erfinv_")}
    for name in kept:
        setattr(torch.Tensor, name, lambda tensor, *_, **__: tensor)
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(torch.Tensor, name, method)


def settings_of(line):
    """The name and the settings of a line."""
    name, *words = line.split()
    pairs = [word.partition("=") for word in words]

    def value(text):
        try:
            return json.loads(text)
        except ValueError:
            return text

    return name, {key: value(text) for key, _, text in pairs}


def onnx_runtime(path, reference, ours):
    """The errors of ONNX Runtime's logits against PyTorch's, and of am-eval's against ONNX Runtime's."""
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    pixels = normalized(reference.pixels.detach()).numpy()
    answers = dict(zip([output.name for output in session.get_outputs()], session.run(None, {session.get_inputs()[0].name: pixels})))
    logits = torch.from_numpy(answers.get("logits", next(iter(answers.values()))))
    return error(logits, reference.logits.detach()), error(ours, logits)


def check(line, options, rows):
    """The rows of one network."""
    began = time.monotonic()
    name, settings = settings_of(line)
    side = settings.pop("size", None)
    torch.manual_seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        try:
            with uninitialized():
                model, usual = built(name, None, **settings)
            side = side or usual
            for parameter in model.parameters():
                parameter.requires_grad_(False)  # gradients go to the pixels alone, as am-eval's do
            draw(model, normalized(images_of(4, 3, [side, side], options.seed) / 255), options.seed)
            reference = Reference(model, images_of(options.images, 3, [side, side], options.seed + 1))
            if not reference.logits.isfinite().all():
                raise ValueError("with these weights the framework's logits are not finite")
            program = traced(model, torch.rand(2, 3, side, side))
        except Exception as failure:  # of any library, for any network
            rows({"name": line, "form": form, **failed(failure, "the framework")} for form in options.forms)
            return
        common = {"side": side, "parameters": sum(parameter.numel() for parameter in model.parameters())}
        for form in options.forms:
            row, path = {"name": line, "form": form, **common}, folder / f"model.{'onnx' if form == 'onnx' else 'pt2'}"
            try:
                exported(model, torch.rand(2, 3, side, side), path, form, program)
            except Exception as failure:
                rows([row | failed(failure, "the export")])
                continue
            try:
                row |= compared(options.am_eval, path, form, reference, options, folder)
                row["status"] = "agrees"
                if not agrees(row, options.tolerance):
                    row["rounding"] = reference.rounding((row["worst"] or "").removeprefix("model."))
                    row["status"] = "rounds" if rounds(row, row["rounding"], options.tolerance) else "differs"
                if form == "onnx":
                    ours = load_file(folder / "out.safetensors")["logits"]
                    row["onnx_runtime"], row["against_runtime"] = onnx_runtime(path, reference, ours)
                    if row["status"] == "differs" and row["logits"] > options.tolerance >= row["against_runtime"]:
                        row["status"] = "as the file"
            except Exception as failure:
                row |= failed(failure, "am-eval")
            rows([row | {"seconds": round(time.monotonic() - began, 1)}])


def failed(failure, where):
    lines = traceback.format_exception(failure) if where != "am-eval" else []
    return {"status": f"{where} fails", "error": " ".join(f"{type(failure).__name__}: {failure}".split())[:3000], "trace": "".join(lines)[-800:]}


def work(line, options):
    """A process: one network, its rows appended whole."""
    warnings.filterwarnings("ignore")
    os.setpgid(0, 0)
    torch.set_num_threads(1)
    sys.stderr = sys.stdout = open(os.devnull, "w")
    check(line, options, lambda rows: append(options.rows, rows))


def append(path, rows):
    """Whole lines, also beside other processes."""
    with open(path, "a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))


def run(lines, options):
    """All networks, so many at a time, until the time is over."""
    began, running, context = time.monotonic(), [], multiprocessing.get_context("fork")
    over = lambda: options.seconds and time.monotonic() - began > options.seconds
    waiting = list(reversed(lines))
    while (waiting or running) and not over():
        while waiting and len(running) < options.processes:
            line = waiting.pop()
            process = context.Process(target=work, args=(line, options))
            process.start()
            running.append((process, line, time.monotonic()))
        time.sleep(0.1)
        for process, line, since in running:
            late = time.monotonic() - since > options.each
            if late:
                stop(process)
            if late or process.exitcode:
                said = f"stopped after {options.each:.0f} s" if late else f"the process ended with {process.exitcode}"
                append(options.rows, [{"name": line, "form": form, "status": said, "error": said} for form in options.forms
                                      if (line, form) not in read(options.rows)])
        running = [entry for entry in running if entry[0].is_alive()]
    for process, *_ in running:
        stop(process)


def stop(process):
    """Ends the process and am-eval under it, which are a group of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.join()


def read(path):
    """The rows of a file; of several for the same network and form the last."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {(row["name"], row["form"]): row for row in rows}


def table(rows):
    """Markdown: a line for each network, with the worst errors of its forms; then what does not agree."""
    columns = ["network", "side", "modules", "`.pt2`", "core ATen", "ONNX", "ONNX Runtime", "against it", "f32 of PyTorch"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name in dict.fromkeys(name for name, _ in rows):
        good = {form: rows[name, form] for form in FORMS if rows.get((name, form), {}).get("status") in GOOD}
        if not good:
            continue
        first = next(iter(good.values()))
        runtime = [good.get("onnx", {}).get(key) for key in ("onnx_runtime", "against_runtime")]
        runtime = ["" if value is None else brief(value) for value in runtime]
        own = [row["rounding"][key] for row in good.values() if "rounding" in row for key in ("logits", "activation")]
        row = [titled(name), str(first["side"]), str(first["compared"]), *(worst(good.get(form)) for form in FORMS), *runtime]
        print(f"| {' | '.join([*row, brief(max(own)) if own else ''])} |")
    bad = [row for row in rows.values() if row["status"] not in GOOD]
    if bad:
        print("\n| network | form | what |\n|---|---|---|")
    for row in bad:
        print(f"| `{row['name']}` | {row['form']} | {row['status']}: {(row.get('error') or differences(row))[:300]} |")
    for form in FORMS:
        found = [row["status"] for row in rows.values() if row["form"] == form]
        print(f"\n{form}: " + ", ".join(f"{found.count(status)} {status}" for status in dict.fromkeys(sorted(found))))


def brief(number):
    return "0" if number == 0 else f"{number:.0e}"


def titled(line):
    """The network, with the settings that make it another."""
    name, settings = settings_of(line)
    layers = settings.get("num_hidden_layers", settings.get("depth"))
    return f"`{name}`" + (f" ({layers} layers)" if layers else "")


def worst(row):
    """The errors of a form in short: of logits and activations, and of gradients from the best image's to the worst's."""
    if row is None:
        return ""
    values = brief(max(row["logits"], row["activation"] or 0))
    best, last = (max(errors) for errors in zip(*row["gradients"]))
    return f"{values}; " + (f"{brief(best)} to {brief(last)}" if last > 1e-5 and brief(best) != brief(last) else brief(last))


def differences(row):
    """The errors beside PyTorch's own."""
    ours = {"logits": row["logits"], "activation": row["activation"] or 0, "gradient": max(last for _, last in row["gradients"])}
    return ", ".join(f"{key} {ours[key]:.1e} (PyTorch's own {own:.1e})" for key, own in row["rounding"].items()) + f", worst layer {row['worst']}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="networks, each with its settings in one argument; those of {LIST.name} otherwise")
    parser.add_argument("--am-eval", metavar="BINARY", default="am-eval")
    parser.add_argument("--list", type=Path, default=LIST, help=f"a file with a network a line [{LIST.name}]")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--rows", type=Path, default=Path("rows.jsonl"), help="results, a JSON object a line")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="stop then")
    parser.add_argument("--each", type=float, default=900, help="most seconds of a network")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--layers", type=int, default=24, help="activations to compare")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, metavar="ROWS", help="only print the table of these results")
    return parser.parse_args()


def main():
    options = arguments()
    if options.table:
        table(read(options.table))
        return 0
    lines = options.names or [line for line in options.list.read_text().splitlines() if line and not line.startswith("#")]
    done = {name for name, _ in read(options.rows)}
    lines = [line for line in lines if line not in done]
    for library in {line.split("/")[0] for line in lines} & {"torchvision", "timm"}:
        importlib.import_module(library)  # once, before the processes
    if any(line.startswith("hf/") for line in lines):
        importlib.import_module("transformers")
    run(lines, options)
    rows = read(options.rows)
    table(rows)
    return int(any(row["status"] not in GOOD for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
