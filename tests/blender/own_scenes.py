# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes of other people, made by code: what a test of a person's own scene renders.

    python tests/blender/own_scenes.py NAME FILE.blend     # save one
"""

import math
import os
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parents[2]))
from blender_addon.core.stain.parameters import StainParameters
from blender_addon.materials import stain_on_material
from blender_addon.materials.coordinates import metres_per_unit

STAIN = StainParameters(4.0, 0.25, 1.5, 2.0, -0.4, 7, cell_size_mm=13.0)


def empty(size=(96, 72), samples=2) -> bpy.types.Scene:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = samples, False
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.world = bpy.data.worlds.new("Sky")
    scene.world.use_nodes = True
    return scene


def camera(name, place, turn, lens=50.0) -> bpy.types.Object:
    item = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    item.location, item.rotation_euler, item.data.lens = place, turn, lens
    bpy.context.scene.collection.objects.link(item)
    bpy.context.scene.camera = item
    return item


def light(place, energy=1.0) -> bpy.types.Object:
    item = bpy.data.objects.new("Key", bpy.data.lights.new("Key", "AREA"))
    item.location, item.data.energy, item.data.size = place, energy, 0.2
    bpy.context.scene.collection.objects.link(item)
    return item


def material(name, colour=(0.6, 0.6, 0.6, 1.0)) -> bpy.types.Material:
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = next(node for node in made.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value, shader.inputs["Roughness"].default_value = colour, 0.4
    return made


def stained(name, item, stain=STAIN, **more) -> bpy.types.Material:
    made = material(name)
    item.data.materials.append(made)
    stain_on_material.apply_stain(made, stain, "nodes", metres_per_unit(item, bpy.context.scene), **more)
    return made


def last(name) -> bpy.types.Object:
    bpy.context.object.name = name
    return bpy.context.object


def two_parts() -> None:
    """A turned shaft and a head on a table; two parts share one stained material."""
    empty()
    bpy.ops.mesh.primitive_cylinder_add(vertices=48, radius=0.02, depth=0.08, location=(0, 0, 0.02),
                                        rotation=(math.pi / 2, 0, 0.5))
    bpy.ops.object.shade_smooth()
    shaft = last("Shaft")
    bpy.ops.mesh.primitive_monkey_add(size=0.04, location=(0.05, 0.01, 0.02))
    head = last("Head")
    bpy.ops.mesh.primitive_plane_add(size=0.4)
    last("Table")
    head.data.materials.append(stained("Steel", shaft))
    light((0.1, -0.2, 0.3))
    camera("Front", (0.02, -0.2, 0.12), (1.05, 0, 0))


def casting() -> None:
    """A displaced, subdivided ball behind a fixture, in a file with CAD's units, in a scene with much in it: two slots,
    a broken driver, keys on the camera, a lens out of focus, a compositor, several cameras and view layers, a light
    that the camera sees."""
    scene = empty()
    scene.unit_settings.scale_length = 0.001
    bpy.ops.mesh.primitive_ico_sphere_add(subdivisions=3, radius=30.0, location=(0, 0, 10))
    ball = last("Casting")
    ball.scale = (1.0, 1.4, 0.8)
    ball.modifiers.new("Smooth", "SUBSURF").levels = 1
    cloud = bpy.data.textures.new("Cloud", "CLOUDS")
    cloud.noise_scale = 8.0
    displace = ball.modifiers.new("Bumps", "DISPLACE")
    displace.texture, displace.strength = cloud, 6.0
    bpy.context.view_layer.update()
    skin = stained("Skin", ball, StainParameters(5.0, 0.2, 1.5, 2.0, -0.4, 3, cell_size_mm=20.0))
    rust = material("Rust", (0.4, 0.1, 0.05, 1.0))
    ball.data.materials.append(rust)
    for face in ball.data.polygons:
        face.material_index = int(face.center.x > 12.0)
    assert skin.users and rust.users
    bpy.ops.mesh.primitive_torus_add(major_radius=38.0, minor_radius=4.0, location=(0, 0, 25), rotation=(0.4, 0.3, 0))
    ring = last("Fixture")
    driver = ring.driver_add("location", 0).driver
    driver.expression = "no_such_name * 2"
    glow = light((0.0, -60.0, 60.0), 3e5)
    glow.data.size = 20.0
    glow.visible_camera = True
    camera("Top", (0, 0, 200), (0, 0, 0))
    side = camera("Side", (0, -180, 90), (1.15, 0, 0))
    side.data.dof.use_dof = True
    side.data.dof.focus_distance, side.data.dof.aperture_fstop = 50.0, 0.01
    side.keyframe_insert("location", frame=1)
    scene.view_layers.new("Second")
    scene.render.image_settings.file_format = "JPEG"
    scene.render.use_motion_blur = True


def bracket() -> None:
    """A scaled bracket, an array of holes cut by a boolean, an image-textured material, linked copies that differ."""
    empty()
    bpy.ops.mesh.primitive_cube_add(size=1.0)
    plate = last("Bracket")
    plate.scale = (0.08, 0.05, 0.004)
    bpy.ops.mesh.primitive_cylinder_add(radius=0.008, depth=0.1, location=(0.015, 0, 0))
    cutter = last("Cutter")
    cutter.hide_render = True
    cut = plate.modifiers.new("Hole", "BOOLEAN")
    cut.object, cut.solver = cutter, "FAST" if bpy.app.version < (5, 0, 0) else "FLOAT"
    bpy.context.view_layer.update()
    made = stained("Painted", plate, StainParameters(3.0, 0.3, 1.0, 2.0, -0.3, 11, cell_size_mm=10.0), by_object=True)
    image = bpy.data.images.new("Print", 16, 16)
    image.generated_type = "COLOR_GRID"
    node = made.node_tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    copy = plate.copy()
    copy.name, copy.location = "Copy", (0.0, 0.06, 0.0)
    bpy.context.scene.collection.objects.link(copy)
    plate["surface_impurities_seed"], copy["surface_impurities_seed"] = 17, 50_000
    light((0.1, -0.1, 0.3))
    camera("Over", (0.0, -0.02, 0.22), (0.35, 0.1, 0.3))


SCENES = {"two_parts": two_parts, "casting": casting, "bracket": bracket}


def make(name: str) -> bpy.types.Scene:
    """The scene `name`, open in this Blender."""
    SCENES[name]()
    return bpy.context.scene


if __name__ == "__main__":
    make(sys.argv[-2])
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(sys.argv[-1]).resolve()))
    os._exit(0)  # the module may hang while it tears itself down
