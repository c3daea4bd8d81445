"""Values of curves: numbers as functions of x = g / g_max."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import torch
from torch import Tensor

from mapping.device import Branch, ClippedLog, LogPolynomial, Polynomial, Power, Saturating


@singledispatch
def evaluate(curve: object, x: Tensor, g_max_siemens: float) -> Tensor:
    """The curve at each ``x``, a new tensor of the same shape; see mapping/device/curve.py for the formulas."""
    raise TypeError(f"{type(curve).__name__}: no such curve")


@evaluate.register
def _(curve: Polynomial, x: Tensor, g_max_siemens: float) -> Tensor:
    return horner(curve.coefficients, x)


@evaluate.register
def _(curve: LogPolynomial, x: Tensor, g_max_siemens: float) -> Tensor:
    siemens = (x * g_max_siemens).clamp_(curve.low_siemens, curve.high_siemens)
    return horner(curve.coefficients, siemens.log10_())


@evaluate.register
def _(curve: ClippedLog, x: Tensor, g_max_siemens: float) -> Tensor:
    # The clamp: ln 0 times a slope of 0 would be no number; with any other slope x = 0 takes the limit.
    return above_zero(x).log_().mul_(curve.slope).add_(curve.offset).clamp_(curve.low, curve.high)


@evaluate.register
def _(curve: Power, x: Tensor, g_max_siemens: float) -> Tensor:
    return above_zero(x).pow_(-curve.power).mul_(curve.scale).clamp_(max=curve.limit)


@evaluate.register
def _(curve: Saturating, x: Tensor, g_max_siemens: float) -> Tensor:
    return (x * (-1.0 / curve.scale)).expm1_().mul_(-curve.amplitude)


@evaluate.register
def _(curve: Branch, x: Tensor, g_max_siemens: float) -> Tensor:
    below, above = evaluate(curve.below, x, g_max_siemens), evaluate(curve.above, x, g_max_siemens)
    return torch.where(x < curve.at, below, above)


def not_negative(curve: object, x: Tensor, g_max_siemens: float) -> Tensor:
    """The curve, held at 0 where a fit falls below it: for standard deviations."""
    return evaluate(curve, x, g_max_siemens).clamp_(min=0.0)


def horner(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """sum_i c_i x^i by Horner's rule."""
    value = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value.mul_(x).add_(coefficient)
    return value


def above_zero(x: Tensor) -> Tensor:
    return x.clamp(min=torch.finfo(x.dtype).tiny)
