"""Checks on random masks that pycocotools and this library read each other's RLE and agree on every figure.

Run from the top of the repository, with pycocotools and numpy installed:

    cargo build --release --example mask_exchange
    python tests/peers/pycocotools_interop.py [--masks 1000] [--exchange PATH]

Exits with 1 and the first differences if anything differs.
"""

import argparse
import json
import math
import subprocess
import sys

import numpy as np
from pycocotools import mask as coco


def random_mask(rng, height, width):
    kind = rng.integers(8)
    if kind == 0:
        return np.zeros((height, width), np.uint8)
    if kind == 1:
        return np.ones((height, width), np.uint8)
    if kind <= 3:
        return (rng.random((height, width)) < rng.random()).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(rng.integers(1, 12)):
        y, x = rng.random(2) * (height, width)
        reach_y, reach_x = rng.random(2) * (height, width) / 3 + 0.5
        distance = ((rows - y) / reach_y) ** 2 + ((columns - x) / reach_x) ** 2
        mask[distance <= 1] = rng.random() < 0.75
    return mask


def random_size(rng):
    side = lambda: int(rng.choice([rng.integers(1, 260), 1, 63, 64, 65, 128]))
    long_side = int(rng.integers(1, 5000))
    return [(side(), side()), (1, long_side), (long_side, 1)][rng.choice(3, p=[0.8, 0.1, 0.1])]


def pack(mask):
    return {"size": list(mask.shape), "bits": np.packbits(mask.ravel(), bitorder="little").tobytes().hex()}


def unpack(answer):
    height, width = answer["size"]
    packed = np.frombuffer(bytes.fromhex(answer["bits"]), np.uint8)
    return np.unpackbits(packed, count=height * width, bitorder="little").reshape(height, width)


def differences(mask, other, answer):
    """Names of everything in which the two sides differ on `mask`."""
    if "error" in answer:
        return [answer["error"]]
    ours, from_their_rle, _ = answer["masks"]
    height, width = mask.shape
    their_rle = coco.encode(np.asfortranarray(mask))
    our_rle = {"size": [height, width], "counts": ours["counts"].encode()}
    our_runs = {"size": [height, width], "counts": ours["runs"]}
    their_other = coco.encode(np.asfortranarray(other))
    checks = {
        "they decode our string": np.array_equal(coco.decode(our_rle), mask),
        "they read our counts": coco.frPyObjects(our_runs, height, width)["counts"] == their_rle["counts"],
        "the strings are equal": our_rle["counts"] == their_rle["counts"],
        "we decode their string": np.array_equal(unpack(from_their_rle), mask),
        "area": from_their_rle["area"] == int(coco.area(their_rle)) == int(mask.sum()),
        "bbox": from_their_rle["bbox"] == coco.toBbox(their_rle).tolist(),
    }
    if mask.any() or other.any():  # Two empty masks: 1 here, 0 there.
        their_iou = float(coco.iou([their_rle], [their_other], [0])[0][0])
        checks["iou"] = math.isclose(answer["ious"][2], their_iou, rel_tol=1e-12)
    if ours["polygons"] and all(len(rings) == 1 for rings in ours["polygons"]):
        # COCO polygons cannot express holes, and its rasteriser agrees on corners of whole pixels.
        outlines = coco.frPyObjects([rings[0] for rings in ours["polygons"]], height, width)
        checks["they fill our polygons"] = np.array_equal(coco.decode(coco.merge(outlines)), mask)
    return [name for name, holds in checks.items() if not holds]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exchange", default="target/release/examples/mask_exchange")
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    pairs = []
    for _ in range(arguments.masks):
        height, width = random_size(rng)
        pairs.append((random_mask(rng, height, width), random_mask(rng, height, width)))
    questions = []
    for mask, other in pairs:
        rle = coco.encode(np.asfortranarray(mask))
        questions.append([pack(mask), {**rle, "counts": rle["counts"].decode()}, pack(other)])
    text = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run([arguments.exchange], input=text, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(pairs):
        sys.exit(f"{len(answers)} answers to {len(pairs)} questions")

    failed = 0
    for index, ((mask, other), answer) in enumerate(zip(pairs, answers)):
        wrong = differences(mask, other, answer)
        failed += bool(wrong)
        if wrong and failed <= 10:
            print(f"mask {index}, {mask.shape[1]} x {mask.shape[0]}: {', '.join(wrong)}")
    print(f"{len(pairs) - failed} of {len(pairs)} masks agree in every respect")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
