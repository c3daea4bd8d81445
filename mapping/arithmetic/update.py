"""What a controller does to the drive of a layer: neuron, nudge, residual.

States, drives, biases and errors are codes of one layer: whole numbers of its fixed point. A drive is a sum of
scaled reads, wider than a state; drives in float32 must stay within 2^24.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from mapping.arithmetic.codes import Limits
from mapping.arithmetic.scaling import Scaling, blocks


def neuron(drive: int, bias: int, inverse_stiffness: Scaling, limits: Limits) -> int:
    """New state clip(round((drive + bias) / k)): add the bias, scale by 1/k, saturate to the clip range.

    Args:
        drive: sum of the scaled reads.
        inverse_stiffness: ``Scaling.nearest(1 / k)``; (1, 0), which changes nothing, for k = 1.
        limits: codes of the ends of the clip range.
    """
    return inverse_stiffness.apply(drive + bias, limits)


def neuron_(drive: Tensor, bias: Tensor | int, inverse_stiffness: Scaling, limits: Limits) -> Tensor:
    """As :func:`neuron`, in place; ``bias`` is spread over the drive's shape [batch, *shape]."""
    return inverse_stiffness.apply_(drive.add_(bias), limits)


@dataclass(frozen=True)
class SquaredErrorNudge:
    """The output layer's nudged update o = (h + beta y) / (k + beta), y one-hot: minimiser of E + beta/2 |o - y|^2.

    In words: add ``push`` to the drive of the target's class, scale all by 1 / (k + beta), saturate. Made once a
    phase; beta of the other sign is another nudge.

    Attributes:
        push: beta times the code of 1.0, rounded.
        divide: by k + beta.
    """

    push: int
    divide: Scaling

    @classmethod
    def build(
        cls, beta: float, stiffness: float, one_code: int, *, fraction_bits: int = 12, bits: int = 16
    ) -> SquaredErrorNudge:
        """The nudge of a strength.

        Args:
            beta: of either sign; rounded to a multiple of 2^-fraction_bits, and used so in both places.
            stiffness: k of the output layer.
            one_code: code of the value 1.0, 1 / step: may lie one beyond the highest code of a state.
            bits: of the multiplier of 1 / (k + beta).

        Raises:
            ValueError: unless beta > -k, and for a beta that rounds to 0.
        """
        strength = Scaling.fixed_point(beta, fraction_bits)
        held = Fraction(stiffness) + strength.ratio
        if held <= 0:
            raise ValueError(
                f"beta {float(strength.ratio):g} with output stiffness {stiffness}: expected beta > {-stiffness}"
            )
        return cls(strength.apply(one_code), Scaling.nearest(1 / held, bits))

    def apply(self, drive: int, *, is_target: bool, limits: Limits) -> int:
        """New state of one output unit; ``drive`` has its bias already."""
        return self.divide.apply(drive + self.push if is_target else drive, limits)

    def apply_(self, drive: Tensor, target: Tensor, limits: Limits) -> Tensor:
        """As :meth:`apply`, in place, on drives [batch, *shape] with class numbers int64 [batch].

        Raises:
            RuntimeError: for drives that cannot be viewed as [batch, classes], or a class they do not have.
        """
        units = drive.view(len(drive), -1)
        units.scatter_add_(1, target.unsqueeze(1), units.new_full((len(units), 1), self.push))
        self.divide.apply_(drive, limits)
        return drive


def linear_nudge(drive: int, error: int, beta: Scaling) -> int:
    """Drive + beta error: the nudge of a cost known by its gradient, error = -dC/ds.

    Args:
        beta: ``Scaling.fixed_point(beta)``, of either sign; the product is rounded, ties upwards.
    """
    return drive + beta.apply(error)


def linear_nudge_(drive: Tensor, error: Tensor, beta: Scaling) -> Tensor:
    """As :func:`linear_nudge`, in place on ``drive``; ``error`` is left as it was."""
    return drive.add_(beta.apply_(error.clone()))


def largest_change(new: Iterable[int], old: Iterable[int]) -> int:
    """Residual of a sweep: the largest |new - old| of any state, 0 of none."""
    return max((abs(now - before) for now, before in zip(new, old, strict=True)), default=0)


def largest_changes(new: Tensor, old: Tensor) -> Tensor:
    """As :func:`largest_change`, a tensor of no dimensions, so that several layers can be fetched at once.

    Raises:
        ValueError: for tensors of different shapes.
    """
    if new.shape != old.shape:
        raise ValueError(f"states of shapes {tuple(new.shape)} and {tuple(old.shape)}: expected one shape")
    if new.numel() == 0:
        return new.new_zeros(())
    pairs = zip(blocks(new), blocks(old), strict=True) if new.stride() == old.stride() else [(new, old)]
    ends = [torch.aminmax(now - before) for now, before in pairs]
    return torch.stack([torch.maximum(-lowest, highest) for lowest, highest in ends]).amax()


def settled_change(tolerance: float, step: float) -> int:
    """Largest change in codes that a tolerance in values lets pass: a sweep with no larger one is the last.

    Raises:
        ValueError: for a negative tolerance or a step that is not positive.
    """
    if not (0.0 <= tolerance < math.inf and 0.0 < step < math.inf):
        raise ValueError(f"tolerance {tolerance} of steps of {step}: expected finite, >= 0 and > 0")
    return math.floor(Fraction(tolerance) / Fraction(step))
