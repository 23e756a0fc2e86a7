# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects of a scene are inspected: those that are named, or marked, or else those that carry the stain.

The mark is a custom property of the object, so it is saved, copied and appended with it, and a script can set it:

    item["surface_impurities_inspected"] = True
    item["surface_impurities_left_out_slots"] = [1]      # numbers of material slots, from 0
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import bpy

from ..core.errors import UserError

INSPECTED = "surface_impurities_inspected"
LEFT_OUT = "surface_impurities_left_out_slots"

WITH_A_SURFACE = ("MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "POINTCLOUD")


class Part(NamedTuple):
    """An inspected object."""

    object: bpy.types.Object
    number: int
    """From 1; its pass index while labels are rendered."""
    left_out: frozenset[str]
    """Materials of slots that are not inspected."""


def why_not_inspected(item: bpy.types.Object | None) -> str:
    """Why the object cannot be inspected, in words for a person; nothing when it can."""
    if item is None:
        return "Select an object first"
    kind = item.type.lower().replace("_", " ")
    if item.type not in WITH_A_SURFACE:
        return f"'{item.name}' is a {kind}, which has no surface to inspect; select another object"
    return ""


def is_marked(item: bpy.types.Object) -> bool:
    return bool(item.get(INSPECTED, False))


def mark(item: bpy.types.Object, wanted: bool) -> None:
    """Mark the object as inspected, or take the mark off."""
    if wanted:
        item[INSPECTED] = True
    elif INSPECTED in item:
        del item[INSPECTED]


def left_out_slots(item: bpy.types.Object) -> list[int]:
    return sorted({int(slot) for slot in item.get(LEFT_OUT, ())})


def leave_slot_out(item: bpy.types.Object, slot: int, wanted: bool) -> None:
    """Leave a material slot out of the inspection, or take it in again."""
    slots = set(left_out_slots(item)) - {slot} | ({slot} if wanted else set())
    if slots:
        item[LEFT_OUT] = sorted(slots)
    elif LEFT_OUT in item:
        del item[LEFT_OUT]


def inspected_parts(
    scene: bpy.types.Scene, names: Sequence[str], is_stained: Callable[[bpy.types.Material], bool]
) -> list[Part]:
    """The inspected objects of the scene, in the order of their names.

    Raises:
        UserError: there is none, a name is not in the scene, or an object has no surface.
    """
    there = {item.name: item for item in scene.objects}
    missing = [name for name in names if name not in there]
    if missing:
        raise UserError(f"scene '{scene.name}': there is no object '{missing[0]}'; there are {_listed(there)}")
    chosen = [there[name] for name in names] or [item for item in scene.objects if is_marked(item)]
    if not chosen:
        chosen = [item for item in scene.objects
                  if any(slot.material is not None and is_stained(slot.material) for slot in item.material_slots)]
    if not chosen:
        raise UserError(f"scene '{scene.name}': no object is inspected; mark one with the panel's Inspected, add a "
                        "stain to one, or name them in a recipe's [scene] objects")
    for item in chosen:
        if why_not_inspected(item):
            raise UserError(why_not_inspected(item))
        if not any(slot.material is not None for slot in item.material_slots):
            raise UserError(f"'{item.name}' is inspected and has no material; give it one")
        bare = [slot.material for slot in item.material_slots if slot.material is not None
                and (not slot.material.use_nodes or slot.material.node_tree is None)]
        if bare:
            raise UserError(f"'{item.name}' is inspected, and its material '{bare[0].name}' does not use nodes; switch "
                            "Use Nodes on")
    ordered = sorted(chosen, key=lambda item: item.name)
    return [Part(item, number, _left_out(item)) for number, item in enumerate(ordered, start=1)]


def _left_out(item: bpy.types.Object) -> frozenset[str]:
    slots = {number for number in left_out_slots(item) if number < len(item.material_slots)}
    taken = {slot.material.name for number, slot in enumerate(item.material_slots)
             if slot.material is not None and number not in slots}
    left = {item.material_slots[number].material.name for number in slots if item.material_slots[number].material}
    both = sorted(taken & left)
    if both:
        raise UserError(f"'{item.name}': material '{both[0]}' is in a slot that is inspected and in one that is not; "
                        "give one of them a material of its own")
    return frozenset(left)


def _listed(names) -> str:
    shown = sorted(names)
    return ", ".join(shown[:8]) + (", …" if len(shown) > 8 else "")
