# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/new_feature.md, followed to the letter in a copy of the project."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]

CHECK = """
import json, sys
import numpy as np
from blender_addon.core.features.classes import PALETTE
from blender_addon.core.features.texture import bake_feature
from blender_addon.core.labels.masks import compose_labels, number_features
from blender_addon.core.recipe.sample import draw_sample
from blender_addon.core.recipe.settings import load

recipe = load("scenes/recipes/pitted.toml").with_values("render", "x", scale_percent=50.0)
sample = draw_sample(recipe, 0)
numbers, instance_list = number_features(sample)
mask, _, instance_list = compose_labels(np.zeros((*numbers.shape, 2)), numbers, instance_list)
pits = [entry for entry in instance_list if entry["class"] == "pit"]
texture = bake_feature(next(f for f in sample.features if type(f).__name__ == "Pit"), 0.04)
print(json.dumps({"pixels": [entry["pixels"] for entry in pits], "sevens": int((mask == 7).sum()),
                  "colour": PALETTE[7], "steep": float(np.abs(texture.shape_values[..., :2]).max()),
                  "record": [entry["class"] for entry in sample.parameters()["features"]]}))
"""


def test_the_page_adds_a_class(tmp_path):
    page = (ROOT / "docs" / "new_feature.md").read_text(encoding="utf-8")
    module, class_import, class_line = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (recipe,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    shutil.copytree(ROOT / "blender_addon", tmp_path / "blender_addon", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "scenes", tmp_path / "scenes")
    features = tmp_path / "blender_addon" / "core" / "features"
    (features / "pit.py").write_text(module, encoding="utf-8")
    table = (features / "classes.py").read_text(encoding="utf-8")
    last = next(line for line in table.splitlines(True) if '"water_stain"' in line)
    first = "from .bump import Bump\n"
    table = table.replace(first, class_import + first).replace(last, last + class_line)
    (features / "classes.py").write_text(table, encoding="utf-8")
    (tmp_path / "scenes" / "recipes" / "pitted.toml").write_text(recipe, encoding="utf-8")

    done = subprocess.run([sys.executable, "-c", CHECK], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["pixels"] and min(found["pixels"]) > 10 and sum(found["pixels"]) == found["sevens"]
    assert found["record"].count("pit") == len(found["pixels"]) and found["steep"] > 0.05
    assert found["colour"] == [0xF0, 0xE4, 0x42]
