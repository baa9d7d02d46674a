from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn import metrics as sklearn_metrics

from neurogames.bridge.ensembles.networks import initial_ensemble
from neurogames.bridge.measures.robustness import (
    CLASSIFICATION_METRICS,
    REGRESSION_METRICS,
    accuracy,
    area_from_clean,
    curve_slope,
    mean_squared_error,
    noise_curve,
    r_squared,
    roc_auc,
    smape,
    weighted_f1,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("outputs", [1, 3])
def test_regression_metrics_equal_sklearn_for_every_network(outputs):
    predictions = torch.randn(4, 2, 30, outputs, generator=generator())
    targets = torch.randn(30, outputs, generator=generator(1))
    for ours, theirs in ((mean_squared_error, "mean_squared_error"), (r_squared, "r2_score")):
        expected = [
            [getattr(sklearn_metrics, theirs)(targets.double(), p.double()) for p in row] for row in predictions
        ]
        np.testing.assert_allclose(ours(predictions, targets), expected, rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("ties", [False, True])
def test_classification_metrics_equal_sklearn_for_every_network(classes, ties):
    logits = torch.randn(5, 60, classes, generator=generator(), dtype=torch.float64)
    if ties:
        logits = logits.round()
    targets = torch.randint(classes, (60,), generator=generator(2))
    for k in range(5):
        predicted, chances = logits[k].argmax(dim=1), softmax(logits[k].numpy(), axis=1)
        scores = (chances[:, 1] if classes == 2 else chances).round(12)  # equal up to the order of a sum
        expected = [
            sklearn_metrics.accuracy_score(targets, predicted),
            sklearn_metrics.f1_score(targets, predicted, average="weighted"),
            sklearn_metrics.roc_auc_score(targets, scores, multi_class="ovr"),
        ]
        got = [metric(logits, targets)[k] for metric in (accuracy, weighted_f1, roc_auc)]
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_a_class_that_is_never_predicted_has_no_share_in_f1_but_keeps_its_weight():
    logits = torch.eye(3)[[0, 0, 1, 1]]
    targets = torch.tensor([0, 2, 1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sklearn_metrics.f1_score(targets, logits.argmax(dim=1), average="weighted")
    assert weighted_f1(logits, targets).item() == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3])
def test_auc_without_a_class_in_the_sample_is_nan_and_warns_nobody(classes):
    logits = torch.randn(4, 10, classes, generator=generator())
    assert roc_auc(logits, torch.zeros(10, dtype=torch.int64)).isnan().all()


def test_auc_does_not_saturate_where_probabilities_round_to_one():
    logits = torch.tensor([[0.0, 50.0], [0.0, 60.0], [0.0, 70.0]])
    assert roc_auc(logits, torch.tensor([0, 1, 1])).item() == 1.0
    assert roc_auc(torch.nn.functional.pad(logits, (0, 1)), torch.tensor([0, 1, 2])).isfinite()


def test_smape_is_between_zero_and_two_and_nothing_over_nothing_counts_nothing():
    assert smape(torch.tensor([[0.0], [1.0], [-1.0], [2.0]]), torch.tensor([0.0, 1.0, 1.0, 0.0])).item() == 1.0
    outputs = torch.randn(6, 50, 1, generator=generator())
    targets = torch.randn(50, generator=generator(1))
    by_hand = [(2 * (targets - f).abs() / (targets.abs() + f.abs())).mean() for f in outputs[:, :, 0]]
    torch.testing.assert_close(smape(outputs, targets).float(), torch.stack(by_hand))


@pytest.mark.parametrize("value", [1.0, 0.1])  # the mean of seven times 0.1 is another number
def test_r2_of_a_constant_target_is_nan(value):
    assert r_squared(torch.ones(3, 7, 1), torch.full((7,), value, dtype=torch.float64)).isnan().all()
    two = torch.stack([torch.full((7,), value), torch.arange(7.0)], dim=1)
    assert r_squared(torch.ones(7, 2), two).isnan()


def test_auc_of_infinite_outputs_is_a_number_where_their_order_is_and_nan_where_it_is_not():
    targets = torch.tensor([0, 1, 0])
    ordered = torch.tensor([[0.0, 1.0], [0.0, torch.inf], [torch.inf, 0.0]])
    assert roc_auc(ordered, targets) == 1.0
    ordered[1, 0] = torch.inf
    assert roc_auc(ordered, targets).isnan()


def test_outputs_that_are_nan_give_nan_for_their_network_only():
    outputs = torch.randn(2, 12, 3, generator=generator())
    outputs[1, 4, 0] = torch.nan
    classes, numbers = torch.arange(12) % 3, torch.randn(12, 3, generator=generator(1))
    for table, targets in ((CLASSIFICATION_METRICS, classes), (REGRESSION_METRICS, numbers)):
        for metric in table.values():
            assert metric(outputs, targets).isnan().tolist() == [False, True]


def test_the_curve_of_a_linear_model_is_the_known_parabola():
    inputs = torch.randn(4000, 2, generator=generator()) * torch.tensor([1.0, 5.0])
    weights = torch.tensor([[2.0], [-1.0]])
    levels = np.array([0.0, 0.5, 1.0, 2.0])
    for scale, variance in ((None, 4 * 1 + 1 * 25), (1.0, 5), (torch.tensor([0.0, 3.0]), 9)):
        curve = noise_curve(
            lambda x: x @ weights, inputs, inputs @ weights, levels=levels, scale=scale, repeats=3,
            metrics={"mse": mean_squared_error}, rng=generator(),
        )["mse"]  # fmt: skip
        np.testing.assert_allclose(curve, variance * levels**2, rtol=0.08)


def test_all_networks_see_the_same_noise_and_any_kind_of_model_fits():
    ensemble = initial_ensemble((3, 8, 1), seeds=[0, 1, 2])
    inputs, targets = torch.randn(40, 3, generator=generator()), torch.randn(40, generator=generator(1))
    settings = {"levels": [0, 0.3, 1.0], "metrics": REGRESSION_METRICS, "repeats": 2}
    together = noise_curve(ensemble, inputs, targets, rng=generator(5), **settings)
    assert together["r2"].shape == (3, 3)
    for k in range(3):
        alone = noise_curve(ensemble.network(k), inputs, targets, rng=generator(5), **settings)
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][k], values, rtol=1e-5)


def test_to_units_undoes_a_standardisation_before_the_metric():
    inputs = torch.randn(50, 1, generator=generator())
    targets = 100 + 7 * inputs
    settings = {"levels": [0, 1], "metrics": {"smape": smape}}
    raw = noise_curve(lambda x: 100 + 7 * x, inputs, targets, rng=generator(), **settings)
    scaled = noise_curve(lambda x: x, inputs, targets, rng=generator(), to_units=lambda y: 100 + 7 * y, **settings)
    np.testing.assert_allclose(raw["smape"], scaled["smape"])
    assert raw["smape"][0] == 0


def test_arguments_are_not_changed():
    inputs, targets = torch.randn(20, 2, generator=generator()), torch.arange(20) % 2
    kept = inputs.clone(), targets.clone()
    noise_curve(lambda x: x, inputs, targets, levels=[0, 1], metrics=CLASSIFICATION_METRICS, rng=generator())
    assert torch.equal(inputs, kept[0])
    assert torch.equal(targets, kept[1])


def test_slope_equals_the_least_squares_line_and_area_the_mean_distance():
    levels = np.array([0, 0.1, 0.5, 2.0])
    curves = np.random.default_rng(0).normal(size=(3, 2, 4))
    slopes = curve_slope(levels, curves)
    assert slopes.shape == (3, 2)
    np.testing.assert_allclose(slopes[1, 1], np.polyfit(levels, curves[1, 1], 1)[0])
    v_shaped = np.abs(levels - 0.5)
    assert area_from_clean([0, 1, 2], [1.0, 0.0, 1.0]) == 0.5
    assert area_from_clean(levels, v_shaped) == pytest.approx((0.1 * 0.05 + 0.4 * 0.3 + 1.5 * 0.25 + 1.5 * 0.5) / 2)


X, Y = torch.zeros(4, 2), torch.arange(4.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda **k: noise_curve(lambda x: x[:, :1], X, Y, **{**k, "levels": [0.1, 1]}), "levels: got"),
        (lambda **k: noise_curve(lambda x: x[:, :1], X, Y, **{**k, "levels": [0, 1, 1]}), "levels: got"),
        (lambda **k: noise_curve(lambda x: x[:, :1], X, Y, **{**k, "repeats": 0}), "repeats: got 0"),
        (lambda **k: noise_curve(lambda x: x[:, :1], X, Y, **{**k, "scale": -1.0}), "scale: got -1"),
        (lambda **k: noise_curve(lambda x: x[:, :1], X, Y, **{**k, "scale": torch.ones(3)}), "scale"),
        (lambda **k: noise_curve(lambda x: x[:, 0], X, Y, **k), "predict: got 'predictions of shape"),
        (lambda **k: noise_curve(lambda x: x, X, Y, **k), "outputs, targets"),
        (lambda **k: noise_curve(lambda x: x, X / 0, Y, **k), "inputs: got 'torch.float32, 8 entries not finite'"),
        (lambda **k: noise_curve(lambda x: x, X.long(), Y, **k), "inputs: got 'torch.int64"),
        (lambda **k: noise_curve(lambda x: x, X, Y, **{**k, "scale": torch.inf}), "scale: got inf"),
        (lambda **_: accuracy(X, torch.tensor([0, 1, 2, 0])), "targets: got 'torch.int64 from 0 to 2'"),
        (lambda **_: accuracy(X, Y), "targets: got"),
        (lambda **_: roc_auc(X[:, :1], Y.long()), "outputs, targets"),
        (lambda **_: curve_slope([0, 1], [1.0, 2.0, 3.0]), "curve: got"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(levels=[0, 1], metrics=REGRESSION_METRICS, rng=generator())
