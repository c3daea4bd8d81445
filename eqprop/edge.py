"""An edge: where a coupling sits in the graph of layers."""

from __future__ import annotations

from dataclasses import dataclass

from eqprop.pooling import MaxPool2d


@dataclass(frozen=True)
class Edge:
    """The energy term -<s_post, P(A s_pre)>; ``name`` is the coupling's, P is ``pool`` or nothing."""

    name: str
    pre: str
    post: str
    pool: MaxPool2d | None = None
