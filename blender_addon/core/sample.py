# SPDX-License-Identifier: GPL-3.0-or-later
"""One sample of a data set, drawn from a recipe: everything that decides its pixels, and nothing else."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .camera import Camera
from .dent import Dent
from .errors import UserError
from .parameter import Range, draw
from .plate import Plate, Surface
from .ring_light import RingLight
from .scratch import Scratch
from .seeding import seed, spread, uniform
from .sensor import Sensor
from .settings import DefectOccurrence, Recipe, RenderSettings, StainOccurrence, StainSection
from .stain_parameters import StainParameters

_PLACEMENT_TRIES = 64


@dataclass(frozen=True)
class Sample:
    """Sample `index` of a recipe."""

    index: int
    id: str
    split: str
    group: str
    seed: int
    plate: Plate
    surface: Surface
    light: RingLight
    camera: Camera
    sensor: Sensor
    render: RenderSettings
    stain: StainParameters | None
    scratches: tuple[Scratch, ...]
    dents: tuple[Dent, ...]

    @property
    def defects(self) -> tuple[Scratch | Dent, ...]:
        """All defects; the n-th has the instance number n + 1 and owns its pixels over the earlier ones."""
        return (*self.dents, *self.scratches)

    @property
    def size_px(self) -> tuple[int, int]:
        """Columns and rows of the image."""
        return self.camera.scaled(self.render.scale_percent)

    def parameters(self) -> dict[str, Any]:
        """Every drawn value, with the unit in its name, for the record."""
        light = {
            **asdict(self.light),
            "radiance_w_m2_sr": self.light.radiance_w_m2_sr,
            "total_power_w": self.light.total_power_w,
        }
        width, height = self.camera.field_mm
        camera = {
            **asdict(self.camera),
            "position_mm": [0.0, 0.0, self.camera.distance_mm],
            "looks_along": [0.0, 0.0, -1.0],
            "image_distance_mm": self.camera.image_distance_mm,
            "field_width_mm": width,
            "field_height_mm": height,
        }
        return {
            "plate": asdict(self.plate),
            "surface": asdict(self.surface),
            "light": light,
            "camera": camera,
            "sensor": {**asdict(self.sensor), "seed": self.seed},
            "render": {**asdict(self.render), "seed": self.seed},
            "stain": None if self.stain is None else asdict(self.stain),
            "dents": [asdict(dent) for dent in self.dents],
            "scratches": [asdict(scratch) for scratch in self.scratches],
        }


def sample_id(recipe: Recipe, index: int) -> str:
    return f"{recipe.name}_{index:04d}"


def split_of(recipe: Recipe, index: int) -> tuple[str, int]:
    """Split of sample `index`, and how many samples of that split come before it.

    Each sample goes to the split that lags furthest behind its weight, so every prefix of the series is divided as
    well as it can be, and sample k keeps its split whatever the count.
    """
    total = sum(weight for _, weight in recipe.splits)
    given = dict.fromkeys((split for split, _ in recipe.splits), 0)
    for k in range(index % total + 1):  # the pattern repeats every `total` samples
        lag = {split: weight * (k + 1) - given[split] * total for split, weight in recipe.splits}
        chosen = max(lag, key=lambda split: lag[split])
        given[chosen] += 1
    weight = dict(recipe.splits)[chosen]
    return chosen, given[chosen] - 1 + (index // total) * weight


def draw_sample(recipe: Recipe, index: int) -> Sample:
    """Draw sample `index`: a pure function of the recipe without its count.

    Raises:
        UserError: the drawn stain is impossible (its cells are smaller than its reach).
    """
    master = recipe.seed
    split, position = split_of(recipe, index)

    def section(kind: type, name: str, **fixed: Any) -> Any:
        return draw(kind, recipe.section(name), master, index, name, **fixed)

    plate = section(Plate, "plate")
    camera = section(Camera, "camera")
    dents, scratches = _draw_defects(recipe, index, split, position, plate, camera)
    return Sample(
        index=index,
        id=sample_id(recipe, index),
        split=split,
        group=f"{recipe.plates}-{recipe.seed}-plate{index:04d}",
        seed=seed(master, index, "sample"),
        plate=plate,
        surface=section(Surface, "surface", seed=seed(master, index, "surface")),
        light=section(RingLight, "light"),
        camera=camera,
        sensor=section(Sensor, "sensor"),
        render=section(RenderSettings, "render"),
        stain=_draw_stain(recipe, index, split, position),
        scratches=scratches,
        dents=dents,
    )


def _draw_stain(recipe: Recipe, index: int, split: str, position: int) -> StainParameters | None:
    if not recipe.has("stain", split):
        return None
    table = recipe.section("stain")
    occurrence = draw(StainOccurrence, table, recipe.seed, index, "stain")
    if spread(position, "stain") >= occurrence.share:
        return None
    values = asdict(draw(StainSection, table, recipe.seed, index, "stain"))
    try:
        return StainParameters(seed=seed(recipe.seed, index, "stain"), **values)
    except UserError as error:
        raise UserError(f"recipe {recipe.name}, sample {index}: {error}") from error


def _draw_defects(recipe: Recipe, index: int, split: str, position: int, plate: Plate, camera: Camera):
    """Dents and scratches of one sample. One decision for all kinds: a plate is either clean or it is not."""
    placed: list[Dent | Scratch] = []
    for name, kind in (("dent", Dent), ("scratch", Scratch)):
        if not recipe.has(name, split):
            continue
        table = recipe.section(name)
        occurrence = draw(DefectOccurrence, table, recipe.seed, index, name)
        if spread(position, "") >= occurrence.share:
            continue
        for number in range(occurrence.count):
            purpose = f"{name}{number}"
            tries = (
                _place(kind, table, recipe.seed, index, f"{purpose}.try{k}", purpose, plate, camera, occurrence)
                for k in range(_PLACEMENT_TRIES)
            )
            placed.append(_first_with_room(tries, placed, occurrence.distance_mm))
    return (
        tuple(defect for defect in placed if isinstance(defect, Dent)),
        tuple(defect for defect in placed if isinstance(defect, Scratch)),
    )


def _place(
    kind: type, table: Any, master: int, index: int, place: str, purpose: str, plate: Plate, camera: Camera,
    occurrence: DefectOccurrence,
) -> Any:  # fmt: skip
    """The defect `purpose` at a place of its own for each `place`, whole within the image's border if it fits."""
    shape = draw(kind, table, master, index, purpose, centre_x_mm=0.0, centre_y_mm=0.0)
    points, radius = shape.footprint()
    centre = []
    for axis, extent in enumerate(camera.field_mm):
        # The plate's yaw is small: its effect on the footprint's extent lies within the border.
        low = -extent / 2 + occurrence.border_mm + radius - points[:, axis].min()
        high = extent / 2 - occurrence.border_mm - radius - points[:, axis].max()
        fraction = uniform(master, index, f"{place}.{'xy'[axis]}")
        centre.append(Range(low, high).at(fraction) if low < high else (low + high) / 2)
    x, y = (round(float(value), 6) for value in plate.from_world(np.array(centre)))
    return draw(kind, table, master, index, purpose, centre_x_mm=x, centre_y_mm=y)


def _first_with_room(tries: Any, placed: Sequence[Any], distance_mm: float) -> Any:
    """The first try at least `distance_mm` away from all `placed`, or else the one with the most room."""
    best, best_room = None, -np.inf
    for candidate in tries:
        room = min((_clearance(candidate, other) for other in placed), default=np.inf)
        if room > best_room:
            best, best_room = candidate, room
        if room >= distance_mm:
            break
    return best


def _clearance(one: Any, other: Any) -> float:
    """Least distance of two footprints, mm; negative where they overlap."""
    points, radius = one.footprint()
    others, other_radius = other.footprint()
    distances = np.linalg.norm(points[:, None, :] - others[None, :, :], axis=-1)
    return float(distances.min() - radius - other_radius)
