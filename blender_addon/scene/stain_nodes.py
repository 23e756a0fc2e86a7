# SPDX-License-Identifier: GPL-3.0-or-later
"""The water stain as a shader node group, built in code: ``core/stain.py`` and ``shaders/water_stain.osl`` in nodes."""

import bpy

from ..core.errors import UserError
from ..core.grid import NEIGHBOURS_8, NEIGHBOURS_27
from ..core.stain_parameters import StainParameters
from . import compat, stain_osl, stain_sockets
from .compat import SocketSpec
from .nodes import Formula, Value
from .stain_sockets import BACKENDS, VECTOR, set_stain_values

VERSION = 1  # raise it when the nodes below change, so that groups in old files are rebuilt
STAMP = "surface_impurities_version"
_VARIANTS = {27: "27 cells", 8: "8 cells", 0: "one centre"}
_FAR = 1e9  # metres; farther than any centre


def build_stain_group(name: str | None = None, neighbours: int = 27, backend: str = "nodes"):
    """The stain's node group: sockets of ``stain_sockets``, the same for both backends.

    neighbours: 27 for any grid, 8 (half the cost) where ``StainParameters.neighbours`` allows it, 0 for one given
    centre. A group of this name that is up to date is returned as it is; an older one is rebuilt in place and keeps
    its users. Raises UserError when the OSL backend is asked for and not available.
    """
    if neighbours not in _VARIANTS or backend not in BACKENDS:
        raise UserError(f"stain group: expected neighbours 27, 8 or 0 and backend nodes or osl, "
                        f"got {neighbours!r} and {backend!r}")  # fmt: skip
    name = name or f"Water Stain ({_VARIANTS[neighbours]}{', OSL' if backend == 'osl' else ''})"
    if backend == "osl":
        stamp, fill = stain_osl.version(neighbours), stain_osl.fill_group
    else:
        stamp, fill = f"nodes {VERSION} {neighbours}", _fill_group
    return _ensure_group(name, stamp, stain_sockets.inputs(neighbours), stain_sockets.OUTPUTS, fill, neighbours)


def add_stain_node(node_tree, parameters: StainParameters, backend: str = "nodes"):
    """Add a stain to a material's node tree: the group node, fed with object-space positions and the parameters."""
    left = min((other.location.x for other in node_tree.nodes), default=0.0)
    node = node_tree.nodes.new("ShaderNodeGroup")
    node.node_tree = build_stain_group(neighbours=parameters.neighbours, backend=backend)
    node.label, node.width, node.location = "Water Stain", 200, (left - 300, 0)
    set_stain_values(node, parameters, backend)
    coordinates = node_tree.nodes.new("ShaderNodeTexCoord")
    coordinates.location = (left - 520, 0)
    node_tree.links.new(coordinates.outputs["Object"], node.inputs[VECTOR])
    return node


def _ensure_group(name, stamp, inputs, outputs, fill, *arguments):
    tree = bpy.data.node_groups.get(name)
    if tree is not None and tree.bl_idname != "ShaderNodeTree":
        raise UserError(f"stain group: the name {name!r} is taken by another kind of node group; rename that one")
    if tree is not None and tree.get(STAMP) == stamp:
        return tree
    tree = tree or bpy.data.node_groups.new(name, "ShaderNodeTree")
    tree[STAMP] = "incomplete"
    compat.ensure_group_sockets(tree, inputs, outputs)
    fill(tree, *arguments)
    tree[STAMP] = stamp
    return tree


def _fill_group(tree, neighbours: int) -> None:
    """Algorithm 1, in the order of ``core/stain.py``."""
    f = Formula(tree)
    if neighbours == 0:
        with f.frame("Distance: d = |p - c|"):
            d = f.distance(f.input(VECTOR), f.input("Centre")).named("d")
        cell = (0.0, 0.0, 0.0)
    else:
        d, cell = _nearest_centre(f, neighbours)

    with f.frame("Outline: r' = r + Perlin(p f, seed) A"):
        noise = _perlin(f, f.input(VECTOR) * f.input("Noise Frequency"), f.input("Seed"))
        r = (f.input("Radius") + noise * f.input("Noise Amplitude")).named("r'")

    with f.frame("Mask: d <= r' and r' > 0"):
        inside = ((1.0 - (d > r)) * (r > 0.0)).named("inside")

    with f.frame("Reflectance: R + (d / r')^decay intensity, inside"):
        d_hat = (d / r * inside).named("d / r' inside")
        delta = (d_hat ** f.input("Decay") * f.input("Intensity") * inside).named("delta")
        reflectance = f.input("Reflectance") + delta

    with f.frame("Instance: hash of (cell, seed + 1)"):
        instance = _white_noise(f, cell, f.input("Seed") + 1.0, "Value") * inside

    for socket, value in zip(stain_sockets.OUTPUTS, (reflectance, delta, inside, d, r, d_hat, instance), strict=True):
        f.output(socket.name, value)
    f.arrange()


def _nearest_centre(f: Formula, neighbours: int) -> tuple[Value, Value]:
    """``core.grid.nearest_centre``: distance and cell of the nearest centre."""
    with f.frame("Grid: q = p / G, base cell = floor(q)" + ("" if neighbours == 27 else " of q - 1/2")):
        q = f.input(VECTOR) / f.input("Cell Size")
        base = f.floor(q if neighbours == 27 else q - 0.5).named("base cell")
    step = _ensure_group("Water Stain Nearest Centre", f"nodes {VERSION}", _STEP_INPUTS, _STEP_OUTPUTS, _fill_step)
    d, cell = _FAR, (0.0, 0.0, 0.0)
    with f.frame(f"Distance: the least over {neighbours} neighbouring cells"):
        p, cell_size, seed = f.input(VECTOR), f.input("Cell Size"), f.input("Seed")
        for offset in NEIGHBOURS_27 if neighbours == 27 else NEIGHBOURS_8:
            label = "{:+d} {:+d} {:+d}".format(*offset)
            node = f.group(step, label, Position=p, Base_Cell=base, Offset=offset, Cell_Size=cell_size, Seed=seed,
                           Distance=d, Cell=cell)  # fmt: skip
            d, cell = f.value(node, "Distance"), f.value(node, "Cell")
    return d, cell


_STEP_OUTPUTS = (
    SocketSpec("Distance", "FLOAT", tooltip="The smaller of the distance so far and that to this cell's centre"),
    SocketSpec("Cell", "VECTOR", tooltip="The cell of the nearer centre"),
)
_STEP_INPUTS = (
    *(SocketSpec(name, "VECTOR", (0.0, 0.0, 0.0)) for name in ("Position", "Base Cell", "Offset")),
    *(SocketSpec(name, "FLOAT") for name in ("Cell Size", "Seed")),
    SocketSpec("Distance", "FLOAT", _FAR, tooltip="The least distance so far"),
    SocketSpec("Cell", "VECTOR", (0.0, 0.0, 0.0), tooltip="The cell of the nearest centre so far"),
)


def _fill_step(tree) -> None:
    """One step of the search: the centre of one neighbouring cell against the nearest so far."""
    f = Formula(tree)
    with f.frame("Centre: (cell + hash(cell, seed)) G"):
        cell = (f.input("Base Cell") + f.input("Offset")).named("cell")
        centre = ((cell + _white_noise(f, cell, f.input("Seed"), "Color")) * f.input("Cell Size")).named("centre")
    with f.frame("Nearer than the nearest so far?"):
        so_far, nearest = f.input("Distance"), f.input("Cell")
        d = f.distance(f.input("Position"), centre)
        f.output("Distance", f.minimum(d, so_far))
        f.output("Cell", f.multiply_add(d < so_far, cell - nearest, nearest))  # exact: small whole numbers
    f.arrange()


def _white_noise(f: Formula, cell, w, output: str) -> Value:
    node = f.node("ShaderNodeTexWhiteNoise", "hash", noise_dimensions="4D")
    f.feed(node.inputs["Vector"], cell)
    f.feed(node.inputs["W"], w)
    return f.value(node, output)


def _perlin(f: Formula, position: Value, w: Value) -> Value:
    """Signed Perlin noise. The node's Scale would multiply W too, so the position comes scaled."""
    node = f.node("ShaderNodeTexNoise", "Perlin", noise_dimensions="4D")
    f.feed(node.inputs["Vector"], position)
    f.feed(node.inputs["W"], w)
    signed = compat.set_up_signed_noise(node)
    value = Value(f, compat.noise_output(node))
    return value if signed else value * 2.0 - 1.0
