# SPDX-License-Identifier: GPL-3.0-or-later
"""How much cheaper a light path could be at all: light paths a second of this renderer's beauty pass, and of the least
that Cycles can be asked for.

The least is a plane with one Glossy BSDF of the plate's roughness that fills the picture and one area light, no bounce
and no texture, guide or surroundings: nothing that shows a brushed plate can cost less. A kind's paths a second are
those that it has in addition at the larger of two numbers of paths, so what a picture costs once falls out; of three
rounds, in which the kinds take turns, the fastest counts.

    .venv-blender/bin/python tests/bench/bench_paths.py [--scale 25] [--paths 4 20]
"""

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import bpy  # noqa: E402

from blender_addon.core.recipe.sample import draw_sample  # noqa: E402
from blender_addon.core.recipe.settings import load  # noqa: E402
from blender_addon.render import passes, session  # noqa: E402
from blender_addon.scene import inspection  # noqa: E402

_ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=25.0, help="percent of the camera's resolution")
    parser.add_argument("--paths", type=int, nargs=2, default=[4, 20], help="light paths a pixel, few and many")
    chosen = parser.parse_args()
    kinds = {"the least": _least, "synth": _plate("synth"), "synth_ws": _plate("synth_ws")}
    rates = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_ROUNDS):
            for name, render in kinds.items():
                (few, pixels), (many, _) = (render(chosen.scale, paths, Path(folder)) for paths in chosen.paths)
                rates[name].append(pixels * (chosen.paths[1] - chosen.paths[0]) / (many - few))
    least = max(rates["the least"])
    for name, found in rates.items():
        print(f"{name:10} {max(found):9.0f} paths a second of processor time, {max(found) / least:.2f} of the least")


def _plate(recipe: str):
    def render(scale: float, paths: int, folder: Path) -> tuple[float, int]:
        settings = load(ROOT / "scenes" / "recipes" / f"{recipe}.toml")
        sample = draw_sample(settings.with_values("render", "x", scale_percent=scale, samples=paths, denoise=False), 0)
        with session.silence():
            scene, _ = session.start("CPU", needs_osl=False)
            session.configure(scene)
            built = inspection.build_inspection(scene, sample)
            began = time.process_time()
            picture = passes.render_picture(scene, built, sample, folder)
        return time.process_time() - began, picture.size

    return render


def _least(scale: float, paths: int, folder: Path) -> tuple[float, int]:
    with session.silence():
        scene, _ = session.start("CPU", needs_osl=False)
        session.configure(scene)
        width, height = round(2448 * scale / 100), round(2050 * scale / 100)
        scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = width, height, 100
        cycles = scene.cycles
        cycles.samples, cycles.use_denoising, cycles.use_adaptive_sampling = paths, False, False
        material = bpy.data.materials.new("least")
        material.use_nodes = True
        tree = material.node_tree
        tree.nodes.clear()
        surface, output = tree.nodes.new("ShaderNodeBsdfGlossy"), tree.nodes.new("ShaderNodeOutputMaterial")
        surface.inputs["Roughness"].default_value = 0.25
        tree.links.new(surface.outputs[0], output.inputs["Surface"])
        mesh = bpy.data.meshes.new("least")
        mesh.from_pydata([(-2, -2, 0), (2, -2, 0), (2, 2, 0), (-2, 2, 0)], [], [(0, 1, 2, 3)])
        mesh.materials.append(material)
        lamp, camera = bpy.data.lights.new("least", "AREA"), bpy.data.cameras.new("least")
        for data, place in ((mesh, (0, 0, 0)), (lamp, (0.3, 0, 1.0)), (camera, (0, 0, 2))):
            item = bpy.data.objects.new("least", data)
            item.location = place
            scene.collection.objects.link(item)
        scene.camera = item
        scene.render.filepath = str(folder / "least")
        began = time.process_time()
        bpy.ops.render.render(scene=scene.name)
        seconds = time.process_time() - began
    return seconds, width * height


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the wheel may hang while it tears itself down
