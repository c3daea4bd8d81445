"""Truth: the numpy arrays that were saved as PNG, and for JPEG what Pillow decodes one file at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eqprop.data import Split, load
from eqprop.errors import InputError

RNG_SEED = 0


def pixels(*shape: int) -> Any:
    return np.random.default_rng(RNG_SEED + sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, array: Any, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path)


def write_folder(folder: Path, colour: bool = True, suffix: str = ".png") -> dict[str, Any]:
    """Two classes, cat 3 + 1 and dog 2 + 1 images of 6 x 5 (height x width); all arrays by their file's path."""
    rng = np.random.default_rng(RNG_SEED)
    saved: dict[str, Any] = {}
    for name in ("train/cat/0", "train/cat/1", "train/cat/2", "train/dog/0", "train/dog/1", "test/cat/0", "test/dog/0"):
        saved[name] = rng.integers(0, 256, (6, 5, 3) if colour else (6, 5), dtype=np.uint8)
        save(folder / (name + suffix), saved[name])
    return saved


INTERLEAVED = ["train/cat/0", "train/dog/0", "train/cat/1", "train/dog/1", "train/cat/2"]


def test_colour_png(tmp_path: Path) -> None:
    saved = write_folder(tmp_path)
    train, test = load("images", "train", tmp_path), load("images", "test", tmp_path)
    truth = np.stack([saved[name] for name in INTERLEAVED])
    np.testing.assert_array_equal(train.images.numpy(), truth.transpose(0, 3, 1, 2))
    assert train.images.is_contiguous()
    assert train.labels.tolist() == [0, 1, 0, 1, 0]
    assert train.classes == ("cat", "dog")
    np.testing.assert_array_equal(test.images.numpy()[1], saved["test/dog/0"].transpose(2, 0, 1))
    np.testing.assert_allclose(train.mean, (truth / 255).mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(train.std, (truth / 255).std(axis=(0, 1, 2)), rtol=1e-12)
    assert (test.mean, test.std, test.classes) == (train.mean, train.std, train.classes)


def test_grey_png_has_one_channel(tmp_path: Path) -> None:
    saved = write_folder(tmp_path, colour=False)
    train, test = load("images", "train", tmp_path), load("images", "test", tmp_path)
    truth = np.stack([saved[name] for name in INTERLEAVED])
    np.testing.assert_array_equal(train.images.numpy()[:, 0], truth)
    assert train.shape == test.shape == (1, 6, 5)
    np.testing.assert_allclose(train.mean + train.std, ((truth / 255).mean(), (truth / 255).std()), rtol=1e-12)


def test_one_colour_image_makes_all_three_channels(tmp_path: Path) -> None:
    saved = write_folder(tmp_path, colour=False)
    save(tmp_path / "train/dog/9.png", pixels(6, 5, 3))
    train, test = load("images", "train", tmp_path), load("images", "test", tmp_path)
    assert train.shape == test.shape == (3, 6, 5)
    for channel in range(3):
        np.testing.assert_array_equal(test.images.numpy()[0, channel], saved["test/cat/0"])


def test_colour_test_image_among_grey_training_images(tmp_path: Path) -> None:
    write_folder(tmp_path, colour=False)
    save(tmp_path / "test/dog/0.png", pixels(6, 5, 3))
    with pytest.raises(InputError, match=r"test/dog/0.png: a colour image; expected grey"):
        load("images", "test", tmp_path)


def test_jpeg_of_many_images(tmp_path: Path) -> None:
    for number in range(150):
        save(tmp_path / f"train/{'ab'[number % 2]}/{number:03}.{'jpg' if number % 3 else 'JPEG'}", pixels(32, 32, 3))
    train = load("images", "train", tmp_path)
    files = sorted((tmp_path / "train").glob("*/*"), key=lambda path: path.name)
    truth = np.stack([np.asarray(Image.open(path)) for path in files])
    np.testing.assert_array_equal(train.images.numpy(), truth.transpose(0, 3, 1, 2))


def test_large_images_are_read_by_several_threads(tmp_path: Path) -> None:
    arrays = np.random.default_rng(1).integers(0, 256, (130, 128, 128), dtype=np.uint8)
    for number, array in enumerate(arrays):
        save(tmp_path / f"train/a/{number:03}.png", array)
    np.testing.assert_array_equal(load("images", "train", tmp_path).images.numpy()[:, 0], arrays)


@pytest.mark.parametrize("mode", ["RGBA", "P", "1", "LA"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    save(tmp_path / "train/a/0.png", pixels(4, 4, 3), mode)
    truth = np.asarray(Image.open(tmp_path / "train/a/0.png").convert("RGB"))
    np.testing.assert_array_equal(load("images", "train", tmp_path).images.numpy()[0], truth.transpose(2, 0, 1))


def test_a_channel_that_never_varies_stays_finite(tmp_path: Path) -> None:
    save(tmp_path / "train/a/0.png", np.full((4, 4), 51, dtype=np.uint8))
    train = load("images", "train", tmp_path)
    assert (train.mean, train.std) == ((0.2,), (1.0,))


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for name in ("train/readme.txt", "train/cat/notes.txt", "train/cat/._0.png", "train/.cache/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"not an image")
    assert len(load("images", "train", tmp_path)) == 5


def test_test_split_may_lack_a_class(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "test/cat/0.png").unlink()
    (tmp_path / "test/cat").rmdir()
    test = load("images", "test", tmp_path)
    assert test.labels.tolist() == [1]
    assert test.classes == ("cat", "dog")


def test_size_that_differs(tmp_path: Path) -> None:
    write_folder(tmp_path)
    save(tmp_path / "train/dog/1.png", pixels(6, 7, 3))
    message = r"train/dog/1.png: 7x6 pixels \(width x height\); expected 5x6 like .*train/cat/0.png"
    with pytest.raises(InputError, match=message):
        load("images", "train", tmp_path)


def test_test_images_must_have_the_size_of_train(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for name in ("test/cat/0.png", "test/dog/0.png"):
        save(tmp_path / name, pixels(8, 8, 3))
    with pytest.raises(InputError, match=r"test/cat/0.png: 8x8 pixels .*; expected 5x6 like .*train/cat/0.png"):
        load("images", "test", tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("content", ["empty", "text", "cut"])
def test_unreadable_image(tmp_path: Path, suffix: str, content: str) -> None:
    write_folder(tmp_path, suffix=suffix)
    path = tmp_path / f"train/cat/1{suffix}"
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"hello, world", "cut": whole[: len(whole) * 2 // 3]}[content])
    with pytest.raises(InputError, match=rf"train/cat/1{suffix}: cannot be read as a JPEG or PNG image"):
        load("images", "train", tmp_path)


@settings(max_examples=200)
@given(
    position=st.integers(0, 10_000), junk=st.binary(min_size=1, max_size=6), suffix=st.sampled_from([".png", ".jpg"])
)
def test_damage_is_read_or_refused_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, position: int, junk: bytes, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / f"train/a/0{suffix}"
    save(path, pixels(8, 8, 3))
    whole = bytearray(path.read_bytes())
    start = position % len(whole)
    whole[start : start + len(junk)] = junk
    path.write_bytes(whole)
    message = f"{path}: one line"
    try:
        load("images", "train", folder)
    except InputError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_sixteen_bit_image(tmp_path: Path) -> None:
    save(tmp_path / "train/a/0.png", np.full((4, 4), 40_000, dtype=np.uint16))
    with pytest.raises(InputError, match=r"train/a/0.png: pixel mode I;16; expected 8 bits per channel"):
        load("images", "train", tmp_path)


def test_folders_that_are_missing_or_empty(tmp_path: Path) -> None:
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        with pytest.raises(InputError, match=r"train: no such folder; data set images expects train/<class>/"):
            load("images", split, tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match=r"train: holds no class folders"):
        load("images", "train", tmp_path)
    (tmp_path / "train/cat").mkdir()
    with pytest.raises(InputError, match=r"train/cat: holds no .jpg, .jpeg or .png files"):
        load("images", "train", tmp_path)
    save(tmp_path / "train/cat/0.png", pixels(4, 4))
    with pytest.raises(InputError, match=r"test: no such folder"):
        load("images", "test", tmp_path)


def test_class_only_in_test(tmp_path: Path) -> None:
    write_folder(tmp_path)
    save(tmp_path / "test/cow/0.png", pixels(6, 5, 3))
    with pytest.raises(InputError, match=r"test/cow: class not in train/ \(cat, dog\)"):
        load("images", "test", tmp_path)
