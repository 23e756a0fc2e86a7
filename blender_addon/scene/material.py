# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate's two materials, made of the same groups: how it looks, and what is where."""

import math
from typing import NamedTuple

import bpy

from ..core.recipe.sample import Sample
from ..core.recipe.view import pixel_pitch_mm, seen_part
from . import compat
from .feature_nodes import build_feature_group
from .guides import add_guides
from .stain_nodes import add_stain_node
from .stain_skip import add_near_stain, build_near_stain_image
from .surface_nodes import build_surface_group

SCATTER_ROUGHNESS = 0.42
"""Of the lobe that a dried film scatters into: grains of some micrometres scatter forwards, and so, over a mirror,
around the mirror direction, in a cone of some tens of degrees."""


class _Surface(NamedTuple):
    """The metal's sockets and numbers with the features laid over it, before any stain."""

    coordinates: bpy.types.Node
    metal: dict
    laid: bpy.types.Node | None
    has_labels: bool


def build_plate_material(sample: Sample, name: str, whole_plate: bool = False) -> bpy.types.Material:
    """Brushed metal with the sample's stains and features.

    A metallic Principled BSDF: the stain acts on its base colour, which is the metal's reflectance at normal
    incidence, on the roughness, and as a thin film on the normal; grooves and features bend the normal by their slopes;
    a film that scatters sends its share of the light into a second, wide lobe; features may
    have a surface of their own, and labels cover the metal with a second, diffuse BSDF. Where a cheap test says that no
    stain is near, the unstained metal is chosen, which is what the rest would come to there. Grooves and
    features are those that the camera sees, or those of the whole plate.
    """
    material = _empty_material(name)
    tree = material.node_tree
    coordinates, metal, laid, has_labels = _build_surface(tree, sample, name, whole_plate)
    normal = _bent_normal(tree, coordinates, metal["Slope"])
    tangent = _tangent(tree, metal["Across"])
    shader = _metal(tree, metal["Reflectance"], metal["Roughness"], metal["Anisotropy"], normal, tangent)
    if sample.stain is not None:
        bare = shader
        stain = add_stain_node(tree, sample.stain, backend=sample.render.stain_backend)
        stain.location = (-480, 200)
        tree.links.new(metal["Reflectance"], stain.inputs["Reflectance"])
        roughness = metal["Roughness"]
        if sample.stain.roughness_change:
            roughness = _math(tree, "ADD", roughness, stain.outputs["Roughness Delta"], (-300, 100))
        filmed = _film(tree, stain.outputs["Height"], normal) if sample.stain.film_height_um else normal
        shader = _metal(tree, stain.outputs["Reflectance"], roughness, metal["Anisotropy"], filmed, tangent)
        if sample.stain.film_scatter:
            wide = _metal(tree, stain.outputs["Reflectance"], SCATTER_ROUGHNESS, 0.0, normal, tangent)
            shader = _choose(tree, stain.outputs["Scatter"], shader, wide)
        shader = _where_stains_can_be(tree, sample, name, bare, shader, coordinates)
    if has_labels:
        shader = _choose(tree, laid.outputs["Cover"], shader, _label(tree, coordinates, laid))
    if sample.render.denoise and not whole_plate and sample.render.stain_backend != "osl":
        add_guides(tree, metal, laid)
    _output(tree, shader)
    return material


def build_guide_material(sample: Sample, name: str) -> bpy.types.Material:
    """The denoiser's guides alone, black to the eye: Open Shading Language cannot write them beside the picture."""
    material = _empty_material(name)
    tree = material.node_tree
    _, metal, laid, _ = _build_surface(tree, sample, name, whole_plate=False)
    add_guides(tree, metal, laid)
    emission = tree.nodes.new("ShaderNodeEmission")
    # Not 0: Cycles would drop the surface, go on to the plate's back, and write the sum of both.
    emission.inputs["Strength"].default_value = 1e-9
    _output(tree, emission.outputs["Emission"])
    return material


def _build_surface(tree, sample: Sample, name: str, whole_plate: bool) -> _Surface:
    coordinates, position = _position_mm(tree)
    surface = _group_node(tree, build_surface_group(sample, f"{name} Surface", whole_plate), (-900, 100))
    tree.links.new(position, surface.inputs["Position"])
    metal = {key: surface.outputs[key] for key in ("Reflectance", "Roughness", "Slope")}
    metal |= {"Anisotropy": sample.surface.anisotropy, "Across": _across(sample.surface.grain_angle_deg)}
    features = [feature for feature in sample.features if whole_plate or seen_part(sample, feature)]
    if not features:
        return _Surface(coordinates, metal, None, False)
    group = build_feature_group(features, pixel_pitch_mm(sample), f"{name} Features")
    laid = _group_node(tree, group, (-700, -200))
    tree.links.new(position, laid.inputs["Position"])
    for key, value in metal.items():
        _feed(tree, value, laid.inputs[key])
    metal = {key: laid.outputs[key] for key in metal}
    return _Surface(coordinates, metal, laid, any(feature.gloss for feature in features))


def build_label_material(sample: Sample, name: str) -> bpy.types.Material:
    """Emission of the stain's field: red its instance hash, green 1 inside, blue what it leaves of the light."""
    material = _empty_material(name)
    tree = material.node_tree
    outside = (0.0, 0.0, 1.0)
    if sample.stain is None:
        _output(tree, _emission(tree, outside))
        return material
    combine = tree.nodes.new("ShaderNodeCombineXYZ")
    stain = add_stain_node(tree, sample.stain, backend=sample.render.stain_backend)
    tree.links.new(stain.outputs["Instance"], combine.inputs["X"])
    tree.links.new(stain.outputs["Mask"], combine.inputs["Y"])
    stain.inputs["Reflectance"].default_value = 1.0
    left = stain.outputs["Reflectance"]
    if sample.stain.film_scatter:
        left = _math(tree, "SUBTRACT", left, stain.outputs["Scatter"], (0, 0))
    tree.links.new(left, combine.inputs["Z"])
    field = _emission(tree, combine.outputs["Vector"])
    _output(tree, _where_stains_can_be(tree, sample, name, _emission(tree, outside), field))
    return material


def build_distance_material(sample: Sample, name: str) -> bpy.types.Material:
    """Emission of the stain's d / r', 0 outside."""
    material = _empty_material(name)
    tree = material.node_tree
    outside = _emission(tree, (0.0, 0.0, 0.0))
    if sample.stain is None:
        _output(tree, outside)
        return material
    stain = add_stain_node(tree, sample.stain, backend=sample.render.stain_backend)
    field = _emission(tree, stain.outputs["Normalised Distance"])
    _output(tree, _where_stains_can_be(tree, sample, name, outside, field))
    return material


def _where_stains_can_be(tree, sample: Sample, name: str, elsewhere, stained, coordinates=None):
    """`stained` where a cheap test says that a stain may be; else `elsewhere`, which is what it would come to there."""
    if sample.render.stain_backend == "osl":  # computes both sides of a choice, so the test would only cost
        return stained
    coordinates = coordinates or tree.nodes.new("ShaderNodeTexCoord")
    image = build_near_stain_image(sample.stain, sample.plate, f"{name} Near Stains")
    near = add_near_stain(tree, coordinates.outputs["Object"], image, sample.plate)
    return _choose(tree, near, elsewhere, stained)


def _emission(tree, colour):
    """An emission of a colour or of what a socket gives."""
    node = tree.nodes.new("ShaderNodeEmission")
    node.location = (200, 0)
    _feed(tree, colour if isinstance(colour, bpy.types.NodeSocket) else (*colour, 1.0), node.inputs["Color"])
    return node.outputs["Emission"]


def _metal(tree, reflectance, roughness, anisotropy, normal, tangent):
    """A metallic Principled BSDF; sockets or numbers."""
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    shader.location = (200, 0)
    shader.distribution = "GGX"
    shader.inputs["Metallic"].default_value = 1.0
    values = {
        "Base Color": reflectance,
        "Roughness": roughness,
        "Anisotropic": anisotropy,
        "Normal": normal,
        "Tangent": tangent,
    }
    for name, value in values.items():
        _feed(tree, value, shader.inputs[name])
    return shader.outputs["BSDF"]


def _label(tree, coordinates, laid):
    """A diffuse Principled BSDF of what covers the metal."""
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    shader.location = (200, -500)
    shader.distribution = "GGX"
    tree.links.new(laid.outputs["Albedo"], shader.inputs["Base Color"])
    tree.links.new(laid.outputs["Cover Roughness"], shader.inputs["Roughness"])
    tree.links.new(laid.outputs["Cover Gloss"], compat.specular_input(shader))
    tree.links.new(_bent_normal(tree, coordinates, laid.outputs["Cover Slope"]), shader.inputs["Normal"])
    return shader.outputs["BSDF"]


def _feed(tree, value, socket) -> None:
    """Link a socket, or set a number or a vector."""
    if isinstance(value, bpy.types.NodeSocket):
        tree.links.new(value, socket)
    else:
        socket.default_value = value


def _film(tree, height, normal):
    """The normal bent by a thin film of this height in metres."""
    node = tree.nodes.new("ShaderNodeBump")
    node.label, node.location = "film", (20, 250)
    node.inputs["Distance"].default_value = 1.0
    tree.links.new(height, node.inputs["Height"])
    tree.links.new(normal, node.inputs["Normal"])
    return node.outputs["Normal"]


def _choose(tree, factor, zero, one):
    """A mixture of two shaders; by a factor of 0 or 1, one of them.

    Cycles skips the nodes of a shader that has no share: stains and labels cost only where they are.
    """
    node = tree.nodes.new("ShaderNodeMixShader")
    node.location = (380, 0)
    tree.links.new(factor, node.inputs["Fac"])
    tree.links.new(zero, node.inputs[1])
    tree.links.new(one, node.inputs[2])
    return node.outputs["Shader"]


def _empty_material(name: str) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    material.node_tree.nodes.clear()
    return material


def _position_mm(tree):
    """The coordinates node and the object-space position in mm."""
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    coordinates.location = (-1100, 0)
    scale = tree.nodes.new("ShaderNodeVectorMath")
    scale.operation, scale.label, scale.location = "SCALE", "metres to mm", (-900, 0)
    scale.inputs["Scale"].default_value = 1000.0
    tree.links.new(coordinates.outputs["Object"], scale.inputs[0])
    return coordinates, scale.outputs["Vector"]


def _group_node(tree, group, location):
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree, node.location, node.width = group, location, 200
    return node


def _math(tree, operation, first, second, location):
    node = tree.nodes.new("ShaderNodeMath")
    node.operation, node.location = operation, location
    tree.links.new(first, node.inputs[0])
    tree.links.new(second, node.inputs[1])
    return node.outputs["Value"]


def _vector_math(tree, operation, first, second, location):
    node = tree.nodes.new("ShaderNodeVectorMath")
    node.operation, node.location = operation, location
    tree.links.new(first, node.inputs[0])
    tree.links.new(second, node.inputs[1])
    return node.outputs["Vector"]


def _bent_normal(tree, coordinates, slope):
    """normalize(N - slope N.z) in object space: exact on the faces, and the cut edges keep their own normal."""
    parts = tree.nodes.new("ShaderNodeSeparateXYZ")
    parts.location = (-480, 500)
    tree.links.new(coordinates.outputs["Normal"], parts.inputs["Vector"])
    tilt = tree.nodes.new("ShaderNodeVectorMath")
    tilt.operation, tilt.location = "SCALE", (-300, 400)
    tree.links.new(slope, tilt.inputs[0])
    tree.links.new(parts.outputs["Z"], tilt.inputs["Scale"])
    bent = _vector_math(tree, "SUBTRACT", coordinates.outputs["Normal"], tilt.outputs["Vector"], (-140, 400))
    return _to_world(tree, bent, "NORMAL", (20, 400))


def _across(grain_angle_deg: float) -> tuple[float, float, float]:
    """The direction across the grain in object space."""
    angle = math.radians(grain_angle_deg)
    return -math.sin(angle), math.cos(angle), 0.0


def _tangent(tree, across):
    """The tangent that the wide side of the microfacet distribution follows: across the grain; a socket or a vector."""
    if not isinstance(across, bpy.types.NodeSocket):
        direction = tree.nodes.new("ShaderNodeCombineXYZ")
        direction.label, direction.location = "across the grain", (-140, -400)
        for axis, value in zip("XYZ", across, strict=True):
            direction.inputs[axis].default_value = value
        across = direction.outputs["Vector"]
    return _to_world(tree, across, "VECTOR", (20, -400))


def _to_world(tree, vector, kind, location):
    node = tree.nodes.new("ShaderNodeVectorTransform")
    node.vector_type, node.convert_from, node.convert_to = kind, "OBJECT", "WORLD"
    node.location = location
    tree.links.new(vector, node.inputs["Vector"])
    return node.outputs["Vector"]


def _output(tree, shader):
    node = tree.nodes.new("ShaderNodeOutputMaterial")
    node.location = (500, 0)
    tree.links.new(shader, node.inputs["Surface"])
