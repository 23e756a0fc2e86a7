# SPDX-License-Identifier: Apache-2.0
"""Teaching: the rule read aloud gives the same memory; undo is the replay without the line, to the bit."""

from dataclasses import fields

import numpy as np
import pytest
from sequential_patchcore.coreset.search import NearestSearch
from sequential_patchcore.model.file import Model, Threshold, check_model, load_model, save_model
from sequential_patchcore.review.journal import Entry, Journal, effective, new_entry
from sequential_patchcore.review.patches import load_patches, patches_file, save_patches
from sequential_patchcore.review.replay import PatchStore, replay
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.scoring.anomaly_map import anomaly_map


def same(one: Model, other: Model) -> bool:
    """Bit for bit, all that a file holds."""
    for field in fields(Model):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            if left.dtype != right.dtype or left.tobytes() != right.tobytes():
                return False
        elif left != right:
            return False
    return True


def store_of(folder, *decisions) -> tuple[PatchStore, list[Entry]]:
    for entry, patches in decisions:
        save_patches(patches, folder, entry.id)
    return PatchStore(folder), [entry for entry, _ in decisions]


def test_sound_patches_enter_by_the_sequential_rule(base, decided, folder) -> None:
    """Against the rule read aloud, with a full matrix of distances."""
    decisions = [decided(seed, "sound", 3.0) for seed in (1, 2, 3)]
    store, entries = store_of(folder, *decisions)
    taught = replay(base, entries, store)
    memory, replaced = base.features.astype(np.float64), {}
    for entry, patches in decisions:
        replaced[entry.id] = 0
        for vector in patches.taught_vectors.astype(np.float64):
            squares = ((memory[:, None] - memory[None]) ** 2).sum(2)
            squares[np.tril_indices(len(memory))] = np.inf
            i, _ = np.unravel_index(int(squares.argmin()), squares.shape)
            if ((memory - vector) ** 2).sum(1).min() > squares.min():
                memory[i] = vector
                replaced[entry.id] += 1
    assert np.array_equal(taught.model.features, memory.astype(np.float32))
    assert {key: new for key, (new, _) in taught.entered.items()} == replaced and sum(replaced.values()) > 3
    assert taught.model.parents == (base.fingerprint,) and taught.model.threshold == base.threshold
    newcomers = taught.model.source > 0
    assert newcomers.sum() > 0
    for row in np.flatnonzero(newcomers):
        entry, patches = decisions[int(taught.model.source[row]) - 1]
        y, x = taught.model.position[row].astype(int) - patches.corner
        assert np.array_equal(taught.model.features[row], patches.vectors[y, x])
        assert taught.model.sources[taught.model.source[row]] == ("review", entry.image["name"])


def test_undo_is_the_replay_without_the_line_on_fifty_random_journals(base, decided, folder, tmp_path) -> None:
    rng = np.random.default_rng(4)
    for journal in range(50):
        decisions = [
            decided(journal * 100 + number, str(rng.choice(["sound", "sound", "defect", "missed"])),
                    float(rng.choice([0.3, 2.0, 4.0])))
            for number in range(int(rng.integers(2, 7)))
        ]
        store, entries = store_of(folder, *decisions)
        taken_back = entries[int(rng.integers(len(entries)))]
        undo = new_entry("anna", "undo", "0" * 16, of=taken_back.id)
        without = [entry for entry in entries if entry.id != taken_back.id]
        undone = replay(base, effective([*entries, undo]), store)
        never = replay(base, effective(without), PatchStore(folder))
        assert same(undone.model, never.model) and undone.peaks == never.peaks
        if not same(replay(base, entries, store).model, never.model):
            save_model(undone.model, tmp_path / "u.h5")
            save_model(never.model, tmp_path / "n.h5")
            assert (tmp_path / "u.h5").read_bytes() == (tmp_path / "n.h5").read_bytes()


def test_all_taken_back_leaves_the_base(base, decided, folder) -> None:
    store, (entry,) = store_of(folder, decided(5, "sound", 4.0))
    undo = new_entry("anna", "undo", "0" * 16, of=entry.id)
    assert not same(replay(base, [entry], store).model, base)
    assert replay(base, effective([entry, undo]), store).model is base


def test_patches_survive_the_disk_and_score_as_in_the_whole_image(base, decided, folder) -> None:
    rng = np.random.default_rng(6)
    search = NearestSearch(base.features)
    import torch

    for seed in range(12):
        entry, patches = decided(seed, "defect", 3.0)
        save_patches(patches, folder, entry.id)
        again = load_patches(folder, entry.id)
        for name in ("vectors", "taught", "pixels"):
            assert np.array_equal(getattr(again, name), getattr(patches, name))
        assert (again.grid, again.box, again.corner, again.thumbnail) == (
            patches.grid, patches.box, patches.corner, patches.thumbnail)
        whole = rng.normal(size=(6, 8, 4)).astype(np.float32) * 5
        y, x = patches.corner
        whole[y : y + patches.vectors.shape[0], x : x + patches.vectors.shape[1]] = patches.vectors
        distances = search.distances(torch.from_numpy(whole.reshape(-1, 4))).numpy().reshape(6, 8)
        left, top, width, height = patches.box
        part = anomaly_map(distances, patches.grid, 2.0)[top : top + height, left : left + width]
        assert again.peak(search) == pytest.approx(float(part[patches.pixels].max()), rel=1e-6)


def test_a_defect_below_the_threshold_lowers_it_and_never_below_what_is_sound(base, decided, folder) -> None:
    store, (defect, sound) = store_of(folder, decided(7, "missed", 1.5), decided(8, "sound", 0.2))
    alone = replay(base, [defect], store)
    peak = alone.peaks[defect.id]
    assert 0 < peak < 4.0 and alone.model.threshold.value == peak and alone.model.threshold.method == "review"
    assert np.array_equal(alone.model.features, base.features)
    assert "learns nothing from a defect" in alone.notes[-1]
    both = replay(base, [defect, sound], store)
    borne = both.peaks[sound.id]
    expected = max(peak, float(np.nextafter(np.float32(borne), np.float32(np.inf))))
    assert both.model.threshold.value == min(expected, 4.0)
    if borne > peak:
        assert "no threshold finds the one without the other" in both.notes[0]


def test_a_found_defect_leaves_the_threshold(base, decided, folder) -> None:
    store, entries = store_of(folder, decided(9, "defect", 9.0))
    taught = replay(base, entries, store)
    assert taught.peaks[entries[0].id] > 4.0 and taught.model is base and not taught.notes


def test_a_taught_model_can_be_stored_and_read(base, decided, folder, tmp_path) -> None:
    store, entries = store_of(folder, decided(1, "sound", 3.0), decided(7, "missed", 1.5))
    taught = replay(base, entries, store).model
    save_model(taught, tmp_path / "t.h5")
    assert same(load_model(tmp_path / "t.h5"), taught) and check_model(tmp_path / "t.h5") == []


def test_another_base_of_the_same_features_can_be_taught_and_one_of_others_not(base, decided, folder) -> None:
    from dataclasses import replace

    store, entries = store_of(folder, decided(1, "sound", 3.0))
    other = replace(base, features=base.features + np.float32(0.5))
    assert replay(other, entries, store).model.parents == (other.fingerprint,)
    elsewhere = replace(base, extractor=base.extractor | {"offset": 3.25, "weights": "another note"})
    assert same(replace(replay(elsewhere, entries, store).model, extractor=base.extractor, parents=()),
                replace(replay(base, entries, store).model, parents=()))
    for changed in ({"weights_fingerprint": "1"}, {"pool": 2}, {"image_scale": 0.5}):
        with pytest.raises(UserError, match="another feature extractor"):
            replay(replace(base, extractor=base.extractor | changed), entries, store)


def test_patches_that_are_gone_or_damaged_are_named(base, decided, folder) -> None:
    _, entries = store_of(folder, decided(1, "sound", 3.0))
    file = patches_file(folder, entries[0].id)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UserError, match=f"{entries[0].id}.*restore the file"):
        replay(base, entries, PatchStore(folder))
    file.unlink()
    with pytest.raises(UserError, match="restore the file"):
        replay(base, entries, PatchStore(folder))
    assert Journal(folder).entries == []


def remembering(base: Model) -> Model:
    """The base with memories of two kinds of dirt: one that is full, one with room for more."""
    from dataclasses import replace

    from sequential_patchcore.model.memory import Memory

    rng = np.random.default_rng(11)
    memories = {}
    for name, held, size in (("print", 4, 4), ("stain", 3, 64)):
        vectors = (6 + rng.normal(size=(held, 4))).astype(np.float32)
        squares = ((vectors[:, None].astype(float) - vectors[None]) ** 2).sum(2)
        memories[name] = Memory(
            kind="impurity", vectors=vectors, source=np.zeros(held, np.uint32), position=np.zeros((held, 2), np.uint16),
            sources=(("d", "train1"),), separation=float(np.sqrt(squares[np.triu_indices(held, 1)].min())),
            covering_radius=1.0, converged=True, epochs=(), seen=held, images=1, coverage_share=0.5, level=1.5,
            level_from="by_hand", nominal=base.nominal_fingerprint, settings={"memory_size": size},
        )
    return replace(base, memories=memories)


def test_dirt_goes_to_the_memory_of_its_class_and_nowhere_else(base, decided, folder, tmp_path) -> None:
    model = remembering(base)
    decisions = [decided(1, "dirt", 9.0, impurity="stain"), decided(2, "dirt", 9.0, impurity="print"),
                 decided(3, "dirt", 9.0, impurity="other"), decided(4, "dirt", 9.0, impurity="stain")]
    store, entries = store_of(folder, *decisions)
    taught = replay(model, entries, store)
    assert np.array_equal(taught.model.features, base.features) and taught.model.threshold == base.threshold
    search = NearestSearch(base.features)
    import torch

    shown = {}
    for entry, patches in decisions:
        vectors, _ = patches.touched_vectors
        strange = search.distances(torch.from_numpy(vectors)).numpy() >= 1.5
        shown.setdefault(entry.impurity, []).append(vectors[strange])
        if entry.impurity != "other":
            assert taught.entered[entry.id][1] == strange.sum() > 0
    assert entries[2].id not in taught.entered
    stain = taught.model.memories["stain"]  # with room: all of them, in order, after what was there
    assert np.array_equal(stain.vectors, np.concatenate([model.memories["stain"].vectors, *shown["stain"]]))
    assert stain.sources == (("d", "train1"), ("review", "p1.png"), ("review", "p4.png"))
    assert taught.model.memories["print"].vectors.shape == (4, 4)
    save_model(taught.model, tmp_path / "t.h5")
    again = load_model(tmp_path / "t.h5")
    assert again.fingerprint == taught.model.fingerprint != model.fingerprint
    assert np.array_equal(again.memories["stain"].vectors, stain.vectors)
    assert check_model(tmp_path / "t.h5") == []


def test_dirt_is_undone_to_the_bit(base, decided, folder, tmp_path) -> None:
    model = remembering(base)
    decisions = [decided(1, "dirt", 9.0, impurity="stain"), decided(2, "sound", 3.0),
                 decided(4, "dirt", 9.0, impurity="stain")]
    store, entries = store_of(folder, *decisions)
    undo = new_entry("anna", "undo", "0" * 16, of=entries[2].id)
    for name, counting in (("u", effective([*entries, undo])), ("n", entries[:2]), ("all", entries)):
        save_model(replay(model, counting, store).model, tmp_path / f"{name}.h5")
    assert (tmp_path / "u.h5").read_bytes() == (tmp_path / "n.h5").read_bytes() != (tmp_path / "all.h5").read_bytes()


def test_a_promise_ends_with_the_memory_that_it_was_shown_for(base, decided, folder) -> None:
    from dataclasses import replace

    origin = {"dataset": "d", "fingerprint": "0", "split": "val", "promises": {"words": "at most 0.1"}}
    model = replace(base, threshold=Threshold(4.0, "promise", origin))
    store, (sound, defect) = store_of(folder, decided(1, "sound", 3.0), decided(9, "defect", 9.0))
    taught = replay(model, [sound], store)
    assert taught.model.threshold == Threshold(4.0, "review", {name: origin[name] for name in list(origin)[:3]})
    assert "what it promised" in taught.notes[0]
    assert replay(model, [defect], store).model is model


def test_a_rule_of_verdicts_ends_with_the_memories_that_it_was_set_for(base, decided, folder) -> None:
    """What it promises of lost defects was counted with them; a defect that is found leaves it."""
    from dataclasses import replace

    from sequential_patchcore.model.naming import Naming

    naming = Naming(("stain",), ("impurity",), *(np.zeros(size, np.float32) for size in
                    ((1, 2, 4), (1, 2), (1, 1, 2), (1, 1))), np.ones(1, np.float32), 0.0, 1.0, 3, 3, 3.0, 4, 0.5, 4.0)
    model = replace(remembering(base), naming=naming)
    store, entries = store_of(folder, decided(1, "sound", 3.0), decided(2, "dirt", 9.0, impurity="stain"),
                              decided(7, "missed", 1.5), decided(9, "defect", 9.0))
    for entry in entries[:3]:
        taught = replay(model, [entry], store)
        assert taught.model.naming is None and "no verdicts by name" in taught.notes[-1]
    kept = replay(model, entries[3:], store)
    assert kept.model is model and not kept.notes
