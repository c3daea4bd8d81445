"""Truth: what the README promises of ``make demo``: 97 % of digits, and RRAM chips within two points of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
def test_the_demo_trains_compiles_simulates_and_reports(hwmap: Any, tmp_path: Path) -> None:
    done = hwmap("demo", "-o", tmp_path / "build", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["train"]["accuracy"] >= 0.97
    assert [run["age_s"] for run in result["simulate"]] == [0.0, 86400.0]
    for run in result["simulate"]:
        assert run["chips"] == 5
        assert run["target"] == "rram-hfo2"
        assert abs(run["accuracy"] - run["accuracy_ideal"]) <= 0.02
    report = (tmp_path / "build" / "report.html").read_text()
    assert f"{100 * result['simulate'][0]['accuracy']:.1f}" in report
