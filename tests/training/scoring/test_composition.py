# SPDX-License-Identifier: Apache-2.0
"""Where a coreset's vectors lie, against a loop over the pixels of each vector's square and of each image."""

import json
from collections import Counter

import numpy as np
import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.format import ClassInfo
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.extractors.base import ExtractorSettings
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.fitting.settings import TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.scoring.composition import coreset_composition
from sequential_patchcore.scoring.description import describe_model

NAMES = {5: "sticker", 6: "water_stain"}


@pytest.fixture(params=[1.0, 0.5], ids=["full", "half"], scope="module")
def stained(request, tmp_path_factory):
    """Three training images: a stain and a sticker that meet, under a region; a stain; nothing."""
    folder, rng = tmp_path_factory.mktemp("stained"), np.random.default_rng(0)
    rows, columns = np.ogrid[:96, :130]
    with DatasetWriter(folder / "d", "d", "test", [ClassInfo(n, name, "impurity") for n, name in NAMES.items()]) as out:
        for k, radius in enumerate((25, 14, 0)):
            mask = np.zeros((96, 130), np.uint8)
            mask[(rows - 40) ** 2 + (columns - 50) ** 2 < radius**2] = 6
            if k == 0:
                mask[30:70, 60:100] = 5
            image = np.clip(rng.normal(140, 8, mask.shape) - 30 * (mask == 6) + 60 * (mask == 5), 0, 255)
            instances = np.where(mask == 6, 1, np.where(mask == 5, 2, 0)).astype(np.uint16)
            region = columns + 0 * rows < 118 if k == 0 else None
            present = {n: c for n, c in ((1, 6), (2, 5)) if (mask == c).any()}
            out.add(f"s{k}", image.astype(np.uint8), mask, instances, present, "train", f"p{k}", region=region)
    data = open_dataset(folder / "d")
    extractor = extractor_of(ExtractorSettings("filters", image_scale=request.param), "none")
    return folder, data, train([data], extractor, TrainSettings(150, 1), out=folder / "m.h5")


def place_of(square):
    """By a loop over (class id, in the region) pairs."""
    counts = Counter(int(label) for label, inspected in square if inspected)
    if not counts:
        return "outside the region"
    labels = {label: n for label, n in counts.items() if label}
    if not labels:
        return "bare"
    most = min(label for label, n in labels.items() if n == max(labels.values()))
    return f"{NAMES[most]} {'inside' if len(counts) == 1 else 'outline'}"


def test_composition_is_that_of_a_loop_over_pixels(stained):
    _, data, model = stained
    stride, offset, scale = (model.extractor[key] for key in ("stride", "offset", "image_scale"))
    side = round(stride / scale)
    samples = {sample.id: sample for sample in data.samples}
    vectors, area = Counter(), Counter()
    for k in range(len(model.features)):
        sample = samples[model.sources[model.source[k]][1]]
        mask, region = data.mask(sample), data.region(sample)
        square = []
        for cell, length in zip(model.position[k], mask.shape, strict=True):
            middle = (int(cell) * stride + offset + 0.5) * length / round(length * scale) - 0.5
            first = min(max(round(middle - side / 2 + 0.5), 0), length - side)
            square.append(range(first, first + side))
        vectors[place_of([(mask[y, x], region[y, x]) for y in square[0] for x in square[1]])] += 1
    for sample in data.samples:
        mask, region = data.mask(sample), data.region(sample)
        for top in range(0, 96 - side + 1, side):
            for left in range(0, 130 - side + 1, side):
                square = [(mask[y, x], region[y, x]) for y in range(top, top + side) for x in range(left, left + side)]
                area[place_of(square)] += 1
    del area["outside the region"]
    found = coreset_composition(model)
    assert {place: n for place, n in found.places.items() if n} == dict(vectors)
    assert found.area == pytest.approx({place: n / area.total() for place, n in area.items()})
    assert sum(found.places.values()) == found.vectors == 150
    assert {"water_stain inside", "water_stain outline", "sticker inside", "bare"} <= found.places.keys()


def test_images_that_are_gone_are_unknown_and_can_be_found_again(stained, capsys):
    folder, data, model = stained
    moved = folder / "moved"
    data.path.rename(moved)
    try:
        lost = coreset_composition(model)
        assert lost.places == {"unknown": 150} and lost.area == {}
        again = coreset_composition(model, [moved])
        capsys.readouterr()
        arguments = ["info", str(folder / "m.h5"), "--composition"]
        assert cli.main([*arguments, "--json", "--data", str(moved)]) == 0
        assert json.loads(capsys.readouterr().out)["composition"] == again.as_dict()
        assert cli.main(arguments) == 0
        assert "unknown: 150 vectors, 100.0 %" in capsys.readouterr().out
    finally:
        moved.rename(data.path)
    assert coreset_composition(model).as_dict() == again.as_dict()
    assert describe_model(model)["coreset_lies_on"] == "; ".join(again.lines())
