# SPDX-License-Identifier: Apache-2.0
"""The nominal patch behind a pixel, against a search by hand; and the alarms that the report picks."""

import shutil

import numpy as np
import pytest
from sequential_patchcore.extractors.base import ExtractorSettings
from sequential_patchcore.extractors.builder import build_extractor
from sequential_patchcore.fitting.sequential import TrainSettings, train
from sequential_patchcore.metrics.tally import Labelled
from sequential_patchcore.metrics.threshold_sweep import Ladder
from sequential_patchcore.model.file import Model
from sequential_patchcore.report import alarms
from sequential_patchcore.scoring.nearest_nominal import ExplainingScorer, Nominal, crop
from sequential_patchcore.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def trained(plates, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nominal")
    data = plates(folder / "d", train=3)
    extractor = build_extractor(ExtractorSettings("filters"), "none")
    model = train([data], extractor, TrainSettings(64, 1), folder / "m.h5", request="r", record={})
    return data, extractor, model


def test_scores_are_those_of_the_plain_scorer_to_the_bit(trained):
    data, extractor, model = trained
    image = data.image(data.split("test")[0])
    plain = Scorer(extractor, model.features)
    assert np.array_equal(ExplainingScorer(plain, model).anomaly_map(image), plain.anomaly_map(image))


def test_a_patch_of_the_coreset_is_explained_by_itself(trained):
    """Score the very training image that a vector came from: at its place the vector itself is nearest."""
    data, extractor, model = trained
    plain = Scorer(extractor, model.features)
    scorer = ExplainingScorer(plain, model)
    vector = 17
    name = model.sources[model.source[vector]][1]
    image = next(data.image(sample) for sample in data.samples if sample.id == name)
    scorer.anomaly_map(image)
    grid = plain.patches(image).grid
    assert (model.position[vector] < grid.cells).all()
    rows, columns = grid.nearest_cells()
    y, x = model.position[vector].astype(int)
    pixel = int(np.flatnonzero(rows == y)[0]), int(np.flatnonzero(columns == x)[0])
    (found,) = scorer.explain([pixel])
    assert found.distance == pytest.approx(0, abs=1e-4)
    assert (found.dataset, found.sample) == (data.name, name)
    assert found.position == pytest.approx(grid.pixel(int(y), int(x)))
    assert np.array_equal(found.picture, crop(image, *found.position))


def test_a_data_set_that_is_gone_costs_the_picture_only(trained, tmp_path):
    data, extractor, model = trained
    gone = [{**share, "path": str(tmp_path / "moved")} for share in model.data]
    scorer = ExplainingScorer(Scorer(extractor, model.features), Model(**{**model.__dict__, "data": tuple(gone)}))
    scorer.anomaly_map(data.image(data.split("test")[0]))
    (found,) = scorer.explain([(3, 3)])
    assert found.picture is None and found.position is None and "not shown: no image" in found.note
    assert found.distance > 0
    shutil.rmtree(tmp_path / "moved", ignore_errors=True)


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
    of = Labelled(np.zeros((200, 300, 3), np.float32), np.where(mask > 0, classes[0].id, 0).astype(np.uint8),
                  np.zeros(scores.shape, np.uint16), region, classes)  # fmt: skip
    ladder = Ladder(2.0, classes)

    def explain(pixels):
        return [Nominal("d", "s", None, 1.0, None) for _ in pixels]

    found = alarms.find(scores, ladder.codes(scores), ladder, of, explain)
    assert [(alarm.y, alarm.x, alarm.score) for alarm in found] == [(150, 100, 5.0), (20, 200, 3.0)]
    assert all(alarm.code > ladder.at for alarm in found)  # both predicted at the threshold
    assert alarms.find(scores, ladder.codes(scores), ladder, of, None) == ()
