# SPDX-License-Identifier: Apache-2.0
"""How far a coreset is from the best possible one, certified by two numbers; proven in `engine`."""


def certified_factor(covering_radius: float, separation: float) -> float | None:
    """How far from the best possible coreset of this size at most: R <= factor x OPT_K. None if nothing is certain.

    OPT_K is over the patches that R was measured on and the coreset's own vectors.
    """
    if separation > 0:
        return 2.0 * max(1.0, covering_radius / separation)
    return 2.0 if covering_radius == 0 else None
