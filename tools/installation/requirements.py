# SPDX-License-Identifier: Apache-2.0
"""What goes into each environment, as pyproject.toml and the files of constraints say it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from .pythons import numbered

TRAINING = "train"  # the package's extra with all that models are made with


@dataclass(frozen=True)
class Kind:
    """One kind of environment.

    Attributes:
        group: its dependency group in pyproject.toml.
        versions: the Pythons that it can have, the best first; empty for those that find_python prefers.
        package: whether the training package goes in too, as it stands in the checkout.
        constraints: file of exact versions, or None.
    """

    group: str
    versions: tuple[tuple[int, int], ...] = ()
    package: bool = False
    constraints: str | None = None


@dataclass(frozen=True)
class Requirements:
    """What pip is asked for.

    Attributes:
        wanted: requirement lines of the group, with their markers.
        package: (folder, what its metadata ask for), or None.
        constraints: (file, its lines), or None.
    """

    wanted: tuple[str, ...]
    package: tuple[str, tuple[str, ...]] | None = None
    constraints: tuple[str, tuple[str, ...]] | None = None

    def arguments(self) -> list[str]:
        """The end of a `pip install` command line."""
        limits = ["--constraint", self.constraints[0]] if self.constraints else []
        return [*limits, *(["--editable", self.package[0]] if self.package else []), *self.wanted]

    def without(self, name: str) -> "Requirements":
        """The same but for one distribution of the group."""
        kept = tuple(line for line in self.wanted if not line.startswith(name))
        return Requirements(kept, self.package, self.constraints)

    def lines(self) -> list[str]:
        """All that decides what an environment holds, one fact a line; comments and layout do not count."""
        lines = []
        if self.package:
            lines += [f"package {self.package[0]}", *(f"of the package: {line}" for line in self.package[1])]
        lines += [f"requirement {line}" for line in self.wanted]
        return lines + [f"constraint {line}" for line in (self.constraints[1] if self.constraints else ())]


def requirements(kind: Kind, repository: Path) -> Requirements:
    """Of one kind of environment."""
    content = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    package = constraints = None
    if kind.package:
        project = content["project"]
        scripts = (f"command {name} = {target}" for name, target in project.get("scripts", {}).items())
        training = project.get("optional-dependencies", {}).get(TRAINING, [])
        facts = (f"Python {project['requires-python']}", *project["dependencies"], *training, *scripts)
        package = (f"{repository.resolve()}[{TRAINING}]" if training else str(repository.resolve()), facts)
    if kind.constraints:
        file = repository / kind.constraints
        lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
        constraints = (str(file), tuple(line for line in lines if line))
    return Requirements(tuple(content["dependency-groups"][kind.group]), package, constraints)


def stamp(folder: Path, version: tuple[int, int], needs: Requirements) -> str:
    """The text that a finished environment keeps: where it is, for which Python, and what was asked for."""
    return "\n".join([f"environment {folder}", f"Python {numbered(version)}", *needs.lines(), ""])
