# SPDX-License-Identifier: Apache-2.0
"""XML of label tools: Pascal VOC, CVAT's own, and LabelMe 3.0."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.check import check_dataset
from sequential_patchcore.data.dataset import open_dataset

HEIGHT, WIDTH = 40, 60


def photo(path: str, seed: int = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)).save(path)


def text(path: str, content: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content, encoding="utf-8")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs `import KIND s --out d`; `s` holds a.png and b.png."""
    monkeypatch.chdir(tmp_path)
    photo("s/a.png"), photo("s/b.png", 1)
    return lambda kind, *options: cli.main(["import", kind, "s", "--out", "d", *options])


def found(sample_id: str = "a") -> list[tuple[str, int | None, bool]]:
    sample = next(sample for sample in open_dataset("d").samples if sample.id == sample_id)
    return [(i.class_name, i.pixels, i.weak) for i in sample.instances]


def instance(number: int, sample_id: str = "a") -> np.ndarray:
    dataset = open_dataset("d")
    return dataset.instances(next(s for s in dataset.samples if s.id == sample_id)) == number


def voc(*objects: str, filename: str = "a.png", size: str = f"<width>{WIDTH}</width><height>{HEIGHT}</height>") -> str:
    return (f"<annotation verified='yes'><folder>s</folder><filename>{filename}</filename><path>C:\\{filename}</path>"
            f"<source><database>Unknown</database></source><size>{size}<depth>3</depth></size><segmented>0</segmented>"
            f"{''.join(objects)}</annotation>")


def voc_box(name: str, *corners: object) -> str:
    keys = ("xmin", "ymin", "xmax", "ymax")
    sides = "".join(f"<{key}>{value}</{key}>" for key, value in zip(keys, corners, strict=True))
    return (f"<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
            f"<bndbox>{sides}</bndbox></object>")


def test_voc_boxes_are_weak_labels(run, capsys):
    text("s/a.xml", voc(voc_box("dent", 10, 5, 20, 9), voc_box("scratch", 30.5, 20.5, 34.5, 22.5)))
    assert run("voc") == 0
    assert found() == [("dent", 40, True), ("scratch", 8, True)] and found("b") == []
    said = capsys.readouterr().err
    assert "2 labels are boxes alone" in said and "1 of 2 images have no label file: they count as clean" in said
    assert check_dataset("d") == []


def test_outlines_beside_voc_boxes_are_no_weak_labels(run):
    """As Roboflow and supervision write them."""
    points = ((2, 3), (8, 3), (8, 7), (2, 7))
    corners = "".join(f"<x{i}>{x}</x{i}><y{i}>{y}</y{i}>" for i, (x, y) in enumerate(points, start=1))
    text("s/a.xml", voc(voc_box("dent", 2, 3, 8, 7).replace("</object>", f"<polygon>{corners}</polygon></object>")))
    assert run("voc") == 0 and found() == [("dent", 24, False)]
    wrong = "<x1>1</x1><y1>1</y1><x2>3</x2><y2>x</y2>"
    text("s/a.xml", voc(f"<object><name>dent</name><polygon>{wrong}</polygon></object>"))
    assert run("voc") == 2


def test_voc_splits_come_from_image_sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("abc"):
        photo(f"s/JPEGImages/{name}.png", number)
        text(f"s/Annotations/{name}.xml", voc(voc_box("dent", 1, 1, 5, 5), filename=f"{name}.jpg"))
    text("s/ImageSets/Main/train.txt", "a\n"), text("s/ImageSets/Main/val.txt", "b  1\nc -1\n")
    text("s/ImageSets/Main/test.txt", "c\n")
    assert cli.main(["import", "voc", "s", "--out", "d"]) == 0
    assert {s.id: s.split for s in open_dataset("d").samples} == {"a": "train", "b": "val", "c": "test"}


@pytest.mark.parametrize(("content", "message"), [
    (voc(voc_box("", 1, 1, 5, 5)), "object 1 has no name"), (voc("<object><name>x</name></object>"), "has no bndbox"),
    (voc(voc_box("x", 5, 1, 1, 5)), "its box runs from 5, 1 to 1, 5"), (voc(voc_box("x", 1, "a", 3, 5)), "found 'a'"),
    (voc(voc_box("x", 80, 1, 90, 5)), "lies outside its image of 60 x 40"), ("<annotation><obj", "broken XML"),
    (voc(size="<width>9</width><height>9</height>"), "was drawn on an image of 9 x 9 pixels"),
    (voc(filename="z.png"), "no image 'z.png'"),
])
def test_wrong_voc_files_are_named(run, capsys, content, message):
    text("s/a.xml", content)
    assert run("voc") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and "s/a.xml" in error


def test_a_size_of_zero_says_nothing(run):
    text("s/a.xml", voc(voc_box("x", 1, 1, 5, 5), size="<width>0</width><height>0</height>"))
    assert run("voc") == 0 and found() == [("x", 16, True)]


def cvat(*images: str, more: str = "") -> str:
    return ("<?xml version='1.0' encoding='utf-8'?><annotations><version>1.1</version><meta><task><labels><label>"
            f"<name>dent</name></label></labels></task></meta>{more}{''.join(images)}</annotations>")


def cvat_image(*parts: str, name: str = "a.png", more: str = "") -> str:
    return f"<image id='0' name='{name}' width='{WIDTH}' height='{HEIGHT}' {more}>{''.join(parts)}</image>"


def test_every_shape_of_cvat(run, capsys):
    patch = np.zeros((4, 6), bool)
    patch[1:3, 2:5] = True
    flat = patch.ravel().astype(int)  # along the rows
    counts, last = [], 0
    for value in (0, 1, 0, 1, 0):
        end = last
        while end < len(flat) and flat[end] == value:
            end += 1
        counts.append(end - last)
        last = end
    assert sum(counts) == 24
    text("s/annotations.xml", cvat(cvat_image(
        '<box label="dent" source="manual" occluded="0" xtl="2.00" ytl="3.00" xbr="8.00" ybr="7.00" z_order="0"/>',
        '<polygon label="dent" occluded="0" points="20.0,5.0;30.0,5.0;30.0,9.0;20.0,9.0" z_order="0"></polygon>',
        '<polyline label="scratch" occluded="0" points="5.00,20.50;25.00,20.50" z_order="0"><attribute name="deep">true'
        '</attribute></polyline>',
        '<points label="spot" occluded="0" points="40.5,30.5;50.5,30.5" z_order="0"/>',
        '<ellipse label="dent" occluded="0" cx="45.0" cy="12.0" rx="8.0" ry="3.0" rotation="30.0" z_order="0"/>',
        f'<mask label="dent" occluded="0" rle="{", ".join(map(str, counts))}" left="3" top="30" width="6" height="4"/>',
        '<box label="turned" occluded="0" xtl="20" ytl="28" xbr="30" ybr="32" rotation="90" z_order="0"/>',
    ), cvat_image(name="b.png")))
    assert run("cvat") == 0
    assert [(name, weak) for name, _, weak in found()] == [
        ("dent", True), ("dent", False), ("scratch", False), ("spot", False), ("dent", False), ("dent", False),
        ("turned", True)]
    assert instance(1)[3:7, 2:8].all() and instance(1).sum() == 24 and instance(2)[5:9, 20:30].all()
    assert instance(3)[19:22, 5:25].all()
    np.testing.assert_array_equal(instance(6)[30:34, 3:9], patch)
    assert instance(7)[25:35, 23:27].all() and instance(7).sum() == 40
    rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
    x, y = columns - 45, rows - 12
    cos, sin = math.cos(math.radians(30)), math.sin(math.radians(30))
    np.testing.assert_array_equal(instance(5), ((x * cos + y * sin) / 8) ** 2 + ((y * cos - x * sin) / 3) ** 2 <= 1)
    assert found("b") == [] and check_dataset("d") == []


def test_cvat_groups_order_tags_and_subsets(run, capsys):
    box = '<polygon label="dent" points="{0},5;{1},5;{1},9;{0},9" group_id="{2}" z_order="{3}"/>'
    text("s/annotations.xml", cvat(
        cvat_image(box.format(2, 6, 3, 1), box.format(20, 24, 3, 0), box.format(4, 12, 0, 0), more='subset="Test"'),
        cvat_image('<tag label="NG" source="manual"></tag>', '<tag label="ok"></tag>', name="b.png", more='subset="x"'),
    ))
    assert run("cvat") == 0
    assert found() == [("dent", 24, False), ("dent", 32, False)]  # what lies above owns the shared pixels
    assert found("b") == [("NG", None, False)]
    assert [(s.id, s.split) for s in open_dataset("d").samples] == [("a", "test"), ("b", "train")]


@pytest.mark.parametrize(("content", "message"), [
    (cvat(more='<track id="0" label="dent"><box frame="0" xtl="1" ytl="1" xbr="2" ybr="2"/></track>'), "1 tracks thr"),
    (cvat(cvat_image('<cuboid label="dent" xtl1="1"/>')), "a cuboid is not read; known: box, polygon"),
    (cvat(cvat_image('<skeleton label="dent"/>')), "a skeleton is not read"),
    (cvat(cvat_image('<box xtl="1" ytl="1" xbr="2" ybr="2"/>')), "has no label"),
    (cvat(cvat_image('<box label="x" xtl="1" ytl="1" xbr="2"/>')), "expected a number of pixels, found None"),
    (cvat(cvat_image('<polygon label="x" points="1,1;2,2"/>')), "a polygon needs 3 points"),
    (cvat(cvat_image('<polygon label="x" points="1,1;2,nan;4,4"/>')), "point 2 is"),
    (cvat(cvat_image('<mask label="x" rle="3, 4" left="0" top="0" width="6" height="4"/>')), "add up to 7 pixels"),
    (cvat(cvat_image(name="z.png")), "no image 'z.png'"), ("<annotations><im", "broken XML"),
    (cvat(cvat_image(), cvat_image()), "is listed twice"),
])
def test_wrong_cvat_files_are_named(run, capsys, content, message):
    text("s/annotations.xml", content)
    assert run("cvat") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and "s/annotations.xml" in error


BOX = "<type>bounding_box</type>"


def labelme_object(number: int, name: str, inner: str, deleted: int = 0, parts: str = "") -> str:
    return (f"<object><name>{name}</name><deleted>{deleted}</deleted><verified>0</verified><occluded>no</occluded>"
            f"<date/><id>{number}</id><parts><hasparts>{parts}</hasparts><ispartof/></parts><attributes/>{inner}</object>")


def outline(*points: tuple[float, float]) -> str:
    inner = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in points)
    return f"<polygon>{inner}<username>me</username></polygon>"


def test_labelme_3_as_cvat_exports_it(run, capsys):
    """Polygons, parts of a whole, boxes, masks as files; what was deleted stays away."""
    photo("s/Masks/c_mask_0.png")
    mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    mask[30:34, 40:50] = 255
    Image.fromarray(mask).save("s/Masks/a_mask_0.png")
    Path("s/Masks/c_mask_0.png").unlink()
    text("s/a.xml", "<annotation><filename>a.png</filename><folder></folder><source><sourceImage/></source><imagesize>"
         f"<nrows>{HEIGHT}</nrows><ncols>{WIDTH}</ncols></imagesize>" + "".join((
             labelme_object(0, "dent", outline((2, 3), (8, 3), (8, 7), (2, 7)), parts="1"),
             labelme_object(1, "dent", outline((20, 3), (22, 3), (22, 5), (20, 5))),
             labelme_object(2, "scratch", BOX + outline((10, 20), (20, 20), (20, 22), (10, 22))),
             labelme_object(3, "gone", outline((1, 1), (9, 1), (9, 9)), deleted=1),
             labelme_object(4, "spot", "<segm><username>me</username><box><xmin>40</xmin></box>"
                            "<mask>a_mask_0.png</mask><scribbles/></segm>"))) + "</annotation>")
    assert run("labelme") == 0
    assert found() == [("dent", 28, False), ("scratch", 20, True), ("spot", 40, False)] and found("b") == []
    assert instance(3)[30:34, 40:50].all() and check_dataset("d") == []
    text("s/a.xml", Path("s/a.xml").read_text().replace("a_mask_0.png", "no.png"))
    assert run("labelme") == 2
    assert "s/a.xml: object 5 ('spot'): no such mask: s/Masks/no.png" in capsys.readouterr().err


def test_cvat_files_named_after_splits(tmp_path, monkeypatch):
    """Datumaro writes one file a subset, without the attribute."""
    monkeypatch.chdir(tmp_path)
    photo("s/images/a.png"), photo("s/images/b.png", 1)
    text("s/train.xml", cvat(cvat_image())), text("s/test.xml", cvat(cvat_image(name="b.png")))
    assert cli.main(["import", "cvat", "s", "--out", "d"]) == 0
    assert {sample.id: sample.split for sample in open_dataset("d").samples} == {"a": "train", "b": "test"}


def test_masks_of_labelme_3_beside_its_own_folder_annotations(tmp_path, monkeypatch):
    """LabelMe's own tree: Images, Annotations and Masks with the same folders in each."""
    monkeypatch.chdir(tmp_path)
    photo("s/Images/day/a.png")
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[30:34, 40:50] = 255
    photo("s/Masks/day/a_mask_0.png"), Image.fromarray(mask).save("s/Masks/day/a_mask_0.png")
    text("s/Annotations/day/a.xml", "<annotation><filename>a.png</filename><folder>day</folder><imagesize>"
         f"<nrows>{HEIGHT}</nrows><ncols>{WIDTH}</ncols></imagesize>"
         + labelme_object(0, "spot", "<segm><mask>a_mask_0.png</mask></segm>") + "</annotation>")
    assert cli.main(["import", "labelme", "s", "--out", "d"]) == 0
    assert np.array_equal(instance(1), mask > 0) and len(open_dataset("d").samples) == 1
