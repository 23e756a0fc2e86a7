# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's own scene, opened, checked and rendered: sample by sample to the bytes of its files."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..core.errors import UserError
from ..core.features.classes import PALETTE
from ..core.files import png, tiff
from ..core.labels.human_labels import labelme_file
from ..core.labels.own_scene import PartLabel, SceneLabels, compose_scene_labels
from ..core.parallel import side_by_side, use_threads
from ..core.recipe.own_scene import VARIED, OwnSample
from ..core.recipe.settings import Recipe
from ..core.stain.parameters import GRID_ONLY, StainParameters
from ..materials import layers as stain_layers
from ..materials.coordinates import OBJECT_SEED
from ..materials.stain_on_material import is_stained
from ..scene.arrangement import arrange, camera_parameters, check_movable, object_parameters
from ..scene.digest import digest
from ..scene.inspected import Part, inspected_parts
from ..scene.label_outputs import MATERIALS
from ..scene.ledger import Ledger
from . import own_features, own_passes, session

_OUT_OF_THE_WAY_MM = (1e5, 1e5, 1e5)
"""Where the centre of a single stain goes when a part is to be clean: a hundred metres off."""


@dataclass(frozen=True)
class OwnScene:
    """A scene that is open, with what is inspected in it."""

    scene: bpy.types.Scene
    parts: tuple[Part, ...]
    layers: tuple[stain_layers.StainLayer, ...]
    """Of all materials that the inspected objects have."""
    numbers: dict[str, int]
    """Material -> number, for materials that are left out on some object."""
    content: str
    """Hash of all that the file holds."""

    @cached_property
    def surfaces(self) -> own_features.PartSurfaces:
        """What features can be laid on.

        Raises:
            UserError: see `own_features.part_surfaces`.
        """
        return own_features.part_surfaces(self.scene, self.parts)

    @property
    def size_px(self) -> tuple[int, int]:
        """Columns and rows of a picture."""
        render = self.scene.render
        share = render.resolution_percentage / 100.0
        width, height = int(render.resolution_x * share), int(render.resolution_y * share)
        if render.use_border and render.use_crop_to_border:
            width = int(width * (render.border_max_x - render.border_min_x))
            height = int(height * (render.border_max_y - render.border_min_y))
        return width, height


def open_scene(recipe: Recipe) -> OwnScene:
    """Open the recipe's .blend, or take the file that is open.

    Raises:
        UserError: no such file or scene, another render engine, nothing inspected, or what cannot be labelled.
    """
    choice = recipe.section("scene")
    with session.silence(session.FATAL):
        _open_file(choice.get("file", ""))
    name = choice.get("name", "")
    scene = bpy.data.scenes.get(name) if name else bpy.context.scene
    if scene is None:
        there = ", ".join(scene.name for scene in bpy.data.scenes)
        raise UserError(f"there is no scene '{name}' in the file; there are {there}")
    if bpy.context.window is not None and bpy.context.scene != scene:
        bpy.context.window.scene = scene
    with session.silence(session.FATAL):  # a scene may have drivers that do not work, and Blender says so each time
        return find(scene, choice.get("objects", ()))


def find(scene: bpy.types.Scene, names: Sequence[str] = ()) -> OwnScene:
    """What is inspected in a scene.

    Raises:
        UserError: see `open_scene`.
    """
    if scene.render.engine != "CYCLES":
        raise UserError(f"scene '{scene.name}' renders with {scene.render.engine.replace('_', ' ').title()}; masks are "
                        "exact where the same rays make them: choose Cycles as the scene's render engine")
    parts = inspected_parts(scene, names, is_stained)
    materials = {slot.material.name: slot.material for part in parts for slot in part.object.material_slots
                 if slot.material is not None and slot.material.name not in part.left_out}
    layers = [layer for name in sorted(materials) for layer in stain_layers.layers_of(materials[name])]
    left_out = sorted({name for part in parts for name in part.left_out})
    if len(left_out) >= MATERIALS:
        raise UserError(f"{len(left_out)} materials are left out of the inspection; expected less than {MATERIALS}")
    numbers = {name: number for number, name in enumerate(left_out, start=1)}
    return OwnScene(scene, tuple(parts), tuple(layers), numbers, digest())


def prepare(own: OwnScene, recipe: Recipe, samples: Sequence[OwnSample]) -> None:
    """Check what the samples ask of the scene, before any is rendered.

    Raises:
        UserError: a stain with impossible values, an unknown camera, something that cannot be moved.
    """
    if "stain" in recipe.sections and not own.layers:
        raise UserError("the recipe varies the stain, and no inspected object has one; add one with the panel")
    turned = "rotation_deg" in recipe.section("lamps")
    check_movable(own.parts, own.scene, "pose" in recipe.sections, turned)
    for sample in samples:
        for layer in own.layers:
            stain_of(layer, sample)
    with session.silence(session.FATAL):
        if any(sample.features for sample in samples):
            _ = own.surfaces  # what cannot carry them is said now
        for sample in samples[:1]:
            with Ledger() as changes:
                arrange(changes, own.scene, own.parts, sample)
    for name in recipe.section("scene").get("cameras", ()):
        if name not in own.scene.objects or own.scene.objects[name].type != "CAMERA":
            there = ", ".join(item.name for item in own.scene.objects if item.type == "CAMERA") or "none"
            raise UserError(f"scene '{own.scene.name}': there is no camera '{name}'; there are: {there}")


def stain_of(layer: stain_layers.StainLayer, sample: OwnSample) -> StainParameters:
    """The stain's values in this sample.

    Raises:
        UserError: they contradict each other.
    """
    own = layer.parameters
    drawn = {key: sample.varied(layer.material.name, layer.number, key, getattr(own, key)) for key in VARIED}
    drawn |= {key: value for key, value in sample.stain.items() if own.centre_mm is None or key not in GRID_ONLY}
    seed = sample.stain_seed(layer.material.name, layer.number, own.seed)
    try:
        values = replace(own, **drawn, seed=seed)
        if sample.stained:
            return values
        return replace(values, density=0.0) if own.centre_mm is None else replace(values, centre_mm=_OUT_OF_THE_WAY_MM)
    except UserError as error:
        raise UserError(f"material '{layer.material.name}', part {sample.part}: {error}") from error


def set_up(own: OwnScene, recipe: Recipe, device: str, threads: int) -> str:
    """The scene's render settings, with what the recipe and the command change of them; what it renders on.

    Raises:
        UserError: the device asked for is not there.
    """
    scene, given = own.scene, recipe.section("render")
    needs_osl = any(layer.backend == "osl" for layer in own.layers) or getattr(scene.cycles, "shading_system", False)
    if device != "auto":
        session.choose_device(scene, device, needs_osl)
    if "samples" in given:
        scene.cycles.samples = given["samples"]
    if "scale_percent" in given:
        percent = scene.render.resolution_percentage * given["scale_percent"] / 100.0
        scene.render.resolution_percentage = max(round(percent), 1)
    use_threads(threads)
    if threads:
        scene.render.threads_mode, scene.render.threads = "FIXED", threads
    return device if device != "auto" else "CPU" if scene.cycles.device == "CPU" else "GPU"


def render_own_sample(
    own: OwnScene, sample: OwnSample, recipe: Recipe, device: str, folder: Path
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Record (without checksums) and files of `sample`; the scene is as before afterwards, whatever happens.

    Args:
        device: for the record.
        folder: for temporary files.
    """
    given = recipe.section("render")
    bits = given.get("bits", 8)
    with session.silence(session.FATAL), Ledger() as changes:
        laid = own_features.lay_on_parts(own.surfaces, sample) if sample.features else None
        arrange(changes, own.scene, own.parts, sample)
        parameters = _parameters(own, sample, device)
        if laid is not None:
            parameters |= laid.parameters()
        for layer in own.layers:
            stain_layers.change(changes, layer, stain_of(layer, sample))
        image = _picture(own, sample, folder, bits, laid)
        labels = scene_labels(own, folder, laid)
        distance = None
        if given.get("stain_distance", False):
            distance = _stain_distance(own, folder, labels)
    if labels.mask.shape != image.shape[:2]:
        raise UserError(f"the picture has {image.shape[1]} x {image.shape[0]} pixels and its mask "
                        f"{labels.mask.shape[1]} x {labels.mask.shape[0]}: the scene's compositor changes the size")
    record = {"id": sample.id, "split": sample.split, "seed": sample.seed, "group": sample.group,
              "instances": labels.instance_list, "parameters": parameters}
    files = {"image": lambda: png.encode(image), "mask": lambda: png.encode(labels.mask, PALETTE),
             "instances": lambda: png.encode(labels.instances)}
    if distance is not None:
        files["stain_distance"] = lambda: tiff.encode(distance)
    if given.get("human_labels", False):
        files["labelme"] = lambda: labelme_file(labels.instances, labels.instance_list, f"../images/{sample.id}.png",
                                                sample.seed)
    if not labels.region.all():
        files["region"] = lambda: png.encode(labels.region.astype(np.uint8) * np.uint8(255))
    encoded = side_by_side(lambda encode: encode(), files.values())
    return record, dict(zip(files, encoded, strict=True))


def scene_labels(own: OwnScene, folder: Path, laid: own_features.LaidFeatures | None = None) -> SceneLabels:
    """What the scene shows where, as it is arranged now, with the features that are laid on it."""
    parts = {part.number: PartLabel(part.object.name, frozenset(own.numbers[name] for name in part.left_out))
             for part in own.parts}
    with Ledger() as changes:
        nodes = _root_nodes(own, changes)
        if laid is None or not laid.features:
            labels = own_passes.render_labels(own.scene, own.parts, nodes, own.numbers, folder)
            return compose_scene_labels(labels, parts, MATERIALS)
        labels, hits = own_passes.render_labels_and_hits(own.scene, own.parts, nodes, own.numbers, folder)
    numbers = laid.numbers(hits, np.rint(labels[..., 2]).astype(np.int64) // MATERIALS)
    return compose_scene_labels(labels, parts, MATERIALS, laid.labels, numbers, hits.copies)


def _picture(
    own: OwnScene, sample: OwnSample, folder: Path, bits: int, laid: own_features.LaidFeatures | None
) -> np.ndarray:
    with Ledger() as changes:
        if laid is not None:
            laid.show(changes)
        if sample.master is not None:  # a pair keeps the noise that the scene shows
            changes.set(own.scene.cycles, "use_animated_seed", False)
            changes.set(own.scene.cycles, "seed", sample.seed)
        return own_passes.render_picture(own.scene, folder, bits)


def _stain_distance(own: OwnScene, folder: Path, labels: SceneLabels) -> np.ndarray:
    """d / r' of the stain that owns the pixel: (H, W) float32, 0 outside."""
    layer_of = np.array([0, *(entry.get("layer", 0) for entry in labels.instance_list)])[labels.instances]
    distance = np.zeros(labels.mask.shape, np.float32)
    for layer in range(1, max([1, *(layer.number for layer in own.layers)]) + 1):
        with Ledger() as changes:
            nodes = _root_nodes(own, changes)

            def emit(tree, label, nodes=nodes, layer=layer):
                stains = nodes.get(next((name for name in nodes if bpy.data.materials[name].node_tree == tree), ""), ())
                return stains[layer - 1].outputs["Normalised Distance"] if len(stains) >= layer else label

            shown = own_passes.render_labels(own.scene, own.parts, nodes, own.numbers, folder, emit)
        distance = np.where(layer_of == layer, shown[..., 0], distance)
    return distance


def _root_nodes(own: OwnScene, changes: Ledger) -> dict[str, list]:
    by_material: dict[str, list] = {}
    for layer in own.layers:
        by_material.setdefault(layer.material.name, []).append(layer)
    return {name: stain_layers.root_nodes(changes, layers) for name, layers in by_material.items()}


def _parameters(own: OwnScene, sample: OwnSample, device: str) -> dict[str, Any]:
    scene = own.scene
    stains = [
        {"material": layer.material.name, "layer": layer.number, "metres_per_unit": list(layer.metres_per_unit),
         "seed_by_object": layer.by_object, **asdict(stain_of(layer, sample))}
        for layer in own.layers if sample.stained
    ]
    objects = object_parameters(own.parts)
    for part, entry in zip(own.parts, objects, strict=True):
        entry["seed"] = int(part.object.get(OBJECT_SEED, 0))
    return {
        **sample.parameters(),
        "scene": {"file": Path(bpy.data.filepath).name, "name": scene.name, "frame": scene.frame_current,
                  "content": own.content},
        "camera": camera_parameters(scene),
        "objects": objects,
        "stain": stains[0] if len(stains) == 1 else None,
        "stains": stains,
        "render": {"samples": scene.cycles.samples, "seed": sample.seed, "denoise": scene.cycles.use_denoising,
                   "device": device, "blender": bpy.app.version_string},
    }


def _open_file(file: str) -> None:
    if not file:
        startup = {item.name for item in bpy.data.objects} <= {"Cube", "Light", "Camera"}
        if not bpy.data.filepath and (startup or not bpy.app.binary_path):
            raise UserError("--scene: no file is open; run `blender -b FILE.blend -P render.py -- --scene …`, or name "
                            "it: --scene FILE.blend")
        return
    if not Path(file).is_file():
        raise UserError(f"{file}: no such file; expected a .blend")
    if bpy.data.filepath and Path(bpy.data.filepath).resolve() == Path(file).resolve():
        return
    try:
        bpy.ops.wm.open_mainfile(filepath=str(Path(file).resolve()), load_ui=False)
    except RuntimeError as error:
        raise UserError(f"{file}: Blender cannot open it: {str(error).strip().splitlines()[-1]}") from error

