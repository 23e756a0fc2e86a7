# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of `part_scenes.py` with stains, defects and impurities, each beside its mask, into docs/gallery/part_*.png.

    python tools/gallery/parts.py [--only NAME] [--samples N] [--width PIXELS]
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from studio import GAP, OUT, WHITE

from blender_addon.core.features.classes import PALETTE
from blender_addon.core.files import png
from blender_addon.core.recipe.sample import draw_any
from blender_addon.core.recipe.settings import Recipe
from blender_addon.render import own_features, own_passes, own_scene, session
from blender_addon.scene.ledger import Ledger

sys.path.insert(0, str(Path(__file__).parent))
from part_scenes import PARTS, make

COMMON = {"border_mm": 1.0, "distance_mm": 1.5}
FEATURES = {
    "scratch": {"count": 3, "length_mm": 14.0, "width_um": 180.0, "depth_um": 14.0, "bow_mm": 0.4, **COMMON},
    "dent": {"count": 3, "diameter_mm": 4.5, "depth_um": 160.0, **COMMON},
    "bump": {"count": 2, "diameter_mm": 3.5, "height_um": 120.0, **COMMON},
    "fingerprint": {"count": 1, "width_mm": 11.0, "length_mm": 14.0, **COMMON},
    "sticker": {"count": 1, "width_mm": 14.0, "height_mm": 8.0, **COMMON},
}
SEEN = 6
"""Of so many parts, the one of which the camera sees most is shown."""


def pair(name: str, width: int, samples: int, folder: Path) -> np.ndarray:
    """Picture and mask of a part side by side: (H, W, 3) uint8."""
    scene = make(name, (width, width * 3 // 4), samples)
    own = own_scene.find(scene)
    recipe = Recipe(name, name, "", SEEN, 4, (("train", 1),), {"scene": {}, **FEATURES})
    found = []
    for index in range(SEEN):
        laid = own_features.lay_on_parts(own.surfaces, draw_any(recipe, index))
        labels = own_scene.scene_labels(own, folder, laid)
        found.append((len({entry["class"] for entry in labels.instance_list}), len(found), laid, labels))
    _, _, laid, labels = max(found, key=lambda each: each[:2])
    with Ledger() as changes:
        laid.show(changes)
        picture = own_passes.render_picture(scene, folder, 8)
    colours = np.array(PALETTE, np.uint8)[labels.mask]
    colours[labels.region & (labels.mask == 0)] = 45
    gap = np.full((picture.shape[0], GAP, 3), WHITE, np.uint8)
    return np.concatenate([picture, gap, colours], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(PARTS), help="this part alone")
    parser.add_argument("--samples", type=int, default=64, help="light paths per pixel (default 64)")
    parser.add_argument("--width", type=int, default=480, help="of each picture, in pixels (default 480)")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, session.silence():
        for name in [options.only] if options.only else PARTS:
            beside = options.out / f".part_{name}.png"
            beside.write_bytes(png.encode(pair(name, options.width, options.samples, Path(folder))))
            beside.replace(options.out / f"part_{name}.png")
            print(options.out / f"part_{name}.png", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the wheel may hang while it tears itself down
