"""Truth: what other people's scripts rely on: JSON keys, files, exit codes, resuming, and a quick --help."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import eqprop
from eqprop import checkpoint
from mapping import Mapping

TRAIN = ("train", "mlp", "--data", "digits", "--width", "0.1", "--learning-rate", "0.1", "--seed", "3")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "hwmap.cli", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done


def as_json(*arguments: str | Path) -> dict[str, Any]:
    result = json.loads(run(*arguments, "--json").stdout)
    assert isinstance(result, dict)
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("road")


@pytest.fixture(scope="module")
def trained(folder: Path) -> dict[str, Any]:
    return as_json(*TRAIN, "--epochs", "4", "-o", folder / "model.pt")


@pytest.fixture(scope="module")
def compiled(folder: Path, trained: dict[str, Any]) -> dict[str, Any]:
    return as_json("compile", folder / "model.pt", "--crossbar", "64x64", "--calibrate", "digits", "-o", folder / "out")


def test_training_learns_and_reports_its_keys(trained: dict[str, Any]) -> None:
    assert {"accuracy", "epochs", "seconds", "seed"} <= set(trained)
    assert trained["epochs"] == 4
    assert trained["accuracy"] > 0.9


def test_evaluating_gives_the_accuracy_of_training(folder: Path, trained: dict[str, Any]) -> None:
    seen = as_json("evaluate", folder / "model.pt", "--data", "digits")
    assert seen["accuracy"] == trained["accuracy"]
    assert seen["epochs"] == 4
    assert seen["seconds"] > 0


def test_compiling_counts_what_is_on_disk(folder: Path, compiled: dict[str, Any]) -> None:
    assert {"crossbars", "tiles", "utilization", "weights", "seconds"} <= set(compiled)
    mapping = Mapping.load(folder / "out")
    assert tuple(mapping.conductances.shape) == (compiled["crossbars"], 64, 64)
    used = 2 * compiled["weights"] / (compiled["crossbars"] * 64 * 64)
    assert compiled["utilization"] == pytest.approx(used)


def test_compiling_twice_gives_the_same_bytes(folder: Path, compiled: dict[str, Any]) -> None:
    run("compile", folder / "model.pt", "--crossbar", "64x64", "--calibrate", "digits", "-o", folder / "again")
    for file in (folder / "again").iterdir():
        assert file.read_bytes() == (folder / "out" / file.name).read_bytes(), file.name


def test_simulating_reports_its_keys_and_repeats(folder: Path, compiled: dict[str, Any]) -> None:
    arguments = ("simulate", folder / "out", "--data", "digits", "--chips", "2", "--samples", "60", "--seed", "5")
    first, second = as_json(*arguments), as_json(*arguments)
    keys = {"accuracy", "accuracy_per_chip", "accuracy_ideal", "samples", "chips", "age_s", "seed", "residual"}
    assert keys <= set(first)
    assert first["chips"] == len(first["accuracy_per_chip"]) == 2
    assert first["accuracy"] == pytest.approx(statistics.mean(first["accuracy_per_chip"]))
    assert {key: first[key] for key in keys} == {key: second[key] for key in keys}
    assert (first["samples"], first["seed"], first["age_s"]) == (60, 5, 0.0)


def test_a_dry_run_says_what_passes_did_and_writes_nothing(folder: Path, trained: dict[str, Any]) -> None:
    before = sorted(folder.rglob("*"))
    arguments = ("compile", folder / "model.pt", "--crossbar", "64x64", "--dry-run")
    packed, alone = as_json(*arguments), as_json(*arguments, "--pack", "off")
    assert packed["directory"] is None
    assert packed["crossbars"] <= alone["crossbars"] == alone["tiles"] == packed["tiles"]
    assert packed["utilization"] >= alone["utilization"]
    passes = ["check", "lower", "scale", "calibrate", "replicate", "pack", "place", "encode", "schedule", "allocate"]
    assert list(packed["passes"]) == passes
    assert f"{packed['tiles']} blocks" in packed["passes"]["pack"]
    assert packed["sweep_clocks"] > 0
    assert packed["ep_step_s"] > packed["inference_s"] > 0
    assert packed["state_bytes"] > 0
    shown = run(*arguments, "--explain").stdout
    assert "what each pass did" in shown
    assert "nothing written" in shown
    assert sorted(folder.rglob("*")) == before


def test_two_compilations_are_compared(folder: Path, compiled: dict[str, Any]) -> None:
    again, changed = folder / "again", folder / "changed"
    same = ("compile", folder / "model.pt", "--crossbar", "64x64", "--calibrate", "digits")
    run(*same, "-o", again)
    assert as_json("map", "diff", folder / "out", again) == {"same": True, "differences": []}
    run(*same, "--set", "device.g_max_siemens=30e-6", "--pack", "off", "-o", changed)
    result = as_json("map", "diff", folder / "out", changed)
    found = {entry["what"]: (entry["one"], entry["other"]) for entry in result["differences"]}
    assert result["same"] is False
    assert found["target: device.g_max_siemens"] == ("4e-05", "3e-05")
    assert any(what.endswith("weight per siemens") for what in found)
    assert "conductances" in found


def test_copies_fill_a_budget_and_a_mesh_gets_sites(folder: Path, trained: dict[str, Any]) -> None:
    model = folder / "convolutional.pt"
    checkpoint.save(model, checkpoint.Checkpoint(eqprop.models.build("hopfield-resnet", size=8, channels=1, width=0.1)))
    arguments = ("compile", model, "--crossbar", "32x32", "--set", "chip.mesh=[3, 3]")
    single = as_json(*arguments, "--dry-run")
    budget = single["crossbars"] + 12
    several = as_json(*arguments, "--crossbars", str(budget), "-o", folder / "copies")
    assert single["crossbars"] < several["crossbars"] <= budget
    assert several["weights"] == single["weights"]
    assert "one copy of each" in single["passes"]["replicate"]
    assert " x" in several["passes"]["replicate"]
    assert "chips of 3x3" in several["passes"]["place"]
    mapping = Mapping.load(folder / "copies")
    assert mapping.placement is not None
    assert len(set(mapping.placement.sites)) == mapping.crossbars
    listed = (folder / "copies" / "program.txt").read_text()
    assert "LOOP 30" in listed
    simulated = as_json("simulate", folder / "copies", "--data", "digits", "--samples", "10")
    assert simulated["sweeps"] == 30


def test_the_schema_of_mappings_is_json_schema() -> None:
    schema = json.loads(run("map", "schema").stdout)
    assert {"matrices", "schedule", "memory", "hashes"} <= set(schema["properties"])


def test_the_schema_of_targets_is_json_schema() -> None:
    schema = json.loads(run("target", "schema").stdout)
    assert {"crossbar", "device", "cell", "wires", "adc"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_the_report_shows_what_was_simulated(folder: Path, compiled: dict[str, Any]) -> None:
    result = as_json("simulate", folder / "out", "--data", "digits", "--samples", "50", "--age", "3600")
    path = Path(as_json("report", folder / "out")["report"])
    page = path.read_text()
    assert f"{100 * result['accuracy']:.1f}" in page
    assert str(compiled["crossbars"]) in page


def test_results_of_an_earlier_compilation_are_left_out_of_the_report(folder: Path, compiled: dict[str, Any]) -> None:
    from hwmap.commands.results import recorded

    other = folder / "other"
    run("compile", folder / "model.pt", "--crossbar", "64x64", "-o", other)
    run("simulate", other, "--data", "digits", "--samples", "20")
    assert len(recorded(other)) == 1
    run("compile", folder / "model.pt", "--crossbar", "32x32", "-o", other)
    assert recorded(other) == {}


def test_progress_goes_to_stderr_and_stdout_stays_one_object(folder: Path, compiled: dict[str, Any]) -> None:
    done = run("simulate", folder / "out", "--data", "digits", "--samples", "20", "--json")
    assert len(done.stdout.splitlines()) == 1
    json.loads(done.stdout)


def test_targets_are_listed_shown_with_sources_and_checked() -> None:
    names = as_json("target", "list")["targets"]
    assert {"ideal", "rram-hfo2", "pcm-gst"} <= set(names)
    for name in names:
        assert as_json("target", "check", name)["ok"] is True
        assert "g_max_siemens" in run("target", "show", name).stdout
    assert "10.1038/s41586-022-04992-8" in run("target", "show", "rram-hfo2").stdout


def killed_after_one_epoch(model: Path, how: signal.Signals) -> int:
    """Start a long training, stop it once its first checkpoint is there, and return the exit code."""
    with subprocess.Popen(
        command(*TRAIN, "--epochs", "4", "-o", model), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 120
        while not model.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, how)
        return process.wait(timeout=60)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_training_resumes_to_the_same_result_bit_for_bit(
    folder: Path, trained: dict[str, Any], how: signal.Signals, tmp_path: Path
) -> None:
    model = tmp_path / "model.pt"
    code = killed_after_one_epoch(model, how)
    if code == 0:
        pytest.skip("the training ended before it could be stopped")
    assert code == (-how if how == signal.SIGKILL else 130)
    eqprop.load(model)
    resumed = as_json(*TRAIN, "--epochs", "4", "--resume", "-o", model)
    assert resumed["accuracy"] == trained["accuracy"]
    expected, found = eqprop.load(folder / "model.pt").state_dict(), eqprop.load(model).state_dict()
    assert all((expected[name] == found[name]).all() for name in expected)
    assert [file.name for file in tmp_path.iterdir() if not file.name.endswith(".part")] == ["model.pt"]


def test_resuming_with_other_settings_is_refused(folder: Path, trained: dict[str, Any]) -> None:
    for changed in (("--epochs", "9"), ("--epochs", "4", "--width", "0.2")):
        done = subprocess.run(
            command(*TRAIN, *changed, "--resume", "-o", folder / "model.pt"),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert "expected the same" in done.stderr


def test_help_answers_without_importing_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hwmap.cli", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "numpy", "matplotlib", "sklearn"}
    assert "train" in done.stdout
