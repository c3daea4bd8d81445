"""The end of every built-in model: a linear output layer, or a softmax readout of the last hidden layer."""

from __future__ import annotations

from eqprop.costs import Cost, CrossEntropy, SquaredError
from eqprop.couplings import Coupling, Dense
from eqprop.edge import Edge
from eqprop.layer import Layer


def add_head(
    layers: dict[str, Layer],
    edges: list[Edge],
    couplings: dict[str, Coupling],
    classes: int,
    cost: str,
) -> Cost:
    """Append the head to the three collections and return the cost.

    ``squared-error`` adds a linear state ``output``; ``cross-entropy`` adds the coupling ``readout``.

    Raises:
        ValueError: for another cost.
    """
    last = list(layers)[-1]
    shape = layers[last].shape
    if cost == SquaredError.kind:
        name = f"{last}_output"
        layers["output"] = Layer((classes,))
        edges.append(Edge(name, last, "output"))
        couplings[name] = Dense(shape, (classes,))
        return SquaredError("output")
    if cost == CrossEntropy.kind:
        couplings["readout"] = Dense(shape, (classes,))
        return CrossEntropy(last, "readout", classes)
    raise ValueError(f"cost {cost!r}: expected {SquaredError.kind} or {CrossEntropy.kind}")
