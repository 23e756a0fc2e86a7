# SPDX-License-Identifier: Apache-2.0
"""The images of a review: scored once, and scored anew in a moment when a few vectors of the memory have changed."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from ..coreset.search import NearestSearch
from ..data.photographs import as_float_rgb, decode_image
from ..data.png import read_bytes
from ..extractors.base import to_tensor
from ..extractors.grid import Grid
from ..metrics.binarize import PLAIN, Rule, binary_map
from ..model.products import Product
from ..naming.namer import Namer
from ..naming.verdict import RegionVerdict
from ..runtime.errors import UserError
from ..runtime.file_names import printable
from ..runtime.progress import Progress, say
from ..scoring.anomaly_map import PatchScores, anomaly_map
from ..scoring.limits import Limits, limits_of
from ..scoring.scorer import Scorer

KEPT_BYTES = 4 << 30  # of patch vectors on disk; images beyond are put through the network again when it is needed
_LONGEST_OUTLINE = 200  # points


@dataclass(frozen=True)
class Region:
    """An alarm: `box` (x, y, width, height), `outline` [[x, y], ...], its highest `score` and where, `peak` (x, y).

    Where zones differ it is that of the place where the score exceeds its threshold most: `threshold`, and whose that
    is, `threshold_of`. `named` is what the base model's rule takes it for, None where it has none.
    """

    box: tuple[int, int, int, int]
    outline: tuple[tuple[int, int], ...]
    score: float
    peak: tuple[int, int]
    threshold: float
    threshold_of: str
    named: RegionVerdict | None = None

    @property
    def excess(self) -> float:
        """The score in thresholds."""
        return _excess(self.score, self.threshold)


@dataclass
class ReviewImage:
    """One image as the memory sees it now.

    Attributes:
        sha256: of its file.
        distances: (h, w) float32 of its patches to the nearest vector; rows: (h, w) int64, which vector that is.
        untaught: (h, w) float32, the distances to the base model's vectors.
        vectors: NPY file of its (h, w, D) vectors; None where there was no room.
        product: what it shows; "" where nothing tells.
        limits: the thresholds that decide about it now.
        score, excess: its highest score, and how many thresholds that is; of several zones where that is most.
    """

    number: int
    path: Path
    sha256: str
    size: tuple[int, int]
    grid: Grid
    distances: np.ndarray
    rows: np.ndarray
    vectors: Path | None
    untaught: np.ndarray
    product: str = ""
    limits: Limits | None = None
    regions: list[Region] = field(default_factory=list)
    score: float = 0.0
    excess: float = 0.0

    @property
    def record(self) -> dict:
        """As a journal's line names it."""
        return {"name": printable(self.path.name), "path": printable(str(self.path.absolute())), "sha256": self.sha256,
                "size": list(self.size)}


class ReviewSet:
    """Picture files and their alarms.

    Args:
        scorer: of the base model; its network makes the vectors.
        paths: picture files; what cannot be read is said and left out.
        rule: filters after the threshold.
        kept_bytes: room for vectors.
        namer: gives alarms their names, by the base model's rule and memories whatever is taught meanwhile.
        product_of: tells an image's product by its path, where the model has thresholds of several.

    Attributes:
        images: those that could be read, in the order given.
        unreadable: the others, with what is wrong.
    """

    def __init__(
        self, scorer: Scorer, paths: Sequence[Path], rule: Rule = PLAIN, kept_bytes: int = KEPT_BYTES,
        namer: Namer | None = None, product_of: Callable[[Path], str] | None = None,
    ) -> None:
        self._product_of = product_of
        self._scorer, self.rule, self._namer = scorer, rule, namer
        self._named: dict[int, tuple[bytes, tuple[RegionVerdict, ...]]] = {}
        self._features, self._search = scorer.search.vectors, scorer.search
        self._room = kept_bytes
        self._folder = tempfile.TemporaryDirectory(prefix="sequential-patchcore-review-")
        self.images: list[ReviewImage] = []
        self.unreadable: list[tuple[Path, str]] = []
        with Progress("scoring", len(paths)) as progress:
            for path in paths:
                try:
                    self._add(path)
                except UserError as error:
                    self.unreadable.append((path, str(error)))
                    say(f"note: {path} is left out: {error}")
                progress.step()

    def close(self) -> None:
        """Remove the kept vectors."""
        self._folder.cleanup()

    def picture(self, image: ReviewImage) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1], from its file.

        Raises:
            UserError: the file is gone, broken, or another than it was.
        """
        data = read_bytes(image.path)
        if hashlib.sha256(data).hexdigest() != image.sha256:
            raise UserError(f"{image.path} is another file than the one that was scored; start the review again")
        return as_float_rgb(decode_image(data, image.path)[0])

    def vectors(self, image: ReviewImage) -> np.ndarray:
        """(h, w, D) float32."""
        if image.vectors is not None:
            return np.load(image.vectors, mmap_mode="r")
        return self._vectors_of(self.picture(image))

    @property
    def blur_sigma(self) -> float:
        return self._scorer.blur_sigma

    def patches_of(self, picture: np.ndarray) -> tuple[np.ndarray, Grid]:
        """(H, W, 3) float32 RGB in [0, 1] to (h, w, D) float32 and its grid."""
        vectors = self._vectors_of(picture)
        size = (picture.shape[0], picture.shape[1])
        return vectors, Grid.of(self._scorer.extractor, size, vectors.shape[:2])

    def map(self, image: ReviewImage) -> np.ndarray:
        """(H, W) float32, the anomaly map."""
        return anomaly_map(image.distances, image.grid, self._scorer.blur_sigma)

    def use(self, features: np.ndarray, threshold: float, products: Mapping[str, Product] | None = None) -> None:
        """Score all images by a memory (K, D), of which usually few rows differ from the one before.

        Args:
            threshold, products: the model's.
        """
        same = features.shape == self._features.shape
        changed = (
            np.flatnonzero((features != self._features).any(1)) if same else np.arange(len(features))
        )
        if len(changed):
            self._search = NearestSearch(features, self._scorer.device)
            for image in self.images:
                self._rescore(image, features, changed, whole=not same)
            self._features = features
        for image in self.images:
            image.limits = limits_of(products or {}, threshold, image.product, image.size)
            self._find(image, image.limits)

    def _add(self, path: Path) -> None:
        data = read_bytes(path)
        picture = as_float_rgb(decode_image(data, path)[0])
        vectors = self._vectors_of(picture)
        flat = torch.from_numpy(vectors.reshape(-1, vectors.shape[-1])).to(self._search.device)
        with torch.inference_mode():
            distances, rows = self._search.nearest(flat)
        cells = vectors.shape[:2]
        number = len(self.images)
        file = None
        if vectors.nbytes <= self._room:
            self._room -= vectors.nbytes
            file = Path(self._folder.name) / f"{number}.npy"
            np.save(file, vectors)
        size = (picture.shape[0], picture.shape[1])
        self.images.append(ReviewImage(
            number, path, hashlib.sha256(data).hexdigest(), size, Grid.of(self._scorer.extractor, size, cells),
            distances.cpu().numpy().reshape(cells), rows.cpu().numpy().reshape(cells), file,
            distances.cpu().numpy().reshape(cells).copy(),
            "" if self._product_of is None else self._product_of(path),
        ))

    def _vectors_of(self, picture: np.ndarray) -> np.ndarray:
        extractor = self._scorer.extractor
        with torch.inference_mode():
            vectors = extractor(to_tensor(picture, extractor.settings.image_scale, self._scorer.device))[0]
        return vectors.cpu().numpy()

    def _rescore(self, image: ReviewImage, features: np.ndarray, changed: np.ndarray, whole: bool) -> None:
        """Nearest is what was nearest, unless it went, or one of the newcomers is nearer."""
        vectors = self.vectors(image)
        flat = np.array(vectors).reshape(-1, vectors.shape[-1])  # a copy: torch wants it writable
        distances, rows = image.distances.ravel().copy(), image.rows.ravel().copy()
        device = self._search.device
        with torch.inference_mode():
            near, which = NearestSearch(features[changed], device).nearest(torch.from_numpy(flat).to(device))
            nearer = near.cpu().numpy() < distances
            distances[nearer], rows[nearer] = near.cpu().numpy()[nearer], changed[which.cpu().numpy()[nearer]]
            stale = np.ones(len(rows), bool) if whole else np.isin(image.rows.ravel(), changed)
            if stale.any():
                found, which = self._search.nearest(torch.from_numpy(flat[stale]).to(device))
                distances[stale], rows[stale] = found.cpu().numpy(), which.cpu().numpy()
        image.distances, image.rows = distances.reshape(image.distances.shape), rows.reshape(image.rows.shape)

    def _find(self, image: ReviewImage, limits: Limits) -> None:
        scores = self.map(image)
        row, column = np.unravel_index(int(limits.scaled(scores).argmax()), scores.shape)
        image.score = float(scores[row, column])
        image.excess = _excess(image.score, limits.zone_at(int(row), int(column))[1])
        predicted = binary_map(scores, limits.map, np.ones(scores.shape, bool), self.rule)
        image.regions = regions_of(predicted, scores, limits, self._names_of(image, predicted))

    def _names_of(self, image: ReviewImage, predicted: np.ndarray) -> Sequence[RegionVerdict] | None:
        """The verdicts of an image's regions by their numbers; not found again while the regions are the same."""
        if self._namer is None:
            return None
        count, labels, *_ = cv2.connectedComponentsWithStats(predicted.astype(np.uint8), connectivity=8)
        digest = hashlib.sha256(np.packbits(predicted).tobytes()).digest()
        if self._named.get(image.number, (b"",))[0] != digest:
            found: tuple[RegionVerdict, ...] = ()
            if count > 1:
                vectors = torch.from_numpy(np.array(self.vectors(image))).to(self._search.device)
                scored = PatchScores(vectors, image.untaught, image.grid, self.blur_sigma)
                found = tuple(self._namer.verdicts(scored, labels, count - 1))
            self._named[image.number] = (digest, found)
        return self._named[image.number][1]

    def inside(self, image: ReviewImage, box: Sequence[int]) -> np.ndarray:
        """(H, W) bool: the alarm's pixels within a box; the whole box where no alarm has exactly this box."""
        inside = np.zeros(image.size, bool)
        x, y, width, height = box
        if image.limits is not None and any(region.box == tuple(box) for region in image.regions):
            scores = self.map(image)
            predicted = binary_map(scores, image.limits.map, np.ones(scores.shape, bool), self.rule)
            _, labels, stats, _ = cv2.connectedComponentsWithStats(predicted.astype(np.uint8), connectivity=8)
            (number, *_) = [row for row in range(1, len(stats)) if tuple(stats[row, :4]) == tuple(box)]
            return labels == number
        inside[y : y + height, x : x + width] = True
        return inside


def regions_of(
    predicted: np.ndarray, scores: np.ndarray, limits: Limits, named: Sequence[RegionVerdict] | None = None
) -> list[Region]:
    """The 8-connected regions of an (H, W) bool map, the one that exceeds its threshold most first.

    Args:
        limits: the thresholds that it was predicted with.
        named: the verdict of each, in the order of OpenCV's numbers.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(predicted.astype(np.uint8), connectivity=8)
    found = []
    excess = limits.scaled(scores)
    for number in range(1, count):
        x, y, width, height = (int(value) for value in stats[number, :4])
        window = slice(y, y + height), slice(x, x + width)
        own = labels[window] == number
        inside = np.where(own, excess[window], np.float32(-1))
        row, column = np.unravel_index(int(inside.argmax()), inside.shape)
        at = x + int(column), y + int(row)
        _, threshold, origin = limits.zone_at(at[1], at[0])
        found.append(Region(
            (x, y, width, height), outline_of(own, (x, y)), float(scores[at[1], at[0]]), at, threshold, origin,
            None if named is None else named[number - 1],
        ))
    return sorted(found, key=lambda region: (-region.excess, -region.score))


def _excess(score: float, threshold: float) -> float:
    return score / max(threshold, 1e-30)


def outline_of(own: np.ndarray, corner: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """The outer contour of the pixels (h, w) bool of one region, at (x, y) of its image."""
    contours, _ = cv2.findContours(own.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    contour, tolerance = max(contours, key=len), 0.5
    while len(contour) > _LONGEST_OUTLINE:
        contour, tolerance = cv2.approxPolyDP(contour, tolerance, True), tolerance * 2
    return tuple((int(x) + corner[0], int(y) + corner[1]) for x, y in contour[:, 0])
