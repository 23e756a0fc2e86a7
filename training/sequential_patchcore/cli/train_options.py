# SPDX-License-Identifier: Apache-2.0
"""The options of the commands that make a model."""

from ..runtime.choices import CORESET_SIZE, CORESETS, DEFAULT_BACKBONE, FILTERS, NORMALISATIONS, PRECISIONS
from . import groups, values
from .option_names import Command


def train(command: Command) -> None:
    add = command.add_argument
    groups.add_data_sets(command)
    add("--backbone", default=DEFAULT_BACKBONE, help=f"a timm model, or '{FILTERS}': no weights needed")
    add("--weights", default="hub", metavar="FILE|none",
        help="weights file; 'hub': timm's own, fetched once; 'none': random")
    add("--image-scale", type=values.within("image_scale", float), default=1.0, metavar="F",
        help="resize the images by F first")
    add("--pool", type=values.within("pool", int), default=2, help="average over POOL x POOL patches")
    add("--unit-maps", action="store_true", help="scale the vector of each feature map to unit length")
    add("--layers", type=values.names, default=[], metavar="A,B",
        help="feature maps, or a transformer's blocks (default: strides 8 and 16; the last)")
    add("--normalisation", choices=NORMALISATIONS, default=NORMALISATIONS[0],
        help="of the images: as the weights were trained, or another")
    add("--projection", type=values.within("projection", int), default=0, metavar="D",
        help="sparse random projection to D numbers; 0 for none")
    add("--precision", choices=PRECISIONS, default=PRECISIONS[0], help="of the network's arithmetic")
    add("--blur-sigma", type=values.within("blur_sigma", float), default=2.0,
        help="of the anomaly map's Gaussian, in pixels")
    add("--coreset", choices=CORESETS, default=CORESETS[0],
        help="greedy: the original PatchCore's, of all patches and in one go; to compare")
    add("--ray", metavar="local|auto|HOST:PORT", help="shards as tasks of a Ray cluster, melded")
    add("--shards", type=values.count, default=2, metavar="N", help="how many, with --ray")
    add("--impurities", action="append", default=[], metavar="DIR",
        help="data set with labelled impurities: each gets a memory of its own beside the nominal one, as by the "
        "command impurities; repeat it for several")
    groups.add_memories(command)
    groups.add_training(command, CORESET_SIZE)


def finetune(command: Command) -> None:
    add = command.add_argument
    add("--model", required=True, help="the model to start from; it stays as it is")
    groups.add_data_sets(command)
    groups.add_weights_override(command)
    groups.add_training(command, None)


def impurities(command: Command) -> None:
    add = command.add_argument
    add("--model", required=True, help="the model to add to; it stays as it is. Calibrate it first")
    groups.add_data_sets(command)
    add("--out", required=True, metavar="M2.h5", help="the model file to write")
    groups.add_memories(command)
    groups.add_weights_override(command)
    groups.add_run(command)


def meld(command: Command) -> None:
    add = command.add_argument
    add("models", nargs="+", metavar="MODEL", help="two or more models with the same feature extractor")
    add("--out", required=True, help="the new model file")
    add("--coreset-size", type=values.size, default=None, help="vectors to keep (default: as the first model)")
    add("--overwrite", action="store_true", help="replace another file at --out")
