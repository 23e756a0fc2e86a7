# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader for the OpenEXR files that the renderer writes: scan lines, uncompressed, several layers or parts.

Blender's own reader gives no access to the layers of such a file. Format: https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

import struct
from pathlib import Path

import numpy as np

_MAGIC = b"\x76\x2f\x31\x01"
_MULTIPART = 0x1000
_TYPES = {0: "<u4", 1: "<f2", 2: "<f4"}


def read_layers(path: str | Path) -> dict[str, np.ndarray]:
    """The channels of a file by name, such as "ViewLayer.Combined.R": (H, W) float32, row 0 on top.

    Raises:
        ValueError: not a whole file of this kind.
    """
    data = Path(path).read_bytes()
    try:
        return _read(data)
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"{path}: not a whole OpenEXR file ({error})") from error


def _read(data: bytes) -> dict[str, np.ndarray]:
    if data[:4] != _MAGIC:
        raise KeyError("its first bytes are others")
    multipart = bool(struct.unpack_from("<i", data, 4)[0] & _MULTIPART)
    headers, place = [], 8
    while data[place] != 0 or not headers:
        attributes, place = _attributes(data, place)
        headers.append(attributes)
        if not multipart:
            break
    place += multipart  # the empty header that ends the list
    layers = {}
    for attributes in headers:
        found, place = _part(data, attributes, place, 4 * multipart)
        layers |= found
    return layers


def _part(data: bytes, attributes: dict[str, bytes], place: int, skip: int) -> tuple[dict[str, np.ndarray], int]:
    """The channels of the part whose table of offsets is at `place`, and where the table ends.

    `skip`: bytes before the row's number in a scan line.
    """
    if attributes["compression"] != b"\x00":
        raise KeyError("it is compressed")
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    channels = _channels(attributes["channels"])
    values = [(name, kind, (width,)) for name, kind in channels]
    line = np.dtype([("", f"V{skip}")] * bool(skip) + [("its row", "<i4"), ("its size", "<i4"), *values])
    lines = _lines(data, np.array(struct.unpack_from(f"<{height}q", data, place)), line)
    if (lines["its size"] != np.dtype(values).itemsize).any():
        raise IndexError("a scan line is cut off")
    layers = {name: np.empty((height, width), np.float32) for name, _ in channels}
    for name, _ in channels:
        layers[name][lines["its row"] - top] = lines[name]
    return layers, place + 8 * height


def _lines(data: bytes, offsets: np.ndarray, line: np.dtype) -> np.ndarray:
    """The scan lines at these offsets, as one array where they lie at equal distances."""
    steps = np.diff(offsets)
    if offsets.min() < 0 or offsets.max() + line.itemsize > len(data):
        raise IndexError("a scan line is cut off")
    if len(steps) and (steps == steps[0]).all():
        return np.ndarray(offsets.shape, line, data, int(offsets[0]), (int(steps[0]),))
    return np.concatenate([np.frombuffer(data, line, 1, int(offset)) for offset in offsets])


def _attributes(data: bytes, place: int) -> tuple[dict[str, bytes], int]:
    """Name -> value of the header's attributes, and where the header ends."""
    found = {}
    while data[place] != 0:
        name, place = _text(data, place)
        _, place = _text(data, place)
        (size,) = struct.unpack_from("<i", data, place)
        found[name] = data[place + 4 : place + 4 + size]
        place += 4 + size
    return found, place + 1


def _channels(data: bytes) -> list[tuple[str, str]]:
    """Names and NumPy types, in the order of the file."""
    found, place = [], 0
    while data[place] != 0:
        name, place = _text(data, place)
        (kind,) = struct.unpack_from("<i", data, place)
        found.append((name, _TYPES[kind]))
        place += 16  # type, flags, sampling in x and y
    return found


def _text(data: bytes, place: int) -> tuple[str, int]:
    end = data.find(b"\x00", place)
    if end < 0:
        raise IndexError("the header is cut off")
    return data[place:end].decode(), end + 1
