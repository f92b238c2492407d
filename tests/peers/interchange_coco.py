"""Checks on random folders that pycocotools reads the COCO files that we write, and that we read what it knows.

Run from the top of the repository, with pycocotools, numpy and pillow installed:

    cargo build --release
    python tests/peers/interchange_coco.py [--images 40] [--samtok PATH]

Exits with 1 and the first differences if anything differs.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

LABELS = ["cat", "dog", "", "traffic light", "Ünïcode \"1\""]


def random_mask(rng, height, width):
    mask = np.zeros((height, width), np.uint8)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(rng.integers(1, 8)):
        y, x = rng.random(2) * (height, width)
        reach_y, reach_x = rng.random(2) * (height, width) / 3 + 0.5
        mask[((rows - y) / reach_y) ** 2 + ((columns - x) / reach_x) ** 2 <= 1] = rng.random() < 0.75
    if not mask.any():
        mask[0, 0] = 1
    return mask


def rle(mask):
    encoded = coco.encode(np.asfortranarray(mask))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def write_image(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size[1], size[0]), (40, 90, 20)).save(path)


def write_sidecar(path, size, regions):
    document = {
        "format": "samtok-annotation",
        "version": 1,
        "image": {"file_name": path.name, "width": size[1], "height": size[0]},
        "regions": [
            {"id": f"r{index}", "label": label, "mask": rle(mask), "attributes": {"index": index}}
            for index, (label, mask) in enumerate(regions, 1)
        ],
        "status": "done",
    }
    Path(f"{path}.samtok.json").write_text(json.dumps(document), "utf-8")


def read_sidecar(path):
    document = json.loads(Path(f"{path}.samtok.json").read_text("utf-8"))
    return [(region["label"], coco.decode(region["mask"])) for region in document["regions"]]


def annotated_folder(rng, folder, count):
    """A folder of images with regions, by name."""
    truth = {}
    for index in range(count):
        name = f"{'sub/' * (index % 3)}img {index}.png"
        size = tuple(int(side) for side in rng.integers(1, 120, 2))
        labels = rng.choice(LABELS, rng.integers(0, 6))
        truth[name] = [(str(label), random_mask(rng, *size)) for label in labels]
        write_image(folder / name, size)
        write_sidecar(folder / name, size, truth[name])
    return truth


def quietly(work):
    with contextlib.redirect_stdout(io.StringIO()):
        return work()


class Checks:
    def __init__(self):
        self.done = 0
        self.failed = []

    def expect(self, holds, what):
        self.done += 1
        if not holds:
            self.failed.append(what)


def check_instances(checks, truth, out):
    """What we wrote, read by pycocotools."""
    path = out / "annotations" / "instances_default.json"
    api = quietly(lambda: COCO(str(path)))
    checks.expect({image["file_name"] for image in api.imgs.values()} == set(truth), "the images")
    for image in api.imgs.values():
        name, regions = image["file_name"], truth[image["file_name"]]
        annotations = api.loadAnns(api.getAnnIds([image["id"]]))
        checks.expect(len(annotations) == len(regions), f"{name}: number of annotations")
        for annotation, (label, mask) in zip(annotations, regions):
            where = f"{name}: annotation {annotation['id']}"
            category = api.loadCats([annotation["category_id"]])[0]["name"]
            checks.expect(category == (label or "object"), f"{where}: category")
            checks.expect(np.array_equal(api.annToMask(annotation), mask), f"{where}: mask")
            encoded = api.annToRLE(annotation)
            checks.expect(annotation["area"] == int(coco.area(encoded)), f"{where}: area")
            checks.expect(annotation["bbox"] == coco.toBbox(encoded).tolist(), f"{where}: box")
    # Evaluating the truth against itself needs every field that the evaluation reads.
    results = [
        {**{key: annotation[key] for key in ("image_id", "category_id", "segmentation")}, "score": 1.0}
        for annotation in api.dataset["annotations"]
    ]
    loaded = quietly(lambda: api.loadRes(results))
    checks.expect(len(loaded.anns) == len(api.anns), "loadRes")


def check_panoptic(checks, truth, out):
    """The rules of the panoptic format: colours, areas, boxes and categories agree in both directions."""
    path = out / "annotations" / "panoptic_default.json"
    file = json.loads(path.read_text("utf-8"))
    images = {image["id"]: image for image in file["images"]}
    categories = {category["id"]: category for category in file["categories"]}
    checks.expect(all("isthing" in category for category in categories.values()), "isthing")
    checks.expect(len(file["annotations"]) == len(images) == len(truth), "one annotation per image")
    for annotation in file["annotations"]:
        name = images[annotation["image_id"]]["file_name"]
        regions = truth[name]
        picture = Image.open(path.with_suffix("") / annotation["file_name"])
        checks.expect(picture.mode == "RGB", f"{name}: an RGB picture")
        red, green, blue = np.moveaxis(np.asarray(picture).astype(np.uint32), 2, 0)
        ids = red + 256 * green + 65536 * blue
        expected = np.zeros_like(ids)
        for index, (_, mask) in enumerate(regions, 1):
            expected[mask > 0] = index
        checks.expect(np.array_equal(ids, expected), f"{name}: the last region is in front")
        segments = {segment["id"]: segment for segment in annotation["segments_info"]}
        checks.expect(set(segments) == set(np.unique(ids).tolist()) - {0}, f"{name}: segments and colours agree")
        for number, segment in segments.items():
            visible = coco.encode(np.asfortranarray((ids == number).astype(np.uint8)))
            where = f"{name}: segment {number}"
            checks.expect(segment["area"] == int(coco.area(visible)), f"{where}: area")
            checks.expect(segment["bbox"] == coco.toBbox(visible).tolist(), f"{where}: box")
            checks.expect(segment["iscrowd"] in (0, 1), f"{where}: iscrowd")
            label = categories[segment["category_id"]]["name"]
            checks.expect(label == (regions[number - 1][0] or "object"), f"{where}: category")


def random_polygons(rng, height, width):
    """One or more polygons that do not lie inside of each other, which would be a hole to us."""
    polygons = []
    for part in range(rng.integers(1, 4)):
        corners = rng.integers(3, 12)
        angles = np.sort(rng.random(corners)) * 2 * np.pi
        reach = rng.random(corners) * 0.5 + 0.5
        left = width * part / 3
        x = left + width / 6 + np.cos(angles) * reach * width / 5
        y = height / 2 + np.sin(angles) * reach * height / 1.8
        polygons.append(np.stack([x, y], 1).round(int(rng.integers(0, 4))).ravel().tolist())
    return polygons


def check_import(checks, samtok, rng, count):
    """A file in all forms that pycocotools reads, into sidecars."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        file = {"images": [], "annotations": [], "categories": [{"id": 3, "name": "thing"}]}
        for index in range(count):
            size = tuple(int(side) for side in rng.integers(8, 200, 2))
            name = f"{index}.png"
            write_image(folder / "images" / name, size)
            file["images"].append({"id": index, "file_name": name, "height": size[0], "width": size[1]})
            for _ in range(4):
                mask = random_mask(rng, *size)
                kind = rng.integers(3)
                if kind == 0:
                    segmentation = random_polygons(rng, *size)
                elif kind == 1:
                    segmentation = rle(mask)
                else:
                    flat = mask.ravel(order="F").astype(np.int8)
                    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat])))
                    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
                    segmentation = {"size": list(size), "counts": counts}
                file["annotations"].append({
                    "id": len(file["annotations"]) + 1, "image_id": index, "category_id": 3, "iscrowd": 0,
                    "segmentation": segmentation,
                })
        path = folder / "instances.json"
        path.write_text(json.dumps(file))
        api = quietly(lambda: COCO(str(path)))
        run(samtok, "import", "--from", "coco", str(path), "--into", str(folder / "images"))
        for image in file["images"]:
            theirs = [api.annToMask(one) for one in api.loadAnns(api.getAnnIds([image["id"]]))]
            theirs = [mask for mask in theirs if mask.any()]
            ours = [mask for _, mask in read_sidecar(folder / "images" / image["file_name"])]
            checks.expect(len(ours) == len(theirs), f"import of {image['file_name']}: number of regions")
            for index, (mask, other) in enumerate(zip(ours, theirs)):
                same = np.array_equal(mask, other)
                checks.expect(same, f"import of {image['file_name']}: mask {index}, {(mask != other).sum()} pixels")
        before = {path: path.read_bytes() for path in folder.rglob("*.samtok.json")}
        run(samtok, "import", "--from", "coco", str(path), "--into", str(folder / "images"))
        checks.expect(before == {path: path.read_bytes() for path in before}, "importing twice changes nothing")


def run(samtok, *arguments):
    done = subprocess.run([samtok, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samtok", default="target/release/samtok")
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    checks = Checks()
    with tempfile.TemporaryDirectory() as temporary:
        folder, coco_out, panoptic_out = (Path(temporary) / name for name in ("images", "coco", "panoptic"))
        truth = annotated_folder(rng, folder, arguments.images)
        run(arguments.samtok, "export", str(folder), "--to", "coco", "--out", str(coco_out), "--strict")
        check_instances(checks, truth, coco_out)
        run(arguments.samtok, "export", str(folder), "--to", "coco-panoptic", "--out", str(panoptic_out))
        check_panoptic(checks, truth, panoptic_out)
    check_import(checks, arguments.samtok, rng, arguments.images)

    for what in checks.failed[:10]:
        print(what)
    print(f"{checks.done - len(checks.failed)} of {checks.done} checks hold")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
