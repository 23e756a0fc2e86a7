# SPDX-License-Identifier: Apache-2.0
"""The contact sheet shows what is labelled, where, and what is masked out."""

import numpy as np
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.contact_sheet import write_contact_sheet
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.format import ClassInfo
from sequential_patchcore.data.writer import DatasetWriter

SIZE = (88, 220)  # drawn at full size
CLASSES = (ClassInfo(2, "dent", "defect"), ClassInfo(6, "water_stain", "impurity"))
DENT, STAIN, RED = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2), (70, 0, 0)


def make(folder, count=1):
    mask = np.zeros(SIZE, np.uint8)
    mask[40, 60] = 2  # a single pixel must be found on the sheet
    mask[20:50, 120:160] = 6
    region = np.ones(SIZE, bool)
    region[:, 200:] = False
    with DatasetWriter(folder, "plates", "test", CLASSES) as writer:
        for number in range(count):
            writer.add(f"s{number:03}", np.zeros(SIZE, np.uint8), mask, np.where(mask == 6, 2, mask > 0).astype(
                np.uint16), {1: 2, 2: 6}, "test", f"p{number // 2}", region=region)
    return open_dataset(folder)


def places(sheet: np.ndarray, colour) -> tuple[np.ndarray, np.ndarray]:
    return np.nonzero((sheet == colour).all(-1))


def test_rings_in_the_classes_colours_and_red_where_nobody_looks(tmp_path):
    write_contact_sheet(make(tmp_path / "d"), tmp_path / "s.png")
    sheet = np.array(Image.open(tmp_path / "s.png"))
    rows, columns = places(sheet, RED)
    top, left = rows.min(), columns.max() + 1 - SIZE[1]
    assert len(rows) == SIZE[0] * 20 and columns.max() - columns.min() == 19
    picture = sheet[top : top + SIZE[0], left : left + SIZE[1]]
    for colour, (y0, y1, x0, x1) in ((DENT, (40, 40, 60, 60)), (STAIN, (20, 49, 120, 159))):
        rows, columns = places(picture, colour)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (y0 - 3, y1 + 3, x0 - 3, x1 + 3)
        assert not picture[y0 : y1 + 1, x0 : x1 + 1].any(), "what is labelled stays visible"


def test_of_many_images_even_ones_and_the_command_says_how_many(tmp_path, capsys, monkeypatch):
    make(tmp_path / "d", 70)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["info", "d", "--contact-sheet", "s.png"]) == 0
    assert capsys.readouterr().out == "s.png: 64 of 70 images\n"
    assert len(places(np.array(Image.open("s.png")), RED)[0]) == 64 * SIZE[0] * 20
