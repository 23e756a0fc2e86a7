# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in a material a stain has to act: the Principled BSDFs that the output depends on.

They are found through reroutes, Mix and Add Shader nodes, and inside node groups. A group that others use too is
copied before it is changed, and the node gets the original back afterwards: other materials never change.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ..scene.stain_nodes import STAMP

_ORIGINAL = "surface_impurities_original_group"


class Site(NamedTuple):
    """A node tree, the material's or a group's, and the Principled BSDFs in it that count."""

    tree: object
    principled: list


def output_of(tree):
    """The active Material Output node, or None."""
    outputs = (node for node in tree.nodes if node.bl_idname == "ShaderNodeOutputMaterial" and node.is_active_output)
    return next(outputs, None)


def sites(tree, own: bool = False) -> list[Site]:
    """The sites of a material's tree. own: make groups that are used elsewhere single-user on the way."""
    output = output_of(tree)
    return list(_sites(tree, output, own)) if output is not None else []


def give_groups_back(tree) -> None:
    """Undo what ``own`` made: every node has its original group again, and the copies are gone."""
    import bpy

    for node in tree.nodes:
        original = node.get(_ORIGINAL)
        if original is not None:
            copy, node.node_tree = node.node_tree, original
            del node[_ORIGINAL]
            if copy is not None and copy.users == 0:
                bpy.data.node_groups.remove(copy)
        elif _is_foreign_group(node):
            give_groups_back(node.node_tree)


def trees(tree) -> Iterator:
    """A material's tree and those of all its groups, the stain's own apart."""
    yield tree
    for node in tree.nodes:
        if _is_foreign_group(node):
            yield from trees(node.node_tree)


def upstream(*starts) -> list:
    """The nodes that some nodes depend on, themselves first."""
    todo, seen = list(starts), []
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.append(node)
            todo += [link.from_node for socket in node.inputs for link in socket.links]
    return seen


def _sites(tree, end, own: bool) -> Iterator[Site]:
    nodes = upstream(end)
    principled = [node for node in nodes if node.bl_idname == "ShaderNodeBsdfPrincipled"]
    if principled:
        yield Site(tree, principled)
    for node in nodes:
        if _is_foreign_group(node) and _end_of(node.node_tree) is not None and _holds_principled(node.node_tree):
            if own:
                _make_own(node)
            yield from _sites(node.node_tree, _end_of(node.node_tree), own)


def _holds_principled(tree) -> bool:
    return bool(list(_sites(tree, _end_of(tree), own=False)))


def _end_of(group):
    return next((node for node in group.nodes if node.type == "GROUP_OUTPUT" and node.is_active_output), None)


def _is_foreign_group(node) -> bool:
    return node.type == "GROUP" and node.node_tree is not None and node.node_tree.get(STAMP) is None


def _make_own(node) -> None:
    group = node.node_tree
    if node.get(_ORIGINAL) is None and (group.users - group.use_fake_user > 1 or group.library is not None):
        node.node_tree = group.copy()
        node.node_tree.use_fake_user = False
        node[_ORIGINAL] = group
