# SPDX-License-Identifier: Apache-2.0
"""A spot at a known place is red in the anomaly map at that place, whatever the extractor, the size and the scale."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sequential_patchcore.extractors.base import ExtractorSettings, identity, to_tensor
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.scoring.restore import restore_extractor
from sequential_patchcore.scoring.scorer import Scorer

# The third pads by size, as TensorFlow does.
BACKBONES = ("filters", "mobilenetv3_large_100", "tf_mobilenetv3_large_100")


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request):
    return request.param


def away(backbone: str, size: tuple[int, int], scale: float, spots: int = 6) -> np.ndarray:
    """(spots, 2) cells: how far below and right of bright and dark spots the middle of what is red lies.

    The same image without a spot is the coreset, so that its map is 0 and only the spot makes anything red.
    """
    rng = np.random.default_rng(3)
    extractor = extractor_of(ExtractorSettings(backbone, image_scale=scale), "none")
    texture = rng.normal(0.5, 0.1, size)
    rows, columns = np.indices(size)

    def picture(grey):
        return np.repeat(grey.clip(0, 1)[..., None], 3, 2).astype(np.float32)

    nominal = extractor(to_tensor(picture(texture), scale, "cpu"))[0].reshape(-1, extractor.dimension)
    scorer = Scorer.of_vectors(extractor, nominal.numpy())
    errors = []
    for number in range(spots):
        y, x = (rng.uniform(0.35, 0.65) * side for side in size)
        spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 3.0**2))
        red = scorer.anomaly_map(picture(texture + (0.5 if number % 2 else -0.5) * spot))
        red[red < red.max() / 2] = 0
        errors.append([(red * where).sum() / red.sum() for where in (rows - y, columns - x)])
    return np.array(errors) * scale / extractor.stride


@pytest.mark.parametrize(("size", "scale"), [((150, 210), 1.0), ((157, 203), 0.68), ((93, 121), 1.5)])
def test_red_lies_on_the_spot_to_a_quarter_of_a_patch(backbone, size, scale):
    found = away(backbone, size, scale)
    assert np.abs(found.mean(0)).max() < 0.25 and np.abs(found).max() < 0.75, found


def test_a_model_whose_images_came_in_otherwise_is_refused():
    extractor = extractor_of(ExtractorSettings("tf_mobilenetv3_small_minimal_100"), "none")
    described = identity(extractor) | {"weights": "random"}
    model = SimpleNamespace(extractor=described, settings={"weights": "none"})
    assert restore_extractor(model, "m.h5").offset == extractor.offset
    model.extractor = described | {"preprocessing": {k: v for k, v in extractor.preprocessing.items() if k != "size"}}
    with pytest.raises(UserError, match=r"m\.h5 was made by another version .* train it again"):
        restore_extractor(model, "m.h5")


def test_what_lies_beyond_the_image_does_not_move_what_is_in_it():
    """The features of TensorFlow's networks depend on the size by their padding; ours must not, away from the edge."""
    extractor = extractor_of(ExtractorSettings("tf_mobilenetv3_large_minimal_100", pool=1), "none")
    image = to_tensor(np.random.default_rng(0).random((320, 320, 3), np.float32), 1.0, "cpu")
    whole = extractor(image)[0, :8, :8]
    for rows, columns in ((313, 320), (320, 309), (311, 307)):
        assert float((extractor(image[..., :rows, :columns])[0, :8, :8] - whole).norm() / whole.norm()) < 1e-3


def test_the_benchmarks_assumption_is_that_every_cell_looks_at_its_middle():
    """Between cells of 16 pixels a cell of 8 lies a quarter before or behind: so the coarse map is interpolated."""
    file = Path(__file__).parents[2] / "bench" / "bench_alignment.py"
    assume_middles = runpy.run_path(str(file))["assume_middles"]
    extractor = extractor_of(ExtractorSettings("mobilenetv3_small_050", pool=1), "none")
    image = to_tensor(np.random.default_rng(0).random((96, 128, 3), np.float32), 1.0, "cpu")
    measured = extractor(image)[0]
    assume_middles(extractor)
    found = extractor(image)[0]
    fine, coarse = (maps[0].permute(1, 2, 0).numpy() for maps in extractor._maps_of(image, "float32"))
    assert extractor.offset == 3.5
    np.testing.assert_array_equal(found[..., : fine.shape[-1]], fine)
    rows = 0.75 * coarse[:-1] + 0.25 * coarse[1:]
    expected = 0.75 * rows[:, :-1] + 0.25 * rows[:, 1:]
    np.testing.assert_allclose(found[1:-1:2, 1:-1:2, fine.shape[-1] :], expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(found, measured, rtol=1e-2), "the measured offsets are others"
