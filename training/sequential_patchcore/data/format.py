# SPDX-License-Identifier: Apache-2.0
"""The rules of the data set format (docs/dataset_format.md): records, names, colours, and how they are parsed.

Every rule about `dataset.json` and about one line of `samples.jsonl` is written here once; the reader stops at the
first that is broken, the checker collects them all.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..runtime import files
from ..runtime.errors import UserError

FORMAT_VERSION = 1
HEADER_FILE = "dataset.json"
SAMPLES_FILE = "samples.jsonl"
LEFT_OUT_FILE = "left_out.txt"  # what an import left out and why; no part of the data
SPLITS = ("train", "val", "test")
KINDS = ("defect", "impurity")

PAPER_CLASSES = {"bump": 1, "dent": 2, "fingerprint": 3, "scratch": 4, "sticker": 5, "water_stain": 6}

# Okabe and Ito's eight colours, told apart with any kind of colour vision; further classes take the longer list.
_COLOURS = {
    "bump": "#e69f00", "dent": "#d55e00", "fingerprint": "#56b4e9",
    "scratch": "#cc79a7", "sticker": "#009e73", "water_stain": "#0072b2",
}
_FURTHER_COLOURS = ("#f0e442", "#e31a1c", "#6a3d9a", "#33a02c", "#a6761d", "#fb9a99", "#1b9e77", "#e7298a",
                    "#b2df8a", "#7570b3", "#fdbf6f", "#cab2d6")

_UNSAFE_ID = re.compile(r"[\x00-\x1f/\\:*?\"<>|]")


@dataclass(frozen=True)
class ClassInfo:
    """One class of a data set: its id in the masks (1..255), its name, and whether it is to be found or tolerated."""

    id: int
    name: str
    kind: Literal["defect", "impurity"]


@dataclass(frozen=True)
class Instance:
    """One defect or impurity of one image.

    Attributes:
        id: its number in `instances/`.
        pixels: its visible ones; 0 where something covers it all; None for a label of the image as a whole, which says
            that there is one and not where.
        weak: whether its pixels are a box around it rather than itself.
    """

    id: int
    class_name: str
    pixels: int | None
    weak: bool = False

    @property
    def is_visible(self) -> bool:
        """Whether the image shows it, as far as is known."""
        return self.pixels is None or self.pixels > 0


@dataclass(frozen=True)
class Sample:
    """One record of `samples.jsonl`.

    Attributes:
        group: the physical part.
        sha256: image, mask, instances (and region) -> hex digests of the files.
        tags: what people noted about the image as a whole, without a meaning here.
    """

    id: str
    split: str
    seed: int | None
    group: str
    instances: tuple[Instance, ...]
    parameters: dict[str, Any]
    sha256: dict[str, str]
    tags: tuple[str, ...] = ()

    @property
    def is_located(self) -> bool:
        """Whether it is known where everything is that is labelled; otherwise its mask says nothing about clean pixels.
        """
        return all(instance.pixels is not None for instance in self.instances)


@dataclass(frozen=True)
class Header:
    """What `dataset.json` says.

    Attributes:
        generator: "name version" of the program that wrote the data set.
        rendered: whether the pictures were rendered, so that plates fill the frame.
    """

    name: str
    generator: str
    classes: tuple[ClassInfo, ...]
    pixel_size_um: float | None
    rendered: bool


def canonical_json(value: Any) -> str:
    """One spelling for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parse_json(text: str, where: str) -> Any:
    """JSON of a file or a line; `where` names it in the error."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if "\n" in text else f"column {error.colno}"
        raise UserError(f"{where}: broken JSON ({error.msg} at {place})") from error
    except RecursionError as error:
        raise UserError(f"{where}: broken JSON (nested too deep)") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise UserError(f"{where}: broken JSON ({error})") from error


def read_text(path: Path) -> str:
    try:
        return files.read_text(path)
    except FileNotFoundError as error:
        raise UserError(f"missing file {path}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def id_problem(sample_id: object) -> str | None:
    """What is wrong with a sample id as the name of files, or None."""
    if not isinstance(sample_id, str) or not sample_id:
        return f"expected a text as id, found {sample_id!r}"
    if _UNSAFE_ID.search(sample_id) or sample_id.startswith(".") or len(sample_id) > 200:
        return (f"id {sample_id!r} cannot name a file: no path separators, none of :*?\"<>|, "
                "no leading dot, at most 200 characters")
    return None


def parse_header(value: Any, where: str) -> Header:
    """Check the content of `dataset.json`.

    Raises:
        UserError: the first rule that is broken, led by `where`.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object, found {type(value).__name__}")
    version = value.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(f"{where}: expected format_version {FORMAT_VERSION}, found {version!r}; "
                        "a newer version of this program may read it")
    generator = value.get("generator", "")
    if isinstance(generator, dict):
        generator = f"{generator.get('name', '')} {generator.get('version', '')}".strip()
    pixel_size_um = value.get("pixel_size_um")
    if pixel_size_um is not None and not (_is_number(pixel_size_um) and pixel_size_um > 0):
        raise UserError(f"{where}: expected pixel_size_um as a positive number or null, found {pixel_size_um!r}")
    rendered = value.get("rendered", _is_renderers_name(str(generator)))
    if not isinstance(rendered, bool):
        raise UserError(f"{where}: expected rendered as true or false, found {rendered!r}")
    return Header(
        name=str(value.get("name") or Path(where).resolve().parent.name),
        generator=str(generator),
        classes=parse_classes(value.get("classes"), where),
        pixel_size_um=None if pixel_size_um is None else float(pixel_size_um),
        rendered=rendered,
    )


def parse_classes(value: Any, where: str) -> tuple[ClassInfo, ...]:
    """Check a list of classes: ids 1..255 and names unique, kinds known. Sorted by id."""
    if not isinstance(value, list):
        raise UserError(f"{where}: expected a list of classes, found {value!r}")
    classes = []
    for entry in value:
        if not (isinstance(entry, dict) and _is_count(entry.get("id")) and 1 <= entry["id"] <= 255
                and isinstance(entry.get("name"), str) and entry["name"] and entry.get("kind") in KINDS):
            raise UserError(f"{where}: expected a class as {{id: 1..255, name, kind: defect or impurity}}, "
                            f"found {entry!r}")
        classes.append(ClassInfo(entry["id"], entry["name"], entry["kind"]))
    for what, keys in (("id", [c.id for c in classes]), ("name", [c.name for c in classes])):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise UserError(f"{where}: class {what} {twice[0]!r} is given twice")
    return tuple(sorted(classes, key=lambda c: c.id))


def parse_sample(value: Any, where: str, classes: tuple[ClassInfo, ...]) -> Sample:
    """Check one record of `samples.jsonl`.

    Raises:
        UserError: the first rule that is broken, led by `where`.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object, found {type(value).__name__}")
    problem = id_problem(value.get("id"))
    if problem:
        raise UserError(f"{where}: {problem}")
    sample_id = value["id"]
    where = f"{where} ({sample_id})"
    if value.get("split") not in SPLITS:
        raise UserError(f"{where}: expected split train, val or test, found {value.get('split')!r}")
    seed = value.get("seed")
    if seed is not None and not isinstance(seed, int):
        raise UserError(f"{where}: expected seed as an integer or null, found {seed!r}")
    for key in ("parameters", "sha256"):
        if not isinstance(value.get(key, {}), dict):
            raise UserError(f"{where}: expected {key} as an object, found {value[key]!r}")
    tags = value.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise UserError(f"{where}: expected tags as a list of texts, found {tags!r}")
    return Sample(
        id=sample_id,
        split=value["split"],
        seed=seed,
        group=str(sample_id if value.get("group") is None else value["group"]),
        instances=_parse_instances(value.get("instances", []), where, classes),
        parameters=value.get("parameters", {}),
        sha256=value.get("sha256", {}),
        tags=tuple(tags),
    )


def _parse_instances(value: Any, where: str, classes: tuple[ClassInfo, ...]) -> tuple[Instance, ...]:
    if not isinstance(value, list):
        raise UserError(f"{where}: expected a list of instances, found {value!r}")
    names = {info.id: info.name for info in classes} | {info.name: info.name for info in classes}
    instances = []
    for entry in value:
        if not (isinstance(entry, dict) and _is_count(entry.get("id")) and 1 <= entry["id"] <= 65535
                and _is_area(entry.get("pixels", ""))):
            raise UserError(f"{where}: expected an instance as {{id: 1..65535, class, pixels}}, found {entry!r}")
        if not isinstance(entry.get("weak", False), bool):
            raise UserError(f"{where}: expected weak as true or false, found {entry['weak']!r}")
        class_key = entry.get("class")
        if not isinstance(class_key, (str, int)) or class_key not in names:
            known = ", ".join(f"{info.id} {info.name}" for info in classes) or "none"
            raise UserError(f"{where}: instance {entry['id']} has the unknown class {class_key!r}; known: {known}")
        instances.append(Instance(entry["id"], names[class_key], entry["pixels"], entry.get("weak", False)))
    numbers = [instance.id for instance in instances]
    if len(set(numbers)) != len(numbers):
        raise UserError(f"{where}: instance ids are not unique: {numbers}")
    return tuple(instances)


def class_colours(classes: tuple[ClassInfo, ...]) -> dict[int, str]:
    """Class id -> "#rrggbb": fixed colours for the paper's classes, the further list in order of id for the rest."""
    others = [info for info in classes if info.name not in _COLOURS]
    colours = {info.id: _COLOURS[info.name] for info in classes if info.name in _COLOURS}
    for rank, info in enumerate(sorted(others, key=lambda c: c.id)):
        colours[info.id] = _FURTHER_COLOURS[rank % len(_FURTHER_COLOURS)]
    return colours


def palette(classes: tuple[ClassInfo, ...]) -> bytes:
    """The 256 RGB triples of a mask's palette; black where no class is."""
    table = bytearray(768)
    for class_id, colour in class_colours(classes).items():
        table[3 * class_id : 3 * class_id + 3] = bytes.fromhex(colour[1:])
    return bytes(table)


def _is_renderers_name(generator: str) -> bool:
    """What decides for data sets that were written before the field `rendered`."""
    return generator.lower().replace("-", "_").replace(" ", "_").startswith("surface_impurities")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_area(value: Any) -> bool:
    """Pixels of an instance: null, or a count below the square of PNG's largest side."""
    return value is None or (_is_count(value) and value < 2**62)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
