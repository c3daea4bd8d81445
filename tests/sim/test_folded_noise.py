"""Truth: a slow path that perturbs every device in every read, compared by mean, variance and whole distribution.

Behind resistive wires the slow path solves the wires anew for every perturbed crossbar.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eqprop import Conv2d, Coupling, Dense
from mapping.arithmetic import Codes
from mapping.encoding import Encoding, encoding_for
from mapping.hardware import Adc, Cell, Dac, Direction, Wires
from mapping.lowering import ConvLowering, Lowering, lower, spans
from mapping.plan import LayerScale, MappedMatrix, Replica, Tile
from sim.array import Array, Periphery
from sim.converters import ChannelErrors, Driver, build_digitiser
from sim.fabrication import Lines, gathered_lines
from sim.gaussian import NoiseStream
from sim.wire_solver import WireSolver
from sim.wires import effective_conductance
from tests.mapping.graphs import ideal_target

READS = 100_000
IDEAL = Periphery(Driver(Dac(), None))
CELLS = [Cell(), Cell(encoding="offset"), Cell(levels=4, slices=2)]


def kolmogorov_smirnov(one: Tensor, other: Tensor) -> float:
    """The largest difference of two empirical distribution functions."""
    both = torch.cat([one, other]).sort().values
    shares = [torch.searchsorted(part.sort().values, both, right=True) / len(part) for part in (one, other)]
    return float((shares[0] - shares[1]).abs().max())


def same_distribution(fast: Tensor, slow: Tensor) -> None:
    """[reads, outputs] twice: each output must have one mean, variance and distribution on both paths."""
    # Converted sums lie on a grid that starts anywhere: float32 must not part what is one value.
    start = slow.flatten(1)[0].double()
    fast, slow = ((reads.flatten(1).double() - start).mul(1e5).round() / 1e5 for reads in (fast, slow))
    spread = slow.std(0)
    # Standard errors of a difference: sigma sqrt(2 / n) of means, 2 / sqrt(n) of the ratio of variances.
    assert ((fast.mean(0) - slow.mean(0)).abs() <= 5 * spread * (2 / READS) ** 0.5 + 1e-6).all()
    assert ((fast.var(0) / slow.var(0) - 1).abs() <= 5 * 2 / READS**0.5).all()
    # Two samples of one distribution exceed this once in 1e5 comparisons.
    critical = (-0.5 * torch.log(torch.tensor(1e-5 / 2)).item()) ** 0.5 * (2 / READS) ** 0.5
    assert max(kolmogorov_smirnov(fast[:, i], slow[:, i]) for i in range(fast.shape[1])) < critical


@dataclass(frozen=True)
class Noisy:
    """An array with read noise, and what its devices are."""

    array: Array
    low: Lowering
    encoding: Encoding
    conductance: Tensor
    sigma: Tensor

    def perturbed(self, seed: int, reads: int = READS) -> Tensor:
        """Conductances of every device in every read: [reads, rows, columns * devices]."""
        noise = torch.randn(reads, *self.sigma.shape, generator=torch.Generator().manual_seed(seed))
        return self.conductance + noise * self.sigma

    def perturbed_weights(self, seed: int) -> Tensor:
        """[reads, rows, columns]."""
        return self.encoding.decode(self.perturbed(seed))


def noisy(coupling: Coupling, cell: Cell, scale: float = 1.0, **more: object) -> Noisy:
    device = ideal_target(1, 2, g_min_siemens=1e-6, g_max_siemens=2e-5).device
    coupling.initialise(1.0, torch.Generator().manual_seed(1))
    low = lower(coupling, 4)
    matrix = low.to_matrix(coupling.effective_weight())
    encoding = encoding_for(device, cell, float(matrix.abs().max()))
    conductance = encoding.encode(matrix)
    sigma = scale * (conductance * 0.1 + 2e-7)
    lines = Lines(conductance, sigma.square())
    both: dict[Direction, Lines] = {"forward": lines, "transposed": lines}
    periphery: dict[Direction, Periphery] = {"forward": IDEAL, "transposed": IDEAL}
    stream = NoiseStream(np.random.SeedSequence(2))
    array = Array(low, spans(low.columns, 2), encoding, both, periphery, stream, **more)  # type: ignore[arg-type]
    return Noisy(array, low, encoding, conductance, sigma)


@pytest.mark.parametrize("cell", CELLS, ids=["pair", "offset", "slices"])
@pytest.mark.parametrize("forward", [True, False], ids=["forward", "transposed"])
def test_dense_reads(cell: Cell, forward: bool) -> None:
    case = noisy(Dense((6,), (4,)), cell)
    drive = torch.randn(6 if forward else 4, generator=torch.Generator().manual_seed(3))
    same = drive.expand(READS, -1)
    fast = case.array.forward(same) if forward else case.array.transpose(same)
    slow = torch.einsum("r,nrc->nc" if forward else "c,nrc->nr", drive, case.perturbed_weights(4))
    same_distribution(fast, slow)


@pytest.mark.parametrize("cell", CELLS[:2], ids=["pair", "offset"])
def test_convolution_forward_reads(cell: Cell) -> None:
    case = noisy(Conv2d((2, 2, 3), 2, 2, stride=1, padding=0), cell)
    assert isinstance(case.low, ConvLowering)
    pre = torch.randn(1, 2, 2, 3, generator=torch.Generator().manual_seed(3))
    patches = in_row_order(case.low, F.unfold(pre, 2))[0]  # [rows, positions]
    # Every output position is a read of its own: fresh noise in every device.
    slow = torch.stack(
        [
            torch.einsum("r,nrc->nc", patches[:, position], case.perturbed_weights(position))
            for position in range(patches.shape[1])
        ],
        dim=2,
    )
    same_distribution(case.array.forward(pre.expand(READS, -1, -1, -1)), slow)


@pytest.mark.parametrize("cell", CELLS[:2], ids=["pair", "offset"])
def test_convolution_transposed_reads(cell: Cell) -> None:
    coupling = Conv2d((2, 2, 3), 2, 2, stride=1, padding=0)
    case = noisy(coupling, cell)
    assert isinstance(case.low, ConvLowering)
    post = torch.randn(1, *coupling.post_shape, generator=torch.Generator().manual_seed(3))
    columns = post.flatten(2)[0]  # [columns, positions]
    sensed = torch.stack(
        [
            torch.einsum("c,nrc->nr", columns[:, position], case.perturbed_weights(position))
            for position in range(columns.shape[1])
        ],
        dim=2,
    )
    slow = F.fold(in_channel_order(case.low, sensed), (2, 3), 2)
    same_distribution(case.array.transpose(post.expand(READS, -1, -1, -1)), slow)


# On a 5 x 8 crossbar these lose about as much as 2.5 ohm do on 128 x 128 with 25 uS.
WIRES = Wires(
    row_resistance_ohm=800.0, column_resistance_ohm=1500.0, driver_resistance_ohm=500.0, sense_resistance_ohm=1000.0
)


@pytest.mark.parametrize("cell", CELLS[:2], ids=["pair", "offset"])
@pytest.mark.parametrize("direction", ["forward", "transposed"])
@pytest.mark.parametrize("converted", [False, True], ids=["ideal-adc", "adc"])
def test_reads_behind_wires(cell: Cell, direction: Direction, converted: bool) -> None:
    columns = 4 if cell.encoding == "differential" else 8
    # Little noise: behind wires a read is not quite linear in a device, which the slow path knows and means show.
    case = noisy(Dense((5,), (columns,)), cell, scale=0.2)
    tiles = tuple(Tile(number, span, (0, columns)) for number, span in enumerate(case.low.row_spans))
    replica, scale = Replica(case.low.outputs, tiles), LayerScale(1.0, True, "test")
    matrix = MappedMatrix("c", "c", case.low, ((0, columns),), scale, scale, 1.0, "", "", (replica,))
    crossbars = torch.zeros(len(tiles), 4, 8)
    variance = torch.zeros_like(crossbars)
    for number, (first, last) in enumerate(case.low.row_spans):
        crossbars[number, : last - first] = case.conductance[first:last]
        variance[number, : last - first] = case.sigma[first:last].square()
    seen = WireSolver(WIRES).solve(crossbars, variance)
    lines = {
        way: gathered_lines(matrix, replica, case.encoding, way, seen[way], ()) for way in ("forward", "transposed")
    }
    loss = 1 - lines["forward"].conductance.norm() / case.conductance.norm()
    assert 0.1 < loss < 0.5
    digitiser = None
    step = 1e-3
    if converted:
        spans_sensed = [columns] if direction == "forward" else [last - first for first, last in case.low.row_spans]
        driven = len(case.low.row_spans) if direction == "forward" else 1
        full = torch.full((driven, len(spans_sensed)), step * 2047)
        adc = Adc(bits=12)
        errors = ChannelErrors.draw(adc, (driven, sum(spans_sensed)), torch.Generator())
        digitiser = build_digitiser(adc, full, spans_sensed, 1, errors)
    periphery = {way: Periphery(Driver(Dac(), None), digitiser if way == direction else None) for way in lines}
    stream = NoiseStream(np.random.SeedSequence(5))
    array = Array(case.low, ((0, columns),), case.encoding, lines, periphery, stream)  # type: ignore[arg-type]
    drive = torch.rand(5 if direction == "forward" else columns, generator=torch.Generator().manual_seed(3)) + 0.2
    same = drive.expand(READS, -1)
    fast = array.forward(same) if direction == "forward" else array.transpose(same)
    slow = slow_wired_read(case, direction, drive, step if converted else None)
    same_distribution(fast, slow)


def slow_wired_read(case: Noisy, direction: Direction, drive: Tensor, step: float | None) -> Tensor:
    """Every device of every read perturbed and every crossbar solved anew; codes rounded tile by tile."""
    devices = case.perturbed(7)
    total: Tensor | None = None
    answers = []
    for first, last in case.low.row_spans:
        crossbar = torch.zeros(READS, 4, 8)
        crossbar[:, : last - first] = devices[:, first:last]
        effective = effective_conductance(
            crossbar,
            row_resistance_ohm=WIRES.row_resistance_ohm,
            column_resistance_ohm=WIRES.column_resistance_ohm,
            driver_resistance_ohm=WIRES.driver_resistance_ohm,
            sense_resistance_ohm=WIRES.sense_resistance_ohm,
            direction=direction,
        )[:, : last - first]
        sensed = case.encoding.sensed(effective).double()
        if direction == "forward":
            sums = torch.einsum("r,nrc->nc", drive[first:last].double(), sensed)
            sums = sums if step is None else torch.floor(sums / step + 0.5) * step
            total = sums if total is None else total + sums
        else:
            sums = torch.einsum("c,nrc->nr", drive.double(), sensed)
            answers.append(sums if step is None else torch.floor(sums / step + 0.5) * step)
    offset = case.encoding.offset * drive.sum().double()
    return (total if total is not None else torch.cat(answers, dim=1)) - offset


def test_averaged_conversions_have_their_share_of_the_variance() -> None:
    once, often = (noisy(Dense((6,), (4,)), Cell(), average=average).array for average in (1, 4))
    same = torch.ones(READS, 6)
    ratio = once.forward(same).var(0) / often.forward(same).var(0)
    torch.testing.assert_close(ratio, torch.full((4,), 4.0), rtol=5 * 2 / READS**0.5, atol=0)


def test_amplifier_noise_is_in_steps_of_the_converter() -> None:
    case = noisy(Dense((6,), (4,)), Cell())
    adc = Adc(bits=10, noise_lsb=3.0)
    errors = ChannelErrors.draw(adc, (2, 4), torch.Generator())
    digitiser = build_digitiser(adc, torch.full((2, 1), 20.0), [4], 1, errors)
    periphery: dict[Direction, Periphery] = {"forward": Periphery(IDEAL.driver, digitiser), "transposed": IDEAL}
    quiet = Lines(case.conductance)
    array = Array(
        case.low,
        ((0, 4),),
        case.encoding,
        {"forward": quiet, "transposed": quiet},
        periphery,
        NoiseStream(np.random.SeedSequence(1)),
    )
    found = array.forward(torch.ones(READS, 6))
    step = Codes.for_range(20.0, 10, signed=True).step
    # Two tiles of rows; each conversion adds 3 steps of noise and the 1/12 of rounding.
    torch.testing.assert_close(found.var(0) / step**2, torch.full((4,), 2 * (9.0 + 1 / 12)), rtol=0.03, atol=0)


def test_noise_is_fresh_in_every_read_and_independent_between_outputs() -> None:
    array = noisy(Dense((6,), (4,)), Cell()).array
    same = torch.ones(READS, 6)
    one, other = array.forward(same), array.forward(same)
    both = torch.cat([one, other], dim=1).T
    correlation = torch.corrcoef(both) - torch.eye(8)
    assert correlation.abs().max() < 5 / READS**0.5


def test_frozen_noise_is_one_set_of_devices_until_the_next_phase() -> None:
    case = noisy(Dense((6,), (4,)), Cell(), frozen=True)
    eyes = torch.eye(6), torch.eye(4)
    seen = []
    for _ in range(2):
        case.array.begin_phase()
        forward, transposed = case.array.forward(eyes[0]), case.array.transpose(eyes[1])
        assert torch.equal(forward, case.array.forward(eyes[0]))
        torch.testing.assert_close(transposed.T, forward)  # one device deviates alike in both directions
        seen.append(forward)
    assert not torch.equal(*seen)


def test_conversions_are_counted_over_all_phases() -> None:
    case = noisy(Dense((6,), (4,)), Cell(), frozen=True)
    adc = Adc(bits=6)
    errors = ChannelErrors.draw(adc, (2, 4), torch.Generator())
    digitiser = build_digitiser(adc, torch.full((2, 1), 20.0), [4], 1, errors)
    periphery: dict[Direction, Periphery] = {"forward": Periphery(IDEAL.driver, digitiser), "transposed": IDEAL}
    lines = case.array.lines
    stream = NoiseStream(np.random.SeedSequence(1))
    array = Array(case.low, ((0, 4),), case.encoding, lines, periphery, stream, frozen=True)
    for _ in range(3):
        array.begin_phase()
        array.forward(torch.ones(10, 6))
    assert array.conversions("forward").made == 3 * 10 * 4 * 2  # phases, images, columns, tiles of rows


def test_frozen_noise_spreads_as_fresh_noise_does() -> None:
    case = noisy(Dense((6,), (4,)), Cell(), frozen=True)
    drive = torch.randn(1, 6, generator=torch.Generator().manual_seed(3))
    phases = []
    for _ in range(4000):
        case.array.begin_phase()
        phases.append(case.array.forward(drive)[0])
    slow = torch.einsum("r,nrc->nc", drive[0], case.perturbed_weights(4))
    ratio = torch.stack(phases).var(0) / slow.var(0)
    torch.testing.assert_close(ratio, torch.ones(4), rtol=5 * (2 / 4000) ** 0.5, atol=0)


def in_row_order(low: ConvLowering, rows: Tensor) -> Tensor:
    """[batch, channel-major rows, positions] in the lowering's own order."""
    if low.order == "channel-major":
        return rows
    return rows.view(len(rows), low.pre_shape[0], low.taps, -1).transpose(1, 2).flatten(1, 2)


def in_channel_order(low: ConvLowering, rows: Tensor) -> Tensor:
    """The inverse of :func:`in_row_order`."""
    if low.order == "channel-major":
        return rows
    return rows.view(len(rows), low.taps, low.pre_shape[0], -1).transpose(1, 2).flatten(1, 2)
