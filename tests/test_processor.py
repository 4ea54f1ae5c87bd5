"""Threads for long tasks."""

import threading

import pytest

from gpucnn.processor import available_cores, thread_on_each_core


def test_tasks_that_have_not_begun_are_dropped_when_an_exception_leaves():
    begun, go = [], threading.Event()

    def task(number):
        begun.append(number)
        go.wait(10)

    with pytest.raises(KeyboardInterrupt), thread_on_each_core() as threads:
        for number in range(100):
            threads.submit(task, number)
        threading.Timer(0.05, go.set).start()
        raise KeyboardInterrupt
    assert len(begun) <= available_cores()


def test_otherwise_all_of_them_are_done():
    with thread_on_each_core() as threads:
        done = list(threads.map(lambda number: 2 * number, range(50)))
    assert done == [2 * number for number in range(50)]
