"""Which of the sequencer's states, transitions and operations a run met."""

from __future__ import annotations

from hw.sequencer import STATES
from mapping.program import Opcode


class Coverage:
    """Counts of states, of steps from one to another, and of operations."""

    def __init__(self) -> None:
        self.states: dict[str, int] = {}
        self.transitions: dict[tuple[str, str], int] = {}
        self.operations: dict[str, int] = {}
        self.before = "idle"

    def see(self, state: int, opcode: int) -> None:
        """One clock."""
        name = STATES[state]
        self.states[name] = self.states.get(name, 0) + 1
        if name != self.before:
            step = (self.before, name)
            self.transitions[step] = self.transitions.get(step, 0) + 1
            if self.before == "decode":
                operation = Opcode(opcode).name
                self.operations[operation] = self.operations.get(operation, 0) + 1
        self.before = name

    def found(self) -> dict[str, dict[str, int]]:
        """All counts, as JSON holds them."""
        return {
            "states": self.states,
            "transitions": {" -> ".join(step): count for step, count in self.transitions.items()},
            "operations": self.operations,
        }
