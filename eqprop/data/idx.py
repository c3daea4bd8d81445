"""IDX files, the format of MNIST and of the sets that copy it (http://yann.lecun.com/exdb/mnist).

An IDX file is: two zero bytes, a byte for the type of the numbers, a byte for how many dimensions; the size of each
dimension as a big-endian 32-bit integer; then the numbers, last dimension fastest.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from eqprop.data.files import check_labels, existing_folder, read_file
from eqprop.data.image_set import ImageSet, Split
from eqprop.errors import InputError

_UNSIGNED_BYTE = 0x08
_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_PREFIX = {"train": "train", "test": "t10k"}
_CONTENT = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-... (plain or .gz)"


@dataclass(frozen=True)
class _Family:
    """What the files of one member of the MNIST family do not say themselves."""

    classes: tuple[str, ...]
    mean: float
    std: float
    default_dir: Path | None = None
    advice: str = "give --data-dir"


_FAMILIES = {
    "mnist": _Family(tuple("0123456789"), 0.1307, 0.3081),
    "kmnist": _Family(("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"), 0.1918, 0.3483),
    "fashion-mnist": _Family(
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        0.2860,
        0.3530,
        default_dir=Path("/usr/share/datasets/fashion-mnist"),
        advice="apt-get install dataset-fashion-mnist or give --data-dir",
    ),
}


def load_idx(name: str, split: Split, data_dir: Path | None) -> ImageSet:
    """One split of ``mnist``, ``kmnist`` or ``fashion-mnist`` from its pair of IDX files.

    Raises ``InputError`` when a file is missing or malformed, or when the two do not belong together.
    """
    family = _FAMILIES[name]
    folder = data_dir or family.default_dir
    if folder is None or data_dir is not None:
        folder = existing_folder(name, data_dir, _CONTENT)
    images_path = _find(folder, f"{_PREFIX[split]}-images-idx3-ubyte", name, family.advice)
    labels_path = _find(folder, f"{_PREFIX[split]}-labels-idx1-ubyte", name, family.advice)
    images, labels = read_idx(images_path, dimensions=3), read_idx(labels_path, dimensions=1)
    if images.numel() == 0:
        raise InputError(f"{images_path}: holds no pixels (sizes {list(images.shape)})")
    if len(images) != len(labels):
        raise InputError(f"{images_path}: {len(images)} images but {len(labels)} labels in {labels_path.name}")
    check_labels(labels_path, labels.tolist(), len(family.classes))
    return ImageSet(
        name=name,
        images=images.unsqueeze(1),
        labels=labels.to(torch.int64),
        classes=family.classes,
        full_scale=255.0,
        mean=(family.mean,),
        std=(family.std,),
    )


def read_idx(path: Path, dimensions: int) -> Tensor:
    """A uint8 tensor from an IDX file of unsigned bytes, plain or ``.gz``.

    Raises ``InputError`` for a wrong magic number, type or number of dimensions, and for missing or extra bytes.
    """
    data = read_file(path)
    start = 4 + 4 * dimensions
    if data[:2] != b"\0\0" or len(data) < 4:
        raise InputError(f"{path}: starts with bytes {data[:4].hex(' ') or 'none'}; expected an IDX file (00 00 08 ..)")
    if data[2] != _UNSIGNED_BYTE:
        found = _TYPES.get(data[2], "unknown")
        raise InputError(f"{path}: number type 0x{data[2]:02x} ({found}); expected 0x08 (uint8)")
    if data[3] != dimensions:
        raise InputError(f"{path}: {data[3]} dimensions; expected {dimensions}")
    if len(data) < start:
        raise InputError(f"{path}: truncated header of {len(data)} bytes; expected {start}")
    sizes = struct.unpack_from(f">{dimensions}I", data, offset=4)
    expected = start + math.prod(sizes)
    if len(data) != expected:
        shape = "x".join(map(str, sizes))
        raise InputError(f"{path}: {len(data)} bytes; expected {expected} for {shape} numbers")
    if expected == start:
        return torch.empty(sizes, dtype=torch.uint8)
    return torch.frombuffer(data, dtype=torch.uint8, offset=start).view(sizes)


def _find(folder: Path, file_name: str, name: str, advice: str) -> Path:
    for path in (folder / file_name, folder / f"{file_name}.gz"):
        if path.is_file():
            return path
    raise InputError(f"{folder / file_name}: no such file (nor .gz), needed by data set {name}; {advice}")
