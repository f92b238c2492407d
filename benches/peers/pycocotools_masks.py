"""Times pycocotools and this library on the same masks in one run and prints both with their ratio.

Run from the top of the repository, with pycocotools and numpy installed:

    cargo bench --bench masks --no-run        # prints the path of the program
    python benches/peers/pycocotools_masks.py --bench target/release/deps/masks-…

Both sides report the fastest of 15 runs on one thread. The first two lines are the same work on both sides:
one byte per pixel to a compressed string and back (column-major bytes for pycocotools, its native order).
The `packed` lines start from and end in this library's own raster instead.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

REPEATS = 15


def fastest_ms(operation):
    fastest = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        operation()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest * 1e3


def blobs(rng, height, width, count):
    mask = np.zeros((height, width), np.uint8)
    for _ in range(count):
        y, x = rng.random(2) * (height, width)
        radius = (0.01 + 0.03 * rng.random()) * height
        top, left = max(0, int(y - 2 * radius)), max(0, int(x - 2 * radius))
        rows, columns = np.mgrid[top : min(height, int(y + 2 * radius)), left : min(width, int(x + 2 * radius))]
        waves, depth = rng.integers(2, 9), 0.3 * rng.random()
        reach = radius * (1 + depth * np.sin(waves * np.arctan2(rows - y, columns - x)))
        inside = np.hypot(rows - y, columns - x) <= reach
        mask[top : top + inside.shape[0], left : left + inside.shape[1]][inside] = rng.random() < 0.8
    return mask


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", required=True, help="the program that `cargo bench --bench masks --no-run` built")
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--blobs", type=int, default=300)
    arguments = parser.parse_args()
    height, width = arguments.height, arguments.width

    rng = np.random.default_rng(1)
    a, b = (blobs(rng, height, width, arguments.blobs) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "a.raw", Path(folder) / "b.raw"]
        for path, mask in zip(paths, (a, b)):
            mask.tofile(path)
        command = [arguments.bench, str(width), str(height), *map(str, paths)]
        ours = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    a_columns, b_columns = np.asfortranarray(a), np.asfortranarray(b)
    rle, other = coco.encode(a_columns), coco.encode(b_columns)
    if ours["rle"].encode() != rle["counts"]:
        raise SystemExit("the two sides encoded different masks, so their timings mean nothing")
    if abs(ours["iou"] - coco.iou([rle], [other], [0])[0][0]) > 1e-12:
        raise SystemExit("the two sides disagree on the IoU")
    theirs = {
        "bytes_to_string": fastest_ms(lambda: coco.encode(a_columns)),
        "string_to_bytes": fastest_ms(lambda: coco.decode(rle)),
        "area": fastest_ms(lambda: coco.area(rle)),
        "bounding_box": fastest_ms(lambda: coco.toBbox(rle)),
        "iou": fastest_ms(lambda: coco.iou([rle], [other], [0])),
        "union": fastest_ms(lambda: coco.merge([rle, other])),
    }
    rows = [
        ("bytes to string", "bytes_to_string", "bytes_to_string"),
        ("string to bytes", "string_to_bytes", "string_to_bytes"),
        ("packed to string", "rle_encode_and_string", "bytes_to_string"),
        ("string to packed", "string_and_rle_decode", "string_to_bytes"),
        ("area", "area", "area"),
        ("bounding box", "bounding_box", "bounding_box"),
        ("IoU", "iou", "iou"),
        ("union", "union", "union"),
    ]
    print(f"{width} x {height}, {arguments.blobs} blobs, {ours['rle_counts']} runs; milliseconds, fastest of {REPEATS}")
    print(f"{'':18}{'samtok':>10}{'pycocotools':>13}{'ratio':>8}")
    for title, our_name, their_name in rows:
        our_ms, their_ms = ours["timings_ms"][our_name], theirs[their_name]
        print(f"{title:18}{our_ms:10.3f}{their_ms:13.3f}{our_ms / their_ms:8.3f}")
    print("samtok alone:", json.dumps(ours["timings_ms"]))


if __name__ == "__main__":
    main()
