"""Numbers as 32-bit words, least significant first: how a payload, however wide, lies in an array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WORD_BITS = 32
LARGEST_FIELD = 32

Words = NDArray[np.uint32]
Numbers = NDArray[np.int64]


def words_of(bits: int) -> int:
    """Words that hold so many bits."""
    return -(-bits // WORD_BITS)


def to_words(number: int, bits: int) -> Words:
    """A number as words [words]; two's complement if it is negative.

    Raises:
        ValueError: if the bits do not hold it, as a signed or as an unsigned number.
    """
    if not -(1 << bits) <= 2 * number < 2 << bits:
        raise ValueError(f"{number}: expected a number of {bits} bits")
    whole = (number & (1 << bits) - 1).to_bytes(4 * words_of(bits), "little")
    return np.frombuffer(whole, "<u4").astype(np.uint32)


def to_number(words: Words, bits: int, signed: bool = False) -> int:
    """The number that words hold."""
    number = int.from_bytes(words.astype("<u4").tobytes(), "little")
    return number - (1 << bits) if signed and number >> bits - 1 else number


def checked(payloads: NDArray[np.integer], bits: int) -> Words:
    """Payloads [beats, words] as they are.

    Raises:
        ValueError: if they have more or less words than the bits need, or ones beyond the bits.
    """
    words = np.ascontiguousarray(payloads, dtype=np.uint32)
    if words.shape[1] != words_of(bits):
        raise ValueError(f"{words.shape[1]} words: expected {words_of(bits)} for {bits} bits")
    if bits % WORD_BITS and (words[:, -1] >> bits % WORD_BITS).any():
        raise ValueError(f"words with ones beyond their {bits} bits")
    return words


def packed(fields: NDArray[np.integer] | Sequence[Sequence[int]], bits: int, total: int | None = None) -> Words:
    """Beats of equal fields [beats, fields], the first at bit 0, as words [beats, words].

    Args:
        bits: of each field, 1 .. 32.
        total: bits of a payload; those beyond the fields are 0.

    Raises:
        ValueError: for a field that its bits do not hold, and for more fields than the payload.
    """
    given = np.asarray(fields, dtype=np.int64)
    beats, count = given.shape
    total = count * bits if total is None else total
    check_bits(bits)
    if count * bits > total:
        raise ValueError(f"{count} fields of {bits} bits: expected at most {total} bits")
    if given.size and not (given.min() >= -(1 << bits - 1) and given.max() < 1 << bits):
        raise ValueError(f"fields {given.min()} .. {given.max()}: expected numbers of {bits} bits")
    masked = given & (1 << bits) - 1
    # One word more, for the upper half of the last field.
    made = np.zeros((beats, words_of(total) + 1), dtype=np.uint64)
    for index in range(count):
        word, shift = divmod(index * bits, WORD_BITS)
        both = masked[:, index].astype(np.uint64) << np.uint64(shift)
        made[:, word] |= both & np.uint64(0xFFFFFFFF)
        made[:, word + 1] |= both >> np.uint64(WORD_BITS)
    return np.ascontiguousarray(made[:, :-1].astype(np.uint32))


def unpacked(words: Words, bits: int, count: int, first: int = 0, signed: bool = False) -> Numbers:
    """Equal fields [beats, fields] of beats [beats, words].

    Args:
        bits: of each field, 1 .. 32.
        count: of fields.
        first: bit of the first.
        signed: whether they are two's complement.
    """
    check_bits(bits)
    wide = np.zeros((len(words), words.shape[1] + 1), dtype=np.uint64)
    wide[:, :-1] = words
    at = first + bits * np.arange(count)
    word, shift = at // WORD_BITS, (at % WORD_BITS).astype(np.uint64)
    both = wide[:, word] | wide[:, word + 1] << np.uint64(WORD_BITS)
    fields = (both >> shift & np.uint64((1 << bits) - 1)).astype(np.int64)
    return fields - (fields >> bits - 1 << bits) if signed else fields


def check_bits(bits: int) -> None:
    if not 1 <= bits <= LARGEST_FIELD:
        raise ValueError(f"fields of {bits} bits: expected 1 .. {LARGEST_FIELD}")
