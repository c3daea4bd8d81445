"""Truth: the normalisation formula evaluated by numpy in double precision."""

import numpy as np
import pytest
import torch

from eqprop.data import ImageSet, check_shape, load, names
from eqprop.errors import InputError


@pytest.fixture
def images() -> ImageSet:
    return ImageSet(
        name="tiny",
        images=torch.randint(0, 256, (10, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
        labels=torch.arange(10) % 3,
        classes=("a", "b", "c"),
        full_scale=255.0,
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.25, 2.0),
    )


def test_length_and_shape(images: ImageSet) -> None:
    assert len(images) == 10
    assert images.shape == (3, 4, 5)


def test_batch_is_normalised_float32_channels_last(images: ImageSet) -> None:
    codes = images.images.clone()
    inputs, labels = images.batch(torch.tensor([7, 0, 7]))
    mean, std = np.array(images.mean)[:, None, None], np.array(images.std)[:, None, None]
    truth = (codes.numpy()[[7, 0, 7]] / 255.0 - mean) / std
    assert inputs.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(inputs.numpy(), truth, atol=1e-6)
    assert labels.tolist() == [1, 0, 1]
    assert torch.equal(images.images, codes)


def test_take_first_images(images: ImageSet) -> None:
    part = images.take(4)
    assert torch.equal(part.images, images.images[:4])
    assert torch.equal(part.labels, images.labels[:4])
    assert (part.name, part.classes, part.mean, part.std) == ("tiny", images.classes, images.mean, images.std)
    assert len(images.take(10)) == 10


def test_take_random_images_without_repetition(images: ImageSet) -> None:
    part, again, other = images.take(6, seed=1), images.take(6, seed=1), images.take(6, seed=2)
    assert torch.equal(part.images, again.images)
    assert torch.equal(part.labels, again.labels)
    assert not torch.equal(part.images, other.images)
    label_of = {image.tobytes(): int(label) for image, label in zip(images.images.numpy(), images.labels, strict=True)}
    taken = [image.tobytes() for image in part.images.numpy()]
    assert len(set(taken)) == 6
    assert [label_of[image] for image in taken] == part.labels.tolist()


@pytest.mark.parametrize("count", [-1, 0, 11])
@pytest.mark.parametrize("seed", [None, 0])
def test_take_refuses_an_impossible_count(images: ImageSet, count: int, seed: int | None) -> None:
    with pytest.raises(InputError, match=rf"data set tiny: cannot take {count} of 10 images"):
        images.take(count, seed)


def test_check_shape(images: ImageSet) -> None:
    check_shape(images, (3, 4, 5), "model.pt")
    with pytest.raises(InputError, match=r"^data set tiny: images are 3x4x5 but model.pt expects 3x32x32$"):
        check_shape(images, (3, 32, 32), "model.pt")


def test_names() -> None:
    assert names() == ("digits", "fashion-mnist", "mnist", "kmnist", "cifar10", "cifar100", "images")


def test_unknown_name_and_split() -> None:
    with pytest.raises(InputError, match=r"unknown data set 'imagenet'; expected one of digits, fashion-mnist, "):
        load("imagenet", "train")
    with pytest.raises(InputError, match=r"data set digits: unknown split 'val'; expected train or test"):
        load("digits", "val")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["mnist", "kmnist", "cifar10", "cifar100", "images"])
def test_data_dir_is_required(name: str) -> None:
    with pytest.raises(InputError, match=rf"^data set {name}: give --data-dir"):
        load(name, "train")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar100", "images"])
def test_data_dir_must_exist(name: str) -> None:
    with pytest.raises(InputError, match=r"--data-dir /no/such: no such folder"):
        load(name, "test", "/no/such")
