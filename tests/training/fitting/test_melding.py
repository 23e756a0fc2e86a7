# SPDX-License-Identifier: Apache-2.0
"""Melding against the slow loop over the vectors of all sources; where each vector came from stays known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sequential_patchcore.coreset.engine import Coreset, CoresetEngine
from sequential_patchcore.fitting.melding import Melder, check_same_extractor, meld
from sequential_patchcore.model.file import Memory, Model
from sequential_patchcore.model.patch_ids import pack_patch_ids, unpack_patch_ids
from sequential_patchcore.runtime.errors import UserError

EXTRACTOR = {"backbone": "filters", "image_scale": 1.0, "offset": 1.5, "weights": "none needed"}
IMAGES, SIDE, DIMENSION = 5, 12, 6


def patches_of(seed, shift=0.0):
    """(IMAGES, SIDE * SIDE, DIMENSION) float32: the patches of a few images."""
    return (np.random.default_rng(seed).normal(size=(IMAGES, SIDE * SIDE, DIMENSION)) + shift).astype(np.float32)


def trained(name, patches, size=30, extractor=EXTRACTOR):
    coreset = CoresetEngine(size, DIMENSION)
    for number, image in enumerate(patches):
        coreset.update(torch.from_numpy(image), pack_patch_ids(number, (SIDE, SIDE)))
    radius = coreset.farthest(torch.from_numpy(patches.reshape(-1, DIMENSION)))
    result = coreset.result()
    source, position = unpack_patch_ids(result.patch_ids)
    return Model(
        features=result.features, source=source, position=position,
        sources=tuple((name, f"image{number}") for number in range(len(patches))), extractor=extractor, settings={},
        separation=coreset.separation, covering_radius=radius, converged=False,
        data=({"name": name, "path": name, "fingerprint": name, "images": len(patches)},),
    )


@pytest.fixture
def pair():
    return [trained("a", patches_of(0)), trained("b", patches_of(1, shift=1.0))]


def slow_meld(models, size):
    """The rule over the vectors one after the other, until a pass replaces nothing."""
    vectors = np.concatenate([model.features for model in models])
    kept = list(range(size))
    replaced = True
    while replaced:
        replaced = False
        for number in range(len(vectors)):
            held = vectors[kept].astype(np.float64)
            between = np.linalg.norm(held[:, None] - held[None], axis=-1)
            np.fill_diagonal(between, np.inf)
            i, j = np.unravel_index(np.argmin(between), between.shape)
            if np.linalg.norm(held - vectors[number], axis=1).min() > between[i, j]:
                kept[min(i, j)] = number
                replaced = True
    return vectors[kept]


def test_a_model_melded_with_itself_stays_as_it_is(pair):
    result = meld([pair[0], pair[0]], ["a", "a"])
    np.testing.assert_array_equal(result.features, pair[0].features)
    assert result.separation == pair[0].separation and result.converged
    assert [one["replacements"] for one in result.epochs] == [0]
    assert len(result.data) == 1


@pytest.mark.parametrize("size", [None, 2, 15, 45, 60])
def test_equals_the_slow_loop(pair, size):
    result = meld(pair, ["a", "b"], size)
    np.testing.assert_array_equal(result.features, slow_meld(pair, size or 30))
    assert len(result.features) == (size or 30)
    assert result.epochs[-1]["replacements"] == 0 and result.converged


def test_at_the_size_of_all_together_nothing_is_lost(pair):
    result = meld(pair, ["a", "b"], 60)
    np.testing.assert_array_equal(result.features, np.concatenate([model.features for model in pair]))


@pytest.mark.parametrize("size", [15, 30, 45])
def test_every_vector_still_names_the_patch_that_it_came_from(pair, size):
    images = {"a": patches_of(0), "b": patches_of(1, shift=1.0)}
    result = meld(pair, ["a", "b"], size)
    for feature, source, (y, x) in zip(result.features, result.source, result.position, strict=True):
        name, sample = result.sources[source]
        np.testing.assert_array_equal(feature, images[name][int(sample.removeprefix("image"))][y * SIDE + x])
    assert set(result.source) == set(range(len(result.sources))), "only sources that are still in use"
    assert result.parents == (pair[0].fingerprint, pair[1].fingerprint)
    assert result.settings["melded"] == ["a", "b"]
    assert [share["name"] for share in result.data] == ["a", "b"]


def test_the_order_counts_and_is_recorded(pair):
    one, other = meld(pair, ["a", "b"]), meld(pair[::-1], ["b", "a"])
    assert one.fingerprint != other.fingerprint
    assert one.parents == other.parents[::-1]
    assert one.settings["melded"] == other.settings["melded"][::-1]


@pytest.mark.parametrize("size", [10, 30, 50])
def test_the_covering_radius_is_a_bound_for_the_patches_of_all_sources(pair, size):
    result = meld(pair, ["a", "b"], size)
    patches = np.concatenate([patches_of(0), patches_of(1, shift=1.0)]).reshape(-1, 1, DIMENSION).astype(np.float64)
    actual = np.linalg.norm(patches - result.features, axis=-1).min(1).max()
    assert actual <= result.covering_radius
    vectors = np.concatenate([model.features for model in pair])[:, None].astype(np.float64)
    between = np.linalg.norm(vectors - result.features, axis=-1).min(1).max()
    assert result.covering_radius == pytest.approx(max(model.covering_radius for model in pair) + between)


def test_a_radius_that_was_not_measured_makes_the_sum_unknown(pair):
    assert meld([pair[0], replace(pair[1], covering_radius=None)], ["a", "b"]).covering_radius is None


def test_many_models_meld_the_same_at_once_and_as_they_come_in(tmp_path):
    models = [trained(f"m{n}", patches_of(n, shift=0.3 * n)) for n in range(6)]
    names = [f"m{n}.h5" for n in range(6)]
    for size in (15, 30, 60):
        melder = Melder(size)
        for model, name in zip(models, names, strict=True):
            melder.add(model, name)
        piecewise, at_once = melder.finish(), meld(models, names, size)
        np.testing.assert_array_equal(piecewise.features, at_once.features)
        np.testing.assert_array_equal(at_once.features, slow_meld(models, size))
        assert piecewise.epochs == at_once.epochs and piecewise.sources == at_once.sources
        stream = torch.from_numpy(np.concatenate([model.features for model in models]))
        result = CoresetEngine(size, DIMENSION, initial=Coreset(at_once.features, np.arange(size)))
        assert at_once.epochs[-1]["covering_radius"] == result.farthest(stream)


def test_three_models_meld(pair):
    models = [*pair, trained("c", patches_of(2, shift=-1.0))]
    np.testing.assert_array_equal(meld(models, ["a", "b", "c"]).features, slow_meld(models, 30))


def test_other_extractors_are_refused_by_name_and_by_difference(pair):
    foreign = replace(pair[1], extractor=EXTRACTOR | {"image_scale": 0.5, "unit_maps": True})
    with pytest.raises(UserError) as caught:
        meld([pair[0], pair[0], foreign], ["a.h5", "b.h5", "c.h5"])
    message = str(caught.value)
    for part in ("a.h5", "c.h5", "image_scale: 1.0 and 0.5", "unit_maps: None and True"):
        assert part in message
    assert "b.h5" not in message and "\n" not in message


def test_notes_and_measured_offsets_are_not_compared(pair):
    other = replace(pair[1], extractor=EXTRACTOR | {"weights": "elsewhere", "offset": 2.0})
    check_same_extractor([pair[0], other], ["a", "b"])


def test_one_model_or_too_large_a_size_is_refused(pair):
    with pytest.raises(UserError, match="two models, got 1"):
        meld(pair[:1], ["a"])
    with pytest.raises(UserError, match="61 is more than the 60"):
        meld(pair, ["a", "b"], 61)


def test_the_blur_and_the_place_of_the_weights_are_those_of_the_first(pair):
    first, second = (
        replace(model, settings={"blur_sigma": sigma, "weights": place, "epochs": 5})
        for model, sigma, place in zip(pair, (4.0, 2.0), ("a.pth", "b.pth"), strict=True)
    )
    settings = meld([first, second], ["a", "b"]).settings
    assert (settings["blur_sigma"], settings["weights"]) == (4.0, "a.pth")
    assert "epochs" not in settings


def memory(name, patches, size, **changes):
    """The memory of a class, made of these patches as `trained` makes a model."""
    made = trained(name, patches, size)
    whole = Memory(
        kind="impurity", vectors=made.features, source=made.source, position=made.position, sources=made.sources,
        separation=made.separation, covering_radius=made.covering_radius, converged=False, epochs=(),
        seen=IMAGES * SIDE * SIDE, images=IMAGES, coverage_share=0.5, level=1.5, level_from="threshold",
        nominal="f00d", data=made.data,
    )
    return replace(whole, **changes)


@pytest.fixture
def remembering(pair):
    """Two models that both remember stains, the second in another size; only the first smears, only the second oil."""
    first = {"smear": memory("s", patches_of(3), 8), "stain": memory("a", patches_of(4), 10)}
    second = {"oil": memory("o", patches_of(5), 6), "stain": memory("b", patches_of(6, shift=0.5), 14)}
    return [replace(pair[0], memories=first), replace(pair[1], memories=second)]


def test_memories_of_one_name_meld_by_the_same_rule(remembering):
    result = meld(remembering, ["a", "b"])
    assert list(result.memories) == ["oil", "smear", "stain"]
    assert result.memories["smear"] is remembering[0].memories["smear"]
    assert result.memories["oil"] is remembering[1].memories["oil"]
    stain, parts = result.memories["stain"], [model.memories["stain"] for model in remembering]
    independent = meld([model.of_memory("stain") for model in remembering], ["a", "b"], 14)
    np.testing.assert_array_equal(stain.vectors, independent.features)
    np.testing.assert_array_equal(stain.vectors, slow_meld([model.of_memory("stain") for model in remembering], 14))
    assert (stain.separation, stain.covering_radius) == (independent.separation, independent.covering_radius)
    assert stain.sources == independent.sources and stain.epochs == independent.epochs
    np.testing.assert_array_equal(stain.patch_ids >> 32, independent.source)
    images = {"a": patches_of(4), "b": patches_of(6, shift=0.5)}
    for vector, source, (y, x) in zip(stain.vectors, stain.source, stain.position, strict=True):
        name, sample = stain.sources[source]
        np.testing.assert_array_equal(vector, images[name][int(sample.removeprefix("image"))][y * SIDE + x])
    assert stain.seen == sum(part.seen for part in parts) and stain.images == 2 * IMAGES
    assert [share["name"] for share in stain.data] == ["a", "b"]
    np.testing.assert_array_equal(result.features, meld([replace(m, memories={}) for m in remembering], "ab").features)


def test_a_memory_melded_with_itself_stays_as_it_is(remembering):
    result = meld([remembering[0]] * 2, ["a", "a"])
    for name, held in remembering[0].memories.items():
        np.testing.assert_array_equal(result.memories[name].vectors, held.vectors)
        np.testing.assert_array_equal(result.memories[name].position, held.position)
        assert result.memories[name].separation == held.separation


def test_what_differs_between_melded_memories_is_noted_with_caution(remembering):
    first, second = (model.memories["stain"] for model in remembering)
    second = replace(second, level=1.0, coverage_share=0.25, nominal="beef", covering_radius=None)
    others = [remembering[0], replace(remembering[1], memories={"stain": second})]
    stain = meld(others, ["a", "b"]).memories["stain"]
    assert (stain.level, stain.level_from, stain.coverage_share) == (1.0, "melded", 0.25)
    assert stain.nominal == "" and stain.covering_radius is None and stain.settings == {"melded": ["a", "b"]}
    same = meld(remembering, ["a", "b"]).memories["stain"]
    assert (same.level, same.level_from, same.nominal) == (first.level, "threshold", "f00d")


def test_a_class_of_two_kinds_is_refused_by_name(remembering):
    other = replace(remembering[1].memories["stain"], kind="defect")
    with pytest.raises(UserError, match=r"'stain' is of kind impurity in a.h5 and of kind defect in b.h5"):
        meld([remembering[0], replace(remembering[1], memories={"stain": other})], ["a.h5", "b.h5"])


def test_models_without_memories_meld_to_one_without(pair):
    assert meld(pair, ["a", "b"]).memories == {}
