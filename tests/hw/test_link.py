"""Truth: the lowering's own gathers (``rows_by_position``, ``columns_by_position``), and addresses counted by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mapping
from eqprop import EnergyNetwork, models
from hw.beats import Beat, Side, groups, side_of_columns, side_of_rows, words
from hw.config import ControllerConfig
from hw.image import contents, lanes_of, lanes_word, word_bits
from hw.link import Linked, link
from hw.tables import Tables, packed
from mapping import Target
from mapping.program import Opcode, assemble
from tests.mapping.graphs import networks

FITTING = ["dac.bits=6", "adc.bits=7", "controller.state_bits=12"]


def compiled(network: EnergyNetwork, size: tuple[int, int], lanes: int, **options: Any) -> mapping.Mapping:
    return mapping.compile(network, Target.load("rram-hfo2", size, [*FITTING, f"controller.lanes={lanes}"]), **options)


def can_run(network: EnergyNetwork) -> bool:
    """Whether the controller does what the network needs."""
    joined = {end for e in network.edges if e.pre in network.free for end in (e.pre, e.post)}
    pools = any(edge.pool for edge in network.edges)
    return not pools and network.cost.readout is None and set(network.free) <= joined


def beats_of(beats: tuple[Beat, ...], first: int) -> list[Beat]:
    found = list(itertools.takewhile(lambda beat: not beat.last, beats[first:]))
    return [*found, beats[first + len(found)]]


def gathered(image: np.ndarray, walk: dict[str, int], beats: list[Beat], row: dict[str, Any], lanes: int) -> dict:
    """What beats find in memory: {(position, tile, line): value}, zeros in the padding."""
    flat = np.zeros((image.shape[1], image.shape[2], groups(image.shape[0], lanes) * lanes), dtype=np.int64)
    flat[:, :, : image.shape[0]] = image.transpose(1, 2, 0)
    rows = flat.reshape(-1, lanes)
    found = {}
    for position in range(row["rows"] * row["columns"]):
        y, x = divmod(position, row["columns"])
        top, left = walk["top"] + y * walk["down"], walk["left"] + x * walk["across"]
        base = walk["base"] + y * walk["base_down"] + x * walk["base_across"]
        for beat in beats:
            inside = 0 <= top + beat.down < walk["height"] and 0 <= left + beat.across < walk["width"]
            for lane in range(lanes):
                if beat.mask >> lane & 1:
                    value = rows[base + beat.offset][lane] if inside else 0
                    found[position, beat.tile, beat.line + lane * beat.stride] = int(value)
    return found


@settings(max_examples=40, deadline=None)
@given(networks(), st.tuples(st.integers(4, 24), st.integers(4, 24)), st.sampled_from([1, 2, 4]), st.integers(0, 6))
def test_beats_gather_what_the_lowering_says(
    network: EnergyNetwork, size: tuple[int, int], lanes: int, spare: int
) -> None:
    if not can_run(network):
        return
    one = compiled(network, size, lanes)
    made = compiled(network, size, lanes, budget=one.crossbars + spare)
    linked = link(made)
    generator = torch.Generator().manual_seed(0)
    for row, (name, direction, number) in zip(linked.reads, linked.read_names, strict=True):
        matrix = made.matrices[name]
        replica, lowering = matrix.replicas[number], matrix.lowering
        forward = direction == "forward"
        driven = side_of_rows(lowering) if forward else side_of_columns(lowering)
        shape = lowering.shapes[0 if forward else 1]
        x = torch.randint(-9, 10, (1, *shape), generator=generator).float()
        part = lowering.part(replica.region) if len(matrix.replicas) > 1 else lowering
        if forward:
            seen = lowering.seen(x, replica.region) if len(matrix.replicas) > 1 else x
            truth = part.rows_by_position(seen)
        else:
            own = lowering.in_region(x, replica.region) if len(matrix.replicas) > 1 else x
            truth = part.columns_by_position(own)
        image = x[0].reshape(driven.image).numpy().astype(np.int64)
        beats = beats_of(linked.drive, row["drive_first"])
        found = gathered(image, row["drive"], beats, row, linked.drive_lanes)
        wanted = {}
        for tile_number, tile in enumerate(replica.tiles):
            first, last = tile.rows if forward else tile.columns
            for position, line in itertools.product(range(len(truth)), range(first, last)):
                wanted[position, tile_number, line - first] = int(truth[position, line])
        assert found == wanted
        assert len(beats) == row["drive_count"]


@settings(max_examples=40, deadline=None)
@given(networks(), st.tuples(st.integers(4, 24), st.integers(4, 24)), st.sampled_from([1, 2, 4]))
def test_every_sensed_line_of_every_turn_is_asked_for_once(
    network: EnergyNetwork, size: tuple[int, int], lanes: int
) -> None:
    if not can_run(network):
        return
    made = compiled(network, size, lanes)
    linked = link(made)
    for row, (name, direction, number) in zip(linked.reads, linked.read_names, strict=True):
        tiles = made.matrices[name].replicas[number].tiles
        beats = beats_of(linked.sense, row["sense_first"])
        asked = [
            (beat.tile, beat.line + lane * beat.stride)
            for beat in beats
            for lane in range(lanes)
            if beat.mask >> lane & 1
        ]
        spans = [tile.columns if direction == "forward" else tile.rows for tile in tiles]
        assert sorted(asked) == [(n, line) for n, span in enumerate(spans) for line in range(span[1] - span[0])]
        turn: set[int] = set()
        by_turn = []
        for beat in beats:
            turn.add(beat.tile)
            if beat.turn_last:
                by_turn.append(turn)
                turn = set()
        assert turn == set()
        for one in by_turn:
            crossbars = [tiles[tile].crossbar for tile in one]
            assert len(set(crossbars)) == len(crossbars), "two tiles of a crossbar in one turn"


def demo() -> tuple[mapping.Mapping, Linked]:
    made = compiled(models.build("hopfield-resnet", classes=3, size=6, width=0.1), (16, 16), 4)
    return made, link(made)


def test_reads_of_the_program_are_those_of_the_schedule() -> None:
    made, linked = demo()
    given = assemble(made).code
    wanted = [word for word in given if word.opcode == Opcode.READ]
    names = [name for chain in made.chains.values() for name in chain]
    found = [linked.read_names[word.index] for word in linked.program if word.opcode == Opcode.READ]
    assert found == [(names[w.index], "transposed" if w.flags else "forward", w.number) for w in wanted]
    assert [w.opcode for w in linked.program] == [w.opcode for w in given if w.opcode != Opcode.CLEAR]


def test_blocks_of_sums_of_one_layer_do_not_overlap() -> None:
    made, linked = demo()
    for name, layer in zip(made.network.free, linked.layers, strict=True):
        size = words(linked.places[name].image, linked.lanes)
        firsts = [s["first"] for s in linked.sources[layer["sources_first"] :][: layer["sources"]]]
        assert len(firsts) == layer["sources"] > 0
        taken = sorted(firsts)
        assert all(b - a >= size for a, b in itertools.pairwise(taken))
        assert taken[-1] + size <= linked.sizes["sum_words"]


def test_every_row_fits_its_table() -> None:
    made, linked = demo()
    config = ControllerConfig.from_mapping(made)
    tables, bits = Tables(config), word_bits(Tables(config))
    for name, rows in contents(linked, tables).items():
        assert all(0 <= row < 1 << bits[name] for row in rows)
    with pytest.raises(ValueError, match=r"crossbar 99999: expected 0 \.\. "):
        packed(tables.tiles, {"crossbar": 99999, "row": 0, "column": 0})
    with pytest.raises(ValueError, match="too many or too few"):
        packed(tables.tiles, {"crossbar": 0, "row": 0})


@given(st.lists(st.integers(-(2**11), 2**11 - 1), min_size=1, max_size=8).map(tuple))
def test_lanes_of_a_word_come_back(values: tuple[int, ...]) -> None:
    assert lanes_of(lanes_word(values, 12), len(values), 12, signed=True) == values


def test_what_the_controller_does_not_do_is_refused_by_name() -> None:
    pooled = models.build("vgg5", classes=3, size=32, width=0.02)
    with pytest.raises(ValueError, match=r"coupling .*: max pooling: expected none"):
        link(compiled(pooled, (64, 64), 2))


def test_flat_rows_of_an_image_are_places_of_a_window_as_large_as_it() -> None:
    side = Side((2, 2, 3), (0, 0), (0, 0), tuple((c, y, x) for c in range(2) for y in range(2) for x in range(3)))
    assert side.groups(2) == 1
    assert words(side.image, 2) == 6
