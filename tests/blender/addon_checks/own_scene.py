# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's own scene in the panel: pairs and data sets of it; settings that belong to materials."""

import json
from types import SimpleNamespace

import bpy
import numpy as np

from .tools import (
    FOLDER,
    add_bare_object,
    classes,
    defaults,
    grey,
    module,
    picture_of,
    press,
    refusal,
    settings,
    stain,
    stain_of,
)


def _own_scene():
    """A scene of its own with a camera, two stained triangles and a small one, a light; Cycles, two paths."""
    scene = bpy.data.scenes.new("Own")
    bpy.context.window.scene = scene
    defaults()
    scene.render.engine, scene.cycles.samples = "CYCLES", 2
    scene.cycles.use_denoising = False  # not every Blender has a denoiser
    scene.render.resolution_x, scene.render.resolution_y = 64, 48
    camera = bpy.data.objects.new("Eye", bpy.data.cameras.new("Eye"))
    camera.location = (0.4, 0.25, 1.6)
    scene.collection.objects.link(camera)
    scene.camera = camera
    lamp = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    scene.collection.objects.link(lamp)
    items = [add_bare_object(name) for name in ("Left", "Right", "Small")]
    items[1].location, items[2].location = (0.6, 0.0, 0.0), (0.0, 0.5, 0.0)
    bpy.context.view_layer.update()
    return items


def _activate(item) -> None:
    bpy.context.view_layer.objects.active = item


def check_the_settings_belong_to_the_material():
    left, right, _ = _own_scene()
    for item, radius in ((left, 3.0), (right, 5.0)):
        _activate(item)
        press("add_stain")
        stain().radius_mm = radius
    for item, radius in ((left, 3.0), (right, 5.0)):
        _activate(item)
        assert np.isclose(stain().radius_mm, radius) and settings().radius_mm == 4.0
        assert stain_of(item.active_material.node_tree).inputs["Radius"].default_value == np.float32(radius / 1000)
    copy = left.active_material.copy()
    right.data.materials.append(copy)
    right.active_material_index = 1
    assert np.isclose(stain().radius_mm, 3.0), "a full copy keeps its settings, and the active slot is shown"
    stain().radius_mm = 2.5
    assert np.isclose(left.active_material.surface_impurities.radius_mm, 3.0)
    right.active_material_index = 0


def check_a_stain_of_an_older_version_is_taken_over():
    left = bpy.data.objects["Left"]
    _activate(left)
    module("ui.properties").forget_stain(left.active_material)
    assert module("ui.properties").own_stain(left.active_material) is None
    press("add_stain")
    assert np.isclose(stain().radius_mm, 3.0) and stain() == left.active_material.surface_impurities


def check_a_new_stain_is_fitted_in_millimetres_on_the_part():
    small = bpy.data.objects["Small"]
    _activate(small)
    small.scale = (0.1, 0.1, 0.1)
    bpy.context.view_layer.update()
    press("add_stain", fit=True)
    assert stain().cell_size_mm == 10.0, "five along 50 mm"
    press("use_preset", preset="Dried Rim")
    preset = module("ui.presets").find("Dried Rim")
    assert np.isclose(stain().radius_mm, preset.values["radius_mm"] / 2, rtol=1e-2), "a preset keeps the fitted scale"
    assert module("ui.presets").current(stain()).name == "Dried Rim"
    factor = stain_of(small.active_material.node_tree).inputs["Vector"].links[0].from_node
    assert np.allclose(factor.inputs[1].default_value, 0.1)
    assert not module("ui.operators").scale_problem(bpy.context)
    small.scale = (0.2, 0.2, 0.2)
    bpy.context.view_layer.update()
    assert "Update" in module("ui.operators").scale_problem(bpy.context)
    press("add_stain")
    assert not module("ui.operators").scale_problem(bpy.context)
    press("remove_stain")
    assert not small.material_slots


def check_stains_lie_on_each_other_in_layers():
    left = bpy.data.objects["Left"]
    _activate(left)
    material, before = left.active_material, picture_of(left.active_material.node_tree)
    own, lower = module("ui.properties").own_stain, stain().seed
    assert press("add_layer") == {"FINISHED"}
    assert stain() == own(material, 2) and stain().seed != lower == own(material, 1).seed
    stain().radius_mm = 2.0
    radii = {node.get("surface_impurities_layer", 1): node.inputs["Radius"].default_value
             for node in module("materials.stain_on_material").stain_nodes(material)}
    assert np.isclose(radii[1], 3e-3) and np.isclose(radii[2], 2e-3), "each layer has settings of its own"
    layers = module("materials.layers").layers_of(material)
    assert [layer.number for layer in layers] == [1, 2] and layers[1].parameters.radius_mm == 2.0
    press("show_layer", number=1)
    press("raise_layer")
    assert np.isclose(own(material, 1).radius_mm, 2.0) and np.isclose(stain().radius_mm, 3.0), "the order is turned"
    assert "is the highest" in refusal("raise_layer")
    press("show_mask")
    press("show_mask")
    press("show_layer", number=1)
    press("add_stain")
    press("raise_layer")
    assert press("remove_stain") == {"FINISHED"}
    assert np.isclose(stain().radius_mm, 3.0) and module("materials.stain_on_material").layers_in(material) == 1
    assert stain().seed == lower and picture_of(material.node_tree) == before


def check_a_linked_material_says_that_it_cannot_be_edited():
    """And shows its stain; an appended one keeps its settings and can be edited."""
    file, here = FOLDER / "library.blend", bpy.data.objects["Left"]
    bpy.data.libraries.write(str(file), {here.active_material})
    kept = here.active_material
    for link in (True, False):
        with bpy.data.libraries.load(str(file), link=link) as (source, taken):
            taken.materials = list(source.materials)
        here.active_material = taken.materials[0]
        _activate(here)
        assert np.isclose(stain().radius_mm, 3.0) and stain() != settings(), "its own settings came with it"
        if link:
            for button in ("add_stain", "add_layer", "remove_stain", "raise_layer", "show_layer"):
                assert "comes from another file; make it local first" in refusal(button)
        else:
            stain().radius_mm = 3.5
            assert np.isclose(module("materials.layers").layers_of(here.active_material)[0].parameters.radius_mm, 3.5)
        here.active_material = kept
        bpy.data.materials.remove(taken.materials[0])


def check_copies_differ_by_their_seed():
    left = bpy.data.objects["Left"]
    _activate(left)
    press("seeds_of_objects")
    assert stain().by_object and left["surface_impurities_seed"] < 100_000
    seed = stain_of(left.active_material.node_tree).inputs["Seed"]
    assert seed.is_linked
    stain().seed = 12
    assert seed.links[0].from_node.inputs[0].links[0].from_node.inputs[1].default_value == 12.0
    stain().by_object = False
    assert not seed.is_linked


def check_what_has_no_surface_is_refused():
    for item in (bpy.data.objects["Eye"], bpy.data.objects["Sun"]):
        _activate(item)
        assert "no surface" in refusal("add_stain") and "no surface" in refusal("toggle_inspected")
    volume = bpy.data.objects.new("Smoke", bpy.data.volumes.new("Smoke"))
    bpy.context.scene.collection.objects.link(volume)
    _activate(volume)
    assert "'Smoke' is a volume, which has no surface" in refusal("add_stain")
    bpy.data.objects.remove(volume)


def check_a_pair_is_that_of_the_own_scene():
    settings().folder = str(FOLDER / "own")
    before = module("scene.digest").described()
    assert press("render_pair") == {"FINISHED"}
    after = module("scene.digest").described()
    changed = {key for key in {**before, **after} if before.get(key) != after.get(key)}
    assert not changed, f"the file is as before, but for {changed}"
    mask, image = (classes(FOLDER / "own" / "pair_0001_mask.png"), grey(FOLDER / "own" / "pair_0001_image.png"))
    assert mask.shape == image.shape == (48, 64) and set(np.unique(mask)) == {0, 6}
    _activate(bpy.data.objects["Right"])
    assert press("toggle_inspected") == {"FINISHED"}
    press("render_pair")
    fewer = classes(FOLDER / "own" / "pair_0002_mask.png")
    assert 0 < (fewer == 6).sum() < (mask == 6).sum(), "the left one is not inspected"
    press("toggle_inspected")


def check_what_the_scene_lacks_is_said():
    scene = bpy.context.scene
    scene.camera, kept = None, scene.camera
    assert "no camera" in refusal("render_pair") and "no camera" in refusal("render_dataset")
    scene.camera = kept
    scene.render.engine = "BLENDER_WORKBENCH"
    assert "Choose Cycles" in refusal("render_pair")
    scene.render.engine = "CYCLES"


def check_a_data_set_of_the_own_scene_is_gone_on_with():
    settings().dataset.title, settings().dataset.count, settings().dataset.turntable = "mine", 1, 2
    assert press("render_dataset") == {"FINISHED"}
    settings().dataset.count = 2
    assert press("render_dataset") == {"FINISHED"}
    folder = FOLDER / "own"
    records = [json.loads(line) for line in (folder / "mine" / "samples.jsonl").read_text().splitlines()]
    assert [record["parameters"]["pose"]["turntable_deg"] for record in records] == [0.0, 180.0]
    assert {entry["object"] for record in records for entry in record["instances"]} <= {"Left", "Right"}
    assert (folder / "mine.blend").is_file() and (folder / "mine.toml").is_file()
    bpy.data.objects["Left"].location.x += 0.01
    assert "another recipe (scene.content differ)" in refusal("render_dataset")
    defaults()


def check_what_is_laid_on_the_parts_is_chosen_in_the_panel():
    dataset = settings().dataset
    dataset.title, dataset.count, dataset.sticker, dataset.scratch, dataset.defective = "laid", 1, 12, 1, 0.0
    settings().folder = str(FOLDER / "laid")
    before = module("scene.digest").described()
    assert press("render_pair") == {"FINISHED"} and press("render_dataset") == {"FINISHED"}
    after = module("scene.digest").described()
    assert not {key for key in {**before, **after} if before.get(key) != after.get(key)}
    assert 5 in classes(FOLDER / "laid" / "pair_0001_mask.png")
    record = json.loads((FOLDER / "laid" / "laid" / "samples.jsonl").read_text())
    assert {entry["class"] for entry in record["parameters"]["features"]} == {"sticker"}, "no part is defective"
    assert "[sticker]" in (FOLDER / "laid" / "laid.toml").read_text()
    defaults()


def check_a_moved_plate_is_no_longer_rendered_in_silence():
    settings().scale_percent, settings().samples = 4.0, 1
    press("set_up_inspection")
    settings().folder = str(FOLDER / "own")
    plate = bpy.context.object
    plate.location.x += 0.01
    for button in ("render_pair", "render_dataset"):
        assert "'Inspection Plate' has been moved by hand" in refusal(button)
    plate.location.x -= 0.01
    settings().folder = ""


class _Layout:
    """Takes what a panel draws, in place of a window; properties must be there, and texts are kept."""

    def __init__(self, texts: list) -> None:
        self.texts = texts

    def prop(self, data, name, text="", **options) -> None:
        assert name.startswith("[") or name in data.bl_rna.properties, name
        self.texts.append(text)

    def operator(self, name, text="", **options):
        assert hasattr(bpy.ops.surface_impurities, name.split(".")[1]) or name.startswith("view3d."), name
        self.texts.append(text)
        return SimpleNamespace()

    def label(self, text="", **options) -> None:
        self.texts.append(text)

    def menu(self, name, text="", **options) -> None:
        self.texts.append(text)

    def _part(self, **options) -> "_Layout":
        return _Layout(self.texts)

    row = column = box = _part


def _drawn(item) -> list[str]:
    """What all panels say with this active object."""
    texts: list[str] = []
    view = SimpleNamespace(shading=SimpleNamespace(type="SOLID"))
    context = SimpleNamespace(
        scene=bpy.context.scene, object=item, region=SimpleNamespace(width=300), space_data=view,
        preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1.0)), window=None,
    )
    for panel in module("ui.panels").CLASSES[1:]:
        methods = {name: getattr(panel, name) for name in ("_draw_own_scene", "section_name", "section")
                   if hasattr(panel, name)}
        own = SimpleNamespace(layout=_Layout(texts), **methods)
        if "_draw_own_scene" in methods:
            own._draw_own_scene = lambda *arguments, method=methods["_draw_own_scene"], own=own: method(own, *arguments)
        panel.draw(own, context)
    return texts


def check_the_panels_name_whose_stain_they_show():
    for item in bpy.data.objects:
        if item.name.startswith(("Left", "Right", "Eye", "Inspection Plate")):
            words = _drawn(item)
            stained = item.name != "Eye"
            assert any(word.endswith(f" on {item.name}") for word in words) == stained
            assert ("Update" in words) == stained and ("Add" in words) != stained
    assert any(word.startswith("As this scene: 64 x 48 px") for word in _words_in_own_scene())


def _words_in_own_scene() -> list[str]:
    here = bpy.context.window.scene
    bpy.context.window.scene = bpy.data.scenes["Own"]
    try:
        return _drawn(bpy.data.objects["Left"])
    finally:
        bpy.context.window.scene = here
