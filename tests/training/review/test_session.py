# SPDX-License-Identifier: Apache-2.0
"""A review from image to taught model: scores after teaching, the guard, undo, two people at once, a new start."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.coreset.search import NearestSearch
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.extractors.builder import build_extractor
from sequential_patchcore.fitting.settings import TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.model.file import Product, Threshold, Zones, load_model, save_model
from sequential_patchcore.naming.verdict import RegionVerdict
from sequential_patchcore.review.guard import ValidationDefects
from sequential_patchcore.review.journal import Journal
from sequential_patchcore.review.labels import export_dataset, export_labelme
from sequential_patchcore.review.merging import merge
from sequential_patchcore.review.review_set import ReviewSet
from sequential_patchcore.review.session import Session
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.scoring.scorer import Scorer


def picture(rng: np.random.Generator, marks=()) -> np.ndarray:
    """(96, 128) uint8: grey noise, with squares of 12 pixels at (x, y), changed in brightness."""
    image = rng.normal(140, 6, (96, 128))
    for x, y, change in marks:
        image[y : y + 12, x : x + 12] += change
    return np.clip(image, 0, 255).astype(np.uint8)


MARKS = [[(20, 20, 70)], [(70, 50, 70)], [(40, 60, -80)], [(30, 30, 60), (88, 60, -80)], []]


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory):
    """The folder of photographs, a data set, a model file and its extractor."""
    root = tmp_path_factory.mktemp("session")
    rng = np.random.default_rng(1)
    (root / "today").mkdir()
    for number, marks in enumerate(MARKS):
        cv2.imwrite(str(root / "today" / f"p{number}.png"), picture(rng, marks))
    (root / "today" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    data = plates(root / "d", seed=3, train=6, val=2, test=1)
    extractor = build_extractor("filters")
    model = train([data], extractor, TrainSettings(coreset_size=64, epochs=2))
    origin = {"dataset": "d", "fingerprint": data.fingerprint, "split": "val"}
    save_model(model.with_threshold(Threshold(3.0, "max_f1", origin)), root / "m.h5")
    return root, data, extractor


@pytest.fixture
def begun(made, tmp_path):
    """Makes a session on a copy of nothing: begun(guarded=False)."""
    root, data, extractor = made
    open_sets = []

    def begin(
        guarded: bool = False, folder: Path = tmp_path / "m.review", kept: int = 1 << 30, namer=None
    ) -> Session:
        base = load_model(root / "m.h5")
        scorer = Scorer(base, extractor=extractor)
        images = sorted((root / "today").iterdir())
        review_set = ReviewSet(scorer, images, kept_bytes=kept, namer=namer)
        open_sets.append(review_set)
        validation = ValidationDefects(review_set, data) if guarded else None
        return Session(base, review_set, folder, tmp_path / "taught.h5", validation)

    yield begin
    for review_set in open_sets:
        review_set.close()


class SaysBySide:
    """A namer: what lies in the left half is a defect, the rest a water stain."""

    def __init__(self) -> None:
        self.identity, self.calls = [], 0

    def verdicts(self, scored, labels, count):
        self.calls += 1
        assert scored.vectors.shape[:2] == scored.distances.shape
        found = []
        for number in range(1, count + 1):
            left = np.flatnonzero((labels == number).any(0)).mean() < 64
            name, likeness = ("defect", 1.0) if left else ("water_stain", -2.0)
            found.append(RegionVerdict(name, "by its side", likeness, {}, 3.0, {}, (0, 0), (0, 0)))
        return found


def test_alarms_bear_their_names_and_what_is_passed_comes_after_them(begun) -> None:
    namer = SaysBySide()
    session = begun(namer=namer)
    items = [item for item in session.state()["items"] if item["box"]]
    for item in items:
        left = item["box"][0] + item["box"][2] / 2 < 64
        assert (item["named"], item["passed"]) == (("defect", False) if left else ("water_stain", True))
    assert {item["named"] for item in items} == {"defect", "water_stain"}
    order = [(item["passed"], -item["score"]) for item in items]
    assert order == sorted(order)
    calls = namer.calls
    session.decide("anna", asked(session, "p4.png", "skip"))
    assert namer.calls == calls, "regions that stay as they are keep their names"
    session.decide("anna", asked(session, "p0.png", "sound"))
    assert all("named" in item for item in session.state()["items"] if item["box"] and not item["decision"])
    assert not any("named" in item for item in begun().state()["items"])


def asked(session: Session, name: str, decision: str, **further) -> dict:
    """What the page sends about the worst open alarm of an image."""
    item = next(one for one in session.state()["items"] if one["name"] == name and not one["decision"])
    return {"image": item["image"], "box": item["box"], "decision": decision, **further}


def test_the_worst_comes_first_and_what_is_decided_last(begun) -> None:
    session = begun()
    state = session.state()
    scores = [item["score"] for item in state["items"] if item["box"]]
    assert scores == sorted(scores, reverse=True) and len(scores) >= 5
    for item in state["items"][:-1]:
        x, y, width, height = item["box"]
        assert x <= item["peak"][0] < x + width and y <= item["peak"][1] < y + height
    assert state["items"][-1]["box"] is None and state["items"][-1]["name"] == "p4.png"
    assert [line.split(":")[0] for line in state["unreadable"]] == ["broken.png"]
    worst = state["items"][0]
    session.decide("anna", {"image": worst["image"], "box": worst["box"], "decision": "skip"})
    after = session.state()
    assert after["left"] == state["left"] - 1 and after["items"][-1]["decision"] == "skip"


def test_an_alarm_within_the_box_of_a_decided_one_is_still_to_be_decided(made, tmp_path) -> None:
    root, _, extractor = made
    image = picture(np.random.default_rng(7), [(74, 8, 70)])
    cv2.line(image, (8, 8), (88, 88), 255, 4)
    cv2.imwrite(str(tmp_path / "scratch.png"), image)
    base = load_model(root / "m.h5")
    review_set = ReviewSet(Scorer(base, extractor=extractor), [tmp_path / "scratch.png"])
    try:
        session = Session(base, review_set, tmp_path / "m.review", tmp_path / "taught.h5")
        items = session.state()["items"]
        (scratch,) = [item for item in items if item["box"][2] > 60 and item["box"][3] > 60]
        (stain,) = [item for item in items if item is not scratch]
        x, y, width, _ = scratch["box"]
        assert x < stain["box"][0] < stain["box"][0] + stain["box"][2] < x + width and stain["box"][1] >= y
        session.decide("anna", {"image": 0, "box": scratch["box"], "decision": "defect"})
        left = [item["box"] for item in session.state()["items"] if not item["decision"]]
        assert stain["box"] in left and scratch["box"] not in left
    finally:
        review_set.close()


def test_sound_surface_is_taught_and_all_images_are_scored_by_the_new_memory(begun) -> None:
    """The shortcut over the changed vectors against scoring each image anew; alike where no vectors are kept."""
    for kept in (1 << 30, 0):
        session = begun(kept=kept)
        if session.journal.entries:
            session.undo("anna", {})
        before = session.taught.model.fingerprint
        answer = session.decide("anna", asked(session, "p0.png", "sound"))
        assert answer["done"] and "below the threshold" in answer["message"]
        taught = load_model(session.out)
        assert taught.fingerprint == session.taught.model.fingerprint != before
        search = NearestSearch(taught.features)
        for image in session.set.images:
            vectors = session.set.vectors(image)
            import torch

            distances, _ = search.nearest(torch.from_numpy(np.array(vectors).reshape(-1, vectors.shape[-1])))
            assert np.allclose(image.distances.ravel(), distances.numpy(), rtol=1e-4, atol=1e-4)
            assert np.array_equal(
                np.linalg.norm(taught.features[image.rows] - vectors, axis=-1).round(3), image.distances.round(3))
        assert not [item for item in session.state()["items"] if item["name"] == "p0.png" and item.get("alarms")]


def test_undo_gives_the_model_of_before_to_the_bit(begun) -> None:
    session = begun()
    first = session.out.read_bytes()
    session.decide("anna", asked(session, "p0.png", "sound"))
    one = session.out.read_bytes()
    second = session.decide("anna", asked(session, "p2.png", "sound"))
    assert first != one != session.out.read_bytes()
    assert session.undo("anna", {"of": second["id"]})["done"]
    assert session.out.read_bytes() == one
    assert session.undo("anna", {})["done"] and session.out.read_bytes() == first
    with pytest.raises(UserError, match="no such decision"):
        session.undo("anna", {})
    with pytest.raises(UserError, match="no such decision"):
        session.undo("anna", {"of": second["id"]})


def test_a_found_defect_that_would_be_lost_has_to_be_confirmed(begun) -> None:
    session = begun()
    assert session.decide("anna", asked(session, "p2.png", "defect"))["done"]
    before, lines = session.out.read_bytes(), len(session.journal.entries)
    request = asked(session, "p3.png", "sound")
    dark = [one for one in session.state()["items"] if one["name"] == "p3.png" and one["box"][0] > 60]
    request["box"] = dark[0]["box"]
    answer = session.decide("anna", request)
    assert not answer["done"] and "defect region of p2.png" in answer["confirm"][0]
    assert session.out.read_bytes() == before and len(session.journal.entries) == lines
    answer = session.decide("anna", request | {"confirm": True})
    assert answer["done"] and "p2.png" in session.journal.entries[-1].confirmed[0]
    assert Journal(session.folder).entries[-1].confirmed == session.journal.entries[-1].confirmed


def test_the_guard_looks_at_the_validation_split_too(begun, made) -> None:
    session = begun(guarded=True)
    assert len(session.validation) == 2
    scorer = Scorer(session.base, extractor=made[2])
    for name, peak in session.validation.peaks(session.base).items():
        sample = next(one for one in made[1].split("val") if f"of {one.id} " in name)
        scores = scorer.anomaly_map(made[1].image(sample))
        assert peak.score == pytest.approx(float(scores[made[1].instances(sample) == 1].max()), rel=1e-5)
    answer = session.decide("anna", asked(session, "p2.png", "sound"))
    assert any("dent 1 of val" in line for line in answer.get("confirm", [])) or answer["done"]


def test_a_missed_defect_lowers_the_threshold_and_says_what_is_not_learnt(begun) -> None:
    session = begun()
    before = session.threshold
    number = next(one["image"] for one in session.state()["items"] if one["name"] == "p4.png")
    answer = session.decide("anna", {"image": number, "box": [50, 40, 20, 20], "decision": "missed"})
    assert answer["done"] and session.threshold < before and "learns nothing from a defect" in answer["message"]
    assert load_model(session.out).threshold.method == "review"
    assert load_model(session.out).fingerprint == session.base.fingerprint
    session.undo("anna", {})
    assert session.threshold == before


def test_two_people_on_one_region(begun) -> None:
    session = begun()
    request = asked(session, "p0.png", "defect")
    assert session.decide("anna", request)["done"]
    answer = session.decide("bert", request | {"decision": "skip"})
    assert not answer["done"] and (answer["conflict"]["who"], answer["conflict"]["decision"]) == ("anna", "defect")
    assert session.decide("bert", request | {"decision": "skip", "over": answer["conflict"]["id"]})["done"]
    assert [entry.who for entry in session.journal.effective()] == ["bert"]


def test_each_image_is_judged_by_its_products_thresholds_and_zones(made, tmp_path) -> None:
    root, _, extractor = made
    origin = {"dataset": "d", "fingerprint": "0", "split": "val"}
    right = np.zeros((96, 128), np.uint8)
    right[:, 64:] = 1
    base = load_model(root / "m.h5")
    base = replace(base, products={
        "even": Product(Threshold(1e6, "by_hand")),
        "odd": Product(Threshold(base.threshold.value, "max_f1", origin), Zones(("right",), right),
                       {"right": Threshold(1e6, "by_hand")}),
    })

    def product_of(path: Path) -> str:
        return "even" if int(path.stem[1:]) % 2 == 0 else "odd"

    review_set = ReviewSet(Scorer(base, extractor=extractor), sorted((root / "today").glob("p*.png")),
                           product_of=product_of)
    session = Session(base, review_set, tmp_path / "m.review", tmp_path / "taught.h5")
    alarms = [item for item in session.state()["items"] if item["box"]]
    assert {item["name"] for item in alarms} <= {"p1.png", "p3.png", "p5.png"} and alarms
    assert all(item["box"][0] < 64 and item["of"] == "odd: no zone" and item["product"] == "odd" for item in alarms)
    number = next(one["image"] for one in session.state()["items"] if one["name"] == "p2.png")
    answer = session.decide("anna", {"image": number, "box": [40, 60, 12, 12], "decision": "missed"})
    assert answer["done"] and "the threshold of even went from 1e+06" in answer["message"]
    assert session.journal.entries[0].region["product"] == "even"
    assert [item["name"] for item in session.state()["items"] if item["box"] and item["product"] == "even"]
    assert session.threshold == base.threshold.value
    taught = load_model(session.out)
    assert np.array_equal(taught.products["odd"].zones.labels, right)
    assert taught.products["even"].threshold.value < 1e6
    first = tmp_path / "first.h5"
    save_model(base, first)
    assert session.undo("anna", {})["done"] and session.out.read_bytes() == first.read_bytes()
    review_set.close()


def test_a_new_start_goes_on_where_the_last_one_was(begun) -> None:
    session = begun()
    session.decide("anna", asked(session, "p0.png", "sound"))
    session.decide("anna", asked(session, "p3.png", "dirt", impurity="stain"))
    state, model = session.state(), session.out.read_bytes()
    session.out.write_bytes(b"half a model")
    again = begun()
    assert again.state() == state and again.out.read_bytes() == model


@pytest.mark.parametrize(("request_", "words"), [
    ({"image": 99, "decision": "skip"}, "no image 99"), ({"image": True, "decision": "skip"}, "no image True"),
    ({"image": 0, "decision": "eat"}, "expected a decision"), ({"image": 0, "decision": "defect"}, "mark one"),
    ({"image": 0, "box": [0, 0, 500, 5], "decision": "sound"}, "does not lie in the image"),
    ({"image": 0, "box": [-1, 0, 5, 5], "decision": "sound"}, "does not lie in the image"),
    ({"image": 0, "box": [0, 0, 5.5, 5], "decision": "sound"}, "whole pixels"),
    ({"image": 0, "box": "all", "decision": "sound"}, "whole pixels"),
    ({"image": 0, "box": [0, 0, 5, 5], "decision": "dirt", "impurity": "rust"}, "stain, print, sticker, other"),
])
def test_requests_that_cannot_be_leave_nothing(begun, request_, words) -> None:
    session = begun()
    with pytest.raises(UserError, match=words):
        session.decide("anna", request_)
    assert not session.journal.path.exists()


def test_labels_for_other_programs(begun, made, tmp_path) -> None:
    session = begun()
    session.decide("anna", asked(session, "p2.png", "defect"))
    session.decide("anna", asked(session, "p0.png", "dirt", impurity="sticker"))
    session.decide("anna", asked(session, "p1.png", "skip"))
    entries = session.journal.effective()
    assert export_labelme(entries, tmp_path / "labels") == 3
    (shape,) = json.loads((tmp_path / "labels" / "p2.json").read_text())["shapes"]
    assert shape["label"] == "defect" and shape["shape_type"] == "polygon"
    assert export_dataset(entries, tmp_path / "set") == 2, "nobody knows what the skipped one shows"
    data = open_dataset(tmp_path / "set")
    found = {sample.id: [one.class_name for one in sample.instances] for sample in data.samples}
    assert found == {"p0": ["sticker"], "p2": ["defect"]}
    sample = next(one for one in data.samples if one.id == "p2")
    ours = session.set.inside(session.set.images[2], entries[0].region["box"])
    theirs = data.mask(sample) > 0
    assert (ours & theirs).sum() >= 0.9 * ours.sum() and (theirs & ~ours).sum() <= 0.1 * ours.sum()


def test_journals_of_two_reviewers_are_merged(begun, tmp_path) -> None:
    ours, theirs = begun(folder=tmp_path / "a"), begun(folder=tmp_path / "b")
    ours.decide("anna", asked(ours, "p0.png", "sound"))
    theirs.decide("bert", asked(theirs, "p0.png", "defect"))
    theirs.decide("bert", asked(theirs, "p1.png", "sound"))
    taken, conflicts = merge(tmp_path / "a", tmp_path / "b")
    assert (taken, len(conflicts)) == (2, 1)
    answers = {entry.image["name"]: (entry.who, entry.decision) for entry in Journal(tmp_path / "a").effective()}
    assert answers["p1.png"] == ("bert", "sound") and answers["p0.png"] == ("anna", "sound")
    assert merge(tmp_path / "a", tmp_path / "b") == (0, [])
    assert begun(folder=tmp_path / "a").state()["decided"] == 2


def test_replay_merge_and_exports_by_the_command_line(begun, made, tmp_path, capsys, monkeypatch) -> None:
    session = begun()
    session.decide("anna", asked(session, "p0.png", "sound"))
    session.decide("anna", asked(session, "p2.png", "defect"))
    monkeypatch.chdir(tmp_path)
    save_model(load_model(made[0] / "m.h5"), "m.h5")
    command = ("review", "--model", "m.h5")
    assert cli.main((*command, "--replay", "--out", "again.h5")) == 0
    assert "2 decision(s) replayed" in capsys.readouterr().out
    assert Path("again.h5").read_bytes() == session.out.read_bytes()
    assert cli.main((*command, "--export-labelme", "l", "--export-dataset", "s")) == 0
    assert open_dataset("s").samples and len(list(Path("l").iterdir())) == 2
    first = session.journal.entries[0].id
    (tmp_path / "m.review" / "patches" / f"{first}.npz").unlink()
    capsys.readouterr()
    assert cli.main((*command, "--replay")) == 2
    assert f"or take the decision back: --undo {first}" in capsys.readouterr().err
    assert cli.main((*command, "--undo", first, "--replay", "--out", "again.h5")) == 0
    assert "1 decision(s) replayed" in capsys.readouterr().out
    assert cli.main((*command, "--undo", first)) == 2 and "no decision" in capsys.readouterr().err
    assert cli.main((*command, "--merge", "nowhere")) == 2
    assert "holds no journal" in capsys.readouterr().err
    assert cli.main((*command, "--replay", "--out", "m.h5")) == 2
    assert "give another --out" in capsys.readouterr().err
