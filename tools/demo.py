# SPDX-License-Identifier: Apache-2.0
"""`make demo`: the whole way in minutes, from a recipe to a report. Finished steps are recognised and kept.

Environment: WEIGHTS=FILE (a file named after its timm model, or with BACKBONE=NAME beside it), OUT=DIR,
BLENDER=EXECUTABLE, DEMO_SIZE=tiny (a few thumbnails, to try the plumbing).
"""

import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import renderer
from backbone import choose_backbone

REPOSITORY = Path(__file__).absolute().parent.parent
RECIPES = REPOSITORY / "scenes" / "recipes"
SHARED_WEIGHTS = REPOSITORY.parent / "shared" / "weights"


@dataclass(frozen=True)
class Size:
    """How much is rendered and kept: images per data set, percent of 2448 x 2050, paths per pixel, vectors."""

    plates: int
    inspected: int
    library: int
    scale: int
    samples: int
    coreset: int


SIZES = {"": Size(6, 16, 12, 25, 16, 2048), "tiny": Size(2, 6, 4, 8, 4, 128)}


@dataclass(frozen=True)
class Step:
    """One command. `seconds` on two cores only serve the estimate of the time left. `optional`: there may be nothing
    to do, as on thumbnails that show no defect, and the rest goes on."""

    title: str
    command: list[str]
    seconds: float
    optional: bool = False


def main() -> int:
    size = SIZES.get(os.environ.get("DEMO_SIZE", ""))
    if size is None:
        return fail(f"DEMO_SIZE should be {' or '.join(filter(None, SIZES))}, or absent")
    out = Path(os.environ.get("OUT") or REPOSITORY / "out" / "demo")
    out.mkdir(parents=True, exist_ok=True)
    backbone = choose_backbone(out, SHARED_WEIGHTS, say)
    try:
        steps = plan(out, size, backbone)
    except renderer.NoRenderer as error:
        return fail(str(error))
    start, done = time.monotonic(), 0.0
    total = sum(step.seconds for step in steps)
    for number, step in enumerate(steps, 1):
        passed = time.monotonic() - start
        # The estimate scales by how this machine did so far; the first steps would make it jump.
        pace = passed / done if done > 20 and passed > 1 else 1.0
        left = f", about {minutes((total - done) * pace)} left" if number < len(steps) else ""
        print(f"\n[{number}/{len(steps)}] {step.title}{left}", file=sys.stderr, flush=True)
        code = subprocess.call(with_models_there(step.command), cwd=REPOSITORY)
        if code == 2 and step.optional:
            say("the alarms get no names, for the reason above; the rest goes on")
        elif code:
            say(f"stopped (exit code {code}) at: {shlex.join(step.command)}")
            say("`make demo` goes on from here")
            return code
        done += step.seconds
    report = out / "report.html"
    beside = out / ".report.part.html"
    shutil.copyfile(out / "results" / "report.html", beside)
    beside.replace(report)
    print(f"\nDone in {minutes(time.monotonic() - start)}, with the features of {backbone[1]}.")
    print(f"Open {report} in a browser: pictures, overlays and the models side by side.")
    return 0


def plan(out: Path, size: Size, backbone: list[str]) -> list[Step]:
    data = {name: out / "data" / name for name in ("synth", "synth_ws", "inspection_demo", "impurities_demo")}
    names = ("clean", "stains", "stains_finetuned", "melded", "clean_finetuned")
    models = {name: out / "models" / f"{name}.h5" for name in names}
    named = out / "models" / "named.h5"
    patchcore = [str(Path(sys.executable).with_name("sequential-patchcore"))]
    common = ["--coreset-size", str(size.coreset), "--no-border-mask"]  # the frame lies inside the plate everywhere

    def render(recipe: str, count: int) -> list[str]:
        options = ["--out", data[recipe], "--count", count, "--scale", size.scale, "--samples", size.samples]
        recipe_file = str(RECIPES / f"{recipe}.toml")
        return [*renderer.command(REPOSITORY), "--recipe", recipe_file, *(str(option) for option in options)]

    def train(of: str, name: str) -> list[str]:
        return [*patchcore, "train", "--data", str(data[of]), "--out", str(models[name]), *backbone, *common]

    inspected = str(data["inspection_demo"])
    steps = [
        Step("Rendering clean plates", render("synth", size.plates), 7.5 * size.plates),
        Step("Rendering the same plates with water stains", render("synth_ws", size.plates), 10 * size.plates),
        Step("Rendering an inspection day: clean, stained, defective", render("inspection_demo", size.inspected),
             10 * size.inspected),
        Step("Rendering other plates of that day, to learn names of alarms from",
             render("impurities_demo", size.library), 10 * size.library),
        Step("Training on the clean plates", train("synth", "clean"), 15),
        Step("Training on the stained plates", train("synth_ws", "stains"), 15),
        Step("Fine-tuning the stained model on the inspection's clean plates",
             [*patchcore, "finetune", "--model", str(models["stains"]), "--data", inspected, "--out",
              str(models["stains_finetuned"]), "--no-border-mask"], 15),
        Step("Fine-tuning the clean model on them",
             [*patchcore, "finetune", "--model", str(models["clean"]), "--data", inspected, "--out",
              str(models["clean_finetuned"]), "--no-border-mask"], 15),
        Step("Melding the two", [*patchcore, "meld", str(models["clean"]), str(models["stains"]), "--out",
                                 str(models["melded"])], 3),
    ]
    steps += [
        Step(f"Setting the threshold of {name} on the validation images",
             [*patchcore, "calibrate", "--model", str(path), "--data", inspected], 6)
        for name, path in models.items()
    ]
    library = str(data["impurities_demo"])
    steps += [
        Step("Remembering what stains look like",
             [*patchcore, "impurities", "--model", str(models["clean_finetuned"]), "--data", library, "--out",
              str(named)], 20, optional=True),
        Step("Learning to tell stains from defects, and how far that may be trusted",
             [*patchcore, "verdicts", "--model", str(named), "--data", library, "--val", inspected], 60, optional=True),
    ]
    shown = [path for name, path in models.items() if name != "clean_finetuned"]
    compared = [part for path in (*shown, named) for part in ("--model", str(path))]
    steps.append(Step("Evaluating all on the test images",
                      [*patchcore, "evaluate", *compared, "--data", inspected, "--out", str(out / "results")], 25))
    return steps


def with_models_there(command: list[str]) -> list[str]:
    """Without the models to evaluate that an optional step has not made."""
    if "evaluate" not in command:
        return command
    found = iter(command)
    kept = []
    for part in found:
        if part != "--model":
            kept.append(part)
        elif Path(path := next(found)).is_file():
            kept += [part, path]
    return kept


def minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def say(text: str) -> None:
    print(f"demo: {text}", file=sys.stderr, flush=True)


def fail(text: str) -> int:
    say(text)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("interrupted; `make demo` goes on from here")
        sys.exit(130)
