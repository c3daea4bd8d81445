"""Truth: records written here from numpy arrays as https://www.cs.toronto.edu/~kriz/cifar.html lays them out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eqprop.data import load
from eqprop.errors import InputError

Array = np.ndarray[Any, np.dtype[np.uint8]]


def records(seed: int, count: int, label_classes: tuple[int, ...]) -> tuple[bytes, Array, Array]:
    rng = np.random.default_rng(seed)
    labels = np.stack([rng.integers(0, classes, count, dtype=np.uint8) for classes in label_classes], axis=1)
    images = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return np.concatenate([labels, images.reshape(count, -1)], axis=1).tobytes(), images, labels[:, -1]


def write_cifar10(folder: Path) -> tuple[Array, Array]:
    folder.mkdir(exist_ok=True)
    parts = [records(part, part, (10,)) for part in range(1, 6)]
    for part, (data, _, _) in enumerate(parts, start=1):
        (folder / f"data_batch_{part}.bin").write_bytes(data)
    return np.concatenate([images for _, images, _ in parts]), np.concatenate([labels for _, _, labels in parts])


@pytest.mark.parametrize("child", [".", "cifar-10-batches-bin"])
def test_cifar10_train_joins_five_files(tmp_path: Path, child: str) -> None:
    images, labels = write_cifar10(tmp_path / child)
    data = load("cifar10", "train", tmp_path)
    np.testing.assert_array_equal(data.images.numpy(), images)
    np.testing.assert_array_equal(data.labels.numpy(), labels)
    assert data.shape == (3, 32, 32)
    assert data.full_scale == 255
    assert data.classes[0] == "airplane"
    assert data.classes[9] == "truck"
    assert (data.mean, data.std) == ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def test_cifar10_test(tmp_path: Path) -> None:
    data, images, labels = records(9, 4, (10,))
    (tmp_path / "test_batch.bin").write_bytes(data)
    loaded = load("cifar10", "test", tmp_path)
    np.testing.assert_array_equal(loaded.images.numpy(), images)
    np.testing.assert_array_equal(loaded.labels.numpy(), labels)


@pytest.mark.parametrize("child", [".", "cifar-100-binary"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_cifar100_uses_fine_labels(tmp_path: Path, child: str, split: Any) -> None:
    data, images, labels = records(3, 7, (20, 100))
    (tmp_path / child).mkdir(exist_ok=True)
    (tmp_path / child / f"{split}.bin").write_bytes(data)
    loaded = load("cifar100", split, tmp_path)
    np.testing.assert_array_equal(loaded.images.numpy(), images)
    np.testing.assert_array_equal(loaded.labels.numpy(), labels)
    assert len(loaded.classes) == 100
    assert list(loaded.classes) == sorted(set(loaded.classes))
    assert (loaded.mean, loaded.std) == ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))


def test_class_names_from_the_names_file(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    (tmp_path / "batches.meta.txt").write_text("\n".join(f"class{label}" for label in range(10)) + "\n\n")
    assert load("cifar10", "train", tmp_path).classes[3] == "class3"
    (tmp_path / "batches.meta.txt").write_text("cat\ndog\n")
    with pytest.raises(InputError, match=r"batches.meta.txt: 2 class names; expected 10"):
        load("cifar10", "train", tmp_path)


@pytest.mark.parametrize("cut", [1, 3072])
def test_truncated_file(tmp_path: Path, cut: int) -> None:
    write_cifar10(tmp_path)
    path = tmp_path / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputError, match=rf"data_batch_3.bin: {3 * 3073 - cut} bytes; expected a whole number of 3073"):
        load("cifar10", "train", tmp_path)


def test_empty_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "test.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"test.bin: 0 bytes; expected a whole number of 3074-byte records"):
        load("cifar100", "test", tmp_path)
    with pytest.raises(InputError, match=r"train.bin: no such file, needed by data set cifar100 .*give --data-dir"):
        load("cifar100", "train", tmp_path)


@pytest.mark.parametrize(("column", "value", "top"), [(0, 20, 19), (1, 100, 99)])
def test_label_out_of_range(tmp_path: Path, column: int, value: int, top: int) -> None:
    data = bytearray(records(0, 3, (20, 100))[0])
    data[2 * 3074 + column] = value
    (tmp_path / "test.bin").write_bytes(data)
    with pytest.raises(InputError, match=rf"test.bin: label 2 is {value}; expected 0 to {top}"):
        load("cifar100", "test", tmp_path)
