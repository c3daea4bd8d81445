"""Truth: IDX files written here, byte by byte, from numpy arrays; for Fashion-MNIST its published facts."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from eqprop.data import load
from eqprop.data.idx import read_idx
from eqprop.errors import InputError

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def idx_bytes(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 0, 9, 1, 1, 4], dtype=np.uint8)


def write_pair(folder: Path, prefix: str = "train", images: bytes | None = None, labels: bytes | None = None) -> Path:
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(IMAGES) if images is None else images)
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(LABELS) if labels is None else labels)
    return folder


@given(array=npst.arrays(np.uint8, npst.array_shapes(min_dims=1, max_dims=4, max_side=6)), packed=st.booleans())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, array: Any, packed: bool) -> None:
    path = tmp_path_factory.mktemp("idx") / ("file.gz" if packed else "file")
    path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path, array.ndim).numpy(), array)


@given(junk=st.binary(max_size=40), packed=st.booleans())
def test_junk_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, junk: bytes, packed: bool) -> None:
    path = tmp_path_factory.mktemp("junk") / ("file.gz" if packed else "file")
    path.write_bytes(junk)
    with pytest.raises(InputError) as caught:
        read_idx(path, dimensions=3)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "kmnist", "fashion-mnist"])
@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_family(tmp_path: Path, name: str, split: Any, prefix: str) -> None:
    data = load(name, split, str(write_pair(tmp_path, prefix)))
    assert data.name == name
    assert data.shape == (1, 28, 28)
    assert len(data.classes) == 10
    np.testing.assert_array_equal(data.images.numpy()[:, 0], IMAGES)
    np.testing.assert_array_equal(data.labels.numpy(), LABELS)


def test_published_statistics(tmp_path: Path) -> None:
    write_pair(tmp_path)
    found = {name: load(name, "train", tmp_path) for name in ("mnist", "kmnist", "fashion-mnist")}
    assert {name: (data.mean[0], data.std[0]) for name, data in found.items()} == {
        "mnist": (0.1307, 0.3081),
        "kmnist": (0.1918, 0.3483),
        "fashion-mnist": (0.2860, 0.3530),
    }


def test_gz_is_found_when_there_is_no_plain_file(tmp_path: Path) -> None:
    write_pair(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    np.testing.assert_array_equal(load("mnist", "train", tmp_path).images.numpy()[:, 0], IMAGES)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (b"", "starts with bytes none; expected an IDX file"),
        (b"\x89PNG....", "starts with bytes 89 50 4e 47; expected an IDX file"),
        (b"\0\0\x0d\x03" + idx_bytes(IMAGES)[4:], r"number type 0x0d \(float32\); expected 0x08 \(uint8\)"),
        (b"\0\0\x77\x03" + idx_bytes(IMAGES)[4:], r"number type 0x77 \(unknown\)"),
        (idx_bytes(LABELS), "1 dimensions; expected 3"),
        (idx_bytes(IMAGES)[:10], "truncated header of 10 bytes; expected 16"),
        (idx_bytes(IMAGES)[:-1], "4719 bytes; expected 4720 for 6x28x28 numbers"),
        (idx_bytes(IMAGES) + b"x", "4721 bytes; expected 4720"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "16 bytes; expected"),
        (idx_bytes(IMAGES[:0]), r"holds no pixels \(sizes \[0, 28, 28\]\)"),
        (idx_bytes(IMAGES[:, :0]), "holds no pixels"),
        (idx_bytes(IMAGES[:5]), "5 images but 6 labels in train-labels-idx1-ubyte"),
    ],
)
def test_malformed_images(tmp_path: Path, images: bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"train-images-idx3-ubyte: {message}"):
        load("mnist", "train", write_pair(tmp_path, images=images))


def test_label_out_of_range(tmp_path: Path) -> None:
    labels = idx_bytes(np.array([0, 9, 10, 1, 2, 3], dtype=np.uint8))
    with pytest.raises(InputError, match=r"train-labels-idx1-ubyte: label 2 is 10; expected 0 to 9"):
        load("mnist", "train", write_pair(tmp_path, labels=labels))


@pytest.mark.parametrize("damage", ["cut", "flipped", "not gzip", "tail"])
def test_corrupt_gzip(tmp_path: Path, damage: str) -> None:
    write_pair(tmp_path)
    packed = gzip.compress((tmp_path / "train-images-idx3-ubyte").read_bytes())
    (tmp_path / "train-images-idx3-ubyte").unlink()
    broken = {
        "cut": packed[: len(packed) // 2],
        "flipped": packed[:100] + bytes(255 - byte for byte in packed[100:200]) + packed[200:],
        "not gzip": b"plain bytes",
        "tail": packed + b"tail",
    }[damage]
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(broken)
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.gz: corrupt gzip data"):
        load("mnist", "train", tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte: no such file \(nor .gz\), needed by data set mnist"):
        load("mnist", "test", write_pair(tmp_path))
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    advice = "apt-get install dataset-fashion-mnist or give --data-dir"
    with pytest.raises(InputError, match=rf"train-labels-idx1-ubyte: no such file .*; {advice}"):
        load("fashion-mnist", "train", tmp_path)


@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="needs the Debian package dataset-fashion-mnist")
def test_real_fashion_mnist() -> None:
    train, test = load("fashion-mnist", "train"), load("fashion-mnist", "test")
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.labels.bincount().tolist() == [6000] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    assert train.labels[:8].tolist() == [9, 0, 0, 3, 0, 2, 7, 2]
    assert train.classes[9] == "Ankle boot"
    pixels = train.images.float() / 255
    assert abs(float(pixels.mean()) - train.mean[0]) < 1e-4
    assert abs(float(pixels.std()) - train.std[0]) < 1e-4
