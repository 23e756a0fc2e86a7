# SPDX-License-Identifier: GPL-3.0-or-later
"""One sample of a data set, drawn from a recipe: everything that decides its pixels, and nothing else."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import UserError
from ..features.classes import CLASS_OF
from ..features.feature import Feature
from ..inspection.acquisition import SIDES, Acquisition, Shot, constant, shot_of
from ..inspection.camera import Camera
from ..inspection.plate import Plate, Surface
from ..inspection.ring_light import SEGMENTS, RingLight, segment_brightness
from ..inspection.sensor import Sensor
from ..parameter import Range, draw
from ..seeding import seed, spread, uniform
from ..stain.parameters import StainParameters
from .own_scene import OwnSample, draw_own_sample
from .placement import is_defective, place_features, wanted_features
from .settings import Recipe, RenderSettings, StainOccurrence, StainSection

_ANY_CELL_MM = 1e5  # holds every stain


@dataclass(frozen=True)
class Sample:
    """Sample `index` of a recipe."""

    index: int
    id: str
    split: str
    group: str
    seed: int
    acquisition: Acquisition
    shot: Shot
    plate: Plate
    """Its offset is from the camera's axis: the pose of the plate less the place of the camera."""
    surface: Surface
    light: RingLight
    camera: Camera
    sensor: Sensor
    render: RenderSettings
    stain: StainParameters | None
    features: tuple[Feature, ...]
    """On this side of the plate, seen or not: defects, then impurities, each by class."""

    @property
    def defects(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features if CLASS_OF[type(feature)].kind == "defect")

    @property
    def size_px(self) -> tuple[int, int]:
        """Columns and rows of the image."""
        return self.camera.scaled(self.render.scale_percent)

    def parameters(self) -> dict[str, Any]:
        """Every drawn value, with the unit in its name, for the record."""
        light = {
            **asdict(self.light),
            "radiance_w_m2_sr": self.light.radiance_w_m2_sr,
            "segment_radiances_w_m2_sr": list(self.light.segment_radiances_w_m2_sr),
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
            "acquisition": {**asdict(self.acquisition), **self.shot._asdict()},
            "plate": asdict(self.plate),
            "surface": asdict(self.surface),
            "light": light,
            "camera": camera,
            "sensor": {**asdict(self.sensor), "seed": self.seed},
            "render": {**asdict(self.render), "seed": self.seed},
            "stain": None if self.stain is None else asdict(self.stain),
            "features": [{"class": CLASS_OF[type(feature)].name, **asdict(feature)} for feature in self.features],
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
    shot = _draw_shot(recipe, index)
    split, position = split_of(recipe, shot.plate)

    def section(kind: type, name: str, purpose: str = "", **fixed: Any) -> Any:
        return draw(kind, recipe.section(name), master, shot.plate, purpose or name, **fixed)

    acquisition = section(Acquisition, "acquisition")
    pose = section(Plate, "plate")
    camera = section(Camera, "camera")
    camera = replace(camera, exposure_ms=round(camera.exposure_ms * shot.exposure_factor, 9))
    side = shot.purpose("surface")
    plate = replace(
        pose,
        offset_x_mm=round(pose.offset_x_mm - shot.camera_x_mm, 9),
        offset_y_mm=round(pose.offset_y_mm - shot.camera_y_mm, 9),
    )
    return Sample(
        index=index,
        id=sample_id(recipe, index),
        split=split,
        group=f"{recipe.plates}-{recipe.seed}-plate{shot.plate:04d}",
        seed=seed(master, index, "sample"),
        acquisition=acquisition,
        shot=shot,
        plate=plate,
        surface=section(Surface, "surface", side, seed=seed(master, shot.plate, side)),
        light=_draw_light(recipe, shot.plate),
        camera=camera,
        sensor=section(Sensor, "sensor"),
        render=section(RenderSettings, "render"),
        stain=_draw_stain(recipe, shot, split, position),
        features=place_features(recipe, shot, split, position, acquisition, pose, camera),
    )


def _draw_shot(recipe: Recipe, index: int) -> Shot:
    table = recipe.section("acquisition")
    plate = index // Acquisition(**constant(table)).shots
    return shot_of(draw(Acquisition, table, recipe.seed, plate, "acquisition"), index, recipe.seed)


def _draw_light(recipe: Recipe, plate: int) -> RingLight:
    light = draw(RingLight, recipe.section("light"), recipe.seed, plate, "light")
    draws = [uniform(recipe.seed, plate, f"light.segment{k}") for k in range(SEGMENTS)]
    return replace(light, segments=segment_brightness(light.segment_spread, light.dead_segment, draws))


def _draw_stain(recipe: Recipe, shot: Shot, split: str, position: int) -> StainParameters | None:
    if not recipe.has("stain", split):
        return None
    table = recipe.section("stain")
    purpose = shot.purpose("stain")
    occurrence = draw(StainOccurrence, table, recipe.seed, shot.plate, purpose)
    if occurrence.side not in ("both", shot.side) or spread(position, "stain") >= occurrence.share:
        return None
    if occurrence.plates == "defective" and not is_defective(recipe, shot, split, position):
        return None
    values = asdict(draw(StainSection, table, recipe.seed, shot.plate, purpose))
    try:
        if isinstance(table.get("cell_size_mm"), Range):
            values["cell_size_mm"] = _cell_that_holds(values, table["cell_size_mm"])
        return StainParameters(seed=seed(recipe.seed, shot.plate, purpose), **values)
    except UserError as error:
        raise UserError(f"recipe {recipe.name}, plate {shot.plate}: {error}") from error


def _cell_that_holds(values: dict, cells: Range) -> float:
    """The drawn cell in mm, or one of its range that the drawn stain's reach just fits into: ranges are drawn one by
    one, and a large stain may meet a small cell. The drawn one where none of the range would do."""
    drawn = values["cell_size_mm"]
    reach = StainParameters(seed=0, **values | {"cell_size_mm": _ANY_CELL_MM}).reach_mm
    enough = math.ceil(reach * 1e4) / 1e4
    return enough if drawn * (1 + 1e-9) < reach and enough <= cells.high else drawn


def draw_any(recipe: Recipe, index: int) -> Sample | OwnSample:
    """Draw sample `index`, of the plate or of a person's own scene.

    Raises:
        UserError: it is impossible.
    """
    if recipe.is_own_scene:
        sample = draw_own_sample(recipe, index, split_of, (StainSection, StainOccurrence))
        shot, place = Shot(sample.part, SIDES[0], 0, 0, 0.0, 0.0), split_of(recipe, sample.part)
        on_all = recipe.section("stain").get("plates", "all") == "all"
        return replace(sample, features=tuple(wanted_features(recipe, shot, *place)),
                       stained=sample.stained and (on_all or is_defective(recipe, shot, *place)))
    return draw_sample(recipe, index)
