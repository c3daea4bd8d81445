"""Reading a data file whole, or saying in one line why that is not possible."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from eqprop.errors import InputError


def existing_folder(name: str, data_dir: Path | None, content: str) -> Path:
    """``data_dir``, when given and a folder; ``content`` tells the user what the folder should hold."""
    if data_dir is None:
        raise InputError(f"data set {name}: give --data-dir, the folder that holds {content}")
    if not data_dir.is_dir():
        raise InputError(f"--data-dir {data_dir}: no such folder; data set {name} expects one that holds {content}")
    return data_dir


def read_file(path: Path) -> bytearray:
    """The bytes of ``path``, unpacked when its name ends in ``.gz``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if path.suffix != ".gz":
        return bytearray(data)
    try:
        return bytearray(gzip.decompress(data))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: corrupt gzip data ({error})") from None


def check_labels(path: Path, labels: list[int], classes: int) -> None:
    """Every label lies in 0 .. classes - 1."""
    for position, label in enumerate(labels):
        if not 0 <= label < classes:
            raise InputError(f"{path}: label {position} is {label}; expected 0 to {classes - 1}")
