"""Truth: the network that was saved, parameter by parameter and field by field; the directory's own listing."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from random_networks import networks

import eqprop
from eqprop import EnergyNetwork, FixedPoint, InputError, architecture, models
from eqprop.atomic import replacing
from eqprop.checkpoint import Checkpoint, read, save

SUFFIXES = (".pt", ".safetensors")


def assert_equal_networks(found: EnergyNetwork, truth: EnergyNetwork) -> None:
    assert architecture.describe(found) == architecture.describe(truth)
    assert list(found.layers) == list(truth.layers), "the order of layers decides the order of updates"
    assert list(found.couplings) == list(truth.couplings)
    ours, theirs = found.state_dict(), truth.state_dict()
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        assert ours[name].dtype == value.dtype
        assert torch.equal(ours[name], value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=25)
@given(network=networks(pooled="anywhere"))
def test_any_network_comes_back_equal(network: EnergyNetwork, suffix: str, folder: Path) -> None:
    path = folder / f"any{suffix}"
    save(path, Checkpoint(network, {"epochs": 3, "data": "digits"}))
    found = read(path)
    assert_equal_networks(found.network, network)
    assert found.metadata == {"epochs": 3, "data": "digits"}
    assert found.training is None


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", models.NAMES)
@pytest.mark.parametrize("cost", ["squared-error", "cross-entropy"])
def test_built_in_models_come_back_equal_and_ready_to_learn(name: str, suffix: str, cost: str, tmp_path: Path) -> None:
    network = models.build(name, width=1 / 32, cost=cost)
    network.dynamics = FixedPoint("odd-even", 77, 1e-3)
    path = tmp_path / f"model{suffix}"
    save(path, Checkpoint(network))
    found = eqprop.load(path)
    assert_equal_networks(found, network)
    assert found.dynamics == FixedPoint("odd-even", 77, 1e-3)
    assert all(parameter.requires_grad for parameter in found.parameters())
    x = torch.rand(1, *network.input_shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.predict(x)[1].states[network.cost.layer], network.predict(x)[1].states[network.cost.layer])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_network_same_bytes(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the file is called and whichever process writes it."""
    network = models.build("hopfield-resnet", width=1 / 8)
    save(tmp_path / f"first{suffix}", Checkpoint(network, {"a": 1, "b": 2}))
    monkeypatch.setattr(os, "getpid", lambda: 1234567)
    save(tmp_path / f"second{suffix}", Checkpoint(network, {"a": 1, "b": 2}))
    assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"second{suffix}").read_bytes()


def test_a_network_is_saved_alone_not_with_what_its_tensors_are_part_of(tmp_path: Path) -> None:
    network = models.build("mlp", size=4, width=1 / 64)
    large = torch.zeros(2_000_000)
    network.coupling("h1_output").weight = torch.nn.Parameter(large[:80].view(10, 8))
    save(tmp_path / "small.pt", Checkpoint(network))
    assert (tmp_path / "small.pt").stat().st_size < 100_000


def test_unfinished_training_travels_in_torch_files_only(tmp_path: Path) -> None:
    network = models.build("mlp", size=4, width=1 / 64)
    training = {"settings": {"epochs": 3}, "optimizer": {"state": {0: torch.ones(2)}}, "records": []}
    save(tmp_path / "model.pt", Checkpoint(network, training=training))
    found = read(tmp_path / "model.pt").training
    assert found["settings"] == {"epochs": 3}
    assert torch.equal(found["optimizer"]["state"][0], torch.ones(2))
    with pytest.raises(InputError, match=r"cannot hold an unfinished training: expected a \.pt file"):
        save(tmp_path / "model.safetensors", Checkpoint(network, training=training))
    assert os.listdir(tmp_path) == ["model.pt"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_save_that_breaks_off_leaves_the_old_file(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"model{suffix}"
    old = models.build("mlp", size=4, width=1 / 64, seed=1)
    save(path, Checkpoint(old))

    def break_off(source: object, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", break_off)
    with pytest.raises(KeyboardInterrupt):
        save(path, Checkpoint(models.build("mlp", size=4, width=1 / 64, seed=2)))
    assert_equal_networks(eqprop.load(path), old)
    assert os.listdir(tmp_path) == [path.name]


def test_metadata_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    network = models.build("mlp", size=4, width=1 / 64)
    with pytest.raises(TypeError):
        save(tmp_path / "model.safetensors", Checkpoint(network, {"what": object()}))
    assert os.listdir(tmp_path) == []


def test_writing_aside_replaces_or_removes(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    with replacing(path) as aside:
        assert aside.parent == path.parent
        aside.write_text("old")
        assert not path.exists()
    assert path.read_text() == "old"

    def write_half_of_it() -> None:
        with replacing(path) as aside:
            aside.write_text("half of the n")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_half_of_it()
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["file"]
