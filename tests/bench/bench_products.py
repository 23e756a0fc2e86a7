# SPDX-License-Identifier: Apache-2.0
"""Several products in one model: a coreset for each, kept apart or side by side, melded, or one training over all.

    python tests/bench/bench_products.py --data DATASET --product-of REGEX --weights FILE --backbone NAME

The product of an image is what the first group of REGEX finds in "DATASET_NAME/SAMPLE_ID"; several `--data` may be
given. Patch vectors are computed once. All ways hold as many vectors in all, but the row that says otherwise.
Pixels inside the regions of the test split count, defects are positive; means are over the products with a defect.
"best F1" is that of the threshold that is best on the test images themselves, one for all products (over all their
pixels) and one for each: what own thresholds can gain at the most, not what they do.
"""

import argparse
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sequential_patchcore.coreset.engine import CoresetEngine
from sequential_patchcore.coreset.melding import VectorMelder
from sequential_patchcore.coreset.search import NearestSearch
from sequential_patchcore.data.dataset import Dataset, Sample, open_dataset
from sequential_patchcore.extractors.base import Extractor, to_tensor
from sequential_patchcore.extractors.builder import build_extractor
from sequential_patchcore.extractors.grid import Grid
from sequential_patchcore.metrics.ranking import ScoreHistogram
from sequential_patchcore.metrics.threshold import max_f1
from sequential_patchcore.scoring.anomaly_map import anomaly_map


@dataclass
class Image:
    """An image's product, split, (h, w, D) patch vectors, their grid, and the labels of its pixels."""

    product: str
    split: str
    vectors: np.ndarray
    grid: Grid
    region: np.ndarray
    positive: np.ndarray


def images_of(data: Dataset, extractor: Extractor, pattern: re.Pattern) -> Iterator[Image]:
    for sample in data.samples:
        found = pattern.search(f"{data.name}/{sample.id}")
        if found is None or sample.split == "val":
            continue
        if sample.split == "train" and any(one.class_name in _defects(data) for one in sample.instances):
            continue
        yield _image(data, sample, extractor, found[1])


def _defects(data: Dataset) -> set[str]:
    return {info.name for info in data.classes if info.kind == "defect"}


def _image(data: Dataset, sample: Sample, extractor: Extractor, product: str) -> Image:
    picture = data.image(sample)
    with torch.inference_mode():
        scaled = to_tensor(picture, extractor.settings.image_scale, torch.device("cpu"))
        vectors = extractor(scaled)[0].numpy().copy()
    grid = Grid.of(extractor, picture.shape[:2], vectors.shape[:2])
    positive = np.isin(data.mask(sample), data.defect_ids)
    return Image(product, sample.split, vectors, grid, data.region(sample), positive)


def coreset(images: list[Image], size: int, epochs: int) -> np.ndarray:
    engine = CoresetEngine(size, images[0].vectors.shape[-1])
    for _ in range(epochs):
        for number, image in enumerate(images):
            flat = np.ascontiguousarray(image.vectors.reshape(-1, image.vectors.shape[-1]))
            engine.update(torch.from_numpy(flat), np.full(len(flat), number))
    return engine.result().features


def melded(parts: list[np.ndarray], size: int) -> np.ndarray:
    melder = VectorMelder(size, parts[0].shape[1])
    for part in parts:
        melder.add(part)
    return melder.finish().vectors


def scores_of(image: Image, search: NearestSearch, blur_sigma: float) -> np.ndarray:
    flat = torch.from_numpy(image.vectors.reshape(-1, image.vectors.shape[-1]))
    with torch.inference_mode():
        distances = search.distances(flat).numpy().reshape(image.vectors.shape[:2])
    return anomaly_map(distances, image.grid, blur_sigma)


def measured(test: list[Image], memories: dict[str, np.ndarray], blur_sigma: float) -> dict[str, float]:
    searches = {id(vectors): NearestSearch(vectors, torch.device("cpu")) for vectors in memories.values()}
    pixels: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for image in test:
        scores = scores_of(image, searches[id(memories[image.product])], blur_sigma)
        pixels.setdefault(image.product, []).append((scores[image.region], image.positive[image.region]))
    every = [part for parts in pixels.values() for part in parts]
    one = max_f1(lambda: every).threshold
    average, of_one, of_own = [], [], []
    for parts in pixels.values():
        histogram = histogram_of(parts)
        if histogram.positives:
            average.append(histogram.average_precision()[0])
            of_one.append(f1_at(parts, one))
            of_own.append(max_f1(lambda parts=parts: parts).f1)
    pooled = histogram_of(every)
    return {
        "mean AP": float(np.mean(average)), "pooled AP": pooled.average_precision()[0], "AUROC": pooled.auroc()[0],
        "mean best F1, one threshold": float(np.mean(of_one)), "one a product": float(np.mean(of_own)),
    }


def histogram_of(parts: list[tuple[np.ndarray, np.ndarray]]) -> ScoreHistogram:
    histogram = ScoreHistogram()
    for scores, positive in parts:
        histogram.add(scores, positive)
    return histogram


def f1_at(parts: list[tuple[np.ndarray, np.ndarray]], threshold: float) -> float:
    predicted = [scores >= np.float32(threshold) for scores, _ in parts]
    hits = sum(int((found & positive).sum()) for found, (_, positive) in zip(predicted, parts, strict=True))
    total = sum(int(found.sum() + positive.sum()) for found, (_, positive) in zip(predicted, parts, strict=True))
    return 2 * hits / total if total else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, type=Path)
    parser.add_argument("--product-of", required=True, metavar="REGEX")
    parser.add_argument("--backbone", default="filters")
    parser.add_argument("--weights", default="none")
    parser.add_argument("--image-scale", type=float, default=0.4)
    parser.add_argument("--blur-sigma", type=float, default=4.0)
    parser.add_argument("--coreset-size", type=int, default=2048, help="of all products together")
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start = time.monotonic()
    extractor = build_extractor(arguments.backbone, weights=arguments.weights, image_scale=arguments.image_scale)
    pattern = re.compile(arguments.product_of)
    images = [image for path in arguments.data for image in images_of(open_dataset(path), extractor, pattern)]
    train = {name: [one for one in images if one.product == name and one.split == "train"]
             for name in sorted({one.product for one in images})}
    products = [name for name, own in train.items() if own]
    test = [one for one in images if one.split == "test" and one.product in products]
    size, epochs = arguments.coreset_size, arguments.epochs
    share = size // len(products)
    small = {name: coreset(train[name], share, epochs) for name in products}
    large = {name: coreset(train[name], size, epochs) for name in products}
    together = np.concatenate(list(small.values()))
    mixed = [own for name in products for own in train[name]]
    np.random.default_rng(0).shuffle(mixed)
    ways = {
        f"apart: {share} vectors a product, each image by its own": small,
        "the same side by side: each image by all": dict.fromkeys(products, together),
        f"melded from {size} a product": dict.fromkeys(products, melded(list(large.values()), size)),
        "one training over all": dict.fromkeys(products, coreset(mixed, size, epochs)),
        f"apart: {size} a product ({len(products)} times as many vectors)": large,
    }
    print(f"{len(products)} products ({', '.join(products)}), {len(mixed)} training and {len(test)} test images; "
          f"{size} vectors in all")
    heads: list[str] = []
    for way, memories in ways.items():
        row = measured(test, memories, arguments.blur_sigma)
        if not heads:
            heads = list(row)
            print("| coresets | " + " | ".join(heads) + " |\n|---|" + "---|" * len(heads))
        print(f"| {way} | " + " | ".join(f"{value:.4f}" for value in row.values()) + " |", flush=True)
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
