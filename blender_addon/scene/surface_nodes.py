# SPDX-License-Identifier: GPL-3.0-or-later
"""The brushed surface as a node group: superposed grooves that give a slope, and bands of slightly other reflectance.

Per scale k, with the grain along a and across c (mm), spacing s, mean length l, all draws by the one hash:

    row     = floor(c / s)                    each row of width s has grooves end to end
    segment = floor(a / (l m(row)) + o(row))  of a length m and with a start o of its own
    t       = (fract(c / s) - centre) / half  centre, half width and depth drawn per (row, segment);
                                              D is such that the flank has the slope that is drawn
    h       = -D (1 - t²)² E,  E = 1 - (2 e - 1)⁴,  e the place along the segment
    dh/dc   = D 4 t (1 - t²) E / (half s)     what bends the normal; dh/da is a thousandth of it and left out

Slopes are analytic: a Bump node would cost three evaluations and depend on the size of a pixel.
"""

import math

import bpy

from ..core.plate import Surface
from ..core.seeding import uniform
from . import compat
from .compat import SocketSpec
from .nodes import Formula, Value

POSITION = "Position"
_SCALES = 3
_SCALE_WEIGHTS = (1.5, 0.8, 0.6)
"""Steepness of the scales: wide marks are shallow."""
_STEEPEST = 1.5396
"""The greatest value of 4 t (1 - t²), at t = 1/√3."""

_INPUTS = (SocketSpec(POSITION, "VECTOR", (0.0, 0.0, 0.0), tooltip="Object space, millimetres"),)
_OUTPUTS = (
    SocketSpec("Slope", "VECTOR", tooltip="Derivatives of the height in x and y"),
    SocketSpec("Reflectance", "FLOAT", tooltip="At normal incidence"),
    SocketSpec("Roughness", "FLOAT", tooltip="Microfacet roughness"),
)


def build_surface_group(surface: Surface, name: str) -> bpy.types.ShaderNodeTree:
    """A group with `surface` written in; metres never occur inside, lengths are mm."""
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    compat.ensure_group_sockets(tree, _INPUTS, _OUTPUTS)
    f = Formula(tree)
    grain = math.radians(surface.grain_angle_deg)
    cosine, sine = math.cos(grain), math.sin(grain)

    with f.frame("Grain: along and across, mm"):
        along = f.math("DOT_PRODUCT", f.input(POSITION), (cosine, sine, 0.0)).named("along")
        across = f.math("DOT_PRODUCT", f.input(POSITION), (-sine, cosine, 0.0)).named("across")

    slope: Value | float = 0.0
    for scale in range(_SCALES):
        with f.frame(f"Grooves, scale {scale + 1}"):
            slope = _groove_slope(f, along, across, surface, scale) + slope

    with f.frame("Bands along the grain"):
        bands = _bands(f, along, across, surface).named("bands")
        f.output("Reflectance", f.minimum(bands * surface.reflectance + surface.reflectance, 1.0))
        f.output("Roughness", bands * -surface.roughness + surface.roughness)
    with f.frame("Slope in x and y"):
        f.output("Slope", _combine(f, slope * -sine, slope * cosine))
    f.arrange()
    return tree


def _groove_slope(f: Formula, along: Value, across: Value, surface: Surface, scale: int) -> Value:
    """dh/dc of the grooves of one scale."""
    spacing = surface.finest_spacing_um * 1e-3 * surface.scale_ratio**scale
    length = surface.groove_length_mm * surface.scale_ratio ** (0.5 * scale)
    lean = (2.0 * uniform(surface.seed, scale, "groove angle") - 1.0) * surface.angle_spread_deg

    place = f.multiply_add(along, math.tan(math.radians(lean)) / spacing, across * (1.0 / spacing))
    row = f.floor(place)
    start, stretch, _ = _draws(f, row, 0.0, scale, surface.seed)
    run = f.multiply_add(start, 100.0, along / f.multiply_add(stretch, length, 0.5 * length))
    segment = f.floor(run)
    width, position, depth = _draws(f, row, segment, scale + _SCALES, surface.seed)

    half = f.minimum(f.multiply_add(width, 0.6 * surface.groove_width, 0.2 * surface.groove_width), 0.49)
    centre = f.multiply_add(position, f.multiply_add(half, -2.0, 1.0), half)
    t = f.math("MAXIMUM", f.minimum((place - row - centre) / half, 1.0), -1.0).named("t")
    flank = f.multiply_add(t * t, t * -1.0, t)
    ramp = f.multiply_add(run - segment, 2.0, -1.0)
    ramp = ramp * ramp
    end = f.multiply_add(ramp, ramp * -1.0, 1.0)
    # Draws with the mean 1/2 and 1/3: fine grooves lie everywhere, of the wide ones few are deep.
    mean, weight = (0.5, depth) if scale == 0 else (1.0 / 3.0, depth * depth)
    steepness = surface.groove_slope * _SCALE_WEIGHTS[scale] / mean * 4.0 / _STEEPEST
    return (flank * end * weight * steepness).named("dh/dc")


def _bands(f: Formula, along: Value, across: Value, surface: Surface) -> Value:
    """Signed relative variation: smooth along the grain, over two widths across it."""
    total: Value | float = 0.0
    for width_mm, weight in ((4.0, 0.6), (0.7, 0.4)):
        vector = _combine(f, along * (1.0 / 60.0), across * (1.0 / width_mm), 0.37 * surface.seed + width_mm)
        noise = f.node("ShaderNodeTexNoise", "Perlin", noise_dimensions="3D")
        signed = compat.set_up_signed_noise(noise)
        f.feed(noise.inputs["Vector"], vector)
        value = Value(f, compat.noise_output(noise))
        total = (value if signed else value * 2.0 - 1.0) * (weight * surface.streak_contrast) + total
    return total


def _draws(f: Formula, row: Value, segment: Value | float, stream: int, seed: int) -> tuple[Value, Value, Value]:
    """Three draws in [0, 1] for (row, segment)."""
    key = _combine(f, row, segment, float(stream))
    noise = f.node("ShaderNodeTexWhiteNoise", "hash", noise_dimensions="4D")
    f.feed(noise.inputs["Vector"], key)
    f.feed(noise.inputs["W"], float(seed))
    parts = f.node("ShaderNodeSeparateXYZ")
    f.tree.links.new(noise.outputs["Color"], parts.inputs["Vector"])
    return tuple(f.value(parts, axis) for axis in "XYZ")


def _combine(f: Formula, x: Value | float, y: Value | float, z: Value | float = 0.0) -> Value:
    node = f.node("ShaderNodeCombineXYZ")
    for axis, operand in zip("XYZ", (x, y, z), strict=True):
        f.feed(node.inputs[axis], operand)
    return f.value(node, "Vector")
