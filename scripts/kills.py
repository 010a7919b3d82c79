#!/usr/bin/env python3
"""Kills a run (SIGKILL) at random moments and resumes it, again and again, and compares what it leaves with an undisturbed run.

    scripts/kills.py [--kills 100] [--program target/release/am-eval] [--suite scripts/kills.toml] [ARGUMENTS of `am-eval run`...]

Every byte of every file is compared but those that tell when and how long (`origin` and `seconds` in manifest.json, blocks, summary.csv and
summary.json, and the files' hashes that follow from them; report.html, which shows them). Ends with "0 differing bytes", or with the files that differ and exit code 1.
Needs nothing but Python.
"""

import argparse
import csv
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIMED = {"report.html"}


def without_times(name, data):
    """The bytes of a file without what depends on the clock."""
    if name.endswith(".block"):
        head, rows = data.split(b"\n", 1)
        head = json.loads(head)
        for key in ("seconds", "blake3"):
            head.pop(key, None)
        return json.dumps(head).encode() + rows
    if name.endswith("summary.csv"):
        rows = list(csv.DictReader(io.StringIO(data.decode())))
        return repr([{key: value for key, value in row.items() if key != "seconds"} for row in rows]).encode()
    if name.endswith("summary.json"):
        return re.sub(rb'"seconds": [0-9.e+-]+', b"", data)
    if name.endswith("manifest.json"):
        manifest = json.loads(data)
        for key in ("seconds", "seal", "command", "origin", "blocks"):
            manifest.pop(key, None)
        timed = ("summary.csv", "summary.parquet", "summary.json", "report.html")
        outputs = {file: value for file, value in manifest["outputs"].items() if file not in timed and "shards" not in file}
        return json.dumps({**manifest, "outputs": outputs}, sort_keys=True).encode()
    if name.endswith("gate.json"):
        gate = json.loads(data)
        gate.pop("seal", None)
        gate.get("files", {}).pop("report.html", None)
        gate.get("files", {}).pop("summary.md", None)
        return json.dumps(gate, sort_keys=True).encode()
    return data


def files(folder):
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not path.name.startswith(".lock") and path.name not in TIMED:
            found[name] = without_times(name, path.read_bytes())
    return found


def differing(whole, found):
    """Names of files that differ, with the number of bytes that do."""
    names = []
    for name in sorted(set(whole) | set(found)):
        one, other = whole.get(name), found.get(name)
        if one is None or other is None:
            names.append(f"{name} is only in {'the resumed' if one is None else 'the undisturbed'} run")
        elif one != other:
            count = sum(a != b for a, b in zip(one, other)) + abs(len(one) - len(other))
            names.append(f"{name}: {count} bytes")
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--program", default="target/release/am-eval")
    parser.add_argument("--suite", default="scripts/kills.toml")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options, arguments = parser.parse_known_args()
    random.seed(options.seed)

    def start(out, quiet=True):
        command = [options.program, "run", options.suite, "--out", str(out), "--no-progress", "--save-adversarial", *arguments]
        sink = subprocess.DEVNULL if quiet else None
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=sink)

    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        began = time.monotonic()
        if start(work / "whole", quiet=False).wait():
            sys.exit("the undisturbed run failed")
        took = time.monotonic() - began
        whole = files(work / "whole")
        print(f"seed {options.seed}; an undisturbed run takes {took:.1f} s and leaves {len(whole)} files", flush=True)
        kills, rounds, wrong = 0, 0, []
        while kills < options.kills:
            rounds += 1
            out = work / f"round-{rounds}"
            # A run is killed until it ends before the moment comes.
            while kills < options.kills:
                child = start(out)
                try:
                    # What is done stays done, so that kills in a row reach every part of a run.
                    child.wait(random.uniform(0, took / 2))
                    break
                except subprocess.TimeoutExpired:
                    child.kill()
                    if child.wait() < 0:
                        kills += 1
            if start(out, quiet=False).wait():
                wrong.append(f"round {rounds}: the last command failed")
            found = [f"round {rounds}: {name}" for name in differing(whole, files(out))]
            if found:
                print("\n".join(found), flush=True)
            wrong += found
            subprocess.run(["rm", "-rf", str(out)], check=True)
            print(f"{kills} kills in {rounds} rounds, {len(wrong)} files differ", flush=True)
    if wrong:
        sys.exit("\n".join(wrong))
    print("0 differing bytes")


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    main()
