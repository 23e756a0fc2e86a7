# SPDX-License-Identifier: Apache-2.0
"""The options of the commands that score images with a model."""

from ..runtime.choices import COVERAGE_PERCENT, MAP_KINDS
from . import groups, values
from .option_names import Command


def calibrate(command: Command) -> None:
    add = command.add_argument
    add("--model", required=True, help="the model file; the threshold is written into it")
    add("--data", default=None, metavar="DIR", help="data set with the validation split")
    add("--split", default="val", help="never the test split")
    add("--threshold", type=values.not_negative, default=None, metavar="VALUE", help="set it by hand instead")
    add("--false-positive-rate", type=values.share, default=None, metavar="RATE",
        help="instead of best F1: at most this share predicted on clean validation images, such as 0.001")
    add("--promise", type=values.rate, default=None, metavar="RATE",
        help="the lowest threshold that promises at most this rate of false alarms on new plates, such as 0.01, from "
             "plates without a defect; 0.01 takes 99 plates, 0.05 takes 19 (docs/promises.md)")
    add("--lost-defects", type=values.rate, default=None, metavar="RATE",
        help="promise that at most this share of a new plate's defects is missed, from labelled defects; with "
             "--promise both, or why they exclude each other")
    add("--chart", default=None, metavar="FILE.png",
        help="draw which of the two promises can be kept at once (needs both)")
    add("--per", choices=("pixel", "image", "plate", "region"), default=None,
        help="what a rate is a share of, or what the F1 counts (default: pixel; image, where it is all that is known); "
             "of a promise plate, image or region, squares of a quarter of the shorter side (default: plate)")
    groups.add_products(command, "all images of the split")
    add("--zones", type=values.zones_file, action="append", default=[], metavar="[PRODUCT=]FILE",
        help="a threshold for each zone too: a PNG whose values are zones, a LabelMe file with their outlines, or a "
             "data set whose regions have a value for each; kept in the model, of one product or of all")
    add("--zone-names", type=values.zone_names, default=None, metavar="VALUE=NAME,…",
        help="of the values of --zones, such as 1=rim,2=face (default: the values)")
    add("--one-threshold", action="store_true",
        help="drop the thresholds by product and zone; the model's one decides everywhere")
    add("--overwrite", action="store_true", help="compute it again even where it is known")
    groups.add_scoring(command)


def evaluate(command: Command) -> None:
    add = command.add_argument
    add("--model", required=True, action="append", help="repeat it to compare models side by side")
    add("--data", required=True, metavar="DIR", help="data set")
    add("--split", default="test", help="which images")
    add("--out", required=True, metavar="DIR", help="folder of the results")
    add("--json", action="store_true", help="print the metrics as JSON")
    add("--threshold", type=values.not_negative, default=None, metavar="VALUE",
        help="for all models, instead of the stored ones; the files stay as they are")
    add("--detection-coverage", type=int, default=0, choices=COVERAGE_PERCENT,
                     metavar="PERCENT", help="of an instance, to count as detected; 0: one pixel")
    groups.add_rule(command)
    groups.add_scoring(command)


def predict(command: Command) -> None:
    add = command.add_argument
    add("images", nargs="+", metavar="IMAGE", help="picture files, or folders of them")
    add("--model", required=True, help="a calibrated model, or the folder of its export")
    add("--out", required=True, metavar="DIR", help="folder of the tables and overlays")
    add("--explain", action="store_true", help="the strangest patches beside the nearest nominal ones")
    add("--data", action="append", default=[], metavar="DIR", help="--explain: where a data set is now")
    add("--threshold", type=values.not_negative, default=None, metavar="VALUE", help="instead of the model's")
    add("--save-map", choices=MAP_KINDS, default=None,
        help="write the map too, float32 in raw units or 16 bits in steps of 1/4096 of the threshold; and the mask")
    groups.add_rule(command)
    groups.add_products(command, "all images")
    add("--regions", metavar="find|DIR",
        help="judge only the plate: bright on dark, or by masks of the images' names; what lies outside counts for "
             "nothing")
    add("--margin", type=values.length, metavar="2mm|40px", help="--regions: off the region's border")
    add("--pixel-size-um", type=values.positive, default=None, metavar="UM",
        help="edge of a pixel on the surface, for areas in mm2; default: as the images' data set says")
    add("--bit-depth", type=values.count, metavar="N",
        help="16-bit files hold values of N bits, such as 12: scale them to the whole range")
    add("--watch", action="store_true", help="stay, and take files as they arrive in the folders")
    add("--interval", type=values.positive, default=1.0, metavar="S", help="--watch: seconds between looks")
    add("--idle-exit", type=values.positive, default=None, metavar="S",
        help="--watch: end after so many seconds without a new file")
    add("--no-drift", dest="drift", action="store_false", default=True,
        help="--watch: do not test whether light, focus, noise or the surface of the images have changed; what is "
             "found is said on stderr and kept in drift.jsonl; at most one false alarm in 10,000 stable images")
    add("--exit-code", action="store_true",
        help="exit by verdict: 0 all normal, dirty ones included; 3 any anomalous; 4 else any unreadable")
    add("--json", action="store_true", help="print one JSON line an image instead of text")
    add("--memory-budget", default="12GiB", metavar="SIZE", help="images that need more are unreadable")
    groups.add_scoring(command)
