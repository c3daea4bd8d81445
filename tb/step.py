"""What one EP step gives, of whoever ran it: the RTL in a simulation, or ``sim``."""

from __future__ import annotations

from dataclasses import dataclass, field

from tb.arrays import Codes

PHASES = ("free phase", "first nudged phase", "second nudged phase")


@dataclass
class Step:
    """States, answer, and what was learned of them.

    Attributes:
        phases: states of every free layer as codes: free phase, first and second nudged phase.
        answer: the predicted class.
        gradients: by matrix [rows, columns], in codes of both layers, if they were asked for.
        counters: of the controller's registers, for this step.
    """

    phases: list[dict[str, Codes]]
    answer: int
    gradients: dict[str, Codes] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def difference(self, truth: Step) -> str:
        """What is not as in ``truth``, first what comes first in a step; empty if all is. Gradients only if there are.

        Raises:
            ValueError: for steps of other phases, layers or matrices.
        """
        for phase, found, expected in zip(PHASES, self.phases, truth.phases, strict=True):
            if text := unlike(found, expected, "states"):
                return f"{phase}: {text}"
        if self.answer != truth.answer:
            return f"answer {self.answer}: expected {truth.answer}"
        return unlike(self.gradients, truth.gradients, "gradients") if self.gradients else ""


def unlike(found: dict[str, Codes], expected: dict[str, Codes], what: str) -> str:
    """The first name whose numbers differ, and how many do."""
    if found.keys() != expected.keys():
        raise ValueError(f"{what} of {sorted(found)}: expected those of {sorted(expected)}")
    for name, codes in expected.items():
        if (count := int((found[name] != codes).sum())) > 0:
            return f"{name}: {count} of {codes.size} {what} differ"
    return ""
