# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the stain group's outputs as floats: emission, one sample at each pixel's centre, 32-bit EXR."""

import tempfile
from pathlib import Path

import bpy
import numpy as np

from blender_addon.scene import stain_nodes

PITCH_M = 0.0005
"""Metres per pixel. Counted from the middle of an image with an odd number of pixels, so that some pixel centres lie
on cell borders and one in the origin."""

PASSES = (
    None,
    ("Distance", "Boundary", "Normalised Distance"),
    ("Mask", "Instance", "Reflectance"),
    ("Reflectance Delta", "Roughness Delta", "Height"),
)
"""What goes into the three channels: the position itself, or three sockets of the group."""
LOOK_PASSES = (("Scatter",),)
"""And where the stain looks dried."""


def prepare_scene(pixels: int, pitch: float = PITCH_M) -> None:
    """An empty scene with one camera that looks down the z axis at pixels x pixels points around the origin."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 1
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.max_bounces = 0
    scene.render.threads_mode, scene.render.threads = "FIXED", 2
    scene.render.resolution_x = scene.render.resolution_y = pixels
    scene.render.resolution_percentage = 100
    scene.render.use_compositing = scene.render.use_sequencer = False
    scene.render.dither_intensity = 0.0
    scene.view_settings.view_transform = "Raw"
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGB", "32"
    camera = bpy.data.cameras.new("Camera")
    camera.type, camera.ortho_scale = "ORTHO", pixels * pitch
    scene.camera = bpy.data.objects.new("Camera", camera)
    scene.camera.location = (0.0, 0.0, 1.0)
    scene.collection.objects.link(scene.camera)
    _add_surface(scene, pixels * pitch)


def _add_surface(scene, size: float) -> None:
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size
    mesh = bpy.data.meshes.new("Surface")
    mesh.from_pydata([(float(x), float(y), 0.0) for x, y in corners], [], [(0, 1, 2, 3)])
    mesh.materials.append(bpy.data.materials.new("Field"))
    scene.collection.objects.link(bpy.data.objects.new("Surface", mesh))


def set_slope(slope: tuple[float, float]) -> None:
    """Tilt the surface in object space: z = slope_x x + slope_y y."""
    for vertex in bpy.data.meshes["Surface"].vertices:
        vertex.co.z = slope[0] * vertex.co.x + slope[1] * vertex.co.y


def render_field(parameters, reflectance: float, backend: str, mirror: bool) -> dict[str, np.ndarray]:
    """Render all passes; each socket name, and "p", -> float32 per pixel.

    mirror: evaluate the field at -p, which on a flat surface has z = -0.0.
    """
    bpy.context.scene.cycles.shading_system = backend == "osl"
    fields = {}
    for sockets in (*PASSES, *(LOOK_PASSES if parameters.look else ())):
        _build_material(parameters, reflectance, backend, mirror, sockets)
        pixels = _render()
        if sockets is None:
            fields["p"] = pixels
        else:
            fields.update({socket: pixels[:, i] for i, socket in enumerate(sockets)})
    return fields


def _build_material(parameters, reflectance, backend, mirror, sockets) -> None:
    material = bpy.data.materials["Field"]
    if not material.node_tree:
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    stain = stain_nodes.add_stain_node(tree, parameters, backend)
    stain.inputs["Reflectance"].default_value = reflectance
    emission, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(emission.outputs[0], output.inputs["Surface"])
    position = stain.inputs["Vector"].links[0].from_socket
    if mirror:
        negative = tree.nodes.new("ShaderNodeVectorMath")
        negative.operation = "MULTIPLY"
        negative.inputs[1].default_value = (-1.0, -1.0, -1.0)
        tree.links.new(position, negative.inputs[0])
        tree.links.new(negative.outputs["Vector"], stain.inputs["Vector"])
        position = negative.outputs["Vector"]
    if sockets is None:
        tree.links.new(position, emission.inputs["Color"])
        return
    combine = tree.nodes.new("ShaderNodeCombineXYZ")
    for socket, target in zip(sockets, combine.inputs, strict=False):
        tree.links.new(stain.outputs[socket], target)
    tree.links.new(combine.outputs[0], emission.inputs["Color"])


def _render() -> np.ndarray:
    """Render and read back: (pixels, 3) float32."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "field.exr"
        bpy.context.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(str(path))
        image.colorspace_settings.name = "Non-Color"
        pixels = np.empty(len(image.pixels), dtype=np.float32)
        image.pixels.foreach_get(pixels)
        bpy.data.images.remove(image)
    return pixels.reshape(-1, 4)[:, :3].copy()
