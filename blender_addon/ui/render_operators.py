# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that render: beside the window, which stays alive; Esc or the panel's Stop ends them."""

import contextlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import bpy

from ..core.errors import UserError
from ..core.recipe.recipe_file import write_recipe
from . import inspection_scene, panel_recipe, properties
from .background import BackgroundRender
from .button import Button
from .operators import why_not_stain
from .render_sources import dataset_recipe, own_scene_problem, save_copy, why_not_dataset
from .render_status import Work, last_words, running, say, show_status, stop

_INTERVAL_S = 0.25
_KINDS = ("image", "mask", "instances")


def why_not_folder(context) -> str:
    """Why the panel's folder cannot be written to, or nothing."""
    folder = properties.settings_of(context.scene).folder
    if not folder:
        return "Choose a folder"
    if folder.startswith("//") and not bpy.data.filepath:
        return "Save the file first, or choose a folder that does not begin with //"
    return ""


class _RenderButton(Button):
    """Starts a background render: in a window it comes back at once, without one it waits."""

    bl_options = {"REGISTER"}  # noqa: RUF012 - Blender's way; what is on disk cannot be undone

    def invoke(self, context, event):
        try:
            self.work = self.begin(context, properties.settings_of(context.scene))
        except UserError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.work.timer = context.window_manager.event_timer_add(_INTERVAL_S, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        if not self.work.is_running:  # stopped by the panel's button
            return self._finish(context)
        if event.type == "ESC" and event.value == "PRESS":
            self.work.render.stop()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        if self.work.render.poll():
            show_status(context, f"{self.work.render.what}: {self.work.render.text}. Esc stops")
            return {"PASS_THROUGH"}
        return self._finish(context)

    def cancel(self, context):
        self.work.end()

    def run(self, context, settings) -> None:
        work = self.begin(context, settings)
        try:
            work.render.wait()
            self.conclude(work)
        finally:
            work.end()

    def begin(self, context, settings) -> Work:
        scratch = tempfile.mkdtemp(prefix="surface_impurities_")
        try:
            return Work(BackgroundRender(self.arguments(context, settings, Path(scratch)), self.bl_label), scratch)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise

    def conclude(self, work: Work) -> None:
        """Say how it went. Raises UserError where it went wrong."""
        say(f"{self.bl_label} failed: {work.render.complaint}")
        if work.render.exit_code and not work.render.stopped:
            raise UserError(work.render.complaint)
        say(self.stopped_text(work.render) if work.render.stopped else self.done(work))
        self.report({"WARNING" if work.render.stopped else "INFO"}, last_words())

    def _finish(self, context):
        try:
            self.conclude(self.work)
            return {"FINISHED"}
        except UserError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        finally:
            self.work.end()
            show_status(context, None)


class RenderPair(_RenderButton, bpy.types.Operator):
    bl_idname = "surface_impurities.render_pair"
    bl_label = "Render Pair"
    bl_description = (
        "Render image, class mask and instances into the folder: of the inspection scene as the headless renderer "
        "does, of your own scene as it is, by its own render settings. You can go on working; Esc stops it"
    )

    @classmethod
    def why_not(cls, context) -> str:
        if running():
            return "A render is at work; wait for it or press Esc"
        scene = context.scene
        if inspection_scene.plate_of(scene) is None:
            return why_not_folder(context) or own_scene_problem(scene)
        stain = inspection_scene.plate_stain(scene)
        problem = why_not_stain(context, stain) if stain is not None else ""
        return (why_not_folder(context) or panel_recipe.scene_problem(properties.settings_of(scene))
                or inspection_scene.moved(scene) or problem)

    def arguments(self, context, settings, scratch: Path) -> list[str]:
        scene = context.scene
        self.folder = Path(bpy.path.abspath(settings.folder))
        _make(self.folder)
        request = {"out": str(scratch), "device": inspection_scene.device_of(scene)}
        if inspection_scene.plate_of(scene) is None:
            save_copy(scratch / "scene.blend")
            request |= {"blend": str(scratch / "scene.blend"), "scene": scene.name, "bits": int(settings.depth),
                        "features": panel_recipe.features_on_parts(settings.dataset), "seed": settings.dataset.seed}
        else:
            stain = inspection_scene.plate_stain(scene)
            write_recipe(panel_recipe.scene_recipe(settings, stain), scratch / "recipe.toml")
            values = None if stain is None else asdict(properties.stain_parameters(stain))
            request |= {"recipe": str(scratch / "recipe.toml"), "stain": values}
        (scratch / "request.json").write_text(json.dumps(request), encoding="utf-8")
        return ["--pair", str(scratch / "request.json")]

    def done(self, work: Work) -> str:
        number = 1
        while any(self.folder.glob(f"pair_{number:04d}_*.png")):
            number += 1
        for kind in _KINDS:
            _move(Path(work.scratch) / f"{kind}.png", self.folder / f"pair_{number:04d}_{kind}.png")
        region = Path(work.scratch) / "region.png"
        if region.exists():
            _move(region, self.folder / f"pair_{number:04d}_region.png")
        return f"Wrote pair_{number:04d}: image, mask and instances"

    def stopped_text(self, render: BackgroundRender) -> str:
        return "Stopped; nothing was written"


class RenderDataset(_RenderButton, bpy.types.Operator):
    bl_idname = "surface_impurities.render_dataset"
    bl_label = "Render Data Set"
    bl_description = (
        "Render images with class masks, instances and records into a folder of that name, beside its recipe. "
        "You can go on working; Esc stops it, and the same button goes on from there"
    )

    @classmethod
    def why_not(cls, context) -> str:
        if running():
            return "A render is at work; wait for it or press Esc"
        return why_not_folder(context) or why_not_dataset(context)

    def arguments(self, context, settings, scratch: Path) -> list[str]:
        folder, name = Path(bpy.path.abspath(settings.folder)), settings.dataset.title
        # The recipe that is beside a data set stays what it was made by, unless that is to go.
        beside = scratch if (folder / name).exists() and not settings.dataset.overwrite else folder
        own = inspection_scene.plate_of(context.scene) is None
        recipe = dataset_recipe(context, f"{name}.blend")
        path, out = beside / f"{recipe.name}.toml", folder / recipe.name
        write_recipe(recipe, path, _HEADING.format(name=recipe.name))
        if own:
            save_copy(beside / f"{recipe.name}.blend")
        device = inspection_scene.device_of(context.scene)
        overwrite = ["--overwrite"] if settings.dataset.overwrite else []
        return ["--recipe", str(path), "--out", str(out), "--device", device, "--json-progress", *overwrite]

    def done(self, work: Work) -> str:
        render = work.render
        new = "all were there" if not render.new else f"{render.new} rendered now"
        return f"{render.total} samples in {Path(render.folder).name}, {new}"

    def stopped_text(self, render: BackgroundRender) -> str:
        return f"Stopped; {render.done} of {render.total} samples are finished, the same button goes on from there"


class StopRender(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.stop_render"
    bl_label = "Stop"
    bl_description = "End the render; finished samples stay (Esc does the same)"
    bl_options = {"REGISTER"}  # noqa: RUF012 - Blender's way

    @classmethod
    def why_not(cls, context) -> str:
        return "" if running() else "No render is at work"

    def run(self, context, settings) -> None:
        stop()


class Dismiss(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.dismiss"
    bl_label = "Dismiss"
    bl_description = "Take note of how the render ended"
    bl_options = {"INTERNAL"}  # noqa: RUF012 - Blender's way

    def run(self, context, settings) -> None:
        say("")


class ExportRecipe(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.export_recipe"
    bl_label = "Export Recipe"
    bl_description = "Write the data set's recipe (TOML), to be rendered without a window, here or elsewhere"
    bl_options = {"REGISTER"}  # noqa: RUF012 - Blender's way

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    filter_glob: bpy.props.StringProperty(default="*.toml", options={"HIDDEN"})

    @classmethod
    def why_not(cls, context) -> str:
        if inspection_scene.plate_of(context.scene) is None and not bpy.data.filepath:
            return "Save the file first: the recipe names it"
        return why_not_dataset(context)

    def invoke(self, context, event):
        settings = properties.settings_of(context.scene)
        self.filepath = str(Path(bpy.path.abspath(settings.folder) or "") / f"{settings.dataset.title}.toml")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def run(self, context, settings) -> None:
        path = Path(bpy.path.abspath(self.filepath)).with_suffix(".toml")
        recipe = dataset_recipe(context, bpy.data.filepath)
        write_recipe(recipe, path, _HEADING.format(name=recipe.name))
        self.report({"INFO"}, f"Wrote {path}; its first lines say how to render it")


class OpenFolder(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.open_folder"
    bl_label = "Open Folder"
    bl_description = "Show the folder in the system's file browser"
    bl_options = {"REGISTER"}  # noqa: RUF012 - Blender's way

    @classmethod
    def why_not(cls, context) -> str:
        folder = properties.settings_of(context.scene).folder
        missing = why_not_folder(context)
        return missing or ("" if Path(bpy.path.abspath(folder)).is_dir() else "The folder is made by the first render")

    def run(self, context, settings) -> None:
        bpy.ops.wm.path_open(filepath=bpy.path.abspath(settings.folder))


_HEADING = """\
A data set of the add-on's panel. Without a window:
    blender -b -P surface_impurities/render.py -- --recipe {name}.toml --out {name}"""


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}; choose another folder") from error


def _move(source: Path, target: Path) -> None:
    """Copy beside the target, then rename: the two may lie on different disks."""
    beside = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, beside)
        os.replace(beside, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise UserError(f"cannot write {target}: {error.strerror or error}; choose another folder") from error


CLASSES = (RenderPair, RenderDataset, StopRender, Dismiss, ExportRecipe, OpenFolder)
