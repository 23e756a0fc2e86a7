# SPDX-License-Identifier: Apache-2.0
"""All that an import finds: what is wrong, image by image, and what a person should know."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ...runtime.errors import UserError
from ...runtime.progress import say

_MOST_LINES = 50  # of problems; `check_only` prints them all


@dataclass(frozen=True)
class Problem:
    """One line about what is wrong, and the names of the images that it spoils; without names it spoils the import."""

    text: str
    images: tuple[str, ...] = ()


class Findings:
    """Collects problems and notes; `problems` in the order of their discovery."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._notes: dict[str, list[str]] = {}
        self._said: list[str] = []

    def problem(self, text: str, *images: str) -> None:
        """Something is wrong. `images` are the names of the items that cannot be imported because of it."""
        found = Problem(text, images)
        if found not in self.problems:
            self.problems.append(found)

    def forget_others(self, names: Collection[str], since: int) -> None:
        """Of the problems from number `since` on, those of images that are not to be imported anyway become notes."""
        kept = self.problems[:since]
        for found in self.problems[since:]:
            if found.images and not set(found.images) & set(names):
                self.note("{count} things are wrong with images that the table does not list", found.text)
            else:
                kept.append(found)
        self.problems[:] = kept

    @contextmanager
    def catch(self, *images: str) -> Iterator[None]:
        """A UserError inside the block is a problem of these images instead of the end."""
        try:
            yield
        except UserError as error:
            self.problem(str(error), *images)

    def say(self, line: str) -> None:
        """Something to be said as it is, before the notes."""
        self._said.append(line)

    def note(self, what: str, example: str = "") -> None:
        """Something to be said once, with a count: `what` begins with "{count}", `example` names one case of it."""
        self._notes.setdefault(what, []).append(example)

    @property
    def spoiled(self) -> set[str]:
        """Names of the images that have a problem."""
        return {name for problem in self.problems for name in problem.images}

    @property
    def notes(self) -> list[str]:
        """What is to be said: a line for each kind of note."""
        lines = list(self._said)
        for what, examples in self._notes.items():
            named = [example for example in examples if example]
            more = f" (the first: {named[0]})" if len(named) > 1 else f" ({named[0]})" if named else ""
            lines.append(what.format(count=len(examples)) + more)
        return lines

    def say_notes(self) -> None:
        """Print the notes once."""
        for line in self.notes:
            say(line)
        self._notes.clear()
        self._said.clear()

    def refuse(self, skip_bad: bool = False) -> None:
        """
        Raises:
            UserError: there is a problem; with `skip_bad`, one that no image can be left out for. A single problem is
                the message; several are printed, and the message counts them.
        """
        decisive = [problem for problem in self.problems if not (skip_bad and problem.images)]
        if not decisive:
            return
        if len(decisive) == 1:
            raise UserError(decisive[0].text)
        for problem in decisive[:_MOST_LINES]:
            say(problem.text)
        more = "" if len(decisive) <= _MOST_LINES else f" (the first {_MOST_LINES} are shown, `check_only` lists all)"
        cure = "; mend them, or leave these images out with `skip_bad`" if all(p.images for p in decisive) else ""
        raise UserError(f"{len(decisive)} things are wrong with the source{more}, the first: {decisive[0].text}{cure}")
