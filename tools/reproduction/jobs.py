# SPDX-License-Identifier: Apache-2.0
"""From the plan to jobs: what each runs, what it needs, and what its result depends on. Nothing is run here."""

import json
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sequential_patchcore.data.dataset import Dataset
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.runtime.files import write_text

from .plan import DRAWN, GREEDY, REAL, Data, Plan, Scenario

CAMERA_PX = (2448, 2050)
RENDER, TRAIN, SCORE = "render", "train", "score"
SPLITS = ("train", "val", "test")
EXACT_FOLDER, DRAWN_FOLDER = "data", "drawn"
"""In the folder of a rendering: the data set with its exact masks; the same images, labelled as a person draws."""

# Processor seconds on the machine of docs/reproduction.md, at 25 %. They only weigh the estimate of the time left; the
# pace of each kind of job is taken from those that have run.
_SECONDS = {RENDER: 7.0, TRAIN: 0.25, SCORE: 0.8}
_SECONDS_TO_START = {RENDER: 4.0, TRAIN: 7.0, SCORE: 20.0}

Commands = Callable[[Path, Mapping[str, Path]], list[tuple[str, list[str]]]]


@dataclass(frozen=True)
class Job:
    """Some commands that leave their result in one folder.

    Attributes:
        needs: ids of the jobs that come before it.
        settings: what its result depends on beside them, JSON-ready.
        commands: (its folder, folders of its needs) to named command lines; may write files into its folder.
        work: expected processor seconds.
        product: the file in its folder that is there when it is done.
        memory_gib: of its processes.
        optional: without it the rest is still whole.
    """

    id: str
    title: str
    kind: str
    needs: tuple[str, ...]
    settings: Mapping
    commands: Commands
    work: float
    product: str
    memory_gib: float
    optional: bool = False


@dataclass(frozen=True)
class Setting:
    """What the machine and the caller add to the plan.

    Attributes:
        repository: where the recipes lie.
        renderer: the command line of the headless renderer, without options.
        backbone: options of `train` that choose the features.
        extra_backbones: scenario to such options, for rows with a backbone of their own.
        identity: of such options, wherever the weights lie.
        threads: of one process.
        real: the data set given in place of the rendered one.
    """

    repository: Path
    renderer: tuple[str, ...]
    backbone: tuple[str, ...]
    extra_backbones: Mapping[str, tuple[str, ...]]
    identity: Callable[[tuple[str, ...]], str]
    threads: int = 1
    real: Dataset | None = None

    def scale(self, plan: Plan) -> float:
        """Percent of the camera's image: synthetic pictures are as large as the real ones."""
        if self.real is None:
            return plan.preset.scale
        return 100.0 * self.real.image_size(self.real.samples[0])[1] / CAMERA_PX[0]

    def image_scale(self, plan: Plan) -> float:
        """By which images are resized before the features: real ones may be larger than the preset's."""
        return min(1.0, plan.preset.scale / self.scale(plan))


def jobs_of(plan: Plan, setting: Setting) -> list[Job]:
    """All jobs, each after those that it needs; without rows that have no weights, and what starts from those."""
    wanted: list[Scenario] = []
    for each in plan.scenarios:
        with_weights = each.backbone is None or each.id in setting.extra_backbones
        if with_weights and {of.id for of in wanted}.issuperset(each.parents):
            wanted.append(each)
    used = {REAL, *(name for each in wanted for name in (*each.train, *each.impurities))}
    counts = image_counts(plan, setting)
    rendered = [each for each in plan.data if each.id in used and not (each.id == REAL and setting.real is not None)]
    jobs = [_rendering(each, plan, setting, counts[each.id]["all"]) for each in rendered]
    for each in wanted:
        jobs += [_training(each, plan, setting, counts), _scoring(each, plan, setting, counts)]
    return jobs


def image_counts(plan: Plan, setting: Setting) -> dict[str, dict[str, int]]:
    """Per data set the images in all and by split: of the real one as given or as its recipe says."""
    found = {}
    for each in plan.data:
        if each.id == REAL and setting.real is not None:
            splits = [sample.split for sample in setting.real.samples]
            found[REAL] = {"all": len(splits)} | {name: splits.count(name) for name in SPLITS}
            continue
        levels = [tomllib.loads(text) for text in recipe_texts(setting.repository / each.recipe)]
        top = {key: value for level in levels for key, value in level.items()}
        # A recipe's count is of pictures; under another grid of them it stays as many plates.
        plates = top.get("count", 1) // _pictures_of_a_plate(levels)
        total = each.count or plates * _pictures_of_a_plate([*levels, each.over])
        weights = top.get("splits", {"train": 1})
        found[each.id] = {"all": total} | {
            name: round(total * weights.get(name, 0) / sum(weights.values())) for name in SPLITS
        }
    return found


def _pictures_of_a_plate(levels: Sequence[Mapping]) -> int:
    grid = {"columns": 1, "rows": 1, "sides": 1}
    for level in levels:
        grid |= level.get("acquisition", {})
    return grid["columns"] * grid["rows"] * grid["sides"]


def recipe_texts(path: Path) -> list[str]:
    """The recipe and those that it extends, the first of them first.

    Raises:
        UserError: one cannot be read.
    """
    texts = []
    while path is not None and len(texts) < 16:
        try:
            text = path.read_text(encoding="utf-8")
            base = tomllib.loads(text).get("extends")
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UserError(f"{path}: cannot read the recipe: {error}") from error
        texts.append(text)
        path = path.parent / base if base else None
    return texts[::-1]


def derived_recipe(base: Path, of: Data, name: str) -> str:
    """The text of a recipe that lays the values, and perhaps the seed, of a data set on another."""
    lines = [f"extends = {json.dumps(str(base))}", f"name = {json.dumps(name)}"]
    if of.seed is not None:  # with a seed of its own a recipe has plates of its own, named here
        lines += [f"seed = {of.seed}", f"plates = {json.dumps(of.series)}"]
    for section, values in of.over.items():
        lines += ["", f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def _rendering(of: Data, plan: Plan, setting: Setting, count: int) -> Job:
    base = setting.repository / of.recipe
    name = base.stem if of.id == REAL else of.id  # no record of a rendered plate says "real"
    scale, samples = setting.scale(plan), plan.preset.samples
    options = ["--count", str(count), "--scale", f"{scale:g}", "--threads", str(setting.threads)]
    options += ["--samples", str(samples)] if samples else []
    drawn = of.id == REAL and plan.preset.labels == DRAWN
    options += ["--human-labels"] if drawn else []

    def commands(folder: Path, _needs: Mapping[str, Path]) -> list[tuple[str, list[str]]]:
        recipe, rendered = folder / "recipe.toml", str(folder / EXACT_FOLDER)
        write_text(recipe, derived_recipe(base, of, name))
        made = [(RENDER, [*setting.renderer, "--recipe", str(recipe), "--out", rendered, *options])]
        labelled = [*patchcore(), "import", "labelme", rendered, "--like", rendered, "--name", name, "--overwrite",
                    "--out", str(folder / DRAWN_FOLDER)]
        return [*made, ("labels", labelled)] if drawn else made

    settings = {
        "name": name, "recipe": recipe_texts(base), "over": of.over, "count": count, "scale": scale, "samples": samples,
        **({"labels": DRAWN} if drawn else {}), **({} if of.seed is None else {"seed": of.seed}),
    }
    larger = (scale / 25) ** 2
    work = _SECONDS_TO_START[RENDER] + count * (2.0 + _SECONDS[RENDER] * larger * (samples or 24) / 12)
    return Job(data_job(of.id), f"rendering {name}", RENDER, (), settings, commands, work,
               f"{DRAWN_FOLDER if drawn else EXACT_FOLDER}/dataset.json", plan.preset.memory_gib)


def _training(of: Scenario, plan: Plan, setting: Setting, counts: Mapping) -> Job:
    preset, data = plan.preset, [name for name in of.train if name != REAL or setting.real is None]
    needs = (*(data_job(name) for name in data), *(train_job(name) for name in of.parents))
    backbone = setting.extra_backbones.get(of.id, setting.backbone)
    memory = preset.greedy_gib if of.coreset == GREEDY else preset.memory_gib
    size, epochs = of.coreset_size or preset.coreset_size, of.epochs or preset.epochs
    run = [] if of.coreset == GREEDY else ["--epochs", str(epochs)]  # the baseline chooses once
    run += ["--threads", str(setting.threads), "--memory-budget", f"{memory:g}GiB"]
    # The real plates end inside the picture, and regions/ says where; only renders of a middle have a border cut.
    run += ["--no-border-mask"] if REAL in of.train else []
    run += ["--augment"] if of.augment else []
    kind = ["--coreset-size", str(size), "--coreset", of.coreset,
            "--image-scale", f"{setting.image_scale(plan):g}"]

    def commands(folder: Path, needs: Mapping[str, Path]) -> list[tuple[str, list[str]]]:
        model = ["--out", str(model_file(folder, of))]
        parents = [str(model_file(needs[train_job(name)], plan.scenario(name))) for name in of.parents]
        if of.meld:
            return [("train", [*patchcore(), "meld", *parents, *model])]
        sets = [part for name in of.train for part in ("--data", str(data_folder(needs, name, setting)))]
        if of.start:
            return [("train", [*patchcore(), "finetune", "--model", parents[0], *sets, *model, *run])]
        return [("train", [*patchcore(), "train", *sets, *model, *backbone, *kind, *run])]

    settings = {
        "scenario": [of.train, of.start, of.meld, of.augment, of.coreset], "coreset_size": size,
        "epochs": epochs, "backbone": setting.identity(backbone), "image_scale": setting.image_scale(plan),
        "real": setting.real.fingerprint if setting.real is not None and REAL in of.train else None,
    }
    passes = epochs + (1 if REAL in of.train else 2)
    images = sum(counts[name]["train"] for name in of.train) * passes
    return Job(train_job(of.id), f"training {of.name}", TRAIN, needs, settings, commands,
               _SECONDS_TO_START[TRAIN] + images * _SECONDS[TRAIN] * _times_larger(plan),
               f"{of.id}.h5", memory, of.extra)


def _scoring(of: Scenario, plan: Plan, setting: Setting, counts: Mapping) -> Job:
    needs = (train_job(of.id), *((data_job(REAL),) if setting.real is None else ()), *map(data_job, of.impurities))

    def commands(folder: Path, needs: Mapping[str, Path]) -> list[tuple[str, list[str]]]:
        model, data = model_file(folder, of), str(data_folder(needs, REAL, setting))
        if not model.exists():  # the threshold belongs to this data set; the trained model stays as it is
            beside = model.with_suffix(".part")
            beside.write_bytes(model_file(needs[train_job(of.id)], of).read_bytes())
            beside.replace(model)
        named, library = model, []
        if of.impurities:
            named = folder / f"{of.id}.named.h5"
            sets = [part for name in of.impurities for part in ("--data", str(data_folder(needs, name, setting)))]
            library = [
                ("impurities", [*patchcore(), "impurities", "--model", str(model), *sets, "--out", str(named),
                                "--overwrite"]),
                ("verdicts", [*patchcore(), "verdicts", "--model", str(named), *sets, "--val", data]),
            ]
        return [
            ("calibrate", [*patchcore(), "calibrate", "--model", str(model), "--data", data]),
            *library,
            ("evaluate", [*patchcore(), "evaluate", "--model", str(named), "--data", data, "--out",
                          str(folder / "results")]),
        ]

    settings = {"real": setting.real.fingerprint if setting.real is not None else None}
    if of.impurities:
        settings["impurities"] = list(of.impurities)
    images = counts[REAL]["val"] + counts[REAL]["test"]
    return Job(score_job(of.id), f"evaluating {of.name}", SCORE, needs, settings, commands,
               _SECONDS_TO_START[SCORE] + images * _SECONDS[SCORE] * _times_larger(plan),
               "results/metrics.json", plan.preset.memory_gib, of.extra)


def _times_larger(plan: Plan) -> float:
    return (plan.preset.scale / 25) ** 2


def patchcore() -> list[str]:
    return [sys.executable, "-m", "sequential_patchcore"]


def data_job(name: str) -> str:
    return f"data.{name}"


def train_job(scenario: str) -> str:
    return f"{scenario}.train"


def score_job(scenario: str) -> str:
    return f"{scenario}.score"


def model_file(folder: Path, of: Scenario) -> Path:
    return folder / f"{of.id}.h5"


def data_folder(needs: Mapping[str, Path], name: str, setting: Setting) -> Path:
    """The data set that a scenario reads: given, or rendered, with drawn labels where there are some."""
    if name == REAL and setting.real is not None:
        return setting.real.path
    return labelled_folder(needs[data_job(name)])


def labelled_folder(rendering: Path) -> Path:
    """In the folder of a finished rendering, the data set by whose labels models are judged."""
    drawn = rendering / DRAWN_FOLDER
    return drawn if drawn.is_dir() else rendering / EXACT_FOLDER
