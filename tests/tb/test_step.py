"""Truth: differences made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tb.step import Step


def step() -> Step:
    phases = [{"h": np.arange(6) + number, "output": np.arange(3)} for number in range(3)]
    return Step(phases, 2, {"h_output": np.ones((6, 3), int)}, {"cycles": 7})


def test_equal_steps_have_no_difference_whatever_they_took() -> None:
    other = step()
    other.counters = {"cycles": 8}
    assert step().difference(other) == ""


@pytest.mark.parametrize(
    ("number", "name", "text"),
    [
        (0, "h", "free phase: h: 2 of 6 states differ"),
        (1, "output", "first nudged phase: output: 2 of 3 states differ"),
        (2, "h", "second nudged phase: h: 2 of 6 states differ"),
    ],
)
def test_the_first_phase_and_layer_that_differs_is_named(number: int, name: str, text: str) -> None:
    other = step()
    other.phases[number][name][1:] = 0
    other.answer = 0
    other.phases[number][name][3:] = step().phases[number][name][3:]
    assert step().difference(other) == text


def test_answers_and_gradients_count() -> None:
    other = step()
    other.answer = 1
    assert step().difference(other) == "answer 2: expected 1"
    other = step()
    other.gradients["h_output"][4, 1] = 0
    assert step().difference(other) == "h_output: 1 of 18 gradients differ"
    assert Step(step().phases, 2).difference(other) == ""


def test_other_layers_are_no_comparison() -> None:
    other = step()
    del other.phases[1]["h"]
    with pytest.raises(ValueError, match=r"states of \['h', 'output'\]: expected those of \['output'\]"):
        step().difference(other)
