# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a stain that is in a material, read back from its node: what is shown is what is there."""

import numpy as np

from ..core.errors import UserError
from ..core.stain.parameters import SHADER_NAMES, STAIN_SPECS, UNIT_SCALE, StainParameters, is_whole

_SPECS = {spec.name: spec for spec in STAIN_SPECS}


def read_stain(node) -> StainParameters:
    """The parameters in the sockets of a stain's group node.

    Each is the shortest decimal number that gives the socket's float32 again, so that what was written is what is read.

    Raises:
        UserError: the values contradict each other: somebody has edited the node.
    """
    return StainParameters(**socket_values(node))


def socket_values(node) -> dict:
    """The values in the sockets, in the units of the parameters and unchecked; None for one without a socket."""
    values: dict = dict.fromkeys(("cell_size_mm", "centre_mm"))
    for shader_name, parameter in SHADER_NAMES.items():
        socket = node.inputs.get(shader_name.replace("_", " ").title())
        if socket is not None:
            values[parameter] = _in_units(socket.default_value, _SPECS[parameter])
    return values


def linked_parameters(node) -> list[str]:
    """Names of the node's parameter sockets that a person has linked: such a stain has no single set of values."""
    names = {name.replace("_", " ").title() for name in SHADER_NAMES} - {"Seed"}
    return [socket.name for socket in node.inputs if socket.is_linked and socket.name in names]


def refuse_links(node, material: str) -> None:
    """
    Raises:
        UserError: a parameter of the stain is linked.
    """
    linked = linked_parameters(node)
    if linked:
        raise UserError(f"material '{material}': the stain's {linked[0]} is linked to another node; unlink it, since "
                        "a stain that varies so has no values that could be drawn")


def _in_units(value, spec):
    if is_whole(spec):
        return round(value)
    if hasattr(value, "__len__"):
        return tuple(_shortest(component, UNIT_SCALE[spec.unit]) for component in value)
    return _shortest(value, UNIT_SCALE[spec.unit])


def _shortest(value: float, scale: float) -> float:
    wanted = np.float32(value)
    for digits in range(6, 18):
        found = float(f"{float(wanted) / scale:.{digits}g}")
        # The two ways in which `parameters.in_metres` rounds: by a quotient for lengths, else by a product.
        if np.float32(found / (1.0 / scale) if scale < 1e-2 else found * scale) == wanted:
            return found
    return float(wanted) / scale
