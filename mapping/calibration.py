"""Ranges measured on data: what states and partial sums reach while the ideal network relaxes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from eqprop import ConvergenceWarning, Coupling, EnergyNetwork
from eqprop.couplings import StandIn
from mapping.hardware import Direction
from mapping.lowering import Lowering, Span

BATCH = 32
SWEEPS = 40  # states and sums reach their extremes in the first sweeps; what settles slowly after them is small


@dataclass
class Ranges:
    """Extremes seen.

    Attributes:
        samples: images relaxed.
        lowest, highest: by layer, the extreme states at the free equilibrium and of the inputs.
        forward, transposed: by matrix, the largest |partial sum| of each tile at any position and sweep,
            [row spans, column spans]; a direction that was never read is missing.
        bus: by matrix and direction, the largest |value| that one factor of a low-rank coupling hands to it.
    """

    samples: int = 0
    lowest: dict[str, float] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)
    forward: dict[str, Tensor] = field(default_factory=dict)
    transposed: dict[str, Tensor] = field(default_factory=dict)
    bus: dict[tuple[str, Direction], float] = field(default_factory=dict)

    def see_bus(self, matrix: str, direction: Direction, values: Tensor) -> None:
        self.bus[matrix, direction] = max(self.bus.get((matrix, direction), 0.0), float(values.abs().max()))

    def see_state(self, layer: str, state: Tensor) -> None:
        self.lowest[layer] = min(self.lowest.get(layer, 0.0), float(state.min()))
        self.highest[layer] = max(self.highest.get(layer, 0.0), float(state.max()))


@dataclass(frozen=True)
class Cuts:
    """How one coupling is cut: its lowering, the sensed matrix [rows, columns * slices] and the column spans."""

    lowering: Lowering
    sensed: Tensor
    column_spans: tuple[Span, ...]
    slices: int = 1

    def widen_(self, table: dict[str, Tensor], name: str, number: int, sums: Tensor) -> None:
        """Note the largest |sum| of every tile of row span ``number``; sums [batch, columns * slices, *positions]."""
        lines = largest(sums).view(-1, self.slices).amax(1)
        seen = torch.stack([lines[slice(*span)].max() for span in self.column_spans])
        self.table(table, name, sums)[number].clamp_(min=seen)

    def widen_transposed_(self, table: dict[str, Tensor], name: str, place: int, sums: Tensor) -> None:
        """Note the largest |sum| of every tile of column span ``place``; sums [batch, rows, *positions]."""
        lines = largest(sums)
        seen = torch.stack([lines[slice(*span)].max() for span in self.lowering.row_spans])
        self.table(table, name, sums)[:, place].clamp_(min=seen)

    def table(self, table: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
        if name not in table:
            table[name] = like.new_zeros(len(self.lowering.row_spans), len(self.column_spans))
        return table[name]


def largest(sums: Tensor) -> Tensor:
    """The largest |value| of each line: [batch, lines, *positions] -> [lines]."""
    return sums.abs().transpose(0, 1).flatten(1).amax(1)


@dataclass(frozen=True)
class Stage:
    """One matrix of a coupling: its cuts, and, if it is a factor, its exact weights [rows, columns]."""

    name: str
    cuts: Cuts
    matrix: Tensor | None = None

    def see_forward(self, ranges: Ranges, pre: Tensor) -> None:
        lowering = self.cuts.lowering
        for number, rows in enumerate(lowering.row_spans):
            operand = lowering.operand(self.cuts.sensed[slice(*rows)], rows)
            sums = lowering.drive_rows(operand, lowering.rows_driven(pre, rows), rows)
            self.cuts.widen_(ranges.forward, self.name, number, sums)

    def see_transposed(self, ranges: Ranges, post: Tensor) -> None:
        lowering, slices = self.cuts.lowering, self.cuts.slices
        columns = lowering.columns_of(post)
        for place, span in enumerate(self.cuts.column_spans):
            driven = lowering.columns_driven(columns, span)
            for number in range(slices):
                block = self.cuts.sensed[:, number::slices][:, slice(*span)]
                sums = lowering.drive_columns(block, driven, span)
                self.cuts.widen_transposed_(ranges.transposed, self.name, place, sums)


class Observed(StandIn):
    """An ideal coupling that also reads tile by tile and notes how large the partial sums get."""

    def __init__(self, ideal: Coupling, stages: Sequence[Stage], ranges: Ranges) -> None:
        super().__init__(ideal)
        self.stages, self.ranges = stages, ranges

    def forward(self, pre: Tensor) -> Tensor:
        driven = pre
        for number, stage in enumerate(self.stages):
            if number:
                before = self.stages[number - 1].matrix
                assert before is not None
                driven = driven.flatten(1) @ before
                self.ranges.see_bus(stage.name, "forward", driven)
            stage.see_forward(self.ranges, driven)
        return self.ideal.forward(pre)

    def transpose(self, post: Tensor) -> Tensor:
        driven = post
        for number in reversed(range(len(self.stages))):
            stage = self.stages[number]
            if number < len(self.stages) - 1:
                before = self.stages[number + 1].matrix
                assert before is not None
                driven = driven.flatten(1) @ before.T
                self.ranges.see_bus(stage.name, "transposed", driven)
            stage.see_transposed(self.ranges, driven)
        return self.ideal.transpose(post)


@torch.no_grad()
def measure(
    network: EnergyNetwork,
    stages: Mapping[str, Sequence[Stage]],
    images: Tensor,
    on_batch: Callable[[int], None] | None = None,
) -> Ranges:
    """Relax ``images`` [samples, *input_shape] to their free equilibria and note every range.

    Args:
        stages: by coupling, its matrices in the order of a forward read.
        on_batch: called with the number of images just done.
    """
    ranges = Ranges()
    couplings = {name: Observed(network.coupling(name), of_coupling, ranges) for name, of_coupling in stages.items()}
    observed = EnergyNetwork(network.layers, network.inputs, network.edges, couplings, network.cost, network.dynamics)
    observed.biases = network.biases
    dynamics = replace(network.dynamics, max_sweeps=min(network.dynamics.max_sweeps, SWEEPS))
    for batch in images.split(BATCH):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            equilibrium = observed.relax(batch, dynamics=dynamics)
        observed.logits(equilibrium.states)
        for name, state in equilibrium.states.items():
            ranges.see_state(name, state)
        ranges.samples += len(batch)
        if on_batch is not None:
            on_batch(len(batch))
    return ranges
