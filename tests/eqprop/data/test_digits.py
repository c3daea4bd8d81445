"""Truth: the arrays of scikit-learn's load_digits."""

import hashlib

import numpy as np
import torch
from sklearn.datasets import load_digits

from eqprop.data import load


def test_train_and_test_share_out_all_images() -> None:
    train, test = load("digits", "train"), load("digits", "test")
    assert (len(train), len(test)) == (1437, 360)
    codes, labels = load_digits(return_X_y=True)
    pairs = [
        (*image.flatten().tolist(), label)
        for part in (train, test)
        for image, label in zip(part.images, part.labels.tolist(), strict=True)
    ]
    truth = [(*map(int, image), int(label)) for image, label in zip(codes, labels, strict=True)]
    assert sorted(pairs) == sorted(truth)


def test_split_is_stratified() -> None:
    counts = load("digits", "test").labels.bincount(minlength=10).numpy()
    truth = np.bincount(load_digits().target) * 360 / 1797
    assert np.abs(counts - truth).max() < 1


def test_split_never_changes() -> None:
    labels = load("digits", "test").labels.to(torch.uint8).numpy().tobytes()
    assert hashlib.sha256(labels).hexdigest()[:16] == "da1a2ec12e5c2ed7"


def test_inputs_are_unsigned_fractions_of_sixteen() -> None:
    test = load("digits", "test")
    assert test.shape == (1, 8, 8)
    assert test.images.dtype == torch.uint8
    assert test.labels.dtype == torch.int64
    inputs, _ = test.batch(torch.arange(len(test)))
    assert torch.equal(inputs, test.images.float() / 16)
    assert inputs.min() == 0
    assert inputs.max() == 1
