"""hwmap evaluate: accuracy of the ideal network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from eqprop import EnergyNetwork, FixedPoint, checkpoint
from eqprop.data import ImageSet
from eqprop.errors import InputError
from eqprop.evaluation import Evaluation, evaluate
from hwmap.commands.data import images
from hwmap.console import print_result, progress, table
from hwmap.user_values import values_from

BATCH = 100


def run(
    model: Path, data: str, data_dir: Path | None, samples: int | None, activation: str | None, as_json: bool
) -> None:
    with values_from("--activation"):
        found = checkpoint.read(model, activation)
    network = found.network
    test = images(data, "test", data_dir, samples, network.input_shape, str(model))
    check_classes(network, test, str(model))
    seen = evaluate_with_progress(network, test, "evaluating")
    result = asdict(seen) | {"accuracy": seen.accuracy, "epochs": found.metadata.get("epochs"), "data": data}
    rows = [
        ("accuracy", f"{seen.accuracy:.2%}"),
        ("test images", str(seen.samples)),
        ("largest residual", f"{seen.residual:.2g}"),
        ("most sweeps", str(seen.sweeps)),
        ("seconds", f"{seen.seconds:.1f}"),
    ]
    print_result(result, table(f"{model} on {data}", ["ideal network", ""], rows), as_json)


def evaluate_with_progress(
    network: EnergyNetwork, test: ImageSet, what: str, dynamics: FixedPoint | None = None, batch_size: int = BATCH
) -> Evaluation:
    with progress() as bar:
        task = bar.add_task(what, total=len(test))
        return evaluate(network, test, batch_size, dynamics, lambda count: bar.advance(task, count))


def check_classes(network: EnergyNetwork, test: ImageSet, model: str) -> None:
    """Raise InputError if the labels do not fit the network's outputs."""
    classes = network.classes
    if len(test.classes) != classes:
        raise InputError(f"data set {test.name} has {len(test.classes)} classes but {model} has {classes}")
