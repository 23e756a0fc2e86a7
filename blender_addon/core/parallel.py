# SPDX-License-Identifier: GPL-3.0-or-later
"""Independent pieces of NumPy work, side by side on the processor threads that a job may use.

NumPy lets other threads run while it computes. What comes out depends neither on the number of threads nor on their
order.
"""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Piece, Result = TypeVar("Piece"), TypeVar("Result")

_wanted = 0
_inside = threading.local()


def use_threads(count: int) -> None:
    """Use so many threads from here on, in the whole process; 0: all that the machine gives to it."""
    global _wanted
    _wanted = count


def threads() -> int:
    """How many threads are used: those asked for, or all that the machine gives to this process."""
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return _wanted or given or 1


def side_by_side(function: Callable[[Piece], Result], pieces: Iterable[Piece]) -> list[Result]:
    """The results of a function for some pieces, in their order. Within a piece there is one thread, its own."""
    pieces = list(pieces)
    count = min(threads(), len(pieces))
    if count < 2 or getattr(_inside, "pool", False):
        return [function(piece) for piece in pieces]

    def enter() -> None:
        _inside.pool = True

    with ThreadPoolExecutor(count, thread_name_prefix="pieces", initializer=enter) as pool:
        return list(pool.map(function, pieces))
