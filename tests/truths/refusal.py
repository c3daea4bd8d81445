"""What a refused model file looks like: one line that names the file."""

from pathlib import Path

import pytest

import eqprop
from eqprop import InputError


def assert_refused(path: Path, message: str = "") -> None:
    """Loading ``path`` raises an InputError whose one line names the file and holds ``message``."""
    with pytest.raises(InputError) as refused:
        eqprop.load(path)
    text = str(refused.value)
    assert str(path) in text
    assert message in text
    assert "\n" not in text
