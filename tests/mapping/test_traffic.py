"""Truth: every input and output of every tile listed one by one, from the indices of the convolution."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mapping
from eqprop import Conv2d, models
from mapping.lowering import ConvLowering
from mapping.traffic import traffic
from tests.mapping.graphs import compilations, ideal_target, networks, size


@st.composite
def compiled(draw: st.DrawFn) -> mapping.Mapping:
    sides = st.integers(4, 40)
    return draw(compilations(networks(), ideal_target(draw(sides), draw(sides))))


def window_inputs(mapped: mapping.Mapping, name: str) -> list[dict[str, float]]:
    """By crossbar, how many numbers one matrix has on the side of its rows ("pre") and of its columns ("post")."""
    matrix = mapped.matrices[name]
    low, coupling = matrix.lowering, mapped.network.coupling(matrix.coupling)
    found: list[dict[str, float]] = [{"pre": 0.0, "post": 0.0} for _ in range(mapped.crossbars)]
    for replica in matrix.replicas:
        positions = list(product(range(*replica.region.vertical), range(*replica.region.horizontal)))
        for tile in replica.tiles:
            inputs = set()
            for row in range(*tile.rows):
                if not isinstance(low, ConvLowering):
                    inputs.add((row,))
                    continue
                assert isinstance(coupling, Conv2d)
                taps = size(coupling.kernel)
                channel = row // taps if low.order == "channel-major" else row % coupling.pre_shape[0]
                inputs.add((channel,))
            seen = len(inputs)
            if isinstance(low, ConvLowering):
                # Rows and columns of the image between the first and the last that the replica's outputs reach.
                extents = []
                for axis in (0, 1):
                    outputs = [position[axis] for position in positions]
                    reach = (max(outputs) - min(outputs)) * low.stride[axis] + low.kernel[axis]
                    extents.append(min(reach, low.pre_shape[1 + axis]))
                seen *= extents[0] * extents[1]
            found[tile.crossbar]["pre"] += seen
            found[tile.crossbar]["post"] += len(positions) * (tile.columns[1] - tile.columns[0])
    return found


@settings(max_examples=20)
@given(compiled())
def test_traffic_is_what_every_tile_receives_and_sends(mapped: mapping.Mapping) -> None:
    network = mapped.network
    expected: list[dict[str, float]] = [{} for _ in range(mapped.crossbars)]
    for name, matrix in mapped.matrices.items():
        edge = next((edge for edge in network.edges if edge.name == matrix.coupling), None)
        pre, post = (network.cost.layer, network.cost.layer) if edge is None else (edge.pre, edge.post)
        chain = mapped.chains[matrix.coupling]
        pre = pre if name == chain[0] else matrix.coupling
        post = post if name == chain[-1] else matrix.coupling
        for crossbar, flows in enumerate(window_inputs(mapped, name)):
            for end, layer in (("pre", pre), ("post", post)):
                # What inputs drive is read once in the 30 sweeps of a phase, forward only; states and sums are 4 bytes.
                bytes_a_sweep = flows[end] * (4 / 30 if pre in network.inputs else 4 + 4)
                if flows[end]:
                    expected[crossbar][layer] = expected[crossbar].get(layer, 0.0) + bytes_a_sweep
    found = traffic(network, mapped.chains, mapped.matrices, mapped.target)
    assert len(found) == mapped.crossbars
    for mine, theirs in zip(expected, found, strict=True):
        assert mine.keys() == theirs.keys()
        for layer, amount in mine.items():
            assert theirs[layer] == pytest.approx(amount)


def test_states_travel_as_wide_as_they_are_stored() -> None:
    network = models.mlp([6], channels=1, size=2, classes=3)
    for bits, width in ((8, 1), (9, 2), (16, 2), (17, 3), (None, 4)):
        target = ideal_target(16, 16)
        target = target.model_copy(update={"controller": target.controller.model_copy(update={"state_bits": bits})})
        mapped = mapping.compile(network, target, packed=False)
        found = traffic(network, mapped.chains, mapped.matrices, target)
        assert found[1] == {"h1": 6.0 * (width + 4), "output": 3.0 * (width + 4)}
