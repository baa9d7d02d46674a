"""Kinds of feedback in ensembles: each network against a plain torch model trained alone, and what follows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.ensembles import ensemble as ensemble_module
from neurogames.bridge.ensembles import stacked_steps
from neurogames.bridge.ensembles.coins import FEEDBACK, SIGNS, coins
from neurogames.bridge.ensembles.ensemble import train_ensemble
from neurogames.bridge.ensembles.networks import initial_ensemble
from neurogames.bridge.ensembles.streams import MASKS, MOMENTS, ORDER, permutations
from neurogames.bridge.feedback import mean_feedback
from neurogames.bridge.feedback.law import feedback_factors
from neurogames.bridge.feedback.mean_feedback import attach_mean_feedback
from neurogames.bridge.feedback.mean_feedback_adam import MeanFeedbackAdam

ROWS, BATCH, HIDDEN = 50, 16, (6, 5)
PER_EPOCH = math.ceil(ROWS / BATCH)
SEEDS = [3, 1, 4, 1, 5, 9, 2]


def falling(progress: float) -> float:
    return 1.0 - 0.8 * progress


MIXTURE = {
    "keep_prob": [1.0, 0.5, 0.1, falling, 0.3, 0.0, falling],
    "feedback": ["mean", "dropout", "mean", "mean", "gaussian", "dropout", "dropout"],
    "epochs": [2, 1.5, 3, 2, 2, 1, 3],
    "learning_rate": 0.01,
    "batch_size": BATCH,
    "hidden": HIDDEN,
}


def table() -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return inputs, torch.stack([inputs[:, 0] * inputs[:, 1], inputs[:, 2].tanh()], dim=1)


def factors(kind: str | int, seed: int, keep: float, purpose: int, step: int, granularity: str, rescale: bool):
    """The factors of one step for each hidden layer, as the ensemble draws them."""
    shape = (BATCH if granularity == "sample" else 1, len(HIDDEN) if granularity == "layer" else sum(HIDDEN))
    number = torch.tensor([FEEDBACK.index(kind) if isinstance(kind, str) else kind])
    keeps = torch.tensor([keep], dtype=torch.float64)
    drawn = coins(
        number, torch.tensor([seed]), keeps, purpose=purpose, step=step, shape=shape, rescale=rescale and keep > 0
    )
    return drawn[0].split([1] * len(HIDDEN) if granularity == "layer" else list(HIDDEN), dim=1)


def train_alone(
    inputs, targets, seed, *, keep_prob, feedback, epochs, learning_rate, optimizer, granularity, rescale, layer_rates,
    moment_draws,
):  # fmt: skip
    """The slow twin: one torch model, autograd, and the bridge's own mean feedback and its Adam where it is asked."""
    model = initial_ensemble((3, *HIDDEN, 2), [seed], dtype=inputs.dtype).network(0)
    groups = [
        {"params": list(module.parameters()), "lr": learning_rate * layer_rates[k]}
        for k, module in enumerate(model[::2])
    ]
    mean = feedback == "mean" and optimizer == "adam"
    if optimizer == "sgd":
        descent = torch.optim.SGD(groups, lr=1.0)
    else:
        descent = (
            MeanFeedbackAdam(groups, rng=torch.Generator(), n_draws=moment_draws) if mean else torch.optim.Adam(groups)
        )
    total = max(1, round(epochs * PER_EPOCH))
    for step in range(total):
        epoch, batch = divmod(step, PER_EPOCH)
        order = permutations(torch.tensor([seed]), ORDER, epoch, ROWS)[0]
        chosen = order[batch * BATCH : (batch + 1) * BATCH]
        keep = keep_prob(step / total) if callable(keep_prob) else keep_prob

        def closure(keep=keep, step=step, chosen=chosen):
            descent.zero_grad()
            if not mean:
                drawn = factors(feedback, seed, keep, MASKS, step, granularity, rescale)
            values = inputs[chosen]
            for position, module in enumerate(model):
                values = module(values)
                if isinstance(module, nn.ReLU) and not mean and keep < 1:
                    values.register_hook(drawn[position // 2][: len(chosen)].mul)
            loss = (values - targets[chosen]).square().mean()
            loss.backward()
            return loss

        if not mean:
            descent.step(closure)
            continue
        with (
            attach_mean_feedback(model, keep, granularity=granularity, rescale=rescale),
            pytest.MonkeyPatch.context() as patch,
        ):
            counters = itertools.count(step * moment_draws)

            def from_stream(_, keep=keep, counters=counters, chosen=chosen):
                drawn = iter(factors(SIGNS, seed, keep, MOMENTS, next(counters), granularity, rescale=False))
                return _Drawing(lambda *_: next(drawn)[: len(chosen)])

            patch.setattr("neurogames.bridge.feedback.mean_feedback_adam.second_moment_coins", from_stream)
            descent.step(closure)
    return model


class _Drawing:
    """In place of ``second_moment_coins``: coins from the ensemble's stream."""

    def __init__(self, draw):
        self.draw = draw

    def __enter__(self):
        self.token = mean_feedback._draw.set(self.draw)

    def __exit__(self, *_):
        mean_feedback._draw.reset(self.token)


@pytest.mark.parametrize("path", ["compiled", "stacked"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(("granularity", "rescale"), [("unit", False), ("sample", False), ("layer", True)])
def test_every_kind_of_feedback_equals_a_torch_model_trained_alone(monkeypatch, path, optimizer, granularity, rescale):
    if path == "stacked":
        monkeypatch.setattr(ensemble_module, "backend", lambda *_: stacked_steps.take_steps)
    inputs, targets = table()
    layer_rates = [0.5, 2.0, 1.0]
    common = {"optimizer": optimizer, "granularity": granularity, "rescale": rescale}
    own_rates = {"layer_rates": layer_rates, "moment_draws": 2 if granularity == "unit" else 1}
    mixture = {**MIXTURE, "keep_prob": [keep or 0.2 for keep in MIXTURE["keep_prob"]]} if rescale else MIXTURE
    trained = train_ensemble(inputs, targets, seeds=SEEDS, **own_rates, **mixture, **common)
    for k, seed in enumerate(SEEDS):
        own = {name: mixture[name][k] for name in ("keep_prob", "feedback", "epochs")}
        twin = train_alone(inputs, targets, seed, learning_rate=0.01, **own, **own_rates, **common)
        for a, b in zip(trained.ensemble.network(k).parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def parameters(trained) -> list[torch.Tensor]:
    return [*trained.ensemble.weights, *trained.ensemble.biases]


def test_with_sgd_the_mean_and_the_laws_layer_rates_are_one_training():
    """The factors multiply the gradient in one, the learning rate in the other."""
    inputs, targets = table()
    common = {"seeds": [0, 1], "epochs": 5, "learning_rate": 0.1, "batch_size": BATCH, "optimizer": "sgd"}
    mean = train_ensemble(inputs, targets, keep_prob=0.3, feedback="mean", **common)
    law = train_ensemble(inputs, targets, layer_rates=feedback_factors(2, 0.3, optimizer="sgd"), **common)
    for a, b in zip(parameters(mean), parameters(law), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("feedback", ["dropout", "mean", "gaussian"])
def test_without_feedback_hidden_layers_stand_still_and_the_output_layer_learns(optimizer, feedback):
    inputs, targets = table()
    common = {"seeds": [0, 1], "batch_size": BATCH, "optimizer": optimizer, "epochs": 3, "hidden": HIDDEN}
    trained = train_ensemble(inputs, targets, keep_prob=0.0, feedback=feedback, **common)
    start = initial_ensemble((3, *HIDDEN, 2), [0, 1], dtype=inputs.dtype)
    for layer in (0, 1):
        assert torch.equal(trained.ensemble.weights[layer], start.weights[layer])
        assert torch.equal(trained.ensemble.biases[layer], start.biases[layer])
    assert (trained.ensemble.weights[2] != start.weights[2]).any()


def test_keep_one_is_plain_training_whatever_the_feedback():
    inputs, targets = table()
    common = {"seeds": [7] * 3, "batch_size": BATCH, "epochs": 2}
    trained = train_ensemble(inputs, targets, feedback=["dropout", "mean", "gaussian"], **common)
    for tensor in parameters(trained):
        assert torch.equal(tensor[1], tensor[0])
        assert torch.equal(tensor[2], tensor[0])


def test_a_schedule_is_read_before_each_step_of_a_networks_own_training():
    """Keep 0 in the first half: the network is that of the second half alone, started from an idle first."""
    inputs, targets = table()
    seen = []
    common = {"seeds": [0, 0], "batch_size": BATCH, "optimizer": "sgd", "record_at": [0, 0.5, 1]}
    train_ensemble(
        inputs, targets, keep_prob=lambda progress: float(progress >= 0.5), epochs=[2, 4],
        on_record=lambda _, ensemble: seen.append(ensemble), **common,
    )  # fmt: skip
    start, middle, end = seen
    assert torch.equal(middle.weights[0], start.weights[0])
    assert (end.weights[0] != middle.weights[0]).any(dim=2).any(dim=1).all()


def test_gaussian_factors_have_the_masks_mean_and_variance_and_signs_its_second_moment():
    keep, n = 0.3, 200_000
    kinds = torch.arange(4)
    drawn = coins(
        kinds, torch.arange(4), torch.full((4,), keep).double(), purpose=MASKS, step=0, shape=(1, n), rescale=False
    )[:, 0]
    means = drawn.mean(dim=1)
    assert means.tolist() == pytest.approx([keep] * 4, abs=5 * (keep / n) ** 0.5)
    assert drawn[[0, 2, 3]].var(dim=1).tolist() == pytest.approx([keep * (1 - keep)] * 3, rel=0.02)
    assert drawn[1].var() == 0
    torch.testing.assert_close(drawn[3].square(), torch.full((n,), keep).double())
    skew = ((drawn[2] - keep) / drawn[2].std()).pow(3).mean()
    assert abs(skew) < 5 * (15 / n) ** 0.5


def test_normal_factors_know_nothing_of_the_same_networks_masks():
    """Neither their values nor their sizes go together."""
    n, seeds, keeps = 200_000, torch.tensor([5, 5]), torch.full((2,), 0.3).double()
    masks, normal = coins(
        torch.tensor([0, 2]), seeds, keeps, purpose=MASKS, step=0, shape=(1, n), rescale=False
    )[:, 0]  # fmt: skip
    for size in (normal, (normal - 0.3).abs()):
        assert abs(np.corrcoef(masks, size)[0, 1]) < 5 / n**0.5


def test_under_adam_rescaling_changes_nothing():
    inputs, targets = table()
    common = {"seeds": [0, 1, 2], "feedback": ["dropout", "mean", "gaussian"], "batch_size": BATCH, "epochs": 5}
    plain, rescaled = (train_ensemble(inputs, targets, keep_prob=0.5, rescale=flag, **common) for flag in (False, True))
    for a, b in zip(parameters(plain), parameters(rescaled), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-3)  # what ``eps`` makes of the other scale


def test_the_mean_under_adam_predicts_gradient_dropout():
    """Test predictions of many masked networks: their mean is far nearer to the twin than to plain training."""
    inputs, targets = table()
    seeds = list(range(40))
    common = {"seeds": seeds * 3, "hidden": (16, 16), "batch_size": BATCH, "epochs": 30, "learning_rate": 1e-3}
    trained = train_ensemble(
        inputs, targets, keep_prob=[0.2] * 80 + [1.0] * 40, feedback=["dropout"] * 40 + ["mean"] * 80, **common
    )
    dropout, mean, plain = trained.ensemble(inputs).split(40)
    to_mean, to_plain = ((dropout - other).mean(dim=0).square().mean().sqrt() for other in (mean, plain))
    assert to_mean < 0.15 * to_plain


def test_schedules_and_kinds_change_neither_with_company_nor_with_threads():
    inputs, targets = table()
    together = train_ensemble(inputs, targets, seeds=SEEDS, **MIXTURE)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for k in (0, 2, 3, 4):
            own = {name: value[k] if isinstance(value, list) else value for name, value in MIXTURE.items()}
            alone = train_ensemble(inputs, targets, seeds=[SEEDS[k]], **own)
            for a, b in zip(parameters(together), parameters(alone), strict=True):
                assert torch.equal(a[k], b[0])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feedback": "none"}, "feedback: got 'none', expected 'dropout' or 'mean' or 'gaussian'"),
        ({"feedback": ["mean"]}, "feedback: got '1 values', expected one value, or one for each of 2 networks"),
        ({"keep_prob": lambda progress: 1 + progress}, "keep_prob: got 1.0625, expected a probability"),
        ({"keep_prob": lambda _: 0.0, "rescale": True}, "keep_prob: got 0.0"),
        ({"layer_rates": [1.0, 0.5]}, r"layer_rates: got 'shape \(2,\)', expected 3 finite factors >= 0"),
        ({"layer_rates": [1.0, -0.5, 1.0]}, "layer_rates: got .*-0.5"),
        ({"layer_rates": [1.0, np.nan, 1.0]}, "layer_rates: got .*nan"),
        ({"layer_rates": "law"}, "layer_rates: got 'law'"),
        ({"moment_draws": 0}, "moment_draws: got 0"),
    ],
)
def test_wrong_settings_are_refused_before_any_work(change, message):
    inputs, targets = table()
    calls = []
    with pytest.raises(ValueError, match=message):
        train_ensemble(
            inputs, targets,
            **{"seeds": [0, 1], "batch_size": BATCH, "epochs": 4, "on_progress": calls.append, **change},
        )  # fmt: skip
    assert calls == []
