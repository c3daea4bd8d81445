"""Chips whose transposed reads are not the transpose of their forward ones: by how much, and what to do about it.

EP needs one weight for both directions. Converters with errors of their own, far ends of resistive wires and separate
feedback devices give a coupling a forward weight F and a transposed weight B. What can be done about D = F - B:

- correct the nudged phases by it (:class:`eqprop.estimators.AdjointFixedPoint`): ``known_skew`` or ``measured_skew``;
- make it smaller where both sets of devices can be written (:class:`Homeostasis`): a step down |D|^2 / 2. It is the
  penalty |A|_F^2 on the Jacobian's antisymmetric part (Laborieux and Zenke 2024, arXiv 2309.02214, eq. 12), without the
  clip ranges, whose gradient in F and in B is D and -D.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from eqprop import Coupling, EnergyNetwork
from eqprop.couplings import StandIn
from mapping.hardware import DIRECTIONS, Direction
from sim.array import Array
from sim.chain import Chain
from sim.chip import Chip
from sim.fabrication import device_sets
from sim.fidelity import StaticReads
from sim.learning.devices import ChipDevices
from sim.learning.products import Contrast, Product
from sim.learning.rule import Rule
from sim.reads import Reads

LINES_DRIVEN = 0.25  # share of the lines that a probe drives: sums stay well inside the converters' range


class DirectedReads(StandIn):
    """Exact reads with one fixed weight forward, another transposed, and constants added to either."""

    def __init__(self, ideal: Coupling, weights: dict[Direction, Tensor], offsets: dict[Direction, Tensor]) -> None:
        super().__init__(ideal)
        self.there = StaticReads(ideal, weights["forward"])
        self.back = StaticReads(ideal, weights["transposed"])
        self.offsets = offsets

    def forward(self, pre: Tensor) -> Tensor:
        return self.there(pre) + self.offsets["forward"]

    def transpose(self, post: Tensor) -> Tensor:
        return self.back.transpose(post) + self.offsets["transposed"]


def directed_network(chip: Chip) -> EnergyNetwork:
    """What ``chip`` (one) is without noise, rounding and clipped conversions: the network its gradient belongs to.

    Raises:
        ValueError: for ADCs with offsets at the lines of a convolution, of copies or of a low-rank coupling.
    """
    ideal = copy.deepcopy(chip.mapping.network)
    couplings: dict[str, Coupling] = {}
    for name in chip.mapping.chains:
        reads = chip.mapped(name).arrays[0]
        couplings[name] = DirectedReads(
            ideal.coupling(name),
            {way: seen_weight(reads, way) for way in DIRECTIONS},
            {way: seen_offset(reads, way) for way in DIRECTIONS},
        )
    network = EnergyNetwork(ideal.layers, ideal.inputs, ideal.edges, couplings, ideal.cost, chip.dynamics)
    network.biases = ideal.biases
    return network


def seen_weight(reads: Reads, direction: Direction) -> Tensor:
    """The weight that reads of one direction apply: devices, wires, and gains of ADCs (not of copies and slices)."""
    if isinstance(reads, Chain):
        product = seen_weight(reads.links[0], direction)
        for link in reads.links[1:]:
            product = seen_weight(link, direction) @ product
        return product
    if not isinstance(reads, Array) or reads.encoding.slices > 1:
        return reads.effective_weight(direction)
    digitiser = reads.periphery[direction].digitiser
    if digitiser is None:
        return reads.effective_weight(direction)
    sensed = reads.encoding.sensed(
        reads.lines[direction].conductance
    )  # what the ADC sees, before offsets are taken off
    if direction == "forward":
        for number, (first, last) in enumerate(reads.lowering.row_spans):
            sensed[first:last] *= digitiser.gains[number]
    else:
        for number, (first, last) in enumerate(reads.column_spans):
            sensed[:, first:last] *= digitiser.gains[number][:, None]
    return reads.lowering.to_weight(sensed - reads.encoding.offset)


def seen_offset(reads: Reads, direction: Direction) -> Tensor:
    """What the offsets of the ADCs add to a read, in the units of its outputs and in their shape; 0 without any."""
    nothing = torch.zeros(())
    if not isinstance(reads, Array):
        links = reads.links if isinstance(reads, Chain) else getattr(reads, "arrays", [])
        if any(bool(seen_offset(link, direction).any()) for link in links):
            raise ValueError("ADC offsets of copies or of a low-rank coupling: expected one matrix, once on the chip")
        return nothing
    digitiser = reads.periphery[direction].digitiser
    if digitiser is None or not bool(digitiser.offsets.any()):
        return nothing
    lowering = reads.lowering
    if lowering.positions > 1 or reads.encoding.slices > 1:
        raise ValueError("ADC offsets of a convolution or of slices: expected a dense coupling of one slice")
    return (digitiser.offsets * digitiser.steps).sum(0).view(lowering.shapes[direction == "forward"])


def known_skew(chip: Chip) -> dict[str, Coupling]:
    """D = F - B of every coupling between free layers of ``chip`` (one), by name, as the simulator knows it."""
    return {
        name: exact_reads(
            chip,
            name,
            seen_weight(chip.mapped(name).arrays[0], "forward")
            - seen_weight(chip.mapped(name).arrays[0], "transposed"),
        )
        for name in between_free_layers(chip)
    }


def measured_skew(chip: Chip, probes: int, generator: torch.Generator) -> dict[str, Coupling]:
    """As :func:`known_skew`, found by reads alone, as a chip would be calibrated; converters with all their errors.

    Each direction is driven with ``probes`` random states and F or B is the least-squares fit of the answers, with a
    constant for offsets: the error of a weight is about (noise and rounding of a read) / (rms drive sqrt(probes)).

    Raises:
        ValueError: for convolutions, and fewer probes than twice the unknowns of a line.
    """
    return {
        name: exact_reads(
            chip,
            name,
            measured_weight(chip, name, "forward", probes, generator)
            - measured_weight(chip, name, "transposed", probes, generator).T,
        )
        for name in between_free_layers(chip)
    }


def exact_reads(chip: Chip, name: str, weight: Tensor) -> Coupling:
    """Of a weight in the place of coupling ``name``, sharing nothing with the chip."""
    return StaticReads(copy.deepcopy(chip.mapping.network.coupling(name)), weight)


def between_free_layers(chip: Chip) -> list[str]:
    return [edge.name for edge in chip.edges if edge.pre in chip.free]


def measured_weight(chip: Chip, name: str, direction: Direction, probes: int, generator: torch.Generator) -> Tensor:
    """The matrix that takes what is driven to what is sensed, [sensed, driven]."""
    coupling, chain = chip.mapped(name), chip.mapping.chains[name]
    if chip.mapping.matrices[chain[0]].lowering.positions > 1:
        raise ValueError(f"{name} is a convolution: only dense and low-rank couplings are measured")
    edge = next(edge for edge in chip.edges if edge.name == name)
    layer = edge.pre if direction == "forward" else edge.post
    scale = chip.mapping.matrices[chain[0 if direction == "forward" else -1]].scale_of(direction)
    shape = chip.layers[layer].shape
    lines = math.prod(shape)
    if probes < 2 * (lines + 1):
        raise ValueError(f"{probes} probes for {lines} lines of {name}: expected at least {2 * (lines + 1)}")
    amplitude = torch.rand(probes, lines, generator=generator).mul_(scale.full_scale)
    if scale.signed:
        amplitude.mul_(2.0).sub_(scale.full_scale)
    driven = amplitude * (torch.rand(probes, lines, generator=generator) < LINES_DRIVEN)
    states = chip.rounded(layer, driven.view(-1, *shape))
    answers = coupling(states) if direction == "forward" else coupling.transpose(states)
    known = torch.cat([states.flatten(1), torch.ones(probes, 1)], dim=1).double()
    fitted = torch.linalg.lstsq(known, answers.flatten(1).double()).solution
    return fitted[:-1].T.float()


@dataclass
class Homeostasis:
    """A rule, and after every ``every`` of its batches a write that pulls forward and feedback devices together.

    Weights of both sets are read, and where |D| = |F - B| passes ``threshold`` of the largest weight both are written:
    F - strength D and B + strength D.

    Attributes:
        rule: what learns; the same pulses or changes for both sets.
        strength: step down |D|^2 / 2; at 1/2 both are written to their mean.
        threshold: share of the largest weight; writing closer than a write can hit only adds noise.
        every: batches from one pull to the next.
        pulled: weights written so far, of both sets.
        batches: learned from so far.
        contrast: the products that the rule wants.

    Raises:
        ValueError: for a strength outside 0..1, a negative threshold, every below 1; (on use) where the same devices
            answer transposed reads.
    """

    rule: Rule
    strength: float = 0.5
    threshold: float = 0.01
    every: int = 10
    pulled: int = 0
    batches: int = 0
    contrast: Contrast = field(init=False)

    def __post_init__(self) -> None:
        self.contrast = self.rule.contrast
        if not 0.0 < self.strength <= 1.0:
            raise ValueError(f"strength {self.strength}: expected above 0 and at most 1")
        if not self.threshold >= 0.0:
            raise ValueError(f"threshold {self.threshold}: expected >= 0")
        if self.every < 1:
            raise ValueError(f"every {self.every}: expected >= 1")

    def apply(self, devices: ChipDevices, products: Iterable[Product], rate: float) -> bool:
        moved = self.rule.apply(devices, products, rate)
        self.batches += 1
        if self.batches % self.every:
            return moved
        return self.pull(devices) or moved

    def pull(self, devices: ChipDevices) -> bool:
        """One write of what is too far apart; whether there was any."""
        if device_sets(devices.chip.mapping) == 1:
            raise ValueError("cell.feedback same: expected separate, there is nothing to pull together")
        return devices.write_weights(self.apart(devices))

    def apart(self, devices: ChipDevices) -> Iterator[tuple[str, int, Tensor, Tensor]]:
        """What to write in both copies of every pair that is too far apart."""
        for name, matrix in devices.mapping.matrices.items():
            limit, copies = self.threshold * devices.mapping.encoding(name).largest, len(matrix.replicas) // 2
            for number in range(copies):
                there, back = devices.weights(name, number), devices.weights(name, number + copies)
                difference = there - back
                mask = difference.abs() > limit
                self.pulled += 2 * int(mask.sum())
                yield name, number, mask, there - self.strength * difference
                yield name, number + copies, mask, back + self.strength * difference
