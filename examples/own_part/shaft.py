# SPDX-License-Identifier: GPL-3.0-or-later
"""A turned shaft between two lamps, stained, as a .blend file: a part of one's own for docs/own_part.md.

    .venv-blender/bin/python examples/own_part/shaft.py out/shaft.blend        # with the bpy module
    blender -b -P examples/own_part/shaft.py -- out/shaft.blend
"""

import math
import os
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from blender_addon.core.stain.parameters import StainParameters
from blender_addon.materials.coordinates import metres_per_unit
from blender_addon.materials.stain_on_material import apply_stain

PROFILE_MM = ((0, 0), (9, 0), (10, 1), (10, 24), (9, 25), (9, 28), (10, 29), (14, 29), (15, 30), (15, 58), (14, 59),
              (12, 59), (12, 74), (11.2, 74.8), (11.2, 76.2), (12, 77), (12, 89), (11, 90), (0, 90))
"""Radius and place along the axis of the turned outline: shoulders, chamfers, a relief groove, a ring groove."""
STAIN = StainParameters(
    radius_mm=2.2, noise_frequency_per_mm=0.5, noise_amplitude_mm=0.8, decay=1.5, intensity=-0.22, seed=4,
    cell_size_mm=9.0, density=0.5, radius_spread=0.5, intensity_spread=0.5, rim_gain=0.8, rim_width=0.06,
)


def main(path: str) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 48, False
    scene.render.resolution_x, scene.render.resolution_y = 480, 320
    shaft, table = turned("Shaft"), plane("Table", 0.6)
    shaft.location, shaft.rotation_euler = (-0.045, 0.0, 0.016), (0.0, math.radians(90.0), 0.0)
    bpy.context.view_layer.update()
    steel, paint = metal("Steel"), matt("Paint")
    shaft.data.materials.append(steel)
    table.data.materials.append(paint)
    apply_stain(steel, STAIN, "nodes", metres_per_unit(shaft, scene))
    shaft["surface_impurities_inspected"] = True
    lamp("Left", (-0.15, -0.12, 0.25), 0.9)
    lamp("Right", (0.18, 0.05, 0.22), 0.6)
    eye = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    eye.data.lens, eye.location, eye.rotation_euler = 85.0, (0.0, -0.2, 0.2), (math.radians(46.0), 0.0, 0.0)
    scene.collection.objects.link(eye)
    scene.camera = eye
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(path).resolve()))


def turned(name: str, segments: int = 96) -> bpy.types.Object:
    """The outline turned about the object's z axis; flat faces, smooth around."""
    points = [(radius * 1e-3, z * 1e-3) for radius, z in PROFILE_MM]
    vertices, faces = [], []
    for radius, z in points:
        vertices += [(radius * math.cos(angle), radius * math.sin(angle), z)
                     for angle in (2.0 * math.pi * k / segments for k in range(segments))]
    for row in range(len(points) - 1):
        for k in range(segments):
            here, beside = row * segments + k, row * segments + (k + 1) % segments
            faces.append((here, beside, beside + segments, here + segments))
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, [], faces)
    mesh.validate()
    item = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(item)
    bevel = item.modifiers.new("Edges", "BEVEL")
    bevel.width, bevel.segments, bevel.limit_method = 2e-4, 2, "ANGLE"
    item.modifiers.new("Split", "EDGE_SPLIT").split_angle = math.radians(30.0)
    mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
    return item


def plane(name: str, size: float) -> bpy.types.Object:
    bpy.ops.mesh.primitive_plane_add(size=size)
    bpy.context.object.name = name
    return bpy.context.object


def metal(name: str) -> bpy.types.Material:
    """Turned steel: fine rings about the axis as a bump, a little uneven in roughness."""
    material, shader = principled(name)
    tree = material.node_tree
    shader.inputs["Metallic"].default_value, shader.inputs["Roughness"].default_value = 1.0, 0.32
    shader.inputs["Base Color"].default_value = (0.62, 0.61, 0.59, 1.0)
    place, wave, bump = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("TexCoord", "TexWave", "Bump"))
    wave.bands_direction = "Z"
    wave.inputs["Scale"].default_value, wave.inputs["Distortion"].default_value = 900.0, 3.0
    bump.inputs["Strength"].default_value, bump.inputs["Distance"].default_value = 0.12, 2e-5
    tree.links.new(place.outputs["Object"], wave.inputs["Vector"])
    tree.links.new(wave.outputs[1], bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    return material


def matt(name: str) -> bpy.types.Material:
    material, shader = principled(name)
    shader.inputs["Base Color"].default_value, shader.inputs["Roughness"].default_value = (0.03, 0.03, 0.035, 1.0), 0.8
    return material


def principled(name: str):
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    return material, next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")


def lamp(name: str, place: tuple[float, float, float], power_w: float) -> None:
    """An even square lamp that shines at the origin."""
    item = bpy.data.objects.new(name, bpy.data.lights.new(name, "AREA"))
    item.data.energy, item.data.size, item.location = power_w, 0.18, place
    item.rotation_euler = (-item.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(item)


if not sys.argv[-1].endswith(".blend"):
    sys.exit(f"{__doc__}\nexpected the name of a .blend file to write, got {sys.argv[-1]}")
main(sys.argv[-1])
os._exit(0)  # the module may hang while it tears itself down
