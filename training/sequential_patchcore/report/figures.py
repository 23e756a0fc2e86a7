# SPDX-License-Identifier: Apache-2.0
"""The figures of a results folder: the dict that becomes metrics.json in, matplotlib figures out.

`write` saves each as PNG and SVG. Without pyplot, so that no window system and no global state is involved.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..runtime.files import atomic_path
from . import palette

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "figure.dpi": 100,
    "svg.hashsalt": "sequential-patchcore",  # else the ids in an SVG differ from run to run
}
_DPI = 160


def coverage_sweep(metrics: dict) -> Figure | None:
    """Defect-wise recall against the coverage that counts as detection, per class and mean: appendix C, figure 5.

    The axis is linear, so that the step from "one pixel" to 1 % is not drawn wider than it is.
    """
    models = metrics["models"]
    names = [n for n in _class_names(metrics) if any(m["classes"][n]["instances"] for m in models.values())]
    if not names:
        return None
    columns = min(len(models), 3)
    rows = -(-len(models) // columns)
    figure = Figure(figsize=(max(2.9 * columns + 1.9, 6.4), 2.9 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axis, (model, values) in zip(axes, models.items(), strict=False):
        sweep = values["coverage_sweep"]
        for position, name in enumerate(_class_names(metrics)):
            swept = sweep["classes"][name]
            if swept["instances"]:
                axis.plot(
                    sweep["percent"], _percent(swept["recall"]), color=_hex(palette.class_colour(position)), lw=1.4,
                    ls="-" if swept["kind"] == "defect" else (0, (4, 2)), marker="o", ms=2.6,
                    label=name.replace("_", " ") + ("" if swept["kind"] == "defect" else " (impurity)"),
                )
        if sweep["mean_over_defect_classes"][0] is not None:
            axis.plot(
                sweep["percent"], _percent(sweep["mean_over_defect_classes"]), color="black", lw=2.4,
                label="mean over defects",
            )
        axis.set(title=model, xlim=(-2, 102), ylim=(-3, 103), xticks=range(0, 101, 25))
    for axis in axes[len(models) :]:
        axis.set_visible(False)
    for axis in axes[: len(models)]:
        axis.tick_params(labelbottom=True)
    figure.supxlabel("coverage that counts as detection [%]  (0: at least one pixel)", fontsize=9)
    figure.supylabel("defect-wise recall [%]", fontsize=9)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def precision_recall(metrics: dict) -> Figure | None:
    """Pixel precision against recall for every threshold; a dot marks the calibrated one."""
    curves = {name: model["precision_recall_curve"] for name, model in metrics["models"].items()}
    if not any(curve["recall"] for curve in curves.values()):
        return None
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    for position, (name, curve) in enumerate(curves.items()):
        pixel, colour = metrics["models"][name]["pixel"], _hex(palette.model_colour(position))
        label = f"{name}  (AP {_number(pixel['average_precision'])})"
        axis.plot(_percent(curve["recall"]), _percent(curve["precision"]), color=colour, lw=1.6, label=label)
        if pixel["precision"] is not None and pixel["recall"] is not None:
            axis.plot(
                100 * pixel["recall"], 100 * pixel["precision"], color=colour, marker="o", ms=7, mec="white", mew=1.2,
                clip_on=False, zorder=5,
            )
    axis.set(xlim=(0, 100), ylim=(0, 100), xlabel="recall [%]", ylabel="precision [%]")
    axis.set_title("Dot: the calibrated threshold", fontsize=9, color="#555555")
    axis.legend(loc="best")
    return figure


def class_recall(metrics: dict) -> Figure | None:
    """Pixel recall and defect-wise recall of every class, a bar a model."""
    models, names = metrics["models"], _class_names(metrics)
    names = [n for n in names if any(m["classes"][n]["pixels"] for m in models.values())]
    if not names:
        return None
    thick = 0.8 / len(models)
    height = len(names) * (0.30 + 0.17 * len(models)) + 1.1
    figure = Figure(figsize=(8.2, height), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    kinds = next(iter(models.values()))["classes"]
    for axis, key, title in (
        (left, "pixel_recall", "Pixel recall [%]"), (right, "defect_wise_recall", "Defect-wise recall [%]")
    ):
        for position, (model, values) in enumerate(models.items()):
            for row, name in enumerate(names):
                _bar(axis, row - 0.4 + (position + 0.5) * thick, thick, values["classes"][name][key], position)
            axis.barh([0], [0], color=_hex(palette.model_colour(position)), label=model)
        axis.set(title=title, xlim=(0, 112), xticks=range(0, 101, 25))
        axis.set_yticks(range(len(names)), [
            n.replace("_", " ") + ("" if kinds[n]["kind"] == "defect" else "\n(impurity)") for n in names
        ])
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
    left.set_ylim(len(names) - 0.5, -0.5)
    if len(models) > 1:
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(models), 4))
    return figure


def filters(metrics: dict) -> Figure | None:
    """What a smallest region and hysteresis would change: F1, mean defect-wise recall, false-positive regions."""
    models = metrics["models"]
    rows = {name: model["filter_sweep"] for name, model in models.items()}
    panels = [
        ("f1", "pixel $F_1$ [%]", 100), ("mean_defect_wise_recall", "mean defect-wise recall [%]", 100),
        ("false_positive_regions_per_image", "false-positive regions an image", 1),
    ]
    panels = [panel for panel in panels if any(row[panel[0]] is not None for sweep in rows.values() for row in sweep)]
    if not panels:
        return None
    figure = Figure(figsize=(3.3 * len(panels) + 1.6, 2.3 * len(models) + 0.6), layout="constrained")
    axes = figure.subplots(len(models), len(panels), sharex=True, sharey="col", squeeze=False)
    shares = sorted({row["hysteresis"] for sweep in rows.values() for row in sweep}, reverse=True)
    shades = matplotlib.colormaps["viridis"]
    for number, (line, (model, sweep)) in enumerate(zip(axes, rows.items(), strict=True)):
        for axis, (key, label, factor) in zip(line, panels, strict=True):
            for k, share in enumerate(shares):
                same_share = [row for row in sweep if row["hysteresis"] == share]
                values = [np.nan if row[key] is None else factor * row[key] for row in same_share]
                shade = shades(0.9 * k / max(1, len(shares) - 1))
                axis.plot(
                    range(len(values)), values, marker="o", ms=3, lw=1.4, color=shade,
                    label="none" if share == 1 else f"down to {share:g} t",
                )
            axis.set_xticks(range(len(same_share)), [str(row["min_region"]) for row in same_share])
            if number == 0:
                axis.set_title(label)
        line[0].set_ylabel(model)
    for axis in axes[0]:  # shared; only now, since a limit that is set no longer grows with the data
        axis.set_ylim(0, 1.05 * max(axis.get_ylim()[1], 1e-9))
    figure.supxlabel("smallest region kept [pixels]  (0: all)", fontsize=9)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside right upper", title="hysteresis")
    return figure


def replacements(metrics: dict) -> Figure | None:
    """How many vectors of the coreset each epoch of training replaced; None where no model brings the numbers."""
    series = {name: replaced_per_epoch(model["info"]) for name, model in metrics["models"].items()}
    if not any(series.values()):
        return None
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axis = figure.subplots()
    for position, (name, counts) in enumerate(series.items()):
        if counts:
            style = {"color": _hex(palette.model_colour(position)), "lw": 1.6, "ms": 4, "label": name}
            axis.plot(range(1, len(counts) + 1), counts, marker="o", **style)
    longest = max(len(counts) for counts in series.values())
    axis.set(xlabel="epoch", ylabel="replacements", xticks=range(1, longest + 1), xlim=(0.8, longest + 0.2))
    axis.set_ylim(bottom=0)
    axis.legend()
    return figure


def replaced_per_epoch(info: Mapping) -> list[int]:
    """The replacement counts in a model's info: `epochs` holds numbers, or mappings with "replacements"."""
    found = []
    for entry in info.get("epochs") or ():
        value = entry.get("replacements") if isinstance(entry, Mapping) else entry
        if isinstance(value, int) and not isinstance(value, bool):
            found.append(value)
    return found


FIGURES: dict[str, Callable[[dict], Figure | None]] = {
    "class_recall": class_recall,
    "coverage_sweep": coverage_sweep,
    "precision_recall": precision_recall,
    "filters": filters,
    "replacements": replacements,
}


def style() -> AbstractContextManager:
    """The look of all figures, within a `with` block."""
    return matplotlib.rc_context(_STYLE)


def write(metrics: dict, folder: Path) -> dict[str, Path]:
    """Save every figure that has something to show as PNG and SVG; name to the path of the SVG."""
    written = {}
    for name, draw in FIGURES.items():
        with style():
            figure = draw(metrics)
            if figure is None:
                continue
            for suffix in (".png", ".svg"):
                dated = {"Date": None} if suffix == ".svg" else None  # the same bytes tomorrow
                with atomic_path(folder / f"{name}{suffix}") as beside:
                    figure.savefig(beside, dpi=_DPI, metadata=dated)
                figure.set_layout_engine("none")  # found once; it is half the work
        written[name] = folder / f"{name}.svg"
    return written


def _bar(axis: Axes, y: float, thick: float, share: float | None, model: int) -> None:
    if share is None:
        axis.text(1, y, "no instances", va="center", fontsize=6.5, color="#888888")
        return
    axis.barh([y], [100 * share], height=0.9 * thick, color=_hex(palette.model_colour(model)))
    axis.text(100 * share + 1, y, f"{100 * share:.1f}", va="center", fontsize=7, color="#333333")


def _class_names(metrics: dict) -> list[str]:
    return [c["name"] for c in metrics["dataset"]["classes"]]


def _percent(shares: list) -> list[float]:
    return [100 * share for share in shares]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _hex(colour: palette.RGB) -> str:
    return palette.css(colour)
