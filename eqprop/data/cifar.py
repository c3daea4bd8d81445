"""CIFAR-10 and CIFAR-100 in their binary version (https://www.cs.toronto.edu/~kriz/cifar.html).

A file is a row of records: the label bytes (CIFAR-100: coarse, then fine), then 3 x 32 x 32 pixels, channel by
channel. The "python version" of the same sets is pickled and is not read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from eqprop.data.files import check_labels, existing_folder, read_file
from eqprop.data.image_set import ImageSet, Split
from eqprop.errors import InputError

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Version:
    folder: str
    files: dict[str, tuple[str, ...]]
    label_classes: tuple[int, ...]  # how many values each label byte may take; the last label is the one we use
    names_file: str
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_CIFAR10_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100_CLASSES = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm
"""

_VERSIONS = {
    "cifar10": _Version(
        folder="cifar-10-batches-bin",
        files={"train": tuple(f"data_batch_{part}.bin" for part in range(1, 6)), "test": ("test_batch.bin",)},
        label_classes=(10,),
        names_file="batches.meta.txt",
        classes=tuple(_CIFAR10_CLASSES.split()),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
    ),
    "cifar100": _Version(
        folder="cifar-100-binary",
        files={"train": ("train.bin",), "test": ("test.bin",)},
        label_classes=(20, 100),
        names_file="fine_label_names.txt",
        classes=tuple(_CIFAR100_CLASSES.split()),
        mean=(0.5071, 0.4867, 0.4408),
        std=(0.2675, 0.2565, 0.2761),
    ),
}


def load_cifar(name: str, split: Split, data_dir: Path | None) -> ImageSet:
    """One split of ``cifar10`` or ``cifar100`` (fine labels), images 3x32x32.

    ``data_dir`` holds the ``.bin`` files, or the folder that the official archive unpacks to. Class names are read from
    the names file where there is one.

    Raises ``InputError`` when a file is missing, is not a whole number of records, or has a label out of range.
    """
    version = _VERSIONS[name]
    content = f"{version.files[split][0]} or {version.folder}/ (the binary version)"
    folder = existing_folder(name, data_dir, content)
    if (folder / version.folder).is_dir():
        folder = folder / version.folder
    parts = [_read_records(folder / file, name, version.label_classes) for file in version.files[split]]
    return ImageSet(
        name=name,
        images=torch.cat([images for images, _ in parts]),
        labels=torch.cat([labels for _, labels in parts]),
        classes=_class_names(folder / version.names_file, version.classes),
        full_scale=255.0,
        mean=version.mean,
        std=version.std,
    )


def _read_records(path: Path, name: str, label_classes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such file, needed by data set {name} (the binary version); give --data-dir")
    data = read_file(path)
    record = len(label_classes) + _PIXELS
    if not data or len(data) % record:
        raise InputError(f"{path}: {len(data)} bytes; expected a whole number of {record}-byte records")
    records = torch.frombuffer(data, dtype=torch.uint8).view(-1, record)
    for column, classes in enumerate(label_classes):
        check_labels(path, records[:, column].tolist(), classes)
    pixels = records[:, len(label_classes) :].reshape(-1, *_SHAPE)
    return pixels, records[:, len(label_classes) - 1].to(torch.int64)


def _class_names(path: Path, usual: tuple[str, ...]) -> tuple[str, ...]:
    if not path.is_file():
        return usual
    names = tuple(read_file(path).decode("utf-8", errors="replace").split())
    if len(names) != len(usual):
        raise InputError(f"{path}: {len(names)} class names; expected {len(usual)}")
    return names
