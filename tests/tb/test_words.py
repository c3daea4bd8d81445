"""Truth: shifts of Python's whole numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tb.words import packed, to_number, to_words, unpacked


@given(bits=st.integers(1, 2048), data=st.data())
def test_numbers_come_back(bits: int, data: st.DataObject) -> None:
    unsigned = data.draw(st.integers(0, 2**bits - 1))
    assert to_number(to_words(unsigned, bits), bits) == unsigned
    signed = data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    assert to_number(to_words(signed, bits), bits, signed=True) == signed
    for beyond in (2**bits, -(2 ** (bits - 1)) - 1):
        with pytest.raises(ValueError, match="expected a number of"):
            to_words(beyond, bits)


@given(bits=st.integers(1, 32), count=st.integers(1, 40), more=st.integers(0, 70), data=st.data())
def test_fields_lie_one_after_the_other(bits: int, count: int, more: int, data: st.DataObject) -> None:
    one = st.lists(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1), min_size=count, max_size=count)
    beats = data.draw(st.lists(one, min_size=1, max_size=3))
    total = bits * count + more
    words = packed(beats, bits, total)
    assert words.dtype == np.uint32
    assert words.shape == (len(beats), -(-total // 32))
    for row, fields in zip(words, beats, strict=True):
        assert to_number(row, total) == sum((field & 2**bits - 1) << bits * k for k, field in enumerate(fields))
    assert unpacked(words, bits, count, signed=True).tolist() == beats
    whole = [[field & 2**bits - 1 for field in fields] for fields in beats]
    assert unpacked(words, bits, count - 1, bits).tolist() == [fields[1:] for fields in whole]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"fields -3 \.\. 4: expected numbers of 2 bits"):
        packed([[4, -3]], 2)
    with pytest.raises(ValueError, match="2 fields of 2 bits: expected at most 3 bits"):
        packed([[1, 1]], 2, 3)
    with pytest.raises(ValueError, match=r"fields of 33 bits: expected 1 \.\. 32"):
        unpacked(packed([[1]], 2), 33, 1)
