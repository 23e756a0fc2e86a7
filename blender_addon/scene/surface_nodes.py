# SPDX-License-Identifier: GPL-3.0-or-later
"""The brushed surface as a node group around a texture: `core/inspection/brushing.py`, evaluated once for all paths.

As nodes, three scales of grooves were half of the cost of a path. The texture costs the same for any number of scales.
"""

import math

import bpy
import numpy as np

from ..core.inspection.brushing import bake_grain, coarsening, to_grain
from ..core.recipe.sample import Sample
from . import compat
from .compat import SocketSpec
from .image import float_image
from .nodes import Formula

POSITION = "Position"
_MARGIN_MM = 0.5

_INPUTS = (SocketSpec(POSITION, "VECTOR", (0.0, 0.0, 0.0), tooltip="Object space, millimetres"),)
_OUTPUTS = (
    SocketSpec("Slope", "VECTOR", tooltip="Derivatives of the height in x and y"),
    SocketSpec("Reflectance", "FLOAT", tooltip="At normal incidence"),
    SocketSpec("Roughness", "FLOAT", tooltip="Microfacet roughness"),
)


def build_surface_group(sample: Sample, name: str, whole_plate: bool = False) -> bpy.types.ShaderNodeTree:
    """A group with the surface of `sample` written in; metres never occur inside, lengths are mm.

    The texture covers what the camera sees, or the whole plate; beyond it, its border goes on.
    """
    surface = sample.surface
    pixel_um = sample.camera.object_pixel_um * 100.0 / sample.render.scale_percent
    coarsen = 1 if whole_plate else coarsening(surface, pixel_um)
    texture = bake_grain(surface, *_window(sample, whole_plate), coarsen)
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    compat.ensure_group_sockets(tree, _INPUTS, _OUTPUTS)
    f = Formula(tree)
    grain = math.radians(surface.grain_angle_deg)
    cosine, sine = math.cos(grain), math.sin(grain)
    (left, bottom), (length, height) = texture.corner_mm, texture.size_mm

    with f.frame("Grain: place in the texture"):
        position = f.input(POSITION)
        u = f.math("DOT_PRODUCT", position, (cosine / length, sine / length, 0.0)) - left / length
        v = f.math("DOT_PRODUCT", position, (-sine / height, cosine / height, 0.0)) - bottom / height
        lookup = f.node("ShaderNodeTexImage", "grooves", image=float_image(texture.values, name))
        # A mean of two rows that are far apart would be a slope that neither has.
        lookup.interpolation, lookup.extension = "Linear" if coarsen == 1 else "Closest", "EXTEND"
        f.feed(lookup.inputs["Vector"], f.combine(u.named("along"), v.named("across")))
        parts = f.node("ShaderNodeSeparateXYZ")
        tree.links.new(lookup.outputs["Color"], parts.inputs["Vector"])
        slope, bands = f.value(parts, "X").named("dh/dc, bands"), f.value(parts, "Y")

    with f.frame("Bands along the grain"):
        f.output("Reflectance", f.minimum(bands * surface.reflectance + surface.reflectance, 1.0))
        f.output("Roughness", bands * -surface.roughness + surface.roughness)
    with f.frame("Slope in x and y"):
        f.output("Slope", f.combine(slope * -sine, slope * cosine))
    f.arrange()
    return tree


def _window(sample: Sample, whole_plate: bool) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of the rectangle in grain space that holds what is seen of the plate, mm."""
    half = np.array([sample.plate.width_mm, sample.plate.length_mm]) / 2.0
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    corners = signs * half
    if not whole_plate:
        seen = sample.plate.from_world(signs * np.array(sample.camera.field_mm) / 2.0)
        low, high = np.clip([seen.min(axis=0), seen.max(axis=0)], -half, half)
        corners = np.where(signs < 0, low, high)
    along, across = to_grain(corners, sample.surface)
    ends = (along.min(), along.max(), across.min(), across.max())
    return tuple(float(end) + side * _MARGIN_MM for end, side in zip(ends, (-1, 1, -1, 1), strict=True))
