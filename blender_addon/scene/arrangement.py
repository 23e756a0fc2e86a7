# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's scene arranged for one picture: how the parts lie, where the camera stands, how strong the light is."""

import math
from collections.abc import Sequence
from typing import Any

import bpy
from mathutils import Euler, Matrix, Vector

from ..core.errors import UserError
from ..core.recipe.own_scene import Lamps, OwnSample, Pose
from .inspected import Part
from .ledger import Ledger

CAMERA = "Surface Impurities Camera"


def units_per_mm(scene: bpy.types.Scene) -> float:
    """World units for a millimetre, by the scene's unit scale."""
    settings = scene.unit_settings
    return 1e-3 / (settings.scale_length if settings.system != "NONE" else 1.0)


def middle_of(parts: Sequence[Part]) -> Vector:
    """The middle of the box around the inspected objects, world space."""
    corners = [part.object.matrix_world @ Vector(corner) for part in parts for corner in part.object.bound_box]
    low, high = ([pick(axis) for axis in zip(*corners, strict=True)] for pick in (min, max))
    return (Vector(low) + Vector(high)) / 2.0


def arrange(changes: Ledger, scene: bpy.types.Scene, parts: Sequence[Part], sample: OwnSample) -> None:
    """Arrange the scene as the sample says; `changes` takes it back.

    Raises:
        UserError: the scene has no camera, or what is to move is animated.
    """
    bpy.context.view_layer.update()
    middle, unit = middle_of(parts), units_per_mm(scene)
    camera = _camera(scene, sample)
    if sample.pose != Pose() or sample.turntable_deg:
        _pose(changes, parts, sample, middle, unit)
    if sample.lamps != Lamps():
        _light(changes, scene, sample.lamps, middle)
    if sample.position_mm is not None:
        position = Vector(sample.position_mm) * unit
        camera = _new_camera(changes, scene, camera, position, middle, 0.0)
    elif sample.view is not None:
        view = sample.view
        distance = view.distance_mm * unit or (camera.matrix_world.translation - middle).length
        elevation, azimuth = math.radians(view.elevation_deg), math.radians(view.azimuth_deg)
        out = Vector((math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth),
                      math.sin(elevation)))
        camera = _new_camera(changes, scene, camera, middle + distance * out, middle, math.radians(view.roll_deg))
    changes.set(scene, "camera", camera)
    bpy.context.view_layer.update()


def check_movable(parts: Sequence[Part], scene: bpy.types.Scene, poses: bool, lights: bool) -> None:
    """
    Raises:
        UserError: an object that a recipe moves is moved by an animation or a constraint too.
    """
    items = [part.object for part in parts if poses]
    items += [item for item in scene.objects if lights and item.type == "LIGHT"]
    for item in items:
        moved = item.animation_data and (item.animation_data.action or item.animation_data.drivers)
        if moved or item.constraints:
            raise UserError(f"'{item.name}' is moved by {'an animation' if moved else 'a constraint'}, so a recipe "
                            "cannot move it; apply that first, or leave [pose] and the rotation of [lamps] out")


def camera_parameters(scene: bpy.types.Scene) -> dict[str, Any]:
    """The camera of a picture, for the record."""
    camera = scene.camera
    data = camera.data
    return {"name": camera.name, "matrix_world": _rows(camera.matrix_world), "type": data.type, "lens_mm": data.lens,
            "sensor_width_mm": data.sensor_width, "shift_x": data.shift_x, "shift_y": data.shift_y,
            "millimetres_per_unit": 1.0 / units_per_mm(scene)}


def object_parameters(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The inspected objects of a picture, for the record."""
    return [{"name": part.object.name, "matrix_world": _rows(part.object.matrix_world),
             "left_out_materials": sorted(part.left_out)} for part in parts]


def _camera(scene: bpy.types.Scene, sample: OwnSample) -> bpy.types.Object:
    if not sample.camera:
        if scene.camera is None:
            raise UserError(f"scene '{scene.name}' has no camera; add one, or name cameras in the recipe's [scene]")
        return scene.camera
    found = scene.objects.get(sample.camera)
    if found is None or found.type != "CAMERA":
        there = ", ".join(item.name for item in scene.objects if item.type == "CAMERA") or "none"
        raise UserError(f"scene '{scene.name}': there is no camera '{sample.camera}'; there are: {there}")
    return found


def _new_camera(changes: Ledger, scene, like, position: Vector, target: Vector, roll: float) -> bpy.types.Object:
    """A camera with the lens of another, that looks at a point; it goes with the other changes."""
    made = bpy.data.objects.new(CAMERA, like.data)

    def remove() -> None:
        bpy.data.objects.remove(made)
        bpy.context.view_layer.update()  # until then the layer's list has a gap

    changes.on_undo(remove)
    scene.collection.objects.link(made)
    turned = (target - position).to_track_quat("-Z", "Y").to_matrix().to_4x4()
    made.matrix_world = Matrix.Translation(position) @ turned @ Matrix.Rotation(roll, 4, "Z")
    return made


def _pose(changes: Ledger, parts: Sequence[Part], sample: OwnSample, middle: Vector, unit: float) -> None:
    pose = sample.pose
    angles = [math.radians(angle) for angle in (pose.rotation_x_deg, pose.rotation_y_deg,
                                                pose.rotation_z_deg + sample.turntable_deg)]
    shift = Vector((pose.shift_x_mm, pose.shift_y_mm, pose.shift_z_mm)) * unit
    motion = Matrix.Translation(middle + shift) @ Euler(angles).to_matrix().to_4x4() @ Matrix.Translation(-middle)
    objects = {part.object for part in parts}
    for item in [part.object for part in parts if not _carried(part.object, objects)]:
        _move(changes, item, motion)


def _carried(item: bpy.types.Object, objects: set) -> bool:
    """Whether the object moves along with another one of them."""
    parent = item.parent
    while parent is not None:
        if parent in objects:
            return True
        parent = parent.parent
    return False


def _light(changes: Ledger, scene, lamps: Lamps, middle: Vector) -> None:
    axis = Matrix.Rotation(math.radians(lamps.rotation_deg), 4, "Z")
    motion = Matrix.Translation(middle) @ axis @ Matrix.Translation(-middle)
    lights = [item for item in scene.objects if item.type == "LIGHT"]
    for item in lights if lamps.rotation_deg else ():
        if not _carried(item, set(lights)):
            _move(changes, item, motion)
    if lamps.strength == 1.0:
        return
    for data in {item.data for item in lights}:
        changes.set(data, "energy", data.energy * lamps.strength)
    tree = scene.world.node_tree if scene.world is not None and scene.world.use_nodes else None
    for node in tree.nodes if tree is not None else ():
        if node.type == "BACKGROUND" and not node.inputs["Strength"].is_linked:
            socket = node.inputs["Strength"]
            changes.set(socket, "default_value", socket.default_value * lamps.strength)


def _move(changes: Ledger, item: bpy.types.Object, motion: Matrix) -> None:
    changes.keep(item, "location", "rotation_euler", "rotation_quaternion", "rotation_axis_angle", "scale")
    item.matrix_world = motion @ item.matrix_world


def _rows(matrix: Matrix) -> list[list[float]]:
    return [list(row) for row in matrix]
