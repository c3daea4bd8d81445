"""Recorded simulation results, checked: they come from files that anyone may have edited."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eqprop.errors import InputError


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


def read(records: Sequence[Mapping[str, Any]]) -> tuple[Result, ...]:
    """Check what ``hwmap simulate`` recorded; keys not named in :class:`Result` are left alone.

    Raises:
        InputError: naming the result's position, the field, the value found and what was expected.
    """
    return tuple(read_one(record, f"result {number}") for number, record in enumerate(records, start=1))


def read_one(record: Mapping[str, Any], where: str) -> Result:
    chips = whole(record, "chips", where, least=1)
    per_chip = record.get("accuracy_per_chip")
    if not isinstance(per_chip, list | tuple) or len(per_chip) != chips:
        raise InputError(f"{where}: field accuracy_per_chip: {per_chip!r}: expected a list of {chips} (field chips)")
    return Result(
        accuracy=share(record.get("accuracy"), "accuracy", where),
        per_chip=tuple(share(value, "accuracy_per_chip", where) for value in per_chip),
        ideal=share(record.get("accuracy_ideal"), "accuracy_ideal", where),
        samples=whole(record, "samples", where, least=1),
        chips=chips,
        age_s=not_negative(record, "age_s", where),
        seed=whole(record, "seed", where, least=0),
        residual=number(record.get("residual"), "residual", where),
        sweeps=whole(record, "sweeps", where, least=0),
        data=text(record, "data", where),
        target=text(record, "target", where),
        seconds=not_negative(record, "seconds", where),
    )


def number(value: Any, field: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: field {field}: {value!r}: expected a number")
    return float(value)


def share(value: Any, field: str, where: str) -> float:
    if not 0.0 <= number(value, field, where) <= 1.0:
        raise InputError(f"{where}: field {field}: {value!r}: expected a share from 0 to 1")
    return float(value)


def not_negative(record: Mapping[str, Any], field: str, where: str) -> float:
    if not 0.0 <= number(record.get(field), field, where) < math.inf:
        raise InputError(f"{where}: field {field}: {record.get(field)!r}: expected seconds >= 0")
    return float(record[field])


def whole(record: Mapping[str, Any], field: str, where: str, least: int) -> int:
    value = record.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{where}: field {field}: {value!r}: expected a whole number >= {least}")
    return value


def text(record: Mapping[str, Any], field: str, where: str) -> str:
    value = record.get(field)
    if not isinstance(value, str):
        raise InputError(f"{where}: field {field}: {value!r}: expected a name")
    return value
