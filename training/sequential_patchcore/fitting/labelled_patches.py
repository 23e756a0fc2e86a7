# SPDX-License-Identifier: Apache-2.0
"""Which patches of an image a memory is made of: those that the mask puts inside a class and that look anomalous."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import cv2
import numpy as np
import torch

from ..coreset.search import NearestSearch
from ..data.dataset import Dataset, Sample
from ..extractors.base import Extractor
from ..runtime.errors import UserError
from ..runtime.progress import say
from .stream import Picture, Source, grid_of

IMPURITY, DEFECT = "impurity", "defect"
CLEARANCE = 3
"""Cells between a defect and a patch of an impurity's memory: a patch sees more of the image than its own cell, and
what shows part of a defect must not be remembered as dirt. docs/impurities.md measures."""
_UNSURE = 1e-3  # of the level: `NearestSearch` is right to five digits, so that farther from it the verdict is certain


def wanted_classes(datasets: Sequence[Dataset], split: str, with_defects: bool) -> dict[str, str]:
    """Class name -> kind of the classes that get a memory, by name: impurities that an image of the split shows.

    Args:
        with_defects: defects too.

    Raises:
        UserError: an empty split, none of them, or a class that is a defect in one data set and an impurity in another.
    """
    kinds, shown = {}, set()
    for dataset in datasets:
        for info in dataset.classes:
            if kinds.setdefault(info.name, info.kind) != info.kind:
                raise UserError(
                    f"the class {info.name!r} is of kind {info.kind} in {dataset.path} and of kind {kinds[info.name]} "
                    "in another data set; one name has one kind"
                )
        shown |= {name for sample in dataset.split(split) for name in _located_in(sample)}
    wanted = {name: kinds[name] for name in sorted(shown) if with_defects or kinds[name] == IMPURITY}
    if not wanted:
        places = ", ".join(str(dataset.path) for dataset in datasets)
        raise UserError(
            f"no image of the split {split!r} of {places} has a label of kind "
            f"{f'{IMPURITY} or {DEFECT}' if with_defects else IMPURITY} whose place is known; `split` takes other "
            "images, and the setting `impurities` of an import says which labels are impurities"
        )
    return wanted


def sources_with(datasets: Sequence[Dataset], split: str, classes: Iterable[str]) -> list[Source]:
    """The images that show one of the classes, in the data sets' order.

    Those with a label of the image as a whole are left out, with a word: where on them the labelled is, is not known.
    """
    wanted, found, left_out = set(classes), [], 0
    for dataset in datasets:
        for sample in dataset.split(split):
            if not sample.is_located:
                left_out += 1
            elif wanted & classes_of(sample):
                found.append((dataset, sample))
    if left_out:
        say(f"note: {left_out} image(s) are labelled as a whole; their patches enter no memory")
    return [Source(number, dataset, sample) for number, (dataset, sample) in enumerate(found)]


def classes_of(sample: Sample) -> set[str]:
    """Names of the classes that some pixel of the image is labelled with."""
    return {instance.class_name for instance in sample.instances if instance.pixels}


def _located_in(sample: Sample) -> set[str]:
    return classes_of(sample) if sample.is_located else set()


class LabelledPatches:
    """From pictures to the patches that the memories are made of.

    A patch is one of a class where the class covers at least the share `coverage` of its cell (with 0: some of it),
    inside the region, and where its distance to the nominal memory is at least `level`. For an impurity no defect may
    be within `CLEARANCE` cells of it.

    Args:
        nominal: (K, D) float32, the nominal memory.
        extractor: on the device.
        kinds: class name -> kind.
        chunk_size: patches per matrix product; of no influence on the result.
    """

    def __init__(
        self, nominal: np.ndarray, extractor: Extractor, device: torch.device | str, kinds: Mapping[str, str],
        coverage: float, level: float, chunk_size: int,
    ) -> None:
        self._search = NearestSearch(nominal, device, chunk_size)
        self._extractor, self._device = extractor, device
        self._kinds, self._coverage, self._level = kinds, coverage, level

    def of(self, picture: Picture, classes: Iterable[str]) -> Iterator[tuple[str, torch.Tensor, np.ndarray]]:
        """(class, (N, D) vectors, (N,) patch ids) of each of the classes that the picture shows, by name, row by row.

        Yielded also where N is 0.
        """
        shown = sorted(set(classes) & classes_of(picture.source.sample))
        mask = labels_of(picture)
        vectors, patch_ids, grid = grid_of(picture, self._extractor, self._device)
        ids = {info.name: info.id for info in picture.source.dataset.classes}
        near_defect = _near(grid.share_of(np.isin(mask, picture.source.dataset.defect_ids)) > 0)
        for name in shown:
            share = grid.share_of(mask == ids[name])
            chosen = (share > 0) & (share >= self._coverage)
            if self._kinds[name] == IMPURITY:
                chosen &= ~near_defect
            rows = np.flatnonzero(chosen)
            candidates = vectors[torch.from_numpy(rows).to(vectors.device)]
            anomalous = self._anomalous(candidates)
            yield name, candidates[torch.from_numpy(anomalous).to(vectors.device)], patch_ids[rows[anomalous]]

    def _anomalous(self, vectors: torch.Tensor) -> np.ndarray:
        """(N, D) to (N,) bool: whether the distance to the nominal memory is at least the level.

        Where the fast distance leaves that open it is computed exactly, so that neither the size of the chunks nor the
        number of threads has a say.
        """
        distances = self._search.distances(vectors).cpu().numpy()
        anomalous = distances >= self._level
        for row in np.flatnonzero(np.abs(distances - self._level) <= _UNSURE * self._level):
            anomalous[row] = self._search.nearest_exactly(vectors[row])[1] >= self._level
        return anomalous


def labels_of(picture: Picture) -> np.ndarray:
    """uint8 (H, W) class ids as the picture shows them: flipped with it, 0 outside its region."""
    source = picture.source
    mask = source.dataset.mask(source.sample)
    for axis, flipped in enumerate(picture.flips):
        if flipped:
            mask = np.flip(mask, axis)
    return np.where(picture.region, mask, np.uint8(0))


def _near(cells: np.ndarray) -> np.ndarray:
    """(h, w) bool to the same, grown by `CLEARANCE` cells on each side, corners included."""
    kernel = np.ones((2 * CLEARANCE + 1,) * 2, np.uint8)
    return cv2.dilate(cells.astype(np.uint8), kernel).astype(bool)
