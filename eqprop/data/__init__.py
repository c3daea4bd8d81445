"""Labelled image sets, read from local files. Nothing is downloaded and nothing is unpickled.

``digits`` comes with scikit-learn; the MNIST family is read from IDX files, CIFAR from its binary version, and
``images`` from a folder of JPEG or PNG files.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from eqprop.data.augment import Augmentation
from eqprop.data.cifar import load_cifar
from eqprop.data.digits import load_digits
from eqprop.data.idx import load_idx
from eqprop.data.image_folder import load_image_folder
from eqprop.data.image_set import ImageSet, Split, check_shape
from eqprop.errors import InputError

__all__ = ["Augmentation", "ImageSet", "Split", "check_shape", "load", "names"]

_LOADERS: dict[str, Callable[[Split, Path | None], ImageSet]] = {
    "digits": load_digits,
    "fashion-mnist": partial(load_idx, "fashion-mnist"),
    "mnist": partial(load_idx, "mnist"),
    "kmnist": partial(load_idx, "kmnist"),
    "cifar10": partial(load_cifar, "cifar10"),
    "cifar100": partial(load_cifar, "cifar100"),
    "images": load_image_folder,
}


def names() -> tuple[str, ...]:
    """The data sets that ``load`` knows."""
    return tuple(_LOADERS)


def load(name: str, split: Split, data_dir: Path | str | None = None) -> ImageSet:
    """Read one split of a data set into memory.

    ``data_dir`` is the folder with the files. ``digits`` ignores it, ``fashion-mnist`` has a default
    (where the Debian package puts it), all others require it.

    Raises ``InputError`` for an unknown name or split, and for files that are missing or malformed.
    """
    if name not in _LOADERS:
        raise InputError(f"unknown data set {name!r}; expected one of {', '.join(names())}")
    if split not in ("train", "test"):
        raise InputError(f"data set {name}: unknown split {split!r}; expected train or test")
    return _LOADERS[name](split, None if data_dir is None else Path(data_dir).expanduser())
