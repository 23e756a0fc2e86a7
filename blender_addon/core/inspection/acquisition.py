# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the camera stands: one place over the middle of a plate, or a grid of places over each of its sides.

The camera and the ring light move together over the plate. Sample numbers count all pictures of a plate before the
next plate: first the front, then the back, each by rows from -y to +y and within a row from -x to +x.

Each side has a plate space of its own, the origin at the centre of its face. The plate is turned about its y axis, so
x of the back is -x of the front.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..parameter import parameter
from ..seeding import uniform

SIDES = ("front", "back")


@dataclass(frozen=True)
class Acquisition:
    """A grid of camera positions, centred on the plate."""

    columns: int = parameter(1, 1, 1000, "camera positions along x")
    rows: int = parameter(1, 1, 1000, "camera positions along y")
    pitch_x_mm: float = parameter(0.0, 0.0, 2000.0, "distance from one position to the next along x")
    pitch_y_mm: float = parameter(0.0, 0.0, 2000.0, "distance from one position to the next along y")
    sides: int = parameter(1, 1, 2, "sides of each plate that are seen: 1 the front, 2 both")
    jitter_mm: float = parameter(0.0, 0.0, 100.0, "largest error of a position along each axis")
    border_mm: float = parameter(0.0, 0.0, 1000.0, "width of the plate's rim that does not belong to the region")
    exposure_drift: float = parameter(0.0, 0.0, 0.9, "largest share by which the exposure drifts over the pictures")
    drift_pictures: int = parameter(50, 1, 100000, "pictures from one turn of the drift to the next")

    @property
    def shots(self) -> int:
        """Pictures of one plate."""
        return self.columns * self.rows * self.sides

    @property
    def is_grid(self) -> bool:
        return self.columns * self.rows > 1


CONSTANT = ("columns", "rows", "sides", "exposure_drift", "drift_pictures")
"""Parameters that must be numbers: they hold for all pictures, and which plate a sample shows follows from some."""


class Shot(NamedTuple):
    """One picture of a plate."""

    plate: int
    side: str
    column: int
    row: int
    camera_x_mm: float
    """Position of the camera's axis from the middle of the plate's nominal place, error included."""
    camera_y_mm: float
    exposure_factor: float = 1.0
    """Of the nominal exposure; drifts slowly from picture to picture."""

    def other_side(self) -> "Shot":
        """The same place, seen from the other side of the plate."""
        return self._replace(side=SIDES[1 - SIDES.index(self.side)])

    def purpose(self, name: str) -> str:
        """Purpose of a draw that belongs to this side of the plate."""
        return name if self.side == SIDES[0] else f"{self.side}.{name}"


def shot_of(acquisition: Acquisition, index: int, master: int) -> Shot:
    """Picture `index` of a series whose pictures are taken like `acquisition`."""
    plate, rest = divmod(index, acquisition.shots)
    side, rest = divmod(rest, acquisition.columns * acquisition.rows)
    row, column = divmod(rest, acquisition.columns)
    places = []
    for axis, k, n, pitch in (
        ("x", column, acquisition.columns, acquisition.pitch_x_mm),
        ("y", row, acquisition.rows, acquisition.pitch_y_mm),
    ):
        error = (2.0 * uniform(master, index, f"acquisition.jitter_{axis}") - 1.0) * acquisition.jitter_mm
        places.append(round((k - (n - 1) / 2.0) * pitch + error, 9))
    return Shot(plate, SIDES[side], column, row, *places, _exposure_factor(acquisition, index, master))


def _exposure_factor(acquisition: Acquisition, index: int, master: int) -> float:
    """1 plus a random polyline over the pictures, within `exposure_drift`."""
    turn, rest = divmod(index, acquisition.drift_pictures)
    before, after = (2.0 * uniform(master, turn + k, "acquisition.exposure_drift") - 1.0 for k in (0, 1))
    share = rest / acquisition.drift_pictures
    return round(1.0 + acquisition.exposure_drift * (before + (after - before) * share), 9)


def constant(table: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe gives for the parameters of `CONSTANT`."""
    return {key: table[key] for key in CONSTANT if key in table}
