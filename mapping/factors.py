"""The matrices of a network: one for each coupling, or both factors of a low-rank coupling as two chained reads.

A low-rank coupling A = U V^T may be kept: V's rows are driven by the pre layer, its columns are a bus as wide as the
rank, and the bus, digitised, drives the rows of U^T. Or it is multiplied out. Kept, it takes fewer devices where the
rank is small, but every value on the bus is converted and driven once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from eqprop import EnergyNetwork, LowRank
from mapping.lowering import DenseLowering, Lowering, lower, spans

LowRankMode = Literal["auto", "keep", "merge"]
LOW_RANK_MODES: tuple[LowRankMode, ...] = get_args(LowRankMode)


@dataclass(frozen=True)
class Factor:
    """One matrix to map.

    Attributes:
        name: the coupling's, followed by .V or .U where it is a factor of one.
        coupling: the coupling it belongs to.
        lowering: the matrix and its row cuts.
    """

    name: str
    coupling: str
    lowering: Lowering

    def matrix(self, network: EnergyNetwork) -> Tensor:
        """Its weights, [rows, columns]."""
        coupling = network.coupling(self.coupling)
        if self.name != self.coupling:
            assert isinstance(coupling, LowRank)
            return coupling.V.detach() if self.name.endswith(".V") else coupling.U.detach().T
        return self.lowering.to_matrix(coupling.effective_weight())


def factors(network: EnergyNetwork, rows: int, columns: int, low_rank: LowRankMode) -> dict[str, tuple[Factor, ...]]:
    """Each coupling's matrices in the order of a forward read.

    Args:
        rows, columns: of a crossbar, columns in weights.
        low_rank: what to do with low-rank couplings; ``auto`` takes whichever needs fewer conversions for a forward
            and a transposed read together, and keeps the factors if they are equal.

    Raises:
        ValueError: for another ``low_rank``.
    """
    if low_rank not in LOW_RANK_MODES:
        raise ValueError(f"low_rank {low_rank!r}: expected one of {', '.join(LOW_RANK_MODES)}")
    found: dict[str, tuple[Factor, ...]] = {}
    for name, coupling in network.coupling_table().items():
        merged = (Factor(name, name, lower(coupling, rows)),)
        found[name] = merged
        if isinstance(coupling, LowRank) and low_rank != "merge":
            kept = two_factors(name, coupling, rows)
            fewer = sum(conversions(f.lowering, columns) for f in kept) <= conversions(merged[0].lowering, columns)
            if low_rank == "keep" or fewer:
                found[name] = kept
    return found


def two_factors(name: str, coupling: LowRank, rows: int) -> tuple[Factor, Factor]:
    """V from the pre layer to the bus, U from the bus to the post layer."""
    bus = (coupling.U.shape[1],)
    return (
        Factor(f"{name}.V", name, dense(coupling.pre_shape, bus, rows)),
        Factor(f"{name}.U", name, dense(bus, coupling.post_shape, rows)),
    )


def dense(pre: tuple[int, ...], post: tuple[int, ...], rows: int) -> DenseLowering:
    whole = DenseLowering("flat", (), pre, post)
    return DenseLowering("flat", spans(whole.rows, rows), pre, post)


def conversions(lowering: Lowering, columns: int) -> int:
    """ADC conversions of a forward and a transposed read of one sample."""
    return lowering.positions * (
        lowering.columns * len(lowering.row_spans) + lowering.rows * len(spans(lowering.columns, columns))
    )
