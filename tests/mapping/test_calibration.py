"""Truth: every read of a relaxation recorded, its partial sums formed from unfolded images, and their maxima taken."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import mapping
from eqprop import Coupling, Edge, EnergyNetwork, FixedPoint, Layer, LowRank, SquaredError
from eqprop.couplings import StandIn
from mapping.bounds import ERROR_SCALE
from mapping.encoding import encoding_for
from mapping.lowering import ConvLowering, Lowering, lower, spans
from tests.mapping.graphs import ideal_target, images_for, networks


class Recorded(StandIn):
    """An ideal coupling that keeps what it was driven with."""

    def __init__(self, ideal: Coupling) -> None:
        super().__init__(ideal)
        self.rows_driven: list[Tensor] = []
        self.columns_driven: list[Tensor] = []

    def forward(self, pre: Tensor) -> Tensor:
        self.rows_driven.append(pre.clone())
        return self.ideal.forward(pre)

    def transpose(self, post: Tensor) -> Tensor:
        self.columns_driven.append(post.clone())
        return self.ideal.transpose(post)


def recorded(network: EnergyNetwork, images: Tensor) -> tuple[dict[str, Recorded], dict[str, Tensor]]:
    couplings = {name: Recorded(coupling) for name, coupling in network.coupling_table().items()}
    watched = EnergyNetwork(network.layers, network.inputs, network.edges, couplings, network.cost, network.dynamics)
    watched.biases = network.biases
    with torch.no_grad():
        equilibrium = watched.relax(images)
        watched.logits(equilibrium.states)
    return couplings, equilibrium.states


def row_drives(low: Lowering, pre: Tensor) -> Tensor:
    """[batch, rows, positions], rows in the lowering's order."""
    if not isinstance(low, ConvLowering):
        return pre.flatten(1).unsqueeze(2)
    unfolded = F.unfold(pre, low.kernel, padding=low.padding, stride=low.stride)
    if low.order == "channel-major":
        return unfolded
    return unfolded.view(len(pre), low.pre_shape[0], low.taps, -1).transpose(1, 2).reshape(len(pre), low.rows, -1)


def column_drives(low: Lowering, post: Tensor) -> Tensor:
    """[batch, columns, positions]."""
    return post.reshape(len(post), low.columns, -1)


@settings(max_examples=12)
@given(networks(), st.sampled_from(["differential", "offset"]), st.integers(2, 24), st.integers(2, 24))
def test_full_scales_are_the_largest_partial_sums(network: EnergyNetwork, kind: str, rows: int, columns: int) -> None:
    images, target = images_for(network, 5), ideal_target(rows, columns, kind, g_min_siemens=1e-6)
    mapped = mapping.compile(network, target, images, low_rank="merge")
    couplings, _ = recorded(network, images)
    for name, coupling in network.coupling_table().items():
        low = lower(coupling, rows)
        matrix = low.to_matrix(coupling.effective_weight())
        encoding = encoding_for(target.device, target.cell, float(matrix.abs().max()))
        column_spans = spans(low.columns, columns // encoding.devices_per_weight)
        sensed = (matrix + encoding.offset).double()
        forward = [
            torch.einsum("brp,rc->bcp", row_drives(low, pre).double()[:, a:b], sensed[a:b]).abs().max()
            for pre in couplings[name].rows_driven
            for a, b in low.row_spans
        ]
        transposed = [
            torch.einsum("bcp,rc->brp", column_drives(low, post).double()[:, a:b], sensed[:, a:b]).abs().max()
            for post in couplings[name].columns_driven
            for a, b in column_spans
        ]
        found = mapped.matrices[name]
        if max(forward) > 0:
            torch.testing.assert_close(found.forward_full_scale, max(forward).item(), rtol=1e-4, atol=1e-9)
        if transposed and max(transposed) > 0:
            torch.testing.assert_close(found.transposed_full_scale, max(transposed).item(), rtol=1e-4, atol=1e-9)
        assert (found.forward_source == "calibration on 5 images") == bool(max(forward) > 0)
        measured = bool(transposed) and max(transposed) > 0
        assert (found.transposed_source == "calibration on 5 images") == measured


def test_buses_and_factors_of_low_rank_couplings_are_measured() -> None:
    layers = {"x": Layer((6,), (-1.0, 1.0)), "h": Layer((7,), (0.0, 1.0)), "o": Layer((5,))}
    couplings = {"x_h": LowRank((6,), (7,), 2), "h_o": LowRank((7,), (5,), 2)}
    for seed, coupling in enumerate(couplings.values()):
        coupling.initialise(0.5, torch.Generator().manual_seed(seed))
    edges = [Edge("x_h", "x", "h"), Edge("h_o", "h", "o")]
    network = EnergyNetwork(layers, ["x"], edges, couplings, SquaredError("o"), FixedPoint(max_sweeps=9, tolerance=0.0))
    images = torch.rand(5, 6, generator=torch.Generator().manual_seed(0))
    mapped = mapping.compile(network, ideal_target(32, 32), images, low_rank="keep")
    watched, _ = recorded(network, images)
    U, V = couplings["h_o"].U.detach(), couplings["h_o"].V.detach()
    there = torch.cat([pre @ V for pre in watched["h_o"].rows_driven]).abs().max()
    back = torch.cat([post @ U for post in watched["h_o"].columns_driven]).abs().max()
    first, second = mapped.matrices["h_o.V"], mapped.matrices["h_o.U"]
    # On crossbars that hold a whole factor, what the first one's ADCs see is the bus.
    for found, expected in (
        (second.rows_scale.full_scale, there),
        (first.forward_full_scale, there),
        (first.columns_scale.full_scale, back),
        (second.transposed_full_scale, back),
    ):
        assert found == pytest.approx(float(expected), rel=1e-5)
    assert second.rows_scale.source == first.columns_scale.source == "calibration"
    assert mapped.matrices["x_h.V"].columns_scale.source != "calibration"  # nothing is sensed for a clamped layer


@settings(max_examples=15)
@given(networks())
def test_layer_ranges_are_those_of_the_equilibrium(network: EnergyNetwork) -> None:
    images = images_for(network, 5)
    mapped = mapping.compile(network, ideal_target(16, 16), images)
    _, states = recorded(network, images)
    for name, state in states.items():
        if state.abs().max() > 0:
            assert mapped.layers[name].full_scale == state.abs().max().item()
            assert mapped.layers[name].signed == bool(state.min() < 0)
            assert mapped.layers[name].source == "calibration"


@settings(max_examples=3)
@given(networks())
def test_batches_count_as_one_set(network: EnergyNetwork) -> None:
    images, done = images_for(network, 70), []
    mapped = mapping.compile(network, ideal_target(16, 16), images, done.append)
    assert done == [32, 32, 6]
    tail = [mapping.compile(network, ideal_target(16, 16), part).matrices for part in images.split(32)]
    for name, matrix in mapped.matrices.items():
        assert matrix.forward_full_scale == max(part[name].forward_full_scale for part in tail)


@settings(max_examples=10)
@given(networks())
def test_a_readout_that_free_phases_never_drive_backwards_gets_a_bound(network: EnergyNetwork) -> None:
    mapped = mapping.compile(network, ideal_target(16, 16), images_for(network))
    if network.cost.readout is not None:
        matrix = network.coupling(network.cost.readout).effective_weight()
        # Errors are softmax minus one-hot: each within +-1, at most 8 of them in one crossbar of 16 columns.
        bound = matrix.abs().sum(0).max().item() * ERROR_SCALE.full_scale
        found = mapped.matrices[network.cost.readout].transposed_full_scale
        assert abs(found - bound) <= 1e-5 * bound
