# SPDX-License-Identifier: GPL-3.0-or-later
"""The renderer's speed, as ratios of one run.

1. Time to equal error: this renderer, with and without its denoiser, against Cycles' defaults with six plain area
   lights in place of the ring, on the same plate and camera, with the grooves as a texture and as shader nodes. RMSE of
   a crop from the middle to a corner, in percent of its mean, against a reference of the same light and surface with
   many paths and no denoiser. Nothing is clipped: area lights are rectangles, shine a little more into the middle, and
   would be let off there.
2. Mean and spectrum across the grain, in four bands from coarse to fine: of the denoised and the raw picture at 16
   paths over those of the reference, and of grooves as nodes over grooves as a texture, both references.
3. Where the time of one finished sample goes at several scales and numbers of paths, images per hour, and the peak of
   memory.
4. The share of overexposed pixels, of the first eight plates under each light.

    .venv-blender/bin/python tests/bench/bench_render.py [--reference 512] [--scale 25] [--crop 0.4] [--only 3]
"""

import argparse
import math
import os
import platform
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import bpy  # noqa: E402
import procedural_surface  # noqa: E402

from blender_addon.core.features import ridges, texture  # noqa: E402
from blender_addon.core.inspection import brushing  # noqa: E402
from blender_addon.core.inspection.sensor import expose  # noqa: E402
from blender_addon.core.recipe.sample import Sample, draw_sample  # noqa: E402
from blender_addon.core.recipe.settings import load  # noqa: E402
from blender_addon.core.stain import reach  # noqa: E402
from blender_addon.render import one_sample, passes, session  # noqa: E402
from blender_addon.scene import inspection, material  # noqa: E402

_PATHS = (4, 8, 16, 32)
_DEFAULTS = ("max_bounces", "light_sampling_threshold", "blur_glossy", "use_adaptive_sampling", "use_auto_tile",
             "use_light_tree", "sampling_pattern", "sample_clamp_direct", "sample_clamp_indirect")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--recipe", default="synth")
    add("--reference", type=int, default=512, help="light paths per pixel of the reference (4096 for a final figure)")
    add("--scale", type=float, default=25.0, help="percent of the camera's resolution")
    add("--crop", type=float, default=0.4, help="edge of the measured crop, as a share of the image's (1 for all)")
    add("--scales", type=float, nargs="+", default=[10.0, 25.0, 50.0], help="percent (with 100 for a final figure)")
    add("--paths", type=int, nargs="+", default=[4, 16], help="light paths per pixel, for where the time goes")
    add("--only", type=int, nargs="+", default=[1, 2, 3, 4], choices=(1, 2, 3, 4), help="these parts alone")
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} threads, Blender {bpy.app.version_string}")
    with session.silence():
        scene, _ = session.start("CPU", needs_osl=False)
    with tempfile.TemporaryDirectory() as folder:
        if {1, 2} & set(chosen.only):
            equal_error(scene, chosen, Path(folder))
        if 3 in chosen.only:
            shares(scene, chosen, Path(folder))
        if 4 in chosen.only:
            exposures(scene, Path(folder))


def equal_error(scene: bpy.types.Scene, chosen: argparse.Namespace, folder: Path) -> None:
    """Print paths, RMSE and processor seconds of both, and the ratio of the times at equal error."""
    print(f"1. {chosen.recipe} at {chosen.scale:g} %, crop {chosen.crop:g}, reference {chosen.reference} paths")
    costs, spectra, references = {}, [], {}
    for name, prepare, surface, denoise in _KINDS:
        key = (_ours if prepare is _trained else prepare), surface
        if key not in references:
            references[key] = _reference(scene, chosen, folder, *key)
        reference, path_variance = references[key]
        products = []
        for paths in _PATHS:
            picture, seconds = _render(scene, chosen, folder, prepare, paths, 2, denoise)
            # The reference is noisy too.
            error = max(np.mean((picture - reference) ** 2) - path_variance / chosen.reference, 0.0)
            rmse = 100 * math.sqrt(error) / reference.mean()
            products.append(rmse**2 * seconds)
            print(f"   {name:36} {paths:4} paths  RMSE {rmse:5.2f} %  {seconds:6.2f} s of processor", flush=True)
            if key[0] is _ours and paths == 16:
                spectra.append((f"{name}, 16 paths, over its reference", picture, reference))
        costs[name] = products
    as_nodes, as_texture = references[_KINDS[-1][1:3]][0], references[_KINDS[-2][1:3]][0]
    spectra.append(("grooves as nodes over a texture", as_nodes, as_texture))
    # The goal: our time for an error over theirs for the same. Start-up counts in.
    ours, *others = costs.items()
    for name, theirs in others:
        ratios = ", ".join(f"{mine / other:.3f}" for mine, other in zip(ours[1], theirs, strict=True))
        print(f"   {ours[0]}: RMSE² x time over that of {name}: {ratios}")
    for name, picture, reference in spectra:
        bands = [np.array_split(_spectrum(image)[1:], 4) for image in (picture, reference)]
        ratios = ", ".join(f"{one.mean() / other.mean():.3f}" for one, other in zip(*bands, strict=True))
        print(f"2. {name}: mean {picture.mean() / reference.mean():.4f}, spectrum {ratios}")


def _reference(scene, chosen, folder, prepare, surface) -> tuple[np.ndarray, float]:
    """The picture by many paths, and the variance of one path."""
    material.build_surface_group = surface
    picture, _ = _render(scene, chosen, folder, prepare, chosen.reference, 1, False)
    few, _ = _render(scene, chosen, folder, prepare, 16, 3, False)
    return picture, float(np.mean((few - picture) ** 2) / (1 / 16 + 1 / chosen.reference))


def _spectrum(picture: np.ndarray) -> np.ndarray:
    """Mean power of the columns (h, w) -> (h // 2 + 1,)."""
    return (np.abs(np.fft.rfft(picture - picture.mean(axis=0), axis=0)) ** 2).mean(axis=1)


def shares(scene: bpy.types.Scene, chosen: argparse.Namespace, folder: Path) -> None:
    """Print, for each scale and number of paths, where the time of one stained picture goes."""
    threads = os.cpu_count()
    print("3. the time of one stained picture; the steps in percent of its processor seconds")
    print(f"| recipe | scale | paths | s | processor s | images an hour where {threads} threads are free | "
          "not the beauty pass, of s | of processor s | "
          + " | ".join(name for name, _ in _STEPS[1:]) + " | rest |")
    print("|---" * (8 + len(_STEPS)) + "|")
    for name, index in (("synth_ws", 0), ("inspection_twin_small", 3)):
        for scale in chosen.scales:
            for paths in chosen.paths:
                recipe = load(ROOT / "scenes" / "recipes" / f"{name}.toml")
                recipe = recipe.with_values("render", "bench", scale_percent=scale, samples=paths)
                stopwatch = _time_of_steps(scene, draw_sample(recipe, index), folder)
                (wall, processor), beauty = stopwatch.total, stopwatch.spent["beauty"]
                parts = [stopwatch.spent[step][1] / processor for step, _ in _STEPS]
                columns = [1 - beauty[0] / wall, 1 - parts[0], *parts[1:], 1 - sum(parts)]
                print(f"| {name} | {scale:g} % | {paths} | {wall:.1f} | {processor:.1f} | "
                      f"{3600 * threads / processor:.0f} | "
                      + " | ".join(f"{100 * share:.1f}" for share in columns) + " |", flush=True)
    print(f"   peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


class _Stopwatch:
    """Wall and processor seconds by step; a step within another counts for itself alone."""

    def __init__(self) -> None:
        self.spent = {step: np.zeros(2) for step, _ in _STEPS}
        self.total = np.zeros(2)
        self._within = [np.zeros(2)]

    def timed(self, step: str, function):
        def call(*arguments, **options):
            began = _now()
            self._within.append(np.zeros(2))
            result = function(*arguments, **options)
            spent = _now() - began
            self.spent[step] += spent - self._within.pop()
            self._within[-1] += spent
            return result

        return call


def _now() -> np.ndarray:
    """Wall and processor seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def _time_of_steps(scene: bpy.types.Scene, sample: Sample, folder: Path) -> _Stopwatch:
    """One sample, after another that has filled Blender's caches; nothing of its own is kept from before."""
    session.configure(scene)
    material.build_surface_group = _TEXTURE
    one_sample.render_sample(scene, replace(sample, render=replace(sample.render, scale_percent=2.0)), "CPU", folder)
    for function in (brushing.bake_grain, reach.reach_map, ridges.ridges, ridges.slipped_ridges):
        function.cache_clear()
    texture._kept.clear()
    stopwatch = _Stopwatch()
    kept = []
    for step, functions in _STEPS:
        for module, name in functions:
            kept.append((module, name, getattr(module, name)))
            setattr(module, name, stopwatch.timed(step, getattr(module, name)))
    try:
        began = _now()
        one_sample.render_sample(scene, sample, "CPU", folder)
        stopwatch.total = _now() - began
    finally:
        for module, name, function in kept:
            setattr(module, name, function)
    return stopwatch


_STEPS = (
    ("beauty", [(passes, "render_beauty")]),
    ("building", [(one_sample, "build_inspection")]),
    ("stain labels", [(passes, "render_labels")]),
    ("reading", [(passes, "read_layers")]),
    ("denoising", [(passes, "regress")]),
    ("masks", [(one_sample, "number_features"), (one_sample, "compose_labels"), (one_sample, "inspected_region")]),
    ("sensor", [(one_sample, "expose")]),
    ("files", [(one_sample, "side_by_side")]),
)
"""Step -> the functions that it consists of."""


def exposures(scene: bpy.types.Scene, folder: Path) -> None:
    """Print the least, mean and greatest share of pixels at the top of the scale."""
    for name in ("synth", "synth_rot90", "synth_x2", "acquisition", "inspection_twin"):
        recipe = load(ROOT / "scenes" / "recipes" / f"{name}.toml").with_values("render", "x", scale_percent=4.0)
        step = draw_sample(recipe, 0).acquisition.shots  # of a grid, one picture a plate, from over its middle
        shares = []
        for plate in range(8):
            sample = draw_sample(recipe, plate * step + 4 * (step > 1))
            with session.silence():
                session.configure(scene)
                linear = passes.render_picture(scene, inspection.build_inspection(scene, sample), sample, folder)
            grey = expose(linear, sample.sensor, sample.camera, 4.0, sample.seed, 8)
            shares.append((grey == 255).mean())
        print(f"4. {name}: {min(shares):.1%} to {max(shares):.1%}, mean {np.mean(shares):.1%} of the pixels overexpose")


def _render(scene, chosen, folder, prepare, paths: int, seed: int, denoise: bool) -> tuple[np.ndarray, float]:
    """The crop (h, w) in full wells, and the processor seconds of the render, its denoising included."""
    recipe = load(ROOT / "scenes" / "recipes" / f"{chosen.recipe}.toml")
    recipe = recipe.with_values("render", "x", scale_percent=chosen.scale, samples=paths, denoise=denoise)
    sample = draw_sample(recipe, 0)
    render = scene.render
    with session.silence():
        session.configure(scene)
        built = inspection.build_inspection(scene, sample)
        prepare(scene, built, sample)
        render.use_border = render.use_crop_to_border = chosen.crop < 1
        render.border_max_x = render.border_max_y = high = max(0.55, chosen.crop)
        render.border_min_x = render.border_min_y = high - chosen.crop
        began = time.process_time()
        picture = passes.render_picture(scene, built, _with_seed(sample, seed), folder)
        seconds = time.process_time() - began
        render.use_border = render.use_crop_to_border = False
        for lamp in list(bpy.data.lights):
            bpy.data.lights.remove(lamp)
    return picture, seconds


def _with_seed(sample: Sample, seed: int) -> Sample:
    return replace(sample, seed=seed)


def _ours(scene, built, sample: Sample) -> None:
    pass


def _trained(scene, built, sample: Sample) -> None:
    """Cycles' own denoiser, a trained network, with albedo and normals."""
    scene.cycles.use_denoising, scene.cycles.denoiser = True, "OPENIMAGEDENOISE"
    scene.cycles.denoising_input_passes, scene.cycles.denoising_prefilter = "RGB_ALBEDO_NORMAL", "NONE"


def _defaults(scene, built, sample: Sample) -> None:
    """Cycles as it comes, and a rectangle area light of each segment's size and power."""
    for name in _DEFAULTS:
        scene.cycles.property_unset(name)
    built.world.cycles.property_unset("sampling_method")
    light = sample.light
    collection = built.light.users_collection[0]
    outer, inner = light.corners_mm()
    for k in range(6):
        sides = [(ring[k] + ring[(k + 1) % 6]) / 2 for ring in (outer, inner)]
        length = (np.linalg.norm(outer[k]) + np.linalg.norm(inner[k])) / 2
        width = np.linalg.norm(sides[0] - sides[1])
        data = bpy.data.lights.new("area", "AREA")
        data.shape, data.size, data.size_y = "RECTANGLE", length * 1e-3, width * 1e-3
        data.energy = light.radiance_w_m2_sr * math.pi * length * width * 1e-6
        lamp = bpy.data.objects.new("area", data)
        middle = (sides[0] + sides[1]) / 2e3
        lamp.location = (*middle, light.height_mm * 1e-3)
        lamp.rotation_euler = (0.0, 0.0, math.atan2(middle[1], middle[0]) + math.pi / 2)
        collection.objects.link(lamp)
    collection.objects.unlink(built.light)


_TEXTURE = material.build_surface_group
_KINDS = (
    ("this renderer", _ours, _TEXTURE, True),
    ("this renderer, raw", _ours, _TEXTURE, False),
    ("this renderer, Open Image Denoise", _trained, _TEXTURE, False),
    ("the defaults, area lights, texture", _defaults, _TEXTURE, False),
    ("the defaults, area lights, nodes", _defaults, procedural_surface.build_surface_group, False),
)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the wheel may hang while it tears itself down
