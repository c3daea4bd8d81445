"""Recorded results against the record that hwmap simulate writes: whole ones are read, others named and refused."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest

from eqprop.errors import InputError
from reports.results import read


def test_a_record_is_read_as_it_is(result: dict[str, Any]) -> None:
    (seen,) = read([{**result, "mapping": "hash", "energy_j": 1.0}])
    assert (seen.accuracy, seen.per_chip, seen.ideal) == (0.905, (0.90, 0.91), 0.9375)
    assert (seen.seed, seen.sweeps, seen.data) == (7, 42, "digits")
    assert seen.deviation == statistics.stdev([0.90, 0.91])
    assert seen.sampling_error == pytest.approx(math.sqrt(0.9375 * 0.0625 / 400))


def test_one_chip_has_no_deviation(result: dict[str, Any]) -> None:
    (seen,) = read([{**result, "chips": 1, "accuracy_per_chip": [0.905]}])
    assert seen.deviation is None


def test_a_diverged_run_may_have_any_residual(result: dict[str, Any]) -> None:
    (seen,) = read([{**result, "residual": math.nan}])
    assert math.isnan(seen.residual)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("accuracy", None),
        ("accuracy", 90.5),
        ("accuracy", math.nan),
        ("accuracy", True),
        ("accuracy_per_chip", [0.9]),
        ("accuracy_per_chip", [0.9, "x"]),
        ("accuracy_per_chip", "ab"),
        ("accuracy_ideal", -0.1),
        ("samples", 0),
        ("chips", 2.0),
        ("age_s", -1.0),
        ("age_s", math.inf),
        ("seed", "0"),
        ("residual", "small"),
        ("sweeps", None),
        ("data", 3),
        ("target", None),
        ("seconds", math.nan),
    ],
)
def test_a_field_no_simulation_records_is_named(result: dict[str, Any], field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^result 2: field {field}: .*expected") as caught:
        read([result, {**result, field: value}])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["accuracy", "accuracy_per_chip", "accuracy_ideal", "samples", "chips", "age_s"])
def test_a_missing_field_is_named(result: dict[str, Any], field: str) -> None:
    del result[field]
    with pytest.raises(InputError, match=f"field {field}"):
        read([result])
