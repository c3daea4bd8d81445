"""hwmap train: a model by Equilibrium Propagation, resumable after any epoch."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.progress import Progress
from rich.table import Table

from eqprop import EnergyNetwork, FixedPoint, checkpoint, models
from eqprop.checkpoint import Checkpoint
from eqprop.data import ImageSet, load
from eqprop.errors import InputError
from eqprop.estimators import Estimate
from eqprop.training import EpochRecord, Observer, TrainingSettings, train
from hwmap.commands.data import images
from hwmap.commands.evaluate import evaluate_with_progress
from hwmap.console import print_result, progress, say, table
from hwmap.user_values import values_from

TESTING_SWEEPS = 200  # a finished network is used to its equilibrium, however briefly it was relaxed in training


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    name: str
    data: str
    data_dir: Path | None
    output: Path
    resume: bool
    width: float
    activation: str | None
    cost: str
    samples: int | None
    dynamics: dict[str, Any]
    settings: dict[str, Any]

    @property
    def recipe(self) -> dict[str, Any]:
        """What a resumed training must share with the one it goes on from."""
        return {
            "model": self.name,
            "data": self.data,
            "samples": self.samples,
            "width": self.width,
            "activation": self.activation,
            "cost": self.cost,
            "dynamics": self.dynamics,
        }


def run(request: Request, as_json: bool) -> None:
    print_result(*execute(request), as_json)


def execute(request: Request) -> tuple[dict[str, Any], Table]:
    """Train, test and write the model file; the result and a table of it."""
    start = time.perf_counter()
    with values_from("train"):
        settings = TrainingSettings(**request.settings)
        dynamics = FixedPoint(**request.dynamics)
    if request.output.suffix == ".safetensors":
        raise InputError(f"-o {request.output}: training writes .pt files: expected a name ending in .pt")
    training = load(request.data, "train", request.data_dir)
    if request.samples is not None:
        training = training.take(request.samples)
    state = None
    if request.resume:
        network, state = resumed(request)
    else:
        network = fresh(request, training, settings.seed)
        network.dynamics = dynamics
    test = images(request.data, "test", request.data_dir, None, network.input_shape, request.name)
    if state is None and request.resume:
        say(f"{request.output}: training is complete")
    else:
        with progress("figures") as bar:
            train(network, training, settings, Watcher(request, network, settings, bar, len(training)), state)
    network.dynamics = replace(dynamics, max_sweeps=max(dynamics.max_sweeps, TESTING_SWEEPS))
    seen = evaluate_with_progress(network, test, "testing")
    metadata = {
        "recipe": request.recipe,
        "settings": asdict(settings),
        "epochs": settings.epochs,
        "training_images": len(training),
        "test_accuracy": seen.accuracy,
    }
    checkpoint.save(request.output, Checkpoint(network, metadata))
    result = {
        "accuracy": seen.accuracy,
        "epochs": settings.epochs,
        "seconds": time.perf_counter() - start,
        "training_images": len(training),
        "samples": seen.samples,
        "residual": seen.residual,
        "sweeps": seen.sweeps,
        "seed": settings.seed,
        "model": str(request.output),
    }
    rows = [
        ("test accuracy", f"{seen.accuracy:.2%}"),
        ("epochs", str(settings.epochs)),
        ("training images", str(len(training))),
        ("largest residual", f"{seen.residual:.2g} after at most {seen.sweeps} sweeps"),
        ("seed", str(settings.seed)),
        ("seconds", f"{result['seconds']:.1f}"),
    ]
    return result, table(f"{request.name} on {request.data} -> {request.output}", ["trained", ""], rows)


def fresh(request: Request, training: ImageSet, seed: int) -> EnergyNetwork:
    channels, height, width = training.shape
    if height != width:
        raise InputError(f"data set {request.data}: images are {height}x{width}: expected square images")
    with values_from(f"train {request.name}"):
        return models.build(
            request.name,
            classes=len(training.classes),
            channels=channels,
            size=height,
            width=request.width,
            activation=request.activation,
            cost=request.cost,
            seed=seed,
        )


def resumed(request: Request) -> tuple[EnergyNetwork, dict[str, Any] | None]:
    """The network of an earlier run, and its state unless that run finished."""
    found = checkpoint.read(request.output)
    earlier = found.metadata.get("recipe", {})
    for field, value in request.recipe.items():
        if earlier.get(field) != value:
            raise InputError(
                f"{request.output}: --resume: {field} is {value} but the file was trained with {earlier.get(field)}: "
                f"expected the same"
            )
    done = found.metadata.get("epochs")
    if found.training is None and done != request.settings["epochs"]:
        raise InputError(
            f"{request.output}: --resume: epochs is {request.settings['epochs']} but the file finished {done}: "
            f"expected the same (the learning rate's schedule depends on it)"
        )
    return found.network, found.training


class Watcher(Observer):
    """Shows progress and writes a checkpoint after each epoch."""

    def __init__(
        self, request: Request, network: EnergyNetwork, settings: TrainingSettings, bar: Progress, count: int
    ) -> None:
        self.request, self.network, self.settings, self.bar, self.count = request, network, settings, bar, count
        self.task = bar.add_task("", total=None, figures="")
        self.current = -1

    def batch(self, epoch: int, done: int, batches: int, estimate: Estimate) -> None:
        if epoch != self.current:
            self.current, self.hits, self.images, self.start = epoch, 0, 0, time.perf_counter()
            self.bar.reset(self.task, total=self.count, description=f"epoch {epoch + 1}/{self.settings.epochs}")
        self.hits += estimate.hits
        self.images += estimate.count
        rate = self.images / (time.perf_counter() - self.start)
        self.bar.update(
            self.task,
            completed=self.images,
            figures=f"{self.hits / self.images:6.2%} right  residual {estimate.residual:.1e}  {rate:.0f} images/s",
        )

    def epoch(self, record: EpochRecord, state: dict[str, Any]) -> None:
        say(
            f"epoch {record.epoch}/{self.settings.epochs}: {record.accuracy:.2%} of training images right, "
            f"loss {record.loss:.4f}, residual {record.residual:.1e}, {self.count / record.seconds:.0f} images/s"
        )
        metadata = {"recipe": self.request.recipe, "settings": asdict(self.settings), "epochs": record.epoch}
        checkpoint.save(self.request.output, Checkpoint(self.network, metadata, state))
