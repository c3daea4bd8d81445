"""Drift that goes on while a chip runs: how much older a phase makes its devices."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mapping import Mapping
from mapping.timing import Phase


@dataclass(frozen=True)
class RunningDrift:
    """The clock of a chip whose devices age from phase to phase.

    A phase adds (prologue + sweeps made * clocks of a sweep) / clock rate seconds (``mapping/timing.py``). All samples
    of a batch share the clock: each sees its phases follow one another at once, as if it had the chip to itself. A
    controller that takes a whole batch through one phase before the next waits a batch as long: ``speed`` = batch size.

    Args:
        mapping: what runs.
        speed: seconds that devices age in each second of the clock, for studies; 0 stops drift.

    Raises:
        ValueError: for a negative or infinite speed.
    """

    mapping: Mapping
    speed: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.speed < math.inf:
            raise ValueError(f"drift_speed {self.speed}: expected a factor >= 0")

    def seconds(self, phase: Phase, sweeps: int) -> float:
        """How much older devices are after a phase of ``sweeps`` sweeps."""
        timing = self.mapping.timing
        return self.speed * timing.seconds(timing.prologue_clocks + sweeps * timing.sweep_clocks(phase))
