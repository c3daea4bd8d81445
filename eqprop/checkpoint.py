"""Model files: ours (torch or safetensors), and the public Hopfield-ResNet implementation's list of tensors.

Files are untrusted: torch files are read with ``weights_only=True``, which builds tensors and plain
containers and refuses everything else, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from eqprop import architecture
from eqprop.atomic import replacing
from eqprop.errors import InputError
from eqprop.importers import public_hopfield
from eqprop.network import EnergyNetwork

FORMAT = "hwmap-network"
VERSION = 1


@dataclass
class Checkpoint:
    """A network with what its file says about it.

    Attributes:
        network: the network.
        metadata: how it was trained, as plain values.
        training: optimizer state and progress of an unfinished training, or None.
    """

    network: EnergyNetwork
    metadata: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] | None = None


def load(path: str | Path, activation: str | None = None) -> EnergyNetwork:
    """Read a network from a model file of any of the three accepted forms.

    Args:
        activation: for the public implementation's files, which do not say (relu6 unless given); see
            :func:`eqprop.layer.clip_range`.

    Raises:
        InputError: one line naming the file and what is wrong with it.
    """
    return read(path, activation).network


def read(path: str | Path, activation: str | None = None) -> Checkpoint:
    """Like :func:`load`, with the metadata and any unfinished training."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    checkpoint = read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path, activation)
    check_finite(path, checkpoint.network)
    return checkpoint


def save(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a model file, aside and renamed; a name ending in .safetensors chooses that form (no training state)."""
    path = Path(path)
    description = architecture.describe(checkpoint.network)
    # Clones: torch.save would write the whole storage that a view is part of.
    parameters = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in checkpoint.network.state_dict().items()
    }
    with replacing(path) as aside:
        if path.suffix == ".safetensors":
            if checkpoint.training is not None:
                raise InputError(f"{path}: a safetensors file cannot hold an unfinished training: expected a .pt file")
            header = {
                "format": FORMAT,
                "version": VERSION,
                "architecture": description,
                "metadata": checkpoint.metadata,
            }
            safetensors.torch.save_file(parameters, aside, metadata={FORMAT: json.dumps(header)})
            return
        content = {
            "format": FORMAT,
            "version": VERSION,
            "architecture": description,
            "parameters": parameters,
            "metadata": checkpoint.metadata,
        }
        if checkpoint.training is not None:
            content["training"] = checkpoint.training
        with aside.open("wb") as file:  # given a path, torch would write the path's name into the file
            torch.save(content, file)


def read_torch(path: Path, activation: str | None) -> Checkpoint:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an unusual pickle protocol: the file is refused or fine
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes may break the reader anywhere
        if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            raise InputError(
                f"{path}: holds pickled objects that are not tensors or plain containers, refused because unpickling "
                f"can run code: expected a model file of hwmap or a list of tensors"
            ) from error
        raise InputError(
            f"{path}: truncated or not a model file: expected what torch.save wrote, tensors and plain containers only "
            f"(unpickling anything else can run code)"
        ) from error
    if isinstance(content, (list, tuple)):
        return Checkpoint(public_hopfield.build(path, content, activation or "relu6"))
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise InputError(f"{path}: expected a model file of hwmap (format {FORMAT!r}) or a list of tensors")
    if activation is not None:
        raise InputError(f"{path}: --activation {activation}: this file names its own activations")
    network = assemble(path, content.get("version"), content.get("architecture"), content.get("parameters"))
    training = content.get("training")
    if training is not None and not isinstance(training, dict):
        raise InputError(f"{path}: field training is {type(training).__name__}: expected a mapping or nothing")
    return Checkpoint(network, read_metadata(path, content), training)


def read_safetensors(path: Path) -> Checkpoint:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(FORMAT, "null"))
            parameters = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: truncated or not a safetensors file") from error
    if not isinstance(header, Mapping) or header.get("format") != FORMAT:
        raise InputError(f"{path}: no {FORMAT!r} entry in its metadata: expected a safetensors file of hwmap")
    network = assemble(path, header.get("version"), header.get("architecture"), parameters)
    return Checkpoint(network, read_metadata(path, header))


def read_metadata(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    metadata = content.get("metadata", {})
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: field metadata is {type(metadata).__name__}: expected a mapping")
    return metadata


def assemble(path: Path, version: Any, description: Any, parameters: Any) -> EnergyNetwork:
    """Build the described network around the given parameters, copying only those that ``as_stored`` must."""
    if version != VERSION:
        raise InputError(f"{path}: version {version}: expected {VERSION}")
    try:
        with torch.device("meta"):
            network = architecture.build(description)
    except KeyError as error:
        raise InputError(f"{path}: field architecture: {error} is missing or no name we can use") from error
    except Exception as error:  # a foreign description may break the constructors anywhere, torch's among them
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: field architecture: {first_line}") from error
    if not isinstance(parameters, Mapping):
        raise InputError(f"{path}: field parameters: expected named tensors")
    expected = network.state_dict()
    for name in sorted(set(expected) ^ set(parameters), key=str):
        state = "missing" if name in expected else "not part of the architecture"
        raise InputError(f"{path}: parameter {name}: {state}")
    for name, value in parameters.items():
        if not isinstance(value, Tensor) or value.shape != expected[name].shape:
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise InputError(f"{path}: parameter {name} is {found}: expected {tuple(expected[name].shape)}")
        if not value.is_floating_point() or value.layout != torch.strided:
            raise InputError(f"{path}: parameter {name} is {value.dtype}, {value.layout}: expected dense real numbers")
    stored = {name: as_stored(value) for name, value in parameters.items()}
    dtypes = sorted({str(value.dtype) for value in stored.values()})
    if len(dtypes) > 1:
        raise InputError(f"{path}: field parameters mixes {' and '.join(dtypes)}: expected one type")
    network.load_state_dict(stored, assign=True)
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    return network


def as_stored(value: Tensor) -> Tensor:
    """At least single precision, convolution weights in channels_last, the layout of the fast path, memory in line.

    A safetensors file is mapped wherever its tensors fall. Torch's own begin at multiples of 64 bytes, and elsewhere
    the matrix products of some CPUs (seen on AVX2) round differently: a network would not come back equal.
    """
    value = value if value.dtype == torch.float64 else value.to(torch.float32)
    value = value.contiguous(memory_format=torch.channels_last if value.dim() == 4 else torch.contiguous_format)
    return value.clone() if value.data_ptr() % 64 else value


def check_finite(path: Path, network: EnergyNetwork) -> None:
    for name, value in network.state_dict().items():
        bad = int((~torch.isfinite(value)).sum())
        if bad:
            raise InputError(f"{path}: parameter {name} has {bad} NaN or infinite values: expected finite weights")
