"""Truth: the device of docs/devices.md, taken from the page as it stands, and the figures a user gets with it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import eqprop
from eqprop import checkpoint
from mapping import Target

PAGE = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
DEVICE = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert DEVICE is not None
    (tmp_path / "mine.yaml").write_text(DEVICE[1])
    network = eqprop.models.build("mlp", channels=1, size=8, width=0.05)
    checkpoint.save(tmp_path / "model.pt", checkpoint.Checkpoint(network))
    return tmp_path


def test_the_documented_device_has_ten_lines_and_every_law() -> None:
    assert DEVICE is not None
    assert len(DEVICE[1].splitlines()) == 10
    laws = {"programming", "drift", "read_noise", "stuck", "current", "update"}
    assert laws <= set(yaml.safe_load(DEVICE[1]))


def test_a_device_of_ones_own_works_from_file_to_report(hwmap: Any, folder: Path) -> None:
    setting = "device=mine.yaml"
    done = hwmap("compile", "model.pt", "--crossbar", "32x32", "--set", setting, "-o", "out", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    run = ("simulate", "out", "--data", "digits", "--samples", "20", "--chips", "2", "--age", "3600", "--json")
    done = hwmap(*run, cwd=folder)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    # Tolerance 0.5 uS, spread 2 uS: a write succeeds with erf(0.25 / sqrt 2) = 20 %, so 20 tries fail 1.2 % of devices.
    assert 4.0 < result["writes_per_device"] < 5.5
    assert result["failed_devices"] > 0
    assert {"clipped", "asymmetry", "memory_bytes", "batch"} <= set(result)
    done = hwmap("report", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    page = (folder / "out" / "report.html").read_text()
    assert "our wafer 7" in page
    assert "write-verify" in page


def test_batches_are_cut_to_the_memory_they_may_take(hwmap: Any, folder: Path) -> None:
    hwmap("compile", "model.pt", "--crossbar", "32x32", "-o", "out", cwd=folder)
    answers = []
    for memory in ("2", "0.00001"):
        done = hwmap("simulate", "out", "--data", "digits", "--samples", "30", "--memory", memory, "--json", cwd=folder)
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
    assert answers[0]["batch"] == 100
    assert 1 <= answers[1]["batch"] < 30
    assert "batches of" in done.stderr


@pytest.mark.parametrize("memory", ["0", "-1", "nan", "inf"])
def test_a_memory_that_is_none_is_refused(hwmap: Any, folder: Path, memory: str) -> None:
    hwmap("compile", "model.pt", "--crossbar", "32x32", "-o", "out", cwd=folder)
    done = hwmap("simulate", "out", "--data", "digits", f"--memory={memory}", cwd=folder)
    assert done.returncode == 2
    assert "--memory" in done.stderr


def test_a_target_that_loses_its_current_in_wires_is_warned_about(hwmap: Any, tmp_path: Path) -> None:
    text = "name: t\ncrossbar: {rows: 128, columns: 128}\ndevice: ideal\n"
    wires = "wires: {row_resistance_ohm: 1, column_resistance_ohm: 1}\n"
    (tmp_path / "t.yaml").write_text(text + wires)
    done = hwmap("target", "check", "t.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["wire_loss"] == pytest.approx(0.37, abs=0.01)  # 100 uS with 1 ohm
    assert "warning:" in done.stderr
    assert "expected at most 10%" in done.stderr.replace("\n", " ")
    (tmp_path / "t.yaml").write_text(text)
    done = hwmap("target", "check", "t.yaml", cwd=tmp_path)
    assert "warning" not in done.stderr


def test_a_device_that_misses_its_own_test_point_is_warned_about(hwmap: Any, tmp_path: Path) -> None:
    content = Target.load("pcm-gst").model_dump(mode="json")
    content["device"]["test_points"][0]["expected"] *= 1.5
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(content))
    done = hwmap("target", "check", "t.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert "its source has" in done.stderr


def test_every_parameter_is_shown_with_its_source(hwmap: Any) -> None:
    done = hwmap("target", "show", "pcm-hermes")
    for word in ("device.drift.exponent_mean", "wires.row_resistance_ohm", "adc.gain_sigma", "default", "test point:"):
        assert word in done.stdout, word
