"""Coalitions of hidden units: evaluations a second beside Captum, growth, memory, and the error of values."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from neurogames.bridge.coalitions.coalition_values import coalition_game
from neurogames.engine.coalitions.confident_values import shapley_until, split_half
from neurogames.engine.coalitions.value_estimates import regress_values
from neurogames.engine.coalitions.value_sampling import shapley_by_permutations
from neurogames.engine.coalitions.values import shapley
from tests.benchmarks.timing import medians

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("default")]

UNITS = 64
BUDGETS = (2000, 5000, 20000, 50000)


def digits_network(*hidden, seed=0):
    """A network trained on the digits, and its 540 rows of test data."""
    inputs, labels = load_digits(return_X_y=True)
    split = train_test_split(inputs / 16.0, labels, test_size=0.3, random_state=seed)
    train_x, test_x = (torch.tensor(part, dtype=torch.float32) for part in split[:2])
    train_y, test_y = (torch.tensor(part) for part in split[2:])
    torch.manual_seed(seed)
    widths = (64, *hidden, 10)
    layers = [part for a, b in itertools.pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(train_x), train_y).backward()
        optimizer.step()
    return model.eval(), (test_x, test_y)


def captum_ways(model, data, orders):
    """Ways of driving Captum's ShapleyValueSampling over the units behind module "1", and what each gives.

    On activations: the forward function takes the hidden values of all rows, Captum masks them; one feature for each
    unit, the worth of every row is its attribution. As input: the mask itself is the input, and the forward function
    masks the hidden values of all rows for each mask of a batch.
    """
    inputs, labels = data
    with torch.no_grad():
        hidden = model[:2](inputs)
    rest = model[2:]

    def on_activations(values):
        return (rest(values).argmax(dim=1) == labels.repeat(len(values) // len(labels))).float()

    def as_input(masks):
        outputs = rest((hidden * masks[:, None]).flatten(0, 1)).unflatten(0, (len(masks), -1))
        return (outputs.argmax(dim=2) == labels).float().mean(dim=1)

    def run(forward, start, each):
        sampler = captum.ShapleyValueSampling(forward)
        with torch.no_grad():
            return sampler.attribute(start, n_samples=orders, perturbations_per_eval=each).reshape(-1, UNITS).mean(0)

    ones = torch.ones(1, UNITS)
    return {
        "Captum, activations, 1 a call (its default)": lambda: run(on_activations, hidden, 1),
        "Captum, activations, 16 a call": lambda: run(on_activations, hidden, 16),
        **{
            f"Captum, mask as input, {each} a call": lambda each=each: run(as_input, ones, each) for each in (1, 16, 64)
        },
    }


@pytest.mark.parametrize("hidden", [(UNITS,), (UNITS, UNITS)], ids=["output next", "another hidden layer next"])
def test_coalitions_a_second_beside_captum(hidden):
    torch.set_num_threads(1)
    model, data = digits_network(*hidden)
    game = coalition_game(model, "1", data)
    orders = 6
    asked = orders * UNITS + 1
    orders_drawn = np.random.default_rng(0).permuted(np.tile(np.arange(UNITS), (orders, 1)), axis=1)
    coalitions = (orders_drawn[:, None, :] < np.arange(UNITS + 1)[:, None]).reshape(-1, UNITS)[:asked]
    ways = {f"neurogames, {asked} coalitions": lambda: game.value(coalitions), **captum_ways(model, data, orders)}
    seconds = medians(ways, repeats=5)
    ours, default, *others = seconds.values()
    best = min(default, *others)
    print(
        f"  coalitions a second: {asked / ours:,.0f}, of Captum {asked / best:,.0f} at best and {asked / default:,.0f}"
    )
    print(f"  ratio to the best way of driving Captum {best / ours:.2f}, to its default {default / ours:.2f}")
    everybody, nobody = game.value([[True] * UNITS, [False] * UNITS])
    for label, way in list(ways.items())[1:]:
        assert float(way().sum()) == pytest.approx(everybody - nobody, abs=1e-3), label  # they share out the same game


def test_time_grows_in_proportion_to_the_number_of_coalitions():
    torch.set_num_threads(1)
    game = coalition_game(*(lambda model, data: (model, "1", data))(*digits_network(UNITS)))
    rng = np.random.default_rng(0)
    sets = {m: rng.random((m, UNITS)) < 0.5 for m in (1000, 4000, 16000, 64000)}
    seconds = medians({f"{m} coalitions": lambda rows=rows: game.value(rows) for m, rows in sets.items()}, repeats=3)
    assert np.isfinite(game.value(sets[1000])).all()
    print(
        "  microseconds a coalition: "
        + ", ".join(f"{s / m * 1e6:.1f}" for s, m in zip(seconds.values(), sets, strict=True))
    )


MEMORY_PROGRAM = """
import sys, time
import numpy as np, torch
from torch import nn
from neurogames.bridge.coalitions.coalition_values import coalition_game
side = int(sys.argv[1])
torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
                      nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(4096, 10))
data = torch.randn(1000, 3, side, side), torch.randint(10, (1000,))
def most():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 2**20
bare = most()
game = coalition_game(model, "1", data)
start = time.perf_counter()
game.value(np.random.default_rng(0).random((2, 256)) < 0.5)
print(f"{bare:.2f} {most():.2f} {time.perf_counter() - start:.1f}")
"""


@pytest.mark.parametrize("side", [8, 16])
def test_memory_of_a_layer_of_256_channels_and_1000_rows(side):
    answer = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, str(side)], capture_output=True, text=True, check=True
    ).stdout.split()
    print(
        f"\n  {side} x {side} maps: {answer[1]} GiB at most, {answer[0]} of them before; {answer[2]} s for 2 coalitions"
    )
    assert float(answer[1]) < 2.0


@pytest.mark.parametrize("hidden", [(UNITS,), (UNITS, UNITS)], ids=["output next", "another hidden layer next"])
@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_error_of_values_within_20000_calls(hidden, metric):
    """Relative error |phi - reference| / |reference| against 200,000 calls; a call is one coalition for every row."""
    torch.set_num_threads(1)
    model, data = digits_network(*hidden)
    game = coalition_game(model, "1", data, metric=metric)
    reference = shapley(game, 200_000, rng=np.random.default_rng(99))
    size = np.linalg.norm(reference.values)
    print(f"\n  {metric}, hidden {hidden}: the reference's own error is {np.linalg.norm(reference.stderr) / size:.4f}")
    shared = regress_values(game, 200_000, rng=np.random.default_rng(98), index="Shapley")
    apart, told = (np.linalg.norm(part) / size for part in (shared.values - reference.values, shared.stderr))
    print(f"  the regression with 200,000 coalitions for all rows is {apart:.4f} away, its own error is {told:.4f}")
    ways = {
        "own orders for each row": shapley,
        "regression": partial(regress_values, index="Shapley"),
        "permutations": shapley_by_permutations,
    }
    for label, method in ways.items():
        start = time.thread_time()
        found = {
            budget: [method(game, budget, rng=np.random.default_rng(seed)) for seed in range(3)] for budget in BUDGETS
        }
        seconds = (time.thread_time() - start) / sum(3 * budget for budget in BUDGETS)
        errors = {
            b: np.median([np.linalg.norm(one.values - reference.values) / size for one in f]) for b, f in found.items()
        }
        told = np.hypot(np.linalg.norm(found[BUDGETS[-1]][0].stderr), np.linalg.norm(reference.stderr)) / size
        print(
            f"  {label:<24}"
            + ", ".join(f"{budget}: {error:.4f}" for budget, error in errors.items())
            + f"; {1 / seconds:,.0f} calls a second"
        )
        assert method is not shapley or errors[20_000] < 0.05
        assert 0.7 * told < errors[BUDGETS[-1]] < 1.4 * told  # errors are as large as the standard errors say
    halves = split_half(game, 20000, top=10, rng=np.random.default_rng(0))
    print(f"  halves of 20000: rank correlation {halves.rank_correlation:.3f}, same of the top 10 {halves.overlap:.2f}")
    for goal in ({"half_width": 0.05 * size / np.sqrt(UNITS) * 1.96}, {"top": 5}):
        found = shapley_until(game, **goal, max_budget=100_000, rng=np.random.default_rng(0))
        print(f"  until {goal}: {found.budget} calls; {found.method}")
