from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from threadpoolctl import ThreadpoolController
from torch import nn

from neurogames.bridge.ensembles import ensemble as ensemble_module
from neurogames.bridge.ensembles import stacked_steps
from neurogames.bridge.ensembles.ensemble import train_ensemble
from neurogames.bridge.ensembles.networks import initial_ensemble
from neurogames.bridge.ensembles.streams import LABELS, MASKS, ORDER, permutations, uniforms
from neurogames.bridge.feedback.target_noise import GaussianNoise, NoNoise, StableNoise, UniformNoise

ROWS, FEATURES = 70, 3
HIDDEN = (6, 5)


def table(outputs: int = 1, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(ROWS, FEATURES, generator=torch.Generator().manual_seed(0), dtype=dtype)
    mixed = inputs @ torch.tensor([[1.0, -2.0], [0.5, 1.0], [2.0, 0.0]], dtype=dtype)
    return inputs, (mixed + mixed.square())[:, :outputs]


def parameters(ensemble) -> list[torch.Tensor]:
    return [*ensemble.weights, *ensemble.biases]


def train_alone(
    inputs, targets, seed, *, hidden, loss, keep_prob, target_noise, learning_rate, epochs, batch_size, optimizer,
    granularity, rescale,
) -> nn.Sequential:  # fmt: skip
    """The slow twin: one plain torch model, autograd, torch's own optimizer, a loop over mini-batches."""
    outputs = targets.shape[1] if loss == "mse" else int(targets.max()) + 1
    model = initial_ensemble((inputs.shape[1], *hidden, outputs), [seed], dtype=inputs.dtype).network(0)
    descent = (torch.optim.Adam if optimizer == "adam" else torch.optim.SGD)(model.parameters(), lr=learning_rate)
    seeds, rows = torch.tensor([seed]), len(inputs)
    total = max(1, round(epochs * math.ceil(rows / batch_size)))
    step = 0
    for epoch in range(math.ceil(epochs)):
        order = permutations(seeds, ORDER, epoch, rows)[0]
        noise = torch.zeros_like(targets)
        if target_noise is not None:
            first, second = uniforms(seeds, LABELS, epoch, (2, *targets.shape), targets.dtype)[0]
            sizes = [target_noise.amplitude(column.std(correction=0).item()) for column in targets.T]
            noise = target_noise.transform(first, second) * torch.tensor(sizes, dtype=targets.dtype)
        for start in range(0, rows, batch_size):
            if step == total:
                return model
            chosen = order[start : start + batch_size]
            mask_rows = batch_size if granularity == "sample" else 1
            mask_units = len(hidden) if granularity == "layer" else sum(hidden)
            draws = uniforms(seeds, MASKS, step, (mask_rows, mask_units))[0][: len(chosen)].double()
            masks = (draws < keep_prob).to(inputs.dtype) / (keep_prob if rescale else 1.0)
            masks = masks.split(1 if granularity == "layer" else list(hidden), dim=1)
            values = inputs[chosen]
            for layer, module in enumerate(model):
                values = module(values)
                if isinstance(module, nn.ReLU):
                    values.register_hook(lambda gradient, mask=masks[layer // 2]: gradient * mask)
            if loss == "mse":
                cost = nn.functional.mse_loss(values, targets[chosen] + noise[start : start + batch_size])
            else:
                cost = nn.functional.cross_entropy(values, targets[chosen])
            descent.zero_grad()
            cost.backward()
            descent.step()
            step += 1
    return model


def assert_equal_to_twins(trained, inputs, targets, seeds, atol, **settings):
    per_network = {name: value for name, value in settings.items() if isinstance(value, list)}
    for k, seed in enumerate(seeds):
        own = {**settings, **{name: value[k] for name, value in per_network.items()}}
        twin = train_alone(inputs, targets, seed, **own)
        mine = trained.ensemble.network(k)
        for a, b in zip(mine.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=atol)


MIXTURE = {
    "hidden": HIDDEN,
    "keep_prob": [1.0, 0.5, 0.1, 0.5, 1.0, 0.9],
    "learning_rate": [1e-2, 1e-3, 2e-2, 5e-3, 1e-2, 1e-2],
    "epochs": [3, 2.5, 4, 1, 0.01, 1.4],
    "batch_size": 16,
}
NOISES = [None, GaussianNoise(0.1), StableNoise(1.5, 0.5), GaussianNoise(0.1), NoNoise(), UniformNoise(0.2)]
SEEDS = [3, 1, 4, 1, 5, 9]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(("granularity", "rescale"), [("unit", False), ("sample", True), ("layer", False)])
def test_training_together_equals_one_by_one_with_autograd_and_torchs_optimizer(optimizer, granularity, rescale):
    inputs, targets = table(outputs=2)
    settings = {**MIXTURE, "optimizer": optimizer, "granularity": granularity, "rescale": rescale, "loss": "mse"}
    trained = train_ensemble(inputs, targets, seeds=SEEDS, target_noise=NOISES, **settings)
    twins = [None if isinstance(noise, NoNoise) else noise for noise in NOISES]
    assert_equal_to_twins(trained, inputs, targets, SEEDS, 1e-11, target_noise=twins, **settings)
    assert trained.steps.tolist() == [15, 12, 20, 5, 1, 7]


def test_training_classifiers_together_equals_one_by_one():
    inputs, targets = table()
    classes = torch.bucketize(targets[:, 0].contiguous(), torch.tensor([0.0, 2.0], dtype=torch.float64))
    settings = {**MIXTURE, "loss": "cross_entropy", "optimizer": "adam", "granularity": "unit", "rescale": False}
    trained = train_ensemble(inputs, classes, seeds=SEEDS, **settings)
    assert trained.ensemble.widths == (FEATURES, *HIDDEN, 3)
    assert_equal_to_twins(trained, inputs, classes, SEEDS, 1e-11, target_noise=None, **settings)


@pytest.mark.parametrize("hidden", [(), (4,)])
def test_any_depth_equals_the_twin(hidden):
    inputs, targets = table()
    settings = {**MIXTURE, "hidden": hidden, "loss": "mse", "optimizer": "adam", "granularity": "unit"}
    settings = {**settings, "rescale": False, "keep_prob": [1.0] * 6 if not hidden else MIXTURE["keep_prob"]}
    trained = train_ensemble(inputs, targets, seeds=SEEDS, **settings)
    assert_equal_to_twins(trained, inputs, targets, SEEDS, 1e-11, target_noise=None, **settings)


def test_single_precision_equals_the_twin_to_rounding():
    inputs, targets = table(dtype=torch.float32)
    settings = {**MIXTURE, "loss": "mse", "optimizer": "sgd", "granularity": "unit", "rescale": False}
    trained = train_ensemble(inputs, targets, seeds=SEEDS, **settings)
    assert trained.ensemble.weights[0].dtype == torch.float32
    assert_equal_to_twins(trained, inputs, targets, SEEDS, 1e-5, target_noise=None, **settings)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("granularity", ["unit", "sample", "layer"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_stacked_and_compiled_steps_are_the_same_steps(monkeypatch, optimizer, granularity, loss):
    inputs, targets = table()
    targets = targets if loss == "mse" else (targets[:, 0] > 1).long()
    settings = {**MIXTURE, "optimizer": optimizer, "granularity": granularity, "loss": loss}
    settings["feedback"] = ["dropout", "gaussian", "dropout", "mean", "gaussian", "gaussian"]
    settings = {**settings, "seeds": SEEDS, "target_noise": NOISES if loss == "mse" else None}
    settings = {**settings, "record_at": [0.3], "on_record": lambda *_: None}
    compiled = train_ensemble(inputs, targets, **settings)
    monkeypatch.setattr(ensemble_module, "backend", lambda *_: stacked_steps.take_steps)
    stacked = train_ensemble(inputs, targets, **settings)
    for a, b in zip(parameters(compiled.ensemble), parameters(stacked.ensemble), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)
    np.testing.assert_allclose(compiled.train_loss, stacked.train_loss, rtol=1e-9)


def test_what_is_left_out_is_as_the_list_of_arguments_says():
    inputs, targets = table(outputs=2)
    written_out = {
        "hidden": (64, 64), "loss": "mse", "keep_prob": 1.0, "feedback": "dropout", "target_noise": None,
        "learning_rate": 1e-3, "layer_rates": None, "epochs": 20, "batch_size": 64, "optimizer": "adam",
        "granularity": "unit", "rescale": False, "moment_draws": 2,
    }  # fmt: skip
    one = train_ensemble(inputs, targets, seeds=[0])
    other = train_ensemble(inputs, targets, seeds=[0], **written_out)
    assert one.steps.tolist() == [40]
    assert all(map(torch.equal, parameters(one.ensemble), parameters(other.ensemble)))
    kept = {**written_out, "epochs": 1, "keep_prob": 0.5, "feedback": ["dropout", "mean"]}
    for name in ("granularity", "rescale", "moment_draws"):
        left_out = train_ensemble(inputs, targets, seeds=[0, 0], **{k: v for k, v in kept.items() if k != name})
        other = train_ensemble(inputs, targets, seeds=[0, 0], **kept)
        assert all(map(torch.equal, parameters(left_out.ensemble), parameters(other.ensemble)))


def test_a_network_is_the_same_alone_and_in_company_whatever_the_number_of_threads():
    inputs, targets = table(dtype=torch.float32)
    together = train_ensemble(inputs, targets, seeds=SEEDS, target_noise=NOISES, **MIXTURE)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for k in (1, 2, 5):
            own = {name: value[k] if isinstance(value, list) else value for name, value in MIXTURE.items()}
            alone = train_ensemble(inputs, targets, seeds=[SEEDS[k]], target_noise=NOISES[k], **own)
            for a, b in zip(parameters(together.ensemble), parameters(alone.ensemble), strict=True):
                assert torch.equal(a[k], b[0])
        shared_out = train_ensemble(inputs, targets, seeds=SEEDS, target_noise=NOISES, **MIXTURE)
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(parameters(together.ensemble), parameters(shared_out.ensemble), strict=True):
        assert torch.equal(a, b)


def test_trainings_side_by_side_change_neither_each_other_nor_the_threads_of_the_process():
    inputs, targets = table(dtype=torch.float32)
    settings = {"seeds": [0, 1], "epochs": 60, "batch_size": 16, "keep_prob": 0.5}
    alone, controller = train_ensemble(inputs, targets, **settings), ThreadpoolController()

    def threads():
        return [library["num_threads"] for library in controller.select(user_api="blas").info()]

    with controller.limit(limits=2, user_api="blas"):
        before = threads(), torch.get_num_threads()
        with ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(train_ensemble, inputs, targets, **settings) for _ in range(3)]
        assert (threads(), torch.get_num_threads()) == before
    for job in jobs:
        for a, b in zip(parameters(job.result().ensemble), parameters(alone.ensemble), strict=True):
            assert torch.equal(a, b)


def test_training_in_groups_changes_nothing(monkeypatch):
    inputs, targets = table(dtype=torch.float32)
    at_once = train_ensemble(inputs, targets, seeds=SEEDS, target_noise=NOISES, **MIXTURE)
    monkeypatch.setattr(ensemble_module, "group_count", lambda _: 4)
    grouped = train_ensemble(inputs, targets, seeds=SEEDS, target_noise=NOISES, **MIXTURE)
    for a, b in zip(parameters(at_once.ensemble), parameters(grouped.ensemble), strict=True):
        assert torch.equal(a, b)
    np.testing.assert_array_equal(at_once.train_loss, grouped.train_loss)


def moved_units(before, after) -> torch.Tensor:
    """Which units' incoming weights or bias differ, (networks, units)."""
    weight = (before.weights[0] != after.weights[0]).any(dim=1)
    return weight | (before.biases[0] != after.biases[0])[:, 0]


def two_steps(optimizer: str, keep: float, seeds, rescale: bool = False):
    """Snapshots after 0, 1 and 2 steps, one hidden layer, and the masks of both steps."""
    inputs, targets = table(dtype=torch.float32)
    snapshots = []
    train_ensemble(
        inputs, targets, seeds=seeds, hidden=(20,), keep_prob=keep, batch_size=35, epochs=1, optimizer=optimizer,
        record_at=[0, 0.5, 1], on_record=lambda _, snapshot: snapshots.append(snapshot), rescale=rescale,
    )  # fmt: skip
    masks = [uniforms(torch.tensor(seeds), MASKS, step, (20,)).double() < keep for step in (0, 1)]
    return snapshots, masks


def test_with_sgd_a_masked_unit_stands_still_and_its_outgoing_weight_learns():
    (_, middle, end), masks = two_steps("sgd", 0.5, range(30))
    moved = moved_units(middle, end)
    assert not moved[~masks[1]].any()
    assert moved[masks[1]].float().mean() > 0.9  # the rest is dead units
    outgoing = (middle.weights[1] != end.weights[1])[:, :, 0]
    assert outgoing[~masks[1]].float().mean() > 0.9


def test_with_adam_a_masked_unit_still_moves_by_what_it_remembers():
    (_, middle, end), masks = two_steps("adam", 0.5, range(30))
    moved = moved_units(middle, end)
    remembering, newborn = masks[0] & ~masks[1], ~masks[0] & ~masks[1]
    assert moved[remembering].float().mean() > 0.9
    assert not moved[newborn].any()


def test_units_are_kept_as_often_as_asked_and_kept_gradients_are_not_rescaled():
    (start, middle, _), masks = two_steps("sgd", 0.3, range(300))
    share, n = masks[0].double().mean().item(), masks[0].numel()
    assert abs(share - 0.3) < 4 * (0.3 * 0.7 / n) ** 0.5
    (_, plain, _), _ = two_steps("sgd", 1.0, range(300))
    (_, rescaled, _), _ = two_steps("sgd", 0.3, range(300), rescale=True)
    step, full, scaled = (end.weights[0] - start.weights[0] for end in (middle, plain, rescaled))
    torch.testing.assert_close(step, full * masks[0][:, None], rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(scaled, full * masks[0][:, None] / 0.3, rtol=1e-3, atol=1e-7)


def test_labels_in_one_row_train_towards_themselves_and_not_towards_their_mean():
    inputs, targets = table(dtype=torch.float32)
    settings = {"seeds": [0, 1], "epochs": 150, "batch_size": 10, "learning_rate": 1e-2}
    flat, upright = (train_ensemble(inputs, y, **settings) for y in (targets[:, 0], targets))
    assert all(torch.equal(a, b) for a, b in zip(parameters(flat.ensemble), parameters(upright.ensemble), strict=True))
    error = (flat.ensemble(inputs) - targets).square().mean(dim=(1, 2))
    assert (error < 0.05 * targets.var()).all()


def test_a_record_is_taken_at_the_same_share_of_each_networks_own_training():
    inputs, targets = table(dtype=torch.float32)
    settings = {"seeds": [5, 6], "batch_size": 16, "keep_prob": [1.0, 0.5], "target_noise": GaussianNoise(0.1)}
    records = []
    full = train_ensemble(
        inputs, targets, epochs=[8, 3], record_at=[0, 0.25, 1], on_record=lambda *args: records.append(args), **settings
    )
    assert [share for share, _ in records] == [0, 0.25, 1]
    quarter = train_ensemble(inputs, targets, epochs=[2, 0.75], **settings)
    start = initial_ensemble((FEATURES, 64, 64, 1), [5, 6])
    for (_, snapshot), expected in zip(records, (start, quarter.ensemble, full.ensemble), strict=True):
        for a, b in zip(parameters(snapshot), parameters(expected), strict=True):
            assert torch.equal(a, b)


def test_recording_changes_nothing_and_progress_runs_from_zero_to_one():
    inputs, targets = table(dtype=torch.float32)
    fractions = []
    settings = {"seeds": [0, 1], "batch_size": 16, "epochs": [2.4, 5], "keep_prob": 0.5}
    recorded = train_ensemble(
        inputs, targets, record_at=np.linspace(0, 1, 8), on_record=lambda _, ensemble: ensemble.weights[0].zero_(),
        on_progress=fractions.append, **settings,
    )  # fmt: skip
    plain = train_ensemble(inputs, targets, **settings)
    for a, b in zip(parameters(recorded.ensemble), parameters(plain.ensemble), strict=True):
        assert torch.equal(a, b)
    np.testing.assert_allclose(recorded.train_loss, plain.train_loss, rtol=1e-12)
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < 0.3
    assert fractions[-1] == 1.0


def test_the_loss_history_is_the_loss_before_each_step_and_ends_with_the_training():
    inputs, targets = table()
    trained = train_ensemble(inputs, targets, seeds=[0, 1], epochs=[1, 3], batch_size=ROWS, learning_rate=1e-3)
    assert trained.train_loss.shape == (2, 3)
    assert np.isnan(trained.train_loss[0, 1:]).all()
    start = initial_ensemble((FEATURES, 64, 64, 1), [0, 1], dtype=torch.float64)
    expected = (start(inputs) - targets).square().mean(dim=(1, 2))
    np.testing.assert_allclose(trained.train_loss[:, 0], expected)
    assert trained.train_loss[1, 2] < trained.train_loss[1, 1] < trained.train_loss[1, 0]


def test_a_network_that_diverges_says_so_and_leaves_the_others_alone():
    inputs, targets = table(dtype=torch.float32)
    settings = {"batch_size": 16, "optimizer": "sgd"}
    trained = train_ensemble(inputs, targets, seeds=[0, 1], learning_rate=[1e-3, 1e6], epochs=6, **settings)
    assert trained.status == ("ok", "diverged: the loss is not finite in epoch 1")
    assert trained.finished.tolist() == [True, False]
    assert trained.steps.tolist() == [30, 5]
    alone = train_ensemble(inputs, targets, seeds=[0], learning_rate=1e-3, epochs=6, **settings)
    assert torch.equal(trained.ensemble.weights[0][0], alone.ensemble.weights[0][0])
    last_step = train_ensemble(inputs, targets, seeds=[0], learning_rate=1e30, epochs=0.2, **settings)
    assert last_step.finished.tolist() == [
        bool(torch.stack([p.isfinite().all() for p in parameters(last_step.ensemble)]).all())
    ]


def test_arguments_are_not_changed_and_the_global_generator_is_not_touched():
    inputs, targets = table(dtype=torch.float32)
    kept, state = (inputs.clone(), targets.clone()), torch.get_rng_state()
    train_ensemble(inputs, targets, seeds=[0], epochs=1, batch_size=16, keep_prob=0.5, target_noise=GaussianNoise())
    assert torch.equal(inputs, kept[0])
    assert torch.equal(targets, kept[1])
    assert torch.equal(torch.get_rng_state(), state)


INPUTS, TARGETS = table(dtype=torch.float32)
CLASSES = (TARGETS[:, 0] > 0).long()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 71}, "inputs: got .*, expected a tensor with at least 71 rows"),
        ({"inputs": INPUTS.double().numpy()}, "inputs: got 'ndarray'"),
        ({"inputs": INPUTS.log()}, "entries that are not finite"),
        ({"inputs": INPUTS[:, 0]}, r"inputs: got 'shape \(70,\)'"),
        ({"targets": TARGETS[:-1]}, "targets: got '69 rows'"),
        ({"targets": TARGETS.log()}, "targets: got .* not finite"),
        ({"targets": torch.ones(ROWS)}, "targets: got 'one value only'"),
        ({"targets": torch.zeros(ROWS, dtype=torch.int64), "loss": "cross_entropy"}, "one value only"),
        ({"targets": TARGETS[:, 0], "loss": "cross_entropy"}, "class ids"),
        ({"targets": CLASSES - 1, "loss": "cross_entropy"}, "class ids"),
        ({"targets": CLASSES, "loss": "cross_entropy", "target_noise": GaussianNoise()}, "target_noise: got Gaussian"),
        ({"target_noise": "gaussian"}, "target_noise"),
        ({"target_noise": [GaussianNoise()]}, "target_noise: got '1 values'"),
        ({"keep_prob": 0.0, "rescale": True}, "keep_prob: got 0.0"),
        ({"keep_prob": [0.5, 1.5]}, "keep_prob: got 1.5"),
        ({"keep_prob": torch.tensor(-1.0)}, "keep_prob: got -1.0"),
        ({"keep_prob": np.array(1.5)}, "keep_prob: got 1.5"),
        ({"targets": TARGETS.to(torch.complex64)}, "targets: got torch.complex64"),
        ({"targets": TARGETS.double() * 1e300}, "targets: got .* not finite"),
        ({"targets": 1 + TARGETS.double() * 1e-12}, "targets: got 'one value only'"),
        ({"target_noise": [{}, None]}, "target_noise: got {}"),
        ({"seeds": 2}, "seeds: got 2, expected one integer for each network"),
        ({"hidden": 64}, "hidden: got 64, expected numbers of units, one for each hidden layer"),
        ({"keep_prob": [0.5]}, "keep_prob: got '1 values', expected one value, or one for each of 2 networks"),
        ({"learning_rate": 0}, "learning_rate: got 0"),
        ({"epochs": [1, math.inf]}, "epochs: got inf"),
        ({"loss": "mae"}, "loss: got 'mae'"),
        ({"optimizer": "lion"}, "optimizer: got 'lion'"),
        ({"granularity": "neuron"}, "granularity: got 'neuron'"),
        ({"seeds": []}, "number of seeds: got 0"),
        ({"seeds": [0.5, 1]}, "seeds: got 0.5"),
        ({"hidden": (0,)}, "widths: got 0"),
        ({"record_at": [0.5]}, "record_at"),
        ({"record_at": [0.5, 0.2], "on_record": print}, "record_at"),
        ({"record_at": [1.2], "on_record": print}, "record_at: got 1.2"),
    ],
)
def test_wrong_input_is_refused_before_any_work(change, message):
    with pytest.raises(ValueError, match=message):
        train_ensemble(**{"inputs": INPUTS, "targets": TARGETS, "seeds": [0, 1], **change})
