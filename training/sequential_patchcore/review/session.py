# SPDX-License-Identifier: Apache-2.0
"""A review under way: what is left to decide, decisions taken, and the model that they teach; one at a time."""

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..model.file import Model, save_model
from ..model.products import entry_of
from ..runtime.errors import UserError
from ..runtime.file_names import printable
from ..runtime.progress import say
from .dirt import names_of
from .guard import ValidationDefects, losses
from .journal import DECISIONS, DEFECT, DIRT, DIRT_CLASSES, MISSED, UNDO, Entry, Journal, effective, new_entry
from .patches import RegionPatches, extractor_digest, patches_file, save_patches
from .region_limits import PRODUCT, slots_of, threshold_at
from .replay import PatchStore, Taught, replay
from .review_set import Region, ReviewImage, ReviewSet, outline_of

_SMALLEST_BOX = 2  # pixels on a side
_OTHER = "other"
_BESIDE = 2.0  # pixels that a peak may lie off the outline of its region, which is a polygon


class Session:
    """
    Args:
        base: the model that the review began with; it must have a threshold.
        review_set: the images.
        folder: of the journal and the kept patches.
        out: where the taught model is written; never the base's own file.
        validation: defects of a validation split, which the guard looks at too.

    Attributes:
        taught: the active model and what came of the decisions.
        impurities: the classes that dirt can be of.

    Raises:
        UserError: no threshold; patches of the journal that are gone; a place that cannot be written.
    """

    def __init__(
        self, base: Model, review_set: ReviewSet, folder: Path, out: Path, validation: ValidationDefects | None = None
    ) -> None:
        if base.threshold is None:
            raise UserError("the model has no threshold: set one with `sequential-patchcore calibrate` first")
        self.base, self.set, self.folder, self.out, self.validation = base, review_set, folder, out, validation
        self.impurities = (*names_of(base), _OTHER) if names_of(base) else DIRT_CLASSES
        self.journal, self.store = Journal(folder), PatchStore(folder)
        self._lock = threading.RLock()
        self.taught = replay(base, self.journal.effective(), self.store)
        self._activate(self.taught)
        self._say_unknown_products()
        for note in self.taught.notes:
            say(note)

    @property
    def threshold(self) -> float:
        """The model's one, which decides where no product or zone has its own."""
        assert self.taught.model.threshold is not None
        return self.taught.model.threshold.value

    @property
    def _thresholds(self) -> str:
        """A digest of all thresholds: with them the pictures of the maps change."""
        model = self.taught.model
        values = [(slot, getattr(threshold_at(model, slot), "value", None)) for slot in slots_of(model)]
        return hashlib.sha256(repr(values).encode()).hexdigest()[:12]

    def _say_unknown_products(self) -> None:
        products = self.base.products
        strange = sorted({image.product for image in self.set.images if entry_of(products, image.product) is None})
        if products and strange:
            names = ", ".join(repr(name) if name else "an unknown product" for name in strange)
            say(f"note: images show {names}, which the model has no threshold for: its one threshold decides (of "
                f"{', '.join(filter(None, products))} tell `product`, `products`, `product_rule` or `product_by`)")
        unplaced = [image.path.name for image in self.set.images if image.limits is not None and image.limits.unplaced]
        if unplaced:
            say(f"note: {len(unplaced)} image(s), such as {unplaced[0]}, have another shape than the zones were drawn "
                "on: the model's one threshold decides")

    def state(self) -> dict[str, Any]:
        """What the page shows, JSON-ready."""
        with self._lock:
            items = self._items()
            return {
                "revision": len(self.journal.entries), "threshold": self.threshold,
                "thresholds": self._thresholds, "products": bool(self.base.products),
                "base": self.base.fingerprint, "active": self.taught.model.fingerprint, "file": str(self.out),
                "items": items, "left": sum(item["decision"] is None for item in items),
                "decided": sum(item["decision"] is not None for item in items), "notes": list(self.taught.notes),
                "unreadable": [printable(f"{path.name}: {reason}") for path, reason in self.set.unreadable],
            }

    def decide(self, who: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Take a decision, unless it costs a found defect that nobody has confirmed.

        Args:
            asked: "image" (its number), "box" [x, y, width, height] or None for the image as a whole, "decision",
                "impurity"; "over", the id of the decision that it overrules; "confirm", that losses are accepted.

        Returns:
            "done", "message"; "confirm", the losses to be confirmed; "conflict", an earlier answer; "seconds".

        Raises:
            UserError: something that cannot be.
        """
        with self._lock:
            start = time.monotonic()
            image, decision = self._image(asked.get("image")), asked.get("decision")
            if decision not in DECISIONS:
                raise UserError(f"expected a decision of {', '.join(DECISIONS)}, got {decision!r}")
            impurity = asked.get("impurity", "") if decision == DIRT else ""
            if decision == DIRT and impurity not in self.impurities:
                raise UserError(f"expected dirt of {', '.join(self.impurities)}, got {impurity!r}")
            box = self._box(asked.get("box"), image)
            if box is None and decision in (DIRT, DEFECT, MISSED):
                raise UserError(f"{decision} is said of a region; mark one")
            patches, region = self._region(image, box)
            entry = new_entry(
                who, decision, self.taught.model.fingerprint, image.record, region,
                impurity=impurity,
            )
            earlier = {one.key: one for one in self.journal.effective()}.get(entry.key)
            if earlier is not None and asked.get("over") != earlier.id:
                return {"done": False, "conflict": {
                    "id": earlier.id, "who": earlier.who, "decision": earlier.decision, "impurity": earlier.impurity,
                    "time": earlier.time}}
            answer = self._take(entry, patches, bool(asked.get("confirm")))
            return answer | {"seconds": round(time.monotonic() - start, 3)}

    def undo(self, who: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Take back a decision: that of the id "of", or the last one that counts.

        Raises:
            UserError: there is none.
        """
        with self._lock:
            start = time.monotonic()
            of = asked.get("of") or getattr(self.journal.last(), "id", None)
            undone = {entry.of for entry in self.journal.entries}
            target = next((one for one in self.journal.entries if one.id == of and one.decision != UNDO), None)
            if target is None or target.id in undone:
                raise UserError("there is no such decision to undo")
            entry = new_entry(who, UNDO, self.taught.model.fingerprint, of=target.id)
            answer = self._take(entry, None, bool(asked.get("confirm")))
            return answer | {"undone": target.id, "seconds": round(time.monotonic() - start, 3)}

    def thumbnail(self, entry_id: str) -> bytes:
        """JPEG of a decision's region."""
        known = {entry.id for entry in self.journal.entries}
        if entry_id not in known or not patches_file(self.folder, entry_id).is_file():
            raise UserError("there is no picture of this decision")
        return self.store[entry_id].thumbnail

    def _take(self, entry: Entry, patches: RegionPatches | None, confirm: bool) -> dict[str, Any]:
        """Into the journal, and what follows from it; nothing is kept of what still has to be confirmed."""
        if patches is not None:
            self.store.put(entry.id, patches)
        try:
            counting = effective([*self.journal.entries, entry])
            candidate = replay(self.base, counting, self.store)
            lost = losses(self.taught, candidate, counting, self.validation)
            if lost and not confirm:
                self.store.forget(entry.id)
                return {"done": False, "confirm": [str(loss) for loss in lost]}
            if lost:
                entry = Entry(**vars(entry) | {"confirmed": [str(loss) for loss in lost]})
            if patches is not None:
                save_patches(patches, self.folder, entry.id)
            self.journal.append(entry)
        except Exception:
            self.store.forget(entry.id)
            raise
        self._activate(candidate)
        return {"done": True, "id": entry.id, "message": self._message(entry)}

    def _activate(self, taught: Taught) -> None:
        self.taught = taught
        save_model(taught.model, self.out)  # first: it is active from here on, and the images of the page follow
        self.set.use(taught.model.features, self.threshold, taught.model.products)

    def _message(self, entry: Entry) -> str:
        """What came of a decision, in words."""
        peak = self.taught.peaks.get(entry.id)
        if entry.decision == DIRT and entry.id in self.taught.entered:
            new, shown = self.taught.entered[entry.id]
            return (f"{new} of {shown} patches that look anomalous entered the memory of {entry.impurity}; scores and "
                    "threshold stay")
        if entry.id in self.taught.entered and peak is not None:
            new, shown = self.taught.entered[entry.id]
            bare = f"{new} of {shown} patches entered the memory; the region scores {peak:.4g} now, "
            limit = self.taught.thresholds[entry.id]
            if not self.taught.alarms(entry.id):
                return bare + f"below the threshold {limit:.4g}"
            return bare + (f"still above the threshold {limit:.4g}: the others lie no farther from the memory "
                           "than its two closest vectors from one another, and the rule does not take them")
        if entry.decision == DIRT:
            return (f"{entry.impurity} is noted; this model has no memory of it, and the region goes on alarming until "
                    "it has")
        if entry.decision in (DEFECT, MISSED):
            told = [note for note in self.taught.notes if "defect" in note]
            plain = "the memory learns nothing from a defect, it only knows sound surface"
            return f"noted; {told[-1] if told else 'the threshold stays; ' + plain}"
        return "taken back" if entry.decision == UNDO else "noted"

    def _items(self) -> list[dict[str, Any]]:
        """What is left: alarms, the highest score first, what the model passes as dirt, images without either; then
        what is decided."""
        by_sha: dict[str, list[Entry]] = {}
        for entry in self.journal.effective():
            by_sha.setdefault(str(entry.image.get("sha256")), []).append(entry)
        left: list[dict[str, Any]] = []
        decided: list[dict[str, Any]] = []
        for image in self.set.images:
            entries = by_sha.get(image.sha256, [])
            decided += [self._decided(image, entry) for entry in entries]
            places = [entry.region for entry in entries if entry.region]
            alarms = [region for region in image.regions
                      if not any(_covers(place, region.box, region.peak) for place in places)]
            left += [
                {"image": image.number, "name": printable(image.path.name), "box": list(region.box),
                 "peak": list(region.peak), "score": region.score, "decision": None, "size": list(image.size),
                 "outline": [list(point) for point in region.outline], "threshold": region.threshold,
                 "excess": region.excess, "of": region.threshold_of, "product": image.product, **_named(region)}
                for region in alarms
            ]
            if not entries and not image.regions:
                left.append({"image": image.number, "name": printable(image.path.name), "box": None,
                             "score": image.score, "outline": [], "decision": None, "size": list(image.size),
                             "excess": image.excess,
                             "product": image.product})
        left.sort(key=lambda item: (item["box"] is None, item.get("passed", False), -item["excess"], -item["score"]))
        return left + decided

    def _decided(self, image: ReviewImage, entry: Entry) -> dict[str, Any]:
        peak = self.taught.peaks.get(entry.id)
        return {
            "image": image.number, "name": printable(image.path.name), "box": entry.region.get("box"),
            "size": list(image.size), "outline": entry.region.get("outline", []),
            "score": image.score if peak is None else peak,
            "decision": entry.decision, "impurity": entry.impurity, "entry": entry.id, "who": entry.who,
            "alarms": self.taught.alarms(entry.id), "product": image.product,
        }

    def _image(self, number: object) -> ReviewImage:
        if type(number) is not int or not 0 <= number < len(self.set.images):
            raise UserError(f"there is no image {number!r}")
        return self.set.images[number]

    def _box(self, box: object, image: ReviewImage) -> tuple[int, int, int, int] | None:
        if box is None:
            return None
        height, width = image.size
        if not (isinstance(box, list) and len(box) == 4 and all(type(side) is int for side in box)):
            raise UserError(f"expected a box [x, y, width, height] in whole pixels, got {box!r}")
        x, y, wide, high = box
        if min(x, y) < 0 or min(wide, high) < _SMALLEST_BOX - 1 or x + wide > width or y + high > height:
            raise UserError(f"the box {box} does not lie in the image of {width} x {height} pixels")
        return x, y, wide, high

    def _region(
        self, image: ReviewImage, box: Sequence[int] | None
    ) -> tuple[RegionPatches | None, dict[str, Any]]:
        if box is None:
            return None, {}
        inside = self.set.inside(image, box)
        vectors = self.set.vectors(image)
        patches = RegionPatches.of(
            vectors, image.grid, self.set.blur_sigma, self.set.picture(image), inside,
            extractor_digest(self.base.extractor),
        )
        x, y, width, height = patches.box
        scores = self.set.map(image)
        outline = outline_of(patches.pixels, (x, y))
        region = {"box": [x, y, width, height], "outline": [list(point) for point in outline],
                  "score": float(scores[inside].max())}
        return patches, region | ({PRODUCT: image.product} if image.product else {})


def _named(region: Region) -> dict[str, Any]:
    """What the base model's rule takes a region for, for the page."""
    if region.named is None:
        return {}
    return {"named": region.named.verdict, "reason": region.named.reason, "passed": region.named.passed,
            "likeness": region.named.defect_likeness}


def _covers(decided: Mapping[str, Any], box: Sequence[int], peak: tuple[int, int]) -> bool:
    """Whether a decision's region is the alarm of this box, or has its peak (x, y) on it; another alarm that lies
    within its box only is still to be decided."""
    if list(decided["box"]) == list(box):
        return True
    outline = np.array(decided.get("outline", ()), np.int32).reshape(-1, 1, 2)
    if len(outline) >= 3:
        return cv2.pointPolygonTest(outline, (float(peak[0]), float(peak[1])), True) >= -_BESIDE
    x, y, width, height = decided["box"]
    return x <= peak[0] < x + width and y <= peak[1] < y + height
