# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the stain field of Cycles with NumPy's, point by point.

    python tests/parity/parity.py --pixels 201                           # with the bpy module
    blender -b -P tests/parity/parity.py -- --backend nodes --pixels 501

One line of JSON per case and backend on stdout, prefixed by PARITY; exit code 1 if any exceeds the tolerances.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

import parity_render as render  # noqa: E402
from parity_cases import CASES, random_cases  # noqa: E402

from blender_addon.core.noise.grid import NEIGHBOURS_27, cell_of, centres_of  # noqa: E402
from blender_addon.core.stain.field import larger_radius, stain_field, stain_is_present, stretched_length  # noqa: E402
from blender_addon.core.stain.parameters import StainParameters  # noqa: E402
from blender_addon.scene.stain_osl import osl_available  # noqa: E402

TOLERANCE = 1e-5
"""Largest error of a value, relative to the larger of the value and its scale: the reach for lengths, the film's height
at the greatest strength for heights, 1 for the rest. Also the width, relative to the reach, of the band around the
outline where float error may flip the mask, and of that around a ring where it may fall on the ring's other side."""

REFLECTANCE_IN = 0.75


def compare(fields: dict, parameters: StainParameters) -> dict:
    """Largest errors of rendered fields against NumPy at the rendered positions."""
    truth = stain_field(fields["p"], parameters)
    reach = parameters.reach_mm / 1000.0
    strength = np.abs(truth.reflectance_delta).max(initial=0.0) / max(abs(parameters.intensity), 1e-9)
    film = max(abs(parameters.film_height_um) * 1e-6, 1e-9) * max(float(strength), 1.0)
    inside = fields["Mask"] > 0.5
    both = inside & truth.inside
    # Where the group searches 8 cells its distance is exact inside the stains only; without any stain near it is 1e9.
    exact = both if parameters.neighbours == 8 else truth.distance < 1e8
    own_radius = both if parameters.neighbours == 8 and parameters.radius_spread else np.ones_like(both)

    differ = inside != truth.inside
    near = np.abs(truth.distance - truth.boundary) <= TOLERANCE * reach
    other = (fields["Instance"] != truth.instance_hash) & ~differ
    t = truth.normalised_distance * (parameters.ring_count + 1)
    on_ring = (np.abs(t - np.rint(t)) <= TOLERANCE * (parameters.ring_count + 1)) & (parameters.ring_count > 0)
    same = ~differ & ~other
    # Out of the stains, where two of different size are equally near, float error decides whose distance it is.
    far = same & ~both & exact & (np.abs(fields["Distance"] - truth.distance) > TOLERANCE * reach)
    tied = np.zeros_like(far)
    tied[far] = _gap(fields["p"][far], parameters) <= TOLERANCE * reach

    def error(name, expected, scale, where):
        difference = np.abs(fields[name] - expected) / np.maximum(np.abs(expected), scale)
        return float(difference[where].max(initial=0.0))

    reflectance = np.float32(REFLECTANCE_IN) + truth.reflectance_delta
    return {
        "points": len(both),
        "inside": int(truth.inside.sum()),
        "stains": len(np.unique(truth.instance_hash[truth.inside])),
        "grey": int(((fields["Mask"] != 0.0) & (fields["Mask"] != 1.0)).sum()),
        "mask_differs": int(differ.sum()),
        "mask_differs_off_outline": int((differ & ~near).sum()),
        "instance_differs": int(other.sum()),
        "on_ring": int((on_ring & truth.inside).sum()),
        "tied": int(tied.sum()),
        "distance": error("Distance", truth.distance, reach, exact & same & ~tied),
        "boundary": error("Boundary", truth.boundary, reach, own_radius & same & ~tied),
        "normalised_distance": error("Normalised Distance", truth.normalised_distance, 1.0, same),
        "reflectance": error("Reflectance", reflectance, 1.0, same & ~on_ring),
        "reflectance_delta": error("Reflectance Delta", truth.reflectance_delta, 1.0, same & ~on_ring),
        "roughness_delta": error("Roughness Delta", truth.roughness_delta, 1.0, same & ~on_ring),
        "height": error("Height", truth.height, film, same & ~on_ring),
    }


def _gap(points: np.ndarray, parameters: StainParameters) -> np.ndarray:
    """By how much the second nearest stain is farther than the nearest, |p - c| - dr counting: (N, 3) -> (N,)."""
    v = parameters.in_metres()
    if v.cell_size is None or len(points) == 0:
        return np.full(len(points), np.inf)
    cells = cell_of(points, v.cell_size)[:, None] + np.array(NEIGHBOURS_27, dtype=np.float32)
    vectors = points[:, None] - centres_of(cells, v.cell_size, v.seed)
    excess = stretched_length(vectors.reshape(-1, 3), v).reshape(cells.shape[:2]) - larger_radius(cells, v)
    first, second = np.sort(np.where(stain_is_present(cells, v), excess, np.inf), axis=1)[:, :2].T
    return second - first


VALUES = (
    "distance", "boundary", "normalised_distance", "reflectance", "reflectance_delta", "roughness_delta", "height",
)


def within_tolerance(result: dict) -> bool:
    few = 1 + result["points"] // 100_000
    return (
        result["grey"] == result["mask_differs_off_outline"] == 0
        and all(result[name] <= TOLERANCE for name in VALUES)
        and max(result["mask_differs"], result["instance_differs"]) <= few
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=201, help="points per side; odd puts some on cell borders")
    parser.add_argument("--backend", choices=("nodes", "osl", "all"), default="all")
    parser.add_argument("--cases", type=int, default=None, help="only the first so many")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="N drawn sets of parameters instead")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn sets")
    options = parser.parse_args(arguments)

    import bpy

    cases = random_cases(options.random, options.seed) if options.random else CASES[: options.cases]
    backends = ("nodes", "osl") if options.backend == "all" else (options.backend,)
    failed = 0
    # Whatever the number of points, they cover the same 0.1 m and hit the same cell borders.
    render.prepare_scene(options.pixels, render.PITCH_M * 200 / (options.pixels - 1))
    for backend in backends:
        available, reason = osl_available()
        if backend == "osl" and not available:
            print(f"PARITY-SKIP {reason}", flush=True)
            continue
        for case in cases:
            start = time.perf_counter()
            render.set_slope(case.slope)
            fields = render.render_field(case.parameters, REFLECTANCE_IN, backend, case.mirror)
            result = compare(fields, case.parameters)
            ok = within_tolerance(result)
            failed += not ok
            head = {"blender": bpy.app.version_string, "backend": backend, "case": case.name, "ok": ok}
            seconds = round(time.perf_counter() - start, 1)
            print("PARITY " + json.dumps({**head, **result, "seconds": seconds}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]))
