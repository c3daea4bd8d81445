"""What learning multiplies: values of rows and columns whose outer products change the weights.

With the states s+ and s- of two nudged phases, of either sign of beta, a weight between units i and j changes by

    rate / (2 beta) (s+_i s+_j - s-_i s-_j) = rate / (2 beta) (d_i m_j + m_i d_j),   d = s+ - s-,  m = (s+ + s-) / 2

(exact, since every coupling is bilinear). The right side needs two outer products of which one
factor is small; the left one two of opposite sign that nearly cancel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from eqprop import CrossEntropy
from eqprop.estimators import Estimate
from sim.chain import Chain
from sim.chip import Chip

States = Mapping[str, Tensor]
Contrast = Literal["difference", "states"]


@dataclass(frozen=True)
class Product:
    """A share of a matrix's change: coefficient * sum over samples and positions of x_i y_j.

    Attributes:
        matrix: its name.
        x: row values [samples * positions, rows].
        y: column values [samples * positions, columns].
        coefficient: weight change for each x_i y_j, before the learning rate; the mean over samples is in it.
    """

    matrix: str
    x: Tensor
    y: Tensor
    coefficient: float


@torch.no_grad()
def products(chip: Chip, estimate: Estimate, labels: Tensor, contrast: Contrast = "difference") -> Iterator[Product]:
    """Every matrix's outer products after the nudged phases of ``estimate``; ``labels`` int64 [batch].

    Raises:
        ValueError: if there are not as many phases of +beta as of -beta.
    """
    plus = [(beta, equilibrium.states) for beta, equilibrium in estimate.phases if beta > 0.0]
    minus = [equilibrium.states for beta, equilibrium in estimate.phases if beta < 0.0]
    if not plus or len(plus) != len(minus):
        raise ValueError(
            f"{len(plus)} phases of +beta and {len(minus)} of -beta: expected as many (symmetric estimator)"
        )
    for edge in chip.edges:
        for beta, above, below in ((beta, s, other) for (beta, s), other in zip(plus, minus, strict=True)):
            scale = 1.0 / (2.0 * beta * len(plus) * len(above[edge.pre]))
            ends = zip(factors(chip, edge.name, above), factors(chip, edge.name, below), strict=True)
            for (matrix, x_plus, y_plus), (_, x_minus, y_minus) in ends:
                if contrast == "states":
                    yield Product(matrix, x_plus, y_plus, scale)
                    yield Product(matrix, x_minus, y_minus, -scale)
                    continue
                yield Product(matrix, x_plus - x_minus, (y_plus + y_minus).mul_(0.5), scale)
                yield Product(matrix, (x_plus + x_minus).mul_(0.5), y_plus - y_minus, scale)
    yield from readout_products(chip, estimate, labels)


def factors(chip: Chip, name: str, states: States) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(matrix, row values, column values) of an edge's coupling at ``states``, for each of its matrices.

    Behind max pooling a column's value is put where the maximum of the forward read was. A factor of a low-rank
    coupling has the bus on its other side.
    """
    edge = next(edge for edge in chip.edges if edge.name == name)
    pre, post = states[edge.pre], states[edge.post]
    if edge.pool is not None:
        post = edge.pool.transpose(post, chip.coupling(name)(pre))
    yield from of_matrices(chip, name, pre, post)


def of_matrices(chip: Chip, name: str, pre: Tensor, post: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    chain, reads = chip.mapping.chains[name], chip.mapped(name).arrays[0]
    if len(chain) == 1:
        lowering = chip.mapping.matrices[name].lowering
        yield name, lowering.rows_by_position(pre), lowering.columns_by_position(post)
        return
    assert isinstance(reads, Chain)
    first, second = reads.links
    yield chain[0], pre.flatten(1), second.transpose(post)
    yield chain[1], first.forward(pre), post.flatten(1)


def readout_products(chip: Chip, estimate: Estimate, labels: Tensor) -> Iterator[Product]:
    """A cross-entropy readout learns by the ordinary gradient at the nudged states: -error x state."""
    cost = chip.cost
    if not isinstance(cost, CrossEntropy):
        return
    for _, equilibrium in estimate.phases:
        error = cost.error(equilibrium.states, labels, chip.coupling_table())
        for matrix, x, y in of_matrices(chip, cost.readout, equilibrium.states[cost.layer], error):
            yield Product(matrix, x, y, -1.0 / (len(estimate.phases) * len(error)))
