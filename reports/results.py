"""Recorded simulation results, checked: they come from files that anyone may have edited."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.record import Record


@dataclass(frozen=True)
class Result:
    """One run of ``hwmap simulate``.

    Attributes:
        accuracy: mean over chips, as a share; ``per_chip`` has each chip's and ``ideal`` the ideal network's.
        samples, data: test images seen, and the name of their set.
        age_s: seconds since the device's reference time.
        residual: largest residual after ``sweeps`` sweeps.
        seconds: wall time.
    """

    accuracy: float
    per_chip: tuple[float, ...]
    ideal: float
    samples: int
    chips: int
    age_s: float
    seed: int
    residual: float
    sweeps: int
    data: str
    target: str
    seconds: float

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over chips; None for one chip."""
        return statistics.stdev(self.per_chip) if self.chips > 1 else None

    @property
    def sampling_error(self) -> float:
        """Standard error of one accuracy that comes from the choice of images, sqrt(p (1 - p) / samples)."""
        return math.sqrt(self.ideal * (1.0 - self.ideal) / self.samples)


def read(records: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]) -> tuple[Result, ...]:
    """Check what ``hwmap simulate`` recorded, by file or one after the other; keys not named in :class:`Result` are
    left alone.

    Raises:
        InputError: naming the result's file or position, the field, the value found and what was expected.
    """
    if not isinstance(records, Mapping):
        records = {f"result {number}": record for number, record in enumerate(records, start=1)}
    return tuple(read_one(record, where) for where, record in records.items())


def read_one(record: Mapping[str, Any], where: str) -> Result:
    fields = Record(record, where)
    chips = fields.whole("chips", least=1)
    return Result(
        accuracy=fields.share("accuracy"),
        per_chip=fields.shares("accuracy_per_chip", chips, "chips"),
        ideal=fields.share("accuracy_ideal"),
        samples=fields.whole("samples", least=1),
        chips=chips,
        age_s=fields.at_least("age_s"),
        seed=fields.whole("seed"),
        residual=fields.number("residual"),
        sweeps=fields.whole("sweeps"),
        data=fields.text("data"),
        target=fields.text("target"),
        seconds=fields.at_least("seconds"),
    )
