"""What events cost: joules by coupling and component, seconds and areas, beside a processor's joules and hard caps.

A ratio to a processor never comes alone: :class:`Comparison` carries its assumptions and the two caps that hold however
good the arrays are (energy accounting of bilinearly coupled substrates; B samples a batch, two devices a weight):

    programming  6 B e / (2 n_p E_p)        digital outer product  3 e / e_MAC
"""

from __future__ import annotations

import math
from collections.abc import Mapping as Table
from dataclasses import dataclass

from eqprop import Coupling, LowRank
from mapping import Mapping
from mapping.costs import Costs, Processor
from mapping.encoding import devices_per_weight
from mapping.hardware import DIRECTIONS
from mapping.lowering import lower
from sim.counts import Events
from sim.events import DIGITAL, Work, scheduled_reads

FLOP_PER_WEIGHT = 2  # a product and a sum
BACKPROPAGATION_FLOP_PER_WEIGHT = 6  # forward 2, backward 4


@dataclass(frozen=True)
class Bill:
    """What events cost.

    Attributes:
        joules: by coupling (and ``DIGITAL``), by component.
        busy_s: by coupling, seconds that its reads keep arrays busy, summed over copies; reads of a round overlap.
        seconds: from the first to the last clock.
        area_m2: by coupling (and ``DIGITAL``), by component.
        unpriced: what is ideal in the target and therefore costs nothing here.
    """

    joules: dict[str, dict[str, float]]
    busy_s: dict[str, float]
    seconds: float
    area_m2: dict[str, dict[str, float]]
    unpriced: tuple[str, ...]

    @property
    def total_j(self) -> float:
        return math.fsum(joule for parts in self.joules.values() for joule in parts.values())

    @property
    def total_m2(self) -> float:
        return math.fsum(area for parts in self.area_m2.values() for area in parts.values())

    @property
    def components_j(self) -> dict[str, float]:
        """Over all couplings, largest first."""
        names = {component for parts in self.joules.values() for component in parts}
        sums = {name: math.fsum(parts.get(name, 0.0) for parts in self.joules.values()) for name in sorted(names)}
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    @property
    def couplings_j(self) -> dict[str, float]:
        """Over all components."""
        return {name: math.fsum(parts.values()) for name, parts in self.joules.items()}

    @property
    def dominating(self) -> tuple[str, float]:
        """The component that costs most, and its share."""
        name, joule = next(iter(self.components_j.items()))
        return name, joule / self.total_j if self.total_j else 0.0


def costs(mapping: Mapping, events: Table[str, Events], prices: Costs | None = None) -> Bill:
    """The bill of events by coupling (``sim.events.expected``, or ``Chip.events`` of each).

    Leakage lasts as long as the clocks of all events together and belongs to ``DIGITAL``.

    Args:
        prices: instead of the target's.
    """
    prices = prices or mapping.target.costs
    clock_hz = mapping.target.controller.clock_hz
    seconds = sum(one.clocks for one in events.values()) / clock_hz
    joules = {name: priced(one, prices) for name, one in events.items()}
    leaked = prices.leakage_watt_per_crossbar * mapping.crossbars * seconds
    digital = joules.setdefault(DIGITAL, priced(Events(), prices))
    digital["leakage"] += leaked
    busy = {name: one.busy_clocks / clock_hz for name, one in events.items() if name != DIGITAL}
    return Bill(joules, busy, seconds, areas(mapping, prices), unpriced(mapping))


def priced(events: Events, prices: Costs) -> dict[str, float]:
    """Joules by component."""
    levels = events.driven_lines - events.bit_lines
    return {
        "devices": events.device_read_j,
        "lines": prices.line_farad_per_cell * events.charged_cell_volt2,
        "dac": prices.dac_j * levels + prices.dac_bit_j * events.bit_lines,
        "sense": prices.sense_watt * events.sensed_s,
        "adc": prices.adc_j_per_step * events.adc_steps,
        "arithmetic": prices.addition_j * events.additions + prices.mac_j * events.macs,
        "memory": prices.memory_j_per_byte * (events.bytes_read + events.bytes_written),
        "pulses": prices.pulse_j * events.pulses,
        "verification": prices.verify_j * events.verify_reads,
        "controller": prices.controller_j_per_clock * events.clocks,
        "leakage": 0.0,
    }


def unpriced(mapping: Mapping) -> tuple[str, ...]:
    """Ideal converters are not counted, and so cost nothing."""
    return tuple(f"{way} ADCs (ideal)" for way in DIRECTIONS if mapping.target.adc_of(way).bits is None)


def areas(mapping: Mapping, prices: Costs) -> dict[str, dict[str, float]]:
    """Square metres by coupling and component; crossbars belong to couplings as their used devices do.

    A crossbar has a DAC on every row and column, and for each direction ceil(channels / sharing) ADCs; the two columns
    of a differential pair are one channel.
    """
    target, own = mapping.target, prices.areas
    rows, columns = target.crossbar.rows, target.crossbar.columns
    per_weight = devices_per_weight(target.cell)
    channels = {"forward": columns // (per_weight // target.cell.slices), "transposed": rows}
    adcs = sum(-(-channels[way] // target.adc_of(way).sharing) for way in DIRECTIONS)
    crossbar = {
        "cells": own.cell_m2 * rows * columns,
        "dac": own.dac_m2 * (rows + columns),
        "adc": own.adc_m2 * adcs,
    }
    used: dict[int, dict[str, int]] = {}
    for matrix in mapping.matrices.values():
        for tile in matrix.tiles:
            devices = (tile.rows[1] - tile.rows[0]) * (tile.columns[1] - tile.columns[0]) * per_weight
            here = used.setdefault(tile.crossbar, {})
            here[matrix.coupling] = here.get(matrix.coupling, 0) + devices
    share = dict.fromkeys(mapping.chains, 0.0)
    for here in used.values():
        for name, devices in here.items():
            share[name] += devices / sum(here.values())
    found = {name: {part: area * count for part, area in crossbar.items()} for name, count in share.items()}
    memory = target.controller.memory_bytes or mapping.memory.bytes
    return {**found, DIGITAL: {"memory": own.memory_m2_per_byte * memory, "controller": own.controller_m2}}


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of one sample on a processor.

    Attributes:
        same_work: the reads of the schedule, low-rank couplings as the mapping holds them (kept or multiplied out).
        dense: the same reads with every low-rank coupling multiplied out.
        backpropagation: one forward (and, learning, one backward) pass through each low-rank or dense coupling: what
            a feed-forward network of the same weights takes, without sweeps. Nothing says that it is equally accurate.
    """

    same_work: int
    dense: int
    backpropagation: int


def flops(mapping: Mapping, work: Work) -> Flops:
    """What a processor would compute: 2 FLOP for each use of a weight, and outer products of each nudged phase."""
    nudges = len(mapping.target.controller.nudges) if work == "ep-step" else 0
    times: dict[str, int] = {}
    for read, count in scheduled_reads(mapping, work).items():
        matrix = mapping.matrices[read.matrix]
        times.setdefault(matrix.coupling, 0)
        if read.replica == 0 and read.matrix == mapping.chains[matrix.coupling][0]:
            times[matrix.coupling] += count
    same = dense = once = 0
    for name, count in times.items():
        coupling = mapping.network.coupling(name)
        mapped = sum(
            low.rows * low.columns * low.positions
            for low in (mapping.matrices[matrix].lowering for matrix in mapping.chains[name])
        )
        same += FLOP_PER_WEIGHT * mapped * (count + nudges)
        dense += FLOP_PER_WEIGHT * multiplied_out(coupling) * (count + nudges)
        once += min(uses(coupling), multiplied_out(coupling))
    single = FLOP_PER_WEIGHT if work == "inference" else BACKPROPAGATION_FLOP_PER_WEIGHT
    return Flops(same, dense, single * once)


def multiplied_out(coupling: Coupling) -> int:
    """Uses of weights in one read of a coupling as one matrix."""
    low = lower(coupling, 1 << 30)
    return low.rows * low.columns * low.positions


def uses(coupling: Coupling) -> int:
    """Uses of weights in one read, low-rank couplings as two factors."""
    if not isinstance(coupling, LowRank):
        return multiplied_out(coupling)
    return coupling.U.shape[1] * (math.prod(coupling.pre_shape) + math.prod(coupling.post_shape))


def programming_cap(prices: Costs, batch: int, processor: Processor | None = None) -> float:
    """6 B e / (2 n_p E_p): the best ratio to backpropagation when only programming costs anything.

    For weights that a sample uses once and that sit on two devices. A convolution's weights are used at every position:
    its cap is that many times higher (``hwmap cost`` works with each network's own).
    """
    learning, e = prices.learning, (processor or prices.processor).j_per_flop
    spent = 2.0 * learning.pulses_per_device * prices.pulse_j
    return BACKPROPAGATION_FLOP_PER_WEIGHT * batch * e / spent if spent else math.inf


def outer_product_cap(prices: Costs, processor: Processor | None = None) -> float:
    """3 e / e_MAC: the best ratio when only digital outer products cost anything; infinite where devices form them."""
    if prices.learning.product == "analog" or not prices.mac_j:
        return math.inf
    return 3.0 * (processor or prices.processor).j_per_flop / prices.mac_j


@dataclass(frozen=True)
class Comparison:
    """Joules of one sample here and on a processor, and what limits their ratio."""

    work: Work
    processor: Processor
    batch: int
    prices: Costs
    joules: float
    flops: Flops

    def ratio(self, flop: int) -> float:
        """Joules of ``flop`` operations on the processor over the joules here."""
        return flop * self.processor.j_per_flop / self.joules if self.joules else math.inf

    def __str__(self) -> str:
        """Ratios with everything they rest on."""
        e, learning = self.processor.j_per_flop, self.prices.learning
        lines = [
            f"{self.work}, one sample of a batch of {self.batch}, costs {self.prices.name}: {self.joules:.3g} J",
            f"against {self.processor.name} at {self.processor.utilisation:.0%} of its peak, {e:.3g} J/FLOP:",
            f"  the same reads: {self.ratio(self.flops.same_work):.3g} times; low-rank couplings multiplied out: "
            f"{self.ratio(self.flops.dense):.3g} times",
            f"  backpropagation through the same weights, without sweeps: "
            f"{self.ratio(self.flops.backpropagation):.3g} times (not shown to be equally accurate)",
        ]
        if self.work == "ep-step":
            cap, outer = programming_cap(self.prices, self.batch, self.processor), "none"
            if learning.product == "digital":
                outer = f"{outer_product_cap(self.prices, self.processor):.3g} times"
            lines.append(
                f"  caps against backpropagation of weights used once a sample, whatever else is free: programming "
                f"{cap:.3g} times ({learning.pulses_per_device:g} pulses of {self.prices.pulse_j:.3g} J a device and "
                f"batch), digital outer product {outer}"
            )
        return "\n".join(lines)


def compare(
    mapping: Mapping,
    bill: Bill,
    work: Work,
    batch: int = 1,
    prices: Costs | None = None,
    processor: Processor | None = None,
) -> Comparison:
    """One sample's bill beside a processor's; ``batch`` and ``prices`` as the bill was made with."""
    prices = prices or mapping.target.costs
    return Comparison(work, processor or prices.processor, batch, prices, bill.total_j, flops(mapping, work))
