# SPDX-License-Identifier: Apache-2.0
"""Whether the images that arrive are still like those before: light, focus, noise, surface; and since which image.

Five numbers of each image are tested, each by a sequence of conformal bets (`metrics/drift.py`). The mean number of
images until one of the five alarms falsely is at least `RUN_LENGTH`, where stable images come in no particular order.
The test knows what it has seen: a change that was there from the first image on is none.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from ..metrics.drift import Change, ChangeTest, deviations
from ..runtime.errors import UserError
from ..runtime.files import make_folder
from ..runtime.progress import say

FILE = "drift.jsonl"
RUN_LENGTH = 10_000  # images until a false alarm, on the average at least
NUMBERS = ("score", "brightness", "sharpness", "noise", "evenness")
_CLEAR = 5.0  # by so many sigmas over the root of the images since: four times what a median of these varies by
_ALONE = 2.0  # times as much as all others: that number alone has changed
_AGAINST = 1.5  # times the change of brightness: what light alone may do to its shares, in the other direction
_ALONG = 0.5  # the same in the direction of brightness
_FOCUS = "the images are less sharp: focus, or something on the lens"
_SEVERAL = 3  # of the four numbers of the picture: more than light, focus or noise alone would change


@dataclass(frozen=True)
class Drift:
    """What has changed.

    Attributes:
        cause: "light", "focus", "noise" or "surface".
        words: the same for people.
        since: the image with which it probably began; image: the one with which it was found.
        shifts: of each of `NUMBERS`, by how many sigmas of before.
    """

    cause: str
    words: str
    since: str
    image: str
    shifts: Mapping[str, float]


def numbers_of(image: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """The five numbers of an image.

    The median of the anomaly map, which a defect in one place does not move; the median brightness; and, as shares of
    that: the mean slope of the slightly blurred image, the noise (Immerkær, "Fast noise variance estimation", 1996, by
    the median), and how far brightness differs over the image.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        scores: (H, W) float32.
    """
    grey = image.mean(2, dtype=np.float32)
    brightness = float(np.median(grey))
    scale = max(brightness, 1e-4)
    soft = cv2.GaussianBlur(grey, (0, 0), 1.5)
    slopes = np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    noise = np.median(np.abs(cv2.filter2D(grey, cv2.CV_32F, kernel))) / 0.6745 / 6
    side = max(3, min(grey.shape) // 16 * 2 + 1)
    low, high = np.quantile(cv2.blur(grey, (side, side)), [0.05, 0.95])
    return {
        "score": float(np.median(scores)), "brightness": brightness, "sharpness": float(slopes.mean()) / scale,
        "noise": float(noise) / scale, "evenness": float(high - low) / scale,
    }


class DriftWatch:
    """The images of a watched folder, in the order of their arrival.

    Args:
        folder: of the predictions; the numbers are kept in it, so that a new start goes on with them.
        product: whose images these are, where a folder has those of several.

    Raises:
        UserError: the file of an earlier start cannot be read.
    """

    def __init__(self, folder: Path, product: str = "") -> None:
        self.path, self.product = folder / FILE, product
        self._begin()
        for line in _lines(self.path):
            if line.get("product", "") != product:
                continue
            if "cause" in line:
                self._begin()
            else:
                self._step(str(line["image"]), {name: float(line[name]) for name in NUMBERS})

    def see(self, path: Path, image: np.ndarray, scores: np.ndarray) -> Drift | None:
        """The next image; what has changed, where that is found now. It is said, too.

        Raises:
            UserError: the folder cannot be written.
        """
        numbers = numbers_of(image, scores)
        self._write({"image": str(path), **numbers})
        found = self._step(str(path), numbers)
        if found is not None:
            self._write(asdict(found))
            of = f" of {self.product}" if self.product else ""
            say(f"DRIFT{of}: {found.words}, since about {found.since}; the threshold may mean little until that is "
                "mended, or the model is calibrated anew")
            self._begin()
        return found

    def _begin(self) -> None:
        """What comes from now on is compared among itself."""
        self._tests = {name: ChangeTest(RUN_LENGTH * len(NUMBERS), seed) for seed, name in enumerate(NUMBERS)}
        self._images: list[str] = []
        self._seen: dict[str, list[float]] = {name: [] for name in NUMBERS}

    def _step(self, image: str, numbers: Mapping[str, float]) -> Drift | None:
        self._images.append(image)
        changes: list[Change] = []
        for name, test in self._tests.items():
            self._seen[name].append(numbers[name])
            change = test.see(numbers[name])
            if change is not None:
                changes.append(change)
        return None if not changes else self._named(changes[0].since)

    def _named(self, since: int) -> Drift:
        shifts = {
            name: float(np.median(deviations(values[since:], values[:since]))) for name, values in self._seen.items()
        }
        ratios = {
            name: max(float(np.median(values[since:])), 1e-9) / max(float(np.median(values[:since])), 1e-9)
            for name, values in self._seen.items()
        }
        cause, words = cause_of(shifts, ratios, len(self._images) - since)
        return Drift(cause, words, self._images[since], self._images[-1], {
            name: round(shift, 2) for name, shift in shifts.items()})

    def _write(self, record: Mapping[str, object]) -> None:
        if self.product:
            record = {"product": self.product, **record}
        try:
            make_folder(self.path.parent)
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from error


class ProductWatches:
    """A watch for each product: images of several that arrive by turns are no change.

    Args:
        folder: as of `DriftWatch`.
        product_of: tells an image's product by its path.
    """

    def __init__(self, folder: Path, product_of: Callable[[Path], str]) -> None:
        self._folder, self._product_of = folder, product_of
        self._watches: dict[str, DriftWatch] = {}

    def see(self, path: Path, image: np.ndarray, scores: np.ndarray) -> Drift | None:
        """As `DriftWatch.see`."""
        product = self._product_of(path)
        if product not in self._watches:
            self._watches[product] = DriftWatch(self._folder, product)
        return self._watches[product].see(path, image, scores)


def cause_of(shifts: Mapping[str, float], ratios: Mapping[str, float], after: int) -> tuple[str, str]:
    """What the shifts of the five numbers point to, as a word and in words.

    Light changes the brightness. The others, which are shares of it, stay, or go the other way by a factor that is
    hardly larger: with less light a camera's own noise stays, with more the brightest pixels are full. A camera out of
    focus takes the finest grain away, which nothing else does alone, and flattens slopes; noise raises the grain alone.
    What changes nearly all of them, or the scores alone, is the surface. Numbers of sound plates differ, so that a
    change is measured against what the medians of so many images differ by.

    Args:
        shifts: in sigmas of before.
        ratios: after to before.
        after: number of images since the change.
    """
    changes = {name: math.log(ratio) for name, ratio in ratios.items()}
    clear = {name for name, shift in shifts.items() if abs(shift) >= _CLEAR / math.sqrt(after)} - {"score"}
    sizes = {name: abs(changes[name]) for name in clear}
    largest_beside = max((size for name, size in sizes.items() if name != "noise"), default=0.0)
    if sizes.get("noise", 0.0) >= _ALONE * largest_beside and "noise" in clear:
        if changes["noise"] < 0:
            return "focus", f"{_FOCUS}, and the finest grain is gone"
        return "noise", "more noise: gain, exposure or cooling"
    if "brightness" in clear and all(
        -_AGAINST <= changes[name] / changes["brightness"] <= _ALONG for name in clear - {"brightness"}
    ):
        brighter = ratios["brightness"] - 1
        return "light", f"{abs(brighter):.0%} {'more' if brighter > 0 else 'less'} light"
    if len(clear) < _SEVERAL:
        if "sharpness" in clear and shifts["sharpness"] < 0:
            return "focus", _FOCUS
        if "noise" in clear and abs(shifts["noise"]) >= abs(shifts["evenness"]):
            return "noise", f"{'more' if shifts['noise'] > 0 else 'less'} noise: gain, exposure or cooling"
    return "surface", "the surface looks otherwise: dirt everywhere, or another product"


def _lines(path: Path) -> Sequence[dict]:
    """The whole lines of an earlier start; one that was cut off is left out."""
    if not path.is_file():
        return []
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error}); move it away to begin the watch for drift anew") from error
    found = []
    for text in texts:
        try:
            line = json.loads(text)
            if isinstance(line, dict) and ("cause" in line or (
                    "image" in line and all(np.isfinite(float(line[name])) for name in NUMBERS))):
                found.append(line)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return found
