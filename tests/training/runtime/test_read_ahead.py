# SPDX-License-Identifier: Apache-2.0
"""The same things in the same order whatever the threads; never further ahead than was said; errors in their place."""

import threading

import pytest
from sequential_patchcore.runtime.read_ahead import read_ahead


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_the_order_is_that_of_the_items(workers, count):
    assert list(read_ahead(lambda item: item * item, range(count), workers)) == [n * n for n in range(count)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_comes_where_its_item_is_asked_for(workers):
    found = read_ahead(lambda item: 1 // (item - 2), range(5), workers)
    assert [next(found), next(found)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert not list(found)


@pytest.mark.parametrize("workers", [1, 3])
def test_it_reads_beside_the_work_and_no_further_ahead_than_the_threads(workers):
    begun, all_begun = [], threading.Semaphore(0)

    def read(item):
        begun.append(item)
        all_begun.release()
        return item

    found = read_ahead(read, range(10), workers)
    next(found)
    for _ in range(workers + 1):  # while the first is worked on
        assert all_begun.acquire(timeout=30)
    assert not all_begun.acquire(timeout=0.2) and len(begun) == workers + 1
    found.close()
    assert len(begun) <= workers + 2
