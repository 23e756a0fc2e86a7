# SPDX-License-Identifier: Apache-2.0
"""The report at full size: how long the evaluation's own work takes an image, the page's size, how soon it opens.

The images are brushed plates of 2448 x 2050 with two defects; the maps are noise on the grid of a network of stride 8,
enlarged and blurred as real ones are. No network runs, so that the seconds are those of counting and drawing alone.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
from sequential_patchcore.evaluation.evaluated_model import EvaluatedModel
from sequential_patchcore.evaluation.evaluator import evaluate_models
from sequential_patchcore.metrics.binarize import Rule

Class = namedtuple("Class", "id name kind")
Sample = namedtuple("Sample", "id split seed group instances")


class Plates:
    """Images of a seed, made anew whenever they are asked for."""

    path, name, pixel_size_um = Path("plates"), "plates", 50.0
    classes = (Class(2, "dent", "defect"), Class(4, "scratch", "defect"), Class(6, "water_stain", "impurity"))

    def __init__(self, images: int, size: tuple[int, int]) -> None:
        self.size = size
        self.samples = tuple(Sample(f"{k:04}", "test", k, f"plate {k // 12}", ()) for k in range(images))

    def split(self, _name: str) -> tuple[Sample, ...]:
        return self.samples

    def image(self, sample: Sample) -> np.ndarray:
        rng = np.random.default_rng(sample.seed)
        lines = cv2.blur(rng.standard_normal(self.size, np.float32), (61, 1)) * 0.3
        grey = np.clip(0.5 + lines - 0.3 * (self.mask(sample) == 2), 0, 1).astype(np.float32)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)

    def instances(self, sample: Sample) -> np.ndarray:
        rng = np.random.default_rng(sample.seed + 10**6)
        drawn = np.zeros(self.size, np.uint8)
        if sample.seed % 4:
            x, y = (int(v) for v in rng.integers(300, 1500, 2))
            cv2.circle(drawn, (x, y), 30, 1, -1)
            cv2.line(drawn, (x, y - 200), (x + 400, y - 150), 2, 5)
            cv2.circle(drawn, (x + 200, y + 200), 80, 3, -1)
        return drawn.astype(np.uint16)

    def mask(self, sample: Sample) -> np.ndarray:
        return np.array([0, 2, 4, 6], np.uint8)[self.instances(sample)]

    def region(self, sample: Sample) -> np.ndarray:
        return np.ones(self.size, bool)


def scores(seed: int):
    def score(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        rng = np.random.default_rng((seed, int(image[0, 0, 0] * 1e6)))
        grid = (1 + 0.25 * rng.standard_normal((height // 8, width // 8))).astype(np.float32).clip(0.1)
        grid += 3 * (cv2.resize(image[..., 0], grid.shape[::-1], interpolation=cv2.INTER_AREA) < 0.3)
        whole = cv2.resize(grid, (width, height), interpolation=cv2.INTER_NEAREST)
        return cv2.GaussianBlur(whole, (17, 17), 2)

    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--models", type=int, default=2)
    parser.add_argument("--out", default=None)
    parser.add_argument("--min-region", type=int, default=0)
    parser.add_argument("--page-only", action="store_true", help="no full-size overlays, figures, filter sweep")
    arguments = parser.parse_args()
    models = [EvaluatedModel(f"model {k}", None, 1.9, scores(k)) for k in range(arguments.models)]
    plates = Plates(arguments.images, (2050, 2448))
    image = plates.image(plates.samples[0])
    start = time.perf_counter()
    models[0].score(image)
    scoring = time.perf_counter() - start
    out = Path(arguments.out or tempfile.mkdtemp(prefix="bench-report-"))
    start = time.perf_counter()
    if arguments.page_only:
        leave_out_all_but_the_page()
    evaluate_models(models, plates, "test", out, rule=Rule(arguments.min_region))
    each = (time.perf_counter() - start) / arguments.images / arguments.models
    page = out / "report.html"
    print(f"{arguments.images} images of 2448 x 2050, {arguments.models} models")
    if not arguments.page_only:
        print(f"{each:.2f} s an image and model, all but the network (the stand-in for it takes {scoring:.2f} s)")
    print(f"report.html: {page.stat().st_size / 1e6:.1f} MB")
    if shutil.which("chromedriver"):
        print(f"opened and drawn in {opened(page):.1f} s")
    if arguments.out is None:
        shutil.rmtree(out)


def leave_out_all_but_the_page() -> None:
    """The page is the same but for its figures; 200 images of 5 megapixels then take three minutes instead of seven."""
    module = sys.modules["sequential_patchcore.evaluation.pictures"]
    module._write_full_size = lambda *_: None
    module.figures.write = lambda *_: {}
    module.worst_images.write = lambda *_: None
    sys.modules["sequential_patchcore.metrics.tally"].SWEPT_HYSTERESIS = (1.0,)


def opened(page: Path) -> float:
    """Seconds from asking for the page to the first image's pictures."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as profile:
        for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
                     "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            start = time.perf_counter()
            driver.get(page.as_uri())
            driver.execute_script("document.querySelector('.card').scrollIntoView()")
            while not driver.execute_script("return document.querySelector('.card canvas').width > 0"):
                time.sleep(0.02)
            return time.perf_counter() - start
        finally:
            driver.quit()


if __name__ == "__main__":
    sys.exit(main())
