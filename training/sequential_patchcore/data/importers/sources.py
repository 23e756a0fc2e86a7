# SPDX-License-Identifier: Apache-2.0
"""The table of sources: each form of labelled photographs has one reader, into the common form of `items`."""

from collections.abc import Callable
from dataclasses import dataclass

from .coco import read_coco
from .cvat import read_cvat
from .folders import read_folders
from .items import Item, Job
from .labelme_source import read_labelme
from .labelstudio import read_labelstudio
from .mvtec import read_mvtec
from .voc import read_voc
from .yolo import read_yolo


@dataclass(frozen=True)
class Source:
    """One form.

    Attributes:
        name: the word of the command line.
        read: all images of a folder with their labels, in a fixed order. What is wrong goes into the job's findings; a
            UserError ends the import.
        has_splits: whether the source itself says which image is in which split.
        draws_plates: whether a shape with the label `plate` is the inspected region, and no class.
    """

    name: str
    read: Callable[[Job], list[Item]]
    has_splits: bool = False
    draws_plates: bool = True


SOURCES = {
    source.name: source
    for source in (
        Source("labelme", read_labelme),
        Source("coco", read_coco),
        Source("yolo", read_yolo),
        Source("voc", read_voc),
        Source("cvat", read_cvat),
        Source("labelstudio", read_labelstudio),
        Source("folders", read_folders, draws_plates=False),
        Source("mvtec", read_mvtec, has_splits=True, draws_plates=False),
    )
}
