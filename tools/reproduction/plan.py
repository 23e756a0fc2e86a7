# SPDX-License-Identifier: Apache-2.0
"""What is to be reproduced: the scenarios, sizes and findings of paper.toml, read and checked."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sequential_patchcore.runtime.errors import UserError

from .toml_table import Table

REAL = "real"
"""The data set that stands for real plates; all others are synthetic."""
FIGURES = ("precision", "recall", "f1", "mean_defect_wise_recall")
"""The columns of table II, by the names of the evaluation."""
SECONDS = "seconds"
SEQUENTIAL, GREEDY = "sequential", "greedy"
EXACT, DRAWN = "exact", "drawn"
EXPECTED = ("higher", "lower", "near")
_BY_CLASS = ("pixel_recall.", "defect_wise_recall.")


@dataclass(frozen=True)
class Preset:
    """A size: scale in percent of the camera's image, light paths a pixel (0: the recipe's), pictures of each synthetic
    set; GiB of one process, and of the greedy baseline, which holds all patches; whether the rendered plates are judged
    by their exact masks or by labels drawn as a person draws them.
    """

    name: str
    title: str
    scale: float
    samples: int
    pictures: int
    coreset_size: int
    epochs: int
    memory_gib: float
    greedy_gib: float
    labels: str = EXACT


@dataclass(frozen=True)
class Data:
    """A data set to be rendered: a recipe, and values laid over it, by section and key; count 0 is the recipe's.

    `seed`: the master seed, None for the recipe's.
    """

    id: str
    recipe: str
    over: Mapping[str, Mapping[str, Any]]
    count: int
    seed: int | None = None

    @property
    def series(self) -> str:
        """Of plates: recipes whose names differ by stains alone show the same."""
        return Path(self.recipe).stem.removesuffix("_ws")


@dataclass(frozen=True)
class Scenario:
    """A row of table II: trained on `train`, from `start` if given, or melded of `meld`; `paper`: percent, or None.

    `coreset_size`, `epochs`: other than the preset's. Alarms are named by memories and a rule made of the data sets
    `impurities`, where there are any.
    """

    id: str
    name: str
    train: tuple[str, ...] = ()
    start: str | None = None
    meld: tuple[str, ...] = ()
    augment: bool = False
    coreset: str = SEQUENTIAL
    backbone: str | None = None
    impurities: tuple[str, ...] = ()
    extra: bool = False
    paper: tuple[float, ...] | None = None
    coreset_size: int | None = None
    epochs: int | None = None

    @property
    def parents(self) -> tuple[str, ...]:
        return self.meld or ((self.start,) if self.start else ())


@dataclass(frozen=True)
class Claim:
    """The mean of `figure` over the scenarios `of` against that over `than`; each side's name is for people."""

    figure: str
    of: tuple[str, ...]
    than: tuple[str, ...]
    expected: str
    of_name: str = ""
    than_name: str = ""
    margin: float = 0.0
    share: float = 1.0


@dataclass(frozen=True)
class Finding:
    title: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Plan:
    """Everything of paper.toml for one preset. `table_1`: scenario, class, the paper's (pixel, defect-wise) recall;
    `test_set`: class to the paper's instances and percent of the defects' area, as far as its tables give them away.
    """

    preset: Preset
    label: str
    data: tuple[Data, ...]
    scenarios: tuple[Scenario, ...]
    table_1: Mapping[str, Mapping[str, tuple[float | None, float | None]]]
    findings: tuple[Finding, ...]
    test_set: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)

    def scenario(self, of: str) -> Scenario:
        return next(each for each in self.scenarios if each.id == of)

    @property
    def pictures(self) -> dict[str, int]:
        return {each.id: each.count for each in self.data}


def load_plan(path: str | Path, preset: str) -> Plan:
    """Read and check the file.

    Raises:
        UserError: no such file, no TOML, an unknown preset or key, a value of the wrong kind, a name that nothing has.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot read the scenarios: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a TOML file: {error}") from error
    except RecursionError as error:
        raise UserError(f"{path}: not a file of scenarios: nested too deep") from error
    top = Table(str(path), table)
    presets = top.table("presets")
    if preset not in presets.values:
        raise UserError(f"unknown preset {preset!r}: expected one of {', '.join(presets.values)}")
    real, size = top.table("real"), presets.table(preset)
    station = _sections(f"{path}: station", top.table("station", {}).values)
    chosen = _preset(preset, size)
    recipe, over = size.take("real_recipe", str, real.take("recipe", str)), size.table("real_set", {}).values
    data = [Data(REAL, recipe, _sections(f"{path}: real_set", over), 0)]
    by_size = {name: _sections(entry.place, entry.values) for name, entry in size.table("set", {}).tables()}
    _all_known(str(path), f"presets.{preset}.set", by_size, set(top.table("data").values), "data set")
    for name, entry in top.table("data").tables():
        over = _over(station, _sections(entry.place, entry.table("set", {}).values))
        over = _over(over, by_size.get(name, {}))
        data.append(Data(name, entry.take("recipe", str), over, chosen.pictures))
        entry.done()
    scenarios = tuple(_scenario(entry) for entry in top.entries("scenario"))
    sides = {of.id: ((of.id,), of.name) for of in scenarios}
    for name, entry in top.table("group", {}).tables():
        if name in sides:
            raise UserError(f"{entry.place}: a scenario has that name already")
        sides[name] = (entry.names("members"), "the mean of " + entry.take("title", str))
        entry.done()
    plan = Plan(
        chosen, real.take("label", str), tuple(data), scenarios,
        {name: _pairs(entry) for name, entry in top.table("table_1").tables()},
        tuple(_finding(entry, sides) for entry in top.entries("finding")), _pairs(top.table("test_set", {})),
    )
    for entry in (top, real, size):
        entry.done()
    _check_names(str(path), plan)
    return plan


def with_seed(plan: Plan, seed: int) -> Plan:
    """The same plan on other plates: every rendered series of plates gets a master seed of its own, from `seed` on.

    Sets that show one series, such as a clean one and the same with stains, keep one seed.
    """
    series = list(dict.fromkeys(each.series for each in plan.data))
    return replace(plan, data=tuple(replace(each, seed=seed + series.index(each.series)) for each in plan.data))


def _preset(name: str, of: Table) -> Preset:
    made = Preset(
        name, of.take("title", str), float(of.take("scale", (int, float))), of.take("samples", int),
        of.take("pictures", int), of.take("coreset_size", int), of.take("epochs", int),
        float(of.take("memory_gib", (int, float))), float(of.take("greedy_gib", (int, float))),
        of.take("labels", str, EXACT),
    )
    if made.labels not in (EXACT, DRAWN):
        raise UserError(f"{of.place}: labels = {made.labels!r}: expected {EXACT!r} or {DRAWN!r}")
    for key in ("scale", "pictures", "coreset_size", "epochs", "memory_gib", "greedy_gib"):
        if getattr(made, key) <= 0:
            raise UserError(f"{of.place}: {key} = {getattr(made, key)}: expected a number above 0")
    return made


def _scenario(of: Table) -> Scenario:
    made = Scenario(
        of.take("id", str), of.take("name", str), of.names("train", []), of.take("start", str, None),
        of.names("meld", []), of.take("augment", bool, False), of.take("coreset", str, SEQUENTIAL),
        of.take("backbone", str, None), of.names("impurities", []), of.take("extra", bool, False),
        of.numbers("paper", len(FIGURES)), of.take("coreset_size", int, None), of.take("epochs", int, None),
    )
    of.done()
    if made.coreset_size is not None and (made.coreset_size < 1 or made.start or made.meld):
        raise UserError(f"{of.place} {made.id}: coreset_size = {made.coreset_size}: expected a number above 0, where "
                        "training begins: a coreset keeps the size that it started with")
    if made.epochs is not None and (made.epochs < 1 or made.meld):
        raise UserError(f"{of.place} {made.id}: epochs = {made.epochs}: expected a number above 0, where "
                        "images are seen")
    if bool(made.train) == bool(made.meld) or (made.start and made.meld):
        raise UserError(f"{of.place} {made.id}: expected either train = [...], with a start or not, or meld = [...]")
    if len(made.meld) == 1:
        raise UserError(f"{of.place} {made.id}: melding needs at least two scenarios")
    if not made.extra and made.paper is None:
        raise UserError(f"{of.place} {made.id}: expected the paper's figures, or extra = true")
    return made


def _finding(of: Table, sides: Mapping[str, tuple[tuple[str, ...], str]]) -> Finding:
    title, claims = of.take("title", str), tuple(_claim(entry, sides) for entry in of.entries("claim"))
    of.done()
    return Finding(title, claims)


def _claim(of: Table, sides: Mapping[str, tuple[tuple[str, ...], str]]) -> Claim:
    left, right = of.take("of", str), of.take("than", str)
    for name in (left, right):
        if name not in sides:
            raise UserError(f"{of.place}: there is no scenario or group {name!r}")
    made = Claim(
        of.take("figure", str), sides[left][0], sides[right][0], of.take("expected", str), sides[left][1],
        sides[right][1], float(of.take("margin", (int, float), 0.0)), float(of.take("share", (int, float), 1.0)),
    )
    of.done()
    if made.figure not in (*FIGURES, SECONDS) and not made.figure.startswith(_BY_CLASS):
        raise UserError(f"{of.place}: unknown figure {made.figure!r}: expected {', '.join((*FIGURES, SECONDS))}, "
                        f"or {' or '.join(f'{start}CLASS' for start in _BY_CLASS)}")
    if made.expected not in EXPECTED or (made.figure == SECONDS and made.expected != "lower"):
        raise UserError(f"{of.place}: expected = {made.expected!r}: expected one of {', '.join(EXPECTED)}; "
                        "seconds can only be lower")
    if (made.expected == "near") != (made.margin > 0):
        raise UserError(f"{of.place}: a margin above 0 belongs to expected = 'near', and only there")
    return made


def _pairs(of: Table) -> dict[str, tuple[float | None, float | None]]:
    read = {name: of.numbers(name, 2) for name in list(of.values)}
    return {name: tuple(None if value < 0 else value for value in pair) for name, pair in read.items()}


def _sections(place: str, given: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    for section, values in given.items():
        if not isinstance(values, dict):
            raise UserError(f"{place}: {section} = {values!r}: expected a table of the recipe's section {section}")
    return given


def _over(base: Mapping[str, Mapping], top: Mapping[str, Mapping]) -> dict[str, dict]:
    return {key: {**base.get(key, {}), **top.get(key, {})} for key in (*base, *(key for key in top if key not in base))}


def _check_names(path: str, plan: Plan) -> None:
    data, known = {each.id for each in plan.data}, set()
    for each in plan.scenarios:
        if each.id in known:
            raise UserError(f"{path}: two scenarios have the id {each.id!r}")
        _all_known(path, f"scenario {each.id}", (*each.train, *each.impurities), data, "data set")
        _all_known(path, f"scenario {each.id}", each.parents, known, "earlier scenario")
        known.add(each.id)
    _all_known(path, "table_1", plan.table_1, known, "scenario")
    for finding in plan.findings:
        for claim in finding.claims:
            _all_known(path, f"finding {finding.title!r}", (*claim.of, *claim.than), known, "scenario")


def _all_known(path: str, place: str, names: Any, known: set[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"{path}: {place}: there is no {what} {name!r}")
