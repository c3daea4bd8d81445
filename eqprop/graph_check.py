"""Does a graph of layers and couplings hold together?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eqprop.costs import Cost
from eqprop.couplings import Coupling
from eqprop.edge import Edge
from eqprop.layer import Layer


def check_graph(
    layers: Mapping[str, Layer],
    inputs: Sequence[str],
    edges: Sequence[Edge],
    couplings: Mapping[str, Coupling],
    cost: Cost,
) -> None:
    """Raise ValueError, naming the layer or edge, for the first thing that does not fit."""
    if not inputs:
        raise ValueError("inputs: expected at least one clamped layer")
    for name in layers:
        if not name.isidentifier():
            raise ValueError(f"layer {name!r}: expected a name of letters, digits and _ that starts with no digit")
    for name in inputs:
        if name not in layers:
            raise ValueError(f"input {name}: no layer of that name")
    names = [edge.name for edge in edges]
    if len(set(names)) != len(names):
        raise ValueError(f"edges {sorted(names)}: expected different names")
    for edge in edges:
        check_edge(edge, layers, inputs, couplings)
    extra = set(couplings) - set(names) - {cost.readout}
    if extra:
        raise ValueError(f"coupling {min(extra)}: no edge uses it")
    if cost.layer not in layers or cost.layer in inputs:
        raise ValueError(f"cost layer {cost.layer}: expected a free layer")
    if cost.readout is not None:
        if cost.readout not in couplings:
            raise ValueError(f"cost readout {cost.readout}: no coupling of that name")
        if couplings[cost.readout].pre_shape != layers[cost.layer].shape:
            raise ValueError(
                f"cost readout {cost.readout} reads shape {couplings[cost.readout].pre_shape}: "
                f"expected {layers[cost.layer].shape} of layer {cost.layer}"
            )
        if couplings[cost.readout].post_shape != (cost.classes,):
            raise ValueError(
                f"cost readout {cost.readout} gives shape {couplings[cost.readout].post_shape}: "
                f"expected ({cost.classes},), one number a class"
            )


def check_edge(
    edge: Edge, layers: Mapping[str, Layer], inputs: Sequence[str], couplings: Mapping[str, Coupling]
) -> None:
    for end in (edge.pre, edge.post):
        if end not in layers:
            raise ValueError(f"edge {edge.name}: no layer {end}")
    if edge.pre == edge.post:
        raise ValueError(f"edge {edge.name} joins layer {edge.pre} to itself: a layer's update would not be exact")
    if edge.post in inputs:
        raise ValueError(f"edge {edge.name} drives the clamped layer {edge.post}: expected a free layer")
    if edge.name not in couplings:
        raise ValueError(f"edge {edge.name}: no coupling of that name")
    coupling = couplings[edge.name]
    if edge.pool is not None and len(coupling.post_shape) != 3:
        raise ValueError(f"edge {edge.name} pools shape {coupling.post_shape}: expected channels, height, width")
    post_shape = coupling.post_shape if edge.pool is None else edge.pool.output_shape(coupling.post_shape)
    if coupling.pre_shape != layers[edge.pre].shape:
        raise ValueError(
            f"edge {edge.name} reads shape {coupling.pre_shape}: expected {layers[edge.pre].shape} of layer {edge.pre}"
        )
    if post_shape != layers[edge.post].shape:
        raise ValueError(
            f"edge {edge.name} gives shape {post_shape}: expected {layers[edge.post].shape} of layer {edge.post}"
        )
