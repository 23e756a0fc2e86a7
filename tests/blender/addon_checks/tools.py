# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks share: the add-on's buttons and settings, objects to stain, pictures of what must not change."""

import importlib
import sys
from pathlib import Path

import bpy
import numpy as np

ZIP, FOLDER = (Path(text) for text in sys.argv[-2:])
EXTENSION = bpy.app.version >= (4, 2, 0)
MODULE = "bl_ext.user_default.surface_impurities" if EXTENSION else "surface_impurities"


def settings(scene=None):
    return (scene or bpy.context.scene).surface_impurities


def stain():
    """The stain's settings that the panel shows: the active material's, or those of the next stain."""
    return module("ui.operators").shown_stain(bpy.context)


def defaults() -> None:
    """The panel as it is in a new file."""
    scene = bpy.context.scene
    for definition in settings(scene).bl_rna.properties:
        if definition.identifier not in ("rna_type", "name"):
            settings(scene).property_unset(definition.identifier)


def press(name, **options):
    return getattr(bpy.ops.surface_impurities, name)(**options)


def refusal(name, **options) -> str:
    """The message with which a button refuses."""
    try:
        press(name, **options)
    except RuntimeError as error:
        return str(error)
    raise AssertionError(f"{name} did not refuse")


def module(name):
    return importlib.import_module(f"{MODULE}.{name}")


def add_object(name="Thing", colour=(0.2, 0.4, 0.6, 1.0)):
    """An active object with a new material: (node tree, its Principled BSDF)."""
    item = add_bare_object(name)
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    item.data.materials.append(material)
    principled = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    principled.inputs["Base Color"].default_value = colour
    return material.node_tree, principled


def add_bare_object(name="Bare"):
    """An active object, a triangle, without a material."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 0.5, 0)], [], [(0, 1, 2)])
    item = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.objects.active = item
    return item


def picture_of(tree) -> tuple:
    """Everything that must be as before: nodes, places, links, values."""

    def plain(value):
        return tuple(value) if hasattr(value, "__len__") and not isinstance(value, str) else value

    nodes = sorted(
        (node.name, node.label, tuple(node.location), node.node_tree.name if node.type == "GROUP" else "",
         sorted(node.keys()), [plain(getattr(socket, "default_value", None)) for socket in node.inputs])
        for node in tree.nodes
    )
    links = sorted((link.from_node.name, link.from_socket.identifier, link.to_node.name, link.to_socket.identifier)
                   for link in tree.links)
    return nodes, links, tree.nodes.active.name if tree.nodes.active else None


def stain_of(tree):
    """The stain's group node, of which there is one."""
    (node,) = [node for node in tree.nodes if node.type == "GROUP" and node.label == "Water Stain"]
    return node


def behind(tree, socket) -> str:
    """Type of the node that feeds a socket, or nothing."""
    return socket.links[0].from_node.type if socket.is_linked else ""


def residue() -> dict:
    """What an add-on might leave."""
    lists = {name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)}
    handlers = {name: len(value) for name, value in lists.items() if isinstance(value, list)}
    return {
        "types": sorted(name for name in dir(bpy.types) if "impurit" in name.lower() or "stain" in name.lower()),
        "operators": dir(bpy.ops.surface_impurities),
        "property": hasattr(bpy.types.Scene, "surface_impurities"),
        "handlers": handlers,
        "groups": sorted(tree.name for tree in bpy.data.node_groups),
        "texts": sorted(text.name for text in bpy.data.texts),
    }


def grey(file) -> np.ndarray:
    """A picture as Blender reads it, 0 to 1, row 0 on top."""
    image = bpy.data.images.load(str(file))
    width, height = image.size
    values = np.array(image.pixels[:]).reshape(height, width, 4)[::-1, :, 0]
    bpy.data.images.remove(image)
    return values


def classes(file) -> np.ndarray:
    """The class ids of a mask: Blender gives a palette's colours."""
    image = bpy.data.images.load(str(file))
    names = image.colorspace_settings.bl_rna.properties["name"].enum_items.keys()
    image.colorspace_settings.name = "Non-Color" if "Non-Color" in names else "Raw"
    width, height = image.size
    colours = np.rint(np.array(image.pixels[:]).reshape(height, width, 4)[::-1, :, :3] * 255)
    bpy.data.images.remove(image)
    ids = np.full((height, width), -1)
    for number, colour in enumerate(module("core.features.classes").PALETTE):
        ids[(colours == colour).all(axis=-1)] = number
    return ids
