# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts that a workshop makes, each a scene made by code: a turned shaft, a stamped bracket, a cast housing, a painted
sheet, a ground plate. Lengths in the code are millimetres; the scene's unit is a millimetre, as in files from CAD."""

import itertools
import math

import bmesh
import bpy

from blender_addon.core.stain.parameters import StainParameters
from blender_addon.materials.coordinates import metres_per_unit
from blender_addon.materials.stain_on_material import apply_stain

SHAFT_MM = ((0, 0), (9, 0), (10, 1), (10, 30), (9, 31), (9, 34), (10, 35), (16, 35), (17, 36), (17, 70), (16, 71),
            (13, 71), (13, 98), (12, 99), (0, 99))
"""Radius and place along the axis."""


def shaft() -> tuple[bpy.types.Object, StainParameters]:
    mesh, segments = bmesh.new(), 128
    rings = [[mesh.verts.new((radius * math.cos(a), radius * math.sin(a), z - 50.0)) for a in
              (2.0 * math.pi * k / segments for k in range(segments))] for radius, z in SHAFT_MM if radius]
    for low, high in itertools.pairwise(rings):
        for k in range(segments):
            mesh.faces.new((low[k], low[(k + 1) % segments], high[(k + 1) % segments], high[k]))
    mesh.faces.new(rings[0][::-1])
    mesh.faces.new(rings[-1])
    item = _part("Shaft", mesh, _turned_steel())
    item.rotation_euler = (0.0, math.radians(90.0), math.radians(25.0))
    item.location.z = 17.0
    return item, _stain(2.4, 9.0, -0.22)


def bracket() -> tuple[bpy.types.Object, StainParameters]:
    """A strip of 3 mm, bent to an angle, with four holes and a slot."""
    mesh, radius, thick, leg, foot = bmesh.new(), 5.0, 3.0, 42.0, 62.0
    bend = [math.radians(90.0 * k / 12) for k in range(13)]
    middle = [(-foot, 0.0)] + [(radius * math.sin(a), radius * (1.0 - math.cos(a))) for a in bend] + [(radius, leg)]
    normals = [(0.0, 1.0)] + [(-math.sin(a), math.cos(a)) for a in bend] + [(-1.0, 0.0)]
    sides = [[(x + n[0] * s, z + n[1] * s) for (x, z), n in zip(middle, normals, strict=True)]
             for s in (-thick / 2, thick / 2)]
    outline = sides[0] + sides[1][::-1]
    ends = [[mesh.verts.new((x, y, z)) for x, z in outline] for y in (-24.0, 24.0)]
    count = len(outline)
    for k in range(count):
        mesh.faces.new((ends[0][k], ends[1][k], ends[1][(k + 1) % count], ends[0][(k + 1) % count]))
    mesh.faces.new(ends[0])
    mesh.faces.new(ends[1][::-1])
    item = _part("Bracket", mesh, _metal("Zinc", (0.72, 0.73, 0.74), 0.34))
    for x, y in ((-18.0, -12.0), (-18.0, 12.0), (-48.0, -12.0), (-48.0, 12.0)):
        _cut(item, (x, y, 0.0), 4.2, "Z")
    _cut(item, (radius, 0.0, 26.0), 7.0, "X")
    _round_edges(item, 0.5)
    item.location = (20.0, 0.0, 1.5)
    item.rotation_euler.z = math.radians(-28.0)
    return item, _stain(2.6, 10.0, -0.2)


def housing() -> tuple[bpy.types.Object, StainParameters]:
    """A cast box with a round boss and a flange, rough from the sand."""
    mesh = bmesh.new()
    bmesh.ops.create_cube(mesh, size=1.0)
    bmesh.ops.scale(mesh, vec=(78.0, 56.0, 34.0), verts=mesh.verts)
    item = _part("Housing", mesh, _cast_iron())
    for place, radius, depth in (((0.0, 0.0, 20.0), 21.0, 14.0),):
        _join(item, place, radius, depth)
    _cut(item, (0.0, 0.0, 27.0), 12.0, "Z", depth=30.0)
    for x in (-32.0, 32.0):
        for y in (-21.0, 21.0):
            _cut(item, (x, y, 17.0), 3.2, "Z", depth=20.0)
    _round_edges(item, 2.5, segments=4)
    item.location.z = 17.0
    item.rotation_euler.z = math.radians(24.0)
    return item, _stain(3.2, 12.0, -0.05, film_scatter=0.25)


def sheet() -> tuple[bpy.types.Object, StainParameters]:
    """A pressed panel under paint and clear coat, softly curved."""
    mesh = bmesh.new()
    bmesh.ops.create_grid(mesh, x_segments=96, y_segments=72, size=0.5)
    for vertex in mesh.verts:
        x, y = vertex.co.x * 150.0, vertex.co.y * 110.0
        edge = 1.0 / (1.0 + math.exp((abs(y) - 34.0) / 2.5))
        vertex.co = (x, y, 6.0 * edge - x * x / 900.0)
    item = _part("Sheet", mesh, _paint())
    item.modifiers.new("Thickness", "SOLIDIFY").thickness = 0.8
    item.location.z, item.rotation_euler.z = 8.0, math.radians(18.0)
    return item, _stain(3.0, 14.0, 0.06, film_scatter=0.0, roughness_change=0.12)


def plate() -> tuple[bpy.types.Object, StainParameters]:
    mesh = bmesh.new()
    bmesh.ops.create_cube(mesh, size=1.0)
    bmesh.ops.scale(mesh, vec=(120.0, 84.0, 6.0), verts=mesh.verts)
    item = _part("Plate", mesh, _ground_steel())
    _round_edges(item, 0.8)
    item.location.z, item.rotation_euler.z = 3.0, math.radians(-14.0)
    return item, _stain(3.0, 12.0, -0.2)


LENS_MM = {"housing": 66.0, "sheet": 54.0, "plate": 62.0}
"""Of the camera, for parts that fill the view of the others' more than once."""
PARTS = {"shaft": shaft, "bracket": bracket, "housing": housing, "sheet": sheet, "plate": plate}


def make(name: str, size: tuple[int, int], samples: int) -> bpy.types.Scene:
    """The scene of a part, stained, with a table, two lamps and a camera, open in this Blender."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.unit_settings.scale_length = 0.001
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = samples, False
    scene.cycles.sample_clamp_indirect = 4.0
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.view_settings.view_transform = "Standard"
    item, stain = PARTS[name]()
    bpy.context.view_layer.update()
    apply_stain(item.active_material, stain, "nodes", metres_per_unit(item, scene))
    item["surface_impurities_inspected"] = True
    table = bmesh.new()
    bmesh.ops.create_grid(table, x_segments=1, y_segments=1, size=600.0)
    _part("Table", table, _metal("Mat", (0.035, 0.037, 0.04), 0.75, metallic=0.0))
    scene.world = bpy.data.worlds.new("Room")
    scene.world.use_nodes = True
    background = next(node for node in scene.world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value, background.inputs["Strength"].default_value = (0.8, 0.9, 1.0, 1.0), 0.25
    _lamp("Window", (-170.0, 130.0, 210.0), 260.0, 6e5)
    _lamp("Lamp", (190.0, -40.0, 200.0), 120.0, 3.2e5)
    eye = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    eye.data.lens, eye.data.clip_end, eye.location = LENS_MM.get(name, 80.0), 2000.0, (0.0, -205.0, 215.0)
    eye.rotation_euler = (math.radians(43.0), 0.0, 0.0)
    scene.collection.objects.link(eye)
    scene.camera = eye
    return scene


def _stain(radius: float, cell: float, intensity: float, **more) -> StainParameters:
    values = {"decay": 1.4, "density": 0.55, "radius_spread": 0.6, "intensity_spread": 0.5, "rim_gain": 0.9,
              "rim_width": 0.07, "seed": 11, **more}
    return StainParameters(radius, 0.4, radius * 0.3, intensity=intensity, cell_size_mm=cell, **values)


def _part(name: str, mesh, material) -> bpy.types.Object:
    bmesh.ops.recalc_face_normals(mesh, faces=mesh.faces)
    data = bpy.data.meshes.new(name)
    mesh.to_mesh(data)
    mesh.free()
    item = bpy.data.objects.new(name, data)
    data.materials.append(material)
    bpy.context.scene.collection.objects.link(item)
    data.polygons.foreach_set("use_smooth", [True] * len(data.polygons))
    split = item.modifiers.new("Split", "EDGE_SPLIT")
    split.split_angle = math.radians(35.0)
    return item


def _tool(place, radius: float, axis: str, depth: float) -> bpy.types.Object:
    mesh = bmesh.new()
    bmesh.ops.create_cone(mesh, cap_ends=True, segments=64, radius1=radius, radius2=radius, depth=depth)
    data = bpy.data.meshes.new("Tool")
    mesh.to_mesh(data)
    mesh.free()
    tool = bpy.data.objects.new("Tool", data)
    tool.location, tool.hide_render, tool.hide_viewport = place, True, True
    tool.rotation_euler = (0.0, math.radians(90.0), 0.0) if axis == "X" else (0.0, 0.0, 0.0)
    bpy.context.scene.collection.objects.link(tool)
    return tool


def _boolean(item, tool, operation: str) -> None:
    change = item.modifiers.new(operation.title(), "BOOLEAN")
    change.object, change.operation, change.solver = tool, operation, "EXACT"
    tool.parent = item
    bpy.context.view_layer.update()
    item.modifiers.move(len(item.modifiers) - 1, len(item.modifiers) - 2)  # before the edges are split


def _cut(item, place, radius: float, axis: str, depth: float = 40.0) -> None:
    _boolean(item, _tool(place, radius, axis, depth), "DIFFERENCE")


def _join(item, place, radius: float, depth: float) -> None:
    _boolean(item, _tool(place, radius, "Z", depth), "UNION")


def _round_edges(item, width: float, segments: int = 2) -> None:
    bevel = item.modifiers.new("Edges", "BEVEL")
    bevel.width, bevel.segments, bevel.limit_method, bevel.angle_limit = width, segments, "ANGLE", math.radians(40.0)
    item.modifiers.move(len(item.modifiers) - 1, len(item.modifiers) - 2)


def _lamp(name: str, place, size: float, watts: float) -> None:
    item = bpy.data.objects.new(name, bpy.data.lights.new(name, "AREA"))
    item.data.energy, item.data.size, item.location = watts, size, place
    item.rotation_euler = (-item.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(item)


def _metal(name: str, colour, roughness: float, metallic: float = 1.0) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = _shader(material)
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    shader.inputs["Roughness"].default_value, shader.inputs["Metallic"].default_value = roughness, metallic
    return material


def _shader(material):
    return next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")


def _uneven(material, scale, strength: float, distance: float, detail: float = 2.0) -> None:
    """A noise of the object's space, stretched by `scale`, as a bump."""
    tree = material.node_tree
    place, stretch, noise, bump = (tree.nodes.new(f"ShaderNode{kind}") for kind in
                                   ("TexCoord", "VectorMath", "TexNoise", "Bump"))
    stretch.operation, stretch.inputs[1].default_value = "MULTIPLY", scale
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = 1.0, detail
    bump.inputs["Strength"].default_value, bump.inputs["Distance"].default_value = strength, distance
    tree.links.new(place.outputs["Object"], stretch.inputs[0])
    tree.links.new(stretch.outputs[0], noise.inputs["Vector"])
    tree.links.new(noise.outputs[0], bump.inputs["Height"])
    tree.links.new(bump.outputs[0], _shader(material).inputs["Normal"])


def _turned_steel() -> bpy.types.Material:
    """Rings of the tool: along the axis the noise is short, around it nothing changes."""
    material = _metal("Turned Steel", (0.6, 0.59, 0.58), 0.3)
    _uneven(material, (0.02, 0.02, 5.0), 0.5, 0.02)
    return material


def _ground_steel() -> bpy.types.Material:
    material = _metal("Ground Steel", (0.63, 0.63, 0.63), 0.28)
    _uneven(material, (0.06, 9.0, 1.0), 0.45, 0.02)
    return material


def _cast_iron() -> bpy.types.Material:
    material = _metal("Cast Iron", (0.22, 0.22, 0.225), 0.55, metallic=0.7)
    _uneven(material, (1.1, 1.1, 1.1), 0.5, 0.5, detail=5.0)
    return material


def _paint() -> bpy.types.Material:
    material = _metal("Paint", (0.03, 0.13, 0.3), 0.45, metallic=0.0)
    shader = _shader(material)
    for name in ("Coat Weight", "Clearcoat"):
        if name in shader.inputs:
            shader.inputs[name].default_value = 1.0
    for name in ("Coat Roughness", "Clearcoat Roughness"):
        if name in shader.inputs:
            shader.inputs[name].default_value = 0.05
    return material
