# SPDX-License-Identifier: Apache-2.0
"""Which promises can be kept at once, drawn: false alarms against lost defects over the thresholds."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..metrics.conformal import Trade
from ..runtime.files import atomic_path
from .palette import FALSE_POSITIVE, TRUE_POSITIVE, css, model_colour


def write_promises_chart(trade: Trade, asked: tuple[float, float], per: str, path: Path) -> None:
    """A line of the pairs that the thresholds allow, and the pair that was asked for; the suffix chooses the format.

    Args:
        asked: the rate of false alarms and the share of lost defects.
        per: of what the first is a rate.
    """
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    blue = css(model_colour(0))
    axes.plot(trade.false_alarms, trade.lost_defects, drawstyle="steps-pre", color=blue, lw=1.8)
    axes.fill_between(trade.false_alarms[::-1], trade.lost_defects[::-1], 1, step="post", color=blue, alpha=0.08, lw=0)
    possible = bool(((trade.false_alarms <= asked[0]) & (trade.lost_defects <= asked[1])).any())
    axes.plot(*asked, "o", ms=9, color=css(TRUE_POSITIVE if possible else FALSE_POSITIVE),
              label=f"asked for: {asked[0]:g} and {asked[1]:g}, {'possible' if possible else 'not possible together'}")
    for row in np.unique(np.linspace(0, len(trade.thresholds) - 1, 7).round().astype(int))[1:-1]:
        axes.annotate(f"{trade.thresholds[row]:.3g}", (trade.false_alarms[row], trade.lost_defects[row]), (4, 4),
                      textcoords="offset points", fontsize=8, color="0.35")
    axes.set_xscale("log")
    axes.set_xlim(min(trade.false_alarms.min(), asked[0]) / 1.5, 1.05)
    axes.set_ylim(0, 1.02)
    unit = {"plate": "new sound plates that alarm", "image": "a new sound plate's images that alarm",
            "region": "a new sound plate's surface that alarms"}[per]
    axes.set_xlabel(f"promised: at most this share of {unit}")
    axes.set_ylabel("promised: at most this share of defects missed")
    axes.set_title("Which promises can be kept at once\n(above the line; numbers are thresholds)", fontsize=11)
    axes.legend(frameon=False, loc="upper right", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.92")
    with atomic_path(path) as beside:
        figure.savefig(beside, dpi=140)
