"""Truth: beats slot by slot on plain integers; for whole EP steps ``sim``'s trains at ``sim``'s own states."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from hw.config import ControllerConfig
from mapping import Mapping
from mapping.dither import Lfsr
from mapping.fixed_point import codes_of_layer
from sim import Chip
from sim.learning.registers import RegisterTrains
from tb.loop import FastLoop
from tb.pulses import PulseCounter, golden
from tb.reference import Reference, random_samples
from tb.traffic import ControllerError, words_of_numbers
from tests.tb.cases import CASES

CONFIG = ControllerConfig.preset("tiny")
BITS = {"crossbar": 1, "is_row": 1, "line": 4, "stride": 4, "mask": 2, "pulses": 2, "negative": 2, "last": 1}


def words(beats: list[dict[str, int]]) -> np.ndarray:
    """The first field at bit 0."""
    numbers = []
    for beat in beats:
        number = at = 0
        for name, bits in BITS.items():
            number |= beat[name] << at
            at += bits
        numbers.append(number)
    return words_of_numbers(numbers, sum(BITS.values()))


def random_slots(count: int, seed: int) -> list[dict[str, int]]:
    """Slots of two groups of rows and one of columns; every line once."""
    draw, beats = random.Random(seed), []
    for _ in range(count):
        crossbar = draw.randrange(2)
        for group in range(3):
            mask = draw.randrange(1, 4)
            beats.append(
                {"crossbar": crossbar, "is_row": int(group < 2), "line": (15 + 4 * group) % 16, "stride": 2,
                 "mask": mask, "pulses": draw.getrandbits(2) & mask, "negative": draw.getrandbits(2) & mask,
                 "last": int(group == 2)}
            )  # fmt: skip
    return beats


def by_slot(beats: list[dict[str, int]]) -> tuple[Counter[Any], Counter[Any], int]:
    """Up and down pulses of (crossbar, row, column), and the slots in which there were any."""
    ways: dict[int, Counter[Any]] = {1: Counter(), -1: Counter()}
    met, sides = 0, {0: [], 1: []}  # type: ignore[var-annotated]
    for beat in beats:
        for lane in range(2):
            if beat["pulses"] >> lane & 1:
                line = (beat["line"] + lane * beat["stride"]) % 16
                sides[beat["is_row"]].append((line, -1 if beat["negative"] >> lane & 1 else 1))
        if beat["last"]:
            for row, sign in sides[1]:
                for column, other in sides[0]:
                    ways[sign * other][beat["crossbar"], row, column] += 1
            met += bool(sides[0] and sides[1])
            sides = {0: [], 1: []}
    return ways[1], ways[-1], met


def found(counts: np.ndarray) -> Counter[Any]:
    return Counter({tuple(place): int(counts[tuple(place)]) for place in np.argwhere(counts).tolist()})


def test_devices_move_where_a_row_and_a_column_pulse_in_one_slot() -> None:
    beats = random_slots(60, 0)
    up, down, met = by_slot(beats)
    assert 0 < met < 60
    counter = PulseCounter(CONFIG)
    for first in range(0, len(beats), 7):  # slots come in parts
        counter.take(words(beats[first : first + 7]))
    assert (found(counter.counts.up), found(counter.counts.down)) == (up, down)
    assert (counter.slots, counter.met) == (60, met)


def test_a_slot_that_was_aborted_does_not_count() -> None:
    beats = random_slots(6, 1)
    counter, other = PulseCounter(CONFIG), PulseCounter(CONFIG)
    counter.take(words(beats[:8]))
    assert len(counter.open) == 2
    counter.forget()
    counter.take(words(beats[9:]))
    other.take(words(beats[:6] + beats[9:]))
    assert counter.counts.equals(other.counts)
    assert counter.slots == other.slots == 5


@pytest.mark.parametrize("wrong", [{"crossbar": 1}, {"mask": 1, "pulses": 2}])
def test_a_slot_that_no_controller_should_give_is_refused(wrong: dict[str, int]) -> None:
    beats = [beat | {"crossbar": 0} for beat in random_slots(2, 2)]
    beats[3] |= wrong
    with pytest.raises(ControllerError):
        PulseCounter(CONFIG).take(words(beats))


def gains_of(made: Mapping, pulses: float) -> dict[str, float]:
    """So many where both states are the largest of their layers."""
    found = {}
    for edge in made.network.edges:
        ends = [codes_of_layer(made, layer) for layer in (edge.pre, edge.post)]
        assert all(ends)
        found[edge.name] = pulses / (ends[0].high * ends[1].high)  # type: ignore[union-attr]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fixed"), [("resnet", False), ("copies", True), ("perceptron", False)])
def test_ep_steps_pulse_what_sim_counts_at_its_own_states(name: str, fixed: bool) -> None:
    made, beta, sweeps = CASES[name](), 0.25, (2, 2)
    loop, reference = FastLoop(made, Chip(made, seed=0)), Reference(Chip(made, seed=0), beta, sweeps)
    trains = RegisterTrains(7, fixed, loop.config.lanes, 1.0, rows=Lfsr(seed=0xACE1))
    gains = gains_of(made, 20.0)
    loop.carry_out(loop.host.trains(trains, gains))
    loop.times(pulse=2, gap=1)
    for x, label in random_samples(made, 2, seed=1):
        loop.pulses = PulseCounter(loop.config)
        step = loop.step(x, label, beta, sweeps, pulses=True)
        phases = reference.step(x, label).phases
        clamped = {layer: loop.host.codes(layer, values) for layer, values in x.items()}
        wanted = golden(
            made, loop.linked, loop.config, trains, gains, *({**states, **clamped} for states in phases[1:])
        )
        assert wanted.up.any()
        assert wanted.down.any()
        assert loop.pulses.counts.equals(wanted)
        assert step.counters["pulses"] == loop.pulses.met
        assert loop.register("train_numbers") == trains.columns.seed << 16 | trains.rows.seed
