"""Truth: every product written out, and the ends of what states hold."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mapping.arithmetic import code_range
from mapping.arithmetic.contrast import contrast, contrast_bits, contrasts


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(1, 20), st.integers(0, 999))
def test_tensors_give_what_plain_integers_give(positions: int, rows: int, columns: int, bits: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    low, high = code_range(bits + 1, signed=True)
    x_plus, x_minus = (torch.randint(low, high + 1, (positions, rows), generator=draw) for _ in range(2))
    y_plus, y_minus = (torch.randint(low, high + 1, (positions, columns), generator=draw) for _ in range(2))
    found = contrasts(x_plus, y_plus, x_minus, y_minus)
    assert found.shape == (rows, columns)
    for row, column in itertools.product(range(rows), range(columns)):
        of = [each[:, number].tolist() for each, number in
              ((x_plus, row), (y_plus, column), (x_minus, row), (y_minus, column))]  # fmt: skip
        written_out = sum(of[0][p] * of[1][p] for p in range(positions))
        written_out -= sum(of[2][p] * of[3][p] for p in range(positions))
        assert found[row, column].item() == contrast(*of) == written_out


@pytest.mark.parametrize("bits", [1, 2, 5])
@pytest.mark.parametrize("positions", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("signs", list(itertools.product([False, True], repeat=2)))
def test_a_contrast_never_overflows(bits: int, positions: int, signs: tuple[bool, bool]) -> None:
    ends_of_x, ends_of_y = ((*code_range(bits, signed=signed), 0) for signed in signs)
    products = [x * y for x in ends_of_x for y in ends_of_y]
    largest = positions * (max(products) - min(products))
    low, high = code_range(contrast_bits(bits, positions), signed=True)
    assert low <= -largest
    assert largest <= high


def test_fewer_bits_overflow() -> None:
    # From 2 bits on (2^b - 1)^2 is more than half of 2^(2b).
    for bits, positions in itertools.product((2, 3, 16), (1, 2, 64)):
        assert positions * (2**bits - 1) ** 2 > code_range(contrast_bits(bits, positions) - 1, signed=True)[1]


def test_floats_and_nothing_are_refused() -> None:
    codes = torch.ones(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match="expected codes, int64"):
        contrasts(codes, codes.float(), codes, codes)
    for bits, positions in ((0, 1), (4, 0)):
        with pytest.raises(ValueError, match="expected at least 1 of each"):
            contrast_bits(bits, positions)
