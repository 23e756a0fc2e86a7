# SPDX-License-Identifier: Apache-2.0
"""Bring one environment to what is asked for, if it is not there already."""

import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import folder as folders
from . import pythons, system_libraries, torchvision_operators
from .choice import Choice, NotHere, choose, choose_renderer, supported
from .requirements import Kind, Requirements, requirements, stamp

__all__ = ["KINDS", "NotHere", "provide"]

RENDERING = "rendering"
KINDS = {
    "training": Kind("test", supported(), package=True, constraints="constraints/training.txt"),
    RENDERING: Kind("render", supported(), constraints="constraints/rendering.txt"),
    "lowest": Kind("test", ((3, 11),), package=True, constraints="constraints/lowest.txt"),
    "peers": Kind("peers", supported()),
    "blender-4.2": Kind("blender-4-2", ((3, 11),)),
    "blender-5.0": Kind("blender-5-0", ((3, 11),)),
    "blender-5.2": Kind("blender-5-2", ((3, 13),)),
}
MODULE = "bpy"


def provide(name: str, folder: str, repository: str, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Make the environment of a kind, or find it finished.

    Args:
        folder: relative to the repository, or absolute.

    Raises:
        NotHere: something is missing on this machine, or the folder must not be touched; the message says what helps.
    """
    root = Path(repository)
    target = root / folder
    job = _Job(name, target, requirements(KINDS[name], root), environ, say)
    link = folders.linked_part(Path(folder), root)
    if link is not None:
        job.use_linked(link)
        return
    if job.is_finished():
        return
    with folders.one_at_a_time(target.parent, say):
        if not job.is_finished():  # the make that was waited for may have done it
            job.make()


@dataclass(frozen=True)
class _Job:
    kind: str
    folder: Path
    needs: Requirements
    environ: Mapping[str, str]
    say: Callable[[str], None]

    def blender(self) -> str | None:
        return self._which(self.environ.get("BLENDER") or "blender")

    def without_module(self) -> Requirements:
        return self.needs.without(MODULE)

    def is_finished(self) -> bool:
        """Whether the folder's stamp says what is asked for now; a Python that PYTHON= names must be the one in it."""
        versions = KINDS[self.kind].versions
        named = self._named()
        if named and named.version in versions:
            versions = (named.version,)
        wanted = [self.needs]
        if self.kind == RENDERING and self.blender():
            wanted.append(self.without_module())
        here = self.folder.resolve()
        return folders.is_finished(here, [stamp(here, version, needs) for version in versions for needs in wanted])

    def use_linked(self, link: Path) -> None:
        """An environment behind a link belongs to another checkout: it is used, and never changed."""
        target = link.resolve()
        if not folders.python_of(self.folder).exists():
            raise NotHere(
                f"{link} is a symbolic link to {target}, where no environment is; what a link leads to is never "
                f"emptied: remove the link, or make the environment there"
            )
        facts = (line for line in self._stamp_lines() if not line.startswith(("environment ", "Python ", "package ")))
        asked = (line for line in self.needs.lines() if not line.startswith("package "))
        missing = set(asked) - set(facts)
        if missing:
            self.say(
                f"{link} is a symbolic link and is used as it is, though it was not made for all of this checkout's "
                f"requirements ({len(missing)} differ, such as: {min(missing)})"
            )

    def _stamp_lines(self) -> list[str]:
        file = self.folder.resolve() / folders.STAMP
        return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []

    def make(self) -> None:
        """Empty the folder and install into it; the stamp comes last."""
        choice = self._choose()
        if reason := folders.refusal(self.folder):
            raise NotHere(reason)
        needs = self.without_module() if choice.blender else self.needs
        renders = f"; {choice.blender} renders" if choice.blender else ""
        version = pythons.numbered(choice.python.version)
        self.say(f"making {self.folder} for {self.kind} with {choice.python.path} ({version}){renders}")
        folders.begin(self.folder)
        if subprocess.call([choice.python.path, "-m", "venv", "--clear", self.folder]) != 0:
            raise NotHere(f"{choice.python.path} -m venv failed; its messages are above")
        own = folders.python_of(self.folder)
        install = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.call([*install, *needs.arguments()]) != 0:
            raise NotHere(
                f"pip could not install what {self.folder} needs (its messages are above); mend that and run make again"
            )
        if KINDS[self.kind].package or self.kind == "peers":
            torchvision_operators.provide(own, self.say)
        elif not choice.blender:
            system_libraries.provide(own, self.say)
        folders.finish(self.folder, stamp(self.folder.resolve(), choice.python.version, needs))

    def _choose(self) -> Choice:
        self._named()
        found = pythons.pythons(self.environ)
        if self.kind != RENDERING:
            return Choice(choose(found, KINDS[self.kind].versions))
        return choose_renderer(found, (platform.system(), platform.machine()), self.blender(), self._which)

    def _which(self, program: str) -> str | None:
        return shutil.which(program, path=self.environ.get("PATH"))

    def _named(self) -> pythons.Python | None:
        try:
            named = pythons.named(self.environ)
        except LookupError as error:
            raise NotHere(str(error)) from error
        if named and named.version not in supported():
            known = ", ".join(map(pythons.numbered, supported()))
            version = pythons.numbered(named.version)
            raise NotHere(f"PYTHON={self.environ['PYTHON']} is Python {version}; expected one of {known}")
        return named
