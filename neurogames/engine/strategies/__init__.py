"""Populations of players with any number of strategies."""
