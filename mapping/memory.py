"""State memory of the controller: what one EP step keeps, for how long, and at which addresses.

One sample at a time is in the hardware. A buffer is alive at some moments of the EP step, and buffers that are never
alive together may lie at the same addresses. Parameters (biases) are not among the buffers, and neither are gradients:
learning comes after the EP step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from eqprop import EnergyNetwork
from eqprop.errors import InputError
from mapping.hardware import Controller
from mapping.plan import MappedMatrix
from mapping.schedule import Round, Schedule
from mapping.target import Target

WORD_BYTES = 4  # addresses are multiples of it; sums and accumulators are one word each

Moment = tuple[str, int]
"""A part of the EP step, and in a phase the step of the sweep, counted from 1; 0 is the start of the part."""


@dataclass(frozen=True)
class Buffer:
    """Something to keep.

    Attributes:
        name: what it belongs to and what it is, ``LAYER.state``.
        bytes: its size.
        moments: when it is alive.
    """

    name: str
    bytes: int
    moments: frozenset[Moment]


@dataclass(frozen=True)
class Slot:
    """Where a buffer lies."""

    address: int
    bytes: int

    @property
    def end(self) -> int:
        """The next free word."""
        return self.address + words(self.bytes)


@dataclass(frozen=True)
class Memory:
    """All buffers at their addresses.

    Attributes:
        buffers: by name, in the order they were given.
        bytes: memory they need together.
        peak: the largest sum of bytes (in whole words) alive at one moment: no addresses need less.
    """

    buffers: dict[str, Slot]
    bytes: int
    peak: int


def words(size: int) -> int:
    """``size`` bytes in whole words, in bytes."""
    return -(-size // WORD_BYTES) * WORD_BYTES


def state_bytes(controller: Controller) -> int:
    """Bytes of one state: 1, 2 or 4 (a word also where states are floats)."""
    bits = controller.state_bits or 32
    return 1 if bits <= 8 else 2 if bits <= 16 else 4


def index_bytes(window: int) -> int:
    """Bytes that say which element of a pooling window was the maximum."""
    return 1 if window <= 2**8 else 2 if window <= 2**16 else 4


def parts_of(nudges: str) -> tuple[str, ...]:
    """Parts of an EP step in order: phases, the answer, and what happens after the nudged phases of each pair."""
    parts = ["free", "answer"]
    for phase in range(1, len(nudges) + 1):
        pair = (phase + 1) // 2
        parts += [f"nudged {phase}", f"{'capture' if phase % 2 else 'contrast'} {pair}"]
    return tuple(parts)


def allocate(buffers: Iterable[Buffer]) -> Memory:
    """Addresses: the largest buffer first, each at the lowest address that no buffer alive with it takes.

    Raises:
        ValueError: if two buffers share a name or one has a negative size.
    """
    given = list(buffers)
    if len({buffer.name for buffer in given}) != len(given):
        raise ValueError(f"buffers {sorted(buffer.name for buffer in given)}: expected different names")
    slots: dict[str, Slot] = {}
    placed: list[tuple[Buffer, Slot]] = []
    for buffer in sorted(given, key=lambda one: -one.bytes):
        if buffer.bytes < 0:
            raise ValueError(f"buffer {buffer.name}: {buffer.bytes} bytes: expected >= 0")
        taken = (slot for other, slot in placed if not buffer.moments.isdisjoint(other.moments))
        address = 0
        for slot in sorted(taken, key=lambda one: one.address):
            if address + words(buffer.bytes) <= slot.address:
                break
            address = max(address, slot.end)
        slots[buffer.name] = Slot(address, buffer.bytes)
        placed.append((buffer, slots[buffer.name]))
    alive: dict[Moment, int] = {}
    for buffer in given:
        for moment in buffer.moments:
            alive[moment] = alive.get(moment, 0) + words(buffer.bytes)
    return Memory(
        {buffer.name: slots[buffer.name] for buffer in given},
        max((slot.end for slot in slots.values()), default=0),
        max(alive.values(), default=0),
    )


def memory_for(
    network: EnergyNetwork,
    matrices: Mapping[str, MappedMatrix],
    chains: Mapping[str, Sequence[str]],
    schedule: Schedule,
    target: Target,
) -> Memory:
    """The state memory of a mapped network.

    Raises:
        InputError: if the controller has less.
    """
    memory = allocate(state_buffers(network, matrices, chains, schedule, target.controller))
    available = target.controller.memory_bytes
    if available is not None and memory.bytes > available:
        raise InputError(
            f"target {target.name}: controller.memory_bytes is {available} but the states of one sample need "
            f"{memory.bytes}, {memory.bytes - available} more"
        )
    return memory


def state_buffers(
    network: EnergyNetwork,
    matrices: Mapping[str, MappedMatrix],
    chains: Mapping[str, Sequence[str]],
    schedule: Schedule,
    controller: Controller,
) -> list[Buffer]:
    """The buffers of one EP step.

    States are ``state_bytes`` each, maxima ``index_bytes``, everything else is one word a number:

    - LAYER.state; of free layers also LAYER.drive (what the reads of a step add up to) and, with clamped inputs,
      LAYER.constant (bias and inputs, from a phase's prologue to its end);
    - LAYER.snapshot (the free state, until the last nudged phase starts from it) and LAYER.captured (the state of a
      pair's first nudged phase, until the second one is contrasted with it);
    - COUPLING.sums before pooling, in the steps that read them, and COUPLING.maxima, where each window's largest sum
      was, for whole phases;
    - MATRIX.bus, what a factor of a low-rank coupling hands to the next one;
    - COUPLING.logits of a readout, which become errors in place.
    """
    moments = Moments(schedule, controller.nudges)
    width = state_bytes(controller)
    with_inputs = {edge.post for edge in network.edges if edge.pre in network.inputs}
    buffers: list[Buffer] = []
    for name, layer in network.layers.items():
        buffers.append(Buffer(f"{name}.state", width * layer.size, moments.all))
        if name in network.inputs:
            continue
        updated = moments.updated(name)
        if name in with_inputs:
            buffers.append(Buffer(f"{name}.constant", WORD_BYTES * layer.size, moments.phases))
            updated |= moments.prologues
        buffers.append(Buffer(f"{name}.drive", WORD_BYTES * layer.size, updated))
        buffers.append(Buffer(f"{name}.snapshot", width * layer.size, moments.snapshot))
        buffers.append(Buffer(f"{name}.captured", width * layer.size, moments.captured))
    for edge in network.edges:
        if edge.pool is not None:
            sums = math.prod(network.coupling(edge.name).post_shape)
            read = moments.read({chains[edge.name][-1]}, "forward")
            buffers.append(Buffer(f"{edge.name}.sums", WORD_BYTES * sums, read))
            if edge.pre not in network.inputs:
                kept = index_bytes(edge.pool.kernel**2) * network.layers[edge.post].size
                buffers.append(Buffer(f"{edge.name}.maxima", kept, moments.phases))
    for chain in chains.values():
        for name in chain[:-1]:
            rank = matrices[name].lowering.columns
            buffers.append(Buffer(f"{name}.bus", WORD_BYTES * rank, moments.read(set(chain))))
    readout = network.cost.readout
    if readout is not None:
        read = moments.read(set(chains[readout]))
        buffers.append(Buffer(f"{readout}.logits", WORD_BYTES * network.classes, read))
    return buffers


@dataclass(frozen=True)
class Moments:
    """When what is alive, by schedule."""

    schedule: Schedule
    nudges: str

    @property
    def all(self) -> frozenset[Moment]:
        return self.of(parts_of(self.nudges))

    @property
    def phases(self) -> frozenset[Moment]:
        return self.of(part for part in parts_of(self.nudges) if self.is_phase(part))

    @property
    def prologues(self) -> frozenset[Moment]:
        return frozenset(moment for moment in self.phases if moment[1] == 0)

    @property
    def snapshot(self) -> frozenset[Moment]:
        """From the end of the free phase to the start of the last nudged one."""
        parts = parts_of(self.nudges)
        last = parts.index(f"nudged {len(self.nudges)}")
        return self.of(parts[1:last]) | {(parts[last], 0)}

    @property
    def captured(self) -> frozenset[Moment]:
        """From the end of each pair's first nudged phase to the pair's contrast."""
        pairs = range(1, len(self.nudges) // 2 + 1)
        return self.of(what for n in pairs for what in (f"capture {n}", f"nudged {2 * n}", f"contrast {n}"))

    def updated(self, layer: str) -> frozenset[Moment]:
        """Steps that update ``layer``."""
        numbers = {n for n, step in enumerate(self.schedule.steps, start=1) if layer in step.layers}
        return frozenset(moment for moment in self.phases if moment[1] in numbers)

    def read(self, matrices: set[str], direction: str | None = None) -> frozenset[Moment]:
        """When any of ``matrices`` is read, in any or in one direction."""

        def among(rounds: tuple[Round, ...]) -> bool:
            return any(
                read.matrix in matrices and direction in (None, read.direction) for one in rounds for read in one
            )

        found: set[Moment] = {("answer", 0)} if among(self.schedule.answer) else set()
        for part, number in self.phases:
            rounds = self.schedule.prologue
            if number > 0:
                step = self.schedule.steps[number - 1]
                rounds = step.rounds if part == "free" else step.rounds + step.nudged_rounds
            if among(rounds):
                found.add((part, number))
        return frozenset(found)

    def of(self, parts: Iterable[str]) -> frozenset[Moment]:
        """Every moment of some parts."""
        last = len(self.schedule.steps)
        return frozenset((part, number) for part in parts for number in range(last + 1 if self.is_phase(part) else 1))

    @staticmethod
    def is_phase(part: str) -> bool:
        return part == "free" or part.startswith("nudged")
