"""Plain gradient descent by EP on an ideal network, and accuracies: beside what chips learn in benchmarks."""

from collections.abc import Iterable

import torch

from eqprop import EnergyNetwork, FixedPoint
from eqprop.data import ImageSet
from eqprop.estimators import Symmetric


def passes(count: int, times: int, seed: int, batch: int) -> list[torch.Tensor]:
    """Index batches of ``times`` passes over ``count`` images, each in another order."""
    order = torch.Generator().manual_seed(seed)
    return [part for _ in range(times) for part in torch.randperm(count, generator=order).split(batch)]


def descend(
    made: EnergyNetwork, train: ImageSet, batches: Iterable[torch.Tensor], beta: float, nudged_sweeps: int, rate: float
) -> None:
    """A step down the symmetric estimate for each batch."""
    estimator = Symmetric(beta, FixedPoint(max_sweeps=nudged_sweeps, tolerance=0.0))
    for indices in batches:
        made.zero_grad(set_to_none=True)
        estimator(made, *train.batch(indices))
        with torch.no_grad():
            for parameter in made.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=rate)
    made.zero_grad(set_to_none=True)


def accuracy(found: EnergyNetwork, test: ImageSet) -> float:
    """Share of all images that are answered rightly."""
    x, labels = test.batch(torch.arange(len(test)))
    return float((found.predict(x)[0] == labels).float().mean())
