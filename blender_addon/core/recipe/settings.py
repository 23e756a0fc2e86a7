# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes: TOML files -> one frozen, checked `Recipe`. The only place that knows which keys there are.

A file may say `extends = "other.toml"` (relative to itself): its tables are laid over the other's, key by key.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..features.classes import FEATURE_CLASSES
from ..inspection.acquisition import CONSTANT, SIDES, Acquisition
from ..inspection.camera import Camera
from ..inspection.plate import Plate, Surface
from ..inspection.ring_light import RingLight
from ..inspection.sensor import Sensor
from ..parameter import Choice, Range, parameter, parameters_of, parse
from ..stain.parameters import LOOK, STAIN_SPECS
from . import own_scene

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class RenderSettings:
    """How the pictures are computed and stored."""

    samples: int = parameter(16, 1, 65536, "light paths per pixel")
    scale_percent: float = parameter(100.0, 1.0, 100.0, "size of the images, in percent of the camera's")
    denoise: bool = parameter(True, None, None, "take the path tracer's grain out, guided by slopes and reflectance")
    guide_samples: int = parameter(
        0, 0, 65536, "paths per pixel for what the denoiser knows of the surface, so that no single black or white "
        "pixels are left; 0 takes the picture's own paths"
    )
    bits: int = parameter(8, 8, 16, "bits per pixel of the images: 8 or 16")
    stain_distance: bool = parameter(False, None, None, "write the stain's d / r' as a float map beside the masks")
    human_labels: bool = parameter(False, None, None, "write labels as a person draws them beside the exact masks")
    stain_backend: str = parameter("nodes", None, None, "what computes the stain", ("nodes", "osl"))


PLATES = ("all", "defective")


@dataclass(frozen=True)
class StainOccurrence:
    """Which samples have stains."""

    share: float = parameter(1.0, 0.0, 1.0, "share of the samples, within their split, that have stains")
    side: str = parameter("both", None, None, "side of the plate that has stains", ("both", *SIDES))
    plates: str = parameter("all", None, None, "plates that may have stains: all, or those with defects", PLATES)


@dataclass(frozen=True)
class DefectOccurrence:
    """Which samples have this defect, how many, and where they may lie."""

    share: float = parameter(1.0, 0.0, 1.0, "share of the samples, within their split, that have this")
    side: str = parameter("both", None, None, "side of the plate that has this", ("both", *SIDES))
    count: int = parameter(1, 0, 100, "number in one image, or on one side of a plate where a grid of images is taken")
    border_mm: float = parameter(3.0, -100.0, 1000.0, "least distance to the border of the image, or of the plate")
    distance_mm: float = parameter(4.0, 0.0, 1000.0, "distance to other features, where there is room")


@dataclass(frozen=True)
class ImpurityOccurrence(DefectOccurrence):
    """Which samples have this impurity, how many, and where they may lie."""

    plates: str = parameter("all", None, None, "plates that may have this: all, or those with defects", PLATES)
    on_defects: float = parameter(0.0, 0.0, 1.0, "share of them that lie on a defect, where the plate has one")


StainSection = make_dataclass(
    "StainSection",
    [
        (spec.name, type(spec.default), parameter(spec.default, *spec.hard, spec.tooltip))
        for spec in STAIN_SPECS
        if spec.name not in ("seed", "centre_mm")
    ],
    frozen=True,
)
"""The stain's parameters as a recipe gives them: a grid of stains, its seed drawn per sample."""

SECTIONS: dict[str, tuple[type, ...]] = {
    "acquisition": (Acquisition,),
    "plate": (Plate,),
    "surface": (Surface,),
    "light": (RingLight,),
    "camera": (Camera,),
    "sensor": (Sensor,),
    "render": (RenderSettings,),
    "stain": (StainSection, StainOccurrence),
    **{
        name: (feature, DefectOccurrence if kind == "defect" else ImpurityOccurrence)
        for _, name, kind, _, feature in FEATURE_CLASSES
    },
    **{name: (section,) for name, section in own_scene.SECTIONS.items()},
}
OWN_SCENE = tuple(own_scene.SECTIONS)
"""Sections of a recipe that renders a person's own scene, which "scene" makes it; no other recipe has them."""
FEATURES = ("stain", *(surface_class.name for surface_class in FEATURE_CLASSES))
"""Sections that are absent unless a recipe names them; each may say in which `splits` it occurs."""
WITH_OWN_SCENE = (*OWN_SCENE, "render", *FEATURES)
"""The sections that mean something in a person's own scene; all others describe the plate and its inspection."""

ONE_WORD = ("side", "plates", "stain_backend")
"""Words that cannot be drawn: they say which draws there are."""

CAME_LATER = (*LOOK, "guide_samples")
"""Keys that change nothing while they have their default: a description leaves them out then, as it was before them, so
that a data set that was begun then can be gone on with."""

TOP_KEYS = ("extends", "name", "plates", "description", "count", "seed", "splits")


@dataclass(frozen=True)
class Recipe:
    """A data set before anything is drawn.

    `sections` holds per section the values that the recipe gives: numbers, words, `Range`s, `Choice`s, and for features
    the tuple `splits`. What is not given has the default of its parameter.
    """

    name: str
    plates: str
    """Name of the series of plates: recipes that share it, and the seed, show the same plates."""
    description: str
    count: int
    seed: int
    splits: tuple[tuple[str, int], ...]
    """Splits and their weights, in the order train, val, test."""
    sections: Mapping[str, Mapping[str, Any]]

    @property
    def is_own_scene(self) -> bool:
        """Whether a person's own scene is rendered, and not the plate."""
        return "scene" in self.sections

    def section(self, name: str) -> Mapping[str, Any]:
        return self.sections.get(name, {})

    def has(self, feature: str, split: str) -> bool:
        """Whether `feature` may occur in `split`."""
        return feature in self.sections and split in self.sections[feature].get("splits", SPLITS)

    def with_values(self, section: str, place: str, **values: Any) -> "Recipe":
        """The recipe with some values of one section replaced, checked as if a file had given them."""
        keys = _fields(section)
        parsed = {key: parse(value, keys[key], place) for key, value in values.items()}
        return replace(self, sections={**self.sections, section: {**self.section(section), **parsed}})

    def with_seed(self, seed: int) -> "Recipe":
        return replace(self, seed=seed)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, all spelled out but `CAME_LATER`: what the data set's description keeps."""
        sections: dict[str, Any] = {}
        for name in WITH_OWN_SCENE if self.is_own_scene else SECTIONS:
            if name in (*FEATURES, *OWN_SCENE) and name not in self.sections:
                continue
            given = self.section(name)
            values = {
                key: given.get(key, field.default)
                for key, field in _fields(name).items()
                if key not in CAME_LATER or given.get(key, field.default) != field.default
            }
            if self.is_own_scene and name in ("stain", "render"):  # the scene has the values that are not given
                values = {key: value for key, value in values.items() if key in given or key in ("share", "bits")}
            if self.is_own_scene and name in FEATURES:
                values.pop("side", None)
            if name == "scene":  # where the file lies differs from machine to machine; what is in it is compared
                values["file"] = Path(values["file"]).name
            if name in FEATURES:
                values["splits"] = given.get("splits", SPLITS)
            sections[name] = {key: _plain(value) for key, value in values.items()}
        top = {"name": self.name, "plates": self.plates, "description": self.description, "seed": self.seed}
        return {**top, "splits": dict(self.splits), **sections}


def load(path: str | Path, scene: Mapping[str, Any] | None = None) -> Recipe:
    """Read and check a recipe.

    Args:
        scene: values of [scene] from elsewhere, such as the file that is open; they make it a recipe of that scene.

    Raises:
        UserError: no such file, no TOML, an unknown key, a value of the wrong kind or out of range; the message names
            file, key, value and what is allowed.
    """
    path = Path(path)
    top, sections = _read(path, ())
    if "count" not in top:
        raise UserError(f"{path}: expected a key 'count', the number of samples; a recipe needs one")
    splits = top.get("splits", {"train": 1})
    name = top.get("name", path.stem)
    if scene is not None:
        sections = {**sections, "scene": {**sections.get("scene", {}), **scene}}
    check_sections(sections, str(path))
    return Recipe(
        name=name,
        plates=top.get("plates", name),
        description=top.get("description", ""),
        count=top["count"],
        seed=top.get("seed", 0),
        splits=tuple((split, splits[split]) for split in SPLITS if splits.get(split)),
        sections=sections,
    )


def check_sections(sections: Mapping[str, Any], place: str) -> None:
    """
    Raises:
        UserError: sections of the plate beside a person's own scene, or sections of a scene without one.
    """
    if "scene" in sections:
        wrong = [name for name in sections if name not in WITH_OWN_SCENE]
        if wrong:
            raise UserError(f"{place}: [{wrong[0]}] describes the plate, and [scene] renders your own scene; expected "
                            f"only {', '.join(WITH_OWN_SCENE)}")
        sided = [name for name in sections if name in FEATURES and "side" in sections[name]]
        if sided:
            raise UserError(f"{place}: {sided[0]}.side: a plate has sides, and a part of your own has none; leave "
                            "it out")
        close = [name for name in sections if name in FEATURES and _least(sections[name].get("border_mm", 0.0)) < 0]
        if close:
            raise UserError(f"{place}: {close[0]}.border_mm = {_plain(sections[close[0]]['border_mm'])}: expected at "
                            "least 0 on a part of your own, which ends at its edges")
        return
    alone = [name for name in sections if name in OWN_SCENE]
    if alone:
        raise UserError(f"{place}: [{alone[0]}] varies your own scene; expected a [scene] too, or --scene")


def _read(path: Path, seen: tuple[Path, ...]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Checked top-level keys and sections of `path`, laid over those of the file that it extends."""
    if Path(os.path.realpath(path)) in seen:
        raise UserError(f"{path}: 'extends' goes in a circle: {' -> '.join(str(file.name) for file in seen)}")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: cannot read the recipe: it is a folder, a pipe or a device, expected a file")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors on Windows begin with a mark
    except FileNotFoundError as error:
        hint = f", named by {seen[-1]}" if seen else ""
        raise UserError(f"{path}: no such recipe{hint}; recipes lie in scenes/recipes/") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot read the recipe: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not a TOML file: {error}") from error
    except RecursionError as error:
        raise UserError(f"{path}: not a recipe: nested too deep") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise UserError(f"{path}: not a TOML file: {error}") from error

    top: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    if "extends" in table:
        base = table["extends"]
        if not isinstance(base, str):
            raise UserError(f"{path}: extends = {base!r}: expected the path of another recipe, relative to this one")
        top, sections = _read(path.parent / base, (*seen, Path(os.path.realpath(path))))
        top.pop("name", None)  # a name belongs to its own file
        if "name" in table and "plates" not in table and "seed" in table:
            top.pop("plates", None)  # another seed, other plates
    for key, value in table.items():
        if key in SECTIONS:
            sections = {**sections, key: {**sections.get(key, {}), **_parse_section(path, key, value)}}
        elif key in TOP_KEYS:
            top[key] = _parse_top(path, key, value)
        else:
            raise UserError(f"{path}: unknown key '{key}'; {_meant(key, (*TOP_KEYS, *SECTIONS))}")
    return top, sections


def _parse_section(path: Path, section: str, table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise UserError(f"{path}: {section} = {table!r}: expected a table [{section}]")
    keys = _fields(section)
    parsed: dict[str, Any] = {}
    for key, value in table.items():
        place = f"{path}: {section}.{key}"
        if key == "splits" and section in FEATURES:
            if not isinstance(value, list) or not value or not all(split in SPLITS for split in value):
                raise UserError(f"{place} = {value!r}: expected a list out of {', '.join(SPLITS)}")
            parsed[key] = tuple(value)
        elif key in keys:
            text = section in OWN_SCENE and own_scene.is_text(keys[key])
            parsed[key] = (own_scene.parse_text if text else parse)(value, keys[key], place)
            if key in own_scene.CONSTANT.get(section, ()) and isinstance(parsed[key], Range):
                raise UserError(f"{place} = {value!r}: expected one number, the same for all parts")
            if section == "scene" and key == "file":
                parsed[key] = str((path.parent / value).resolve())
            if key in ONE_WORD and isinstance(parsed[key], Choice):
                raise UserError(f"{place} = {value!r}: expected one word, the same for all plates")
        else:
            names = [*keys, "splits"] if section in FEATURES else list(keys)
            raise UserError(f"{path}: unknown key '{section}.{key}'; {_meant(key, names, f' in [{section}]')}")
    if section == "render" and parsed.get("bits", 8) not in (8, 16):
        raise UserError(f"{path}: render.bits = {parsed['bits']!r}: expected 8 or 16")
    ranges = [key for key in CONSTANT if section == "acquisition" and isinstance(parsed.get(key), Range)]
    if ranges:
        place = f"{path}: acquisition.{ranges[0]}"
        raise UserError(f"{place} = {table[ranges[0]]!r}: expected one number, the same for all plates")
    return parsed


def _meant(key: str, names: Sequence[str], where: str = "") -> str:
    """For the end of a message: the known name that is most like the key, if one is, and all of them."""
    # A name without its unit is the commonest slip, so it counts as near however long the unit is.
    near = [name for name in names if name.startswith(f"{key}_")] or difflib.get_close_matches(key, names, 1)
    return (f"did you mean '{near[0]}'? " if near else "") + f"allowed{where}: {', '.join(names)}"


def _parse_top(path: Path, key: str, value: Any) -> Any:
    place = f"{path}: {key}"
    if key in ("extends", "name", "plates", "description"):
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{place} = {value!r}: expected some text in quotes")
        if key in ("name", "plates") and not value.replace("-", "_").isidentifier():
            raise UserError(f"{place} = {value!r}: expected letters, digits, _ and -, since files are named after it")
        return value
    if key == "splits":
        good = isinstance(value, dict) and value and all(
            name in SPLITS and isinstance(weight, int) and not isinstance(weight, bool) and 0 <= weight <= 10**6
            for name, weight in value.items()
        )
        if not good or not any(value.values()):
            raise UserError(f"{place} = {value!r}: expected whole weights, e.g. {{train = 8, val = 1, test = 1}}")
        return value
    low = 1 if key == "count" else 0
    high = 10**6 if key == "count" else 2**53
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UserError(f"{place} = {value!r}: expected a whole number from {low} to {high}")
    return value


def _fields(section: str) -> dict[str, Any]:
    return {key: field for part in SECTIONS[section] for key, field in parameters_of(part).items()}


def _least(value: float | Range) -> float:
    return value.low if isinstance(value, Range) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Range):
        return [value.low, value.high]
    if isinstance(value, Choice):
        return list(value.words)
    return list(value) if isinstance(value, tuple) else value
