# SPDX-License-Identifier: Apache-2.0
"""Sound files of every kind, small and made by the product itself, to be damaged."""

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 64, 80
TRAIN = (
    "--backbone",
    "filters",
    "--coreset-size",
    "24",
    "--epochs",
    "2",
    "--seed",
    "3",
    "--threads",
    "1",
    "--device",
    "cpu",
)


class CannotMake(Exception):
    """A command that has to work did not."""


def run(*arguments: str) -> None:
    """A command of the product, in this process; it has to work."""
    from sequential_patchcore.cli.parser import main

    if code := main(list(arguments)):
        raise CannotMake(f"exit {code} of {' '.join(arguments)}")


def dataset(
    folder: Path, seed: int = 0, train: int = 3, others: int = 2, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Path:
    """A data set of grey plates; those of val and test carry a dark dent and a pale stain."""
    from sequential_patchcore.data.format import ClassInfo
    from sequential_patchcore.data.writer import DatasetWriter

    rng = np.random.default_rng(seed)
    classes = (ClassInfo(2, "dent", "defect"), ClassInfo(6, "water_stain", "impurity"))
    with DatasetWriter(folder, folder.name, "campaign", classes, rendered=False) as writer:
        for split, count in (("train", train), ("val", others), ("test", others)):
            for number in range(count):
                image, mask = rng.normal(140, 6, size), np.zeros(size, np.uint8)
                if split != "train":
                    image[20:30, 10:22], mask[20:30, 10:22] = 50, 2
                    image[35:50, 45:65] += 14
                    mask[35:50, 45:65] = 6
                instances = np.where(mask == 2, 1, np.where(mask == 6, 2, 0)).astype(np.uint16)
                name = f"{split}{number}"
                writer.add(
                    name,
                    np.clip(image, 0, 255).astype(np.uint8),
                    mask,
                    instances,
                    {1: 2, 2: 6} if mask.any() else {},
                    split,
                    name,
                )
    return folder


def make(folder: Path, repository: Path) -> Path:
    """All of it, once: a folder for each kind of `kinds`, and `sound/`, which is only read."""
    done = folder / "done"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    sound = folder / "sound"
    data = dataset(sound / "data")
    model = sound / "model.h5"
    run("train", "--data", str(data), "--out", str(model), *TRAIN)
    run("calibrate", "--model", str(model), "--data", str(data), "--threads", "1")
    run("train", "--data", str(dataset(sound / "other", 5)), "--out", str(sound / "other.h5"), *TRAIN)
    shutil.copy(model, sound / "products.h5")
    run(
        "calibrate",
        "--model",
        str(sound / "products.h5"),
        "--data",
        str(data),
        "--threads",
        "1",
        "--overwrite",
        "--product-rule",
        "*0*=left",
        "--product-rule",
        "*1*=right",
    )
    photo = sound / "photo.png"
    shutil.copy(data / "images" / "test0.png", photo)
    _models(folder, sound)
    shutil.copytree(data, folder / "dataset" / "data")
    _pictures(folder, photo)
    _labels(folder, photo)
    _tables(folder, photo, repository)
    run("export", "onnx", "--model", str(model), "--images", str(photo), "--out", str(folder / "export" / "graph"))
    _journal(folder, model, photo)
    done.touch()
    return folder


def _models(folder: Path, sound: Path) -> None:
    (folder / "model").mkdir()
    whole = folder / "model" / "m.h5"
    shutil.copy(sound / "model.h5", whole)
    run(
        "impurities",
        "--model",
        str(sound / "model.h5"),
        "--data",
        str(sound / "data"),
        "--split",
        "val",
        "--out",
        str(folder / "model" / "named.h5"),
        "--memory-size",
        "4",
        "--level",
        "0.01",
        "--coverage",
        "0",
        "--threads",
        "1",
    )
    (folder / "checkpoint").mkdir()
    _interrupted(folder / "checkpoint" / "m.h5", sound / "data")


def _interrupted(model: Path, data: Path) -> None:
    """A training stopped after two images, by the way it stops for Ctrl-C."""
    from sequential_patchcore.fitting import checkpoint

    class Stopped(BaseException):
        pass

    original, saved = checkpoint.save_checkpoint, []

    def save(*arguments, **named):
        original(*arguments, **named)
        saved.append(1)
        if len(saved) == 2:
            raise Stopped

    from sequential_patchcore.fitting import sequential

    holder = sequential if hasattr(sequential, "save_checkpoint") else checkpoint
    holder.save_checkpoint = save
    try:
        run("train", "--data", str(data), "--out", str(model), "--checkpoint-images", "1", *TRAIN)
    except Stopped:
        pass
    finally:
        holder.save_checkpoint = original
    for left in model.parent.glob(".*"):
        left.unlink()


def _pictures(folder: Path, photo: Path) -> None:
    picture = Image.open(photo)
    for name, options in (("png", {}), ("tiff", {"compression": "tiff_lzw"}), ("jpeg", {"quality": 90})):
        place = folder / name / "good"
        place.mkdir(parents=True)
        picture.save(place / f"a.{name}", **options)
        picture.convert("RGB").save(place / f"b.{name}")


def _labels(folder: Path, photo: Path) -> None:
    places = {name: folder / name for name in ("labelme", "coco", "voc", "cvat", "yolo", "labelstudio")}
    for place in places.values():
        place.mkdir()
        for name in ("a.png", "b.png"):
            shutil.copy(photo, place / name)
    outline = [[10.0, 20.0], [22.0, 20.0], [22.0, 30.0], [10.0, 30.0]]
    for name in "ab":
        shapes = [{"label": "dent", "points": outline, "shape_type": "polygon", "flags": {}, "group_id": None}]
        shapes.append(
            {"label": "stain", "points": [[45, 35], [65, 50]], "shape_type": "rectangle", "flags": {}, "group_id": None}
        )
        _json(
            places["labelme"] / f"{name}.json",
            {
                "version": "5.4.1",
                "flags": {},
                "shapes": shapes,
                "imagePath": f"{name}.png",
                "imageData": None,
                "imageHeight": HEIGHT,
                "imageWidth": WIDTH,
            },
        )
        (places["voc"] / f"{name}.xml").write_text(
            f"<annotation><folder>x</folder><filename>{name}.png</filename><size><width>{WIDTH}</width><height>{HEIGHT}</height>"
            "<depth>1</depth></size><segmented>0</segmented><object><name>dent</name><bndbox><xmin>10</xmin><ymin>20</ymin>"
            "<xmax>22</xmax><ymax>30</ymax></bndbox></object></annotation>\n"
        )
        (places["yolo"] / f"{name}.txt").write_text("0 0.2 0.4 0.15 0.15\n1 0.5 0.5 0.7 0.5 0.7 0.7 0.5 0.7\n")
    flat = [number for point in outline for number in point]
    _json(
        places["coco"] / "annotations.json",
        {
            "info": {},
            "images": [
                {"id": n, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT}
                for n, name in enumerate("ab", 1)
            ],
            "annotations": [
                {
                    "id": 1,
                    "image_id": 1,
                    "category_id": 1,
                    "segmentation": [flat],
                    "bbox": [10, 20, 12, 10],
                    "area": 120,
                    "iscrowd": 0,
                },
                {
                    "id": 2,
                    "image_id": 2,
                    "category_id": 2,
                    "iscrowd": 1,
                    "bbox": [0, 0, 2, 2],
                    "area": 4,
                    "segmentation": {"size": [HEIGHT, WIDTH], "counts": [10, 20, HEIGHT * WIDTH - 30]},
                },
            ],
            "categories": [{"id": 1, "name": "dent"}, {"id": 2, "name": "stain"}],
        },
    )
    shapes = (
        '<polygon label="dent" occluded="0" points="10,20;22,20;22,30;10,30" z_order="0"/>'
        '<box label="stain" occluded="0" xtl="45" ytl="35" xbr="65" ybr="50" z_order="0"/>'
        '<mask label="stain" occluded="0" rle="5, 20, 5" left="2" top="3" width="6" height="5" z_order="0"/>'
    )
    (places["cvat"] / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        + "".join(
            f'<image id="{n}" name="{name}.png" width="{WIDTH}" height="{HEIGHT}">{shapes}</image>'
            for n, name in enumerate("ab")
        )
        + "</annotations>\n"
    )
    (places["yolo"] / "data.yaml").write_text("path: .\ntrain: .\nval: .\nnc: 2\nnames: [dent, stain]\n")
    _json(
        places["labelstudio"] / "export.json",
        [
            {
                "id": n,
                "data": {"image": f"/data/upload/1/{name}.png"},
                "annotations": [
                    {
                        "id": 1,
                        "was_cancelled": False,
                        "result": [
                            {
                                "type": "rectanglelabels",
                                "original_width": WIDTH,
                                "original_height": HEIGHT,
                                "image_rotation": 0,
                                "from_name": "l",
                                "to_name": "image",
                                "value": {
                                    "x": 10,
                                    "y": 20,
                                    "width": 15,
                                    "height": 15,
                                    "rotation": 0,
                                    "rectanglelabels": ["dent"],
                                },
                            }
                        ],
                    }
                ],
            }
            for n, name in enumerate("ab", 1)
        ],
    )


def _tables(folder: Path, photo: Path, repository: Path) -> None:
    shutil.copytree(folder / "labelme", folder / "csv" / "labelled")
    (folder / "csv" / "splits.csv").write_text("split,image,label,group\ntrain,a.png,a.json,p1\ntest,b.png,b.json,p2\n")
    (folder / "csv" / "products.csv").write_text("image,product\na.png,left\nb.png,right\n")
    shutil.copytree(repository / "scenes", folder / "recipe" / "scenes")
    (folder / "plan").mkdir()
    for name in ("paper.toml", "stains.toml"):
        shutil.copy(repository / "tools" / "reproduction" / name, folder / "plan" / name)


def _journal(folder: Path, model: Path, photo: Path) -> None:
    from sequential_patchcore.model.file import load_model
    from sequential_patchcore.review.journal import Journal, new_entry

    place = folder / "journal" / "m.review"
    journal, fingerprint = Journal(place), load_model(model).fingerprint
    import hashlib

    image = {"name": "photo.png", "path": str(photo), "size": [HEIGHT, WIDTH],
             "sha256": hashlib.sha256(photo.read_bytes()).hexdigest()}
    gone = image | {"name": "gone.png", "path": str(photo.with_name("gone.png")), "sha256": "0" * 64}
    # Decisions on a region are replayed with its patches, which the page keeps beside; these need none.
    journal.append(new_entry("me", "sound", fingerprint, image))
    for x, y, width, height in ((10, 20, 12, 10), (45, 35, 20, 15)):
        outline = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]
        region = {"box": [x, y, width, height], "outline": outline, "score": 3.0}
        journal.append(new_entry("me", "skip", fingerprint, gone, region))
    journal.append(new_entry("me", "undo", fingerprint, of=journal.entries[1].id))


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
