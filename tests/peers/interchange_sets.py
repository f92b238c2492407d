"""Checks that others read the data sets we write, agree on every mask, and that we read theirs.

Random regions with parts and holes, and conversations about them, are exported as YOLO, Pascal VOC, COCO, RefCOCO,
gRefCOCO, GranDf and Osprey-724K. Each is read by rules or programs that are not ours: Ultralytics' label check and rasteriser,
datumaro, Python's pickle, and loaders that do what those of REFER, GREFER, GLaMM and Osprey do with pycocotools. Sets
made by others (Ultralytics' merging of segments, datumaro's VOC, old pickles, COCO polygons of any angle) are imported
and compared pixel by pixel.

Run from the top of the repository, with numpy, pillow, pycocotools and datumaro installed; ultralytics is asked where it
is installed, and its rules are repeated here where it is not:

    cargo build --release
    python tests/peers/interchange_sets.py [--images 40] [--samtok PATH]

Exits with 1 and the first differences if anything differs that should not.
"""

import argparse
import json
import pickle
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as coco

CLASSES = ["cat", "dog", "sky & \"sea\"", "über: alles"]
SENTENCES = ["the left one", "man in the Red hat!", "größter Hund", "it's \"that\" one"]


def random_mask(rng, height, width):
    kind = rng.integers(8)
    if kind == 0:
        return rng.random((height, width)) < rng.random()
    mask = np.zeros((height, width), bool)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(rng.integers(1, 9)):
        y, x = rng.random(2) * (height, width)
        reach_y, reach_x = rng.random(2) * (height, width) / 3 + 1
        mask[((rows - y) / reach_y) ** 2 + ((columns - x) / reach_x) ** 2 <= 1] = rng.random() < 0.7
    return mask


def encoded(mask):
    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def decoded(rle):
    counts = rle["counts"]
    return coco.decode({"size": rle["size"], "counts": counts.encode() if isinstance(counts, str) else counts}).astype(bool)


def iou(a, b):
    union = (a | b).sum()
    return 1.0 if union == 0 else (a & b).sum() / union


def turn(role, text):
    return {"role": role, "text": text}


def sidecar(name, width, height, regions, conversations):
    return {
        "format": "samtok-annotation",
        "version": 1,
        "image": {"file_name": Path(name).name, "width": width, "height": height},
        "regions": regions,
        "conversations": conversations,
    }


class Folder:
    """A folder of images with sidecars, made up at random; masks by image and region."""

    def __init__(self, path, rng, images, overlap):
        self.path, self.masks, self.labels = path, {}, {}
        for index in range(images):
            name = f"{'sub/' if index % 3 == 0 else ''}image {index}.png"
            width, height = (int(side) for side in rng.integers(8, 220, 2))
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (width, height), (index % 256, 90, 10)).save(path / name)
            regions, taken = [], np.zeros((height, width), bool)
            self.masks[name], self.labels[name] = {}, {}
            for number in range(1, rng.integers(2, 7)):
                mask = random_mask(rng, height, width)
                if not overlap:
                    mask &= ~taken
                    taken |= mask
                if mask.any():
                    label = CLASSES[rng.integers(len(CLASSES))]
                    regions.append(
                        {
                            "id": f"r{number}",
                            "label": label,
                            "mask": encoded(mask),
                            "captions": [{"text": f"Region {number}, by [[r{regions[0]['id'][1:] if regions else number}]]."}],
                        }
                    )
                    self.masks[name][f"r{number}"], self.labels[name][f"r{number}"] = mask, label
            text = json.dumps(sidecar(name, width, height, regions, self.conversations(rng, regions)), ensure_ascii=False)
            (path / f"{name}.samtok.json").write_text(text, encoding="utf-8")

    def conversations(self, rng, regions):
        ids = [region["id"] for region in regions]
        if not ids:
            return []
        one = lambda: f"[[{rng.choice(ids)}]]"
        some = lambda: " ".join(f"[[{id}]]" for id in rng.permutation(ids)[: rng.integers(1, len(ids) + 1)])
        ask = lambda: f"Please segment {SENTENCES[rng.integers(len(SENTENCES))]} in this image."
        made = [("referring_segmentation", ask(), one()) for _ in range(3)]
        made += [("referring_segmentation", ask(), some()), ("no_target", ask(), "No target.")]
        made += [("region_qa", f"What is {one()}?", f"It is beside {one()}.")]
        phrase = lambda word: f"<|object_ref_start|> {word} <|object_ref_end|> {some()}"
        made += [("grounded_caption", "Describe it.", f"Ä photo of {phrase('a cat')} and {phrase('two Hüte')}.")]
        return [
            {"id": f"c{index}", "task": task, "turns": [turn("user", asked), turn("assistant", answered)]}
            for index, (task, asked, answered) in enumerate(made, 1)
        ]

    def expressions(self):
        """Of every image the sentences with the ids of the regions that they mean."""
        for name in self.masks:
            document = json.loads((self.path / f"{name}.samtok.json").read_text(encoding="utf-8"))
            for conversation in document["conversations"]:
                asked, answered = (part["text"] for part in conversation["turns"])
                yield name, conversation["task"], asked, answered, re.findall(r"\[\[(\w+)\]\]", answered)


class Check:
    def __init__(self, samtok, folder):
        self.samtok, self.folder, self.failures, self.done = samtok, folder, [], []

    def run(self, *arguments):
        done = subprocess.run([self.samtok, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode > 1:
            sys.exit(f"samtok {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def exported(self, source, name):
        out = self.folder / f"{source.path.name} {name}"
        self.run("export", source.path, "--to", name, "--out", out)
        return out

    def imported(self, name, source, images):
        """The documents that arrive for images of these names and sizes (width, height)."""
        into = Path(tempfile.mkdtemp(dir=self.folder))
        for image, size in images.items():
            (into / image).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size).save(into / image)
        self.run("import", "--from", name, source, "--into", into)
        documents = {}
        for image in images:
            path = into / f"{image}.samtok.json"
            documents[image] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"regions": [], "conversations": []}
        return documents

    def holds(self, what, is_true):
        if not is_true:
            self.failures.append(what)

    def said(self, text):
        self.done.append(text)


def same_masks(ours, theirs):
    """Whether two lists of masks hold the same ones, in any order."""
    key = lambda mask: mask.astype(bool).tobytes()
    return sorted(map(key, ours)) == sorted(map(key, theirs))


# YOLO


def ultralytics_rules():
    try:
        from ultralytics import __version__
        from ultralytics.data.converter import merge_multi_segment
        from ultralytics.data.utils import polygon2mask, verify_image_label

        return __version__, verify_image_label, polygon2mask, merge_multi_segment
    except Exception:
        return None, None, None, None


def yolo_rows(path, classes):
    """The rows of a label file by the rules of Ultralytics' check; raises where it would refuse them."""
    rows = [line.split() for line in path.read_text(encoding="utf-8-sig").strip().splitlines() if line.strip()]
    read = []
    for row in rows:
        assert len(row) > 6 and len(row) % 2 == 1, "rows of segments have a class and at least three points"
        points = np.array(row[1:], np.float32).reshape(-1, 2)
        assert points.min() >= 0 and points.max() <= 1, "points lie in the image"
        assert 0 <= int(row[0]) < classes
        read.append((int(row[0]), points))
    return read


def even_odd(points, height, width):
    """Pixels with their centre inside a closed line, by the even-odd rule, crossing by crossing."""
    mask = np.zeros((height, width), bool)
    x, y = points[:, 0].astype(np.float64) * width, points[:, 1].astype(np.float64) * height
    for x0, y0, x1, y1 in zip(x, y, np.roll(x, -1), np.roll(y, -1)):
        (x0, y0), (x1, y1) = sorted([(x0, y0), (x1, y1)], key=lambda point: point[1])
        for row in range(max(0, int(np.ceil(y0 - 0.5))), min(height, int(np.ceil(y1 - 0.5)))):
            at = x0 + (row + 0.5 - y0) / (y1 - y0) * (x1 - x0)
            mask[row, max(0, int(np.ceil(at - 0.5))) :] ^= True
    return mask


def check_yolo(check, source):
    out = check.exported(source, "yolo-seg")
    version, verify, polygon2mask, merge = ultralytics_rules()
    names = re.findall(r'^  (\d+): (".*")$', (out / "data.yaml").read_text(encoding="utf-8"), re.M)
    names = {int(number): json.loads(name) for number, name in names}
    exact = count = 0
    shares = []
    for image, masks in source.masks.items():
        label = out / "labels" / Path(image).with_suffix(".txt")
        rows = yolo_rows(label, len(names))
        height, width = Image.open(source.path / image).size[::-1]
        if verify:
            answer = verify((str(source.path / image), str(label), "", False, len(names), 0, 0, False))
            check.holds(f"Ultralytics takes {label.name}: {answer[-1]}", answer[0] is not None and answer[8] == 0)
            twins = len({(labels, mask.tobytes()) for labels, mask in zip(source.labels[image].values(), masks.values())})
            check.holds(f"Ultralytics keeps every row of {label.name}", len(answer[1]) == twins)
        check.holds(f"{label.name} has a row for each region", len(rows) == len(masks))
        for (number, points), (region, mask) in zip(rows, masks.items()):
            count += 1
            check.holds(f"class of {region} of {image}", names[number] == source.labels[image][region])
            exact += np.array_equal(even_odd(points, height, width), mask)
            corners = (points * (width, height)).reshape(1, -1)
            if polygon2mask:
                filled = polygon2mask((height, width), corners).astype(bool)
            else:
                filled = np.zeros((height, width), np.uint8)
                cv2.fillPoly(filled, corners.astype(np.int32).reshape(1, -1, 2), 1)
                filled = filled.astype(bool)
            check.holds(f"Ultralytics' pixels of {region} of {image} cover ours", (filled | ~mask).all())
            shares.append(iou(filled, mask))
    check.holds("even-odd filling of every row gives the mask", exact == count)
    by = f"Ultralytics {version}" if version else "the rules of Ultralytics"
    check.said(f"yolo-seg: {exact} of {count} rows give the mask by the even-odd rule; {by} gives IoU {np.mean(shares):.3f} on average, as it sets the pixels under the line too")

    # What Ultralytics' own converter makes of several segments, and rows that older tools write.
    rng, merged, images, expected = np.random.default_rng(5), 0, {}, {}
    theirs = check.folder / "ultralytics"
    (theirs / "labels").mkdir(parents=True)
    (theirs / "data.yaml").write_text("names: [a, 'b c']\nnc: 2\n")
    for index in range(20 if merge else 0):
        width, height = (int(side) for side in rng.integers(20, 200, 2))
        boxes = [(x, y, x + int(rng.integers(1, width // 5)), y + int(rng.integers(1, height // 5))) for x, y in zip(range(0, width - width // 5, width // 4), rng.integers(0, height * 3 // 4, 4).tolist())]
        segments = [[x0, y0, x1, y0, x1, y1, x0, y1] for x0, y0, x1, y1 in boxes]
        line = np.concatenate(merge(segments), 0) / (width, height)
        (theirs / "labels" / f"{index}.txt").write_text("1 " + " ".join("%g" % number for number in line.reshape(-1)) + "\n")
        mask = np.zeros((height, width), bool)
        for x0, y0, x1, y1 in boxes:
            mask[y0:y1, x0:x1] = True
        images[f"{index}.png"], expected[f"{index}.png"] = (width, height), mask
    documents = check.imported("yolo-seg", theirs, images) if images else {}
    for name, document in documents.items():
        regions = [decoded(region["mask"]) for region in document["regions"]]
        check.holds(f"merged segments of {name}", len(regions) == 1 and np.array_equal(regions[0], expected[name]))
        merged += 1
    if merge:
        check.said(f"yolo-seg: {merged} merged rows of Ultralytics' converter read with every pixel")


# VOC


def check_voc(check, source):
    import datumaro
    from datumaro.components.annotation import AnnotationType

    out = check.exported(source, "voc")
    for image in source.masks:
        target = out / "JPEGImages" / image
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((source.path / image).read_bytes())
    dataset = datumaro.Dataset.import_from(str(out), "voc", coordinate_mode="voc-one-based")
    names = [item.name for item in dataset.categories()[AnnotationType.label].items]
    count = boxes = 0
    for item in dataset:
        masks = source.masks[f"{item.id}.png"]
        labels = source.labels[f"{item.id}.png"]
        found = [ann for ann in item.annotations if ann.type == AnnotationType.mask]
        check.holds(f"datumaro finds the masks of {item.id}", same_masks([ann.image for ann in found], list(masks.values())))
        plain = lambda label: label.replace(":", " ").strip()
        for ann in found:
            region = next((id for id, mask in masks.items() if np.array_equal(mask, ann.image.astype(bool))), None)
            check.holds(f"class of a mask of {item.id}", region and names[ann.label] == plain(labels[region]))
            count += 1
        expected = sorted(tuple(map(float, coco.toBbox(coco.encode(np.asfortranarray(mask.astype(np.uint8)))))) for mask in masks.values())
        found = sorted(tuple(map(float, ann.get_bbox())) for ann in item.annotations if ann.type == AnnotationType.bbox)
        check.holds(f"datumaro finds the boxes of {item.id}", found == expected)
        boxes += len(found)
    check.holds("datumaro finds every image", len(dataset) == len(source.masks))

    # The same set as datumaro writes it.
    theirs = check.folder / "datumaro voc"
    dataset.export(str(theirs), "voc", save_media=False)
    sizes = {image: Image.open(source.path / image).size for image in source.masks}
    documents = check.imported("voc", theirs, sizes)
    back = 0
    for image, document in documents.items():
        found = [decoded(region["mask"]) for region in document["regions"] if region["source"] == "voc"]
        ours = list(source.masks[image].values())
        missing = [mask for mask in ours if not any(np.array_equal(mask, other) for other in found)]
        check.holds(f"masks of {image} from datumaro's VOC", not missing)
        back += len(ours) - len(missing)
    check.said(f"voc: datumaro {datumaro.__version__} agrees on {count} masks with their classes and {boxes} boxes, and we on {back} masks of its own export")


def check_coco(check, source):
    import datumaro
    from datumaro.components.annotation import AnnotationType

    out = check.exported(source, "coco")
    for image in source.masks:
        target = out / "images" / image
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((source.path / image).read_bytes())
    dataset = datumaro.Dataset.import_from(str(out), "coco")
    names = [item.name for item in dataset.categories()[AnnotationType.label].items]
    count = 0
    for item in dataset:
        masks, labels = source.masks[f"{item.id}.png"], source.labels[f"{item.id}.png"]
        # Outlines come as polygons; which pixels they mean, pycocotools says.
        height, width = next(iter(masks.values())).shape if masks else (0, 0)
        found = {}
        for ann in item.annotations:
            if ann.type == AnnotationType.mask:
                found.setdefault(ann.group, [ann.label]).append(ann.image.astype(bool))
            elif ann.type == AnnotationType.polygon:
                rle = coco.frPyObjects([ann.points], height, width)
                found.setdefault(ann.group, [ann.label]).append(coco.decode(rle)[:, :, 0].astype(bool))
        found = [(names[label], np.any(parts, axis=0)) for label, *parts in found.values()]
        for region, mask in masks.items():
            same = [label for label, other in found if np.array_equal(mask, other)]
            check.holds(f"datumaro reads {region} of {item.id} from COCO", labels[region] in same)
            count += 1
    check.holds("datumaro finds every image in COCO", len(dataset) == len(source.masks))

    theirs = check.folder / "datumaro coco"
    # Its polygons are outlines of pixel centres, which lose holes; its run lengths are exact.
    dataset.export(str(theirs), "coco_instances", save_media=False, segmentation_mode="mask")
    sizes = {image: Image.open(source.path / image).size for image in source.masks}
    back = 0
    for image, document in check.imported("coco", theirs, sizes).items():
        found = [decoded(region["mask"]) for region in document["regions"]]
        for region, mask in source.masks[image].items():
            check.holds(f"{region} of {image} from datumaro's COCO", any(np.array_equal(mask, other) for other in found))
            back += 1
    check.said(f"coco: datumaro {datumaro.__version__} agrees on {count} masks with their classes, and we on {back} masks of its own export")


# RefCOCO


class Refer:
    """What REFER and GREFER do with their files: indices by id, and masks of a list of polygons or run lengths."""

    def __init__(self, refs, folder):
        instances = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
        self.refs = {ref["ref_id"]: ref for ref in refs}
        assert len(self.refs) == len(refs), "ids of expressions differ"
        self.anns = {ann["id"]: ann for ann in instances["annotations"]}
        assert len(self.anns) == len(instances["annotations"]), "ids of annotations differ"
        self.images = {image["id"]: image for image in instances["images"]}
        self.classes = {category["id"]: category["name"] for category in instances["categories"]}
        sentences = [sentence["sent_id"] for ref in refs for sentence in ref["sentences"]]
        assert len(set(sentences)) == len(sentences), "ids of sentences differ"
        for ref in refs:
            assert ref["sent_ids"] == [sentence["sent_id"] for sentence in ref["sentences"]]
            assert all(sentence["tokens"] and sentence["sent"] and sentence["raw"] for sentence in ref["sentences"])
            assert ref["split"] in ("train", "val", "test", "testA", "testB")

    def mask(self, ann_id):
        ann = self.anns[ann_id]
        image = self.images[ann["image_id"]]
        assert not ann["iscrowd"]
        if isinstance(ann["segmentation"][0], list):
            rle = coco.frPyObjects(ann["segmentation"], image["height"], image["width"])
        else:
            rle = ann["segmentation"]
        parts = np.sum(coco.decode(rle), axis=2)
        assert parts.max() == 1 and parts.sum() == ann["area"] == sum(coco.area(rle))
        return parts.astype(bool)

    def meaning(self, ref):
        ids = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
        classes = ref["category_id"] if isinstance(ref["category_id"], list) else [ref["category_id"]]
        if ids == [-1]:
            return []
        assert classes == [self.anns[id]["category_id"] for id in ids]
        return [self.mask(id) for id in ids]


def check_refer(check, source, name):
    out = check.exported(source, name)
    if name == "refcoco":
        refs = pickle.loads((out / "refs(unc).p").read_bytes())
        wanted = {("referring_segmentation", 1)}
    else:
        refs = json.loads((out / "grefs(unc).json").read_text(encoding="utf-8"))
        wanted = None
    refer = Refer(refs, out)
    expected = []
    for image, task, asked, _, ids in source.expressions():
        if task in ("referring_segmentation", "no_target") and (wanted is None or (task, len(ids)) in wanted):
            sentence = asked.removeprefix("Please segment ").removesuffix(" in this image.")
            masks = b"".join(sorted(source.masks[image][id].tobytes() for id in ids))
            expected.append((image, sentence, masks))
    found = []
    for ref in refs:
        image = refer.images[ref["image_id"]]["file_name"]
        masks = b"".join(sorted(mask.tobytes() for mask in refer.meaning(ref)))
        found += [(image, sentence["raw"], masks) for sentence in ref["sentences"]]
    check.holds(f"{name}: every sentence means what it meant", sorted(found) == sorted(expected))
    classes = sorted((refer.images[ann["image_id"]]["file_name"], refer.classes[ann["category_id"]]) for ann in refer.anns.values())
    ours = sorted((image, label) for image, labels in source.labels.items() for label in labels.values())
    check.holds(f"{name}: every object has its class", classes == ours)
    check.said(f"{name}: {len(found)} sentences of {len(refs)} expressions mean the same masks by the rules of REFER, {len(refer.anns)} objects have their classes")


def check_theirs(check):
    """A RefCOCO set with polygons of any angle, in every protocol of pickle, read and written again."""
    rng = np.random.default_rng(7)
    images, annotations, refs, sizes, masks = [], [], [], {}, {}
    for index in range(1, 21):
        width, height = (int(side) for side in rng.integers(20, 200, 2))
        name = f"COCO_train2014_{index:012}.png"
        images.append({"license": 1, "file_name": name, "height": height, "width": width, "id": index})
        sizes[name], masks[name] = (width, height), []
        for number in range(int(rng.integers(1, 5))):
            id = index * 10 + number
            polygons = [(rng.random(2 * int(rng.integers(3, 9))) * 1.1 * max(width, height) - 5).round(2).tolist() for _ in range(rng.integers(1, 4))]
            mask = coco.decode(coco.merge(coco.frPyObjects(polygons, height, width))).astype(bool)
            segmentation = polygons if number % 2 == 0 else encoded(mask)
            annotations.append({"segmentation": segmentation, "area": float(mask.sum()) + 0.25, "iscrowd": 0, "image_id": index, "bbox": [0.5, 0, 1, 1], "category_id": 1 + id % 3, "id": id})
            if mask.any():
                masks[name].append(mask)
                sentences = [{"tokens": [word], "raw": word.upper(), "sent_id": 2 * id + at, "sent": word} for at, word in enumerate(["left", "näher"])]
                refs.append({"sent_ids": [2 * id, 2 * id + 1], "file_name": f"{name[:-4]}_{id}.jpg", "ann_id": id, "ref_id": id, "image_id": index, "split": ["val", "testA"][id % 2], "sentences": sentences, "category_id": 1 + id % 3})
    kept = {ref["ann_id"] for ref in refs}
    annotations = [ann for ann in annotations if ann["id"] in kept]
    categories = [{"supercategory": "x", "id": id, "name": f"class {id}"} for id in (1, 2, 3)]
    instances = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        theirs = check.folder / f"refer {protocol}"
        theirs.mkdir()
        (theirs / "instances.json").write_text(json.dumps(instances))
        (theirs / "refs(umd).p").write_bytes(pickle.dumps(refs, protocol))
        documents = check.imported("refcoco", theirs, sizes)
        for name, document in documents.items():
            check.holds(f"COCO's pixels of {name}", same_masks([decoded(region["mask"]) for region in document["regions"]], masks[name]))
    into = Folder.__new__(Folder)
    into.path = check.folder / "refer back"
    into.path.mkdir()
    for name, size in sizes.items():
        Image.new("RGB", size).save(into.path / name)
    check.run("import", "--from", "refcoco", theirs, "--into", into.path)
    out = check.exported(into, "refcoco")
    back = pickle.loads((out / "refs(umd).p").read_bytes())
    key = lambda item: item.get("ref_id", item.get("id"))
    check.holds("the expressions come back as they were", sorted(back, key=key) == sorted(refs, key=key))
    again = json.loads((out / "instances.json").read_text(encoding="utf-8"))
    for part in ("annotations", "categories", "images"):
        used = [item for item in instances[part] if part != "categories" or any(ann["category_id"] == item["id"] for ann in annotations)]
        check.holds(f"the {part} come back as they were", sorted(again[part], key=key) == sorted(used, key=key))
    check.said(f"refcoco: {len(annotations)} objects with polygons of any angle read with COCO's pixels from pickles of protocol 0 to {pickle.HIGHEST_PROTOCOL}, and written again as they were")


# GranDf and Osprey


def check_grandf(check, source):
    out = check.exported(source, "grandf")
    records = json.loads((out / "GranDf_HA_GCG_train.json").read_text(encoding="utf-8"))
    expected = {}
    for image, task, _, answered, _ in source.expressions():
        if task == "grounded_caption":
            phrases = re.findall(r"<\|object_ref_start\|> (.*?) <\|object_ref_end\|>((?: \[\[\w+\]\])+)", answered)
            plain = re.sub(r" ?<\|object_ref_(start|end)\|>( \[\[\w+\]\])*", "", answered)
            expected[image] = (plain.replace("  ", " "), [(phrase, re.findall(r"\w+", ids)) for phrase, ids in phrases])
    count = 0
    for record in records:
        caption, phrases = expected.pop(record["file_name"])
        caption_read = record["caption"].strip('"').strip()
        check.holds(f"caption of {record['file_name']}", caption_read == caption)
        check.holds(f"phrases of {record['file_name']}", list(record["groundings"]) == [phrase for phrase, _ in phrases])
        for phrase, ids in phrases:
            grounding = record["groundings"][phrase]
            start, end = grounding["token_positives"]
            check.holds(f"position of {phrase}", caption_read[start:end] == phrase)
            masks = [coco.decode(rle) for rle in grounding["rle_masks"]]
            check.holds(f"masks of {phrase}", same_masks(masks, [source.masks[record["file_name"]][id] for id in ids]))
            count += len(masks)
    check.holds("every grounded caption is there", not expected)
    check.said(f"grandf: {len(records)} captions with {count} masks read as GLaMM reads them")


def check_osprey(check, source):
    out = check.exported(source, "osprey")

    def mask(annotation, record):
        segmentation = annotation["segmentation"]
        if isinstance(segmentation, list):
            return coco.decode(coco.merge(coco.frPyObjects(segmentation, record["height"], record["width"]))).astype(bool)
        return coco.decode(segmentation).astype(bool)

    count = 0
    described = json.loads((out / "osprey_detail_description.json").read_text(encoding="utf-8"))
    for record in described:
        ours = source.masks[record["file_name"]]
        for index, text in enumerate(record["description"]):
            answer = re.findall(r"<.*>:\ (.*)", text)[0]
            number = int(re.match(r"Region (\d+)", answer)[1])
            check.holds(f"description of r{number} of {record['file_name']}", np.array_equal(mask(record["annotation"][index], record), ours[f"r{number}"]))
            count += 1
    check.holds("every caption is there", count == sum(map(len, source.masks.values())))
    conversations = json.loads((out / "osprey_conversation.json").read_text(encoding="utf-8"))
    expected = [(image, asked, answered) for image, task, asked, answered, _ in source.expressions() if task == "region_qa"]
    check.holds("every question is there", len(conversations) == len(expected))
    for record, (image, *texts) in zip(sorted(conversations, key=lambda record: record["file_name"]), sorted(expected)):
        masks = [mask(annotation, record) for annotation in record["annotation"]]
        for said, text, role in zip(record["conversations"], texts, ("human", "gpt")):
            numbers = [int(number) for number in re.findall(r"<region(\d+)>", said["value"])]
            ids = re.findall(r"\[\[(\w+)\]\]", text)
            same = len(numbers) == len(ids) and all(np.array_equal(masks[number - 1], source.masks[image][id]) for number, id in zip(numbers, ids))
            check.holds(f"regions of a question about {image}", same and said["from"] == role)
    check.said(f"osprey: {len(described) + len(conversations)} entries with {count} descriptions read as Osprey reads them")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samtok", default="target/release/samtok")
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        check = Check(arguments.samtok, folder)
        (folder / "over").mkdir()
        (folder / "apart").mkdir()
        over = Folder(folder / "over", rng, arguments.images, overlap=True)
        apart = Folder(folder / "apart", rng, arguments.images, overlap=False)
        check_yolo(check, over)
        check_voc(check, apart)
        check_coco(check, over)
        check_refer(check, over, "refcoco")
        check_refer(check, over, "grefcoco")
        check_theirs(check)
        check_grandf(check, over)
        check_osprey(check, over)
    for line in check.done:
        print(line)
    for failure in check.failures[:20]:
        print(f"differs: {failure}")
    print(f"{len(check.failures)} differences")
    sys.exit(1 if check.failures else 0)


if __name__ == "__main__":
    main()
