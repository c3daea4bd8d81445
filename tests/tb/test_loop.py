"""Truth: ``sim`` in the order of the schedule (:mod:`tb.reference`), for whole EP steps with read noise on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hw.clocks import Times, step_clocks
from hw.link import link
from hw.register_map import EVENTS
from mapping import Mapping
from sim import Chip
from sim.scheduled import Scheduled
from tb.arrays import Arrays, WrongDriveError, image_of, words_of
from tb.loop import FastLoop
from tb.reference import Reference, random_samples
from tb.traffic import ControllerError, fields, packed_codes
from tests.tb.cases import CASES

SAMPLES, SWEEPS, BETA = 4, (2, 2), 0.25


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Reads of one sample are too small to share."""
    torch.set_num_threads(1)


def loop_of(made: Mapping) -> FastLoop:
    loop = FastLoop(made, Chip(made, seed=0))
    if made.target.dac.dither:  # the register goes on from step to step, as the chip's does
        seed = Chip(made, seed=0).streams[0].dither.lfsr.seed
        loop.carry_out([loop.host.register("lfsr", loop.host.fields("lfsr", {"seed": seed, "load": 1}))])
    return loop


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_states_after_every_phase_are_the_simulator_s(name: str) -> None:
    made = CASES[name]()
    assert name != "bilinear" or any(len(chain) == 2 for chain in made.chains.values())
    assert name != "copies" or any(len(matrix.replicas) > 1 for matrix in made.matrices.values())
    loop, reference = loop_of(made), Reference(Chip(made, seed=0), BETA, SWEEPS)
    for x, label in random_samples(made, SAMPLES, seed=1):
        step = loop.step(x, label, BETA, SWEEPS)
        assert step.gradients
        assert step.difference(reference.step(x, label)) == ""


@pytest.mark.slow
def test_gradients_that_are_asked_for_and_never_come_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = loop_of(CASES["perceptron"]())
    settings = loop.host.settings
    monkeypatch.setattr(loop.host, "settings", lambda *given: settings(*given[:3], False, *given[4:]))
    x, label = next(random_samples(loop.mapping, 1, seed=1))
    with pytest.raises(AssertionError, match="a weight's gradient twice or never"):
        loop.step(x, label, BETA, SWEEPS)


@pytest.mark.slow
def test_registers_change_what_they_say() -> None:
    made = CASES["resnet"]()
    loop = loop_of(made)
    x, label = next(random_samples(made, 1, seed=1))
    step = loop.step(x, label, BETA, SWEEPS, gradients=False)
    assert step.counters["phases"] == 3
    assert step.counters["sweeps"] == SWEEPS[0] + 2 * SWEEPS[1]
    beats = sum(
        row["sense_count"] * row["rows"] * row["columns"] * times
        for row, times in zip(loop.linked.reads, read_counts(loop), strict=True)
    )
    assert step.counters["beats"] == beats
    # Slower arrays take longer, and change nothing else: the next sample's noise is another, so ask a fresh chip.
    other = loop_of(made)
    other.times(settle=9, convert=5)
    slower = other.step(x, label, BETA, SWEEPS, gradients=False)
    assert slower.counters["cycles"] > step.counters["cycles"]
    assert slower.difference(step) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet", "bilinear", "copies", "averaged"])
def test_steps_take_the_clocks_that_the_formula_says(name: str) -> None:
    made = CASES[name]()
    loop = FastLoop(made, Chip(made, seed=0), check=False)
    x, label = next(random_samples(made, 1, seed=1))
    loop.step(x, label, BETA, (1, 1), gradients=False)  # the first step clears the sums
    times = Times.of(loop.config)
    for settle, integrate, convert, discharge in (((0, 0), 0, (1, 1), 0), ((9, 2), 3, (5, 1), 4)):
        times = dataclasses.replace(times, settle=settle, integrate=integrate, convert=convert, discharge=discharge)
        loop.times(settle=settle[0], transposed_settle=settle[1], integrate=integrate, discharge=discharge)
        loop.times(convert=convert[0], transposed_convert=convert[1])
        for sweeps in ((1, 1), (3, 2)):
            step = loop.step(x, label, BETA, sweeps, gradients=False)
            assert step.counters["cycles"] == step_clocks(loop.linked, times, *sweeps)


def read_counts(loop: FastLoop) -> list[int]:
    """How often each row of reads is read in a step, counted in the program."""
    counts, inside = [0] * len(loop.linked.reads), 1
    phase = [SWEEPS[0], SWEEPS[1]]
    for word in loop.linked.program:
        if word.opcode.name == "LOOP":
            inside = phase[word.flags - 1]
        elif word.opcode.name == "END":
            inside = 1
        elif word.opcode.name == "READ":
            counts[word.index] += inside
    return counts


@pytest.mark.slow
def test_a_phase_ends_early_once_no_state_moves() -> None:
    # Without noise and with coarse states the perceptron stands still after a few sweeps.
    made = CASES["perceptron"]()
    quiet = made.target.model_copy(update={"read": made.target.read.model_copy(update={"noise": "off"})})
    made = dataclasses.replace(made, target=quiet)
    loop, chip = loop_of(made), Chip(made, seed=0)
    x, label = next(random_samples(made, 1, seed=1))
    found = chip.relax({name: value[None] for name, value in x.items()}, dynamics=Scheduled("coloured", 50, 1e-12))
    assert found.sweeps < 50
    step = loop.step(x, label, BETA, (50, 50), gradients=False, early_stop=True)
    assert step.counters["sweeps"] < 100
    assert (step.phases[0]["h1"] == Reference(chip, BETA, (1, 1)).codes("h1", found.states["h1"])).all()


@pytest.mark.slow
def test_a_wrong_hash_or_an_unknown_word_is_seen_by_the_host() -> None:
    loop = loop_of(CASES["perceptron"]())
    assert loop.register("config_hash") == loop.config.hash
    loop.carry_out([loop.host.rows_write("program", 0, [0xEE << 56])])
    x, label = next(random_samples(loop.mapping, 1, seed=1))
    with pytest.raises(ControllerError, match="expected done"):
        loop.step(x, label, BETA, SWEEPS)
    seen = loop.register("interrupt_status")
    names = [name for name, _ in EVENTS]
    assert seen >> names.index("error") & 1
    assert seen >> names.index("aborted") & 1


def test_arrays_notice_wrong_drives() -> None:
    made = CASES["resnet"]()
    linked = link(made)
    arrays = Arrays(Chip(made, seed=0), linked)
    row = next(n for n, name in enumerate(linked.read_names) if name[:2] == ("h1_h2", "forward"))
    fed = np.random.default_rng(0).integers(0, 200, (linked.reads[row]["feed_words"], linked.lanes))
    answer = arrays.answer(row, fed)
    with pytest.raises(WrongDriveError, match="beats: expected"):
        arrays.check_drive(answer, np.zeros((1, 4 + linked.drive_lanes), np.int64))


def test_words_and_images_are_inverse() -> None:
    for shape in ((5,), (3, 4, 2), (8, 1, 1)):
        image = np.random.default_rng(0).integers(-9, 9, shape)
        assert (image_of(words_of(image, 4), shape) == image).all()


def test_fields_of_payloads_come_back() -> None:
    codes = np.random.default_rng(0).integers(-128, 128, (7, 8))
    assert (fields(packed_codes(codes, 8), [8] * 8, set()) == codes).all()
