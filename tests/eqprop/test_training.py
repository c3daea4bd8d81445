"""Truth: an unbroken training, the cosine's formula, and the settings' own meaning counted by hand."""

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from eqprop import ConvergenceWarning, EnergyNetwork, FixedPoint, InputError, data, models, training
from eqprop.checkpoint import Checkpoint, read, save
from eqprop.data import ImageSet
from eqprop.estimators import Estimate
from eqprop.training import EpochRecord, Observer, TrainingSettings, train

SETTINGS = TrainingSettings(epochs=2, batch_size=20, crop_padding=1, flip=True, seed=3)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return data.load("digits", "train").take(90, seed=0)


def tiny() -> EnergyNetwork:
    network = models.build("hopfield-resnet", width=1 / 8, seed=1)
    network.dynamics = FixedPoint("coloured", 200)
    return network


def without_time(records: list[EpochRecord]) -> list[EpochRecord]:
    return [dataclasses.replace(record, seconds=0.0) for record in records]


class StopAfter(Observer):
    """Saves a checkpoint after every epoch, and breaks off after one of them."""

    def __init__(self, epoch: int, path: Path, network: EnergyNetwork) -> None:
        self.last, self.path, self.network = epoch, path, network

    def epoch(self, record: EpochRecord, state: dict[str, Any]) -> None:
        save(self.path, Checkpoint(self.network, training=state))
        if record.epoch == self.last:
            raise KeyboardInterrupt


def test_resumed_training_equals_the_unbroken_one_bit_for_bit(digits: ImageSet, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=3)
    unbroken, path = tiny(), tmp_path / "model.pt"
    truth = train(unbroken, digits, settings)
    network: EnergyNetwork = tiny()
    with pytest.raises(KeyboardInterrupt):
        train(network, digits, settings, StopAfter(1, path, network))
    saved = read(path)
    with pytest.raises(KeyboardInterrupt):
        train(saved.network, digits, settings, StopAfter(2, path, saved.network), saved.training)
    saved = read(path)
    records = train(saved.network, digits, settings, state=saved.training)
    assert without_time(records) == without_time(truth)
    for name, value in unbroken.state_dict().items():
        assert torch.equal(saved.network.state_dict()[name], value), name


def test_a_state_kept_in_memory_is_not_changed_by_going_on(digits: ImageSet) -> None:
    states: list[dict[str, Any]] = []
    copies: list[dict[str, Any]] = []

    class Keep(Observer):
        def epoch(self, record: EpochRecord, state: dict[str, Any]) -> None:
            states.append(state)
            copies.append(copy.deepcopy(state))

    train(tiny(), digits, SETTINGS, Keep())
    network = tiny()
    train(network, digits, SETTINGS, state=states[0])
    for kept, truth in zip(states, copies, strict=True):
        assert len(kept["records"]) == len(truth["records"])
        for index, buffers in truth["optimizer"]["state"].items():
            assert torch.equal(kept["optimizer"]["state"][index]["momentum_buffer"], buffers["momentum_buffer"])


def test_nothing_is_left_to_do_after_the_last_epoch(digits: ImageSet, tmp_path: Path) -> None:
    network, path = tiny(), tmp_path / "model.pt"
    with pytest.raises(KeyboardInterrupt):
        train(network, digits, SETTINGS, StopAfter(2, path, network))
    saved = read(path)
    before = {name: value.clone() for name, value in saved.network.state_dict().items()}
    assert len(train(saved.network, digits, SETTINGS, state=saved.training)) == 2
    assert all(torch.equal(value, before[name]) for name, value in saved.network.state_dict().items())


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 5), ("batch_size", 7), ("beta", 0.2), ("seed", 4), ("learning_rate", 0.1), ("estimator", "one-sided"),
     ("clip_norm", None), ("flip", False)],
)  # fmt: skip
def test_other_settings_do_not_resume(digits: ImageSet, field: str, value: object) -> None:
    state = {"settings": dataclasses.asdict(SETTINGS), "optimizer": {}, "records": []}
    with pytest.raises(InputError, match=f"--resume: {field} is .* expected the same") as refused:
        train(tiny(), digits, dataclasses.replace(SETTINGS, **{field: value}), state=state)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("cost", ["squared-error", "cross-entropy"])
@pytest.mark.parametrize("estimator", ["symmetric", "one-sided"])
def test_loss_falls(digits: ImageSet, cost: str, estimator: str) -> None:
    network = models.build("mlp", size=8, width=1 / 16, cost=cost)
    records = train(network, digits, TrainingSettings(epochs=6, batch_size=10, estimator=estimator))
    assert records[-1].loss < 0.87 * records[0].loss
    assert records[-1].accuracy > records[0].accuracy
    assert [record.epoch for record in records] == [1, 2, 3, 4, 5, 6]
    assert all(record.batches == 9 and record.unconverged == 0 for record in records)


def test_same_seed_same_network_and_another_seed_another(digits: ImageSet) -> None:
    ends = []
    for seed in (0, 0, 1):
        network = tiny()
        train(network, digits, dataclasses.replace(SETTINGS, epochs=1, seed=seed))
        ends.append(network.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert not all(torch.equal(ends[0][name], ends[2][name]) for name in ends[0])


def test_the_rate_is_a_cosine_from_first_to_last() -> None:
    settings = TrainingSettings(learning_rate=0.4, final_learning_rate=0.002)
    assert settings.rate(0.0) == pytest.approx(0.4, rel=1e-12)
    assert settings.rate(0.5) == pytest.approx(0.201, rel=1e-12)
    assert settings.rate(1.0) == pytest.approx(0.002, rel=1e-12)
    assert settings.rate(0.25) == pytest.approx(0.201 + 0.199 * math.sqrt(0.5), rel=1e-12)


class Watch(Observer):
    """The norm of each step's gradient as the optimizer meets it, and what the steps were told."""

    def __init__(self, network: EnergyNetwork) -> None:
        self.network, self.norms, self.calls, self.counts = network, [], [], []

    def batch(self, epoch: int, done: int, batches: int, estimate: Estimate) -> None:
        gradients = [parameter.grad.flatten() for parameter in self.network.parameters()]
        self.norms.append(torch.cat(gradients).norm().item())
        self.calls.append((epoch, done, batches))
        self.counts.append(estimate.count)


def test_the_whole_gradient_is_clipped_to_its_norm(digits: ImageSet) -> None:
    found = {}
    for limit in (None, 0.05):
        network = tiny()
        watch = Watch(network)
        train(network, digits, dataclasses.replace(SETTINGS, epochs=1, clip_norm=limit), watch)
        found[limit] = watch.norms
    assert min(found[None]) > 0.06
    assert found[0.05] == pytest.approx([0.05] * 5, rel=1e-4)


def test_observers_hear_of_every_batch(digits: ImageSet) -> None:
    network = tiny()
    watch = Watch(network)
    train(network, digits, SETTINGS, watch)
    assert watch.calls == [(epoch, done, 5) for epoch in (0, 1) for done in range(1, 6)]
    assert watch.counts == [20, 20, 20, 20, 10] * 2


def test_every_epoch_sees_each_image_once_in_an_order_of_its_own(
    digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    batch = ImageSet.batch

    def noted(images: ImageSet, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.extend(index.tolist())
        return batch(images, index)

    monkeypatch.setattr(ImageSet, "batch", noted)
    train(tiny(), digits, SETTINGS)
    first, second = seen[:90], seen[90:]
    assert sorted(first) == sorted(second) == list(range(90))
    assert first != second
    assert first != sorted(first)


def test_rates_and_steps_are_those_of_nesterov_sgd(digits: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    options: list[dict[str, Any]] = []

    class Recorder(torch.optim.SGD):
        def step(self, closure: None = None) -> None:
            rates.extend(group["lr"] for group in self.param_groups)
            options.extend(self.param_groups)
            super().step(closure)

    monkeypatch.setattr(training.torch.optim, "SGD", Recorder)
    train(tiny(), digits, SETTINGS)
    assert rates == pytest.approx([SETTINGS.rate(step / 10) for step in range(10)], rel=1e-12)
    assert options[0]["nesterov"] is True
    assert (options[0]["momentum"], options[0]["weight_decay"]) == (0.9, 2.5e-4)


def test_phases_short_of_equilibrium_are_counted_and_warned_of_once_an_epoch(digits: ImageSet) -> None:
    network = tiny()
    network.dynamics = FixedPoint("coloured", 2, 1e-9)
    with pytest.warns(ConvergenceWarning, match=r"epoch \d: 5 of 5 batches") as caught:
        records = train(network, digits, SETTINGS)
    assert [record.unconverged for record in records] == [5, 5]
    assert len(caught) == 2
    assert f"largest residual {records[0].residual:.3g} (tolerance 1e-09)" in str(caught[0].message)


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 0), ("batch_size", 0), ("nudged_sweeps", 0), ("learning_rate", 0.0), ("learning_rate", math.nan),
     ("beta", 0.0), ("estimator", "backprop")],
)  # fmt: skip
def test_impossible_settings_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        TrainingSettings(**{field: value})
