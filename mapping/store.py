"""A compiled directory: mapping.yaml, conductances.safetensors, network.safetensors and the controller's program.

``mapping.yaml`` is written last and carries the hashes of the others and, in its last line, of itself: a
directory is whole or refused.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import yaml
from pydantic import ValidationError

from eqprop import checkpoint
from eqprop.atomic import replacing
from eqprop.errors import InputError
from mapping.file import FILE, SCHEMA_VERSION, MappingFile, MatrixEntry, Summary, to_yaml
from mapping.mapping import Mapping
from mapping.program import assemble, listing, to_bytes
from mapping.yaml_lines import one_line

MAPPING_FILE = "mapping.yaml"
CONDUCTANCES_FILE = "conductances.safetensors"
NETWORK_FILE = "network.safetensors"
PROGRAM_FILE = "program.bin"
LISTING_FILE = "program.txt"
HASHED = (CONDUCTANCES_FILE, NETWORK_FILE, PROGRAM_FILE, LISTING_FILE)
SEAL = "sha256_of_the_lines_above: "


def save(mapping: Mapping, directory: Path) -> None:
    """Write the files, each aside and renamed."""
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: is a file: expected a directory to write to")
    directory.mkdir(parents=True, exist_ok=True)
    with replacing(directory / CONDUCTANCES_FILE) as aside:
        safetensors.torch.save_file({"crossbars": mapping.conductances.contiguous()}, aside)
    checkpoint.save(directory / NETWORK_FILE, checkpoint.Checkpoint(mapping.network))
    program = assemble(mapping)
    with replacing(directory / PROGRAM_FILE) as aside:
        aside.write_bytes(to_bytes(program))
    with replacing(directory / LISTING_FILE) as aside:
        aside.write_text(listing(program), encoding="utf-8")
    hashes = {name: file_hash(directory / name) for name in HASHED}
    with replacing(directory / MAPPING_FILE) as aside:
        aside.write_text(sealed(to_yaml(content_of(mapping, hashes))), encoding="utf-8")


def content_of(mapping: Mapping, hashes: dict[str, str]) -> MappingFile:
    """What ``mapping.yaml`` says about a mapping."""
    timing = mapping.timing
    return MappingFile(
        SCHEMA_VERSION,
        hashes,
        Summary(
            mapping.crossbars,
            mapping.tiles,
            mapping.weights,
            mapping.utilization,
            timing.sweep_clocks("free"),
            timing.ep_step_clocks,
            mapping.memory.bytes,
        ),
        mapping.target,
        mapping.layers,
        {
            name: MatrixEntry.of(matrix, mapping.adc_full_scales_ampere(name))
            for name, matrix in mapping.matrices.items()
        },
        mapping.chains,
        mapping.schedule,
        mapping.placement,
        mapping.memory,
    )


def load(directory: Path) -> Mapping:
    """Read a compiled directory back."""
    path = directory / MAPPING_FILE
    if not path.is_file():
        raise InputError(f"{directory}: no {MAPPING_FILE}: expected a directory that hwmap compile wrote")
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, or a date that is none
        raise InputError(f"{path}: not YAML") from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise InputError(f"{path}: no schema_version: expected a mapping of hwmap")
    check_version(path, content)
    body, _, _ = text.rpartition(SEAL)
    if sealed(body) != text:
        raise InputError(f"{path}: changed since it was compiled (its last line is not the hash of the rest)")
    check_hashes(directory, content)
    network = checkpoint.load(directory / NETWORK_FILE)
    try:
        with safetensors.safe_open(directory / CONDUCTANCES_FILE, framework="pt") as file:
            conductances = file.get_tensor("crossbars")
    except safetensors.SafetensorError as error:
        raise InputError(f"{directory / CONDUCTANCES_FILE}: truncated or not a safetensors file") from error
    found = read(path, content)
    return Mapping(
        network,
        found.target,
        found.layers,
        {name: entry.named(name) for name, entry in found.matrices.items()},
        found.chains,
        conductances,
        found.schedule,
        found.placement,
        found.memory,
    )


def read(path: Path, content: dict[str, Any]) -> MappingFile:
    """Check what a mapping file says, the first finding as one line."""
    try:
        return FILE.validate_python({key: value for key, value in content.items() if key != SEAL.rstrip(": ")})
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        where = ".".join(str(key) for key in finding["loc"])
        raise InputError(f"{path}: {where}: {one_line(finding['msg'])}; compile the model again") from error


def check_version(path: Path, content: dict[str, Any]) -> None:
    """Refuse files of other versions, saying what to do."""
    version = content["schema_version"]
    if version == SCHEMA_VERSION:
        return
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema_version {version}: this hwmap reads {SCHEMA_VERSION}; the directory is of a newer one"
        )
    target = content.get("target")
    name = one_line(str(target.get("name", "TARGET"))) if isinstance(target, dict) else "TARGET"
    raise InputError(
        f"{path}: schema_version {version}: of an older hwmap, this one reads {SCHEMA_VERSION}; compile the model "
        f"again: hwmap compile {path.parent / NETWORK_FILE} --target {name} -o DIRECTORY"
    )


def mapping_hash(directory: Path) -> str:
    """Identifies what was compiled: the hash of ``mapping.yaml``, which carries the hashes of the rest."""
    return file_hash(directory / MAPPING_FILE)


def sealed(body: str) -> str:
    """``body`` and, as its last line, its hash."""
    return f"{body}{SEAL}{hashlib.sha256(body.encode()).hexdigest()}\n"


def check_hashes(directory: Path, content: dict[str, Any]) -> None:
    recorded = content.get("hashes")
    for name in HASHED:
        file = directory / name
        if not file.is_file():
            raise InputError(f"{file}: missing: compile the model again")
        if not isinstance(recorded, dict) or file_hash(file) != recorded.get(name):
            raise InputError(f"{file}: changed since it was compiled (its hash is not the one in {MAPPING_FILE})")


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
