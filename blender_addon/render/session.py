# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for all samples of a run: the empty scene, the device, the settings of Cycles, the silence of Blender."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import bpy

from ..core.errors import UserError
from ..core.parallel import use_threads
from ..scene import compat
from ..scene.guides import ensure_layers
from ..scene.stain_osl import osl_available

DEVICES = ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI")
"""In the order of preference; the processor comes last."""

_TROUBLE = r"\berror\b|out of SVM stack space"
"""What Blender prints when a picture will be wrong; the second is a shader too large, which renders black."""
FATAL = r"out of SVM stack space|out of memory|failed to load|illegal address|illegal memory"
"""The same for a person's own scene, whose drivers and missing files may say many things that harm no picture."""


def start(device: str, needs_osl: bool, threads: int = 0) -> tuple[bpy.types.Scene, str]:
    """An empty scene, ready for Cycles, and the device that renders: one of `DEVICES` or CPU.

    `threads` on the processor, 0 for all of them; it changes no pixel.

    Raises:
        UserError: the device asked for by name is not there, or cannot run OSL.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    chosen = choose_device(scene, device, needs_osl)
    if needs_osl:
        available, why = osl_available(chosen)
        if not available:
            raise UserError(f"--stain-backend osl: {why}")
    configure(scene)
    use_threads(threads)
    if threads:
        scene.render.threads_mode, scene.render.threads = "FIXED", threads
    return scene, chosen


def configure(scene: bpy.types.Scene, layers: bool = True) -> None:
    """The settings of Cycles that never change from sample to sample; `layers` for files that the passes read."""
    cycles, render = scene.cycles, scene.render
    # The flat plate sees the light and the dim surroundings, never itself: one reflection is all there is.
    cycles.max_bounces = 0
    cycles.sample_clamp_direct = cycles.sample_clamp_indirect = 0.0
    cycles.light_sampling_threshold = 0.0
    cycles.blur_glossy = 0.0
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = False
    cycles.use_auto_tile = False
    compat.switch_off_light_tree(scene)
    compat.use_tabulated_sobol(scene)
    render.use_persistent_data = True
    render.use_compositing = render.use_sequencer = False
    render.dither_intensity = 0.0
    render.resolution_percentage = 100
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    render.film_transparent = False
    render.use_motion_blur = False
    compat.set_up_float_exr(render.image_settings, layers)
    ensure_layers(scene)


def choose_device(scene: bpy.types.Scene, wanted: str, needs_osl: bool) -> str:
    """Set the device, "auto" being the best one that is there and can do what the recipe needs."""
    present = _gpus()
    usable = [kind for kind in DEVICES if kind in present and not (needs_osl and kind != "OPTIX")]
    if wanted not in ("auto", "CPU") and wanted not in usable:
        why = "cannot run OSL; use --stain-backend nodes" if wanted in present else "is not on this machine"
        there = ", ".join([*usable, "CPU"])
        raise UserError(f"--device {wanted}: the device {why}; what can be used here: {there}")
    chosen = wanted if wanted != "auto" else (usable[0] if usable else "CPU")
    preferences = _cycles_preferences()
    if chosen == "CPU":
        scene.cycles.device = "CPU"
        return chosen
    preferences.compute_device_type = chosen
    for device in preferences.devices:
        device.use = device.type == chosen
    scene.cycles.device = "GPU"
    return chosen


@contextlib.contextmanager
def silence(trouble: str = _TROUBLE) -> Iterator[None]:
    """Keep what Blender prints away from the terminal, on the level of file descriptors, and raise its errors.

    Cycles prints some errors (out of memory, a kernel that fails to load) and goes on with a black picture.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as log:
        saved = [os.dup(1), os.dup(2)]
        try:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in enumerate(saved, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
        log.seek(0)
        printed = log.read().decode(errors="replace").splitlines()
    # A warning may quote an error that harms nothing: that there is no driver for a graphics processor, for instance.
    errors = [line.strip() for line in printed if re.search(trouble, line, re.IGNORECASE) and "WARN" not in line]
    if errors:
        raise RuntimeError(f"Blender reported: {'; '.join(errors[:3])}")


def remove_temporary_files() -> None:
    """Remove Blender's own temporary folder, which a process that leaves by `os._exit` would leave behind."""
    folder = Path(bpy.app.tempdir)
    if folder.name.startswith("blender_"):
        for file in folder.glob("*"):
            with contextlib.suppress(OSError):
                file.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()


def _cycles_preferences():
    if "cycles" not in bpy.context.preferences.addons:
        bpy.ops.preferences.addon_enable(module="cycles")
    return bpy.context.preferences.addons["cycles"].preferences


def _gpus() -> set[str]:
    """Kinds of GPU that Cycles can use here."""
    preferences = _cycles_preferences()
    kept = preferences.compute_device_type
    found = set()
    for kind, *_ in preferences.get_device_types(bpy.context):
        if kind not in DEVICES:
            continue
        preferences.compute_device_type = kind
        compat.refresh_devices(preferences)
        if any(device.type == kind for device in preferences.devices):
            found.add(kind)
    preferences.compute_device_type = kept
    return found
