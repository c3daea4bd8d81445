"""Truth: the files of the controller themselves, simulators that someone else made, and exit codes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import mapping
from eqprop import models
from hw.config import ControllerConfig
from hw.image import MAGIC
from mapping import Mapping, Target
from tb import runner
from tests.hwmap.test_bad_input import refused

QUICK = ("controller.lanes=2", "dac.settle_s=1e-8", "adc.time_s=1e-8", "read.discharge_s=0", "read.time_s=1e-8")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("controller") / "out"
    network = models.build("mlp", classes=3, size=4, channels=1, width=0.02)
    mapping.compile(network, Target.load("rram-hfo2", (12, 12), QUICK)).save(directory)
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "simulator",
    [
        pytest.param(one, marks=pytest.mark.skipif(bool(runner.why_not(one)), reason=runner.why_not(one)))
        for one in runner.SIMULATORS
    ],
)
def test_verification_passes_and_meets_every_operation(hwmap: Any, compiled: Path, simulator: str) -> None:
    done = hwmap("verify", compiled, "--simulator", simulator, "--samples", "2", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["failed"] == 0
    assert result["passed"] == result["tests"] == len(result["per_test"]) > 30
    assert result["cycles"] == sum(test["cycles"] for test in result["per_test"]) > 10_000
    assert result["simulators"] == [simulator]
    met = result["coverage"]["operations"]
    assert {"READ", "WAIT", "UPDATE", "KEEP", "SNAPSHOT", "RESTORE", "CAPTURE", "CONTRAST", "ANSWER"} <= set(met)
