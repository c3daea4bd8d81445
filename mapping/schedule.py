"""The schedule: which reads make a phase, and which of them run together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from eqprop import CrossEntropy, Edge, EnergyNetwork
from eqprop.ordering import blocks
from mapping.hardware import Direction
from mapping.plan import MappedMatrix


@dataclass(frozen=True)
class Read:
    """All outputs of one replica of one matrix, position after position, in one direction."""

    matrix: str
    direction: Direction
    replica: int = 0


Round = tuple[Read, ...]
"""Reads that run together: no two of them share a crossbar, and so no ADC."""


@dataclass(frozen=True)
class Step:
    """Layers updated together.

    Attributes:
        layers: no two of them are joined, so every read starts from states that the step does not change.
        rounds: the reads that their drives need, in order.
        nudged_rounds: what nudged phases read after them (a cross-entropy readout, forward and then transposed).
    """

    layers: tuple[str, ...]
    rounds: tuple[Round, ...]
    nudged_rounds: tuple[Round, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """What the controller reads.

    Attributes:
        prologue: once at the start of every phase: clamped inputs, whose drive no sweep changes, and couplings whose
            maxima the first sweep needs before it has read them.
        steps: one sweep.
        answer: after the free phase, for the prediction; nothing where the output layer's states are it.
    """

    prologue: tuple[Round, ...]
    steps: tuple[Step, ...]
    answer: tuple[Round, ...] = ()


Chains = Mapping[str, Sequence[str]]


def schedule(
    network: EnergyNetwork, chains: Chains, matrices: Mapping[str, MappedMatrix], cycles: Mapping[Read, int]
) -> Schedule:
    """The schedule of a network: a step for each colour of the graph of free layers.

    Within a step reads are put into rounds, the longest first, each into the first round that leaves its crossbars
    free and comes after the reads it depends on: a factor of a low-rank coupling after the other.

    Args:
        chains: each coupling's matrices in the order of a forward read.
        cycles: how long each read takes.
    """
    rounds = Rounds(chains, matrices, cycles)
    order = blocks("coloured", network.free, network.edges)
    turn = {layer: number for number, layers in enumerate(order) for layer in layers}
    first = [e for e in network.edges if e.pre in network.inputs or (e.pool is not None and turn[e.pre] < turn[e.post])]
    steps = []
    for layers in order:
        reads = [(edge.name, way) for layer in layers for edge, way in drives(network, layer)]
        steps.append(Step(layers, rounds.of([reads]), rounds.of(nudge_reads(network, layers))))
    readout = network.cost.readout
    answer = () if readout is None else rounds.of([[(readout, "forward")]])
    return Schedule(rounds.of([[(edge.name, "forward") for edge in first]]), tuple(steps), answer)


CouplingRead = tuple[str, Direction]


def drives(network: EnergyNetwork, layer: str) -> list[tuple[Edge, Direction]]:
    """The reads behind a free layer's drive, but for clamped inputs: they are read once a phase."""
    into: list[tuple[Edge, Direction]] = [
        (edge, "forward") for edge in network.edges_into[layer] if edge.pre not in network.inputs
    ]
    return into + [(edge, "transposed") for edge in network.edges_from[layer]]


def nudge_reads(network: EnergyNetwork, layers: Sequence[str]) -> list[list[CouplingRead]]:
    """Reads that the nudge of a step needs, one list after the other."""
    cost = network.cost
    if not isinstance(cost, CrossEntropy) or cost.layer not in layers:
        return []
    return [[(cost.readout, "forward")], [(cost.readout, "transposed")]]


@dataclass(frozen=True)
class Rounds:
    """Puts reads into rounds."""

    chains: Chains
    matrices: Mapping[str, MappedMatrix]
    cycles: Mapping[Read, int]

    def of(self, stages: Iterable[Sequence[CouplingRead]]) -> tuple[Round, ...]:
        """Rounds for reads of couplings; a stage's reads all come after those of the stage before."""
        made: list[Round] = []
        for reads in stages:
            made += self.together(reads)
        return tuple(made)

    def together(self, reads: Sequence[CouplingRead]) -> list[Round]:
        """Rounds for reads that wait for nothing but the factors of their own chain."""
        made: list[list[Read]] = []
        busy: list[set[int]] = []
        earliest = dict.fromkeys(reads, 0)  # by coupling and direction, the first round its next factor may be in
        for place in range(max((len(self.chains[name]) for name, _ in reads), default=0)):
            wanted = [(read, coupling) for coupling in reads for read in self.factor(coupling, place)]
            ends: dict[CouplingRead, int] = {}
            for read, coupling in sorted(wanted, key=lambda item: -self.cycles[item[0]]):
                crossbars = self.matrices[read.matrix].replicas[read.replica].crossbars
                number = earliest[coupling]
                while number < len(busy) and busy[number] & crossbars:
                    number += 1
                while number >= len(busy):
                    busy.append(set())
                    made.append([])
                busy[number] |= crossbars
                made[number].append(read)
                ends[coupling] = max(ends.get(coupling, 0), number + 1)
            earliest.update(ends)
        return [tuple(reads_of_round) for reads_of_round in made]

    def factor(self, coupling: CouplingRead, place: int) -> list[Read]:
        """The reads of the ``place``-th matrix that a read of a coupling goes through, all replicas."""
        name, direction = coupling
        chain = self.chains[name] if direction == "forward" else tuple(reversed(self.chains[name]))
        if place >= len(chain):
            return []
        matrix = chain[place]
        return [Read(matrix, direction, replica) for replica in range(len(self.matrices[matrix].replicas))]
