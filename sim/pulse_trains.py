"""Coincidence pulses: how often a row's and a column's pulse meet at each device of a crossbar.

Rows and columns are pulsed together; a device moves where both pulse in one slot. A row pulses in a share p = c |x| of
a train's slots, a column in q = c |y|, with c^2 = gain / slots, so a device meets slots p q = gain |x y| pulses. They
go up where x y > 0, else down. Stochastic trains and the matching of both sides' scales: Gokmen and Vlasov 2016,
doi:10.3389/fnins.2016.00333, and Gokmen, Onen and Haensch 2017, doi:10.3389/fnins.2017.00538.

What the pulses then do to devices is in ``sim/devices/pulses.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from mapping.arithmetic.trains import stride

# Slots times lines of the wider side that are simulated at once: 2 MB of bits stay in a core's cache.
BITS_AT_ONCE = 2**19
# Whole numbers up to here are exact in float32.
LARGEST_COUNT = 2**24
# Shifts of deterministic trains from sample to sample: of rows in slots, of columns in whole trains. Multiples of such
# a pair never repeat and fill the square of both shifts evenly.
ROW_SHIFT, COLUMN_SHIFT = (math.sqrt(5.0) - 1.0) / 2.0, math.sqrt(2.0)


@dataclass
class Saturation:
    """Counts lines, each in each sample, that were to pulse in more than all slots and so fell short.

    Attributes:
        saturated: lines with p > 1.
        driven: lines with p > 0.
    """

    saturated: int = 0
    driven: int = 0

    @property
    def share(self) -> float:
        return self.saturated / self.driven if self.driven else 0.0

    def count(self, share: Tensor) -> None:
        self.saturated += int((share > 1.0).sum())
        self.driven += int((share > 0.0).sum())


@dataclass(frozen=True)
class PulseTrains:
    """Trains of pulses for updates dW_ij = step sum_samples (up - down pulses at device ij).

    Stochastic lines draw every slot by themselves: P(pulse) = min(1, p). Devices on one line share its train, so their
    counts are correlated. Deterministic lines compare p with two fixed sequences, one of rows and one of columns, that
    together fill the unit square evenly (a lattice, shifted from sample to sample so that also gains far below one
    pulse a sample are met in the long run). A sample's count misses slots p q (p and q at most 1) by no more
    than 3.1 pulses with 31 slots, 5.0 with 63 and 4.2 with 127; the shifts let the misses of many samples cancel.

    Attributes:
        slots: pulses a train can hold.
        kind: how lines choose their slots.
        managed: give both sides of each sample the same largest share, sqrt(gain / slots max|x| max|y|), so that
            neither saturates before the other.
    """

    slots: int = 31
    kind: Literal["stochastic", "deterministic"] = "stochastic"
    managed: bool = True

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ValueError(f"slots: expected at least 1, got {self.slots}")
        if self.kind not in ("stochastic", "deterministic"):
            raise ValueError(f"kind: expected stochastic or deterministic, got {self.kind!r}")

    def coincidences(
        self,
        x: Tensor,
        y: Tensor,
        gain: float,
        generator: torch.Generator | None = None,
        saturation: Saturation | None = None,
        first_sample: int = 0,
    ) -> Tensor:
        """Up less down pulses of each device, summed over samples: [rows, columns] whole numbers, float32.

        Samples may be positions of a convolution as well: they are pulsed one after the other.

        Args:
            x: row values [samples, rows], any sign.
            y: column values [samples, columns], any sign.
            gain: wanted coincidences where |x y| = 1.
            generator: of stochastic trains, on the tensors' torch device; advances by the same four numbers each call.
            saturation: counts lines that were to pulse more often than there are slots.
            first_sample: samples that deterministic trains have had before; stochastic trains do not look at it.

        Raises:
            ValueError: for shapes that do not fit, values that are not finite, a negative gain, stochastic trains
                without a generator, and counts that could pass 2^24, where float32 is no longer exact.
        """
        net = x.new_zeros(y.shape[-1], x.shape[-1], dtype=torch.float32)
        for rows, columns in self.chunks(x, y, gain, generator, saturation, first_sample):
            net.addmm_(columns.signed.T, rows.signed)
        return net.T.contiguous()

    def up_and_down(
        self,
        x: Tensor,
        y: Tensor,
        gain: float,
        generator: torch.Generator | None = None,
        saturation: Saturation | None = None,
        first_sample: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Up and down pulses of each device by themselves, each [rows, columns].

        Their difference is :meth:`coincidences` of the same generator state. Devices whose up and down steps differ
        feel both.
        """
        net = x.new_zeros(y.shape[-1], x.shape[-1], dtype=torch.float32)
        both = torch.zeros_like(net)
        for rows, columns in self.chunks(x, y, gain, generator, saturation, first_sample):
            net.addmm_(columns.signed.T, rows.signed)
            both.addmm_(columns.bits.T, rows.bits)
        return (both + net).mul_(0.5).T.contiguous(), (both - net).mul_(0.5).T.contiguous()

    def expected(self, x: Tensor, y: Tensor, gain: float) -> Tensor:
        """Mean of :meth:`coincidences`: slots sum_samples sign(x y) min(1, p) min(1, q), [rows, columns].

        This is gain x^T y where no line saturates. It is the mean over draws of stochastic trains, and over the shifts
        of deterministic ones.
        """
        p, q = self.shares(x, y, gain)
        return self.slots * (p.clamp_(max=1.0).mul_(x.sign()).T @ q.clamp_(max=1.0).mul_(y.sign()))

    def shares(self, x: Tensor, y: Tensor, gain: float) -> tuple[Tensor, Tensor]:
        """p and q, [samples, rows] and [samples, columns]; above 1 for lines that saturate."""
        check(x, y, gain)
        p, q = x.float().abs(), y.float().abs()
        per_value = math.sqrt(gain / self.slots)
        row_peak, column_peak = p.amax(1, keepdim=True), q.amax(1, keepdim=True)
        if not bool((row_peak.isfinite() & column_peak.isfinite()).all()):
            raise ValueError("x and y: expected finite values")
        if not self.managed:
            return p.mul_(per_value), q.mul_(per_value)
        peak = (row_peak.sqrt() * column_peak.sqrt()).mul_(per_value)
        for share, own_peak in ((p, row_peak), (q, column_peak)):
            share.div_(own_peak.masked_fill_(own_peak == 0.0, 1.0)).mul_(peak)
        return p, q

    def chunks(
        self,
        x: Tensor,
        y: Tensor,
        gain: float,
        generator: torch.Generator | None,
        saturation: Saturation | None,
        first_sample: int,
    ) -> Iterator[tuple[Pulses, Pulses]]:
        """Pulses of rows and of columns, a few samples at a time; slots in which nothing can meet are left out."""
        check(x, y, gain)
        if len(x) * self.slots > LARGEST_COUNT:
            raise ValueError(f"{len(x)} samples of {self.slots} slots: counts could pass {LARGEST_COUNT}; split them")
        row_trains, column_trains = self.trains(generator)
        columns_first = y.shape[1] <= x.shape[1]
        at_once = max(1, BITS_AT_ONCE // (self.slots * max(x.shape[1], y.shape[1])))
        for start in range(0, len(x), at_once):
            some_x, some_y = x[start : start + at_once], y[start : start + at_once]
            p, q = self.shares(some_x, some_y, gain)
            if saturation is not None:
                saturation.count(p)
                saturation.count(q)
            rows, columns = Line(some_x, p, row_trains), Line(some_y, q, column_trains)
            first, then = (columns, rows) if columns_first else (rows, columns)
            slots = torch.arange(len(p) * self.slots, device=x.device)
            there = first.pulse(slots, self.slots, start + first_sample)
            live = there.bits.amax(1).nonzero().flatten()
            there = there.only(live) if len(live) < len(slots) else there
            back = then.pulse(live, self.slots, start + first_sample)
            yield (back, there) if columns_first else (there, back)

    def trains(self, generator: torch.Generator | None) -> tuple[Trains, Trains]:
        """Of rows and of columns."""
        if self.kind == "deterministic":
            rows = LatticeTrains(self.slots, 1, ROW_SHIFT, 1.0 / self.slots)
            return rows, LatticeTrains(self.slots, stride(self.slots), COLUMN_SHIFT, 1.0)
        if generator is None:
            raise ValueError("stochastic trains need a generator")
        # A stream for each purpose: what one draws does not depend on how many samples another drew before.
        seeds = torch.randint(2**63 - 1, (4,), generator=generator, device=generator.device).tolist()
        streams = [torch.Generator(generator.device).manual_seed(seed) for seed in seeds]
        return RandomTrains(streams[0], streams[1]), RandomTrains(streams[2], streams[3])


class Trains(Protocol):
    """How the lines of one side choose their slots."""

    def fire(self, share: Tensor, samples: Tensor, slots: Tensor, first_sample: int) -> Tensor:
        """Where lines pulse, 0.0 or 1.0: [len(slots), lines].

        Args:
            share: p of each line, [samples, lines].
            samples: which of them each slot belongs to.
            slots: the slot's number in its sample.
            first_sample: number of the first sample.
        """
        ...


@dataclass(frozen=True)
class RandomTrains:
    """Every line draws in every slot; slots must come in order.

    A pulse is a random byte below 256 p, and where the byte equals the whole part of 256 p, which is rare, a second
    number below the remainder: exact to 2^-32 for one byte a slot.
    """

    bytes_of: torch.Generator
    remainders_of: torch.Generator

    def fire(self, share: Tensor, samples: Tensor, slots: Tensor, first_sample: int) -> Tensor:
        lines = share.shape[1]
        scaled = F.pad(share, (0, -lines % 8)).clamp_(max=1.0).mul_(256.0)
        whole = scaled.clamp(max=255.0).to(torch.uint8)  # p = 1 is 255 and a remainder of 1
        remainder, width = scaled.sub_(whole), scaled.shape[1]
        words = torch.empty(len(samples), width // 8, dtype=torch.int64, device=share.device)
        drawn = words.random_(-(2**63), None, generator=self.bytes_of).view(torch.uint8)
        limits = whole.index_select(0, samples)
        bits = torch.empty(drawn.shape, device=share.device)
        torch.lt(drawn, limits, out=bits)
        tied = torch.eq(drawn, limits)
        near = tied.view(torch.int64).flatten().nonzero().flatten()  # eight at a time: few bytes are tied
        which, byte = tied.view(-1, 8).index_select(0, near).nonzero().unbind(1)
        ties = near[which].mul_(8).add_(byte)
        second = torch.rand(len(ties), generator=self.remainders_of, device=share.device)
        bits.view(-1)[ties] = (second < remainder[samples[ties // width], ties % width]).float()
        return bits[:, :lines]


@dataclass(frozen=True)
class LatticeTrains:
    """In slot s of sample k all lines compare p with stride s / slots + reach (shift k mod 1), modulo 1."""

    slots: int
    stride: int
    shift: float
    reach: float

    def fire(self, share: Tensor, samples: Tensor, slots: Tensor, first_sample: int) -> Tensor:
        moved = (samples + first_sample).double().mul_(self.shift).remainder_(1.0).mul_(self.reach)
        number = (slots * self.stride % self.slots).double().div_(self.slots).add_(moved).remainder_(1.0)
        below_one = number.float().clamp_(max=1.0 - 2.0**-24)  # a line with p = 1 always pulses
        return torch.lt(below_one[:, None], share.index_select(0, samples)).float()


@dataclass(frozen=True)
class Pulses:
    """The pulses of one side: [slots, lines] 0.0 or 1.0, and with the values' signs."""

    bits: Tensor
    signed: Tensor

    def only(self, slots: Tensor) -> Pulses:
        bits = self.bits.index_select(0, slots)
        return Pulses(bits, bits if self.signed is self.bits else self.signed.index_select(0, slots))


@dataclass(frozen=True)
class Line:
    """One side of a few samples: values and shares [samples, lines]."""

    value: Tensor
    share: Tensor
    trains: Trains

    def pulse(self, numbers: Tensor, slots: int, first_sample: int) -> Pulses:
        """In the slots of these numbers, counted through all samples."""
        samples = numbers // slots
        bits = self.trains.fire(self.share, samples, numbers % slots, first_sample)
        if not bool((self.value < 0.0).any()):
            return Pulses(bits, bits)
        return Pulses(bits, bits * self.value.sign().float().index_select(0, samples))


def check(x: Tensor, y: Tensor, gain: float) -> None:
    if x.dim() != 2 or y.dim() != 2 or len(x) != len(y) or 0 in (x.shape[1], y.shape[1]):
        shapes = f"{list(x.shape)} and {list(y.shape)}"
        raise ValueError(f"x and y: expected [samples, rows] and [samples, columns], got {shapes}")
    if not (math.isfinite(gain) and gain >= 0.0):
        raise ValueError(f"gain: expected a finite number of at least 0, got {gain}")
