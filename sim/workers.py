"""Threads that share the work of many reads or crossbars: each does whole pieces of it, one thread of torch inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import torch

Result = TypeVar("Result")

pools: dict[int, ThreadPoolExecutor] = {}


def run_all(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """Results of ``tasks`` in their order, done by as many threads as torch may use.

    One task alone is done here, with torch's own threads inside.
    """
    threads = torch.get_num_threads()
    if len(tasks) == 1 or threads == 1:
        return [task() for task in tasks]
    return list(pool_of(threads).map(lambda task: task(), tasks))


def pool_of(threads: int) -> ThreadPoolExecutor:
    """A lasting pool, started in full."""
    if threads not in pools:
        pool = ThreadPoolExecutor(threads, "hwmap", initializer=torch.set_num_threads, initargs=(1,))
        # A worker's setting is also the default of threads that start later: have all start now, then set it back.
        together = Barrier(threads)
        list(pool.map(lambda _: together.wait(), range(threads)))
        torch.set_num_threads(threads)
        pools[threads] = pool
    return pools[threads]
