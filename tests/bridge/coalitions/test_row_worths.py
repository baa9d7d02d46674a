"""What outputs are worth row by row, beside the definition in plain numbers, for every form of outputs and targets."""

from __future__ import annotations

import math

import pytest
import torch

from neurogames.bridge.coalitions.row_worths import IGNORED, check_metric, counted_rows, row_score

METRICS = ("accuracy", "loss", "logit")
ROWS, SETS = 4, 3


def worth(metric, scores, target):
    """Of the scores of one row or token."""
    if metric == "accuracy":
        return float(scores.index(max(scores)) == target)
    return scores[target] - (math.log(sum(map(math.exp, scores))) if metric == "loss" else 0.0)


def drawn(*shape, seed=0):
    """Scores with ties, which go to the first class."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(2).round() / 2


def compared(metric, outputs, targets, slow):
    """The score of all sets at once and of a single one, beside a slow function of row and set."""
    check_metric(metric, outputs[:, 0], targets)
    found = row_score(metric, targets)(outputs, targets)
    assert found.shape == (outputs.shape[1], len(outputs))
    for row in range(len(outputs)):
        for one in range(outputs.shape[1]):
            assert float(found[one, row]) == pytest.approx(slow(row, one), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_of_classes(metric, classes):
    outputs, targets = drawn(ROWS, SETS, classes), torch.tensor([0, 1, classes - 1, 0])
    compared(metric, outputs, targets, lambda row, one: worth(metric, outputs[row, one].tolist(), int(targets[row])))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("flat", [True, False])
def test_a_single_output_is_half_the_difference_of_two_scores(metric, shape, flat):
    outputs, targets = drawn(ROWS, SETS, *shape), torch.tensor([0, 1, 1, 0])
    single = outputs.reshape(ROWS, SETS)

    def slow(row, one):
        score = float(single[row, one])
        return worth(metric, [-score / 2, score / 2], int(targets[row]))

    compared(metric, outputs, targets if flat else targets[:, None], slow)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("tokens", [(5,), (2, 3)])
def test_of_tokens_it_is_the_mean_over_those_that_count(metric, axis, tokens):
    classes = 4
    last = drawn(ROWS, SETS, *tokens, classes)
    targets = torch.randint(classes, (ROWS, *tokens), generator=torch.Generator().manual_seed(1))
    targets[0].reshape(-1)[:2] = IGNORED
    targets[1].reshape(-1)[1:] = IGNORED

    def slow(row, one):
        pairs = zip(last[row, one].reshape(-1, classes).tolist(), targets[row].reshape(-1).tolist(), strict=True)
        parts = [worth(metric, scores, target) for scores, target in pairs if target != IGNORED]
        return sum(parts) / len(parts)

    compared(metric, last if axis == -1 else last.movedim(-1, 2), targets, slow)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 2)])
def test_numbers_are_worth_minus_the_mean_square_of_their_errors(shape):
    outputs, targets = drawn(ROWS, SETS, *shape), drawn(ROWS, *shape, seed=1)

    def slow(row, one):
        pairs = zip(outputs[row, one].reshape(-1).tolist(), targets[row].reshape(-1).tolist(), strict=True)
        errors = [(given - wanted) ** 2 for given, wanted in pairs]
        return -sum(errors) / len(errors)

    compared("loss", outputs, targets, slow)


def test_a_function_gets_each_set_with_the_rows_it_belongs_to():
    outputs, targets = drawn(ROWS, SETS, 2), torch.arange(ROWS)
    compared(
        lambda given, wanted: given[:, 0] * (wanted + 1) + given[:, 1],
        outputs,
        targets,
        lambda row, one: float(outputs[row, one, 0] * (row + 1) + outputs[row, one, 1]),
    )


def test_rows_without_a_target_that_counts_are_left_out():
    inputs = torch.arange(3.0)[:, None]
    some = torch.tensor([[0, IGNORED], [IGNORED, IGNORED], [1, 1]])
    kept, targets = counted_rows("loss", inputs, some)
    assert kept.tolist() == [[0.0], [2.0]]
    assert torch.equal(targets, some[[0, 2]])
    for metric, all_of_them in ((print, some), ("loss", some.double()), ("loss", some[[0, 2, 2]])):
        assert counted_rows(metric, inputs, all_of_them)[0] is inputs
    with pytest.raises(ValueError, match="^targets: got '-100 throughout'"):
        counted_rows("loss", inputs, torch.full((3,), IGNORED))


@pytest.mark.parametrize(
    ("metric", "outputs", "targets", "name"),
    [
        ("square", (3,), [0, 1], "metric"),
        ("logit", (3,), [0.0, 1.0], "targets"),
        ("loss", (3,), [0.0, 1.0], "targets"),
        ("loss", (3,), [True, False], "targets"),
        ("loss", (3,), [1j, 0j], "targets"),
        ("loss", (3,), [0, 3], "targets"),
        ("loss", (3,), [-1, 2], "targets"),
        ("loss", (1,), [0, 2], "targets"),
        ("loss", (1, 1), [0, 1], "model"),
        ("loss", (3, 4), [0, 1], "model"),
        ("loss", (3, 1), [[0, 0, 0], [0, 0, 0]], "model"),
        ("loss", (3, 3), [[0, 1, 2], [0, 1, 2]], "metric"),
        (lambda outputs, _: outputs, (3,), [0, 1], "metric"),
        (lambda *_: 1.0, (3,), [0, 1], "metric"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(metric, outputs, targets, name):
    with pytest.raises(ValueError, match=f"^{name}: got "):
        check_metric(metric, torch.zeros(2, *outputs), torch.tensor(targets))


def test_ids_up_to_the_last_class_are_taken():
    check_metric("loss", torch.zeros(2, 3), torch.tensor([0, 2]))
    check_metric("loss", torch.zeros(2, 3), torch.tensor([IGNORED, 2]))
    check_metric("loss", torch.zeros(2, 1), torch.tensor([0, 1]))
    check_metric("loss", torch.zeros(2, 1), torch.tensor([0.5, 1.5]))
