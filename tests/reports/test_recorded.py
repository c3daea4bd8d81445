"""The page against what the commands themselves record, and against files that others have edited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import eqprop
import mapping
from eqprop.errors import InputError
from hwmap.commands import cost, fidelity, learn
from hwmap.commands import report as command


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network compiled, its gradients compared, its chip taught and its costs counted."""
    folder = tmp_path_factory.mktemp("recorded") / "out"
    network = eqprop.models.build("mlp", channels=1, size=8, width=0.03, seed=0)
    settings = ["controller.free_sweeps=4", "controller.nudged_sweeps=2"]
    images = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    mapping.compile(network, mapping.Target.load("ecram", (64, 64), settings), images).save(folder)
    fidelity.run(folder, "digits", None, chips=1, age_s=0.0, samples=4, seed=0, beta="0.1", as_json=True)
    for update in ("pulses", "verify"):
        request = learn.Request(
            folder, "digits", None, chips=2, age_s=0.0, samples=10, seed=0, steps=2, update=update, trains="stochastic",
            rate=0.05, beta=0.3, batch=4, threshold=0.01, labelled=20,
        )  # fmt: skip
        learn.run(request, as_json=True)
    cost.run(cost.Request(folder), as_json=True)
    return folder


def the_file(directory: Path, folder: str) -> Path:
    return sorted((directory / folder).glob("*.json"))[0]


def test_every_section_shows_what_the_commands_recorded(directory: Path) -> None:
    page = command.write(directory, "hwmap report out").read_text(encoding="utf-8")
    for words in (
        "harmless to learning in place",
        "2 steps by stochastic trains",
        "2 steps by writes with verification",
    ):
        assert words in page
    energy = json.loads(the_file(directory, "costs").read_text())["scenarios"]
    for name in energy:
        assert f'<th scope="row">{name}</th>' in page
    for nothing in ("--phase nudged</code>", "--learn STEPS</code>", "hwmap cost DIR</code>"):
        assert nothing not in page


@pytest.mark.parametrize(
    ("folder", "field", "value"),
    [("fidelity", "beta", -1), ("learning", "steps", None), ("costs", "scenarios", [])],
)
def test_an_edited_file_is_named_with_its_field(directory: Path, folder: str, field: str, value: Any) -> None:
    path = the_file(directory, folder)
    sound = path.read_text()
    record = json.loads(sound)
    try:
        path.write_text(json.dumps({**record, field: value}))
        with pytest.raises(InputError) as caught:
            command.write(directory, "hwmap report out")
    finally:
        path.write_text(sound)
    assert str(caught.value).startswith(f"{path}: field {field}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"null", b"\xff\x00", b"[" * 100_000])
@pytest.mark.parametrize("folder", ["results", "fidelity", "learning", "costs"])
def test_a_file_of_something_else_is_named(directory: Path, folder: str, content: bytes) -> None:
    path = directory / folder / "foreign.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        with pytest.raises(InputError, match=r"foreign\.json: no[t ].*expected") as caught:
            command.write(directory, "hwmap report out")
    finally:
        path.unlink()
    assert "\n" not in str(caught.value)


def test_records_of_an_earlier_compilation_are_left_out(directory: Path) -> None:
    path = directory / "learning" / "earlier.json"
    path.write_text(json.dumps({"mapping": "another", "steps": None}))
    try:
        command.write(directory, "hwmap report out")
    finally:
        path.unlink()
