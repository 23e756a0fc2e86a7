# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole inspection scene of one sample: plate, ring light, camera, in a collection of its own."""

from dataclasses import dataclass

import bpy

from ..core.recipe.sample import Sample
from .camera_object import build_camera
from .light_object import build_light, build_surroundings
from .material import build_distance_material, build_guide_material, build_label_material, build_plate_material
from .plate_object import build_plate

NAME = "Inspection"


@dataclass(frozen=True)
class InspectionScene:
    """What the passes need to reach."""

    plate: bpy.types.Object
    light: bpy.types.Object
    camera: bpy.types.Object
    world: bpy.types.World
    beauty: bpy.types.Material
    labels: bpy.types.Material
    stain_distance: bpy.types.Material | None
    """Shows the stain's d / r', where the sample asks for that map."""
    guides: bpy.types.Material | None
    """Writes the denoiser's guides, where the picture cannot carry them itself."""


def build_inspection(scene: bpy.types.Scene, sample: Sample, to_keep: bool = False) -> InspectionScene:
    """Build the scene of `sample` in `scene`, in place of the one that was built before. The engine becomes Cycles.

    A scene `to_keep` is one that a person looks around in and saves: its brushed surface covers the whole plate and is
    packed into the .blend file. Otherwise it covers what the camera sees.
    """
    remove_inspection(scene)
    scene.render.engine = "CYCLES"
    collection = bpy.data.collections.new(NAME)
    scene.collection.children.link(collection)
    built = InspectionScene(
        plate=build_plate(sample.plate, f"{NAME} Plate", collection),
        light=build_light(sample.light, f"{NAME} Light", collection),
        camera=build_camera(sample.camera, f"{NAME} Camera", collection),
        world=build_surroundings(sample.light, f"{NAME} World"),
        beauty=build_plate_material(sample, f"{NAME} Plate", whole_plate=to_keep),
        labels=build_label_material(sample, f"{NAME} Labels"),
        guides=_build_guides(sample),
        stain_distance=build_distance_material(sample, f"{NAME} Distance") if sample.render.stain_distance else None,
    )
    built.plate.data.materials.append(built.beauty)
    if to_keep:
        for image in _own(bpy.data.images):
            image.pack()
    scene.camera = built.camera
    scene.world = built.world  # first: Cycles tells the scene's world of what follows
    built.world.cycles_visibility.camera = False  # past the plate lies a dark table
    return built


def _build_guides(sample: Sample) -> bpy.types.Material | None:
    needed = sample.render.denoise and (sample.render.stain_backend == "osl" or sample.render.guide_samples)
    return build_guide_material(sample, f"{NAME} Guides") if needed else None


def remove_inspection(scene: bpy.types.Scene) -> None:
    """Remove what `build_inspection` made, data included, so that memory stays flat over many samples."""
    collection = scene.collection.children.get(NAME)
    if collection is None:
        return
    for item in list(collection.objects):
        data = item.data
        bpy.data.objects.remove(item)
        (bpy.data.cameras if isinstance(data, bpy.types.Camera) else bpy.data.meshes).remove(data)
    bpy.data.collections.remove(collection)
    for store in (bpy.data.materials, bpy.data.worlds, bpy.data.node_groups, bpy.data.images):
        for block in _own(store):
            store.remove(block)


def _own(store) -> list:
    return [block for block in store if block.name.startswith(f"{NAME} ")]
