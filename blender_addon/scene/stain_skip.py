# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave the stain out where it cannot be: the map of ``core/stain/reach.py`` as an image that a shader looks up.

One look-up instead of the search over neighbouring cells, and the result is unchanged, since the map is never wrong in
saying no. It belongs to one plate and one set of parameters.
"""

import bpy
import numpy as np

from ..core.inspection.plate import Plate
from ..core.stain.parameters import StainParameters
from ..core.stain.reach import reach_map

_FACE_MM = 0.01
"""What is less than this below the seen face counts to it."""


def build_near_stain_image(parameters: StainParameters, plate: Plate, name: str) -> bpy.types.Image:
    """An image over the plate's seen face, bottom to top: 1 where a stain may be, 0 where none can."""
    low, high = _extent(plate)
    tiles = reach_map(parameters, low, high)
    rows, columns = tiles.shape
    # is_data takes the role "data" of the colour configuration, whatever that configuration calls its space.
    image = bpy.data.images.new(name, columns, rows, alpha=False, is_data=True)
    pixels = np.ones((rows, columns, 4), dtype=np.float32)
    pixels[..., :3] = tiles[..., None]
    image.pixels.foreach_set(pixels.ravel())
    return image


def add_near_stain(tree, coordinates, image: bpy.types.Image, plate: Plate):
    """Nodes that look the map up at the surface point; returns a socket that is 1 where a stain may be.

    The map is that of the seen face, z = 0; below it, on the cut edges and the back, the answer is always 1.
    coordinates: the socket with the object-space position in metres.
    """
    low, high = _extent(plate)
    mapping = tree.nodes.new("ShaderNodeVectorMath")
    mapping.operation, mapping.label, mapping.location = "MULTIPLY_ADD", "plate to image", (-900, -700)
    size = [(high[axis] - low[axis]) * 1e-3 for axis in (0, 1)]
    mapping.inputs[1].default_value = (1.0 / size[0], 1.0 / size[1], 0.0)
    mapping.inputs[2].default_value = (-low[0] * 1e-3 / size[0], -low[1] * 1e-3 / size[1], 0.0)
    tree.links.new(coordinates, mapping.inputs[0])
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image, node.label, node.location = image, "may a stain be here?", (-700, -700)
    node.interpolation, node.extension = "Closest", "EXTEND"
    tree.links.new(mapping.outputs["Vector"], node.inputs["Vector"])
    height = tree.nodes.new("ShaderNodeVectorMath")
    height.operation, height.location = "DOT_PRODUCT", (-900, -900)
    height.inputs[1].default_value = (0.0, 0.0, 1.0)
    tree.links.new(coordinates, height.inputs[0])
    below = tree.nodes.new("ShaderNodeMath")
    below.operation, below.label, below.location = "LESS_THAN", "not on the seen face?", (-700, -900)
    below.inputs[1].default_value = -_FACE_MM * 1e-3
    tree.links.new(height.outputs["Value"], below.inputs[0])
    either = tree.nodes.new("ShaderNodeMath")
    either.operation, either.location = "MAXIMUM", (-500, -800)
    tree.links.new(node.outputs["Color"], either.inputs[0])
    tree.links.new(below.outputs["Value"], either.inputs[1])
    return either.outputs["Value"]


def _extent(plate: Plate) -> tuple[tuple, tuple]:
    """Two corners of a thin box around the seen face, mm; a little larger, since the look-up rounds."""
    x, y = plate.width_mm / 2 + 0.01, plate.length_mm / 2 + 0.01
    return (-x, -y, -2 * _FACE_MM), (x, y, 2 * _FACE_MM)
