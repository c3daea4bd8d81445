"""cocotb: the arrays' side of the controller's ports."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import RisingEdge

from hw.config import ControllerConfig
from hw.sequencer import STATES
from tb.benches.coverage import Coverage
from tb.streams import Port
from tb.traffic import Traffic, packed_codes, words_of_numbers

IDLE, CONTRAST = STATES.index("idle"), STATES.index("contrast")


class ArraySide:
    """Takes beats, and answers requests a clock later.

    Attributes:
        mute: answers nothing from here on.
        stuck: a payload that every answer is instead.
        lag: clocks more that every answer takes.
        wants: clock by clock and over again, whether beats are taken.
    """

    def __init__(self, dut: Any, traffic: Traffic, config: ControllerConfig) -> None:
        self.dut, self.traffic, self.bits = dut, traffic, config.code_adc_bits
        self.mute, self.lag, self.wants = False, 0, "1"
        self.stuck: int | None = None
        self.coverage = Coverage()
        self.beats: dict[str, list[int]] = {"feed": [], "drive": [], "request": []}
        self.gradients: list[int] = []

    async def run(self) -> None:
        """For ever."""
        dut, edge, beats = self.dut, RisingEdge(self.dut.clk), self.beats
        ports = {name: Port.of(dut, name) for name in beats}
        gradient = Port.of(dut, "gradient")
        answers: list[int] = []
        waiting: list[tuple[int, int]] = []  # clock from which it may be offered, payload
        offered, clock, ready = False, 0, True
        sinks = [getattr(dut, f"{name}__ready") for name in ("drive", "request", "gradient")]
        while True:
            await edge
            clock += 1
            took, wants = ready, self.wants[clock % len(self.wants)] == "1"
            if wants != ready:
                ready = wants
                for sink in sinks:
                    sink.value = int(ready)
            state = int(dut.state.value)
            self.coverage.see(state, int(dut.opcode.value) if self.coverage.before == "decode" else 0)
            if state == IDLE:  # nothing happens here, and looking costs as much as simulating
                await RisingEdge(dut.busy)
                continue
            if state == CONTRAST:  # no read runs meanwhile
                if took and gradient.valid.value:
                    self.gradients.append(gradient.bits[0])
                continue
            if ports["feed"].valid.value:  # nothing keeps the feeder from giving
                beats["feed"].append(ports["feed"].bits[0])
            if took and ports["drive"].valid.value:
                beats["drive"].append(ports["drive"].bits[0])
            was_offered = offered
            offered = offered and not dut.codes__ready.value
            if took and ports["request"].valid.value:
                if not answers:
                    answers = self.answers()
                beats["request"].append(ports["request"].bits[0])
                waiting.append((clock + self.lag, answers.pop()))
            if not offered and waiting and waiting[0][0] <= clock and not self.mute:
                payload = waiting.pop(0)[1]
                dut.codes__payload.value = payload if self.stuck is None else self.stuck
                offered = True
            if offered != was_offered:
                dut.codes__valid.value = int(offered)

    def answers(self) -> list[int]:
        """Payloads of the next read's answers, the last first."""
        for name, numbers in self.beats.items():
            getattr(self.traffic, name)(words_of_numbers(numbers, len(getattr(self.dut, f"{name}__payload"))))
            numbers.clear()
        packed = packed_codes(self.traffic.answer(int(self.dut.phase.value)), self.bits)
        return [int.from_bytes(row.tobytes(), "little") for row in packed][::-1]
