"""Which layers a sweep may update together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import networkx as nx

from eqprop.edge import Edge

Order = Literal["synchronous", "odd-even", "coloured"]
ORDERS: tuple[Order, ...] = get_args(Order)

Blocks = tuple[tuple[str, ...], ...]


def free_graph(free: Sequence[str], edges: Sequence[Edge]) -> nx.Graph[str]:
    """The graph of free layers: an edge wherever some coupling joins two of them."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(free)
    graph.add_edges_from((e.pre, e.post) for e in edges if e.pre in graph and e.post in graph)
    return graph


def blocks(order: Order, free: Sequence[str], edges: Sequence[Edge]) -> Blocks:
    """Blocks of layers in the order in which a sweep updates them.

    - ``synchronous``: one block, every layer from the states of the previous sweep.
    - ``odd-even``: layers 1, 3, 5, ... then 2, 4, 6, ... in the order of the network. A skip may join two
      layers of one parity, and then this is not block-coordinate descent.
    - ``coloured``: a proper colouring of the graph, so that no two layers of a block are joined. With its
      neighbours fixed each layer's update is then the exact minimiser of the energy: the energy never rises.

    Within the colouring layers keep their order and blocks start at the layer nearest the input, so the
    result is the same on every machine.
    """
    if order == "synchronous":
        return (tuple(free),)
    if order == "odd-even":
        return tuple(block for block in (tuple(free[0::2]), tuple(free[1::2])) if block)
    if order != "coloured":
        raise ValueError(f"order {order!r}: expected one of {', '.join(ORDERS)}")
    graph = free_graph(free, edges)
    colour = nx.greedy_color(graph, strategy="DSATUR")
    by_colour: dict[int, list[str]] = {}
    for layer in free:
        by_colour.setdefault(colour[layer], []).append(layer)
    return tuple(tuple(block) for block in by_colour.values())
