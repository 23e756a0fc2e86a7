# SPDX-License-Identifier: Apache-2.0
"""Good and bad folders without masks: the folder that an image lies in is the label of the image as a whole."""

from pathlib import PurePosixPath

from ...runtime.errors import UserError
from .items import Item, Job
from .names import relative_name, split_named


def read_folders(job: Job) -> list[Item]:
    """Every image; its label is the first folder on its path that names no split. Folders named in `good` are clean."""
    items, clean = [], 0
    for path in job.survey.images:
        name = relative_name(path, job.src)
        folders = PurePosixPath(name).parts[:-1]
        splits = [split for folder in folders if (split := split_named(folder))]
        labels = [folder for folder in folders if split_named(folder) is None]
        if not labels:
            job.findings.problem(f"{path} lies in no folder that says whether it is good; put clean images into "
                                 f"{job.src / 'good'}", name)
            continue
        is_good = job.means_good(labels[0])
        clean += is_good
        if not is_good and job.ignores(labels[0]):
            job.findings.note("{count} images in ignored folders are left out", name)
            continue
        split = splits[0] if splits else None
        items.append(Item(name, path, str(path), as_a_whole=() if is_good else (labels[0],), split=split))
    if items and not clean:
        found = sorted({label for item in items for label in item.as_a_whole})
        raise UserError(f"none of the folders of {job.src} is called {' or '.join(job.options.good)}; found "
                        f"{', '.join(found)}: say with `good` which of them are")
    _ask_for_splits(items, job)
    return items


def _ask_for_splits(items: list[Item], job: Job) -> None:
    """Bad images must not train because nobody said anything else."""
    options = job.options
    said = options.split_shares is not None or options.like is not None or options.splits is not None
    open_ones = [item for item in items if item.split is None and item.as_a_whole]
    if open_ones and not said and options.default_split == "train":
        job.findings.problem(
            f"nothing says which images are for training, and {len(open_ones)} are not good, the first: "
            f"{open_ones[0].where}; share them out with `split_shares`, such as 60,10,30, or put them into folders "
            "train, val and test"
        )
