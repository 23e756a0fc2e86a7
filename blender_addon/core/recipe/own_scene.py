# SPDX-License-Identifier: GPL-3.0-or-later
"""What varies from picture to picture in a person's own scene: sections of a recipe, and sample k of it.

    [scene]  file, name, objects, cameras: which scene, and what of it
    [pose]   how the inspected objects lie: they move together, as one rigid part
    [view]   camera positions on a list or on a dome, instead of the scene's own cameras
    [lamps]  strength and direction of the light
    [stain]  the stain's ranges; what is not given keeps the values of the material
    [scratch], [dent], …  defects and impurities that are laid on the part, as on the plate (`placement.py`)

A part is drawn once; its pictures follow each other: for each step of the turntable, every camera position.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import UserError
from ..features.wanted import Wanted
from ..parameter import draw, parameter
from ..seeding import seed, spread, uniform

VARIED = ("radius_mm", "noise_frequency_per_mm", "noise_amplitude_mm", "decay", "intensity")
"""Parameters of the stain that `stain_variation` lets vary."""


@dataclass(frozen=True)
class SceneChoice:
    """Which scene, and what of it. Texts and lists of texts; empty stands for what the file says."""

    file: str = parameter("", None, None, "the .blend file, relative to the recipe; empty for the one that is open")
    name: str = parameter("", None, None, "the scene in the file; empty for the one that it was saved with")
    objects: tuple[str, ...] = parameter((), None, None, "the inspected objects; empty for those that are marked, or "
                                         "else those that carry the stain")
    cameras: tuple[str, ...] = parameter((), None, None, "cameras that take a picture each; empty for the scene's")
    stain_variation: float = parameter(0.0, 0.0, 0.9, "each part draws radius, outline, decay and intensity of each "
                                       "stain evenly from the material's own values, more or less this share of them")


@dataclass(frozen=True)
class Pose:
    """How the inspected objects lie: turned about the middle of their common box, then shifted; world axes."""

    turntable_steps: int = parameter(1, 1, 3600, "pictures of one part, turned on by equal angles about the world's z")
    rotation_x_deg: float = parameter(0.0, -360.0, 360.0, "turn about the world's x axis, first")
    rotation_y_deg: float = parameter(0.0, -360.0, 360.0, "turn about the world's y axis, second")
    rotation_z_deg: float = parameter(0.0, -360.0, 360.0, "turn about the world's z axis, last")
    shift_x_mm: float = parameter(0.0, -1e6, 1e6, "shift along the world's x axis")
    shift_y_mm: float = parameter(0.0, -1e6, 1e6, "shift along the world's y axis")
    shift_z_mm: float = parameter(0.0, -1e6, 1e6, "shift along the world's z axis")


@dataclass(frozen=True)
class View:
    """Where the camera stands; it looks at the middle of the inspected objects, with the lens of the scene's camera."""

    count: int = parameter(1, 1, 3600, "camera positions on the dome for each step of the turntable")
    distance_mm: float = parameter(0.0, 0.0, 1e7, "from the middle of the objects; 0 for that of the scene's camera")
    elevation_deg: float = parameter(45.0, -90.0, 90.0, "height over the horizon, 90 is straight above")
    azimuth_deg: float = parameter(0.0, -360.0, 360.0, "direction of the camera, counter-clockwise from +x")
    roll_deg: float = parameter(0.0, -360.0, 360.0, "turn of the camera about its axis")
    positions_mm: tuple[tuple[float, float, float], ...] = parameter(
        (), None, None, "a list of positions [x, y, z] in world space, instead of the dome")


@dataclass(frozen=True)
class Lamps:
    """What happens to the scene's light objects and its world."""

    strength: float = parameter(1.0, 0.0, 1e4, "factor of the power of all light objects and of the world")
    rotation_deg: float = parameter(0.0, -360.0, 360.0, "turn of all light objects about the vertical through the "
                                    "middle of the inspected objects")


SECTIONS: dict[str, type] = {"scene": SceneChoice, "pose": Pose, "view": View, "lamps": Lamps}
CONSTANT = {"scene": ("stain_variation",), "pose": ("turntable_steps",), "view": ("count",)}
"""Numbers that say how many pictures there are of a part, and so cannot be drawn."""


@dataclass(frozen=True)
class OwnSample:
    """Sample `index` of a person's own scene."""

    index: int
    id: str
    split: str
    group: str
    seed: int
    part: int
    camera: str
    """Name of the camera object; empty for the scene's own."""
    position_mm: tuple[float, float, float] | None
    """Where the camera stands, from a list."""
    turntable_deg: float
    pose: Pose
    view: View | None
    lamps: Lamps
    stained: bool
    stain: Mapping[str, Any]
    """The stain's parameters that the recipe draws; the others stay as the material has them."""
    stain_variation: float
    master: int | None
    """What seeds are drawn from; None keeps the seeds of the scene, as for a pair."""
    features: tuple[Wanted, ...] = ()
    """What is to be laid on the part; where, its surface decides."""

    def stain_seed(self, material: str, layer: int, own: int) -> int:
        """The seed of a material's layer, whose `own` seed is in the file."""
        return own if self.master is None else seed(self.master, self.part, f"stain.{material}.{layer}")

    def varied(self, material: str, layer: int, name: str, own: float) -> float:
        """A value of a material's layer, more or less a share of it."""
        if self.master is None or not self.stain_variation:
            return own
        fraction = uniform(self.master, self.part, f"stain.{material}.{layer}.{name}")
        return round(own + abs(own) * self.stain_variation * (2.0 * fraction - 1.0), 9)

    def parameters(self) -> dict[str, Any]:
        """The drawn values, for the record."""
        view = None if self.view is None else asdict(self.view)
        return {
            "part": self.part,
            "pose": {**asdict(self.pose), "turntable_deg": self.turntable_deg},
            "view": view if self.position_mm is None else {"position_mm": list(self.position_mm)},
            "lamps": asdict(self.lamps),
        }


def pictures_of_a_part(sections: Mapping[str, Mapping[str, Any]]) -> tuple[int, int]:
    """Steps of the turntable, and camera positions at each."""
    view = sections.get("view")
    stations = len(sections.get("scene", {}).get("cameras", ())) or 1
    if view is not None:
        stations = len(view.get("positions_mm", ())) or view.get("count", 1)
    return sections.get("pose", {}).get("turntable_steps", 1), stations


def draw_own_sample(recipe, index: int, split_of, stain_sections: tuple[type, type]) -> OwnSample:
    """Draw sample `index` of a recipe with a [scene]: a pure function of the recipe without its count.

    Args:
        split_of: (recipe, part) -> split and how many parts of it come before.
        stain_sections: the stain's parameters and its occurrence, as `settings` declares them.
    """
    master = recipe.seed
    steps, stations = pictures_of_a_part(recipe.sections)
    part, picture = divmod(index, steps * stations)
    step, station = divmod(picture, stations)
    split, position = split_of(recipe, part)
    view_table = recipe.sections.get("view")
    positions = () if view_table is None else view_table.get("positions_mm", ())
    cameras = () if view_table is not None else recipe.section("scene").get("cameras", ())
    stain_section, occurrence_section = stain_sections
    table = recipe.section("stain")
    stained = True
    if "stain" in recipe.sections:
        occurrence = draw(occurrence_section, table, master, part, "stain")
        stained = recipe.has("stain", split) and spread(position, "stain") < occurrence.share
    drawn = draw(stain_section, table, master, part, "stain")
    return OwnSample(
        index=index,
        id=f"{recipe.name}_{index:04d}",
        split=split,
        group=f"{recipe.plates}-{master}-part{part:04d}",
        seed=seed(master, index, "sample"),
        part=part,
        camera=cameras[station] if cameras else "",
        position_mm=tuple(positions[station]) if positions else None,
        turntable_deg=round(360.0 * step / steps, 9),
        pose=draw(Pose, recipe.section("pose"), master, part, "pose"),
        view=None if view_table is None else draw(View, {**view_table, "positions_mm": ()}, master, index, "view"),
        lamps=draw(Lamps, recipe.section("lamps"), master, part, "lamps"),
        stained=stained,
        stain={key: getattr(drawn, key) for key in asdict(drawn) if key in table},
        stain_variation=recipe.section("scene").get("stain_variation", 0.0),
        master=master,
    )


def unvaried_sample(name: str) -> OwnSample:
    """The scene as it is: what the panel's pair shows."""
    return OwnSample(0, name, "train", name, 0, 0, "", None, 0.0, Pose(), None, Lamps(), True, {}, 0.0, None)


def parse_text(value: Any, field, place: str) -> Any:
    """Check a text, a list of texts or a list of points of these sections.

    Raises:
        UserError: names the place, the value and what is allowed.
    """
    if isinstance(field.default, str):
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{place} = {value!r}: expected some text in quotes")
        return value
    if "positions" in field.name:
        good = isinstance(value, list) and value and all(
            isinstance(point, list) and len(point) == 3 and all(
                isinstance(number, int | float) and not isinstance(number, bool) and abs(number) <= 1e7
                for number in point)
            for point in value
        )
        if not good:
            raise UserError(f"{place} = {value!r}: expected a list of positions [x, y, z] in mm")
        return tuple(tuple(float(number) for number in point) for point in value)
    if not isinstance(value, list) or not value or not all(isinstance(text, str) and text for text in value):
        raise UserError(f"{place} = {value!r}: expected a list of names in quotes")
    if len(set(value)) < len(value):
        raise UserError(f"{place} = {value!r}: expected each name once")
    return tuple(value)


def is_text(field) -> bool:
    """Whether the key holds texts or points, which are not drawn."""
    return field.metadata["low"] is None and isinstance(field.default, str | tuple) and not field.metadata["choices"]
