# SPDX-License-Identifier: Apache-2.0
"""`make reproduce`: arguments -> plan -> jobs -> tables; errors -> one line, exit codes as everywhere."""

import argparse
import json
import shlex
import sys
import time
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import sequential_patchcore
from sequential_patchcore import __version__
from sequential_patchcore.data.dataset import Dataset, open_dataset
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.runtime.files import make_folder, write_text

from . import machine
from .estimate import duration
from .jobs import RENDER, SCORE, TRAIN, Job, Setting, image_counts, jobs_of, labelled_folder, score_job, train_job
from .page import Circumstances, write_results
from .plan import REAL, Plan, load_plan, with_seed
from .pool import Outcome, only_one, run_jobs
from .results import Results
from .store import code_digest, fingerprint, folder_of, read_done

DONE, FAULT, USAGE, INTERRUPTED = 0, 1, 2, 130
PLAN = Path(__file__).parent / "paper.toml"
_MEMORY_SHARE = 0.75  # of the machine's, for the processes together


def say(text: str) -> None:
    print(f"reproduce: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str], repository: Path) -> int:
    """Run the command; returns the exit code. Progress goes to stderr, the page to stdout's end as a path."""
    parsed = _parser().parse_args(arguments)
    try:
        return _run(parsed, repository)
    except UserError as error:
        line = " ".join(str(error).split())
        say(line if len(line) <= 1500 else f"{line[:750]} ... {line[-500:]}")  # one that quotes a whole file
        return USAGE
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from there")
        return INTERRUPTED


def _run(parsed: argparse.Namespace, repository: Path) -> int:
    plan = load_plan(parsed.plan, parsed.preset)
    folder = plan.preset.name
    if parsed.seed is not None:
        plan, folder = with_seed(plan, parsed.seed), f"{folder}_seed{parsed.seed}"
    real = _real(parsed.real)
    out = Path(parsed.out or repository / "out" / "reproduction" / folder).absolute()
    written = Path(parsed.tables or out).absolute()
    make_folder(out)
    make_folder(written)
    began = time.monotonic()
    setting, left_out = _setting(plan, real, out, repository)
    jobs = jobs_of(plan, setting)
    slots = parsed.jobs or max(1, min(machine.cores(), len(jobs)))
    budget = machine.memory_gib() * _MEMORY_SHARE
    versions = _versions(repository)
    if parsed.dry_run:
        _print_plan(jobs, out, versions, slots)
        return DONE
    _check_renderer(setting, jobs)
    with only_one(out, say) as lock:
        counted = f"{len(jobs)} jobs, {slots} at a time with {budget:.0f} GiB for all of them"
        say(f"preset {plan.preset.name}: {counted}; logs and models in {out / 'work'}")
        outcome = run_jobs(jobs, out, versions, slots, budget, setting.threads, lock, _result_of, say)
        if outcome.interrupted:
            raise KeyboardInterrupt
        optional = {job.id for job in jobs if job.optional}
        if failed := {name: of for name, of in outcome.failed.items() if name not in optional}:
            say(f"{len(failed)} of {len(jobs)} jobs are missing, so no tables were written; the same command goes on")
            return USAGE if all(of.code in (0, USAGE) for of in failed.values()) else FAULT
        for of in plan.scenarios:
            if of.id not in left_out and score_job(of.id) not in outcome.done:
                failed = any(train_job(of.id) == job.id for job in jobs)
                left_out[of.id] = "failed; see its log" if failed else "what it starts from is left out"
        command = _command(parsed, plan)
        how = _circumstances(plan, setting, outcome, jobs, command, time.monotonic() - began, left_out)
        page = write_results(plan, _results(plan, outcome), how, written)
        if parsed.write_docs:
            write_text(repository / "docs" / "reproduction.md", page)
    print(page.split("## What holds")[1].split("| claim |")[0].strip())
    print(f"in {duration(time.monotonic() - began)}; tables, curves and findings: {written}")
    return DONE


def _real(given: str | None) -> Dataset | None:
    if given is None:
        return None
    dataset = open_dataset(given)
    for split in ("train", "val", "test"):
        dataset.split(split)  # raises where there is none
    return dataset


def _setting(plan: Plan, real: Dataset | None, out: Path, repository: Path) -> tuple[Setting, dict[str, str]]:
    """The machine's part of the plan, and which scenarios are left out for want of weights."""
    import renderer
    from backbone import choose_backbone, find_weights, identity

    weights = repository.parent / "shared" / "weights"
    backbone = tuple(choose_backbone(out, weights, say))
    extra, left_out = {}, {}
    for of in plan.scenarios:
        if of.backbone is None:
            continue
        options = _kept(out / "extra_backbones.json", of.backbone) or find_weights(of.backbone, weights, say)
        if options is None:
            left_out[of.id] = f"weights not available ({of.backbone})"
            say(f"{of.name}: no weights of {of.backbone}, neither in {weights} nor by timm's hub; the row is left out")
        else:
            extra[of.id] = tuple(options)
            _keep(out / "extra_backbones.json", of.backbone, options)
    try:
        render = tuple(renderer.command(repository))
    except renderer.NoRenderer:
        render = ()  # refused only where there is something to render
    return Setting(repository, render, backbone, extra, identity, 1, real), left_out


def _kept(file: Path, backbone: str) -> list[str] | None:
    return json.loads(file.read_text()).get(backbone) if file.is_file() else None


def _keep(file: Path, backbone: str, options: Sequence[str]) -> None:
    known = json.loads(file.read_text()) if file.is_file() else {}
    write_text(file, json.dumps(known | {backbone: list(options)}))


def _check_renderer(setting: Setting, jobs: Sequence[Job]) -> None:
    if any(job.kind == RENDER for job in jobs) and not setting.renderer:
        raise UserError("there is no renderer here: run `make setup`, or give BLENDER=EXECUTABLE")


def _versions(repository: Path) -> dict[str, dict[str, str]]:
    """By kind of job, the number and the code of the program that does it."""
    addon, training = repository / "blender_addon", Path(sequential_patchcore.__file__).parent
    number = str(tomllib.loads((addon / "blender_manifest.toml").read_text(encoding="utf-8"))["version"])
    shaders = code_digest(repository / "shaders")
    return {
        RENDER: {"surface_impurities": number, "code": code_digest(addon, "ui"), "shaders": shaders},
        TRAIN: {"sequential-patchcore": __version__, "code": code_digest(training, "report")},
        SCORE: {"sequential-patchcore": __version__, "code": code_digest(training)},
    }


def _result_of(job: Job, folder: Path) -> str | None:
    """What later jobs depend on: of a data set the checksums of its records."""
    return open_dataset(labelled_folder(folder)).fingerprint if job.kind == RENDER else None


def _results(plan: Plan, outcome: Outcome) -> Results:
    metrics, seconds = {}, {}
    for of in plan.scenarios:
        if (name := score_job(of.id)) in outcome.done:
            file = outcome.folders[name] / "results" / "metrics.json"
            metrics[of.id] = json.loads(file.read_text(encoding="utf-8"))
            training = outcome.done[train_job(of.id)]
            if not training.resumed:
                seconds[of.id] = sum(training.cpu_seconds.values())
    return Results(metrics, seconds)


def _circumstances(
    plan: Plan, setting: Setting, outcome: Outcome, jobs: Sequence[Job], command: str, elapsed: float,
    left_out: Mapping[str, str],
) -> Circumstances:
    times: dict[str, float] = defaultdict(float)
    words = {RENDER: "rendering", TRAIN: "training", SCORE: "evaluation"}
    for job in jobs:
        if job.id in outcome.done:
            times[words[job.kind]] += sum(outcome.done[job.id].cpu_seconds.values())
    label = plan.label if setting.real is None else setting.real.name
    if setting.real is not None and setting.real.is_render:
        label += ", synthetic"
    options = dict(zip(setting.backbone[::2], setting.backbone[1::2], strict=True))
    weights = options.get("--weights")
    features = options["--backbone"]
    if weights:
        known = {"hub": "the weights of timm's hub", "none": "RANDOM weights"}
        features += f" with {known.get(weights, 'a weights file')}"
    else:
        features += ", for want of weights"
    counts = image_counts(plan, setting)
    images = {f"the real plates to {use}": counts[REAL][split]
              for split, use in (("train", "train on"), ("val", "set the threshold"), ("test", "test"))}
    images |= {name: of["all"] for name, of in counts.items() if name != REAL}
    about = f"{machine.processor()}, {machine.cores()} cores, {machine.memory_gib():.0f} GiB"
    loads = [done.load for done in outcome.done.values()]
    return Circumstances(
        command, max(done.date for done in outcome.done.values()), about, (min(loads), max(loads)), label, features,
        setting.scale(plan), left_out, images, times, None if outcome.kept else elapsed, setting.real is None,
    )


def _command(parsed: argparse.Namespace, plan: Plan) -> str:
    parts = ["make", "reproduce", f"PRESET={plan.preset.name}"]
    parts += [f"REAL={Path(parsed.real).name}"] if parsed.real else []
    options = [*(["--seed", str(parsed.seed)] if parsed.seed is not None else []),
               *(["--write-docs"] if parsed.write_docs else [])]
    parts += [f"ARGS={' '.join(options)}"] if options else []
    return shlex.join(parts)


def _print_plan(jobs: Sequence[Job], out: Path, versions: Mapping[str, Mapping], slots: int) -> None:
    known: dict[str, str] = {}
    left = 0.0
    for job in jobs:
        state = "to do"
        if all(need in known for need in job.needs):
            needs = {need: known[need] for need in job.needs}
            of = fingerprint({"id": job.id, **job.settings}, needs, versions[job.kind])
            folder = folder_of(out, job.id, of)
            done = read_done(folder)
            if done is not None and (folder / job.product).exists():
                known[job.id], state = done.result, "finished"
        left += job.work if state == "to do" else 0.0
        print(f"{job.id:24} {state:9} about {duration(job.work)} of one core")
    print(f"{len(jobs)} jobs; about {duration(left / slots)} left with {slots} at a time, on cores like those of "
          "docs/reproduction.md")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "reproduce", description="The paper's tables by one command: render, train, evaluate, compare.",
        epilog="Environment: WEIGHTS=FILE and BACKBONE=NAME as for `make demo`, BLENDER=EXECUTABLE. Exit codes: 0 "
        "done; 2 wrong usage or bad input; 130 interrupted, the same command goes on; 1 a fault of ours.",
    )
    add = parser.add_argument
    add("--preset", default="small",
        help="a size out of paper.toml: small for a first look, medium for figures, full, or smoke to try the plumbing")
    add("--seed", type=_count, metavar="S",
        help="other plates: the first of the master seeds of what is rendered; the folder then ends in _seedS")
    add("--real", metavar="DIR", help="data set with the splits train, val and test, in place of the rendered twin")
    add("--out", metavar="DIR", help="result folder; default: out/reproduction/PRESET")
    add("--plan", default=str(PLAN), metavar="TOML", help="another file of scenarios")
    add("--tables", metavar="DIR", help="where tables, curves and page go, such as those of another plan; default: OUT")
    add("--jobs", type=_count, metavar="N", help="processes at a time, of one thread each; default: one a core")
    add("--write-docs", action="store_true", help="also write docs/reproduction.md")
    add("--dry-run", action="store_true", help="list the jobs, what is finished, and the time expected; run nothing")
    return parser


def _count(text: str) -> int:
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
