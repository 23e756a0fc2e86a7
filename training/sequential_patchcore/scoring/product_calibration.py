# SPDX-License-Identifier: Apache-2.0
"""Thresholds for each product and each zone of it, from a split that shows several.

Each product, and each zone, is calibrated as a data set of its own: the images of the product, with a region that is
the zone. Every image is scored once; its map lies on disk meanwhile.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..data.dataset import Dataset, Sample
from ..model.file import Model, Product, Threshold, Zones
from ..model.products import shown
from ..runtime.errors import UserError
from ..runtime.progress import say
from .calibration import calibrate, rests_on_clean_images
from .conditions import departures
from .limits import NO_ZONE
from .promises import TooFewPlates, Wish, promise
from .scorer import Scorer
from .unseen_plates import UnseenPlates, plate_of

FEWEST_PLATES = 10  # for a threshold that promises nothing; of fewer it says more about them than about the next


@dataclass(frozen=True)
class Request:
    """How thresholds are found: `wish`, or a `false_positive_rate` and `per` as `calibration.calibrate` takes them."""

    wish: Wish | None = None
    false_positive_rate: float | None = None
    per: str | None = None


@dataclass(frozen=True)
class _Part(Dataset):
    """A data set of which a zone alone is inspected: that of this number, 0 for what lies in none."""

    zones: Zones | None = None
    number: int = 0

    def region(self, sample: Sample) -> np.ndarray:
        whole = super().region(sample)
        if self.zones is None:
            return whole
        labels = self.zones.at(whole.shape)
        if labels is None:
            height, width = self.zones.labels.shape
            raise UserError(
                f"{self.image_path(sample)} is {whole.shape[1]} x {whole.shape[0]} pixels and the zones were drawn on "
                f"{width} x {height}: they fit images of that shape; draw them on one of these images"
            )
        return whole & (labels == self.number)


class _KeptMaps(UnseenPlates):
    """Each image is scored once, without its own plate and, where that is asked for, with it."""

    def __init__(self, scorer: Scorer, dataset: Dataset, folder: Path) -> None:
        super().__init__(scorer, dataset)
        self._scorer_of_all, self._data, self._folder = scorer, dataset, folder

    def anomaly_map(self, sample: Sample, image: np.ndarray | None = None) -> np.ndarray:
        file = self._folder / f"unseen-{sample.id}.npy"
        if not file.is_file():
            np.save(file, super().anomaly_map(sample, image))
        return np.load(file)

    def whole(self, sample: Sample, image: np.ndarray | None = None) -> np.ndarray:
        """By all vectors."""
        if plate_of(sample) not in self.trained:
            return self.anomaly_map(sample, image)
        file = self._folder / f"whole-{sample.id}.npy"
        if not file.is_file():
            np.save(file, self._scorer_of_all.anomaly_map(self._data.image(sample) if image is None else image))
        return np.load(file)


def calibrate_products(
    scorer: Scorer, dataset: Dataset, names: Mapping[str, str], zones: Mapping[str, Zones], request: Request,
    split: str = "val", keep_common: bool = False,
) -> Model:
    """The scorer's model with thresholds for each product of a split, and for each zone of it.

    Entries of other products stay; an entry keeps its zones where it gets no others. Where a product or zone has too
    few plates it is said how many are missing, and it has no threshold of its own: the model's one decides.

    Args:
        names: sample id to the name of the product; "" for images of none, which have an entry only for their zones.
        zones: name of a product to its zones; "" for all products that have none of their own.
        split: of the data set; never the test split.
        keep_common: leave the model's one threshold as it is, where it has one; else it is made anew of all images.

    Raises:
        UserError: the model's one threshold cannot be made; zones that do not fit the images.
    """
    model = scorer.model
    assert model is not None
    with tempfile.TemporaryDirectory(prefix="sequential-patchcore-") as folder:
        maps = _KeptMaps(scorer, dataset, Path(folder))
        if model.threshold is None or not keep_common:
            model = model.with_threshold(_threshold(scorer, dataset, maps, request, split, ""))
        products = dict(model.products)
        for name in sorted({names[sample.id] for sample in dataset.split(split)}):
            own = tuple(sample for sample in dataset.samples if names[sample.id] == name)
            placed = zones.get(name) or zones.get("") or (products[name].zones if name in products else None)
            if not name and placed is None:
                continue  # what the model's one threshold is for
            part = _Part(**vars(dataset) | {"samples": own})
            entry = products.get(name, Product())
            products[name] = _entry(scorer, part, maps, request, split, name, replace(
                entry, threshold=None, zones=placed, zone_thresholds={}))
    if model.naming is not None:
        say("alarms get no verdicts by name any more: their rule was set for other thresholds; "
            "`sequential-patchcore verdicts` sets it anew")
    return replace(model, products=dict(sorted(products.items())), naming=None)


def _entry(
    scorer: Scorer, part: _Part, maps: _KeptMaps, request: Request, split: str, name: str, entry: Product
) -> Product:
    """The entry with its thresholds."""
    if entry.zones is None:
        return replace(entry, threshold=_own(scorer, part, maps, request, split, shown(name)))
    found: dict[str, Threshold] = {}
    for number, zone in enumerate(entry.zones.names, start=1):
        view = replace(part, zones=entry.zones, number=number)
        threshold = _own(scorer, view, maps, request, split, shown(name, zone))
        if threshold is not None:
            found[zone] = threshold
    rest = None
    if (entry.zones.labels == 0).any():
        rest = _own(scorer, replace(part, zones=entry.zones), maps, request, split, shown(name, NO_ZONE))
    return replace(entry, threshold=rest, zone_thresholds=found)


def _own(
    scorer: Scorer, part: _Part, maps: _KeptMaps, request: Request, split: str, what: str
) -> Threshold | None:
    """The threshold of a product or zone; None, and why, where it has too few plates."""
    falls_back = f"{what}: no threshold of its own, the model's one decides: "
    samples = part.split(split) if any(sample.split == split for sample in part.samples) else ()
    plates = {plate_of(sample) for sample in samples if part.region(sample).any()}
    if request.wish is None and len(plates) < FEWEST_PLATES:
        say(f"{falls_back}{len(plates)} plates show it, and it takes {FEWEST_PLATES}: "
            f"{FEWEST_PLATES - len(plates)} more")
        return None
    try:
        return _threshold(scorer, part, maps, request, split, what)
    except TooFewPlates as error:
        missing = f"{error.missing} plate(s) are missing. " if error.missing else ""
        say(f"{falls_back}{missing}{error}")
        return None


def _threshold(
    scorer: Scorer, part: Dataset, maps: _KeptMaps, request: Request, split: str, what: str
) -> Threshold:
    if what:
        say(f"{what}:")
    if request.wish is not None:
        found = promise(scorer, part, request.wish, split, maps)
        if found.threshold is None:
            if not what:
                raise UserError(found.words)
            raise TooFewPlates(found.words, 0)
        threshold = found.threshold
    else:
        clean = rests_on_clean_images(part, split, request.false_positive_rate) and maps.possible
        threshold = calibrate(
            scorer, part, split, request.false_positive_rate, request.per, maps if clean else None, maps.whole)
        if scorer.model is not None and (changed := departures(scorer.model, scorer.conditions)):
            threshold = replace(threshold, calibrated_on=threshold.calibrated_on | {"conditions": changed})
    return threshold if not what else replace(threshold, calibrated_on=threshold.calibrated_on | {"of": what})
