# SPDX-License-Identifier: Apache-2.0
"""The decoders' settings for the time of a decode: they hold for the whole process, which belongs to who imports us."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
from PIL import Image

_lock = threading.Lock()
_inside = 0  # threads that decode just now
_before = (cv2.utils.logging.LOG_LEVEL_WARNING, Image.MAX_IMAGE_PIXELS)  # what to go back to
_warnings = warnings.catch_warnings(action="ignore")


@contextmanager
def decoding() -> Iterator[None]:
    """OpenCV and Pillow say nothing inside the block, since a broken file is told by our own one line; and Pillow
    takes pictures of any size, since the memory budget decides about them.

    The settings are those of the process, so that the first of several threads sets them and the last sets them back.
    """
    global _inside, _before, _warnings
    with _lock:
        _inside += 1
        if _inside == 1:
            _before = cv2.utils.logging.getLogLevel(), Image.MAX_IMAGE_PIXELS
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
            Image.MAX_IMAGE_PIXELS = None
            _warnings = warnings.catch_warnings(action="ignore")
            _warnings.__enter__()
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                cv2.utils.logging.setLogLevel(_before[0])
                Image.MAX_IMAGE_PIXELS = _before[1]
                _warnings.__exit__(None, None, None)
