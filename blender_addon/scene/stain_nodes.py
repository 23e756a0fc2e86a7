# SPDX-License-Identifier: GPL-3.0-or-later
"""The water stain as a shader node group: `core/stain/field.py` and `shaders/water_stain.osl` once more, in nodes."""

from typing import NamedTuple

import bpy

from ..core.errors import UserError
from ..core.noise.grid import FAR, NEIGHBOURS_8, NEIGHBOURS_27
from ..core.stain.field import DEPOSIT_SHIFT, NONE_NEAR, RIM_HALF
from ..core.stain.look import GAP_RANGE, GAP_WIDTH, RIM_SHIFT
from ..core.stain.parameters import LOOKS, SATELLITE_CELL, StainParameters
from ..core.stain.satellites import LEAST
from . import compat, stain_osl, stain_sockets
from .compat import SocketSpec
from .nodes import Formula, Value
from .stain_sockets import BACKENDS, NORMAL, VECTOR, set_stain_values

NODES_VERSION = 6  # raise it when the nodes below change, so that groups in old files are rebuilt
STAMP = "surface_impurities_version"
_VARIANTS = {27: "27 cells", 8: "8 cells", 0: "one centre"}


def build_stain_group(name: str | None = None, neighbours: int = 27, backend: str = "nodes", look: str = ""):
    """The stain's node group: sockets of ``stain_sockets``, the same for both backends.

    neighbours: 27 for any grid, 8 (half the cost) where ``StainParameters.neighbours`` allows it, 0 for one given
    centre. look: that of ``StainParameters.look``; "" leaves out all that makes stains look dried, "drops" has all of
    it. A group of this name that is up to date is returned as it is; an older one is rebuilt in place and keeps its
    users. Raises UserError when the OSL backend is asked for and not available.
    """
    if neighbours not in _VARIANTS or backend not in BACKENDS or look not in LOOKS:
        raise UserError(f"stain group: expected neighbours 27, 8 or 0, backend nodes or osl and look one of {LOOKS}, "
                        f"got {neighbours!r}, {backend!r} and {look!r}")
    kind = ", ".join([_VARIANTS[neighbours], *([look] if look else []), *(["OSL"] if backend == "osl" else [])])
    name = name or f"Water Stain ({kind})"
    if backend == "osl":
        stamp, fill = stain_osl.version(neighbours, look), stain_osl.fill_group
    else:
        stamp, fill = f"nodes {NODES_VERSION} {neighbours} {look}".rstrip(), _fill_group
    return _ensure_group(
        name, stamp, stain_sockets.inputs(neighbours, look), stain_sockets.OUTPUTS, fill, neighbours, look
    )


def group_for(parameters: StainParameters, backend: str = "nodes"):
    """The group that these parameters ask for."""
    return build_stain_group(neighbours=parameters.neighbours, backend=backend, look=parameters.look)


def add_stain_node(node_tree, parameters: StainParameters, backend: str = "nodes"):
    """Add a stain to a material's node tree: the group node, fed with object-space positions and the parameters."""
    left = min((other.location.x for other in node_tree.nodes), default=0.0)
    node = node_tree.nodes.new("ShaderNodeGroup")
    node.node_tree = group_for(parameters, backend)
    node.label, node.width, node.location = "Water Stain", 200, (left - 300, 0)
    set_stain_values(node, parameters, backend)
    coordinates = node_tree.nodes.new("ShaderNodeTexCoord")
    coordinates.location = (left - 520, 0)
    node_tree.links.new(coordinates.outputs["Object"], node.inputs[VECTOR])
    if parameters.normal_reach > 1.0:
        node_tree.links.new(coordinates.outputs["Normal"], node.inputs[NORMAL])
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


class _Stain(NamedTuple):
    """The stain that a point belongs to or is nearest to; None where all stains are alike."""

    distance: Value
    cell: Value | tuple
    larger: Value | None = None
    """dr, by how much its radius exceeds r."""
    strength: Value | None = None
    decay: Value | None = None
    instance_seed: Value | None = None
    """Seed + 1 unless said otherwise."""


def _fill_group(tree, neighbours: int, look: str = "") -> None:
    """The model in the order of ``core/stain/field.py``.

    What is off costs nothing: Cycles folds a product with a constant 0, and drops the nodes that fed it.
    """
    f = Formula(tree)
    stain = _one_stain(f, look) if neighbours == 0 else _nearest_stain(f, neighbours, look)
    r = _outline(f, stain)
    if look == "drops":
        stain, r = _nearer_drop(f, neighbours, stain, r)
    with f.frame("Mask: d <= r' and r' > 0"):
        inside = ((1.0 - (stain.distance > r)) * (r > 0.0)).named("inside")
    touched, edge = (inside, None) if not look else _edge(f, stain, r)
    with f.frame("Fade: (d / r')^decay, inside"):
        d_hat = (stain.distance / r * touched).named("d / r' inside")
        if look:
            d_hat = f.minimum(d_hat, 1.0).named("at most 1")
        fade = d_hat ** (f.input("Decay") if stain.decay is None else stain.decay)
    rings = _rings(f, d_hat)
    if look:
        rings = _broken(f, rings)
    deposit = _deposit(f)
    with f.frame("Strength S, and what it acts on"):
        s = (fade + rings) * deposit
        s = ((s if stain.strength is None else s * stain.strength) * (inside if edge is None else edge)).named("S")
        delta = (s * f.input("Intensity")).named("reflectance delta")
        reflectance = f.input("Reflectance") + delta
        roughness = (s * f.input("Roughness Change")).named("roughness delta")
    with f.frame("Height: S h (1 - (d / r')^8)"):
        d_hat_sq = d_hat * d_hat
        fourth = d_hat_sq * d_hat_sq
        height = s * f.input("Film Height") * (1.0 - fourth * fourth)
    with f.frame("Instance: hash of (cell, seed + 1)"):
        number = f.input("Seed") + 1.0 if stain.instance_seed is None else stain.instance_seed
        instance = _hash(f, stain.cell, number, "Value") * inside

    values = [reflectance, delta, roughness, height, inside, stain.distance, r, d_hat, instance]
    if look:
        with f.frame("Scatter: S times the film's, 0 to 1; and d / r' in the mask alone"):
            values[-2] = d_hat * inside
            values.append(f.minimum(f.math("MAXIMUM", s * f.input("Film Scatter"), 0.0), 1.0).named("scatter"))
    for socket, value in zip(stain_sockets.OUTPUTS, values, strict=False):  # without a look nothing scatters
        f.output(socket.name, value)
    f.arrange()


def _edge(f: Formula, stain: "_Stain", r: Value) -> tuple[Value, Value]:
    """Where there is anything of the stain, and how much across its outline."""
    with f.frame("Outline of finite width: smoothstep((r' - d) / w + 1/2), w = min(width, r')"):
        width = f.minimum(f.input("Edge Width"), r).named("w")
        there = ((1.0 - (stain.distance > width * 0.5 + r)) * (r > 0.0)).named("touched")
        wide = (f.input("Edge Width") > 0.0).named("is wide?")
        # Where the width is 0 the quotient is not needed: Cycles divides by 0 to 0.
        soft = _smoothstep(f, (r - stain.distance) / width + 0.5)
        share = ((soft - 1.0) * wide + 1.0) * there
        return there, share.named("share")


def _broken(f: Formula, rings: Value) -> Value:
    """What is left of rim and rings."""
    with f.frame("Broken rim: 1 - smoothstep((threshold - Perlin(p f, seed)) / 0.2 + 1/2)"):
        shifted = f.input(VECTOR) * f.input("Rim Gap Frequency") + RIM_SHIFT
        threshold = f.input("Rim Gaps") * (2.0 * GAP_RANGE) - GAP_RANGE
        gap = (threshold - _perlin(f, shifted, f.input("Seed"))) * (1.0 / GAP_WIDTH) + 0.5
        return (1.0 - _smoothstep(f, gap) * (f.input("Rim Gaps") > 0.0)) * rings


def _smoothstep(f: Formula, x: Value) -> Value:
    t = f.minimum(f.math("MAXIMUM", x, 0.0), 1.0)
    return t * t * (3.0 - (t + t))


def _nearer_drop(f: Formula, neighbours: int, stain: "_Stain", r: Value) -> tuple["_Stain", Value]:
    """The small drop outside of the large stain where one is nearer, else the large stain; and its outline."""
    with f.frame("Small drops: q = p / G, base cell = floor(q - 1/2)"):
        size = (f.input("Satellite Radius") * SATELLITE_CELL).named("G of the drops")
        base = f.floor(f.input(VECTOR) / size - 0.5).named("base cell")
        excess = (stain.distance - r).named("d - r'")
        largest = None if neighbours == 0 else f.input("Radius") * f.input("Radius Spread")
        # Inside the large stain no drop is to be found, and the cell stays 0.
        least, cell = (excess - (1.0 - (excess > 0.0)) * float(FAR)).named("to be undercut"), (0.0, 0.0, 0.0)
    step = _ensure_group(f"Water Stain Nearest Drop{'' if neighbours else ' (one centre)'}", f"nodes {NODES_VERSION}",
                         _drop_inputs(neighbours), _STEP_OUTPUTS, _fill_drop_step, neighbours)
    with f.frame("Search: the least of |p - c| - radius over 8 cells of drops, less than the large stain's"):
        names = ["Satellite Radius", "Satellite Distance", "Satellites", "Seed", "Radius"]
        names += ["Centre"] if neighbours == 0 else ["Cell Size", "Density", "Radius Skew"]
        shared = {name.replace(" ", "_"): f.input(name) for name in names}
        if largest is not None:
            shared["Largest_dr"] = largest
        p = f.input(VECTOR)
        for number, offset in enumerate(NEIGHBOURS_8):
            if number:
                base = base * _one_after(f, least)
            label = "drop {:+d} {:+d} {:+d}".format(*offset)
            node = f.group(step, label, Position=p, Base_Cell=base, Offset=offset, Size=size, Least=least, Cell=cell,
                           **shared)
            least, cell = f.value(node, "Least"), f.value(node, "Cell")
    with f.frame("The drop, where it is nearer and the point is outside of the large stain"):
        taken = ((excess > 0.0) * (least < excess)).named("taken")
        draws = _hash(f, cell, f.input("Seed") + 5.0, "Color")
        small = _drop_radius(f, _part(f, draws, 0), f.input("Satellite Radius"))

        def instead(old, new):
            """`new` where the drop is taken; exact on either side, as the factor is 0 or 1."""
            return old * (1.0 - taken) + new * taken

        d = instead(stain.distance, least + small).named("d")
        outline = instead(r, small).named("r'")
        decay = f.input("Decay")
        decay = decay if stain.decay is None else instead(stain.decay, decay)
        strength = None
        if neighbours:
            own = _centred(_uneven(_part(f, draws, 1), f.input("Intensity Skew"))) * f.input("Intensity Spread") + 1.0
            strength = instead(stain.strength, own)
        large = stain.cell
        # A search that found nothing may leave -0.0, as Cycles folds its "+ 0" away; the hash takes the bits.
        where = f.multiply_add(cell, 1.0, 0.0) if neighbours == 0 else large + (cell - large) * taken
        seed = f.input("Seed") + (taken * 5.0 + 1.0)
    return _Stain(d, where, None, strength, decay, seed), outline


def _drop_inputs(neighbours: int) -> tuple[SocketSpec, ...]:
    vectors = ["Position", "Base Cell", "Offset", "Cell", *([] if neighbours else ["Centre"])]
    numbers = ["Size", "Satellite Radius", "Satellite Distance", "Satellites", "Seed", "Radius", "Least"]
    numbers += ["Cell Size", "Density", "Radius Skew", "Largest dr"] if neighbours else []
    return (*(SocketSpec(name, "VECTOR", (0.0, 0.0, 0.0)) for name in vectors),
            *(SocketSpec(name, "FLOAT") for name in numbers))


def _fill_drop_step(tree, neighbours: int) -> None:
    """One step of the search for drops: ``core/stain/satellites.py`` for one cell, against the best so far."""
    f = Formula(tree)
    with f.frame("Centre: (cell + hash(cell, seed + 4)) G; radius by hash(cell, seed + 5)"):
        cell = (f.input("Base Cell") + f.input("Offset")).named("cell")
        centre = ((cell + _hash(f, cell, f.input("Seed") + 4.0, "Color")) * f.input("Size")).named("centre")
        draws = _hash(f, cell, f.input("Seed") + 5.0, "Color")
        small = _drop_radius(f, _part(f, draws, 0), f.input("Satellite Radius"))
    with f.frame("How far from the outline of the large stain that it belongs to"):
        if neighbours == 0:
            away = f.math("LENGTH", centre - f.input("Centre")) - f.input("Radius")
        else:
            main = f.floor(centre / f.input("Cell Size")).named("cell of the large grid")
            main_draws = _hash(f, main, f.input("Seed") + 2.0, "Color")
            larger = _centred(_uneven(_part(f, main_draws, 0), f.input("Radius Skew"))) * f.input("Largest dr")
            middle = (main + _hash(f, main, f.input("Seed"), "Color")) * f.input("Cell Size")
            away = f.math("LENGTH", centre - middle) - (f.input("Radius") + larger)
            empty = (_part(f, main_draws, 2) > f.input("Density")) * (f.input("Density") < 1.0)
            away = away - empty * float(NONE_NEAR)
    with f.frame("Is it there?"):
        chance = (1.0 - away / f.input("Satellite Distance")) * f.input("Satellites")
        absent = f.math("MAXIMUM", _part(f, draws, 2) > chance, away < 0.0).named("absent")
    with f.frame("Less than the least so far?"):
        d = f.math("LENGTH", f.input("Position") - centre) - small + absent * float(FAR)
        least, nearest = f.input("Least"), f.input("Cell")
        f.output("Least", f.minimum(d, least))
        f.output("Cell", (cell - nearest) * (d < least) + nearest)
    f.arrange()


def _drop_radius(f: Formula, draw: Value, largest: Value) -> Value:
    square = draw * draw
    return (largest * (square * square * (1.0 - LEAST) + LEAST)).named("radius of the drop")


def _uneven(draw: Value, skew: Value) -> Value:
    """A draw, small the more often the larger the skew."""
    square = draw * draw
    return (square * square - draw) * skew + draw


def _one_stain(f: Formula, look: str) -> _Stain:
    """The stain around one given centre."""
    with f.frame("Distance: d = |p - c|, less where the drop ran"):
        normal = (f.input(NORMAL), f.input("Normal Reach")) if look else ()
        d = _stretched_length(f, f.input(VECTOR) - f.input("Centre"), _towards(f), _squeeze(f), *normal).named("d")
    return _Stain(d, (0.0, 0.0, 0.0))


def _nearest_stain(f: Formula, neighbours: int, look: str) -> _Stain:
    """The stain of a grid that the point is deepest in or nearest to, with its draws."""
    excess, cell = _nearest_centre(f, neighbours, look)
    with f.frame("This stain: its own radius, strength and decay"):
        draws = _hash(f, cell, f.input("Seed") + 2.0, "Color")
        size, force = _part(f, draws, 0), _part(f, draws, 1)
        if look:
            size, force = _uneven(size, f.input("Radius Skew")), _uneven(force, f.input("Intensity Skew"))
        larger = _centred(size) * (f.input("Radius") * f.input("Radius Spread"))
        larger = (larger * (excess < float(NONE_NEAR))).named("dr, if any stain is near")
        d = (excess + larger).named("d")
        strength = (_centred(force) * f.input("Intensity Spread") + 1.0).named("strength")
        draw = _hash(f, cell, f.input("Seed") + 3.0, "Value")
        decay = (f.input("Decay") * (_centred(draw) * f.input("Decay Spread") + 1.0)).named("decay")
    return _Stain(d, cell, larger, strength, decay)


def _outline(f: Formula, stain: _Stain) -> Value:
    """The radius of the wavy outline."""
    with f.frame("Outline: r' = r + dr + Perlin(p f, seed) A"):
        noise = _perlin(f, f.input(VECTOR) * f.input("Noise Frequency"), f.input("Seed"))
        r = f.input("Radius") if stain.larger is None else f.input("Radius") + stain.larger
        return (r + noise * f.input("Noise Amplitude")).named("r'")


def _rings(f: Formula, d_hat: Value) -> Value:
    """Rim and rings: each fades inwards from its own edge."""
    with f.frame("Rim and rings: gain (1 + u k / w)^-7, u the way inwards from the next edge"):
        edges = (f.input("Ring Count") + 1.0).named("edges")
        t = d_hat * edges
        edge = f.minimum(f.math("FLOOR", t) + 1.0, edges).named("next edge")
        inwards = ((edge - t) / edges).named("u")
        x = inwards * (float(RIM_HALF) / f.input("Rim Width")) + 1.0
        cube = x * x * x
        ring_gain = f.input("Ring Gain") * (f.input("Ring Count") > 0.0)
        gain = f.input("Rim Gain") + (edge < edges) * (ring_gain - f.input("Rim Gain"))
        return (gain / (cube * cube * x)).named("rim and rings")


def _deposit(f: Formula) -> Value:
    """The patches of the deposit, 1 on average."""
    with f.frame("Deposit: 1 + m Perlin(p f', seed)"):
        shifted = f.input(VECTOR) * f.input("Deposit Frequency") + DEPOSIT_SHIFT
        return (_perlin(f, shifted, f.input("Seed")) * f.input("Deposit Contrast") + 1.0).named("deposit")


def _nearest_centre(f: Formula, neighbours: int, look: str) -> tuple[Value, Value]:
    """``core.grid.nearest_centre``: the least distance less the stain's extra radius, and the cell that has it."""
    with f.frame("Grid: q = p / G, base cell = floor(q)" + ("" if neighbours == 27 else " of q - 1/2")):
        q = f.input(VECTOR) / f.input("Cell Size")
        base = f.floor(q if neighbours == 27 else q - 0.5).named("base cell")
        larger = (f.input("Radius") * f.input("Radius Spread")).named("largest dr")
        towards, squeeze = _towards(f), _squeeze(f)
    stamp = f"nodes {NODES_VERSION}"
    step = _ensure_group(f"Water Stain Nearest Centre{' (dried)' if look else ''}", stamp,
                         (*_STEP_INPUTS, *(_LOOK_INPUTS if look else ())), _STEP_OUTPUTS, _fill_step, bool(look))
    d, cell = float(FAR), (0.0, 0.0, 0.0)
    with f.frame(f"Search: the least of |p - c| - dr over {neighbours} neighbouring cells"):
        p, cell_size, seed, density = (f.input(name) for name in (VECTOR, "Cell Size", "Seed", "Density"))
        more = {socket.name.replace(" ", "_"): f.input(socket.name) for socket in _LOOK_INPUTS} if look else {}
        for number, offset in enumerate(NEIGHBOURS_27 if neighbours == 27 else NEIGHBOURS_8):
            if number:
                base = base * _one_after(f, d)
            label = "{:+d} {:+d} {:+d}".format(*offset)
            node = f.group(step, label, Position=p, Base_Cell=base, Offset=offset, Cell_Size=cell_size, Seed=seed,
                           Density=density, Largest_dr=larger, Towards=towards, Squeeze=squeeze,
                           Least=d, Cell=cell, **more)
            d, cell = f.value(node, "Least"), f.value(node, "Cell")
    return d, cell


def _one_after(f: Formula, before: Value) -> Value:
    """1, but not ready until `before` is.

    Cycles does not search step by step by itself. It computes nodes in the order in which they were made, as far as
    their inputs are ready, and adds the nodes that convert between its kinds of vectors (colours, points, directions)
    behind all others; so each operation would be done for all steps before the next operation begins, and what 27
    steps keep does not fit on the stack of its shading machine. It would drop a product with 0, but not this.
    """
    return f.multiply_add(before, 0.0, 1.0).named("wait for the step before")


_STEP_OUTPUTS = (
    SocketSpec("Least", "FLOAT", tooltip="The smaller of the least so far and |p - c| - dr of this cell's stain"),
    SocketSpec("Cell", "VECTOR", tooltip="The cell that the least comes from"),
)
_STEP_INPUTS = (
    *(SocketSpec(name, "VECTOR", (0.0, 0.0, 0.0)) for name in ("Position", "Base Cell", "Offset")),
    *(SocketSpec(name, "FLOAT") for name in ("Cell Size", "Seed")),
    SocketSpec("Density", "FLOAT", 1.0, tooltip="Share of the cells that hold a stain"),
    SocketSpec("Largest dr", "FLOAT", tooltip="Radius times its spread"),
    SocketSpec("Towards", "VECTOR", (1.0, 0.0, 0.0), tooltip="Unit vector to where the drop ran"),
    SocketSpec("Squeeze", "FLOAT", tooltip="1 / elongation - 1"),
    SocketSpec("Least", "FLOAT", float(FAR), tooltip="The least so far"),
    SocketSpec("Cell", "VECTOR", (0.0, 0.0, 0.0), tooltip="The cell that the least so far comes from"),
)


_LOOK_INPUTS = (
    SocketSpec("Radius Skew", "FLOAT"),
    SocketSpec(NORMAL, "VECTOR", (0.0, 0.0, 1.0)),
    SocketSpec("Normal Reach", "FLOAT", 1.0),
)


def _fill_step(tree, look: bool) -> None:
    """One step of the search: the stain of one neighbouring cell against the best so far."""
    f = Formula(tree)
    with f.frame("Centre: (cell + hash(cell, seed)) G"):
        cell = (f.input("Base Cell") + f.input("Offset")).named("cell")
        jitter = _hash(f, cell, f.input("Seed"), "Color")
        centre = ((cell + jitter) * f.input("Cell Size")).named("centre")
    with f.frame("Distance |p - c| - dr; far away where the cell is empty"):
        normal = (f.input(NORMAL), f.input("Normal Reach")) if look else ()
        d = _stretched_length(f, f.input("Position") - centre, f.input("Towards"), f.input("Squeeze"), *normal)
        draws = _hash(f, cell, f.input("Seed") + 2.0, "Color")
        size = _part(f, draws, 0)
        d = d - _centred(_uneven(size, f.input("Radius Skew")) if look else size) * f.input("Largest dr")
        sparse = f.input("Density") < 1.0  # a constant 0, which Cycles folds, where all cells are full
        d = d + (_part(f, draws, 2) > f.input("Density")) * (sparse * float(FAR))
    with f.frame("Less than the least so far?"):
        least, nearest = f.input("Least"), f.input("Cell")
        f.output("Least", f.minimum(d, least))
        f.output("Cell", (cell - nearest) * (d < least) + nearest)  # exact: small whole numbers
    f.arrange()


def _towards(f: Formula) -> Value:
    """The unit vector to where the drop ran."""
    angle = f.input("Elongation Direction")
    node = f.node("ShaderNodeCombineXYZ", "towards")
    f.feed(node.inputs["X"], f.math("COSINE", angle))
    f.feed(node.inputs["Y"], f.math("SINE", angle))
    return f.value(node, "Vector")


def _squeeze(f: Formula) -> Value:
    return (1.0 / f.input("Elongation") - 1.0).named("1/e - 1")


def _stretched_length(
    f: Formula, vector: Value, towards: Value, squeeze: Value, normal: Value | None = None, reach: Value | None = None
) -> Value:
    """|v + a max(v.a, 0) (1/e - 1)|, or the fourth root of t^4 + (n / reach)^4 where stains lie along the surface."""
    along = f.math("MAXIMUM", f.math("DOT_PRODUCT", vector, towards), 0.0) * squeeze
    vector = vector + towards * along
    length = f.math("LENGTH", vector)
    if normal is None:
        return length
    deep = f.math("DOT_PRODUCT", vector, normal)
    over = f.math("LENGTH", vector - normal * deep)
    over, deep = over * over, deep / reach
    deep = deep * deep
    root = f.math("SQRT", f.math("SQRT", over * over + deep * deep))
    return (root - length) * (reach > 1.0) + length  # a constant 0, which Cycles folds, where stains are solid


def _part(f: Formula, vector: Value, axis: int) -> Value:
    """One part of a vector. (A Separate XYZ node keeps its unused outputs on the stack for good.)"""
    return f.math("DOT_PRODUCT", vector, tuple(float(k == axis) for k in range(3)))


def _centred(draw: Value) -> Value:
    """[0, 1] -> [-1, 1]"""
    return draw * 2.0 - 1.0


def _hash(f: Formula, cell, w, output: str) -> Value:
    """White noise of (cell, w): "Value", or three of them as "Color"."""
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
