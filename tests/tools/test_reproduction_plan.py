# SPDX-License-Identifier: Apache-2.0
"""What `make reproduce` is going to do: scenarios read from TOML, jobs made of them, fingerprints of their inputs."""

import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sequential_patchcore.runtime.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tools"))

from reproduction.command import PLAN  # noqa: E402
from reproduction.jobs import (  # noqa: E402
    Job,
    Setting,
    derived_recipe,
    image_counts,
    jobs_of,
    labelled_folder,
    recipe_texts,
)
from reproduction.plan import Data, Plan, load_plan, with_seed  # noqa: E402
from reproduction.store import code_digest, fingerprint  # noqa: E402

PRESETS = ("small", "medium", "full", "smoke")
VERSIONS = {"sequential-patchcore": "1", "surface_impurities": "1"}


def setting(repository: Path = REPOSITORY, **changes: object) -> Setting:
    backbone = ("--backbone", "filters")
    return replace(Setting(repository, ("render",), backbone, {}, lambda options: " ".join(options)), **changes)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_plan_holds_the_rows_of_the_paper(preset: str) -> None:
    plan = load_plan(PLAN, preset)
    rows = [each.name for each in plan.scenarios if not each.extra]
    kinds = ["Synth", "Synth_DA", "Synth_DR", "Synth_DR+DA", "Synth_WS", "Synth_WS+DA", "Synth_WS+DR", "Synth_WS+DR+DA"]
    assert rows == ["Real", *kinds, *(f"{kind} (ft)" for kind in kinds), "Melding", "Melding_WS"]
    table_1 = [plan.scenario(name).name for name in plan.table_1]
    assert table_1 == ["Real", "Synth", "Synth_WS", "Synth (ft)", "Synth_WS (ft)"]
    for each in plan.scenarios:
        assert each.augment == ("DA" in each.name and "(ft)" not in each.name)
        assert each.extra or each.start == (each.id.removesuffix("_ft") if "(ft)" in each.name else None)
        data = [f"synth{light}{'_ws' if '_WS' in each.name else ''}" for light in ("", "_rot90", "_x2")]
        if each.start or each.extra or each.id == "real":
            assert each.train == ("real",)
        elif not each.meld:
            assert each.train == tuple(data if "DR" in each.name else data[:1])


def test_the_papers_figures_agree_with_each_other() -> None:
    plan = load_plan(PLAN, "small")
    for each in plan.scenarios:
        if each.paper:
            precision, recall, f1, _ = each.paper
            assert f1 == pytest.approx(2 * precision * recall / (precision + recall), abs=0.11), each.name
    for name, recalls in plan.table_1.items():
        of_defects = [recalls[of][1] for of in ("scratch", "bump", "dent")]
        assert plan.scenario(name).paper[3] == pytest.approx(sum(of_defects) / 3, abs=0.11), name


def test_the_synthetic_station_is_the_middle_of_the_twins() -> None:
    """A camera or light of the twin that is changed is changed here too; the light variants keep the recipes' cut."""
    plan = load_plan(PLAN, "full")
    twin: dict[str, dict] = {}
    for text in recipe_texts(REPOSITORY / plan.data[0].recipe):
        for section, values in tomllib.loads(text).items():
            twin[section] = {**twin.get(section, {}), **values} if isinstance(values, dict) else values
    as_built = tomllib.loads(recipe_texts(REPOSITORY / "scenes" / "recipes" / "synth.toml")[0])["camera"]["exposure_ms"]
    for each in plan.data[1:]:
        own = tomllib.loads((REPOSITORY / each.recipe).read_text()).get("camera", {}).get("exposure_ms", as_built)
        cut = {("camera", "exposure_ms"): own / as_built}
        assert each.over, each.id
        for section, values in each.over.items():
            for key, value in values.items():
                middle = np.mean(twin[section][key]) * cut.get((section, key), 1.0)
                assert value == pytest.approx(middle, rel=0.01), f"{each.id}: {section}.{key}"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('id = "synth_da"', 'id = "synth"', "two scenarios have the id 'synth'"),
        ('start = "synth"\n', 'start = "none"\n', "no earlier scenario 'none'"),
        ('start = "synth"\n', 'start = "melding"\n', "no earlier scenario 'melding'"),
        ('train = ["synth"]\n', 'train = ["synthh"]\n', "no data set 'synthh'"),
        ("augment = true", 'augment = "yes"', "expected bool"),
        ("augment = true", "augmented = true", "unknown key 'augmented'"),
        ("paper = [35.7, 68.4, 47.0, 98.9]", "paper = [35.7, 68.4]", "expected 4 numbers"),
        ("paper = [35.7, 68.4, 47.0, 98.9]", "", "expected the paper's figures, or extra = true"),
        ('meld = ["real", "synth", "synth_dr", "synth_da"]', 'meld = ["real"]', "at least two"),
        ('meld = ["real", "synth", "synth_dr", "synth_da"]', "", "either train"),
        ('figure = "precision"', 'figure = "accuracy"', "unknown figure 'accuracy'"),
        ('expected = "higher"', 'expected = "better"', "expected one of higher, lower, near"),
        ("margin = 3.0", "", "a margin above 0 belongs to"),
        ('of = "fine_tuned"', 'of = "fine"', "no scenario or group 'fine'"),
        ('members = ["synth", ', 'members = ["sinth", ', "no scenario 'sinth'"),
        ("[group.melded]", "[group.melding]", "a scenario has that name"),
        ("[table_1.real]", "[table_1.reel]", "no scenario 'reel'"),
        ("pictures = 16", "pictures = 0", "expected a number above 0"),
        ("pictures = 16", "", "expected a key 'pictures'"),
        ("camera = {", "camera = 5 # {", "expected a table"),
        ('labels = "drawn"', 'labels = "by hand"', "expected 'exact' or 'drawn'"),
        ("[presets.medium.set.synth_ws.stain]", "[presets.medium.set.synth_wet.stain]", "no data set 'synth_wet'"),
        ('start = "synth"\n', 'start = "synth"\ncoreset_size = 9\n', "keeps the size that it started with"),
        ('meld = ["real", "synth", "synth_dr", "synth_da"]', 'meld = ["real", "synth"]\nepochs = 2', "images are seen"),
        ("[real]", "[real", "not a TOML file"),
    ],
)
def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = PLAN.read_text(encoding="utf-8")
    assert old in text
    damaged = tmp_path / "paper.toml"
    damaged.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_plan(damaged, "medium" if "medium" in old or "drawn" in old else "small")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value).strip()[:60]


def test_an_unknown_preset_and_a_missing_file_are_told() -> None:
    with pytest.raises(UserError, match="expected one of small, medium, full, smoke"):
        load_plan(PLAN, "tiny")
    with pytest.raises(UserError, match="cannot read"):
        load_plan(PLAN.parent / "none.toml", "small")


@pytest.mark.parametrize("preset", PRESETS)
def test_jobs_come_after_what_they_need_and_recipes_count_as_the_renderer_counts(preset: str) -> None:
    plan = load_plan(PLAN, preset)
    seen: set[str] = set()
    for job in jobs_of(plan, setting()):
        assert seen.issuperset(job.needs), job.id
        seen.add(job.id)
    assert "dinov2.train" not in seen and "greedy.score" in seen
    counts = image_counts(plan, setting())
    real = {"small": (104, 40, 8, 56), "medium": (176, 40, 24, 112), "full": (432, 240, 24, 168),
            "smoke": (26, 10, 2, 14)}[preset]
    assert tuple(counts["real"].values()) == real
    assert counts["synth_ws"]["train"] == counts["synth_ws"]["all"] == plan.preset.pictures


def test_a_row_with_weights_of_its_own_is_made_with_them() -> None:
    plan = load_plan(PLAN, "small")
    of = ("--backbone", "vit_small_patch14_dinov2.lvd142m", "--weights", "hub")
    job = {each.id: each for each in jobs_of(plan, setting(extra_backbones={"dinov2": of}))}["dinov2.train"]
    command = command_of(job)
    assert all(part in command for part in of) and job.optional


def test_what_starts_from_a_row_without_weights_is_left_out_too() -> None:
    plan = load_plan(PLAN, "small")
    more = replace(plan.scenario("synth_ft"), id="dinov2_ft", start="dinov2", extra=True)
    ids = {job.id for job in jobs_of(replace(plan, scenarios=(*plan.scenarios, more)), setting())}
    assert not any(name.startswith("dinov2") for name in ids) and "synth_ft.score" in ids


def test_only_real_images_keep_their_border_and_only_DA_augments() -> None:
    plan = load_plan(PLAN, "small")
    for job in jobs_of(plan, setting()):
        if job.kind == "train" and "melding" not in job.id:
            command, of = command_of(job), plan.scenario(job.id.removesuffix(".train"))
            assert ("--no-border-mask" in command) == (of.train == ("real",))
            assert ("--augment" in command) == of.augment


def command_of(job: Job) -> list[str]:
    return job.commands(Path("folder"), {need: Path(need) for need in job.needs})[0][1]


def fingerprints(plan: Plan, of: Setting, versions: Mapping[str, str] = VERSIONS) -> dict[str, str]:
    found: dict[str, str] = {}
    for job in jobs_of(plan, of):
        found[job.id] = fingerprint({"id": job.id, **job.settings}, {need: found[need] for need in job.needs}, versions)
    return found


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {name for name in before if before[name] != after.get(name)}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(REPOSITORY / "scenes", tmp_path / "scenes")
    return tmp_path


def test_a_fingerprint_changes_with_an_input_and_with_nothing_else(copy: Path) -> None:
    plan = load_plan(PLAN, "small")
    before = fingerprints(plan, setting())
    assert len(set(before.values())) == len(before)
    elsewhere = setting(copy, threads=4, renderer=("blender", "-b"))
    assert fingerprints(plan, elsewhere) == before
    everything = set(before)
    assert changed(before, fingerprints(plan, setting(), VERSIONS | {"surface_impurities": "2"})) == everything

    recipe = copy / "scenes" / "recipes" / "synth_x2_ws.toml"
    recipe.write_text(recipe.read_text() + "\n# another word\n")
    after = changed(before, fingerprints(plan, elsewhere))
    with_it = {"synth_ws_dr", "synth_ws_dr_da", "synth_ws_dr_ft", "synth_ws_dr_da_ft", "melding_ws"}
    assert after == {"data.synth_x2_ws", *(f"{of}.{step}" for of in with_it for step in ("train", "score"))}

    base = copy / "scenes" / "recipes" / "inspection_twin.toml"  # what the small twin extends
    base.write_text(base.read_text().replace("seed = 8118", "seed = 8119"))
    assert "data.real" in changed(before, fingerprints(plan, elsewhere))


CHANGES: dict[str, tuple[Callable[[Plan], Plan], set[str]]] = {
    "epochs": (lambda plan: replace(plan, preset=replace(plan.preset, epochs=4)), {"real.train", "synth_ft.train"}),
    "coreset": (lambda plan: replace(plan, preset=replace(plan.preset, coreset_size=99)), {"real.train"}),
    "samples": (lambda plan: replace(plan, preset=replace(plan.preset, samples=99)), {"data.real", "data.synth"}),
    "scale": (lambda plan: replace(plan, preset=replace(plan.preset, scale=30.0)), {"data.real", "data.synth"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_settings_of_a_preset_enter_the_fingerprints(name: str) -> None:
    change, at_least = CHANGES[name]
    plan = load_plan(PLAN, "small")
    assert at_least <= changed(fingerprints(plan, setting()), fingerprints(change(plan), setting()))


def test_memory_and_titles_do_not_enter_the_fingerprints() -> None:
    plan = load_plan(PLAN, "small")
    other = replace(plan, preset=replace(plan.preset, title="x", memory_gib=9.0), label="y", findings=())
    assert fingerprints(other, setting()) == fingerprints(plan, setting())


def test_a_scenario_may_have_a_size_and_epochs_of_its_own() -> None:
    plan = load_plan(PLAN, "small")
    rows = [replace(each, coreset_size=77, epochs=3) if each.id == "synth" else each for each in plan.scenarios]
    other = replace(plan, scenarios=tuple(rows))
    command = command_of({job.id: job for job in jobs_of(other, setting())}["synth.train"])
    assert command[command.index("--coreset-size") + 1] == "77" and command[command.index("--epochs") + 1] == "3"
    with_it = {"synth", "synth_ft", "melding"}
    assert changed(fingerprints(plan, setting()), fingerprints(other, setting())) == {
        f"{of}.{step}" for of in with_it for step in ("train", "score")}


def test_the_stains_of_training_are_those_of_the_calibrated_twin() -> None:
    plan = load_plan(PLAN, "medium")
    twin = tomllib.loads((REPOSITORY / plan.data[0].recipe).read_text(encoding="utf-8"))["stain"]
    for each in plan.data[1:]:
        given = each.over.get("stain", {})
        assert bool(given) == each.id.endswith("_ws")
        assert all(twin[key] == value for key, value in given.items() if key in twin), each.id


def test_the_plan_of_the_stains_uses_what_the_papers_plan_has_made() -> None:
    """Its folder may be the other's: what both have is the same job; and one thing at a time is changed."""
    plan, stains = load_plan(PLAN, "medium"), load_plan(PLAN.with_name("stains.toml"), "medium")
    paper, ours = fingerprints(plan, setting()), fingerprints(stains, setting())
    assert {"data.real", "real.score", "synth.score", "synth_ws.score"} <= paper.keys() & ours.keys()
    assert all(ours[name] == paper[name] for name in paper.keys() & ours.keys())
    base = {each.id: each for each in stains.data}["synth_ws"]
    for each in stains.data:
        if each.id not in ("real", "synth", "synth_ws"):
            assert each.recipe == base.recipe and each.over["camera"] == base.over["camera"]
            assert sum(each.over["stain"][key] != base.over["stain"][key] for key in base.over["stain"]) == 1


def test_the_features_enter_what_is_trained_on_them() -> None:
    plan = load_plan(PLAN, "small")
    after = changed(fingerprints(plan, setting()), fingerprints(plan, setting(backbone=("--backbone", "other"))))
    assert after == {job.id for job in jobs_of(plan, setting()) if job.kind != "render"}


def test_a_derived_recipe_is_toml_and_says_what_lies_over_the_other() -> None:
    over = {"camera": {"focal_length_mm": 50.0}, "stain": {"splits": ["val"], "radius_mm": [1.0, 2.5]}}
    read = tomllib.loads(derived_recipe(Path("/a b/x.toml"), Data("synth", "x.toml", over, 3), "synth"))
    assert read == {"extends": "/a b/x.toml", "name": "synth", **over}
    read = tomllib.loads(derived_recipe(Path("x.toml"), Data("synth_ws", "r/synth_ws.toml", {}, 3, 77), "synth_ws"))
    assert read == {"extends": "x.toml", "name": "synth_ws", "seed": 77, "plates": "synth"}


def test_drawn_labels_are_made_after_the_rendering_and_models_are_judged_by_them(tmp_path: Path) -> None:
    jobs = {job.id: job for job in jobs_of(load_plan(PLAN, "medium"), setting())}
    (_, render), (_, labels) = jobs["data.real"].commands(tmp_path, {})
    assert "--human-labels" in render and render[render.index("--out") + 1] == str(tmp_path / "data")
    assert labels[3:6] == ["import", "labelme", str(tmp_path / "data")]
    assert labels[-2:] == ["--out", str(tmp_path / "drawn")]
    assert jobs["data.real"].product == "drawn/dataset.json"
    assert [len(jobs[f"data.{name}"].commands(tmp_path, {})) for name in ("synth", "synth_ws")] == [1, 1]
    exact = {job.id: job for job in jobs_of(load_plan(PLAN, "small"), setting())}["data.real"]
    assert len(exact.commands(tmp_path, {})) == 1 and exact.product == "data/dataset.json"


def test_the_folder_that_models_are_judged_by_is_the_drawn_one_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert labelled_folder(tmp_path) == tmp_path / "data"
    (tmp_path / "drawn").mkdir()
    assert labelled_folder(tmp_path) == tmp_path / "drawn"


def test_another_seed_renders_other_plates_but_keeps_pairs() -> None:
    """A clean set and the same with stains show the same plates, whatever the seed; nothing else shares one."""
    plan = load_plan(PLAN, "medium")
    other = with_seed(plan, 500)
    seeds = {each.id: each.seed for each in other.data}
    assert all(each.seed is None for each in plan.data)
    assert all(seeds[name] == seeds[f"{name}_ws"] for name in ("synth", "synth_rot90", "synth_x2"))
    sets_of_plates = {name.removesuffix("_ws") for name in seeds}
    assert sorted(set(seeds.values())) == [500 + place for place in range(len(sets_of_plates))]
    renders = {job.id for job in jobs_of(plan, setting()) if job.kind == "render"}
    assert renders <= changed(fingerprints(plan, setting()), fingerprints(other, setting()))


def test_the_code_enters_the_fingerprints_but_for_what_has_no_say(tmp_path: Path) -> None:
    (tmp_path / "ui").mkdir()
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "ui" / "b.py").write_text("1")
    before = code_digest(tmp_path, "ui"), code_digest(tmp_path)
    (tmp_path / "ui" / "b.py").write_text("2")
    (tmp_path / "notes.txt").write_text("2")
    after = code_digest(tmp_path, "ui"), code_digest(tmp_path)
    assert after[0] == before[0] and after[1] != before[1]
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    assert code_digest(tmp_path, "ui") != before[0]
