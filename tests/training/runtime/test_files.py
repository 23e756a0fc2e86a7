# SPDX-License-Identifier: Apache-2.0
"""What is no file is refused where a file is read, instead of being waited for."""

import os

import pytest
from sequential_patchcore.runtime.files import read_bytes, read_text


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        with pytest.raises(OSError, match="expected a file"):
            read_bytes(tmp_path / name)


def test_text_is_read_as_before_also_from_what_the_shell_gives(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa\r\nb")
    assert read_text(tmp_path / "a.txt") == "a\nb"
    reading, writing = os.pipe()
    os.write(writing, b"given")
    os.close(writing)
    assert read_bytes(f"/dev/fd/{reading}") == b"given"
    os.close(reading)
