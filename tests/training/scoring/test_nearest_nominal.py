# SPDX-License-Identifier: Apache-2.0
"""The nominal patch behind a pixel, against a search by hand; and the alarms that the report picks."""

from dataclasses import replace

import numpy as np
import pytest
from sequential_patchcore.extractors.base import ExtractorSettings
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.fitting.settings import TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.metrics.tally import Labelled
from sequential_patchcore.metrics.threshold_sweep import ThresholdSweep
from sequential_patchcore.report import alarms
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.scoring.nearest_nominal import Explanation
from sequential_patchcore.scoring.provenance import NominalPatch, crop
from sequential_patchcore.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def trained(plates, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nominal")
    data = plates(folder / "d", train=3)
    extractor = extractor_of(ExtractorSettings("filters"), "none")
    model = train([data], extractor, TrainSettings(64, 1), out=folder / "m.h5")
    return data, extractor, model


def test_a_scorer_of_a_model_is_that_of_its_vectors_to_the_bit(trained):
    data, extractor, model = trained
    image = data.image(data.split("test")[0])
    expected = Scorer.of_vectors(extractor, model.features).anomaly_map(image)
    for scorer in (Scorer(model), Scorer(model, extractor=extractor)):
        assert np.array_equal(scorer.anomaly_map(image), expected)
        assert np.array_equal(scorer.patches(image).anomaly_map(), expected)


def test_a_patch_of_the_coreset_is_explained_by_itself(trained):
    """Score the very training image that a vector came from: at its place the vector itself is nearest."""
    data, extractor, model = trained
    scorer = Scorer(model, extractor=extractor)
    vector = 17
    name = model.sources[model.source[vector]][1]
    image = next(data.image(sample) for sample in data.samples if sample.id == name)
    scored = scorer.patches(image)
    assert (model.position[vector] < scored.grid.cells).all()
    rows, columns = scored.grid.nearest_cells()
    y, x = model.position[vector].astype(int)
    pixel = int(np.flatnonzero(rows == y)[0]), int(np.flatnonzero(columns == x)[0])
    for given in (image, scored):
        (found,) = scorer.explain(given, [pixel])
        assert found.distance == pytest.approx(0, abs=1e-4)
        assert (found.cell, found.vector, found.nominal.cell) == ((y, x), vector, (y, x))
        assert (found.nominal.dataset, found.nominal.sample) == (data.name, name)
        assert found.pixel == found.nominal.position == pytest.approx(scored.grid.pixel(int(y), int(x)))
        assert np.array_equal(found.nominal.picture, crop(image, *found.nominal.position))


def test_the_strangest_patches_are_the_largest_distances_apart_from_each_other(trained):
    data, extractor, model = trained
    scorer = Scorer(model, extractor=extractor)
    scored = scorer.patches(data.image(data.split("test")[0]))
    found = scorer.explain(scored, count=3)
    assert len(found) == 3 and found[0].map_distance == scored.distances.max()
    assert [one.map_distance for one in found] == sorted((one.map_distance for one in found), reverse=True)
    for one in found:
        assert one.map_distance == scored.distances[one.cell] == pytest.approx(one.distance, rel=1e-3)
        others = [other for other in found if other is not one]
        assert all(max(abs(a - b) for a, b in zip(one.cell, other.cell, strict=True)) > 8 for other in others)


def test_a_data_set_that_is_gone_costs_the_picture_only(trained, tmp_path):
    data, extractor, model = trained
    gone = replace(model, data=tuple({**share, "path": str(tmp_path / "moved")} for share in model.data))
    image = data.image(data.split("test")[0])
    (found,) = Scorer(gone, extractor=extractor).explain(image, [(3, 3)])
    assert found.nominal.picture is None and found.nominal.position is None
    assert "not shown: no image" in found.nominal.note and found.distance > 0
    (found,) = Scorer(gone, extractor=extractor, data=[data.path]).explain(image, [(3, 3)])
    assert found.nominal.picture is not None and found.nominal.note == ""


def test_bare_vectors_do_not_explain(trained):
    data, extractor, model = trained
    with pytest.raises(UserError, match="made of a model"):
        Scorer.of_vectors(extractor, model.features).explain(data.image(data.split("test")[0]))


def test_crops_stay_inside_the_image():
    image = np.arange(100 * 80 * 3, dtype=np.float32).reshape(100, 80, 3)
    assert np.array_equal(crop(image, 0, 0, 10), image[:10, :10])
    assert np.array_equal(crop(image, 99, 79, 10), image[90:, 70:])
    assert np.array_equal(crop(image, 50.2, 40.4, 10), image[45:55, 35:45])
    assert crop(image[:4, :6], 2, 2, 10).shape == (4, 6, 3)


def test_alarms_are_the_highest_peaks_away_from_defects_and_inside_the_region(trained):
    scores = np.full((200, 300), 0.1, np.float32)
    mask = np.zeros(scores.shape, np.uint8)
    region = np.ones(scores.shape, bool)
    mask[50:60, 50:60] = 1
    region[:, 250:] = False
    scores[55, 55], scores[55, 62], scores[100, 280] = 9, 8, 7  # on the defect, beside it, outside the region
    scores[150, 100], scores[150, 103], scores[20, 200], scores[190, 20] = 5, 4.9, 3, 0.2
    classes = trained[0].classes
    image = Labelled(np.zeros((200, 300, 3), np.float32), np.where(mask > 0, classes[0].id, 0).astype(np.uint8),
                  np.zeros(scores.shape, np.uint16), region, classes)
    sweep = ThresholdSweep(2.0, classes)

    def explain(pixels):
        nominal = NominalPatch("d", "s", (0, 0), None, None)
        return [Explanation((0, 0), pixel, 1.0, 1.0, 0, nominal) for pixel in pixels]

    found = alarms.find(scores, sweep.codes(scores), sweep, image, explain)
    assert [(alarm.y, alarm.x, alarm.score) for alarm in found] == [(150, 100, 5.0), (20, 200, 3.0)]
    assert all(alarm.code > sweep.at for alarm in found)  # both predicted at the threshold
    assert alarms.find(scores, sweep.codes(scores), sweep, image, None) == ()
