# SPDX-License-Identifier: Apache-2.0
"""A process that keeps what was freed touches the same pages again, without a fault for each."""

import platform
import subprocess
import sys

import pytest
from sequential_patchcore.runtime import allocation

FAULTS = """
import resource, sys
import numpy as np
from sequential_patchcore.runtime.allocation import keep_freed_memory
if "keep" in sys.argv:
    assert keep_freed_memory()
def touched():  # pages that were cleared for an array of 64 MiB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
touched()
print(min(touched() for _ in range(3)))
"""


def faults(*arguments):
    return int(subprocess.run([sys.executable, "-c", FAULTS, *arguments], capture_output=True, text=True,
                              check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_what_was_freed_serves_the_next_block():
    # Huge pages, where the system takes them, are cleared 512 small ones at a time.
    assert faults() >= 64 * 2**20 // 2**21
    assert faults("keep") <= 2


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocation, "ctypes", None)
    assert not allocation.keep_freed_memory()
