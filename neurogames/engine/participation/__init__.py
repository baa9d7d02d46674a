"""Equilibria of participation games: existence, uniqueness, dominance, efficiency."""
