# SPDX-License-Identifier: Apache-2.0
"""OpenCV's settings for the time of a decode: they hold for the whole process, which belongs to whoever imports us."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

_lock = threading.Lock()
_inside = 0  # threads that decode just now
_level = cv2.utils.logging.LOG_LEVEL_WARNING  # what to go back to


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """OpenCV prints nothing inside the block: a broken file is told by our own one line.

    The level is that of the process, so that the first of several threads sets it and the last sets it back.
    """
    global _inside, _level
    with _lock:
        _inside += 1
        if _inside == 1:
            _level = cv2.utils.logging.getLogLevel()
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                cv2.utils.logging.setLogLevel(_level)
