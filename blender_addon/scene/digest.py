# SPDX-License-Identifier: GPL-3.0-or-later
"""A hash of everything that a .blend file holds, to tell whether a scene has changed.

Data blocks are walked by their declared properties: values, collections of parts, names of what they point to, custom
properties. Left out is what is no content: selection and other states of the window, and what Blender computes itself.
"""

import hashlib
import re
from collections.abc import Iterator

import bpy
import numpy as np

from .stain_nodes import STAMP

_STORES = ("actions", "armatures", "cache_files", "cameras", "collections", "curves", "fonts", "grease_pencils",
           "hair_curves", "images", "lattices", "libraries", "lightprobes", "lights", "linestyles", "masks",
           "materials", "meshes", "metaballs", "movieclips", "node_groups", "objects", "particles", "pointclouds",
           "scenes", "shape_keys", "sounds", "speakers", "texts", "textures", "volumes", "worlds")
_NO_CONTENT = frozenset((
    "rna_type", "bl_rna", "is_evaluated", "is_updated", "is_updated_data", "is_valid", "users", "tag", "select",
    "is_dirty", "is_modified", "is_in_memory", "matrix_world", "matrix_local", "matrix_basis", "original",
    "session_uid", "session_uuid", "preview", "asset_data", "select_control_point", "select_left_handle",
    "select_right_handle", "active", "objects_all", "all_objects", "depsgraph", "keying_sets", "keying_sets_all",
    "tool_settings", "cursor", "bindcode", "pixels", "warning_size", "dimensions", "is_missing", "is_runtime_data",
    "show_expanded", "cached_location", "is_embedded_data", "evaluated_get", "use_fake_user", "object_bases",
    "layer_collection", "active_layer_collection", "runtime_data_types", "execution_time", "is_cache_baked",
    "library_weak_reference", "filepath_raw",
    "linear_colorspace_settings",  # Blender fills it in when a file format is set
))
_WINDOW = ("active_", "select_", "show_", "hide_select", "bl_")
"""How names of properties begin that are states of the window, or of the program."""
_HEAVY = {
    "vertices": ("co", np.float32, 3), "edges": ("vertices", np.int32, 2), "loops": ("vertex_index", np.int32, 1),
    "polygons": ("loop_start", np.int32, 1),
}
"""Lists of a mesh that are read at once; all its other lists of that length are derived, or hold selection."""
_DEPTH = 7
PANEL = "surface_impurities"
_PANELS = (PANEL, f"{PANEL}_upper", f"{PANEL}_shown_layer")
"""The add-on's own settings of scenes and materials; a stain's values are in its node."""


def digest(exclude: tuple[str, ...] = ()) -> str:
    """The hash of all data blocks in memory, 64 hex digits. exclude: stores of `bpy.data` that do not count."""
    return hashlib.sha256("\n".join(sorted(described(exclude).values())).encode()).hexdigest()


def described(exclude: tuple[str, ...] = ()) -> dict[str, str]:
    """One hash for each data block, by "store/name": to say which of them has changed."""
    found = {}
    for store in _STORES:
        for block in getattr(bpy.data, store, ()) if store not in exclude else ():
            if store == "images" and block.source == "VIEWER":  # the window's picture of the last render
                continue
            key = f"{store}/{block.library.name if block.library else ''}/{block.name}"
            stamp = block.get(STAMP) if store == "node_groups" else None
            lines = hashlib.sha256(str(stamp).encode())
            for line in _lines(block, key, 0) if stamp is None else ():  # the add-on's own groups are their stamp
                lines.update(line)
            found[key] = f"{key} {lines.hexdigest()}"
    return found


def _lines(owner, place: str, depth: int) -> Iterator[bytes]:
    """What a struct holds, as bytes, one piece a value."""
    for key in _custom_keys(owner):
        yield f"{place}[{key}]={_plain(owner[key])}".encode()
    for definition in owner.bl_rna.properties:
        name = definition.identifier
        if name in _NO_CONTENT or name in _PANELS or name.startswith(_WINDOW):
            continue
        kind = definition.type
        if kind in ("BOOLEAN", "INT", "FLOAT", "STRING", "ENUM"):
            if definition.is_readonly and name not in ("name", "type"):
                continue
            value = getattr(owner, name, None)
            if definition.subtype in ("FILE_PATH", "DIR_PATH"):  # a copy in another folder has other relative paths
                value = re.split(r"[/\\]", str(value).rstrip("/\\"))[-1]
            array = getattr(definition, "is_array", False)
            yield f"{place}.{name}={_array(value) if array else value!r}".encode()
        elif kind == "POINTER":
            yield from _pointed(owner, name, place, depth)
        elif kind == "COLLECTION":
            yield from _collection(owner, name, place, depth)


def _pointed(owner, name: str, place: str, depth: int) -> Iterator[bytes]:
    value = getattr(owner, name, None)
    if value is None:
        yield f"{place}.{name}=None".encode()
    elif isinstance(value, bpy.types.ID) and not getattr(value, "is_embedded_data", False):
        yield f"{place}.{name}={_name(value)}".encode()
    elif depth < _DEPTH and not isinstance(value, bpy.types.Node | bpy.types.NodeSocket):
        yield from _lines(value, f"{place}.{name}", depth + 1)


def _collection(owner, name: str, place: str, depth: int) -> Iterator[bytes]:
    items = getattr(owner, name, ())
    if isinstance(owner, bpy.types.Mesh):
        if name in _HEAVY:
            attribute, kind, width = _HEAVY[name]
            values = np.empty(len(items) * width, kind)
            items.foreach_get(attribute, values)
            yield f"{place}.{name}".encode() + values.tobytes()
        elif name in ("materials", "uv_layers", "shape_keys", "vertex_groups"):
            yield f"{place}.{name}={[_name(item) for item in items]}".encode()
        return
    if depth >= _DEPTH or (isinstance(owner, bpy.types.ViewLayer) and name == "objects"):  # those of the collections
        return
    for number, item in enumerate(items):
        here = f"{place}.{name}[{number}]"
        if item is None:
            yield f"{here}=None".encode()
        elif isinstance(item, bpy.types.ID):
            yield f"{here}={_name(item)}".encode()
        elif isinstance(item, bpy.types.NodeLink):
            yield (f"{here}={item.from_node.name}.{item.from_socket.identifier}>"
                   f"{item.to_node.name}.{item.to_socket.identifier}").encode()
        elif hasattr(item, "bl_rna"):
            yield from _lines(item, here, depth + 1)


def _custom_keys(owner) -> list[str]:
    try:
        keys = list(owner.keys())
    except TypeError:  # how Blender says that this kind of struct has no custom properties
        return []
    # Declared properties are walked as such; Blender makes an empty group wherever one is asked for.
    return [key for key in keys if key not in _PANELS and key not in owner.bl_rna.properties]


def _plain(value) -> str:
    for convert in ("to_dict", "to_list"):
        if hasattr(value, convert):
            return repr(getattr(value, convert)())
    return _name(value)


def _array(value) -> str:
    try:
        return repr(tuple(value))
    except TypeError:
        return repr(value)


def _name(value) -> str:
    if isinstance(value, bpy.types.ID):
        return f"{type(value).__name__} {value.name}"
    if isinstance(value, bpy.types.bpy_struct):
        return getattr(value, "name", type(value).__name__)
    return repr(value)
