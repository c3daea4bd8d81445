"""Truth: every crop of the image padded with numpy.pad(mode="edge"), and its mirror image, listed one by one."""

import numpy as np
import pytest
import torch
from torch import Tensor

from eqprop.data import Augmentation
from eqprop.errors import InputError


def random_images(count: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def all_results(image: Tensor, padding: int, flip: bool) -> list[bytes]:
    _, height, width = image.shape
    padded = np.pad(image.numpy(), ((0, 0), (padding, padding), (padding, padding)), mode="edge")
    crops = [
        padded[:, row : row + height, column : column + width]
        for row in range(2 * padding + 1)
        for column in range(2 * padding + 1)
    ]
    return [crop.tobytes() for crop in crops] + [crop[:, :, ::-1].tobytes() for crop in crops if flip]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 3])
def test_each_image_becomes_one_of_its_own_crops(padding: int, flip: bool) -> None:
    images = random_images(40, (3, 5, 7))
    results = Augmentation(padding, flip)(images, torch.Generator().manual_seed(1))
    assert results.shape == images.shape
    assert results.dtype == images.dtype
    for image, result in zip(images, results, strict=True):
        assert result.numpy().tobytes() in all_results(image, padding, flip)


def test_every_crop_and_flip_is_drawn_equally_often() -> None:
    image = random_images(1, (1, 4, 4))
    results = Augmentation(1, True)(image.expand(18_000, -1, -1, -1), torch.Generator().manual_seed(2))
    drawn = [result.tobytes() for result in results.numpy()]
    counts = [drawn.count(possible) for possible in all_results(image[0], 1, True)]
    assert sum(counts) == 18_000
    assert min(counts) > 850
    assert max(counts) < 1150


def test_same_generator_same_bits() -> None:
    images, augment = random_images(64, (3, 8, 8)), Augmentation(2, True)
    first, second, third = (augment(images, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_dtype_and_memory_format_do_not_change_the_result(
    dtype: torch.dtype, memory_format: torch.memory_format
) -> None:
    images, augment = random_images(16, (3, 6, 4)), Augmentation(2, True)
    expected = augment(images, torch.Generator().manual_seed(3))
    result = augment(images.to(dtype, memory_format=memory_format), torch.Generator().manual_seed(3))
    assert result.dtype == dtype
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(result, expected.to(dtype))


def test_a_shift_beyond_the_image_shows_only_its_edge() -> None:
    results = Augmentation(crop_padding=50)(random_images(20, (1, 2, 2)), torch.Generator().manual_seed(0))
    assert results.shape == (20, 1, 2, 2)


def test_nothing_asked_nothing_drawn() -> None:
    images, generator = random_images(3, (1, 2, 2)), torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert torch.equal(Augmentation()(images, generator), images)
    assert torch.equal(generator.get_state(), before)


def test_an_empty_batch_stays_empty() -> None:
    assert Augmentation(2, True)(torch.empty(0, 3, 4, 4), torch.Generator()).shape == (0, 3, 4, 4)


def test_negative_padding_is_refused() -> None:
    with pytest.raises(InputError, match=r"crop_padding is -1; expected 0 or more"):
        Augmentation(crop_padding=-1)
