"""Curves: a number as a function of x = g / g_max, the way publications fit their measurements.

The unit of a curve's value is in the key that holds it: ``sigma_siemens: [1.0e-7, 2.0e-6]``. A list of numbers is
short for the coefficients of a polynomial, one number for a constant. ln is natural.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_serializer, model_validator

from mapping.device.strict import Positive, Strict

Coefficients = Annotated[tuple[float, ...], Field(min_length=1)]


class Polynomial(Strict):
    """sum_i c_i x^i, constant first."""

    curve: Literal["polynomial"] = "polynomial"
    coefficients: Coefficients

    @model_serializer
    def short(self) -> tuple[float, ...]:
        """Written as the list of coefficients that it is read from."""
        return self.coefficients


class LogPolynomial(Strict):
    """sum_i c_i (log10 g)^i, g in siemens, constant first; g is held within [low_siemens, high_siemens]."""

    curve: Literal["log10-polynomial"]
    coefficients: Coefficients
    low_siemens: Positive
    high_siemens: Positive | None = None

    @model_validator(mode="after")
    def in_order(self) -> LogPolynomial:
        if self.high_siemens is not None and self.low_siemens >= self.high_siemens:
            raise ValueError(
                f"low_siemens {self.low_siemens:g} and high_siemens {self.high_siemens:g}: expected low < high"
            )
        return self


class ClippedLog(Strict):
    """clip(slope ln x + offset, low, high)."""

    curve: Literal["clipped-log"] = "clipped-log"
    slope: float
    offset: float
    low: float
    high: float

    @model_validator(mode="after")
    def in_order(self) -> ClippedLog:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} and high {self.high:g}: expected low <= high")
        return self


class Power(Strict):
    """min(scale / x^power, limit)."""

    curve: Literal["power"]
    scale: Positive
    power: float
    limit: float


class Saturating(Strict):
    """amplitude (1 - exp(-x / scale))."""

    curve: Literal["saturating"]
    amplitude: float
    scale: Positive


class Branch(Strict):
    """``below`` where x < ``at``, ``above`` elsewhere."""

    curve: Literal["branch"]
    at: float
    below: Curve
    above: Curve


def written_out(value: Any) -> Any:
    """The table that a number or a list stands for."""
    if isinstance(value, list | tuple):
        return {"curve": "polynomial", "coefficients": value}
    if isinstance(value, int | float | str) and not isinstance(value, bool):  # str: YAML reads 1e-6 as one
        return {"curve": "polynomial", "coefficients": [value]}
    if isinstance(value, Strict) or (isinstance(value, Mapping) and "curve" in value):
        return value
    raise ValueError("expected a number, a list of coefficients, or a table that names its kind in the key curve")


Curve = Annotated[
    Annotated[
        Polynomial | LogPolynomial | ClippedLog | Power | Saturating | Branch,
        Field(discriminator="curve"),
    ],
    BeforeValidator(written_out),
]

Branch.model_rebuild()

NOTHING = Polynomial(coefficients=(0.0,))


def is_nothing(curve: Curve) -> bool:
    """Whether a curve is zero everywhere."""
    return isinstance(curve, Polynomial) and not any(curve.coefficients)
