# SPDX-License-Identifier: Apache-2.0
"""Runs inside a Blender window, started by `panel.py`: a person's first hour with the panel, with pictures.

Each step waits by `yield SECONDS`, so that the window draws and its timers run.
"""

import os
import sys
import tempfile
import traceback
from pathlib import Path

import bpy

ZIP, OUT = (Path(text) for text in sys.argv[-3:-1])
EXTENSION = bpy.app.version >= (4, 2, 0)
MODULE = "bl_ext.user_default.surface_impurities" if EXTENSION else "surface_impurities"
TAB = "Impurities"


def window():
    return bpy.context.window_manager.windows[0]


def view_area():
    return max((area for area in window().screen.areas if area.type == "VIEW_3D"), key=lambda area: area.width)


def region(kind):
    return next(part for part in view_area().regions if part.type == kind)


def settings():
    return window().scene.surface_impurities


def stain():
    """The stain's settings that the panel shows: the active object's, or those of the next stain."""
    item = window().view_layer.objects.active
    material = item.active_material if item is not None else None
    own = getattr(material, "surface_impurities", None)
    return own if own is not None and own.has_stain else settings()


def press(name, mode="INVOKE_DEFAULT", **options):
    """Press a button of the panel, as a click does."""
    with bpy.context.temp_override(window=window(), area=view_area(), region=region("UI")):
        print("GALLERY press", name, getattr(bpy.ops.surface_impurities, name)(mode, True, **options), flush=True)


def mouse(x, y, kind="MOUSEMOVE", value="NOTHING"):
    window().event_simulate(type=kind, value=value, x=int(x), y=int(y))


def click(x, y):
    yield from drag(x, y, x, y)


def drag(x, y, to_x, to_y):
    """As a hand does it: the window has to see each event by itself."""
    mouse(x, y)
    yield 0.2
    mouse(x, y, "LEFTMOUSE", "PRESS")
    yield 0.1
    for part in range(1, 5) if (x, y) != (to_x, to_y) else ():
        mouse(x + (to_x - x) * part / 4, y + (to_y - y) * part / 4)
        yield 0.1
    mouse(to_x, to_y, "LEFTMOUSE", "RELEASE")
    yield 0.4


def screenshot(name, sidebar=True):
    """The window, or its sidebar alone."""
    path = OUT / f"panel_{name}.png"
    with bpy.context.temp_override(window=window(), area=view_area()):
        bpy.ops.screen.screenshot(filepath=str(path))
    if sidebar:
        crop(path, region("UI"))
    print("GALLERY picture", path.name, flush=True)


def crop(path, part):
    import numpy as np

    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.array(image.pixels[:], dtype=np.float32).reshape(height, width, 4)
    cut = pixels[part.y : part.y + part.height, part.x : part.x + part.width]
    new = bpy.data.images.new("crop", cut.shape[1], cut.shape[0], alpha=False)
    new.pixels.foreach_set(cut.ravel())
    new.filepath_raw, new.file_format = str(path), "PNG"
    new.save()
    bpy.data.images.remove(image)
    bpy.data.images.remove(new)


def install():
    if EXTENSION:
        bpy.ops.extensions.package_install_files(filepath=str(ZIP), repo="user_default", enable_on_install=True)
    else:
        bpy.ops.preferences.addon_install(filepath=str(ZIP))
        bpy.ops.preferences.addon_enable(module=MODULE)


def choose_tab():
    """Ctrl-Tab to the fourth of the sidebar's tabs; later Blenders can be told."""
    part = region("UI")
    if EXTENSION:
        part.active_panel_category = TAB
        return
    x, y = part.x + 100, part.y + part.height // 2
    mouse(x, y)
    yield 0.3
    for _ in range(3):
        window().event_simulate(type="TAB", value="PRESS", x=x, y=y, ctrl=True)
        window().event_simulate(type="TAB", value="RELEASE", x=x, y=y)
        yield 0.3


def open_all():
    """Before they are drawn for the first time; nothing in Python opens a panel later."""
    ui = sys.modules[f"{MODULE}.ui.panels"]
    for panel in reversed(ui.CLASSES):
        bpy.utils.unregister_class(panel)
    for panel in ui.CLASSES:
        panel.bl_options = set()
        bpy.utils.register_class(panel)


def widen(by):
    part = region("UI")
    yield from drag(part.x, part.y + part.height * 0.3, part.x - by, part.y + part.height * 0.3)


def begin():
    """Wait for the window, install the zip, open the sidebar."""
    yield 1
    install()
    view_area().spaces.active.show_region_ui = True
    yield 1


def all_panels():
    """Every panel open, in the sidebar as it comes and in a wide one."""
    yield from begin()
    open_all()
    yield from choose_tab()
    yield 1
    screenshot("all_narrow")
    yield from widen(180)
    screenshot("all_wide")


def story():
    """From a new file to a data set, as a person goes; what does not come about fails the session."""
    yield from begin()
    yield from choose_tab()
    yield from on_the_cube()
    yield from inspection()
    yield from what_is_wrong()
    yield from pair_and_dataset()
    press("remove_stain")
    bpy.ops.preferences.addon_disable(module=MODULE)
    yield 1
    assert not hasattr(bpy.types.Scene, "surface_impurities")


def on_the_cube():
    with bpy.context.temp_override(window=window(), area=view_area(), region=region("WINDOW")):
        bpy.ops.view3d.view_selected()
    press("fit_to_object")
    press("add_stain")
    for step, wanted in ((bpy.ops.ed.undo, False), (bpy.ops.ed.redo, True)):
        with bpy.context.temp_override(window=window(), area=view_area(), region=region("WINDOW")):
            step()
        yield 0.5
        stained = any(node.type == "GROUP" for node in bpy.data.materials["Material"].node_tree.nodes)
        assert stained == wanted, f"{step.idname_py()} does not undo or redo the stain"
        assert settings().cell_size_mm == 400.0
    view_area().spaces.active.shading.type = "RENDERED"
    window().scene.render.engine = "CYCLES"
    stain().rim_gain, stain().intensity = 1.0, -0.4
    yield 12
    screenshot("cube", sidebar=False)
    press("remove_stain")


def inspection():
    press("use_preset", preset="Hard Water Spots")
    settings().samples = 8
    press("set_up_inspection")
    assert window().scene.name == "Inspection"
    yield 25
    screenshot("inspection", sidebar=False)
    press("roll_seed")
    press("show_mask")
    yield 8
    screenshot("mask", sidebar=False)
    press("show_mask")


def what_is_wrong():
    stain().radius_mm = 30.0
    yield 1
    screenshot("bad_value")
    press("use_preset", preset="Dried Rim")
    stain().backend = "osl"
    yield 1
    screenshot("no_osl")
    stain().backend = "nodes"
    yield 1


def pair_and_dataset():
    view_area().spaces.active.shading.type = "SOLID"  # two renders at once would starve each other
    folder = Path(tempfile.mkdtemp(dir=os.environ["HOME"]))
    settings().folder = str(folder)
    settings().scale_percent, settings().samples = 10.0, 4
    press("render_pair")
    yield from until(lambda: list(folder.glob("pair_0001_*.png")), "the pair")
    yield from until(lambda: not running(), "the end of the pair")
    settings().dataset.count = 6
    press("render_dataset")
    records = folder / "stained_plates" / "samples.jsonl"
    yield from until(lambda: records.exists() and len(records.read_text().splitlines()) >= 2, "two samples")
    yield 0.6
    screenshot("progress", sidebar=False)
    esc()
    yield from until(lambda: not running(), "the end after Esc")
    kept = len(records.read_text().splitlines())
    assert 2 <= kept < 6, kept
    yield 0.6
    screenshot("stopped", sidebar=False)
    press("render_dataset")
    yield from until(lambda: not running() and len(records.read_text().splitlines()) == 6, "the whole data set")
    yield 0.6
    screenshot("finished", sidebar=False)


def running():
    return sys.modules[f"{MODULE}.ui.render_status"].running()


def esc():
    area = view_area()
    x, y = area.x + area.width // 3, area.y + area.height // 2
    mouse(x, y)
    window().event_simulate(type="ESC", value="PRESS", x=x, y=y)
    window().event_simulate(type="ESC", value="RELEASE", x=x, y=y)


def until(done, what):
    for _ in range(600):
        if done():
            return
        yield 0.2
    raise TimeoutError(f"waited two minutes for {what}")


_steps = {"all_panels": all_panels, "story": story}[sys.argv[-1]]()


def advance():
    try:
        return next(_steps)
    except StopIteration:
        code = 0
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


bpy.context.preferences.view.show_splash = False  # it would take the first events
bpy.context.preferences.system.use_region_overlap = False  # the sidebar's empty part would pass events on to the view
bpy.context.preferences.filepaths.temporary_directory = tempfile.mkdtemp(prefix="window_", dir=os.environ["HOME"])
bpy.app.timers.register(advance, first_interval=1.0)
