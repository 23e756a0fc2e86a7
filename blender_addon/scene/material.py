# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate's two materials, made of the same groups: how it looks, and what is where."""

import math

import bpy

from ..core.sample import Sample
from .defect_nodes import build_defect_group, build_near_group
from .stain_nodes import add_stain_node
from .stain_skip import add_near_stain, build_near_stain_image
from .surface_nodes import build_surface_group


def build_plate_material(sample: Sample, name: str, whole_plate: bool = False) -> bpy.types.Material:
    """Brushed metal with the sample's stains and defects.

    A metallic Principled BSDF: the stain acts on its base colour, which is the metal's reflectance at normal
    incidence, on the roughness, and as a thin film on the normal; grooves and defects bend the normal by their slopes;
    scratches change the roughness. Where a cheap test says that neither stain nor defect is near, the bare metal is
    chosen, which is what the rest would come to there. The grooves cover what the camera sees, or the whole plate.
    """
    material = _empty_material(name)
    tree = material.node_tree
    coordinates, position = _position_mm(tree)

    surface = _group_node(tree, build_surface_group(sample, f"{name} Surface", whole_plate), (-700, 100))
    tree.links.new(position, surface.inputs["Position"])
    reflectance, roughness, slope = (surface.outputs[key] for key in ("Reflectance", "Roughness", "Slope"))
    tangent = _tangent(tree, sample.surface.grain_angle_deg)
    anisotropy = sample.surface.anisotropy

    def metal(height=None):
        normal = _film(tree, height, _bent_normal(tree, coordinates, slope))
        return _metal(tree, reflectance, roughness, anisotropy, normal, tangent)

    bare = metal() if _may_skip(sample) else None
    near, height = [], None
    if sample.stain is not None:
        stain = add_stain_node(tree, sample.stain, backend=sample.render.stain_backend)
        stain.location = (-480, 200)
        tree.links.new(reflectance, stain.inputs["Reflectance"])
        reflectance = stain.outputs["Reflectance"]
        if sample.stain.roughness_change:
            roughness = _math(tree, "ADD", roughness, stain.outputs["Roughness Delta"], (-300, 100))
        if sample.stain.film_height_um:
            height = stain.outputs["Height"]
        if bare is not None:
            image = build_near_stain_image(sample.stain, sample.plate, f"{name} Near Stains")
            near.append(add_near_stain(tree, coordinates.outputs["Object"], image, sample.plate))
    if sample.defects:
        defects = _group_node(tree, build_defect_group(sample.defects, f"{name} Defects"), (-700, -200))
        tree.links.new(position, defects.inputs["Position"])
        scratched = defects.outputs["Scratched"]
        slope = _vector_math(tree, "ADD", slope, defects.outputs["Slope"], (-480, -100))
        roughness = _blend(tree, scratched, roughness, defects.outputs["Scratch Roughness"], (-480, -250))
        anisotropy = _blend(tree, scratched, anisotropy, 0.0, (-480, -400))
        if bare is not None:
            test = _group_node(tree, build_near_group(sample.defects, f"{name} Near Defects"), (-700, -450))
            tree.links.new(position, test.inputs["Position"])
            near.append(test.outputs["Near"])
    shader = metal(height)
    if bare is not None:
        either = near[0] if len(near) == 1 else _math(tree, "MAXIMUM", *near, (-300, -600))
        shader = _choose(tree, either, bare, shader)
    _output(tree, shader)
    return material


def _may_skip(sample: Sample) -> bool:
    """Whether choosing between two shaders saves time: Open Shading Language always computes both."""
    return sample.render.stain_backend != "osl" and (sample.stain is not None or bool(sample.defects))


def build_label_material(sample: Sample, name: str) -> bpy.types.Material:
    """Emission that carries what is where: red the stain's instance hash, green 1 inside a stain, blue the number of
    the defect."""
    material = _empty_material(name)
    tree = material.node_tree
    combine = tree.nodes.new("ShaderNodeCombineXYZ")
    if sample.stain is not None:
        stain = add_stain_node(tree, sample.stain, backend=sample.render.stain_backend)
        tree.links.new(stain.outputs["Instance"], combine.inputs["X"])
        tree.links.new(stain.outputs["Mask"], combine.inputs["Y"])
    if sample.defects:
        _, position = _position_mm(tree)
        defects = _group_node(tree, build_defect_group(sample.defects, f"{name} Defects"), (-700, -200))
        tree.links.new(position, defects.inputs["Position"])
        tree.links.new(defects.outputs["Number"], combine.inputs["Z"])
    emission = tree.nodes.new("ShaderNodeEmission")
    emission.location = (200, 0)
    tree.links.new(combine.outputs["Vector"], emission.inputs["Color"])
    _output(tree, emission.outputs["Emission"])
    return material


def build_distance_material(sample: Sample, name: str) -> bpy.types.Material:
    """Emission of the stain's d / r', 0 outside."""
    material = _empty_material(name)
    tree = material.node_tree
    emission = tree.nodes.new("ShaderNodeEmission")
    emission.inputs["Color"].default_value = (0.0, 0.0, 0.0, 1.0)
    if sample.stain is not None:
        stain = add_stain_node(tree, sample.stain, backend=sample.render.stain_backend)
        tree.links.new(stain.outputs["Normalised Distance"], emission.inputs["Color"])
    _output(tree, emission.outputs["Emission"])
    return material


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
        if isinstance(value, bpy.types.NodeSocket):
            tree.links.new(value, shader.inputs[name])
        else:
            shader.inputs[name].default_value = value
    return shader.outputs["BSDF"]


def _film(tree, height, normal):
    """The normal bent by a thin film of this height in metres; None leaves it as it is."""
    if height is None:
        return normal
    node = tree.nodes.new("ShaderNodeBump")
    node.label, node.location = "film", (20, 250)
    node.inputs["Distance"].default_value = 1.0
    tree.links.new(height, node.inputs["Height"])
    tree.links.new(normal, node.inputs["Normal"])
    return node.outputs["Normal"]


def _choose(tree, factor, zero, one):
    """One of two shaders, by a factor of 0 or 1.

    Cycles skips the nodes of the shader that is not chosen: stains and defects cost only where they are.
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


def _blend(tree, factor, outside, inside, location):
    """`inside` where the factor is 1, `outside` where it is 0; sockets or numbers."""
    node = tree.nodes.new("ShaderNodeMapRange")
    node.location = location
    tree.links.new(factor, node.inputs["Value"])
    for socket, value in (("To Min", outside), ("To Max", inside)):
        if isinstance(value, bpy.types.NodeSocket):
            tree.links.new(value, node.inputs[socket])
        else:
            node.inputs[socket].default_value = value
    return node.outputs["Result"]


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


def _tangent(tree, grain_angle_deg: float):
    """The direction across the grain, which the wide side of the microfacet distribution follows."""
    angle = math.radians(grain_angle_deg)
    direction = tree.nodes.new("ShaderNodeCombineXYZ")
    direction.label, direction.location = "across the grain", (-140, -400)
    direction.inputs["X"].default_value = -math.sin(angle)
    direction.inputs["Y"].default_value = math.cos(angle)
    return _to_world(tree, direction.outputs["Vector"], "VECTOR", (20, -400))


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
