#!/usr/bin/env python3
"""Changes a byte or a field in a file of a finished run, again and again, and asks whether it is noticed.

    scripts/damage.py [--changes 100] [--program target/release/am-eval] [--suite scripts/kills.toml] [ARGUMENTS of `am-eval run`...]

Every file of the run is changed in turn: a bit, a byte, a cut end, added bytes, a digit for another, two lines in other order, a line
less, a number of a JSON document. `report`, `gate`, `compare` and `baseline save` must each refuse the run, or make what was
changed again from what was not (then its bytes are the old ones). Ends with "0 unnoticed", or with the changes that went unnoticed and exit code 1.
Needs nothing but Python.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def bit(data, dice):
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1:]


def byte(data, dice):
    at = dice.randrange(len(data))
    return data[:at] + bytes([(data[at] + dice.randrange(1, 256)) % 256]) + data[at + 1:]


def cut(data, dice):
    return data[: dice.randrange(len(data))]


def longer(data, dice):
    return data + bytes(dice.randrange(256) for _ in range(dice.randrange(1, 9)))


def digit(data, dice):
    places = [match.start() for match in re.finditer(rb"[0-9]", data)]
    if not places:
        return bit(data, dice)
    at = dice.choice(places)
    other = dice.choice([number for number in b"0123456789" if number != data[at]])
    return data[:at] + bytes([other]) + data[at + 1:]


def swapped(data, dice):
    lines = data.split(b"\n")
    pairs = [at for at in range(1, len(lines) - 2) if lines[at] != lines[at + 1]]
    if not pairs:
        return byte(data, dice)
    at = dice.choice(pairs)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    return b"\n".join(lines)


def shorter(data, dice):
    lines = data.split(b"\n")
    if len(lines) < 3:
        return cut(data, dice)
    del lines[dice.randrange(1, len(lines) - 1)]
    return b"\n".join(lines)


def leaves(value, path=()):
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


def field(data, dice):
    """Another value of one field, the document written as before."""
    try:
        document = json.loads(data)
        places = list(leaves(document))
    except ValueError:
        return digit(data, dice)
    path, value = dice.choice(places)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = (not value) if isinstance(value, bool) else value + 1 if isinstance(value, (int, float)) else f"{value}x"
    return json.dumps(document, indent=2).encode() + b"\n"


WAYS = [bit, byte, cut, longer, digit, swapped, shorter, field]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--program", default="target/release/am-eval")
    parser.add_argument("--suite", default="scripts/kills.toml")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options, arguments = parser.parse_known_args()
    dice = random.Random(options.seed)

    def call(*words):
        return subprocess.run([options.program, *map(str, words)], capture_output=True, text=True)

    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        made = call("run", options.suite, "--out", work / "whole", "--no-progress", "--save-adversarial", *arguments)
        if made.returncode:
            sys.exit(f"the undisturbed run failed:\n{made.stderr}")
        run = next(path for path in (work / "whole").iterdir() if path.is_dir())
        saved = call("baseline", "save", run, work / "baseline.json")
        if saved.returncode:
            sys.exit(f"the undisturbed run gives no baseline:\n{saved.stderr}")
        (work / "rules.toml").write_text('schema = 1\n[[gate]]\nmetric = "robust_accuracy"\nmin = 0.0\n')
        names = sorted(path.relative_to(run) for path in run.rglob("*") if path.is_file() and not path.name.startswith(".lock"))
        print(f"seed {options.seed}; a run of {len(names)} files", flush=True)
        unnoticed, refused, renewed = [], 0, 0

        def missed(text):
            print(text, flush=True)
            unnoticed.append(text)

        for number in range(options.changes):
            name, way = names[number % len(names)], dice.choice(WAYS)
            whole = (run / name).read_bytes()
            changed = way(whole, dice) if whole else b"x"
            if changed == whole:
                changed = whole + b" "
            for word in ("report", "gate", "compare", "baseline"):
                copy = work / "copy" / run.name
                shutil.copytree(run, copy)
                (copy / name).write_bytes(changed)
                words = {
                    "report": ["report", copy],
                    "gate": ["gate", copy, "--rules", work / "rules.toml", "--baseline", work / "baseline.json"],
                    "compare": ["compare", run, copy, "--out", work / "compared"],
                    "baseline": ["baseline", "save", copy, work / "other.json"],
                }[word]
                told = call(*words)
                said = told.stdout + told.stderr
                if "panicked" in said or told.returncode < 0:
                    missed(f"{word} breaks: {name}, {way.__name__}: {said[:300]}")
                elif told.returncode in (0, 100):
                    same = (copy / name).is_file() and (copy / name).read_bytes() == whole
                    named = name.name in said
                    if same or named:
                        renewed += 1
                    else:
                        missed(f"{word}: {name}, {way.__name__}, {len(whole)} to {len(changed)} bytes")
                else:
                    refused += 1
                shutil.rmtree(work / "copy")
                shutil.rmtree(work / "compared", ignore_errors=True)
                (work / "other.json").unlink(missing_ok=True)
        print(f"{options.changes} changes, each before four commands: {refused} refused, {renewed} made again or named, {len(unnoticed)} unnoticed")
    if unnoticed:
        sys.exit("\n".join(unnoticed))
    print("0 unnoticed")


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    main()
