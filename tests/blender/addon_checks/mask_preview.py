# SPDX-License-Identifier: GPL-3.0-or-later
"""The mask in the viewport: what it shows is the mask, and it goes without a trace."""

import bpy
import numpy as np

from .tools import FOLDER, add_object, behind, grey, picture_of, press, settings


def check_the_preview_goes_without_a_trace():
    tree, _ = add_object()
    before = picture_of(tree)
    press("add_stain")
    stained = picture_of(tree)
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    press("show_mask")
    assert behind(tree, output.inputs["Surface"]) == "MIX_SHADER"
    press("show_mask")
    assert picture_of(tree) == stained
    press("show_mask")
    press("remove_stain")
    assert picture_of(tree) == before


def check_the_preview_shows_the_mask():
    """Rendered at pixel centres: black and white alone, and both of them."""
    own = bpy.context.scene
    settings().scale_percent, settings().samples = 4.0, 1
    press("set_up_inspection")
    press("show_mask")
    scene = bpy.context.scene
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.samples = 1
    picture = _rendered(scene)
    values = np.unique(picture)
    assert len(values) == 2 and np.allclose(values, (0.0, 1.0), atol=1e-6), values[:9]
    press("show_mask")
    assert len(np.unique(_rendered(scene))) > 20
    bpy.context.window.scene = own


def _rendered(scene) -> np.ndarray:
    scene.render.filepath = str(FOLDER / "preview.exr")
    bpy.ops.render.render(write_still=True, scene=scene.name)
    return grey(FOLDER / "preview.exr")
