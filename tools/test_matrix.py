# SPDX-License-Identifier: Apache-2.0
"""The stain and the add-on in every Blender at hand; writes the table docs/test_matrix.md.

    python tools/test_matrix.py [--pixels 501] [--only 5.2 ...] [--out docs/test_matrix.md]

Blenders: the environments `.venv-blender` and `.venv-matrix/*` (each with a bpy module), and a `blender` executable.
In each: the three implementations of the stain compared point by point (tests/parity/parity.py), and the tests of the
node group, of the passes, and of the installed zip. Exit code 1 if anything fails.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARITY = "tests/parity/parity.py"
TESTS = ("tests/parity/test_stain_group.py", "tests/blender/test_passes.py", "tests/blender/test_own_scene.py",
         "tests/blender/test_addon.py")
VALUES = ("distance", "boundary", "normalised_distance", "reflectance_delta", "roughness_delta", "height")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=501, 
                        help="points per side and case (default 501, 3.5 million a backend)")
    parser.add_argument("--only", nargs="+", metavar="VERSION", help="only these, e.g. 4.2 executable")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "test_matrix.md")
    options = parser.parse_args()

    results = []
    for name, python, blender in blenders():
        if options.only and name not in options.only:
            continue
        start = time.monotonic()
        say(f"{name}: comparing the implementations, {options.pixels} x {options.pixels} points a case")
        cases, notes = parity(python, blender, options.pixels)
        say(f"{name}: {len(cases)} cases, {sum(case['ok'] for case in cases)} agree; tests")
        tests = run_tests(python, blender)
        say(f"{name}: {tests}; {time.monotonic() - start:.0f} s")
        results.append((name, cases, notes, tests))
    if not results:
        parser.error("no Blender to test: run `make test-matrix`, or --only names none of those here")
    text = report(results, options.pixels)
    beside = options.out.with_name(f".{options.out.name}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, options.out)
    print(options.out)
    agree = all(cases and all(case["ok"] for case in cases) for _, cases, _, _ in results)
    return 0 if agree and all(tests.endswith(" 0 failed") for *_, tests in results) else 1


def blenders() -> list[tuple[str, Path, str | None]]:
    """(name, the Python that runs the tests, a Blender executable or None)."""
    folders = {"4.5": ROOT / ".venv-blender", **{f.name: f for f in sorted((ROOT / ".venv-matrix").glob("*"))}}
    found = [(name, folder.resolve() / "bin" / "python", None) for name, folder in sorted(folders.items())]
    found = [entry for entry in found if entry[1].exists()]
    executable = os.environ.get("BLENDER") or shutil.which("blender")
    if executable and (ROOT / ".venv-blender").exists():
        found.insert(0, ("executable", ROOT / ".venv-blender" / "bin" / "python", executable))
    return found


def parity(python: Path, blender: str | None, pixels: int) -> tuple[list[dict], list[str]]:
    """The results of all cases, and what was left out and why."""
    command = [blender, "-b", "-P", PARITY, "--"] if blender else [str(python), PARITY]
    # An environment on the PATH would lend the executable its own Python's library.
    environment = {**os.environ, "PATH": "/usr/bin:/bin"} if blender else None
    done = subprocess.run([*command, "--pixels", str(pixels)], cwd=ROOT, capture_output=True, text=True, check=False,
                          env=environment)
    lines = done.stdout.splitlines()
    cases = [json.loads(line.removeprefix("PARITY ")) for line in lines if line.startswith("PARITY ")]
    if not cases:
        sys.stderr.write(done.stdout[-2000:] + done.stderr[-2000:])
    return cases, [line.removeprefix("PARITY-SKIP ") for line in lines if line.startswith("PARITY-SKIP ")]


def run_tests(python: Path, blender: str | None) -> str:
    """ "n passed, n failed" of the tests in that Blender."""
    selection = [TESTS[2], "-k", "executable"] if blender else [*TESTS, "-k", "not executable"]
    environment = {**os.environ, **({"BLENDER": blender} if blender else {})}
    done = subprocess.run([str(python), "-m", "pytest", "-q", *selection], cwd=ROOT, capture_output=True, text=True,
                          check=False, env=environment)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    if failed or not counts:
        sys.stderr.write(done.stdout[-6000:])
    return f"{counts.get('passed', 0)} passed, {failed} failed"


def report(results: list, pixels: int) -> str:
    """The page."""
    lines = [
        "# The stain and the add-on in every Blender at hand",
        "",
        f"Made by `make test-matrix` (`tools/test_matrix.py --pixels {pixels}`) on {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} processor cores, no graphics processor.",
        "",
        "`tests/parity/parity.py` evaluates the stain of each Blender at the points of float pictures and compares it "
        "with NumPy: masks and instances must be equal but within float error of an outline, where a difference is "
        "counted; values may differ by 1e-5 of the larger of the value and its scale. *Values* is the largest such "
        "error of distance, outline, normalised distance, reflectance, roughness and height.",
        "",
        "| Blender | backend | cases that agree | points | inside | grey | masks differ | instances differ | values |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for _, cases, _, _ in results:
        for backend in ("nodes", "osl"):
            chosen = [case for case in cases if case["backend"] == backend]
            if chosen:
                total = {key: sum(case[key] for case in chosen)
                         for key in ("ok", "points", "inside", "grey", "mask_differs", "instance_differs")}
                worst = max(case[name] for case in chosen for name in VALUES)
                lines.append(
                    f"| {chosen[0]['blender']} | {backend} | {total['ok']} of {len(chosen)} | {total['points']:,} | "
                    f"{total['inside']:,} | {total['grey']} | {total['mask_differs']} | {total['instance_differs']} | "
                    f"{worst:.0e} |"
                )
    lines += ["", "| Blender | tests of the node group, the passes and the installed zip | left out |", "|---|---|---|"]
    for name, cases, notes, tests in results:
        version = cases[0]["blender"] if cases else name
        kind = "executable; the zip only" if name == "executable" else "bpy module"
        lines.append(f"| {version} ({kind}) | {tests} | {'; '.join(notes) or 'nothing'} |")
    return "\n".join(lines) + "\n"


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
