# SPDX-License-Identifier: Apache-2.0
"""Which picture a label file means, given the name that it says."""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from ...runtime.errors import UserError
from ..picture_files import Survey
from .findings import Findings
from .names import name_key, relative_name

_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")  # what an upload to Label Studio puts before a file's name


class ImageLookup:
    """The pictures below a source, by any end of their paths."""

    def __init__(self, survey: Survey, findings: Findings) -> None:
        self._root, self._findings = survey.root, findings
        self._paths = {relative_name(path, survey.root): path for path in survey.images}
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for name in self._paths:
            self._by_name.setdefault(name_key(PurePosixPath(name).name), []).append(name)
            self._by_stem.setdefault(name_key(PurePosixPath(name).stem), []).append(name)

    def find(self, said: str, near: Path) -> Path:
        """The picture that `said` names, in a label file that lies in the folder `near`.

        It is the one whose path agrees with the longest end of the name, of several the one nearest to the label file;
        without such a name the one without the mark of an upload to Label Studio, or the one of the same stem, with a
        note.

        Raises:
            UserError: there is none, or there are several.
        """
        wanted = PurePosixPath(unquote(said).replace("\\", "/"))
        alike = self._by_name.get(name_key(wanted.name), [])
        if not alike and _UPLOAD.match(wanted.name):
            wanted = wanted.with_name(_UPLOAD.sub("", wanted.name))
            alike = self._by_name.get(name_key(wanted.name), [])
        if not alike:
            alike = self._by_stem.get(name_key(wanted.stem), [])
            if len(alike) == 1:
                what = "{count} images have another ending than their labels say"
                self._findings.note(what, f"{alike[0]} for {said}")
        if not alike:
            raise UserError(f"no image {said!r} below {self._root}, or none that can be read")
        agreeing = {name: _agreement(PurePosixPath(name), wanted) for name in alike}
        best = [name for name in alike if agreeing[name] == max(agreeing.values())]
        if len(best) > 1:
            place = PurePosixPath(relative_name(near, self._root))
            shared = {name: _shared_folders(PurePosixPath(name), place) for name in best}
            best = [name for name in best if shared[name] == max(shared.values())]
        if len(best) > 1:
            raise UserError(f"several images could be meant by {said!r}: {', '.join(best[:3])}")
        return self._paths[best[0]]


def _agreement(path: PurePosixPath, wanted: PurePosixPath) -> int:
    """How many parts of two paths agree, counted from their ends."""
    count = 0
    for one, other in zip(reversed(path.parts), reversed(wanted.parts), strict=False):
        if name_key(one) != name_key(other):
            break
        count += 1
    return count


def _shared_folders(path: PurePosixPath, folder: PurePosixPath) -> int:
    count = 0
    for one, other in zip(path.parts[:-1], folder.parts, strict=False):
        if one != other:
            break
        count += 1
    return count
