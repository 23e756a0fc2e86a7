# SPDX-License-Identifier: Apache-2.0
"""Files that hold more than one picture: pages, animations, stacks. None of them is ever taken for its first alone."""

import io
import re
import struct
from contextlib import suppress
from pathlib import Path

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ..runtime.errors import UserError
from ..runtime.files import opened
from .decoders import decoding

# TIFF 6.0 tags
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _DESCRIPTION = 254, 255, 270
_MP_ENTRIES = 0xB002  # of a multi-picture JPEG, CIPA DC-007
_THUMBNAILS = ("Large Thumbnail (VGA Equivalent)", "Large Thumbnail (Full HD Equivalent)")
_UNDEFINED = "Undefined"


def pages_of(image: Image.Image) -> list[int]:
    """The frames of an opened file that are pictures of their own.

    Smaller copies of the first are none (previews in a TIFF or in a telephone's JPEG), nor are a TIFF's transparency
    masks. The file is left at its first frame.

    Raises:
        UserError: a stack whose slices are not stored as pages.
    """
    count = getattr(image, "n_frames", 1)
    if image.format == "TIFF":
        _refuse_stack(image, count)
    if count == 1:
        return [0]
    if image.format == "TIFF":
        pages = [page for page in range(count) if not _is_copy(image, page)]
    elif image.format == "MPO":
        pages = [page for page in range(count) if not _is_attached(image, page)]
    else:
        pages = list(range(count))
    image.seek(0)
    return pages or [0]


def count_pages(path: Path) -> int:
    """The pictures in a file; 1 for one that cannot be read, whose decoder will say so.

    Raises:
        UserError: see `pages_of`.
    """
    try:
        with decoding(), opened(path) as file, Image.open(file) as image:
            return len(pages_of(image))
    except (OSError, SyntaxError, ValueError, TypeError):  # TypeError: a TIFF without its sides
        return 1


def tiff_directories(data: bytes) -> list[ImageFileDirectory_v2]:
    """The tags of each page of a TIFF, also of one whose pixels Pillow cannot decode; [] for another file."""
    found: list[ImageFileDirectory_v2] = []
    seen: set[int] = set()
    with suppress(OSError, SyntaxError, ValueError, KeyError, struct.error):  # a broken file: its decoder will say so
        header = data[:16] if b"\x2b" in data[2:4] else data[:8]
        position = ImageFileDirectory_v2(header).next
        while position and position not in seen:
            seen.add(position)
            directory = ImageFileDirectory_v2(header)
            stream = io.BytesIO(data)
            stream.seek(position)
            directory.load(stream)
            found.append(directory)
            position = directory.next
    return found


def _is_copy(image: Image.Image, page: int) -> bool:
    image.seek(page)
    kind = image.tag_v2.get(_NEW_SUBFILE_TYPE, 0)
    return page > 0 and (bool(kind & 0b101) or image.tag_v2.get(_SUBFILE_TYPE) == 2)


def _is_attached(image: Image.Image, page: int) -> bool:
    """Whether a frame of a multi-picture JPEG is a preview or a map for brighter screens, smaller than the whole."""
    kind = image.mpinfo[_MP_ENTRIES][page]["Attribute"]["MPType"]
    if page == 0 or kind not in (*_THUMBNAILS, _UNDEFINED):
        return False
    image.seek(0)
    whole = image.size
    image.seek(page)
    return kind in _THUMBNAILS or (image.width < whole[0] and image.height < whole[1])


def _refuse_stack(image: Image.Image, count: int) -> None:
    text = image.tag_v2.get(_DESCRIPTION)
    if isinstance(text, str) and text.startswith("ImageJ="):
        found = re.search(r"^images=(\d+)", text, re.MULTILINE)
        if found and int(found[1]) > 1 and count == 1:
            raise UserError(f"holds a stack of {found[1]} pictures in one page; save them as single pictures")
