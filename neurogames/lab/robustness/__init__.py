"""Robustness as a zero-sum game: who chooses networks against who chooses perturbations."""
