"""Truth: the mapping that was saved, compared field by field, and files damaged here one byte at a time."""

import hashlib
import re
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import mapping
from eqprop import InputError, architecture, checkpoint, models
from eqprop.network import EnergyNetwork
from mapping.store import HASHED, MAPPING_FILE, NETWORK_FILE, mapping_hash
from tests.mapping.graphs import ideal_target, networks

FILES = [*HASHED, MAPPING_FILE]


def compiled() -> mapping.Mapping:
    network = models.build("hopfield-resnet", size=4, classes=3, width=0.1)
    return mapping.compile(network, mapping.Target.load("pcm-gst", (16, 16)))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    compiled().save(tmp_path / "compiled")
    return tmp_path / "compiled"


def same_network(one: EnergyNetwork, other: EnergyNetwork) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return (
        architecture.describe(one) == architecture.describe(other)
        and mine.keys() == theirs.keys()
        and all(torch.equal(mine[name], theirs[name]) for name in mine)
    )


@settings(max_examples=15)
@given(networks(), st.integers(2, 20), st.integers(2, 20), st.sampled_from(["differential", "offset"]))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, network: EnergyNetwork, rows: int, columns: int, kind: str
) -> None:
    target = ideal_target(rows, columns, kind)
    target = target.model_copy(update={"chip": target.chip.model_copy(update={"mesh": (3, 4)})})
    saved = mapping.compile(network, target, low_rank="keep", budget=mapping.compile(network, target).crossbars + 5)
    directory = tmp_path_factory.mktemp("compiled")
    saved.save(directory)
    loaded = mapping.Mapping.load(directory)
    assert same_network(loaded.network, saved.network)
    assert loaded.target == saved.target
    assert loaded.layers == saved.layers
    assert loaded.matrices == saved.matrices
    assert loaded.chains == saved.chains
    assert loaded.schedule == saved.schedule
    assert loaded.placement == saved.placement is not None
    assert loaded.memory == saved.memory
    assert torch.equal(loaded.conductances, saved.conductances)


def test_presets_and_calibration_survive_a_round_trip(tmp_path: Path) -> None:
    network = models.mlp([5], channels=1, size=3, classes=2)
    saved = mapping.compile(network, mapping.Target.load("rram-hfo2", (8, 8)), torch.rand(4, 1, 3, 3))
    saved.save(tmp_path)
    loaded = mapping.Mapping.load(tmp_path)
    assert (loaded.target, loaded.layers, loaded.matrices) == (saved.target, saved.layers, saved.matrices)


def test_same_input_gives_the_same_bytes(directory: Path, tmp_path: Path) -> None:
    before = {name: (directory / name).read_bytes() for name in FILES}
    compiled().save(tmp_path / "again")
    mapping.Mapping.load(directory).save(tmp_path / "reloaded")
    for other in ("again", "reloaded"):
        assert {name: (tmp_path / other / name).read_bytes() for name in FILES} == before
        assert mapping_hash(tmp_path / other) == mapping_hash(directory)
    assert sorted(path.name for path in directory.iterdir()) == sorted(FILES)


def test_saving_over_an_older_directory_replaces_it(directory: Path) -> None:
    network = models.mlp([5], channels=1, size=3, classes=2)
    mapping.compile(network, ideal_target(8, 8)).save(directory)
    assert same_network(mapping.Mapping.load(directory).network, network)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_refused(directory: Path, name: str) -> None:
    path = directory / name
    content = path.read_bytes()
    for position in range(0, len(content), max(1, len(content) // 60)):
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(InputError) as error:
            mapping.Mapping.load(directory)
        assert name in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_a_truncated_file_is_refused(directory: Path, name: str, share: float) -> None:
    path = directory / name
    content = path.read_bytes()
    path.write_bytes(content[: min(int(share * len(content)), len(content) - 2)])
    with pytest.raises(InputError, match=name):
        mapping.Mapping.load(directory)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(InputError, match=name):
        mapping.Mapping.load(directory)


@pytest.mark.parametrize("content", ["", "- 1\n", "a: 2001-13-45\n", "\x00", "[" * 3000, "a: [", "name: x\n"])
def test_a_mapping_file_that_is_none_is_refused(directory: Path, content: str) -> None:
    (directory / MAPPING_FILE).write_text(content)
    with pytest.raises(InputError, match=MAPPING_FILE):
        mapping.Mapping.load(directory)


def test_a_directory_of_a_newer_version_is_refused(directory: Path) -> None:
    path = directory / MAPPING_FILE
    path.write_text(path.read_text().replace("schema_version: 3", "schema_version: 99"))
    with pytest.raises(InputError, match=r"mapping.yaml: schema_version 99: this hwmap reads 3; .* of a newer one"):
        mapping.Mapping.load(directory)


def test_a_directory_of_version_2_says_how_to_compile_it_again() -> None:
    old = Path(__file__).parent / "data" / "schema_2"
    again = rf"hwmap compile {re.escape(str(old))}/network.safetensors --target pcm-gst -o DIRECTORY"
    with pytest.raises(InputError, match=rf"schema_version 2: of an older hwmap, this one reads 3; .*again: {again}"):
        mapping.Mapping.load(old)
    network = checkpoint.load(old / NETWORK_FILE)  # what the message says to type finds a network
    assert mapping.compile(network, mapping.Target.load("pcm-gst")).crossbars == 1


def test_the_mapping_file_reads_as_plain_yaml(directory: Path) -> None:
    saved = compiled()
    content = yaml.safe_load((directory / MAPPING_FILE).read_text())
    assert content["schema_version"] == 3
    for name in HASHED:
        assert content["hashes"][name] == hashlib.sha256((directory / name).read_bytes()).hexdigest()
    assert content["summary"]["crossbars"] == saved.crossbars
    assert content["summary"]["weights"] == saved.weights
    assert set(content["matrices"]) == set(saved.matrices)
    assert content["target"]["device"]["g_max_siemens"] == 25.0e-6


def test_refuses_to_write_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file: expected a directory"):
        compiled().save(tmp_path / "file")
    with pytest.raises(InputError, match=r"no mapping.yaml"):
        mapping.Mapping.load(tmp_path / "nowhere")


def test_a_mapping_file_follows_its_schema(directory: Path) -> None:
    schema = mapping.file.FILE.json_schema()
    content = yaml.safe_load((directory / MAPPING_FILE).read_text())
    assert set(schema["required"]) == set(schema["properties"]) == set(content) - {"sha256_of_the_lines_above"}
