# SPDX-License-Identifier: GPL-3.0-or-later
"""Features on any mesh: an object's triangles in millimetres, and a node group that lays the features over a material.

The fields are the textures of `feature_nodes`, looked up in the frames of `core/mesh/tangent_frame.py`. Masks need no
nodes: `core/mesh/numbers.py` takes the object-space positions and normals that a pass renders at the pixels' centres.
"""

from collections.abc import Sequence

import bpy
import numpy as np

from ..core.errors import UserError
from ..core.features.classes import CLASS_OF
from ..core.features.texture import bake_feature
from ..core.mesh.placing import MeshFeature
from ..core.mesh.triangles import TriangleMesh
from . import compat
from .compat import SocketSpec
from .feature_nodes import look_up
from .nodes import Formula, Value

_SHAPE_CHANGE = 1e-4
"""Axes of an object whose scales differ by more than this share have no millimetre in common."""

POSITION, NORMAL = "Position", "Normal"
_PASSED_ON = ("Base Color", "Metallic", "Roughness", "Anisotropic")
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


def millimetres_per_unit(thing: bpy.types.Object, scene: bpy.types.Scene) -> float:
    """Millimetres on the part to a unit of its object space: the scene's unit and the object's scale.

    Raises:
        UserError: the object is stretched, so that a millimetre is another in each direction.
    """
    scale = np.abs(np.array(thing.matrix_world.to_scale()))
    if scale.min() <= 0 or np.ptp(scale) > _SHAPE_CHANGE * scale.max():
        raise UserError(f"{thing.name}: its axes are scaled by {', '.join(f'{s:g}' for s in scale)}, so features would "
                        "be stretched; apply the scale (Ctrl-A, Scale)")
    return float(scale.mean()) * scene.unit_settings.scale_length * 1000.0


def triangle_mesh(thing: bpy.types.Object, scene: bpy.types.Scene) -> TriangleMesh:
    """The object's surface with its modifiers, in its own space, mm.

    Raises:
        UserError: it has no faces, or is stretched.
    """
    factor = millimetres_per_unit(thing, scene)
    evaluated = thing.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    try:
        mesh.calc_loop_triangles()
        vertices = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", vertices)
        triangles = np.empty(3 * len(mesh.loop_triangles), np.int32)
        mesh.loop_triangles.foreach_get("vertices", triangles)
    finally:
        evaluated.to_mesh_clear()
    if len(triangles) == 0:
        raise UserError(f"{thing.name}: expected an object with faces")
    return TriangleMesh(vertices.reshape(-1, 3).astype(np.float64) * factor, triangles.reshape(-1, 3))


def build_mesh_feature_group(features: Sequence[MeshFeature], pixel_mm: float, name: str) -> bpy.types.ShaderNodeTree:
    """A group that lays the `features` over a material, in their order, for images whose pixels see `pixel_mm`."""
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    compat.ensure_group_sockets(tree, _INPUTS, _OUTPUTS)
    f = Formula(tree)
    with f.frame("The bare material"):
        total: dict[str, Value | float | tuple] = {key: f.input(key) for key in _PASSED_ON}
        total |= {"Slope": f.combine(0.0, 0.0, 0.0), "Cover": 0.0}
    for number, laid in enumerate(features, start=1):
        title = f"{number} {CLASS_OF[type(laid.feature)].name}"
        with f.frame(title):
            _lay(f, total, laid, pixel_mm, f"{name} {title}")
    with f.frame("Bent normal: normalize(N - (s - (s.N) N))"):
        normal, slope = f.input(NORMAL), total["Slope"]
        along = slope - f.scale(normal, f.math("DOT_PRODUCT", slope, normal))
        f.output(NORMAL, f.math("NORMALIZE", normal - along))
    for key, value in total.items():
        if isinstance(value, Value):
            f.output(key, value)
    f.arrange()
    return tree


def add_mesh_features(tree, principled, features: Sequence[MeshFeature], mm_per_unit: float, pixel_mm: float,
                      name: str) -> bpy.types.Node:
    """Lay the features over what feeds a Principled BSDF of a material's tree; returns the group's node."""
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    scale = tree.nodes.new("ShaderNodeVectorMath")
    scale.operation, scale.label = "SCALE", "object space to mm"
    scale.inputs["Scale"].default_value = mm_per_unit
    tree.links.new(coordinates.outputs["Object"], scale.inputs[0])
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree, node.label = build_mesh_feature_group(features, pixel_mm, name), name
    tree.links.new(scale.outputs["Vector"], node.inputs[POSITION])
    bent = principled.inputs["Normal"]
    if bent.is_linked:  # a normal map stays
        own = tree.nodes.new("ShaderNodeVectorTransform")
        own.vector_type, own.convert_from, own.convert_to = "NORMAL", "WORLD", "OBJECT"
        tree.links.new(bent.links[0].from_socket, own.inputs["Vector"])
    tree.links.new(own.outputs["Vector"] if bent.is_linked else coordinates.outputs["Normal"], node.inputs[NORMAL])
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
    tree.links.new(node.outputs[NORMAL], world.inputs["Vector"])
    tree.links.new(world.outputs["Vector"], principled.inputs["Normal"])
    return node


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
