"""What happens on the arrays' side of the controller, whoever simulates it: feeds, drives, requests, answers."""

from __future__ import annotations

import numpy as np

from hw.config import ControllerConfig
from hw.tables import address
from tb.arrays import Answer, Arrays, Codes


class ControllerError(AssertionError):
    """The controller did something that no controller should."""


class Traffic:
    """Beats of the streams as they come, put together to whole reads and looked at.

    Args:
        check: whether every line's drive and every request of every read is looked at.
    """

    def __init__(self, arrays: Arrays, config: ControllerConfig, check: bool = True) -> None:
        self.arrays, self.config, self.check = arrays, config, check
        self.linked = arrays.linked
        self.reads = 0
        head = [address(config.crossbars), config.line_bits, config.line_bits]
        self.feed_fields = [address(config.read_rows), *[config.code_bits] * config.lanes]
        self.drive_fields = [*head, config.drive_lanes, *[config.code_bits] * config.drive_lanes]
        self.request_fields = [*head, config.lanes]
        self.forget()

    def forget(self) -> None:
        """Drop what is under way: the arrays were put to rest."""
        self.fed: list[Codes] = []
        self.feeding: list[Codes] = []
        self.open: list[Answer] = []
        self.phase = -1
        self.driven = np.zeros((0, len(self.drive_fields)), np.int64)
        self.asked = np.zeros((0, len(self.request_fields)), np.int64)

    def feed(self, words: np.ndarray) -> None:
        """Beats of ``feed``, [beats, 32-bit words]."""
        for beat in fields(words, self.feed_fields, {0}):
            self.feeding.append(beat)
            if len(self.feeding) == self.linked.reads[int(beat[0])]["feed_words"]:
                self.fed.append(np.stack(self.feeding))
                self.feeding = []

    def drive(self, words: np.ndarray) -> None:
        """Beats of ``drive``."""
        if self.check:
            self.driven = np.concatenate([self.driven, fields(words, self.drive_fields, {0, 1, 2, 3})])

    def request(self, words: np.ndarray) -> None:
        """Beats of ``request``; reads that are over are looked at.

        Raises:
            ControllerError: for lines asked for that a read does not sense; WrongDriveError for lines driven wrongly.
        """
        if not self.check:
            self.open = []
            return
        self.asked = np.concatenate([self.asked, fields(words, self.request_fields, {0, 1, 2, 3})])
        while self.open and len(self.asked) >= len(self.open[0].codes):
            answer = self.open.pop(0)
            asked, beats = self.asked[: len(answer.codes)], self.arrays.requests(answer.row)
            wanted = np.tile(np.repeat(beats, self.arrays.average, axis=0), (len(answer.driven), 1))
            if not np.array_equal(asked, wanted):
                raise ControllerError(f"{self.linked.read_names[answer.row]}: other lines are asked for than it senses")
            count = len(answer.driven) * self.linked.reads[answer.row]["drive_count"]
            self.arrays.check_drive(answer, self.driven[:count])
            self.driven, self.asked = self.driven[count:], self.asked[len(answer.codes) :]

    def answer(self, phase: int) -> Codes:
        """Codes of the read that is asked for next in the ``phase`` of the step, [beats, lanes].

        Raises:
            ControllerError: if none was fed.
        """
        if not self.fed:
            raise ControllerError("codes are asked for that no states were fed for")
        if phase != self.phase:  # noise that is frozen over a phase is drawn anew
            self.arrays.begin_phase()
            self.phase = phase
        fed = self.fed.pop(0)
        answer = self.arrays.answer(int(fed[0, 0]), fed[:, 1:])
        self.open.append(answer)
        self.reads += 1
        return answer.codes


def fields(words: np.ndarray, widths: list[int], unsigned: set[int]) -> Codes:
    """Fields of packed payloads [beats, 32-bit words], the first at bit 0: [beats, fields]."""
    if not len(words):
        return np.zeros((0, len(widths)), np.int64)
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")
    found, at = [], 0
    for number, width in enumerate(widths):
        part = bits[:, at : at + width].astype(np.int64)
        value = part @ (1 << np.arange(width, dtype=np.int64))
        found.append(value if number in unsigned else value - (part[:, -1] << width))
        at += width
    return np.stack(found, axis=1)


def words_of_numbers(numbers: list[int], bits: int) -> np.ndarray:
    """Payloads of ``bits`` as 32-bit words, [beats, words]."""
    size = 4 * -(-bits // 32)
    flat = b"".join(number.to_bytes(size, "little") for number in numbers)
    return np.frombuffer(flat, np.uint32).reshape(len(numbers), size // 4)


def packed_codes(codes: Codes, width: int) -> np.ndarray:
    """[beats, lanes] -> words of payloads, lane 0 in the lowest bits."""
    bits = codes[:, :, None] >> np.arange(width) & 1
    flat = bits.reshape(len(codes), -1).astype(np.uint8)
    flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 32)))
    return np.packbits(flat, axis=1, bitorder="little").view(np.uint32)
