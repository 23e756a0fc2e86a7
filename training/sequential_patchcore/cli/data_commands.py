# SPDX-License-Identifier: Apache-2.0
"""The commands about data: info, import, export."""

import json
import math
from argparse import Namespace
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.choices import GRAPHS
from ..runtime.errors import UserError
from .option_names import as_options
from .values import in_pixels

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..model.file import Model, Naming

_SOME_LEFT_OUT = 4  # exit code of an import that left something out
_ARRAYS = ("vectors", "source", "position", "sources")  # of a memory: not for a summary


def info(arguments: Namespace) -> None:
    path = Path(arguments.path)
    if path.is_dir():
        _dataset_info(arguments, path)
    else:
        _model_info(arguments, path)


def _dataset_info(arguments: Namespace, path: Path) -> None:
    from ..data.check import check_dataset
    from ..data.dataset import open_dataset
    from ..data.summary import as_text, summarise

    if arguments.check:
        _report_problems(arguments, path, check_dataset(path, progress=True))
        return
    dataset = open_dataset(path)
    if arguments.contact_sheet:
        from ..data.contact_sheet import write_contact_sheet

        shown = write_contact_sheet(dataset, arguments.contact_sheet)
        facts = {"file": arguments.contact_sheet, "shown": shown, "images": len(dataset.samples)}
        text = f"{arguments.contact_sheet}: {shown} of {len(dataset.samples)} images"
        print(json.dumps(facts) if arguments.json else text)
        return
    summary = summarise(dataset)
    print(json.dumps(summary) if arguments.json else as_text(summary))


def _model_info(arguments: Namespace, path: Path) -> None:
    from ..model.file import check_model, load_model
    from ..model.promised import in_words

    if arguments.check:
        _report_problems(arguments, path, check_model(path))
        return
    model = load_model(path)
    if arguments.coreset_sheet:
        from ..report.coreset_sheet import write_sheet

        missing = write_sheet(model, arguments.coreset_sheet, arguments.data)
        lost = f"; the images of {missing} are not found, --data DIR says where they are now" if missing else ""
        facts = {"file": arguments.coreset_sheet, "vectors": len(model.features), "missing": missing}
        text = f"{arguments.coreset_sheet}: {len(model.features)} pieces of image"
        if model.memories:
            facts["memories"] = {name: len(memory.vectors) for name, memory in model.memories.items()}
            text += "".join(f", {len(memory.vectors)} of {name}" for name, memory in model.memories.items())
        text += lost
        print(json.dumps(facts) if arguments.json else text)
    if arguments.plot:
        from ..report.epochs_plot import write_epochs_plot

        write_epochs_plot(model, arguments.plot)
        facts = {"file": arguments.plot, "epochs": len(model.epochs)}
        print(json.dumps(facts) if arguments.json else f"{arguments.plot}: {len(model.epochs)} epoch(s)")
    if arguments.composition:
        from ..scoring.composition import coreset_composition

        of = coreset_composition(model, arguments.data)
        facts = {"file": str(path), "vectors": of.vectors, "composition": of.as_dict()}
        print(json.dumps(facts) if arguments.json else "\n".join([f"vectors: {of.vectors}", *of.lines()]))
    if arguments.coreset_sheet or arguments.plot or arguments.composition:
        return
    threshold = model.threshold
    facts = {
        "file": str(path), "fingerprint": model.fingerprint, "created_by": model.created_by,
        "vectors": len(model.features), "dimension": model.features.shape[1], "extractor": model.extractor,
        "separation": model.separation, "covering_radius": model.covering_radius,
        "certified_factor": model.certified_factor, "certified_over": _certified_over(model),
        "converged": model.converged, "epochs": list(model.epochs), "parents": list(model.parents),
        "data": list(model.data), "images": len(model.sources),
        "threshold": None if threshold is None else threshold.value,
        "threshold_method": None if threshold is None else threshold.method,
        "promise": None if threshold is None else in_words(threshold),
        "calibrated_on": None if threshold is None else threshold.calibrated_on, "settings": model.settings,
    }
    if model.memories:
        facts["memories"] = _memories_of(model, in_full=arguments.json)
    if model.products:
        from .product_command import product_facts, product_lines

        facts["products"] = product_facts(model) if arguments.json else product_lines(model)[1:]
    if threshold is not None and not arguments.json:  # `promise` says it in words
        facts["calibrated_on"] = {name: one for name, one in threshold.calibrated_on.items() if name != "promises"}
    if model.naming is not None:
        facts["verdicts"] = _verdicts_of(model.naming, in_full=arguments.json)
    print(json.dumps(facts) if arguments.json else _as_lines(facts))


def _memories_of(model: "Model", in_full: bool) -> "list[dict] | list[str]":
    """Per memory all that is known of it, or a line of what counts."""
    if in_full:
        return [
            {"class": name, "vectors": len(memory.vectors), "certified_factor": memory.certified_factor}
            | {field.name: getattr(memory, field.name) for field in fields(memory) if field.name not in _ARRAYS}
            for name, memory in model.memories.items()
        ]
    return [
        f"{name} ({memory.kind}): {len(memory.vectors)} vectors of {memory.seen} patches of {memory.images} images, "
        f"separation {memory.separation:.6g}, covering radius {_figure(memory.covering_radius)}, "
        f"within {_figure(memory.certified_factor)} times the best possible, "
        f"{'converged' if memory.converged else 'not converged'}; patches at least {memory.level:.6g} "
        f"({memory.level_from.replace('_', ' ')}) from the nominal memory and covered by {memory.coverage_share:g}"
        + ("" if memory.nominal == model.nominal_fingerprint else ", chosen by another nominal memory than this one")
        for name, memory in model.memories.items()
    ]


def _verdicts_of(naming: "Naming", in_full: bool) -> "dict | str":
    """The rule of verdicts, all that is known of it, or a line of what counts."""
    from ..model.naming import promise_in_words

    if not in_full:
        return f"{', '.join(naming.impurities)} are named; {promise_in_words(naming.promise)}"
    return {
        "names": naming.names, "kinds": naming.kinds, "threshold": naming.threshold,
        "pass_below": naming.pass_below if math.isfinite(naming.pass_below) else None,
        "defect_from": naming.defect_from, "promise": naming.promise, "learnt_from": naming.learnt_from,
    }


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6g}"


def _certified_over(model: "Model") -> str:
    """What the best possible radius is one of, see `coreset.guarantee.certified_factor`."""
    if model.parents or model.settings.get("images_changed", True):
        return "the patches of the training images and the coreset's own vectors"
    return "the patches of the training images"


def _as_lines(facts: dict) -> str:
    shown = []
    for name, value in facts.items():
        label = name.replace("_", " ")
        if isinstance(value, list):
            shown.append(f"{label}:" + ("" if value else " none"))
            shown += [f"  {json.dumps(entry) if isinstance(entry, dict) else entry}" for entry in value]
        elif isinstance(value, dict):
            shown.append(f"{label}: " + ", ".join(f"{key} {one}" for key, one in value.items()))
        else:
            shown.append(f"{label}: {'none' if value is None else value}")
    return "\n".join(shown)


def _report_problems(arguments: Namespace, path: Path, problems: list[str]) -> None:
    as_json = getattr(arguments, "json", False)
    problems = [as_options(problem, arguments.option_names) for problem in problems]
    if as_json:
        print(json.dumps({"path": str(path), "problems": problems}))
    else:
        for problem in problems:
            print(problem)
    if problems:
        raise UserError(f"{path}: {len(problems)} problem(s) found")
    if not as_json:
        print(f"{path}: no problems found")


def import_(arguments: Namespace) -> int:
    from ..data.dataset import open_dataset
    from ..data.format import LEFT_OUT_FILE
    from ..data.importers.importing import check_import, import_dataset
    from ..data.importers.options import ImportOptions

    chosen = vars(arguments)
    same_name = {field.name: chosen[field.name] for field in fields(ImportOptions)}
    options = ImportOptions(**same_name | {
        "aliases": _aliases(arguments.aliases), "ignore": arguments.ignore or (), "margin": _margin(arguments),
    })
    if arguments.check_only:
        problems = check_import(arguments.kind, arguments.src, options)
        _report_problems(arguments, Path(arguments.src), problems)
        return 0
    if arguments.out is None:
        raise UserError("nowhere to write to: give the data set's folder as `out`, or ask for `check_only`")
    out = import_dataset(arguments.kind, arguments.src, arguments.out, options)
    print(_imported(out, open_dataset(out)))
    left_out = out / LEFT_OUT_FILE
    if not left_out.is_file():
        return 0
    count = len(left_out.read_text(encoding="utf-8").splitlines())
    print(f"{count} lines in {left_out} name the images that were left out, and why")
    return _SOME_LEFT_OUT


def _imported(out: Path, dataset: "Dataset") -> str:
    counts = Counter(sample.split for sample in dataset.samples)
    instances = sum(len(sample.instances) for sample in dataset.samples)
    splits = ", ".join(f"{count} {split}" for split, count in counts.items())
    classes = ", ".join(info.name for info in dataset.classes) or "no class"
    return f"{out}: {len(dataset.samples)} images ({splits}), {instances} instances of {classes}"


def export(arguments: Namespace) -> None:
    if arguments.kind in GRAPHS:
        from .export_command import export_model

        export_model(arguments)
        return
    if arguments.dataset is None:
        raise UserError(f"export {arguments.kind} takes a data set: export {arguments.kind} DATASET --out DIR")
    from ..data.dataset import open_dataset
    from ..data.exporters.coco import export_coco
    from ..data.exporters.mvtec import export_mvtec
    from ..data.exporters.yolo import export_yolo

    write = {"mvtec": export_mvtec, "coco": export_coco, "yolo": export_yolo}[arguments.kind]
    write(open_dataset(arguments.dataset), arguments.out)
    print(f"{arguments.out}: {arguments.dataset} in {arguments.kind} layout")


def _margin(arguments: Namespace) -> float:
    """In pixels."""
    pixel_size_um = arguments.pixel_size_um
    if arguments.margin is not None and pixel_size_um is None and arguments.like is not None:
        from ..data.dataset import open_dataset

        pixel_size_um = open_dataset(arguments.like).pixel_size_um
    return in_pixels(arguments.margin, pixel_size_um)


def _aliases(pairs: list[str] | None) -> dict[str, str]:
    aliases = {}
    for pair in pairs or ():
        old, equals, new = pair.partition("=")
        if not (old and equals and new):
            raise UserError(f"--map {pair!r}: expected LABEL=CLASS, such as --map 'water stain=water_stain'")
        aliases[old] = new
    return aliases
