# SPDX-License-Identifier: Apache-2.0
"""Whether the images that arrive are still like those before: light, focus, noise, surface; and since which image.

Of each image a few numbers are kept (`picture_numbers`), and six things are tested with them, each by a sequence of
conformal bets (`metrics/drift.py`): the score, the brightness beyond what goes with the surface, the tilt and the bow
of the light, the finest grain beyond what goes with coarser ones, and contrasts of middle size. Where stable images
come in no particular order the chance of a false alarm within n images is at most n / (2 `RUN_LENGTH`), so that the
mean number of images until one is at least `RUN_LENGTH`. The test knows what it has seen: a change that was there from
the first image on is none.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..metrics.drift import ChangeTest, likeliest_change
from ..metrics.strangeness import Apart, Beside
from ..runtime.errors import UserError
from ..runtime.files import make_folder
from ..runtime.progress import say
from .drift_cause import FINE, LIGHT, cause_of, columns
from .picture_numbers import NUMBERS, as_row, numbers_of

FILE = "drift.jsonl"
RUN_LENGTH = 10_000  # images until a false alarm, on the average at least
TESTED: dict[str, tuple[tuple[str, ...], type[Beside] | type[Apart] | None]] = {
    "score": (("score",), None), "light": (LIGHT, Beside), "tilt": (("tilt_x", "tilt_y"), Apart),
    "bow": (("bow_x", "bow_y"), Apart), "grain": (FINE, Beside), "contrast": (("grain_3",), None),
}


@dataclass(frozen=True)
class Drift:
    """What has changed.

    Attributes:
        cause: "light", "focus", "noise" or "surface".
        words: the same for people.
        since: the image with which it probably began; image: the one with which it was found.
        shifts: of each of `picture_numbers.NUMBERS`, by how many sigmas of before.
    """

    cause: str
    words: str
    since: str
    image: str
    shifts: Mapping[str, float]


class RowWatch:
    """The tests of rows of numbers, as they come.

    Args:
        seed: of the random shares of ties.
    """

    def __init__(self, seed: int = 0) -> None:
        limit = 2 * RUN_LENGTH * len(TESTED)
        self._tests = [
            (columns(names), ChangeTest(limit, seed + number, None if kind is None else kind(len(names))))
            for number, (names, kind) in enumerate(TESTED.values())
        ]
        self._rows: list[np.ndarray] = []

    @property
    def rows(self) -> np.ndarray:
        """(n, 12) float64, those seen."""
        return np.array(self._rows)

    def see(self, row: np.ndarray) -> int | None:
        """The next row; the number of the image with which a change probably began, where one is found now."""
        self._rows.append(row)
        found = []
        for own, test in self._tests:
            change = test.see(float(row[own[0]]) if len(own) == 1 else row[own].tolist())
            if change is not None:
                # What was fitted to rows of before and after is blurred: one of the numbers may show the cut better.
                found += [change, *(likeliest_change(self.rows[:, column]) for column in own)]
        return max(found, key=lambda change: change.contrast).since if found else None


class DriftWatch:
    """The images of a watched folder, in the order of their arrival.

    Args:
        folder: of the predictions; the numbers are kept in it, so that a new start goes on with them.
        product: whose images these are, where a folder has those of several.
        part: which part of them is looked at, in words; numbers of another are not gone on with.

    Raises:
        UserError: the file of an earlier start cannot be read.
    """

    def __init__(self, folder: Path, product: str = "", part: str = "") -> None:
        self.path, self.product, self._part = folder / FILE, product, part
        self._begin()
        for line in _lines(self.path):
            if line.get("product", "") != product or line.get("part", "") != part:
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
        self._watch = RowWatch()
        self._images: list[str] = []

    def _step(self, image: str, numbers: Mapping[str, float]) -> Drift | None:
        self._images.append(image)
        since = self._watch.see(as_row(numbers))
        if since is None:
            return None
        rows = self._watch.rows
        cause, words, shifts = cause_of(rows[:since], rows[since:])
        return Drift(cause, words, self._images[since], self._images[-1], {
            name: round(shift, 2) for name, shift in shifts.items()})

    def _write(self, record: Mapping[str, object]) -> None:
        if self.product:
            record = {"product": self.product, **record}
        if self._part:
            record = {"part": self._part, **record}
        try:
            make_folder(self.path.parent)
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from error


class ProductWatches:
    """A watch for each product: images of several that arrive by turns are no change.

    Args:
        folder, part: as of `DriftWatch`.
        product_of: tells an image's product by its path.
    """

    def __init__(self, folder: Path, product_of: Callable[[Path], str], part: str = "") -> None:
        self._folder, self._product_of, self._part = folder, product_of, part
        self._watches: dict[str, DriftWatch] = {}

    def see(self, path: Path, image: np.ndarray, scores: np.ndarray) -> Drift | None:
        """As `DriftWatch.see`."""
        product = self._product_of(path)
        if product not in self._watches:
            self._watches[product] = DriftWatch(self._folder, product, self._part)
        return self._watches[product].see(path, image, scores)


def _lines(path: Path) -> Sequence[dict]:
    """The whole lines of an earlier start; one that was cut off, or holds other numbers, is left out, which is said."""
    if not path.is_file():
        return []
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error}); move it away to begin the watch for drift anew") from error
    found, left_out = [], 0
    for text in texts:
        try:
            line = json.loads(text)
            if isinstance(line, dict) and ("cause" in line or (
                    "image" in line and all(np.isfinite(float(line[name])) for name in NUMBERS))):
                found.append(line)
        except (ValueError, KeyError, TypeError, RecursionError):
            left_out += 1
    if left_out:
        say(f"note: {left_out} line(s) of {path} are left out of the watch for drift: cut off, or written by a version "
            "that keeps other numbers")
    return found
