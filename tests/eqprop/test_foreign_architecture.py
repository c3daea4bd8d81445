"""Truth: a description that is not ours gives InputError in one line, or else a network that really relaxes."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import eqprop
from eqprop import FixedPoint, InputError, architecture, models

COSTS = ["squared-error", "cross-entropy"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every entry of a nested description."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2, 3, 2**70]),
    st.floats(width=32),
    st.text(max_size=4),
    st.sampled_from([[], {}, [1, 2], {"kind": "dense"}]).map(copy.deepcopy),
    st.sampled_from(["input", "h1", "h2", "conv2d", "low-rank", "output"]),
)


@settings(max_examples=300)
@given(data=st.data())
def test_a_foreign_architecture_is_refused_or_relaxes(data: st.DataObject, folder: Path) -> None:
    """Any one or two entries of the description replaced, removed or added: InputError, or a network that works."""
    true = models.build("hopfield-resnet", size=4, width=1 / 16, classes=3, cost=data.draw(st.sampled_from(COSTS)))
    description = architecture.describe(true)
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(places(description)[1:]))
        holder = description
        for key in place[:-1]:
            holder = holder[key]
        action = data.draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if action == "replace":
            holder[place[-1]] = data.draw(STRANGE)
        elif action == "remove":
            del holder[place[-1]]
        elif isinstance(holder, dict):
            holder[data.draw(st.text(max_size=3))] = data.draw(STRANGE)
        else:
            holder.append(data.draw(STRANGE))
    path = folder / "foreign.pt"
    torch.save(
        {"format": "hwmap-network", "version": 1, "architecture": description, "parameters": dict(true.state_dict())},
        path,
    )
    try:
        network = eqprop.load(path)
    except InputError as refused:
        text = str(refused)
    else:
        text = str(path)
        network.relax(torch.rand(1, *network.input_shape), dynamics=FixedPoint(max_sweeps=2, tolerance=0.0))
    assert str(path) in text
    assert "\n" not in text
