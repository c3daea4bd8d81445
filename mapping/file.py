"""What ``mapping.yaml`` holds, as types: checked when it is read, and its JSON schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import TypeAdapter

from mapping.lowering import ConvLowering, DenseLowering, Span
from mapping.memory import Memory
from mapping.mesh import Placement
from mapping.plan import LayerScale, MappedMatrix, Replica
from mapping.schedule import Schedule
from mapping.target import Target

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class Summary:
    """Figures for readers."""

    crossbars: int
    tiles: int
    weights: int
    utilization: float
    clocks_a_sweep: int
    clocks_an_ep_step: int
    state_bytes: int


@dataclass(frozen=True)
class MatrixEntry:
    """As :class:`mapping.plan.MappedMatrix`; the largest ADC codes in ampere are for readers."""

    coupling: str
    lowering: ConvLowering | DenseLowering
    column_spans: tuple[Span, ...]
    rows_scale: LayerScale
    columns_scale: LayerScale
    weight_per_siemens: float
    forward_source: str
    transposed_source: str
    forward_full_scale_ampere: float
    transposed_full_scale_ampere: float
    replicas: tuple[Replica, ...]

    @classmethod
    def of(cls, matrix: MappedMatrix, full_scales_ampere: tuple[float, float]) -> MatrixEntry:
        assert isinstance(matrix.lowering, ConvLowering | DenseLowering)
        return cls(
            matrix.coupling,
            matrix.lowering,
            matrix.column_spans,
            matrix.rows_scale,
            matrix.columns_scale,
            matrix.weight_per_siemens,
            matrix.forward_source,
            matrix.transposed_source,
            *full_scales_ampere,
            matrix.replicas,
        )

    def named(self, name: str) -> MappedMatrix:
        """The matrix called ``name``."""
        return MappedMatrix(
            name,
            self.coupling,
            self.lowering,
            self.column_spans,
            self.rows_scale,
            self.columns_scale,
            self.weight_per_siemens,
            self.forward_source,
            self.transposed_source,
            self.replicas,
        )


@dataclass(frozen=True)
class MappingFile:
    """``mapping.yaml``. ``hashes``: SHA-256 of the directory's other files."""

    schema_version: int
    hashes: dict[str, str]
    summary: Summary
    target: Target
    layers: dict[str, LayerScale]
    matrices: dict[str, MatrixEntry]
    chains: dict[str, tuple[str, ...]]
    schedule: Schedule
    placement: Placement | None
    memory: Memory


FILE: TypeAdapter[MappingFile] = TypeAdapter(MappingFile)


def to_yaml(file: MappingFile) -> str:
    """Readable text: small tables and lists of numbers on one line."""
    return yaml.dump(laid_out(FILE.dump_python(file, mode="json")), Dumper=Dumper, sort_keys=False, width=120)


def laid_out(value: Any) -> Any:
    """``value`` with every table or list that holds no other table on one line."""
    if isinstance(value, dict):
        if not any(map(holds_table, value.values())):
            return FlowTable(value)
        return {key: laid_out(child) for key, child in value.items()}
    if isinstance(value, list):
        return [laid_out(child) for child in value] if holds_table(value) else FlowList(value)
    return value


def holds_table(value: Any) -> bool:
    """Whether a table is in ``value``, at any depth."""
    return isinstance(value, dict) or (isinstance(value, list) and any(map(holds_table, value)))


class FlowTable(dict[str, Any]):
    """A table written on one line."""


class FlowList(list[Any]):
    """A list written on one line."""


Dumper: Any = type("Dumper", (getattr(yaml, "CSafeDumper", yaml.SafeDumper),), {})
Dumper.ignore_aliases = lambda self, data: True
Dumper.add_representer(
    FlowTable, lambda dumper, flow: dumper.represent_mapping("tag:yaml.org,2002:map", dict(flow), flow_style=True)
)
Dumper.add_representer(
    FlowList, lambda dumper, flow: dumper.represent_sequence("tag:yaml.org,2002:seq", list(flow), flow_style=True)
)
