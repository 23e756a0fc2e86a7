# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs and data sets from the panel, by the headless renderer in a process of its own."""

import json

import numpy as np

from .tools import FOLDER, classes, grey, module, press, refusal, settings, stain

PAIRS, SETS = FOLDER / "pairs", FOLDER / "sets"


def check_pairs_show_the_plate_with_its_stain_and_without():
    assert "Choose a folder" in refusal("render_pair")
    settings().folder = str(PAIRS)
    press("remove_stain")
    assert press("render_pair") == {"FINISHED"}
    press("add_stain")
    assert press("render_pair") == {"FINISHED"}
    assert sorted(file.name for file in PAIRS.iterdir()) == [
        f"pair_000{k}_{kind}.png" for k in (1, 2) for kind in ("image", "instances", "mask")
    ]
    clean, stained = (classes(PAIRS / f"pair_000{k}_mask.png") for k in (1, 2))
    assert not clean.any() and set(np.unique(stained)) == {0, 6}
    images = [grey(PAIRS / f"pair_000{k}_image.png") for k in (1, 2)]
    assert (images[0] - images[1])[stained > 0].mean() > 0.005, "a negative intensity darkens"


def check_a_pairs_mask_is_that_of_the_field():
    """The mask against the NumPy field at the pixels' centres on the plate."""
    mask = classes(PAIRS / "pair_0002_mask.png")
    camera = module("ui.panel_recipe").sample_of(settings(), stain()).camera
    (height, width), field = mask.shape, camera.field_mm
    x = ((np.arange(width) + 0.5) / width - 0.5) * field[0] * 1e-3
    y = (0.5 - (np.arange(height) + 0.5) / height) * field[0] * 1e-3 * height / width
    points = np.stack([*np.meshgrid(x, y), np.zeros((height, width))], axis=-1).reshape(-1, 3)
    inside = module("core.stain.field").stain_field(points, module("ui.properties").stain_parameters(stain())).inside
    assert (inside.reshape(height, width) != (mask == 6)).sum() <= 2, "pixel centres to some digits, outlines apart"


def check_a_data_set_is_rendered_and_gone_on_with():
    settings().folder = str(SETS)
    settings().dataset.title, settings().dataset.count = "two", 1
    assert press("render_dataset") == {"FINISHED"}
    first = (SETS / "two" / "images" / "two_0000.png").read_bytes()
    settings().dataset.count = 2
    assert press("render_dataset") == {"FINISHED"}
    lines = (SETS / "two" / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["two_0000", "two_0001"]
    assert (SETS / "two" / "images" / "two_0000.png").read_bytes() == first
    radii = {json.loads(line)["parameters"]["stain"]["radius_mm"] for line in lines}
    assert len(radii) == 2 and all(2.8 <= radius <= 4.2 for radius in radii), "stains vary"


def check_another_data_set_under_the_same_name_is_refused():
    stain().intensity = -0.4
    assert "another recipe" in refusal("render_dataset")
    stain().intensity = -0.3


def check_impossible_data_sets_are_refused_in_words():
    settings().dataset.title = "a b"
    assert "letters, digits" in refusal("render_dataset")
    settings().dataset.title = "two"
    settings().dataset.variation = 0.9
    stain().radius_mm = 10.0
    assert "vary" in refusal("render_dataset")
    stain().radius_mm, settings().dataset.variation = 3.5, 0.2
    stain().distribution = "SINGLE"
    assert "choose the grid" in refusal("render_dataset")
    stain().distribution = "GRID"
    for split in ("train", "val", "test"):
        setattr(settings().dataset, split, 0)
    assert "weights" in refusal("export_recipe", filepath=str(FOLDER / "x.toml"))
    settings().dataset.train = 1


def check_the_exported_recipe_is_that_of_the_data_set():
    path = FOLDER / "exported.toml"
    assert press("export_recipe", filepath=str(path)) == {"FINISHED"}
    recipe = module("core.recipe.settings").load(path)
    assert recipe.name == "two" and recipe.count == 2 and path.read_text(encoding="utf-8").startswith("# A data set")
    assert "cannot write" in refusal("export_recipe", filepath=str(path / "below" / "a_file.toml"))


def check_a_stopped_render_keeps_what_is_finished():
    background = module("ui.background")
    settings().dataset.title, settings().dataset.count = "stopped", 50
    path = FOLDER / "stopped.toml"
    press("export_recipe", filepath=str(path))
    render = background.BackgroundRender(
        ["--recipe", str(path), "--out", str(SETS / "stopped"), "--json-progress"], "Data Set"
    )
    while render.poll() and render.done < 1:
        assert 0.0 <= render.fraction <= 1.0 and render.text
    assert render.seconds_left > 0 and "of 50" in render.text
    render.stop()
    render.wait()
    lines = (SETS / "stopped" / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    assert 1 <= len(lines) < 50
    assert not [file for file in (SETS / "stopped").rglob("*") if file.name.endswith(".part")]
