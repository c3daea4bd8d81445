"""Converters of one coupling on one chip: what drives its lines, and what digitises their currents."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from mapping.arithmetic import Codes, Scaling
from mapping.device import Sinh
from mapping.dither import Lfsr, dithered_
from mapping.fixed_point import driving
from mapping.hardware import Adc, Dac
from mapping.plan import LayerScale
from mapping.target import Target


@dataclass
class Register:
    """The shift register that dithers a chip's DACs: where one read ends, the next goes on."""

    lfsr: Lfsr

    @classmethod
    def seeded(cls, seed: int) -> Register:
        """A register at any place of its period."""
        return cls(Lfsr(seed=1 + seed % (2**16 - 1)))


@dataclass
class Driven:
    """What lines are driven with in one read, [batch, ...], and what of it was worked out already.

    Attributes:
        moments: of each element, summed over the batch: drive^2, and how often it was not zero; see ``sim/drives.py``.
    """

    drive: Tensor
    moments: tuple[Tensor, Tensor] | None = None


@dataclass
class Recent:
    """Drives of the states a chip read last: a layer's state drives several couplings before it changes."""

    kept: OrderedDict[tuple[int, int, tuple[object, ...]], tuple[Tensor, Driven]] = field(default_factory=OrderedDict)

    def of(self, state: Tensor, kind: tuple[object, ...], drive: Callable[[Tensor], Tensor]) -> Driven:
        """What ``drive`` makes of a state, unless it has been made already."""
        # The state is kept with its drive: while it lives no other has its id; its version counts changes in place.
        key = id(state), state._version, kind
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key][1]
        driven = Driven(drive(state))
        self.kept[key] = state, driven
        if len(self.kept) > KEPT:
            self.kept.popitem(last=False)
        return driven


KEPT = 6  # about as many states as are read in one step of a sweep


@dataclass(frozen=True)
class Driver:
    """The DACs of one direction.

    A state becomes one drive, or with bit-serial input one for each bit of its code's magnitude. Drives are in units
    of the state: the voltage of a line times the layer's full scale over the DAC's.

    Attributes:
        dac: its description.
        codes: of the converter, None for an ideal one.
        bend: the device's current at a drive over its ohmic conductance; None for ohmic devices.
        states: of the fixed-point states it is given, None where they are float: states to codes of the converter is
            then the controller's integer rule.
        dither: the chip's register, where codes are dithered.
        lanes: states that the controller feeds in a clock.
        recent: drives the chip made last, shared by its drivers.
    """

    dac: Dac
    codes: Codes | None
    bend: Callable[[Tensor], Tensor] | None = None
    states: Codes | None = None
    dither: Register | None = None
    recent: Recent = field(default_factory=Recent)
    lanes: int = 1

    def drives(self, state: Tensor) -> Iterator[tuple[float, Driven]]:
        """What lines are driven with, read after read, and what each read counts."""
        if self.codes is not None and self.dac.input == "bit-serial":
            for weight, plane in self.planes(self.codes, self.encoded(self.codes, state)):
                yield weight, Driven(plane if self.bend is None else self.bend(plane))
        elif self.dither is not None:  # another drive in every read
            yield 1.0, Driven(self.drive(state))
        else:
            yield 1.0, self.recent.of(state, self.kind, self.drive)

    @property
    def kind(self) -> tuple[object, ...]:
        """Drivers of one kind drive the same for the same state."""
        return self.codes, self.states, self.dac.bow_lsb, self.bend

    def drive(self, state: Tensor) -> Tensor:
        """What one read drives the lines with."""
        if self.codes is not None:
            return self.of_codes(self.encoded(self.codes, state))
        return state if self.bend is None else self.bend(state)

    def of_codes(self, codes: Tensor) -> Tensor:
        """What lines are driven with by whole codes of the converter (which it changes)."""
        assert self.codes is not None
        drive = self.codes.decode_(self.bow_(codes) if self.dac.bow_lsb else codes)
        return drive if self.bend is None else self.bend(drive)

    def encoded(self, codes: Codes, state: Tensor) -> Tensor:
        """Converter codes of states: rounded, or dithered."""
        if self.states is None:
            return codes.encode_(laid_out(state))
        limits = (codes.low, codes.high)
        whole = laid_out(state).mul_(1.0 / self.states.step)  # exact: a power of two, and states are its multiples
        if self.dither is None:
            return self.scaling.apply_(whole, limits)
        # Fed as the controller does: position by position, a group of channels a clock, the last one filled up.
        channels_last = whole.movedim(1, -1)
        fed = F.pad(channels_last, (0, -whole.shape[1] % self.lanes)).contiguous()
        dithered_(fed, self.scaling, limits, self.dither.lfsr)
        self.dither.lfsr = self.dither.lfsr.after(fed.numel(), self.lanes)
        return laid_out(fed[..., : whole.shape[1]].movedim(-1, 1))

    @cached_property
    def scaling(self) -> Scaling:
        """State codes to converter codes."""
        assert self.codes is not None
        assert self.states is not None
        return driving(self.states, self.codes)

    def planes(self, codes: Codes, state: Tensor) -> Iterator[tuple[float, Tensor]]:
        """Bits of |code|, lowest first, each at full voltage with the code's sign."""
        magnitude, signs = state.abs().to(torch.int32), state.sign()
        full = codes.high * codes.step
        for bit in range(codes.high.bit_length()):
            yield 2**bit / codes.high, (magnitude >> bit).bitwise_and_(1).to(state.dtype).mul_(signs).mul_(full)

    def bow_(self, codes: Tensor) -> Tensor:
        """Add the integral nonlinearity, 4 bow u (1 - u) steps at the fraction u of full scale, in place."""
        assert self.codes is not None
        share = codes.abs() / self.codes.high
        return codes.add_(share.mul_(1.0 - share).mul_(codes.sign()), alpha=4.0 * self.dac.bow_lsb)


@dataclass(frozen=True)
class Digitiser:
    """The ADCs of one direction of one coupling: a bank for each span of driven lines.

    Attributes:
        codes: the range, in steps; every channel's own step is in ``steps``.
        steps: [spans, lines] partial sum that one step means.
        gains, offsets: [spans, lines] each channel's error: gain as a factor, offset in steps.
        noise_lsb: amplifier noise of a conversion.
    """

    codes: Codes
    steps: Tensor
    gains: Tensor
    offsets: Tensor
    noise_lsb: float

    @cached_property
    def one_step(self) -> float | None:
        """The step, if all channels share one."""
        first = float(self.steps.flatten()[0])
        return first if bool((self.steps == first).all()) else None


def build_driver(
    target: Target,
    dac: Dac,
    scale: LayerScale,
    states: Codes | None = None,
    dither: Register | None = None,
    recent: Recent | None = None,
) -> Driver:
    """The converters that drive a layer's states, fixed-point if ``states`` says how."""
    codes = None if dac.bits is None else Codes.for_range(scale.full_scale, dac.bits, signed=scale.signed)
    law, bend = target.device.current, None
    if isinstance(law, Sinh):
        knee = law.scale_volt * scale.full_scale / dac.full_scale_volt  # V0 in units of the state
        bend = partial(bent, knee)
    lanes = target.controller.lanes
    return Driver(dac, codes, bend, states, dither if dac.dither else None, recent or Recent(), lanes)


def laid_out(state: Tensor) -> Tensor:
    """A copy in the one layout that reads have: sums of floats, and which gets which noise, depend on it."""
    return state.clone(memory_format=torch.channels_last if state.dim() == 4 else torch.contiguous_format)


def bent(knee: float, drive: Tensor) -> Tensor:
    return (drive / knee).sinh_().mul_(knee)


@dataclass(frozen=True)
class ChannelErrors:
    """Mismatch of ADC channels: gains as factors and offsets in steps, of one shape."""

    gains: Tensor
    offsets: Tensor

    @classmethod
    def draw(cls, adc: Adc, shape: tuple[int, int], generator: torch.Generator) -> ChannelErrors:
        """Normal errors of ``shape`` channels; what has no spread draws nothing."""
        gains, offsets = torch.ones(shape), torch.zeros(shape)
        if adc.gain_sigma:
            gains += adc.gain_sigma * torch.randn(shape, generator=generator)
        if adc.offset_sigma_lsb:
            offsets += adc.offset_sigma_lsb * torch.randn(shape, generator=generator)
        return cls(gains, offsets)


def build_digitiser(
    adc: Adc, full_scales: Tensor, sensed_spans: list[int], slices: int, errors: ChannelErrors
) -> Digitiser | None:
    """The converters of one direction; None if they are ideal.

    Args:
        full_scales: [driven spans, sensed spans] of the tiles.
        sensed_spans: lines in each sensed span.
        slices: channels that sense each of those lines.
        errors: [driven spans, channels].
    """
    if adc.bits is None:
        return None
    codes = Codes.for_range(1.0, adc.bits, signed=True)
    lines = torch.tensor(sensed_spans) * slices
    steps = full_scales.repeat_interleave(lines, dim=1) / codes.high
    return Digitiser(codes, steps, errors.gains, errors.offsets, adc.noise_lsb)
