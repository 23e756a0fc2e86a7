# SPDX-License-Identifier: Apache-2.0
"""The common form: what every source is read into, and what the rest of an import works on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...runtime.file_names import safe_name, unique_names
from ..picture_files import Survey
from .findings import Findings
from .labels import LabelRules
from .names import name_key
from .options import ImportOptions
from .outlines import Outline
from .split_table import SplitTable


@dataclass(frozen=True)
class Shape:
    """One labelled place in an image.

    Attributes:
        label: as the source calls it.
        outline: where it is.
        where: names file and shape in messages.
        instance: shapes of one image with the same `instance` and class are one instance; None stands alone.
        connected: each of its connected parts (8 neighbours) is an instance of its own, as in a mask of all defects.
        weak: the outline is a box around what is meant.
    """

    label: str
    outline: Outline
    where: str = ""
    instance: int | str | None = None
    connected: bool = False
    weak: bool = False


@dataclass(frozen=True)
class Item:
    """One image to import, with all that its source says about it.

    Attributes:
        name: path of the image relative to the source, with "/"; no two items have the same.
        image: the picture's file, or a function that reads its bytes where it is embedded elsewhere.
        where: names the picture in messages.
        shapes: its labels with a place.
        as_a_whole: labels that say that there is one, not where. An image without any label is clean.
        tags: what people noted about the image; one that is named as a class becomes a label of the image as a whole.
        size: (H, W) as the labels claim; None for what they do not say.
        label_file: named where `size` is wrong, and recorded by its name.
        digests: key of the record -> a file, or the SHA-256 of what belongs to this image in a larger one. A change in
            any of them makes the next import take the image anew.
        page: counted from 1, of a file that holds several pictures; 0 for one that holds a single one.
        split, group: as the source says; None where something else has to.
    """

    name: str
    image: Path | Callable[[], bytes]
    where: str
    shapes: tuple[Shape, ...] = ()
    as_a_whole: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    size: tuple[float | None, float | None] = (None, None)
    label_file: Path | None = None
    digests: Mapping[str, Path | str] = field(default_factory=dict)
    page: int = 0
    split: str | None = None
    group: str | None = None

    @property
    def is_labelled(self) -> bool:
        """Whether somebody said what is on it, and be it that nothing is."""
        return bool(self.shapes or self.as_a_whole) or self.label_file is not None

    @property
    def labels(self) -> tuple[str, ...]:
        """The different labels on it, sorted."""
        return tuple(sorted({*self.as_a_whole, *(shape.label for shape in self.shapes)}))


@dataclass(frozen=True)
class Job:
    """What a source's reader is given.

    Attributes:
        src: the folder to read.
        survey: all files below it.
        table: the table of splits, if there is one.
        rules: how labels become classes.
        findings: where readers put what is wrong, and go on.
        used: where readers put the files that they took labels, masks and the like from; what is left over is named.
        kinds: where readers put the kinds of classes that the source says: label -> "defect" or "impurity", in the
            order of its classes; used where the options list no classes.
    """

    src: Path
    survey: Survey
    options: ImportOptions
    table: SplitTable | None
    rules: LabelRules
    findings: Findings
    used: set[Path] = field(default_factory=set)
    kinds: dict[str, str] = field(default_factory=dict)

    def means_good(self, label: str) -> bool:
        """Whether a label of an image as a whole, or a folder, says that it is clean."""
        return name_key(label) in {name_key(name) for name in self.options.good}

    def ignores(self, label: str) -> bool:
        """Whether a label is to be left out."""
        return self.rules.class_of(label) is None


def sample_ids(names: Sequence[str]) -> list[str]:
    """Unique sample ids for relative paths ("a/b/c.png"), in their order.

    The files' stems where all differ, also but for upper case, else the whole paths with "_" for "/"; a number is added
    to what is still equal.
    """
    stems = [safe_name(name.rsplit("/", 1)[-1].rsplit(".", 1)[0]) for name in names]
    if len({stem.casefold() for stem in stems}) < len(stems):
        return unique_names([name.rsplit(".", 1)[0] for name in names])
    return stems
