"""EP steps of a compiled model in the fast loop against ``sim``: many samples, or networks too large for cocotb."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sim.chip import Chip
from tb.benches.times import BETA, TIMES
from tb.loop import FastLoop
from tb.reference import Reference, random_samples
from tb.runner import Tested

NAME = "loop.ep_steps_equal_the_simulator"


def fast_steps(
    loop: FastLoop,
    samples: int,
    sweeps: tuple[int, int],
    seed: int,
    *,
    gradients: bool,
    on_step: Callable[[int], Any] = lambda number: None,
) -> Tested:
    """States after every phase, the answer and gradients, of random samples, with read noise on; ends at a difference.

    Args:
        loop: on a new chip of ``seed``.
        sweeps: of free and of nudged phases.
        gradients: whether they are worked out and compared.
        on_step: called with the number of each step that was equal.
    """
    start, cycles = time.perf_counter(), 0
    mapping = loop.mapping
    reference = Reference(Chip(mapping, seed), BETA, sweeps)
    loop.times(**TIMES)
    for number, (x, label) in enumerate(random_samples(mapping, samples, seed), start=1):
        step = loop.step(x, label, BETA, sweeps, gradients)
        cycles += step.counters["cycles"]
        if difference := step.difference(reference.step(x, label)):
            return Tested(NAME, cycles, time.perf_counter() - start, f"EP step {number}: {difference}")
        on_step(number)
    return Tested(NAME, cycles, time.perf_counter() - start)
