# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera, looking straight down at the world's origin."""

import bpy

from ..core.inspection.camera import Camera


def build_camera(camera: Camera, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """Add the camera to `collection`.

    Blender's camera is a pinhole whose "lens" is the distance to the sensor, so it gets the image distance of the
    focused lens, not its focal length. The plate is flat and in focus: blur belongs to the sensor stage.
    """
    data = bpy.data.cameras.new(name)
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = camera.width_px * camera.pixel_um * 1e-3
    data.lens = camera.image_distance_mm
    data.clip_start = 1e-3
    data.clip_end = 100.0
    camera_object = bpy.data.objects.new(name, data)
    camera_object.location = (0.0, 0.0, camera.distance_mm * 1e-3)
    collection.objects.link(camera_object)
    return camera_object
