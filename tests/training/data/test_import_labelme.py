# SPDX-License-Identifier: Apache-2.0
"""The LabelMe import: files as people have them, made by code."""

import base64
import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.data.check import check_dataset
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.importers.importing import import_dataset
from sequential_patchcore.data.importers.items import sample_ids
from sequential_patchcore.data.importers.labels import LabelRules, group_of
from sequential_patchcore.data.importers.options import ImportOptions
from sequential_patchcore.data.photographs import decode_image, turn_upright
from sequential_patchcore.runtime.errors import UserError

HEIGHT, WIDTH = 24, 36


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def rectangle(label: str, x0, y0, x1, y1, **more) -> dict:
    return {"label": label, "points": [[x0, y0], [x1, y1]], "group_id": None, "shape_type": "rectangle"} | more


def label_file(path: Path, shapes: list, image: str = "", **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": image or f"{path.stem}.png",
               "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH} | more
    path.write_text(json.dumps(content))
    return path


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """Two images: "a" with a dent of 4 x 5 = 20 pixels and a stain of 100 over it, "b" clean."""
    folder = tmp_path / "src"
    save(folder / "a.png", picture(1))
    save(folder / "b.png", picture(2))
    label_file(folder / "a.json", [rectangle("dent", 3, 3, 7, 8), rectangle("water stain", 2, 2, 12, 12)])
    return folder


def bring_in(src: Path, out: Path, **settings):
    return open_dataset(import_dataset("labelme", src, out, ImportOptions(**settings), progress=False))


def encode(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_labels_become_classes_and_defects_own_what_they_share(src, tmp_path):
    dataset = bring_in(src, tmp_path / "d", defects=["dent", "scratch"], impurities=["water_stain"],
                       aliases={"water stain": "water_stain"}, pixel_size_um=50)
    assert [(c.id, c.name, c.kind) for c in dataset.classes] == [
        (2, "dent", "defect"), (4, "scratch", "defect"), (6, "water_stain", "impurity")]
    a, b = dataset.samples
    assert (a.id, b.id, a.split) == ("a", "b", "train") and not b.instances
    assert {i.class_name: i.pixels for i in a.instances} == {"dent": 20, "water_stain": 80}
    mask = dataset.mask(a)
    assert (mask[3:8, 3:7] == 2).all() and (mask == 2).sum() == 20 and (mask == 6).sum() == 80
    np.testing.assert_array_equal(dataset.image(a), picture(1).astype(np.float32) / np.float32(255))
    assert check_dataset(dataset.path) == [] and dataset.pixel_size_um == 50


def test_without_lists_every_label_is_a_defect_and_the_later_one_owns(src, tmp_path):
    dataset = bring_in(src, tmp_path / "d")
    assert [(c.id, c.name, c.kind) for c in dataset.classes] == [(1, "dent", "defect"), (2, "water stain", "defect")]
    assert {i.class_name: i.pixels for i in dataset.samples[0].instances} == {"dent": 0, "water stain": 100}
    assert check_dataset(dataset.path) == []


def test_ignored_labels_vanish_and_unlisted_ones_are_an_error(src, tmp_path):
    with pytest.raises(UserError, match=r"neither in `defects` nor in `impurities`: water stain; labels found: dent"):
        bring_in(src, tmp_path / "d", defects=["dent"])
    dataset = bring_in(src, tmp_path / "d", defects=["dent"], ignore=["water stain"])
    assert [i.class_name for i in dataset.samples[0].instances] == ["dent"]


def test_shapes_of_one_group_and_label_are_one_instance(src, tmp_path):
    label_file(src / "b.json", [
        rectangle("dent", 0, 0, 2, 2, group_id=1), rectangle("dent", 10, 0, 13, 2, group_id=1),
        rectangle("dent", 20, 0, 21, 2, group_id=2), rectangle("rust", 0, 10, 5, 11, group_id=1),
        rectangle("dent", 30, 0, 31, 1),
    ])
    b = bring_in(src, tmp_path / "d").samples[1]
    assert [(i.class_name, i.pixels) for i in b.instances] == [("dent", 10), ("dent", 2), ("rust", 5), ("dent", 1)]


def test_every_kind_of_shape_comes_in_and_is_cut_at_the_edge(src, tmp_path):
    patch = np.zeros((3, 4), np.uint8)
    patch[1] = 1
    kinds = {
        "polygon": [[-5, 0], [3, 0], [3, 2], [-5, 2]], "rectangle": [[30, 20], [99, 99]],
        "circle": [[20, 12], [23, 12]], "line": [[5, 8], [9, 8]], "linestrip": [[5, 14], [9, 14], [9, 18]],
        "point": [[14, 4]], "points": [[20, 2], [26, 2]], "mask": [[28, 6], [31, 8]],
    }
    label_file(src / "b.json", [
        {"label": kind, "points": points, "shape_type": kind, "group_id": None,
         **({"mask": encode(patch)} if kind == "mask" else {})} for kind, points in kinds.items()
    ])
    b = bring_in(src, tmp_path / "d").samples[1]
    pixels = {i.class_name: i.pixels for i in b.instances}
    assert pixels["polygon"] == 6 and pixels["rectangle"] == 24 and pixels["mask"] == 4
    assert pixels["circle"] == pytest.approx(np.pi * 9, rel=0.15)
    assert pixels["points"] == 2 * pixels["point"] > 0 and 0 < pixels["line"] < pixels["linestrip"]


def test_images_and_labels_may_lie_apart(tmp_path):
    src = tmp_path / "src"
    save(src / "images" / "one.png", picture())
    save(src / "images" / "two.png", picture())
    save(src / "images" / "three.png", picture())
    label_file(src / "labels" / "x.json", [rectangle("a", 0, 0, 2, 2)], image="..\\images\\one.png")
    label_file(src / "labels" / "two.json", [rectangle("a", 0, 0, 3, 2)], image="C:\\old\\place\\two.png")
    label_file(src / "labels" / "three.json", [rectangle("a", 0, 0, 4, 2)], image="renamed.jpg")
    found = {s.id: s.instances[0].pixels for s in bring_in(src, tmp_path / "d").samples}
    assert found == {"one": 4, "two": 6, "three": 8}


def test_equal_names_in_two_folders_stay_apart(tmp_path):
    src = tmp_path / "src"
    for number, folder in enumerate(("p1", "p2"), start=1):
        save(src / folder / "img.png", picture(number))
        label_file(src / folder / "img.json", [rectangle("a", 0, 0, number, 1)])
    dataset = bring_in(src, tmp_path / "d", group_by=r"p\d")
    assert {s.id: (s.group, s.instances[0].pixels) for s in dataset.samples} == {
        "p1_img": ("p1", 1), "p2_img": ("p2", 2)}


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def test_files_of_all_ages_and_of_other_programs(tmp_path):
    """As LabelMe 2, 3, 5 and 7 and X-AnyLabeling write them: the same 6 x 4 pixels each time."""
    src = tmp_path / "src"
    box = [[2, 3], [8, 3], [8, 7], [2, 7]]
    patch = Image.fromarray(np.ones((4, 6), np.uint8)).convert("P")
    patch.putpalette([0, 0, 0] * 256)  # the index counts, whatever its colour
    buffer = io.BytesIO()
    patch.save(buffer, "PNG")
    bitmap = base64.b64encode(buffer.getvalue()).decode()
    files = {
        "v2": {"shapes": [{"label": "a", "line_color": None, "fill_color": None, "points": box}],
               "lineColor": [0, 255, 0, 128], "fillColor": [255, 0, 0, 128], "imagePath": "v2.png", "imageData": None},
        "v3": {"version": "3.16.7", "flags": {}, "shapes": [{"label": "a", "points": box[::2], "shape_type":
               "rectangle", "flags": {}}], "imagePath": "C:\\Users\\x\\v3.png", "imageData": encode(picture())},
        "v5": {"version": "5.4.1", "flags": {"ok": False}, "shapes": [{"label": "a", "points": [[2.4, 2.6], [8, 7]],
               "group_id": None, "description": "", "shape_type": "mask", "flags": {}, "mask": bitmap}],
               "imagePath": "v5.png", "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH},
        "v7": {"version": "7.0.0", "flags": None, "shapes": [{"label": "a", "points": box, "group_id": 0, "mask": None,
               "shape_type": "oriented_rectangle", "flags": None}], "imagePath": "..\\src\\v7.png",
               "imageData": None, "imageHeight": None, "imageWidth": WIDTH},
        "any": {"version": "2.4.0", "shapes": [{"label": "a", "score": 0.9, "points": box, "group_id": "",
                "shape_type": "rotation", "direction": 0.0, "difficult": False, "attributes": {}}],
                "imagePath": "any.png", "imageData": None, "imageHeight": float(HEIGHT), "imageWidth": float(WIDTH)},
    }
    for name, content in files.items():
        save(src / f"{name}.png", picture())
        write_json(src / f"{name}.json", content)
    dataset = bring_in(src, tmp_path / "d")
    assert len(dataset.samples) == len(files)
    for sample in dataset.samples:
        expected = np.zeros((HEIGHT, WIDTH), np.uint8)
        expected[3:7, 2:8] = 1
        np.testing.assert_array_equal(dataset.instances(sample), expected, err_msg=sample.id)


def test_names_alike_to_windows_or_macos_are_one_file(tmp_path):
    src = tmp_path / "src"
    save(src / "photos" / "Blech Ü1.PNG", picture())  # composed, upper case
    write_json(src / "labels" / "x.JSON", {
        "shapes": [rectangle("Kratzer", 0, 0, 4, 2)], "imagePath": "blech U\u03081.png", "imageData": None,
    })
    (sample,) = bring_in(src, tmp_path / "d").samples
    assert [i.pixels for i in sample.instances] == [8] and sample.parameters["source"]["image"] == "photos/Blech Ü1.PNG"


def test_texts_group_as_numbers_do(src, tmp_path):
    label_file(src / "b.json", [rectangle("dent", k, 0, k + 1, 1, group_id=group)
                                for k, group in enumerate(("x", "x", "", "", None, 0, 0))])
    assert [i.pixels for i in bring_in(src, tmp_path / "d").samples[1].instances] == [2, 1, 1, 1, 2]


def test_lines_and_points_are_as_wide_as_is_said(src, tmp_path):
    label_file(src / "b.json", [{"label": "dent", "points": [[4, 9], [30, 9]], "shape_type": "line"},
                                {"label": "dent", "points": [[9, 18]], "shape_type": "point"}])
    dataset = bring_in(src, tmp_path / "d", line_width=6.0)
    np.testing.assert_array_equal(dataset.mask(dataset.samples[1])[6:12, 4:30] > 0, True)
    line, point = (i.pixels for i in dataset.samples[1].instances)
    assert line == pytest.approx(26 * 6 + np.pi * 9, rel=0.05) and point == pytest.approx(np.pi * 9, rel=0.2)


def test_an_embedded_image_stands_in_for_a_missing_file(tmp_path):
    src = tmp_path / "src"
    label_file(src / "x.json", [rectangle("a", 0, 0, 2, 2)], image="gone.png", imageData=encode(picture(9)))
    dataset = bring_in(src, tmp_path / "d")
    np.testing.assert_array_equal(dataset.image(dataset.samples[0]), picture(9).astype(np.float32) / np.float32(255))
    save(src / "gone.png", picture(8))  # a file goes before what is embedded
    dataset = bring_in(src, tmp_path / "d2")
    np.testing.assert_array_equal(dataset.image(dataset.samples[0]), picture(8).astype(np.float32) / np.float32(255))


def test_a_table_gives_the_splits(src, tmp_path):
    table = tmp_path / "splits.csv"
    table.write_text("\ufeffsplit, image ,label\r\ntest,a.png,a.json\r\nval,b.png,\r\n", encoding="utf-8")
    dataset = bring_in(src, tmp_path / "d", splits=table)
    assert {s.id: (s.split, len(s.instances)) for s in dataset.samples} == {"a": ("test", 2), "b": ("val", 0)}
    table.write_text("split,image,label\ntrain,a.png,\n")
    assert [(s.id, s.instances) for s in bring_in(src, tmp_path / "d2", splits=table).samples] == [("a", ())]


def test_the_default_split_holds_for_all(src, tmp_path):
    assert {s.split for s in bring_in(src, tmp_path / "d", default_split="test").samples} == {"test"}


def test_no_plate_may_be_in_two_splits(src, tmp_path):
    table = tmp_path / "splits.csv"
    table.write_text("split,image,label\ntrain,a.png,\ntest,b.png,\n")
    with pytest.raises(UserError, match=r"1 plate\(s\) would be in more than one split.* 'png' in train and test"):
        bring_in(src, tmp_path / "d", splits=table, group_by=r"png")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_as_viewers_do(orientation, tmp_path, capsys):
    src = tmp_path / "src"
    src.mkdir()
    smooth = cv2.resize(picture(3)[:4, :5], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth).save(src / "a.jpg", exif=exif, quality=95)
    # OpenCV's own handling of the tag is the reference.
    expected = cv2.imread(str(src / "a.jpg"), cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32) / 255
    height, width = expected.shape[:2]
    label_file(src / "a.json", [rectangle("a", 0, 0, 5, 1)], "a.jpg", imageHeight=height, imageWidth=width)
    dataset = bring_in(src, tmp_path / "d")
    assert np.abs(dataset.image(dataset.samples[0]) - expected).max() < 3 / 255
    assert ("1 images were turned upright" in capsys.readouterr().err) == (orientation != 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_orientation_is_applied_once_whatever_the_decoder_does(orientation, deep, format_name):
    """Some decoders turn some formats themselves."""
    image = picture()[:6, :9, 0].astype(np.uint16) * 257 if deep else picture()[:6, :9]
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format_name, exif=exif)
    read, applied = decode_image(buffer.getvalue(), "a")
    assert applied == orientation and read.dtype == image.dtype
    np.testing.assert_array_equal(read, turn_upright(image, orientation))


def test_turning_upright_undoes_each_orientation():
    """TIFF 6.0: what row 0 and column 0 of the stored picture are on the upright one."""
    stored = np.arange(6).reshape(2, 3)
    sides = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "lt", 6: "rt", 7: "rb", 8: "lb"}
    for orientation, (row0, column0) in sides.items():
        upright = turn_upright(stored, orientation)
        edge = {"t": upright[0], "b": upright[-1], "l": upright[:, 0], "r": upright[:, -1]}
        assert sorted(edge[row0]) == [0, 1, 2] and sorted(edge[column0]) == [0, 3]


def _array(dtype, channels):
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    return np.random.default_rng(4).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


@pytest.mark.parametrize(("suffix", "dtype", "channels"), [
    *((suffix, dtype, channels)
      for suffix in ("png", "tif") for dtype in (np.uint8, np.uint16) for channels in (1, 3, 4)),
    ("bmp", np.uint8, 1), ("bmp", np.uint8, 3),
])
def test_pictures_keep_their_depth_and_lose_alpha(tmp_path, suffix, dtype, channels):
    image = _array(dtype, channels)
    stored = image if channels == 1 else image[..., [2, 1, 0, 3][:channels]]
    file = tmp_path / f"a.{suffix}"
    assert cv2.imwrite(str(file), stored)
    read, orientation = decode_image(file.read_bytes(), file)
    assert read.dtype == dtype and orientation == 1
    np.testing.assert_array_equal(read, image if channels == 1 else image[..., :3])


@pytest.mark.parametrize("mode", ["1", "P", "LA", "PA", "CMYK"])
def test_rare_modes_become_grey_or_rgb(tmp_path, mode):
    file = tmp_path / ("a.tif" if mode in ("CMYK",) else "a.png")
    image = Image.fromarray(picture()).convert("L" if mode in ("1", "LA") else "RGB")
    image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    if mode == "PA":
        image = image.convert("RGBA")
    image.save(file)
    read, _ = decode_image(file.read_bytes(), file)
    expected = np.array(image.convert("L" if mode in ("1", "LA") else "RGB"))
    np.testing.assert_array_equal(read, expected)


def test_a_mad_image_path_falls_back_to_the_file_beside(src, tmp_path):
    label_file(src / "a.json", [rectangle("a", 0, 0, 2, 2)], image="\0//..\\x")
    assert len(bring_in(src, tmp_path / "d").samples[0].instances) == 1


def test_an_import_goes_on_and_takes_up_changes(src, tmp_path):
    out = tmp_path / "d"
    first = bring_in(src, out)
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    assert bring_in(src, out).fingerprint == first.fingerprint
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.png")} == stamps
    label_file(src / "a.json", [rectangle("dent", 0, 0, 1, 1), rectangle("water stain", 5, 5, 6, 6)])
    (src / "b.png").unlink()
    changed = bring_in(src, out)
    assert [s.id for s in changed.samples] == ["a"] and not (out / "images" / "b.png").exists()
    assert [i.pixels for i in changed.samples[0].instances] == [1, 1]
    assert check_dataset(out) == []
    with pytest.raises(UserError, match="another data set"):
        bring_in(src, out, defects=["dent", "water stain"])
    assert len(bring_in(src, out, defects=["dent", "water stain"], overwrite=True).samples) == 1


def test_an_output_below_the_source_is_not_taken_for_input(src):
    assert bring_in(src, src / "out").fingerprint == bring_in(src, src / "out").fingerprint
    assert len(bring_in(src, src / "out").samples) == 2


def _shape(**changes):
    return lambda s: label_file(s / "a.json", [rectangle("dent", 0, 0, 2, 2) | changes])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _table(text: str):
    return lambda s: (s / "splits.csv").write_text(text)


IMPORT_ERRORS = {
    "no folder": (lambda s: shutil.rmtree(s), "no such folder"),
    "no images": (lambda s: [p.unlink() for p in s.iterdir()], "holds no images"),
    "broken JSON": (lambda s: (s / "a.json").write_text('{"shapes": ['), r"a\.json: broken JSON"),
    "no LabelMe file": (lambda s: (s / "a.json").write_text('{"images": []}'), "no LabelMe file"),
    "unknown type": (_shape(shape_type="ellipse"), r"a\.json: shape 1 \('dent'\) has the unknown type 'ellipse'"),
    "type a list": (_shape(shape_type=["polygon"]), r"has the unknown type \['polygon'\]"),
    "two points": (_shape(shape_type="polygon"), "a polygon needs 3 points, found 2"),
    "no points": (_shape(points=[]), "no list of"),
    "ragged points": (_shape(points=[[1, 2], [3]]), "no list of"),
    "not a number": (_shape(points=[[1, 2], [float("nan"), 3]]), "no list of"),
    "no label": (_shape(label=" "), "shape 1 has no label"),
    "group": (_shape(group_id=["x"]), "group_id as an integer"),
    "far away": (_shape(points=[[0, 0], [1e300, 1e300]]), "far outside"),
    "null label": (_shape(label=None), "has no label"),
    "size no number": (lambda s: label_file(s / "a.json", [], imageWidth="wide"), "imageWidth and imageHeight"),
    "broken table": (_table('split,image,label\n"' + "x" * 200000), "broken table"),
    "no bitmap": (_shape(shape_type="mask"), "mask is empty"),
    "bad bitmap": (_shape(shape_type="mask", mask="AAAA"), "its mask is no picture"),
    "size": (lambda s: label_file(s / "a.json", [], imageWidth=99), "99 x 24 pixels, .*a.png has 36 x 24"),
    "half a size": (lambda s: label_file(s / "a.json", [], imageWidth=None, imageHeight=9), "has 36 x 24"),
    "no image": (lambda s: label_file(s / "z.json", []), "no image 'z.png' in the folder, and none is embedded"),
    "two labels": (lambda s: label_file(s / "sub" / "z.json", [], "../a.png"), "a.png has two label files"),
    "cut image": (lambda s: _cut(s / "b.png"), "b.png: broken or truncated"),
    "no picture": (lambda s: (s / "b.png").write_bytes(b"hello"), "expected a picture"),
    "cut JPEG": (lambda s: (save(s / "c.jpg", picture()), _cut(s / "c.jpg")), "c.jpg: broken or truncated"),
    "cut TIFF": (lambda s: (save(s / "c.tif", picture()), _cut(s / "c.tif")), "c.tif: .*cannot be decoded|truncated"),
    "deep TIFF": (lambda s: cv2.imwrite(str(s / "c.tif"), np.ones((9, 9), np.float32)), "8 or 16 bits"),
    "columns": (_table("image,label\na.png,\n"), "expected the columns split, image"),
    "split": (_table("split,image,label\ndev,a.png,\n"), r"line 2: expected the split train, val or test, found 'dev'"),
    "table image": (_table("split,image,label\ntrain,no.png,\n"), "no such image"),
    "table label": (_table("split,image,label\ntrain,a.png,no.json\n"), "no such label file"),
    "twice": (_table("split,image,label\ntrain,a.png,\ntest,a.png,\n"), "listed twice"),
    "short row": (_table("split,image,label\ntrain\n"), "no such image"),
    "empty table": (_table("split,image,label\n"), "lists no images"),
}


@pytest.mark.parametrize("case", IMPORT_ERRORS)
def test_bad_input_is_refused_in_one_line_that_names_the_file(src, tmp_path, case):
    damage, message = IMPORT_ERRORS[case]
    damage(src)
    table = src / "splits.csv"
    with pytest.raises(UserError, match=message) as caught:
        bring_in(src, tmp_path / "d", splits=table if table.exists() else None)
    assert "\n" not in str(caught.value)
    assert not [p for p in (tmp_path / "d").rglob("*") if ".part" in p.name]


def test_bad_settings_are_refused(src, tmp_path):
    for settings, message in (
        ({"default_split": "dev"}, "expected the split"), ({"group_by": "("}, "no regular expression"),
        ({"group_by": "plate"}, "finds nothing in a.png"), ({"defects": ["a"], "impurities": ["a"]}, "listed twice"),
        ({"splits": tmp_path / "none.csv"}, "missing file"),
    ):
        with pytest.raises(UserError, match=message):
            bring_in(src, tmp_path / "d", **settings)
    assert not (tmp_path / "d").exists()


def test_ids_are_stems_and_whole_paths_where_stems_repeat():
    assert sample_ids(["d/one.png", "e/two words.png", "表面.png"]) == ["one", "two words", "表面"]
    assert sample_ids(["p1/img.png", "p2/img.png", "p2/IMG.png", "p2/img.bmp"]) == [
        "p1_img", "p2_img", "p2_IMG-2", "p2_img-3"]


def test_ids_keep_the_names_that_people_gave(tmp_path):
    src = tmp_path / "src"
    for name in ("表面", "Plätte", "a b", "x#1%"):
        save(src / f"{name}.png", picture())
    label_file(src / "Plätte.json", [rectangle("a", 0, 0, 2, 2)])
    dataset = bring_in(src, tmp_path / "d")
    assert [s.id for s in dataset.samples] == sorted(["表面", "Plätte", "a b", "x#1%"])
    assert check_dataset(dataset.path) == []
    assert [len(s.instances) for s in dataset.samples if s.id == "Plätte"] == [1]


def test_an_import_into_an_earlier_one_says_what_changed(src, tmp_path, capsys):
    out = tmp_path / "d"
    bring_in(src, out)
    # As an earlier version named it: ASCII alone.
    records = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    (src / "b.png").rename(src / "ü.png")
    for kind in ("images", "masks", "instances"):
        (out / kind / "b.png").rename(out / kind / "_.png")
    records[1] |= {"id": "_", "group": "_"}
    records[1]["parameters"]["source"]["image"] = "ü.png"
    (out / "samples.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert open_dataset(out).samples[0].id == "_"  # stays readable
    save(src / "new.png", picture(7))
    capsys.readouterr()
    assert [s.id for s in bring_in(src, out).samples] == ["a", "new", "ü"]
    assert ("1 of the 2 samples that were there stay as they are, 0 were made anew, 1 are gone, 2 are new; "
            "1 ids follow the files' names now, the first: '_' is 'ü'") in capsys.readouterr().err
    bring_in(src, out)
    assert "that were there" not in capsys.readouterr().err  # nothing changed
    label_file(src / "a.json", [rectangle("dent", 0, 0, 1, 1), rectangle("water stain", 2, 2, 12, 12)])
    bring_in(src, out)
    assert "2 of the 3 samples that were there stay as they are, 1 were made anew" in capsys.readouterr().err


def test_labels_of_renamed_samples_are_found_by_the_photograph(tmp_path):
    """`like` a data set whose ids were made by an earlier rule."""
    src = tmp_path / "src"
    save(src / "Plätte 1.png", picture())
    first = bring_in(src, tmp_path / "d", default_split="test")
    text = (first.path / "samples.jsonl").read_text().replace('"id": "Plätte 1"', '"id": "Pl_tte_1"')
    (first.path / "samples.jsonl").write_text(text)
    for kind in ("images", "masks", "instances"):
        (first.path / kind / "Plätte 1.png").rename(first.path / kind / "Pl_tte_1.png")
    label_file(src / "Plätte 1.json", [rectangle("a", 0, 0, 2, 2)])
    (sample,) = bring_in(src, tmp_path / "e", like=first.path, defects=["a"]).samples
    assert (sample.id, sample.split, len(sample.instances)) == ("Pl_tte_1", "test", 1)


def test_groups_come_from_the_path():
    assert group_of("plate07/img_3.png", r"plate(\d+)", "id") == "07"
    assert group_of("plate07/img_3.png", r"plate\d+", "id") == "plate07"
    assert group_of("x.png", None, "id") == "id"


def test_the_papers_classes_keep_their_ids_only_among_themselves():
    rules = LabelRules.of(["scratch", "bump"], ["sticker"], None, ())
    assert [(c.id, c.name) for c in rules.classes([])] == [(1, "bump"), (4, "scratch"), (5, "sticker")]
    rules = LabelRules.of(["scratch", "rust"], ["sticker"], None, ())
    assert [(c.id, c.name) for c in rules.classes([])] == [(1, "scratch"), (2, "rust"), (3, "sticker")]
