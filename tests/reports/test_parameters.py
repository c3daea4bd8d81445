"""Parameter rows against the target's own model and the comments of the preset files."""

from __future__ import annotations

import pytest

import mapping
from mapping.target import preset_names
from reports.parameters import leaves, parameters


@pytest.mark.parametrize("name", preset_names("targets"))
def test_every_parameter_has_a_row_with_a_source(name: str) -> None:
    target = mapping.Target.load(name)
    keys = {".".join(key) for key, _ in leaves(target.model_dump())}
    rows = parameters(target)
    titles = {"name", "source", "device.name", "device.source"}
    checks = {key for key in keys if key.startswith("device.test_points")}
    assert checks or name == "ideal"
    assert {row.key for row in rows} == keys - titles - checks
    assert all(row.value and row.source for row in rows)
    assert not any(row.changed for row in rows)


def test_values_carry_units_and_presets_their_remarks() -> None:
    rows = {row.key: row for row in parameters(mapping.Target.load("rram-hfo2"))}
    assert rows["device.g_max_siemens"].value == "40 µS"
    assert "check before citing" in rows["device.g_min_siemens"].source
    assert rows["device.drift.sigma_siemens"].value.startswith("0.348, 16.03, -43.853, 45.393, -16.815 µS; ")
    assert "Spread around the target" in rows["device.drift.model"].source
    assert rows["adc.bits"].source == "8 bits as ISAAC and PUMA"
    assert rows["device.stuck.low"].source == "default"
    assert rows["controller.clock_hz"].value == "100 MHz"
    assert rows["chip.mesh"].value == "none: crossbars are not placed"


def test_pcm_reads_in_its_own_units() -> None:
    rows = {row.key: row.value for row in parameters(mapping.Target.load("pcm-gst"))}
    assert rows["device.read_noise.read_time_s"] == "250 ns"
    assert rows["device.reference_time_s"] == "20 s"
    assert rows["dac.full_scale_volt"] == "200 mV"


def test_settings_that_depart_from_the_preset_say_so() -> None:
    target = mapping.Target.load(
        "rram-hfo2", crossbar=(64, 128), overrides=["device.g_max_siemens=30e-6", "adc.bits=null"]
    )
    rows = {row.key: row for row in parameters(target)}
    assert [key for key, row in rows.items() if row.changed] == ["crossbar.rows", "device.g_max_siemens", "adc.bits"]
    assert rows["device.g_max_siemens"].source == "set for this mapping; the preset has 40 µS"
    assert rows["adc.bits"].value == "ideal, not quantised"


def test_a_target_of_ones_own_cites_its_own_source() -> None:
    target = mapping.Target.load("rram-hfo2", overrides=["name=mine", "device.name=ours", "adc.bits=5"])
    rows = [row for row in parameters(target) if not row.key.startswith("costs.")]
    assert not any(row.changed for row in rows)
    assert {row.source for row in rows} == {"as stated for the target", "as cited for the device"}


def test_another_device_model_is_compared_key_by_key() -> None:
    target = mapping.Target.load("rram-hfo2", overrides=["device.drift={model: none}"])
    rows = {row.key: row for row in parameters(target)}
    assert rows["device.drift.model"].value == "none"
    assert rows["device.drift.model"].changed
    assert "device.drift.ages_s" not in rows


def test_prices_carry_units_and_their_own_presets_remarks() -> None:
    rows = {row.key: row for row in parameters(mapping.Target.load("rram-hfo2", overrides=["costs.mac_j=2e-13"]))}
    assert (rows["costs.pulse_j"].value, rows["costs.pulse_j"].source) == ("10 pJ", "[U] RRAM")
    assert rows["costs.line_farad_per_cell"].value == "0.134 fF"
    assert rows["costs.areas.controller_m2"].value == "10,000 µm²"
    assert rows["costs.processor.flop_per_s"].value == "312 TFLOP/s"
    assert [key for key, row in rows.items() if row.changed] == ["costs.mac_j"]
    assert rows["costs.mac_j"].source == "set for this mapping; the preset has 500 fJ"
    other = {row.key: row for row in parameters(mapping.Target.load("rram-hfo2", overrides=["costs=ecram-analog"]))}
    assert other["costs.pulse_j"].value == "100 fJ"
    assert not any(row.changed for row in other.values())
