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
from blender_addon.core.stain.look import GAP_WIDTH  # noqa: E402
from blender_addon.core.stain.parameters import StainParameters  # noqa: E402
from blender_addon.scene.stain_osl import osl_available  # noqa: E402

TOLERANCE = 1e-5
"""Largest error of a value, relative to the larger of the value and its scale: the reach for lengths, the film's height
at the greatest strength for heights, 1 for the rest. Also the width, relative to the reach, of the band around the
outline where float error may flip the mask, and of that around a ring where it may fall on the ring's other side."""

NOISE_ERROR = 4e-6
"""Largest error of the noise: measured at 2.3e-6 over a million points, a little more in rare places."""

REFLECTANCE_IN = 0.75


def compare(fields: dict, parameters: StainParameters, normal: np.ndarray) -> dict:
    """Largest errors of rendered fields against NumPy at the rendered positions; the surface's normal is (3,)."""
    normals = np.broadcast_to(normal.astype(np.float32), fields["p"].shape)
    truth = stain_field(fields["p"], parameters, normals=normals)
    reach = parameters.reach_mm / 1000.0
    strength = np.abs(truth.reflectance_delta).max(initial=0.0) / max(abs(parameters.intensity), 1e-9)
    film = max(abs(parameters.film_height_um) * 1e-6, 1e-9) * max(float(strength), 1.0)
    inside = fields["Mask"] > 0.5
    both = inside & truth.inside
    # Where the group searches 8 cells its distance is exact inside the stains only; without any stain near it is 1e9.
    # With small drops it is that of a drop or of the large stain, whichever is nearer: a tie outside of both.
    partly = parameters.neighbours == 8 or parameters.satellites
    exact = both if partly else truth.distance < 1e8
    own_radius = both if partly and (parameters.radius_spread or parameters.satellites) else np.ones_like(both)

    differ = inside != truth.inside
    near = np.abs(truth.distance - truth.boundary) <= TOLERANCE * reach
    other = (fields["Instance"] != truth.instance_hash) & ~differ
    t = truth.normalised_distance * (parameters.ring_count + 1)
    on_ring = (np.abs(t - np.rint(t)) <= TOLERANCE * (parameters.ring_count + 1)) & (parameters.ring_count > 0)
    same = ~differ & ~other
    # Out of the stains, where two of different size are equally near, float error decides whose distance it is.
    far = same & ~both & exact & (np.abs(fields["Distance"] - truth.distance) > TOLERANCE * reach)
    tied = np.zeros_like(far)
    tied[far] = _gap(fields["p"][far], normals[far], parameters) <= TOLERANCE * reach
    slack = _slack(truth, parameters, reach) * float(strength)

    def error(name, expected, scale, where, acts=0.0):
        difference = np.maximum(np.abs(fields[name] - expected) - abs(acts) * slack, 0.0)
        return float((difference / np.maximum(np.abs(expected), scale))[where].max(initial=0.0))

    reflectance = np.float32(REFLECTANCE_IN) + truth.reflectance_delta
    off_ring, s = same & ~on_ring, parameters
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
        "reflectance": error("Reflectance", reflectance, 1.0, off_ring, s.intensity),
        "reflectance_delta": error("Reflectance Delta", truth.reflectance_delta, 1.0, off_ring, s.intensity),
        "roughness_delta": error("Roughness Delta", truth.roughness_delta, 1.0, off_ring, s.roughness_change),
        "height": error("Height", truth.height, film, off_ring, s.film_height_um * 1e-6),
        "scatter": error("Scatter", truth.scatter, 1.0, off_ring, s.film_scatter) if s.look else 0.0,
    }


def _slack(truth, parameters: StainParameters, reach: float) -> np.ndarray:
    """Error of the strength, as a share of it, that comes of allowed errors where it is steep: (N,).

    A smoothstep's steepest slope is 3/2. Across an outline of width w it is met by an error of the distance of
    TOLERANCE reach, where the rim breaks by one of the noise of NOISE_ERROR, over GAP_WIDTH.
    """
    slack = np.zeros(len(truth.distance))
    if parameters.edge_width_um:
        width = np.minimum(parameters.edge_width_um * 1e-6, np.maximum(truth.boundary, 1e-12))
        soft = np.abs(truth.distance - truth.boundary) <= 0.5 * width + TOLERANCE * reach
        slack[soft] += 1.5 * TOLERANCE * reach / width[soft]
    if parameters.rim_gaps:
        slack += 1.5 * NOISE_ERROR / GAP_WIDTH
    return slack


def _gap(points: np.ndarray, normals: np.ndarray, parameters: StainParameters) -> np.ndarray:
    """By how much the second nearest stain is farther than the nearest, |p - c| - dr counting: (N, 3) -> (N,)."""
    v = parameters.in_metres()
    if v.cell_size is None or len(points) == 0:
        return np.full(len(points), np.inf)
    cells = cell_of(points, v.cell_size)[:, None] + np.array(NEIGHBOURS_27, dtype=np.float32)
    vectors = points[:, None] - centres_of(cells, v.cell_size, v.seed)
    around = np.repeat(normals, len(NEIGHBOURS_27), axis=0)
    excess = stretched_length(vectors.reshape(-1, 3), v, around).reshape(cells.shape[:2]) - larger_radius(cells, v)
    first, second = np.sort(np.where(stain_is_present(cells, v), excess, np.inf), axis=1)[:, :2].T
    return second - first


VALUES = (
    "distance", "boundary", "normalised_distance", "reflectance", "reflectance_delta", "roughness_delta", "height",
    "scatter",
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
            normal = np.array([-case.slope[0], -case.slope[1], 1.0])
            result = compare(fields, case.parameters, normal / np.linalg.norm(normal))
            ok = within_tolerance(result)
            failed += not ok
            head = {"blender": bpy.app.version_string, "backend": backend, "case": case.name, "ok": ok}
            seconds = round(time.perf_counter() - start, 1)
            print("PARITY " + json.dumps({**head, **result, "seconds": seconds}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]))
