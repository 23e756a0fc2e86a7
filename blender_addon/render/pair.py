# SPDX-License-Identifier: GPL-3.0-or-later
"""One picture with its masks and with a given stain, for the panel: `render.py --pair REQUEST.json`.

The request: {"recipe": PATH, "stain": parameters or null, "device": NAME, "out": FOLDER}. The pair is the recipe's
sample 0 with that stain; progress comes as JSON lines. {"blend": PATH, "scene": NAME, "bits": 8 or 16, "device": NAME,
"out": FOLDER} asks for a pair of a person's own scene, as it is; with "features": {SECTION: VALUES} and "seed": MASTER
what a recipe with these sections lays on its first part is laid on it too.
"""

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from ..core.recipe.own_scene import unvaried_sample
from ..core.recipe.sample import draw_any, draw_sample
from ..core.recipe.settings import Recipe, load
from ..core.stain.parameters import StainParameters
from .command import DONE, FAULT, USAGE
from .progress import Progress


def main(arguments: Sequence[str]) -> int:
    """Render the pair; returns the exit code."""
    try:
        request = json.loads(Path(arguments[1]).read_text(encoding="utf-8"))
        out = Path(request["out"])
        if "blend" in request:
            laid = request.get("features", {}), request.get("seed", 0)
            render_own_pair(request["blend"], request["scene"], request["bits"], request["device"], out, *laid)
        else:
            render_pair(request["recipe"], request["stain"], request["device"], out)
    except UserError as error:
        print(f"render.py: {error}", file=sys.stderr)
        return USAGE
    except Exception:
        traceback.print_exc()
        return FAULT
    return DONE


def render_pair(recipe: str, stain: dict | None, device: str, out: Path) -> None:
    """Write image.png, mask.png and instances.png into `out`.

    Raises:
        UserError: a bad recipe, stain or device.
    """
    sample = replace(draw_sample(load(recipe), 0), stain=None if stain is None else StainParameters(**stain))
    progress = Progress(as_json=True)
    from . import session
    from .one_sample import render_sample

    with session.silence():
        scene, chosen = session.start(device, needs_osl=sample.render.stain_backend == "osl")
    progress.start(1, 0, chosen)
    progress.sample("pair")
    _, files = render_sample(scene, sample, chosen, out)
    for kind, data in files.items():
        (out / f"{kind}.png").write_bytes(data)
    progress.finished("pair")
    progress.end(str(out))


def render_own_pair(
    blend: str, scene: str, bits: int, device: str, out: Path, features: Mapping[str, Any], seed: int
) -> None:
    """Write image.png, mask.png and instances.png of a scene of this file into `out`, and region.png if it has one.

    features: sections of a recipe, for what is laid on its parts; seed: of what is drawn for them.

    Raises:
        UserError: what the scene lacks.
    """
    from . import own_scene

    recipe = Recipe("pair", "pair", "", 1, seed, (("train", 1),),
                    {"scene": {"file": blend, "name": scene}, "render": {"bits": bits}, **features})
    progress = Progress(as_json=True)
    own = own_scene.open_scene(recipe)
    sample = replace(unvaried_sample("pair"), seed=seed, features=draw_any(recipe, 0).features)
    own_scene.prepare(own, recipe, [sample])
    chosen = own_scene.set_up(own, recipe, device, 0)
    progress.start(1, 0, chosen)
    progress.sample("pair")
    _, files = own_scene.render_own_sample(own, sample, recipe, chosen, out)
    for kind, data in files.items():
        (out / f"{kind}.png").write_bytes(data)
    progress.finished("pair")
    progress.end(str(out))
