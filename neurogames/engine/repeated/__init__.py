"""Repeated games: what automata earn in the long run."""
