# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C between two images instead of in the middle of one, so that a checkpoint is always whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Interrupt:
    """Whether somebody asked to stop."""

    asked: bool = False


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Inside the block the first SIGINT or SIGTERM only sets `asked`; a second one interrupts at once."""
    state = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return

    def note(_signal: int, _frame: object) -> None:
        if state.asked:
            raise KeyboardInterrupt
        state.asked = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
