# SPDX-License-Identifier: GPL-3.0-or-later
"""The features of a plate as a node group: their fields as textures, one or two look-ups each.

As shader nodes, a scratch's formula took sixty nodes and its every constant a place on the shader's stack, so that few
features filled it. A texture costs the same for any formula, and there is one formula only, that of `core/features/`.
"""

from collections.abc import Sequence

import bpy
import numpy as np

from ..core.features.classes import CLASS_OF
from ..core.features.feature import Feature
from ..core.features.texture import FeatureTexture, bake_feature
from . import compat
from .compat import SocketSpec
from .image import float_image
from .nodes import Formula, Value

POSITION = "Position"
_INPUTS = (
    SocketSpec(POSITION, "VECTOR", (0.0, 0.0, 0.0), tooltip="Object space, millimetres"),
    SocketSpec("Slope", "VECTOR", (0.0, 0.0, 0.0), tooltip="Of the metal, derivatives of its height in x and y"),
    SocketSpec("Reflectance", "FLOAT", 0.9, tooltip="Of the metal at normal incidence"),
    SocketSpec("Roughness", "FLOAT", 0.25, tooltip="Of the metal's microfacets"),
    SocketSpec("Anisotropy", "FLOAT", 0.7, tooltip="Of the metal's microfacets"),
    SocketSpec("Across", "VECTOR", (0.0, 1.0, 0.0), tooltip="Direction across the metal's grain, object space"),
)
_OUTPUTS = (
    SocketSpec("Slope", "VECTOR", tooltip="Of metal and features together"),
    SocketSpec("Reflectance", "FLOAT", tooltip="Less what films take"),
    SocketSpec("Roughness", "FLOAT", tooltip="Where a feature has a surface of its own, the feature's"),
    SocketSpec("Anisotropy", "FLOAT", tooltip="Where a feature has a surface of its own, the feature's"),
    SocketSpec("Across", "VECTOR", tooltip="Where a feature has a surface of its own, across the feature's grain"),
    SocketSpec("Cover", "FLOAT", tooltip="1 where something opaque lies on the metal"),
    SocketSpec("Albedo", "FLOAT", tooltip="Diffuse reflectance of what covers"),
    SocketSpec("Cover Slope", "VECTOR", tooltip="Derivatives of the height of what covers"),
    SocketSpec("Cover Roughness", "FLOAT", tooltip="Of what covers"),
    SocketSpec("Cover Gloss", "FLOAT", tooltip="Specular share of what covers"),
)
_PASSED_ON = ("Slope", "Reflectance", "Roughness", "Anisotropy", "Across")


def build_feature_group(features: Sequence[Feature], pixel_mm: float, name: str) -> bpy.types.ShaderNodeTree:
    """A group that lays the `features` over the metal, in their order, for images whose pixels see `pixel_mm`."""
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    compat.ensure_group_sockets(tree, _INPUTS, _OUTPUTS)
    f = Formula(tree)
    with f.frame("The metal"):
        total: dict[str, Value | float | tuple] = {key: f.input(key) for key in _PASSED_ON}
    total |= {"Cover": 0.0, "Albedo": 0.0, "Cover Slope": (0.0, 0.0, 0.0), "Cover Roughness": 0.0, "Cover Gloss": 0.0}
    for number, feature in enumerate(features, start=1):
        title = f"{number} {CLASS_OF[type(feature)].name}"
        with f.frame(title):
            texture = bake_feature(feature, pixel_mm)
            place = _place(f, f.input(POSITION), feature, texture)
            slope_x, slope_y, own = look_up(f, place, texture.shape_values, f"{name} {title}")
            slope = f.combine(slope_x, slope_y)
            if texture.optical_values is not None:
                loss, cover, albedo = look_up(f, place, texture.optical_values, f"{name} {title} optics")
                total["Reflectance"] = total["Reflectance"] * (1.0 - loss)
            if feature.gloss:
                _lay_over(f, total, feature, slope, cover, albedo)
                continue
            total["Slope"] = total["Slope"] + slope
            if not texture.shape_values[..., 2].any():
                continue
            total["Roughness"] = _blend(total["Roughness"], feature.roughness, own)
            total["Anisotropy"] = _blend(total["Anisotropy"], feature.anisotropy, own)
            if feature.anisotropy:
                cosine, sine = feature.direction
                total["Across"] = total["Across"] + ((-sine, cosine, 0.0) - total["Across"]) * own
    for socket, value in total.items():
        if isinstance(value, Value):
            f.output(socket, value)
    f.arrange()
    return tree


def _lay_over(f: Formula, total: dict, feature: Feature, slope: Value, cover: Value, albedo: Value) -> None:
    """Something opaque: where it lies, it hides what lay there before."""
    total["Cover"] = f.math("MAXIMUM", cover, total["Cover"])
    total["Cover Slope"] = slope + total["Cover Slope"]
    for key, value in (("Albedo", albedo), ("Cover Roughness", feature.roughness), ("Cover Gloss", feature.gloss)):
        total[key] = _blend(total[key], value, cover)


def _place(f: Formula, position: Value, feature: Feature, texture: FeatureTexture) -> Value:
    """The point of the texture, 0 to 1, that belongs to a position."""
    cosine, sine = feature.direction
    (left, bottom), (width, height) = texture.corner_mm, texture.size_mm
    relative = position - (feature.centre_x_mm, feature.centre_y_mm, 0.0)
    u = f.math("DOT_PRODUCT", relative, (cosine / width, sine / width, 0.0)) - left / width
    v = f.math("DOT_PRODUCT", relative, (-sine / height, cosine / height, 0.0)) - bottom / height
    return f.combine(u.named("u"), v.named("v"))


def look_up(f: Formula, place: Value, values: np.ndarray, name: str) -> tuple[Value, Value, Value]:
    """Three channels of a texture of (rows, columns, 3) values at a place from 0 to 1; nothing outside."""
    node = f.node("ShaderNodeTexImage", image=float_image(values, name), interpolation="Linear", extension="CLIP")
    f.feed(node.inputs["Vector"], place)
    parts = f.node("ShaderNodeSeparateXYZ")
    f.tree.links.new(node.outputs["Color"], parts.inputs["Vector"])
    return tuple(f.value(parts, axis) for axis in "XYZ")


def _blend(outside: Value | float, inside: Value | float, share: Value) -> Value:
    return share * (inside - outside) + outside
