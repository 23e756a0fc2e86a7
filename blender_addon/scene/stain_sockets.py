# SPDX-License-Identifier: GPL-3.0-or-later
"""The sockets of the stain group, the same for both backends and found by name.

Lengths are Blender units (metres), the noise frequency is per metre; Blender shows lengths in the scene's unit.
"""

from ..core.errors import UserError
from ..core.stain_parameters import FIELDS, StainParameters
from . import compat
from .compat import SocketSpec

BACKENDS = ("nodes", "osl")

VECTOR, REFLECTANCE = "Vector", "Reflectance"

# socket name -> (parameter, metres or per metre for each unit of the parameter)
_SOCKETS = {
    "Radius": ("radius_mm", "DISTANCE", 1e-3),
    "Noise Frequency": ("noise_frequency_per_mm", "FLOAT", 1e3),
    "Noise Amplitude": ("noise_amplitude_mm", "DISTANCE", 1e-3),
    "Decay": ("decay", "FLOAT", 1.0),
    "Intensity": ("intensity", "FLOAT", 1.0),
    "Seed": ("seed", "FLOAT", 1.0),
    "Cell Size": ("cell_size_mm", "DISTANCE", 1e-3),
}

OUTPUTS = (
    SocketSpec(REFLECTANCE, "FLOAT", tooltip="Reflectance in + Reflectance Delta"),
    SocketSpec("Reflectance Delta", "FLOAT", tooltip="What the stain adds to the reflectance; 0 outside"),
    SocketSpec("Mask", "FLOAT", tooltip="1 inside a stain, 0 outside, nothing between"),
    SocketSpec("Distance", "FLOAT", tooltip="Metres to the nearest centre; exact wherever it can lie inside a stain"),
    SocketSpec("Boundary", "FLOAT", tooltip="Radius of the wavy outline there, in metres"),
    SocketSpec("Normalised Distance", "FLOAT", tooltip="Distance / Boundary inside, 0 outside"),
    SocketSpec("Instance", "FLOAT", tooltip="One value from 0 to 1 per stain, 0 outside"),
)


def inputs(neighbours: int) -> tuple[SocketSpec, ...]:
    """The group's inputs for a search of 27 or 8 cells, or for one given centre (0)."""
    by_name = {field.name: field for field in FIELDS}
    specs = [
        SocketSpec(VECTOR, "POSITION", (0.0, 0.0, 0.0), tooltip="Surface point in object space; link it"),
        SocketSpec(REFLECTANCE, "FLOAT", 0.0, tooltip="Reflectance of the clean surface"),
    ]
    for name, (parameter, kind, scale) in _SOCKETS.items():
        field = by_name[parameter]
        if name == "Cell Size" and neighbours == 0:
            continue
        low, high = (bound * scale for bound in field.hard)
        specs.append(SocketSpec(name, kind, field.default * scale, low, high, field.tooltip))
    if neighbours == 0:
        low, high = (bound * 1e-3 for bound in by_name["centre_mm"].hard)
        specs.append(SocketSpec("Centre", "POSITION", (0.0, 0.0, 0.0), low, high, by_name["centre_mm"].tooltip))
    return tuple(specs)


def set_stain_values(node, parameters: StainParameters, backend: str = "nodes") -> None:
    """Write the parameters into the sockets of a stain group node, with the float32 bits that NumPy computes with.

    The node's group must be of the kind that the parameters ask for (``parameters.neighbours``, or 27 for 8).
    Raises UserError where this Blender's noise node cannot tell the seed from a smaller one.
    """
    period = compat.noise_node_period()
    if backend == "nodes" and period is not None and parameters.seed >= period:
        raise UserError(
            f"stain: seed {parameters.seed} is beyond the Noise Texture node's period in this Blender; "
            f"use a seed below {period:.0f} or the OSL backend"
        )
    values = parameters.in_metres()
    for name in _SOCKETS:
        value = getattr(values, name.lower().replace(" ", "_"))
        if value is not None:
            node.inputs[name].default_value = float(value)
    if values.centre is not None:
        node.inputs["Centre"].default_value = [float(x) for x in values.centre]
