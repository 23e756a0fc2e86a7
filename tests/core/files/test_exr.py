# SPDX-License-Identifier: GPL-3.0-or-later
"""The EXR reader against files written here by the format's description."""

import struct

import numpy as np
import pytest

from blender_addon.core.files.exr import read_layers


def an_exr(channels, compression=0):
    """Bytes of a file of one part; channels: name -> (H, W) float32 or float16, row 0 on top."""
    header, lines = a_part(channels, compression)
    start = 8 + len(header) + 8 * len(lines)
    return START + struct.pack("<i", 2) + header + laid_out([lines], start, parts=False)


def several_parts(parts):
    """Bytes of a file with a part for each of the dictionaries."""
    made = [a_part(channels, 0) for channels in parts]
    headers = b"".join(header for header, _ in made) + b"\0"
    start = 8 + len(headers) + sum(8 * len(lines) for _, lines in made)
    return START + struct.pack("<i", 2 | 0x1000) + headers + laid_out([lines for _, lines in made], start, parts=True)


def laid_out(parts_lines, start, parts):
    """Tables of offsets and scan lines."""
    tables, chunks = b"", b""
    for number, lines in enumerate(parts_lines):
        for y, line in enumerate(lines):
            tables += struct.pack("<Q", start + len(chunks))
            chunks += (struct.pack("<i", number) if parts else b"") + struct.pack("<ii", y, len(line)) + line
    return tables + chunks


START = b"\x76\x2f\x31\x01"


def a_part(channels, compression):
    """Header and scan lines."""
    names = sorted(channels)
    height, width = channels[names[0]].shape
    kinds = {"float32": 2, "float16": 1, "uint32": 0}
    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<iiii", kinds[channels[name].dtype.name], 0, 1, 1) for name in names
    )
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)

    def attribute(name, kind, value):
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value

    header = attribute("channels", "chlist", listed + b"\0")
    header += attribute("compression", "compression", bytes([compression]))
    header += attribute("dataWindow", "box2i", window) + attribute("displayWindow", "box2i", window) + b"\0"
    lines = [b"".join(channels[name][y].tobytes() for name in names) for y in range(height)]
    return header, lines


CHANNELS = {
    "ViewLayer.Combined.R": np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32),
    "ViewLayer.Guide Shape.G": np.random.default_rng(1).normal(size=(5, 7)).astype(np.float16),
}


def test_layers_come_back(tmp_path):
    (tmp_path / "a.exr").write_bytes(an_exr(CHANNELS))
    read = read_layers(tmp_path / "a.exr")
    assert set(read) == set(CHANNELS)
    for name, values in CHANNELS.items():
        assert read[name].dtype == np.float32
        np.testing.assert_array_equal(read[name], values.astype(np.float32))


@pytest.mark.parametrize("order", [(4, 3, 2, 1, 0), (2, 0, 4, 1, 3)])
def test_scan_lines_may_lie_in_any_order(tmp_path, order):
    """The table of offsets says where each is."""
    whole = an_exr(CHANNELS)
    size = len(whole) - whole.index(struct.pack("<ii", 0, 7 * 6))
    table, lines = len(whole) - size - 5 * 8, size // 5
    chunks = [whole[-size:][y * lines : (y + 1) * lines] for y in range(5)]
    places = [len(whole) - size + lines * order.index(y) for y in range(5)]
    (tmp_path / "a.exr").write_bytes(
        whole[:table] + struct.pack("<5Q", *places) + b"".join(chunks[y] for y in order)
    )
    read = read_layers(tmp_path / "a.exr")
    for name, values in CHANNELS.items():
        np.testing.assert_array_equal(read[name], values.astype(np.float32))


def test_parts_come_back_together(tmp_path):
    """From 5.0 on Blender writes every layer as a part of its own."""
    (tmp_path / "a.exr").write_bytes(several_parts([{name: values} for name, values in CHANNELS.items()]))
    read = read_layers(tmp_path / "a.exr")
    assert set(read) == set(CHANNELS)
    for name, values in CHANNELS.items():
        np.testing.assert_array_equal(read[name], values.astype(np.float32))


def test_damaged_files_are_refused(tmp_path):
    whole = an_exr(CHANNELS)
    for cut in (0, 3, 40, 150, len(whole) // 2, len(whole) - 1):
        (tmp_path / "a.exr").write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"a\.exr: not a whole OpenEXR file"):
            read_layers(tmp_path / "a.exr")
    (tmp_path / "a.exr").write_bytes(an_exr(CHANNELS, compression=3))
    with pytest.raises(ValueError, match="it is compressed"):
        read_layers(tmp_path / "a.exr")
