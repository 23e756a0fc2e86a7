# SPDX-License-Identifier: Apache-2.0
"""The kinds of files that the product reads, and the commands that read them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        name: of the row in the table, and of the folder of its sound files.
        files: patterns, within that folder, of the files that are damaged, one at a time.
        form: how it is changed by structure: "hdf5", "json", "lines", "text", "xml", "image".
        commands: by turns; `{in}` is the damaged copy of the folder, `{file}` the damaged file, `{out}` a folder for
            what is written, `{sound}` the sound files.
        program: "patchcore", "render" or "reproduce".
        beside: what may be written in `{in}`: patterns.
    """

    name: str
    files: tuple[str, ...]
    form: str
    commands: tuple[str, ...]
    program: str = "patchcore"
    beside: tuple[str, ...] = ()


_SMALL = "--threads 1 --device cpu"
_TRAIN = f"--backbone filters --coreset-size 24 --epochs 2 --seed 3 --memory-budget 1GiB {_SMALL}"
_IMPORT = "--default-split test --memory-budget 1GiB --out {out}/d"

KINDS = (
    Kind(
        "model",
        ("*.h5",),
        "hdf5",
        (
            "info {file} --check",
            "info {file} --json",
            f"predict --model {{file}} {{sound}}/photo.png --out {{out}}/p --json --memory-budget 1GiB {_SMALL}",
            "meld {file} {sound}/other.h5 --out {out}/m.h5 --coreset-size 16",
            "info {file}",
        ),
    ),
    Kind(
        "checkpoint",
        ("m.h5.checkpoint",),
        "hdf5",
        (f"train --data {{sound}}/data --out {{in}}/m.h5 {_TRAIN}",),
        beside=("*",),
    ),
    Kind(
        "data set",
        ("data/dataset.json",),
        "json",
        (
            "info {in}/data --check",
            f"train --data {{in}}/data --out {{out}}/m.h5 {_TRAIN}",
            "export coco {in}/data --out {out}/c",
            "info {in}/data --json",
        ),
    ),
    Kind(
        "records",
        ("data/samples.jsonl",),
        "lines",
        (
            "info {in}/data --check",
            f"train --data {{in}}/data --out {{out}}/m.h5 {_TRAIN}",
            "export mvtec {in}/data --out {out}/c",
            "export yolo {in}/data --out {out}/c",
        ),
    ),
    Kind(
        "masks",
        ("data/masks/*.png", "data/instances/*.png", "data/images/*.png"),
        "image",
        (
            "info {in}/data --check",
            f"impurities --model {{sound}}/model.h5 --data {{in}}/data --split val --out {{out}}/n.h5 --memory-size 4 --level 0.01 --coverage 0 {_SMALL}",  # noqa: E501
            "export coco {in}/data --out {out}/c",
        ),
    ),
    *(
        Kind(
            form,
            (f"good/*.{form}",),
            "image",
            (
                f"predict --model {{sound}}/model.h5 {{in}}/good --out {{out}}/p --json --memory-budget 1GiB {_SMALL}",
                "import folders {in} --default-split train --out {out}/d --memory-budget 1GiB",
            ),
        )
        for form in ("png", "tiff", "jpeg")
    ),
    Kind("labelme", ("*.json",), "json", (f"import labelme {{in}} {_IMPORT}", "import labelme {in} --check-only")),
    Kind("coco", ("*.json",), "json", (f"import coco {{in}} {_IMPORT}", f"import coco {{in}} --skip-bad {_IMPORT}")),
    Kind("labelstudio", ("*.json",), "json", (f"import labelstudio {{in}} {_IMPORT}",)),
    Kind("voc", ("*.xml",), "xml", (f"import voc {{in}} {_IMPORT}",)),
    Kind("cvat", ("*.xml",), "xml", (f"import cvat {{in}} {_IMPORT}",)),
    Kind("yolo", ("*.txt", "*.yaml"), "text", (f"import yolo {{in}} {_IMPORT}",)),
    Kind(
        "splits table",
        ("splits.csv",),
        "text",
        ("import labelme {in}/labelled --splits {file} --out {out}/d --memory-budget 1GiB",),
    ),
    Kind(
        "products table",
        ("products.csv",),
        "text",
        (f"predict --model {{sound}}/products.h5 {{in}}/labelled --products {{file}} --out {{out}}/p --json {_SMALL}",),
    ),
    Kind("recipe", ("scenes/recipes/*.toml",), "text", ("--recipe {file} --out {out}/d --dry-run",), "render"),
    Kind(
        "station",
        ("scenes/inspection.toml",),
        "text",
        ("--recipe {in}/scenes/recipes/synth_ws.toml --out {out}/d --dry-run",),
        "render",
    ),
    Kind("plan", ("paper.toml",), "text", ("--plan {file} --preset smoke --out {out}/r --dry-run",), "reproduce"),
    Kind(
        "export",
        ("graph/*",),
        "json",
        (f"predict --model {{in}}/graph {{sound}}/photo.png --out {{out}}/p --json --memory-budget 1GiB {_SMALL}",),
    ),
    Kind(
        "journal",
        ("m.review/journal.jsonl",),
        "lines",
        (
            f"review --model {{sound}}/model.h5 --journal {{in}}/m.review --replay --out {{out}}/t.h5 {_SMALL}",
            f"review --model {{sound}}/model.h5 --journal {{in}}/m.review --export-labelme {{out}}/l {_SMALL}",
            f"review --model {{sound}}/model.h5 --journal {{in}}/m.review --export-dataset {{out}}/d {_SMALL} {{sound}}/photo.png",  # noqa: E501
        ),
        beside=("m.review/*",),
    ),
)

FOLDERS = {
    "data set": "dataset",
    "records": "dataset",
    "masks": "dataset",
    "splits table": "csv",
    "products table": "csv",
    "station": "recipe",
}
"""Where a kind's sound files lie, if not in the folder of its name."""
