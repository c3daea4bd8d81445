"""Training an energy network by an EP estimator and Nesterov SGD."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from eqprop import estimators
from eqprop.data.augment import Augmentation
from eqprop.data.image_set import ImageSet
from eqprop.dynamics import ConvergenceWarning, FixedPoint
from eqprop.errors import InputError
from eqprop.estimators import Estimate
from eqprop.network import EnergyNetwork


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides a training's result besides the network and the data.

    Attributes:
        epochs: passes over the images.
        batch_size: images a step.
        estimator, beta: see :func:`eqprop.estimators.get`.
        nudged_sweeps: most sweeps of a nudged phase.
        learning_rate: at the start; a cosine takes it to ``final_learning_rate`` over all steps.
        momentum, weight_decay: of SGD (Nesterov when the momentum is not 0).
        clip_norm: largest norm of the whole gradient, or None.
        crop_padding, flip: augmentation of training images.
        seed: fixes batches and augmentation (each epoch draws from its own seed, so a resumed training sees
            the same images).
    """

    epochs: int = 10
    batch_size: int = 32
    estimator: str = "symmetric"
    beta: float = 0.1
    nudged_sweeps: int = 20
    learning_rate: float = 0.03
    final_learning_rate: float = 2e-6
    momentum: float = 0.9
    weight_decay: float = 2.5e-4
    clip_norm: float | None = 1.0
    crop_padding: int = 0
    flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size", "nudged_sweeps"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} {getattr(self, field)}: expected >= 1")
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate {self.learning_rate}: expected > 0")
        estimators.get(self.estimator, self.beta)

    def rate(self, progress: float) -> float:
        """The learning rate after a share ``progress`` of all steps (cosine)."""
        fall = 0.5 * (1 + math.cos(math.pi * progress))
        return self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * fall


@dataclass(frozen=True)
class EpochRecord:
    """One epoch's figures: training loss and accuracy (before each step), residual, convergence, time."""

    epoch: int
    loss: float
    accuracy: float
    residual: float
    unconverged: int
    batches: int
    seconds: float


class Observer:
    """What a training tells whoever watches; every method may be overridden."""

    def batch(self, epoch: int, done: int, batches: int, estimate: Estimate) -> None:
        """A step was made."""

    def epoch(self, record: EpochRecord, state: dict[str, Any]) -> None:
        """An epoch ended; ``state`` is what :func:`train` resumes from."""


def train(
    network: EnergyNetwork,
    images: ImageSet,
    settings: TrainingSettings,
    observer: Observer | None = None,
    state: Mapping[str, Any] | None = None,
) -> list[EpochRecord]:
    """Train ``network`` in place and return the record of every epoch.

    Args:
        state: from an earlier call's observer: go on after that epoch, to the same result as unbroken
            (bit for bit on CPU with the same number of threads).

    Raises:
        InputError: if ``state`` belongs to a training with other settings.

    Warns:
        ConvergenceWarning: once an epoch, with figures, if some phase ran out of sweeps.
    """
    observer = observer or Observer()
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0.0,
        weight_decay=settings.weight_decay,
    )
    records: list[EpochRecord] = []
    if state is not None:
        check_same_settings(settings, state["settings"])
        optimizer.load_state_dict(copy.deepcopy(dict(state["optimizer"])))  # torch would go on in its buffers
        records = [EpochRecord(**entry) for entry in state["records"]]
    for epoch in range(len(records), settings.epochs):
        records.append(train_epoch(network, images, settings, optimizer, epoch, observer))
        observer.epoch(
            records[-1],
            {
                "settings": asdict(settings),
                "optimizer": copy.deepcopy(optimizer.state_dict()),  # the next step changes its buffers
                "records": [asdict(record) for record in records],
            },
        )
    return records


def train_epoch(
    network: EnergyNetwork,
    images: ImageSet,
    settings: TrainingSettings,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    observer: Observer,
) -> EpochRecord:
    start = time.perf_counter()
    nudged = FixedPoint(network.dynamics.order, settings.nudged_sweeps, network.dynamics.tolerance)
    estimator = estimators.get(settings.estimator, settings.beta, nudged)
    augment = Augmentation(settings.crop_padding, settings.flip)
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
    order = torch.randperm(len(images), generator=generator)
    batches = order.split(settings.batch_size)
    loss, hits, count, residual, unconverged = 0.0, 0, 0, 0.0, 0
    for done, index in enumerate(batches, start=1):
        x, labels = images.batch(index)
        x = augment(x, generator)
        optimizer.zero_grad(set_to_none=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimate = estimator(network, x, labels)
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
        progress = (epoch * len(batches) + done - 1) / (settings.epochs * len(batches))
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(progress)
        optimizer.step()
        loss += estimate.loss * estimate.count
        hits += estimate.hits
        count += estimate.count
        residual = max(residual, estimate.residual)
        unconverged += not estimate.converged
        observer.batch(epoch, done, len(batches), estimate)
    if unconverged:
        warnings.warn(
            f"epoch {epoch + 1}: {unconverged} of {len(batches)} batches had a phase that was not at equilibrium: "
            f"largest residual {residual:.3g} (tolerance {network.dynamics.tolerance:g})",
            ConvergenceWarning,
            stacklevel=3,
        )
    seconds = time.perf_counter() - start
    return EpochRecord(epoch + 1, loss / count, hits / count, residual, unconverged, len(batches), seconds)


def check_same_settings(settings: TrainingSettings, earlier: Mapping[str, Any]) -> None:
    for field, value in asdict(settings).items():
        if earlier.get(field) != value:
            raise InputError(
                f"--resume: {field} is {value} but the unfinished training has {earlier.get(field)}: expected the same"
            )
