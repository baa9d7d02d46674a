"""The mean-field twin: exact means over all masks, by listing them, and the training that follows."""

from __future__ import annotations

import copy
import functools
import itertools
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.feedback.attached import attach_gradient_dropout
from neurogames.bridge.feedback.law import feedback_factors
from neurogames.bridge.feedback.mean_feedback import attach_mean_feedback, second_moment_coins
from neurogames.bridge.feedback.mean_feedback_adam import MeanFeedbackAdam
from neurogames.bridge.training.train import train as bridge_train

KEEP = 0.3


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Tangled(nn.Module):
    """A skip connection, a layer that is called twice, and two branches that meet in a product."""

    def __init__(self):
        super().__init__()
        self.first, self.shared, self.side, self.last = (
            nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1),
        )  # fmt: skip

    def forward(self, x):
        low = self.first(x).tanh()
        high = low + self.shared(self.shared(low).tanh()).tanh()
        return self.last(high * self.side(low).sigmoid())


def tangled() -> tuple[nn.Module, torch.Tensor, int]:
    torch.manual_seed(0)
    return Tangled().double(), torch.randn(5, 2, dtype=torch.float64), 8


def chain() -> tuple[nn.Module, torch.Tensor, int]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)).double()
    return model, torch.randn(5, 2, dtype=torch.float64), 5


def convolutions() -> tuple[nn.Module, torch.Tensor, int]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Conv2d(2, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(3, 2)
    ).double()
    return model, torch.randn(2, 1, 3, 3, dtype=torch.float64), 5


NETWORKS = [tangled, chain, convolutions]


def gradients(model: nn.Module, inputs: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(model(inputs).square().mean(), list(model.parameters())))


def moments(model, inputs, n_coins, values, weights) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Mean and mean square of the gradients over all masks of two values: the slow twin, by gradient dropout itself."""
    first = [torch.zeros_like(parameter) for parameter in model.parameters()]
    second = [torch.zeros_like(parameter) for parameter in model.parameters()]
    with attach_gradient_dropout(model, KEEP, rng=generator()) as handle:
        for sides in itertools.product([0, 1], repeat=n_coins):
            coins = iter([values[side] for side in sides])

            def draw(shape, dtype, device, coins=coins):
                return torch.tensor([next(coins) for _ in range(int(np.prod(shape)))], dtype=dtype).view(shape)

            for layer in handle.layers.values():
                layer.draw = draw
            weight = float(np.prod([weights[side] for side in sides]))
            for mean, square, gradient in zip(first, second, gradients(model, inputs), strict=True):
                mean += weight * gradient
                square += weight * gradient.square()
    return first, second


@pytest.mark.parametrize("network", NETWORKS)
def test_the_twin_is_the_mean_over_all_masks_whatever_the_graph(network):
    model, inputs, n_coins = network()
    means, _ = moments(model, inputs, n_coins, (0.0, 1.0), (1 - KEEP, KEEP))
    with attach_mean_feedback(model, KEEP):
        twin = gradients(model, inputs)
    for ours, mean in zip(twin, means, strict=True):
        torch.testing.assert_close(ours, mean, rtol=0, atol=1e-12)
    assert not torch.allclose(twin[0], gradients(model, inputs)[0], rtol=0.1)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_coins_of_the_twin_have_the_second_moment_of_the_masks(network):
    model, inputs, n_coins = network()
    means, squares = moments(model, inputs, n_coins, (0.0, 1.0), (1 - KEEP, KEEP))
    root = KEEP**0.5
    coins = moments(model, inputs, n_coins, (root, -root), ((1 + root) / 2, (1 - root) / 2))
    for ours, exact in zip((*coins[0], *coins[1]), (*means, *squares), strict=True):
        torch.testing.assert_close(ours, exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("network", NETWORKS)
def test_drawn_second_moments_converge_to_the_exact_ones(network):
    """As 1 / sqrt(number of draws); the last hidden layer of a chain needs one draw only."""
    model, inputs, n_coins = network()
    _, squares = moments(model, inputs, n_coins, (0.0, 1.0), (1 - KEEP, KEEP))
    exact = torch.cat([square.flatten() for square in squares])
    with attach_mean_feedback(model, KEEP), second_moment_coins(generator()):
        draws = [torch.cat([g.square().flatten() for g in gradients(model, inputs)]) for _ in range(1024)]
    means = {count: torch.stack(draws).view(-1, count, len(exact)).mean(dim=1) for count in (1, 8, 64)}
    one, some, many = ((mean - exact).square().mean().sqrt() for mean in means.values())
    assert 2.2 < one / some < 3.6
    assert 1.9 < some / many < 4.2
    if network is chain:
        last = slice(9, 17)  # weights and biases of the second hidden layer
        torch.testing.assert_close(draws[0][last], exact[last], rtol=1e-12, atol=0)


def test_in_a_chain_the_twin_has_the_factors_of_the_law():
    model, inputs, _ = chain()
    plain = gradients(model, inputs)
    factors = feedback_factors(model, KEEP, optimizer="sgd")
    with attach_mean_feedback(model, KEEP):
        for k, (ours, gradient) in enumerate(zip(gradients(model, inputs), plain, strict=True)):
            torch.testing.assert_close(ours, factors[k // 2] * gradient)


def test_rescaled_it_is_plain_backpropagation():
    model, inputs, _ = tangled()
    plain = gradients(model, inputs)
    with attach_mean_feedback(model, KEEP, rescale=True):
        assert all(torch.equal(a, b) for a, b in zip(gradients(model, inputs), plain, strict=True))


def test_in_evaluation_and_after_removal_nothing_happens():
    model, inputs, _ = tangled()
    plain = gradients(model, inputs)
    with attach_mean_feedback(model, KEEP):
        model.eval()
        assert all(torch.equal(a, b) for a, b in zip(gradients(model, inputs), plain, strict=True))
        model.train()
    assert all(torch.equal(a, b) for a, b in zip(gradients(model, inputs), plain, strict=True))


def test_values_on_the_way_forward_are_the_same_to_the_bit():
    model, inputs, _ = tangled()
    plain = model(inputs)
    with attach_mean_feedback(model, KEEP):
        assert torch.equal(model(inputs), plain)


def test_it_stands_where_gradient_dropout_stands_and_follows_the_same_schedule():
    model, inputs, _ = chain()
    plain = gradients(model, inputs)
    with attach_gradient_dropout(model, 0.5, rng=generator()) as masks, attach_mean_feedback(model, 0.5) as means:
        assert list(masks.layers) == list(means.layers) == ["0", "2"]
    with attach_mean_feedback(model, lambda progress: 1 - progress / 2) as handle:
        assert all(torch.equal(a, b) for a, b in zip(gradients(model, inputs), plain, strict=True))
        handle.progress = 1.0
        assert [layer.keep_prob for layer in handle.layers.values()] == [0.5, 0.5]
        torch.testing.assert_close(gradients(model, inputs)[0], 0.25 * plain[0])
    with attach_mean_feedback(model, 0.5, modules=["2"]) as handle:
        torch.testing.assert_close(gradients(model, inputs)[0], 0.5 * plain[0])


def test_a_model_with_it_can_be_copied_and_pickled():
    model, inputs, _ = chain()
    with attach_mean_feedback(model, KEEP):
        ours = gradients(model, inputs)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
            assert all(torch.equal(a, b) for a, b in zip(gradients(other, inputs), ours, strict=True))


def test_without_any_feedback_hidden_layers_get_a_zero_gradient_and_the_output_layer_the_true_one():
    model, inputs, _ = chain()
    plain = gradients(model, inputs)
    with attach_mean_feedback(model, 0.0):
        ours = gradients(model, inputs)
    assert not any(gradient.any() for gradient in ours[:4])
    assert torch.equal(ours[4], plain[4])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: attach_mean_feedback(model, 1.5), r"keep_prob: got 1.5, expected a probability in \[0, 1\]"),
        (lambda model: attach_mean_feedback(model, 0.0, rescale=True), "keep_prob: got 0.0"),
        (lambda model: attach_mean_feedback(model, lambda _: 2.0), "keep_prob: got 2.0"),
        (lambda model: attach_mean_feedback(model, 0.5, granularity="row"), "granularity: got 'row'"),
        (lambda model: attach_mean_feedback(model, 0.5, modules=["9"]), "modules: got '9'"),
        (lambda _: attach_mean_feedback(nn.Sequential(nn.Linear(3, 1)), 0.5), "at least one hidden"),
        (lambda model: MeanFeedbackAdam(model.parameters(), rng=0), "rng: got 0"),
        (lambda model: MeanFeedbackAdam(model.parameters(), lr=-1, rng=generator()), "lr: got -1"),
        (lambda model: MeanFeedbackAdam(model.parameters(), rng=generator(), n_draws=0), "n_draws: got 0"),
        (lambda model: MeanFeedbackAdam(model.parameters(), rng=generator()).step(), "closure: got None"),
    ],
)
def test_what_cannot_be_done_is_refused(call, message):
    model, inputs, _ = chain()
    plain = gradients(model, inputs)
    with pytest.raises(ValueError, match=message):
        call(model)
    assert all(torch.equal(a, b) for a, b in zip(gradients(model, inputs), plain, strict=True))


def train(model, inputs, targets, optimizer, steps):
    for _ in range(steps):

        def closure():
            optimizer.zero_grad()
            loss = (model(inputs) - targets).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_where_nothing_is_attached_it_is_torchs_own_adam(weight_decay):
    inputs, targets = torch.randn(20, 2, generator=generator()).double(), torch.ones(20, 1).double()
    results = []
    for kind in (MeanFeedbackAdam, torch.optim.AdamW):
        model = chain()[0]
        extra = {"rng": generator()} if kind is MeanFeedbackAdam else {}
        optimizer = kind(model.parameters(), lr=0.01, weight_decay=weight_decay, **extra)
        results.append(train(model, inputs, targets, optimizer, 30))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_afterwards_gradients_are_the_mean_ones_and_a_saved_state_goes_on():
    model, inputs, _ = chain()
    targets = torch.ones(5, 1).double()
    optimizer = MeanFeedbackAdam(model.parameters(), lr=0.01, rng=generator())
    with attach_mean_feedback(model, KEEP):
        train(model, inputs, targets, optimizer, 3)
        weights = copy.deepcopy(model.state_dict())
        expected = [parameter.grad for parameter in model.parameters()]
        again = MeanFeedbackAdam(model.parameters(), lr=0.5, rng=generator(9))
        again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        one = train(model, inputs, targets, optimizer, 2)
        model.load_state_dict(weights)
        two = train(model, inputs, targets, again, 2)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert all(gradient is not None for gradient in expected)


def test_it_trains_in_the_loop_of_the_bridge_and_goes_on_where_it_was_interrupted():
    inputs, targets = regression()
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = functools.partial(MeanFeedbackAdam, lr=0.01, rng=generator(5))
    states = []
    with attach_mean_feedback(model, KEEP):

        def trained(**extra):
            return bridge_train(
                model, nn.functional.mse_loss, (inputs, targets), optimizer=optimizer, epochs=4, batch_size=16,
                rng=generator(), on_state=states.append, **extra,
            ).model.state_dict()  # fmt: skip

        full = trained()
        resumed = trained(resume_from=states[1])
    assert all(torch.equal(full[name], resumed[name]) for name in full)
    plain = bridge_train(
        model, nn.functional.mse_loss, (inputs, targets), epochs=4, batch_size=16, rng=generator(),
        optimizer=functools.partial(torch.optim.Adam, lr=0.01),
    ).model.state_dict()  # fmt: skip
    assert not torch.allclose(plain["0.weight"], full["0.weight"], rtol=1e-2)


def regression() -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(64, 4, generator=generator(1))
    return inputs, (inputs[:, :1] * inputs[:, 1:2] + inputs[:, 2:3]).tanh()


def predictions(optimizer, attach, *, seeds=8, steps=200) -> torch.Tensor:
    """Predictions of networks of one initial state, trained on all rows: only the masks differ."""
    inputs, targets = regression()
    found = []
    for seed in range(seeds):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
        with attach(model, seed):
            train(model, inputs, targets, optimizer(model.parameters()), steps)
        found.append(model(inputs).detach())
    return torch.stack(found)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_the_twin_predicts_the_mean_training_with_masks(kind):
    """The mean over masks of the predictions is much nearer to the twin than to plain training."""
    adam = kind == "adam"

    def plainly(parameters):
        return torch.optim.Adam(parameters, lr=1e-3) if adam else torch.optim.SGD(parameters, lr=0.05)

    def for_twin(parameters):
        return MeanFeedbackAdam(parameters, lr=1e-3, rng=generator()) if adam else plainly(parameters)

    masked = predictions(plainly, lambda model, seed: attach_gradient_dropout(model, KEEP, rng=generator(seed)))
    (twin,) = predictions(for_twin, lambda model, _: attach_mean_feedback(model, KEEP), seeds=1)
    (plain,) = predictions(plainly, lambda model, _: attach_mean_feedback(model, 1.0), seeds=1)
    to_twin, to_plain = ((masked.mean(dim=0) - other).square().mean().sqrt() for other in (twin, plain))
    assert to_twin < 0.2 * to_plain


@pytest.mark.parametrize("keep", [0.5, 0.3])
def test_under_adam_rescaling_changes_nothing(keep):
    """A constant factor of a layer's gradients cancels in first moment / root of the second."""
    results = [
        predictions(
            lambda parameters: torch.optim.Adam(parameters, lr=1e-3, eps=1e-16),
            lambda model, seed, rescale=rescale: attach_gradient_dropout(
                model, keep, rng=generator(seed), rescale=rescale
            ),
            seeds=2,
            steps=50,
        )
        for rescale in (False, True)
    ]
    torch.testing.assert_close(*results, rtol=0, atol=1e-5)


def test_more_draws_of_the_second_moment_come_nearer_to_many_and_one_is_near_already():
    """Distances to the twin of 32 draws, beside that of plain training."""

    def twin(n_draws, seed=0):
        return predictions(
            lambda parameters: MeanFeedbackAdam(parameters, lr=1e-3, rng=generator(seed), n_draws=n_draws),
            lambda model, _: attach_mean_feedback(model, KEEP),
            seeds=1,
            steps=100,
        )

    def distance(other):
        return (other - many).square().mean()

    many = twin(32)
    one, four = (sum(distance(twin(n_draws, seed)) for seed in (1, 2, 3)) / 3 for n_draws in (1, 4))
    (plain,) = predictions(
        lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
        lambda model, _: attach_mean_feedback(model, 1.0),
        seeds=1,
        steps=100,
    )
    assert four < one < 0.02 * distance(plain)
