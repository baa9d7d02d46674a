"""Players who learn: the compiled rounds beside a slow twin, and what theorems say of the laws of play."""

import numpy as np
import pytest

from neurogames import NormalFormGame, regret
from neurogames.engine import (
    Exp3,
    FictitiousPlay,
    QLearning,
    RegretMatching,
    correlated_regret,
    logit_equilibrium,
    simulate_learning,
)
from neurogames.engine.learning.gaps import coarse_gap, correlated_gap
from neurogames.engine.population import generator

PENNIES = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
SHAPLEY = NormalFormGame(([[0, 1, 0], [0, 0, 1], [1, 0, 0]], [[0, 0, 1], [1, 0, 0], [0, 1, 0]]))
CHICKEN = NormalFormGame.symmetric([[6.0, 2.0], [7.0, 0.0]])
RULES = {
    "fictitious play": FictitiousPlay(),
    "conditional regret": RegretMatching(),
    "external regret": RegretMatching("external"),
    "EXP3": Exp3(),
    "Q-learning": QLearning(0.4, step_size=0.5, decay=0.6),
    "plain Q-learning": QLearning(0.4, frequency_adjusted=False),
}


def random_game(seed, *sizes):
    rng = np.random.default_rng(seed)
    return NormalFormGame([rng.normal(size=sizes) for _ in sizes])


def softmax(values):
    weights = np.exp(values - np.max(values))
    return weights / weights.sum()


class SlowLearner:
    """One player, all of whose history is kept, and every formula worked out from it anew."""

    def __init__(self, rule, payoffs, axis):
        self.rule, self.payoffs = rule, np.moveaxis(payoffs, axis, 0)
        self.size, self.axis = len(self.payoffs), axis
        self.profiles, self.chances = [], []

    def chance(self):
        rule, t, uniform = self.rule, len(self.profiles), np.full(self.size, 1.0 / self.size)
        offers = np.array([self.payoffs[(slice(None), *np.delete(s, self.axis))] for s in self.profiles])
        mine = [s[self.axis] for s in self.profiles]
        paid = np.array([offer[a] for offer, a in zip(offers, mine, strict=True)])
        if t == 0:
            return uniform
        if isinstance(rule, FictitiousPlay):
            mean = offers.mean(axis=0)
            best = mean >= mean.max() - 1e-12
            return best / best.sum()
        if isinstance(rule, RegretMatching) and rule.regret == "external":
            regret = np.maximum((offers - paid[:, None]).mean(axis=0), 0.0)
            return regret / regret.sum() if regret.sum() > 0 else uniform
        if isinstance(rule, RegretMatching):
            rows = np.array(mine) == mine[-1]
            regret = np.maximum(((offers - paid[:, None]) * rows[:, None]).sum(axis=0) / t, 0.0)
            chance = regret / (rule.inertia * (self.size - 1) * np.ptp(self.payoffs, axis=0).max())
            chance[mine[-1]] = 0.0
            chance[mine[-1]] = 1.0 - chance.sum()
            return chance
        if isinstance(rule, Exp3):
            losses = np.zeros(self.size)
            for a, pay, chance in zip(mine, paid, self.chances, strict=True):
                losses[a] += (self.payoffs.max() - pay) / np.ptp(self.payoffs) / chance[a]
            return softmax(-np.sqrt(np.log(self.size) / (self.size * (t + 1))) * losses)
        q = np.full(self.size, (self.payoffs.max() + self.payoffs.min()) / 2)
        for k, (a, pay, chance) in enumerate(zip(mine, paid, self.chances, strict=True), start=1):
            step = rule.step_size / k**rule.decay
            q[a] += (min(1.0, step / chance[a]) if rule.frequency_adjusted else step) * (pay - q[a])
        return softmax(q / rule.temperature)


def slow_profiles(game, rules, rounds, seed):
    words = tuple(generator.states(1, np.random.default_rng(seed))[0])
    players = [SlowLearner(rule, game.payoffs[i], i) for i, rule in enumerate(rules)]
    for _ in range(rounds):
        profile = []
        for player in players:
            bits, words = generator.draw(words)
            bits, words = np.uint64(bits), tuple(map(np.uint64, words))
            chance = player.chance()
            player.chances.append(chance)
            u = (int(bits) >> 11) / 2**53
            profile.append(min(int(np.searchsorted(chance.cumsum(), u, side="right")), player.size - 1))
        for player in players:
            player.profiles.append(tuple(profile))
    return players


@pytest.mark.parametrize("name", RULES)
def test_a_learner_plays_what_its_definition_says_round_by_round(name):
    game, rounds = random_game(3, 3, 2, 3), 60
    rules = (RULES[name], RULES["Q-learning"], RULES[name])
    path = simulate_learning(
        game, rules, rounds=rounds, rng=np.random.default_rng(5), times=np.arange(1, rounds + 1), threads=1
    )
    players = slow_profiles(game, rules, rounds, 5)
    played = np.diff(path.count[0], axis=0, prepend=0).reshape(rounds, -1).argmax(axis=1)
    assert played.tolist() == [np.ravel_multi_index(s, game.n_actions) for s in players[0].profiles]
    for chosen, player in zip(path.choice, players, strict=True):
        assert chosen[0] == pytest.approx(player.chance(), abs=1e-12)


def test_gaps_are_those_of_each_law_alone():
    game = random_game(1, 2, 3, 2)
    law = np.random.default_rng(2).dirichlet(np.ones(12), size=(3, 2)).reshape(3, 2, 2, 3, 2)
    for gap, coarse in ((correlated_gap, False), (coarse_gap, True)):
        alone = [[correlated_regret(game, each, coarse=coarse) for each in row] for row in law]
        assert gap(game, law) == pytest.approx(np.array(alone), abs=1e-14)


def test_laws_frequencies_and_residuals_are_those_of_the_counts():
    game = random_game(8, 2, 3, 2)
    path = simulate_learning(game, QLearning(0.4), rounds=40, replicas=2, rng=np.random.default_rng(1))
    assert path.time.tolist() == [1, 2, 5, 10, 20, 40]
    for k, rounds in enumerate(path.time):
        law = path.count[:, k] / rounds
        np.testing.assert_allclose(path.law[:, k], law)
        assert law.sum(axis=(1, 2, 3)) == pytest.approx(1.0)
        for i, frequency in enumerate(path.frequencies):
            others = tuple(1 + j for j in range(3) if j != i)
            np.testing.assert_allclose(frequency[:, k], law.sum(axis=others))
        profiles = [[frequency[replica, k] for frequency in path.frequencies] for replica in range(2)]
        np.testing.assert_allclose(path.nash_gap[:, k], [regret(game, profile) for profile in profiles], atol=1e-14)
    worst = np.zeros(2)
    for replica in range(2):
        mixed = [each[replica] for each in path.choice]
        for i, tensor in enumerate(game.payoffs):
            offers = np.moveaxis(tensor, i, 0)
            for j in reversed([j for j in range(3) if j != i]):
                offers = offers @ mixed[j]
            worst[replica] = max(worst[replica], np.abs(softmax(offers / 0.3) - mixed[i]).max())
    np.testing.assert_allclose(path.logit_residual(0.3), worst, atol=1e-12)


def test_paths_depend_neither_on_threads_nor_on_other_replicas_nor_on_where_one_looks():
    def play(**settings):
        return simulate_learning(SHAPLEY, RegretMatching(), rounds=300, rng=np.random.default_rng(0), **settings)

    many, threaded, few = play(replicas=5), play(replicas=5, threads=3), play(replicas=2, times=[7, 300])
    assert (many.count == threaded.count).all()
    assert (many.count[:2, -1] == few.count[:, -1]).all()
    assert (many.count.sum(axis=(2, 3)) == many.time).all()


def test_adding_a_constant_and_changing_the_unit_of_payoffs_changes_no_path():
    moved = NormalFormGame([8.0 * tensor + 5.0 for tensor in CHICKEN.payoffs])
    for rule, other in ((RULES["EXP3"],) * 2, (RegretMatching(),) * 2, (QLearning(0.5), QLearning(4.0))):
        one, two = (
            simulate_learning(game, each, rounds=200, replicas=3, rng=np.random.default_rng(0))
            for game, each in ((CHICKEN, rule), (moved, other))
        )
        assert (one.count == two.count).all()


def test_fictitious_play_solves_zero_sum_games_and_cycles_in_shapleys():
    # Robinson (1951); Shapley (1964): the runs of his game grow in a fixed ratio, and the frequencies never settle.
    solved = simulate_learning(PENNIES, FictitiousPlay(), rounds=20_000, replicas=4, rng=np.random.default_rng(0))
    assert solved.nash_gap[:, -1].max() < 0.03
    cycling = simulate_learning(SHAPLEY, FictitiousPlay(), rounds=200_000, replicas=4, rng=np.random.default_rng(0))
    assert cycling.nash_gap[:, -4:].max(axis=1).min() > 0.05


def test_regret_matching_reaches_correlated_equilibria_and_external_regret_only_coarse_ones():
    # Hart & Mas-Colell (2000), theorem A; Shapley's game has coarse equilibria that are not correlated ones.
    rng = np.random.default_rng(0)
    for game in (SHAPLEY, CHICKEN, random_game(4, 2, 3, 2)):
        both = simulate_learning(game, RegretMatching(), rounds=200_000, replicas=3, rng=rng)
        assert both.correlated_gap[:, -1].max() < 0.06 * game.payoff_range
        assert both.correlated_gap[:, -1].max() < 0.3 * both.correlated_gap[:, 3].min() + 0.01
    coarse = simulate_learning(SHAPLEY, RegretMatching("external"), rounds=200_000, replicas=3, rng=rng)
    assert coarse.coarse_gap[:, -1].max() < 0.01
    assert coarse.correlated_gap[:, -1].min() > 0.05


def test_the_regret_of_exp3_is_within_its_bound():
    game, rounds, replicas = random_game(6, 3, 3), 4000, 60
    path = simulate_learning(game, Exp3(), rounds=rounds, replicas=replicas, rng=np.random.default_rng(0))
    for i, tensor in enumerate(game.payoffs):
        mean_law = path.law[:, -1].mean(axis=0)
        beside = mean_law.sum(axis=i)
        offers = (np.moveaxis(tensor, i, 0) * beside).sum(axis=1)
        regret = offers.max() - (mean_law * tensor).sum()
        assert regret <= 2 * np.ptp(tensor) * np.sqrt(3 * np.log(3) / rounds)


def test_q_learning_settles_at_the_logit_equilibrium():
    # Leslie & Collins (2005), theorem 4.1, in a zero-sum game with one logit equilibrium.
    game, tau = NormalFormGame.zero_sum([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]), 0.5
    rule = QLearning(tau, step_size=0.5, decay=0.75)
    path = simulate_learning(game, rule, rounds=300_000, replicas=4, rng=np.random.default_rng(0))
    limit = logit_equilibrium(game, 1.0 / tau)
    assert limit.status == "ok"
    assert path.logit_residual(tau).max() < 0.04
    for chosen, wanted in zip(path.choice, limit.profile, strict=True):
        assert np.abs(chosen - wanted).max() < 0.04
    assert path.logit_residual(0.1).min() > 0.1


def test_one_action_and_equal_payoffs_are_played_too():
    for game in (NormalFormGame(([[1.0, 2.0]], [[0.0, 3.0]])), NormalFormGame((np.ones((2, 3)), np.ones((2, 3))))):
        for rule in RULES.values():
            path = simulate_learning(game, rule, rounds=50, rng=np.random.default_rng(0))
            assert path.count[0, -1].sum() == 50
            assert all(np.isfinite(each).all() for each in path.choice)


def test_results_are_tables_and_lines():
    path = simulate_learning(SHAPLEY, Exp3(), rounds=100, replicas=2, rng=np.random.default_rng(0))
    labelled, table = path.to_xarray(), path.to_dataframe()
    assert labelled["frequency_1"].dims == ("replica", "round", "action_1")
    assert labelled["frequency_1"].sum("action_1").values == pytest.approx(1.0)
    assert len(table) == 2 * path.time.size
    assert table["coarse_gap"].iloc[-1] == path.coarse_gap[-1, -1]
    assert "\n" not in repr(path)
    axis = path.plot()
    assert axis.get_xlabel() == "rounds"


def test_wrong_input_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"^rules: got '3 rules', expected .* one for each of 2 players$"):
        simulate_learning(PENNIES, [Exp3()] * 3, rounds=5, rng=rng)
    with pytest.raises(ValueError, match=r"^times: got \[1, 4\], expected .* the last of them 5$"):
        simulate_learning(PENNIES, Exp3(), rounds=5, times=[1, 4], rng=rng)
    with pytest.raises(ValueError, match=r"^inertia: got 1"):
        RegretMatching(inertia=1)
    with pytest.raises(ValueError, match=r"^decay: got 1\.5, expected a power in \[0, 1\]"):
        QLearning(0.4, decay=1.5)
