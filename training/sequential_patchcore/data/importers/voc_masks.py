# SPDX-License-Identifier: Apache-2.0
"""Pascal VOC's masks: SegmentationClass says the class of each pixel, SegmentationObject the object that it belongs to.

Both are pictures of numbers or of colours. What they mean is in `labelmap.txt` (name:r,g,b, as CVAT and Datumaro write
it) or `class_names.txt` (a name a line, as LabelMe writes it); else they are the 20 classes of VOC 2012.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ...runtime.errors import UserError
from ..decoders import decoding
from ..png import read_bytes
from .findings import Findings
from .items import Job, Shape
from .mask_file import is_lossy
from .names import name_key

VOC_2012 = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
VOID = "{count} masks have pixels of no class (void); they count as background"

_CLASS_FOLDERS = ("segmentationclass", "segmentationclasspng")
_OBJECT_FOLDERS = ("segmentationobject", "segmentationobjectpng")
_BACKGROUND = {"background", "_background_"}
_VOID_NAMES = {"void", "ignored", "__ignore__"}
_VOID_NUMBER = 255
_VOID_COLOUR = 0xE0E0C0


@dataclass(frozen=True)
class Names:
    """What the values of a class mask mean: by number, and by colour (0xRRGGBB)."""

    by_number: Mapping[int, str]
    by_colour: Mapping[int, str]
    where: str
    palette: bool = False
    """Whether of a picture with a palette the colours count and not the numbers."""

    def name_of(self, value: int, is_colour: bool, mask: Path) -> str | None:
        """The class of a value; "" for background, None for void.

        Raises:
            UserError: no class has it.
        """
        name = (self.by_colour if is_colour else self.by_number).get(value)
        if name is None:
            if value == 0:
                return ""
            if value == (_VOID_COLOUR if is_colour else _VOID_NUMBER):
                return None
            shown = f"the colour {_rgb(value)}" if is_colour else f"the number {value}"
            raise UserError(f"{mask}: no class has {shown} in {self.where}; expected a labelmap.txt with name:r,g,b or "
                            "a class_names.txt with a name a line beside the folders")
        return None if name_key(name) in _VOID_NAMES else "" if name_key(name) in _BACKGROUND else name


@dataclass(frozen=True)
class MaskPart:
    """An outline: the pixels of one class, and of one object where that is known."""

    path: Path
    value: int
    as_colour: bool
    objects: Path | None = None
    number: int = 0

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        values = _checked(self.path, self.as_colour, size)
        inside = values == self.value
        return inside if self.objects is None else inside & (_objects(self.objects, size) == self.number)

    @property
    def bounds(self) -> None:
        """It is as large as its image."""
        return None

    @property
    def flaw(self) -> str:
        """Only values that occur become parts."""
        return ""


@dataclass
class VocMasks:
    """The masks of a tree, by the key of their image's stem."""

    names: Names
    classes: Mapping[str, Path]
    objects: Mapping[str, Path]
    findings: Findings
    taken: set[str] = field(default_factory=set)

    @property
    def paths(self) -> set[Path]:
        return {*self.classes.values(), *self.objects.values()}

    def shapes_of(self, image: Path) -> tuple[tuple[Shape, ...], Mapping[str, Path]] | None:
        """What an image's masks say, and their files, whose digests are to be remembered; None where it has no mask.

        Raises:
            UserError: a mask cannot be read, does not fit the other, or has a value that means nothing.
        """
        key = name_key(image.stem)
        path = self.classes.get(key)
        if path is None:
            return None
        self.taken.add(key)
        objects = self.objects.get(key)
        values, as_colour = _values(path, self.names.palette)
        numbers = None if objects is None else _objects(objects, values.shape)
        shapes = []
        for value in np.unique(values).tolist():
            label = self.names.name_of(value, as_colour, path)
            if label is None:
                self.findings.note(VOID, str(path))
            elif label:
                shapes += _parts(label, path, value, as_colour, values == value, objects, numbers)
        digests = {"mask_sha256": path} | ({} if objects is None else {"objects_sha256": objects})
        return tuple(shapes), digests

    def report_left_over(self) -> None:
        """Masks whose image is not there are a problem: their labels would be lost."""
        left = [self.classes[key] for key in sorted(set(self.classes) - self.taken)]
        if left:
            self.findings.problem(f"{len(left)} mask(s) of SegmentationClass belong to no image, the first: {left[0]}")
        alone = [self.objects[key] for key in sorted(set(self.objects) - set(self.classes))]
        if alone:
            self.findings.problem(f"{len(alone)} mask(s) of SegmentationObject have none in SegmentationClass, which "
                                  f"says the class, the first: {alone[0]}")


def find_masks(job: Job) -> VocMasks:
    """The masks below the source; they are marked as used."""
    classes, objects = (_by_stem(job, folders) for folders in (_CLASS_FOLDERS, _OBJECT_FOLDERS))
    masks = VocMasks(_names(job) if classes else Names({}, {}, ""), classes, objects, job.findings)
    job.used.update(masks.paths)
    return masks


def _by_stem(job: Job, folders: Iterable[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in job.survey.images:
        if name_key(path.parent.name) in folders:
            key = name_key(path.stem)
            if key in found:
                job.findings.problem(f"two masks have the name {path.stem}: {found[key]} and {path}")
            found[key] = path
    return found


def _names(job: Job) -> Names:
    """From the first table that is there.

    Raises:
        UserError: a line of a labelmap.txt is none.
    """
    texts = {name_key(path.name): path for path in reversed(job.survey.others_with(".txt"))}
    if "labelmap.txt" in texts:
        return _labelmap(texts["labelmap.txt"], job)
    if "class_names.txt" in texts:
        path = texts["class_names.txt"]
        job.used.add(path)
        lines = [line.strip() for line in _text(path).splitlines() if line.strip()]
        names, where = [line for line in lines if name_key(line) != "__ignore__"], str(path)
    else:
        names, where = list(VOC_2012), "VOC 2012"
    return Names(dict(enumerate(names)), {palette_colour(number): name for number, name in enumerate(names)}, where)


def _labelmap(path: Path, job: Job) -> Names:
    job.used.add(path)
    by_colour: dict[int, str] = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.partition(":")
        colour = rest.split(":")[0]
        parts = colour.split(",")
        if not colour.strip():  # without colours they are those of VOC's palette, in the order of the lines
            by_colour[palette_colour(len(by_colour))] = name.strip()
        elif len(parts) != 3 or not all(part.strip().isdigit() and int(part) < 256 for part in parts):
            raise UserError(f"{path}, line {number}: expected name:r,g,b with values from 0 to 255, found {line!r}")
        else:
            red, green, blue = (int(part) for part in parts)
            by_colour[red << 16 | green << 8 | blue] = name.strip()
    return Names(dict(enumerate(by_colour.values())), by_colour, str(path), palette=True)


def palette_colour(number: int) -> int:
    """The colour of a number in VOC's palette, 0xRRGGBB: its bits by threes, the lowest ones first, fill the three
    channels from the highest bit down (VOCdevkit, VOClabelcolormap.m)."""
    channels = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * place + channel) & 1) << (7 - place)
    return channels[0] << 16 | channels[1] << 8 | channels[2]


def _parts(
    label: str, path: Path, value: int, as_colour: bool, inside: np.ndarray, objects: Path | None,
    numbers: np.ndarray | None,
) -> list[Shape]:
    """A shape for each object of a class; without objects, and for pixels of none, one whose connected parts are."""
    where = f"{path}: {label}"
    if objects is None or numbers is None:
        return [Shape(label, MaskPart(path, value, as_colour), where, connected=True)]
    return [
        Shape(label, MaskPart(path, value, as_colour, objects, number), f"{where}, object {number}",
              connected=number == 0)
        for number in np.unique(numbers[inside]).tolist()
    ]


def _checked(path: Path, as_colour: bool, size: tuple[int, int]) -> np.ndarray:
    values, _ = _values(path, as_colour)
    if values.shape != size:
        raise UserError(f"{path} is {values.shape[1]} x {values.shape[0]} pixels, its image {size[1]} x {size[0]}")
    return values


def _objects(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Numbers of objects, int32 (H, W); 0 for none and for void."""
    with_colours, as_colour = _values(path, False)
    if with_colours.shape != tuple(size):
        raise UserError(f"{path} is {with_colours.shape[1]} x {with_colours.shape[0]} pixels, the other mask or the "
                        f"image {size[1]} x {size[0]}")
    return np.where(with_colours == (_VOID_COLOUR if as_colour else _VOID_NUMBER), 0, with_colours)


def _values(path: Path, palette_as_colour: bool) -> tuple[np.ndarray, bool]:
    """The values of a mask, int32 (H, W), and whether they are colours (0xRRGGBB) and not numbers.

    Args:
        palette_as_colour: of a picture with a palette take the colours and not the numbers.

    Raises:
        UserError: no picture, or one whose format changes values.
    """
    data = read_bytes(path)
    if is_lossy(data):
        raise UserError(f"{path}: a mask of classes in a format that changes values; expected PNG")
    try:
        return _decoded(data, palette_as_colour)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is no picture: {error}") from error


@lru_cache(maxsize=4)  # a mask is asked for each of its parts
def _decoded(data: bytes, palette_as_colour: bool) -> tuple[np.ndarray, bool]:
    with decoding(), Image.open(io.BytesIO(data)) as image:
        if image.mode in ("1", "L", "I", "I;16") or (image.mode == "P" and not palette_as_colour):
            return np.array(image.convert("L") if image.mode == "1" else image).astype(np.int32), False
        colours = np.array(image.convert("RGB")).astype(np.int32)
    return colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2], True


def _text(path: Path) -> str:
    return read_bytes(path).decode("utf-8-sig", "replace")


def _rgb(value: int) -> str:
    return f"{value >> 16}, {value >> 8 & 255}, {value & 255}"
