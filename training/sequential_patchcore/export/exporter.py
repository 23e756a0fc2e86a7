# SPDX-License-Identifier: Apache-2.0
"""Export that proves itself: the graph is run beside the model before the folder gets its name."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx

from .. import __version__
from ..data.dataset import open_dataset
from ..data.photographs import load_photograph
from ..extractors.base import Extractor
from ..extractors.footprint import activation_bytes_per_pixel
from ..metrics.binarize import PLAIN, Rule, binary_map
from ..model.file import Model
from ..runtime.errors import UserError
from ..runtime.files import make_folder
from ..runtime.progress import Progress
from ..scoring.limits import limits_of
from ..scoring.scorer import Scorer
from .anomaly_graph import anomaly_graph
from .exported_model import runner
from .products_record import is_zones_file, write_products
from .record import FILES, ExportRecord, file_digest

TOLERANCE = 1e-4
"""Largest difference of the graph's map from the model's, of the map's largest value."""

_BYTES_OF_FILTERS = 140.0  # per pixel: in the graph they see the whole image at once; tests/bench/bench_features.py
_BYTES_OF_PICTURES = 60.0  # per pixel: the photograph, the map and the overlay
_PROBE_SIZES = ((224, 256), (197, 331))  # pixels; the second is no whole number of cells


def export_model(
    scorer: Scorer, out: str | Path, kind: str = "onnx", *, images: Sequence[str | Path] = (),
    size: tuple[int, int] | None = None, rule: Rule = PLAIN,
) -> ExportRecord:
    """Write a model as one graph from pixels to the anomaly map, and `export.json` beside it.

    The graph is compared with the scorer on the images: the maps must agree within `TOLERANCE`, and every image must
    get the same verdict. Otherwise nothing is written.

    Args:
        scorer: of a model, with the engine "torch" for its extractor, which is the reference.
        out: a new folder, or that of an earlier export, which is replaced.
        kind: "onnx" or "openvino".
        images: pictures to compare on; without, images of noise and, where it is still there, of the training data.
        size: (H, W) of all images that the graph will see; None for images of any size.
        rule: the filters after the threshold, for the record and the verdicts.

    Raises:
        UserError: an extractor that cannot be exported, a package that is missing, a place that is no export, or the
            proof failed.
    """
    model, out = scorer.model, Path(out)
    if model is None:
        raise UserError("expected a scorer that was made of a model")
    _check_place(out)
    notes = {"model": model.fingerprint, "weights": scorer.extractor.weights_fingerprint}
    graph = anomaly_graph(scorer.extractor, model.features, scorer.blur_sigma, size, notes)
    make_folder(out.absolute().parent)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".part", dir=out.absolute().parent) as folder:
        beside = Path(folder) / "export"
        beside.mkdir()
        _write_graph(graph, kind, beside)
        del graph
        proof = _prove(scorer, beside / FILES[kind][0], kind, list(_pictures(model, images, size)), rule)
        record = _record(model, scorer.extractor, scorer.blur_sigma, kind, size, rule, beside, proof)
        record.write(beside)
        if out.exists():
            shutil.rmtree(out)
        beside.rename(out)
    return record


def _check_place(out: Path) -> None:
    """An earlier export may be replaced, nothing else."""
    known = {"export.json", *(name for names in FILES.values() for name in names)}
    if out.exists() and (not out.is_dir() or {
        path.name for path in out.iterdir() if not is_zones_file(path.name)
    } - known):
        raise UserError(f"{out} exists and is no export; expected a new folder, or that of an earlier export")


def _write_graph(graph: onnx.ModelProto, kind: str, folder: Path) -> None:
    file = folder / FILES["onnx"][0]
    try:
        onnx.save_model(graph, file)
    except ValueError as error:  # protobuf writes at most 2 GB
        raise UserError(f"the graph is too large for one ONNX file ({error}); take a smaller `backbone`") from error
    if kind == "onnx":
        return
    try:
        import openvino
    except ImportError as error:
        raise UserError("the kind openvino needs the package openvino: pip install openvino") from error
    openvino.save_model(openvino.Core().read_model(file), folder / FILES["openvino"][0], compress_to_fp16=False)
    file.unlink()


def _pictures(
    model: Model, images: Iterable[str | Path], size: tuple[int, int] | None
) -> Iterator[tuple[str, np.ndarray]]:
    """Names and (H, W, 3) float32 images to compare on."""
    given = list(images)
    for path in given:
        yield str(path), load_photograph(Path(path))
    if given:
        return
    rng = np.random.default_rng(0)
    for height, width in _PROBE_SIZES if size is None else (size,):
        yield f"noise of {width} x {height} pixels", rng.random((height, width, 3), np.float32)
    for share in model.data:
        try:
            dataset = open_dataset(Path(share["path"]))
            picture = dataset.image(dataset.split("train")[0])
        except UserError:
            continue  # moved or deleted since: the noise has to do
        if size is None or picture.shape[:2] == size:
            yield f"{share['name']}, the first training image", picture


def _prove(
    scorer: Scorer, graph: Path, kind: str, pictures: Sequence[tuple[str, np.ndarray]], rule: Rule
) -> dict:
    """Compare graph and scorer; what was found, for the record.

    Raises:
        UserError: they differ by more than `TOLERANCE`, or in a verdict.
    """
    run = runner(kind, graph, None)
    threshold = None if scorer.threshold is None else scorer.threshold.value
    largest = 0.0
    with Progress("comparing", len(pictures)) as progress:
        for name, picture in pictures:
            reference, scores = scorer.anomaly_map(picture), run(picture)
            if scores.shape != reference.shape or not np.isfinite(scores).all():
                raise UserError(f"the export failed its proof on {name}: its map is not finite, or of another size")
            difference = float(np.abs(scores - reference).max() / (reference.max() or 1.0))
            if difference > TOLERANCE:
                raise UserError(
                    f"the export failed its proof on {name}: its map differs from the model's by {difference:.1e} of "
                    f"the largest score, allowed is {TOLERANCE:g}; nothing was written"
                )
            for limits in _limits(scorer, picture.shape[:2]):
                verdicts = [binary_map(scores, limits, np.ones(scores.shape, bool), rule).any()
                            for scores in (scores, reference)]
                if verdicts[0] != verdicts[1]:
                    raise UserError(
                        f"the export failed its proof on {name}: its verdict differs from the model's, since a score "
                        f"lies within {difference:.1e} of the threshold; nothing was written"
                    )
            largest = max(largest, difference)
            progress.step()
    return {
        "images": [name for name, _ in pictures], "largest_relative_difference": largest, "allowed": TOLERANCE,
        "verdicts": "none, there is no threshold" if threshold is None else "all the same",
    }


def _limits(scorer: Scorer, size: tuple[int, int]) -> list[float | np.ndarray]:
    """What scores of an image of (H, W) are compared with: the one threshold, and that of each product, whatever is
    shown."""
    if scorer.threshold is None:
        return []
    common = scorer.threshold.value
    products = {} if scorer.model is None else scorer.model.products
    return [common, *(limits_of(products, common, name, size).map for name in products)]


def _record(
    model: Model, extractor: Extractor, blur_sigma: float, kind: str, size: tuple[int, int] | None, rule: Rule,
    folder: Path, proof: dict,
) -> ExportRecord:
    threshold = model.threshold
    return ExportRecord(
        kind=kind, files={name: file_digest(folder / name) for name in FILES[kind]}, model=model.fingerprint,
        weights=extractor.weights_fingerprint, backbone=extractor.settings.backbone,
        created_by=f"sequential-patchcore {__version__}",
        threshold=None if threshold is None else threshold.value,
        threshold_method=None if threshold is None else threshold.method,
        min_region=rule.min_region, hysteresis=rule.hysteresis, blur_sigma=blur_sigma,
        image_scale=extractor.settings.image_scale,
        bytes_per_pixel=_bytes_per_pixel(extractor), size=size, classes=_classes(model),
        proof=proof, products=write_products(model.products, folder),
    )


def _bytes_per_pixel(extractor: Extractor) -> float:
    """Of the image, for the engine's tensors and the pictures drawn; torch's activations are the measure."""
    network = getattr(extractor, "network", None)
    activations = _BYTES_OF_FILTERS if network is None else activation_bytes_per_pixel(extractor)
    return round(activations * extractor.settings.image_scale**2 + _BYTES_OF_PICTURES, 1)


def _classes(model: Model) -> list[dict]:
    """Of the data sets that are still where they were."""
    found = {}
    for share in model.data:
        try:
            classes = open_dataset(Path(share["path"])).classes
        except UserError:
            continue
        found |= {info.name: {"name": info.name, "kind": info.kind} for info in classes}
    return list(found.values())
