"""Truth: the worst input, built by hand from the signs of the weights, and random inputs that stay below it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import mapping
from eqprop import EnergyNetwork, Layer, models
from mapping.bounds import converter_scales, layer_scale, partial_sum_bound
from mapping.calibration import Ranges
from mapping.lowering import spans
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


@given(sensed_matrices(), st.integers(1, 12), st.booleans(), st.floats(0.1, 10.0), st.booleans())
def test_the_bound_is_reached_by_the_worst_input_and_by_no_other(
    sensed: Tensor, step: int, signed: bool, full_scale: float, rows_driven: bool
) -> None:
    scale = LayerScale(full_scale, signed, "test")
    oriented = sensed if rows_driven else sensed.T
    cuts = spans(len(oriented), step)
    bound = partial_sum_bound(sensed, cuts, 0 if rows_driven else 1, scale)
    assert bound == pytest.approx(max(worst_case(oriented[slice(*span)], scale) for span in cuts), rel=1e-6)
    drive = torch.rand(50, len(oriented), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drive = (2 * drive - 1 if signed else drive) * full_scale
    for first, last in cuts:
        assert (drive[:, first:last] @ oriented[first:last]).abs().max() <= bound * (1 + 1e-9)


@settings(max_examples=30)
@given(networks(), st.sampled_from(["differential", "offset"]), st.integers(2, 24), st.integers(2, 24))
def test_without_data_no_input_in_range_can_clip(network: EnergyNetwork, kind: str, rows: int, columns: int) -> None:
    mapped = mapping.compile(network, ideal_target(rows, columns, kind, g_min_siemens=1e-6))
    for name, found in mapped.matrices.items():
        low, encoding = found.lowering, mapped.encoding(name)
        pre, post = converter_scales(network, mapped.layers, name)
        matrix = low.to_matrix(network.coupling(name).effective_weight()).double() + encoding.offset
        forward = max(worst_case(matrix[slice(*span)], pre) for span in low.row_spans)
        transposed = max(worst_case(matrix[:, slice(*span)].T, post) for span in found.column_spans)
        assert found.forward_full_scale == pytest.approx(forward, rel=1e-5)
        assert found.transposed_full_scale == pytest.approx(transposed, rel=1e-5)
        assert found.full_scale_source.endswith("nothing clips")


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
