# SPDX-License-Identifier: Apache-2.0
"""From a base model and a journal to the model that it teaches: the same lines give the same model, to the bit.

*Sound* regions are shown to the coreset by the sequential rule, in the order of the journal, as patches of one more
training image each would be; *dirt* goes to the memory of its class, where the model has one (`dirt`). The size of the
coreset stays, so that each patch that enters takes the place of one of the two vectors that are closest to one another.
A patch that lies no farther from the memory than these two from one another does not enter: the rule takes it for
covered, whatever the threshold says, and `Taught.entered` shows it.

*Defect* and *missed* regions lower the threshold by a rule and teach the memory nothing: it remembers what sound
surface looks like, and has no place for what a defect does. The threshold becomes the lowest score that one of these
regions has with the *base* model, where that is below the base's threshold, but stays above the highest score of what
was called sound or dirt. That lowest score is the threshold of conformal risk control (`metrics/conformal.py`) for the
least share of lost defects that n images with a defect can bound, 1 / (n + 1). It is no promise all the same: what a
person marks is no fair draw of all defects, since alarms are marked and what nobody sees is not. It is never raised. A
defect that scores less only since something like it was called sound is no reason to lower it, which would hide the
loss; the guard shows it. Where a defect scores below sound regions no threshold tells them apart, and that is said.
Of a model with thresholds by product and zone each is lowered by the defects that it decides about, and by them alone.

Undo is a replay without the line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..coreset.engine import Coreset, CoresetEngine
from ..coreset.search import NearestSearch
from ..metrics.conformal import least_rate, lost_defects_threshold
from ..model.file import Model, Threshold
from ..model.patch_ids import patch_ids_of, unpack_patch_ids
from ..model.promised import in_words
from ..runtime.choices import LOWER_INDEX
from ..runtime.errors import UserError
from .dirt import names_of, with_dirt
from .journal import DEFECT, DIRT, MISSED, SKIP, SOUND, Entry
from .patches import RegionPatches, extractor_digest, load_patches
from .region_limits import (
    Peak,
    Slot,
    highest_by_slot,
    limits_of_entry,
    peak_of,
    slot_in_words,
    slots_of,
    threshold_at,
    with_thresholds,
    zone_numbers,
)

_UNNAMED = ("alarms get no verdicts by name any more: their rule, and what it promises, was set for the memories and "
            "the threshold of before; `sequential-patchcore verdicts` sets it anew")
_UNPROMISED = ("the threshold stays, but what it promised was shown for the memory of before; "
               "`sequential-patchcore calibrate` sets it anew")
DATASET = "review"  # in the sources of a taught model, in place of a data set's name


@dataclass(frozen=True)
class Taught:
    """What a replay came to.

    Attributes:
        model: the taught one; the base itself where nothing counts.
        entered: per id of a decision that was taught how many of its patches entered, and how many there were.
        peaks: per id of a decision with a region, its highest score with this model; of several zones that where it
            exceeds the threshold most.
        thresholds: per id the threshold that decides there.
        notes: what a person should know, in words.
    """

    model: Model
    entered: dict[str, tuple[int, int]]
    peaks: dict[str, float]
    thresholds: dict[str, float]
    notes: tuple[str, ...]

    def alarms(self, entry_id: str) -> bool:
        """Whether a decided region alarms with this model."""
        return entry_id in self.peaks and Peak(self.peaks[entry_id], self.thresholds[entry_id]).alarms


class PatchStore:
    """The kept patches of a journal's decisions, read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, RegionPatches] = {}

    def __getitem__(self, entry_id: str) -> RegionPatches:
        if entry_id not in self._read:
            self._read[entry_id] = load_patches(self._folder, entry_id)
        return self._read[entry_id]

    def put(self, entry_id: str, patches: RegionPatches) -> None:
        """Of a decision that is being considered and has no file yet."""
        self._read[entry_id] = patches

    def forget(self, entry_id: str) -> None:
        self._read.pop(entry_id, None)


def replay(base: Model, entries: Sequence[Entry], store: PatchStore) -> Taught:
    """Teach a base model the decisions that count.

    Args:
        entries: those that count, in order (`journal.effective`).

    Raises:
        UserError: patches that are gone, or of another feature extractor.
    """
    expected = extractor_digest(base.extractor)
    for entry in entries:
        if entry.region and entry.decision != SKIP and store[entry.id].extractor != expected:
            raise UserError(
                f"the journal's decision {entry.id} was taken with another feature extractor than the base model's: "
                "replay it onto a model of the same backbone, weights and settings"
            )
    sound = [entry for entry in entries if entry.decision == SOUND and entry.region]
    model, entered = _with_sound(base, sound, store)
    known = names_of(base)
    dirt = [entry for entry in entries if entry.decision == DIRT and entry.impurity in known]
    if dirt:
        memories, told = with_dirt(base, [(entry, store[entry.id]) for entry in dirt], DATASET)
        entered |= told
        model = replace(
            model, memories=memories, parents=(base.fingerprint,), request="",
            settings=model.settings | {"taught_dirt": [entry.id for entry in dirt]},
        )
    if model is not base:
        model = replace(model, naming=None)  # a rule of verdicts belongs to the memories that it was set for
    regions = [entry for entry in entries if entry.region and entry.decision in (SOUND, DIRT, DEFECT, MISSED)]
    search = NearestSearch(model.features)
    scores = {entry.id: store[entry.id].scores(search) for entry in regions}
    if base.threshold is None:
        return Taught(model, entered, {key: float(own.max()) for key, own in scores.items()}, {}, ())
    changed, notes = _lowered(base, regions, scores, store)
    if sound:
        changed, unpromised = _without_promises(base, changed)
        notes += unpromised
    model = with_thresholds(model, changed)
    if base.naming is not None and model.naming is None:
        notes.append(_UNNAMED)
    peaks = {entry.id: _peak(model, entry, store[entry.id], scores[entry.id]) for entry in regions}
    return Taught(
        model, entered, {key: peak.score for key, peak in peaks.items()},
        {key: peak.threshold for key, peak in peaks.items()}, tuple(notes),
    )


def _peak(model: Model, entry: Entry, patches: RegionPatches, scores: np.ndarray) -> Peak:
    limits = limits_of_entry(model, entry, patches)
    return peak_of(scores, limits, zone_numbers(limits, patches))


def _without_promises(base: Model, changed: Mapping[Slot, Threshold]) -> tuple[dict[Slot, Threshold], list[str]]:
    """The thresholds with those among them that promised something for another memory; and what is to be said."""
    found = dict(changed)
    for slot in slots_of(base):
        threshold = threshold_at(base, slot)
        if slot not in found and threshold is not None and in_words(threshold) is not None:
            origin = {name: one for name, one in threshold.calibrated_on.items() if name != "promises"}
            found[slot] = Threshold(threshold.value, "review", origin)
    return found, [_UNPROMISED] * (len(found) > len(changed))


def _with_sound(
    base: Model, sound: Sequence[Entry], store: PatchStore
) -> tuple[Model, dict[str, tuple[int, int]]]:
    if not sound:
        return base, {}
    size, dimension = base.features.shape
    engine = CoresetEngine(
        size, dimension, initial=Coreset(base.features, patch_ids_of(base.source, base.position)),
        eviction=base.settings.get("eviction", LOWER_INDEX), seed=int(base.settings.get("seed", 0)),
    )
    sources, entered = list(base.sources), {}
    for entry in sound:
        patches = store[entry.id]
        vectors, cells = patches.taught_vectors, patches.taught_cells
        source = np.full(len(vectors), len(sources), np.uint32)
        ids = patch_ids_of(source, cells.astype(np.uint16))
        entered[entry.id] = engine.update(torch.from_numpy(vectors), ids), len(vectors)
        sources.append((DATASET, str(entry.image.get("name", entry.image.get("sha256", "")))))
    result = engine.result()
    source, position = unpack_patch_ids(result.patch_ids)
    model = replace(
        base, features=result.features, source=source, position=position, sources=tuple(sources),
        settings=base.settings | {"taught": [entry.id for entry in sound], "images_changed": True},
        separation=engine.separation, covering_radius=None, converged=False, parents=(base.fingerprint,), request="",
    )
    return model, entered


def _lowered(
    base: Model, regions: Sequence[Entry], scores: Mapping[str, np.ndarray], store: PatchStore
) -> tuple[dict[Slot, Threshold], list[str]]:
    """The thresholds that defects lower, by whose they are; and what is to be said.

    Args:
        regions: the decisions with a region.
        scores: of their pixels, with the taught memory.
    """
    untaught = NearestSearch(base.features)
    defects: dict[Slot, list[tuple[Entry, float]]] = {}
    for entry in regions:
        if entry.decision in (DEFECT, MISSED):
            peak = _peak(base, entry, store[entry.id], store[entry.id].scores(untaught))
            defects.setdefault(peak.slot, []).append((entry, peak.score))
    borne: dict[Slot, list[float]] = {}
    for entry in regions:
        if entry.decision in (SOUND, DIRT) and defects:
            limits = limits_of_entry(base, entry, store[entry.id])
            numbers = zone_numbers(limits, store[entry.id])
            for slot, score in highest_by_slot(scores[entry.id], limits, numbers).items():
                borne.setdefault(slot, []).append(score)
    found: dict[Slot, Threshold] = {}
    notes: list[str] = []
    for slot, labelled in defects.items():
        threshold, told = _threshold(base, slot, labelled, borne.get(slot, []))
        notes += told
        if threshold is not None:
            found[slot] = threshold
    return found, notes


def _threshold(
    base: Model, slot: Slot, labelled: Sequence[tuple[Entry, float]], borne: Sequence[float]
) -> tuple[Threshold | None, list[str]]:
    """The lowered threshold, None where it stays; and what is to be said.

    Args:
        labelled: defects that it decides about, with their scores by the base's memory.
        borne: highest scores of what was called sound or dirt, by the taught memory.
    """
    before = threshold_at(base, slot)
    assert before is not None  # whose slot would it be
    by_image: dict[str, list[float]] = {}
    for entry, score in labelled:
        by_image.setdefault(str(entry.image.get("sha256", entry.id)), []).append(score)
    rate = least_rate(len(by_image))
    value = lost_defects_threshold([np.float32(scores) for scores in by_image.values()], rate)
    assert value is not None  # so many images allow this rate
    lowest, _ = min(labelled, key=lambda one: one[1])
    if value >= before.value:
        return None, []
    floor = float(np.nextafter(np.float32(max(borne)), np.float32(np.inf))) if borne else 0.0
    notes = []
    if floor > value:
        notes.append(
            f"a defect of {lowest.image.get('name')} scores {value:.4g}, below the {max(borne):.4g} of a region that "
            "was called sound or dirt: no threshold finds the one without the other"
        )
    value = min(max(value, floor), before.value)
    if value == before.value:
        return None, notes
    notes.append(f"{slot_in_words(base, slot)} went from {before.value:.4g} to {value:.4g}, for {len(labelled)} "
                 "labelled defect(s); the memory itself learns nothing from a defect")
    if value > floor or not borne:
        notes[-1] += (f". Were these a fair draw, at most 1 in {len(by_image) + 1} of a new image's defects would be "
                      "missed; they are those that somebody saw")
    origin = {
        "dataset": DATASET, "fingerprint": base.fingerprint, "split": DATASET,
        "lowered_from": before.value, "method_before": before.method,
        "defects": [entry.id for entry, _ in labelled], "images_with_defects": len(by_image), "least_rate": rate,
    }
    return Threshold(value, "review", origin), notes
