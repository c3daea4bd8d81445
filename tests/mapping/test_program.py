"""Truth: the relaxation of eqprop itself, against a controller written here in Python that runs the program's bytes.

The interpreter (tests/truths/interpreter.py) decodes the image on its own and reads tile by tile; rounds are compared
with the schedule, and images are damaged one byte at a time.
"""

import dataclasses
import hashlib
import struct
from pathlib import Path
from typing import Any

import interpreter
import numpy as np
import pytest
import random_networks
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mapping
from eqprop import (
    Conv2d,
    Coupling,
    CrossEntropy,
    Edge,
    EnergyNetwork,
    FixedPoint,
    InputError,
    Layer,
    LowRank,
    MaxPool2d,
    models,
)
from mapping.program import OPERATIONS, Instruction, Opcode, Program, assemble, from_bytes, listing, to_bytes
from mapping.program.instructions import MINUS_ONE, TRANSPOSED
from tests.mapping.graphs import ideal_target, images_for, networks

BETA = 0.3

crossbars = st.tuples(st.integers(2, 24), st.integers(2, 24))


def compiled(network: EnergyNetwork, rows: int, columns: int, nudges: str = "+-", **choices: Any) -> mapping.Mapping:
    target = ideal_target(rows, columns)
    short = target.controller.model_copy(update={"free_sweeps": 3, "nudged_sweeps": 2, "nudges": nudges})
    return mapping.compile(network, target.model_copy(update={"controller": short}), **choices)


Images = torch.Tensor | dict[str, torch.Tensor]


def run(made: mapping.Mapping, x: Images) -> interpreter.Controller:
    given = x if isinstance(x, dict) else {made.network.inputs[0]: x}
    images = {name: value[0].double().numpy() for name, value in given.items()}
    return interpreter.Controller(to_bytes(assemble(made)), made.network, images, label(made.network), BETA).run()


def label(network: EnergyNetwork) -> int:
    return network.classes - 1


def ideal_phases(made: mapping.Mapping, x: Images) -> tuple[list[dict[str, torch.Tensor]], int]:
    """States after the free phase and after each nudged one, by eqprop, and the answer."""
    network, controller = made.network, made.target.controller
    free = network.relax(x, dynamics=FixedPoint("coloured", controller.free_sweeps, tolerance=0.0)).states
    target = torch.tensor([label(network)])
    nudged = [
        network.relax(
            x,
            target=target,
            beta=BETA if sign == "+" else -BETA,
            start=free,
            dynamics=FixedPoint("coloured", controller.nudged_sweeps, tolerance=0.0),
        ).states
        for sign in controller.nudges
    ]
    return [free, *nudged], int(network.logits(free).argmax(1))


def assert_same_phases(made: mapping.Mapping, seen: interpreter.Controller, x: Images) -> None:
    expected, answer = ideal_phases(made, x)
    assert len(seen.phases) == len(expected)
    for phase, states in zip(seen.phases, expected, strict=True):
        assert set(phase) == set(states)
        for name, state in states.items():
            np.testing.assert_allclose(phase[name], state[0].flatten().numpy(), rtol=0, atol=1e-9)
    assert seen.answer == answer


@settings(max_examples=60, deadline=None)
@given(
    networks(), crossbars, st.sampled_from(["+-", "+--+"]), st.sampled_from(["keep", "merge"]), st.integers(0, 12),
    st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_bytes_relax_as_the_network_does(
    network: EnergyNetwork, size: tuple[int, int], nudges: str, low_rank: str, spare: int, packed: bool, seed: int
) -> None:
    network = network.double()
    one_copy = compiled(network, *size, nudges, low_rank=low_rank, packed=packed)
    made = compiled(network, *size, nudges, low_rank=low_rank, packed=packed, budget=one_copy.crossbars + spare)
    x = images_for(network, 1, seed).double()
    seen = run(made, x)
    assume(seen.closest > 1e-9)  # nearly equal sums in a pooling window: which is larger is a matter of rounding
    assert_same_phases(made, seen, x)


@settings(max_examples=60, deadline=None)
@given(random_networks.networks(pooled="anywhere"), crossbars, st.sampled_from(["keep", "merge"]), st.integers(0, 99))
def test_bytes_relax_any_graph(network: EnergyNetwork, size: tuple[int, int], low_rank: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = {
        name: torch.rand(1, *network.layers[name].shape, generator=generator, dtype=torch.float64)
        for name in network.inputs
    }
    made = compiled(network, *size, low_rank=low_rank)
    seen = run(made, x)
    assume(seen.closest > 1e-9)
    assert_same_phases(made, seen, x)


def pooled_both_ways(first: str, second: str) -> EnergyNetwork:
    """x -pool-> large -pool-> small -low rank-> c, and a readout of low rank; a sweep starts with layer ``first``."""
    shapes = {"large": (2, 4, 4), "small": (3, 2, 2)}
    layers = {"x": Layer((1, 8, 8)), **{name: Layer(shapes[name], (-1.0, 1.0), 1.5) for name in (first, second)}}
    layers["c"] = Layer((7,), (0.0, 1.0), 2.0)
    pool = MaxPool2d(2, 2)
    edges = [Edge("x_large", "x", "large", pool), Edge("between", "large", "small", pool), Edge("to_c", "small", "c")]
    couplings: dict[str, Coupling] = {
        "x_large": Conv2d((1, 8, 8), 2, 3, 1, 1),
        "between": Conv2d((2, 4, 4), 3, 3, 1, 1),
        "to_c": LowRank((3, 2, 2), (7,), 2),
        "readout": LowRank((7,), (5,), 2),
    }
    network = EnergyNetwork(layers, ["x"], edges, couplings, CrossEntropy("c", "readout", 5)).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.5, 0.5, generator=generator)
    return network


@pytest.mark.parametrize(("first", "second"), [("large", "small"), ("small", "large")])
@pytest.mark.parametrize("nudges", ["+-", "+--+"])
def test_pooling_between_free_layers_in_both_update_orders(first: str, second: str, nudges: str) -> None:
    """With the pooled layer first, its maxima come from the prologue; else the first sweep has just read them."""
    network = pooled_both_ways(first, second)
    made = compiled(network, 12, 12, nudges, low_rank="keep", budget=40)
    assert len(made.matrices["between"].replicas) > 1
    in_prologue = {read.matrix for one in made.schedule.prologue for read in one}
    assert ("between" in in_prologue) is (first == "large")
    x = images_for(network, 1).double()
    seen = run(made, x)
    assert seen.closest > 1e-9
    assert_same_phases(made, seen, x)
    free, *nudged = seen.phases
    assert all(abs(phase["large"] - free["large"]).max() > 1e-6 for phase in nudged)


def small_network() -> EnergyNetwork:
    return models.build("hopfield-resnet", size=4, classes=3, width=0.1)


def expected_rounds(made: mapping.Mapping) -> list[set[tuple[str, bool, int]]]:
    """Every round of an EP step, from the schedule."""
    schedule, controller = made.schedule, made.target.controller
    free = [one for step in schedule.steps for one in step.rounds]
    nudged = [one for step in schedule.steps for one in step.rounds + step.nudged_rounds]
    rounds = [*schedule.prologue, *free * controller.free_sweeps, *schedule.answer]
    for _ in controller.nudges:
        rounds += [*schedule.prologue, *nudged * controller.nudged_sweeps]
    return [{(read.matrix, read.direction == "transposed", read.replica) for read in one} for one in rounds]


@settings(max_examples=15, deadline=None)
@given(networks(), crossbars, st.sampled_from(["+-", "+--+"]), st.integers(0, 12))
def test_rounds_are_those_of_the_schedule_and_contrasts_see_both_signs(
    network: EnergyNetwork, size: tuple[int, int], nudges: str, spare: int
) -> None:
    network = network.double()
    budget = compiled(network, *size, low_rank="keep").crossbars + spare
    made = compiled(network, *size, nudges, low_rank="keep", budget=budget)
    seen = run(made, images_for(network, 1).double())
    assert seen.rounds == expected_rounds(made)
    expected = []
    for second in range(2, len(nudges) + 1, 2):
        sign = 1 if nudges[second - 1] == "+" else -1
        expected += [(name, sign, second) for name in made.matrices]
    assert [(name, sign) for name, sign, _, _ in seen.contrasts] == [(name, sign) for name, sign, _ in expected]
    for (_, _, captured, states), (_, _, second) in zip(seen.contrasts, expected, strict=True):
        for layer in network.free:
            np.testing.assert_array_equal(captured[layer], seen.phases[second - 1][layer])
            np.testing.assert_array_equal(states[layer], seen.phases[second][layer])


@pytest.fixture(scope="module")
def program() -> Program:
    return assemble(compiled(small_network(), 16, 16))


@settings(max_examples=15, deadline=None)
@given(networks(), crossbars)
def test_images_come_back_whole(network: EnergyNetwork, size: tuple[int, int]) -> None:
    program = assemble(compiled(network, *size))
    again = from_bytes(to_bytes(program))
    assert again == program
    assert [list(getattr(again, table)) for table in ("buffers", "layers", "couplings", "matrices", "sections")] == [
        list(getattr(program, table)) for table in ("buffers", "layers", "couplings", "matrices", "sections")
    ]  # dictionaries are equal in any order, tables are not


@given(st.data())
def test_a_changed_byte_is_refused(program: Program, data: st.DataObject) -> None:
    image = bytearray(to_bytes(program))
    place = data.draw(st.integers(0, len(image) - 1))
    image[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InputError):
        from_bytes(bytes(image))


@given(st.data())
def test_an_image_cut_short_or_with_bytes_after_it_is_refused(program: Program, data: st.DataObject) -> None:
    image = to_bytes(program)
    with pytest.raises(InputError):
        from_bytes(image[: data.draw(st.integers(0, len(image) - 1))])
    with pytest.raises(InputError):
        from_bytes(image + data.draw(st.binary(min_size=1, max_size=9)))


def resealed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


@given(st.data())
def test_a_resealed_image_with_a_changed_byte_is_refused_or_another_program(
    program: Program, data: st.DataObject
) -> None:
    """Whatever the bytes say, what comes back is an InputError or a program that these bytes are the image of."""
    body = bytearray(to_bytes(program)[:-32])
    place = data.draw(st.integers(0, len(body) - 1) | st.integers(0, 60))
    body[place] ^= data.draw(st.integers(1, 255))
    image = resealed(bytes(body))
    try:
        changed = from_bytes(image)
    except InputError:
        return
    assert to_bytes(changed) == image


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (max(OPERATIONS) + 1 << 56, "opcode 17"),
        (Opcode.WAIT << 56 | 1, "WAIT with a bit set"),
        (Opcode.HALT << 56 | 1 << 48, "HALT with a bit set"),
        (Opcode.UPDATE << 56 | 60000 << 32, "UPDATE of row 60000"),
        (Opcode.END << 56, "END without LOOP"),
        (Opcode.LOOP << 56 | 2, "every LOOP closed"),
        (Opcode.LOOP << 56, "LOOP of 0"),
        (Opcode.ANSWER << 56 | 60000, "ANSWER of row 60000"),
        (Opcode.READ << 56 | 9999, "replica 9999"),
    ],
)
def test_words_that_mean_nothing_are_refused(program: Program, word: int, message: str) -> None:
    body = bytearray(to_bytes(program)[:-32])
    first = len(body) - 8 * len(program.code)
    body[first : first + 8] = struct.pack("<Q", word)
    with pytest.raises(InputError, match=message):
        from_bytes(resealed(bytes(body)))


@pytest.mark.parametrize(
    ("table", "field", "value", "message"),
    [
        ("layers", "state", 9999, "layers row 0: state 9999"),
        ("layers", "clip", (1.0, 1.0), "clip range"),
        ("couplings", "pre", 2**32 - 1, "couplings row 0: pre"),
        ("couplings", "matrices", 9999, "more matrices"),
        ("matrices", "kind", 2, "kind 2"),
        ("matrices", "row_order", 3, "row order 3"),
        ("matrices", "first_replica", 9999, "more replicas"),
        ("buffers", "address", 2**31, "beyond the memory"),
        ("sections", "first_word", 99999, "word 99999"),
    ],
)
def test_rows_that_mean_nothing_are_refused(program: Program, table: str, field: str, value: Any, message: str) -> None:
    rows = dict(getattr(program, table))
    first = next(iter(rows))
    rows[first] = dataclasses.replace(rows[first], **{field: value})
    image = to_bytes(dataclasses.replace(program, **{table: rows}))
    with pytest.raises(InputError, match=message):
        from_bytes(image)


def test_every_operation_has_one_word_and_back() -> None:
    assert set(OPERATIONS) == set(Opcode)
    for opcode, operation in OPERATIONS.items():
        one = Instruction(
            opcode, 7 if operation.index else 0, MINUS_ONE if operation.number else 0, sum(operation.flags)
        )
        assert Instruction.of_word(one.word) == one
    read = Instruction(Opcode.READ, index=0x0102, number=0x03040506, flags=TRANSPOSED)
    assert read.word == 0x0601_0102_0304_0506
    with pytest.raises(ValueError, match="expected index"):
        _ = Instruction(Opcode.READ, index=2**16).word


def test_tables_say_where_tiles_and_regions_are() -> None:
    network = small_network()
    plain = compiled(network, 16, 16)
    made = compiled(network, 16, 16, budget=plain.crossbars + 40)
    program = assemble(made)
    assert any(matrix.replicas > 1 for matrix in program.matrices.values())
    for name, matrix in made.matrices.items():
        row = program.matrices[name]
        assert list(program.couplings)[row.coupling] == matrix.coupling
        assert (row.rows, row.columns) == (matrix.lowering.rows, matrix.lowering.columns)
        for number, replica in enumerate(matrix.replicas):
            copy = program.replicas[row.first_replica + number]
            assert (copy.vertical, copy.horizontal) == (replica.region.vertical, replica.region.horizontal)
            tiles = program.tiles[copy.first_tile : copy.first_tile + copy.tiles]
            assert [(t.crossbar, t.at, t.rows, t.columns) for t in tiles] == [
                (t.crossbar, t.at, t.rows, t.columns) for t in replica.tiles
            ]


def test_the_listing_names_everything_and_repeats() -> None:
    made = compiled(small_network(), 16, 16, "+--+")
    program = assemble(made)
    text = listing(program)
    assert text == listing(from_bytes(to_bytes(assemble(made))))
    lines = [line for line in text.splitlines() if line and not line.startswith(";")]
    assert [int(line.split()[1], 16) for line in lines] == [one.word for one in program.code]
    assert [int(line.split()[0]) for line in lines] == list(range(len(program.code)))
    assert [line.split()[2] for line in lines] == [one.opcode.name for one in program.code]
    titles = [line for line in text.splitlines() if line.startswith("; ")][1:]
    assert titles == [f"; {name}" for name in program.sections]
    assert "; nudged phase 3 (- beta)" in titles
    for name in made.matrices:
        assert any(f" {name} transposed replica 0" in line for line in lines) or network_input(made, name)


def network_input(made: mapping.Mapping, matrix: str) -> bool:
    """Whether a matrix sits behind a clamped layer: nothing reads it back."""
    edges = {edge.name: edge for edge in made.network.edges}
    coupling = made.matrices[matrix].coupling
    return coupling in edges and edges[coupling].pre in made.network.inputs


def test_the_documented_table_is_the_decoders() -> None:
    page = (Path(__file__).parents[2] / "docs" / "microprogram.md").read_text()
    for operation in OPERATIONS.values():
        flags = ", ".join(operation.flags.values()) or "-"
        cells = [
            str(int(operation.opcode)),
            operation.opcode.name,
            operation.index or "-",
            operation.number or "-",
            flags,
        ]
        assert f"| {' | '.join(cells)} | {operation.meaning.replace('``', '`')} |" in page
