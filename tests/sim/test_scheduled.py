"""Truth: the chip's own relaxation in the network's order, where neither noise nor dither can tell them apart."""

from __future__ import annotations

import pytest
import torch

import mapping
from eqprop import FixedPoint, models
from mapping import Target
from sim import Chip
from sim.scheduled import Scheduled

QUIET = ("read.noise=off", "adc.bits=6", "dac.bits=5")


def compiled(name: str, copies: int = 0, **options: object) -> mapping.Mapping:
    network = models.build(name, classes=3, channels=1, size=6, **options)  # type: ignore[arg-type]
    target = Target.load("rram-hfo2", (16, 16), QUIET)
    low_rank = "keep" if name == "bilinear" else "auto"
    made = mapping.compile(network, target, low_rank=low_rank)
    return mapping.compile(network, target, low_rank=low_rank, budget=made.crossbars + copies) if copies else made


@pytest.mark.parametrize(
    "made",
    [
        compiled("hopfield-resnet", width=0.08),
        compiled("hopfield-resnet", copies=20, width=0.08),
        compiled("bilinear", units=10, modules=3, rank=2),
        compiled("mlp", width=0.03),
    ],
    ids=["resnet", "copies", "chains", "mlp"],
)
def test_the_order_of_reads_changes_nothing_without_noise(made: mapping.Mapping) -> None:
    one, other = (Chip(made, seed=2) for _ in range(2))
    x, label = torch.rand(2, *made.network.input_shape), torch.tensor([0, 2])
    free = [chip.relax(x, dynamics=kind("coloured", 4, 0.0)) for chip, kind in ((one, FixedPoint), (other, Scheduled))]
    nudged = [
        chip.relax(x, target=label, beta=-0.3, start=found.states, dynamics=kind("coloured", 3, 0.0))
        for chip, kind, found in zip((one, other), (FixedPoint, Scheduled), free, strict=True)
    ]
    for ours, theirs in (free, nudged):
        assert ours.sweeps == theirs.sweeps
        assert ours.residuals == pytest.approx(theirs.residuals, abs=1e-7)
        for name, states in ours.states.items():
            assert torch.equal(states, theirs.states[name]), name


def test_it_stops_once_no_state_moves() -> None:
    chip = Chip(compiled("mlp", width=0.03), seed=2)
    found = chip.relax(torch.rand(1, 1, 6, 6), dynamics=Scheduled("coloured", 200, 1e-6))
    assert found.converged
    assert found.sweeps < 200


def test_what_the_controller_does_not_do_is_refused() -> None:
    made = compiled("mlp", width=0.03)
    with pytest.raises(ValueError, match="expected one chip"):
        Chip(made, chips=2).relax(torch.rand(1, 1, 6, 6), dynamics=Scheduled("coloured", 2, 0.0))
    with pytest.raises(ValueError, match="expected one chip"):
        made.network.relax(torch.rand(1, 1, 6, 6), dynamics=Scheduled("coloured", 2, 0.0))
    readout = models.build("mlp", classes=3, channels=1, size=6, width=0.03, cost="cross-entropy")
    with_readout = mapping.compile(readout, Target.load("rram-hfo2", (16, 16), QUIET))
    with pytest.raises(ValueError, match="neither max pooling nor a readout"):
        Chip(with_readout).relax(torch.rand(1, 1, 6, 6), dynamics=Scheduled("coloured", 2, 0.0))
