# SPDX-License-Identifier: Apache-2.0
"""A review of a model with thresholds by product and zone: its own judge each image, and are lowered one by one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.model.file import Model, Product, Threshold, Zones, load_model, save_model
from sequential_patchcore.review.guard import losses
from sequential_patchcore.review.journal import Entry, effective, new_entry
from sequential_patchcore.review.patches import RegionPatches, save_patches
from sequential_patchcore.review.region_limits import Peak, peak_of
from sequential_patchcore.review.replay import PatchStore, Taught, replay
from sequential_patchcore.scoring.limits import limits_of

LEFT = np.zeros((48, 64), np.uint8)
LEFT[:, :32] = 1
ORIGIN = {"dataset": "d", "fingerprint": "0", "split": "val"}


def threshold(value: float, words: str | None = None) -> Threshold:
    return Threshold(value, "max_f1", ORIGIN if words is None else ORIGIN | {"promises": {"words": words}})


@pytest.fixture(scope="module")
def several(base) -> Model:
    """Products a (4.0), b (9.0), and c whose left half has 3.0 and the rest the model's one, 5.0."""
    return replace(base, threshold=threshold(5.0), products={
        "a": Product(threshold(4.0)), "b": Product(threshold(9.0, "of new plates at most 5 % alarm")),
        "c": Product(None, Zones(("left",), LEFT), {"left": threshold(3.0)}),
    })


def of_product(decision: tuple[Entry, RegionPatches], name: str) -> tuple[Entry, RegionPatches]:
    entry, patches = decision
    return replace(entry, region={**entry.region, "product": name}), patches


def taught_by(model: Model, folder: Path, *decisions: tuple[Entry, RegionPatches]) -> Taught:
    for entry, patches in decisions:
        save_patches(patches, folder, entry.id)
    return replay(model, [entry for entry, _ in decisions], PatchStore(folder))


def test_a_missed_defect_lowers_the_threshold_of_its_product_and_no_other(several, decided, folder) -> None:
    decision = decided(7, "missed", 1.5)
    for name, slot in (("a", "a"), ("b", "b"), ("a/left", "a"), ("strange", None)):
        own = of_product(decision, name)
        taught = taught_by(several, folder, own)
        peak = taught.peaks[own[0].id]
        products = {key: product.threshold for key, product in taught.model.products.items()}
        changed = {key for key in products if products[key] != several.products[key].threshold}
        assert changed == ({slot} - {None}), name
        assert (taught.model.threshold == several.threshold) == (slot is not None)
        lowered = taught.model.threshold if slot is None else products[slot]
        assert lowered.value == peak == taught.thresholds[own[0].id] and lowered.method == "review"
        assert taught.alarms(own[0].id)
        words = "the model's one threshold went" if slot is None else f"the threshold of {slot} went"
        assert words in taught.notes[0]


def test_in_zones_the_place_that_exceeds_its_threshold_most_speaks_for_the_region(several, decided, folder) -> None:
    limits = limits_of(several.products, 5.0, "c", (48, 64))
    assert limits.slots == (None, ("c", "left"))
    numbers = np.array([0, 0, 1, 1])
    assert peak_of(np.float32([4.9, 1, 2.8, 1]), limits, numbers) == Peak(float(np.float32(4.9)), 5.0, None)
    assert peak_of(np.float32([4, 1, 2.9, 1]), limits, numbers) == Peak(float(np.float32(2.9)), 3.0, ("c", "left"))
    just = peak_of(np.float32([4.9999, 1, 3, 1]), limits, numbers)
    assert just.alarms and just.slot == ("c", "left")
    for seed in range(60):
        entry, patches = of_product(decided(seed, "missed", 0.5), "c")
        x, _, width, _ = patches.box
        if x + width <= 32:
            break
    taught = taught_by(several, folder, (entry, patches))
    after = taught.model.products["c"]
    assert after.zone_thresholds["left"].value == taught.peaks[entry.id] < 3.0
    assert after.threshold is None and taught.model.threshold == several.threshold
    assert "the threshold of c: left went" in taught.notes[0]


def test_what_is_sound_bounds_its_own_threshold_alone(several, decided, folder) -> None:
    missed = of_product(decided(7, "missed", 1.5), "a")
    alone = taught_by(several, folder, missed)
    sound = decided(8, "sound", 4.0)
    elsewhere = taught_by(several, folder, missed, of_product(sound, "b"))
    assert elsewhere.model.products["a"].threshold.value == pytest.approx(alone.peaks[missed[0].id])
    assert elsewhere.model.products["b"].threshold.calibrated_on == ORIGIN, "the promise was for another memory"
    assert any("what it promised" in note for note in elsewhere.notes)
    here = taught_by(several, folder, missed, of_product(sound, "a"))
    borne = here.peaks[sound[0].id]
    assert here.model.products["a"].threshold.value == min(4.0, max(
        alone.peaks[missed[0].id], float(np.nextafter(np.float32(borne), np.float32(np.inf)))))


def test_the_guard_compares_with_each_products_own_threshold(several, decided, folder) -> None:
    defect = of_product(decided(11, "defect", 1.6), "a")
    before = taught_by(several, folder, defect)
    assert before.alarms(defect[0].id)
    score = before.peaks[defect[0].id]
    higher = replace(several, products=several.products | {"a": Product(threshold(score * 1.01))})
    after = Taught(higher, {}, before.peaks, {defect[0].id: score * 1.01}, ())
    (loss,) = losses(before, after, [defect[0]])
    assert loss.threshold == score * 1.01 and "p11.png" in loss.name
    assert not losses(before, before, [defect[0]])


def test_undo_with_products_is_the_replay_without_the_line(several, decided, folder, tmp_path) -> None:
    rng = np.random.default_rng(5)
    for journal in range(20):
        decisions = [
            of_product(decided(journal * 100 + number, str(rng.choice(["sound", "defect", "missed"])),
                               float(rng.choice([0.3, 2.0, 4.0]))), str(rng.choice(["a", "b", "c", ""])))
            for number in range(int(rng.integers(2, 6)))
        ]
        taught_by(several, folder, *decisions)
        entries = [entry for entry, _ in decisions]
        taken_back = entries[int(rng.integers(len(entries)))]
        undo = new_entry("anna", "undo", "0" * 16, of=taken_back.id)
        store = PatchStore(folder)
        for name, lines in (("u", [*entries, undo]), ("n", [one for one in entries if one is not taken_back])):
            save_model(replay(several, effective(lines), store).model, tmp_path / f"{name}.h5")
        assert (tmp_path / "u.h5").read_bytes() == (tmp_path / "n.h5").read_bytes()


def test_the_journal_is_replayed_by_the_command_line(several, decided, folder, tmp_path, capsys) -> None:
    from sequential_patchcore.review.journal import Journal

    save_model(several, tmp_path / "m.h5")
    entry, patches = of_product(decided(7, "missed", 1.5), "b")
    save_patches(patches, folder, entry.id)
    Journal(folder).append(entry)
    assert cli.main(("review", "--model", str(tmp_path / "m.h5"), "--replay")) == 0
    assert "the threshold of b went from 9 to" in capsys.readouterr().err
    taught = load_model(tmp_path / "m.taught.h5")
    assert taught.products["b"].threshold.value < 9.0 and taught.products["a"].threshold == threshold(4.0)
    assert np.array_equal(taught.products["c"].zones.labels, LEFT)
