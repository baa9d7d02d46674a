"""Equilibria of normal-form games, and the tests that belong to them."""
