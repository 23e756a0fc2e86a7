# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from ..runtime.choices import (
    AUTO,
    CHUNK_SIZE,
    DEFAULT_EPOCHS,
    ENGINES,
    EVICTIONS,
    MEMORY_SIZE,
    PATCH_COVERAGE,
    PRECISIONS,
)
from . import values
from .option_names import Command


def add_data_sets(command: Command) -> None:
    add = command.add_argument
    add("--data", required=True, action="append", metavar="DIR", help="data set; repeat it for several")
    add("--split", default="train", help="which images")


def add_training(command: Command, size: int | None) -> None:
    add = command.add_argument
    add("--out", required=True, metavar="M.h5", help="the model file to write")
    keep = "vectors to keep" + ("" if size else " (default: as the model)")
    add("--coreset-size", type=values.size, default=size, metavar="K", help=keep)
    add("--shard", type=values.shard, default=(1, 1), metavar="I/N",
        help="train on part I of N, to be melded (default: on all)")
    add_run(command)


def add_run(command: Command) -> None:
    """How images are shown to a coreset, and what carries that out."""
    add = command.add_argument
    # --epochs and --eviction have no default here, so that it can be told whether it was given.
    add("--epochs", type=values.count,
        help=f"passes at most; stops when one changes nothing (default: {DEFAULT_EPOCHS})")
    add("--augment", action="store_true", help="random brightness, contrast, flips, blur and noise")
    add("--no-border-mask", dest="border_mask", action="store_false", default=True,
        help="renders: leave the border whole; else a random part is cut away (the paper)")
    add("--shuffle", action="store_true", help="a new order of the images in every epoch, by the seed")
    add("--seed", type=values.seed, default=0, help="of augmentation and order")
    add("--eviction", choices=EVICTIONS, help=f"which of the closest pair makes room (default: {EVICTIONS[0]})")
    add("--chunk-size", type=values.chunk, default=None, metavar="N|auto",
        help=f"patches per matrix product (default: auto, {CHUNK_SIZE} if memory allows)")
    add("--memory-budget", default="12GiB", metavar="SIZE", help="refuse what would not fit")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    add_engine(command)
    add("--workers", type=values.seed, default=1, help="threads that read and augment images ahead")
    add("--checkpoint-images", type=values.count, default=None, metavar="N",
        help="a checkpoint after every N images (default: every minute and epoch)")
    add("--resume", action="store_true", help="insist on a checkpoint to go on from; one is always used")
    add("--restart", action="store_true", help="drop a checkpoint and begin anew")
    add("--overwrite", action="store_true", help="replace another model at --out")
    add("--json-progress", action="store_true", help="progress as JSON lines on stdout")


def add_memories(command: Command) -> None:
    """What the memories of impurities are made of."""
    add = command.add_argument
    # None has a default here, so that it can be told which were given.
    add("--memory-size", type=values.size, metavar="K",
        help=f"vectors to keep of each impurity; one that has fewer patches keeps all (default: {MEMORY_SIZE})")
    add("--coverage", type=values.share_or_none, metavar="SHARE",
        help="how much of a patch the impurity has to cover; 0: some of it, so that outlines count "
        f"(default: {PATCH_COVERAGE})")
    add("--level", type=values.not_negative, metavar="DISTANCE",
        help="to the nominal memory, from which a patch is anomalous and hence needs a name (default: the model's "
        "threshold; without one, more than any training patch has)")
    add("--with-defects", action="store_true", default=None, help="make a memory of each defect class too")


def add_rule(command: Command) -> None:
    add = command.add_argument
    add("--min-region", type=values.whole, default=0, metavar="PIXELS", help="drop smaller predicted regions")
    add("--hysteresis", type=values.share, default=1.0, metavar="SHARE",
        help="grow regions down to this share of the threshold; 1: do not")


def add_products(command: Command, whose: str) -> None:
    """How the product of an image is told, where a model has a threshold for each."""
    add = command.add_argument
    add("--product", default=None, metavar="NAME", help=f"{whose} show this product")
    add("--products", default=None, metavar="TABLE",
        help="CSV or JSON with a row for each image: the column image, a path or a name, and the product")
    add("--product-column", type=values.names, default=["product"], metavar="NAMES",
        help="of --products: the column or columns that make the product's name, such as part,camera for bracket/left")
    add("--product-rule", type=values.rule, action="append", default=[], metavar="PATTERN=NAME",
        help="files whose name fits the pattern show a product, such as '*_cam2_*=left'; repeat it, the first counts")
    add("--product-by", choices=("folder", "folders"), default=None,
        help="the product is the folder that an image lies in, or the two innermost, as bracket/left")


def add_scoring(command: Command) -> None:
    add = command.add_argument
    add_weights_override(command)
    add_engine(command)
    add("--precision", choices=PRECISIONS, default=None, help="of the network; default: as in training")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    add("--json-progress", action="store_true", help="progress as JSON lines on stdout")


def add_engine(command: Command) -> None:
    add = command.add_argument
    add("--engine", choices=ENGINES, default=AUTO,
        help="what computes the network on a CPU; auto: ONNX Runtime where it agrees with torch")
    add("--threads", type=values.count, default=None, help="CPU threads (default: all cores)")


def add_weights_override(command: Command) -> None:
    add = command.add_argument
    add("--weights", default=None, metavar="FILE", help="where the weights are now (default: as recorded)")
