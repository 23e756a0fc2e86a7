# SPDX-License-Identifier: GPL-3.0-or-later
"""Reflectance of bare aluminium at normal incidence, from its measured complex refractive index."""

import bisect

_N_K = (
    (399.9, 0.490, 4.86),
    (450.9, 0.620, 5.48),
    (506.1, 0.789, 6.15),
    (551.0, 0.963, 6.70),
    (604.8, 1.220, 7.31),
    (652.5, 1.490, 7.82),
    (708.5, 1.910, 8.39),
    (751.4, 2.410, 8.62),
    (799.9, 2.800, 8.45),
    (855.1, 2.580, 8.21),
)
"""Wavelength in nm, n, k: D. Y. Smith, E. Shiles, M. Inokuti, "The optical properties of metallic aluminum", in
E. D. Palik (ed.), Handbook of Optical Constants of Solids, Academic Press 1985."""


def reflectance(wavelength_nm: float) -> float:
    """Share of light reflected at normal incidence in air, ((n - 1)² + k²) / ((n + 1)² + k²).

    n and k are linear between the measured wavelengths, constant beyond the first and the last (400 and 855 nm).
    """
    clamped_nm = min(max(wavelength_nm, _N_K[0][0]), _N_K[-1][0])
    right = min(max(bisect.bisect(_N_K, (clamped_nm,)), 1), len(_N_K) - 1)
    (left_nm, *low), (right_nm, *high) = _N_K[right - 1], _N_K[right]
    share = (clamped_nm - left_nm) / (right_nm - left_nm)
    n, k = (a + share * (b - a) for a, b in zip(low, high, strict=True))
    return ((n - 1.0) ** 2 + k**2) / ((n + 1.0) ** 2 + k**2)
