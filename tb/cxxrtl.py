"""Any Amaranth component as a compiled simulation: ports by name, and streams that move without Python.

A call from Python costs as much as many clocks. So streams are declared as channels and run natively: what comes out is
logged with its clock, what goes in is queued. Only when the circuit waits for an answer that nobody has given yet does
:meth:`Model.run` come back for it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_size_t
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tb.cxxrtl_compile import compile_model
from tb.cxxrtl_library import AXI, READABLE, AxiPorts, Kind, Signal, Simulation
from tb.words import Words, checked, to_number, to_words, words_of

__all__ = ["Beats", "Model", "Reason", "Sink", "Source", "Watch", "compile_model"]

RESPONSES = {-1: "none", 1: "EXOKAY", 2: "SLVERR", 3: "DECERR"}
MOST_CLOCKS_OF_A_TRANSACTION = 1000

Clocks = NDArray[np.uint64]


@dataclass(frozen=True)
class Sink:
    """A stream out of the component: ports name__payload, name__valid, name__ready.

    Attributes:
        name: of the stream.
        ready: clock by clock and over again, whether the world takes.
    """

    name: str
    ready: str = "1"


@dataclass(frozen=True)
class Source:
    """A stream into the component. What is offered stays until it is taken.

    Attributes:
        name: of the stream.
        answers: name of the sink whose beats ask for this stream's: the k-th answers the k-th.
        latency: clocks from taking a beat of that sink to the first clock that may offer its answer.
        offered: clock by clock and over again, whether the world begins to offer what it has.
    """

    name: str
    answers: str | None = None
    latency: int = 1
    offered: str = "1"


@dataclass(frozen=True)
class Watch:
    """A port of one bit whose rising edges are logged.

    Attributes:
        name: of the port.
        stops: whether a run ends after the clock of an edge.
    """

    name: str
    stops: bool = False


Channel = Sink | Source | Watch


class Reason(Enum):
    """Why a run ended."""

    CLOCKS = 0
    STARVED = 1
    STOPPED = 2


class Beats(NamedTuple):
    """What a sink took: payloads [beats, words], and the clock of each."""

    payloads: Words
    clocks: Clocks


class Model:
    """One simulated component, after its reset.

    Models of one library share nothing: several can run side by side, also in threads.

    Args:
        library: of :func:`compile_model`.
        channels: what runs natively.

    Attributes:
        signals: ports, registers and memories by name; those of a submodule have its name and a blank before theirs.

    Raises:
        ValueError: for a channel that the component has no ports for, for answers to what is no sink before it.
    """

    def __init__(self, library: Path, channels: Sequence[Channel] = ()) -> None:
        simulation = Simulation(library)
        self._call = simulation.call
        self.signals: dict[str, Signal] = simulation.signals()
        if "clk" in self.signals:
            self._call("clock", self._signal("clk", "input").at)
        self._sinks: dict[str, int] = {}
        self._sources: dict[str, int] = {}
        self._watches: dict[str, int] = {}
        self._axi: dict[str, AxiPorts] = {}
        for channel in channels:
            self._add(channel)
        self._is_settled = False

    def _signal(self, name: str, *kinds: Kind) -> Signal:
        if name not in self.signals or self.signals[name].kind not in kinds:
            known = ", ".join(name for name, signal in self.signals.items() if signal.kind in kinds)
            raise ValueError(f"{' or '.join(kinds)} {name}: expected one of {known or 'none'}")
        return self.signals[name]

    def _add(self, channel: Channel) -> None:
        if isinstance(channel, Watch):
            self._watches[channel.name] = len(self._watches)
            self._call("watch", self._signal(channel.name, "output", "register").at, channel.stops)
            return
        pattern = channel.ready if isinstance(channel, Sink) else channel.offered
        if not pattern or set(pattern) - {"0", "1"}:
            raise ValueError(f"stream {channel.name}: pattern {pattern!r}: expected some of 0 and 1")
        given: Kind
        taken: Kind
        given, taken = ("output", "input") if isinstance(channel, Sink) else ("input", "output")
        payload, valid = (self._signal(f"{channel.name}__{end}", given) for end in ("payload", "valid"))
        ready = self._signal(f"{channel.name}__ready", taken)
        ports = payload.at, payload.words.shape[1], valid.at, ready.at, pattern.encode()
        if isinstance(channel, Sink):
            self._sinks[channel.name] = len(self._sinks)
            self._call("sink", *ports)
            return
        if channel.answers is not None and channel.answers not in self._sinks:
            raise ValueError(f"stream {channel.name} answers {channel.answers}: expected a sink declared before it")
        if channel.latency < 1:
            raise ValueError(f"stream {channel.name}: latency {channel.latency}: expected at least 1 clock")
        self._sources[channel.name] = len(self._sources)
        self._call("source", *ports, self._sinks.get(channel.answers or "", -1), channel.latency)

    # Ports

    def set(self, name: str, value: int | Words) -> None:
        """Hold an input at a number, or at words, from the coming clock on.

        Raises:
            ValueError: for a number that the port does not hold.
        """
        signal = self._signal(name, "input")
        try:
            if isinstance(value, np.ndarray):
                signal.words[:] = checked(value[None], signal.bits)
            else:
                signal.words[:] = to_words(value, signal.bits)
        except ValueError as error:
            raise ValueError(f"port {name}: {error}") from error
        self._is_settled = False

    def get(self, name: str) -> int:
        """The unsigned number that a port shows in the coming clock."""
        return to_number(self.words(name)[0], self.signals[name].bits)

    def get_signed(self, name: str) -> int:
        """The same as two's complement."""
        return to_number(self.words(name)[0], self.signals[name].bits, signed=True)

    def words(self, name: str) -> Words:
        """The same as words [1, words], where the simulation has them: they change with it."""
        signal = self._signal(name, *READABLE)
        if not self._is_settled:
            self._call("settle")
            self._is_settled = True
        return signal.words

    def memory(self, name: str) -> Words:
        """Rows of a memory as words [rows, words], where the simulation has them: writing changes them.

        Raises:
            ValueError: for a name that no memory has.
        """
        signal = self._signal(name, "memory")
        self._is_settled = False
        return signal.words

    # Clocks

    @property
    def clocks(self) -> int:
        """Since creation or the last reset: the number of the coming clock."""
        return int(self._call("clocks"))

    def reset(self) -> None:
        """One clock with rst high; queues, logs and what was asked for are gone, the coming clock is number 0."""
        self._call("reset", self._signal("rst", "input").at)
        self._is_settled = False

    def step(self, clocks: int = 1) -> None:
        """So many clocks, whatever happens in them; an answer that is missing comes later."""
        self._call("step", clocks)
        self._is_settled = False

    def run(self, most_clocks: int) -> Reason:
        """Clocks until an answer is missing, a watch stops, or so many have passed.

        A run that starves ends before the clock in which the answer would be offered: supplied then, it is not late,
        and the circuit cannot tell.
        """
        self._is_settled = False
        return Reason(self._call("run", most_clocks))

    # Channels

    def supply(self, name: str, payloads: Words | NDArray[np.integer] | Sequence[int]) -> None:
        """Queue beats of a source: words [beats, words], or a number for each beat.

        Raises:
            ValueError: for words of another width, numbers that the payload does not hold.
        """
        index, signal = self._index(self._sources, name), self.signals[f"{name}__payload"]
        if not (isinstance(payloads, np.ndarray) and payloads.ndim == 2):
            payloads = np.array([to_words(int(one), signal.bits) for one in payloads]).reshape(
                -1, words_of(signal.bits)
            )
        beats = checked(payloads, signal.bits)
        self._call("supply", index, beats.ctypes.data, len(beats))
        self._is_settled = False

    def queued(self, name: str) -> int:
        """Beats of a source that are not yet offered."""
        return int(self._call("queued", self._index(self._sources, name)))

    def owed(self, name: str) -> int:
        """Answers that a source was asked for and has not been supplied with."""
        return max(0, int(self._call("due", self._index(self._sources, name))) - self.queued(name))

    def log(self, name: str) -> Beats:
        """What a sink took since it was last asked."""
        index, words = self._index(self._sinks, name), self.signals[f"{name}__payload"].words.shape[1]
        count = self._call("logged", index)
        beats = Beats(np.empty((count, words), np.uint32), np.empty(count, np.uint64))
        self._call("log", index, beats.payloads.ctypes.data, beats.clocks.ctypes.data)
        return beats

    def rises(self, name: str) -> Clocks:
        """Clocks of the rising edges of a watch since it was last asked."""
        index = self._index(self._watches, name)
        clocks: Clocks = np.empty(self._call("risen", index), np.uint64)
        self._call("rises", index, clocks.ctypes.data)
        return clocks

    def _index(self, indices: dict[str, int], name: str) -> int:
        if name not in indices:
            raise ValueError(f"channel {name}: expected one of {', '.join(indices) or 'none'}")
        return indices[name]

    # AXI4-Lite

    def axi_write(self, address: int, words: int | Sequence[int] | Words, bus: str = "bus") -> None:
        """Write words from an address on, one transaction after the other; channels go on meanwhile.

        Args:
            bus: prefix of the ports: bus_awaddr and so on.

        Raises:
            OSError: for a response that is not OKAY, or none within 1000 clocks.
        """
        data = np.atleast_1d(np.asarray(words, dtype=np.uint32))
        self._transact("axi_write", address, data, bus)

    def axi_read(self, address: int, count: int = 1, bus: str = "bus") -> Words:
        """Read so many words from an address on; see :meth:`axi_write`."""
        data: Words = np.zeros(count, np.uint32)
        self._transact("axi_read", address, data, bus)
        return data

    def _transact(self, what: str, address: int, data: Words, bus: str) -> None:
        reach = 1 << self._signal(f"{bus}_awaddr", "input").bits
        if not 0 <= address <= reach - 4 * len(data):
            raise ValueError(f"{what} of {len(data)} words at {address:#x}: expected addresses below {reach:#x}")
        if bus not in self._axi:
            self._axi[bus] = AxiPorts(*(self._signal(f"{bus}_{name}", kind).at for name, kind in AXI.items()))
        done, ports = c_size_t(), ctypes.byref(self._axi[bus])
        response = self._call(
            what, ports, address, data.ctypes.data, len(data), MOST_CLOCKS_OF_A_TRANSACTION, ctypes.byref(done)
        )
        self._is_settled = False
        if response:
            failed = address + 4 * (done.value - 1)
            raise OSError(f"{what} at {failed:#x}: response {RESPONSES[response]}: expected OKAY")
