# SPDX-License-Identifier: Apache-2.0
"""`export onnx|openvino`: a model as one graph for the line."""

from argparse import Namespace
from importlib.util import find_spec

from ..runtime.choices import TORCH
from ..runtime.errors import UserError
from ..runtime.progress import tell
from .finished_work import weights_override


def export_model(arguments: Namespace) -> None:
    if arguments.model is None or arguments.dataset is not None:
        raise UserError(f"export {arguments.kind} takes a model, as --model M.h5, and no data set")
    if find_spec("onnx") is None:
        raise UserError('export needs the package onnx: pip install "sequential-patchcore[export]"')
    from ..export.exporter import export_model as run
    from ..metrics.binarize import Rule
    from ..model.file import load_model
    from ..prediction.predictor import find_images
    from ..scoring.scorer import Scorer

    model = load_model(arguments.model)
    scorer = Scorer(model, path=arguments.model, weights=weights_override(arguments.weights), engine=TORCH)
    record = run(
        scorer, arguments.out, arguments.kind, images=find_images(arguments.images), size=arguments.size,
        rule=Rule(arguments.min_region, arguments.hysteresis),
    )
    tell(
        f"{arguments.out}: agrees with {arguments.model} on {len(record.proof['images'])} image(s), maps within "
        f"{record.proof['largest_relative_difference']:.1e}, verdicts {record.proof['verdicts']}"
    )
