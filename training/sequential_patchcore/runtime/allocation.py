# SPDX-License-Identifier: Apache-2.0
"""Memory that was freed is kept by the process for what comes next, where the C library can be told so.

glibc maps every block above 32 MiB anew and gives it back when it is freed; the system then clears each page once more
at its first touch. With activations and patches of an image of 5 megapixels that was a sixth of a training run's CPU
time (docs/deployment.md).
"""

import ctypes
import platform

# mallopt(3), malloc.h of glibc: the names of what is set.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_NEVER = 2**31 - 1  # bytes at the heap's end from which on it is cut back: the largest number that can be given


def keep_freed_memory() -> bool:
    """For the whole process, from now on; whether that could be set. Called by commands, whose process is their own.

    All blocks come from one heap, so that what one thread has freed serves the others too.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    settings = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER))
    return all(library.mallopt(name, value) for name, value in settings)
