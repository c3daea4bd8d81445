"""Truth: the README. Its Python runs, and every option of its commands exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from hwmap.cli import app

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
COMMANDS = sorted(set(re.findall(r"^ {4}(hwmap [^\n#]+)", TEXT, re.MULTILINE)))


def test_the_python_of_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_is_one(line: str) -> None:
    group = typer.main.get_group(app)
    words = shlex.split(line)[1:]
    command = group.commands[words[0]]
    context = command.make_context(words[0], words[1:], resilient_parsing=False)
    assert context.params


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_no_figure_is_still_to_be_filled_in() -> None:
    assert "@@" not in TEXT
