"""Truth: every byte of every moment marked by the buffer that holds it, and sizes written out by hand."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mapping
from eqprop import Conv2d, CrossEntropy, Dense, Edge, EnergyNetwork, InputError, Layer, LowRank, MaxPool2d, SquaredError
from mapping.memory import Buffer, Memory, allocate, memory_for, parts_of, state_buffers
from tests.mapping.graphs import ideal_target, networks


@st.composite
def buffer_lists(draw: st.DrawFn) -> list[Buffer]:
    moments = st.frozensets(st.tuples(st.sampled_from(["free", "nudged 1"]), st.integers(0, 3)))
    entries = draw(st.lists(st.tuples(st.integers(0, 40), moments), max_size=15))
    return [Buffer(f"b{number}", size, alive) for number, (size, alive) in enumerate(entries)]


def assert_nothing_shares_a_byte_while_alive(buffers: list[Buffer], memory: Memory) -> None:
    held: dict[tuple[Any, int], str] = {}
    for buffer in buffers:
        slot = memory.buffers[buffer.name]
        assert (slot.address % 4, slot.bytes) == (0, buffer.bytes)
        assert slot.address + slot.bytes <= memory.bytes
        for moment in buffer.moments:
            for byte in range(slot.address, slot.address + slot.bytes):
                assert held.setdefault((moment, byte), buffer.name) == buffer.name


@given(buffer_lists())
def test_buffers_alive_together_never_share_a_byte(buffers: list[Buffer]) -> None:
    memory = allocate(buffers)
    assert list(memory.buffers) == [buffer.name for buffer in buffers]
    assert_nothing_shares_a_byte_while_alive(buffers, memory)
    moments = {moment for buffer in buffers for moment in buffer.moments}
    alive = [sum(math.ceil(b.bytes / 4) * 4 for b in buffers if moment in b.moments) for moment in moments]
    assert memory.peak == max(alive, default=0)
    together = sum(math.ceil(b.bytes / 4) * 4 for b in buffers)
    assert memory.peak <= memory.bytes <= together


@settings(max_examples=25, deadline=None)
@given(networks(), st.sampled_from([None, 8, 9, 16, 17]), st.sampled_from(["+-", "+--+"]))
def test_networks_never_share_a_byte_and_never_need_less_than_the_peak(
    network: EnergyNetwork, state_bits: int | None, nudges: str
) -> None:
    made = compiled(network, state_bits=state_bits, nudges=nudges)
    buffers = buffers_of(made)
    memory = allocate(buffers)
    assert_nothing_shares_a_byte_while_alive(buffers, memory)
    assert memory.bytes >= memory.peak
    assert all(buffer.moments for buffer in buffers)


def compiled(network: EnergyNetwork, low_rank: Any = "keep", **controller: Any) -> mapping.Mapping:
    target = ideal_target(16, 16)
    with_these = target.controller.model_copy(update=controller)
    return mapping.compile(network, target.model_copy(update={"controller": with_these}), low_rank=low_rank)


def buffers_of(made: mapping.Mapping) -> list[Buffer]:
    return state_buffers(made.network, made.matrices, made.chains, made.schedule, made.target.controller)


def pooled_chain() -> EnergyNetwork:
    """x -pool-> a -pool-> b -low rank-> c, and a readout of c: each kind of buffer once, sizes all different."""
    layers = {
        "x": Layer((1, 8, 8)),
        "a": Layer((2, 4, 4), (0.0, 1.0)),
        "b": Layer((3, 2, 2), (0.0, 1.0)),
        "c": Layer((7,), (0.0, 1.0)),
    }
    pool = MaxPool2d(2, 2)
    edges = [Edge("xa", "x", "a", pool), Edge("ab", "a", "b", pool), Edge("bc", "b", "c")]
    couplings = {
        "xa": Conv2d((1, 8, 8), 2, 3, 1, 1),
        "ab": Conv2d((2, 4, 4), 3, 3, 1, 1),
        "bc": LowRank((3, 2, 2), (7,), 2),
        "readout": Dense((7,), (5,)),
    }
    return EnergyNetwork(layers, ["x"], edges, couplings, CrossEntropy("c", "readout", 5))


def test_sizes_by_hand() -> None:
    made = compiled(pooled_chain(), state_bits=12)
    assert {buffer.name: buffer.bytes for buffer in buffers_of(made)} == {
        "x.state": 64 * 2,
        "a.state": 32 * 2, "a.constant": 32 * 4, "a.drive": 32 * 4, "a.snapshot": 32 * 2, "a.captured": 32 * 2,
        "b.state": 12 * 2, "b.drive": 12 * 4, "b.snapshot": 12 * 2, "b.captured": 12 * 2,
        "c.state": 7 * 2, "c.drive": 7 * 4, "c.snapshot": 7 * 2, "c.captured": 7 * 2,
        "xa.sums": 2 * 64 * 4, "ab.sums": 3 * 16 * 4, "ab.maxima": 12,
        "bc.V.bus": 2 * 4, "readout.logits": 5 * 4,
    }  # fmt: skip


@pytest.mark.parametrize(("bits", "width"), [(4, 1), (8, 1), (9, 2), (16, 2), (17, 4), (24, 4), (None, 4)])
def test_a_state_takes_whole_bytes(bits: int | None, width: int) -> None:
    sizes = {buffer.name: buffer.bytes for buffer in buffers_of(compiled(pooled_chain(), state_bits=bits))}
    assert sizes["c.state"] == 7 * width
    assert sizes["c.snapshot"] == 7 * width
    assert sizes["c.drive"] == 7 * 4


@pytest.mark.parametrize(("kernel", "width"), [(16, 1), (17, 2)])
def test_the_place_of_a_maximum_takes_what_its_window_needs(kernel: int, width: int) -> None:
    layers = {"x": Layer((4,)), "a": Layer((1, kernel, kernel)), "b": Layer((1, 1, 1))}
    edges = [Edge("xa", "x", "a"), Edge("ab", "a", "b", MaxPool2d(kernel, kernel))]
    couplings = {"xa": Dense((4,), (1, kernel, kernel)), "ab": Conv2d((1, kernel, kernel), 1, 1)}
    network = EnergyNetwork(layers, ["x"], edges, couplings, SquaredError("b"))
    assert {b.name: b.bytes for b in buffers_of(compiled(network))}["ab.maxima"] == width


def test_lifetimes_by_hand() -> None:
    made = compiled(pooled_chain(), nudges="+-")
    steps = {layer: number for number, step in enumerate(made.schedule.steps, 1) for layer in step.layers}
    assert steps == {"a": 1, "c": 1, "b": 2}
    alive = {buffer.name: buffer.moments for buffer in buffers_of(made)}
    phases = ("free", "nudged 1", "nudged 2")
    assert alive["a.constant"] == {(phase, step) for phase in phases for step in (0, 1, 2)}
    assert alive["a.drive"] == {(phase, step) for phase in phases for step in (0, 1)}
    assert alive["b.drive"] == {(phase, 2) for phase in phases}
    assert alive["a.snapshot"] == {
        ("answer", 0),
        *(("nudged 1", n) for n in range(3)),
        ("capture 1", 0),
        ("nudged 2", 0),
    }
    assert alive["a.captured"] == {("capture 1", 0), *(("nudged 2", n) for n in range(3)), ("contrast 1", 0)}
    assert alive["xa.sums"] == {(phase, 0) for phase in phases}
    assert alive["ab.sums"] == {(phase, step) for phase in phases for step in (0, 2)}
    assert alive["ab.maxima"] == alive["a.constant"]
    assert alive["bc.V.bus"] == {(phase, step) for phase in phases for step in (1, 2)}
    assert alive["readout.logits"] == {("answer", 0), ("nudged 1", 1), ("nudged 2", 1)}
    everything = {moment for moments in alive.values() for moment in moments}
    assert alive["x.state"] == alive["c.state"] == everything


def test_parts_of_an_ep_step() -> None:
    assert parts_of("+--+") == (
        "free", "answer", "nudged 1", "capture 1", "nudged 2", "contrast 1",
        "nudged 3", "capture 2", "nudged 4", "contrast 2",
    )  # fmt: skip


def test_too_small_a_memory_is_refused_with_the_figures() -> None:
    made = compiled(pooled_chain())
    arguments = made.network, made.matrices, made.chains, made.schedule
    need = memory_for(*arguments, made.target).bytes
    assert need == allocate(buffers_of(made)).bytes

    def with_memory(memory_bytes: int) -> mapping.Target:
        update = {"memory_bytes": memory_bytes}
        return made.target.model_copy(update={"controller": made.target.controller.model_copy(update=update)})

    assert memory_for(*arguments, with_memory(need)).bytes == need
    message = f"controller.memory_bytes is {need - 5} but the states of one sample need {need}, 5 more"
    with pytest.raises(InputError, match=message):
        memory_for(*arguments, with_memory(need - 5))


def test_impossible_buffers_are_refused() -> None:
    alive = frozenset({("free", 0)})
    with pytest.raises(ValueError, match="different names"):
        allocate([Buffer("a", 1, alive), Buffer("a", 2, alive)])
    with pytest.raises(ValueError, match="buffer a: -1 bytes"):
        allocate([Buffer("a", -1, alive)])
