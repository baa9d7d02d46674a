"""The prediction of a masked training: what its bands are, and that they hold what is then trained."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from neurogames.bridge.ensembles import stacked_steps
from neurogames.bridge.ensembles.coins import GAUSSIAN, coins
from neurogames.bridge.ensembles.ensemble import train_ensemble
from neurogames.bridge.ensembles.networks import initial_ensemble
from neurogames.bridge.ensembles.predicted_training import TrainingPrediction, predict_training
from neurogames.bridge.ensembles.stacked_steps import Recipe, State
from neurogames.bridge.ensembles.streams import MASKS
from neurogames.bridge.measures.held_out import held_out_measures

KEEP = 0.3


def table(rows: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))
    return inputs, (inputs[:, :1] * inputs[:, 1:2] + inputs[:, 2:]).tanh()


def planted(n: int = 19) -> TrainingPrediction:
    rng = np.random.default_rng(0)
    law = rng.standard_normal((n, 2, 3))
    return TrainingPrediction(
        tuple(range(n)), np.array([0.5, 1.0]), {"x": law}, {"x": law + rng.standard_normal(law.shape)}
    )


def test_the_band_of_a_network_spans_the_differences_of_noise_and_law():
    """With 19 seeds the 5 % and 95 % quantiles of 20 equal parts are the smallest and the largest difference."""
    prediction = planted()
    lower, upper = prediction.band("x")
    difference = prediction.noise["x"] - prediction.law["x"]
    np.testing.assert_allclose(lower - prediction.law["x"], np.broadcast_to(difference.min(axis=0), lower.shape))
    np.testing.assert_allclose(upper - prediction.law["x"], np.broadcast_to(difference.max(axis=0), lower.shape))


def test_a_band_holds_further_draws_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(400):
        noise = rng.standard_normal((30, 1))
        lower, upper = TrainingPrediction(
            tuple(range(30)), np.ones(1), {"x": np.zeros((30, 1))}, {"x": noise}
        ).band("x", level=0.8)  # fmt: skip
        new = rng.standard_normal(30)
        inside.append(((lower[:, 0] <= new) & (new <= upper[:, 0])).mean())
    assert np.mean(inside) == pytest.approx(0.8, abs=0.015)


def test_the_band_of_the_mean_is_students_for_two_means():
    prediction = planted()
    lower, upper = prediction.mean_band("x", level=0.95)
    noise, law = prediction.noise["x"], prediction.law["x"]
    half = stats.t.ppf(0.975, 18) * (noise - law).std(axis=0, ddof=1) * (2 / 19) ** 0.5
    np.testing.assert_allclose((lower + upper) / 2, noise.mean(axis=0))
    np.testing.assert_allclose((upper - lower) / 2, half)


def test_the_prediction_is_made_of_the_two_ensembles_it_says():
    inputs, targets = table()
    common = {"seeds": [3, 4], "hidden": (6, 5), "keep_prob": [0.5, 0.2], "epochs": 3, "batch_size": 32}
    fractions = []
    prediction = predict_training(
        inputs, targets, measures={"outputs": lambda ensemble: ensemble(inputs)}, record_at=[0.0, 1.0],
        on_progress=fractions.append, **common,
    )  # fmt: skip
    for kind, found in (("mean", prediction.law), ("gaussian", prediction.noise)):
        trained = train_ensemble(inputs, targets, feedback=kind, **common)
        np.testing.assert_array_equal(found["outputs"][:, 1], trained.ensemble(inputs))
    start = initial_ensemble((3, 6, 5, 1), [3, 4])(inputs)
    np.testing.assert_array_equal(prediction.law["outputs"][:, 0], start)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_what_is_then_trained_with_masks_lies_in_the_band_predicted(optimizer):
    """Loss, predictions, robustness and composition; and plain training does not lie there."""
    (inputs, targets), (rows, wanted) = table(), table(400)
    measures = held_out_measures(rows[200:], wanted[200:], levels=[0, 0.5, 1], rng=torch.Generator().manual_seed(0))
    rate = 2e-3 if optimizer == "adam" else 0.1
    common = {"seeds": range(40), "hidden": (16, 16), "epochs": 40, "batch_size": 32, "learning_rate": rate}
    common = {**common, "optimizer": optimizer}
    prediction = predict_training(inputs, targets, keep_prob=KEEP, measures=measures, record_at=[0.3, 1.0], **common)
    measured, plain = {name: [] for name in measures}, {name: [] for name in measures}
    for keep, into in ((KEEP, measured), (1.0, plain)):

        def note(_, ensemble, into=into):
            for name, measure in measures.items():
                into[name].append(measure(ensemble))

        train_ensemble(inputs, targets, keep_prob=keep, record_at=[0.3, 1.0], on_record=note, **common)
    for name in measures:
        lower, upper = prediction.band(name)
        found, without = (np.stack(values[name], axis=1) for values in (measured, plain))
        inside = (lower <= found) & (found <= upper)
        assert inside.mean() > 0.8
        means = prediction.mean_band(name, level=0.999)
        assert ((means[0] <= found.mean(axis=0)) & (found.mean(axis=0) <= means[1])).mean() > 0.9
        if name != "composition":
            assert ((lower <= without) & (without <= upper)).mean() < inside.mean() - 0.2


def test_normal_factors_give_gradients_the_covariance_that_masks_give():
    """All masks of a small network listed, against many draws of normal factors."""
    torch.manual_seed(0)
    hidden, copies = (2, 2), 40_000
    start = initial_ensemble((2, *hidden, 1), [0], dtype=torch.float64)
    inputs, wanted = torch.rand(1, 6, 2, dtype=torch.float64), torch.randn(1, 6, 1, dtype=torch.float64)
    recipe = Recipe(6, False, False, "unit", False)
    masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)[:, None]
    normal = coins(
        torch.full((copies,), GAUSSIAN), torch.arange(copies), torch.full((copies,), KEEP).double(),
        purpose=MASKS, step=0, shape=(1, 4), rescale=False,
    )  # fmt: skip

    def gradients(factors: torch.Tensor) -> torch.Tensor:
        k = len(factors)
        weights, biases = (tuple(t.abs().expand(k, *t.shape[1:]) for t in ts) for ts in (start.weights, start.biases))
        state = State(weights, biases, (), ())
        rows, labels = inputs.expand(k, -1, -1), wanted.expand(k, -1, -1)
        activations, _, delta = stacked_steps._forward(state, recipe, rows, labels)
        parts = stacked_steps._backward(state, activations, delta, factors.split(hidden, dim=2))
        return torch.cat([part.reshape(k, -1) for part in parts], dim=1)

    listed, drawn = gradients(masks), gradients(normal)
    weights = (KEEP ** masks.sum(dim=(1, 2))) * ((1 - KEEP) ** (1 - masks).sum(dim=(1, 2)))
    mean = weights @ listed
    exact = (weights[:, None] * (listed - mean)).T @ (listed - mean)
    size = exact.diagonal().max()
    assert (drawn.mean(dim=0) - mean).abs().max() < 5 * (size / copies) ** 0.5
    assert (drawn.T.cov() - exact).abs().max() < 0.05 * size
    assert (exact - torch.diag(exact.diagonal())).abs().max() > 0.2 * size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feedback": "mean"}, "feedback: got 'mean', expected nothing"),
        ({"measures": {}}, "measures: got {}"),
        ({"measures": {"x": 3}}, "measures: got"),
        ({"measures": {"x": lambda _: np.zeros(3)}}, r"measures\['x'\]: got 'shape \(3,\)'"),
        ({"measures": {"x": lambda _: "high"}}, r"measures\['x'\]: got \"ValueError"),
        ({"keep_prob": 1.5}, "keep_prob: got 1.5"),
        ({"record_at": [1.0, 0.5]}, "record_at"),
    ],
)
def test_wrong_input_is_refused(change, message):
    inputs, targets = table()
    given = {"seeds": [0, 1], "keep_prob": 0.5, "measures": {"x": lambda ensemble: ensemble(inputs)}, "epochs": 1}
    with pytest.raises(ValueError, match=message):
        predict_training(inputs, targets, **{**given, **change})


def test_a_band_that_the_seeds_cannot_give_is_refused():
    with pytest.raises(ValueError, match=r"level: got 0.9, expected at least 19 seeds for it, where there are 18"):
        planted(18).band("x")
    with pytest.raises(ValueError, match="level: got 1.0"):
        planted().band("x", level=1.0)
    with pytest.raises(ValueError, match="name: got 'loss', expected 'x'"):
        planted().band("loss")
    with pytest.raises(ValueError, match="seeds: got '1 seed'"):
        planted(1).mean_band("x")
