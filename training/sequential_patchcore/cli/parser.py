# SPDX-License-Identifier: Apache-2.0
"""The command line: arguments -> one call; errors -> one line."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence

from .. import __version__
from ..metrics.counts import COVERAGE_PERCENT
from ..runtime.choices import (
    AUTO,
    BOUNDS,
    CORESETS,
    DEFAULT_BACKBONE,
    ENGINES,
    EVICTIONS,
    FILTERS,
    GRAPHS,
    NORMALISATIONS,
    PRECISIONS,
)
from ..runtime.errors import UserError
from ..runtime.progress import use_json_lines
from . import data_commands, score_commands, train_commands
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
    "3 and 4 only from predict --exit-code."
)


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
    try:
        return parsed.run(parsed) or 0
    except UserError as error:
        message = as_options(" ".join(str(error).split()), parsed.option_names)
        print(f"sequential-patchcore: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sequential-patchcore: interrupted; the same command goes on from there", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sequential-patchcore", description=_DESCRIPTION, epilog=_EXIT, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--version", action="version", version=__version__)
    group = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Command)

    def command(name: str, run: Callable, text: str) -> argparse.ArgumentParser:
        sub = group.add_parser(
            name, help=text, description=text, epilog=_EXIT, formatter_class=_Defaults
        )
        sub.set_defaults(run=run, option_names=sub.option_names)
        return sub

    sub = command("train", train_commands.train, "build a coreset from the training images of one or more data sets")
    _add_data_sets(sub)
    sub.add_argument("--backbone", default=DEFAULT_BACKBONE, help=f"a timm model, or '{FILTERS}': no weights needed")
    sub.add_argument("--weights", default="hub", metavar="FILE|none", 
                     help="weights file; 'hub': timm's own, fetched once; 'none': random")  # fmt: skip
    sub.add_argument("--image-scale", type=_within("image_scale", float), default=1.0, metavar="F",
                     help="resize the images by F first")  # fmt: skip
    sub.add_argument("--pool", type=_within("pool", int), default=2, help="average over POOL x POOL patches")
    sub.add_argument("--unit-maps", action="store_true", help="scale the vector of each feature map to unit length")
    sub.add_argument("--layers", type=_names, default=[], metavar="A,B",
                     help="feature maps, or a transformer's blocks (default: strides 8 and 16; the last)")  # fmt: skip
    sub.add_argument("--normalisation", choices=NORMALISATIONS, default=NORMALISATIONS[0],
                     help="of the images: as the weights were trained, or another")  # fmt: skip
    sub.add_argument("--projection", type=_within("projection", int), default=0, metavar="D",
                     help="sparse random projection to D numbers; 0 for none")  # fmt: skip
    sub.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0], help="of the network's arithmetic")
    sub.add_argument("--blur-sigma", type=_within("blur_sigma", float), default=2.0,
                     help="of the anomaly map's Gaussian, in pixels")  # fmt: skip
    sub.add_argument("--coreset", choices=CORESETS, default=CORESETS[0],
                     help="greedy: the original PatchCore's, of all patches and in one go; to compare")  # fmt: skip
    sub.add_argument("--ray", metavar="local|auto|HOST:PORT", help="shards as tasks of a Ray cluster, melded")
    sub.add_argument("--shards", type=_count, default=2, metavar="N", help="how many, with --ray")
    _add_training(sub, 2048)

    sub = command("finetune", train_commands.finetune, "go on with a coreset over other data, by the same rule")
    sub.add_argument("--model", required=True, help="the model to start from; it stays as it is")
    _add_data_sets(sub)
    _add_weights_override(sub)
    _add_training(sub, None)

    sub = command("meld", train_commands.meld, "make one coreset of several, in seconds and without images")
    sub.add_argument("models", nargs="+", metavar="MODEL", help="two or more models with the same feature extractor")
    sub.add_argument("--out", required=True, help="the new model file")
    sub.add_argument("--coreset-size", type=_size, default=None, help="vectors to keep (default: as the first model)")
    sub.add_argument("--overwrite", action="store_true", help="replace another file at --out")

    sub = command("calibrate", score_commands.calibrate, "store the threshold of best pixel F1 on a validation split")
    sub.add_argument("--model", required=True, help="the model file; the threshold is written into it")
    sub.add_argument("--data", default=None, metavar="DIR", help="data set with the validation split")
    sub.add_argument("--split", default="val", help="never the test split")
    sub.add_argument("--threshold", type=_not_negative, default=None, metavar="VALUE", help="set it by hand instead")
    sub.add_argument("--false-positive-rate", type=_share, default=None, metavar="RATE",
                     help="instead of best F1: at most this share predicted on clean validation images, such as 0.001")
    sub.add_argument("--per", choices=("pixel", "image"), default="pixel", help="what the rate is a share of")
    sub.add_argument("--overwrite", action="store_true", help="compute it again even where it is known")
    _add_scoring(sub)

    sub = command("evaluate", score_commands.evaluate, "score a split, write tables, figures, overlays and report.html")
    sub.add_argument("--model", required=True, action="append", help="repeat it to compare models side by side")
    sub.add_argument("--data", required=True, metavar="DIR", help="data set")
    sub.add_argument("--split", default="test", help="which images")
    sub.add_argument("--out", required=True, metavar="DIR", help="folder of the results")
    sub.add_argument("--json", action="store_true", help="print the metrics as JSON")
    sub.add_argument("--threshold", type=_not_negative, default=None, metavar="VALUE",
                     help="for all models, instead of the stored ones; the files stay as they are")
    sub.add_argument("--detection-coverage", type=int, default=0, choices=COVERAGE_PERCENT,
                     metavar="PERCENT", help="of an instance, to count as detected; 0: one pixel")
    _add_rule(sub)
    _add_scoring(sub)

    sub = command("predict", score_commands.predict, "verdict, boxes, areas and overlay for photographs")
    sub.add_argument("images", nargs="+", metavar="IMAGE", help="picture files, or folders of them")
    sub.add_argument("--model", required=True, help="a calibrated model, or the folder of its export")
    sub.add_argument("--out", required=True, metavar="DIR", help="folder of the tables and overlays")
    sub.add_argument("--explain", action="store_true", help="the strangest patches beside the nearest nominal ones")
    sub.add_argument("--data", action="append", default=[], metavar="DIR", help="--explain: where a data set is now")
    sub.add_argument("--threshold", type=_not_negative, default=None, metavar="VALUE", help="instead of the model's")
    _add_rule(sub)
    sub.add_argument("--pixel-size-um", type=_positive, default=None, metavar="UM",
                     help="edge of a pixel on the surface, for areas in mm2; default: as the images' data set says")
    sub.add_argument("--watch", action="store_true", help="stay, and take files as they arrive in the folders")
    sub.add_argument("--interval", type=_positive, default=1.0, metavar="S", help="--watch: seconds between looks")
    sub.add_argument("--idle-exit", type=_positive, default=None, metavar="S",
                     help="--watch: end after so many seconds without a new file")
    sub.add_argument("--exit-code", action="store_true",
                     help="exit by verdict: 0 all normal, 3 any anomalous, 4 else any unreadable")
    sub.add_argument("--json", action="store_true", help="print one JSON line an image instead of text")
    sub.add_argument("--memory-budget", default="12GiB", metavar="SIZE", help="images that need more are unreadable")
    _add_scoring(sub)

    sub = command("info", data_commands.info, "what a model file or a data set holds; --check validates it")
    sub.add_argument("path", metavar="M.h5|DATASET")
    sub.add_argument("--coreset-sheet", metavar="PNG", help="model: draw every vector's piece of image")
    sub.add_argument("--plot", metavar="PNG", help="model: draw separation, covering radius and factor over the epochs")
    sub.add_argument("--data", action="append", default=[], metavar="DIR", help="where a data set of the model is now")
    sub.add_argument("--contact-sheet", metavar="PNG", help="data set: draw its images with their labels and regions")
    sub.add_argument("--json", action="store_true", help="machine-readable")
    sub.add_argument("--check", action="store_true", help="list everything that is wrong; exit 2 if anything is")

    sub = command("import", data_commands.import_, "make a data set of photographs and their labels")
    sub.add_argument("kind", choices=("labelme", "mvtec"), help="what SRC is")
    sub.add_argument("src", metavar="SRC", help="folder with the images and labels")
    sub.add_argument("--out", required=True, metavar="DIR", help="the data set")
    sub.add_argument("--splits", metavar="CSV|folders",
                     help="labelme: a table with the columns split, image, perhaps label, group; or by folders' names")
    sub.add_argument("--split-shares", type=_shares, metavar="TRAIN,VAL,TEST",
                     help="labelme: whole plates by shares, such as 60,10,30; plates with defects never train")
    sub.add_argument("--like", metavar="DATASET",
                     help="labelme: classes, split, plate, region of the same images in a data set there is")
    sub.add_argument("--default-split", default="train", choices=("train", "val", "test"), help="labelme, no table")
    sub.add_argument("--val-fraction", type=_not_negative, default=0.0, help="mvtec: share of test for validation")
    sub.add_argument("--defects", type=_names, metavar="A,B", help="classes that are defects; default: all")
    sub.add_argument("--impurities", type=_names, metavar="C,D", help="classes that are dirt on a sound surface")
    sub.add_argument("--map", action="append", metavar="LABEL=CLASS", help="rename a label; may be repeated")
    sub.add_argument("--ignore", type=_names, metavar="E,F", help="labels to leave out")
    sub.add_argument("--group-by", metavar="REGEX", help="the part of the path that names the physical plate")
    sub.add_argument("--regions", metavar="find|DIR",
                     help="inspect only the plate: bright on dark, or by masks of the images' names; a shape "
                     "'plate' of a label file needs no option")
    sub.add_argument("--margin", type=_length, metavar="2mm|40px", help="off the region's border")
    sub.add_argument("--line-width", type=_positive, default=3.0, metavar="PX", help="labelme: of lines and points")
    sub.add_argument("--name", help="of the data set; default: the folder's")
    sub.add_argument("--pixel-size-um", type=_positive, metavar="UM", help="edge of a pixel on the surface")
    sub.add_argument("--overwrite", action="store_true", help="replace another data set at --out")

    sub = command("export", data_commands.export, "write a data set in another layout, or a model as one graph")
    sub.add_argument("kind", choices=("mvtec", "coco", *GRAPHS))
    sub.add_argument("dataset", metavar="DATASET", nargs="?", help="mvtec, coco: what to write")
    sub.add_argument("--out", required=True, metavar="DIR")
    sub.add_argument("--model", metavar="M.h5", help="onnx, openvino: what to write, from pixels to the anomaly map")
    sub.add_argument("--images", nargs="+", default=[], metavar="IMAGE",
                     help="onnx, openvino: pictures, or folders of them, that the graph must judge as the model does")
    sub.add_argument("--size", type=_image_size, metavar="WIDTHxHEIGHT",
                     help="onnx, openvino: of all images, for engines that want it fixed (default: any size)")
    _add_weights_override(sub)
    _add_rule(sub)
    return parser


def _add_data_sets(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--data", required=True, action="append", metavar="DIR", help="data set; repeat it for several")
    sub.add_argument("--split", default="train", help="which images")


def _add_training(sub: argparse.ArgumentParser, size: int | None) -> None:
    sub.add_argument("--out", required=True, metavar="M.h5", help="the model file to write")
    keep = "vectors to keep" + ("" if size else " (default: as the model)")
    sub.add_argument("--coreset-size", type=_size, default=size, metavar="K", help=keep)
    sub.add_argument("--epochs", type=_count, default=5, help="passes at most; stops when one changes nothing")
    sub.add_argument("--augment", action="store_true", help="random brightness, contrast, flips, blur and noise")
    sub.add_argument("--no-border-mask", dest="border_mask", action="store_false", default=True,
                     help="renders: leave the border whole; else a random part is cut away (the paper)")  # fmt: skip
    sub.add_argument("--shuffle", action="store_true", help="a new order of the images in every epoch, by the seed")
    sub.add_argument("--seed", type=_seed, default=0, help="of augmentation and order")
    sub.add_argument("--eviction", choices=EVICTIONS, default=EVICTIONS[0], help="which of the closest pair makes room")
    sub.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N",
                     help="train on part I of N, to be melded (default: on all)")  # fmt: skip
    sub.add_argument("--chunk-size", type=_chunk, default=None, metavar="N|auto",
                     help="patches per matrix product (default: auto, 2048 if memory allows)")  # fmt: skip
    sub.add_argument("--memory-budget", default="12GiB", metavar="SIZE", help="refuse what would not fit")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    _add_engine(sub)
    sub.add_argument("--threads", type=_count, default=None, help="CPU threads (default: all cores)")
    sub.add_argument("--workers", type=_seed, default=1, help="threads that read and augment images ahead")
    sub.add_argument("--checkpoint-images", type=_count, default=None, metavar="N",
                     help="a checkpoint after every N images (default: every minute and epoch)")  # fmt: skip
    sub.add_argument("--resume", action="store_true", help="insist on a checkpoint to go on from; one is always used")
    sub.add_argument("--restart", action="store_true", help="drop a checkpoint and begin anew")
    sub.add_argument("--overwrite", action="store_true", help="replace another model at --out")
    sub.add_argument("--json-progress", action="store_true", help="progress as JSON lines on stdout")


def _add_rule(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--min-region", type=_whole, default=0, metavar="PIXELS", help="drop smaller predicted regions")
    sub.add_argument("--hysteresis", type=_share, default=1.0, metavar="SHARE",
                     help="grow regions down to this share of the threshold; 1: do not")


def _add_engine(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--engine", choices=ENGINES, default=AUTO,
                     help="what computes the network on a CPU; auto: ONNX Runtime where it agrees with torch")


def _add_scoring(sub: argparse.ArgumentParser) -> None:
    _add_weights_override(sub)
    _add_engine(sub)
    sub.add_argument("--precision", choices=PRECISIONS, default=None, help="of the network; default: as in training")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    sub.add_argument("--threads", type=_count, default=None, help="CPU threads (default: all cores)")
    sub.add_argument("--json-progress", action="store_true", help="progress as JSON lines on stdout")


def _add_weights_override(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--weights", default=None, metavar="FILE", help="where the weights are now (default: as recorded)")


def _number(text: str, kind: type, fits: Callable, expected: str) -> float | int:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value


def _positive(text: str) -> float:
    return _number(text, float, lambda value: 0 < value < float("inf"), "a number above 0")


def _not_negative(text: str) -> float:
    return _number(text, float, lambda value: 0 <= value < float("inf"), "a number of at least 0")


def _within(name: str, kind: type) -> Callable[[str], float | int]:
    least, most = BOUNDS[name]
    return lambda text: _number(text, kind, lambda value: least <= value <= most, f"{least:g} to {most:g}")


def _share(text: str) -> float:
    return _number(text, float, lambda value: 0 < value <= 1, "a number above 0 and at most 1")


def _whole(text: str) -> int:
    return _number(text, int, lambda value: value >= 0, "a whole number of at least 0")


def _count(text: str) -> int:
    return _number(text, int, lambda value: value >= 1, "a whole number of at least 1")


def _size(text: str) -> int:
    return _number(text, int, lambda value: value >= 2, "a whole number of at least 2")


def _seed(text: str) -> int:
    return _number(text, int, lambda value: value >= 0, "a whole number of at least 0")


def _chunk(text: str) -> int | None:
    return None if text == "auto" else _count(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _shares(text: str) -> list[float]:
    return [_not_negative(part) for part in text.split(",")]


def _length(text: str) -> tuple[float, str]:
    """A number with its unit, px or mm."""
    unit = text[-2:].lower()
    if unit not in ("px", "mm"):
        raise argparse.ArgumentTypeError(f"expected a length in mm or px, such as 2mm or 40px, got {text!r}")
    return _not_negative(text[:-2]), unit


def _image_size(text: str) -> tuple[int, int]:
    """(height, width)."""
    width, cross, height = text.partition("x")
    if cross and width.isdigit() and height.isdigit() and int(width) and int(height):
        return int(height), int(width)
    raise argparse.ArgumentTypeError(f"expected a size such as 2448x2050, got {text!r}")


def _shard(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if slash and part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts):
        return int(part), int(parts)
    raise argparse.ArgumentTypeError(f"expected I/N with 1 <= I <= N, such as 1/4, got {text!r}")


if __name__ == "__main__":
    entry()
