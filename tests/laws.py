"""One table of games and processes: one line makes a new member, and tests/engine/test_laws.py holds it to all laws."""

from __future__ import annotations

from neurogames.engine import (
    Process,
    best_response,
    cosine,
    geometric,
    imitation,
    linear,
    logit,
    piecewise,
    replicator,
)
from neurogames.games import PublicGoodsGame, SigmoidGood, SymmetricGame, ThresholdGood

GAMES = {
    "club": PublicGoodsGame(20, cost=0.4, multiplier=1.0),
    "linear": PublicGoodsGame(12, cost=0.3, multiplier=2.0, good="linear"),
    "threshold": PublicGoodsGame(15, cost=0.2, multiplier=1.0, good=ThresholdGood(0.6)),
    "sigmoid": PublicGoodsGame(14, cost=0.1, multiplier=1.5, good=SigmoidGood(0.4, 12.0)),
    "hawk and dove": SymmetricGame([0.6, 0.2, -0.3, -0.5, -0.9], [0.1, 0.5, 0.9, 1.0, 1.2]),
    "two players": SymmetricGame([-1.0, 2.0], [0.5, 1.5]),
    "indifferent": SymmetricGame([0.0, 0.0, 0.0]),
}

CONSTANT = {
    "logit": Process(logit(0.2)),
    "logit, hold, one": Process(logit(0.15), keep_prob=0.4),
    "logit, hold, all": Process(logit(0.15), "all", 0.4),
    "logit, blind, one": Process(logit(0.1), "one", 0.7, "blind"),
    "logit, blind, all": Process(logit(0.1), "all", 0.7, "blind"),
    "cold logit, all": Process(logit(0.003), "all"),
    "best response": Process(best_response()),
    "best response, blind, all": Process(best_response(), "all", 0.8, "blind"),
    "imitation": Process(imitation(2.0)),
    "imitation, hold, all": Process(imitation(3.0), "all", 0.5),
    "imitation, blind, one": Process(imitation(3.0), "one", 0.5, "blind"),
    "replicator": Process(replicator()),
    "replicator, blind, all": Process(replicator(), "all", 0.6, "blind"),
}

SCHEDULED = {
    "cooling logit": Process(logit(geometric(1.0, 0.05))),
    "rising keep, blind": Process(logit(0.08), "one", linear(0.2, 1.0), "blind"),
    "rising keep, hold, all": Process(logit(0.08), "all", cosine(0.2, 1.0)),
    "sharpening imitation": Process(imitation(piecewise([(0.0, 0.0), (0.5, 4.0)])), "one", 0.9),
}
