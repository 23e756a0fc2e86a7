# SPDX-License-Identifier: Apache-2.0
"""The table of sources: the command line, the documents and the table agree; hostile label files end in one line."""

import copy
import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.importers.sources import SOURCES
from sequential_patchcore.runtime.choices import IMPORTS

REPOSITORY = Path(__file__).resolve().parents[3]
HEIGHT, WIDTH = 40, 50


def test_the_command_line_and_the_documents_name_the_sources():
    assert set(IMPORTS) == set(SOURCES)
    page = (REPOSITORY / "docs" / "import.md").read_text(encoding="utf-8")
    assert all(f"| `{kind}` |" in page for kind in IMPORTS)


LABELS = {
    "coco": ("c.json", {
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 20, 1, 20, 20]], "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"id": 3, "image_id": 2, "category_id": 1, "segmentation": {
                "size": [HEIGHT, WIDTH], "counts": [3, 5, HEIGHT * WIDTH - 8]}}]}),
    "labelme": ("a.json", {
        "version": "5.4.1", "flags": {"x": True}, "imagePath": "a.png", "imageData": None, "imageHeight": HEIGHT,
        "imageWidth": WIDTH, "shapes": [
            {"label": "x", "points": [[1, 1], [9, 1], [9, 9]], "group_id": None, "shape_type": "polygon", "flags": {}},
            {"label": "y", "points": [[3, 3], [8, 8]], "group_id": 1, "shape_type": "circle", "flags": {}}]}),
    "labelstudio": ("p.json", [
        {"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 1, "was_cancelled": False, "result": [
            {"id": "r", "type": "polygonlabels", "original_width": WIDTH, "original_height": HEIGHT,
             "value": {"points": [[1, 1], [50, 1], [50, 50]], "polygonlabels": ["x"]}},
            {"id": "s", "type": "choices", "value": {"choices": ["bad"]}}]}]},
        {"id": 2, "data": {"image": "b.png"}, "annotations": [{"id": 2, "result": []}]}]),
}
VALUES = [None, True, -1, 0, 1, 1e300, float("nan"), float("inf"), "", "x", "1", [], {}, [1], [[1, 2]], {"a": 1}, "ä",
          2**70, -0.5, [None], ["x"]]


def mutated(content: object, rng: random.Random) -> object:
    """The content with one to three values replaced, removed or added, at any depth."""
    content = copy.deepcopy(content)
    for _ in range(rng.randint(1, 3)):
        here, path = content, []
        while isinstance(here, dict | list) and here and rng.random() < 0.9:
            key = rng.choice(list(here)) if isinstance(here, dict) else rng.randrange(len(here))
            path.append((here, key))
            here = here[key]
        if not path:
            return copy.deepcopy(rng.choice(VALUES))
        parent, key = path[-1]
        if isinstance(parent, dict) and rng.random() < 0.2:
            del parent[key]
        elif isinstance(parent, list) and rng.random() < 0.2:
            parent.insert(key, copy.deepcopy(rng.choice(VALUES)))
        else:
            parent[key] = copy.deepcopy(rng.choice(VALUES))
    return content


@pytest.mark.parametrize("kind", LABELS)
def test_no_mutated_label_file_makes_a_labelled_image_clean(tmp_path, monkeypatch, capsys, kind):
    """Whatever the file says: one line, and the image has a label, is left out, or nothing is written."""
    monkeypatch.chdir(tmp_path)
    Path("s").mkdir()
    for number, name in enumerate("ab"):
        photo = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
        Image.fromarray(photo).save(f"s/{name}.png")
    file, content = LABELS[kind]
    rng = random.Random(kind)
    codes = []
    for number in range(120):
        Path("s", file).write_text(json.dumps(mutated(content, rng)), encoding="utf-8")
        code = cli.main(["import", kind, "s", "--out", f"d{number}", *(["--skip-bad"] if number % 3 == 0 else [])])
        codes.append(code)
        said = capsys.readouterr().err
        assert code in (0, 2, 4) and "Traceback" not in said
        if code != 2:
            found = {sample.id: sample for sample in open_dataset(f"d{number}").samples}
            assert "a" not in found or found["a"].instances, Path("s", file).read_text()
    assert codes.count(0) > 1 and codes.count(2) > 20
