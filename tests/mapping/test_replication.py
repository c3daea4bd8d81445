"""Truth: every choice of grids tried, and its latency counted from the rectangles themselves."""

from itertools import product
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mapping
from eqprop import Conv2d, Edge, EnergyNetwork, Layer, SquaredError
from mapping.lowering import Region
from mapping.replication import Demand, Grid, regions, replicate
from tests.mapping.graphs import ideal_target

images = st.tuples(st.integers(1, 4), st.integers(1, 4))
demands = st.tuples(images, st.integers(1, 9)).map(lambda it: Demand(Region((0, it[0][0]), (0, it[0][1])), it[1]))


def longest(demand: Demand, grid: Grid) -> int:
    return demand.position_clocks * max(region.positions for region in regions(demand.outputs, grid))


def grids_of(demand: Demand) -> list[Grid]:
    return list(product(range(1, demand.outputs.height + 1), range(1, demand.outputs.width + 1)))


@settings(max_examples=200)
@given(st.lists(st.tuples(demands, st.integers(1, 4)), min_size=1, max_size=3), st.integers(0, 25))
def test_no_choice_of_copies_within_the_budget_is_faster(matrices: list[tuple[Demand, int]], extra: int) -> None:
    asked = {str(number): demand for number, (demand, _) in enumerate(matrices)}
    size = {str(number): crossbars for number, (_, crossbars) in enumerate(matrices)}

    def crossbars(grids: dict[str, Grid]) -> int:
        return sum(size[name] * prod(grid) for name, grid in grids.items())

    budget = sum(size.values()) + extra
    found = replicate(asked, budget, crossbars)  # type: ignore[arg-type]
    assert set(found) == set(asked)
    assert crossbars(found) <= budget
    best = min(
        max(longest(asked[name], grid) for name, grid in zip(asked, choice, strict=True))
        for choice in product(*(grids_of(demand) for demand in asked.values()))
        if crossbars(dict(zip(asked, choice, strict=True))) <= budget
    )
    assert max(longest(asked[name], grid) for name, grid in found.items()) == best


@given(images.flatmap(lambda image: st.tuples(st.just(image), st.integers(1, image[0]), st.integers(1, image[1]))))
def test_regions_are_all_outputs_once(case: tuple[tuple[int, int], int, int]) -> None:
    (height, width), down, across = case
    found = regions(Region((0, height), (0, width)), (down, across))
    assert len(found) == down * across
    covered = [(y, x) for region in found for y in range(*region.vertical) for x in range(*region.horizontal)]
    assert sorted(covered) == sorted(product(range(height), range(width)))
    assert max(region.positions for region in found) == -(-height // down) * -(-width // across)


def test_a_budget_below_one_copy_each_is_refused() -> None:
    asked = {"a": Demand(Region((0, 2), (0, 2)), 1)}
    with pytest.raises(ValueError, match="1 crossbars: expected at least 2"):
        replicate(asked, 1, lambda grids: 2)


def test_what_no_sweep_reads_is_never_copied() -> None:
    asked = {"input": Demand(Region((0, 4), (0, 4)), 0), "a": Demand(Region((0, 2), (0, 2)), 3)}
    found = replicate(asked, 100, lambda grids: sum(prod(grid) for grid in grids.values()))
    assert found == {"input": (1, 1), "a": (2, 2)}


def two_convolutions() -> EnergyNetwork:
    """An early layer with many positions and few weights, a late one with few positions and many weights."""
    layers = {
        "x": Layer((1, 8, 8), (0.0, 1.0)),
        "a": Layer((4, 8, 8), (0.0, 1.0)),
        "b": Layer((8, 8, 8), (0.0, 1.0)),
        "c": Layer((8, 2, 2), (0.0, 1.0)),
    }
    couplings = {
        "x_a": Conv2d((1, 8, 8), 4, 3, 1, 1),
        "a_b": Conv2d((4, 8, 8), 8, 3, 1, 1),
        "b_c": Conv2d((8, 8, 8), 8, 4, 4, 0),
    }
    for seed, coupling in enumerate(couplings.values()):
        coupling.initialise(0.5, torch.Generator().manual_seed(seed))
    edges = [Edge("x_a", "x", "a"), Edge("a_b", "a", "b"), Edge("b_c", "b", "c")]
    return EnergyNetwork(layers, ["x"], edges, couplings, SquaredError("c"))


@pytest.mark.parametrize("packed", [False, True])
def test_a_compiled_network_is_as_fast_as_any_choice_of_copies(packed: bool) -> None:
    network, target = two_convolutions(), ideal_target(36, 16)
    single = mapping.compile(network, target, packed=packed)
    base = {name: len(matrix.replicas[0].tiles) for name, matrix in single.matrices.items()}
    position = {
        name: sum(single.timing.read_clocks(mapping.schedule.Read(name, way)) for way in ("forward", "transposed"))
        // matrix.lowering.positions
        for name, matrix in single.matrices.items()
    }
    for extra in (0, 1, 2, 3, 5, 9, 17, 40):
        found = mapping.compile(network, target, packed=packed, budget=single.crossbars + extra)
        assert found.crossbars <= single.crossbars + extra
        slowest = max(
            position[n] * max(replica.region.positions for replica in found.matrices[n].replicas)
            for n in ("a_b", "b_c")
        )
        if packed:
            continue
        best = min(
            max(position["a_b"] * -(-8 // a) * -(-8 // b), position["b_c"] * -(-2 // c) * -(-2 // d))
            for a, b, c, d in product(range(1, 9), range(1, 9), range(1, 3), range(1, 3))
            if base["x_a"] + base["a_b"] * a * b + base["b_c"] * c * d <= single.crossbars + extra
        )
        assert slowest == best
