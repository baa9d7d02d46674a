"""How games are solved and how they move."""

from __future__ import annotations

from neurogames.engine.choice import Choice, best_response, imitation, logit, replicator
from neurogames.engine.first_passage import escape_times
from neurogames.engine.mean_field import Equilibrium, MeanField, mean_field
from neurogames.engine.population import PopulationChain, population_chain
from neurogames.engine.process import Process, Switching, switching
from neurogames.engine.schedules import Schedule, constant, cosine, geometric, linear, piecewise
from neurogames.engine.simulate import simulate
from neurogames.engine.solution import EscapeTime, Law, SimulatedEscape, Solution, Trajectory

__all__ = [
    "Choice",
    "Equilibrium",
    "EscapeTime",
    "Law",
    "MeanField",
    "PopulationChain",
    "Process",
    "Schedule",
    "SimulatedEscape",
    "Solution",
    "Switching",
    "Trajectory",
    "best_response",
    "constant",
    "cosine",
    "escape_times",
    "geometric",
    "imitation",
    "linear",
    "logit",
    "mean_field",
    "piecewise",
    "population_chain",
    "replicator",
    "simulate",
    "switching",
]
