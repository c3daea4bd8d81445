"""Truth: Ohm's and Kirchhoff's laws. A column's current is the sum of voltage times conductance, in amperes."""

from __future__ import annotations

import pytest
import torch

import eqprop
from mapping import Target, compile


def test_an_adc_full_scale_in_amperes_is_the_current_of_that_partial_sum() -> None:
    network = eqprop.models.build("mlp", channels=1, size=4, width=0.02, seed=1)
    mapping = compile(network, Target.load("rram-hfo2", (64, 64)), torch.rand(32, 1, 4, 4))
    name = "input_h1"
    matrix, scale = mapping.matrices[name], mapping.layers["input"]
    drive = torch.rand(16) * scale.full_scale
    volts = drive / scale.full_scale * mapping.target.dac.full_scale_volt
    devices = mapping.matrix_of(name, mapping.conductances)
    amperes = volts @ (devices[:, 0::2] - devices[:, 1::2])
    partial_sums = drive @ network.coupling(name).effective_weight().T
    full_scale_ampere = mapping.adc_full_scales_ampere(name)[0]
    expected = partial_sums / matrix.forward_full_scale
    torch.testing.assert_close(amperes / full_scale_ampere, expected, rtol=1e-4, atol=1e-5)
    assert 1e-9 < full_scale_ampere < 1e-2
    assert full_scale_ampere == pytest.approx(float(amperes[0] / expected[0]), rel=1e-3)
