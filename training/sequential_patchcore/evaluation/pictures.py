# SPDX-License-Identifier: Apache-2.0
"""The pictures, tables and page of a results folder, drawn while the images go by."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.dataset import Dataset, Sample
from ..metrics.tally import Labelled, Scored, Tally
from ..naming.figures import ImageVerdicts, is_passed
from ..report import alarms, cards, figures, overlays, page, palette, tables, worst_images
from ..runtime.file_names import unique_names
from ..runtime.files import atomic_path, make_folder, write_text
from .evaluated_model import EvaluatedModel

_OVERLAY_QUALITY = 92
_LONGEST_NAME = 100  # bytes of an image's and of a model's name, which stand together in the name of an overlay


class ResultPictures:
    """Draws an image at a time into a folder; what the page needs of it stays in memory, as JPEG and PNG.

    Args:
        folder: where the files belong.
        tallies: one a model; they hold the thresholds and the filters.
        samples: all images that will come, in this order.
    """

    def __init__(
        self, folder: Path, models: Sequence[EvaluatedModel], tallies: Sequence[Tally], dataset: Dataset,
        samples: Sequence[Sample],
    ) -> None:
        self._folder, self._models, self._tallies = folder, models, tallies
        make_folder(folder / "overlays")
        self._image_names = unique_names([sample.id for sample in samples], longest=_LONGEST_NAME)
        self._model_names = unique_names([model.name for model in models], longest=_LONGEST_NAME)
        maps = len(models) * (1 if tallies[0].rule.plain else 2)
        height, width = dataset.image(samples[0]).shape[:2]
        self._side = cards.picture_side(len(samples), maps, min(height, width) / max(height, width))
        self._most = cards.alarms_each(len(samples), len(models))
        self._cards: list[cards.Card] = []

    def tile(
        self, number: int, image: Labelled, scores: np.ndarray, scored: Scored, outcome: str, false_regions: int,
        judged: ImageVerdicts | None = None,
    ) -> cards.Tile:
        """Write the overlay and the map of the next image by the model of this number; its part of the image's card.

        Args:
            scores: (H, W) float32.
            scored: what the model's tally made of them.
            judged: the verdicts of its regions, of a model that names.
        """
        model, tally = self._models[number], self._tallies[number]
        name = f"{self._image_names[len(self._cards)]}.{self._model_names[number]}"
        _write_full_size(str(self._folder / "overlays" / name), scores, tally.threshold, scored, image, judged)
        size = overlays.picture_size(image.mask.shape, self._side)
        return cards.Tile(
            scored.counts, outcome, false_regions, overlays.png(overlays.largest(scored.reached, size)),
            None if tally.rule.plain else overlays.png(overlays.largest(scored.codes, size)),
            () if image.as_a_whole else
            alarms.find(scores, scored.codes, tally.sweep, image, model.explain, self._most),
            None if judged is None else tuple((*each["box"], each["verdict"]) for each in judged.records),
            None if judged is None else overlays.png(overlays.largest(judged.passed.astype(np.uint8), size)),
        )

    def add(self, sample_id: str, group: str, image: Labelled, tiles: Sequence[cards.Tile]) -> None:
        """Keep the card of the next image, of whose models there are the tiles."""
        numbers = [instance.class_id for instance in tiles[0].counts.instances]
        height, width = image.mask.shape
        self._cards.append(cards.Card(
            sample_id, group, width, height,
            {c.name: numbers.count(c.id) or 1 for c in image.classes if c.id in numbers or c in image.as_a_whole},
            overlays.jpeg(overlays.photograph(image.image, self._side), cards.QUALITY),
            overlays.png(overlays.label_codes(image.mask, image.region, image.classes, self._side)),
            tuple(tiles), image.defect_ids, tiles[0].counts.whole,
        ))

    def finish(self, metrics: dict) -> None:
        """Write the tables, figures, the page and the sheet of the worst images."""
        for name, table in tables.TABLES.items():
            if text := table(metrics):
                write_text(self._folder / f"{name}.csv", text)
        drawn = figures.write(metrics, self._folder)
        training = {model.name: model.info.get("training_pictures") or [] for model in self._models}
        sweeps = [tally.sweep for tally in self._tallies]
        write_text(self._folder / "report.html", page.render(metrics, self._cards, sweeps, drawn, training))
        worst_images.write(metrics, self._folder, self._image_names, self._model_names)


def _write_full_size(
    stem: str, scores: np.ndarray, threshold: float, scored: Scored, image: Labelled, judged: ImageVerdicts | None
) -> None:
    overlay = overlays.overlay(
        image.image, scored.predicted, image.mask, image.region, image.classes, located=not image.as_a_whole,
        passed=None if judged is None else judged.passed,
    )
    if judged is not None:
        overlay = overlays.with_names(overlay, [
            (each["box"], each["verdict"], palette.verdict_colour(each["verdict"]))
            for each in sorted(judged.records, key=lambda each: not is_passed(each))
        ])
    anomaly_map = overlays.with_colour_bar(overlays.anomaly_map(scores, threshold, image.region), threshold)
    for kind, picture in (("overlay", overlay), ("map", anomaly_map)):
        with atomic_path(f"{stem}.{kind}.jpg") as beside:
            beside.write_bytes(overlays.jpeg(picture, _OVERLAY_QUALITY))
