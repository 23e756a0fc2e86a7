# SPDX-License-Identifier: Apache-2.0
"""The command line: arguments -> one call; errors -> one line."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence

from .. import __version__
from ..runtime.errors import UserError
from ..runtime.locks import locked
from ..runtime.progress import use_json_lines, use_wording
from . import (
    data_commands,
    data_options,
    review_command,
    review_options,
    score_commands,
    score_options,
    train_commands,
    train_options,
    verdict_command,
)
from .option_names import Command, as_options

_DESCRIPTION = """\
Anomaly detection for surface inspection: a PatchCore memory (coreset) built sequentially, in constant memory.

The usual way:
  sequential-patchcore import labelme PHOTOS --splits splits.csv --out data/mine
  sequential-patchcore train     --data data/mine --out model.h5
  sequential-patchcore calibrate --model model.h5 --data data/mine
  sequential-patchcore evaluate  --model model.h5 --data data/mine --out results
  sequential-patchcore predict   --model model.h5 photo.png --out today"""

_EXIT = (
    "Exit codes: 0 done; 2 wrong usage or bad input; 130 interrupted, the same command goes on; 1 a fault of ours; "
    "3 and 4 only from predict --exit-code, 4 also from import --skip-bad where something was left out."
)


_LONGEST_LINE = 1500
"""Characters of a message."""

_FOR_TRAINING = ("torch", "torchvision", "timm", "numba", "h5py", "matplotlib", "jinja2", "markupsafe", "tqdm")


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Adds the default to the help where the text does not state it and there is one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.help and ("default" in action.help or isinstance(action.default, bool | list | None)):
            return action.help
        return super()._get_help_string(action)


def entry() -> None:
    """The installed command."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    parsed = build_parser().parse_args(arguments)
    use_json_lines(getattr(parsed, "json_progress", False))
    use_wording(lambda message: as_options(message, parsed.option_names))
    try:
        with _lock(parsed):
            return parsed.run(parsed) or 0
    except UserError as error:
        message = as_options(_one_line(str(error)), parsed.option_names)
        print(f"sequential-patchcore: {message}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in _FOR_TRAINING:
            raise
        print(
            f"sequential-patchcore: this needs {error.name}, which is not installed: "
            'pip install "sequential-patchcore[train]"; only an export runs without it',
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("sequential-patchcore: interrupted; the same command goes on from there", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _one_line(message: str) -> str:
    """A message that quotes a whole file is cut in its middle: what was expected and what to do stand at the ends."""
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 3 :]}"


def _lock(parsed: argparse.Namespace) -> contextlib.AbstractContextManager:
    """Of what the command writes, where nothing below it holds a lock of it."""
    place = getattr(parsed, parsed.writes) if parsed.writes else None
    needs_file = parsed.writes == "model"  # one that is not there cannot be written, and the command will say so
    return contextlib.nullcontext() if place is None or (needs_file and not os.path.isfile(place)) else locked(place)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; what runs is each command's default `run`."""
    parser = argparse.ArgumentParser(
        "sequential-patchcore", description=_DESCRIPTION, epilog=_EXIT, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--version", action="version", version=__version__)
    group = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Command)

    def add(
        name: str, add_options: Callable[[Command], None], run: Callable[[argparse.Namespace], int | None], text: str,
        writes: str | None = None,
    ) -> None:
        command = group.add_parser(name, help=text, description=text, epilog=_EXIT, formatter_class=_Defaults)
        add_options(command)
        command.set_defaults(run=run, option_names=command.option_names, writes=writes)

    add("train", train_options.train, train_commands.train,
        "build a coreset from the training images of one or more data sets")
    add("finetune", train_options.finetune, train_commands.finetune,
        "go on with a coreset over other data, by the same rule")
    add("impurities", train_options.impurities, train_commands.impurities,
        "remember what impurities look like, beside the nominal memory, which stays as it is")
    add("meld", train_options.meld, train_commands.meld,
        "make one coreset of several, in seconds and without images", writes="out")
    add("calibrate", score_options.calibrate, score_commands.calibrate,
        "store the threshold of best pixel F1 on a validation split, or one that keeps a promise", writes="model")
    add("verdicts", verdict_command.options, verdict_command.verdicts,
        "let a model name its alarms, with a promise on how many defects are lost by it", writes="model")
    add("evaluate", score_options.evaluate, score_commands.evaluate,
        "score a split, write tables, figures, overlays and report.html")
    add("predict", score_options.predict, score_commands.predict,
        "verdict, boxes, areas and overlay for photographs", writes="out")
    add("review", review_options.review, review_command.review,
        "decide on alarms in the browser; teach the memory what is sound, and take it back")
    add("info", data_options.info, data_commands.info,
        "what a model file or a data set holds; --check validates it")
    add("import", data_options.import_, data_commands.import_,
        "make a data set of photographs and their labels")
    add("export", data_options.export, data_commands.export,
        "write a data set in another layout, or a model as one graph")
    return parser


if __name__ == "__main__":
    entry()
