"""Truth: a walk over every physical cell, by coordinates, that finds each weight once and says what it means."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import mapping
from eqprop import Conv2d, EnergyNetwork, InputError, LowRank, models
from mapping.lowering import ConvLowering
from tests.mapping.graphs import compilations, ideal_target, networks, size

Cell = tuple[int, int, int]
Weight = tuple[str, int, int, int, int]
"""Matrix, replica, matrix row, matrix column, device of the weight."""

some = settings(max_examples=30)
kinds = st.sampled_from(["differential", "offset"])
sides = st.integers(2, 40)
WINDOW = {"g_min_siemens": 2e-6, "g_max_siemens": 50e-6}


@st.composite
def compiled(draw: st.DrawFn, levels: str | int = "continuous") -> mapping.Mapping:
    """Any network on any crossbar, compiled any way."""
    target = ideal_target(draw(sides), draw(sides), draw(kinds), **WINDOW)
    target = target.model_copy(update={"cell": target.cell.model_copy(update={"levels": levels})})
    return draw(compilations(networks(), target))


def occupants(mapped: mapping.Mapping) -> dict[Cell, Weight]:
    """What every used cell holds; fails if two weights want one."""
    per_weight = 2 if mapped.target.cell.encoding == "differential" else 1
    taken: dict[Cell, Weight] = {}
    for name, matrix in mapped.matrices.items():
        for number, replica in enumerate(matrix.replicas):
            for tile in replica.tiles:
                for row, column, device in product(range(*tile.rows), range(*tile.columns), range(per_weight)):
                    down = tile.at[0] + row - tile.rows[0]
                    across = tile.at[1] + (column - tile.columns[0]) * per_weight + device
                    cell, weight = (tile.crossbar, down, across), (name, number, row, column, device)
                    assert cell not in taken, f"{cell} holds {taken[cell]} and {weight}"
                    taken[cell] = weight
    return taken


def weight_at(mapped: mapping.Mapping, name: str, row: int, column: int) -> float:
    """The weight that belongs at a matrix position, read from the coupling by its own indices."""
    coupling, low = mapped.network.coupling(mapped.matrices[name].coupling), mapped.matrices[name].lowering
    if isinstance(coupling, LowRank) and name.endswith((".V", ".U")):
        return (coupling.V[row, column] if name.endswith(".V") else coupling.U[column, row]).item()
    weight = coupling.effective_weight()
    if not isinstance(coupling, Conv2d):
        return weight[column, row].item()
    assert isinstance(low, ConvLowering)
    channels, taps = coupling.pre_shape[0], size(coupling.kernel)
    channel, tap = divmod(row, taps) if low.order == "channel-major" else divmod(row, channels)[::-1]
    return weight[column, channel, tap // coupling.kernel[1], tap % coupling.kernel[1]].item()


@some
@given(compiled())
def test_every_weight_lands_in_exactly_its_replicas_places(mapped: mapping.Mapping) -> None:
    per_weight = 2 if mapped.target.cell.encoding == "differential" else 1
    rows, columns = mapped.target.crossbar.rows, mapped.target.crossbar.columns
    taken = occupants(mapped)
    wanted = {
        (name, replica, row, column, device)
        for name, matrix in mapped.matrices.items()
        for replica, row, column, device in product(
            range(len(matrix.replicas)),
            range(matrix.lowering.rows),
            range(matrix.lowering.columns),
            range(per_weight),
        )
    }
    assert set(mapped.chains) == set(mapped.network.coupling_table())
    assert [name for chain in mapped.chains.values() for name in chain] == list(mapped.matrices)
    assert len(taken) == len(wanted)
    assert set(taken.values()) == wanted
    for crossbar, row, column in taken:
        assert 0 <= crossbar < mapped.crossbars
        assert 0 <= row < rows
        assert 0 <= column < columns
    assert mapped.conductances.shape == (mapped.crossbars, rows, columns)
    once = {(name, row, column) for name, _, row, column, _ in wanted}
    assert mapped.weights == len(once)
    assert mapped.utilization == pytest.approx(len(taken) / mapped.conductances.numel())
    assert mapped.crossbars == len({crossbar for crossbar, _, _ in taken})
    assert mapped.tiles >= mapped.crossbars


@some
@given(networks(), kinds, sides, sides)
def test_without_packing_every_block_has_its_crossbar(network: EnergyNetwork, kind: str, rows: int, cols: int) -> None:
    apart = mapping.compile(network, ideal_target(rows, cols, kind), packed=False)
    together = mapping.compile(network, ideal_target(rows, cols, kind))
    assert apart.crossbars == apart.tiles == together.tiles >= together.crossbars


@some
@given(compiled())
def test_every_output_belongs_to_one_replica(mapped: mapping.Mapping) -> None:
    for matrix in mapped.matrices.values():
        whole = matrix.lowering.outputs
        answered = [
            position
            for replica in matrix.replicas
            for position in product(range(*replica.region.vertical), range(*replica.region.horizontal))
        ]
        assert sorted(answered) == sorted(product(range(*whole.vertical), range(*whole.horizontal)))
        tiles = [[(t.rows, t.columns, t.forward_full_scale) for t in replica.tiles] for replica in matrix.replicas]
        assert all(of_replica == tiles[0] for of_replica in tiles)


@some
@given(compiled())
def test_blocks_that_are_read_position_by_position_never_share_a_crossbar(mapped: mapping.Mapping) -> None:
    for matrix in mapped.matrices.values():
        if matrix.lowering.positions > 1:
            crossbars = [tile.crossbar for tile in matrix.tiles]
            assert len(crossbars) == len(set(crossbars))


@some
@given(st.sampled_from(["continuous", 2, 16, 255]).flatmap(lambda levels: compiled(levels)))
def test_every_cell_means_its_weight(mapped: mapping.Mapping) -> None:
    low, high, levels = WINDOW["g_min_siemens"], WINDOW["g_max_siemens"], mapped.target.cell.levels
    cells = mapped.conductances.double().numpy()
    by_weight: dict[tuple[str, int, int, int], list[float]] = {}
    free = torch.ones(mapped.conductances.shape, dtype=torch.bool)
    for cell, (name, replica, row, column, _) in sorted(occupants(mapped).items()):
        by_weight.setdefault((name, replica, row, column), []).append(float(cells[cell]))
        free[cell] = False
    largest = {
        name: max(abs(weight_at(mapped, name, row, column)) for _, _, row, column in of_matrix)
        for name in mapped.matrices
        if (of_matrix := [key for key in by_weight if key[0] == name])
    }
    for (name, _, row, column), devices in by_weight.items():
        span = largest[name] / (high - low)
        found = (devices[0] - devices[1]) * span if len(devices) == 2 else (2 * devices[0] - low - high) * span
        step = 0.0 if isinstance(levels, str) else (3 - len(devices)) * largest[name] / (levels - 1)
        allowed = step / 2 + 2e-6 * largest[name]
        assert abs(found - weight_at(mapped, name, row, column)) <= allowed
    assert bool((mapped.conductances[free] == torch.tensor(low)).all())


@some
@given(compiled())
def test_gathering_tiles_gives_the_matrix_back(mapped: mapping.Mapping) -> None:
    for name, matrix in mapped.matrices.items():
        for number in range(len(matrix.replicas)):
            decoded = mapped.encoding(name).decode(mapped.matrix_of(name, mapped.conductances, number))
            rows, columns = matrix.lowering.rows, matrix.lowering.columns
            truth = torch.tensor([[weight_at(mapped, name, r, c) for c in range(columns)] for r in range(rows)])
            assert (decoded - truth).abs().max() <= 1e-6 * truth.abs().max()


def small() -> EnergyNetwork:
    return models.mlp([5], channels=1, size=3, classes=2)


def test_refuses_a_crossbar_that_holds_no_pair() -> None:
    with pytest.raises(InputError, match=r"crossbar 1x1: .* expected at least 1x2"):
        mapping.compile(small(), ideal_target(1, 1))
    assert mapping.compile(small(), ideal_target(1, 1, "offset")).crossbars == 9 * 5 + 5 * 2


def test_refuses_too_few_crossbars() -> None:
    target = mapping.Target.load("ideal", (9, 10), ["chip.crossbars=1"])
    with pytest.raises(InputError, match=r"chip.crossbars is 1 but the network needs 2 of 9x10"):
        mapping.compile(small(), target)
    enough = mapping.Target.load("ideal", (9, 10), ["chip.crossbars=2"])
    assert mapping.compile(small(), enough).crossbars == 2
    with pytest.raises(InputError, match=r"chip.crossbars is 2 but the budget is 3 of 9x10"):
        mapping.compile(small(), enough, budget=3)
    with pytest.raises(InputError, match=r"--crossbars 1: expected at least the 2 of 9x10"):
        mapping.compile(small(), enough, budget=1)


def test_refuses_an_unknown_way_with_low_rank_couplings() -> None:
    with pytest.raises(ValueError, match="low_rank 'both': expected one of auto, keep, merge"):
        mapping.compile(small(), ideal_target(8, 8), low_rank="both")  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["couplings.input_h1.weight", "biases.h1"])
def test_refuses_weights_that_are_no_numbers(bad: float, name: str) -> None:
    network = small()
    parameter: Tensor = network.get_parameter(name)
    with torch.no_grad():
        parameter.view(-1)[0] = bad
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        mapping.compile(network, ideal_target(8, 8))


def test_compiling_leaves_the_network_alone() -> None:
    network = small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    mapping.compile(network, ideal_target(4, 4), torch.rand(3, 1, 3, 3))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
