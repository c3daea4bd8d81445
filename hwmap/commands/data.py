"""Loading the images a command was asked for."""

from __future__ import annotations

from pathlib import Path

from eqprop.data import ImageSet, Split, check_shape, load


def images(
    name: str, split: Split, data_dir: Path | None, samples: int | None, shape: tuple[int, ...], model: str
) -> ImageSet:
    """The ``split`` of data set ``name``, at most ``samples`` of it, if its images have the model's shape.

    Raises:
        InputError: for missing or broken files, the wrong shape, or more samples than there are.
    """
    found = load(name, split, data_dir)
    check_shape(found, shape, model)
    return found if samples is None else found.take(samples)
