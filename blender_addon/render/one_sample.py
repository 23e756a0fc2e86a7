# SPDX-License-Identifier: GPL-3.0-or-later
"""One sample from its draw to the bytes of its files."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..core.features.classes import PALETTE
from ..core.files import png, tiff
from ..core.inspection.sensor import expose
from ..core.labels.human_labels import labelme_file
from ..core.labels.masks import compose_labels, number_features
from ..core.labels.region import inspected_region
from ..core.parallel import side_by_side
from ..core.recipe.sample import Sample
from ..scene.inspection import build_inspection
from . import passes, session


def render_sample(
    scene: bpy.types.Scene, sample: Sample, device: str, folder: Path
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Record (without checksums) and files of `sample`.

    Args:
        scene: a scene that `session.start` made; the inspection is built into it.
        device: what `session.start` chose, for the record.
        folder: for temporary files.
    """
    with session.silence():
        built = build_inspection(scene, sample)
        width, height = sample.size_px
        stains = np.zeros((height, width, 3), np.float32)
        if sample.stain is not None:
            stains = passes.render_labels(scene, built, sample, folder)
        linear = passes.render_picture(scene, built, sample, folder, stains)
        distance = None
        if sample.render.stain_distance:
            distance = passes.render_stain_distance(scene, built, sample, folder)
    settings = sample.render
    image = expose(linear, sample.sensor, sample.camera, settings.scale_percent, sample.seed, settings.bits)
    mask, instances, instance_list = compose_labels(stains, *number_features(sample))
    parameters = sample.parameters()
    parameters["render"] |= {"device": device, "blender": bpy.app.version_string}
    record = {
        "id": sample.id,
        "split": sample.split,
        "seed": sample.seed,
        "group": sample.group,
        "instances": instance_list,
        "parameters": parameters,
    }
    files = {"image": lambda: png.encode(image), "mask": lambda: png.encode(mask, PALETTE),
             "instances": lambda: png.encode(instances)}
    if distance is not None:
        files["stain_distance"] = lambda: tiff.encode(distance)
    if settings.human_labels:
        files["labelme"] = lambda: labelme_file(instances, instance_list, f"../images/{sample.id}.png", sample.seed)
    region = inspected_region(sample)
    if not region.all():
        files["region"] = lambda: png.encode(region.astype(np.uint8) * np.uint8(255))
    encoded = side_by_side(lambda encode: encode(), files.values())
    return record, dict(zip(files, encoded, strict=True))
