"""A compiled directory: mapping.yaml, conductances.safetensors and network.safetensors.

``mapping.yaml`` is written last and carries the hashes of the other two and, in its last line, of itself: a
directory is whole or refused.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import yaml

from eqprop import checkpoint
from eqprop.atomic import replacing
from eqprop.errors import InputError
from mapping.lowering import ConvLowering, DenseLowering, Lowering, Span
from mapping.mapping import Mapping
from mapping.plan import LayerScale, MappedMatrix, Read, Step, Tile
from mapping.target import Target

SCHEMA_VERSION = 2
MAPPING_FILE = "mapping.yaml"
CONDUCTANCES_FILE = "conductances.safetensors"
NETWORK_FILE = "network.safetensors"
SEAL = "sha256_of_the_lines_above: "


def save(mapping: Mapping, directory: Path) -> None:
    """Write the three files, each aside and renamed."""
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: is a file: expected a directory to write to")
    directory.mkdir(parents=True, exist_ok=True)
    with replacing(directory / CONDUCTANCES_FILE) as aside:
        safetensors.torch.save_file({"crossbars": mapping.conductances.contiguous()}, aside)
    checkpoint.save(directory / NETWORK_FILE, checkpoint.Checkpoint(mapping.network))
    hashes = {name: file_hash(directory / name) for name in (CONDUCTANCES_FILE, NETWORK_FILE)}
    with replacing(directory / MAPPING_FILE) as aside:
        aside.write_text(sealed(to_yaml(mapping, hashes)), encoding="utf-8")


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
    if content["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema_version {content['schema_version']}: expected {SCHEMA_VERSION}; compile the model again"
        )
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
    try:
        return Mapping(
            network,
            Target.from_mapping(content["target"], path),
            {name: LayerScale(**entry) for name, entry in content["layers"].items()},
            {name: read_matrix(name, entry) for name, entry in content["matrices"].items()},
            conductances,
            tuple(
                Step(tuple(step["layers"]), tuple(Read(*read.split(" ")) for read in step["reads"]))
                for step in content["schedule"]
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a mapping this version wrote ({error}); compile the model again") from error


def mapping_hash(directory: Path) -> str:
    """Identifies what was compiled: the hash of ``mapping.yaml``, which carries the hashes of the rest."""
    return file_hash(directory / MAPPING_FILE)


def sealed(body: str) -> str:
    """``body`` and, as its last line, its hash."""
    return f"{body}{SEAL}{hashlib.sha256(body.encode()).hexdigest()}\n"


def check_hashes(directory: Path, content: dict[str, Any]) -> None:
    for name in (CONDUCTANCES_FILE, NETWORK_FILE):
        file = directory / name
        if not file.is_file():
            raise InputError(f"{file}: missing: compile the model again")
        recorded = content.get("hashes", {}).get(name)
        if file_hash(file) != recorded:
            raise InputError(f"{file}: changed since it was compiled (its hash is not the one in {MAPPING_FILE})")


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Flow(dict[str, Any]):
    """A table written on one line."""


def to_yaml(mapping: Mapping, hashes: dict[str, str]) -> str:
    content = {
        "schema_version": SCHEMA_VERSION,
        "hashes": hashes,
        "summary": {
            "crossbars": mapping.crossbars,
            "tiles": mapping.tiles,
            "weights": mapping.weights,
            "utilization": mapping.utilization,
        },
        "target": mapping.target.model_dump(mode="json"),
        "layers": {
            name: Flow(full_scale=scale.full_scale, signed=scale.signed, source=scale.source)
            for name, scale in mapping.layers.items()
        },
        "matrices": {
            name: write_matrix(matrix, mapping.adc_full_scales_ampere(name))
            for name, matrix in mapping.matrices.items()
        },
        "schedule": [
            {"layers": list(step.layers), "reads": [f"{read.coupling} {read.direction}" for read in step.reads]}
            for step in mapping.schedule
        ],
    }
    return yaml.dump(content, Dumper=Dumper, sort_keys=False, width=120)


Dumper: Any = type("Dumper", (getattr(yaml, "CSafeDumper", yaml.SafeDumper),), {})
Dumper.add_representer(
    Flow, lambda dumper, flow: dumper.represent_mapping("tag:yaml.org,2002:map", dict(flow), flow_style=True)
)


def write_matrix(matrix: MappedMatrix, full_scales_ampere: tuple[float, float]) -> dict[str, Any]:
    lowering = matrix.lowering
    shape: dict[str, Any] = {"order": lowering.order, "rows": lowering.rows, "columns": lowering.columns}
    if isinstance(lowering, DenseLowering | ConvLowering):
        shape |= {"pre_shape": list(lowering.pre_shape), "post_shape": list(lowering.post_shape)}
    if isinstance(lowering, ConvLowering):
        shape |= {
            "kernel": list(lowering.kernel),
            "stride": list(lowering.stride),
            "padding": list(lowering.padding),
        }
    return {
        "matrix": Flow(shape),
        "row_spans": [list(span) for span in lowering.row_spans],
        "column_spans": [list(span) for span in matrix.column_spans],
        "weight_per_siemens": matrix.weight_per_siemens,
        "forward_full_scale_ampere": full_scales_ampere[0],
        "transposed_full_scale_ampere": full_scales_ampere[1],
        "forward_source": matrix.forward_source,
        "transposed_source": matrix.transposed_source,
        "tiles": [
            Flow(
                crossbar=tile.crossbar,
                rows=list(tile.rows),
                columns=list(tile.columns),
                forward_full_scale=tile.forward_full_scale,
                transposed_full_scale=tile.transposed_full_scale,
                at=list(tile.at),
            )
            for tile in matrix.tiles
        ],
    }


def read_matrix(name: str, entry: dict[str, Any]) -> MappedMatrix:
    return MappedMatrix(
        name,
        read_lowering(entry["matrix"], tuple(read_span(span) for span in entry["row_spans"])),
        tuple(read_span(span) for span in entry["column_spans"]),
        entry["weight_per_siemens"],
        entry["forward_source"],
        entry["transposed_source"],
        tuple(
            Tile(
                tile["crossbar"],
                read_span(tile["rows"]),
                read_span(tile["columns"]),
                tile["forward_full_scale"],
                tile["transposed_full_scale"],
                read_span(tile["at"]),
            )
            for tile in entry["tiles"]
        ),
    )


def read_lowering(shape: dict[str, Any], row_spans: tuple[Span, ...]) -> Lowering:
    pre, post = tuple(shape["pre_shape"]), tuple(shape["post_shape"])
    if "kernel" not in shape:
        return DenseLowering(shape["order"], row_spans, pre, post)
    kernel, stride, padding = (read_span(shape[key]) for key in ("kernel", "stride", "padding"))
    return ConvLowering(
        shape["order"], row_spans, (pre[0], pre[1], pre[2]), (post[0], post[1], post[2]), kernel, stride, padding
    )


def read_span(pair: list[int]) -> Span:
    first, second = pair
    return first, second
