"""Relaxation in the order of the controller's schedule: what the microprogram does, read by read.

Within a step no read sees what another does, so the order changes nothing but which read meets which read noise (and
which numbers of the dither). In this order a chip gives the very states of the controller that runs on its arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from eqprop import EnergyNetwork
from eqprop.dynamics import Equilibrium, FixedPoint, States
from mapping.schedule import Read, Round
from sim.chain import Chain
from sim.chip import Chip
from sim.copies import Copies, empty, layout_of
from sim.reads import Reads


@dataclass(frozen=True)
class Scheduled(FixedPoint):
    """As :class:`FixedPoint`, of one chip, in the order of its mapping's schedule."""

    def run(
        self,
        network: EnergyNetwork,
        states: States,
        constant: States,
        target: Tensor | None = None,
        beta: float = 0.0,
    ) -> Equilibrium:
        """As :meth:`FixedPoint.run`.

        Raises:
            ValueError: for anything but one chip, and for max pooling or a readout.
        """
        if not isinstance(network, Chip) or network.replicas != 1:
            raise ValueError("the controller's order: expected one chip")
        if network.cost.readout is not None or any(edge.pool for edge in network.edges):
            raise ValueError("the controller's order: expected neither max pooling nor a readout")
        residuals: dict[str, float] = {}
        sweeps, settled = 0, False
        while sweeps < self.max_sweeps and not (settled and self.tolerance > 0.0):
            sweeps += 1
            for step in network.mapping.schedule.steps:
                shares = coupling_reads(network, step.rounds, states)
                for name in step.layers:
                    drive = constant[name].expand(states[name].shape).clone()
                    for edge in network.edges:
                        for end, way in ((edge.post, "forward"), (edge.pre, "transposed")):
                            if end == name and (edge.name, way) in shares:
                                drive += shares[edge.name, way]
                    new = network.confine_(name, network.minimise_(name, drive, states[name], target, beta))
                    residuals[name] = float((new - states[name]).abs().max())
                    states[name] = new
            settled = all(value <= self.tolerance for value in residuals.values())
        return Equilibrium(states, residuals, sweeps, settled)


Shares = dict[tuple[str, str], Tensor]


def coupling_reads(chip: Chip, rounds: Sequence[Round], states: Mapping[str, Tensor]) -> Shares:
    """What whole reads of couplings give, by coupling and direction, in the order of rounds."""
    owner = {matrix: name for name, chain in chip.mapping.chains.items() for matrix in chain}
    answers: Shares = {}  # of matrices
    for one in rounds:
        for read in one:
            play(chip, owner[read.matrix], read, states, answers)
        for matrix, direction in {(read.matrix, read.direction) for read in one}:
            link = link_of(chip, owner[matrix], matrix)
            if isinstance(link, Copies) and direction == "transposed" and complete(rounds, one, matrix):
                requantiser = link.arrays[0].columns_read.requantiser
                if requantiser is not None:
                    requantiser(answers[matrix, direction])
    chains = chip.mapping.chains
    found: Shares = {}
    for (matrix, way), answer in answers.items():
        chain = chains[owner[matrix]]
        if matrix == chain[-1 if way == "forward" else 0]:
            found[owner[matrix], way] = answer
    return found


def complete(rounds: Sequence[Round], one: Round, matrix: str) -> bool:
    """Whether no later round reads a matrix transposed."""
    later = rounds[rounds.index(one) + 1 :]
    return not any(read.matrix == matrix and read.direction == "transposed" for each in later for read in each)


def link_of(chip: Chip, coupling: str, matrix: str) -> Reads:
    """What answers for a matrix."""
    reads = chip.mapped(coupling).arrays[0]
    return reads.links[chip.mapping.chains[coupling].index(matrix)] if isinstance(reads, Chain) else reads


def play(chip: Chip, coupling: str, read: Read, states: Mapping[str, Tensor], answers: Shares) -> None:
    """One read of one copy; what it gives joins the answer of its matrix."""
    link, source = link_of(chip, coupling, read.matrix), driven_by(chip, coupling, read, states, answers)
    key = (read.matrix, read.direction)
    if not isinstance(link, Copies):
        answers[key] = link.forward(source) if read.direction == "forward" else link.transpose(source)
        return
    lowering, region, array = link.lowering, link.regions[read.replica], link.arrays[read.replica]
    if key not in answers:
        answers[key] = empty((len(source), *lowering.shapes[1 if read.direction == "forward" else 0]), source).zero_()
    if read.direction == "forward":
        lowering.in_region(answers[key], region).copy_(array.forward(lowering.seen(source, region)))
        return
    own = lowering.in_region(source, region)
    lowering.add_seen_(answers[key], array.transpose(own.contiguous(memory_format=layout_of(own))), region)


def driven_by(chip: Chip, coupling: str, read: Read, states: Mapping[str, Tensor], answers: Shares) -> Tensor:
    """What drives a matrix: a layer's states, or what the matrix before it in its chain answered."""
    chain = chip.mapping.chains[coupling]
    edge = next(edge for edge in chip.edges if edge.name == coupling)
    place = chain.index(read.matrix) - (1 if read.direction == "forward" else -1)
    if 0 <= place < len(chain):
        return answers[chain[place], read.direction]
    return states[edge.pre if read.direction == "forward" else edge.post]
