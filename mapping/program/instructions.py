"""The controller's instructions: 64-bit words, and the table that decoders and documentation are made from.

    bits 63..56 opcode    55..48 flags    47..32 index    31..0 number

``index`` is a row of the table that the operation names, ``number`` a count, a replica or a sign. What an operation
does not use is zero. Word 0 is HALT.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from eqprop.errors import InputError

Table = Literal["", "layers", "couplings", "matrices", "buffers"]

MOST_INDEX = 2**16 - 1
MOST_NUMBER = 2**32 - 1
MINUS_ONE = MOST_NUMBER  # a sign is a 32-bit two's complement number


class Opcode(IntEnum):
    HALT = 0
    LOOP = 1
    END = 2
    BETA = 3
    RESET = 4
    CLEAR = 5
    READ = 6
    WAIT = 7
    KEEP = 8
    POOL = 9
    UPDATE = 10
    ERROR = 11
    SNAPSHOT = 12
    RESTORE = 13
    CAPTURE = 14
    CONTRAST = 15
    ANSWER = 16


TRANSPOSED = 1  # READ: drive columns and sense rows
ADD = 1  # POOL: the maxima join the drive of the post layer
MARK = 2  # POOL: where the maxima are is kept for transposed reads
COST = 1  # UPDATE: the layer's own state is what the cost compares with the target
READOUT = 1  # ANSWER: the prediction is a readout's logits


@dataclass(frozen=True)
class Operation:
    """One line of the instruction table.

    Attributes:
        opcode: its number, and its mnemonic.
        index: the table that ``index`` is a row of, "" if it is unused.
        number: what ``number`` means, "" if it is unused.
        flags: names of the flags by bit value.
        meaning: what the controller does.
    """

    opcode: Opcode
    index: Table
    number: str
    meaning: str
    flags: dict[int, str] = field(default_factory=dict)


OPERATIONS: dict[Opcode, Operation] = {
    operation.opcode: operation
    for operation in (
        Operation(Opcode.HALT, "", "", "The EP step is over."),
        Operation(Opcode.LOOP, "", "count", "Repeat the words up to the matching END ``count`` times (at least once)."),
        Operation(Opcode.END, "", "", "The end of the innermost LOOP."),
        Operation(
            Opcode.BETA, "", "sign",
            "From here on the cost nudges with ``sign`` beta, sign 0, 1 or -1; beta itself is a register.",
        ),
        Operation(Opcode.RESET, "layers", "", "State <- the value nearest 0 in the clip range."),
        Operation(Opcode.CLEAR, "buffers", "", "All words of the buffer <- 0."),
        Operation(
            Opcode.READ, "matrices", "replica",
            "Start a read of every position of the replica's region and go on. The sums of each tile are added to the "
            "buffer that the matrix's row names for the direction; transposed, through the positions that POOL kept if "
            "the coupling is pooled, and times -sign beta if the read is the last of a readout.",
            {TRANSPOSED: "TRANSPOSED"},
        ),
        Operation(Opcode.WAIT, "", "", "Wait until all started reads are done: the end of a round."),
        Operation(Opcode.KEEP, "layers", "", "Constant drive <- bias + drive, after the reads of clamped inputs."),
        Operation(
            Opcode.POOL, "couplings", "",
            "Maxima of each window of the coupling's sums. Of equal sums the first in row-major order counts.",
            {ADD: "ADD", MARK: "MARK"},
        ),
        Operation(
            Opcode.UPDATE, "layers", "",
            "h = constant drive (bias, where the layer has none) + drive; state <- round(clip(h / k)). With COST: "
            "clip((h + sign beta y) / (k + sign beta)), y the one-hot target.",
            {COST: "COST"},
        ),
        Operation(
            Opcode.ERROR, "couplings", "", "Logits of the readout <- softmax(logits + bias) - y, y the one-hot target."
        ),
        Operation(Opcode.SNAPSHOT, "layers", "", "Snapshot <- state."),
        Operation(Opcode.RESTORE, "layers", "", "State <- snapshot."),
        Operation(Opcode.CAPTURE, "layers", "", "Captured <- state, for the contrast with the pair's other sign."),
        Operation(
            Opcode.CONTRAST, "matrices", "",
            "Gradient or pulses of the matrix from states (of the present sign) and captured states (of the other).",
        ),
        Operation(
            Opcode.ANSWER, "", "row",
            "Report the class with the largest state of layer ``row``; with READOUT, the largest logit plus bias of "
            "coupling ``row``.",
            {READOUT: "READOUT"},
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Instruction:
    """One word."""

    opcode: Opcode
    index: int = 0
    number: int = 0
    flags: int = 0

    @property
    def operation(self) -> Operation:
        return OPERATIONS[self.opcode]

    @property
    def word(self) -> int:
        """The 64-bit word.

        Raises:
            ValueError: if a field does not fit.
        """
        if not (0 <= self.index <= MOST_INDEX and 0 <= self.number <= MOST_NUMBER):
            raise ValueError(f"{self}: expected index <= {MOST_INDEX} and number <= {MOST_NUMBER}")
        return self.opcode << 56 | self.flags << 48 | self.index << 32 | self.number

    @classmethod
    def of_word(cls, word: int) -> Instruction:
        """The instruction of a word.

        Raises:
            InputError: for an unknown opcode, or a bit that the operation does not use.
        """
        opcode, flags, index, number = word >> 56, word >> 48 & 0xFF, word >> 32 & MOST_INDEX, word & MOST_NUMBER
        if opcode not in OPERATIONS:
            raise InputError(f"word {word:#018x}: opcode {opcode}: expected one up to {max(OPERATIONS)}")
        operation = OPERATIONS[Opcode(opcode)]
        unused = flags & ~sum(operation.flags) or (index and not operation.index) or (number and not operation.number)
        if unused:
            raise InputError(f"word {word:#018x}: {operation.opcode.name} with a bit set that it does not use")
        return cls(operation.opcode, index, number, flags)
