"""A folder of JPEG or PNG files: ``train/<class>/<image>`` and ``test/<class>/<image>``."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eqprop.data.files import existing_folder
from eqprop.data.image_set import ImageSet, Split
from eqprop.errors import InputError

_SUFFIXES = (".jpg", ".jpeg", ".png")
_CONTENT = "train/<class>/ and test/<class>/ with .jpg, .jpeg or .png files"
# All of these come out of Pillow for files damaged in one way or another.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
_FILES_PER_TASK = 64
# Threads only pay for large images, measured: in small ones Pillow's Python code, which holds the interpreter lock, is
# most of the work, and two threads at 32x32 take half as long again as one.
_THREADED_FROM_PIXELS = 128 * 128
_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


@dataclass(frozen=True)
class _Files:
    paths: list[Path]
    labels: list[int]


def load_image_folder(split: Split, data_dir: Path | None) -> ImageSet:
    """One split of a folder of images, 3 channels, or 1 when all training images are grey (mode L).

    Classes are the sorted folder names of ``train/`` (``test/`` may lack some); hidden files and other suffixes are
    passed over. The first image of every class comes first, then the second of every class, and so on, so that the
    first few images already show all classes. ``mean`` and ``std`` are those of the training images for both splits,
    so loading ``test`` decodes ``train`` too.

    Raises ``InputError`` for a missing or empty folder, a test class that is not in ``train/``, an unreadable image,
    sizes that differ, and colour test images when training is all grey.
    """
    folder = existing_folder("images", data_dir, _CONTENT)
    classes = _class_folders(folder / "train")
    train_files = _list_files(folder / "train", classes)
    images, grey = _decode(train_files.paths, like=train_files.paths[0])
    all_grey = bool(grey.all())
    mean, std = _statistics(images[:, :1] if all_grey else images)
    files = train_files
    if split == "test":
        unknown = sorted(set(_class_folders(folder / "test")) - set(classes))
        if unknown:
            raise InputError(f"{folder / 'test' / unknown[0]}: class not in train/ ({', '.join(classes)})")
        files = _list_files(folder / "test", classes)
        images, grey = _decode(files.paths, like=train_files.paths[0])
        if all_grey and not grey.all():
            path = files.paths[int(grey.to(torch.uint8).argmin())]
            raise InputError(f"{path}: a colour image; expected grey (mode L) like all images in train/")
    return ImageSet(
        name="images",
        images=images[:, :1].contiguous() if all_grey else images,
        labels=torch.tensor(files.labels),
        classes=classes,
        full_scale=255.0,
        mean=mean,
        std=std,
    )


def _class_folders(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; data set images expects {_CONTENT}")
    classes = tuple(sorted(entry.name for entry in _visible(folder) if entry.is_dir()))
    if not classes:
        raise InputError(f"{folder}: holds no class folders; data set images expects {_CONTENT}")
    return classes


def _list_files(folder: Path, classes: Sequence[str]) -> _Files:
    found: list[tuple[int, int, Path]] = []
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            continue
        paths = sorted(path for path in _visible(folder / name) if path.suffix.lower() in _SUFFIXES)
        if not paths:
            raise InputError(f"{folder / name}: holds no .jpg, .jpeg or .png files; every class folder needs some")
        found += [(position, label, path) for position, path in enumerate(paths)]
    found.sort()
    return _Files([path for _, _, path in found], [label for _, label, _ in found])


def _visible(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name[0] != "."]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None


def _decode(paths: Sequence[Path], like: Path) -> tuple[Tensor, Tensor]:
    """uint8 images [count, 3, height, width] of the size of ``like``, and bool [count]: which are grey files."""
    height, width, _ = _read_image(like, None, like)[0].shape
    pixels = np.empty((len(paths), 3, height, width), dtype=np.uint8)
    grey = np.empty(len(paths), dtype=np.bool_)

    def read_some(first: int) -> None:
        for position in range(first, min(first + _FILES_PER_TASK, len(paths))):
            image, grey[position] = _read_image(paths[position], (width, height), like)
            pixels[position] = image.transpose(2, 0, 1)

    workers = min(8, os.cpu_count() or 1) if height * width >= _THREADED_FROM_PIXELS else 1
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for _ in pool.map(read_some, range(0, len(paths), _FILES_PER_TASK)):
            pass  # asking for a result raises what its task raised
    return torch.from_numpy(pixels), torch.from_numpy(grey)


def _read_image(path: Path, size: tuple[int, int] | None, like: Path) -> tuple[NDArray[np.uint8], bool]:
    """uint8 [height, width, 3], and whether the file is grey; ``size`` is the (width, height) that ``like`` has."""
    from PIL import Image

    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            if size is not None and image.size != size:
                found, expected = ("x".join(map(str, sides)) for sides in (image.size, size))
                raise InputError(f"{path}: {found} pixels (width x height); expected {expected} like {like}")
            if image.mode not in _EIGHT_BIT_MODES:
                raise InputError(f"{path}: pixel mode {image.mode}; expected 8 bits per channel")
            colour = image if image.mode == "RGB" else image.convert("RGB")
            return np.asarray(colour), image.mode == "L"
    except InputError:
        raise
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read as a JPEG or PNG image ({type(error).__name__})") from None


def _statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel in [0, 1], exact: from how often each pixel code occurs."""
    codes = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in images.unbind(1):
        share = torch.bincount(channel.flatten(), minlength=256).to(torch.float64) / channel.numel()
        mean = (share * codes).sum()
        deviation = (share * (codes - mean).square()).sum().sqrt().item()
        means.append(mean.item())
        deviations.append(deviation or 1.0)  # a channel that never varies has no scale to divide by
    return tuple(means), tuple(deviations)
