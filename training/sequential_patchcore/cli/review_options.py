# SPDX-License-Identifier: Apache-2.0
"""The options of `review`."""

from . import groups, values
from .option_names import Command


def review(command: Command) -> None:
    add = command.add_argument
    add("images", nargs="*", metavar="DIR", help="folders of photographs, or picture files: the day's work")
    add("--model", required=True, metavar="M.h5",
        help="a calibrated model; it stays as it is, the journal lies beside it in the folder M.review")
    add("--out", default=None, metavar="FILE.h5",
        help="where the taught model is written after each decision (default: M.taught.h5 beside the model)")
    add("--data", default=None, metavar="DIR",
        help="data set whose validation split the guard looks at: a decision that loses a defect found there is shown "
             "and has to be confirmed")
    add("--split", default="val", help="of that data set")
    add("--who", default=None, metavar="NAME", help="the name that decisions carry (default: the user's)")
    add("--port", type=values.whole, default=0, metavar="N", help="on the loopback address; 0 takes a free one")
    add("--journal", default=None, metavar="DIR",
        help="folder of the journal, such as another model's, to go on with it on this one (default: M.review)")
    add("--replay", action="store_true",
        help="serve nothing: teach the model what the journal says, write it and end; the images may be gone")
    add("--undo", action="append", default=[], metavar="ID",
        help="serve nothing: take back the decision of this id (of journal.jsonl), such as one whose patches are lost")
    add("--merge", action="append", default=[], metavar="DIR",
        help="take over the decisions of another review's journal; where the two answer differently both are shown, "
             "and ours counts unless --theirs is given")
    add("--theirs", action="store_true", help="--merge: in conflicts the other journal's answer counts")
    add("--export-labelme", default=None, metavar="DIR", help="write the decided regions as LabelMe files and end")
    add("--export-dataset", default=None, metavar="DIR",
        help="write the decided images as a data set and end; images that are gone are named and left out")
    groups.add_products(command, "all images")
    groups.add_rule(command)
    groups.add_scoring(command)
