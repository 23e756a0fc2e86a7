# SPDX-License-Identifier: GPL-3.0-or-later
"""The sockets of the stain group, the same for both backends and found by name; made from the stain's parameters.

Lengths are Blender units (metres), frequencies per metre, angles radians; Blender shows lengths and angles in the
scene's units.
"""

from ..core.errors import UserError
from ..core.stain.parameters import (
    GRID_ONLY,
    LOOK,
    SHADER_NAMES,
    STAIN_SPECS,
    UNIT_SCALE,
    ParameterSpec,
    StainParameters,
)
from . import compat
from .compat import SocketSpec

BACKENDS = ("nodes", "osl")

VECTOR, REFLECTANCE, NORMAL = "Vector", "Reflectance", "Normal"

OUTPUTS = (
    SocketSpec(REFLECTANCE, "FLOAT", tooltip="Reflectance in + Reflectance Delta"),
    SocketSpec("Reflectance Delta", "FLOAT", tooltip="What the stain adds to the reflectance; 0 outside"),
    SocketSpec("Roughness Delta", "FLOAT", tooltip="What the stain adds to the roughness; 0 outside"),
    SocketSpec("Height", "FLOAT", tooltip="Height of the deposit in metres, for a Bump or Displacement node"),
    SocketSpec("Mask", "FLOAT", tooltip="1 inside a stain, 0 outside, nothing between"),
    SocketSpec("Distance", "FLOAT", tooltip="Metres to the nearest centre; exact wherever it can lie inside a stain"),
    SocketSpec("Boundary", "FLOAT", tooltip="Radius of the wavy outline there, in metres"),
    SocketSpec("Normalised Distance", "FLOAT", tooltip="Distance / Boundary inside, 0 outside"),
    SocketSpec("Instance", "FLOAT", tooltip="One value from 0 to 1 per stain, 0 outside"),
    SocketSpec("Scatter", "FLOAT", tooltip="Share of the light that the film scatters widely, 0 to 1"),
)

_KINDS = {"mm": "DISTANCE", "µm": "DISTANCE", "°": "ANGLE"}
_PARAMETERS = {name.replace("_", " ").title(): parameter for name, parameter in SHADER_NAMES.items()}
"""Socket name -> parameter."""


def inputs(neighbours: int, look: str = "") -> tuple[SocketSpec, ...]:
    """The group's inputs for a search of 27 or 8 cells, or for one given centre (0), and a look of ``LOOKS``."""
    sockets = [
        SocketSpec(VECTOR, "POSITION", (0.0, 0.0, 0.0), tooltip="Surface point in object space; link it"),
        SocketSpec(REFLECTANCE, "FLOAT", 0.0, tooltip="Reflectance of the clean surface"),
    ]
    unused = set(GRID_ONLY if neighbours == 0 else ("centre_mm",))
    unused |= set() if look == "drops" else {name for name in LOOK if not look or name.startswith("satellite")}
    if look:
        tooltip = "The surface's own normal in object space; where Normal Reach is above 1, link it"
        sockets.append(SocketSpec(NORMAL, "VECTOR", (0.0, 0.0, 1.0), tooltip=tooltip))
    by_name = {spec.name: spec for spec in STAIN_SPECS}
    used = {socket: by_name[name] for socket, name in _PARAMETERS.items() if name not in unused}
    return (*sockets, *(_socket(name, spec) for name, spec in used.items()))


def _socket(name: str, spec: ParameterSpec) -> SocketSpec:
    scale = UNIT_SCALE[spec.unit]
    low, high = (bound * scale for bound in spec.hard)
    if spec.default is None:
        return SocketSpec(name, "POSITION", (0.0, 0.0, 0.0), low, high, spec.tooltip)
    return SocketSpec(name, _KINDS.get(spec.unit, "FLOAT"), spec.default * scale, low, high, spec.tooltip)


def set_stain_values(node, parameters: StainParameters, backend: str = "nodes") -> None:
    """Write the parameters into the sockets of a stain group node, with the float32 bits that NumPy computes with.

    The node's group must be of the kind that the parameters ask for (``parameters.neighbours``, or 27 for 8, and
    ``parameters.look``).
    Raises UserError where this Blender's noise node cannot tell the seed from a smaller one.
    """
    period = compat.noise_node_period()
    if backend == "nodes" and period is not None and parameters.seed >= period:
        raise UserError(
            f"stain: seed {parameters.seed} is beyond the Noise Texture node's period in this Blender; "
            f"use a seed below {period:.0f} or the OSL backend"
        )
    values = parameters.in_metres()
    for name in values._fields:
        socket, value = node.inputs.get(name.replace("_", " ").title()), getattr(values, name)
        if socket is not None and value is not None:
            socket.default_value = [float(x) for x in value] if name == "centre" else float(value)
