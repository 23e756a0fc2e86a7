# SPDX-License-Identifier: Apache-2.0
"""Who may talk to the page, what it gives away, and a review by keys alone in a real browser."""

import http.client
import itertools
import json
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra `review` is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra `review` is not installed")

from sequential_patchcore.extractors.builder import build_extractor  # noqa: E402
from sequential_patchcore.fitting.settings import TrainSettings  # noqa: E402
from sequential_patchcore.fitting.training import train  # noqa: E402
from sequential_patchcore.model.file import Threshold  # noqa: E402
from sequential_patchcore.naming.verdict import RegionVerdict  # noqa: E402
from sequential_patchcore.review.review_set import ReviewSet  # noqa: E402
from sequential_patchcore.review.server import HOST, LARGEST_BODY, Review, bound, cookie_of  # noqa: E402
from sequential_patchcore.review.session import Session  # noqa: E402
from sequential_patchcore.runtime.errors import UserError  # noqa: E402
from sequential_patchcore.scoring.scorer import Scorer  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--window-size=1366,768")


@dataclass
class Served:
    session: Session
    port: int
    token: str

    def ask(self, method: str, path: str, body: bytes | None = None, token: str | None = None, **headers: str):
        """(status, headers, body) with the page's cookie, unless `token` says another."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=20)
        given = self.token if token is None else token
        sent = {"cookie": f"{cookie_of(self.port)}={given}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory):
    root = tmp_path_factory.mktemp("server")
    data = plates(root / "d", seed=3, train=4, val=1, test=1)
    extractor = build_extractor("filters")
    model = train([data], extractor, TrainSettings(coreset_size=48, epochs=1))
    model = model.with_threshold(Threshold(3.0, "by_hand"))
    rng = np.random.default_rng(2)
    (root / "today").mkdir()
    for number in range(30):
        image = rng.normal(140, 6, (96, 128))
        if number % 3 < 2:
            x, y = (int(value) for value in rng.integers(8, 70, 2))
            image[y : y + 12, x : x + 12] += (70, -80)[number % 3]
        cv2.imwrite(str(root / "today" / f"p{number:02}.png"), np.clip(image, 0, 255).astype(np.uint8))
    return root, model, extractor


@contextmanager
def serving(made, folder: Path):
    root, model, extractor = made
    scorer = Scorer(model, extractor=extractor)
    review_set = ReviewSet(scorer, sorted((root / "today").iterdir()))
    session = Session(model, review_set, folder / "m.review", folder / "taught.h5")
    listening = bound()
    port = listening.getsockname()[1]
    review = Review(session, port, "anna", scorer.provenance)
    config = uvicorn.Config(review.app(), log_level="warning", access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield Served(session, port, review.token)
    server.should_exit = True
    thread.join(10)
    review_set.close()


@pytest.fixture
def served(made, tmp_path):
    with serving(made, tmp_path) as found:
        yield found


def decision(session: Session, what: str = "skip", **further) -> bytes:
    item = session.state()["items"][0]
    return json.dumps({"image": item["image"], "box": item["box"], "decision": what, **further}).encode()


PAGES = ("/state", "/photograph/0", "/map/0", "/nearest/0/5/5", "/review.js", "/review.css", "/thumbnail/abc")


def test_without_the_token_nothing_is_given_away(served) -> None:
    for token in ("", "wrong", served.token[:-1]):
        for path in PAGES:
            status, _, body = served.ask("GET", path, token=token)
            assert status == 403 and b"token" in body
        status, _, body = served.ask("GET", f"/?token={token}", token=token)
        assert status == 403 and served.token.encode() not in body
        for path in ("/decide", "/undo"):
            assert served.ask("POST", path, decision(served.session), token=token, x_review_token=token)[0] == 403
    status, headers, body = served.ask("GET", f"/?token={served.token}", token="")
    assert status == 200 and served.token.encode() in body
    assert "httponly" in headers["set-cookie"].lower() and "samesite=strict" in headers["set-cookie"].lower()
    assert not served.session.journal.entries


def test_another_page_cannot_decide(served) -> None:
    """Neither with the cookie alone, nor under another origin, nor by a name that leads to the loopback address."""
    body, own = decision(served.session), {"x_review_token": served.token}
    assert served.ask("POST", "/decide", body)[0] == 403
    assert served.ask("POST", "/decide", body, **own, origin="http://evil.example")[0] == 403
    assert served.ask("POST", "/decide", body, **own, origin="null")[0] == 403
    assert served.ask("POST", "/decide", body, **own, sec_fetch_site="cross-site")[0] == 403
    for path in (*PAGES, "/"):
        assert served.ask("GET", path, host="evil.example")[0] == 403
    assert served.ask("POST", "/decide", body, **own, host=f"evil.example:{served.port}")[0] == 403
    assert not served.session.journal.entries
    assert served.ask("POST", "/decide", body, **own, origin=f"http://{HOST}:{served.port}")[0] == 200
    assert len(served.session.journal.entries) == 1


@pytest.mark.parametrize("path", [
    "/../../../../etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "/photograph/..%2f..%2fetc%2fpasswd", "/photograph/-1",
    "/photograph/99", "/map/99", "/photograph/0/../../etc/passwd", "/thumbnail/..%2fjournal.jsonl",
    "/thumbnail/%2e%2e%2fm.h5", "/thumbnail/0000000000000000", "/nearest/0/9999/9999", "/nearest/99/1/1",
    "/static/server.py", "/review.html", "/server.py", "//etc/passwd",
])
def test_no_file_is_reached_by_a_path(served, path: str) -> None:
    status, _, body = served.ask("GET", path)
    assert status in (400, 404) and b"root:" not in body and b"SPDX" not in body


def test_what_is_sent_is_bounded_and_has_to_make_sense(served) -> None:
    own = {"x_review_token": served.token}
    for body in (b"x" * (LARGEST_BODY + 1), b"[" * LARGEST_BODY + b"["):
        assert served.ask("POST", "/decide", body, **own)[0] == 413
    for body in (b"", b"[]", b"{}", b"null", b'{"image": 0}', b"[" * 3000, b'{"image": 1e9, "decision": "skip"}',
                 b'{"image": 0, "decision": "skip", "who": 3}', b"\xff\xfe",
                 b'{"image": 0, "decision": "sound", "box": [0, 0, 1e400, 2]}'):
        status, _, answer = served.ask("POST", "/decide", body, **own)
        assert status == 400 and json.loads(answer)["error"], body
    assert served.ask("GET", "/decide")[0] == 405 and served.ask("POST", "/state", b"{}", **own)[0] == 405
    assert not served.session.journal.entries


def test_pictures_and_the_nearest_remembered_patch(served) -> None:
    size = served.session.set.images[0].size
    for path in ("/photograph/0", "/map/0"):
        status, headers, body = served.ask("GET", path)
        shown = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        assert status == 200 and shown.shape[:2] == size and "default-src 'self'" in headers["content-security-policy"]
    status, headers, body = served.ask("GET", "/nearest/0/40/40")
    assert status == 200 and headers["content-type"] == "image/jpeg" and headers["x-words"].startswith("d: train")
    served.ask("POST", "/decide", decision(served.session, "sound"), x_review_token=served.token)
    entry = served.session.journal.entries[-1]
    assert served.ask("GET", f"/thumbnail/{entry.id}")[1]["content-type"] == "image/jpeg"
    x, y, width, height = entry.region["box"]
    image = next(one for one in served.session.set.images if one.sha256 == entry.image["sha256"])
    found = [served.ask("GET", f"/nearest/{image.number}/{column}/{row}")[1].get("x-words", "")
             for row in range(y, y + height, 4) for column in range(x, x + width, 4)]
    assert any(words.startswith("taught: ") for words in found)


def test_two_reviews_in_one_browser(served, made, tmp_path) -> None:
    """A browser sends the cookies of one host to each of its ports; the later page must not lock the first one out."""
    with serving(made, tmp_path / "second") as second:
        jar: dict[str, str] = {}
        for one in (served, second):
            _, headers, _ = one.ask("GET", f"/?token={one.token}", token="")
            name, _, value = headers["set-cookie"].partition(";")[0].partition("=")
            jar[name] = value
        for one in (served, second):
            cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
            assert one.ask("GET", "/state", cookie=cookies)[0] == 200


def test_the_page_listens_on_the_loopback_address_only() -> None:
    with bound() as listening:
        address, port = listening.getsockname()
        assert address == "127.0.0.1"
        with pytest.raises(UserError, match="choose another `port`"):
            bound(port)


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


def settled(browser, words: str, seconds: float = 20) -> str:
    """The message under the buttons, once it holds these words."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = browser.find_element("id", "message").text
        if words in text:
            return text
        time.sleep(0.05)
    raise AssertionError(f"waited for {words!r}, found {text!r}")


def left(browser) -> int:
    text = browser.find_element("id", "progress").text
    return 0 if text.startswith("nothing") else int(text.split()[0])


def open_page(browser, served) -> None:
    browser.get(f"http://{HOST}:{served.port}/?token={served.token}")
    end = time.monotonic() + 20
    while not browser.find_element("id", "progress").text and time.monotonic() < end:
        time.sleep(0.05)


def test_a_review_by_keys_alone(browser, served) -> None:
    """Thirty images: sound, dirt, defect, a missed defect marked by the arrows, skip; the last one taken back."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        for key in keys:
            ActionChains(browser).send_keys(key).perform()

    open_page(browser, served)
    assert browser.current_url == f"http://{HOST}:{served.port}/"  # the token is not left in the address
    total = left(browser)
    assert total >= 30
    answers = ["d", "1", "s", "2", "d", " ", "s"]
    for number, key in enumerate(answers):
        press(key)
        end = time.monotonic() + 30
        while len(served.session.journal.entries) <= number and time.monotonic() < end:
            if browser.find_element("id", "confirm").get_attribute("open") is not None:
                press("y")
            time.sleep(0.05)
        settled(browser, " s)")
    kinds = [(entry.decision, entry.impurity) for entry in served.session.journal.entries]
    assert kinds == [("defect", ""), ("dirt", "stain"), ("sound", ""), ("dirt", "print"), ("defect", ""), ("skip", ""),
                     ("sound", "")]
    press("m", Keys.ARROW_LEFT, Keys.ARROW_UP, "+")
    settled(browser, "Enter keeps it")
    press(Keys.ENTER)
    settled(browser, "noted")
    missed = served.session.journal.entries[-1]
    assert missed.decision == "missed"
    side = round(96 / 5)
    left_edge, top_edge = (int((length - side) / 2 + 0.5) - 3 for length in (128, 96))  # rounded as JavaScript does
    assert missed.region["box"] == [left_edge, top_edge, side + 2, side + 2]
    press("u")
    settled(browser, "taken back")
    assert served.session.journal.effective()[-1].decision == "sound"
    while left(browser):
        before = len(served.session.journal.entries)
        press(" ")
        end = time.monotonic() + 30
        while len(served.session.journal.entries) == before and time.monotonic() < end:
            time.sleep(0.05)
        settled(browser, " s)")
    assert served.session.state()["left"] == 0 and "nothing is left" in browser.find_element("id", "progress").text
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_any_decision_is_taken_back_on_the_page(browser, served) -> None:
    """An earlier one than the last: browsed to, and taken back by its key or its button."""
    from selenium.webdriver.common.action_chains import ActionChains

    decided = [served.session.decide("anna", json.loads(decision(served.session)))["id"] for _ in range(3)]
    open_page(browser, served)
    assert not browser.find_element("id", "undo-this").is_displayed()
    for key, place in (("x", 0), ("", 1)):
        items = served.session.state()["items"]
        wanted = next(number for number, item in enumerate(items) if item.get("entry") == decided[place])
        browser.find_elements("css selector", "#list li")[wanted].click()
        if key:
            ActionChains(browser).send_keys(key).perform()
        else:
            browser.find_element("id", "undo-this").click()
        end = time.monotonic() + 20
        while len(served.session.journal.entries) < 4 + place and time.monotonic() < end:
            time.sleep(0.05)
        settled(browser, "taken back")
        assert served.session.journal.entries[-1].of == decided[place]
    assert [entry.id for entry in served.session.journal.effective()] == decided[2:]


def test_the_page_shows_what_the_model_takes_an_alarm_for(browser, served) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    class ByTurns:
        def __init__(self):
            self.turns = itertools.cycle([("unsure", 0.5), ("water_stain", -2.25)])

        def verdicts(self, scored, labels, count):
            return [RegionVerdict(name, "by turns", likeness, {}, 3.0, {}, (0, 0), (0, 0))
                    for name, likeness in itertools.islice(self.turns, count)]

    served.session.set._namer = ByTurns()
    served.session.set.use(served.session.taught.model.features, served.session.threshold)
    items = served.session.state()["items"]
    open_page(browser, served)
    assert browser.find_element("id", "named").text == (
        f"the model says {items[0]['named']}: by turns (log odds of a defect 0.500)")
    lines = [line.text for line in browser.find_elements("css selector", "#list li")]
    assert all(item["named"] in line for item, line in zip(items, lines, strict=True) if item["box"])
    dirty = next(number for number, item in enumerate(items) if item.get("passed"))
    ActionChains(browser).send_keys("j" * dirty).perform()
    assert browser.find_element("id", "named").text == (
        "the model says water_stain: by turns (log odds of a defect -2.25); it does not alarm")


def test_a_box_dragged_with_the_mouse_and_buttons(browser, served) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    open_page(browser, served)
    canvas = browser.find_element("id", "photograph")
    end = time.monotonic() + 20
    while canvas.size["width"] < 100 or "score" not in browser.find_element("id", "title").text:
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.3)
    ActionChains(browser).move_to_element_with_offset(canvas, -30, -20).click_and_hold().move_by_offset(
        40, 30).release().perform()
    settled(browser, "Enter keeps the box")
    browser.find_element("id", "missed").click()
    settled(browser, "noted")
    assert served.session.journal.entries[-1].decision == "missed"
    browser.find_element("css selector", "button[data-decision=skip]").click()
    settled(browser, "noted")
    browser.find_element("id", "undo").click()
    settled(browser, "taken back")
    assert [entry.decision for entry in served.session.journal.entries] == ["missed", "skip", "undo"]


def test_two_browsers_at_once(browser, served) -> None:
    """What was decided elsewhere meanwhile is asked about, not overwritten."""
    from selenium.webdriver.common.action_chains import ActionChains

    open_page(browser, served)
    body = json.loads(decision(served.session, "defect"))
    assert served.session.decide("bert", body)["done"]
    ActionChains(browser).send_keys("s").perform()
    end = time.monotonic() + 20
    while browser.find_element("id", "confirm").get_attribute("open") is None and time.monotonic() < end:
        time.sleep(0.05)
    assert "bert has decided here already: defect" in browser.find_element("id", "confirm-words").text
    ActionChains(browser).send_keys("n").perform()
    settled(browser, "left as it was")
    assert [entry.who for entry in served.session.journal.entries] == ["bert"]
    assert Path(served.session.journal.path).is_file()
