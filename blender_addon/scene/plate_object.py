# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate as a mesh: a sheet with rounded edges whose top face is z = 0 of its object space; metres."""

import math

import bmesh
import bpy

from ..core.inspection.plate import Plate

_BEVEL_SEGMENTS = 3


def build_plate(plate: Plate, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """Add the plate to `collection`, posed under the camera; without a material."""
    shape = bmesh.new()
    bmesh.ops.create_cube(shape, size=1.0)
    size = (plate.width_mm * 1e-3, plate.length_mm * 1e-3, plate.thickness_mm * 1e-3)
    bmesh.ops.scale(shape, vec=size, verts=shape.verts)
    radius = min(plate.edge_radius_mm, 0.45 * plate.thickness_mm) * 1e-3
    if radius > 0:
        bmesh.ops.bevel(shape, geom=shape.edges[:], offset=radius, segments=_BEVEL_SEGMENTS, profile=0.5,
                        affect="EDGES")
    top = max(vertex.co.z for vertex in shape.verts)
    for vertex in shape.verts:
        # Exactly zero on the top face: the fields are evaluated there, and a cell's index turns on the sign.
        vertex.co.z = 0.0 if math.isclose(vertex.co.z, top, abs_tol=1e-9) else vertex.co.z - top
    mesh = bpy.data.meshes.new(name)
    shape.to_mesh(mesh)
    shape.free()

    plate_object = bpy.data.objects.new(name, mesh)
    plate_object.location = (plate.offset_x_mm * 1e-3, plate.offset_y_mm * 1e-3, 0.0)
    plate_object.rotation_euler = (0.0, 0.0, math.radians(plate.yaw_deg))
    collection.objects.link(plate_object)
    return plate_object
