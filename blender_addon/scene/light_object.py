# SPDX-License-Identifier: GPL-3.0-or-later
"""The ring light as an emissive mesh, and the surroundings; metres and W / (m² sr)."""

import math

import bpy

from ..core.inspection.ring_light import RingLight


def build_light(light: RingLight, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """Add the ring to `collection`, facing down; segments of one radiance share a material."""
    outer, inner = (corners * 1e-3 for corners in light.corners_mm())
    vertices = [(float(x), float(y), 0.0) for x, y in (*outer, *inner)]
    # Clockwise as seen from above, so that the normals point at the plate.
    faces = [(k, 6 + k, 6 + (k + 1) % 6, (k + 1) % 6) for k in range(6)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, [], faces)
    radiances = light.segment_radiances_w_m2_sr
    distinct = sorted(set(radiances))
    for radiance in distinct:
        mesh.materials.append(_emitter(radiance, name))
    for face, radiance in zip(mesh.polygons, radiances, strict=True):
        face.material_index = distinct.index(radiance)
    ring = bpy.data.objects.new(name, mesh)
    ring.location = (light.shift_x_mm * 1e-3, light.shift_y_mm * 1e-3, light.height_mm * 1e-3)
    ring.rotation_euler = (math.radians(light.tilt_x_deg), math.radians(light.tilt_y_deg), 0.0)
    collection.objects.link(ring)
    return ring


def build_surroundings(light: RingLight, name: str) -> bpy.types.World:
    """A dim, even world. It is found by the reflected rays alone: choosing it as a light would waste samples."""
    world = bpy.data.worlds.new(name)
    world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    background.inputs["Strength"].default_value = light.ambient * light.radiance_w_m2_sr
    world.cycles.sampling_method = "NONE"
    return world


def _emitter(radiance: float, name: str) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    emission = nodes.new("ShaderNodeEmission")
    emission.inputs["Strength"].default_value = radiance
    output = nodes.new("ShaderNodeOutputMaterial")
    output.location = (200, 0)
    links.new(emission.outputs["Emission"], output.inputs["Surface"])
    return material
