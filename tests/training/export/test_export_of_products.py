# SPDX-License-Identifier: Apache-2.0
"""An export of a model with thresholds by product and zone decides as the model does, without torch and HDF5."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sequential_patchcore.cli.parser import main
from sequential_patchcore.export import products_record
from sequential_patchcore.export.record import RECORD, read_record
from sequential_patchcore.model.file import Product, Threshold, Zones, load_model, save_model
from sequential_patchcore.runtime.errors import UserError

from .test_exporter import without_torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory):
    """A model with products, its images in two folders, and its export."""
    root = tmp_path_factory.mktemp("products")
    data = plates(root / "data")
    model, out = root / "m.h5", root / "exported"
    assert main(["train", "--data", str(data.path), "--out", str(model), "--backbone", "filters",
                 "--coreset-size", "40", "--epochs", "1", "--threads", "1"]) == 0
    assert main(["calibrate", "--model", str(model), "--data", str(data.path)]) == 0
    found = load_model(model)
    height, width = data.image_size(data.samples[0])
    labels = np.zeros((height, width), np.uint8)
    labels[:, : width // 2] = 2
    labels[: height // 3, width // 2 :] = 1
    value = found.threshold.value
    save_model(replace(found, products={
        "lid": Product(Threshold(1e6, "by_hand")),
        "rim/left": Product(Threshold(value, "max_f1"), Zones(("top", "side"), labels), {
            "side": Threshold(value / 2, "false_positive_rate")}),
    }), model)
    for number, path in enumerate(sorted((data.path / "images").iterdir())):
        folder = root / "today" / ("lid" if number % 2 else "rim/left")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).write_bytes(path.read_bytes())
    images = str(data.path / "images")
    assert main(["export", "onnx", "--model", str(model), "--out", str(out), "--images", images]) == 0
    return model, root / "today", out


def test_the_record_has_a_threshold_for_each_product_and_zone(made) -> None:
    content = json.loads((made[2] / RECORD).read_text())
    assert content["format_version"] == 2
    lid, rim = content["products"]
    assert (lid["product"], lid["threshold"], "zones" in lid) == ("lid", 1e6, False)
    assert [(one["value"], one["zone"], one["threshold"] is None) for one in rim["zones"]["names"]] == [
        (1, "top", True), (2, "side", False)]
    model, again = load_model(made[0]), products_record.read_products(read_record(made[2]).products, made[2])
    assert list(again) == list(model.products)
    for name, product in model.products.items():
        ours = again[name]
        assert ours.threshold.value == product.threshold.value
        assert {zone: one.value for zone, one in ours.zone_thresholds.items()} == {
            zone: one.value for zone, one in product.zone_thresholds.items()}
        if product.zones is not None:
            assert ours.zones.names == product.zones.names and np.array_equal(ours.zones.labels, product.zones.labels)


def test_predictions_by_product_without_torch_are_those_of_the_model(made, tmp_path) -> None:
    model, today, out = made
    given = [today / "lid", today / "rim" / "left", "--product-rule", "rim/left/*=rim/left", "--product-by", "folder"]
    run = without_torch("predict", "--model", out, "--out", tmp_path / "export", *given)
    assert run.returncode == 0, run.stderr
    assert main(["predict", "--model", str(model), "--out", str(tmp_path / "model"), *map(str, given)]) == 0
    ours, theirs = (json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("export", "model"))
    assert {one["product"] for one in theirs} == {"lid", "rim/left"}
    assert {one["verdict"] for one in theirs if one["product"] == "lid"} == {"normal"}
    assert {one["threshold_of"] for one in theirs} >= {"lid", "rim/left: side"}
    for one, other in zip(ours, theirs, strict=True):
        for key in ("verdict", "boxes", "product", "zone", "threshold", "threshold_of"):
            assert one[key] == other[key]


def test_an_export_without_products_is_of_the_first_version_and_refuses_to_be_told(made, plates, tmp_path, capsys):
    model = load_model(made[0])
    save_model(replace(model, products={}), tmp_path / "m.h5")
    out = tmp_path / "exported"
    assert main(["export", "onnx", "--model", str(tmp_path / "m.h5"), "--out", str(out)]) == 0
    content = json.loads((out / RECORD).read_text())
    assert content["format_version"] == 1 and "products" not in content
    image = next((made[1] / "lid").iterdir())
    assert main(["predict", "--model", str(out), "--out", str(tmp_path / "p"), str(image), "--product", "lid"]) == 2
    assert "knows no products" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["gone", "cut", "path", "value", "twice"])
def test_an_export_whose_products_are_not_whole_is_refused(made, tmp_path, damage: str) -> None:
    for file in made[2].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (zones,) = tmp_path.glob("zones_*.png")
    if damage == "gone":
        zones.unlink()
    elif damage == "cut":
        zones.write_bytes(zones.read_bytes()[:-20])
    else:
        from sequential_patchcore.export import record

        content = json.loads((tmp_path / RECORD).read_text())
        products = content["products"]
        if damage == "path":
            products[1]["zones"]["file"] = "zones_/../../secret.png"
        elif damage == "value":
            products[0]["threshold"] = "high"
        else:
            products.append(products[0])
        (tmp_path / RECORD).write_text(json.dumps(content | {"record_sha256": record._seal(content)}))
    with pytest.raises(UserError, match=r"missing|damaged"):
        products_record.read_products(read_record(Path(tmp_path)).products, tmp_path)
