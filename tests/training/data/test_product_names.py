# SPDX-License-Identifier: Apache-2.0
"""Which product an image shows, by each of the ways to tell it; and zones, by each of the ways to draw them."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.format import Sample
from sequential_patchcore.data.product_names import ProductChoice, ProductNames
from sequential_patchcore.data.zones import read_zones
from sequential_patchcore.runtime.errors import UserError


def test_folders_rules_and_one_name() -> None:
    by_folder, by_two = ProductNames(ProductChoice(by="folder")), ProductNames(ProductChoice(by="folders"))
    assert by_folder.of(Path("line/bracket/left/a.png")) == "left" and by_folder.of(Path("a.png")) == ""
    assert by_two.of(Path("line/bracket/left/a.png")) == "bracket/left" and by_two.of(Path("left/a.png")) == "left"
    rules = ProductNames(ProductChoice(rules=(("*_cam2_*", "right"), ("old/*.png", "old"), ("*", "left"))))
    assert [rules.of(Path(one)) for one in ("x/a_cam2_1.png", "x/old/b.png", "old/b.jpg")] == ["right", "old", "left"]
    assert rules.of(Path("x/older/b.png")) == "left", "a folder fits as a whole"
    assert ProductNames(ProductChoice(name="lid", rules=(("*", "other"),))).of(Path("a.png")) == "lid"
    assert ProductNames(ProductChoice(rules=(("b*", "b"),))).of(Path("a.png")) == ""


@pytest.mark.parametrize("kind", ["csv", "semicolons", "json"])
def test_a_table_names_products_by_path_or_by_name(tmp_path, kind) -> None:
    rows = [("in/a.png", "bracket", "left"), ("b.png", "lid", "right"), ("x/c.png", "lid", "1"),
            ("y/c.png", "lid", "2")]
    table = tmp_path / ("t.json" if kind == "json" else "t.csv")
    if kind == "json":
        table.write_text(json.dumps([dict(zip(("image", "part", "camera"), row, strict=True)) for row in rows]))
    else:
        mark = ";" if kind == "semicolons" else ","
        table.write_text("\n".join(mark.join(row) for row in [("image", "part", "camera"), *rows]) + "\n", "utf-8-sig")
    names = ProductNames(ProductChoice(table=table, columns=("part", "camera"), by="folder"))
    assert names.of(tmp_path / "in" / "a.png") == "bracket/left"
    assert names.of(Path("elsewhere/b.png")) == "lid/right", "a name alone is enough where it is clear"
    assert names.of(tmp_path / "y" / "c.png") == "lid/2"
    assert names.of(Path("elsewhere/c.png")) == "elsewhere", "it is not clear which; what is told next decides"
    with pytest.raises(UserError, match="colour is missing"):
        ProductNames(ProductChoice(table=table, columns=("part", "colour")))


def test_a_table_that_contradicts_itself_or_says_nothing_is_refused(tmp_path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("image,product\na.png,left\na.png,right\n")
    with pytest.raises(UserError, match="'right' here and 'left' before"):
        ProductNames(ProductChoice(table=table))
    table.write_text("image,product\n")
    with pytest.raises(UserError, match="no image"):
        ProductNames(ProductChoice(table=table))
    with pytest.raises(UserError, match="expected folder or folders"):
        ProductNames(ProductChoice(by="name"))


def test_an_imported_image_is_known_by_its_photograph() -> None:
    sample = Sample("s1", "val", None, "s1", (), {"source": {"image": "left/p1.jpg"}}, {})
    assert ProductNames(ProductChoice(by="folder")).of_sample(sample) == "left"
    assert ProductNames(ProductChoice(rules=(("s*", "by id"),))).of_sample(replace(sample, parameters={})) == "by id"


def test_zones_of_a_picture_of_labelme_and_of_a_data_set_are_the_same(tmp_path, plates) -> None:
    values = np.zeros((96, 128), np.uint8)
    values[:, :64], values[20:60, 70:100] = 150, 200
    cv2.imwrite(str(tmp_path / "zones.png"), values)
    names, labels = read_zones(tmp_path / "zones.png", {150: "rim", 200: "face"})
    assert names == ("rim", "face") and np.array_equal(labels, np.select([values == 150, values == 200], [1, 2], 0))
    assert read_zones(tmp_path / "zones.png")[0] == ("150", "200")

    shapes = [{"label": "rim", "points": [[0, 0], [64, 96]], "shape_type": "rectangle"},
              {"label": "face", "points": [[70, 20], [100, 20], [100, 60], [70, 60]], "shape_type": "polygon"}]
    record = {"version": "5.5.0", "flags": {}, "imagePath": "a.png", "imageData": None, "shapes": shapes,
              "imageHeight": 96, "imageWidth": 128}
    (tmp_path / "zones.json").write_text(json.dumps(record))
    drawn = read_zones(tmp_path / "zones.json")
    assert drawn[0] == names and np.array_equal(drawn[1], labels)

    data = plates(tmp_path / "d", train=2, val=1, test=0, regions={f"{name}": values >= 128 for name in
                                                                    ("train0", "train1", "val0")})
    for sample in data.samples:
        cv2.imwrite(str(data.path / "regions" / f"{sample.id}.png"), values)
    assert np.array_equal(open_dataset(data.path).region(data.samples[0]), values >= 128), "inside, as before"
    found = read_zones(data.path, {150: "rim", 200: "face"})
    assert found[0] == names and np.array_equal(found[1], labels)
    cv2.imwrite(str(data.path / "regions" / "val0.png"), values[::-1])
    with pytest.raises(UserError, match="move from image to image"):
        read_zones(data.path)


def test_zones_that_cannot_be_are_refused(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "none.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(UserError, match="no zone in it"):
        read_zones(tmp_path / "none.png")
    cv2.imwrite(str(tmp_path / "one.png"), np.full((8, 8), 3, np.uint8))
    with pytest.raises(UserError, match="names the value 4; there are 3"):
        read_zones(tmp_path / "one.png", {4: "rim"})
    cv2.imwrite(str(tmp_path / "colour.png"), np.full((8, 8, 3), (1, 2, 3), np.uint8))
    with pytest.raises(UserError, match=r"colour\.png"):
        read_zones(tmp_path / "colour.png")
    (tmp_path / "z.json").write_text("{}")
    with pytest.raises(UserError, match=r"z\.json"):
        read_zones(tmp_path / "z.json")
