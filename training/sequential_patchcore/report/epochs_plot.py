# SPDX-License-Identifier: Apache-2.0
"""The guarantee over the epochs, drawn: replacements, separation and covering radius, certified factor."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..model.file import Model
from ..runtime.files import atomic_path
from .palette import css, model_colour


def write_epochs_plot(model: Model, path: str | Path) -> None:
    """Three panels over the epochs (of a melded model: the passes); the suffix of `path` chooses the format."""
    epochs = model.epochs
    numbers = np.arange(1, len(epochs) + 1)
    replaced = [epoch["replacements"] for epoch in epochs]
    separation = [epoch["separation"] for epoch in epochs]
    radius = [epoch.get("covering_radius", np.nan) for epoch in epochs]
    if epochs and np.isnan(radius[-1]) and model.covering_radius is not None:
        radius[-1] = model.covering_radius
    factor = [np.nan if value is None else value for value in model.epoch_factors]
    blue, orange, green = (css(model_colour(number)) for number in (0, 1, 2))
    figure = Figure(figsize=(10, 3.3), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    left.bar(numbers, replaced, color=blue, width=0.6)
    left.set_yscale("symlog", linthresh=1)
    left.set_ylim(0, max([*replaced, 1]) * 3)
    for number, count in zip(numbers, replaced, strict=True):
        left.annotate(f"{count}", (number, count), (0, 3), textcoords="offset points", ha="center", fontsize=9)
    left.set_title("replacements")
    middle.plot(numbers, radius, "o-", color=orange, label="covering radius")
    middle.plot(numbers, separation, "s-", color=blue, label="separation")
    middle.legend(frameon=False)
    middle.set_title("distances in the features' unit")
    right.plot(numbers, factor, "o-", color=green)
    right.axhline(2, color="0.6", lw=1, ls="--")
    right.set_ylim(bottom=1.9)
    right.set_title("certified factor (2 at convergence)")
    for axes in (left, middle, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(0.5, max(len(epochs), 1) + 0.5)
        axes.spines[["top", "right"]].set_visible(False)
    state = "converged" if model.converged else "not converged"
    figure.suptitle(f"{len(model.features)} vectors, {state}", fontsize=11)
    path = Path(path)
    with atomic_path(path) as beside:
        figure.savefig(beside, dpi=140)
