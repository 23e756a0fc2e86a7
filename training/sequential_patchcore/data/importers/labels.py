# SPDX-License-Identifier: Apache-2.0
"""How people's labels become classes, and paths the names of plates."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property

from ...runtime.errors import UserError
from ..format import PAPER_CLASSES, ClassInfo
from .findings import Findings


@dataclass(frozen=True)
class LabelRules:
    """How labels are read.

    A label is renamed by `aliases`, dropped if `ignore` has it (under its old or new name), and must then be in
    `defects` or `impurities`. Without both lists every label is a defect of its own class. Names are compared exactly
    first, then without regard to case.

    Attributes:
        spellings: of labels in no list, in lower case -> the spelling that stands for all that differ by case.
    """

    defects: tuple[str, ...] | None = None
    impurities: tuple[str, ...] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)

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
        for name in rules.listed:
            if rules.listed.count(name) > 1:
                raise UserError(f"the class {name!r} is listed twice; name each class once, as a defect or an impurity")
        return rules

    @property
    def listed(self) -> tuple[str, ...]:
        """All classes that are named, defects first."""
        return (*(self.defects or ()), *(self.impurities or ()))

    def class_of(self, label: str) -> str | None:
        """The class name of a label, or None if it is ignored."""
        name = self.aliases.get(label) or self._aliases_in_any_case.get(label.casefold(), label)
        if label in self.ignore or name in self.ignore:
            return None
        if name in self.listed:
            return name
        folded = name.casefold()
        if folded in self._listed_in_any_case:
            return self._listed_in_any_case[folded]
        if {folded, label.casefold()} & self._ignored_in_any_case:
            return None
        return self.spellings.get(folded, name)

    def with_kinds(self, kinds: Mapping[str, str]) -> "LabelRules":
        """The same, with the classes that a source lists by kind where none are listed yet and it knows impurities."""
        if self.defects is not None or self.impurities is not None or "impurity" not in kinds.values():
            return self
        named = {name: kind for label, kind in kinds.items() if (name := self.class_of(label)) is not None}
        return replace(self, **{
            key: tuple(name for name, of_name in named.items() if of_name == kind)
            for key, kind in (("defects", "defect"), ("impurities", "impurity"))
        })

    def with_spellings(self, labels: Iterable[str]) -> "LabelRules":
        """The same, with one spelling for labels that differ by case only: that in lower case where there is one."""
        names: dict[str, list[str]] = {}
        for label in labels:
            name = self.class_of(label)
            if name is not None:
                names.setdefault(name.casefold(), []).append(name)
        chosen = {folded: min(found, key=lambda name: (name != name.lower(), name)) for folded, found in names.items()}
        return replace(self, spellings=chosen)

    @cached_property
    def _aliases_in_any_case(self) -> dict[str, str]:
        return {label.casefold(): name for label, name in self.aliases.items()}

    @cached_property
    def _listed_in_any_case(self) -> dict[str, str]:
        return {name.casefold(): name for name in self.listed}

    @cached_property
    def _ignored_in_any_case(self) -> set[str]:
        return {label.casefold() for label in self.ignore}

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


def say_about_labels(labels: Iterable[str], rules: LabelRules, findings: Findings) -> None:
    """Labels that differ by case only, and classes that are named and occur nowhere."""
    found: dict[str, set[str]] = {}
    for label in labels:
        name = rules.class_of(label)
        if name is not None:
            found.setdefault(name, set()).add(label)
    for name, spelt in found.items():
        alike = sorted(label for label in {*spelt, name} if label.casefold() == name.casefold())
        if len(alike) > 1:
            findings.say(f"labels that differ by case only are one class, {name!r}: {', '.join(map(repr, alike))}")
    for kind, names in (("defects", rules.defects), ("impurities", rules.impurities)):
        for name in names or ():
            if name not in found:
                near = get_close_matches(name, [*found, *(label for spelt in found.values() for label in spelt)], 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                known = ", ".join(sorted(found)) or "none"
                findings.say(f"`{kind}` names {name!r}, which is no label here; labels found: {known}{hint}")


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
