# SPDX-License-Identifier: Apache-2.0
"""How people's labels become classes, and paths the names of plates."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...runtime.errors import UserError
from ..format import PAPER_CLASSES, ClassInfo


@dataclass(frozen=True)
class LabelRules:
    """How labels are read.

    A label is renamed by `aliases`, dropped if `ignore` has it (under its old or new name), and must then be in
    `defects` or `impurities`. Without both lists every label is a defect of its own class.
    """

    defects: tuple[str, ...] | None = None
    impurities: tuple[str, ...] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, defects: Sequence[str] | None, impurities: Sequence[str] | None,
        aliases: Mapping[str, str] | None, ignore: Iterable[str],
    ) -> "LabelRules":
        """From plain arguments.

        Raises:
            UserError: a class that is listed twice or as both kinds.
        """
        rules = cls(
            None if defects is None else tuple(defects), None if impurities is None else tuple(impurities),
            dict(aliases or {}), tuple(ignore),
        )
        listed = (*(rules.defects or ()), *(rules.impurities or ()))
        for name in listed:
            if listed.count(name) > 1:
                raise UserError(f"the class {name!r} is listed twice; name each class once, as a defect or an impurity")
        return rules

    def class_of(self, label: str) -> str | None:
        """The class name of a label, or None if it is ignored."""
        name = self.aliases.get(label, label)
        return None if label in self.ignore or name in self.ignore else name

    def classes(self, labels: Iterable[str]) -> tuple[ClassInfo, ...]:
        """The table of classes for the labels found.

        The paper's classes keep the paper's ids when there are no others; else ids count from 1, defects first, in
        the order listed (by name where nothing is listed).

        Raises:
            UserError: labels that are in neither list.
        """
        found = sorted({name for label in labels if (name := self.class_of(label)) is not None})
        if self.defects is None and self.impurities is None:
            defects, impurities = found, []
        else:
            defects, impurities = list(self.defects or ()), list(self.impurities or ())
            unlisted = [name for name in found if name not in defects and name not in impurities]
            if unlisted:
                raise UserError(f"labels that are neither in `defects` nor in `impurities`: {', '.join(unlisted)}; "
                                f"labels found: {', '.join(found)}; list, map or ignore them")
        kinds = dict.fromkeys(defects, "defect") | dict.fromkeys(impurities, "impurity")
        if len(kinds) > 255:
            raise UserError(f"found {len(kinds)} classes, a mask holds 255; join some with `aliases`")
        if kinds.keys() <= PAPER_CLASSES.keys():
            ids = PAPER_CLASSES
        else:
            ids = {name: number for number, name in enumerate(kinds, start=1)}
        return tuple(sorted((ClassInfo(ids[name], name, kind) for name, kind in kinds.items()), key=lambda c: c.id))

    def as_dict(self) -> dict[str, object]:
        """For the data set's recipe."""
        return {
            "defects": None if self.defects is None else list(self.defects),
            "impurities": None if self.impurities is None else list(self.impurities),
            "aliases": dict(sorted(self.aliases.items())),
            "ignore": sorted(self.ignore),
        }


def group_of(path: str, pattern: str | None, sample_id: str) -> str:
    """The physical part of an image: what `pattern` finds in its relative path (its first group, if it has one).

    Without a pattern each sample is a group of its own.
    """
    if pattern is None:
        return sample_id
    try:
        match = re.search(pattern, path)
    except re.error as error:
        raise UserError(f"`group_by` {pattern!r} is no regular expression: {error}") from error
    found = match and (match.group(1) if match.re.groups else match.group(0))
    if not found:
        raise UserError(f"`group_by` {pattern!r} finds nothing in {path}")
    return found
