"""The coalition filter: its mask by plain loops, gradients, reports, refusals; the kernel against the definition."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neurogames.bridge.coalition_filter.coalition_layers import CoalitionFilter, set_progress
from neurogames.bridge.coalition_filter.coalition_operators import strong_units
from neurogames.bridge.coalition_filter.strong_coalitions import Rule, decide, first_quartile, top_windows
from neurogames.engine.coalitions.values import shapley
from neurogames.engine.schedules import linear
from neurogames.games.coalition import FunctionCoalitionGame
from neurogames.games.pairwise_energy import PairwiseEnergyGame


def draws(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def mask_by_loops(grid, rule, level):
    """The rule for one map (height, width), NaN where there is no unit, with the exact engine for the values."""
    height, width = grid.shape
    known = np.sort(grid[~np.isnan(grid)])
    n, windows = rule.window, []
    for top in range(0, height, n):
        for left in range(0, width, n):
            places = [
                (r, c)
                for r in range(top, min(top + n, height))
                for c in range(left, min(left + n, width))
                if not math.isnan(grid[r, c])
            ]
            if places:
                windows.append(places)
    state = np.where(grid > known[(len(known) - 1) // 2], 1.0, -1.0) if rule.energy == "ising" else grid
    values, payoffs = {}, []
    for places in windows:
        x = np.array([state[place] for place in places])
        near = np.array([[abs(a - c) + abs(b - d) == 1 for c, d in places] for a, b in places], float)
        alone = rule.beta * x if rule.energy == "ising" else -0.5 * rule.beta * x * x
        game = PairwiseEnergyGame(alone, rule.alpha * near * np.outer(x, x))
        payoffs.append(round(float(game.value(np.ones(len(x), bool))), 9))
        values |= dict(zip(places, shapley(game).values.round(9), strict=True))
    order = sorted(range(len(windows)), key=lambda w: (-payoffs[w], w))
    best = order[: math.ceil(round(rule.top_p * len(windows), 9))]
    inside = [place for w in best for place in windows[w]]
    quartile = sorted(values[place] for place in inside)[math.ceil(len(inside) / 4) - 1]
    mask = np.zeros(grid.shape, bool)
    for place in inside:
        mask[place] = values[place] >= level * quartile
    return mask


rules = st.builds(
    Rule,
    window=st.integers(1, 4),
    top_p=st.sampled_from([0.1, 0.25, 0.5, 0.8, 1.0]),
    energy=st.sampled_from(["ising", "gaussian"]),
    alpha=st.sampled_from([1.0, 0.5, -1.0, 0.0, 0.3]),
    beta=st.sampled_from([1.0, 0.25, -2.0, 0.0, 0.7]),
)
levels = st.sampled_from([0.0, 0.5, 1.0])


@given(rules, levels, st.integers(4, 9), st.integers(4, 9), st.booleans(), st.integers(0, 10**6))
def test_mask_equals_the_rule_written_as_loops(rule, level, height, width, rectified, seed):
    # halves are exact in binary, so that equal payoffs are equal to the bit in any order of summation
    maps = (2 * draws(3, height, width, seed=seed, dtype=torch.float64)).round() / 2
    maps = maps.relu() if rectified else maps
    rule = Rule(rule.window, rule.top_p, rule.energy, round(rule.alpha * 4) / 4, round(rule.beta * 4) / 4)
    found = strong_units(maps.flatten(1), (height, width), rule, level).view(maps.shape).bool()
    for one, mask in zip(maps.numpy(), found.numpy(), strict=True):
        np.testing.assert_array_equal(mask, mask_by_loops(one, rule, level))


@given(rules, levels, st.integers(16, 90), st.booleans(), st.sampled_from([torch.float32, torch.float64]))
def test_the_compiled_mask_equals_the_definition(rule, level, units, rectified, dtype):
    width = math.isqrt(units - 1) + 1
    grid = (-(-units // width), width)
    maps = draws(5, units, seed=units, dtype=dtype)
    maps = maps.relu() if rectified else maps
    before = maps.clone()
    expected = decide(maps, grid, rule, level).mask.to(dtype)
    assert torch.equal(strong_units(maps, grid, rule, level), expected)
    assert torch.equal(maps, before)


@given(
    st.integers(1, 3),
    st.sampled_from([0.1, 0.5, 1.0]),
    st.sampled_from([("ising", 1.0, 1.0), ("ising", 0.3, -0.7), ("gaussian", 0.3, 1.7)]),
    st.sampled_from([0.5, 1.0, 2.5]),
    levels,
    st.integers(16, 90),
    st.booleans(),
)
def test_the_compiled_mask_of_log_gibbs_equals_the_definition(window, top_p, law, temperature, level, units, rectified):
    width = math.isqrt(units - 1) + 1
    grid = (-(-units // width), width)
    maps = draws(5, units, seed=units)
    maps = maps.relu() if rectified else maps
    rule = Rule(window, top_p, *law, temperature, "log_gibbs")
    assert torch.equal(strong_units(maps, grid, rule, level), decide(maps, grid, rule, level).mask.float())


@given(rules, levels, st.sampled_from([0.5, 1.0, 3.0]), st.integers(16, 90), st.booleans())
def test_compiled_slopes_of_the_strengths_equal_those_of_the_definition(rule, level, temperature, units, rectified):
    """Ties too: of equal units at the quartile it is the first of the map that moves the threshold."""
    maps = (2 * draws(4, units, seed=units, dtype=torch.float64)).round() / 2
    maps, upper = maps.relu() if rectified else maps, draws(4, units, seed=1, dtype=torch.float64)
    layer = CoalitionFilter(
        rule.window, rule.top_p, rule.energy, rule.alpha, rule.beta, temperature, level, learnable=True
    ).double()
    given = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    found = layer(given[0])
    expected = layer._taught_by_definition(given[1], *layer._rows(given[1]), (layer.alpha, layer.beta))
    assert torch.equal(found, expected)
    slopes = [
        torch.autograd.grad((out * upper).sum(), [layer.alpha, layer.beta, x])
        for out, x in zip((found, expected), given, strict=True)
    ]
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["constant", "two values", "far apart", "tiny", "huge", "signed zeros", "steps"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("energy", ["ising", "gaussian"])
def test_the_compiled_mask_equals_the_definition_on_odd_maps(kind, dtype, energy):
    normal = draws(4, 60, dtype=dtype)
    maps = {
        "constant": torch.full_like(normal, -0.25),
        "two values": normal.sign(),
        "far apart": normal.sign() * 10.0 ** (30 * draws(4, 60, seed=1).abs().clamp(max=1.2)).to(dtype),
        "tiny": normal * torch.finfo(dtype).smallest_normal / 8,
        "huge": normal.sign() * torch.finfo(dtype).max,
        "signed zeros": torch.where(normal > 0.8, normal, normal.sign() * 0.0),
        "steps": 2.0 ** torch.arange(-30, 30).repeat(4, 1).to(dtype),
    }[kind]
    rule = Rule(2, 0.5, energy, 1.0, 0.5)
    assert torch.equal(strong_units(maps, (6, 10), rule, 1.0), decide(maps, (6, 10), rule, 1.0).mask.to(dtype))


def test_a_map_that_is_not_finite_passes_whole_and_harms_no_other():
    layer = CoalitionFilter()
    maps = draws(3, 1, 4, 4)
    spoilt = maps.clone()
    spoilt[1, 0, 2, 2], spoilt[2, 0, 0, 0] = math.nan, -math.inf
    for filtered in (layer(spoilt), spoilt * layer.explain(spoilt).mask):
        assert torch.equal(filtered[0], layer(maps)[0])
        assert torch.equal(filtered[1].isnan(), spoilt[1].isnan())
        assert torch.equal(filtered[2], spoilt[2])


def test_top_windows_breaks_ties_by_position():
    payoff = torch.tensor([[0.0, 1.0, 1.0, 1.0, 2.0]])
    assert top_windows(payoff, 3).tolist() == [[False, True, True, False, True]]
    for shape in ((5,), (1, 1, 5)):  # windows are on the last axis
        assert torch.equal(top_windows(payoff.view(shape), 3), top_windows(payoff, 3).view(shape))


@pytest.mark.parametrize("counted", range(1, 10))
def test_first_quartile_is_the_lower_empirical_one(counted):
    values = draws(9)
    found = first_quartile(values, torch.arange(9) < counted)
    assert found.item() == np.quantile(values[:counted].numpy(), 0.25, method="inverted_cdf")


@pytest.mark.parametrize("shape", [(3, 2, 6, 7), (4, 30), (4, 23), (2, 3, 5, 5)])
@pytest.mark.parametrize("payoff", ["energy", "log_gibbs"])
@pytest.mark.parametrize("energy", ["ising", "gaussian"])
def test_the_report_agrees_with_the_layer_and_with_itself(shape, payoff, energy):
    layer = CoalitionFilter(2, 0.5, energy, 0.4, 1.0, 0.7, payoff=payoff)
    values = draws(*shape)
    report = layer.explain(values)
    leading = shape[:2] if len(shape) == 4 else shape[:1]
    assert torch.equal(report.mask, layer.mask(values))
    assert torch.equal(layer(values), values * report.mask)
    assert report.energy.shape == report.gibbs.shape == report.payoff.shape == report.winning.shape
    assert report.rho.shape == leading
    assert report.shapley.shape == values.shape
    log_gibbs = -report.energy / 0.7 - report.log_partition
    torch.testing.assert_close(report.gibbs, log_gibbs.exp())
    torch.testing.assert_close(report.payoff, -report.energy if payoff == "energy" else log_gibbs)
    torch.testing.assert_close(
        report.shapley.flatten(len(leading)).sum(-1), report.payoff.flatten(len(leading)).sum(-1)
    )


def test_gibbs_probabilities_of_all_states_of_a_window_add_up_to_one():
    states = torch.tensor([[(s >> i & 1) * 2.0 - 1 for i in range(4)] for s in range(16)])
    # each state is put beside its opposite, so that the median lies between and spins are what is meant
    maps = torch.cat([states.view(16, 1, 2, 2), -states.view(16, 1, 2, 2)], dim=-1)
    report = CoalitionFilter(2, 1.0, alpha=0.6, beta=0.3, temperature=0.8).explain(maps)
    assert report.gibbs[:, 0, 0, 0].sum().item() == pytest.approx(1.0, abs=1e-12)
    assert CoalitionFilter(energy="gaussian").explain(maps).gibbs.isnan().all()
    assert CoalitionFilter(energy="gaussian").explain(maps).log_partition.isinf().all()


def test_log_gibbs_values_equal_the_exact_engine():
    layer = CoalitionFilter(3, 0.5, alpha=0.6, beta=-0.2, temperature=0.8, payoff="log_gibbs")
    maps = draws(1, 1, 3, 3, dtype=torch.float64)
    report = layer.explain(maps)
    x = torch.where(maps > maps.median(), 1.0, -1.0).double().flatten().numpy()
    places = np.argwhere(np.ones((3, 3)))
    near = (np.abs(places[:, None] - places).sum(-1) == 1).astype(float)
    states = np.array(np.meshgrid(*[[1.0, -1.0]] * 9)).reshape(9, -1).T

    def worth(coalitions):
        results = []
        for members in coalitions.astype(float):
            alike = near * np.outer(members, members)
            terms = (0.3 * ((states @ alike) * states).sum(1) - 0.2 * states @ members) / 0.8
            own = (0.3 * x @ alike @ x - 0.2 * x @ members) / 0.8
            results.append(own - np.logaddexp.reduce(terms) + (9 - members.sum()) * math.log(2))
        return results

    exact = shapley(FunctionCoalitionGame(9, worth)).values
    np.testing.assert_allclose(report.shapley.flatten().numpy(), exact, atol=1e-9)
    assert report.payoff.item() == pytest.approx(math.log(report.gibbs.item()))


def test_whole_windows_win_alike_under_both_payoffs():
    maps = draws(5, 2, 9, 9)
    winning = [CoalitionFilter(3, 0.4, payoff=payoff).explain(maps).winning for payoff in ("energy", "log_gibbs")]
    assert torch.equal(*winning)


def test_common_factors_and_temperature_change_no_mask():
    maps = draws(5, 2, 9, 9)
    expected = CoalitionFilter(alpha=1.0, beta=0.5).mask(maps)
    assert torch.equal(CoalitionFilter(alpha=8.0, beta=4.0).mask(maps), expected)
    assert torch.equal(CoalitionFilter(alpha=1.0, beta=0.5, temperature=9.0).mask(maps), expected)


def test_a_window_of_silent_units_beats_a_loud_one_under_a_proper_gaussian_law():
    maps = torch.zeros(1, 1, 2, 4)
    maps[..., 2:] = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    layer = CoalitionFilter(2, 0.5, "gaussian", alpha=1.0, beta=2.5, payoff="log_gibbs")
    assert layer.explain(maps).winning.flatten().tolist() == [True, False]


def test_gradients_come_back_through_the_kept_units_only():
    layer = CoalitionFilter()
    maps = draws(4, 3, 6, 6, dtype=torch.float64).requires_grad_()
    upper = draws(4, 3, 6, 6, seed=1, dtype=torch.float64)
    (layer(maps) * upper).sum().backward()
    assert torch.equal(maps.grad, upper * layer.mask(maps))
    assert 0 < layer.mask(maps).double().mean() < 1
    assert torch.autograd.gradcheck(layer, maps.detach()[:1, :1].requires_grad_())


def test_inputs_are_left_alone_and_layouts_do_not_matter():
    layer = CoalitionFilter(3)
    maps = draws(2, 3, 8, 8)
    before = maps.clone()
    expected = layer(maps)
    assert torch.equal(maps, before)
    assert torch.equal(layer(maps.to(memory_format=torch.channels_last)), expected)
    assert torch.equal(layer(maps.double()), expected.double())
    assert torch.equal(layer(maps.half()).bool(), layer(maps.half().float()).bool())
    assert layer(maps.half()).dtype == torch.float16
    assert layer(maps[:0]).shape == (0, 3, 8, 8)
    assert layer.explain(maps[:0]).energy.shape == (0, 3, 3, 3)


def test_a_batch_is_its_maps_one_by_one():
    layer = CoalitionFilter(2, 0.3)
    maps = draws(3, 2, 7, 5)
    single = torch.stack([torch.stack([layer(m[None, None])[0, 0] for m in sample]) for sample in maps])
    assert torch.equal(layer(maps), single)


def test_a_vector_is_a_map_on_its_grid():
    layer = CoalitionFilter(2, 0.3)
    vector = draws(4, 36)
    assert torch.equal(layer(vector), layer(vector.view(4, 1, 6, 6)).flatten(1))


def test_a_vector_that_does_not_fill_its_grid_follows_the_loops():
    layer = CoalitionFilter(3, 0.5, alpha=0.5)
    for units in (10, 13, 20, 21, 57):  # the last window of 10, 13 and 57 units has few, or none but for its first row
        vector = draws(2, units, seed=units)
        width = math.ceil(math.sqrt(units))
        grid = np.full((math.ceil(units / width), width), np.nan)
        for row, mask in zip(vector.numpy(), layer.mask(vector).numpy(), strict=True):
            grid.ravel()[:units] = row
            expected = mask_by_loops(grid, Rule(3, 0.5, "ising", 0.5, 1.0), 1.0)
            np.testing.assert_array_equal(mask, expected.ravel()[:units])


def test_the_threshold_follows_progress_in_training_and_is_final_in_eval():
    layer = CoalitionFilter(1, 1.0, energy="gaussian", alpha=0.0, beta=-2.0, threshold=linear(0.0, 1.0))
    maps = torch.arange(1.0, 17.0).view(1, 1, 4, 4)  # phi_i = a_i^2, whose first quartile is 16
    report = layer.explain(maps)
    assert report.rho.item() == 0.0
    assert report.mask.all()
    set_progress(nn.Sequential(nn.Identity(), layer), 0.5)
    report = layer.explain(maps)
    assert (report.rho.item(), report.quartile_level) == (8.0, 0.5)
    assert layer(maps).count_nonzero() == 14
    layer.eval()
    assert layer.explain(maps).rho.item() == 16.0
    assert layer(maps).count_nonzero() == 13
    layer.train()
    assert layer(maps).count_nonzero() == 14


def test_learnable_strengths_get_the_slope_of_a_soft_gate():
    maps = draws(2, 2, 5, 6, dtype=torch.float64)
    upper = draws(2, 2, 5, 6, seed=1, dtype=torch.float64)
    layer = CoalitionFilter(2, 0.6, alpha=0.5625, beta=0.71875, temperature=0.5, threshold=0.5, learnable=True)
    plain = CoalitionFilter(2, 0.6, alpha=0.5625, beta=0.71875, temperature=0.5, threshold=0.5)
    inputs, twin = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    out = layer(inputs)
    assert torch.equal(out, plain(twin))
    (out * upper).sum().backward()
    (plain(twin) * upper).sum().backward()
    assert torch.equal(inputs.grad, twin.grad)

    winners = plain.explain(maps).winning
    inside = winners.repeat_interleave(2, -2).repeat_interleave(2, -1)[..., :5, :6]

    def soft(alpha, beta):
        report = CoalitionFilter(2, 0.6, alpha=alpha, beta=beta, temperature=0.5, threshold=0.5).explain(maps)
        assert torch.equal(report.winning, winners)
        gates = torch.sigmoid((report.shapley - report.rho[..., None, None]) / 0.5) * inside
        return (gates * maps * upper).sum().item()

    step = 1e-5
    slopes = (
        (soft(0.5625 + step, 0.71875) - soft(0.5625 - step, 0.71875)) / (2 * step),
        (soft(0.5625, 0.71875 + step) - soft(0.5625, 0.71875 - step)) / (2 * step),
    )
    np.testing.assert_allclose([layer.alpha.grad.item(), layer.beta.grad.item()], slopes, rtol=1e-4)
    assert abs(slopes[0]) > 1e-3


def test_layers_copy_pickle_and_keep_their_strengths_in_the_state():
    layer = CoalitionFilter(3, 0.4, threshold=linear(0.5, 1.0), learnable=True)
    layer.progress = 0.5
    maps = draws(2, 3, 7, 7)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):  # noqa: S301
        assert twin.level == 0.75
        assert torch.equal(twin(maps), layer(maps))
    assert set(layer.state_dict()) == {"alpha", "beta"}
    assert not CoalitionFilter().state_dict()
    assert "window=3, top_p=0.4, alpha=1, beta=1" in repr(layer)


def test_functional_gradients_work_through_the_layer():
    layer = CoalitionFilter()
    maps = draws(2, 1, 4, 4)
    found = torch.func.grad(lambda values: layer(values).square().sum())(maps)
    assert torch.equal(found, 2 * layer(maps))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, "window: got 0"),
        ({"window": 2.0}, "window: got 2.0"),
        ({"window": 17}, "window: got 17"),
        ({"window": 4, "payoff": "log_gibbs"}, "window: got 4"),
        ({"top_p": 0.0}, "top_p: got 0"),
        ({"top_p": 1.5}, "top_p: got 1.5"),
        ({"top_p": math.nan}, "top_p: got nan"),
        ({"energy": "potts"}, "energy: got 'potts'"),
        ({"alpha": math.nan}, "alpha: got nan"),
        ({"beta": math.inf}, "beta: got inf"),
        ({"temperature": 0.0}, "temperature: got 0"),
        ({"threshold": math.inf}, "threshold: got inf"),
        ({"threshold": lambda _: math.nan}, "from its schedule"),
        ({"payoff": "accuracy"}, "payoff: got 'accuracy'"),
        ({"payoff": "log_gibbs", "learnable": True}, "payoff: got 'log_gibbs'"),
        ({"payoff": "log_gibbs", "energy": "gaussian"}, "alpha, beta: got"),
    ],
)
def test_wrong_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CoalitionFilter(**arguments)


def test_wrong_inputs_are_refused():
    layer = CoalitionFilter(3)
    for values in (draws(2, 3, 2, 8), draws(2, 3, 8, 2), draws(2, 4)):
        with pytest.raises(ValueError, match="maps of at least 3 x 3"):
            layer(values)
    for values in (draws(3, 8, 8), draws(8), torch.ones(2, 1, 8, 8, dtype=torch.int64)):
        with pytest.raises(ValueError, match="values: got"):
            layer(values)
    with pytest.raises(ValueError, match="progress: got 2"):
        layer.progress = 2
    with pytest.raises(ValueError, match="progress: got nan"):
        set_progress(nn.Sequential(layer), math.nan)
