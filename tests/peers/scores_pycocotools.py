"""Checks on random predictions that average precision and mask IoU are those of pycocotools, number for number.

Run from the top of the repository, with pycocotools and numpy installed:

    cargo build --release
    python tests/peers/scores_pycocotools.py [--sets 20] [--images 30] [--program PATH]

Exits with 1 if anything differs by more than 1e-9.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys

import numpy as np
from pycocotools import mask as coco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def blob(rng, height, width):
    rows, columns = np.mgrid[:height, :width]
    y, x = rng.random(2) * (height, width)
    reach_y, reach_x = rng.random(2) * (height, width) / 3 + 1
    return (((rows - y) / reach_y) ** 2 + ((columns - x) / reach_x) ** 2 <= 1).astype(np.uint8)


def prediction(rng, masks, height, width):
    """A mask of the reference, moved and grown a little, or something else."""
    if not masks or rng.random() < 0.25:
        return blob(rng, height, width)
    mask = masks[rng.integers(len(masks))]
    mask = np.roll(mask, rng.integers(-3, 4, 2), (0, 1))
    noise = rng.random((height, width)) < rng.random() * 0.2
    return (mask ^ noise).astype(np.uint8)


def encode(mask):
    rle = coco.encode(np.asfortranarray(mask))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode()}


def images(rng, count, confidence):
    made = []
    for _ in range(count):
        height, width = (int(side) for side in rng.integers(20, 90, 2))
        reference = [blob(rng, height, width) for _ in range(rng.integers(0, 7))]
        predicted = [prediction(rng, reference, height, width) for _ in range(rng.integers(0, 9))]
        if rng.random() < 0.1:
            predicted += [prediction(rng, reference, height, width) for _ in range(120)]
        # Few different values, so that many are equal.
        scores = [round(float(score), 1) if confidence else 1.0 for score in rng.random(len(predicted))]
        made.append(([encode(m) for m in predicted], scores, [encode(m) for m in reference], (height, width)))
    return made


def theirs(made):
    annotations, predictions = [], []
    for number, (predicted, scores, reference, _) in enumerate(made):
        common = {"image_id": number, "category_id": 1}
        for mask in reference:
            area, box = float(coco.area(mask)), coco.toBbox(mask).tolist()
            entry = {"id": len(annotations) + 1, "iscrowd": 0, "area": area, "bbox": box, "segmentation": mask}
            annotations.append(entry | common)
        predictions += [{"segmentation": m, "score": s} | common for m, s in zip(predicted, scores)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": number, "height": size[0], "width": size[1]} for number, (*_, size) in enumerate(made)],
            "categories": [{"id": 1}],
            "annotations": annotations,
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(predictions), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ious = []
    for predicted, _, reference, _ in made:
        matrix = np.zeros((0, 0))
        if predicted and reference:
            matrix = np.asarray(coco.iou(predicted, reference, [0] * len(reference)))
        paired = []
        while matrix.size and matrix.max() > 0:
            row, column = np.unravel_index(np.argmax(matrix), matrix.shape)
            paired.append(matrix[row, column])
            matrix = np.delete(np.delete(matrix, row, 0), column, 1)
        ious.append(np.mean(paired) if paired else 0.0)
    return {"ap": evaluation.stats[0], "ap50": evaluation.stats[1], "miou": float(np.mean(ious))}


def ours(program, made):
    record = lambda entry: {"pred_masks": entry[0], "scores": entry[1], "gt_masks": entry[2]}
    text = "".join(json.dumps(record(entry)) + "\n" for entry in made)
    command = [program, "score", "--metric", "gcg", "--json", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--program", default="target/release/samtok")
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    worst = 0.0
    for number in range(arguments.sets):
        made = images(rng, arguments.images, confidence=number % 2 == 1)
        expected, found = theirs(made), ours(arguments.program, made)
        for name, value in expected.items():
            difference = abs(value - found[name])
            worst = max(worst, difference)
            if difference > 1e-9:
                print(f"set {number}: {name} is {found[name]} and there {value}")
    print(f"{arguments.sets} sets, largest difference {worst:.1e}")
    sys.exit(1 if worst > 1e-9 else 0)


if __name__ == "__main__":
    main()
