#!/usr/bin/env python3
"""Runs `samtok bench` and the PyTorch script in turn (A B A B ...) and prints both sides and their ratios.

Alternating rounds see the same background noise; the minimum over the rounds is the figure to quote, and the
median beside it tells how quiet the machine was. A table goes to standard error, JSON to standard output.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

QUANTITIES = ["load", "image_encode", "mask_encode_1", "mask_encode_16", "mask_decode_1", "mask_decode_16"]
RIVAL = Path(__file__).with_name("sam2_torch.py")


def output(command: list[str]) -> tuple[dict, int]:
    """The JSON document a command prints, and its peak resident bytes."""
    print("+", " ".join(command), file=sys.stderr)
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"error: the command above ended with exit code {process.returncode}")
    try:
        return json.loads(text), usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    except ValueError:
        sys.exit("error: the command above printed no JSON document")


def quantities(document: dict) -> dict[str, float]:
    """Times in milliseconds and the peak memory in megabytes, those that the document has."""
    values = {k: document["timings_ms"][k] for k in QUANTITIES if k in document["timings_ms"]}
    if document.get("peak_memory_bytes"):
        values["peak_memory_mb"] = document["peak_memory_bytes"] / 1e6
    return values


def summary(ours: list[dict], theirs: list[dict]) -> dict:
    """Minimum and median over the rounds, and ours divided by theirs, of what both sides measured."""
    table = {}
    for name in [*QUANTITIES, "peak_memory_mb"]:
        a, b = ([run[name] for run in runs if name in run] for runs in (ours, theirs))
        if a and b:
            table[name] = {"ours_min": min(a), "theirs_min": min(b), "ratio_min": min(a) / min(b)}
            a, b = statistics.median(a), statistics.median(b)
            table[name] |= {"ours_median": a, "theirs_median": b, "ratio_median": a / b}
    return table


def print_table(table: dict, rival: str) -> None:
    columns = ["ours_min", "theirs_min", "ratio_min", "ours_median", "theirs_median", "ratio_median"]
    print(f"\nsamtok and {rival} (ms; ratios below 1 are faster or smaller)", file=sys.stderr)
    print(f"{'':16}" + "".join(f"{c:>15}" for c in columns), file=sys.stderr)
    for name, row in table.items():
        cells = (f"{row[c]:15.3f}" if "ratio" in c else f"{row[c]:15.1f}" for c in columns)
        print(f"{name:16}" + "".join(cells), file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samtok", required=True, metavar="FILE", help="a release build of the program")
    parser.add_argument("--model", required=True, metavar="DIR", help="a model folder with config.json")
    parser.add_argument("--preset", help="the rival's network: a preset or a config.json (default: that of DIR)")
    parser.add_argument("--peer", choices=["own", "transformers"], default="own", help="the rival's implementation")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=1, help="timed calls per round on the rival's side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", help="quantities of the rival, comma-separated (see sam2_torch.py)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has torch")
    parser.add_argument("--image", help="with --mask: our peak memory is then that of `samtok encode`")
    parser.add_argument("--mask")
    a = parser.parse_args()
    shared = ["--model", a.model, "--threads", str(a.threads), "--json"]
    theirs = [a.python, str(RIVAL), "--preset", a.preset or str(Path(a.model) / "config.json"),
              "--threads", str(a.threads), "--repeats", str(a.repeats), "--peer", a.peer]
    theirs += ["--only", a.only] if a.only else []
    runs, loads, rival = {"ours": [], "theirs": []}, [], {}
    for _ in range(a.rounds):
        loads.append(os.getloadavg()[0])
        document, _ = output([a.samtok, "bench", *shared])
        runs["ours"].append(quantities(document))
        if a.image and a.mask:
            _, peak = output([a.samtok, "encode", a.image, "--mask", a.mask, *shared])
            runs["ours"][-1]["peak_memory_mb"] = peak / 1e6
        rival, _ = output(theirs)
        runs["theirs"].append(quantities(rival))
    table = summary(runs["ours"], runs["theirs"])
    name = f"{rival['program']} {rival[rival['program']]}"
    print_table(table, name)
    print(json.dumps({"rival": name, "threads": a.threads, "rounds": a.rounds, "load_average_before": loads,
                      "quantities": table, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
