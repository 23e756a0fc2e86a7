# SPDX-License-Identifier: Apache-2.0
"""Thresholds by product and zone in a model file: written and read alike, refused where they cannot be."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from sequential_patchcore.model.file import Model, Product, Threshold, Zones, check_model, load_model, save_model
from sequential_patchcore.model.products import entry_of
from sequential_patchcore.runtime.errors import UserError

ORIGIN = {"dataset": "d", "fingerprint": "0", "split": "val"}
LABELS = np.repeat(np.arange(3, dtype=np.uint8), 4).reshape(3, 4)


@pytest.fixture
def model() -> Model:
    extractor = {
        "backbone": "filters", "image_scale": 1.0, "pool": 1, "unit_maps": False, "dimension": 1, "stride": 8,
        "offset": 0.0, "layers": [], "preprocessing": {}, "weights_fingerprint": "0", "weights": "none",
    }
    return Model(
        features=np.float32([[0], [1]]), source=np.zeros(2, np.uint32), position=np.zeros((2, 2), np.uint16),
        sources=(("d", "a"),), extractor=extractor, settings={}, separation=1.0, covering_radius=0.0, converged=True,
        threshold=Threshold(0.5, "by_hand"),
    )


@pytest.fixture
def of_several(model) -> Model:
    zones = Zones(("rim", "a/b"), LABELS)
    return replace(model, products={
        "": Product(None, zones, {"rim": Threshold(0.25, "by_hand")}),
        "bracket/left": Product(Threshold(0.7, "promise", ORIGIN)),
        "lid": Product(Threshold(0.8, "max_f1", ORIGIN), zones, {"a/b": Threshold(0.9, "promise", ORIGIN)}),
    })


def same(one: Product, other: Product) -> bool:
    zones = (one.zones is None and other.zones is None) or (
        one.zones.names == other.zones.names and np.array_equal(one.zones.labels, other.zones.labels)
        and one.zones.labels.dtype == other.zones.labels.dtype)
    return zones and (one.threshold, one.zone_thresholds) == (other.threshold, other.zone_thresholds)


def test_products_and_zones_survive_writing_and_reading(of_several, tmp_path) -> None:
    save_model(of_several, tmp_path / "m.h5")
    assert check_model(tmp_path / "m.h5") == []
    found = load_model(tmp_path / "m.h5")
    assert list(found.products) == list(of_several.products)
    assert all(same(found.products[name], product) for name, product in of_several.products.items())
    assert found.fingerprint == replace(of_several, products={}).fingerprint, "no threshold is part of it"
    save_model(found, tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "m.h5").read_bytes()


def test_a_model_of_one_threshold_has_no_such_group(model, tmp_path) -> None:
    save_model(model, tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert "products" not in file
    assert load_model(tmp_path / "m.h5").products == {}


def spoil_name(file):
    file["products/1"].attrs["name"] = file["products/0"].attrs["name"]


def spoil_labels(file):
    file["products/0/zones/labels"][...] = 3


def spoil_dtype(file):
    del file["products/0/zones/labels"]
    file["products/0/zones/labels"] = LABELS.astype(np.uint16)


def spoil_zone(file):
    file["products/0/zones/2"].attrs["name"] = "rim"


def spoil_threshold(file):
    file["products/1"].attrs["threshold"] = np.nan


def spoil_origin(file):
    file["products/1"].attrs["calibrated_on"] = '{"dataset": 1}'


def spoil_part(file):
    del file["products/0/zones/1"]


def spoil_group(file):
    del file["products"]
    file["products"] = np.zeros(3)


def spoil_link(file):
    del file["products/1"]
    file["products/1"] = h5py.SoftLink("/products/0")


def spoil_attribute(file):
    del file["products/1"].attrs["threshold_method"]


@pytest.mark.parametrize("spoil", [
    spoil_name, spoil_labels, spoil_dtype, spoil_zone, spoil_threshold, spoil_origin, spoil_part, spoil_group,
    spoil_link, spoil_attribute,
])
def test_damage_is_one_line_that_says_where(of_several, tmp_path, spoil) -> None:
    save_model(of_several, tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        spoil(file)
    with pytest.raises(UserError, match="products") as refused:
        load_model(tmp_path / "m.h5")
    assert "\n" not in str(refused.value)


def test_the_entry_of_a_name_is_its_own_or_that_of_the_name_before_its_last_slash(of_several) -> None:
    products = of_several.products
    assert [entry_of(products, name) for name in ("lid", "lid/a/b", "bracket/left", "bracket/right", "x", "")] == [
        "lid", "lid", "bracket/left", "", "", ""]
    assert entry_of({"lid": products["lid"]}, "x") is None


def test_zones_are_scaled_to_images_of_the_same_shape_alone(of_several) -> None:
    zones = of_several.products["lid"].zones
    assert zones.at((3, 4)) is zones.labels
    assert np.array_equal(zones.at((6, 8)), LABELS.repeat(2, 0).repeat(2, 1))
    large = Zones(("all",), np.ones((205, 245), np.uint8))
    assert large.at((2050, 2448)) is not None, "a side is rounded to whole pixels"
    assert large.at((2448, 2050)) is None and large.at((2050, 2500)) is None
