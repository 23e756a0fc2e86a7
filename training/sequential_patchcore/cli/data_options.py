# SPDX-License-Identifier: Apache-2.0
"""The options of the commands about data."""

from ..runtime.choices import GRAPHS, IMPORTS
from . import groups, values
from .option_names import Command


def info(command: Command) -> None:
    add = command.add_argument
    add("path", metavar="M.h5|DATASET")
    add("--coreset-sheet", metavar="PNG", help="model: draw every vector's piece of image")
    add("--plot", metavar="PNG", help="model: draw separation, covering radius and factor over the epochs")
    add("--composition", action="store_true",
        help="model: how many vectors lie on each class of its training labels, on outlines, on bare surface")
    add("--data", action="append", default=[], metavar="DIR", help="where a data set of the model is now")
    add("--contact-sheet", metavar="PNG", help="data set: draw its images with their labels and regions")
    add("--json", action="store_true", help="machine-readable")
    add("--check", action="store_true", help="list everything that is wrong; exit 2 if anything is")


def import_(command: Command) -> None:
    add = command.add_argument
    add("kind", choices=IMPORTS, help="what SRC holds: labels of which tool or layout")
    add("src", metavar="SRC", help="folder with the images and labels")
    add("--out", metavar="DIR", help="the data set")
    add("--check-only", action="store_true",
        help="write nothing, list everything that is wrong; exit 2 if anything is")
    add("--skip-bad", action="store_true",
        help="leave out what something is wrong with, list it in left_out.txt, and exit with 4")
    add("--splits", metavar="CSV|folders",
        help="a table with the columns split, image, perhaps label, group; or by folders' names")
    add("--split-shares", type=values.shares, metavar="TRAIN,VAL,TEST",
        help="whole plates by shares, such as 60,10,30; plates with defects never train")
    add("--like", metavar="DATASET",
        help="classes, split, plate, region of the same images in a data set there is")
    add("--default-split", default="train", choices=("train", "val", "test"),
        help="where nothing else says it")
    add("--val-fraction", type=values.not_negative, default=0.0, help="share of test for validation")
    add("--defects", type=values.names, metavar="A,B", help="classes that are defects; default: all")
    add("--impurities", type=values.names, metavar="C,D", help="classes that are dirt on a sound surface")
    add("--map", dest="aliases", action="append", metavar="LABEL=CLASS",
        help="rename a label; may be repeated")
    add("--ignore", type=values.names, metavar="E,F", help="labels to leave out")
    add("--good", type=values.names, default=["good", "ok", "normal"], metavar="A,B",
        help="folders and tags that mean a clean image (default: good,ok,normal)")
    add("--exclude", action="append", default=[], metavar="PATTERN",
        help="files to leave out, such as '*.xml' or 'raw/*'; may be repeated")
    add("--group-by", metavar="REGEX", help="the part of the path that names the physical plate")
    add("--regions", metavar="find|DIR",
        help="inspect only the plate: bright on dark, or by masks of the images' names; a shape "
        "'plate' of a label file needs no option")
    add("--margin", type=values.length, metavar="2mm|40px", help="off the region's border")
    add("--line-width", type=values.positive, default=3.0, metavar="PX", help="of lines and points")
    add("--pages", action="store_true", help="each page of a file with several is an image")
    add("--bit-depth", type=values.count, metavar="N",
        help="16-bit files hold values of N bits, such as 12: scale them to the whole range")
    add("--name", help="of the data set; default: the folder's")
    add("--pixel-size-um", type=values.positive, metavar="UM", help="edge of a pixel on the surface")
    add("--memory-budget", default="12GiB", metavar="SIZE", help="refuse an image that needs more")
    add("--overwrite", action="store_true", help="replace another data set at --out")


def export(command: Command) -> None:
    add = command.add_argument
    add("kind", choices=("mvtec", "coco", "yolo", *GRAPHS))
    add("dataset", metavar="DATASET", nargs="?", help="mvtec, coco, yolo: what to write")
    add("--out", required=True, metavar="DIR")
    add("--model", metavar="M.h5", help="onnx, openvino: what to write, from pixels to the anomaly map")
    add("--images", nargs="+", default=[], metavar="IMAGE",
        help="onnx, openvino: pictures, or folders of them, that the graph must judge as the model does")
    add("--size", type=values.image_size, metavar="WIDTHxHEIGHT",
        help="onnx, openvino: of all images, for engines that want it fixed, and always for a transformer "
             "(default: any size)")
    groups.add_weights_override(command)
    groups.add_rule(command)
