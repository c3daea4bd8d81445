"""Truth: the same matrix on one array with all outputs, and the devices of each copy looked at one by one."""

import pytest
import torch

import mapping
from eqprop import Conv2d, Edge, EnergyNetwork, FixedPoint, Layer, LowRank, SquaredError, models
from mapping import Target
from sim import Chip


def replicated(*overrides: str, preset: str = "rram-hfo2", budget: int | None = 40) -> mapping.Mapping:
    network = models.build("hopfield-resnet", classes=3, size=8, width=0.1)
    return mapping.compile(network, Target.load(preset, (24, 24), overrides), budget=budget)


def copied(mapped: mapping.Mapping) -> list[str]:
    return [name for name, matrix in mapped.matrices.items() if len(matrix.replicas) > 1]


def test_copies_are_devices_of_their_own() -> None:
    mapped = replicated()
    chip = Chip(mapped)
    assert copied(mapped)
    for name in copied(mapped):
        weights = [array.effective_weight() for array in chip.mapped(name).arrays[0].arrays]  # type: ignore[attr-defined]
        for number, weight in enumerate(weights):
            assert not any(torch.equal(weight, other) for other in weights[:number])
        regions = [replica.region for replica in mapped.matrices[name].replicas]
        counts = torch.tensor([region.positions for region in regions], dtype=torch.float64)
        mean = torch.stack([weight.double() for weight in weights]).permute(1, 2, 3, 4, 0) @ (counts / counts.sum())
        torch.testing.assert_close(chip.mapped(name).effective_weight().double(), mean, rtol=1e-5, atol=1e-6)


def test_each_output_is_read_by_its_own_copy() -> None:
    mapped = replicated("read.noise=off", "dac.bits=null", "adc.bits=null")
    chip = Chip(mapped)
    for name in copied(mapped):
        coupling, matrix = mapped.network.coupling(name), mapped.matrices[name]
        assert isinstance(coupling, Conv2d)
        pre = torch.randn(2, *coupling.pre_shape, generator=torch.Generator().manual_seed(0))
        found = chip.coupling(name).forward(pre)
        for replica, array in zip(matrix.replicas, chip.mapped(name).arrays[0].arrays, strict=True):  # type: ignore[attr-defined]
            own = torch.nn.functional.conv2d(pre, array.effective_weight(), None, coupling.stride, coupling.padding)
            here = (..., slice(*replica.region.vertical), slice(*replica.region.horizontal))
            torch.testing.assert_close(found[here], own[here], rtol=1e-4, atol=1e-5)


def test_copies_convert_as_often_as_one_array_does() -> None:
    """Every position is read once, whoever reads it."""
    single, several = replicated(budget=None), replicated()
    assert not copied(single)
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    dynamics = FixedPoint(max_sweeps=3, tolerance=0.0)
    chips = [Chip(single), Chip(several)]
    for chip in chips:
        chip.relax(x, dynamics=dynamics)
    for name in single.chains:
        for way in mapping.hardware.DIRECTIONS:
            made = [chip.conversions(name, way).made for chip in chips]
            assert made[0] == made[1] > 0 or (made == [0, 0] and name.startswith("input"))


def test_noise_of_copies_is_frozen_over_a_phase_and_drawn_anew_for_the_next() -> None:
    mapped = replicated("read.noise=phase")
    chip = Chip(mapped)
    name = copied(mapped)[0]
    coupling = chip.mapped(name)
    pre = torch.rand(1, *coupling.pre_shape, generator=torch.Generator().manual_seed(0))
    coupling.arrays[0].begin_phase()
    first, again = coupling.forward(pre), coupling.forward(pre)
    coupling.arrays[0].begin_phase()
    assert torch.equal(first, again)
    assert not torch.equal(first, coupling.forward(pre))


def low_rank_network() -> EnergyNetwork:
    layers = {"x": Layer((30,), (-1.0, 1.0)), "h": Layer((40,), (-1.0, 1.0)), "o": Layer((3,))}
    couplings = {"x_h": LowRank((30,), (40,), 3), "h_o": LowRank((40,), (3,), 2)}
    for seed, coupling in enumerate(couplings.values()):
        coupling.initialise(0.7, torch.Generator().manual_seed(seed))
    edges = [Edge("x_h", "x", "h"), Edge("h_o", "h", "o")]
    return EnergyNetwork(layers, ["x"], edges, couplings, SquaredError("o"))


@pytest.mark.parametrize(("mode", "matrices"), [("keep", 4), ("merge", 2)])
def test_factors_are_kept_or_multiplied_out(mode: str, matrices: int) -> None:
    mapped = mapping.compile(low_rank_network(), Target.load("ideal", (64, 64)), low_rank=mode)  # type: ignore[arg-type]
    assert len(mapped.matrices) == matrices
    weights = 30 * 3 + 3 * 40 + 40 * 2 + 2 * 3 if mode == "keep" else 30 * 40 + 40 * 3
    assert mapped.weights == weights


def test_auto_takes_fewer_conversions() -> None:
    # On 64 x 64: kept, x_h converts 3 + 40 forward and 3 + 30 * 1 back, 76 in all; merged 40 + 30 * 2 = 100 (two
    # crossbars side by side). h_o: kept 2 + 3 + 2 + 40 = 47, merged 3 + 40 = 43.
    mapped = mapping.compile(low_rank_network(), Target.load("ideal", (64, 64)))
    assert mapped.chains == {"x_h": ("x_h.V", "x_h.U"), "h_o": ("h_o",)}


def test_a_kept_bus_is_converted_and_driven_again() -> None:
    """With 4-bit converters the product of two quantised reads, formed here, is what comes out."""
    network = low_rank_network()
    target = Target.load("ideal", (64, 96), ["dac.bits=4", "adc.bits=4"])
    mapped = mapping.compile(network, target, low_rank="keep")
    chip = Chip(mapped)
    coupling = network.coupling("x_h")
    assert isinstance(coupling, LowRank)
    pre = torch.rand(5, 30, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def read(values: torch.Tensor, matrix: torch.Tensor, name: str) -> torch.Tensor:
        found = mapped.matrices[name]
        drive_step = found.rows_scale.full_scale / (7 if found.rows_scale.signed else 15)
        driven = (values / drive_step + 0.5).floor().clamp(-7, 15) * drive_step
        step = found.forward_full_scale / 7
        return ((driven @ matrix) / step + 0.5).floor().clamp(-7, 7) * step

    expected = read(read(pre, coupling.V.detach(), "x_h.V"), coupling.U.detach().T, "x_h.U")
    torch.testing.assert_close(chip.coupling("x_h").forward(pre), expected, rtol=1e-5, atol=1e-6)
