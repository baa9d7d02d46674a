"""Does ``fit_process`` name the process that made a record, or say that it cannot tell? The truth is known here.

In each of 100 records the choice rule, the revision, what is done without feedback, the cost (.3 to .7), the keep
probability (.3, .5 or .7), the noise (.05 to .5) and the sweeps between records (1 or 2) are drawn. Game, keep
probability and sweeps are given to ``fit_process``, the rest is not. A record is wrong when one of the three answers
names what is not true. What counts: at most 5 of 100 wrong. How many answers are given at all is reported.

    python simulations/known_processes.py [POPULATIONS RECORDS]

prints both (12 populations with 9 records each when left out; 20 players).
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from neurogames import Process, PublicGoodsGame, fit_process, logit, switching
from neurogames.engine.population.fit_process import BetterReply

PLAYERS, TRIALS = 20, 100
QUESTIONS = ("choice", "revision", "masked")


def simulate(
    game: PublicGoodsGame, process: Process, populations: int, records: int, sweeps: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """States (populations, records, players), player by player."""
    rates = switching(game, process)
    begins, stays = np.exp(rates.log_on), 1.0 - np.exp(rates.log_off)
    rows = np.arange(populations)
    states = rng.random((populations, PLAYERS)) < rng.random((populations, 1))
    seen = [states]
    for _ in range((records - 1) * sweeps):
        if process.revision == "all":
            others = np.minimum(states.sum(axis=1, keepdims=True) - states, PLAYERS - 1)
            states = rng.random(states.shape) < np.where(states, stays[others], begins[others])
        else:
            states = states.copy()
            for _ in range(PLAYERS):
                who = rng.integers(0, PLAYERS, populations)
                acts = states[rows, who]
                others = states.sum(axis=1) - acts
                states[rows, who] = rng.random(populations) < np.where(acts, stays[others], begins[others])
        seen.append(states)
    return np.stack(seen[::sweeps], axis=1)


def main(populations: int = 12, records: int = 9) -> None:
    """Draw the truths, and count."""
    rng = np.random.default_rng(7)
    wrong, named = 0, dict.fromkeys(QUESTIONS, 0)
    for _ in range(TRIALS):
        truth = {
            "choice": str(rng.choice(["logit", "better reply"])),
            "revision": str(rng.choice(["one", "all"])),
            "masked": str(rng.choice(["hold", "blind"])),
        }
        game, keep = PublicGoodsGame(PLAYERS, rng.uniform(0.3, 0.7), 1.0), float(rng.choice([0.3, 0.5, 0.7]))
        noise, sweeps = rng.uniform(0.05, 0.5), int(rng.integers(1, 3))
        rule = logit(noise * np.abs(game.gain).max()) if truth["choice"] == "logit" else BetterReply(noise)
        process = Process(rule, truth["revision"], keep, truth["masked"])
        found = fit_process(
            simulate(game, process, populations, records, sweeps, rng), game, keep_prob=keep, sweeps=sweeps
        )
        answers = {question: found.answer(question) for question in QUESTIONS}
        wrong += any(answers[question] not in (truth[question], "cannot tell") for question in QUESTIONS)
        for question in QUESTIONS:
            named[question] += answers[question] == truth[question]
    print(f"{populations} populations, {records} records: {wrong} of {TRIALS} wrong; rightly named: {named}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
