# SPDX-License-Identifier: Apache-2.0
"""Pascal VOC's SegmentationClass and SegmentationObject, in the forms that LabelMe, CVAT and VOC itself write."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label as components
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.importers.voc_masks import VOC_2012, palette_colour

HEIGHT, WIDTH = 40, 60

# (class, object, box): two dents of one class that touch, a scratch, and a dent in two parts.
DRAWN = [(1, 1, (5, 5, 15, 15)), (1, 2, (15, 5, 25, 12)), (2, 3, (30, 20, 50, 22)), (1, 4, (40, 30, 44, 34)),
         (1, 4, (48, 30, 52, 34))]


def photo(path: str, seed: int = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)).save(path)


def text(path: str, content: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content, encoding="utf-8")


def masks() -> tuple[np.ndarray, np.ndarray]:
    classes, objects = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    for class_number, number, (left, top, right, bottom) in DRAWN:
        classes[top:bottom, left:right], objects[top:bottom, left:right] = class_number, number
    return classes, objects


def save(values: np.ndarray, path: str, colours: list[tuple[int, int, int]] | None = None) -> None:
    """With a palette: numbers of it. Without: one channel."""
    photo(path)
    image = Image.fromarray(values)
    if colours:
        image.putpalette([channel for colour in colours for channel in colour])
    image.save(path)


def rgb(value: int) -> tuple[int, int, int]:
    return value >> 16, value >> 8 & 255, value & 255


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo("s/JPEGImages/a.png"), photo("s/JPEGImages/b.png", 1)
    return lambda *options: cli.main(["import", "voc", "s", "--out", "d", *options])


def read(sample_id: str = "a") -> tuple[np.ndarray, np.ndarray, dict[int, str], list[str]]:
    """Class mask, instance numbers, names of classes, names of the instances in their order."""
    dataset = open_dataset("d")
    sample = next(sample for sample in dataset.samples if sample.id == sample_id)
    names = {info.id: info.name for info in dataset.classes}
    return dataset.mask(sample), dataset.instances(sample), names, [i.class_name for i in sample.instances]


def assert_drawn(names: tuple[str, str]) -> None:
    """The data set's masks are those that were drawn, object by object."""
    mask, instances, of, found = read()
    classes, objects = masks()
    assert np.array_equal(np.vectorize(lambda value: of.get(value, ""))(mask),
                          np.array(["", *names])[classes])
    groups = {frozenset(np.flatnonzero(instances == number)) for number in np.unique(instances) if number}
    assert groups == {frozenset(np.flatnonzero(objects == number)) for number in (1, 2, 3, 4)}
    assert sorted(found) == sorted([names[0]] * 3 + [names[1]])


def test_labelme_writes_numbers_with_a_table_of_names(tree):
    classes, objects = masks()
    palette = [rgb(palette_colour(number)) for number in range(256)]
    save(classes, "s/SegmentationClassPNG/a.png", palette), save(objects, "s/SegmentationObjectPNG/a.png", palette)
    text("s/class_names.txt", "_background_\ndent\nscratch\n")
    assert tree() == 0
    assert_drawn(("dent", "scratch"))
    assert read("b")[3] == []


_WITH_COLOURS = "background:0,0,0::\nscratch:51,221,255::\ndent:250,50,83::\n"
_WITHOUT = "background:::\ndent:::\nscratch:::\n"  # as Datumaro writes it; the colours are those of VOC's palette then


@pytest.mark.parametrize(("form", "table"), [
    ("palette", _WITH_COLOURS), ("colours", _WITH_COLOURS), ("palette", _WITHOUT), ("colours", _WITHOUT),
])
def test_cvat_writes_colours_with_a_map(tree, form, table):
    classes, objects = masks()
    own = [(0, 0, 0), (250, 50, 83), (51, 221, 255)]
    colours = own if table == _WITH_COLOURS else [rgb(palette_colour(number)) for number in range(3)]
    text("s/labelmap.txt", f"# label:color_rgb:parts:actions\n{table}")
    of_objects = [rgb(palette_colour(number)) for number in range(5)]
    for values, name, palette in ((classes, "Class", colours), (objects, "Object", of_objects)):
        if form == "palette":
            save(values, f"s/Segmentation{name}/a.png", palette)
        else:
            photo(f"s/Segmentation{name}/a.png")
            Image.fromarray(np.array(palette, np.uint8)[values]).save(f"s/Segmentation{name}/a.png")
    text("s/ImageSets/Segmentation/train.txt", "b\n"), text("s/ImageSets/Segmentation/test.txt", "a\n")
    assert tree() == 0
    assert_drawn(("dent", "scratch"))
    assert {sample.id: sample.split for sample in open_dataset("d").samples} == {"a": "test", "b": "train"}


def test_vocs_own_classes_with_void_borders(tree, capsys):
    classes, objects = masks()
    classes[0, :], objects[0, :] = 255, 255
    save(classes, "s/SegmentationClass/a.png", [rgb(palette_colour(i)) for i in range(256)])
    save(objects, "s/SegmentationObject/a.png", [rgb(palette_colour(i)) for i in range(256)])
    assert tree() == 0
    assert_drawn((VOC_2012[1], VOC_2012[2]))
    assert "1 masks have pixels of no class (void)" in capsys.readouterr().err


def test_without_objects_connected_parts_are_instances(tree):
    classes, _ = masks()
    save(classes, "s/SegmentationClass/a.png", [rgb(palette_colour(i)) for i in range(256)])
    assert tree() == 0
    _, instances, _, found = read()
    expected = sum(components(classes == value, np.ones((3, 3)))[1] for value in (1, 2))
    assert len(found) == len(np.unique(instances)) - 1 == expected == 4


def test_masks_count_in_place_of_the_boxes_of_their_classes(tree, capsys):
    classes, objects = masks()
    save(classes, "s/SegmentationClass/a.png"), save(objects, "s/SegmentationObject/a.png")
    text("s/class_names.txt", "background\ndent\nscratch\n")
    boxes = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
        "</object>" for name, x0, y0, x1, y1 in (("dent", 4, 4, 26, 16), ("hair", 1, 35, 9, 39))
    )
    text("s/Annotations/a.xml", f"<annotation><filename>a.png</filename>{boxes}</annotation>")
    assert tree() == 0
    dataset = open_dataset("d")
    instances = next(sample for sample in dataset.samples if sample.id == "a").instances
    labels = sorted((instance.class_name, instance.weak) for instance in instances)
    assert labels == [("dent", False)] * 3 + [("hair", True), ("scratch", False)]
    said = capsys.readouterr().err
    assert "1 images have masks, which count in place" in said and "1 boxes stay beside a mask" in said


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda c, o: (np.where(c == 2, 77, c).astype(np.uint8), o), "no class has the number 77 in VOC 2012"),
    (lambda c, o: (c[:-1], o[:-1]), f"is {WIDTH} x {HEIGHT - 1} pixels, its image {WIDTH} x {HEIGHT}"),
    (lambda c, o: (c, o[:-1]), f"is {WIDTH} x {HEIGHT - 1} pixels, the other mask or the image {WIDTH} x {HEIGHT}"),
])
def test_masks_that_do_not_fit_are_named(tree, capsys, spoil, message):
    classes, objects = spoil(*masks())
    save(classes, "s/SegmentationClass/a.png"), save(objects, "s/SegmentationObject/a.png")
    assert tree() == 2
    said = capsys.readouterr().err
    assert message in said and "a.png" in said


def test_a_mask_without_an_image_and_a_lossy_one_stop_the_import(tree, capsys):
    classes, _ = masks()
    save(classes, "s/SegmentationClass/z.png")
    assert tree() == 2 and "belong to no image" in capsys.readouterr().err
    photo("s/SegmentationClass/a.jpg")
    assert tree("--exclude", "z.png") == 2 and "changes values" in capsys.readouterr().err


def test_pictures_of_the_labels_are_no_photographs(tree, capsys):
    """LabelMe lays drawings of the labels into folders beside JPEGImages, under the photographs' names."""
    classes, _ = masks()
    save(classes, "s/SegmentationClass/a.png"), photo("s/SegmentationClassVisualization/a.jpg")
    photo("s/AnnotationsVisualization/b.jpg")
    text("s/Annotations/b.xml", "<annotation><filename>b.jpg</filename><size/></annotation>")
    assert tree() == 0
    assert [sample.id for sample in open_dataset("d").samples] == ["a", "b"]
    assert "passed over: 2 pictures" in capsys.readouterr().err


def test_the_palette_is_vocs():
    """The devkit's table begins so: background, aeroplane, bicycle, bird, … 20 tvmonitor, 255 void."""
    assert [rgb(palette_colour(i)) for i in (0, 1, 2, 3, 4, 8, 15, 20, 255)] == [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (64, 0, 0), (192, 128, 128), (0, 64, 128),
        (224, 224, 192)]
