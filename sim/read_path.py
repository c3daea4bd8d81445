"""Reads in one direction: drive lines, add currents in the wire, convert each tile's sums, add tiles digitally."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mapping.arithmetic import Codes, Scaling, code_range
from mapping.fixed_point import DRIVE_BITS, requantising
from mapping.lowering import Span
from sim.converters import Digitiser, Driver
from sim.drives import Drives
from sim.gaussian import NoiseStream

# Partial sums handled at a time: bounds the memory of a read, and keeps a conversion's passes near the cache.
SUMS_AT_ONCE = 1 << 18


# What of a drive [batch, ...] reaches the lines of a span, and what lines sense then:
# (operand, that, span, bias) -> [batch, lines, *positions].
Share = Callable[[Tensor, Span], Tensor]
Sense = Callable[[Tensor, Tensor, Span, Tensor | None], Tensor]


class Spread(Protocol):
    """Read noise of the devices behind a part."""

    def spread(self, sense: Sense, drive: Tensor, span: Span) -> Tensor:
        """Twice the variance of each sum, [batch, lines, *positions]."""
        ...

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True)
class IndependentNoise:
    """Read noise of devices behind ideal wires: variance sum_i drive_i^2 sigma_i^2, folded into one draw a sum.

    Attributes:
        operand: of the squared drive; carries twice the variance.
    """

    operand: Tensor

    def spread(self, sense: Sense, drive: Tensor, span: Span) -> Tensor:
        """Twice the variance of each sum, [batch, lines, *positions]."""
        return sense(self.operand, drive.square(), span, None)

    @property
    def nbytes(self) -> int:
        return self.operand.nbytes


@dataclass(frozen=True)
class Part:
    """The tiles that one span of driven lines reaches.

    With ADCs everything is in their steps, gains and offsets included, and 1/2 is in ``bias``: rounding is a floor.

    Attributes:
        span: the driven lines.
        operand: what sensed lines multiply the drive with.
        bias: added to each sensed line, or None.
        higher: operands of the drive's powers, of devices whose current is not ohmic.
        spread: read noise, or None.
        steps: [lines] what a step means, or None for all alike.
        counts: what the codes of this part count digitally (the significance of a slice).
    """

    span: Span
    operand: Tensor
    bias: Tensor | None = None
    higher: tuple[tuple[int, Tensor], ...] = ()
    spread: Spread | None = None
    steps: Tensor | None = None
    counts: float = 1.0

    @property
    def nbytes(self) -> int:
        """Memory of the operands."""
        spread = 0 if self.spread is None else self.spread.nbytes
        return self.operand.nbytes + sum(operand.nbytes for _, operand in self.higher) + spread


@dataclass
class Conversions:
    """How many conversions were made, and how many met a sum beyond their range."""

    made: int = 0
    clipped: int = 0

    @classmethod
    def total(cls, several: Iterable[Conversions]) -> Conversions:
        """Their sum."""
        counted = list(several)
        return cls(sum(each.made for each in counted), sum(each.clipped for each in counted))

    @property
    def share(self) -> float:
        """Share of conversions that clipped."""
        return self.clipped / self.made if self.made else 0.0


@dataclass(frozen=True)
class Requantiser:
    """Sums of ADC codes to values of a fixed-point state, by the integer rule that the controller has.

    Attributes:
        scaling: codes to codes of the state.
        step: of the state.
    """

    scaling: Scaling
    step: float

    @classmethod
    def between(cls, adc_step: float, state_step: float) -> Requantiser:
        """For codes that mean ``adc_step`` each."""
        return cls(requantising(adc_step, state_step), state_step)

    def __call__(self, codes: Tensor) -> Tensor:
        """In place; saturated to ``DRIVE_BITS``."""
        return self.scaling.apply_(codes, DRIVE_LIMITS).mul_(self.step)


DRIVE_LIMITS = code_range(DRIVE_BITS, signed=True)


class ReadPath:
    """One direction of one coupling on one chip.

    Args:
        driver: what drives the lines.
        parts: the tiles, span after span of driven lines.
        share: what of a drive a part's lines get.
        sense: how that meets an operand.
        digitiser: ADCs, or None for ideal ones.
        finish: (sums in weight units [batch, lines, *positions], drive) -> the read's answer.
        lines: how many lines each image's read converts, positions included.
        answer_shape: of one image's answer.
        stream: this chip's read noise.
        average: conversions of each read that are averaged.
        conversions: where conversions are counted.
        drives: where what drives the lines is counted.
        state_step: the step of the fixed-point states that the read adds up to: its digital sums are then whole
            numbers, brought to that step by an integer multiplier and a shift. None: sums are float.
        leave_codes: leave the sums of codes as they are, for who adds them up with others first.
    """

    def __init__(
        self,
        driver: Driver,
        parts: list[Part],
        share: Share,
        sense: Sense,
        digitiser: Digitiser | None,
        finish: Callable[[Tensor, Tensor], Tensor],
        lines: int,
        answer_shape: tuple[int, ...],
        stream: NoiseStream,
        average: int,
        conversions: Conversions,
        drives: Drives,
        state_step: float | None = None,
        leave_codes: bool = False,
    ) -> None:
        self.driver, self.parts, self.share, self.sense, self.digitiser = driver, parts, share, sense, digitiser
        self.finish, self.answer_shape, self.stream = finish, answer_shape, stream
        self.images_at_once = max(1, SUMS_AT_ONCE // lines)
        self.amplifier = 0.0 if digitiser is None else 2.0 * digitiser.noise_lsb**2
        noisy = self.amplifier > 0.0 or any(part.spread is not None for part in parts)
        self.average = average if noisy else 1
        self.step = None if digitiser is None else digitiser.one_step
        self.conversions, self.drives = conversions, drives
        self.requantiser: Requantiser | None = None
        self.leave_codes = leave_codes
        if state_step is not None and self.step is not None:
            self.requantiser = Requantiser.between(self.step / self.average, state_step)

    @property
    def nbytes(self) -> int:
        """Memory of the operands."""
        return sum(part.nbytes for part in self.parts)

    def __call__(self, state: Tensor) -> Tensor:
        """Read [batch, ...]: drive and sense, once or (bit-serial) once for each bit."""
        answer: Tensor | None = None
        for counts, driven in self.driver.drives(state):
            self.drives.see(driven)
            share = self.read(driven.drive)
            share = share if counts == 1.0 else share.mul_(counts)
            answer = share if answer is None else answer.add_(share)
        assert answer is not None
        return answer if self.requantiser is None or self.leave_codes else self.requantiser(answer)

    def read(self, drive: Tensor) -> Tensor:
        """The answer to one drive, a few images at a time."""
        if len(drive) <= self.images_at_once:
            return self.finish(self.sums(drive), drive)
        shape = (len(drive), *self.answer_shape)
        layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
        answer = torch.empty(shape, dtype=drive.dtype, device=drive.device, memory_format=layout)
        for start in range(0, len(drive), self.images_at_once):
            images = drive[start : start + self.images_at_once]
            answer[start : start + self.images_at_once] = self.finish(self.sums(images), images)
        return answer

    def sums(self, drive: Tensor) -> Tensor:
        """Digital sums over tiles in weight units (of codes, if they are requantised), [batch, lines, *positions]."""
        total: Tensor | None = None
        for part in self.parts:
            for sums in self.converted(part, self.share(drive, part.span)):
                if part.steps is not None:
                    sums.mul_(part.steps.view(-1, *(1 for _ in sums.shape[2:])))
                if part.counts != 1.0:
                    sums.mul_(part.counts)
                total = sums if total is None else total.add_(sums)
        assert total is not None
        if self.requantiser is not None:
            return total
        factor = (self.step or 1.0) / self.average
        return total if factor == 1.0 else total.mul_(factor)

    def codes(self, codes: Tensor) -> list[list[Tensor]]:
        """ADC codes of one read that is driven with whole DAC codes [batch, ...] (which it changes).

        By part, and of each as often as it is averaged: [batch, lines, *positions]. As a read, but nothing is added.
        """
        drive = self.driver.of_codes(codes)
        return [list(self.converted(part, self.share(drive, part.span))) for part in self.parts]

    def converted(self, part: Part, drive: Tensor) -> Iterator[Tensor]:
        """Sums or codes of one part, as often as they are averaged."""
        exact = self.sense(part.operand, drive, part.span, part.bias)
        for power, operand in part.higher:
            exact.add_(self.sense(operand, drive.pow(power), part.span, None))
        deviation = self.deviation(part, drive)
        for remaining in reversed(range(self.average)):
            sums = exact if remaining == 0 else exact.clone()
            if isinstance(deviation, Tensor):
                sums.addcmul_(self.stream.like(sums), deviation)
            elif deviation is not None:
                sums.add_(self.stream.like(sums), alpha=deviation)
            yield sums if self.digitiser is None else encode_(sums, self.digitiser.codes, self.conversions)

    def deviation(self, part: Part, drive: Tensor) -> Tensor | float | None:
        """Standard deviation of the noise of each sum, times the square root of 2."""
        if part.spread is None:
            return math.sqrt(self.amplifier) or None
        # Products of squares are not negative, but fast convolutions may round a little below zero.
        spread = part.spread.spread(self.sense, drive, part.span)
        spread = spread.add_(self.amplifier) if self.amplifier else spread
        return spread.clamp_(min=0.0).sqrt_()


def encode_(sums: Tensor, codes: Codes, seen: Conversions) -> Tensor:
    """Codes of sums that carry the rounding's 1/2 already, in place; counts what lies beyond the range."""
    sums.floor_()
    seen.made += sums.numel()
    flat = sums.as_strided((sums.numel(),), (1,))
    if not codes.low <= float(flat.amin()) <= float(flat.amax()) <= codes.high:
        # Whole numbers: clamping the excess to one step counts them, several times faster than comparisons.
        seen.clipped += int(flat.abs().sub_(codes.high).clamp_(0, 1).sum())
        sums.clamp_(codes.low, codes.high)
    return sums
