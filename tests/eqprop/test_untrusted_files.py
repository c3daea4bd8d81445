"""Truth: a model file that is not one gives InputError in one line, and nothing in it ever runs."""

import contextlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusal import assert_refused

import eqprop
from eqprop import InputError, models
from eqprop.checkpoint import FORMAT, Checkpoint, read, save

SUFFIXES = (".pt", ".safetensors")


def small_network() -> eqprop.EnergyNetwork:
    return models.build("hopfield-resnet", size=4, width=1 / 16, classes=3)


def content() -> dict[str, Any]:
    """What our .pt file holds, built by hand from the documented fields."""
    network = small_network()
    return {
        "format": "hwmap-network",
        "version": 1,
        "architecture": eqprop.checkpoint.architecture.describe(network),
        "parameters": {name: value.detach().clone() for name, value in network.state_dict().items()},
        "metadata": {"epochs": 1},
    }


def write(path: Path, fields: dict[str, Any]) -> None:
    if path.suffix == ".pt":
        torch.save(fields, path)
        return
    header = {name: value for name, value in fields.items() if name != "parameters"}
    parameters = {name: value.contiguous() for name, value in fields["parameters"].items()}
    safetensors.torch.save_file(parameters, path, metadata={FORMAT: json.dumps(header)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_hand_written_file_is_accepted(suffix: str, tmp_path: Path) -> None:
    write(tmp_path / f"model{suffix}", content())
    assert read(tmp_path / f"model{suffix}").metadata == {"epochs": 1}


def test_missing_file(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none.pt", "no such file")
    assert_refused(tmp_path, "no such file")


class Trap:
    """Unpickling this would write a file."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.write_text, (self.sprung, "ran")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("place", ["alone", "in a list", "in our fields"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path, place: str, legacy: bool) -> None:
    sprung, path = tmp_path / "sprung", tmp_path / "model.pt"
    trap = Trap(sprung)
    places = {"alone": trap, "in a list": [torch.zeros(2), trap], "in our fields": content() | {"metadata": trap}}
    held = places[place]
    torch.save(held, path, _use_new_zipfile_serialization=not legacy)
    assert_refused(path, "can run code")
    bare = tmp_path / "bare.pt"
    bare.write_bytes(pickle.dumps(held))
    assert_refused(bare, "can run code")
    assert not sprung.exists()
    torch.load(path, weights_only=False)
    assert sprung.exists(), "a trap that works"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_files(suffix: str, tmp_path: Path) -> None:
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"part{suffix}"
    save(whole, Checkpoint(small_network()))
    data = whole.read_bytes()
    for kept in [0, 1, 7, 8, 100, *range(200, len(data), len(data) // 15), len(data) - 1]:
        path.write_bytes(data[:kept])
        assert_refused(path, "truncated or not a")


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=150)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_harmless(suffix: str, data: st.DataObject, folder: Path) -> None:
    path = folder / f"damaged{suffix}"
    write(path, content())
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    with contextlib.suppress(InputError):
        eqprop.load(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused(suffix: str, data: bytes, folder: Path) -> None:
    path = folder / f"noise{suffix}"
    path.write_bytes(data)
    assert_refused(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite(suffix: str, value: float, tmp_path: Path) -> None:
    fields = content()
    fields["parameters"]["couplings.h1_h2.weight"][0, 0, 1, 1] = value
    write(tmp_path / f"model{suffix}", fields)
    assert_refused(tmp_path / f"model{suffix}", "parameter couplings.h1_h2.weight has 1 NaN or infinite values")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("biases.h1"), "parameter biases.h1: missing"),
        (lambda p: p.update(extra=torch.zeros(1)), "parameter extra: not part of the architecture"),
        (lambda p: p.update({"biases.h1": torch.zeros(99)}), "parameter biases.h1 is (99,): expected (4,)"),
        (lambda p: p.update({"biases.h1": torch.zeros(1, 2)}), "parameter biases.h1 is (1, 2): expected (4,)"),
        (lambda p: p.update({"biases.h1": torch.zeros(4, dtype=torch.int64)}), "parameter biases.h1"),
        (lambda p: p.update({"biases.h1": torch.zeros(4, dtype=torch.complex64)}), "parameter biases.h1"),
        (lambda p: p.update({"biases.h1": torch.zeros(4, dtype=torch.float64)}), "float32 and torch.float64"),
        (lambda p: p.clear(), "missing"),
    ],
)
def test_parameters_that_do_not_fit(suffix: str, change: Callable[[Any], Any], message: str, tmp_path: Path) -> None:
    fields = content()
    change(fields["parameters"])
    write(tmp_path / f"model{suffix}", fields)
    assert_refused(tmp_path / f"model{suffix}", message)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "expected a"),
        ({"version": 2}, "version 2: expected 1"),
        ({"architecture": None}, "field architecture"),
        ({"architecture": []}, "field architecture"),
        ({"architecture": {}}, "field architecture"),
        ({"metadata": 5}, "field metadata"),
        ({"metadata": [1, 2]}, "field metadata"),
    ],
)
def test_fields_that_do_not_fit(suffix: str, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    write(tmp_path / f"model{suffix}", content() | change)
    assert_refused(tmp_path / f"model{suffix}", message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": None}, "field parameters"),
        ({"parameters": {1: torch.zeros(1)}}, "parameter"),
        ({"parameters": content()["parameters"] | {"biases.h1": "two"}}, "parameter biases.h1 is str"),
        ({"parameters": content()["parameters"] | {"biases.h1": torch.zeros(4).to_sparse()}}, "parameter biases.h1"),
        ({"training": [1]}, "field training"),
    ],
)
def test_torch_fields_that_do_not_fit(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    write(tmp_path / "model.pt", content() | change)
    assert_refused(tmp_path / "model.pt", message)


@pytest.mark.parametrize("held", [5, "text", None, {}, {"weight": torch.zeros(2)}, torch.zeros(3)])
def test_other_torch_files(held: object, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "model.pt")
    assert_refused(tmp_path / "model.pt", "expected a model file of hwmap")


def test_a_safetensors_file_of_something_else(tmp_path: Path) -> None:
    safetensors.torch.save_file({"w": torch.zeros(2)}, tmp_path / "model.safetensors")
    assert_refused(tmp_path / "model.safetensors", "expected a safetensors file of hwmap")


def test_our_files_name_their_own_activations(tmp_path: Path) -> None:
    save(tmp_path / "model.pt", Checkpoint(small_network()))
    with pytest.raises(InputError, match="--activation relu6: this file names its own activations"):
        eqprop.load(tmp_path / "model.pt", activation="relu6")
