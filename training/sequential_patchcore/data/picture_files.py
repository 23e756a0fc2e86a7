# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder are pictures that can be read, which are pictures that cannot, and which are none."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ..runtime.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".jp2",
                  ".pgm", ".ppm", ".pbm", ".pnm", ".avif")

# Pictures by their ending, which are not read: what they are, and what to do.
UNREAD_PICTURES = {
    **dict.fromkeys((".heic", ".heif"), "HEIC photographs"),
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".rw2", ".orf", ".pef", ".srw", ".raw", ".3fr",
                     ".iiq", ".x3f", ".bayer"), "raw files of a camera"),
    **dict.fromkeys((".exr", ".hdr", ".pfm"), "pictures of floating-point values"),
    **dict.fromkeys((".jxl", ".jxr", ".wdp", ".j2k", ".jpx", ".j2c", ".ico", ".tga", ".pcx", ".sgi", ".dds", ".emf",
                     ".wmf"), "pictures of rare kinds"),
    **dict.fromkeys((".psd", ".xcf", ".kra", ".ora", ".svg", ".eps", ".pdf", ".ai"), "drawings and documents"),
    **dict.fromkeys((".dcm", ".nii", ".mha", ".mrc", ".czi", ".lif", ".nd2", ".lsm", ".vsi", ".svs", ".ndpi", ".npy",
                     ".npz", ".mat", ".h5", ".hdf5", ".fits", ".fit"), "arrays and stacks"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".m4v", ".wmv", ".webm", ".mpg", ".mpeg"), "videos"),
    **dict.fromkeys((".zip", ".7z", ".rar", ".tar", ".tgz", ".gz"), "archives"),
}


@dataclass(frozen=True)
class Survey:
    """All files below a folder, hidden ones left out; each list is sorted by folders and names.

    Attributes:
        images: pictures of the kinds that can be read.
        others: all other files.
    """

    root: Path
    images: tuple[Path, ...]
    others: tuple[Path, ...]

    def others_with(self, *suffixes: str) -> list[Path]:
        """Files that are no pictures, with one of these endings in lower case."""
        return [path for path in self.others if path.name.lower().endswith(suffixes)]


def survey(root: Path, leave_out: Iterable[Path] = (), exclude: Sequence[str] = ()) -> Survey:
    """Look at every file below a folder.

    Args:
        leave_out: files and folders.
        exclude: patterns of names or of paths below `root`, with * and ?, in any case.

    Raises:
        UserError: a folder below it cannot be read.
    """
    patterns = [pattern.replace("\\", "/").casefold() for pattern in exclude]
    files = [
        path for path in files_below(root, ("",), leave_out)
        if not any(_matches(path, root, pattern) for pattern in patterns)
    ]
    images = tuple(path for path in files if is_image_name(path.name))
    return Survey(root, images, tuple(path for path in files if not is_image_name(path.name)))


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as that of a picture that can be read."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def files_below(root: Path, suffixes: tuple[str, ...], leave_out: Iterable[Path] = ()) -> Iterator[Path]:
    """Files with one of the suffixes below `root`, sorted; hidden ones and what `leave_out` names are skipped.

    Linked folders are followed, each real folder once; but not to a folder that `root` lies in: of a link to "/" all
    files of the machine would be these.

    Raises:
        UserError: a folder cannot be read.
    """
    left_out = {os.path.realpath(path) for path in leave_out}
    above = os.path.realpath(root)
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen or (os.path.islink(folder) and above.startswith(os.path.join(real, ""))):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(
            name for name in folders if not _is_hidden(name) and os.path.realpath(Path(folder, name)) not in left_out
        )
        for name in sorted(names):
            path = Path(folder, name)
            if name.lower().endswith(suffixes) and not _is_hidden(name) and os.path.realpath(path) not in left_out:
                yield path


def _matches(path: Path, root: Path, pattern: str) -> bool:
    names = (path.name, path.relative_to(root).as_posix())
    return any(fnmatchcase(name.casefold(), pattern) for name in names)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir")


def _refuse(error: OSError) -> None:
    if isinstance(error, FileNotFoundError):
        return  # a folder that is not there holds no files
    raise UserError(f"cannot read the folder {error.filename}: {error.strerror or error}") from error
