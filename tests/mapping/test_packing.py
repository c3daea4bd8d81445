"""Truth: every cell of every crossbar marked by the block that takes it, and the area that any packing needs."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.packing import Block, pack


def unnamed(sizes: list[tuple[int, int]]) -> list[Block]:
    return [Block(height, width) for height, width in sizes]


sizes = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=40)


@given(sizes, st.integers(12, 20), st.integers(12, 20))
def test_blocks_never_overlap_nor_leave_their_crossbar(blocks: list[tuple[int, int]], rows: int, columns: int) -> None:
    taken: set[tuple[int, int, int]] = set()
    places = pack(unnamed(blocks), rows, columns)
    for (height, width), place in zip(blocks, places, strict=True):
        top, left = place.at
        cells = {(place.crossbar, top + row, left + column) for row in range(height) for column in range(width)}
        assert not cells & taken
        assert top + height <= rows
        assert left + width <= columns
        taken |= cells
    used = {place.crossbar for place in places}
    assert used == set(range(len(used)))


@given(sizes, st.integers(12, 20), st.integers(12, 20))
def test_no_more_crossbars_than_blocks_and_no_fewer_than_their_area(
    blocks: list[tuple[int, int]], rows: int, columns: int
) -> None:
    used = 1 + max(place.crossbar for place in pack(unnamed(blocks), rows, columns))
    area = sum(height * width for height, width in blocks)
    assert math.ceil(area / (rows * columns)) <= used <= len(blocks)


def test_what_fills_crossbars_exactly_wastes_nothing() -> None:
    blocks = [(8, 8), (4, 8), (4, 8), (8, 4), (8, 4), (4, 4), (4, 4), (4, 4), (4, 4)]
    assert max(place.crossbar for place in pack(unnamed(blocks), 8, 8)) == 3


def test_the_same_blocks_go_to_the_same_places() -> None:
    blocks = [(3, 5), (2, 2), (3, 5), (7, 1), (1, 7)]
    assert pack(unnamed(blocks), 8, 8) == pack(unnamed(blocks), 8, 8)


def test_a_block_larger_than_a_crossbar_is_refused() -> None:
    with pytest.raises(ValueError, match="block 9x2: expected at most 8x8"):
        pack(unnamed([(1, 1), (9, 2)]), 8, 8)


@given(sizes, st.lists(st.sampled_from(["a", "b", None]), min_size=40, max_size=40), st.integers(12, 20))
def test_blocks_of_one_name_never_share_a_crossbar(
    sizes: list[tuple[int, int]], names: list[str | None], side: int
) -> None:
    blocks = [Block(height, width, name) for (height, width), name in zip(sizes, names, strict=False)]
    places = pack(blocks, side, side)
    for name in ("a", "b"):
        held = [place.crossbar for block, place in zip(blocks, places, strict=True) if block.apart == name]
        assert len(held) == len(set(held))
    for number, (block, place) in enumerate(zip(blocks, places, strict=True)):
        for other, there in zip(blocks[:number], places[:number], strict=True):
            assert (
                place.crossbar != there.crossbar
                or place.at[0] >= there.at[0] + other.height
                or there.at[0] >= place.at[0] + block.height
                or place.at[1] >= there.at[1] + other.width
                or there.at[1] >= place.at[1] + block.width
            )
