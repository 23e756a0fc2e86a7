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
from typing import NamedTuple

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

import parity_render as render  # noqa: E402

from blender_addon.core.stain import stain_field
from blender_addon.core.stain_parameters import StainParameters  # noqa: E402
from blender_addon.scene.stain_osl import osl_available  # noqa: E402

TOLERANCE = 1e-5
"""Largest error of a value, relative to the larger of the value and its scale (r + A for lengths, 1 for the rest);
also the width, relative to r + A, of the band around the outline where float error may flip the mask."""

REFLECTANCE_IN = 0.75


FLAT, TILTED = (0.0, 0.0), (0.31, -0.17)


class Case(NamedTuple):
    name: str
    parameters: StainParameters
    slope: tuple[float, float] = FLAT
    mirror: bool = False


def _stain(radius, frequency, amplitude, seed, cell=None, decay=2.0, intensity=-0.3, centre=None) -> StainParameters:
    return StainParameters(radius, frequency, amplitude, decay, intensity, seed, cell_size_mm=cell, centre_mm=centre)


CASES = (
    Case("8 cells, tilted", _stain(4.0, 0.25, 1.5, seed=7, cell=20.0), TILTED),
    Case("27 cells, flat", _stain(9.0, 0.25, 4.0, seed=99_999, cell=20.0)),
    Case("27 cells, flat, -p", _stain(3.0, 1.7, 3.0, seed=1, cell=6.5, decay=0.4, intensity=0.2), mirror=True),
    Case("8 cells, flat, -p", _stain(2.0, 0.25, 0.5, seed=12_345, cell=20.0), mirror=True),
    Case("outline vanishes, decay 0", _stain(0.5, 0.6, 5.0, seed=3, cell=8.0, decay=0.0), TILTED),
    Case("one centre", _stain(15.0, 0.25, 6.0, seed=31, centre=(-7.0, 11.0, 1.0)), TILTED),
)


def compare(fields: dict, parameters: StainParameters) -> dict:
    """Largest errors of rendered fields against NumPy at the rendered positions."""
    truth = stain_field(fields["p"], parameters)
    reach = parameters.reach_mm / 1000.0
    inside = fields["Mask"] > 0.5
    both = inside & truth.inside
    # Where the group searches 8 cells its distance is exact inside the stains only.
    exact = both if parameters.neighbours == 8 else np.ones_like(both)

    def error(name, expected, scale, where):
        difference = np.abs(fields[name] - expected) / np.maximum(np.abs(expected), scale)
        return float(difference[where].max(initial=0.0))

    differ = inside != truth.inside
    near = np.abs(truth.distance - truth.boundary) <= TOLERANCE * reach
    reflectance = np.float32(REFLECTANCE_IN) + truth.reflectance_delta
    return {
        "points": len(both),
        "inside": int(truth.inside.sum()),
        "stains": len(np.unique(truth.instance_hash[truth.inside])),
        "grey": int(((fields["Mask"] != 0.0) & (fields["Mask"] != 1.0)).sum()),
        "mask_differs": int(differ.sum()),
        "mask_differs_off_outline": int((differ & ~near).sum()),
        "instance_differs": int((fields["Instance"] != truth.instance_hash)[~differ].sum()),
        "distance": error("Distance", truth.distance, reach, exact),
        "boundary": error("Boundary", truth.boundary, reach, slice(None)),
        "normalised_distance": error("Normalised Distance", truth.normalised_distance, 1.0, ~differ),
        "reflectance": error("Reflectance", reflectance, 1.0, ~differ),
    }


def within_tolerance(result: dict) -> bool:
    counts = ("grey", "mask_differs_off_outline", "instance_differs")
    values = ("distance", "boundary", "normalised_distance", "reflectance")
    return (
        result["inside"] > 0
        and all(result[name] == 0 for name in counts)
        and all(result[name] <= TOLERANCE for name in values)
        and result["mask_differs"] <= 1 + result["points"] // 100_000
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=201, help="points per side; odd puts some on cell borders")
    parser.add_argument("--backend", choices=("nodes", "osl", "all"), default="all")
    parser.add_argument("--cases", type=int, default=None, help="only the first so many")
    options = parser.parse_args(arguments)

    import bpy

    backends = ("nodes", "osl") if options.backend == "all" else (options.backend,)
    failed = 0
    # Whatever the number of points, they cover the same 0.1 m and hit the same cell borders.
    render.prepare_scene(options.pixels, render.PITCH_M * 200 / (options.pixels - 1))
    for backend in backends:
        available, reason = osl_available()
        if backend == "osl" and not available:
            print(f"PARITY-SKIP {reason}", flush=True)
            continue
        for case in CASES[: options.cases]:
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
