"""Ranges measured on data: what states and partial sums reach while the ideal network relaxes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from eqprop import ConvergenceWarning, Coupling, EnergyNetwork
from eqprop.couplings import StandIn
from mapping.lowering import Lowering, Span

BATCH = 32
SWEEPS = 40  # states and sums reach their extremes in the first sweeps; what settles slowly after them is small


@dataclass
class Ranges:
    """Extremes seen.

    Attributes:
        samples: images relaxed.
        lowest, highest: by layer, the extreme states at the free equilibrium and of the inputs.
        forward, transposed: by coupling, the largest |partial sum| of each tile at any position and sweep,
            [row spans, column spans]; a direction that was never read is missing.
    """

    samples: int = 0
    lowest: dict[str, float] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)
    forward: dict[str, Tensor] = field(default_factory=dict)
    transposed: dict[str, Tensor] = field(default_factory=dict)

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


class Observed(StandIn):
    """An ideal coupling that also reads tile by tile and notes how large the partial sums get."""

    def __init__(self, name: str, ideal: Coupling, cuts: Cuts, ranges: Ranges) -> None:
        super().__init__(ideal)
        self.name, self.cuts, self.ranges = name, cuts, ranges
        self.operands = [cuts.lowering.operand(cuts.sensed[slice(*rows)], rows) for rows in cuts.lowering.row_spans]

    def forward(self, pre: Tensor) -> Tensor:
        lowering = self.cuts.lowering
        for number, (operand, rows) in enumerate(zip(self.operands, lowering.row_spans, strict=True)):
            sums = lowering.drive_rows(operand, lowering.rows_driven(pre, rows), rows)
            self.cuts.widen_(self.ranges.forward, self.name, number, sums)
        return self.ideal.forward(pre)

    def transpose(self, post: Tensor) -> Tensor:
        lowering, slices = self.cuts.lowering, self.cuts.slices
        columns = lowering.columns_of(post)
        for place, span in enumerate(self.cuts.column_spans):
            driven = lowering.columns_driven(columns, span)
            for number in range(slices):
                block = self.cuts.sensed[:, number::slices][:, slice(*span)]
                sums = lowering.drive_columns(block, driven, span)
                self.cuts.widen_transposed_(self.ranges.transposed, self.name, place, sums)
        return self.ideal.transpose(post)


@torch.no_grad()
def measure(
    network: EnergyNetwork,
    cuts: Mapping[str, Cuts],
    images: Tensor,
    on_batch: Callable[[int], None] | None = None,
) -> Ranges:
    """Relax ``images`` [samples, *input_shape] to their free equilibria and note every range.

    Args:
        cuts: by coupling, how its matrix is cut and what its tiles sense.
        on_batch: called with the number of images just done.
    """
    ranges = Ranges()
    couplings = {name: Observed(name, network.coupling(name), cut, ranges) for name, cut in cuts.items()}
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
