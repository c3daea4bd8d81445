"""Truth: what `hwmap simulate --phase nudged` and `--learn` promise to scripts, run through the real command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import eqprop
from eqprop import checkpoint


def hwmap(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hwmap.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def as_json(*arguments: str | Path) -> dict[str, Any]:
    done = hwmap(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained network on devices that can be pulsed, with few sweeps."""
    folder = tmp_path_factory.mktemp("learning")
    network = eqprop.models.build("mlp", classes=10, channels=1, size=8, width=0.12)
    checkpoint.save(folder / "model.pt", checkpoint.Checkpoint(network))
    settings = ["cell.pair=middle", "cell.headroom=6", "controller.free_sweeps=15", "controller.nudged_sweeps=8"]
    settings += ["wires.row_resistance_ohm=0", "wires.column_resistance_ohm=0"]
    options = [part for setting in settings for part in ("--set", setting)]
    arguments = ("compile", folder / "model.pt", "--target", "ecram", "--calibrate", "digits", *options)
    assert hwmap(*arguments, "-o", folder / "out").returncode == 0
    return folder / "out"


@pytest.mark.parametrize("update", ["pulses", "verify"])
def test_chips_learn_and_say_what_it_took(directory: Path, update: str) -> None:
    arguments = ("simulate", directory, "--data", "digits", "--learn", "48", "--update", update, "--rate", "0.2")
    result = as_json(*arguments, "--labelled", "320", "--samples", "200")
    keys = {"accuracy", "accuracy_before", "accuracy_per_chip", "accuracy_ideal", "per_chip", "samples", "labelled"}
    assert keys | {"chips", "age_s", "seed", "steps", "batch", "update", "rate", "beta"} <= set(result)
    assert result["accuracy"] > result["accuracy_before"] + 0.2
    for chip in result["per_chip"]:
        assert [step for step, _ in chip["curve"]][:2] == [0, 6]
        assert chip["curve"][-1] == [48, chip["after"]]
        assert (chip["pulses_per_device"] > 0) == (update == "pulses")
        assert (chip["writes_per_device"] > 0) == (update == "verify")
    assert list((directory / "learning").glob(f"*{update}*.json"))


def test_the_same_seed_learns_the_same(directory: Path) -> None:
    arguments = ("simulate", directory, "--data", "digits", "--learn", "3", "--samples", "50", "--seed", "4")
    first, second = as_json(*arguments), as_json(*arguments)
    assert first["per_chip"] == second["per_chip"]


def test_trains_of_the_controller_s_registers_pulse_devices(directory: Path) -> None:
    arguments = ("simulate", directory, "--data", "digits", "--learn", "3", "--trains", "registers")
    result = as_json(*arguments, "--labelled", "64", "--samples", "50")
    assert result["trains"] == "registers"
    assert result["per_chip"][0]["pulses_per_device"] > 0


def test_gradients_are_compared_coupling_by_coupling(directory: Path) -> None:
    result = as_json("simulate", directory, "--data", "digits", "--phase", "nudged", "--samples", "32")
    assert set(result["fidelity"]) == {"input_h1", "h1_output", "all"}
    for row in result["fidelity"].values():
        assert set(row) == {"cosine", "norm_ratio", "cosine_own_weights", "norm_ratio_own_weights"}
        assert row["cosine_own_weights"] > 0.5
    assert set(result["against"]) == {"beta", "adc_bits", "dac_bits", "average"}
    bits = [row["cosine_own_weights"] for row in result["against"]["adc_bits"].values()]
    assert bits[0] < bits[-1]
    assert result["beta"] == 0.1
    assert list((directory / "fidelity").glob("*.json"))


def test_beta_is_chosen_with_a_reason(directory: Path) -> None:
    arguments = ("simulate", directory, "--data", "digits", "--phase", "nudged", "--samples", "16", "--beta", "auto")
    result = as_json(*arguments)
    assert 0.0 < result["beta"] <= 0.5
    assert "expected bias" in result["beta_reason"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--phase", "sideways"), ("--phase sideways", "nudged")),
        (("--phase", "nudged", "--beta", "-1"), ("--beta -1", "positive")),
        (("--learn", "2", "--beta", "auto"), ("--beta auto", "positive")),
        (("--learn", "2", "--update", "magic"), ("--update magic", "verify")),
        (("--learn", "2", "--trains", "magic"), ("--trains magic", "deterministic")),
        (("--learn", "2", "--labelled", "99999"), ("99999", "1437")),
    ],
)
def test_bad_options_are_one_line(directory: Path, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = hwmap("simulate", directory, "--data", "digits", *options)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


def test_devices_that_cannot_be_pulsed_are_named(tmp_path: Path) -> None:
    network = eqprop.models.build("mlp", classes=10, channels=1, size=8, width=0.05)
    checkpoint.save(tmp_path / "model.pt", checkpoint.Checkpoint(network))
    assert hwmap("compile", tmp_path / "model.pt", "--target", "rram-hfo2", "-o", tmp_path / "out").returncode == 0
    done = hwmap("simulate", tmp_path / "out", "--data", "digits", "--learn", "1", "--samples", "10")
    assert done.returncode == 2
    assert "device rram-hfo2 has no update law" in done.stderr
