# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera: thin-lens geometry and the way from radiance to electrons; looks straight down at the world's origin."""

import math
from dataclasses import dataclass

from ..errors import UserError
from ..parameter import parameter

_PHOTON_J_M = 1.98644586e-25
"""Planck's constant times the speed of light."""


@dataclass(frozen=True)
class Camera:
    """An area camera, perpendicular to the plate. Defaults: Sony IMX250 class, 5 megapixels, 2/3 inch."""

    width_px: int = parameter(2448, 8, 20000, "columns")
    height_px: int = parameter(2050, 8, 20000, "rows")
    pixel_um: float = parameter(3.45, 0.5, 50.0, "pixel pitch on the sensor")
    focal_length_mm: float = parameter(25.0, 1.0, 1000.0, "focal length of the lens")
    distance_mm: float = parameter(300.0, 20.0, 10000.0, "from the plate to the lens")
    f_number: float = parameter(8.0, 0.7, 64.0, "f-number of the lens")
    exposure_ms: float = parameter(0.24, 1e-4, 1e4, "exposure time")
    quantum_efficiency: float = parameter(0.6, 0.01, 1.0, "electrons per photon")
    full_well_e: float = parameter(10700.0, 100.0, 1e6, "electrons at which a pixel is full; EMVA 1288 for the IMX250")
    wavelength_nm: float = parameter(550.0, 300.0, 1100.0, "wavelength that photons are counted at")

    def __post_init__(self) -> None:
        if self.focal_length_mm >= self.distance_mm:
            raise UserError(f"camera: the focal length (focal_length_mm = {self.focal_length_mm:g}) must be smaller "
                            f"than the distance to the plate (distance_mm = {self.distance_mm:g})")

    @property
    def image_distance_mm(self) -> float:
        """Lens to sensor, in focus: 1/f = 1/distance + 1/image."""
        return self.focal_length_mm * self.distance_mm / (self.distance_mm - self.focal_length_mm)

    @property
    def object_pixel_um(self) -> float:
        """Size of a full-resolution pixel on the plate."""
        return self.pixel_um * self.distance_mm / self.image_distance_mm

    @property
    def field_mm(self) -> tuple[float, float]:
        """Width and height of the field of view on the plate."""
        return self.width_px * self.object_pixel_um * 1e-3, self.height_px * self.object_pixel_um * 1e-3

    @property
    def full_wells_per_radiance(self) -> float:
        """Signal in full wells per W / (m² sr).

        The camera equation on the axis, E = π L / (4 N²), times pixel area, time and quantum efficiency, over the
        energy of a photon and the full well.
        """
        irradiance = math.pi / (4.0 * self.f_number**2)
        energy_j = irradiance * (self.pixel_um * 1e-6) ** 2 * self.exposure_ms * 1e-3
        electrons = energy_j * self.quantum_efficiency * self.wavelength_nm * 1e-9 / _PHOTON_J_M
        return electrons / self.full_well_e

    def scaled(self, percent: float) -> tuple[int, int]:
        """Columns and rows of an image at `percent` of the full resolution; the field of view stays."""
        return max(1, round(self.width_px * percent / 100)), max(1, round(self.height_px * percent / 100))
