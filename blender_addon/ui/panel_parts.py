# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels are drawn of: properties, warnings, a progress bar."""

import textwrap
from collections.abc import Iterable

from ..core.parameter import parameters_of
from ..core.stain.parameters import STAIN_SPECS, ParameterSpec
from .declared import fitting, is_share

_NEEDS = {"rim_width": ("rim_gain", "ring_count"), "ring_gain": ("ring_count",),
          "deposit_frequency_per_mm": ("deposit_contrast",), "elongation_direction_deg": ("elongation",),
          "noise_frequency_per_mm": ("noise_amplitude_mm",)}
"""Parameters without effect while all of these are off."""
_OFF = {"elongation": 1.0}


def stain_specs(group: str) -> list[ParameterSpec]:
    return [spec for spec in STAIN_SPECS if spec.group == group]


def letters(context) -> int:
    """How many letters of a label fit beside a number in the sidebar as wide as it is."""
    return int((context.region.width / context.preferences.system.ui_scale - 125) / 6.3)


def property_row(layout, context, data, name: str, **options) -> None:
    """A property with a label that is not cut off."""
    text = fitting(data.bl_rna.properties[name].name, letters(context))
    layout.prop(data, name, text=text, **options)


def draw_stain_parameters(layout, context, settings, specs: Iterable[ParameterSpec]) -> None:
    """Sliders; those that belong together stand together, and what has no effect is pale."""
    column, family = None, ""
    for spec in specs:
        stem = spec.name.split("_")[0]
        if column is None or stem.removesuffix("s") != family.removesuffix("s"):
            column, family = layout.column(align=True), stem
        row = column.row(align=True)
        masters = _NEEDS.get(spec.name)
        row.active = masters is None or any(getattr(settings, name) != _OFF.get(name, 0) for name in masters)
        property_row(row, context, settings, spec.name, slider=isinstance(spec.default, float))


def draw_section(layout, context, group, section: type) -> None:
    """All parameters of a section of a recipe."""
    column = layout.column(align=True)
    for name, declared in parameters_of(section).items():
        if declared.metadata["choices"]:
            column.row(align=True).prop(group, name, expand=True)
        else:
            property_row(column, context, group, name, slider=is_share(declared))


def warn(layout, context, text: str, icon: str = "ERROR") -> None:
    """Write a warning in lines as wide as the sidebar."""
    if not text:
        return
    # A letter is about 7 units wide; 75 go to the tabs, the borders and the icon.
    width = max(16, int((context.region.width / context.preferences.system.ui_scale - 75) / 7))
    column = layout.box().column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, width)):
        column.label(text=line, icon=icon if number == 0 else "BLANK1")


def draw_progress(layout, render, stop: str) -> None:
    """The bar of a background render, and the button that ends it."""
    column = layout.box().column(align=True)
    column.label(text=render.what, icon="RENDER_STILL")
    if hasattr(column, "progress"):  # 4.2 and later
        column.progress(factor=render.fraction, text=render.text)
    else:
        filled = round(render.fraction * 16)
        column.label(text="█" * filled + "░" * (16 - filled))
        column.label(text=render.text)
    column.operator(stop, text="Stop (Esc)", icon="CANCEL")
