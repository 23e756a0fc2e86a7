# SPDX-License-Identifier: GPL-3.0-or-later
"""The formula of `core/inspection/brushing.py` as shader nodes, which every path evaluates anew: what the texture is
measured against, in speed and in its slopes. In place of the texture's group it has the same sockets.
"""

import math

import bpy

from blender_addon.core.inspection import brushing
from blender_addon.core.inspection.plate import Surface
from blender_addon.core.recipe.sample import Sample
from blender_addon.core.seeding import uniform
from blender_addon.scene import compat
from blender_addon.scene.nodes import Formula, Value
from blender_addon.scene.surface_nodes import _INPUTS, _OUTPUTS


def build_surface_group(sample: Sample, name: str, whole_plate: bool = False):
    """Like the texture's group, for any point of the plate."""


    surface = sample.surface
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    compat.ensure_group_sockets(tree, _INPUTS, _OUTPUTS)
    f = Formula(tree)
    grain = math.radians(surface.grain_angle_deg)
    cosine, sine = math.cos(grain), math.sin(grain)
    with f.frame("Grooves"):
        along = f.math("DOT_PRODUCT", f.input("Position"), (cosine, sine, 0.0))
        bent = f.math("DOT_PRODUCT", f.input("Position"), (-sine, cosine, 0.0))
        for k, (size, length) in enumerate(brushing._WAVES):
            phase = 2.0 * math.pi * uniform(surface.seed, k, "groove wave")
            bent = f.math("SINE", f.multiply_add(along, 2.0 * math.pi / length, phase)) * size + bent
        slope: Value | float = 0.0
        for scale in range(brushing.SCALES):
            slope = _one_scale(f, along, bent, surface, scale) + slope
        bands = _bands(f, along, f.math("DOT_PRODUCT", f.input("Position"), (-sine, cosine, 0.0)), surface)
        f.output("Reflectance", f.minimum(bands * surface.reflectance + surface.reflectance, 1.0))
        f.output("Roughness", bands * -surface.roughness + surface.roughness)
        f.output("Slope", f.combine(slope * -sine, slope * cosine))
    return tree


def _one_scale(f: Formula, along: Value, bent: Value, surface: Surface, scale: int) -> Value:
    spacing = surface.finest_spacing_um * 1e-3 * surface.scale_ratio**scale
    length = surface.groove_length_mm * surface.scale_ratio ** (0.25 * scale)
    lean = (2.0 * uniform(surface.seed, scale, "groove angle") - 1.0) * surface.angle_spread_deg
    even = f.multiply_add(along, math.tan(math.radians(lean)) / spacing, bent * (1.0 / spacing))
    place = even
    for k, (size, period) in enumerate(brushing._SPREADS):
        phase = 2.0 * math.pi * uniform(surface.seed, scale, f"groove spread {k}")
        place = f.math("SINE", f.multiply_add(even, 2.0 * math.pi / period, phase)) * size + place
    row = f.floor(place)
    start, stretch, _ = _draws(f, row, 0.0, scale, surface.seed)
    run = along / f.multiply_add(stretch, length, 0.5 * length) + start
    segment = f.floor(run)
    width, position, depth = _draws(f, row, segment, scale + brushing.SCALES, surface.seed)
    share = surface.groove_width * brushing._NARROWING**scale
    half = f.minimum(f.multiply_add(width, 0.4 * share, 0.3 * share), 0.49)
    centre = f.multiply_add(position, f.multiply_add(half, -2.0, 1.0), half)
    t = f.math("MAXIMUM", f.minimum((place - row - centre) / half, 1.0), -1.0)
    flank = f.multiply_add(t * t, t * -1.0, t)
    ramp = f.multiply_add(run - segment, 2.0, -1.0)
    ramp = ramp * ramp
    end = f.multiply_add(ramp, ramp * -1.0, 1.0)
    power = brushing._TAIL[scale]
    steepness = surface.groove_slope * brushing._STEEPNESS[scale] * (power + 1) / 2.0 * 4.0 / brushing._STEEPEST
    return flank * end * f.math("POWER", depth, float(power)) * steepness


def _bands(f: Formula, along: Value, across: Value, surface: Surface) -> Value:
    total: Value | float = 0.0
    for width_mm, weight in brushing._BANDS:
        noise = f.node("ShaderNodeTexNoise", noise_dimensions="4D")
        signed = compat.set_up_signed_noise(noise)
        point = f.node("ShaderNodeCombineXYZ")
        f.feed(point.inputs["X"], along * (1.0 / brushing._BAND_LENGTH_MM))
        f.feed(point.inputs["Y"], across * (1.0 / width_mm))
        f.feed(point.inputs["Z"], width_mm)
        f.feed(noise.inputs["Vector"], f.value(point, "Vector"))
        f.feed(noise.inputs["W"], float(surface.seed))
        value = Value(f, compat.noise_output(noise))
        total = (value if signed else value * 2.0 - 1.0) * (weight * surface.streak_contrast) + total
    return total


def _draws(f: Formula, row: Value, segment: Value | float, stream: int, seed: int) -> tuple[Value, Value, Value]:
    key = f.node("ShaderNodeCombineXYZ")
    for axis, operand in zip("XYZ", (row, segment, float(stream)), strict=True):
        f.feed(key.inputs[axis], operand)
    noise = f.node("ShaderNodeTexWhiteNoise", noise_dimensions="4D")
    f.feed(noise.inputs["Vector"], f.value(key, "Vector"))
    f.feed(noise.inputs["W"], float(seed))
    parts = f.node("ShaderNodeSeparateXYZ")
    f.tree.links.new(noise.outputs["Color"], parts.inputs["Vector"])
    return tuple(f.value(parts, axis) for axis in "XYZ")
