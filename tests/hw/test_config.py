"""Truth: the target's own numbers, clocks of mapping.timing, lengths of the linked tables, and sums counted by hand."""

import dataclasses
import hashlib
import json
import math
from typing import Any

import pytest
import torch

import mapping
from eqprop import Conv2d, Dense, Edge, EnergyNetwork, FixedPoint, Layer, SquaredError, models
from hw.config import PRESETS, RANGES, ControllerConfig, overlaps, refuse_floats, terms
from hw.link import link
from mapping import Target
from mapping.fixed_point import state_steps
from mapping.timing import ReadTiming

FITTING = ["dac.bits=6", "adc.bits=7", "controller.state_bits=12"]
TINY, DIGITS = 0x47F64B2D, 0xCF4A7A37


def built(name: str, **options: Any) -> EnergyNetwork:
    network = models.build(name, **{"classes": 3, "size": 6, "channels": 1, **options})
    network.dynamics = FixedPoint(max_sweeps=4, tolerance=0.0)
    return network


def compiled(network: EnergyNetwork, *more: str, preset: str = "rram-hfo2") -> mapping.Mapping:
    return mapping.compile(network, Target.load(preset, (24, 24), [*FITTING, *more]))


HOPFIELD = {"width": 0.1}
BILINEAR = {"units": 6, "modules": 2, "rank": 2}


@pytest.mark.parametrize("preset", PRESETS)
def test_json_round_trips_and_is_canonical(preset: str) -> None:
    config = ControllerConfig.preset(preset)
    assert ControllerConfig.from_json(config.to_json()) == config
    shuffled = json.dumps(dict(reversed(json.loads(config.to_json()).items())), indent=3)
    assert ControllerConfig.from_json(shuffled).to_json() == config.to_json()
    assert config.hash == int(hashlib.sha256(config.to_json().encode()).hexdigest()[:8], 16)
    assert dataclasses.replace(config, clock_hz=int(config.clock_hz)).hash == config.hash


def test_hashes_do_not_change_between_versions() -> None:
    assert [ControllerConfig.preset(name).hash for name in ("tiny", "digits")] == [TINY, DIGITS]


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ControllerConfig)])
def test_the_hash_changes_with_any_field(field: str) -> None:
    config = ControllerConfig.preset("digits")
    value = getattr(config, field)
    other = 2 * value if field in ("lanes", "drive_lanes") else value + 1
    changed = dataclasses.replace(config, **{field: not value if isinstance(value, bool) else other})
    assert changed.hash != config.hash


@pytest.mark.parametrize("name", RANGES)
def test_whole_numbers_outside_their_range_are_refused_by_name(name: str) -> None:
    config, (low, high) = ControllerConfig.preset("digits"), RANGES[name]
    for value in (low - 1, high + 1, 8.0, True, None):
        with pytest.raises(ValueError, match=rf"^{name} .*: expected a whole number {low} \.\. {high}$"):
            dataclasses.replace(config, **{name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clock_hz": 0.0}, "clock_hz 0.0: expected"),
        ({"clock_hz": math.nan}, "clock_hz nan: expected"),
        ({"clock_hz": "fast"}, "clock_hz 'fast': expected"),
        ({"dither": 1}, "dither 1: expected true or false"),
        ({"accumulator_bits": 7}, "accumulator_bits 7: expected at least the ADC's 8"),
        ({"chained": 1}, "chained 1: expected true or false"),
        ({"lanes": 6}, "lanes 6: expected a power of two"),
        ({"drive_lanes": 20}, "drive_lanes 20: expected lanes times a power of two"),
        ({"drive_lanes": 24}, "drive_lanes 24: expected lanes times a power of two"),
    ],
)
def test_other_fields_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ControllerConfig.preset("digits"), **change)


def test_texts_that_are_no_configuration_are_refused() -> None:
    content = json.loads(ControllerConfig.preset("tiny").to_json())
    for wrong in ("[]", "{", json.dumps({**content, "wings": 2}), json.dumps({**content, "lanes": "two"})):
        with pytest.raises(ValueError, match=r"expected|Expecting"):
            ControllerConfig.from_json(wrong)
    with pytest.raises(ValueError, match="lanes"):
        ControllerConfig.from_json(json.dumps({key: value for key, value in content.items() if key != "lanes"}))
    with pytest.raises(ValueError, match="preset 'huge': expected one of tiny, digits"):
        ControllerConfig.preset("huge")


@pytest.mark.parametrize(("name", "options"), [("hopfield-resnet", HOPFIELD), ("bilinear", BILINEAR)])
def test_a_mapping_s_numbers(name: str, options: dict[str, Any]) -> None:
    more = ["controller.clock_hz=37e6", "controller.lanes=4", "adc.sharing=3", "read.discharge_s=3e-8"]
    mapped = compiled(built(name, **options), *more, "pulses.width_s=1.1e-7", "pulses.gap_s=0", "read.average=3")
    config, target, reads = ControllerConfig.from_mapping(mapped), mapped.target, mapped.timing.reads
    assert ControllerConfig.from_json(config.to_json()) == config
    assert (config.state_bits, config.dac_bits, config.adc_bits) == (12, 6, 7)
    assert (config.lanes, config.drive_lanes, config.adc_sharing, config.average) == (4, 16, 3, 3)
    assert (config.clock_hz, config.crossbars, config.lfsr_bits) == (37e6, mapped.crossbars, 16)
    # Rounded up to whole clocks of 27.03 ns: pulses of 110 ns, a discharge of 30 ns.
    assert (config.pulse_clocks, config.gap_clocks, config.discharge_clocks) == (5, 0, 2)
    assert config.settle_clocks == reads.clocks(target.dac.settle_s)
    linked = link(mapped)
    for table in ("reads", "drive", "sense", "tiles", "layers", "sources"):
        name = {"drive": "drive_beats", "sense": "sense_beats"}.get(table, f"{table.rstrip('s')}_rows")
        assert getattr(config, name) == len(getattr(linked, table))
    assert config.program_words == len(linked.program)
    assert config.state_words >= sum(
        math.ceil(layer.shape[0] / 4) * math.prod(layer.shape[1:]) for layer in mapped.network.layers.values()
    )
    assert config.chained == (len(mapped.matrices) > len(mapped.chains))


def test_clocks_put_together_are_those_of_mapping_timing() -> None:
    more = ["controller.clock_hz=73e6", "adc.time_s=61e-9", "read.time_s=55e-9", "dac.settle_s=123e-9"]
    target = compiled(built("hopfield-resnet", **HOPFIELD), *more).target
    back = {"transposed_adc": target.adc.model_copy(update={"time_s": 99e-9, "sharing": 2, "bits": 9})}
    back["transposed_dac"] = target.dac.model_copy(update={"settle_s": 7e-9, "bits": 5})  # type: ignore[assignment]
    mapped = mapping.compile(built("hopfield-resnet", **HOPFIELD), target.model_copy(update=back))
    config, reads = ControllerConfig.from_mapping(mapped), ReadTiming(mapped.target)
    rest = config.integrate_clocks + config.discharge_clocks
    forward = config.settle_clocks + rest + min(11, config.adc_sharing) * config.convert_clocks
    transposed = (
        config.transposed_settle_clocks
        + rest
        + min(7, config.transposed_adc_sharing) * config.transposed_convert_clocks
    )
    assert forward * config.average == reads.position_clocks("forward", True, 7, 11)
    assert transposed * config.average == reads.position_clocks("transposed", True, 7, 11)
    train = mapped.target.pulses.train * (config.pulse_clocks + config.gap_clocks)
    assert mapped.timing.learning_clocks % train == 0
    assert (config.transposed_adc_bits, config.transposed_dac_bits, config.dac_bits) == (9, 5, 6)


def test_accumulators_hold_a_sum_counted_by_hand() -> None:
    # 36 inputs in 2 blocks of rows of 24: forward 2 codes; 9 -> 3 transposed 1 code. Averaged 5 times: 10 codes.
    network = models.mlp([9], channels=1, size=6, classes=3)
    mapped = compiled(network, "read.average=5")
    assert terms(mapped, mapped.matrices["input_h1"], "forward") == 10
    assert terms(mapped, mapped.matrices["h1_output"], "transposed") == 5
    config = ControllerConfig.from_mapping(mapped)
    assert config.accumulator_bits == 7 + 4
    assert 10 * 2**6 <= 2 ** (config.accumulator_bits - 1) < 2 * 10 * 2**6


@pytest.mark.parametrize(("kernel", "stride", "most"), [(3, 1, 9), (3, 2, 4), (2, 2, 1), (1, 1, 1)])
def test_positions_that_overlap_in_one_pixel(kernel: int, stride: int, most: int) -> None:
    convolution = Conv2d((2, 7, 7), 2, kernel, stride, kernel // 2)
    layers = {
        "x": Layer((2, 7, 7), (-1.0, 1.0)),
        "h": Layer(convolution.post_shape, (0.0, 1.0)),
        "output": Layer((3,)),
    }
    dense = Dense(convolution.post_shape, (3,))
    for coupling in (convolution, dense):
        coupling.initialise(0.4, torch.Generator().manual_seed(0))
    network = EnergyNetwork(
        layers,
        ["x"],
        [Edge("x_h", "x", "h"), Edge("h_output", "h", "output")],
        {"x_h": convolution, "h_output": dense},
        SquaredError("output"),
        FixedPoint(max_sweeps=4, tolerance=0.0),
    )
    mapped = compiled(network)
    assert overlaps(mapped.matrices["x_h"]) == most
    assert overlaps(mapped.matrices["h_output"]) == 1
    tiles = {tile.columns for tile in mapped.matrices["x_h"].replicas[0].tiles}
    assert terms(mapped, mapped.matrices["x_h"], "transposed") == most * len(tiles)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["cell.encoding=offset"], "cell.encoding offset: expected differential"),
        (["cell.levels=4", "cell.slices=2"], "cell.slices 2: expected 1"),
        (["controller.state_bits=null"], r"controller.state_bits None: expected 4 \.\. 20"),
        (["controller.state_bits=22"], r"controller.state_bits 22: expected 4 \.\. 20"),
        (["dac.input=bit-serial"], r"dac.input \(forward\) bit-serial: expected parallel"),
        (["adc.range=tile"], r"adc.range \(forward\) tile: expected coupling"),
        (["pulses.width_s=1.0"], r"pulse_clocks 100000000: expected a whole number 1 \.\. 65535"),
    ],
)
def test_cells_and_times_beyond_the_controller_are_refused(settings: list[str], message: str) -> None:
    mapped = compiled(models.mlp([4], channels=1, size=2, classes=2), *settings)
    with pytest.raises(ValueError, match=message):
        ControllerConfig.from_mapping(mapped)


def test_ideal_converters_and_softmax_readouts_are_refused() -> None:
    network = models.mlp([4], channels=1, size=2, classes=2)
    ideal = mapping.compile(network, Target.load("ideal", (24, 24), ["controller.state_bits=12"]))
    with pytest.raises(ValueError, match=r"dac.bits \(forward\) None: expected a number"):
        ControllerConfig.from_mapping(ideal)
    softmax = models.build("mlp", classes=3, size=4, channels=1, cost="cross-entropy")
    with pytest.raises(ValueError, match=r"readout .*: expected the squared-error cost"):
        ControllerConfig.from_mapping(compiled(softmax))


@pytest.mark.parametrize(
    "setting",
    [
        "read.average=2",
        "adc.range=tile",
        "dac.input=bit-serial",
        "cell={levels: 4, slices: 2}",
        "cell.encoding=offset",
        "controller.state_bits=null",
        "controller.state_bits=20",
        "controller.state_bits=21",
    ],
)
def test_what_is_refused_is_what_the_simulator_adds_up_in_float(setting: str) -> None:
    network = models.build("hopfield-resnet", classes=3, size=6, channels=1, width=0.1)
    mapped = mapping.compile(network, mapping.Target.load("rram-hfo2", (24, 24), [setting]))
    whole = all(len(state_steps(mapped, matrix)) == 2 for matrix in mapped.matrices.values())
    if whole:
        refuse_floats(mapped)
    else:
        with pytest.raises(ValueError, match="expected"):
            refuse_floats(mapped)
