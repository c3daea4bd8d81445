"""Truth: the files of the controller themselves, simulators that someone else made, and exit codes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

import mapping
from eqprop import models
from hw.config import ControllerConfig
from hw.files import rtl_files
from hw.image import MAGIC
from hwmap.commands.rtl import write
from mapping import Mapping, Target
from tb import fast_steps, runner
from tb.reference import Reference
from tests.hwmap.test_bad_input import refused

QUICK = ("controller.lanes=2", "dac.settle_s=1e-8", "adc.time_s=1e-8", "read.discharge_s=0", "read.time_s=1e-8")


def perceptron() -> Mapping:
    network = models.build("mlp", classes=3, size=4, channels=1, width=0.02)
    return mapping.compile(network, Target.load("rram-hfo2", (12, 12), QUICK))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("controller") / "out"
    perceptron().save(directory)
    return directory


def test_files_are_written_checked_and_the_same_each_time(hwmap: Any, compiled: Path) -> None:
    first = hwmap("rtl", compiled, "--json")
    assert first.returncode == 0, first.stderr
    result = json.loads(first.stdout)
    folder = compiled / "rtl"
    assert result["verilog"] == str(folder / "controller.v")
    assert sorted(path.name for path in folder.iterdir()) == result["files"]
    config = ControllerConfig.from_mapping(Mapping.load(compiled))
    assert ControllerConfig.from_json((folder / "config.json").read_text()) == config
    assert result["config_hash"] == f"{config.hash:08x}"
    image = (folder / "image.bin").read_bytes()
    assert image[:8] == MAGIC
    assert int.from_bytes(image[8:12], "little") == config.hash
    assert hashlib.sha256(image[:-32]).digest() == image[-32:]
    verilog = (folder / "controller.v").read_text()
    assert "module controller(" in verilog
    assert "always @*" not in verilog
    assert hwmap("rtl", compiled, "--check", "--json").returncode == 0
    (folder / "registers.h").write_text("changed")
    changed = hwmap("rtl", compiled, "--check", "--json")
    assert changed.returncode == 1
    assert json.loads(changed.stdout)["different"] == ["registers.h"]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled directory whose controller has its memories outside."""
    directory = tmp_path_factory.mktemp("outside") / "out"
    made = perceptron()
    made.save(directory)
    write(directory / "rtl", rtl_files(made, outside=True))
    return directory


def test_memories_outside_are_modules_of_their_own(hwmap: Any, outside: Path) -> None:
    verilog, models_of_memories = ((outside / "rtl" / name).read_text() for name in ("controller.v", "memories.v"))
    used = re.findall(r"^  (memory_\d+x\d+) ", verilog, re.MULTILINE)
    written = re.findall(r"^module (\w+)", models_of_memories, re.MULTILINE)
    assert sorted(set(used)) == sorted(written)
    assert re.findall(r"^module (\w+)", verilog, re.MULTILINE) == ["controller"]
    # As many bits as the memories have, of which tiles are there twice; only buffers of blocks are left inside.
    content = json.loads((outside / "rtl" / "registers.json").read_text())
    bits = {window["name"]: window["rows"] * window["bits"] for window in content["windows"]}
    shapes = [tuple(map(int, name.removeprefix("memory_").split("x"))) for name in used]
    assert sum(rows * width for rows, width in shapes) == sum(bits.values()) + bits["tiles"]
    left = re.findall(r"^  reg \[\d+:0\] \\(\S+) +\[\d+:0\];", verilog, re.MULTILINE)
    assert left
    assert all(name.startswith("core.core.") for name in left)
    again = hwmap("rtl", outside, "--memories", "outside", "--check", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["memories"] == "outside"
    assert "memories.v" in json.loads(again.stdout)["files"]
    inside = hwmap("rtl", outside, "--check", "--json")
    assert json.loads(inside.stdout)["different"] == ["controller.v", "controller.il"]


def test_where_memories_cannot_be_is_one_line(hwmap: Any, compiled: Path, tmp_path: Path) -> None:
    refused(hwmap("rtl", compiled, "--memories", "beside"), "--memories beside: expected one of inside, outside")
    refused(hwmap("rtl", compiled, "--memories", "outside", "--synth", "ecp5"), "expected inside")
    refused(hwmap("verify", compiled, "--memories", tmp_path / "none.v"), "none.v: expected a Verilog file")


def test_the_fast_loop_has_neither_waves_nor_memories_of_one_s_own(hwmap: Any, compiled: Path, tmp_path: Path) -> None:
    memories = tmp_path / "memories.v"
    memories.touch()
    for option in (("--waves",), ("--memories", memories)):
        refused(hwmap("verify", compiled, "--simulator", "cxxrtl", *option), "expected icarus or verilator")


@pytest.mark.slow
def test_ep_steps_in_the_fast_loop_pass_or_say_what_differs(
    hwmap: Any, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = "verify", compiled, "--simulator", "cxxrtl", "--samples", "3", "--json"
    done = hwmap(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert (result["tests"], result["passed"], result["simulators"]) == (1, 1, ["cxxrtl"])
    assert result["cycles"] > 3 * 1000
    monkeypatch.setattr(fast_steps, "Reference", lambda chip, beta, sweeps: Reference(chip, 0.5 * beta, sweeps))
    changed = hwmap(*arguments)
    assert changed.returncode == 1
    assert json.loads(changed.stdout)["per_test"][0]["failure"].startswith("EP step 1: first nudged phase: ")


def test_what_the_controller_cannot_run_is_one_line(hwmap: Any, tmp_path: Path) -> None:
    directory = tmp_path / "pooled"
    network = models.build("vgg5", classes=3, size=32, width=0.02)
    mapping.compile(network, Target.load("rram-hfo2", (64, 64))).save(directory)
    refused(hwmap("rtl", directory), str(directory), "max pooling: expected none")
    refused(hwmap("verify", directory), str(directory), "max pooling: expected none")
    assert not (directory / "rtl").exists()


def test_unknown_simulators_and_families_are_named(hwmap: Any, compiled: Path, tmp_path: Path) -> None:
    refused(hwmap("verify", compiled, "--simulator", "questa"), "--simulator questa: expected one of")
    refused(hwmap("rtl", compiled, "--synth", "virtex"), "--synth virtex: expected one of ecp5, ice40")
    refused(hwmap("verify", tmp_path), "mapping.yaml")


on_every_simulator = pytest.mark.parametrize(
    "simulator",
    [
        pytest.param(one, marks=pytest.mark.skipif(bool(runner.why_not(one)), reason=runner.why_not(one)))
        for one in runner.SIMULATORS
    ],
)


@pytest.mark.slow
@on_every_simulator
def test_verification_passes_and_meets_every_operation(hwmap: Any, compiled: Path, simulator: str) -> None:
    done = hwmap("verify", compiled, "--simulator", simulator, "--samples", "2", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["failed"] == 0
    assert result["passed"] == result["tests"] == len(result["per_test"]) > 30
    assert result["cycles"] == sum(test["cycles"] for test in result["per_test"]) > 10_000
    assert result["simulators"] == [simulator]
    assert [f"{simulator}: EP step {number} of 2 is equal" in done.stderr for number in (1, 2)] == [True, True]
    met = result["coverage"]["operations"]
    assert {"READ", "WAIT", "UPDATE", "KEEP", "SNAPSHOT", "RESTORE", "CAPTURE", "CONTRAST", "ANSWER"} <= set(met)


@pytest.mark.slow
@on_every_simulator
def test_memories_outside_pass_verification(hwmap: Any, outside: Path, simulator: str) -> None:
    """On Icarus words are unknown before they are written, and where they are written while they are read."""
    done = verified(hwmap, outside, outside / "rtl" / "memories.v", simulator)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["failed"] == 0


@pytest.mark.slow
@pytest.mark.skipif(not runner.simulators(), reason="; ".join(map(runner.why_not, runner.SIMULATORS)))
def test_a_stuck_bit_in_the_memory_of_states_fails_verification(hwmap: Any, outside: Path, tmp_path: Path) -> None:
    memories, rows = tmp_path / "memories.v", ControllerConfig.from_mapping(Mapping.load(outside)).state_words
    before, module, after = (outside / "rtl" / "memories.v").read_text().partition(f"module memory_{rows}x32 ")
    memories.write_text(before + module + after.replace("<= write_data;", "<= write_data & ~32'b1;", 1))
    done = verified(hwmap, outside, memories, runner.simulators()[-1])
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [one["test"] for one in json.loads(done.stdout)["per_test"] if one["failure"]]
    assert any("ep_steps_equal" in name for name in failed)


def verified(hwmap: Any, directory: Path, memories: Path, simulator: str) -> Any:
    arguments = "--memories", memories, "--simulator", simulator, "--samples", "1", "--json"
    return hwmap("verify", directory, *arguments)
