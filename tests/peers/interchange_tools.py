"""Checks that annotation tools read the masks we export for them, and we those that they write, pixel by pixel.

labelme's and X-AnyLabeling's own readers and writers, datumaro's reader and writer of CVAT's XML, Label Studio's
converter; also that every document comes back whole, through the tool's own file where its writer can be called.

Run from the top of the repository, with Python 3.12 or newer:

    pip install "labelme==7.1.*" datumaro label-studio-sdk pycocotools pillow
    pip install x-anylabeling-cvhub    # not needed for the others; with QT_QPA_PLATFORM=offscreen where no screen is
    cargo build --release
    python tests/peers/interchange_tools.py [--images 60] [--samtok PATH]

Exits with 1 and the first differences if anything differs.
"""

import argparse
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from pycocotools import mask as coco

LABELS = ["cat", "dog & <bird>", "猫", ""]


def random_mask(rng, height, width):
    """Never empty; parts, holes, islands in holes, noise."""
    kind = rng.integers(8)
    if kind == 0:
        mask = np.ones((height, width), np.uint8)
    elif kind <= 2:
        mask = (rng.random((height, width)) < rng.random()).astype(np.uint8)
    else:
        mask = np.zeros((height, width), np.uint8)
        rows, columns = np.mgrid[:height, :width]
        for _ in range(rng.integers(1, 12)):
            y, x = rng.random(2) * (height, width)
            reach_y, reach_x = rng.random(2) * (height, width) / 3 + 0.5
            distance = ((rows - y) / reach_y) ** 2 + ((columns - x) / reach_x) ** 2
            mask[distance <= 1] = rng.random() < 0.75
    mask[rng.integers(height), rng.integers(width)] = 1
    return mask


def encode(mask):
    return coco.encode(np.asfortranarray(mask))["counts"].decode()


def decode(mask):
    return coco.decode({"size": mask["size"], "counts": mask["counts"].encode()})


def make_folder(rng, folder, count):
    """Images of noise with sidecars; answers the masks by image name and region id."""
    masks = {}
    for number in range(count):
        name = f"{['', 'a/', 'b/c d/'][number % 3]}photo {number:03}.png"
        side = lambda: int(rng.choice([rng.integers(1, 200), 1, 63, 64, 65]))
        height, width = side(), side()
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)
        regions = []
        masks[name] = {}
        for index in range(int(rng.integers(0, 5))):
            mask = random_mask(rng, height, width)
            masks[name][f"r{index + 1}"] = mask
            regions.append({
                "id": f"r{index + 1}",
                "label": LABELS[index % len(LABELS)],
                "mask": {"size": [height, width], "counts": encode(mask)},
                "captions": [{"text": f"number {index} & beside [[r1]]\nin two lines", "author": "human"}][: index % 2],
                "attributes": {"severity": "minor", "count": index, "visible": index % 2 == 0},
                "status": "done",
            })
        document = {
            "format": "samtok-annotation",
            "version": 1,
            "image": {"file_name": path.name, "width": width, "height": height},
            "regions": regions,
            "conversations": [{
                "id": "c1",
                "task": "region_qa",
                "turns": [{"role": "user", "text": "What is [[r1]]?"}, {"role": "assistant", "text": "A <b>."}],
                "status": "done",
            }],
            "status": "approved",
            "notes": f"image {number}",
        }
        sidecar(folder, name).write_text(json.dumps(document), "utf-8")
    return masks


def sidecar(folder, name):
    return folder / f"{name}.samtok.json"


class Check:
    def __init__(self, samtok, folder, masks):
        self.samtok = samtok
        self.folder = folder
        self.masks = masks
        self.compared = 0
        self.wrong = []

    def run(self, *arguments):
        done = subprocess.run([self.samtok, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            self.wrong.append(f"samtok {arguments[0]} {arguments[1:3]}: {done.stdout}{done.stderr}")

    def export(self, name):
        """The export, with the images beside it as the tools want them."""
        out = self.folder.parent / name
        self.run("export", self.folder, "--to", name, "--out", out)
        return out

    def copy_images(self, into):
        for image in self.masks:
            (into / image).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.folder / image, into / image)

    def imported(self, name, source):
        """Fresh copies of the images with what the import made of `source`."""
        into = Path(tempfile.mkdtemp(dir=self.folder.parent))
        self.copy_images(into)
        self.run("import", "--from", name, source, "--into", into)
        return into

    def same(self, what, ours, theirs):
        """Counts a comparison of two masks."""
        self.compared += 1
        if ours.shape != theirs.shape or not np.array_equal(ours.astype(bool), theirs.astype(bool)):
            self.wrong.append(f"{what}: masks differ in {int((ours != theirs).sum()) if ours.shape == theirs.shape else 'size'}")

    def same_documents(self, what, folder):
        """That all came back, as written into new sidecars; dates and revisions aside."""
        for name in self.masks:
            read = lambda path: json.loads(path.read_text("utf-8")) if path.exists() else {}
            before, after = read(sidecar(self.folder, name)), read(sidecar(folder, name))
            for key in ("status", "notes", "conversations"):
                if not self.masks[name] and not after:
                    continue
                if key == "conversations":
                    turns = lambda document: [
                        [(turn["role"], turn["text"]) for turn in conversation["turns"]]
                        for conversation in document.get(key, [])
                    ]
                    equal = turns(before) == turns(after)
                else:
                    equal = before.get(key) == after.get(key)
                if not equal:
                    self.wrong.append(f"{what} {name}: {key} differs: {before.get(key)} {after.get(key)}")
            regions = {region["id"]: region for region in after.get("regions", [])}
            if set(regions) != set(self.masks[name]):
                self.wrong.append(f"{what} {name}: regions {sorted(regions)}")
                continue
            for region in before["regions"]:
                other = regions[region["id"]]
                self.same(f"{what} {name} {region['id']}", decode(other["mask"]), self.masks[name][region["id"]])
                texts = lambda region: [(caption["text"], caption.get("author")) for caption in region["captions"]]
                for key in ("label", "attributes", "status"):
                    if region[key] != other[key]:
                        self.wrong.append(f"{what} {name} {region['id']}: {key} differs: {region[key]} {other[key]}")
                if texts(region) != texts(other):
                    self.wrong.append(f"{what} {name} {region['id']}: captions differ")

    def same_masks(self, what, folder, expected):
        """That the regions of new sidecars are `expected`, in order: label and mask."""
        for name, things in expected.items():
            path = sidecar(folder, name)
            regions = json.loads(path.read_text("utf-8"))["regions"] if path.exists() else []
            if len(regions) != len(things):
                self.wrong.append(f"{what} {name}: {len(regions)} regions instead of {len(things)}")
                continue
            for number, (region, (label, mask)) in enumerate(zip(regions, things)):
                self.same(f"{what} {name} {number}", decode(region["mask"]), mask)
                if region["label"] != label:
                    self.wrong.append(f"{what} {name} {number}: label {region['label']!r} instead of {label!r}")


def check_labelme(check):
    from labelme._label_file import read_label_file, write_label_file
    from labelme._utils.shape import shapes_to_label
    from loguru import logger

    logger.remove()  # One line for every image that it opens.
    out = check.export("labelme")
    check.copy_images(out)
    for name, masks in check.masks.items():
        path = (out / name).with_suffix(".json")
        annotation = read_label_file(str(path))
        shapes = annotation.shapes
        for shape, mask in zip(shapes, masks.values(), strict=True):
            theirs, _ = shapes_to_label(mask.shape, [shape], {shape["label"]: 1})
            check.same(f"labelme {name}", mask, theirs)
        # Saved by labelme, which keeps our keys.
        height, width = Image.open(out / name).size[::-1]
        write_label_file(str(path), annotation, image_height=height, image_width=width, save_image_data=False)
    check.same_documents("labelme", check.imported("labelme", out))

    # Files that labelme writes about masks of its own.
    foreign, expected = check.folder.parent / "labelme-theirs", {}
    check.copy_images(foreign)
    for name, masks in check.masks.items():
        shapes = []
        for number, mask in enumerate(masks.values()):
            rows, columns = np.nonzero(mask)
            top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
            shapes.append({
                "label": f"thing {number}", "shape_type": "mask", "flags": {}, "description": "", "group_id": None,
                "points": [[float(left), float(top)], [float(right), float(bottom)]],
                "mask": mask[top : bottom + 1, left : right + 1].astype(bool), "other_data": {},
            })
        annotation = type(read_label_file(str((out / name).with_suffix(".json"))))(
            image_path=Path(name).name, image_data=b"", shapes=shapes, flags={}, other_data={}
        )
        height, width = Image.open(foreign / name).size[::-1]
        write_label_file(
            str((foreign / name).with_suffix(".json")), annotation,
            image_height=height, image_width=width, save_image_data=False,
        )
        expected[name] = [(f"thing {number}", mask) for number, mask in enumerate(masks.values())]
    check.same_masks("labelme's", check.imported("labelme", foreign), expected)


def check_xanylabeling(check):
    """Through its own reader and writer where it is installed; else both by their rules.

    Its masks are those of its COCO export: pycocotools fills the polygons of each label and group together.
    """
    try:
        from anylabeling.views.labeling.label_file import LabelFile
    except ImportError:
        LabelFile = None
        print("X-AnyLabeling is not installed, so its files are only checked by its rules")
    out = check.export("xanylabeling")
    check.copy_images(out)
    for name, masks in check.masks.items():
        path = (out / name).with_suffix(".json")
        data = json.loads(path.read_text("utf-8"))
        assert data["imagePath"] == Path(name).name and data["imageData"] is None and data["checked"] is True
        if LabelFile:
            file = LabelFile(str(path))
            shapes = [shape.to_dict() for shape in file.shapes]
            file.save(
                str(path), shapes, file.image_path, data["imageHeight"], data["imageWidth"],
                other_data=file.other_data, flags=file.flags,
            )
            assert file.other_data["chat_history"] == data["chat_history"]
        else:
            shapes = data["shapes"]
            assert all(shape["shape_type"] == "polygon" and shape["kie_linking"] == [] for shape in shapes)
        instances = {}
        for number, shape in enumerate(shapes):
            group = shape["group_id"]
            assert group is None or type(group) is int
            key = (shape["label"], group if group is not None else f"alone {number}")
            instances.setdefault(key, []).append([value for point in shape["points"] for value in point])
        for polygons, mask in zip(instances.values(), masks.values(), strict=True):
            merged = coco.merge(coco.frPyObjects(polygons, *mask.shape))
            check.same(f"xanylabeling {name}", mask, coco.decode(merged))
    check.same_documents("xanylabeling", check.imported("xanylabeling", out))

    # A polygon that somebody moved wins over the mask that was written beside it.
    expected = {}
    for name, masks in check.masks.items():
        path = (out / name).with_suffix(".json")
        data = json.loads(path.read_text("utf-8"))
        for shape in data["shapes"]:
            shape["points"] = [[x, y + 1.0] for x, y in shape["points"]]
        path.write_text(json.dumps(data), "utf-8")
        moved = [np.vstack([np.zeros_like(mask[:1]), mask[:-1]]) for mask in masks.values()]
        labels = [LABELS[index % len(LABELS)] for index in range(len(moved))]
        expected[name] = [(label, mask) for label, mask in zip(labels, moved) if mask.any()]
    check.same_masks("xanylabeling, moved", check.imported("xanylabeling", out), expected)


def check_cvat(check):
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    out = check.export("cvat")
    check.copy_images(out / "images")
    dataset = Dataset.import_from(str(out), "cvat")
    labels = dataset.categories()[AnnotationType.label]
    items = {f"{item.id}.png": item for item in dataset}
    for name, masks in check.masks.items():
        theirs = [annotation for annotation in items[name].annotations if annotation.type == AnnotationType.mask]
        for annotation, mask in zip(theirs, masks.values(), strict=True):
            check.same(f"cvat {name}", mask, annotation.image)
            assert labels[annotation.label].name
            assert annotation.attributes["severity"] == "minor", annotation.attributes
    declared = {label["name"]: {entry["name"] for entry in label["attributes"]} for label in json.loads((out / "labels.json").read_text("utf-8"))}
    for element in ElementTree.parse(out / "annotations.xml").getroot().iter("mask"):
        assert {entry.get("name") for entry in element} <= declared[element.get("label")]
    check.same_documents("cvat", check.imported("cvat", out))

    check_cvat_shapes(check, Dataset)


def check_cvat_shapes(check, Dataset):
    """Masks, boxes and polygons that datumaro writes."""
    from datumaro.components.annotation import Bbox, Mask, Polygon
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image as Media

    rng = np.random.default_rng(1)
    items, expected = [], {}
    for name, masks in check.masks.items():
        height, width = np.asarray(Image.open(check.folder / name)).shape[:2]
        annotations = [Mask(mask, label=0, z_order=number) for number, mask in enumerate(masks.values())]
        things = [("mask", mask) for mask in masks.values()]
        # Whole coordinates, on which all rasterisers agree.
        x0, x1 = map(int, sorted(rng.choice(width + 1, 2, replace=False)))
        y0, y1 = map(int, sorted(rng.choice(height + 1, 2, replace=False)))
        box = np.zeros((height, width), np.uint8)
        box[y0:y1, x0:x1] = 1
        annotations.append(Bbox(x0, y0, x1 - x0, y1 - y0, label=1, z_order=len(annotations)))
        annotations.append(Polygon([x0, y0, x1, y0, x1, y1, x0, y1], label=2, z_order=len(annotations)))
        things += [("box", box), ("polygon", box)]
        media = Media.from_file(str(check.folder / name), size=(height, width))
        items.append(DatasetItem(id=name.removesuffix(".png"), annotations=annotations, media=media))
        expected[name] = things
    dataset = Dataset.from_iterable(items, categories=["mask", "box", "polygon"])
    theirs = check.folder.parent / "cvat-theirs"
    dataset.export(str(theirs), "cvat", save_media=False, image_ext=".png")
    check.same_masks("cvat's", check.imported("cvat", next(theirs.rglob("*.xml"))), expected)


def check_label_studio(check):
    from label_studio_sdk.converter import brush

    out = check.export("labelstudio")
    tasks = json.loads((out / "tasks.json").read_text("utf-8"))
    seen = set()
    for task in tasks:
        name = parse_qs(urlsplit(task["data"]["image"]).query)["d"][0]
        seen.add(name)
        strokes = [result for result in task["annotations"][0]["result"] if result["type"] == "brushlabels"]
        for result, mask in zip(strokes, check.masks[name].values(), strict=True):
            # What the converter hands its decoder.
            flat = {**result["value"], **{key: result[key] for key in ("original_width", "original_height", "type")}}
            layers = list(brush.decode_from_annotation("label", [flat]).values())
            check.same(f"labelstudio {name}", mask, layers[0])
            if result["value"]["rle"] != brush.mask2rle(mask * 255):
                check.wrong.append(f"labelstudio {name}: bytes differ from the reference encoder's")
    if seen != set(check.masks):
        check.wrong.append(f"labelstudio: tasks for {sorted(seen)}")
    check.same_documents("labelstudio", check.imported("labelstudio", out / "tasks.json"))

    # Tasks with strokes that the converter encodes, one layer at a time.
    tasks, expected = [], {}
    for name, masks in check.masks.items():
        results = []
        for number, mask in enumerate(masks.values()):
            path = check.folder.parent / "layer.png"
            Image.fromarray(mask * 255).save(path)
            results += brush.image2annotation(str(path), f"thing {number}", "tag", "img")["result"]
        uploaded = f"/data/upload/7/{uuid.uuid4().hex[:8]}-{Path(name).name}"
        tasks.append({"id": len(tasks), "data": {"image": uploaded}, "annotations": [{"id": 1, "result": results}]})
        expected[name] = [(f"thing {number}", mask) for number, mask in enumerate(masks.values())]
    theirs = check.folder.parent / "theirs.json"
    theirs.write_text(json.dumps(tasks), "utf-8")
    check.same_masks("labelstudio's", check.imported("labelstudio", theirs), expected)


CHECKS = {
    "labelme": check_labelme,
    "xanylabeling": check_xanylabeling,
    "cvat": check_cvat,
    "labelstudio": check_label_studio,
}


def versions():
    for name in ("labelme", "x-anylabeling-cvhub", "datumaro", "label-studio-sdk", "pycocotools"):
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"no {name}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samtok", default="target/release/samtok")
    parser.add_argument("formats", nargs="*", default=list(CHECKS))
    arguments = parser.parse_args()

    print(", ".join(versions()))
    failed = False
    for name in arguments.formats:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "images"
            masks = make_folder(np.random.default_rng(arguments.seed), folder, arguments.images)
            check = Check(str(Path(arguments.samtok).resolve()), folder, masks)
            CHECKS[name](check)
            for line in check.wrong[:10]:
                print(f"  {line}")
            print(f"{name}: {check.compared} masks compared, {len(check.wrong)} differences")
            failed |= bool(check.wrong)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
