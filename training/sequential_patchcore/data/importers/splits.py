# SPDX-License-Identifier: Apache-2.0
"""Which split an imported image belongs to, so that no physical plate is in two of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from ...runtime.errors import UserError
from ..format import SPLITS
from .items import Item
from .labels import group_of
from .names import split_named

FOLDERS = "folders"


def split_of_folder(name: str) -> str:
    """The split by the one folder of an image's path that is named train, val or test (or training, valid, ...)."""
    found = {split for part in PurePosixPath(name).parts[:-1] if (split := split_named(part))}
    if len(found) != 1:
        raise UserError(f"{name}: expected one folder train, val or test on its path, found "
                        f"{' and '.join(sorted(found)) or 'none'}")
    return found.pop()


def share_out(groups: Sequence[str], defective: Sequence[bool], shares: Sequence[float]) -> list[str]:
    """Whole plates to train, val and test by shares, in an order that hangs on their names alone.

    Training needs sound plates, so that one with a labelled defect goes to val or test, by these two shares; the sound
    ones are shared out among all three. A split with a share gets at least one of both kinds where there are enough.

    Args:
        groups: the plate of each image.
        defective: whether a defect is labelled on each image.
        shares: of train, val, test; only their proportions count.

    Raises:
        UserError: no sound plate is left for training, or no share for the defective ones.
    """
    if len(shares) != len(SPLITS) or min(shares) < 0 or sum(shares) <= 0:
        raise UserError(f"expected three shares for train, val, test, such as 60,10,30; found {shares}")
    with_defects = {group for group, is_so in zip(groups, defective, strict=True) if is_so}
    sound = _by_hash(set(groups) - with_defects)
    if shares[0] and not sound:
        raise UserError(f"each of the {len(set(groups))} plates has a labelled defect, so none is left to train on")
    if with_defects and not (shares[1] or shares[2]):
        raise UserError(f"{len(with_defects)} plates have labelled defects: give val or test a share for them")
    split_of: dict[str, str] = {}
    for names, weights in ((sound, shares), (_by_hash(with_defects), (0, *shares[1:]))):
        first = 0
        for split, count in zip(SPLITS, apportion(len(names), weights), strict=True):
            split_of.update(dict.fromkeys(names[first : first + count], split))
            first += count
    return [split_of[group] for group in groups]


def apportion(count: int, weights: Sequence[float]) -> list[int]:
    """`count` things by weights (largest remainders), each positive weight at least one where there are enough."""
    total = sum(weights)
    if not count or not total:
        return [0] * len(weights)
    exact = [count * weight / total for weight in weights]
    given = [int(part) for part in exact]
    for place in sorted(range(len(weights)), key=lambda k: given[k] - exact[k])[: count - sum(given)]:
        given[place] += 1
    if count >= sum(weight > 0 for weight in weights):
        for place, weight in enumerate(weights):
            if weight > 0 and not given[place]:
                given[given.index(max(given))] -= 1
                given[place] = 1
    return given


def draw_validation(items: Sequence[Item], fraction: float, group_by: str | None) -> list[Item]:
    """Move a share of the images of `test` to `val`.

    Of those with the same labels, the ones whose name has the smallest SHA-256 are moved; with `group_by` whole plates
    of all labels together.
    """
    tested = [item for item in items if item.split == "test"]
    unit = {item.name: item.name if group_by is None else group_of(item.name, group_by, "") for item in tested}
    chosen: set[str] = set()
    for labels in {item.labels if group_by is None else () for item in tested}:
        units = {unit[item.name] for item in tested if group_by is not None or item.labels == labels}
        ordered = _by_hash(units)
        chosen.update(ordered[: round(fraction * len(ordered))])
    return [replace(item, split="val") if unit.get(item.name) in chosen else item for item in items]


def refuse_shared_plates(groups: Sequence[str], splits: Sequence[str]) -> None:
    """
    Raises:
        UserError: a plate is in more than one split.
    """
    found: dict[str, set[str]] = {}
    for group, split in zip(groups, splits, strict=True):
        found.setdefault(group, set()).add(split)
    shared = sorted(group for group, names in found.items() if len(names) > 1)
    if shared:
        names = " and ".join(split for split in SPLITS if split in found[shared[0]])
        raise UserError(
            f"{len(shared)} plate(s) would be in more than one split, so that scores flatter; the first: {shared[0]!r} "
            f"in {names}; change the splits, or share plates out with `split_shares`"
        )


def _by_hash(names: set[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
