"""Values the user gave on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eqprop.errors import InputError


@contextmanager
def values_from(source: str) -> Iterator[None]:
    """Turn a ValueError about a value the user gave into an InputError that names where it came from."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error
