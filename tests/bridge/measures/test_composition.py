"""Composition levels against slow twins, on hand-made units, and on networks that do or do not read a shortcut."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from neurogames.bridge.ensembles.networks import Ensemble, initial_ensemble
from neurogames.bridge.measures import ablation
from neurogames.bridge.measures.ablation import ablation_composition, quantile_groups
from neurogames.bridge.measures.composition import primitive_composition
from neurogames.lab.data.planted import planted_task


def tensors(task):
    return tuple(torch.as_tensor(part) for part in (task.features, task.primitives, task.shortcut, task.classes))


def slow_loss(model, layer, unit, inputs, targets):
    """Losses of the rows with one unit held at its mean, by a hook on the plain network."""
    hidden = [module for module in model if isinstance(module, torch.nn.ReLU)][layer]

    def hold(module, arguments, output):
        output = output.clone()
        output[:, unit] = output[:, unit].mean()
        return output

    handle = hidden.register_forward_hook(hold) if unit is not None else None
    outputs = model(inputs)
    if handle is not None:
        handle.remove()
    if targets.is_floating_point():
        return (outputs - targets).square().mean(dim=1)
    return 1 - outputs.softmax(dim=1)[torch.arange(len(inputs)), targets]


@pytest.mark.parametrize("task", ["classes", "numbers"])
@pytest.mark.parametrize("chunk", [1, 2**24])
def test_ablation_equals_holding_one_unit_of_one_network_at_a_time(task, chunk, monkeypatch):
    monkeypatch.setattr(ablation, "_CHUNK_BYTES", chunk)
    rng = torch.Generator().manual_seed(0)
    ensemble = initial_ensemble((5, 7, 6, 4, 3), seeds=[0, 1], dtype=torch.float64)
    inputs = torch.randn(40, 5, generator=rng, dtype=torch.float64)
    groups = torch.randint(4, (40,), generator=rng) * 3
    targets = (
        torch.randint(3, (40,), generator=rng) if task == "classes" else torch.randn(40, 3, generator=rng).double()
    )
    found = ablation_composition(ensemble, inputs, targets, groups)
    assert found.layers.tolist() == [0] * 7 + [1] * 6 + [2] * 4
    for k in range(2):
        model = ensemble.network(k)
        base = slow_loss(model, 0, None, inputs, targets)
        position = 0
        for layer, width in enumerate((7, 6, 4)):
            for unit in range(width):
                change = slow_loss(model, layer, unit, inputs, targets) - base
                effects = torch.stack([change[groups == code].mean() for code in groups.unique()]).abs()
                total = effects.square().sum()
                score = effects.sum() ** 2 / (4 * total) if total > 0 else torch.tensor(0.0)
                assert found.scores[k, position].item() == pytest.approx(score.item(), abs=1e-8)
                position += 1


def test_primitive_scores_equal_sequential_least_squares():
    rng = np.random.default_rng(1)
    task = planted_task(150, shortcut=0.4, rng=rng)  # unbalanced, and the shortcut is tied to the classes
    inputs, primitives, shortcut, classes = tensors(task)
    ensemble = initial_ensemble((44, 6, 5, 8), seeds=[3, 4])
    found = primitive_composition(ensemble, inputs, primitives=primitives, shortcut=shortcut, classes=classes)
    dummies = [
        np.eye(8)[task.shortcut],
        np.concatenate([np.eye(2)[codes] for codes in task.primitives.T], axis=1),
        np.eye(8)[task.classes],
    ]
    activations = torch.cat(ensemble.activations(inputs), dim=2).double().numpy()
    for k in range(2):
        for unit in range(11):
            values = activations[k, :, unit]
            design, residuals, ranks = np.ones((150, 1)), [], []
            for part in [np.zeros((150, 1)), *dummies]:
                design = np.concatenate([design, part], axis=1)
                fit = design @ np.linalg.lstsq(design, values, rcond=None)[0]
                residuals.append(((values - fit) ** 2).sum())
                ranks.append(np.linalg.matrix_rank(design))
            noise = residuals[-1] / (150 - ranks[-1])
            squares = np.maximum(-np.diff(residuals) - np.diff(ranks) * noise, 0)
            expected = squares[1] / squares.sum() if squares.sum() > 1e-9 else 0.0
            assert found.scores[k, unit].item() == pytest.approx(expected, abs=1e-6)


def hand_made():
    """Units: constant, dead, first primitive, mark of class 0, and both primitives at once."""
    weights = torch.zeros(1, 3, 5)
    weights[0, 0, 2] = weights[0, 2, 3] = weights[0, 0, 4] = weights[0, 1, 4] = 1
    biases = torch.tensor([[[1.0, -1.0, 0.0, 0.0, -1.0]]])
    outputs = torch.tensor([[[1.0], [1.0], [1.0], [1.0], [1.0]]])
    return Ensemble((weights, outputs), (biases, torch.zeros(1, 1, 1)))


def test_hand_made_units_are_told_apart():
    codes = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]]).repeat(30, 1)
    classes = codes @ torch.tensor([1, 2])
    marks = torch.arange(120) % 3
    inputs = torch.cat([codes, (marks == 0)[:, None]], dim=1).float()
    known = primitive_composition(hand_made(), inputs, primitives=codes, shortcut=marks, classes=classes)
    np.testing.assert_allclose(known.scores[0], [0, 0, 1, 0, 2 / 3], atol=1e-9)
    assert known.composing.tolist() == [[False, False, True, False, True]]
    assert known.level.tolist() == [0.4]
    # The network answers with zero error, and without a unit errs by (a - mean a)^2.
    blind = ablation_composition(hand_made(), inputs, hand_made()(inputs)[0], classes, level=0.9)
    joint = torch.tensor([1, 1, 1, 9.0]) / 16  # the unit for both at once is at 1 in one class of four
    expected = [0, 0, 1, 1, (joint.sum() ** 2 / (4 * joint.square().sum())).item()]
    np.testing.assert_allclose(blind.scores[0], expected, atol=1e-5)
    assert blind.composing.tolist() == [[False, False, True, True, False]]


def test_where_marks_are_tied_to_classes_no_unit_composes():
    inputs, primitives, shortcut, classes = tensors(planted_task(300, shortcut=1.0, rng=np.random.default_rng(0)))
    ensemble = initial_ensemble((44, 8, 8), seeds=[0])
    tied = primitive_composition(ensemble, inputs, primitives=primitives, shortcut=shortcut, classes=classes)
    assert tied.scores.max() == 0


def test_one_network_is_an_ensemble_of_one_and_own_rows_may_be_given():
    inputs, primitives, shortcut, classes = tensors(planted_task(100, shortcut=0.0, rng=np.random.default_rng(0)))
    ensemble = initial_ensemble((44, 8, 8, 8), seeds=[0, 1, 2])
    for measure in (
        lambda part, rows: primitive_composition(part, rows, primitives=primitives, shortcut=shortcut, classes=classes),
        lambda part, rows: ablation_composition(part, rows, classes, classes),
    ):
        together, alone = measure(ensemble, inputs), measure(ensemble.select([1]), inputs.expand(1, -1, -1))
        torch.testing.assert_close(together.scores[1:2], alone.scores, rtol=1e-3, atol=1e-3)


def train(shortcut, noise, seeds, steps=100):
    """Networks trained on rows of their own by Adam, all at once."""
    tasks = [planted_task(1024, shortcut=shortcut, noise=noise, rng=np.random.default_rng([s, 1])) for s in seeds]
    inputs = torch.stack([torch.as_tensor(task.features) for task in tasks])
    classes = torch.stack([torch.as_tensor(task.classes) for task in tasks])
    ensemble = initial_ensemble((44, 32, 32, 8), seeds=seeds)
    parameters = [tensor.requires_grad_() for tensor in (*ensemble.weights, *ensemble.biases)]
    descent = torch.optim.Adam(parameters, lr=2e-3)
    rng = torch.Generator().manual_seed(seeds[0])
    for _ in range(steps):
        batch = torch.randint(1024, (128,), generator=rng)
        outputs = ensemble(inputs[:, batch])
        loss = torch.nn.functional.cross_entropy(outputs.flatten(0, 1), classes[:, batch].flatten(), reduction="sum")
        descent.zero_grad()
        (loss / 128).backward()
        descent.step()
    return Ensemble(*(tuple(tensor.detach() for tensor in part) for part in (ensemble.weights, ensemble.biases)))


def accuracy(ensemble, task):
    right = ensemble(torch.as_tensor(task.features)).argmax(dim=2) == torch.as_tensor(task.classes)
    return right.double().mean(dim=1).numpy()


def reliance(ensemble, task, rng):
    """Part of the accuracy lost by scrambling that is lost with the primitives."""
    clean = accuracy(ensemble, task)
    without = [clean - accuracy(ensemble, task.scramble(part, rng=rng)) for part in ("primitives", "shortcut")]
    return without[0] / (without[0] + without[1])


def auc(high, low):
    return scipy.stats.mannwhitneyu(high, low).statistic / (len(high) * len(low))


@pytest.fixture(scope="module")
def two_kinds():
    rng = np.random.default_rng(77)
    kinds = [(0.0, 0.85, range(20_000, 20_012)), (0.95, 1.0, range(21_000, 21_012))]
    return [
        (train(shortcut, noise, list(seeds)), planted_task(1000, shortcut=shortcut, noise=noise, rng=rng))
        for shortcut, noise, seeds in kinds
    ]


def test_the_two_kinds_of_networks_differ_in_what_they_read_and_not_in_how_well(two_kinds):
    rng = np.random.default_rng(78)
    (composers, their_rows), (detours, other_rows) = two_kinds
    assert abs(accuracy(composers, their_rows).mean() - accuracy(detours, other_rows).mean()) < 0.04
    assert reliance(composers, their_rows, rng).min() > 0.9
    assert reliance(detours, other_rows, rng).max() < 0.5


def test_primitive_composition_separates_networks_and_single_units(two_kinds):
    rng = np.random.default_rng(79)
    probe = planted_task(2000, shortcut=0.0, rng=rng)
    inputs, primitives, shortcut, classes = tensors(probe)
    levels, scores, truths = [], [], []
    for ensemble, _ in two_kinds:
        found = primitive_composition(ensemble, inputs, primitives=primitives, shortcut=shortcut, classes=classes)
        levels.append(found.level)
        scores.append(found.scores)
        clean = torch.cat(ensemble.activations(inputs), dim=2)
        moved = [
            (torch.cat(ensemble.activations(torch.as_tensor(probe.scramble(part, rng=rng).features)), dim=2) - clean)
            .square()
            .mean(dim=1)
            for part in ("primitives", "shortcut")
        ]
        truths.append(moved[0] > moved[1])
    assert auc(*levels) >= 0.9
    scores, truths = torch.cat(scores), torch.cat(truths)
    assert auc(scores[truths], scores[~truths]) >= 0.9


def test_ablation_composition_separates_networks_of_equal_accuracy_and_equal_steps(two_kinds):
    levels = []
    for ensemble, task in two_kinds:
        inputs, _, _, classes = tensors(task)
        levels.append(ablation_composition(ensemble, inputs, classes, classes).level)
    assert auc(*levels) >= 0.9


@pytest.mark.parametrize("n_groups", [2, 3, 7])
def test_quantile_groups_are_equal_in_size_ordered_and_keep_ties_together(n_groups):
    values = torch.randn(701, generator=torch.Generator().manual_seed(0))
    codes = quantile_groups(values[:, None], n_groups)
    counts = torch.bincount(codes)
    assert len(counts) == n_groups
    assert counts.max() - counts.min() <= 1
    assert (codes[values.argsort()].diff() >= 0).all()
    tied = quantile_groups(torch.tensor([1.0] * 9 + [2.0]), n_groups)
    assert tied.tolist() == [0] * 9 + [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": torch.zeros(10)}, r"targets: got 'shape \(10,\)', expected \(10, 3\) numbers"),
        ({"targets": torch.full((10,), 3)}, r"targets: .* expected \(10,\) class ids in \[0, 2\]"),
        ({"groups": torch.zeros(10, dtype=torch.long)}, "groups: got 'one group'"),
        ({"groups": torch.arange(9)}, "groups: got"),
        ({"level": 1.5}, "level: got 1.5"),
    ],
)
def test_wrong_arguments_of_ablation_are_refused(change, message):
    usual = {"targets": torch.arange(10) % 3, "groups": torch.arange(10) % 2}
    with pytest.raises(ValueError, match=message):
        ablation_composition(initial_ensemble((2, 4, 3), seeds=[0]), torch.zeros(10, 2), **{**usual, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"primitives": torch.zeros(10)}, "primitives: got"),
        ({"primitives": torch.zeros(10, 0)}, "primitives: got"),
        ({"shortcut": torch.zeros(9)}, "shortcut: got"),
        ({"classes": torch.arange(10)}, "inputs: got '10 rows', expected more rows than"),
        ({"level": -1.0}, "level: got -1.0"),
    ],
)
def test_wrong_arguments_of_primitive_composition_are_refused(change, message):
    usual = {
        "primitives": torch.arange(10)[:, None] % 2,
        "shortcut": torch.arange(10) % 3,
        "classes": torch.arange(10) % 4,
    }
    with pytest.raises(ValueError, match=message):
        primitive_composition(initial_ensemble((2, 4, 3), seeds=[0]), torch.zeros(10, 2), **{**usual, **change})


def both_measures(ensemble, inputs, targets):
    codes = torch.arange(len(inputs))
    yield lambda: ablation_composition(ensemble, inputs, targets, codes % 2)
    yield lambda: primitive_composition(
        ensemble, inputs, primitives=codes[:, None] % 2, shortcut=codes % 3, classes=codes % 4
    )


def test_a_diverged_network_has_no_composition_level_and_leaves_the_others_alone():
    ensemble = initial_ensemble((3, 4, 4, 1), seeds=[0, 1])
    inputs = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    alone = [measure().scores for measure in both_measures(ensemble.select([1]), inputs, inputs[:, 0])]
    ensemble.weights[1][0] = torch.nan
    for measure, expected in zip(both_measures(ensemble, inputs, inputs[:, 0]), alone, strict=True):
        found = measure()
        assert found.level.isnan().tolist() == [True, False]
        assert found.scores[0, 4:].isnan().all()
        torch.testing.assert_close(found.scores[1:], expected, rtol=1e-3, atol=1e-3)


def test_targets_in_double_precision_fit_networks_in_single():
    ensemble, inputs = initial_ensemble((3, 4, 1), seeds=[0, 1]), torch.randn(40, 3)
    single, double = (
        ablation_composition(ensemble, inputs, targets, torch.arange(40) % 2).scores
        for targets in (inputs[:, 0], inputs[:, 0].double())
    )
    assert torch.equal(single, double)


@pytest.mark.parametrize(
    ("widths", "inputs", "message"),
    [
        ((3, 1), torch.zeros(10, 3), r"ensemble: got 'widths \(3, 1\)', expected networks with hidden layers"),
        ((3, 4, 1), torch.zeros(0, 3), "inputs: got 'no rows'"),
        ((3, 4, 1), torch.zeros(3), r"inputs: got 'shape \(3,\)'"),
    ],
)
def test_networks_without_hidden_layers_and_tables_without_rows_are_refused(widths, inputs, message):
    for measure in both_measures(initial_ensemble(widths, seeds=[0]), inputs, torch.zeros(len(inputs))):
        with pytest.raises(ValueError, match=message):
            measure()


def test_targets_that_are_not_finite_have_no_quantile_groups():
    with pytest.raises(ValueError, match="targets: got '1 entries that are not finite'"):
        quantile_groups(torch.tensor([1.0, 2.0, torch.nan]), 2)


def test_one_valued_targets_have_no_quantile_groups():
    with pytest.raises(ValueError, match="targets: got 'one value only'"):
        quantile_groups(torch.ones(5), 2)
