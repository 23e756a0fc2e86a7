# SPDX-License-Identifier: Apache-2.0
"""The figure of appendix C: defect-wise recall by class over the coverage that a detection asks for."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from sequential_patchcore.runtime.files import atomic_path

from .results import Results

matplotlib.use("Agg")
from matplotlib import pyplot

_COLOURS = {"bump": "#1f77b4", "dent": "#2ca02c", "scratch": "#17becf", "fingerprint": "#e0a03a", "sticker": "#c8552d",
            "water_stain": "#8a5a9e"}


def write_coverage_curves(
    scenarios: Sequence[tuple[str, str]], results: Results, title: str, folder: Path
) -> list[str]:
    """coverage_curves.png and .svg: a panel a scenario (id, name); the names of the files."""
    shown = [(of, name) for of, name in scenarios if of in results.metrics]
    width = min(3, len(shown))
    rows = -(-len(shown) // width)
    figure, panels = pyplot.subplots(
        rows, width, figsize=(4.2 * width, 3.4 * rows + 0.9), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )
    lines = {}
    for panel, (of, name) in zip(panels.flat, shown, strict=False):
        sweep = results.model(of)["coverage_sweep"]
        places = range(len(sweep["percent"]))  # evenly: most of the percentages are small
        panel.set_xticks(places, [str(percent) for percent in sweep["percent"]], fontsize=8)
        for k, (label, values) in enumerate(sweep["classes"].items()):
            if not values["instances"]:
                continue
            (lines[label],) = panel.plot(
                places, [100 * share for share in values["recall"]], marker="o", markersize=3, linewidth=1.3,
                linestyle="-" if values["kind"] == "defect" else "--", color=_COLOURS.get(label, f"C{k}"),
            )
        mean = [None if share is None else 100 * share for share in sweep["mean_over_defect_classes"]]
        if None not in mean:
            (lines["mean of the defects"],) = panel.plot(places, mean, color="black", linewidth=2.2)
        panel.set_title(name, fontsize=10)
        panel.set_ylim(-3, 103)
        panel.grid(alpha=0.3, linewidth=0.5)
    for panel in panels.flat[len(shown) :]:
        panel.axis("off")
    labels = [name.replace("_", " ") for name in lines]
    figure.legend(
        lines.values(), labels, ncols=min(7, len(lines)), loc="outside lower center", fontsize=8, frameon=False
    )
    for panel in panels[:, 0]:
        panel.set_ylabel("defect-wise recall, %", fontsize=9)
    for k, panel in enumerate(panels.flat[: len(shown)]):
        if k + width >= len(shown):  # nothing stands below it
            panel.tick_params(labelbottom=True)
            panel.set_xlabel("share of an instance to be predicted, %", fontsize=9)
    figure.suptitle(title, fontsize=10)
    names = []
    matplotlib.rcParams["svg.hashsalt"] = "coverage"  # the same figures give the same bytes
    for suffix in ("png", "svg"):
        with atomic_path(folder / f"coverage_curves.{suffix}") as beside:
            figure.savefig(beside, dpi=130, metadata={"Date": None} if suffix == "svg" else None)
        names.append(f"coverage_curves.{suffix}")
    pyplot.close(figure)
    return names
