# SPDX-License-Identifier: Apache-2.0
"""Label Studio's JSON: percent polygons, turned rectangles, ellipses, brush strokes, choices."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.check import check_dataset
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.importers.run_lengths import unpack_values
from sequential_patchcore.runtime.errors import UserError

HEIGHT, WIDTH = 40, 50


def pack(values: np.ndarray, sizes: tuple[int, int, int, int] = (3, 4, 8, 16)) -> list[int]:
    """thi.ng's rle-pack, written from its description: runs of at least 3, and blocks of what differs."""
    bits: list[int] = []

    def write(number: int, width: int) -> None:
        bits.extend(number >> place & 1 for place in range(width - 1, -1, -1))

    def count(number: int) -> None:
        place = next(place for place, size in enumerate(sizes) if number - 1 < 1 << size)
        write(place, 2)
        write(number - 1, sizes[place])

    write(len(values), 32)
    write(8 - 1, 5)
    for size in sizes:
        write(size - 1, 4)
    changes = np.flatnonzero(np.diff(values)) + 1
    waiting: list[int] = []

    def flush() -> None:
        while waiting:
            block = [waiting.pop(0) for _ in range(min(len(waiting), 1 << sizes[-1]))]
            write(0, 1)
            count(len(block))
            for value in block:
                write(value, 8)

    for run in np.split(values, changes):
        if len(run) < 3:
            waiting.extend(run.tolist())
            continue
        flush()
        for start in range(0, len(run), 1 << sizes[-1]):
            write(1, 1)
            count(len(run[start : start + (1 << sizes[-1])]))
            write(int(run[0]), 8)
    flush()
    bits += [0] * (-len(bits) % 8)
    return np.packbits(np.array(bits, np.uint8)).tolist()


def brush(inside: np.ndarray) -> list[int]:
    """As the brush stores it: four equal channels."""
    return pack(np.repeat(inside.astype(np.uint8).ravel() * 255, 4))


@pytest.mark.parametrize("seed", range(8))
def test_packed_values_come_back(seed):
    rng = np.random.default_rng(seed)
    values = np.repeat(rng.integers(0, 256, 60), rng.integers(1, 40, 60)).astype(np.uint8)
    values[rng.random(len(values)) < 0.1] = rng.integers(0, 256)
    np.testing.assert_array_equal(unpack_values(pack(values)), values)
    np.testing.assert_array_equal(unpack_values(pack(values, (1, 2, 5, 9))), values)
    with pytest.raises(UserError, match="end before all pixels"):
        unpack_values(pack(values)[:-40])


def result(kind: str, labels: list[str], **value) -> dict:
    key = f"{kind}labels" if kind != "choices" else "choices"
    return {"id": f"x{len(str(value))}{labels}", "type": key, "from_name": "label", "to_name": "image",
            "image_rotation": 0, "original_width": WIDTH, "original_height": HEIGHT, "value": value | {key: labels}}


def task(number: int, image: str, *results: dict, **more) -> dict:
    return {"id": number, "data": {"image": image}, "predictions": [], "file_upload": image.rsplit("/", 1)[-1],
            "annotations": [{"id": number, "result": list(results), "was_cancelled": False, "ground_truth": False}],
            } | more


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Writes the tasks and runs `import labelstudio s --out d`; `s` holds a.png and b.png."""
    monkeypatch.chdir(tmp_path)
    Path("s").mkdir()
    for number, name in enumerate("ab"):
        photo = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
        Image.fromarray(photo).save(f"s/{name}.png")

    def command(*tasks: dict, options: tuple = ()) -> int:
        Path("s/project-1-at-2024.json").write_text(json.dumps(list(tasks)))
        return cli.main(["import", "labelstudio", "s", "--out", "d", *options])

    return command


def found(sample_id: str = "a") -> list[tuple[str, int | None, bool]]:
    sample = next(sample for sample in open_dataset("d").samples if sample.id == sample_id)
    return [(i.class_name, i.pixels, i.weak) for i in sample.instances]


def instance(number: int) -> np.ndarray:
    dataset = open_dataset("d")
    return dataset.instances(dataset.samples[0]) == number


def test_every_kind_of_place(run, capsys):
    stroke = np.zeros((HEIGHT, WIDTH), bool)
    stroke[30:34, 3:20] = stroke[35, 40] = True
    assert run(task(
        1, "/data/upload/1/0a1b2c3d-a.png",
        result("polygon", ["dent"], points=[[20, 10], [40, 10], [40, 25], [20, 25]], closed=True),
        result("rectangle", ["scratch"], x=60.0, y=10.0, width=20.0, height=10.0, rotation=0),
        result("rectangle", ["turned"], x=60.0, y=40.0, width=20.0, height=5.0, rotation=90),
        result("ellipse", ["dent"], x=20, y=60, radiusX=12, radiusY=5, rotation=20),
        result("keypoint", ["spot"], x=81.0, y=81.25, width=0.5),
        result("brush", ["stain"], format="rle", rle=brush(stroke)),
    ), task(2, "/data/local-files/?d=photos/b.png")) == 0
    assert [(name, weak) for name, _, weak in found()] == [
        ("dent", False), ("scratch", True), ("turned", True), ("dent", False), ("spot", False), ("stain", False)]
    assert instance(1)[4:10, 10:20].all() and instance(1).sum() == 60
    assert instance(2)[4:8, 30:40].all() and instance(2).sum() == 40
    assert instance(3)[16:26, 28:30].all() and instance(3).sum() == 20  # turned around its upper left corner
    rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
    x, y, turn = columns - 10, rows - 24, math.radians(20)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    np.testing.assert_array_equal(instance(4), ((along / 6) ** 2 + (across / 2) ** 2 <= 1) & ~stroke)
    assert instance(5)[32, 40] and instance(5).sum() in (8, 9)
    np.testing.assert_array_equal(instance(6), stroke)
    assert found("b") == [] and check_dataset("d") == []
    assert "2 labels are boxes alone" in capsys.readouterr().err


def test_soft_strokes_are_cut_at_half(run, capsys):
    opaque = np.zeros((HEIGHT, WIDTH), np.uint8)
    opaque[10:20, 10:20], opaque[10:20, 20] = 255, 60
    assert run(task(1, "a.png", result("brush", ["dent"], format="rle", rle=pack(np.repeat(opaque.ravel(), 4))))) == 0
    np.testing.assert_array_equal(instance(1), opaque > 127)
    assert "1 masks hold values between 0 and their largest" in capsys.readouterr().err


def test_a_place_and_its_label_in_two_results(run):
    """As projects with <Labels> beside <Rectangle> or <Polygon> export them."""
    place = result("polygon", [], points=[[20, 10], [40, 10], [40, 25], [20, 25]]) | {"id": "p", "type": "polygon"}
    del place["value"]["polygonlabels"]
    label = place | {"type": "labels", "value": place["value"] | {"labels": ["dent"]}}
    assert run(task(1, "a.png", place, label)) == 0
    assert found() == [("dent", 60, False)]


def test_choices_are_labels_of_the_image_as_a_whole(run):
    assert run(task(1, "a.png", result("choices", ["NG"])), task(2, "b.png", result("choices", ["OK"]))) == 0
    assert found() == [("NG", None, False)] and found("b") == []


def test_tasks_that_nobody_finished_are_left_out(run, capsys):
    skipped = task(2, "b.png")
    skipped["annotations"][0]["was_cancelled"] = True
    assert run(task(1, "a.png"), skipped, {"id": 3, "data": {"image": "c.png"}, "annotations": []}) == 2
    assert "no image 'c.png'" in capsys.readouterr().err
    assert run(task(1, "a.png"), skipped) == 0
    assert [s.id for s in open_dataset("d").samples] == ["a"]
    assert "1 tasks have no annotation, or were skipped; their images are left out" in capsys.readouterr().err


def test_of_several_annotations_the_ground_truth_counts(run, capsys):
    two = task(1, "a.png", result("rectangle", ["dent"], x=0, y=0, width=20, height=10))
    two["annotations"].append({"id": 9, "result": [result("rectangle", ["dent"], x=0, y=0, width=40, height=10)]})
    assert run(two) == 2
    assert "task 1 has 2 annotations: mark one as ground truth" in capsys.readouterr().err
    two["annotations"][1]["ground_truth"] = True
    assert run(two) == 0 and found() == [("dent", 80, True)]


WRONG = {
    "no label": (result("polygon", [], points=[[1, 1], [9, 1], [9, 9]]), "has no label"),
    "unknown": (result("vector", ["x"], vertices=[]), "the type 'vectorlabels' is not read; known: choices, rectangle"),
    "turned image": (result("rectangle", ["x"], x=1, y=1, width=9, height=9) | {"image_rotation": 90}, "turned by 90"),
    "size": (result("rectangle", ["x"], x=1, y=1, width=9, height=9) | {"original_width": 9}, "an image of 9 x 40 pix"),
    "no size": (result("rectangle", ["x"], x=1, y=1, width=9, height=9) | {"original_width": None}, "found None"),
    "NaN": (result("polygon", ["x"], points=[[1, 1], [float("nan"), 1], [9, 9]]), "point 2 is [NaN, 1]"),
    "outside": (result("rectangle", ["x"], x=120, y=1, width=9, height=9), "lies outside its image"),
    "short brush": (result("brush", ["x"], format="rle", rle=brush(np.ones((5, 5), bool))), "are of 25 pixels"),
    "no brush": (result("brush", ["x"], format="rle", rle=["a"]), "its brush strokes are no list of bytes"),
    "empty brush": (result("brush", ["x"], format="rle", rle=brush(np.zeros((HEIGHT, WIDTH)))), "its mask is empty"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_and_spoils_its_image_alone(run, capsys, case):
    wrong, message = WRONG[case]
    good = task(2, "b.png", result("rectangle", ["dent"], x=0, y=0, width=20, height=10))
    assert run(task(1, "a.png", wrong), good) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and "project-1-at-2024.json" in error
    assert run(task(1, "a.png", wrong), good, options=("--skip-bad",)) == 4
    assert [s.id for s in open_dataset("d").samples] == ["b"]
