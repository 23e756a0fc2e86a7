# SPDX-License-Identifier: Apache-2.0
"""What `predict` leaves behind: a journal with a line an image, by which work goes on, and tables made from it."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import StringIO
from pathlib import Path

from ..naming.verdict import RegionVerdict, shown
from ..runtime.errors import UserError
from ..runtime.file_names import unique_names
from ..runtime.files import make_folder, read_bytes, write_text

JOURNAL = "predictions.jsonl"
VERDICTS = ("normal", "dirty", "anomalous", "unreadable")
"""Of an image. "dirty" is normal, too: all that is predicted was passed as impurities; a model that names gives it."""

_ON_REQUEST = ("map", "mask", "map_step", "dirt", "product", "zone", "threshold", "threshold_of")


_DECIDED = ("zone", "threshold", "threshold_of")


@dataclass(frozen=True)
class Region:
    """One connected predicted region.

    Attributes:
        box: (x, y, width, height) in pixels.
        pixels, area_mm2: its size; mm² where the pixel size is known.
        peak, peak_at: the highest score in it, raw units, and its (x, y).
        named: what it was taken for; None of a model that does not name.
        zone, threshold, threshold_of: where it exceeds its threshold most, the zone, that threshold, and whose it is;
            None of a model of one threshold.
    """

    box: tuple[int, int, int, int]
    pixels: int
    area_mm2: float | None
    peak: float
    peak_at: tuple[int, int]
    named: RegionVerdict | None = None
    zone: str | None = None
    threshold: float | None = None
    threshold_of: str | None = None

    def record(self) -> dict:
        """For JSON."""
        record = asdict(replace(self, named=None))
        del record["named"]
        record = {name: value for name, value in record.items() if value is not None or name not in _DECIDED}
        if self.named is None:
            return record
        return record | {"verdict": self.named.verdict, "figures": self.named.figures()}

    @classmethod
    def from_record(cls, record: dict) -> "Region":
        named = RegionVerdict.from_figures(record["verdict"], record["figures"]) if "verdict" in record else None
        return cls(
            tuple(record["box"]), record["pixels"], record["area_mm2"], record["peak"], tuple(record["peak_at"]), named,
            *(record.get(name) for name in _DECIDED),
        )


@dataclass(frozen=True)
class Prediction:
    """What was found on one image.

    Attributes:
        image: its path as given.
        verdict: one of `VERDICTS`.
        score: the highest value of the anomaly map; None when unreadable.
        anomalous_pixels, area_mm2: all that is predicted.
        regions: largest first.
        error: why it is unreadable, in one line.
        width, height: of the image in pixels.
        overlay: path of the picture within the folder.
        map, mask: paths of the anomaly map and of the binary mask within the folder, where they were asked for.
        map_step: of a map of whole numbers, the score of one step.
        dirt: how many regions were passed under each impurity's name; None of a model that does not name.
        product: the name that the image was given; None of a model of one threshold, like the three below.
        zone, threshold, threshold_of: where the score exceeds its threshold most, or comes closest, the zone, that
            threshold, and whose it is: "bracket: rim", "model", "by hand".
    """

    image: str
    verdict: str
    score: float | None
    anomalous_pixels: int
    area_mm2: float | None
    regions: tuple[Region, ...]
    error: str = ""
    width: int | None = None
    height: int | None = None
    overlay: str | None = None
    map: str | None = None
    mask: str | None = None
    map_step: float | None = None
    dirt: dict[str, int] | None = None
    product: str | None = None
    zone: str | None = None
    threshold: float | None = None
    threshold_of: str | None = None

    @classmethod
    def unreadable(cls, path: Path, error: str) -> "Prediction":
        return cls(str(path), "unreadable", None, 0, None, (), " ".join(error.split()))

    @property
    def boxes(self) -> list[tuple[int, int, int, int]]:
        """(x, y, width, height) in pixels of each region, largest first."""
        return [region.box for region in self.regions]

    @property
    def shown(self) -> str:
        """The verdict for reading: "normal, dirty: water_stain x3"."""
        return shown(self.verdict, self.dirt)

    def record(self) -> dict:
        """For JSON; what was not asked for, and the dirt of a model that does not name, are left out."""
        record = asdict(replace(self, regions=())) | {
            "regions": [region.record() for region in self.regions], "boxes": [list(box) for box in self.boxes],
        }
        return {name: value for name, value in record.items() if value is not None or name not in _ON_REQUEST}

    @classmethod
    def from_record(cls, record: dict) -> "Prediction":
        regions = tuple(Region.from_record(region) for region in record["regions"])
        fields = {
            name: record.get(name) if name in _ON_REQUEST else record[name]
            for name in cls.__dataclass_fields__ if name != "regions"
        }
        return cls(**fields, regions=regions)


class PredictionFolder:
    """The folder as one thing; it is made with the first image that can be read."""

    def __init__(self, out: Path) -> None:
        self.path = out
        self._known: dict[str, Prediction] = {}
        self._names: dict[str, str] = {}  # image to the name of its overlay
        for key, found in _read_journal(out / JOURNAL):
            self._known[key] = found
            if found.overlay:
                self._names[_place(found.image)] = Path(found.overlay).name

    def known(self, path: Path, key: str) -> Prediction | None:
        """An earlier prediction of the same file in the same way, while its overlay is still there."""
        found = self._known.get(key)
        if found is None:
            return None
        files = [name for name in (found.overlay, found.map, found.mask) if name]
        there = files and all((self.path / name).is_file() for name in files)
        return replace(found, image=str(path)) if there else None

    def overlay_path(self, path: Path) -> Path:
        """Where the overlay of an image belongs: one name an image, also but for upper case."""
        place = _place(str(path))
        if place not in self._names:
            taken = (name.removesuffix(".jpg") for name in self._names.values())
            (name,) = unique_names([path.stem], taken)
            self._names[place] = f"{name}.jpg"
        return self.path / "overlays" / self._names[place]

    def add(self, found: Prediction, key: str) -> Prediction:
        """Write a line into the journal; unreadable files are tried again every time, and leave none."""
        if found.verdict == "unreadable":
            return found
        self._known[key] = found
        line = json.dumps({"key": key, **found.record()}) + "\n"
        path = make_folder(self.path) / JOURNAL
        try:
            # A line cut off by a crash must not swallow the next one.
            cut = _ends_within_a_line(path)
            with open(path, "a", encoding="utf-8") as journal:
                journal.write("\n" * cut + line)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error
        return found

    def write_tables(self, predictions: Sequence[Prediction]) -> None:
        """`predictions.csv`, `predictions.json` and `regions.csv`, of these predictions alone.

        Nothing is written while not a single image could be read.
        """
        if all(found.verdict == "unreadable" for found in predictions):
            return
        named = any(found.dirt is not None for found in predictions)
        decided = any(found.threshold_of is not None for found in predictions)
        rows = [
            [found.image, found.verdict, "" if found.score is None else f"{found.score:.6g}", found.anomalous_pixels,
             _number(found.area_mm2), len(found.regions), found.error, *[_counted(found.dirt or {}, " x")] * named,
             *(_decided_cells(found, found.product) if decided else ())]
            for found in predictions
        ]
        columns = ["image", "verdict", "score", "anomalous_pixels", "area_mm2", "regions", "error", *["dirt"] * named,
                   *["product", *_DECIDED] * decided]
        write_text(self.path / "predictions.csv", _csv(columns, rows))
        columns = ["image", "x", "y", "width", "height", "pixels", "area_mm2", "peak", "peak_x", "peak_y"]
        memories = _memories(predictions)
        rows = [
            [found.image, *region.box, region.pixels, _number(region.area_mm2), f"{region.peak:.6g}", *region.peak_at,
             *(_verdict_cells(region.named, memories) if named else ()),
             *(_decided_cells(region, found.product) if decided else ())]
            for found in predictions for region in found.regions
        ]
        columns += [*_VERDICT_COLUMNS, *(f"distance_to_{name}" for name in memories)] if named else []
        columns += ["product", *_DECIDED] if decided else []
        write_text(self.path / "regions.csv", _csv(columns, rows))
        records = [found.record() for found in predictions]
        write_text(self.path / "predictions.json", json.dumps(records, indent=2) + "\n")


_VERDICT_COLUMNS = (
    "verdict", "reason", "defect_likeness", "patches", "decided_at_x", "decided_at_y", "distance_to_nominal",
)


def _verdict_cells(named: RegionVerdict | None, memories: Sequence[str]) -> list:
    """The cells of `_VERDICT_COLUMNS`, and the distance to each memory."""
    if named is None:
        return [""] * (len(_VERDICT_COLUMNS) + len(memories))
    return [
        named.verdict, named.reason, f"{named.defect_likeness:.4g}", _counted(named.patches, " "), *named.at,
        _number(named.nominal_distance), *(_number(named.memory_distances.get(memory)) for memory in memories),
    ]


def _decided_cells(of: Prediction | Region, product: str | None) -> list:
    """The cells of the product and of `_DECIDED`."""
    return [product or "", of.zone or "", _number(of.threshold), of.threshold_of or ""]


def _memories(predictions: Sequence[Prediction]) -> list[str]:
    """The names of all memories that a region was compared with."""
    named = [region.named for found in predictions for region in found.regions if region.named is not None]
    return sorted({memory for each in named for memory in each.memory_distances})


def _counted(counts: dict[str, int], between: str) -> str:
    """Such as "fingerprint x1; water_stain x3"."""
    return "; ".join(f"{what}{between}{count}" for what, count in counts.items())


def _place(image: str) -> str:
    return str(Path(image).absolute())


def _ends_within_a_line(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with open(path, "rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _csv(columns: Sequence[str], rows: Sequence[Sequence]) -> str:
    text = StringIO()
    table = csv.writer(text)
    table.writerow(columns)
    table.writerows(rows)
    return text.getvalue()


def _read_journal(path: Path) -> list[tuple[str, Prediction]]:
    """The whole lines; one that was cut off by a crash, or is none of ours, is left out."""
    try:
        lines = read_bytes(path).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        try:
            record = json.loads(line)
            found.append((record["key"], Prediction.from_record(record)))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return found
