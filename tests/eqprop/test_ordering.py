"""Truth: the definition of a proper colouring, checked edge by edge, and the published graph of Hopfield-ResNet13."""

import pytest
from hypothesis import given
from random_networks import networks

from eqprop import Edge, EnergyNetwork, models
from eqprop.ordering import ORDERS, blocks

RESNET13_FREE = [*(f"h{n}" for n in range(1, 9)), "output"]
RESNET13_EDGES = [(1, 2), (2, 3), (2, 4), (3, 4), (4, 5), (4, 6), (5, 6), (6, 7), (6, 8), (7, 8), (8, 9)]


@given(networks())
def test_every_order_updates_every_free_layer_once(network: EnergyNetwork) -> None:
    for order in ORDERS:
        updated = [name for block in blocks(order, network.free, network.edges) for name in block]
        assert sorted(updated) == sorted(network.free)


@given(networks(most_layers=6))
def test_no_edge_joins_two_layers_of_a_colour(network: EnergyNetwork) -> None:
    coloured = blocks("coloured", network.free, network.edges)
    for block in coloured:
        assert block == tuple(name for name in network.free if name in block)
        for edge in network.edges:
            assert not {edge.pre, edge.post} <= set(block)
    assert coloured[0][0] == network.free[0]


def test_hopfield_resnet13_needs_three_colours() -> None:
    """Triangles {2,3,4}, {4,5,6}, {6,7,8}: two colours cannot do."""
    network = models.build("hopfield-resnet13", width=1 / 64)
    joined = {(edge.pre, edge.post) for edge in network.edges if edge.pre != "input"}
    assert joined == {(RESNET13_FREE[pre - 1], RESNET13_FREE[post - 1]) for pre, post in RESNET13_EDGES}
    assert len(blocks("coloured", network.free, network.edges)) == 3


@pytest.mark.parametrize("name", ["mlp", "vgg5"])
def test_chains_need_two_colours_which_are_the_odd_and_the_even_layers(name: str) -> None:
    network = models.build(name, width=1 / 64)
    assert blocks("coloured", network.free, network.edges) == blocks("odd-even", network.free, network.edges)


def test_odd_even_splits_by_position() -> None:
    free = ["a", "b", "c", "d", "e"]
    assert blocks("odd-even", free, []) == (("a", "c", "e"), ("b", "d"))
    assert blocks("odd-even", ["a"], []) == (("a",),)


def test_synchronous_is_one_block() -> None:
    assert blocks("synchronous", ["a", "b"], [Edge("e", "a", "b")]) == (("a", "b"),)


def test_unjoined_layers_share_a_colour() -> None:
    assert blocks("coloured", ["a", "b"], [Edge("e", "input", "a"), Edge("f", "input", "b")]) == (("a", "b"),)


def test_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="order 'random': expected one of synchronous, odd-even, coloured"):
        blocks("random", ["a"], [])
