"""Accuracy of a network on labelled images."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch

from eqprop.data.image_set import ImageSet
from eqprop.dynamics import ConvergenceWarning, FixedPoint
from eqprop.network import EnergyNetwork


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation saw.

    Attributes:
        accuracies: share of right answers, one for the network or one for each simulated chip.
        samples: images seen.
        residual: the largest residual of any batch.
        sweeps: the largest number of sweeps of any batch.
        unconverged: batches that ran out of sweeps.
        batches: batches in all.
        seconds: wall time.
    """

    accuracies: tuple[float, ...]
    samples: int
    residual: float
    sweeps: int
    unconverged: int
    batches: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """Mean over chips."""
        return sum(self.accuracies) / len(self.accuracies)


def evaluate(
    network: EnergyNetwork,
    images: ImageSet,
    batch_size: int = 100,
    dynamics: FixedPoint | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Evaluation:
    """Relax every image to its free equilibrium and compare predictions with labels.

    ``on_batch`` is called with the number of images just done. A batch that does not converge is counted, and
    one :class:`ConvergenceWarning` with the figures ends the evaluation.
    """
    start = time.perf_counter()
    hits = torch.zeros(network.replicas, dtype=torch.int64)
    residual, sweeps, unconverged, batches = 0.0, 0, 0, 0
    tolerance = (dynamics or network.dynamics).tolerance
    for index in torch.arange(len(images)).split(batch_size):
        x, labels = images.batch(index)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            answers, equilibrium = network.predict(x, dynamics)
        hits += (answers.view(network.replicas, -1) == labels).sum(1)
        residual = max(residual, equilibrium.residual)
        sweeps = max(sweeps, equilibrium.sweeps)
        unconverged += not equilibrium.converged
        batches += 1
        if on_batch is not None:
            on_batch(len(index))
    if unconverged and tolerance > 0.0:
        warnings.warn(
            f"{unconverged} of {batches} batches were not at equilibrium after {sweeps} sweeps: "
            f"largest residual {residual:.3g} (tolerance {tolerance:g})",
            ConvergenceWarning,
            stacklevel=2,
        )
    accuracies = tuple((hits.double() / len(images)).tolist())
    return Evaluation(accuracies, len(images), residual, sweeps, unconverged, batches, time.perf_counter() - start)
