"""Truth: YAML written here, with the line of each mistake counted by hand; for presets, the files themselves."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eqprop import InputError
from mapping import Target
from mapping.device import Device
from mapping.target import preset_names

GOOD = """\
name: mine
crossbar: {rows: 64, columns: 32}
device:
  name: cell
  g_min_siemens: 1.0e-6
  g_max_siemens: 20.0e-6
  programming:
    model: gaussian
    sigma_siemens: [1.0e-7, 2.0e-7]
  drift: {model: none}
  read_noise: {model: relative, fraction: 0.02}
cell:
  encoding: offset
  levels: 16
adc: {bits: 6}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "target.yaml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str, *overrides: str) -> str:
    """The message with which ``text`` is refused, always one line."""
    path = write(folder, text)
    with pytest.raises(InputError) as error:
        Target.load(path, overrides=overrides)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(path), "FILE")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_cites_its_source(name: str) -> None:
    target = Target.load(name)
    assert target.name == name
    assert target.source
    assert target.device.source


def test_presets_are_what_we_ship() -> None:
    devices = ["ecram", "ideal", "pcm-gst", "pcm-hermes", "pcm-hermes-pair"]
    devices += ["rram-cmo", "rram-hfo2", "rram-milo", "sonos"]
    assert preset_names("devices") == devices
    assert set(preset_names()) >= set(devices)


def test_inline_device_and_defaults(tmp_path: Path) -> None:
    target = Target.load(write(tmp_path, GOOD))
    assert target.device.g_max_siemens == 20e-6
    assert (target.cell.encoding, target.cell.levels) == ("offset", 16)
    assert (target.adc.bits, target.dac.bits, target.controller.state_bits, target.chip.crossbars) == (6, *[None] * 3)


def test_crossbar_argument_replaces_the_files(tmp_path: Path) -> None:
    assert Target.load(write(tmp_path, GOOD), (7, 9)).crossbar.model_dump() == {"rows": 7, "columns": 9}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  levels: 16", "  level: 16", "FILE:14: unknown key cell.level (found 16)"),
        ("adc: {bits: 6}", "adcs: {bits: 6}", "FILE:15: unknown key adcs"),
        ("  name: cell", "  name: cell\n  colour: 3", "FILE:5: unknown key device.colour (found 3)"),
        ("    model: gaus", "    extra: 1\n    model: gaus", "FILE:8: unknown key device.programming.extra (found 1)"),
        ("crossbar: {", "crosbar: {", "FILE:2: unknown key crosbar"),
        ("rows: 64", "rows: many", "FILE:2: crossbar.rows: Input should be a valid integer"),
        ("rows: 64", "rows: 0", "FILE:2: crossbar.rows: Input should be greater than or equal to 1"),
        ("rows: 64, ", "", "FILE:2: crossbar.rows: Field required"),
        ("  g_max_siemens: 20.0e-6", "  g_max_siemens: .inf", "FILE:6: device.g_max_siemens: Input should be a finite"),
        ("2.0e-7]", "lots]", "FILE:9: device.programming.sigma_siemens.1: Input should be a valid number"),
        ("20.0e-6", "1.0e-6", "FILE:3: device: Value error, g_min_siemens 1e-06 and g_max_siemens 1e-06: expected min"),
        ("  levels: 16", "  levels: 1", "FILE:14: cell.levels: Input should be greater than or equal to 2 (found 1)"),
        ("  encoding: offset", "  encoding: pairs", "FILE:13: cell.encoding: Input should be 'differential' or 'off"),
        ("bits: 6", "bits: 17", "FILE:15: adc.bits: Input should be less than or equal to 16 (found 17)"),
        ("model: none", "model: ageing", "FILE:10: device.drift: Input tag 'ageing'"),
        ("  name: cell", "  name: cell\n  name: two", "FILE:5: key device.name appears twice (first on line 4)"),
        ("crossbar: {", "crossbar: {{", "FILE:3: not YAML: expected ',' or '}'"),
        ("name: mine", "name: 2001-13-45", "FILE: not YAML: month must be in 1..12"),
        ("name: mine", "name: &again [*again]", "FILE: nested without end"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert GOOD.count(old) == 1
    assert refusal(tmp_path, GOOD.replace(old, new)).startswith(expected)


@pytest.mark.parametrize("text", ["", "just words", "- 1\n- 2\n", "3"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text) == "FILE: expected a table of keys and values"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "target.yaml"
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(InputError, match=r"target\.yaml: cannot be read as text"):
        Target.load(path)


@pytest.mark.parametrize("source", ["nowhere.yaml", "pcm", "x" * 400, "", "a\nb"])
def test_a_name_that_is_neither_preset_nor_file_is_refused(source: str) -> None:
    with pytest.raises(InputError, match="no such preset or file: expected one of ecram, ideal, pcm-gst, "):
        Target.load(source)


def test_an_unknown_device_preset_is_refused(tmp_path: Path) -> None:
    assert "FILE:3: device 'memristor': no such preset or file" in refusal(
        tmp_path, "name: t\ncrossbar: {rows: 1, columns: 2}\ndevice: memristor\n"
    )


def test_a_device_file_is_checked_in_its_own_lines(tmp_path: Path) -> None:
    device = tmp_path / "device.yaml"
    device.write_text("name: d\ng_min_siemens: 0.0\ng_max_siemens: -1.0\n")
    text = f"name: t\ncrossbar: {{rows: 1, columns: 2}}\ndevice: {device}\n"
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=rf"{re.escape(str(device))}:3: g_max_siemens"):
        Target.load(path)


def test_overrides_apply_in_order(tmp_path: Path) -> None:
    given_in_order = ["adc.bits=8", "adc.bits=5", "dac.bits=4", "device.g_max_siemens=30e-6", "cell.levels=continuous"]
    target = Target.load(write(tmp_path, GOOD), overrides=given_in_order)
    assert (target.adc.bits, target.dac.bits, target.cell.levels) == (5, 4, "continuous")
    assert target.device.g_max_siemens == pytest.approx(30e-6)
    assert Target.load(write(tmp_path, GOOD), overrides=["device=pcm-gst"]).device == Target.load("pcm-gst").device


def test_a_target_whose_devices_are_not_ohmic_has_ideal_wires(tmp_path: Path) -> None:
    setting = "device.current={model: sinh, scale_volt: 0.3}"
    assert Target.load(write(tmp_path, GOOD), overrides=[setting]).device.current.model == "sinh"
    message = refusal(tmp_path, GOOD, setting, "wires.row_resistance_ohm=1")
    assert "expected an ohmic device or ideal wires" in message


def test_converters_of_transposed_reads_default_to_the_others(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    same, own = Target.load(path), Target.load(path, overrides=["transposed_adc.bits=9"])
    assert same.adc_of("transposed") == same.adc_of("forward") == same.adc
    assert (own.adc_of("forward").bits, own.adc_of("transposed").bits) == (6, 9)


def test_overrides_leave_presets_as_they_are() -> None:
    changed = Target.load("pcm-gst", overrides=["device.g_max_siemens=1e-3", "adc.bits=null"])
    assert changed.adc.bits is None
    assert Target.load("pcm-gst").device.g_max_siemens == 25e-6


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("adc.bits", "--set adc.bits: expected key.key=value"),
        ("=3", "--set =3: expected key.key=value"),
        ("adc..bits=3", "--set adc..bits=3: expected key.key=value"),
        ("adc.bits=[", "--set adc.bits=[: '[' is not a YAML value"),
        ("adc.bits=eight", "--set adc.bits=eight: Input should be a valid integer"),
        ("adc.bit=8", "--set adc.bit=8: Extra inputs are not permitted"),
        ("name.x=1", "--set name.x=1: Input should be a valid string"),
        ("device.g_min_siemens=1", "--set device.g_min_siemens=1: Value error, g_min_siemens 1 and g_max_siemens"),
        ("device=memristor", "--set device=memristor: device 'memristor': no such preset or file"),
        ("device.update=never", "FILE:3: update 'never': no such preset or file"),
        ("cell.slices=3", "--set cell.slices=3: Input should be 1, 2 or 4"),
        ("adc={gain_sigma: 0.1}", "--set adc={gain_sigma: 0.1}: Value error, gain_sigma without bits"),
        (
            "dac.input=bit-serial",
            "--set dac.input=bit-serial: Value error, input bit-serial and bow_lsb 0 without bits",
        ),
        (
            "wires.row_resistance_ohm=-1",
            "--set wires.row_resistance_ohm=-1: Input should be greater than or equal to 0",
        ),
        ("adc.full_scale_ampere=0", "--set adc.full_scale_ampere=0: Input should be greater than 0"),
        (
            "cell={levels: continuous, slices: 2}",
            "--set cell={levels: continuous, slices: 2}: Value error, slices 2 with",
        ),
        ("cell={levels: 300, slices: 4}", "--set cell={levels: 300, slices: 4}: Value error, levels 300 in 4 slices"),
        ("adc.bits=2001-13-45", "--set adc.bits=2001-13-45: '2001-13-45' is not a YAML value"),
    ],
)
def test_a_bad_override_is_named(tmp_path: Path, setting: str, expected: str) -> None:
    assert refusal(tmp_path, GOOD, setting).startswith(expected)


scalars = st.none() | st.booleans() | st.integers(-10, 300) | st.floats() | st.text(max_size=8) | st.dates()
keys = st.sampled_from(
    [*Target.model_fields, *Device.model_fields, "rows", "columns", "bits", "model", "encoding", "levels"]
) | st.text(max_size=4)
junk = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5))


def loads_or_says_why(path: Path) -> None:
    try:
        Target.load(path)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 (a target that loads is as good)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(keys, junk, max_size=8))
def test_junk_tables_are_refused_in_one_line(tmp_path: Path, content: dict[str, Any]) -> None:
    loads_or_says_why(write(tmp_path, yaml.safe_dump(content)))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, len(GOOD)), st.integers(0, 40))
def test_damaged_text_is_refused_in_one_line(tmp_path: Path, inserted: str, at: int, dropped: int) -> None:
    loads_or_says_why(write(tmp_path, GOOD[:at] + inserted + GOOD[at + dropped :]))


def test_noise_off_is_a_word_and_not_a_truth_value() -> None:
    assert Target.load("ideal", overrides=["read.noise=off"]).read.noise == "off"
