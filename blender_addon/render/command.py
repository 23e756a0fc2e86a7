# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the headless renderer: arguments -> job."""

import argparse
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..core.errors import UserError, one_line
from ..core.recipe.settings import Recipe, load
from . import job as jobs
from .interrupt import leave_on_signals
from .progress import Progress, duration

DONE, FAULT, USAGE = 0, 1, 2
_SPLITS = (("train", 8), ("val", 1), ("test", 1))
"""Of a person's own scene without a recipe."""

_EPILOG = """\
examples:
  python blender_addon/render.py --recipe scenes/recipes/synth_ws.toml --out out/synth_ws --scale 25 --count 8
  blender -b -P blender_addon/render.py -- --recipe scenes/recipes/synth.toml --out out/synth
  blender -b mine.blend -P blender_addon/render.py -- --scene --out out/mine --count 200
  … --dry-run                          what would be made, how much disk, about how long
  … --shard 1/4                        one of four processes or machines; all write to the same folder
  … (the same command again)           goes on where it was stopped; a finished data set is left as it is

exit codes: 0 done, 2 wrong usage or bad input, 130 interrupted (the same command goes on), 1 a fault of ours
"""


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage in one line, like all other bad input."""

    def error(self, message: str):
        raise UserError(f"{message} (see --help)")


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code. Messages go to stderr, results to stdout."""
    try:
        with jobs.temporary_folder() as scratch:
            return _run(_parser().parse_args(arguments), Path(scratch))
    except UserError as error:
        print(f"render.py: {one_line(error)}", file=sys.stderr)
        return USAGE
    except SystemExit as leave:  # --help
        return int(leave.code or 0)
    except Exception:
        traceback.print_exc()
        print("render.py: this is a fault of the program; please report it with the lines above", file=sys.stderr)
        return FAULT


def _run(arguments: argparse.Namespace, scratch: Path) -> int:
    job = make_job(arguments)
    if job.recipe.is_own_scene:
        _require_blender()
        from .own_scene import open_scene

        job = replace(job, own=open_scene(job.recipe))
    planned = jobs.plan(job)
    progress = Progress(arguments.json_progress)
    if arguments.dry_run:
        _print_plan(job, planned)
        return DONE
    if planned.missing:
        leave_on_signals(lambda: _clean_up(scratch))
        _require_blender()
        jobs.run(job, planned, progress, scratch)
    else:
        progress.start(planned.total, planned.total, None)
    progress.end(str(job.out))
    return DONE


def make_job(arguments: argparse.Namespace) -> jobs.Job:
    """Recipe and arguments -> job.

    Raises:
        UserError: a bad recipe or argument.
    """
    recipe = _with_overrides(_recipe(arguments), arguments)
    count = arguments.count if arguments.count is not None else recipe.count - arguments.start
    if count < 1:
        raise UserError(f"--start {arguments.start}: the recipe has {recipe.count} samples, from 0; give --count too")
    if arguments.overwrite and arguments.shard:
        raise UserError("--overwrite with --shard would remove what the other shards made; run it once without --shard")
    return jobs.Job(recipe, Path(arguments.out), arguments.start, count, arguments.shard, arguments.device,
                    arguments.threads, arguments.overwrite)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe that is named, for the plate or for a person's own scene; or the scene alone, as it is."""
    if arguments.scene is None:
        if arguments.recipe is None:
            raise UserError("give --recipe, or --scene for your own scene (see --help)")
        return load(arguments.recipe)
    file = str(Path(arguments.scene).resolve()) if arguments.scene else ""
    scene = {"file": file} if file else {}
    if arguments.recipe is not None:
        return load(arguments.recipe, scene)
    name = "".join(c if (c.isascii() and c.isalnum()) or c in "-_" else "_" for c in Path(file or _open_file()).stem)
    name = name if name.replace("-", "_").isidentifier() else f"scene_{name}"
    count = arguments.count or 1
    return Recipe(name, name, "", count, 0, _SPLITS, {"scene": scene})


def _open_file() -> str:
    """The file that this Blender has open."""
    bpy = sys.modules.get("bpy")
    return (bpy.data.filepath if bpy else "") or "scene.blend"


def _with_overrides(recipe: Recipe, arguments: argparse.Namespace) -> Recipe:
    options = {"scale": "scale_percent", "samples": "samples", "stain_backend": "stain_backend",
               "stain_distance": "stain_distance", "human_labels": "human_labels"}
    for option, key in options.items():
        value = getattr(arguments, option)
        if value is not None:
            recipe = recipe.with_values("render", f"--{option.replace('_', '-')}", **{key: value})
    return recipe if arguments.seed is None else recipe.with_seed(arguments.seed)


def _print_plan(job: jobs.Job, planned: jobs.Plan) -> None:
    seconds, size = jobs.estimate(job, planned)
    if job.own is not None:
        share = job.recipe.section("render").get("scale_percent", 100.0) / 100.0
        width, height = (round(size * share) for size in job.own.size_px)
        samples = job.recipe.section("render").get("samples", job.own.scene.cycles.samples)
    else:
        first = jobs.draw_sample(job.recipe, job.start)
        width, height = first.size_px
        samples = first.render.samples
    print(f"{job.recipe.name}: {planned.total} samples of {width} x {height} px, {samples} light paths per pixel")
    print(f"{planned.total - len(planned.missing)} are finished in {job.out}, {len(planned.missing)} would be rendered")
    free = shutil.disk_usage(next(folder for folder in (job.out, *job.out.absolute().parents) if folder.is_dir())).free
    print(f"about {size / 1e6:.0f} MB of disk ({free / 1e6:.0f} MB free), about {duration(seconds)} on this machine's "
          "processor")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="render.py",
        description="Render a labelled data set of an inspected plate, or of your own scene: images, class masks, "
                    "instance masks, records.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--recipe", metavar="TOML", help="what to render; see scenes/recipes/")
    add("--scene", nargs="?", const="", metavar="BLEND",
        help="render your own scene, of this file or of the one that is open (blender -b FILE -P …); with --recipe, "
             "varied as the recipe says (docs/own_part.md)")
    add("--out", required=True, metavar="DIR", help="the data set's folder; made, or continued if it is there")
    add("--count", type=_whole(1), metavar="N", help="number of samples (default: the recipe's)")
    add("--start", type=_whole(0), default=0, metavar="K", help="first sample (default 0); sample K is always the same")
    add("--shard", type=_shard, metavar="I/N", help="render only part I of N, I from 1 to N")
    add("--scale", type=float, metavar="PERCENT", help="size of the images in percent of the camera's, e.g. 25")
    add("--samples", type=int, metavar="SPP", help="light paths per pixel: more is smoother and slower")
    add("--seed", type=_whole(0), metavar="S", help="another master seed: other plates, stains and defects")
    add("--stain-backend", metavar="osl|nodes", help="what computes the stain; the fields agree")
    add("--stain-distance", action="store_true", default=None,
        help="also write stain_distance/ID.tif: the stain's d / r' per pixel as float, 0 outside")
    add("--human-labels", action="store_true", default=None,
        help="also write labelme/ID.json: labels as a person draws them, for LabelMe and `import labelme`")
    add("--device", type=_device, default="auto", metavar="NAME",
        help="auto, CPU, CUDA, OPTIX, HIP, METAL or ONEAPI (default auto)")
    add("--threads", type=_whole(0), default=0, metavar="N",
        help="processor threads (default 0: all); the pixels do not depend on it")
    add("--overwrite", action="store_true", help="remove the data set in DIR first")
    add("--dry-run", action="store_true", help="say what would be made and how long it takes, and stop")
    add("--json-progress", action="store_true", help="progress as JSON lines on stdout")
    return parser


def _whole(low: int):
    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {low}, got {text!r}")
        return value

    return convert


def _shard(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts):
        return int(part), int(parts)
    raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, e.g. 2/4, got {text!r}")


def _device(text: str) -> str:
    names = ("CPU", "CUDA", "OPTIX", "HIP", "METAL", "ONEAPI")
    if text.lower() == "auto":
        return "auto"
    if text.upper() in names:
        return text.upper()
    raise argparse.ArgumentTypeError(f"expected auto or one of {', '.join(names)}, got {text!r}")


def _require_blender() -> None:
    """Import bpy, which may print where it takes its colours from; standard output is for our own lines."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        import bpy  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"Blender is not at hand here ({error}): run `make setup` and use .venv-blender/bin/python, "
            "or run this file with `blender -b -P blender_addon/render.py -- …`"
        ) from error
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _clean_up(scratch: Path) -> None:
    for file in scratch.glob("*"):
        file.unlink(missing_ok=True)
    scratch.rmdir()
    if sys.modules.get("bpy"):
        from .session import remove_temporary_files

        remove_temporary_files()
