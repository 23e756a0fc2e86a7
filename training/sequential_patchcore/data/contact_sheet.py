# SPDX-License-Identifier: Apache-2.0
"""A data set on one page: its images by split and plate, labels outlined in their classes' colours, regions marked."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ..runtime.files import atomic_path
from ..runtime.progress import Progress
from .dataset import Dataset, Sample
from .format import SPLITS, class_colours

_CELL = 220  # pixels of a picture's longer side
_GAP = 8
_COLUMNS = 8  # at most
_FEWEST_COLUMNS = 4  # so that the head has room
_CAPTION = 18
_HEAD = 34
_MARGIN = 16
_FRAME = 3  # around an image that is labelled as a whole
_MOST = 64  # images of a split; of more, evenly chosen ones are drawn
_PAPER, _INK, _PALE = (24, 24, 26), (232, 232, 232), (160, 160, 160)


def write_contact_sheet(dataset: Dataset, path: str | Path, most: int = _MOST) -> int:
    """Draw a data set.

    Args:
        most: images of a split; of more, evenly chosen ones, in order of their plates, are drawn.

    Returns:
        how many images are shown.

    Raises:
        UserError: a broken sample; the sheet cannot be written.
    """
    chosen = {split: _chosen([s for s in dataset.samples if s.split == split], most) for split in SPLITS}
    chosen = {split: samples for split, samples in chosen.items() if samples}
    shape = dataset.image_size(dataset.samples[0])
    cell_height = round(_CELL * min(1.0, shape[0] / shape[1]))
    columns = min(max(_FEWEST_COLUMNS, *map(len, chosen.values())), _COLUMNS)
    width = 2 * _MARGIN + columns * (_CELL + _GAP) - _GAP
    step = cell_height + _CAPTION + _GAP
    rows = {split: -(-len(samples) // columns) for split, samples in chosen.items()}
    height = 2 * _MARGIN + 2 * _HEAD + sum(_HEAD + count * step for count in rows.values())
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _write_head(draw, dataset, width)
    y = _MARGIN + 2 * _HEAD
    shown = sum(map(len, chosen.values()))
    with Progress("drawing", shown) as progress:
        for split, samples in chosen.items():
            draw.text((_MARGIN, y + 8), _split_line(dataset, split, len(samples)), fill=_INK, font_size=16)
            y += _HEAD
            for number, sample in enumerate(samples):
                row, column = divmod(number, columns)
                x, top = _MARGIN + column * (_CELL + _GAP), y + row * step
                picture = Image.fromarray(_picture(dataset, sample, (cell_height, _CELL)))
                sheet.paste(picture, (x + (_CELL - picture.width) // 2, top + (cell_height - picture.height) // 2))
                draw.text((x, top + cell_height + 2), _fitting(draw, sample.id), fill=_PALE, font_size=11)
                progress.step()
            y += rows[split] * step
    with atomic_path(path) as beside:
        sheet.save(beside, "PNG")
    return shown


def _chosen(samples: list[Sample], most: int) -> list[Sample]:
    ordered = sorted(samples, key=lambda sample: (sample.group, sample.id))
    if len(ordered) <= most:
        return ordered
    return [ordered[k] for k in np.linspace(0, len(ordered) - 1, most).round().astype(int)]


def _picture(dataset: Dataset, sample: Sample, box: tuple[int, int]) -> np.ndarray:
    """uint8 (h, w, 3) inside `box`: what is not inspected is dark red, a label has a ring in its class's colour."""
    image = dataset.image(sample)
    scale = min(box[0] / image.shape[0], box[1] / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST) * 255
    region = _shrunk(dataset.region(sample), size) > 0.5
    picture[~region] = 0.35 * picture[~region] + np.float32([70, 0, 0])
    mask = dataset.mask(sample, located_only=True)
    instances = dataset.instances(sample)
    colours = class_colours(dataset.classes)
    for class_id in np.unique(mask[mask > 0]).tolist():
        colour = np.float32(list(bytes.fromhex(colours[class_id][1:])))
        for number in np.unique(instances[mask == class_id]).tolist():
            seen = (_shrunk((instances == number) & (mask == class_id), size) > 0).astype(np.uint8)
            picture[_ring(seen)] = colour
    for instance in sample.instances:
        if instance.pixels is None:  # somewhere on it: a frame
            class_id = next(info.id for info in dataset.classes if info.name == instance.class_name)
            frame = np.ones(picture.shape[:2], bool)
            frame[_FRAME:-_FRAME, _FRAME:-_FRAME] = False
            picture[frame] = np.float32(list(bytes.fromhex(colours[class_id][1:])))
    return picture.round().clip(0, 255).astype(np.uint8)


def _ring(inside: np.ndarray) -> np.ndarray:
    """Two pixels around uint8 (h, w), one pixel off, so that what is labelled stays visible."""
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    return cv2.dilate(inside, ball, iterations=3) > cv2.dilate(inside, ball)


def _shrunk(inside: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The share of each smaller pixel, float32."""
    return cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def _write_head(draw: ImageDraw.ImageDraw, dataset: Dataset, width: int) -> None:
    pixel = "" if dataset.pixel_size_um is None else f", a pixel is {dataset.pixel_size_um / 1000:g} mm"
    title = f"{dataset.name}: {_count(dataset.samples)}{pixel}"
    draw.text((_MARGIN, _MARGIN), title, fill=_INK, font_size=20)
    x, y = _MARGIN, _MARGIN + _HEAD
    colours = class_colours(dataset.classes)
    for info in dataset.classes:
        count = sum(i.class_name == info.name for sample in dataset.samples for i in sample.instances)
        text = f"{info.name} ({count}{'' if info.kind == 'defect' else ', impurity'})"
        draw.ellipse((x, y + 2, x + 12, y + 14), outline=colours[info.id], width=3)
        draw.text((x + 18, y), text, fill=_INK, font_size=14)
        x += 18 + int(draw.textlength(text, font_size=14)) + 24
        if x > width - 260:
            x, y = _MARGIN, y + 16


def _split_line(dataset: Dataset, split: str, shown: int) -> str:
    samples = [sample for sample in dataset.samples if sample.split == split]
    kinds = {info.name: info.kind for info in dataset.classes}
    defective = sum(any(i.is_visible and kinds[i.class_name] == "defect" for i in s.instances) for s in samples)
    part = "" if shown == len(samples) else f" ({shown} shown)"
    return f"{split}: {_count(samples)}{part}, {defective} with defects"


def _count(samples: Sequence[Sample]) -> str:
    plates = len({sample.group for sample in samples})
    images = f"{len(samples)} image{'s' if len(samples) > 1 else ''}"
    return images if plates == len(samples) else f"{images} of {plates} plate{'s' if plates > 1 else ''}"


def _fitting(draw: ImageDraw.ImageDraw, text: str) -> str:
    """The end of the text that fits under a picture: names of one series differ there."""
    if draw.textlength(text, font_size=11) <= _CELL:
        return text
    while draw.textlength("..." + text, font_size=11) > _CELL:
        text = text[1:]
    return "..." + text
