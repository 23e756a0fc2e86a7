# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the features of a plate lie: seeded, within the borders, apart, or on a defect where asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..features.classes import CLASS_OF, FEATURE_CLASSES, SurfaceClass
from ..features.feature import Feature
from ..features.wanted import Wanted
from ..inspection.acquisition import Acquisition, Shot
from ..inspection.camera import Camera
from ..inspection.plate import Plate
from ..parameter import Range, draw
from ..seeding import seed, spread, uniform
from .settings import DefectOccurrence, ImpurityOccurrence, Recipe

_TRIES = 64


class _Area(NamedTuple):
    """Width and height of the area that holds the features, and the pose of the plate under it."""

    size_mm: tuple[float, float]
    pose: Plate


def place_features(
    recipe: Recipe, shot: Shot, split: str, position: int, acquisition: Acquisition, pose: Plate, camera: Camera
) -> tuple[Feature, ...]:
    """The features of one side of a plate, class by class.

    One decision for all kinds of defects: a plate is either clean or it is not; `position` counts the plates of the
    split. Each class of impurity decides for itself.
    """
    area = _area(acquisition, pose, camera)
    placed: list[Feature] = []
    for each in wanted_features(recipe, shot, split, position):
        defects = [feature for feature in placed if CLASS_OF[type(feature)].kind == "defect"]
        others = [f for f in placed if f not in defects] if each.on_defect else placed
        places = (
            _near(each.feature, defects, recipe.seed, shot.plate, f"{each.purpose}.try{k}")
            if each.on_defect and defects
            else _within(each.feature, area, each.border_mm, recipe.seed, shot.plate, f"{each.purpose}.try{k}")
            for k in range(_TRIES)
        )
        placed.append(_first_with_room(places, others, each.distance_mm))
    return tuple(placed)


def wanted_features(recipe: Recipe, shot: Shot, split: str, position: int) -> Iterator[Wanted]:
    """The features of one side of a plate, or of a part of one's own, before they have a place, class by class."""
    for surface_class in FEATURE_CLASSES:
        occurrence = _occurrence(recipe, surface_class, shot, split, position)
        if occurrence is None:
            continue
        for number in range(occurrence.count):
            purpose = shot.purpose(f"{surface_class.name}{number}")
            shape = draw(
                surface_class.feature, recipe.section(surface_class.name), recipe.seed, shot.plate, purpose,
                centre_x_mm=0.0, centre_y_mm=0.0, seed=seed(recipe.seed, shot.plate, purpose),
            )
            on_defect = getattr(occurrence, "on_defects", 0.0) > uniform(recipe.seed, shot.plate, f"{purpose}.on")
            yield Wanted(shape, purpose, occurrence.border_mm, occurrence.distance_mm, on_defect)


def is_defective(recipe: Recipe, shot: Shot, split: str, position: int) -> bool:
    """Whether the plate has defects, on whichever side; a part of one's own has one."""
    sides = (shot,) if recipe.is_own_scene else (shot, shot.other_side())
    return any(
        occurrence.count > 0
        for surface_class in FEATURE_CLASSES
        if surface_class.kind == "defect"
        for side in sides
        if (occurrence := _occurrence(recipe, surface_class, side, split, position)) is not None
    )


def _occurrence(
    recipe: Recipe, surface_class: SurfaceClass, shot: Shot, split: str, position: int
) -> DefectOccurrence | ImpurityOccurrence | None:
    """How the class occurs on this side of the plate; None if it does not."""
    name, is_defect = surface_class.name, surface_class.kind == "defect"
    if not recipe.has(name, split):
        return None
    section = DefectOccurrence if is_defect else ImpurityOccurrence
    occurrence = draw(section, recipe.section(name), recipe.seed, shot.plate, shot.purpose(name))
    decision = "" if is_defect else name
    if occurrence.side not in ("both", shot.side) or spread(position, decision) >= occurrence.share:
        return None
    if not is_defect and occurrence.plates == "defective":
        return occurrence if is_defective(recipe, shot, split, position) else None
    return occurrence


def _area(acquisition: Acquisition, pose: Plate, camera: Camera) -> _Area:
    """The image, where there is one for each side, so that it shows all features; otherwise the plate."""
    if acquisition.is_grid:
        return _Area((pose.width_mm, pose.length_mm), replace(pose, offset_x_mm=0.0, offset_y_mm=0.0, yaw_deg=0.0))
    return _Area(camera.field_mm, pose)


def _within(shape: Feature, area: _Area, border_mm: float, master: int, index: int, purpose: str) -> Feature:
    """The feature at a random place, whole within the area's border if it fits."""
    points, radius = shape.footprint()
    centre = []
    for axis, extent in enumerate(area.size_mm):
        # The plate's yaw is small: its effect on the footprint's extent lies within the border.
        low = -extent / 2 + border_mm + radius - points[:, axis].min()
        high = extent / 2 - border_mm - radius - points[:, axis].max()
        fraction = uniform(master, index, f"{purpose}.{'xy'[axis]}")
        centre.append(Range(low, high).at(fraction) if low < high else (low + high) / 2)
    return _at(shape, area.pose.from_world(np.array(centre)))


def _near(shape: Feature, defects: Sequence[Feature], master: int, index: int, purpose: str) -> Feature:
    """The feature with its middle within half its radius of a random point of a random defect."""
    own, radius = shape.footprint()
    a, b, c, d = (uniform(master, index, f"{purpose}.near{k}") for k in range(4))
    points, _ = defects[int(a * len(defects))].footprint()
    angle = 2.0 * np.pi * d
    shift = radius * 0.5 * np.sqrt(c) * np.array([np.cos(angle), np.sin(angle)])
    return _at(shape, points[int(b * len(points))] + shift - own.mean(axis=0))


def _at(shape: Feature, place: np.ndarray) -> Feature:
    x, y = (round(float(value), 6) for value in place)
    return replace(shape, centre_x_mm=x, centre_y_mm=y)


def _first_with_room(tries: Iterator[Feature], placed: Sequence[Feature], distance_mm: float) -> Feature:
    """The first try at least `distance_mm` away from all `placed`, or else the one with the most room."""
    best, best_room = None, -np.inf
    footprints = [other.footprint() for other in placed]  # once: a scratch's path is noise, and tries are many
    for candidate in tries:
        own = candidate.footprint()
        room = min((_clearance(own, other) for other in footprints), default=np.inf)
        if room > best_room:
            best, best_room = candidate, room
        if room >= distance_mm:
            break
    return best


def _clearance(one: tuple[np.ndarray, float], other: tuple[np.ndarray, float]) -> float:
    """Least distance of two footprints, mm; negative where they overlap."""
    points, radius = one
    others, other_radius = other
    distances = np.linalg.norm(points[:, None, :] - others[None, :, :], axis=-1)
    return float(distances.min() - radius - other_radius)
