"""Gains and verdicts where they are known: planted equilibria, saddles, shifted and scaled units; dense twins."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.extraction import nash_gap as module
from neurogames.bridge.extraction import symmetries
from neurogames.bridge.extraction.deviation_search import best_deviation
from neurogames.bridge.extraction.nash_gap import nash_gap
from neurogames.bridge.extraction.network_players import joint_player, network_players
from neurogames.bridge.extraction.own_curvature import own_curvature
from neurogames.bridge.extraction.player_loss import Deadline, OutOfTimeError, player_loss
from tests.bridge.cases import CASES, mlp

SQUARES, ENTROPY = functional.mse_loss, functional.cross_entropy


def draws():
    return np.random.default_rng(0)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def linear_rows():
    inputs = normal(20, 3)
    return inputs, inputs @ normal(3, 3, seed=1)


def chain(*weights):
    layers = [nn.Linear(*weight.T.shape, bias=False).double() for weight in weights]
    for layer, weight in zip(layers, weights, strict=True):
        layer.weight.data = weight.clone()
    return nn.Sequential(*layers)


def teacher():
    """A network, and rows on which its loss is 0."""
    torch.manual_seed(0)
    model = mlp(nn.Tanh, 3, 4, 2).double()
    inputs = normal(40, 3)
    return model, (inputs, model(inputs).detach())


def test_outputs_are_compared_by_their_own_size():
    small = torch.tensor([1e-3, 2e-3])
    assert symmetries._equal(small * (1 + 1e-6), small)
    assert not symmetries._equal(small * 1.01, small)


def test_at_zero_two_linear_layers_are_at_a_saddle_that_no_layer_can_leave_alone():
    inputs, targets = linear_rows()
    found = nash_gap(chain(*[torch.zeros(3, 3)] * 2).double(), SQUARES, (inputs, targets), rng=draws())
    assert found.notion == "Nash up to epsilon"
    assert found.gap == 0
    np.testing.assert_allclose(found.bound, 0, atol=1e-12)
    assert found.method == ("least squares", "least squares")
    assert found.joint_curvature < -0.1
    assert found.coordination_gap == pytest.approx(float(targets.square().mean()), rel=1e-4)


def test_at_zero_three_linear_layers_need_the_search_since_the_joint_hessian_vanishes():
    inputs, targets = linear_rows()
    found = nash_gap(chain(*[torch.zeros(3, 3)] * 3).double(), SQUARES, (inputs, targets), pairs=True, rng=draws())
    assert found.notion == "Nash up to epsilon"
    assert found.joint_curvature == 0
    assert list(found.pair_gain.values()) == [0.0, 0.0, 0.0]
    assert found.coordination_gap == pytest.approx(float(targets.square().mean()), rel=1e-4)
    assert found.symmetries == ("change of basis between '0' and '1'", "change of basis between '1' and '2'")


def test_a_rank_one_saddle_of_a_linear_chain_is_a_layer_nash_equilibrium():
    inputs, targets = linear_rows()
    map_ = torch.linalg.lstsq(inputs, targets).solution.T
    _, axes = torch.linalg.eigh(map_ @ inputs.T @ inputs @ map_.T)
    zeros = torch.zeros(3, 2, dtype=torch.float64)
    model = chain(torch.cat([axes[:, :1].T @ map_, zeros.T]), torch.cat([axes[:, :1], zeros], dim=1))
    found = nash_gap(model, SQUARES, (inputs, targets), rng=draws())
    np.testing.assert_allclose(found.gradient, 0, atol=1e-12)
    np.testing.assert_allclose(found.bound, 0, atol=1e-12)
    assert found.notion == "Nash up to epsilon"
    assert found.joint_curvature < -0.1
    assert found.coordination_gap > 0.1


def test_a_minimum_is_an_equilibrium_and_the_unit_that_was_shifted_is_named():
    model, rows = teacher()
    for kind in ("layer", "unit", "block"):
        found = nash_gap(model, SQUARES, rows, kind, rng=draws())
        assert found.notion == "Nash up to epsilon"
        assert found.coordination_gap < 1e-3
    model[0].weight.data[2] += 1.0
    shifted = nash_gap(model, SQUARES, rows, "unit", rng=draws())
    assert (shifted.deviator, shifted.notion) == ("0[2]", "not Nash")
    assert shifted.gap == pytest.approx(shifted.loss, rel=1e-3)
    assert shifted.verdict.startswith("Not Nash: '0[2]' alone gains ")
    by_layer = nash_gap(model, SQUARES, rows, rng=draws())
    assert (by_layer.deviator, by_layer.method) == ("0", ("search", "least squares"))
    assert by_layer.bound[1] < by_layer.gap  # the last layer cannot undo it, which is certain


def test_scaling_a_unit_of_relu_changes_no_gain_and_is_listed_as_a_symmetry():
    torch.manual_seed(0)
    model, rows = mlp(nn.ReLU, 3, 4, 2).double(), (normal(40, 3), normal(40, 2, seed=1))
    before = nash_gap(model, SQUARES, rows, rng=draws())
    with torch.no_grad():
        model[0].weight[1] *= 4.0
        model[0].bias[1] *= 4.0
        model[2].weight[:, 1] /= 4.0
    after = nash_gap(model, SQUARES, rows, rng=draws())
    assert before.symmetries == after.symmetries == ("scaling between '0' and '2'",)
    assert after.gain[1] == pytest.approx(before.gain[1], rel=1e-9)
    assert after.notion == before.notion == "not Nash"


def test_least_squares_in_the_middle_of_a_linear_chain_agree_with_search_and_the_bound():
    inputs, targets = linear_rows()
    targets = targets + normal(20, 3, seed=7)
    model = chain(normal(4, 3, seed=3), normal(2, 4, seed=4), normal(3, 2, seed=5))
    found = nash_gap(model, SQUARES, (inputs, targets), rng=draws())
    assert found.method == ("least squares",) * 3
    np.testing.assert_allclose(found.gain, found.bound, rtol=1e-9)
    with player_loss(model, SQUARES, (inputs, targets)) as given:
        for player, gain in zip(network_players(model, "layer"), found.gain, strict=True):
            _, least, done = best_deviation(given, player, starts=2, steps=200, rng=draws())
            assert done
            assert found.loss - least == pytest.approx(gain, rel=1e-6)


def test_a_softmax_layer_is_solved_to_its_dual_bound_and_strict_apart_from_its_shift():
    inputs, classes = normal(60, 3), torch.arange(60) % 3
    model = nn.Sequential(nn.Linear(3, 3)).double()
    before = nash_gap(model, ENTROPY, (inputs, classes), rng=draws())
    assert before.method == ("convex",)
    assert before.gain[0] > 0.01
    np.testing.assert_allclose(before.gain, before.bound, atol=1e-7)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def closure():
        optimizer.zero_grad()
        value = ENTROPY(model(inputs), classes)
        value.backward()
        return value

    optimizer.step(closure)
    after = nash_gap(model, ENTROPY, (inputs, classes), rng=draws())
    assert after.notion == "Nash up to epsilon"
    assert after.local_notion == "differential Nash"
    assert after.symmetries == ("softmax shift of '0'",)
    assert after.smallest_curvature[0] == pytest.approx(0, abs=1e-9)
    assert after.strict_curvature[0] > 0.01


def test_a_block_that_holds_a_saddle_is_first_order_only_and_can_leave_it():
    model = nn.Sequential(chain(*[torch.zeros(3, 3)] * 2)).double()
    found = nash_gap(model, SQUARES, linear_rows(), "block", rng=draws())
    assert (found.notion, found.local_notion) == ("not Nash", "first-order")
    assert found.players == ("0",)


def test_a_curvature_that_is_not_known_is_not_called_negative():
    found = nash_gap(chain(*[torch.zeros(3, 3)] * 2).double(), functional.huber_loss, linear_rows(), rng=draws())
    unknown = np.full(2, np.nan)
    lost = replace(found, smallest_curvature=unknown, largest_curvature=unknown, strict_curvature=unknown)
    assert (found.notion, lost.notion) == ("local Nash", "first-order")
    assert "First-order only: not every player's own curvature is known" in lost.verdict
    moving = replace(lost, gradient=np.ones(2))
    assert moving.notion == "undecided"
    assert "but not every player's own curvature is known" in moving.verdict
    steep = replace(found, gradient=np.ones(2), largest_curvature=np.ones(2))
    assert "but a gradient step of one should gain more" in steep.verdict
    bent = replace(found, smallest_curvature=np.array([0.0, -1.0]))
    assert "First-order only: the own curvature of '1' is negative" in bent.verdict


@pytest.mark.parametrize("name", ["tanh mlp, squares", "cnn", "residual"])
def test_own_and_joint_curvatures_are_those_of_dense_hessians(name):
    case = CASES[name]
    model, rows = case.model(dtype=torch.float64).eval(), case.data(6, dtype=torch.float64)
    players = network_players(model, "layer")
    names = joint_player(players).parameters
    values = dict(model.named_parameters())

    def loss(*given):
        outputs = torch.func.functional_call(model, dict(zip(names, given, strict=True)), (rows[0],))
        return case.loss(outputs, rows[1])

    blocks = torch.autograd.functional.hessian(loss, tuple(values[each].detach() for each in names))
    sizes = [values[each].numel() for each in names]
    places = dict(zip(names, np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]), strict=True))
    dense = np.block(
        [
            [b.reshape(n, m).numpy() for b, m in zip(row, sizes, strict=True)]
            for row, n in zip(blocks, sizes, strict=True)
        ]
    )
    with player_loss(model, case.loss, rows) as found:
        for player in (*players, network_players(model, "unit")[1], joint_player(players)):
            taken = [places[each] for each in player.parameters]
            if player.unit is not None:
                taken = [
                    part.reshape(len(values[each]), -1)[player.unit]
                    for part, each in zip(taken, player.parameters, strict=True)
                ]
            members = np.concatenate(taken)
            exact = np.linalg.eigvalsh(dense[np.ix_(members, members)])
            smallest, largest, _ = own_curvature(found, player)
            # Above 200 coordinates Lanczos has a tolerance of 0.001 of the largest.
            room = 1e-4 if len(members) <= 200 else 1e-3
            np.testing.assert_allclose([smallest, largest], exact[[0, -1]], atol=room * max(1.0, abs(exact).max()))


def test_of_a_loss_without_a_known_floor_nothing_is_claimed_beyond_what_was_reached():
    model, rows = teacher()
    found = nash_gap(model, functional.huber_loss, rows, starts=1, steps=5, rng=draws())
    assert np.isinf(found.bound).all()
    assert found.method == ("search", "search")
    assert found.gap < found.epsilon
    assert found.notion == found.local_notion
    assert "which rules out none" in found.verdict


def test_held_out_gains_are_means_over_rows_with_their_standard_errors():
    model, rows = teacher()
    model[2].weight.data += 0.5
    other = normal(30, 3, seed=5), normal(30, 2, seed=6)
    found = nash_gap(model, SQUARES, rows, held_out=other, rng=draws())
    fit = torch.linalg.lstsq(torch.cat([model[:2](rows[0]), torch.ones(40, 1)], dim=1), rows[1]).solution
    moved = torch.cat([model[:2](other[0]), torch.ones(30, 1)], dim=1) @ fit
    gains = ((model(other[0]) - other[1]).square() - (moved - other[1]).square()).mean(dim=1).detach()
    assert found.held_out_gain[1] == pytest.approx(float(gains.mean()), rel=1e-6)
    assert found.held_out_stderr[1] == pytest.approx(float(gains.std() / 30**0.5), rel=1e-6)


def test_a_search_whose_time_is_over_keeps_the_best_and_says_so():
    model, rows = teacher()
    model[0].weight.data += 1.0
    with player_loss(model, SQUARES, rows) as given:
        player = network_players(model, "layer")[0]
        given.deadline.at = time.monotonic()
        vector, _, done = best_deviation(given, player, starts=1, steps=5, rng=draws())
        assert not done
        assert torch.equal(vector, player.own(given.weights))
        assert all(np.isnan(own_curvature(given, player)))


def test_where_time_is_short_players_with_the_largest_gradients_are_searched_and_the_rest_said_to_be_open(monkeypatch):
    """On a clock that moves by a second with each look at it."""
    model, rows = teacher()
    model[0].weight.data[2] += 1.0
    seconds = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr(module, "_SEARCH_PASSES", 1e9)
    found = nash_gap(model, functional.huber_loss, rows, "unit", budget=150.0, rng=draws())
    assert next(seconds) < 175
    searched = [name for name, method in zip(found.players, found.method, strict=True) if method == "search"]
    assert found.players[int(found.gradient.argmax())] in searched or found.gap > 0
    assert "search, stopped" in found.method
    assert found.status.startswith("not finished: the gain of ")
    assert found.notion in ("not Nash", "undecided")


def test_a_question_gets_an_equal_share_of_the_time_that_is_left_or_its_least(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 10.0)
    deadline = Deadline(end=40.0)
    for questions, least, at in ((3, 0.0, 20.0), (3, 15.0, 25.0), (3, 99.0, 40.0), (1, 0.0, 40.0)):
        deadline.share(questions, least)
        assert deadline.at == at
    deadline.at = 10.0
    deadline.check()  # the last moment counts
    deadline.at = 9.9
    with pytest.raises(OutOfTimeError):
        deadline.check()


def test_searches_and_curvatures_get_some_passes_at_least_and_the_estimate_counts_all(monkeypatch):
    shares, said, (model, rows) = [], [], teacher()
    monkeypatch.setattr(Deadline, "share", lambda _, questions, least: shares.append((questions, least)))
    nash_gap(model, SQUARES, rows, rng=draws(), starts=2, steps=4, on_estimate=said.append)
    one = said[0].one_pass
    searches, spectra = [(2, 20 * one), (1, 20 * one), (1, 20 * one)], [(3, 0.0), (2, 180 * one), (1, 180 * one)]
    assert shares == [(questions, pytest.approx(least)) for questions, least in searches + spectra]
    assert said[0].seconds == pytest.approx(3 * (3 * 1.25 * 4 + 180) * one)  # two layers, and both together


def test_what_the_work_will_take_is_said_and_a_budget_below_one_pass_is_refused():
    model, rows = teacher()
    said = []
    nash_gap(model, SQUARES, rows, rng=draws(), budget=60.0, starts=0, steps=1, on_estimate=said.append)
    assert (said[0].players, said[0].parameters) == (2, 26)
    assert said[0].memory > 0
    with pytest.raises(
        ValueError, match=r"^budget: got 1e-12, expected at least .* seconds, for one pass over the rows$"
    ):
        nash_gap(model, SQUARES, rows, rng=draws(), budget=1e-12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"players": "neuron"}, "players: got 'neuron', expected 'layer', 'unit' or 'block'"),
        ({"players": "unit", "pairs": True}, "pairs: got True, expected False for units"),
        ({"epsilon": 0.0}, "epsilon: got 0.0, expected a gain > 0"),
        ({"starts": -1}, "starts: got -1"),
        ({"rng": 3}, "rng: got 3, expected a numpy Generator"),
        ({"loss": nn.MSELoss(reduction="none")}, "loss: got 'an answer of shape"),
        ({"loss": nn.MSELoss(reduction="sum")}, "loss: got .* expected the mean over rows"),
        ({"data": (torch.zeros(4, 5).double(), torch.zeros(4, 2))}, "data: got .*expected rows that the model takes"),
        ({"model": nn.ReLU()}, "model: got 'no floating parameters'"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(changed, message):
    model, rows = teacher()
    model[2].bias.data += 1.0
    given = {"model": model, "loss": SQUARES, "data": rows, "rng": draws()} | changed
    with pytest.raises(ValueError, match=f"^{message}"):
        nash_gap(**given)
