"""Players who differ, beside the exact law of their joint strategies."""

import itertools

import networkx as nx
import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import chi2

from neurogames import GraphGame, PopulationGame, Process
from neurogames.engine import best_response, imitation, logit, replicator, simulate_heterogeneous, simulate_on_graph

RNG = np.random.default_rng(7)
WEIGHTS = np.array([[0, 2, 1, 0], [1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=float)
COMPLETE = 1.0 - np.eye(4)


def answers(case, profile, i):
    """(n,) probabilities of the next strategy of a revising player i, from the definition."""
    game, process, own = case["game"], case["process"], case["own"]
    n, mine = game.n_strategies, profile[i]
    weights = case["weights"]
    matrices = own.get("matrices", np.broadcast_to(game.matrix, (4, n, n)))
    mean = case["mean"]

    def pay(k, strategy):
        total = sum(weights[k, j] * matrices[k][strategy, profile[j]] for j in range(4))
        return total / weights[k].sum() if mean and weights[k].sum() else total

    keep = own.get("keep_probs", np.full(4, process.keep_prob))[i]

    def rule(heard):
        law = np.zeros(n)
        if "temperatures" in own or "logit" in case["name"]:
            tau = own.get("temperatures", np.full(4, getattr(process.choice, "temperature", 1.0)))[i]
            offers = np.array([heard * pay(i, a) / tau for a in range(n)])
            law = np.exp(offers - offers.max())
            return law / law.sum()
        if "best" in case["name"]:
            offers = np.array([heard * pay(i, a) for a in range(n)])
            law = (offers >= offers.max() - 1e-12).astype(float)
            return law / law.sum()
        beta = own.get("intensities", np.full(4, getattr(process.choice, "intensity", 1.0)))[i]
        if weights[i].sum() == 0:
            law[mine] = 1.0
            return law
        for j in range(4):
            meet = weights[i, j] / weights[i].sum()
            copy = 1.0 / (1.0 + np.exp(-heard * beta * (pay(j, profile[j]) - pay(i, mine))))
            law[profile[j]] += meet * copy
            law[mine] += meet * (1.0 - copy)
        return law

    masked = rule(0.0) if process.masked == "blind" else np.eye(n)[mine]
    law = keep * rule(1.0) + (1.0 - keep) * masked
    rate = process.mutation
    return (1.0 - rate) * law + rate / (n - 1) * (1.0 - np.eye(n)[mine])


def exact_law(case, start, sweeps):
    """Law of the joint strategies at the end."""
    n, process = case["game"].n_strategies, case["process"]
    profiles = list(itertools.product(range(n), repeat=4))
    place = {profile: k for k, profile in enumerate(profiles)}
    step = np.zeros((len(profiles),) * 2)
    for profile in profiles:
        laws = [answers(case, profile, i) for i in range(4)]
        if process.revision == "all":
            for new in profiles:
                step[place[profile], place[new]] = np.prod([law[a] for law, a in zip(laws, new, strict=True)])
        else:
            for i, law in enumerate(laws):
                for a in range(n):
                    new = (*profile[:i], a, *profile[i + 1 :])
                    step[place[profile], place[new]] += law[a] / 4
    law = np.zeros(len(profiles))
    law[place[tuple(start)]] = 1.0
    return law @ np.linalg.matrix_power(step, sweeps if process.revision == "all" else 4 * sweeps)


COORDINATION = [[1.0, 0.0], [0.0, 0.6]]
DIRECTED = GraphGame(COORDINATION, csr_array(WEIGHTS), "sum")
MIXED = PopulationGame.from_matrix(COORDINATION, 4)
PATH = GraphGame(RNG.normal(size=(3, 3)), nx.path_graph(4))
ROWS = nx.to_numpy_array(nx.path_graph(4))
TEMPERATURES, KEEP, BETA = (
    np.array([0.2, 0.5, 2.0, 1.0]),
    np.array([1.0, 0.3, 0.7, 0.9]),
    np.array([0.0, 1.0, 4.0, 2.0]),
)


def own_matrices(n):
    return RNG.normal(size=(4, n, n))


CASES = [
    {
        "name": "logit, all own, a directed graph with weights",
        "game": DIRECTED,
        "weights": WEIGHTS,
        "mean": False,
        "process": Process(logit(0.5)),
        "own": {"temperatures": TEMPERATURES, "matrices": own_matrices(2), "keep_probs": KEEP},
    },
    {
        "name": "imitation, own intensities, blind and mutating, well mixed",
        "game": MIXED,
        "weights": COMPLETE,
        "mean": True,
        "process": Process(imitation(1.0), masked="blind", mutation=0.1),
        "own": {"intensities": BETA, "keep_probs": KEEP, "matrices": own_matrices(2)},
    },
    {
        "name": "imitation, own intensities, a directed graph with weights",
        "game": DIRECTED,
        "weights": WEIGHTS,
        "mean": False,
        "process": Process(imitation(1.0), keep_prob=0.8),
        "own": {"intensities": BETA},
    },
    {
        "name": "best response, own payoffs, all at once, a path",
        "game": PATH,
        "weights": ROWS,
        "mean": True,
        "process": Process(best_response(), revision="all", keep_prob=0.6, masked="blind"),
        "own": {"matrices": own_matrices(3)},
    },
    {
        "name": "logit, well mixed, all at once, own probabilities of feedback",
        "game": MIXED,
        "weights": COMPLETE,
        "mean": True,
        "process": Process(logit(0.4), revision="all", mutation=0.05),
        "own": {"keep_probs": KEEP},
    },
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_joint_law_at_the_end_is_the_exact_one(case):
    start, sweeps, replicas = [0, 1, 1, 0], 3, 20_000
    path = simulate_heterogeneous(
        case["game"],
        case["process"],
        start=start,
        sweeps=sweeps,
        replicas=replicas,
        rng=np.random.default_rng(1),
        **case["own"],
    )
    n = case["game"].n_strategies
    seen = np.bincount(path.strategies @ (n ** np.arange(3, -1, -1)), minlength=n**4)
    law = exact_law(case, start, sweeps)
    assert law.sum() == pytest.approx(1.0)
    assert seen[law < 1e-15].sum() == 0
    rare = law * replicas < 5
    observed, expected = np.append(seen[~rare], seen[rare].sum()), np.append(law[~rare], law[rare].sum()) * replicas
    kept = expected > 1e-9
    statistic = ((observed - expected)[kept] ** 2 / expected[kept]).sum()
    assert chi2.sf(statistic, kept.sum() - 1) > 1e-3
    counts = np.stack([(path.strategies == k).sum(axis=1) for k in range(n)], axis=1)
    assert (path.count[:, -1] == counts).all()


def test_players_who_are_alike_are_those_of_the_process_and_paths_depend_on_nothing_else():
    game = GraphGame(COORDINATION, nx.random_regular_graph(4, 30, seed=1))
    start = np.arange(30) % 2

    def play(process=Process(logit(0.3), keep_prob=0.7), **own):  # noqa: B008
        settings = {"replicas": 4, **own}
        return simulate_heterogeneous(game, process, start=start, sweeps=20, rng=np.random.default_rng(0), **settings)

    plain = play()
    alike = {
        "matrices": np.broadcast_to(game.matrix, (30, 2, 2)),
        "temperatures": np.full(30, 0.3),
        "keep_probs": np.full(30, 0.7),
    }
    for other in (play(**alike), play(Process(logit(9.0)), **alike), play(threads=3), play(every=5), play(replicas=6)):
        assert (other.strategies[:4] == plain.strategies).all()
        assert (other.count[:4] == plain.count[:, :: len(plain.time) // (len(other.time) - 1) or 1]).all()
    same_law = simulate_on_graph(
        game, Process(logit(0.3), keep_prob=0.7), start=start, sweeps=20, replicas=400, rng=np.random.default_rng(2)
    )
    many = play(replicas=400)
    gap = many.share[:, -1, 0].mean() - same_law.share[:, -1, 0].mean()
    spread = np.hypot(many.share[:, -1, 0].std(), same_law.share[:, -1, 0].std()) / 20
    assert abs(gap) < 4 * spread


def test_each_of_two_players_has_a_matrix_of_its_own():
    matrices = np.array([[[1.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]])
    game = GraphGame(COORDINATION, nx.path_graph(2))
    found = simulate_heterogeneous(
        game, Process(best_response()), start=[1, 0], sweeps=30, matrices=matrices, rng=np.random.default_rng(0)
    )
    assert found.strategies.reshape(-1, 2).tolist() == [[0, 1]]


def test_cuts_between_sweeps_change_no_path(monkeypatch):
    game = GraphGame(COORDINATION, nx.cycle_graph(10))

    def play():
        settings = {"start": np.arange(10) % 2, "sweeps": 30, "replicas": 3, "rng": np.random.default_rng(0)}
        return simulate_heterogeneous(game, Process(imitation(2.0)), intensities=np.arange(10.0), every=4, **settings)

    whole = play()
    monkeypatch.setattr("neurogames.engine.graphs.heterogeneous._PIECE", 1)
    cut = play()
    assert (whole.count == cut.count).all()
    assert (whole.strategies == cut.strategies).all()


@pytest.mark.parametrize(
    ("process", "own", "message"),
    [
        (logit(1.0), {"temperatures": np.ones(3)}, "temperatures: got '3 numbers', expected 4 temperatures > 0"),
        (logit(1.0), {"temperatures": [1, 1, 0, 1]}, "temperatures: got 'a least one of 0', expected temperatures > 0"),
        (logit(1.0), {"intensities": np.ones(4)}, "intensities: got .* expected None, since the rule is Logit"),
        (
            imitation(1.0),
            {"temperatures": np.ones(4)},
            "temperatures: got .* expected None, since the rule is Imitation",
        ),
        (imitation(1.0), {"intensities": [1, 1, -1, 1]}, "intensities: got 'a least one of -1'"),
        (logit(1.0), {"keep_probs": [1, 1, 2, 1]}, "keep_probs: got 'numbers from 1 to 2', expected"),
        (logit(1.0), {"matrices": np.ones((4, 3, 3))}, r"matrices: got 'shape \(4, 3, 3\)', expected '?\(4, 2, 2\)"),
        (replicator(), {}, "process: got Replicator"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(process, own, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        simulate_heterogeneous(
            MIXED, Process(process), start=[0, 1, 0, 1], sweeps=1, rng=np.random.default_rng(0), **own
        )


def test_more_strategies_than_are_told_apart_are_refused():
    game = PopulationGame.from_matrix(np.eye(200), 6)
    with pytest.raises(ValueError, match="game: got '200 strategies', expected at most 100"):
        simulate_heterogeneous(game, Process(best_response()), start=[150] * 6, sweeps=1, rng=np.random.default_rng(0))
