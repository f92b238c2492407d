"""Checks that training exports are read by the programs they are for, and that every mask in them is right.

Makes a folder of annotated images, exports it in every training format with the program under test, and reads the
files with `datasets`, pandas, pycocotools and a loader that does what the published LLaVA-style loader does. The
same records, written by `datasets` and pandas, are imported again and compared with what they were made of.

Run from the top of the repository, with datasets, pandas, pyarrow, pycocotools, pillow and numpy installed:

    cargo build --release
    python tests/peers/training_exports.py [--program target/release/samtok] [--images 40] [--extra ARGUMENT …]

The program is called as `PROGRAM export FOLDER --to NAME --out DIR`, followed by what --extra gives.
Exits with 1 and what is wrong if anything is.
"""

import argparse
import collections
import importlib.metadata
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image
from pycocotools import mask as coco

CONTAINERS = ["llava", "jsonl", "sharegpt", "messages", "rl-parquet"]
PAIR = re.compile(r"<\|mt_start\|>(<\|mt_\d{4}\|>){2}<\|mt_end\|>")
FINGERPRINT = "ab" * 32


def words(first, second):
    return f"<|mt_start|><|mt_{first:04}|><|mt_{256 + second:04}|><|mt_end|>"


def random_mask(rng, height, width):
    rows, columns = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(1, 4)):
        y, x = rng.random(2) * (height, width)
        reach_y, reach_x = rng.random(2) * (height, width) / 4 + 2
        mask[((rows - y) / reach_y) ** 2 + ((columns - x) / reach_x) ** 2 <= 1] = 1
    return mask


def mask_blake3(rle):
    import blake3  # Only needed to make sidecars; the program trusts no words without it.

    height, width = rle["size"]
    return blake3.blake3(f"{height} {width} {rle['counts']}".encode()).hexdigest()


def conversation(number, task, *texts):
    turns = [{"role": role, "text": text} for role, text in zip(["user", "assistant"] * 9, texts)]
    return {"id": f"c{number}", "task": task, "turns": turns, "status": "done"}


def make_images(folder, count, rng):
    """Annotated images; answers with the masks of each by words."""
    masks = {}
    for index in range(count):
        height, width = (int(side) for side in rng.integers(200, 500, 2))
        name = f"{['', 'a/', 'b c/é/'][index % 3]}{index}.{'png' if index % 2 else 'jpg'}"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)
        regions, masks[name] = [], {}
        for number in range(1, int(rng.integers(3, 8))):
            mask = random_mask(rng, height, width)
            if not mask.any():
                mask[0, 0] = 1
            rle = coco.encode(np.asfortranarray(mask))
            rle = {"size": [height, width], "counts": rle["counts"].decode()}
            codes = [number, int(rng.integers(256))]
            text = words(*codes)
            masks[name][text] = mask
            regions.append(
                {
                    "id": f"r{number}",
                    "label": ["cup", "plate", "man"][number % 3],
                    "mask": rle,
                    "words": {
                        "text": text,
                        "codes": codes,
                        "tokenizer": "T1",
                        "mask_blake3": mask_blake3(rle),
                    },
                    "captions": [{"text": f"Thing {number} beside [[r1]], \"quoted\" and ünïcode."}],
                    # One type per key is too much to ask of people.
                    "attributes": {"n": number if number % 2 else "odd", f"k{number}": [None, {"a": 1}]},
                }
            )
        conversations = [
            conversation(1, "referring_segmentation", "cups", "[[r2]], [[r1]]"),
            conversation(2, "no_target", "the elephant", "No target."),
            conversation(3, "region_qa", "What is [[r1]] to [[r2]]?", "Left.", "And [[r1]]?", "Right."),
            conversation(4, "region_qa", "What is [[r1]]?", "A cup."),
            conversation(5, "grounded_caption", "", "<p>A cup</p> [[r1]] on [[r2]]. It is full."),
            conversation(6, "reasoning_segmentation", "What holds coffee?", "[[r1]]"),
            conversation(7, "interactive", "Segment it.", "[[r1]]", "What is left of [[r1]]?", "[[r2]]"),
            conversation(8, "scene_graph", "", "[[r1]] on [[r2]]"),
            conversation(9, "detailed_caption", "[[r1]], [[r2]]", "[[r1]] is on [[r2]]."),
            conversation(10, "caption", "", "A table."),
            conversation(11, "free", "What is it?", "A table."),
        ]
        document = {
            "format": "samtok-annotation",
            "version": 1,
            "image": {"file_name": path.name, "width": width, "height": height},
            "tokenizers": {
                "T1": {"name": "test", "fingerprint": FINGERPRINT, "codebook_size": 256, "codebook_depth": 2}
            },
            "regions": regions,
            "conversations": conversations,
            "status": "done",
            "x_own": {"index": index},
        }
        (folder / f"{name}.samtok.json").write_text(json.dumps(document), "utf-8")
    return masks


class Wrong(Exception):
    pass


def want(holds, what):
    if not holds:
        raise Wrong(what)


def check_masks(masks, texts, known, counted):
    """Every run length decodes to the mask whose words stand at its place in the texts."""
    spoken = list(dict.fromkeys(pair.group(0) for text in texts for pair in PAIR.finditer(text)))
    spoken = [pair for pair in spoken if pair in known]
    want(len(masks) >= len(spoken), f"{len(masks)} masks for {len(spoken)} different words")
    for rle, pair in zip(masks, spoken):
        decoded = coco.decode({"size": rle["size"], "counts": rle["counts"].encode()})
        want(np.array_equal(decoded, known[pair]), f"the mask of {pair} differs")
        counted["masks"] += 1


def llava_record(record, root, known_of, counted):
    """What the published loader does with a record, up to the language model."""
    images = record["image"] if isinstance(record["image"], list) else [record["image"]]
    for image in images:
        Image.open(root / image).convert("RGB").close()
    turns = record["conversations"]
    want([turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2), "turns do not alternate")
    placeholders = sum(turn["value"].count("<image>") for turn in turns)
    want(placeholders == len(images), f"{placeholders} placeholders for {len(images)} images")
    want(turns[0]["value"].startswith("<image>\n"), "the image does not come first")
    want(all("<image>" not in turn["value"] for turn in turns[1:]), "a placeholder in a later turn")
    masks = record.get("segmentation") or []
    texts = [turn["value"] for turn in turns]
    if isinstance(masks, dict):
        raw = [turn["value"] for turn in record["raw_conversations"]]
        masks = {key: rle for key, rle in masks.items() if rle is not None}
        for text, spoken in zip(raw, texts):
            for key in masks:
                want(text.count(key) <= spoken.count("<|mt_start|>"), "more stand-ins than masks")
        masks = list(masks.values())
    own = [index for index, _ in enumerate(masks)]
    if len(images) > 1:
        own = [index for index, image in enumerate(record["segmentation_image_indices"]) if image == 0]
    check_masks([masks[index] for index in own], texts, known_of(images[0]), counted)
    counted["records"] += 1


def check_json(out, container, root, known_of, counted):
    import datasets

    for path in sorted(out.glob("*/*-segment-*")):
        text = path.read_text("utf-8")
        records = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)
        for record in records:
            record = dict(record)
            if "messages" in record:
                roles = {"user": "human", "assistant": "gpt"}
                record["conversations"] = [
                    {"from": roles[turn["role"]], "value": turn["content"]} for turn in record["messages"]
                ]
            if "images" in record:
                record["image"] = record["images"]
            llava_record(record, root, known_of, counted)
        loaded = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(out.parent / "cache"))
        want(loaded.num_rows == len(records), f"datasets reads {loaded.num_rows} of {len(records)} records")
        key = "messages" if container == "messages" else "conversations"
        for row, record in zip(loaded, records):
            want(row[key] == record[key], "datasets reads other turns")
            want(row.get("samtok") == record.get("samtok"), "datasets reads another key of ours")


def check_parquet(out, root, known_of, counted):
    import datasets
    import pandas

    for path in sorted(out.glob("*/*.parquet")):
        frame = pandas.read_parquet(path)
        loaded = datasets.load_dataset(
            "parquet", data_files=str(path), split="train", cache_dir=str(out.parent / "cache")
        )
        want(isinstance(loaded.features["images"].feature, datasets.Image), "images are no images")
        want(loaded.num_rows == len(frame), f"datasets reads {loaded.num_rows} of {len(frame)} rows")
        for index, row in enumerate(frame.to_dict("records")):
            images = list(row["images"])
            name = images[0]["path"]
            if images[0]["bytes"] is not None:
                want(images[0]["bytes"] == (root / name).read_bytes(), "the image is another file")
                Image.open(io.BytesIO(images[0]["bytes"])).verify()
                decoded = loaded[index]["images"]
                want(all(isinstance(image, Image.Image) for image in decoded), "datasets decodes no image")
                want(decoded[0].size == Image.open(root / name).size, "datasets decodes another image")
            want(row["problem"].count("<image>") == len(images), "placeholders and images differ")
            rles = [{"size": list(rle["size"]), "counts": rle["counts"]} for rle in row["masks"]]
            check_masks(rles, [row["answer"]], known_of(name), counted)
            want(isinstance(row["source"], str) and row["source"], "no source")
            counted["records"] += 1


def rewritten(out, into):
    """The records as `datasets` and pandas write them: other key order, nulls for absent keys, one type per key."""
    import datasets
    import pandas

    into.mkdir()
    for number, path in enumerate(sorted(path for path in out.glob("*/*") if path.suffix in (".json", ".jsonl", ".parquet"))):
        if path.suffix == ".parquet":
            pandas.read_parquet(path).to_parquet(into / f"{number}.parquet")
            continue
        loaded = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(out.parent / "cache"))
        if number % 2:
            loaded.to_json(into / f"{number}.jsonl")
        else:
            loaded.to_pandas().to_json(into / f"{number}.json", orient="records")


def check_return(program, container, out, images, counted):
    """What others write of our records gives every document back."""
    written, bare = out.with_name(f"{container} rewritten"), out.with_name(f"{container} bare")
    rewritten(out, written)
    for path in images.rglob("*"):
        if path.suffix in (".png", ".jpg"):
            target = bare / path.relative_to(images)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    subprocess.run([program, "import", "--from", container, str(written), "--into", str(bare)], check=True, stdout=subprocess.DEVNULL)
    for path in images.rglob("*.samtok.json"):
        before = json.loads(path.read_text("utf-8"))
        after = json.loads((bare / path.relative_to(images)).read_text("utf-8"))
        for key in ("status", "x_own"):
            want(before[key] == after[key], f"{key} of {path.name} differs")
        for one, other in zip(before["regions"], after["regions"], strict=True):
            same = all(one[key] == other[key] for key in ("id", "label", "mask", "attributes"))
            want(same and one["words"]["codes"] == other["words"]["codes"], f"{one['id']} of {path.name} differs")
            want([c["text"] for c in one["captions"]] == [c["text"] for c in other["captions"]], "captions differ")
            counted["regions back"] += 1
        for one, other in zip(before["conversations"], after["conversations"], strict=True):
            texts = lambda conversation: [(turn["role"], turn["text"]) for turn in conversation["turns"]]
            want(one["task"] == other["task"] and texts(one) == texts(other), f"{one['id']} of {path.name} differs")
            counted["conversations back"] += 1


def check_manifest(out):
    import blake3

    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    want(manifest["tokenizers"][0]["fingerprint"] == FINGERPRINT, "another fingerprint")
    for file in manifest["files"]:
        content = (out / file["path"]).read_bytes()
        want(len(content) == file["bytes"], "another length")
        want(blake3.blake3(content).hexdigest() == file["blake3"], "another hash")
    tokens = list(json.loads((out / "added_tokens.json").read_text("utf-8")))
    expected = ["<|mt_start|>", *(f"<|mt_{number:04}|>" for number in range(512)), "<|mt_end|>"]
    want(tokens == expected, "other tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="target/release/samtok")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--extra", nargs=argparse.REMAINDER, default=[])
    arguments = parser.parse_args()
    packages = ["datasets", "pandas", "pyarrow", "pycocotools", "pillow"]
    print(", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages))

    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        root = temporary / "images"
        masks = make_images(root, arguments.images, np.random.default_rng(arguments.seed))
        known_of = lambda image: masks.get(image, {})
        for container in CONTAINERS:
            out = temporary / container
            command = [arguments.program, "export", str(root), "--to", container, "--out", str(out), *arguments.extra]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            counted = collections.Counter()
            try:
                if container == "rl-parquet":
                    check_parquet(out, root, known_of, counted)
                else:
                    check_json(out, container, root, known_of, counted)
                check_manifest(out)
                check_return(arguments.program, container, out, root, counted)
                want(counted["records"] > 10 * arguments.images, f"only {counted['records']} records")
            except Wrong as wrong:
                print(f"{container}: {wrong}")
                failed = True
            print(
                f"{container}: {counted['records']} records, {counted['masks']} masks agree; rewritten by others,"
                f" {counted['regions back']} regions and {counted['conversations back']} conversations came back whole"
            )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
