"""Does a game that is fitted to a network foretell what the network does? Three questions, and what counts as a yes.

Written down before the run, which was made once. Intervals are 95 % t intervals of paired differences.

1. Which process does training resemble? Tables diabetes and concrete with a planted shortcut (strength .9), 16 networks
   of 64 and 32 units each, Adam .001, 40 epochs, plain and with gradient dropout (keep .2). A unit of the last hidden
   layer acts where it composes; 17 records from 4 % to 100 % of training. Games: gains +-((k + 1) / N - c) with
   c = .1, .3, .5, .7, .9; pace: keep probability 1, .5, .2, .1 or .05. Yes: ``fit_process`` names a choice rule, a
   revision or what is done without feedback, in plain and in masked training of both tables alike.
2. How does composition move? The same plain trainings, of which the first 10 % are known (records at 2, 4, .., 10 %).
   The process that fits these best is run on by its exact chain, one sweep for each 2 %, to 15, 25, 50 and 100 %.
   Beside it: the last value, a straight line of the share, straight lines of each unit's gain, and the mean of the
   other networks at that time (which knows their future). Yes: mean absolute error below each of the first three, the
   interval of the difference excluding 0, on both tables. The mean of others is reported.
3. How many units stay at a fee? Both hidden layers (48 and 24 units) of 3 networks on digits and 3 on concrete; fees
   .001, .003, .01, .03, .1 in units of the loss; worth on held-out rows. Measured: exact removal from the layer alone,
   and ``train_participation`` from the trained network (20 epochs, that price), in both layers at once. Predicted: own
   curves and curves in context (budget 2,000 coalitions), alike players, the additive game, counting (units whose
   removal alone costs more than the fee), and removal by steps with a tenth of the coalitions of the exact path, at
   least 2 n. Yes: own curves have a mean absolute error below that of the additive game and of counting, the interval
   over the 12 layers excluding 0. Calibration (slope of measured on predicted) and rank correlation are reported.

4. Written down after the first three were run, and before its own run: does removal by steps pay where the exact path
   is dear? One hidden layer of 128 units on digits, ReLU and tanh, seeds 10 to 12, fees as above; 2,000 coalitions for
   steps and for curves alike, where the exact path takes 8,257. Yes: the mean absolute error of steps is below that of
   own curves and of curves in context, the interval over the 6 layers excluding 0.

    python simulations/fitted_game.py [FILE.json]

prints the tables (three minutes of processor time on one core) and writes all numbers into the file.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from scipy.stats import t as student
from torch import nn

from neurogames.bridge import public_goods_game, shortcut_composition, train, train_ensemble, train_participation
from neurogames.engine import fit_process, population_chain
from neurogames.games import SymmetricGame
from neurogames.lab import load_dataset, prepare
from neurogames.lab.studies.gradient_dropout.course import planted_rows

TABLES, SEEDS, HIDDEN = ("diabetes", "concrete_strength"), range(16), (64, 32)
RECORDS = tuple(np.linspace(0.04, 1.0, 17).round(2).tolist())
EARLY, LATER = (0.02, 0.04, 0.06, 0.08, 0.1), (0.15, 0.25, 0.5, 1.0)
KEEPS = (1.0, 0.5, 0.2, 0.1, 0.05)
FEES = (0.001, 0.003, 0.01, 0.03, 0.1)
Vector = NDArray[np.float64]


def candidate_games(n: int) -> list[SymmetricGame]:
    """Gains that rise or fall with the share of those who act."""
    share = np.arange(1, n + 1) / n
    return [SymmetricGame(sign * (share - cost)) for sign in (1.0, -1.0) for cost in (0.1, 0.3, 0.5, 0.7, 0.9)]


@functools.cache
def courses(table: str, keep_prob: float) -> dict[float, Vector]:
    """Gains of the units of the last hidden layer of all networks, (seeds, units), by the time of training."""
    times = sorted({*RECORDS, *EARLY, *LATER})
    seen: dict[float, list[Vector]] = {time: [] for time in times}
    for seed in SEEDS:
        data = prepare(load_dataset(table), rng=np.random.default_rng(seed))
        rows, network_seed = planted_rows(data, strength=0.9, seed=seed)
        records: list[Vector] = []

        def note(_: float, ensemble: Any, rows: Any = rows, records: list[Vector] = records) -> None:
            found = shortcut_composition(ensemble, rows.broken_inputs, rows.test_targets)
            records.append(found.scores[0, found.layers == found.layers.max()].numpy())

        train_ensemble(
            rows.inputs, rows.targets, seeds=[network_seed], hidden=HIDDEN, loss=rows.loss, keep_prob=[keep_prob],
            feedback=["dropout"], learning_rate=1e-3, epochs=40, batch_size=64, optimizer="adam", record_at=times,
            on_record=note,
        )  # fmt: skip
        for time, record in zip(times, records, strict=True):
            seen[time].append(record)
    return {time: np.stack(each) for time, each in seen.items()}


def which_process(table: str, keep_prob: float) -> dict[str, Any]:
    """Question 1."""
    gains = courses(table, keep_prob)
    states = np.stack([gains[time] > 0 for time in RECORDS], axis=1)
    found = fit_process(states, candidate_games(HIDDEN[-1]), keep_prob=KEEPS)
    return {
        "table": table,
        "keep": keep_prob,
        **{question: found.answer(question) for question in ("choice", "revision", "masked")},
        "constant_rates": found.constant_rates,
        "ahead of constant rates": found.ahead,
        "candidates": [
            (each.name, each.held_out, each.behind, each.game, str(each.process)) for each in found.candidates
        ],
    }


def forecasts(table: str) -> dict[str, Any]:
    """Question 2: absolute errors (networks, times) of each forecast."""
    gains = courses(table, 1.0)
    share = {time: (each > 0).mean(axis=1) for time, each in gains.items()}
    n = HIDDEN[-1]
    games = candidate_games(n)
    early = np.stack([gains[time] > 0 for time in EARLY], axis=1)
    best = fit_process(early, games, keep_prob=KEEPS).candidates[0]
    chain = population_chain(games[best.game], best.process)
    sweeps = [round((time - EARLY[-1]) / 0.02) for time in LATER]
    starts = early[:, -1].sum(axis=1)
    law = {int(start): chain.transient(int(start), sweeps).mean_share() for start in np.unique(starts)}
    slopes = np.polyfit(EARLY, np.stack([share[time] for time in EARLY]), 1)
    by_unit = np.polyfit(EARLY, np.stack([gains[time].ravel() for time in EARLY]), 1)
    measured = np.stack([share[time] for time in LATER], axis=1)
    others = (measured.sum(axis=0) - measured) / (len(measured) - 1)
    line = np.stack([np.polyval(slopes, time) for time in LATER], axis=1).clip(0.0, 1.0)
    units = np.stack([(np.polyval(by_unit, t).reshape(len(measured), n) > 0).mean(axis=1) for t in LATER], axis=1)
    told = {
        "game": np.stack([law[int(start)] for start in starts]),
        "last value": np.repeat(share[EARLY[-1]][:, None], len(LATER), axis=1),
        "line of the share": line,
        "lines of gains": units,
        "others' mean": others,
    }
    errors = {name: np.abs(each - measured).mean(axis=1) for name, each in told.items()}
    return {
        "table": table,
        "process": (best.name, best.game, str(best.process)),
        "measured": measured.mean(axis=0).tolist(),
        "told": {name: each.mean(axis=0).tolist() for name, each in told.items()},
        "error": {name: float(each.mean()) for name, each in errors.items()},
        "game minus": {name: interval(errors["game"] - each) for name, each in errors.items() if name != "game"},
    }


def wide_layers() -> dict[str, Any]:
    """Question 4."""
    errors: dict[str, list[float]] = {"steps": [], "own": [], "context": []}
    for activation in (nn.ReLU, nn.Tanh):
        for seed in (10, 11, 12):
            model, _, _, tests = trained_network("digits", seed, (128,), activation)
            game = public_goods_game(model, "1", tests, budget=2000, rng=np.random.default_rng(seed))
            exact = game.removed()
            told = {
                "steps": game.removed(2000),
                "own": game.predicted("own"),
                "context": game.predicted("context", rng=np.random.default_rng(seed)),
            }
            for name, path in told.items():
                errors[name].append(float(np.mean([abs(path.staying(fee) - exact.staying(fee)) for fee in FEES])))
    return {
        "error": errors,
        "steps minus": {name: interval(np.subtract(errors["steps"], errors[name])) for name in ("own", "context")},
    }


def trained_network(
    table: str, seed: int, hidden: tuple[int, ...] = (48, 24), activation: type[nn.Module] = nn.ReLU
) -> tuple[nn.Module, Any, tuple[Any, Any], tuple[Any, Any]]:
    """A network with its loss, training rows and held-out rows."""
    data = prepare(load_dataset(table), rng=np.random.default_rng(seed))
    rows = tuple(torch.from_numpy(part) for part in (data.train_inputs, data.train_targets))
    tests = tuple(torch.from_numpy(part) for part in (data.test_inputs, data.test_targets))
    classes = not rows[1].is_floating_point()
    if not classes:
        rows, tests = ((part[0], part[1].reshape(-1, 1)) for part in (rows, tests))
    torch.manual_seed(seed)
    outputs = int(rows[1].max()) + 1 if classes else 1
    widths = (rows[0].shape[1], *hidden)
    pairs = [(nn.Linear(*pair), activation()) for pair in zip(widths[:-1], hidden, strict=True)]
    model = nn.Sequential(*(part for pair in pairs for part in pair), nn.Linear(hidden[-1], outputs))
    loss = nn.functional.cross_entropy if classes else nn.functional.mse_loss
    found = train(
        model, loss, rows, optimizer=functools.partial(torch.optim.Adam, lr=2e-3), batch_size=64, epochs=30,
        rng=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    return found.model, loss, rows, tests


def who_stays(table: str, seed: int) -> list[dict[str, Any]]:
    """Question 3: shares that stay, for both layers of a network and every fee."""
    model, loss, rows, tests = trained_network(table, seed)
    jointly = train_participation(
        model, *rows, loss=loss, price=list(FEES), epochs=20, batch_size=64, rng=torch.Generator().manual_seed(seed)
    )
    kept = np.split(jointly.profile > 0, [48], axis=1)
    found = []
    for layer, profile in zip(("1", "3"), kept, strict=True):
        game = public_goods_game(model, layer, tests, budget=2000, rng=np.random.default_rng(seed))
        n = game.curves.n_players
        everybody = np.ones((1, n), dtype=np.bool_)
        worths = game.coalitions.value(np.concatenate([everybody, ~np.eye(n, dtype=np.bool_)]))
        alone = worths[0] - worths[1:]
        exact = game.removed()
        paths = {name: game.predicted(name) for name in ("own", "alike", "additive")}
        paths["context"] = game.predicted("context", rng=np.random.default_rng(seed))
        paths["steps"] = game.removed(max(2 * n, n * (n + 1) // 20))
        for place, fee in enumerate(FEES):
            told = {name: path.staying(fee) for name, path in paths.items()} | {"count": float((alone >= fee).mean())}
            found.append({
                "table": table, "seed": seed, "layer": layer, "fee": fee, "removal": exact.staying(fee),
                "training": float(profile[place].mean()), **told,
            })  # fmt: skip
    return found


def judged(found: list[dict[str, Any]], measured: str) -> dict[str, Any]:
    """Errors, calibration and rank correlation of all predictions, and own curves against the others."""
    truth = np.array([each[measured] for each in found]).reshape(-1, len(FEES))
    names = ("own", "context", "alike", "additive", "count", "steps")
    told = {name: np.array([each[name] for each in found]).reshape(truth.shape) for name in names}
    errors = {name: np.abs(each - truth).mean(axis=1) for name, each in told.items()}
    return {
        "measured": measured,
        "error": {name: float(each.mean()) for name, each in errors.items()},
        "slope": {name: float(np.polyfit(each.ravel(), truth.ravel(), 1)[0]) for name, each in told.items()},
        "rank": {name: float(spearmanr(each.ravel(), truth.ravel()).statistic) for name, each in told.items()},
        "own minus": {name: interval(errors["own"] - each) for name, each in errors.items() if name != "own"},
        "error by fee": {name: np.abs(each - truth).mean(axis=0).tolist() for name, each in told.items()},
    }


def interval(differences: Vector) -> tuple[float, float, float]:
    """Mean and 95 % t interval of paired differences."""
    mean, half = differences.mean(), student.ppf(0.975, len(differences) - 1) * differences.std(ddof=1)
    half /= np.sqrt(len(differences))
    return float(mean), float(mean - half), float(mean + half)


def main() -> None:
    """Run all three, print and write."""
    stays = [each for table in ("digits", "concrete_strength") for seed in range(3) for each in who_stays(table, seed)]
    results = {
        "who stays": [judged(stays, "removal"), judged(stays, "training")],
        "forecasts": [forecasts(table) for table in TABLES],
        "process": [which_process(table, keep) for table in TABLES for keep in (1.0, 0.2)],
        "wide layers": wide_layers(),
        "shares that stay": stays,
    }
    text = json.dumps(results, indent=1)
    print(text[: text.index('"shares that stay"')])
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
