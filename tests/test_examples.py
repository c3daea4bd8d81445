"""Truth: the examples people copy from. Each must run, in the order a reader would run them."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_examples_run_from_training_to_report(tmp_path: Path) -> None:
    model, directory = tmp_path / "model.pt", tmp_path / "compiled"
    assert "training accuracy" in run("train.py", model)
    assert "test accuracy" in run("evaluate.py", model)
    assert "crossbars" in run("compile.py", model, directory)
    assert run("simulate.py", directory).count("age") == 2
    run("report.py", directory)
    assert (directory / "report.html").stat().st_size > 1000


def test_an_own_network_runs_on_ideal_crossbars() -> None:
    difference = run("own_network.py").split("differ by ")[1]
    assert float(difference) < 1e-4


def test_every_command_has_an_example() -> None:
    for command in ("train", "evaluate", "compile", "simulate", "report"):
        assert (EXAMPLES / f"{command}.py").is_file(), command


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_say_what_they_do(path: Path) -> None:
    assert path.read_text().startswith('"""')
