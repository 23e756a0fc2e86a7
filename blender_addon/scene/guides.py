# SPDX-License-Identifier: GPL-3.0-or-later
"""What the denoiser is told of the surface, by the same paths that make the picture: shader outputs of their own."""

from collections.abc import Mapping

import bpy
import numpy as np

from ..core.recipe.sample import Sample
from . import compat

_SHAPE, _METAL = "Guide Shape", "Guide Metal"
GUIDES = (_SHAPE, _METAL)
"""Layers of the picture: (slope x, slope y, albedo of what covers) and (reflectance, roughness, cover)."""

_SLOPE, _REFLECTANCE, _ROUGHNESS = 0.01, 0.02, 0.01
"""Differences that count as large, see `core/inspection/denoise.py`."""


def ensure_layers(scene: bpy.types.Scene) -> None:
    """Make the picture carry the guides."""
    layers = scene.view_layers[0].aovs
    for name in GUIDES:
        if name not in layers:
            compat.add_shader_layer(scene.view_layers[0], name)


def remove_layers(scene: bpy.types.Scene) -> None:
    """Make renders carry nothing beside the picture: a pass that needs no guides takes two thirds of the time."""
    for name in GUIDES:
        compat.remove_shader_layer(scene.view_layers[0], name)


def add_guides(tree, metal: Mapping, laid) -> None:
    """Write the metal's sockets or numbers, and those of the node `laid` that covers it or None, to the guides."""
    slope = tree.nodes.new("ShaderNodeSeparateXYZ")
    slope.location = (100, 900)
    tree.links.new(metal["Slope"], slope.inputs["Vector"])
    cover, albedo = (0.0, 0.0) if laid is None else (laid.outputs["Cover"], laid.outputs["Albedo"])
    _write(tree, _SHAPE, (slope.outputs["X"], slope.outputs["Y"], albedo), 900)
    _write(tree, _METAL, (metal["Reflectance"], metal["Roughness"], cover), 700)


def guides_of(layers: Mapping[str, np.ndarray], sample: Sample, with_cover: bool | None = None) -> list[np.ndarray]:
    """The denoiser's guides from the layers "NAME.R" … of a render, scaled; each (H, W) float32.

    with_cover: whether what covers is among them; None asks the layers.
    """
    slope_x, slope_y, albedo = (layers[f"{_SHAPE}.{channel}"] for channel in "RGB")
    reflectance, roughness, cover = (layers[f"{_METAL}.{channel}"] for channel in "RGB")
    slope_x, slope_y = slope_x / np.float32(_SLOPE), slope_y / np.float32(_SLOPE)
    surface = sample.surface
    found = [
        slope_x,
        slope_y,
        slope_x**2 + slope_y**2,
        (reflectance - np.float32(surface.reflectance)) / np.float32(_REFLECTANCE),
        (roughness - np.float32(surface.roughness)) / np.float32(_ROUGHNESS),
    ]
    return [*found, cover, albedo] if (has_cover(layers) if with_cover is None else with_cover) else found


def has_cover(layers: Mapping[str, np.ndarray]) -> bool:
    """Whether anything covers the metal."""
    return bool(layers[f"{_METAL}.B"].any())


def stain_guide(stains: np.ndarray) -> np.ndarray:
    """A guide from what stains leave of the reflectance: the label pass (H, W, 3) -> (H, W) float32.

    The pass knows the pixels' centres only; the picture's pixels are about as wide as the binomial filter.
    """
    # The soft half of an outline lies outside the mask; past the plate there is 0 of everything.
    left = np.where((stains[..., 1] > 0.5) | (stains[..., 2] > 0.0), stains[..., 2], np.float32(1.0))
    taken = np.pad(left - np.float32(1.0), 1, mode="edge") / np.float32(_REFLECTANCE)
    taken = (taken[:-2] + 2 * taken[1:-1] + taken[2:]) / 4
    return (taken[:, :-2] + 2 * taken[:, 1:-1] + taken[:, 2:]) / 4


def _write(tree, name: str, values: tuple, height: float) -> None:
    combine = tree.nodes.new("ShaderNodeCombineXYZ")
    combine.location = (300, height)
    for axis, value in zip("XYZ", values, strict=True):
        if isinstance(value, bpy.types.NodeSocket):
            tree.links.new(value, combine.inputs[axis])
        else:
            combine.inputs[axis].default_value = value
    output = tree.nodes.new("ShaderNodeOutputAOV")
    output.location = (500, height)
    compat.name_shader_output(output, name)
    tree.links.new(combine.outputs["Vector"], output.inputs["Color"])
