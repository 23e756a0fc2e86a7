# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender properties made from the parameters that `core/` declares: name, unit, range, default and words, once."""

import dataclasses
import math
from collections.abc import Callable

from bpy.props import BoolProperty, EnumProperty, FloatProperty, FloatVectorProperty, IntProperty

from ..core.stain.parameters import STAIN_SPECS, ParameterSpec, is_whole

_UNITS = {"per_mm": "1/mm", "mm": "mm", "um": "µm", "nm": "nm", "px": "px", "deg": "°", "ms": "ms", "w": "W", "e": "e⁻",
          "percent": "%"}


_SHORT = {"Frequency": "Freq.", "Deposit": "Dep.", "Amplitude": "Ampl.", "Roughness": "Rough.", "Elongation ": "",
          "Quantum": "Q.", "Length": "Len.", "Spacing": "Spac.", "Reflectance": "Reflect."}
_TITLES = {"samples": "Paths per Pixel", "scale_percent": "Image Size (%)", "f_number": "F-Number"}
"""Where the words of the declaration's name would say too little."""


def label(name: str) -> str:
    """ "radius_mm" -> "Radius (mm)": the unit that ends a parameter's name, in brackets."""
    if name in _TITLES:
        return _TITLES[name]
    unit = next((unit for unit in _UNITS if name.endswith(f"_{unit}")), None)
    words = (name.removesuffix(f"_{unit}") if unit else name).replace("_", " ").title()
    return f"{words} ({_UNITS[unit]})" if unit else words


def fitting(text: str, letters: int) -> str:
    """The label, abbreviated where it has more letters than there is room for."""
    for word, short in _SHORT.items():
        if len(text) > letters:
            text = text.replace(word, short)
    return text


def stain_property(spec: ParameterSpec, update: Callable):
    """The property of one of the stain's parameters (`STAIN_SPECS`)."""
    (low, high), (soft_low, soft_high) = spec.hard, spec.soft
    common = {
        "name": label(spec.name),
        "description": f"{spec.tooltip} ({spec.symbol})",
        "min": low,
        "max": high,
        "soft_min": soft_low,
        "soft_max": soft_high,
        "update": update,
    }
    if is_whole(spec):
        return IntProperty(default=spec.default, **common)
    if spec.default is None:
        return FloatVectorProperty(size=3, precision=2, step=100, **common)
    return FloatProperty(default=spec.default, **_digits((soft_high - soft_low) / 10), **common)


def parameter_property(name: str, field: dataclasses.Field, default, update: Callable | None = None):
    """The property of a parameter that `core.parameter.parameter` declared."""
    text = field.metadata["text"]
    common = {"name": label(name), "description": text[:1].upper() + text[1:], "default": default, "update": update}
    if field.metadata["choices"]:
        items = [(word, word.replace("_", " ").title(), "") for word in field.metadata["choices"]]
        return EnumProperty(items=items, **common)
    if isinstance(field.default, bool):
        return BoolProperty(**common)
    low, high = field.metadata["low"], field.metadata["high"]
    if isinstance(field.default, int):
        return IntProperty(min=low, max=high, **common)
    return FloatProperty(min=low, max=high, **_digits(abs(default) or (high - low) / 10), **common)


def is_share(field: dataclasses.Field) -> bool:
    """Whether the parameter's range is so narrow that a slider over the whole of it is of use."""
    low, high = field.metadata["low"], field.metadata["high"]
    return low is not None and high - low <= 1.0


def plain(value):
    """What a person typed: Blender stores numbers as float32, which hold seven digits of them."""
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(f"{value:.7g}")
    return tuple(plain(float(part)) for part in value)


def rescaled(values: dict, factor: float) -> dict:
    """Values of a stain's parameters with all lengths multiplied."""
    powers = {"mm": 1, "µm": 1, "1/mm": -1}
    new = dict(values)
    for spec in STAIN_SPECS:
        if spec.unit in powers and spec.default is not None and spec.name in values:
            value = plain(values[spec.name]) * factor ** powers[spec.unit]
            new[spec.name] = min(max(float(f"{value:.3g}"), spec.hard[0]), spec.hard[1])
    return new


def _digits(scale: float) -> dict[str, int]:
    """How many decimals are shown, and by how much an arrow moves, for values of about this size."""
    power = math.floor(math.log10(scale))
    return {"precision": min(max(2 - power, 0), 3), "step": min(max(round(10.0 ** (power + 1)), 1), 100)}
