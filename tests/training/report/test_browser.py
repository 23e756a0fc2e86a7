# SPDX-License-Identifier: Apache-2.0
"""report.html in a real browser: no errors, figures equal to a slow count in Python at every threshold tried."""

import base64
import re
import shutil
import subprocess
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sequential_patchcore.data.format import Instance
from sequential_patchcore.evaluation.evaluated_model import EvaluatedModel
from sequential_patchcore.evaluation.evaluator import evaluate_models
from sequential_patchcore.metrics.binarize import PLAIN, Rule, binary_map
from sequential_patchcore.metrics.counts import COVERAGE_PERCENT
from sequential_patchcore.naming.verdict import RegionVerdict
from sequential_patchcore.scoring.nearest_nominal import Explanation
from sequential_patchcore.scoring.provenance import NominalPatch

Class = namedtuple("Class", "id name kind")
Sample = namedtuple("Sample", "id split seed group instances")
HEIGHT, WIDTH = 150, 180
FILTER = Rule(min_region=25, hysteresis=0.8)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--window-size=1366,768")


class Plates:
    """Twelve plates with scratches, dents and stains at places drawn by a seed; every fourth is clean."""

    path, name, pixel_size_um = Path("data/plates"), "plates </script> & co", 50.0
    classes = (Class(2, "dent", "defect"), Class(4, "scratch", "defect"), Class(6, "water_stain", "impurity"))
    samples = tuple(Sample(f"plate {k:02}", "test", k, f"p{k // 2}", ()) for k in range(12))

    def split(self, name):
        return tuple(s for s in self.samples if s.split == name)

    def _labels(self, sample):
        rng = np.random.default_rng(sample.seed)
        mask, numbers = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint16)
        if sample.seed % 4 == 3:
            return mask, numbers
        for number, class_id in enumerate((6, 6, 2, 4, 4), 1):
            x, y = (int(v) for v in rng.integers(20, (WIDTH - 20, HEIGHT - 20)))
            drawn = np.zeros(mask.shape, np.uint8)
            if class_id == 4:
                cv2.line(drawn, (x, y), (x + 30, y + int(rng.integers(-15, 15))), 1, 1)
            else:
                cv2.circle(drawn, (x, y), 14 if class_id == 6 else 5, 1, -1)
            mask[drawn > 0], numbers[drawn > 0] = class_id, number
        return mask, numbers

    def mask(self, sample):
        return self._labels(sample)[0]

    def instances(self, sample):
        return self._labels(sample)[1]

    def region(self, sample):
        region = np.ones((HEIGHT, WIDTH), bool)
        region[:, :12] = False
        return region

    def image(self, sample):
        rng = np.random.default_rng(sample.seed + 100)
        change = np.select([self.mask(sample) == k for k in (2, 4, 6)], [-0.16, -0.10, 0.05], 0.0)
        grey = 0.5 + 0.05 * rng.standard_normal((HEIGHT, WIDTH)) + change
        return np.repeat(np.clip(grey, 0, 1)[..., None], 3, 2).astype(np.float32)


def difference(image):
    return cv2.GaussianBlur(np.abs(image[..., 0] - np.float32(0.5)), (0, 0), 1.5)


def sharper(image):
    return 7 * cv2.GaussianBlur(np.abs(image[..., 0] - np.float32(0.5)), (0, 0), 0.8)


def nominal(pixels):
    picture = np.full((64, 64, 3), 0.5, np.float32)
    return [
        Explanation((0, 0), pixel, 1.25, 1.25, k, NominalPatch("synth", f"train {k}", (3, 4), (30.0, 40.0), picture))
        for k, pixel in enumerate(pixels)
    ]


MODELS = [
    EvaluatedModel("A", "a.h5", 0.07, difference, {"epochs": [9, 3, 0]}, nominal),
    EvaluatedModel("B & <b>", "b.h5", 0.6, sharper, {}, nominal),
]


def counted(model, threshold, percent=0, rule=PLAIN):
    """The figures by the definitions, pixel by pixel over all images at once."""
    plates, tp, fp, positives, alarmed = Plates(), 0, 0, 0, 0
    images = []
    found = {c.id: [0, 0] for c in plates.classes}
    for sample in plates.samples:
        mask, numbers, region = plates.mask(sample), plates.instances(sample), plates.region(sample)
        predicted = binary_map(model.score(plates.image(sample)), threshold, region, rule)
        defect = np.isin(mask, [2, 4]) & region
        tp, fp = tp + (predicted & defect).sum(), fp + (predicted & ~defect).sum()
        positives += defect.sum()
        images.append((defect.any(), predicted.any()))
        alarmed += not (mask[region] > 0).any() and predicted.any()
        for number in np.unique(numbers[region & (numbers > 0)]):
            pixels = (numbers == number) & region
            covered = (pixels & predicted).sum()
            class_id = np.bincount(mask[pixels]).argmax()
            found[class_id][1] += 1
            found[class_id][0] += covered > 0 and 100 * covered >= percent * pixels.sum()
    return {
        "precision": tp / (tp + fp) if tp + fp else None, "recall": tp / positives, "alarmed": alarmed,
        "f1": 2 * tp / (tp + fp + positives), "found": found[2][0] + found[4][0],
        "images": image_f1(images),
        "mean": (found[2][0] / found[2][1] + found[4][0] / found[4][1]) / 2, "instances": found,
    }


def image_f1(images):
    hits, wrong, missed = (sum(pair == kind for pair in images) for kind in ((1, 1), (0, 1), (1, 0)))
    return 2 * hits / (2 * hits + wrong + missed)


class Unplaced(Plates):
    """The same plates, labelled as a whole."""

    samples = tuple(
        sample if sample.seed % 4 == 3 else sample._replace(
            instances=(Instance(1, "dent", None), Instance(2, "scratch", None), Instance(3, "water_stain", None)))
        for sample in Plates.samples
    )

    def _labels(self, sample):
        return np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint16)

    def mask(self, sample, located_only=False):
        assert located_only or not sample.instances
        return super().mask(sample)

    def image(self, sample):
        return Plates().image(sample)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("browser")
    return evaluate_models(MODELS, Plates(), "test", out), out / "report.html"


def test_the_sweep_in_the_record_is_a_count_over_all_pixels(report):
    metrics, _ = report
    for model in MODELS:
        sweep = metrics["models"][model.name]["threshold_sweep"]
        assert sweep["threshold"][sweep["chosen"]] == np.float32(model.threshold)
        for k in (0, 20, sweep["chosen"], 90, len(sweep["threshold"]) - 1):
            expected = counted(model, sweep["threshold"][k])
            for name in ("precision", "recall", "f1"):
                assert sweep[name][k] == expected[name]
            assert sweep["mean_defect_wise_recall"][k] == pytest.approx(expected["mean"], abs=1e-12)
            assert sweep["clean_images_with_false_positives"][k] == expected["alarmed"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not CHROMIUM or not DRIVER:
        pytest.skip("no Chromium with its chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def opened(browser, report):
    browser.get(report[1].as_uri())
    wait(browser, "return ready.size > 0")
    return browser


@pytest.fixture
def page(browser, report):
    return opened(browser, report)


@pytest.fixture(scope="module")
def filtered_report(tmp_path_factory):
    out = tmp_path_factory.mktemp("filtered")
    with pytest.MonkeyPatch.context() as patch:  # its figures take most of the time
        patch.setattr("sequential_patchcore.report.figures.write", lambda *_: {})
        return evaluate_models(MODELS, Plates(), "test", out, rule=FILTER), out / "report.html"


def wait(browser, condition, seconds=30):
    end = time.monotonic() + seconds
    while not browser.execute_script(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.1)


def shown(browser, m):
    script = """const row = document.querySelector(`.live tr[data-model="${arguments[0]}"]`);
        const cells = [...row.querySelectorAll("[data-of]")];
        return Object.fromEntries(cells.map((cell) => [cell.dataset.of, cell.dataset.value]));"""
    return {name: None if text == "" else float(text) for name, text in browser.execute_script(script, m).items()}


def slide(browser, step):
    browser.execute_script(
        "const s = document.getElementById('rung'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change'));", step,
    )


def test_it_loads_without_a_word_on_the_console_and_asks_nothing_of_a_network(page):
    assert [entry for entry in page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    fetched = page.execute_script("return performance.getEntriesByType('resource').map((r) => r.name)")
    assert all(name.startswith("data:") for name in fetched)


@pytest.mark.parametrize("step", [0, -25, 13, 60, -60])
def test_the_slider_shows_what_python_counts(page, step):
    slide(page, step)
    for m, model in enumerate(MODELS):
        at = shown(page, m)
        expected = counted(model, at["threshold"])
        for name in ("precision", "recall", "f1", "mean", "images"):
            assert at[name] == (None if expected[name] is None else pytest.approx(expected[name], abs=1e-12))
        assert (at["found"], at["alarmed"]) == (expected["found"], expected["alarmed"])
    assert at["threshold"] == pytest.approx(MODELS[1].threshold * float(factor(page)), rel=0.01)


def test_the_filter_of_the_run_acts_at_every_threshold_of_the_slider(browser, filtered_report):
    page = opened(browser, filtered_report)
    for step in (0, -25, 30):
        slide(page, step)
        for m, model in enumerate(MODELS):
            at = shown(page, m)
            expected = counted(model, at["threshold"], rule=FILTER)
            assert expected["f1"] != counted(model, at["threshold"])["f1"], "the filter does something"
            for name in ("precision", "recall", "f1", "mean"):
                assert at[name] == (None if expected[name] is None else pytest.approx(expected[name], abs=1e-12))
            assert (at["found"], at["alarmed"]) == (expected["found"], expected["alarmed"])
        compare_overlay(page, FILTER)
    calibrated = counted(MODELS[0], MODELS[0].threshold, rule=FILTER)
    assert filtered_report[0]["models"]["A"]["pixel"]["f1"] == calibrated["f1"]


@pytest.fixture(scope="module")
def unplaced_report(tmp_path_factory):
    out = tmp_path_factory.mktemp("unplaced")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sequential_patchcore.report.figures.write", lambda *_: {})
        return evaluate_models(MODELS, Unplaced(), "test", out), out / "report.html"


def test_labels_without_a_place_count_images_alone(browser, unplaced_report):
    page = opened(browser, unplaced_report)
    plates = Unplaced()
    for step in (0, 45, 90):
        slide(page, step)
        for m, model in enumerate(MODELS):
            at = shown(page, m)
            images, clean = [], []
            for sample in plates.samples:
                region = plates.region(sample)
                predicted = binary_map(model.score(plates.image(sample)), at["threshold"], region)
                images.append((bool(sample.instances), predicted.any()))
                clean.append(predicted.any() and not sample.instances)
            assert at["images"] == pytest.approx(image_f1(images), abs=1e-12)
            assert at["alarmed"] == sum(clean)
            assert at["precision"] is at["recall"] is at["f1"] is at["mean"] is None
            outcomes = page.execute_script(
                "return [...document.querySelectorAll(`.column[data-model='${arguments[0]}'] .tag`)]"
                ".map((t) => [Number(t.closest('.card').dataset.index), t.className])", m)
            for index, kind in outcomes:
                known = {(1, 1): "found", (1, 0): "missed", (0, 1): "alarm", (0, 0): "passed"}
                assert kind == f"tag {known[images[index]]}"
    slide(page, 0)
    page.execute_script("for (const c of document.querySelectorAll('.card')) c.hidden = c.dataset.index !== '0'")
    page.execute_script("document.getElementById('image-0').scrollIntoView()")
    wait(page, "return document.querySelector('.card:not([hidden]) canvas').width > 0")
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    index, picture = colours(page)
    sample = plates.samples[index]
    predicted = binary_map(MODELS[0].score(plates.image(sample)), MODELS[0].threshold, plates.region(sample))
    assert sample.instances and predicted.any()
    assert np.array_equal((picture[..., 2] - picture[..., 1]) > 50, predicted)  # violet, not red


def factor(browser):
    text = browser.execute_script("return document.getElementById('factor').textContent")
    return 1 if text == "calibrated" else text.split(" ")[0]


def test_asking_for_more_coverage_finds_what_python_finds(page):
    slide(page, 5)
    place = COVERAGE_PERCENT.index(25)
    page.execute_script(
        "const c = document.getElementById('coverage'); c.value = arguments[0]; c.dispatchEvent(new Event('change'));",
        place,
    )
    at = shown(page, 0)
    expected = counted(MODELS[0], at["threshold"], 25)
    assert (at["found"], at["mean"]) == (expected["found"], pytest.approx(expected["mean"], abs=1e-12))


def test_one_model_moves_alone(page):
    before = shown(page, 0)
    page.execute_script(
        "const m = document.getElementById('moved'); m.value = '1'; m.dispatchEvent(new Event('change'));")
    slide(page, 20)
    assert shown(page, 0) == before
    assert shown(page, 1)["threshold"] > MODELS[1].threshold


def colours(browser, kind="overlay"):
    script = f"""const c = document.querySelector('.card:not([hidden]) .picture[data-kind="{kind}"] canvas');
        return [c.closest('.card').dataset.index, c.toDataURL()];"""
    index, uri = browser.execute_script(script)
    data = np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8)
    return int(index), cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(int)


def test_the_overlay_is_recoloured_to_the_pixel(page):
    for step in (0, 30):
        slide(page, step)
        compare_overlay(page, PLAIN)


def first_overlay(page):
    """The first image on the page, by its number, and its overlay once it is drawn."""
    page.execute_script("document.querySelector('.card:not([hidden])').scrollIntoView()")
    wait(page, "return document.querySelector('.card:not([hidden]) canvas').width > 0")
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    return colours(page)


def compare_overlay(page, rule):
    """The first overlay on the page against what Python predicts there at the page's threshold."""
    plates = Plates()
    index, picture = first_overlay(page)
    sample = plates.samples[index]
    region = plates.region(sample)
    predicted = binary_map(MODELS[0].score(plates.image(sample)), shown(page, 0)["threshold"], region, rule)
    defect = np.isin(plates.mask(sample), [2, 4]) & region
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    assert np.array_equal((green - np.maximum(red, blue)) > 60, predicted & defect)
    assert np.array_equal((blue - red) > 60, ~predicted & defect)
    # the impurity's outline is yellow: red far above blue, but green between
    assert np.array_equal((red - np.maximum(green, blue)) > 90, predicted & ~defect)


def every_second_region(labels, count):
    words = ["water_stain" if k % 2 else "defect" for k in range(count)]
    return [RegionVerdict(word, "", 0.0, {word: 1}, 0.0, {}, (0, 0), (0, 0)) for word in words]


def test_what_was_passed_under_a_name_has_a_colour_of_its_own_at_the_calibrated_threshold(browser, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sequential_patchcore.report.figures.write", lambda *_: {})
        evaluate_models([replace(MODELS[0], names=every_second_region)], Plates(), "test", tmp_path)
    page = opened(browser, (None, tmp_path / "report.html"))
    page.execute_script("drawNames = () => {}")  # words and boxes lie over the pixels
    plates, seen = Plates(), []
    for step in (30, 0):
        slide(page, step)
        index, picture = first_overlay(page)
        sample = plates.samples[index]
        region = plates.region(sample)
        predicted = binary_map(MODELS[0].score(plates.image(sample)), shown(page, 0)["threshold"], region)
        labels = cv2.connectedComponents(predicted.astype(np.uint8), connectivity=8)[1]
        passed = (labels > 0) & (labels % 2 == 0) & (step == 0)
        defect = np.isin(plates.mask(sample), [2, 4]) & region
        red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
        assert np.array_equal((np.minimum(green, blue) - red > 60) & (abs(green - blue) < 40), passed & ~defect)
        assert np.array_equal(red - np.maximum(green, blue) > 90, predicted & ~passed & ~defect)
        assert np.array_equal((green - np.maximum(red, blue)) > 60, predicted & ~passed & defect)
        seen.append(passed & ~defect)
    assert seen[1].sum() > 20


def test_filters_and_order_follow_the_threshold(page):
    def visible():
        return page.execute_script(
            "return [...document.querySelectorAll('.card:not([hidden])')].map((c) => Number(c.dataset.index))")

    def pick(name, value):
        page.execute_script("const s = document.getElementById(arguments[0]); s.value = arguments[1];"
                            "s.dispatchEvent(new Event('change'));", name, value)

    pick("outcome", "passed")
    assert visible() == [] or all(index % 4 == 3 for index in visible())
    slide(page, 90)  # far above every score of a clean plate
    assert sorted(visible()) == [3, 7, 11]
    slide(page, 0)
    pick("outcome", "")
    pick("class", "1")
    assert 3 not in visible() and len(visible()) == 9
    pick("class", "")
    pick("sort", "score1")
    scores = {i: MODELS[1].score(Plates().image(s))[Plates().region(s)].max() for i, s in enumerate(Plates.samples)}
    assert visible() == sorted(scores, key=lambda i: -scores[i])


def test_a_false_alarm_shows_the_patch_it_was_compared_with(page):
    page.execute_script("document.querySelector('[data-alarm]').click()")
    story = page.execute_script("return document.getElementById('story').textContent")
    assert "comes from synth, image train 0 around (40, 30)" in story
    assert re.search(r"score 0\.\d+, at or above|score 0\.\d+, below", story)
    size = page.execute_script(
        "const i = document.getElementById('nominal'); return i.decode().then(() => [i.naturalWidth, i.naturalHeight])")
    assert size == [64, 64]


def test_the_keyboard_moves_the_threshold_and_walks_the_pictures(page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    body = page.find_element(By.TAG_NAME, "body")
    body.send_keys("]]]")
    assert float(factor(page)) > 1
    body.send_keys("0")
    assert factor(page) == 1
    body.send_keys("j")
    assert page.execute_script("return document.activeElement.className") == "card"
    picture = page.find_element(By.CSS_SELECTOR, ".card:not([hidden]) .picture")
    picture.send_keys(Keys.ENTER)
    wait(page, "return document.getElementById('large').open")
    caption = "return document.querySelector('#large figcaption').textContent"
    first = page.execute_script(caption)
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    wait(page, f"{caption} !== {first!r}")
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait(page, "return !document.getElementById('large').open")


def test_it_fits_a_laptop_screen(page):
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_it_prints_with_the_pictures_of_the_first_images(page, report, tmp_path):
    wait(page, f"return ready.size === {len(Plates.samples)}")
    drawn = """window.dispatchEvent(new Event("beforeprint"));
        return [...document.querySelectorAll(".card")].map((c) => [c.classList.contains("unprinted"),
            Math.min(...[...c.querySelectorAll("canvas")].map((canvas) => canvas.width))]);"""
    assert page.execute_script(drawn) == [[False, WIDTH]] * len(Plates.samples)
    # By Chromium itself: its driver gives up after ten seconds, which a busy machine may need.
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000",
               f"--print-to-pdf={tmp_path / 'page.pdf'}", report[1].as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    printed = (tmp_path / "page.pdf").read_bytes()
    assert printed[:5] == b"%PDF-" and len(re.findall(rb"/Type\s*/Page\b", printed)) >= 5
