"""Truth: a walk over every physical cell, by coordinates, that finds each weight once and says what it means."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import mapping
from eqprop import Conv2d, EnergyNetwork, InputError, models
from mapping.lowering import ConvLowering
from tests.mapping.graphs import ideal_target, networks, size

Cell = tuple[int, int, int]

some = settings(max_examples=30)
kinds = st.sampled_from(["differential", "offset"])
sides = st.integers(2, 40)
WINDOW = {"g_min_siemens": 2e-6, "g_max_siemens": 50e-6}


def occupants(mapped: mapping.Mapping, per_weight: int) -> dict[Cell, tuple[str, int, int, int]]:
    """Every used cell -> (coupling, matrix row, matrix column, device of the weight); fails if two want one cell."""
    taken: dict[Cell, tuple[str, int, int, int]] = {}
    for name, matrix in mapped.matrices.items():
        for tile in matrix.tiles:
            for row, column, device in product(range(*tile.rows), range(*tile.columns), range(per_weight)):
                down = tile.at[0] + row - tile.rows[0]
                across = tile.at[1] + (column - tile.columns[0]) * per_weight + device
                cell = (tile.crossbar, down, across)
                assert cell not in taken, f"{cell} holds {taken[cell]} and {(name, row, column, device)}"
                taken[cell] = (name, row, column, device)
    return taken


def weight_at(network: EnergyNetwork, mapped: mapping.Mapping, name: str, row: int, column: int) -> float:
    """The weight that belongs at a matrix position, read from the coupling by its own indices."""
    coupling, low = network.coupling(name), mapped.matrices[name].lowering
    weight = coupling.effective_weight()
    if not isinstance(coupling, Conv2d):
        return weight[column, row].item()
    assert isinstance(low, ConvLowering)
    channels, taps = coupling.pre_shape[0], size(coupling.kernel)
    channel, tap = divmod(row, taps) if low.order == "channel-major" else divmod(row, channels)[::-1]
    return weight[column, channel, tap // coupling.kernel[1], tap % coupling.kernel[1]].item()


@some
@given(networks(), kinds, sides, sides, st.booleans())
def test_every_weight_lands_in_exactly_one_place(
    network: EnergyNetwork, kind: str, rows: int, columns: int, packed: bool
) -> None:
    mapped = mapping.compile(network, ideal_target(rows, columns, kind, **WINDOW), packed=packed)
    per_weight = 2 if kind == "differential" else 1
    taken = occupants(mapped, per_weight)
    wanted = {
        (name, row, column, device)
        for name, matrix in mapped.matrices.items()
        for row, column, device in product(
            range(matrix.lowering.rows), range(matrix.lowering.columns), range(per_weight)
        )
    }
    assert set(mapped.matrices) == set(network.coupling_table())
    assert len(taken) == len(wanted)
    assert set(taken.values()) == wanted
    for crossbar, row, column in taken:
        assert 0 <= crossbar < mapped.crossbars
        assert 0 <= row < rows
        assert 0 <= column < columns
    assert mapped.conductances.shape == (mapped.crossbars, rows, columns)
    assert mapped.weights == sum(coupling.effective_weight().numel() for coupling in network.coupling_table().values())
    assert mapped.utilization == pytest.approx(len(taken) / mapped.conductances.numel())
    assert mapped.crossbars == len({crossbar for crossbar, _, _ in taken})
    assert mapped.tiles >= mapped.crossbars
    assert packed or mapped.tiles == mapped.crossbars


@some
@given(networks(), kinds, sides, sides, st.sampled_from(["continuous", 2, 16, 255]))
def test_every_cell_means_its_weight(
    network: EnergyNetwork, kind: str, rows: int, columns: int, levels: str | int
) -> None:
    target = ideal_target(rows, columns, kind, **WINDOW)
    target = target.model_copy(update={"cell": target.cell.model_copy(update={"levels": levels})})
    mapped = mapping.compile(network, target)
    low, high = WINDOW["g_min_siemens"], WINDOW["g_max_siemens"]
    cells = mapped.conductances.double().numpy()
    by_weight: dict[tuple[str, int, int], list[float]] = {}
    free = torch.ones(mapped.conductances.shape, dtype=torch.bool)
    for cell, (name, row, column, _) in sorted(occupants(mapped, 2 if kind == "differential" else 1).items()):
        by_weight.setdefault((name, row, column), []).append(float(cells[cell]))
        free[cell] = False
    couplings = network.coupling_table()
    largest = {name: coupling.effective_weight().abs().max().item() for name, coupling in couplings.items()}
    for (name, row, column), devices in by_weight.items():
        span = largest[name] / (high - low)
        found = (devices[0] - devices[1]) * span if len(devices) == 2 else (2 * devices[0] - low - high) * span
        step = 0.0 if isinstance(levels, str) else (3 - len(devices)) * largest[name] / (levels - 1)
        allowed = step / 2 + 2e-6 * largest[name]
        assert abs(found - weight_at(network, mapped, name, row, column)) <= allowed
    assert bool((mapped.conductances[free] == torch.tensor(low)).all())


@some
@given(networks(), sides, sides)
def test_gathering_tiles_gives_the_matrix_back(network: EnergyNetwork, rows: int, columns: int) -> None:
    mapped = mapping.compile(network, ideal_target(rows, columns))
    for name, matrix in mapped.matrices.items():
        decoded = mapped.encoding(name).decode(mapped.matrix_of(name, mapped.conductances))
        weight = network.coupling(name).effective_weight()
        assert (matrix.lowering.to_weight(decoded) - weight).abs().max() <= 1e-6 * weight.abs().max()


@some
@given(networks())
def test_a_sweep_reads_every_direction_it_needs_once(network: EnergyNetwork) -> None:
    mapped = mapping.compile(network, ideal_target(8, 8))
    reads = [(read.coupling, read.direction) for step in mapped.schedule for read in step.reads]
    internal = [edge for edge in network.edges if edge.pre not in network.inputs]
    # Clamped layers drive once a phase, not once a sweep, and nothing is sensed for them: their state stays.
    expected = {(edge.name, direction) for edge in internal for direction in ("forward", "transposed")}
    assert sorted(reads) == sorted(expected)


@some
@given(networks())
def test_steps_cover_the_free_layers_and_join_none(network: EnergyNetwork) -> None:
    mapped = mapping.compile(network, ideal_target(8, 8))
    layers = [layer for step in mapped.schedule for layer in step.layers]
    assert sorted(layers) == sorted(network.free)
    for step in mapped.schedule:
        assert not any(edge.pre in step.layers and edge.post in step.layers for edge in network.edges)


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
    assert mapping.compile(small(), mapping.Target.load("ideal", (9, 10), ["chip.crossbars=2"])).crossbars == 2


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
