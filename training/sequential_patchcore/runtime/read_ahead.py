# SPDX-License-Identifier: Apache-2.0
"""Things read by threads while those before them are worked on, in their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")


def read_ahead(read: Callable[[Item], Read], items: Iterable[Item], workers: int = 1) -> Iterator[Read]:
    """`read(item)` of each item, in order, up to `workers` items ahead of the one that is asked for.

    What `read` raises is raised where its item is asked for. OpenCV and the decoders work outside the interpreter's
    lock.

    Args:
        workers: threads; 0 reads each item when it is asked for.
    """
    if workers == 0:
        yield from map(read, items)
        return
    pool = ThreadPoolExecutor(workers, "reading")
    ahead: deque = deque()
    left = iter(items)
    try:
        for item in left:
            ahead.append(pool.submit(read, item))
            if len(ahead) > workers:
                break
        while ahead:
            yield ahead.popleft().result()
            with suppress(StopIteration):
                ahead.append(pool.submit(read, next(left)))
    finally:
        pool.shutdown(cancel_futures=True)
