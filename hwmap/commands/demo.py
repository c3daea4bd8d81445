"""hwmap demo: the whole road on data that is always there."""

from __future__ import annotations

import time
from pathlib import Path

from eqprop.data import load
from hwmap.commands import compile as compile_command
from hwmap.commands import report as report_command
from hwmap.commands import train as train_command
from hwmap.commands.evaluate import evaluate_with_progress
from hwmap.commands.simulate import results_table, simulate
from hwmap.console import print_result, say
from mapping import Mapping

CHIPS = 5
DAY_S = 86400.0
SWEEPS = 15  # a shallow network: the ideal one needs about as many
NUDGED_SWEEPS = 12


def run(output: Path, seed: int, as_json: bool) -> None:
    start = time.perf_counter()
    say("1/4 training a Hopfield-ResNet on 1,437 handwritten digits by symmetric Equilibrium Propagation")
    model = output / "model.pt"
    trained, trained_table = train_command.execute(recipe(model, seed))
    say("2/4 compiling it for 128x128 crossbars of HfO2 RRAM")
    sweeps = [f"controller.free_sweeps={SWEEPS}", f"controller.nudged_sweeps={NUDGED_SWEEPS}"]
    compiled, compiled_table, _ = compile_command.execute(
        compile_command.Request(model, output, "128x128", "rram-hfo2", sweeps, "digits")
    )
    say(f"3/4 simulating {CHIPS} chips, fresh and a day old")
    mapping = Mapping.load(output)
    test = load("digits", "test")
    ideal = evaluate_with_progress(mapping.network, test, "ideal network").accuracy
    simulated = [simulate(output, mapping, test, ideal, CHIPS, age_s, SWEEPS, seed) for age_s in (0.0, DAY_S)]
    say("4/4 writing the report")
    path = report_command.write(output, f"hwmap demo -o {output} --seed {seed}")
    seconds = time.perf_counter() - start
    result = {
        "train": trained,
        "compile": compiled,
        "simulate": simulated,
        "report": str(path),
        "seconds": seconds,
    }
    for found in (trained_table, compiled_table):
        print_result(result, None if as_json else found, as_json=False)
    print_result(result, results_table(simulated), as_json)
    say(f"open {path} ({seconds:.0f} s in all)")


def recipe(model: Path, seed: int) -> train_command.Request:
    """What ``hwmap train hopfield-resnet --data digits`` needs to reach 98 % of test images in a minute or two."""
    return train_command.Request(
        name="hopfield-resnet",
        data="digits",
        data_dir=None,
        output=model,
        resume=False,
        width=1.0,
        activation=None,
        cost="squared-error",
        samples=None,
        dynamics={"order": "coloured", "max_sweeps": 40, "tolerance": 1e-3},
        settings={
            "epochs": 14,
            "learning_rate": 0.08,
            "weight_decay": 1e-3,
            "nudged_sweeps": NUDGED_SWEEPS,
            "seed": seed,
        },
    )
