# SPDX-License-Identifier: GPL-3.0-or-later
"""Features on any mesh: an object's triangles in millimetres, and a node group that lays the features over a material.

The fields are the textures of `feature_nodes`, looked up in the frames of `core/mesh/tangent_frame.py`. Masks need no
nodes: `core/mesh/numbers.py` takes the object-space positions and normals that a pass renders at the pixels' centres.
"""

from collections.abc import Collection, Sequence

import bpy
import numpy as np

from ..core.errors import UserError
from ..core.features.classes import CLASS_OF
from ..core.features.texture import bake_feature
from ..core.mesh.placing import MeshFeature
from ..core.mesh.triangles import TriangleMesh
from . import compat
from .arrangement import units_per_mm
from .compat import SocketSpec
from .feature_nodes import look_up
from .ledger import Ledger
from .nodes import Formula, Value

_SHAPE_CHANGE = 1e-4
"""Axes of an object that are further from right angles than this, as a cosine, are sheared."""

POSITION, NORMAL = "Position", "Normal"
_PASSED_ON = ("Base Color", "Metallic", "Roughness", "Anisotropic")
_COAT_NORMALS = ("Coat Normal", "Clearcoat Normal")
_UNDER_COVER = ("Coat Weight", "Clearcoat", "Transmission Weight", "Transmission", "Subsurface Weight", "Subsurface",
                "Sheen Weight", "Sheen", "Emission Strength")
"""Inputs of a Principled BSDF, by their names from 4.0 on and before, of what a sticker hides."""
_INPUTS = (
    SocketSpec(POSITION, "VECTOR", (0.0, 0.0, 0.0), tooltip="Object space, millimetres"),
    SocketSpec(NORMAL, "VECTOR", (0.0, 0.0, 1.0), tooltip="The surface's own normal, object space"),
    SocketSpec("Base Color", "VECTOR", (0.8, 0.8, 0.8), tooltip="Of the bare material"),
    *(SocketSpec(name, "FLOAT", 0.0, tooltip="Of the bare material") for name in _PASSED_ON[1:]),
)
_OUTPUTS = (
    SocketSpec(NORMAL, "VECTOR", tooltip="Bent by the features, object space"),
    SocketSpec("Base Color", "VECTOR", tooltip="Less what films take; that of what covers, where something does"),
    SocketSpec("Metallic", "FLOAT", tooltip="0 where something opaque lies on the material"),
    SocketSpec("Roughness", "FLOAT", tooltip="Where a feature has a surface of its own, the feature's"),
    SocketSpec("Anisotropic", "FLOAT", tooltip="Where a feature has a surface of its own, the feature's"),
    SocketSpec("Slope", "VECTOR", tooltip="Derivative of the features' heights along the surface, object space"),
    SocketSpec("Cover", "FLOAT", tooltip="1 where something opaque lies on the material"),
)

_LAID_BEFORE = (
    SocketSpec("Slope", "VECTOR", (0.0, 0.0, 0.0), tooltip="Of the features that lie there already"),
    SocketSpec("Cover", "FLOAT", 0.0, tooltip="Of the features that lie there already"),
)


def millimetres_per_unit(thing: bpy.types.Object, scene: bpy.types.Scene) -> np.ndarray:
    """Millimetres on the part to a unit along each axis of its object space, by scene and object scale: (3,).

    Raises:
        UserError: the object is sheared or flat, so that its space times these is no picture of the part.
    """
    axes = np.array(thing.matrix_world)[:3, :3]
    scale = np.linalg.norm(axes, axis=0)
    skew = axes.T @ axes - np.diag(scale**2)
    if scale.min() <= 0 or np.abs(skew).max() > _SHAPE_CHANGE * scale.min() * scale.max():
        raise UserError(f"{thing.name}: it is sheared or flat (scaled by {', '.join(f'{s:g}' for s in scale)}), so "
                        "features would be too; apply the scale (Ctrl-A, Scale)")
    return scale / units_per_mm(scene)


def triangle_mesh(
    thing: bpy.types.Object, scene: bpy.types.Scene, left_out: Collection[str] = ()
) -> TriangleMesh | None:
    """The object's surface with its modifiers as they are rendered, in its own space, mm; None where it has no faces.

    left_out: materials whose faces are not inspected: the surface ends at them.

    Raises:
        UserError: it is sheared.
    """
    factor = millimetres_per_unit(thing, scene)
    with Ledger() as changes:
        _as_rendered(changes, thing)
        evaluated = thing.evaluated_get(bpy.context.evaluated_depsgraph_get())
        mesh = evaluated.to_mesh()
        try:
            vertices, triangles, slots = _arrays(mesh)
        finally:
            evaluated.to_mesh_clear()
    taken = [slot.material is None or slot.material.name not in left_out for slot in thing.material_slots] or [True]
    triangles = triangles[np.array(taken)[np.minimum(slots, len(taken) - 1)]]
    if len(triangles) == 0:
        return None
    return TriangleMesh(vertices.astype(np.float64) * factor, triangles)


def _as_rendered(changes: Ledger, thing: bpy.types.Object) -> None:
    """Let the window's modifiers be those of a render: Blender evaluates the others only while it renders."""
    for modifier in thing.modifiers:
        if modifier.show_viewport != modifier.show_render:
            changes.set(modifier, "show_viewport", modifier.show_render)
        if getattr(modifier, "levels", 0) != getattr(modifier, "render_levels", 0):
            changes.set(modifier, "levels", modifier.render_levels)
    if thing.modifiers:
        changes.on_undo(bpy.context.view_layer.update)
        bpy.context.view_layer.update()


def _arrays(mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3), triangles (T, 3) and their material slots (T,)."""
    mesh.calc_loop_triangles()
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", vertices)
    triangles, slots = (np.empty(n * len(mesh.loop_triangles), np.int32) for n in (3, 1))
    mesh.loop_triangles.foreach_get("vertices", triangles)
    mesh.loop_triangles.foreach_get("material_index", slots)
    return vertices.reshape(-1, 3), triangles.reshape(-1, 3), slots


def build_mesh_feature_group(
    features: Sequence[MeshFeature], pixel_mm: float, name: str, to_be_read: bool = True
) -> bpy.types.ShaderNodeTree:
    """A group that lays the `features` over a material, in their order, for images whose pixels see `pixel_mm`.

    Each feature is a group in it: what a node costs grows with those that are there. to_be_read: place the nodes where
    a person finds them, which takes a third of the time.
    """
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    compat.ensure_group_sockets(tree, _INPUTS, _OUTPUTS)
    f = Formula(tree)
    with f.frame("The bare material"):
        total: dict[str, Value | float] = {key: f.input(key) for key in _PASSED_ON}
        total |= {"Slope": f.combine(0.0, 0.0, 0.0), "Cover": 0.0}
    for number, laid in enumerate(features, start=1):
        title = f"{number} {CLASS_OF[type(laid.feature)].name}"
        with f.frame(title):
            node = f.node("ShaderNodeGroup", node_tree=_feature_group(laid, pixel_mm, f"{name} {title}", to_be_read))
            for key, value in {POSITION: f.input(POSITION), NORMAL: f.input(NORMAL), **total}.items():
                f.feed(node.inputs[key], value)
            total = {key: f.value(node, key) for key in total}
    with f.frame("Bent normal: normalize(N - (s - (s.N) N))"):
        normal, slope = f.input(NORMAL), total["Slope"]
        along = slope - f.scale(normal, f.math("DOT_PRODUCT", slope, normal))
        f.output(NORMAL, f.math("NORMALIZE", normal - along))
    for key, value in total.items():
        if isinstance(value, Value):
            f.output(key, value)
    if to_be_read:
        f.arrange()
    return tree


def add_mesh_features(tree, principled, features: Sequence[MeshFeature], mm_per_unit: np.ndarray, pixel_mm: float,
                      name: str) -> bpy.types.Node:
    """Lay the features over what feeds a Principled BSDF of a material's tree; returns the group's node."""
    group = build_mesh_feature_group(features, pixel_mm, name)
    return plug_mesh_features(tree, principled, group, mm_per_unit, any(each.feature.gloss for each in features))


def plug_mesh_features(tree, principled, group, mm_per_unit: np.ndarray, covers: bool) -> bpy.types.Node:
    """The same with a group that is there. covers: whether something opaque is among the features."""
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    scale = np.broadcast_to(mm_per_unit, 3)
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree, node.label = group, group.name
    part = _times_axes(tree, coordinates.outputs["Object"], scale, "object space to mm")
    tree.links.new(part, node.inputs[POSITION])
    bent = principled.inputs["Normal"]
    own = coordinates.outputs["Normal"]
    if bent.is_linked:  # a normal map stays
        transform = tree.nodes.new("ShaderNodeVectorTransform")
        transform.vector_type, transform.convert_from, transform.convert_to = "NORMAL", "WORLD", "OBJECT"
        tree.links.new(bent.links[0].from_socket, transform.inputs["Vector"])
        own = transform.outputs["Vector"]
    tree.links.new(_normalised(tree, _times_axes(tree, own, 1.0 / scale, "normal on the part")), node.inputs[NORMAL])
    for key in _PASSED_ON:
        socket = principled.inputs[key]
        if socket.is_linked:
            tree.links.new(socket.links[0].from_socket, node.inputs[key])
        else:
            value = socket.default_value
            node.inputs[key].default_value = tuple(value)[:3] if key == "Base Color" else value
        tree.links.new(node.outputs[key], socket)
    world = tree.nodes.new("ShaderNodeVectorTransform")
    world.vector_type, world.convert_from, world.convert_to = "NORMAL", "OBJECT", "WORLD"
    tree.links.new(_times_axes(tree, node.outputs[NORMAL], scale, "normal of the object"), world.inputs["Vector"])
    tree.links.new(world.outputs["Vector"], bent)
    for key in _COAT_NORMALS:  # a clear coat follows the dents under it
        if key in principled.inputs and not principled.inputs[key].is_linked:
            tree.links.new(world.outputs["Vector"], principled.inputs[key])
    if covers:
        _hide_under_cover(tree, principled, node.outputs["Cover"])
    return node


def _hide_under_cover(tree, principled, cover) -> None:
    """Take away, where something opaque lies, what the material has over or under its surface."""
    left = tree.nodes.new("ShaderNodeMath")
    left.operation, left.inputs[0].default_value = "SUBTRACT", 1.0
    tree.links.new(cover, left.inputs[1])
    for key in _UNDER_COVER:
        socket = principled.inputs.get(key)
        if socket is None or (not socket.is_linked and socket.default_value == 0.0):
            continue
        times = tree.nodes.new("ShaderNodeMath")
        times.operation, times.inputs[0].default_value = "MULTIPLY", 0.0 if socket.is_linked else socket.default_value
        if socket.is_linked:
            tree.links.new(socket.links[0].from_socket, times.inputs[0])
        tree.links.new(left.outputs[0], times.inputs[1])
        tree.links.new(times.outputs[0], socket)


def _times_axes(tree, vector, factors: np.ndarray, label: str):
    """A vector socket times a number for each axis."""
    times = tree.nodes.new("ShaderNodeVectorMath")
    times.operation, times.label = "MULTIPLY", label
    times.inputs[1].default_value = tuple(float(factor) for factor in factors)
    tree.links.new(vector, times.inputs[0])
    return times.outputs["Vector"]


def _normalised(tree, vector):
    node = tree.nodes.new("ShaderNodeVectorMath")
    node.operation = "NORMALIZE"
    tree.links.new(vector, node.inputs[0])
    return node.outputs["Vector"]


def _feature_group(laid: MeshFeature, pixel_mm: float, name: str, to_be_read: bool) -> bpy.types.ShaderNodeTree:
    """A group that lays one feature over what lies there already, slope and cover included."""
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    outputs = tuple(spec for spec in _OUTPUTS if spec.name != NORMAL)
    compat.ensure_group_sockets(tree, (*_INPUTS, *_LAID_BEFORE), outputs)
    f = Formula(tree)
    with f.frame(name):
        total = {spec.name: f.input(spec.name) for spec in outputs}
        _lay(f, total, laid, pixel_mm, name)
    for key, value in total.items():
        f.output(key, value)
    if to_be_read:
        f.arrange()
    return tree


def _lay(f: Formula, total: dict, laid: MeshFeature, pixel_mm: float, name: str) -> None:
    """One feature over what lies there: its textures, looked up in its frame."""
    feature, frame = laid.feature, laid.frame
    texture = bake_feature(feature, pixel_mm)
    (left, low), (width, height) = texture.corner_mm, texture.size_mm
    u_axis, v_axis, normal = frame.axes
    cosine, sine = feature.direction
    relative = f.input(POSITION) - frame.origin_mm
    u = f.math("DOT_PRODUCT", relative, tuple((cosine * u_axis + sine * v_axis) / width)) - left / width
    v = f.math("DOT_PRODUCT", relative, tuple((cosine * v_axis - sine * u_axis) / height)) - low / height
    deep = f.math("ABSOLUTE", f.math("DOT_PRODUCT", relative, tuple(normal)))
    facing = f.math("DOT_PRODUCT", f.input(NORMAL), tuple(normal)) > 0.0
    holds = ((1.0 - (deep > frame.depth_mm)) * facing).named("on this side of the part")
    place = f.combine(u.named("u"), v.named("v"))
    slope_u, slope_v, own = look_up(f, place, texture.shape_values, name)
    slope = f.math("ADD", _times(f, u_axis, slope_u * holds), _times(f, v_axis, slope_v * holds))
    if texture.optical_values is not None:
        loss, cover, albedo = look_up(f, place, texture.optical_values, f"{name} optics")
        total["Base Color"] = total["Base Color"] * (1.0 - loss * holds)
    if feature.gloss:
        cover = cover * holds
        total["Cover"] = f.math("MAXIMUM", cover, total["Cover"])
        total["Slope"] = f.scale(slope - total["Slope"], cover) + total["Slope"]
        white = f.combine(albedo, albedo, albedo)
        total["Base Color"] = f.scale(white - total["Base Color"], cover) + total["Base Color"]
        for key, value in (("Metallic", 0.0), ("Roughness", feature.roughness), ("Anisotropic", 0.0)):
            total[key] = cover * (value - total[key]) + total[key]
        return
    total["Slope"] = total["Slope"] + slope
    if texture.shape_values[..., 2].any():
        for key, value in (("Roughness", feature.roughness), ("Anisotropic", feature.anisotropy)):
            total[key] = own * holds * (value - total[key]) + total[key]


def _times(f: Formula, axis: np.ndarray, factor: Value) -> Value:
    """A fixed vector times a number."""
    return f.combine(*(factor * float(part) for part in axis))
