"""Truth: the worst input, built by hand from the signs of the weights, and random inputs that stay below it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import mapping
from eqprop import EnergyNetwork, Layer, LowRank, models
from mapping.bounds import converter_scales, layer_scale, partial_sum_bounds
from mapping.calibration import Cuts, Ranges
from mapping.lowering import DenseLowering, Span, spans
from mapping.plan import LayerScale
from tests.mapping.graphs import ideal_target, networks


@st.composite
def sensed_matrices(draw: st.DrawFn) -> Tensor:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    matrix = torch.randn(draw(st.integers(1, 12)), draw(st.integers(1, 12)), generator=generator, dtype=torch.float64)
    return matrix + draw(st.sampled_from([0.0, 1.0]))


def worst_case(block: Tensor, scale: LayerScale) -> float:
    """The largest |sum| of any column of ``block`` under the input that its own signs ask for."""
    worst = 0.0
    for column in block.T:
        signs = [column.sign()] if scale.signed else [(column > 0).double(), (column < 0).double()]
        worst = max(worst, *(abs(float((drive * scale.full_scale) @ column)) for drive in signs))
    return worst


def tiles_of(matrix: Tensor, rows: tuple[Span, ...], columns: tuple[Span, ...]) -> list[list[Tensor]]:
    return [[matrix[slice(*of_rows), slice(*of_columns)] for of_columns in columns] for of_rows in rows]


@given(sensed_matrices(), st.tuples(st.integers(1, 12), st.integers(1, 12)), st.booleans(), st.floats(0.1, 10.0))
def test_bounds_are_reached_by_the_worst_input_and_by_no_other(
    sensed: Tensor, steps: tuple[int, int], signed: bool, full_scale: float
) -> None:
    scale = LayerScale(full_scale, signed, "test")
    rows, columns = spans(sensed.shape[0], steps[0]), spans(sensed.shape[1], steps[1])
    cuts = Cuts(DenseLowering("flat", rows, (len(sensed),), (sensed.shape[1],)), sensed, columns)
    forward = partial_sum_bounds(cuts, "forward", scale)
    transposed = partial_sum_bounds(cuts, "transposed", scale)
    generator = torch.Generator().manual_seed(0)
    for number, of_rows in enumerate(tiles_of(sensed, rows, columns)):
        for place, tile in enumerate(of_rows):
            for oriented, bounds in ((tile, forward), (tile.T, transposed)):
                bound = float(bounds[number, place])
                assert bound == pytest.approx(worst_case(oriented, scale), rel=1e-6)
                drive = torch.rand(50, len(oriented), dtype=torch.float64, generator=generator)
                drive = (2 * drive - 1 if signed else drive) * full_scale
                assert (drive @ oriented).abs().max() <= bound * (1 + 1e-9)


def test_slices_are_bounded_one_by_one() -> None:
    sensed = torch.tensor([[1.0, 10.0, -2.0, 5.0], [3.0, 0.0, -4.0, 5.0]])  # two weights of two slices
    cuts = Cuts(DenseLowering("flat", ((0, 2),), (2,), (2,)), sensed, ((0, 1), (1, 2)), slices=2)
    scale = LayerScale(1.0, False, "test")
    assert partial_sum_bounds(cuts, "forward", scale).tolist() == [[10.0, 10.0]]
    assert partial_sum_bounds(cuts, "transposed", scale).tolist() == [[10.0, 5.0]]


@settings(max_examples=30)
@given(networks(), st.sampled_from(["differential", "offset"]), st.integers(2, 24), st.integers(2, 24))
def test_without_data_no_input_in_range_can_clip(network: EnergyNetwork, kind: str, rows: int, columns: int) -> None:
    mapped = mapping.compile(network, ideal_target(rows, columns, kind, g_min_siemens=1e-6))
    for name, found in mapped.matrices.items():
        low, encoding = found.lowering, mapped.encoding(name)
        pre, post = found.rows_scale, found.columns_scale
        matrix = weights_of(network, mapped, name) + encoding.offset
        forward = max(worst_case(matrix[slice(*span)], pre) for span in low.row_spans)
        transposed = max(worst_case(matrix[:, slice(*span)].T, post) for span in found.column_spans)
        assert found.forward_full_scale == pytest.approx(forward, rel=1e-5)
        assert found.transposed_full_scale == pytest.approx(transposed, rel=1e-5)
        assert found.forward_source.endswith("nothing clips")
        assert found.transposed_source.endswith("nothing clips")


def weights_of(network: EnergyNetwork, mapped: mapping.Mapping, name: str) -> Tensor:
    """A mapped matrix's weights, [rows, columns]."""
    coupling = network.coupling(mapped.matrices[name].coupling)
    if isinstance(coupling, LowRank) and name.endswith((".V", ".U")):
        return (coupling.V if name.endswith(".V") else coupling.U.T).detach().double()
    return mapped.matrices[name].lowering.to_matrix(coupling.effective_weight()).double()


@settings(max_examples=20)
@given(networks(), st.integers(2, 24))
def test_nothing_on_a_bus_is_beyond_its_bound(network: EnergyNetwork, side: int) -> None:
    mapped = mapping.compile(network, ideal_target(side, side), low_rank="keep")
    for name, (first, *rest) in mapped.chains.items():
        ends = converter_scales(network, mapped.layers, name)
        assert (mapped.matrices[first].rows_scale, mapped.matrices[(first, *rest)[-1]].columns_scale) == ends
        for last in rest:
            forward, back = weights_of(network, mapped, first), weights_of(network, mapped, last).T
            assert mapped.matrices[last].rows_scale.full_scale == pytest.approx(worst_case(forward, ends[0]), rel=1e-5)
            assert mapped.matrices[first].columns_scale.full_scale == pytest.approx(worst_case(back, ends[1]), rel=1e-5)


def network_with(clip: tuple[float, float]) -> EnergyNetwork:
    network = models.mlp([4], channels=1, size=2, classes=3)
    network.layers["h1"] = Layer((4,), clip)
    return network


@pytest.mark.parametrize(
    ("layer", "clip", "expected"),
    [
        ("h1", (0.0, 1.0), LayerScale(1.0, False, "clip range")),
        ("h1", (0.0, 6.0), LayerScale(6.0, False, "clip range")),
        ("h1", (-2.0, 1.0), LayerScale(2.0, True, "clip range")),
        ("h1", (-math.inf, math.inf), LayerScale(2.0, True, "stated bound 2")),
        ("h1", (0.0, math.inf), LayerScale(2.0, False, "stated bound 2")),
        ("output", (0.0, 1.0), LayerScale(2.0, True, "stated bound 2")),
        ("input", (0.0, 1.0), LayerScale(4.0, True, "stated bound 4")),
    ],
)
def test_ranges_without_data(layer: str, clip: tuple[float, float], expected: LayerScale) -> None:
    assert layer_scale(network_with(clip), layer, None) == expected


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        (0.0, 0.7, LayerScale(0.7, False, "calibration")),
        (-0.9, 0.7, LayerScale(0.9, True, "calibration")),
        (0.0, 0.0, LayerScale(1.0, False, "clip range")),  # a layer that never moved says nothing about its range
    ],
)
def test_ranges_from_data(lowest: float, highest: float, expected: LayerScale) -> None:
    ranges = Ranges(samples=1, lowest={"h1": lowest}, highest={"h1": highest})
    assert layer_scale(network_with((0.0, 1.0)), "h1", ranges) == expected


def test_a_readout_is_driven_by_its_layer_and_by_errors() -> None:
    network = models.mlp([4], channels=1, size=2, classes=3, cost="cross-entropy")
    layers = {name: layer_scale(network, name, None) for name in network.layers}
    pre, post = converter_scales(network, layers, "readout")
    assert pre == layers["h1"]
    assert (post.full_scale, post.signed) == (1.0, True)
    assert converter_scales(network, layers, "input_h1") == (layers["input"], layers["h1"])
