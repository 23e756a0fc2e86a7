# SPDX-License-Identifier: GPL-3.0-or-later
"""Every difference between Blender 3.4 and 5.x that this package meets, one small function each."""

import importlib.util
import sys
from pathlib import Path
from typing import NamedTuple

import bpy


class SocketSpec(NamedTuple):
    """One socket of a node group. ``kind``: FLOAT, DISTANCE and ANGLE (metres and radians, shown in the scene's
    units), VECTOR or POSITION."""

    name: str
    kind: str
    default: float | tuple[float, float, float] = 0.0
    lowest: float = -1e9
    highest: float = 1e9
    tooltip: str = ""


_SOCKET_TYPES = {
    "FLOAT": ("NodeSocketFloat", "NONE"),
    "DISTANCE": ("NodeSocketFloat", "DISTANCE"),
    "ANGLE": ("NodeSocketFloat", "ANGLE"),
    "VECTOR": ("NodeSocketVector", "NONE"),
    "POSITION": ("NodeSocketVector", "TRANSLATION"),
}


def ensure_group_sockets(tree, inputs, outputs) -> None:
    """Give a node group exactly these sockets. Those that are there by name stay, so links of its users survive."""
    for specs, in_out in ((inputs, "INPUT"), (outputs, "OUTPUT")):
        wanted = {spec.name for spec in specs}
        for socket in _group_sockets(tree, in_out):
            if socket.name not in wanted:
                _remove_group_socket(tree, in_out, socket)
        present = {socket.name: socket for socket in _group_sockets(tree, in_out)}
        for spec in specs:
            socket = present.get(spec.name) or _new_group_socket(tree, in_out, spec)
            socket.description = spec.tooltip
            if in_out == "INPUT":
                socket.default_value = spec.default
                socket.min_value, socket.max_value = spec.lowest, spec.highest


def _group_sockets(tree, in_out) -> list:
    if hasattr(tree, "interface"):  # 4.0 and later
        return [i for i in tree.interface.items_tree if i.item_type == "SOCKET" and i.in_out == in_out]
    return list(tree.inputs if in_out == "INPUT" else tree.outputs)


def _new_group_socket(tree, in_out, spec: SocketSpec):
    socket_type, subtype = _SOCKET_TYPES[spec.kind]
    if hasattr(tree, "interface"):
        socket = tree.interface.new_socket(spec.name, in_out=in_out, socket_type=socket_type)
        if subtype != "NONE":
            socket.subtype = subtype
        return socket
    suffix = "" if subtype == "NONE" else subtype.title()  # before 4.0 the subtype is a part of the type's name
    return (tree.inputs if in_out == "INPUT" else tree.outputs).new(socket_type + suffix, spec.name)


def _remove_group_socket(tree, in_out, socket) -> None:
    if hasattr(tree, "interface"):
        tree.interface.remove(socket)
    else:
        (tree.inputs if in_out == "INPUT" else tree.outputs).remove(socket)


def set_up_signed_noise(node) -> bool:
    """Make a Noise Texture node plain Perlin noise; True when its output is already signed, False for (noise + 1) / 2.

    Before 4.0 the node cannot be told to leave the noise as it is.
    """
    for name, value in (("Scale", 1.0), ("Detail", 0.0), ("Distortion", 0.0)):
        node.inputs[name].default_value = value
    if not hasattr(node, "normalize"):
        return False
    node.normalize = False
    return True


def noise_output(node):
    """The value output of a Noise Texture node: "Fac" up to 4.5, "Factor" from 5.0."""
    return node.outputs.get("Factor") or node.outputs["Fac"]


def factor_output(node):
    """The one-number output of a texture or Attribute node: "Fac", or "Factor" where that was renamed."""
    return node.outputs.get("Factor") or node.outputs["Fac"]


def noise_node_period() -> float | None:
    """After how many units the Noise Texture node repeats on each axis; None where it never does.

    Measured: 3.4 never, 4.5 every 100,000. Versions between are taken to repeat.
    """
    return 100_000.0 if bpy.app.version >= (3, 5, 0) else None


def specular_input(principled):
    """The share of specular reflection: "Specular" up to 3.6, "Specular IOR Level" from 4.0; 0.5 is glass in both."""
    return principled.inputs.get("Specular IOR Level") or principled.inputs["Specular"]


def make_oslquery_importable() -> bool:
    """Whether Cycles can ask a compiled shader for its parameters; puts the module on the path where it is missing.

    Up to 4.2 Cycles asks by itself. The later bpy wheels carry ``oslquery`` in a folder that is not on ``sys.path``.
    Without it a Script node gets no sockets, and says nothing.
    """
    import _cycles

    if hasattr(_cycles, "osl_update_node"):
        return True
    if importlib.util.find_spec("oslquery"):
        return True
    for root in {bpy.utils.resource_path("LOCAL"), bpy.utils.resource_path("SYSTEM")}:
        for folder in Path(root or ".", "python", "lib").glob("python3.*/site-packages"):
            if any(folder.glob("oslquery*")):
                sys.path.append(str(folder))
                return True
    return False


def switch_off_light_tree(scene) -> None:
    """Sample the emitters by their area. The light tree (from 3.5 on) costs a third more for one even light."""
    if hasattr(scene.cycles, "use_light_tree"):
        scene.cycles.use_light_tree = False


def use_tabulated_sobol(scene) -> None:
    """Sample by tabulated Sobol points: 4 % less noise in 7 % less time than the blue noise of 4.2 and later."""
    for name in ("TABULATED_SOBOL", "PROGRESSIVE_MULTI_JITTER"):
        if name in scene.cycles.bl_rna.properties["sampling_pattern"].enum_items:
            scene.cycles.sampling_pattern = name
            return


def use_osl(scene, wanted: bool) -> None:
    """Switch Open Shading Language on or off."""
    if hasattr(scene.cycles, "shading_system"):
        scene.cycles.shading_system = wanted


def set_up_float_exr(image_settings, layers: bool) -> None:
    """Store renders as 32-bit float, linear, uncompressed; with all their layers, or the picture alone."""
    if hasattr(image_settings, "media_type"):  # 5.0 and later
        image_settings.media_type = "MULTI_LAYER_IMAGE" if layers else "IMAGE"
    image_settings.file_format = "OPEN_EXR_MULTILAYER" if layers else "OPEN_EXR"
    image_settings.color_mode = "RGB"
    image_settings.color_depth = "32"
    image_settings.exr_codec = "NONE"


def refresh_devices(preferences) -> None:
    """Look for devices of the chosen kind."""
    if hasattr(preferences, "refresh_devices"):
        preferences.refresh_devices()
    else:
        preferences.get_devices()


def remove_shader_layer(view_layer, name: str) -> None:
    """Carry this shader output no more. 3.4 has no call for it: there the layer stays, which costs time and no more."""
    layer = view_layer.aovs.get(name)
    if layer is not None and hasattr(view_layer.aovs, "remove"):
        view_layer.aovs.remove(layer)


def add_shader_layer(view_layer, name: str) -> None:
    """Carry the shader output `name`, of three numbers."""
    layer = view_layer.aovs.add()
    layer.name, layer.type = name, "COLOR"


def name_shader_output(node, name: str) -> None:
    """Let an AOV Output node write to the layer `name`."""
    if hasattr(node, "aov_name"):  # from 4.2 on; before, the node's name is the layer's
        node.aov_name = name
    node.name = name


def show_raw(scene) -> bool:
    """Let the window show the grey values that the camera stores; False where the colour configuration has no such
    view (Blender's own has "Raw", studios bring their own by the environment variable OCIO)."""
    try:
        scene.view_settings.view_transform = "Raw"
    except TypeError:  # how Blender refuses a name that an enumeration does not hold
        return False
    return True


def set_up_png(image_settings, bits: int) -> None:
    """Store renders as RGB PNG of 8 or 16 bits a channel."""
    if hasattr(image_settings, "media_type"):  # 5.0 and later
        image_settings.media_type = "IMAGE"
    image_settings.file_format = "PNG"
    image_settings.color_mode = "RGB"
    image_settings.color_depth = str(bits)


def show_as_numbers(image) -> None:
    """Let the pixels of an image be the numbers that are stored, whatever colours they stand for."""
    names = image.colorspace_settings.bl_rna.properties["name"].enum_items.keys()
    image.colorspace_settings.name = "Non-Color" if "Non-Color" in names else "Raw"
