"""The microprogram of one EP step of one sample, from a mapping's schedule.

    free phase, answer, then a nudged phase for each sign of ``controller.nudges``, each from the free states;
    after the second of each pair its states are contrasted with those captured after the first

A phase is a prologue, done once, and a loop of sweeps. Within a step of a sweep all reads come before any update.
"""

from __future__ import annotations

from collections.abc import Sequence

from eqprop import SquaredError
from mapping.mapping import Mapping
from mapping.memory import state_bytes
from mapping.program.instructions import (
    ADD,
    COST,
    MARK,
    MINUS_ONE,
    READOUT,
    TRANSPOSED,
    Instruction,
    Opcode,
)
from mapping.program.tables import Program, SectionRow
from mapping.program.tabulate import tabulate
from mapping.schedule import Round, Step

SIGN_NUMBERS = {"+": 1, "-": MINUS_ONE}


def assemble(mapping: Mapping) -> Program:
    """The microprogram of a mapping and the tables it works on."""
    memory = mapping.memory
    tables = tabulate(mapping, memory)
    code = Code(mapping, {name: number for number, name in enumerate(tables.buffers)})
    code.ep_step()
    return Program(
        memory.bytes,
        state_bytes(mapping.target.controller),
        tables.buffers,
        tables.layers,
        tables.couplings,
        tables.matrices,
        tables.replicas,
        tables.tiles,
        code.sections,
        tuple(code.words),
    )


class Code:
    """Words as they are written, and where the parts of the EP step begin."""

    def __init__(self, mapping: Mapping, buffers: dict[str, int]) -> None:
        self.network = mapping.network
        self.schedule = mapping.schedule
        self.controller = mapping.target.controller
        self.owner = {matrix: coupling for coupling, chain in mapping.chains.items() for matrix in chain}
        self.last = {coupling: chain[-1] for coupling, chain in mapping.chains.items()}
        self.chains = mapping.chains
        self.layers = {name: number for number, name in enumerate(mapping.network.layers)}
        self.couplings = {name: number for number, name in enumerate(mapping.chains)}
        self.matrices = {name: number for number, name in enumerate(self.owner)}
        self.buffers = buffers
        self.edges = {edge.name: edge for edge in mapping.network.edges}
        self.with_inputs = [name for name in mapping.network.free if f"{name}.constant" in buffers]
        self.words: list[Instruction] = []
        self.sections: dict[str, SectionRow] = {}

    def write(self, opcode: Opcode, index: int = 0, number: int = 0, flags: int = 0) -> None:
        self.words.append(Instruction(opcode, index, number, flags))

    def begin(self, section: str) -> None:
        self.sections[section] = SectionRow(len(self.words))

    def of_free_layers(self, opcode: Opcode) -> None:
        for name in self.network.free:
            self.write(opcode, self.layers[name])

    def clear(self, buffer: str) -> None:
        self.write(Opcode.CLEAR, self.buffers[buffer])

    def ep_step(self) -> None:
        self.begin("free phase")
        self.write(Opcode.BETA)
        self.of_free_layers(Opcode.RESET)
        self.phase(self.controller.free_sweeps, nudged=False)
        self.begin("answer")
        self.answer()
        self.of_free_layers(Opcode.SNAPSHOT)
        for number, sign in enumerate(self.controller.nudges, start=1):
            self.begin(f"nudged phase {number} ({sign} beta)")
            self.write(Opcode.BETA, number=SIGN_NUMBERS[sign])
            if number > 1:
                self.of_free_layers(Opcode.RESTORE)
            self.phase(self.controller.nudged_sweeps, nudged=True)
            pair = (number + 1) // 2
            if number % 2:
                self.begin(f"capture {pair}")
                self.of_free_layers(Opcode.CAPTURE)
            else:
                self.begin(f"contrast {pair}")
                for index in self.matrices.values():
                    self.write(Opcode.CONTRAST, index)
        self.begin("end")
        self.write(Opcode.HALT)

    def phase(self, sweeps: int, nudged: bool) -> None:
        for name in self.with_inputs:
            self.clear(f"{name}.drive")
        self.rounds(self.schedule.prologue)
        for name in self.with_inputs:
            self.write(Opcode.KEEP, self.layers[name])
        self.write(Opcode.LOOP, number=sweeps)
        for step in self.schedule.steps:
            self.step(step, nudged)
        self.write(Opcode.END)

    def step(self, step: Step, nudged: bool) -> None:
        for name in step.layers:
            self.clear(f"{name}.drive")
        self.rounds(step.rounds, in_sweep=True)
        if nudged:
            self.rounds(step.nudged_rounds, in_sweep=True)
        cost = self.network.cost
        for name in step.layers:
            own_state = isinstance(cost, SquaredError) and name == cost.layer
            self.write(Opcode.UPDATE, self.layers[name], flags=COST if own_state else 0)

    def answer(self) -> None:
        self.rounds(self.schedule.answer)
        readout = self.network.cost.readout
        if readout is None:
            self.write(Opcode.ANSWER, number=self.layers[self.network.cost.layer])
        else:
            self.write(Opcode.ANSWER, number=self.couplings[readout], flags=READOUT)

    def rounds(self, rounds: Sequence[Round], in_sweep: bool = False) -> None:
        """Reads of a prologue, of a step or of the answer, and what they need before and after them.

        What a matrix adds to is cleared before its first read, unless it is a drive, which others add to as well;
        sums are pooled and logits turned into errors after the last read of their matrix.
        """
        ways = [[(read.matrix, read.direction) for read in one] for one in rounds]
        begun: set[tuple[str, str]] = set()
        for number, (one, present) in enumerate(zip(rounds, ways, strict=True)):
            for way in dict.fromkeys(present):
                target = self.cleared_for(*way)
                if way not in begun and target is not None:
                    self.clear(target)
            begun |= set(present)
            for read in one:
                flags = TRANSPOSED if read.direction == "transposed" else 0
                self.write(Opcode.READ, self.matrices[read.matrix], read.replica, flags)
            self.write(Opcode.WAIT)
            later = {way for following in ways[number + 1 :] for way in following}
            for matrix, direction in dict.fromkeys(present):
                if (matrix, direction) not in later and direction == "forward" and matrix in self.last.values():
                    self.finish(self.owner[matrix], in_sweep)

    def cleared_for(self, matrix: str, direction: str) -> str | None:
        """The buffer that reads of a matrix fill alone: a bus, sums before pooling or logits."""
        coupling, chain = self.owner[matrix], list(self.chains[self.owner[matrix]])
        place = chain.index(matrix)
        if direction == "transposed":
            return f"{chain[place - 1]}.bus" if place else None
        if matrix != chain[-1]:
            return f"{matrix}.bus"
        names = (f"{coupling}.sums", f"{coupling}.logits")
        return next((name for name in names if name in self.buffers), None)

    def finish(self, coupling: str, in_sweep: bool) -> None:
        """What follows a whole forward read of a coupling."""
        edge = self.edges.get(coupling)
        if edge is None:
            if in_sweep:
                self.write(Opcode.ERROR, self.couplings[coupling])
        elif edge.pool is not None:
            clamped = edge.pre in self.network.inputs
            flags = ADD if clamped else ADD | MARK if in_sweep else MARK
            self.write(Opcode.POOL, self.couplings[coupling], flags=flags)
