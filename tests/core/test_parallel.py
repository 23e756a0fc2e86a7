# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces side by side: their results in order, on as many threads as asked for."""

import threading
import time

import pytest

from blender_addon.core import parallel


@pytest.fixture(autouse=True)
def as_before():
    yield
    parallel.use_threads(0)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_pieces(threads):
    parallel.use_threads(threads)

    def late_first(piece):
        time.sleep(0.02 / (1 + piece))
        return piece, threading.get_ident()

    results = parallel.side_by_side(late_first, range(12))
    assert [piece for piece, _ in results] == list(range(12))
    assert len({thread for _, thread in results}) <= threads
    assert parallel.side_by_side(late_first, []) == []


def test_two_pieces_do_run_at_once():
    parallel.use_threads(2)
    both = threading.Barrier(2, timeout=20)
    assert parallel.side_by_side(lambda piece: both.wait() >= 0, (0, 1)) == [True, True]


def test_a_piece_starts_no_threads_of_its_own():
    parallel.use_threads(2)

    def nested(piece):
        inner = parallel.side_by_side(lambda _: threading.get_ident(), range(3))
        return set(inner) == {threading.get_ident()}

    assert parallel.side_by_side(nested, range(4)) == [True] * 4


def test_an_error_of_a_piece_is_raised():
    parallel.use_threads(2)
    with pytest.raises(ZeroDivisionError):
        parallel.side_by_side(lambda piece: 1 // piece, (2, 1, 0, 3))


def test_none_asked_for_is_all_that_there_are(monkeypatch):
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert parallel.threads() == 3
    parallel.use_threads(7)
    assert parallel.threads() == 7
