# SPDX-License-Identifier: GPL-3.0-or-later
"""A job: which samples, which of them are missing, and the loop that makes them."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from ..core.features.classes import SURFACE_CLASSES
from ..core.files.dataset import FORMAT_VERSION, DatasetFolder
from ..core.parallel import threads
from ..core.recipe.sample import draw_any, draw_sample, sample_id
from ..core.recipe.settings import Recipe
from .progress import Progress

GENERATOR = {"name": "surface_impurities", "version": "0.1.0"}

_PATHS_PER_CORE_SECOND = {"clean": 5.4e5, "stained": 4.1e5}
"""Light paths per second of one processor core, for the estimate of a dry run; `make bench-render` on two cores of a
virtual machine."""
_REGRESSION_S_PER_PIXEL = 0.8e-6
"""Of the denoiser, on one core."""
_SECONDS_PER_SAMPLE = 1.0
"""For the texture of grooves, the building of the scene and the writing."""
_BYTES_PER_PIXEL = 0.8
"""Of image, mask and instances together, compressed; measured."""
_OWN_BYTES_PER_PIXEL = 2.4
"""The same for a coloured image."""


@dataclass(frozen=True)
class Job:
    """Samples `start` .. `start + count - 1` of a recipe, or the part that falls to a shard (i of n, from 1)."""

    recipe: Recipe
    out: Path
    start: int
    count: int
    shard: tuple[int, int] | None = None
    device: str = "auto"
    threads: int = 0
    overwrite: bool = False
    own: Any = None
    """The person's own scene, opened: `own_scene.OwnScene`; None for the plate."""

    @property
    def indices(self) -> list[int]:
        part, parts = self.shard or (1, 1)
        return [k for k in range(self.start, self.start + self.count) if k % parts == part - 1]


@dataclass(frozen=True)
class Plan:
    """What a job has to do."""

    folder: DatasetFolder
    total: int
    missing: tuple[int, ...]


def plan(job: Job) -> Plan:
    """Compare the job with what its folder holds; nothing is written.

    Raises:
        UserError: the folder holds other things, or samples of another recipe; or the recipe cannot be drawn.
    """
    folder = DatasetFolder(job.out, job.shard)
    ids = {sample_id(job.recipe, k): k for k in job.indices}
    finished: set[str] = set()
    if not (job.overwrite and folder.exists):  # --overwrite removes data sets, never other things
        found = folder.description()
        if found is not None:
            _check_same_recipe(found, job)
            finished = folder.finished(ids)
    missing = tuple(k for name, k in ids.items() if name not in finished)
    # A sample that cannot be drawn shows before hours of rendering, not after.
    drawn = [draw_any(job.recipe, k) for k in missing]
    if job.own is not None:
        from .own_scene import prepare

        prepare(job.own, job.recipe, drawn)
    return Plan(folder, len(ids), missing)


def run(job: Job, planned: Plan, progress: Progress, scratch: Path) -> None:
    """Render what is missing. `scratch` is a folder for temporary files."""
    with planned.folder.locked(alone=job.overwrite, say=progress.note):
        render, device = _start(job, scratch)
        if device == "CPU" and job.device == "auto" and job.own is None:
            progress.note(
                f"no graphics processor that Cycles can use: rendering on {_threads(job)} processor threads"
            )
        if job.overwrite:  # not before it is sure that the job can start
            planned.folder.clear()
        planned.folder.begin(describe(job))
        progress.start(planned.total, planned.total - len(planned.missing), device)
        for k in planned.missing:
            sample = draw_any(job.recipe, k)
            progress.sample(sample.id)
            record, files = render(sample)
            planned.folder.add(record, files)
            for skipped in record["parameters"].get("skipped_features", ()):
                why = ", ".join(f"{reason} ({times})" for reason, times in skipped["reasons"].items())
                progress.note(f"{sample.id}: no place on the part for a {skipped['class']}; {why}")
            progress.finished(sample.id)


def _start(job: Job, scratch: Path) -> tuple[Callable, str]:
    """What renders a sample to its record and its files, and the device that it uses."""
    from . import session  # Blender is imported only when there is something to render

    if job.own is not None:
        from .own_scene import render_own_sample, set_up

        device = set_up(job.own, job.recipe, job.device, job.threads)
        return lambda sample: render_own_sample(job.own, sample, job.recipe, device, scratch), device
    from .one_sample import render_sample

    with session.silence():
        needs_osl = draw_sample(job.recipe, 0).render.stain_backend == "osl"
        scene, device = session.start(job.device, needs_osl, job.threads)
    return lambda sample: render_sample(scene, sample, device, scratch), device


def describe(job: Job) -> dict[str, Any]:
    """The content of `dataset.json`."""
    recipe = job.recipe
    pixel_um = None
    if job.own is None:
        sample = draw_sample(recipe, 0)
        pixel_um = sample.camera.object_pixel_um * 100.0 / sample.render.scale_percent
    return {
        "format_version": FORMAT_VERSION,
        "name": recipe.name,
        "description": recipe.description,
        "generator": GENERATOR,
        "rendered": job.own is None,  # a person's own part need not fill its picture: its region says where it is
        "recipe": _recipe_of(job),
        "master_seed": recipe.seed,
        "classes": [{"id": number, "name": name, "kind": kind} for number, name, kind, *_ in SURFACE_CLASSES],
        "pixel_size_um": pixel_um,
    }


def _recipe_of(job: Job) -> dict[str, Any]:
    """The recipe, with the hash of the person's scene: samples of a scene that has changed are others."""
    values = job.recipe.as_dict()
    return values if job.own is None else {**values, "scene": {**values["scene"], "content": job.own.content}}


def estimate(job: Job, planned: Plan) -> tuple[float, float]:
    """Seconds and bytes that the missing samples take, roughly."""
    seconds = size = 0.0
    if job.own is not None:
        width, height = job.own.size_px
        given = job.recipe.section("render")
        pixels = width * height * (given.get("scale_percent", 100.0) / 100.0) ** 2
        paths = pixels * given.get("samples", job.own.scene.cycles.samples)
        each = _SECONDS_PER_SAMPLE + paths / (_PATHS_PER_CORE_SECOND["stained"] * _threads(job))
        return len(planned.missing) * each, len(planned.missing) * pixels * _OWN_BYTES_PER_PIXEL
    for k in planned.missing:
        sample = draw_sample(job.recipe, k)
        pixels = sample.size_px[0] * sample.size_px[1]
        paths = pixels * (sample.render.samples + 2)
        speed = _PATHS_PER_CORE_SECOND["clean" if sample.stain is None else "stained"] * _threads(job)
        regression = pixels * _REGRESSION_S_PER_PIXEL * sample.render.denoise / _threads(job)
        seconds += _SECONDS_PER_SAMPLE + paths / speed + regression
        size += pixels * _BYTES_PER_PIXEL * sample.render.bits / 8
    return seconds, size


def _threads(job: Job) -> int:
    """Processor threads that the job may use: what it asks for, or those of the machine given to this process."""
    return job.threads or threads()


def temporary_folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="surface_impurities_")


def _check_same_recipe(found: dict[str, Any], job: Job) -> None:
    wanted = json.loads(json.dumps(_recipe_of(job)))
    changed = sorted(_differences(found.get("recipe"), wanted))
    if changed:
        shown = ", ".join(changed[:4]) + (", …" if len(changed) > 4 else "")
        raise UserError(f"{job.out}: holds samples of another recipe ({shown} differ); "
                        "give another --out, or --overwrite to render anew")


def _differences(old: Any, new: Any, place: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [d for key in keys for d in _differences(old.get(key), new.get(key), f"{place}.{key}".lstrip("."))]
    return [] if old == new else [place or "recipe"]
