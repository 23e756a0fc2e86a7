# SPDX-License-Identifier: GPL-3.0-or-later
"""The water stain as an OSL shader inside a node group with the same sockets as the group made of nodes.

The source lives in an internal text block: nothing is written beside it, and a .blend carries all that it needs.
"""

import hashlib
import re
from contextlib import contextmanager
from pathlib import Path

import bpy

from ..core.errors import UserError
from . import compat, stain_sockets
from .nodes import Formula

SHADER = "water_stain.osl"
_GPU_WITH_OSL = ("OPTIX",)


def osl_available(device: str = "CPU") -> tuple[bool, str]:
    """Whether the OSL backend works here, and if not, why. device: CPU, CUDA, OPTIX, HIP, METAL or ONEAPI."""
    import _cycles

    if not _cycles.with_osl:
        return False, "this Blender was built without Open Shading Language; use the node backend"
    if device != "CPU" and device not in _GPU_WITH_OSL:
        return False, f"Cycles runs Open Shading Language on the CPU and OptiX, not on {device}; use the node backend"
    if not compat.make_oslquery_importable():
        return False, "the module oslquery, which gives Script nodes their sockets, was not found; use the node backend"
    return True, ""


def shader_source(name: str = SHADER) -> str:
    """The text of a shader with its own headers written in, since an internal text block has no include path."""
    folder = _shader_folder()
    source = (folder / name).read_text(encoding="utf-8")
    return re.sub(r'^#include "(.+)"$', lambda m: (folder / m[1]).read_text(encoding="utf-8"), source, flags=re.M)


def version(neighbours: int, look: str = "") -> str:
    """Stamp of the group: changes with the source."""
    return f"osl {hashlib.sha256(shader_source().encode()).hexdigest()[:16]} {neighbours} {look}".rstrip()


def fill_group(tree, neighbours: int, look: str = "") -> None:
    """Fill an empty group, whose sockets are there, with one Script node."""
    f = Formula(tree)
    with f.frame(f"Open Shading Language: {SHADER}") as frame:
        node = make_stain_script_node(tree)
        node.parent = frame
        node.inputs["Neighbours"].default_value = neighbours
        for spec in stain_sockets.inputs(neighbours, look):
            f.feed(node.inputs[_input_parameter(spec.name)], f.input(spec.name))
    for spec in stain_sockets.OUTPUTS:
        f.output(spec.name, f.value(node, spec.name.replace(" ", "")))
    f.arrange()


def make_stain_script_node(node_tree):
    """Add the compiled Script node. Raises UserError without OSL, RuntimeError when the shader does not compile."""
    available, reason = osl_available()
    if not available:
        raise UserError(f"stain: {reason}")
    node = node_tree.nodes.new("ShaderNodeScript")
    node.label, node.width = "Water Stain (OSL)", 240
    with _cycles_as_engine():
        node.mode = "INTERNAL"
        node.script = _text_block(SHADER, shader_source())
    # Blender reports a broken shader on the console only: what can be relied on is whether the sockets are there.
    wanted = {_input_parameter(s.name) for n in (0, 27) for s in stain_sockets.inputs(n, "drops")} | {"Neighbours"}
    missing = wanted - {s.name for s in node.inputs}
    missing |= {s.name.replace(" ", "") for s in stain_sockets.OUTPUTS} - {s.name for s in node.outputs}
    if missing:
        node_tree.nodes.remove(node)
        raise RuntimeError(f"the shader {SHADER} did not compile; missing sockets: {', '.join(sorted(missing))}")
    return node


def _input_parameter(socket_name: str) -> str:
    """Socket name -> shader parameter. Inputs and outputs of a shader share one set of names."""
    if socket_name == stain_sockets.REFLECTANCE:
        return "ReflectanceIn"
    return "Position" if socket_name == stain_sockets.VECTOR else socket_name.replace(" ", "")


def _shader_folder() -> Path:
    """``shaders/`` inside the installed add-on, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "shaders", package.parent / "shaders"):
        if (folder / SHADER).is_file():
            return folder
    raise UserError(f"stain: {SHADER} is missing in {package / 'shaders'}; install the add-on again")


def _text_block(name: str, source: str):
    text = bpy.data.texts.get(name) or bpy.data.texts.new(name)
    if text.as_string() != source:
        text.clear()
        text.write(source)
    return text


@contextmanager
def _cycles_as_engine():
    """A Script node asks the scene's engine to compile it, and only Cycles knows how."""
    render = bpy.context.scene.render
    engine = render.engine
    render.engine = "CYCLES"
    try:
        yield
    finally:
        render.engine = engine
