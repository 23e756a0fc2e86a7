# SPDX-License-Identifier: Apache-2.0
"""Daily work: photographs in; a verdict, boxes, areas and an overlay for each out. No strange file stops the rest."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from ..data.dataset import read_header
from ..data.photographs import IMAGE_SUFFIXES
from ..data.picture_files import UNREAD_PICTURES
from ..metrics.binarize import PLAIN, Rule, binary_map
from ..naming.verdict import RegionVerdict, image_verdict
from ..report import overlays, palette
from ..runtime.choices import MAP_KINDS
from ..runtime.errors import UserError
from ..runtime.files import atomic_path
from ..runtime.progress import Progress, say
from ..runtime.read_ahead import read_ahead
from ..scoring.limits import Limits
from ..scoring.seen_images import SeenImages
from .deciding import Deciding, decided
from .folder import Prediction, PredictionFolder, Region
from .inspected import InspectedRegions, inside_alone, inspected_part
from .reading import Photograph, read_photograph, said
from .saved_map import write_map, write_mask

if TYPE_CHECKING:  # torch and HDF5: an exported model needs neither
    from ..scoring.anomaly_map import PatchScores

Explains = Callable[[str, str, np.ndarray, "PatchScores", Sequence[RegionVerdict]], None]

_BOXES_DRAWN = 50  # of the largest regions; more would hide the photograph


class ThresholdLike(Protocol):
    value: float


class ModelLike(Protocol):
    """A `Model`, or an `ExportedModel`."""

    threshold: ThresholdLike | None
    fingerprint: str
    data: tuple[dict, ...]


class ScorerLike(Protocol):
    """A `Scorer`, or an `ExportedModel`; the latter has no `patches`, and so no explanations."""

    def anomaly_map(self, image: np.ndarray) -> np.ndarray: ...


class NamerLike(Protocol):
    """A `naming.namer.Namer`."""

    identity: list

    def verdicts(self, scored: "PatchScores", labels: np.ndarray, count: int) -> list[RegionVerdict]: ...


@dataclass(frozen=True)
class PredictSettings:
    """What a person chooses.

    Attributes:
        threshold: instead of the model's, raw units.
        rule: filters after the threshold.
        pixel_size_um: edge of a pixel on the surface; None takes it from the data set around an image, if there is one.
        save_map: write the anomaly map too, as "tiff" or "png" (`saved_map`), and the binary mask.
        bit_depth: 9 to 15: the values of 16-bit pictures have so many bits and are scaled to the whole range.
        regions: what is judged: None for the whole image, "find" for a bright plate on a dark background, or a folder
            with a mask of each image's name.
        margin: pixels off that region's border that are left out.
    """

    threshold: float | None = None
    rule: Rule = PLAIN
    pixel_size_um: float | None = None
    save_map: str | None = None
    bit_depth: int | None = None
    regions: str | Path | None = None
    margin: float = 0.0

    def __post_init__(self) -> None:
        if self.save_map is not None and self.save_map not in MAP_KINDS:
            raise UserError(f"`save_map` {self.save_map}: expected one of {', '.join(MAP_KINDS)}")
        if self.bit_depth is not None and not 9 <= self.bit_depth <= 16:
            raise UserError(f"expected `bit_depth` from 9 to 16, found {self.bit_depth}")


def find_images(paths: Sequence[str]) -> list[Path]:
    """Files as they are, folders as the images directly inside, by name; what is passed over is said.

    Raises:
        UserError: nothing there, or a folder without images.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = images_in(path)
            if not inside:
                raise UserError(f"no images in the folder {path} (looked for {', '.join(IMAGE_SUFFIXES)})")
            found += inside
            _say_passed_over(path, len(inside))
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"no such image or folder: {path}")
    return found


def _say_passed_over(folder: Path, images: int) -> None:
    """How many files were looked at, where some are not images; pictures that cannot be read are named."""
    others = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    others = [path for path in others if path.suffix.lower() not in IMAGE_SUFFIXES]
    if not others:
        return
    unread = [path.name for path in others if path.suffix.lower() in UNREAD_PICTURES]
    named = f", pictures that are not read among them: {', '.join(unread[:5])}{', …' if len(unread) > 5 else ''}"
    say(f"looked at {images + len(others)} files in {folder}: {images} images, {len(others)} passed over"
        + (named if unread else ""))


def images_in(folder: Path) -> list[Path]:
    """The picture files directly inside, by name; hidden ones are left out.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        return sorted(
            path for path in folder.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and not path.is_dir()
        )
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror or error}") from error


class Predictor:
    """One image at a time, into one folder; an image that was predicted before in the same way is not scored again.

    Args:
        scorer: makes the anomaly maps.
        model: for its threshold and fingerprint.
        out: the folder of tables and overlays.
        check_size: called with each file before it is decoded, by the thread that reads it; raises a UserError for an
            image that is too large.
        request: a digest of what else the result depends on, such as the program's version.
        explainer: called with the path, the overlay's name without suffix, the (H, W, 3) image, its scored patches and
            the verdicts of its regions, after its overlay.
        namer: gives each region a verdict; without one every region is an alarm.
        product_of: tells the product of an image by its path, where the model has thresholds of several.

    Attributes:
        observer: called with the path, the (H, W, 3) image and its (H, W) map of each image that is scored, not of
            those that were before; such as `DriftWatch.see`.

    Raises:
        UserError: there is no threshold, or the folder cannot be written.
    """

    def __init__(
        self, scorer: ScorerLike, model: ModelLike, out: str | Path, settings: PredictSettings = PredictSettings(),
        check_size: Callable[[Path], None] | None = None,
        explainer: Explains | None = None, request: str = "", namer: NamerLike | None = None,
        product_of: Callable[[Path], str] | None = None,
    ) -> None:
        chosen = settings.threshold
        if chosen is None and model.threshold is not None:
            chosen = model.threshold.value
        if chosen is None:
            raise UserError(
                "the model has no threshold: set one on a validation split with `sequential-patchcore calibrate` or "
                "`Scorer.calibrate`, or by hand: `threshold`"
            )
        self.threshold = chosen
        self._deciding = Deciding(getattr(model, "products", {}), chosen, product_of, settings.threshold)
        self._scorer, self._settings, self._check_size, self._explainer = scorer, settings, check_size, explainer
        self._namer = namer
        self.inspected = InspectedRegions(settings.regions, settings.margin)
        self._same = [
            request, model.fingerprint, getattr(scorer, "conditions", None), self.threshold, settings.rule.min_region,
            settings.rule.hysteresis, settings.pixel_size_um, settings.save_map,
        ]
        if settings.bit_depth is not None:
            self._same.append(settings.bit_depth)
        if namer is not None:
            self._same.append(namer.identity)
        self._same += self._deciding.identity
        self._seen, self._unlike = SeenImages(model.data), set[str]()
        self.observer: Callable[[Path, np.ndarray, np.ndarray], object] | None = None
        self.folder = PredictionFolder(Path(out))

    def __call__(self, path: Path) -> Prediction:
        """Predict one image, write its overlay and a line in the folder's journal.

        Raises:
            UserError: the folder cannot be written. What is wrong with the image is told by the prediction.
        """
        return self.judge(self.read(path))

    def read(self, path: Path) -> Photograph:
        """The image, or why there is none; it may be read by another thread while `judge` works on those before it.

        One that was predicted before is not read again.
        """
        key = self._key(path)
        known = None if self._explainer is not None else self.folder.known(path, key)
        if known is not None:
            return Photograph(path, key, known)
        return read_photograph(path, key, self._check_size, self._settings.bit_depth)

    def judge(self, photograph: Photograph) -> Prediction:
        """As the call, of a file that was read."""
        path, key = photograph.path, photograph.key
        if self._explainer is None:  # a file that is given twice may have become known since it was read
            known = photograph.known or self.folder.known(path, key)
            if known is not None:
                return known
        getattr(self._scorer, "extractor", None)  # weights that cannot be had are no fault of the image
        image = photograph.image
        if image is None:
            return self.folder.add(Prediction.unreadable(path, photograph.error), key)
        self._tell_of_few_bits(photograph)
        try:
            whole = self._explainer is None and self._namer is None
            region = self.inspected.of(path, image)
            scored = None if whole else self._scorer.patches(image)
            scores = self._scorer.anomaly_map(image) if scored is None else scored.anomaly_map()
        except Exception as error:
            # Whatever a picture can do to the network: the other images still want their verdict.
            return self.folder.add(Prediction.unreadable(path, said(path, error)), key)
        self._compare(path, image.shape[:2])
        raw = scores
        if self.inspected.wanted:
            scores = np.where(region, scores, np.float32(0))
        if self.observer is not None:
            self.observer(path, *(inspected_part(image, raw, region) if self.inspected.wanted else (image, scores)))
        limits = self._deciding.limits(path, scores.shape)
        predicted = binary_map(scores, limits.map, region, self._settings.rule)
        overlay = self.folder.overlay_path(path)
        found, passed = self._describe(path, scores, predicted, overlay.name, scored)
        if self._deciding.products:
            found = decided(found, limits, scores, predicted)
        with atomic_path(overlay) as beside:
            picture = _picture(image, limits.scaled(scores), predicted, region, limits.common, found, passed)
            beside.write_bytes(overlays.jpeg(picture, 92))
        found = self._save_map(found, raw, predicted, overlay.stem, limits)
        if self._explainer is not None and scored is not None:
            named = [region.named for region in found.regions if region.named is not None]
            shown = inside_alone(scored, region) if self.inspected.wanted else scored
            self._explainer(str(path), overlay.stem, image, shown, named)
        return self.folder.add(found, key)

    def _tell_of_few_bits(self, photograph: Photograph) -> None:
        """Of a file of many bits that uses few; said once."""
        bits = photograph.few_bits
        if bits is not None and "bits" not in self._unlike:
            self._unlike.add("bits")
            say(f"note: {photograph.path} has 16 bits a channel and no value above {2**bits - 1} ({bits} bits): nearly "
                f"black to a model of 8-bit images; `bit_depth` {bits} scales it to the whole range (said once)")

    def _save_map(
        self, found: Prediction, scores: np.ndarray, predicted: np.ndarray, stem: str, limits: Limits
    ) -> Prediction:
        """The prediction with the names of the files that were written, where any were asked for."""
        kind = self._settings.save_map
        if kind is None:
            return found
        name, mask = f"maps/{stem}.{kind}", f"masks/{stem}.png"
        drawn = limits.scaled(scores) if kind == "png" else scores
        step = write_map(kind, drawn, limits.common, self.folder.path / name)
        write_mask(predicted, self.folder.path / mask)
        return replace(found, map=name, mask=mask, map_step=step)

    def _compare(self, path: Path, size: tuple[int, int]) -> None:
        """Say in which way an image differs from those that the model saw, once for each way."""
        unlike = self._seen.unlike(size, self._settings.pixel_size_um or pixel_size_around(path.parent))
        if unlike is not None and unlike not in self._unlike:
            self._unlike.add(unlike)
            say(f"note: {path}: {unlike}; scores and threshold may mean little on it (said once for such images)")

    def _describe(
        self, path: Path, scores: np.ndarray, predicted: np.ndarray, overlay: str, scored: "PatchScores | None",
    ) -> tuple[Prediction, np.ndarray | None]:
        """The prediction, and (H, W) bool what of it was passed as impurities; None of a model that does not name."""
        size_um = self._settings.pixel_size_um or pixel_size_around(path.parent)
        square_mm = None if size_um is None else (size_um / 1000) ** 2
        count, labels, stats, _ = cv2.connectedComponentsWithStats(predicted.astype(np.uint8), connectivity=8)
        named = None
        if self._namer is not None and scored is not None:
            named = self._namer.verdicts(scored, labels, count - 1)
        regions = []
        for number in range(1, count):
            x, y, width, height, pixels = (int(v) for v in stats[number])
            window = slice(y, y + height), slice(x, x + width)
            inside = np.where(labels[window] == number, scores[window], np.float32(-1))
            row, column = np.unravel_index(int(inside.argmax()), inside.shape)
            regions.append(Region(
                (x, y, width, height), pixels, None if square_mm is None else pixels * square_mm,
                float(inside[row, column]), (x + int(column), y + int(row)),
                None if named is None else named[number - 1],
            ))
        regions.sort(key=lambda region: -region.pixels)
        verdict, dirt = ("anomalous" if regions else "normal", None) if named is None else image_verdict(named)
        passed = None if named is None else np.array([False, *(each.passed for each in named)])[labels]
        return Prediction(
            str(path), verdict, float(scores.max()), int(predicted.sum()),
            None if square_mm is None else int(predicted.sum()) * square_mm, tuple(regions),
            width=scores.shape[1], height=scores.shape[0], overlay=f"overlays/{overlay}", dirt=dirt,
        ), passed

    def _key(self, path: Path) -> str:
        """A digest of the file as it is now and of all that the prediction depends on."""
        try:
            state = path.stat()
            now = [str(path.absolute()), state.st_size, state.st_mtime_ns]
        except OSError:
            now = [str(path.absolute()), None, None]
        if self._deciding.products:
            now.append(self._deciding.product(path))
        now += self.inspected.identity(path)
        return hashlib.sha256(json.dumps(now + self._same).encode()).hexdigest()[:16]


def predict(
    scorer: ScorerLike, model: ModelLike, images: Sequence[Path], out: str | Path,
    settings: PredictSettings = PredictSettings(),
    check_size: Callable[[Path], None] | None = None,
    explainer: Explains | None = None, request: str = "", namer: NamerLike | None = None,
    product_of: Callable[[Path], str] | None = None,
) -> list[Prediction]:
    """Predict the images and write `predictions.csv`, `predictions.json`, `regions.csv` and `overlays/NAME.jpg`.

    The overlay is the photograph with the anomalous pixels in red and their boxes, beside the anomaly map with a bar in
    raw units. The next image is read while one is worked on. The tables are written at the end and when the run is
    interrupted; what was done is not done again.

    Raises:
        UserError: the model has no threshold, or the folder cannot be written.
    """
    predictor = Predictor(scorer, model, out, settings, check_size, explainer, request, namer, product_of)
    predictions: list[Prediction] = []
    try:
        with (
            Progress("predict", len(images)) as progress,
            closing(read_ahead(predictor.read, images)) as photographs,
        ):
            for photograph in photographs:
                predictions.append(predictor.judge(photograph))
                progress.step()
    finally:
        predictor.folder.write_tables(predictions)
    predictor.inspected.say_summary()
    return predictions


@lru_cache(maxsize=64)
def pixel_size_around(folder: Path) -> float | None:
    """The pixel size of the data set whose `images` folder this is, in µm; None where there is none."""
    try:
        return read_header(folder.absolute().parent).pixel_size_um
    except UserError:
        return None


def _picture(
    image: np.ndarray, scores: np.ndarray, predicted: np.ndarray, inspected: np.ndarray, threshold: float,
    found: Prediction, passed: np.ndarray | None,
) -> np.ndarray:
    nothing = np.zeros(scores.shape, np.uint8)
    marked = np.ascontiguousarray(overlays.overlay(image, predicted, nothing, inspected, (), passed=passed))
    line = max(1, round(max(scores.shape) / 800))
    for region in found.regions[:_BOXES_DRAWN]:
        if region.named is not None:
            continue
        x, y, width, height = region.box
        corner = (x - 2 - line, y - 2 - line), (x + width + 1 + line, y + height + 1 + line)
        cv2.rectangle(marked, *corner, palette.IMPURITY_OUTLINE, line)
    if named := [region for region in found.regions if region.named is not None]:
        named.sort(key=lambda region: region.named.passed)  # where there are many, alarms come first
        marked = overlays.with_names(marked, [
            (region.box, region.named.verdict, palette.verdict_colour(region.named.verdict))
            for region in named[:_BOXES_DRAWN][::-1]
        ])
    heat = overlays.with_colour_bar(overlays.anomaly_map(scores, threshold, inspected), threshold)
    height = max(marked.shape[0], heat.shape[0])
    padded = [
        cv2.copyMakeBorder(side, 0, height - side.shape[0], 0, 0, cv2.BORDER_CONSTANT) for side in (marked, heat)
    ]
    return np.hstack(padded)
