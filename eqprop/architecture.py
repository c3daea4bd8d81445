"""A network's architecture as plain data, and back: what model files and compiled directories carry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from eqprop import costs, couplings
from eqprop.dynamics import FixedPoint
from eqprop.edge import Edge
from eqprop.layer import Layer
from eqprop.network import EnergyNetwork
from eqprop.pooling import MaxPool2d


def describe(network: EnergyNetwork) -> dict[str, Any]:
    """Everything but the parameters, as dicts, lists, numbers and strings (an infinite clip limit is null)."""
    return {
        "layers": {
            name: {
                "shape": list(layer.shape),
                "clip": [None if math.isinf(limit) else limit for limit in layer.clip],
                "stiffness": layer.stiffness,
            }
            for name, layer in network.layers.items()
        },
        "inputs": list(network.inputs),
        "edges": [
            {
                "name": edge.name,
                "pre": edge.pre,
                "post": edge.post,
                "pool": edge.pool and {"kernel": edge.pool.kernel, "stride": edge.pool.stride},
            }
            for edge in network.edges
        ],
        "couplings": {
            name: {"kind": coupling.kind, **coupling.config()} for name, coupling in network.coupling_table().items()
        },
        "cost": {"kind": network.cost.kind, **network.cost.config()},
        "dynamics": network.dynamics.config(),
    }


def build(description: Mapping[str, Any]) -> EnergyNetwork:
    """The network a description speaks of, parameters zero.

    Raises:
        ValueError, KeyError or TypeError: if the description is not one :func:`describe` would write.
    """
    return EnergyNetwork(
        layers={name: read_layer(entry) for name, entry in description["layers"].items()},
        inputs=description["inputs"],
        edges=[
            Edge(entry["name"], entry["pre"], entry["post"], entry["pool"] and MaxPool2d(**entry["pool"]))
            for entry in description["edges"]
        ],
        couplings={
            name: of_kind("coupling", couplings.KINDS, entry) for name, entry in description["couplings"].items()
        },
        cost=of_kind("cost", costs.KINDS, description["cost"]),
        dynamics=FixedPoint(**description["dynamics"]),
    )


def read_layer(entry: Mapping[str, Any]) -> Layer:
    low, high = entry["clip"]
    clip = (-math.inf if low is None else number("clip", low), math.inf if high is None else number("clip", high))
    return Layer(whole_numbers(entry["shape"]), clip, number("stiffness", entry["stiffness"]))


def number(field: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{field} {value!r}: expected a number")
    return float(value)


def whole_numbers(values: Sequence[Any]) -> tuple[int, ...]:
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        raise ValueError(f"shape {list(values)}: expected whole numbers")
    return tuple(values)


def of_kind(what: str, kinds: Mapping[str, Any], entry: Mapping[str, Any]) -> Any:
    arguments = dict(entry)
    kind = arguments.pop("kind")
    if kind not in kinds:
        raise ValueError(f"{what} kind {kind!r}: expected one of {', '.join(kinds)}")
    return kinds[kind](**arguments)
