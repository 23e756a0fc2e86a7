# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratches and dents as a node group: `core/scratch.py` and `core/dent.py` in nodes, one frame each."""

import math
from collections.abc import Sequence

import bpy

from ..core.dent import SMALLEST_RHO, Dent
from ..core.scratch import Scratch
from . import compat
from .compat import SocketSpec
from .nodes import Formula, Value

POSITION = "Position"
_INPUTS = (SocketSpec(POSITION, "VECTOR", (0.0, 0.0, 0.0), tooltip="Object space, millimetres"),)
_OUTPUTS = (
    SocketSpec("Slope", "VECTOR", tooltip="Derivatives of the height in x and y, all defects together"),
    SocketSpec("Height", "FLOAT", tooltip="Millimetres, all defects together"),
    SocketSpec("Number", "FLOAT", tooltip="1 for the first defect of the list and so on, 0 outside; the last one wins"),
    SocketSpec("Scratched", "FLOAT", tooltip="How much of the surface is that of a scratch's bottom, 0 to 1"),
    SocketSpec("Scratch Roughness", "FLOAT", tooltip="Microfacet roughness at the bottom of the scratch"),
)


def build_defect_group(defects: Sequence[Scratch | Dent], name: str) -> bpy.types.ShaderNodeTree:
    """A group with the `defects` written in, numbered in their order."""
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    compat.ensure_group_sockets(tree, _INPUTS, _OUTPUTS)
    f = Formula(tree)
    total = {"Slope": (0.0, 0.0, 0.0), "Height": 0.0, "Number": 0.0, "Scratched": 0.0, "Scratch Roughness": 0.0}
    for number, defect in enumerate(defects, start=1):
        with f.frame(f"{number}: {type(defect).__name__.lower()}"):
            field = _scratch if isinstance(defect, Scratch) else _dent
            height, slope, inside, scratched = field(f, f.input(POSITION), defect)
            total["Slope"] = slope + total["Slope"]
            total["Height"] = height + total["Height"]
            total["Number"] = f.math("MAXIMUM", inside * float(number), total["Number"])
            if isinstance(defect, Scratch):
                total["Scratched"] = f.math("MAXIMUM", scratched, total["Scratched"])
                total["Scratch Roughness"] = f.math("MAXIMUM", inside * defect.roughness, total["Scratch Roughness"])
    for socket, value in total.items():
        if isinstance(value, Value):
            f.output(socket, value)
    f.arrange()
    return tree


def build_near_group(defects: Sequence[Scratch | Dent], name: str) -> bpy.types.ShaderNodeTree:
    """A cheap test: 1 in circles around the defects, outside of which their slopes are too small to be seen."""
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    near_output = SocketSpec("Near", "FLOAT", tooltip="1 where a defect may bend the normal, 0 elsewhere")
    compat.ensure_group_sockets(tree, _INPUTS, (near_output,))
    f = Formula(tree)
    with f.frame("Circles around the defects"):
        near: Value | float = 0.0
        for defect in defects:
            (x, y), radius = defect.circle()
            near = f.math("MAXIMUM", f.distance(f.input(POSITION), (x, y, 0.0)) < radius, near)
        f.output("Near", near)
    f.arrange()
    return tree


def _scratch(f: Formula, position: Value, scratch: Scratch) -> tuple[Value, Value, Value, Value | float]:
    """Height, slope, mask and share of ploughed surface of one scratch, in the order of `scratch_field`."""
    half, width = scratch.length_mm / 2.0, scratch.width_um * 0.5e-3
    depth, cut, waver = scratch.depth_um * 1e-3, scratch.cut_um * 1e-3, scratch.waver_um * 1e-3
    b, q, period = scratch.shoulder, scratch.unevenness, scratch.pressure_period_mm
    u, v = _to_local(f, position, scratch)

    end = f.math("MAXIMUM", 1.0 - (u / half) * (u / half), 0.0).named("end")
    wave = u * (math.pi / period) + math.radians(scratch.phase_deg)
    sine = f.math("SINE", wave)
    pressure = (1.0 - sine * sine * q).named("pressure")
    taper = (end * end * pressure).named("T")
    taper_u = u * (-4.0 / half**2) * end * pressure - end * end * (q * math.pi / period) * f.math("SINE", wave * 2.0)

    path = (1.0 - (u / half) * (u / half)) * scratch.bow_mm + f.math("SINE", wave * 3.0) * waver
    path_u = u * (-2.0 * scratch.bow_mm / half**2) + f.math("COSINE", wave * 3.0) * (3.0 * math.pi / period * waver)
    t = ((v - path) / width).named("t")
    square = t * t
    bell = f.math("EXPONENT", square * -0.5).named("bell")
    profile = (1.0 - square * b) * bell
    profile_t = (square * b - (1.0 + 2.0 * b)) * t * bell

    height = (taper * profile * -depth).named("height")
    slope_u = (taper_u * profile + taper * profile_t * path_u * (-1.0 / width)) * -depth
    slope_v = taper * profile_t * (-depth / width)
    envelope = taper * (square * b + 1.0) * bell * depth
    inside = (1.0 - (envelope < cut)).named("inside")
    ploughed = f.minimum(taper * bell * 2.0, 1.0).named("ploughed")
    return height, _to_plate(f, slope_u, slope_v, scratch.angle_deg), inside, ploughed


def _dent(f: Formula, position: Value, dent: Dent) -> tuple[Value, Value, Value, Value | float]:
    """Height, slope and mask of one dent, in the order of `dent_field`; pressed, not ploughed."""
    a = dent.diameter_mm / 2.0
    b = a * dent.aspect
    depth, lip, ring = dent.depth_um * 1e-3, dent.lip_um * 1e-3, dent.ring_um * 1e-3
    turns = 2.0 * math.pi * dent.rings
    u, v = _to_local(f, position, dent)

    square = ((u / a) * (u / a) + (v / b) * (v / b)).named("rho²")
    rho = f.math("SQRT", square).named("rho")
    g = f.math("MAXIMUM", 1.0 - square, 0.0).named("g")
    tilt = u * (dent.lean / a) + 1.0
    edge = f.math("EXPONENT", f.math("ABSOLUTE", rho - 1.0) / -dent.lip_width) * lip
    angle = square * turns
    height = (tilt * g * -depth + edge + f.math("COSINE", angle) * g * g * ring).named("height")

    floor_s = tilt * depth * (square < 1.0)
    ring_s = (f.math("SINE", angle) * g * turns + f.math("COSINE", angle) * 2.0) * g * -ring
    edge_s = edge * f.math("SIGN", rho - 1.0) * (-0.5 / dent.lip_width) / f.math("MAXIMUM", rho, SMALLEST_RHO)
    slope_s = floor_s + ring_s + edge_s
    slope_u = slope_s * u * (2.0 / a**2) - g * (depth * dent.lean / a)
    slope_v = slope_s * v * (2.0 / b**2)
    inside = (1.0 - (rho > dent.mask_radius)).named("inside")
    return height, _to_plate(f, slope_u, slope_v, dent.angle_deg), inside, 0.0


def _to_local(f: Formula, position: Value, defect: Scratch | Dent) -> tuple[Value, Value]:
    angle = math.radians(defect.angle_deg)
    cosine, sine = math.cos(angle), math.sin(angle)
    relative = position - (defect.centre_x_mm, defect.centre_y_mm, 0.0)
    u = f.math("DOT_PRODUCT", relative, (cosine, sine, 0.0)).named("u")
    v = f.math("DOT_PRODUCT", relative, (-sine, cosine, 0.0)).named("v")
    return u, v


def _to_plate(f: Formula, slope_u: Value, slope_v: Value, angle_deg: float) -> Value:
    angle = math.radians(angle_deg)
    cosine, sine = math.cos(angle), math.sin(angle)
    slope_x = slope_u * cosine - slope_v * sine
    slope_y = slope_u * sine + slope_v * cosine
    vector = f.node("ShaderNodeCombineXYZ", "slope")
    f.feed(vector.inputs["X"], slope_x)
    f.feed(vector.inputs["Y"], slope_y)
    return f.value(vector, "Vector")
